#include "dird/repl_int.h"

#include "dird/heads.h"
#include "dird/store_digest.h"
#include "lib/clock.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

/* --- the home loop notes --- */

static void keep_vector(struct repl_figures *f, const struct vector *v)
{
	struct position *at = mem_realloc(f->partner_at, ((size_t)v->n + 1) * sizeof(*at));

	if (at == NULL)
		return; /* the older one is still true */
	if (v->n != 0)
		memcpy(at, v->at, v->n * sizeof(*at));
	f->partner_at = at;
	f->partner_n = v->n;
}

static int64_t next_attempt_us(const struct repl_peer *p)
{
	const struct clock *clock = p->repl->server->clock;
	uint64_t now = clock->mono_ms(clock);
	int64_t change;

	if (p->link.state == REPL_SCHEDULED) {
		change = repl_hours_change(p);
		return change != INT64_MAX ? change * 1000000 : 0;
	}
	if (p->link.state != REPL_WAITING)
		return 0;
	return clock->wall_us(clock) +
	       (p->link.next_ms > now ? (int64_t)(p->link.next_ms - now) * 1000 : 0);
}

void repl_note(struct repl_peer *p, uint64_t bytes, uint64_t entries, const struct vector *v)
{
	const struct clock *clock = p->repl->server->clock;
	struct repl_figures *f = &p->figures;

	pthread_mutex_lock(&p->repl->mutex);
	f->state = p->link.state;
	f->bytes_in += bytes;
	f->entries_in += entries;
	if (bytes != 0)
		f->last_contact_us = clock->wall_us(clock);
	if (v != NULL)
		keep_vector(f, v);
	if (f->state == REPL_PERSISTING) {
		f->last_error[0] = 0;
		f->level_us = clock->wall_us(clock);
	}
	f->next_attempt_us = next_attempt_us(p);
	pthread_mutex_unlock(&p->repl->mutex);
}

void repl_note_error(struct repl_peer *p, const char *text)
{
	pthread_mutex_lock(&p->repl->mutex);
	p->figures.state = p->link.state;
	p->figures.next_attempt_us = next_attempt_us(p);
	snprintf(p->figures.last_error, sizeof(p->figures.last_error), "%s", text);
	pthread_mutex_unlock(&p->repl->mutex);
}

/* --- other threads ask --- */

static const struct position *partner_position(const struct repl_figures *f, const struct uuid *nc)
{
	struct vector v = {f->partner_at, f->partner_n};

	return vector_find(&v, nc);
}

/* What a partner told in a session that has ended may be more than it still has. */
static bool is_live(const struct repl_figures *f)
{
	return f->state == REPL_REFRESHING || f->state == REPL_PERSISTING;
}

uint64_t repl_partner_usn(struct repl *r, const struct uuid *site, const struct position *of)
{
	const struct position *p;
	struct repl_peer *peer;
	uint64_t usn = 0;

	if (r == NULL)
		return 0;
	pthread_mutex_lock(&r->mutex);
	for (peer = r->peers; peer != NULL; peer = peer->next) {
		if (!uuid_eq(&peer->partner.site, site) || !is_live(&peer->figures))
			continue;
		p = partner_position(&peer->figures, &of->nc);
		if (p != NULL && position_same_life(p, of) && p->usn > usn)
			usn = p->usn;
	}
	pthread_mutex_unlock(&r->mutex);
	return usn;
}

static void put_text(char *out, size_t size, struct span s)
{
	size_t n = s.n < size - 1 ? s.n : size - 1;

	if (n != 0)
		memcpy(out, s.p, n);
	out[n] = 0;
}

static void put_position(char *out, size_t size, const struct position *p)
{
	snprintf(out, size, "%" PRIu32 ":%" PRIu64, p->epoch, p->usn);
}

/* Does the home's signature say what is here? */
static bool is_proven(struct store_txn *t, const struct store_nc *nc)
{
	struct span bytes;
	struct head head;

	return store_head(t, &nc->position.nc, &bytes) == RC_OK &&
	       head_read(bytes, &head) == RC_OK &&
	       position_same_life(&head.position, &nc->position) &&
	       head.position.usn == nc->position.usn;
}

static void put_proof(struct repl *r, struct store_txn *t, const struct store_nc *nc,
		      struct repl_status *out)
{
	struct heads_news news;

	out->head_age_s = -1;
	put_text(out->proof, sizeof(out->proof), SPAN_LIT("own"));
	if (nc->is_own || r->server->heads == NULL)
		return;
	heads_news(r->server->heads, &nc->position.nc, &news);
	out->head_age_s = (int64_t)(news.age_ms / 1000);
	if (news.is_known)
		snprintf(out->head, sizeof(out->head), "%" PRIu32 ":%" PRIu64, news.epoch,
			 news.usn);
	put_text(out->proof, sizeof(out->proof),
		 repl_is_stale(r, t, nc) ? SPAN_LIT("stale")
		 : is_proven(t, nc)      ? SPAN_LIT("proven")
					 : SPAN_LIT("unproven"));
}

/* Name of the context and of the site that writes it, from its head. */
static void put_context(struct store_txn *t, const struct store_nc *nc, struct repl_status *out)
{
	struct span value;
	struct entry e;
	struct buf dn;

	put_position(out->position, sizeof(out->position), &nc->position);
	out->floor = nc->floor;
	put_text(out->context_state, sizeof(out->context_state),
		 nc->is_recovering ? SPAN_LIT("recovering")
		 : nc->is_own      ? SPAN_LIT("own")
				   : SPAN_LIT("foreign"));
	if (nc->head == 0 || store_entry(t, nc->head, &e) != RC_OK)
		return;
	buf_init(&dn, SIZE_MAX);
	if (store_dn(t, nc->head, &dn) == RC_OK)
		put_text(out->nc_name, sizeof(out->nc_name), buf_span(&dn));
	buf_fini(&dn);
	if (entry_first(&e, uuid_is_zero(&e.head.parent_uuid) ? "masterSite" : "ou", &value))
		put_text(out->nc_master, sizeof(out->nc_master), value);
}

/* Silence up to a heartbeat is no lag: the partner would have spoken. */
static int64_t lag_seconds(const struct repl_peer *p)
{
	const struct clock *clock = p->repl->server->clock;
	int64_t us = clock->wall_us(clock) - p->figures.level_us;
	int64_t quiet_us = 2000 * (int64_t)p->link.heartbeat_ms;

	if (us < 0 || (p->figures.state == REPL_PERSISTING && us <= quiet_us))
		return 0;
	return us / 1000000;
}

static void put_link(const struct repl_peer *p, const struct uuid *nc, struct repl_status *out)
{
	const struct repl_figures *f = &p->figures;
	const struct position *at = partner_position(f, nc);
	static_assert(sizeof(out->last_contact) >= CLOCK_GENERALIZED_BYTES, "room for a time");

	put_text(out->partner_name, sizeof(out->partner_name), span_of(p->partner.name));
	put_text(out->partner_uri, sizeof(out->partner_uri), span_of(p->partner.uri));
	put_text(out->link_state, sizeof(out->link_state), span_of(repl_state_name(f->state)));
	put_text(out->last_error, sizeof(out->last_error), span_of(f->last_error));
	if (f->last_contact_us != 0)
		clock_generalized(f->last_contact_us, out->last_contact);
	if (f->next_attempt_us != 0)
		clock_generalized(f->next_attempt_us, out->next_attempt);
	out->lag_s = f->level_us != 0 ? lag_seconds(p) : -1;
	if (at != NULL)
		put_position(out->partner_position, sizeof(out->partner_position), at);
	put_text(out->refused, sizeof(out->refused), span_of(repl_refused_why(p, nc)));
	out->bytes_in = f->bytes_in;
	out->entries_in = f->entries_in;
}

struct list {
	struct repl_status *at;
	unsigned n, size;
	struct arena *a;
};

static struct repl_status *list_add(struct list *l)
{
	unsigned size = l->size != 0 ? 2 * l->size : 8;
	struct repl_status *at;

	if (l->n == l->size) {
		at = arena_zalloc(l->a, size, sizeof(*at));
		if (at == NULL)
			return NULL;
		if (l->n != 0)
			memcpy(at, l->at, l->n * sizeof(*at));
		l->at = at;
		l->size = size;
	}
	return &l->at[l->n++];
}

/* A context with each link, or by itself when there is no link. */
static int add_context(struct repl *r, struct store_txn *t, const struct store_nc *nc,
		       struct list *l)
{
	struct repl_status base = {.nc_name = ""}, *at;
	struct repl_peer *p = r->peers;

	put_context(t, nc, &base);
	put_proof(r, t, nc, &base);
	do {
		at = list_add(l);
		if (at == NULL)
			return RC_NOMEM;
		*at = base;
		if (p != NULL)
			put_link(p, &nc->position.nc, at);
		p = p != NULL ? p->next : NULL;
	} while (p != NULL);
	return RC_OK;
}

int repl_status(struct repl *r, struct arena *a, struct repl_status **out, unsigned *n_out)
{
	struct list l = {.a = a};
	uint32_t number = 0;
	struct store_nc nc;
	struct store_txn *t;
	int rc = store_read_begin(r->server->store, &t);

	if (rc != RC_OK)
		return rc;
	pthread_mutex_lock(&r->mutex);
	while ((rc = store_nc_next(t, &number, &nc)) == RC_OK) {
		if (uuid_eq(&nc.position.nc, &POSITION_LOCAL_NC))
			continue;
		rc = add_context(r, t, &nc, &l);
		if (rc != RC_OK)
			break;
	}
	pthread_mutex_unlock(&r->mutex);
	store_read_end(&t);
	*out = l.at;
	*n_out = l.n;
	return rc == RC_DONE ? RC_OK : rc;
}
