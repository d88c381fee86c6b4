#include "dird/repl_int.h"

#include "lib/log.h"

#include <sys/random.h>

#define REREAD_QUIET_MS 100 /* links are read again at most so often */

uint64_t repl_now_ms(const struct repl *r)
{
	return r->server->clock->mono_ms(r->server->clock);
}

static uint32_t random32(void)
{
	uint32_t v = 0;

	if (getrandom(&v, sizeof(v), 0) != (ssize_t)sizeof(v))
		v = 0;
	return v;
}

/* --- one link --- */

void repl_peer_lost(struct repl_peer *p, const char *why)
{
	struct log_ctx lc = {.site = p->partner.name};
	uint64_t now = repl_now_ms(p->repl);

	repl_link_lost(&p->link, now, random32());
	repl_note_error(p, why);
	log_warn(&lc, "repl.lost", "uri=%s reason=\"%s\" retry_ms=%llu", p->partner.uri, why,
		 p->link.state == REPL_WAITING ? (unsigned long long)(p->link.next_ms - now) : 0);
	repl_recover_failed(p);
	repl_arm(p->repl);
}

static void connect_peer(struct repl_peer *p)
{
	int rc;

	if (p->partner.problem[0] != 0) {
		repl_peer_lost(p, p->partner.problem);
		return;
	}
	repl_note(p, 0, 0, NULL);
	rc = repl_conn_open(p);
	if (rc != RC_OK)
		repl_peer_lost(p, rc_text(rc));
}

static void end_session(struct repl_peer *p)
{
	struct log_ctx lc = {.site = p->partner.name};

	if (p->conn != NULL)
		repl_conn_drop(p);
	repl_link_ended(&p->link);
	repl_note(p, 0, 0, NULL);
	log_info(&lc, "repl.ended", "uri=%s reason=\"outside its hours\"", p->partner.uri);
}

static void look_at_hours(struct repl_peer *p, uint64_t now)
{
	enum repl_state before = p->link.state;

	repl_link_hours(&p->link, repl_hours_within(p), now, random32());
	if (p->link.state != before)
		repl_note(p, 0, 0, NULL);
}

static void tick_peer(struct repl_peer *p, uint64_t now)
{
	bool paused = p->conn != NULL && repl_conn_is_paused(p->conn);

	look_at_hours(p, now);
	switch (repl_link_tick(&p->link, now, paused)) {
	case REPL_DO_NOTHING:
		break;
	case REPL_DO_CONNECT:
		connect_peer(p);
		break;
	case REPL_DO_PROBE:
		repl_conn_probe(p->conn);
		break;
	case REPL_DO_DROP:
		if (p->conn != NULL)
			repl_conn_drop(p);
		repl_peer_lost(p, "no sign of life");
		break;
	case REPL_DO_END:
		end_session(p);
		break;
	}
}

/* --- the list of links --- */

static void free_peer(struct repl_peer *p)
{
	mem_free(p->figures.partner_at);
	mem_free(p);
}

static struct repl_peer *find_peer(struct repl *r, const char *name)
{
	struct repl_peer *p;

	for (p = r->peers; p != NULL; p = p->next) {
		if (span_eq_nocase(span_of(p->partner.name), span_of(name)))
			return p;
	}
	return NULL;
}

static int add_peer(struct repl *r, const struct repl_partner *partner)
{
	struct repl_peer *p = mem_zalloc(1, sizeof(*p));

	if (p == NULL)
		return RC_NOMEM;
	p->repl = r;
	p->partner = *partner;
	p->is_seen = true;
	repl_link_init(&p->link, r->server->config.heartbeat_ms);
	pthread_mutex_lock(&r->mutex);
	p->next = r->peers;
	r->peers = p;
	pthread_mutex_unlock(&r->mutex);
	repl_link_enable(&p->link, partner->is_enabled, repl_now_ms(r));
	repl_note(p, 0, 0, NULL);
	return RC_OK;
}

/* Does a running session depend on what changed? */
static bool is_same_way(const struct repl_partner *a, const struct repl_partner *b)
{
	return strcmp(a->uri, b->uri) == 0 && uuid_eq(&a->site, &b->site) && a->npins == b->npins &&
	       memcmp(a->pins, b->pins, sizeof(a->pins)) == 0 &&
	       strcmp(a->problem, b->problem) == 0;
}

static void update_peer(struct repl_peer *p, const struct repl_partner *partner)
{
	bool same =
		is_same_way(&p->partner, partner) && partner->is_enabled == p->partner.is_enabled;

	p->is_seen = true;
	pthread_mutex_lock(&p->repl->mutex);
	p->partner = *partner;
	pthread_mutex_unlock(&p->repl->mutex);
	if (same)
		return;
	if (p->conn != NULL)
		repl_conn_drop(p);
	repl_link_enable(&p->link, false, 0);
	repl_link_enable(&p->link, partner->is_enabled, repl_now_ms(p->repl));
	repl_note(p, 0, 0, NULL);
}

static void remove_unseen(struct repl *r)
{
	struct repl_peer **at = &r->peers, *p;

	while ((p = *at) != NULL) {
		if (p->is_seen) {
			at = &p->next;
			continue;
		}
		if (p->conn != NULL)
			repl_conn_drop(p);
		pthread_mutex_lock(&r->mutex);
		*at = p->next;
		pthread_mutex_unlock(&r->mutex);
		free_peer(p);
	}
}

static int take_partners(struct repl *r, const struct repl_partner *list, unsigned n)
{
	struct repl_peer *p;
	unsigned i;
	int rc = RC_OK;

	for (p = r->peers; p != NULL; p = p->next)
		p->is_seen = false;
	for (i = 0; i < n && rc == RC_OK; i++) {
		p = find_peer(r, list[i].name);
		if (p != NULL)
			update_peer(p, &list[i]);
		else
			rc = add_peer(r, &list[i]);
	}
	if (rc == RC_OK)
		remove_unseen(r);
	return rc;
}

static void reread(struct repl *r)
{
	struct repl_partner *list;
	struct arena a;
	unsigned n;
	int rc;

	arena_init(&a);
	r->reread_ms = 0;
	__atomic_store_n(&r->server->links_follow, true, __ATOMIC_SEQ_CST); /* then read */
	rc = repl_config_read(r->server, &a, &list, &n);
	if (rc == RC_OK)
		rc = take_partners(r, list, n);
	if (rc != RC_OK)
		log_error(NULL, "repl.links", "error=\"%s\"", rc_text(rc));
	else
		repl_recover_links_changed(r);
	arena_fini(&a);
}

/* --- timer --- */

static void tick_beat(struct repl *r)
{
	struct repl_peer *p;

	if (!repl_beat_tick(r))
		return;
	for (p = r->peers; p != NULL; p = p->next) {
		if (p->conn != NULL)
			repl_conn_beat(p->conn);
	}
}

static void on_timer(uv_timer_t *t)
{
	struct repl *r = t->data;
	struct repl_peer *p;
	uint64_t now = repl_now_ms(r);

	if (r->is_stopping)
		return;
	if (r->reread_ms != 0 && now >= r->reread_ms)
		reread(r);
	for (p = r->peers; p != NULL; p = p->next)
		tick_peer(p, now);
	repl_recover_tick(r);
	tick_beat(r);
	repl_arm(r);
}

void repl_arm(struct repl *r)
{
	uint64_t now = repl_now_ms(r), due = r->reread_ms != 0 ? r->reread_ms : UINT64_MAX, d;
	struct repl_peer *p;

	if (r->is_stopping)
		return;
	for (p = r->peers; p != NULL; p = p->next) {
		d = repl_link_due(&p->link);
		if (d < due)
			due = d;
		d = repl_hours_due(p, now);
		if (d < due)
			due = d;
	}
	d = repl_recover_due(r);
	if (d < due)
		due = d;
	d = repl_beat_due(r);
	if (d < due)
		due = d;
	if (due == UINT64_MAX)
		uv_timer_stop(&r->timer);
	else
		(void)uv_timer_start(&r->timer, on_timer, due > now ? due - now : 0, 0);
}

/* --- start and stop --- */

static void on_start(void *arg)
{
	struct repl *r = arg;

	must(uv_timer_init(loop_uv(r->home), &r->timer) == 0);
	repl_twin_start(r);
	r->timer.data = r;
	reread(r);
	repl_recover_start(r);
	repl_arm(r);
}

static void on_commit(void *arg)
{
	struct repl *r = arg;

	if (r->is_stopping || r->reread_ms != 0)
		return;
	__atomic_store_n(&r->server->links_follow, false, __ATOMIC_SEQ_CST);
	r->reread_ms = repl_now_ms(r) + REREAD_QUIET_MS;
	repl_arm(r);
}

void repl_wake(struct repl *r)
{
	if (loop_is_mine(r->home))
		on_commit(r);
	else if (loop_post(r->home, on_commit, r) != RC_OK)
		log_error(NULL, "repl.wake", "error=\"%s\"", rc_text(RC_NOMEM));
}

static void on_hurry(void *arg)
{
	struct repl *r = arg;
	struct repl_peer *p;

	if (r->is_stopping)
		return;
	for (p = r->peers; p != NULL; p = p->next) {
		if (atomic_exchange(&p->is_hurried, false))
			repl_link_hurry(&p->link, repl_now_ms(r));
	}
	repl_arm(r);
}

unsigned repl_sync_now(struct repl *r, struct span partner)
{
	struct repl_peer *p;
	unsigned n = 0;

	pthread_mutex_lock(&r->mutex);
	for (p = r->peers; p != NULL; p = p->next) {
		if (!p->partner.is_enabled ||
		    (partner.n != 0 && !span_eq_nocase(span_of(p->partner.name), partner)))
			continue;
		atomic_store(&p->is_hurried, true);
		n++;
	}
	pthread_mutex_unlock(&r->mutex);
	if (n != 0 && loop_post(r->home, on_hurry, r) != RC_OK)
		n = 0;
	return n;
}

static void check_stopped(struct repl *r)
{
	if (r->is_stopping && r->timer_is_closed && r->nconns == 0)
		uv_sem_post(&r->stopped);
}

void repl_conn_gone(struct repl *r)
{
	r->nconns--;
	check_stopped(r);
}

static void on_timer_closed(uv_handle_t *h)
{
	struct repl *r = h->data;

	r->timer_is_closed = true;
	check_stopped(r);
}

static void on_stop(void *arg)
{
	struct repl *r = arg;
	struct repl_peer *p;

	r->is_stopping = true;
	for (p = r->peers; p != NULL; p = p->next) {
		if (p->conn != NULL)
			repl_conn_drop(p);
	}
	uv_close((uv_handle_t *)&r->timer, on_timer_closed);
}

int repl_start(struct server *s, struct loop *home, struct repl **out)
{
	struct repl *r = mem_zalloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return RC_NOMEM;
	r->server = s;
	r->home = home;
	arena_init(&r->unconfirmed_arena);
	arena_init(&r->finding_arena);
	if (pthread_mutex_init(&r->mutex, NULL) != 0 || uv_sem_init(&r->stopped, 0) != 0) {
		mem_free(r);
		return RC_NOMEM;
	}
	rc = loop_post(home, on_start, r);
	if (rc != RC_OK) {
		uv_sem_destroy(&r->stopped);
		pthread_mutex_destroy(&r->mutex);
		mem_free(r);
		return rc;
	}
	*out = r;
	return RC_OK;
}

void repl_stop(struct repl **r)
{
	struct repl_peer *p, *next;

	if (*r == NULL)
		return;
	must(loop_post((*r)->home, on_stop, *r) == RC_OK);
	uv_sem_wait(&(*r)->stopped);
	for (p = (*r)->peers; p != NULL; p = next) {
		next = p->next;
		free_peer(p);
	}
	arena_fini(&(*r)->unconfirmed_arena);
	uv_sem_destroy(&(*r)->stopped);
	pthread_mutex_destroy(&(*r)->mutex);
	mem_free(*r);
	*r = NULL;
}
