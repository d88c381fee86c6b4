/*
 * Is our copy of what we write the latest there ever was? Partners know how far they had it: they
 * are asked at start before a client's change is acknowledged, and whoever is first heard of later
 * is looked at then. Runs on the home loop.
 */
#include "dird/repl_int.h"

#include "lib/log.h"

#define RECOVER_TRIES 8 /* about a minute and a half */

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
		if (nc.is_own && !uuid_eq(&nc.position.nc, &POSITION_LOCAL_NC))
			rc = fn(r, &nc, ctx);
	}
	store_read_end(&t);
	return rc == RC_DONE ? RC_OK : rc;
}

static const struct position *told(const struct repl_peer *p, const struct uuid *nc)
{
	struct vector v = {p->figures.partner_at, p->figures.partner_n};

	return vector_find(&v, nc);
}

/* --- writing what was found out --- */

static struct change *add_change(struct repl *r, enum change_kind kind, const struct position *p)
{
	struct change *c;

	if (r->nfindings == REPL_MAX_OWN)
		return NULL;
	c = &r->findings[r->nfindings++];
	*c = (struct change){.kind = kind, .position = *p};
	return c;
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
		p->has_answered = p->has_told = false;
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
	if (found)
		ask_again(r);
	else
		settle_when_asked(r);
}

static int add_own(struct repl *r, const struct store_nc *nc, void *ctx)
{
	struct change *c = add_change(r, CHANGE_ROLLED_BACK, &nc->position);

	(void)ctx;
	if (c != NULL)
		c->is_overruling = true;
	return c != NULL ? RC_OK : RC_TOOBIG;
}

void repl_recover_all(struct repl *r)
{
	if (!r->is_finding && each_own(r, add_own, NULL) == RC_OK && r->nfindings != 0)
		submit(r, on_rolled_back);
}

static int look_for_loss(struct repl *r, const struct store_nc *nc, void *ctx)
{
	struct repl_peer *p = ctx;
	const struct position *theirs = told(p, &nc->position.nc);
	struct log_ctx lc = {.site = p->partner.name};
	bool is_new = !p->has_told && !r->is_finding && !r->is_recovering;

	if (theirs == NULL || nc->is_recovering || !update_is_lost(nc, theirs))
		return RC_OK;
	log_error(&lc, "repl.rolled_back",
		  "epoch=%u usn=%llu partner_epoch=%u partner_usn=%llu reason=\"the partner has "
		  "changes of this site that are not here: the database was put back to an older "
		  "state\" action=\"%s\"",
		  nc->position.epoch, (unsigned long long)nc->position.usn, theirs->epoch,
		  (unsigned long long)theirs->usn,
		  is_new ? "they are taken back from the partners"
			 : "none while running; restart dird to take them back");
	if (is_new)
		(void)add_change(r, CHANGE_ROLLED_BACK, theirs);
	return RC_OK;
}

void repl_recover_told(struct repl_peer *p)
{
	struct repl *r = p->repl;

	if (r->is_stopping || each_own(r, look_for_loss, p) != RC_OK)
		return;
	if (r->nfindings != 0 && !r->is_finding) {
		submit(r, on_rolled_back);
		return;
	}
	p->has_told = true;
	if (!r->is_recovering)
		p->has_answered = true;
	settle_when_asked(r);
}

void repl_recover_answered(struct repl_peer *p)
{
	p->has_answered = true;
	settle_when_asked(p->repl);
}

/* What was lost is lost for ever when it is not taken back now: so a cut is no answer yet. */
void repl_recover_failed(struct repl_peer *p)
{
	if (p->repl->is_recovering && ++p->recover_tries < RECOVER_TRIES)
		return;
	repl_recover_answered(p);
}

/* --- all have been asked --- */

static int end_recovery(struct repl *r, const struct store_nc *nc, void *ctx)
{
	struct position upto = nc->before;
	const struct position *theirs;
	struct repl_peer *p;

	(void)ctx;
	if (!nc->is_recovering)
		return RC_OK;
	for (p = r->peers; p != NULL; p = p->next) {
		theirs = told(p, &nc->position.nc);
		if (theirs != NULL && position_same_life(theirs, &upto) && theirs->usn > upto.usn)
			upto.usn = theirs->usn;
	}
	log_warn(NULL, "repl.recovered", "from_usn=%llu upto_usn=%llu",
		 (unsigned long long)nc->before.usn, (unsigned long long)upto.usn);
	return add_change(r, CHANGE_RECOVERED, &upto) != NULL ? RC_OK : RC_TOOBIG;
}

static int note_position(struct repl *r, const struct store_nc *nc, void *ctx)
{
	(void)ctx;
	return vector_put(&r->unconfirmed, &r->unconfirmed_arena, &nc->position);
}

/* Clients may write; without a partner's word, in a new life. */
static void release(struct repl *r)
{
	bool has_partner = false, has_told = false;
	struct repl_peer *p;

	for (p = r->peers; p != NULL; p = p->next) {
		has_partner |= p->partner.is_enabled;
		has_told |= p->has_told;
	}
	r->is_settled = true;
	r->is_recovering = false;
	if (r->is_released)
		return;
	r->is_released = true;
	if (has_partner && !has_told && each_own(r, note_position, NULL) == RC_OK)
		writer_release(r->server->writer, &r->unconfirmed);
	else
		writer_release(r->server->writer, NULL);
}

static void on_recovered(struct write_req *req)
{
	struct repl *r = req->ctx;
	int rc = req->rc;

	written(r);
	if (rc != RC_OK)
		log_error(NULL, "repl.recovered", "error=\"%s\"", rc_text(rc));
	if (!r->is_stopping)
		release(r);
}

static void settle_when_asked(struct repl *r)
{
	struct repl_peer *p;

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

static int is_one_recovering(struct repl *r, const struct store_nc *nc, void *ctx)
{
	(void)ctx;
	r->is_recovering |= nc->is_recovering;
	return RC_OK;
}

void repl_recover_start(struct repl *r)
{
	int rc = each_own(r, is_one_recovering, NULL);

	if (rc != RC_OK)
		log_error(NULL, "repl.recover", "error=\"%s\"", rc_text(rc));
	r->is_read = true;
	r->settle_ms = repl_now_ms(r) + SETTLE_HEARTBEATS * r->server->config.heartbeat_ms;
	settle_when_asked(r);
}

/* While something is being taken back clients wait as long as partners give signs of life. */
uint64_t repl_recover_due(const struct repl *r)
{
	return r->is_read && !r->is_settled && !r->is_recovering && !r->is_finding ? r->settle_ms
										   : UINT64_MAX;
}

void repl_recover_tick(struct repl *r)
{
	struct repl_peer *p;

	if (repl_now_ms(r) < repl_recover_due(r))
		return;
	for (p = r->peers; p != NULL; p = p->next)
		p->has_answered = true;
	settle_when_asked(r);
}

void repl_recover_links_changed(struct repl *r)
{
	settle_when_asked(r);
}
