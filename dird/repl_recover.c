/*
 * Is our copy of what we write the latest there ever was? Partners know how far they had it: they
 * are asked at start before a client's change is acknowledged, and whoever is first heard of later
 * is looked at then. Runs on the home loop.
 */
#include "dird/repl_int.h"

#include "lib/log.h"

#define RECOVER_TRIES 8 /* about a minute and a half */
#define RETRIES 2       /* ... and once clients have been let in */
#define RETRY_MS (5 * 60 * 1000)

#define SETTLE_HEARTBEATS 3

static void settle_when_asked(struct repl *r);

/* --- own contexts --- */

typedef int own_fn(struct repl *r, const struct store_nc *nc, void *ctx);

/* fn for each context written here that leaves the site, in one snapshot. */
static int each_own(struct repl *r, own_fn *fn, void *ctx)
{
	uint32_t number = 0;
	struct store_nc nc;
	struct store_txn *t;
	int rc = store_read_begin(r->server->store, &t);

	if (rc != RC_OK)
		return rc;
	while (rc == RC_OK && (rc = store_nc_next(t, &number, &nc)) == RC_OK) {
		if (store_nc_is_home(&nc))
			rc = fn(r, &nc, ctx);
	}
	store_read_end(&t);
	return rc == RC_DONE ? RC_OK : rc;
}

/* Nothing: .n is 0. */
static struct vector told(const struct repl_peer *p, const struct uuid *nc)
{
	struct vector v = {p->figures.partner_at, p->figures.partner_n};

	return vector_lives(&v, nc);
}

/* --- writing what was found out --- */

static int add_change(struct repl *r, enum change_kind kind, const struct position *p,
		      const struct vector *past)
{
	struct position *copy = arena_zalloc(&r->finding_arena, (size_t)past->n + 1, sizeof(*copy));

	if (copy == NULL || r->nfindings == REPL_MAX_OWN)
		return copy == NULL ? RC_NOMEM : RC_TOOBIG;
	if (past->n != 0)
		memcpy(copy, past->at, past->n * sizeof(*copy));
	r->findings[r->nfindings++] =
		(struct change){.kind = kind, .position = *p, .past = copy, .npast = past->n};
	return RC_OK;
}

static void submit(struct repl *r, void (*done)(struct write_req *req))
{
	r->finding_req = (struct write_req){.changes = r->findings,
					    .nchanges = r->nfindings,
					    .arena = &r->finding_arena,
					    .home = r->home,
					    .is_internal = true,
					    .done = done,
					    .ctx = r};
	r->is_finding = true;
	r->nconns++; /* the end waits for the answer */
	writer_submit(r->server->writer, &r->finding_req);
}

static void written(struct repl *r)
{
	arena_fini(&r->finding_arena);
	r->is_finding = false;
	r->nfindings = 0;
	repl_conn_gone(r);
}

/* --- a partner knows more --- */

/* Everything is asked for again, from where our copy and the partners' were the same. */
static void ask_again(struct repl *r)
{
	struct repl_peer *p;

	r->is_recovering = true;
	r->is_settled = false;
	for (p = r->peers; p != NULL; p = p->next) {
		p->has_answered = p->has_told = p->has_given = p->is_unlooked = false;
		p->recover_tries = 0;
		if (p->conn != NULL)
			repl_conn_drop(p);
		repl_link_enable(&p->link, false, 0);
		repl_link_enable(&p->link, p->partner.is_enabled, repl_now_ms(r));
	}
	repl_arm(r);
}

static void on_rolled_back(struct write_req *req)
{
	struct repl *r = req->ctx;
	int rc = req->rc;
	bool found = rc == RC_OK && req->counts[UPDATE_APPLIED] != 0;

	written(r);
	if (rc != RC_OK)
		log_error(NULL, "repl.rolled_back", "error=\"%s\"", rc_text(rc));
	if (r->is_stopping)
		return;
	if (found) {
		ask_again(r);
		return;
	}
	settle_when_asked(r);
}

static int add_own(struct repl *r, const struct store_nc *nc, void *ctx)
{
	static const struct vector none;
	int rc = add_change(r, CHANGE_ROLLED_BACK, &nc->position, &none);

	(void)ctx;
	if (rc == RC_OK)
		r->findings[r->nfindings - 1].is_overruling = true;
	return rc;
}

void repl_recover_all(struct repl *r)
{
	if (!r->is_finding && each_own(r, add_own, NULL) == RC_OK && r->nfindings != 0)
		submit(r, on_rolled_back);
}

static void log_loss(const struct repl_peer *p, const struct store_nc *nc,
		     const struct position *theirs, const char *action)
{
	struct log_ctx lc = {.site = p->partner.name};

	log_error(&lc, "repl.rolled_back",
		  "epoch=%u usn=%llu partner_epoch=%u partner_usn=%llu reason=\"the partner has "
		  "changes of this site that are not here: the database was put back to an older "
		  "state\" action=\"%s\"",
		  nc->position.epoch, (unsigned long long)nc->position.usn, theirs->epoch,
		  (unsigned long long)theirs->usn, action);
}

/* How much of what is here the partner knows: what is behind was written since. */
static uint64_t shared_with(const struct repl_peer *p, const struct store_nc *nc)
{
	struct position room[1 + POSITION_PAST_MAX];
	struct vector ours = store_nc_lives(nc, room), lives = told(p, &nc->position.nc);

	return lives_shared(&ours, &lives);
}

static bool has_more(const struct repl_peer *p, const struct store_nc *nc)
{
	struct vector lives = told(p, &nc->position.nc);

	return p->is_unlooked && lives.n != 0 && update_is_lost(nc, lives.at) &&
	       !update_awaits(nc, &lives);
}

/* Whoever knows most of what is here comes first: behind that, stamps of ours become new ones. */
static int look_for_loss(struct repl *r, const struct store_nc *nc, void *ctx)
{
	struct repl_peer *p, *best = NULL;
	struct vector lives;

	(void)ctx;
	for (p = r->peers; p != NULL; p = p->next) {
		if (!has_more(p, nc))
			continue;
		lives = told(p, &nc->position.nc);
		if (repl_now_ms(r) < p->recover_ms)
			log_loss(p, nc, lives.at, "another attempt in some minutes");
		else if (best == NULL || shared_with(p, nc) > shared_with(best, nc))
			best = p;
	}
	if (best == NULL)
		return RC_OK;
	lives = told(best, &nc->position.nc);
	log_loss(best, nc, lives.at, "they are taken back from the partners");
	return add_change(r, CHANGE_ROLLED_BACK, lives.at,
			  &(struct vector){lives.at + 1, lives.n - 1});
}

/* While clients wait anyway, nobody is looked at before all have told, or can not. */
static bool is_time_to_look(const struct repl *r)
{
	const struct repl_peer *p;
	bool is_any = false, have_all = true;

	for (p = r->peers; p != NULL; p = p->next) {
		is_any |= p->is_unlooked;
		have_all &=
			!p->partner.is_enabled || p->is_unlooked || p->has_told || p->has_answered;
	}
	return is_any && !r->is_finding && (have_all || r->is_settled || r->is_recovering);
}

static void look_at_unlooked(struct repl *r)
{
	struct repl_peer *p;

	if (!is_time_to_look(r) || each_own(r, look_for_loss, NULL) != RC_OK)
		return;
	for (p = r->peers; p != NULL; p = p->next) {
		if (p->is_unlooked && r->nfindings == 0) {
			p->has_told = true;
			p->has_answered |= !r->is_recovering;
		}
		p->is_unlooked = false;
	}
	if (r->nfindings != 0)
		submit(r, on_rolled_back);
}

void repl_recover_told(struct repl_peer *p)
{
	if (p->repl->is_stopping)
		return;
	p->is_unlooked = true;
	settle_when_asked(p->repl);
}

void repl_recover_answered(struct repl_peer *p)
{
	p->has_given = true;
	p->is_heard = true;
	p->has_answered = true;
	settle_when_asked(p->repl);
}

static int look_for_any_loss(struct repl *r, const struct store_nc *nc, void *ctx)
{
	bool *is_any = ctx;
	struct repl_peer *p;
	struct vector lives;

	*is_any |= nc->is_recovering;
	for (p = r->peers; p != NULL; p = p->next) {
		lives = told(p, &nc->position.nc);
		*is_any |= p->partner.is_enabled && lives.n != 0 && update_is_lost(nc, lives.at);
	}
	return RC_OK;
}

bool repl_is_confirmed(struct repl *r)
{
	bool is_any_lost = !r->is_read;
	struct repl_peer *p;

	for (p = r->peers; p != NULL; p = p->next)
		is_any_lost |= p->partner.is_enabled && !p->is_heard;
	return !is_any_lost && each_own(r, look_for_any_loss, &is_any_lost) == RC_OK &&
	       !is_any_lost;
}

/* What was lost is lost for ever when it is not taken back now: so a cut is no answer yet. */
void repl_recover_failed(struct repl_peer *p)
{
	struct repl *r = p->repl;

	p->has_told = false;
	if (r->is_recovering && ++p->recover_tries < (r->is_released ? RETRIES : RECOVER_TRIES))
		return;
	if (r->is_recovering)
		p->recover_ms = repl_now_ms(r) + RETRY_MS;
	p->has_answered = true;
	settle_when_asked(r);
}

/* --- all have been asked --- */

/* The lives of a context that partners told of who have given all they have. */
static unsigned collect_lives(struct repl *r, const struct uuid *nc, struct position *out)
{
	struct repl_peer *p;
	struct vector lives;
	unsigned n = 0;

	for (p = r->peers; p != NULL; p = p->next) {
		lives = told(p, nc);
		if (!p->has_given || lives.n == 0)
			continue;
		if (out != NULL)
			memcpy(out + n, lives.at, lives.n * sizeof(*out));
		n += lives.n;
	}
	return n;
}

static int end_recovery(struct repl *r, const struct store_nc *nc, void *ctx)
{
	struct position upto = nc->position;
	struct vector all;
	unsigned i;

	(void)ctx;
	if (!nc->is_recovering)
		return RC_OK;
	all.n = collect_lives(r, &nc->position.nc, NULL);
	all.at = arena_zalloc(&r->finding_arena, (size_t)all.n + 1, sizeof(*all.at));
	if (all.at == NULL)
		return RC_NOMEM;
	collect_lives(r, &nc->position.nc, all.at);
	for (i = 0; i < all.n; i++) {
		if (all.at[i].usn != UINT64_MAX && all.at[i].usn > upto.usn)
			upto.usn = all.at[i].usn;
	}
	log_warn(NULL, "repl.recovered", "from_usn=%llu upto_usn=%llu",
		 (unsigned long long)nc->common, (unsigned long long)upto.usn);
	return add_change(r, CHANGE_RECOVERED, &upto, &all);
}

static int note_position(struct repl *r, const struct store_nc *nc, void *ctx)
{
	(void)ctx;
	return vector_put(&r->unconfirmed, &r->unconfirmed_arena, &nc->position);
}

/* Clients may write; unless each partner has confirmed our position, in a new life. */
static void release(struct repl *r)
{
	bool all_told = true;
	struct repl_peer *p;

	/* what partners have not written yet of what we told them before a crash is no word, either
	 */
	for (p = r->peers; p != NULL; p = p->next)
		all_told &= !p->partner.is_enabled || (p->has_told && r->server->was_stopped);
	r->is_settled = true;
	r->is_recovering = false;
	if (r->is_released)
		return;
	r->is_released = true;
	if (!all_told && each_own(r, note_position, NULL) == RC_OK)
		writer_release(r->server->writer, &r->unconfirmed);
	else
		writer_release(r->server->writer, NULL);
}

static int is_one_recovering(struct repl *r, const struct store_nc *nc, void *ctx)
{
	(void)r;
	*(bool *)ctx |= nc->is_recovering;
	return RC_OK;
}

static bool is_any_recovering(struct repl *r)
{
	bool is = false;
	int rc = each_own(r, is_one_recovering, &is);

	if (rc != RC_OK)
		log_error(NULL, "repl.recover", "error=\"%s\"", rc_text(rc));
	return is;
}

static void log_moved(const struct repl *r)
{
	unsigned i, n = 0;

	for (i = 0; i < r->nfindings; i++)
		n += r->findings[i].moved;
	if (n != 0)
		log_warn(NULL, "repl.moved",
			 "entries=%u reason=\"they came back, and their names were taken or their "
			 "parents gone: they have +entryUUID in their names, or are below the head "
			 "of the context\"",
			 n);
}

/* Step by step: each is one transaction. */
static void on_recovered(struct write_req *req)
{
	struct repl *r = req->ctx;
	int rc = req->rc;

	log_moved(r);
	if (rc == RC_OK && !r->is_stopping && is_any_recovering(r)) {
		repl_conn_gone(r);
		submit(r, on_recovered);
		return;
	}
	written(r);
	if (rc != RC_OK)
		log_error(NULL, "repl.recovered", "error=\"%s\"", rc_text(rc));
	if (r->is_stopping)
		return;
	release(r);
	look_at_unlooked(r);
}

static void settle_when_asked(struct repl *r)
{
	struct repl_peer *p;

	look_at_unlooked(r);
	if (r->is_settled || r->is_finding || r->is_stopping || !r->is_read)
		return;
	for (p = r->peers; p != NULL; p = p->next) {
		if (p->partner.is_enabled && !p->has_answered)
			return;
	}
	r->nfindings = 0;
	if (each_own(r, end_recovery, NULL) == RC_OK && r->nfindings != 0)
		submit(r, on_recovered);
	else
		release(r);
}

void repl_recover_start(struct repl *r)
{
	r->is_recovering = is_any_recovering(r);
	r->is_read = true;
	r->settle_ms = repl_now_ms(r) + SETTLE_HEARTBEATS * r->server->config.heartbeat_ms;
	settle_when_asked(r);
}

/* While something is being taken back clients wait as long as partners give signs of life. */
static bool is_waiting(const struct repl *r)
{
	return r->is_read && !r->is_settled && !r->is_recovering && !r->is_finding;
}

uint64_t repl_recover_due(const struct repl *r)
{
	uint64_t due = is_waiting(r) ? r->settle_ms : UINT64_MAX;
	const struct repl_peer *p;

	for (p = r->peers; p != NULL; p = p->next) {
		if (p->recover_ms != 0 && p->recover_ms < due)
			due = p->recover_ms;
	}
	return due;
}

void repl_recover_tick(struct repl *r)
{
	uint64_t now = repl_now_ms(r);
	bool is_late = is_waiting(r) && now >= r->settle_ms;
	struct repl_peer *p;

	if (now < repl_recover_due(r))
		return;
	for (p = r->peers; p != NULL; p = p->next) {
		p->has_answered |= is_late;
		if (p->recover_ms == 0 || now < p->recover_ms)
			continue;
		p->recover_ms = 0;
		if (p->has_told)
			repl_recover_told(p);
	}
	settle_when_asked(r);
}

void repl_recover_links_changed(struct repl *r)
{
	settle_when_asked(r);
}
