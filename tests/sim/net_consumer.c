/* The consumer's side of the simulated network: what repl_conn.c and repl_write.c do around
 * dird/repl_batch.h and dird/repl_held.h. */
#include "tests/sim/conn.h"

#include <stdlib.h>

static bool is_dropping; /* of our own accord: not the partner's answer */

void net_drop_frames(struct conn *c)
{
	struct frame *f;

	while ((f = c->first) != NULL) {
		c->first = f->next;
		mem_free(f);
	}
	c->last = NULL;
	c->flight = 0;
}

/* The link may try again; the provider hears of it sooner or later. */
static void detach(struct conn *c, const char *why)
{
	struct link *l = c->link;

	trace("link %u<-%u: %s", l->to->number, l->from->number, why);
	c->link = NULL;
	l->conn = NULL;
	l->peer.conn = NULL;
	c->provider_end_ms =
		net_reach(c->from, c->to) && !chance(4) ? net_later(50) : net_later(NET_LINGER_MS);
	repl_link_lost(&l->peer.link, w.now_ms, draw(UINT32_MAX));
	repl_note(&l->peer, 0, 0, NULL);
	if (!is_dropping && l->to->is_up)
		repl_recover_failed(&l->peer);
}

void net_end(struct link *l, const char *why)
{
	if (l->conn != NULL)
		net_lost(l->conn, why);
}

void net_drop(struct repl_peer *p)
{
	unsigned i;

	is_dropping = true;
	for (i = 0; i < w.nlinks; i++) {
		struct conn *c = w.links[i].conn;

		if (&w.links[i].peer != p || c == NULL)
			continue;
		repl_held_fini(&c->held);
		detach(c, "dropped");
	}
	is_dropping = false;
}

static void flush(struct conn *c)
{
	if (c->is_writing)
		return;
	c->written = repl_held_next(&c->held);
	if (c->written == NULL)
		return;
	c->is_writing = true;
	/* what the link's former session brought may come behind what the next one brings */
	if (w.is_plain && chance(50))
		c->write_ms = net_later(5000);
	else
		c->write_ms = net_later(chance(8) ? 400 : 10);
}

void net_fail(struct conn *c, const char *why)
{
	repl_batch_fini(&c->batch);
	repl_held_fini(&c->held);
	if (c->link != NULL)
		detach(c, why);
}

static void check_refreshed(struct conn *c)
{
	if (c->link == NULL || !c->session.is_refreshed || c->told_refreshed || c->is_writing ||
	    c->held.ready != NULL)
		return;
	c->told_refreshed = true;
	repl_link_refreshed(&c->link->peer.link);
	repl_note(&c->link->peer, 0, 0, NULL);
	repl_recover_answered(&c->link->peer);
}

static int uuid_order(const void *a, const void *b)
{
	return memcmp(a, b, UUID_BYTES);
}

/* The end of a present phase that was cut, taken for a real one. */
static void plant_present_cut(struct conn *c)
{
	struct repl_session *s = &c->session;
	struct store_nc nc;
	struct store_txn *t;
	struct change *more;
	unsigned i;

	if (!c->from->is_up || !c->has_session || s->is_refreshed || s->nnamed == 0)
		return;
	need(store_read_begin(c->from->store, &t) == RC_OK);
	for (i = 0; i < w.ncontexts; i++) {
		if (w.contexts[i].home == c->to ||
		    store_nc_find(t, &w.contexts[i].id, &nc) != RC_OK)
			continue;
		more = mem_realloc(c->batch.changes, (c->batch.n + 2) * sizeof(*more));
		need(more != NULL);
		c->batch.changes = more;
		c->batch.size = c->batch.n + 2;
		more += c->batch.n;
		memset(more, 0, 2 * sizeof(*more));
		more[0].kind = CHANGE_KEEP_ONLY;
		more[0].position = nc.position;
		more[0].keep = arena_zalloc(&c->batch.arena, s->nnamed, UUID_BYTES);
		memcpy(more[0].keep, s->named, s->nnamed * UUID_BYTES);
		qsort(more[0].keep, s->nnamed, UUID_BYTES, uuid_order);
		more[0].nkeep = s->nnamed;
		more[1].kind = CHANGE_POSITION;
		more[1].position = nc.position;
		c->batch.n += 2;
	}
	store_read_end(&t);
}

/* The head that has come is believed of the position that comes behind it, too. */
static void plant_head(struct conn *c)
{
	struct head head;
	unsigned i;

	if (plant != PLANT_HEAD_OF_ANOTHER_LIFE || c->head.n == 0)
		return;
	for (i = 0; i < c->batch.n; i++) {
		need(head_read(buf_span(&c->head), &head) == RC_OK);
		if (proof_plant_life(&head, &c->batch.changes[i]))
			need(repl_held_head(&c->held, buf_span(&c->head), &head) == RC_OK);
	}
}

/* What the session made of a message. */
static void take(struct conn *c)
{
	int rc;

	plant_head(c);
	rc = repl_held_take(&c->held, &c->batch, c->session.own, c->session.nown);
	if (rc == RC_INVALID)
		net_fail(c, "a change beyond its head");
	else
		need(rc == RC_OK);
}

void net_lost(struct conn *c, const char *why)
{
	detach(c, why);
	if (plant == PLANT_PRESENT_CUT) {
		plant_present_cut(c);
		take(c);
	}
	need(repl_held_release(&c->held, false) == RC_OK);
	flush(c);
}

static void read_vector(struct conn *c, struct arena *a, struct vector *v, struct uuid *own,
			unsigned *nown)
{
	struct position room[1 + POSITION_PAST_MAX];
	uint32_t number = 0;
	struct vector lives;
	struct store_nc nc;
	struct store_txn *t;

	need(store_read_begin(c->to->store, &t) == RC_OK);
	while (store_nc_next(t, &number, &nc) == RC_OK) {
		if (uuid_eq(&nc.position.nc, &POSITION_LOCAL_NC))
			continue;
		lives = store_nc_lives(&nc, room);
		if (!nc.is_own)
			lives.n = 1;
		need(vector_put_lives(v, a, &lives) == RC_OK);
		if (nc.is_own)
			own[(*nown)++] = nc.position.nc;
	}
	store_read_end(&t);
}

/* What was still under way of the link's former sessions is read as if it were of this one. */
static void plant_old_session(struct conn *c)
{
	struct conn *old;

	for (old = w.conns; old != NULL && old != c; old = old->next) {
		if (old->link != NULL || old->from != c->from || old->to != c->to ||
		    old->first == NULL)
			continue;
		old->last->next = c->first;
		if (c->first == NULL)
			c->last = old->last;
		c->first = old->first;
		c->flight += old->flight;
		old->first = old->last = NULL;
		old->flight = 0;
	}
}

void net_begin_session(struct conn *c)
{
	struct repl_figures *f = &c->link->peer.figures;
	struct uuid own[SIM_CONTEXTS];
	struct vector v = {NULL, 0};
	unsigned nown = 0, i;
	struct arena a;

	arena_init(&a);
	read_vector(c, &a, &v, own, &nown);
	need(repl_session_init(&c->session, own, nown) == RC_OK);
	for (i = 0; plant == PLANT_MEMORY_COOKIE && i < f->partner_n; i++)
		need(vector_put(&v, &a, &f->partner_at[i]) == RC_OK);
	c->has_session = true;
	c->held.home = w.contexts[c->from->number].id;
	c->held.root = w.contexts[w.nsites].id;
	c->held.root_is_homes = c->from->number == 0;
	c->held.needs_heads = proof_is_on();
	proof_note(c->to, &c->held);
	cookie_write(0, &v, &c->cookie);
	arena_fini(&a);
	c->stage = STAGE_ASKING;
	c->stage_ms = net_later(50);
	repl_link_bound(&c->link->peer.link);
	repl_note(&c->link->peer, 0, 0, NULL);
	if (plant == PLANT_OLD_SESSION_READ)
		plant_old_session(c);
}

static void on_message(struct conn *c, struct span bytes)
{
	const char *why = NULL;
	struct msg m;

	need(repl_batch_read(&c->batch, bytes, &m, &why) == RC_OK);
	w.messages += m.op == MSG_SEARCH_ENTRY;
	if (m.op == MSG_INTERMEDIATE && span_eq(m.u.intermediate.oid, SPAN_LIT(HEAD_OID))) {
		buf_clear(&c->head);
		buf_put(&c->head, m.u.intermediate.value);
		if (proof_head(&c->link->peer, &c->held, &c->session, m.u.intermediate.value) !=
		    RC_OK)
			net_fail(c, "a bad head");
		repl_batch_fini(&c->batch);
		return;
	}
	if (repl_session_feed(&c->session, &m, &c->batch, &why) != RC_OK) {
		if (plant == PLANT_NONE && !w.has_lies)
			sim_fail("site %u reads from %u: %s", c->to->number, c->from->number, why);
		net_fail(c, why);
	} else if (c->session.is_ended) {
		net_fail(c, "ended by the partner");
	} else {
		take(c);
	}
}

static void note_partner(struct conn *c)
{
	struct vector v = c->session.partner;
	struct store_nc nc;
	struct store_txn *t;
	struct arena a;
	unsigned i;

	if (plant != PLANT_ECHO_TOO_MUCH) {
		repl_note(&c->link->peer, 1, 0, &v);
		return;
	}
	arena_init(&a);
	need(store_read_begin(c->to->store, &t) == RC_OK);
	for (i = 0; i < w.ncontexts; i++) {
		if (store_nc_find(t, &w.contexts[i].id, &nc) == RC_OK)
			need(vector_put(&v, &a, &nc.position) == RC_OK);
	}
	store_read_end(&t);
	repl_note(&c->link->peer, 1, 0, &v);
	arena_fini(&a);
}

void net_read_frames(struct conn *c)
{
	unsigned cookies = c->session.cookies;
	struct frame *f;

	while (c->link != NULL && !c->is_paused && !c->is_dead && net_reach(c->from, c->to) &&
	       (f = c->first) != NULL && f->due_ms <= w.now_ms) {
		c->first = f->next;
		if (c->first == NULL)
			c->last = NULL;
		c->flight -= f->n;
		repl_link_heard(&c->link->peer.link, w.now_ms);
		if (f->n == 0)
			net_lost(c, "closed by the partner");
		else
			on_message(c, span_make(f->bytes, f->n));
		mem_free(f);
	}
	if (c->link == NULL)
		return;
	if (c->session.cookies != cookies) {
		note_partner(c);
		if (plant != PLANT_RESTORE_UNNOTICED)
			repl_recover_told(&c->link->peer);
	}
	need(repl_held_release(&c->held, true) == RC_OK);
	flush(c);
	check_refreshed(c);
	c->is_paused = repl_held_is_full(&c->held);
}

/* --- to the writer --- */

static void check_touched(struct site *s, const struct repl_batch *b)
{
	unsigned i, j;

	history_positions(s);
	remove_check(s);
	for (i = 0; i < w.ncontexts; i++) {
		for (j = 0; j < b->n; j++) {
			const struct change *x = &b->changes[j];

			if (x->kind == CHANGE_KEEP_ONLY)
				w.presents++;
			if (uuid_eq(x->kind == CHANGE_PUT || x->kind == CHANGE_REMOVE
					    ? &x->stamp.nc
					    : &x->position.nc,
				    &w.contexts[i].id))
				break;
		}
		if (j < b->n)
			history_check(s, &w.contexts[i]);
	}
}

/* Positions in a transaction of their own, before the data; then the machine stops. */
static bool position_first(struct conn *c)
{
	struct result why;
	unsigned i;

	if (!chance(10))
		return false;
	for (i = 0; i < c->written->batch.n; i++) {
		if (c->written->batch.changes[i].kind == CHANGE_POSITION)
			need(site_apply(c->to, &c->written->batch.changes[i], 1,
					&c->written->batch.arena, &why) != RC_REFUSED);
	}
	return true;
}

static void tell_proven(const struct site *to, const struct uuid *nc)
{
	struct conn *c;

	for (c = w.conns; c != NULL; c = c->next) {
		if (c->to == to && c->has_session)
			need(repl_held_note_proven(&c->held, nc) == RC_OK);
	}
}

/* The changes with the head that they lead to. */
static int apply_written(struct conn *c, struct result *why)
{
	struct repl_ready *r = c->written;
	struct verify v = {.bytes = buf_span(&r->head), .is_homes = r->is_homes};
	int rc;

	c->to->verify = r->head.n != 0 ? &v : NULL;
	if (r->head.n != 0)
		need(head_read(v.bytes, &v.head) == RC_OK);
	if (r->batch.n != 0)
		proof_plant_life(&v.head, &r->batch.changes[r->batch.n - 1]);
	rc = site_apply(c->to, r->batch.changes, r->batch.n, &r->batch.arena, why);
	c->to->verify = NULL;
	if (rc == RC_OK && r->head.n != 0 && v.is_proven)
		tell_proven(c->to, &r->nc);
	else if (rc == RC_OK && r->head.n != 0 && !c->to->is_held && r->is_homes)
		need(repl_held_note_unproven(&c->held, &v.head.position) == RC_OK);
	if (rc == RC_REFUSED && v.home_is_unknown && !r->is_last) {
		r->is_last = true;
		repl_held_defer(&c->held, r);
		c->written = NULL;
	}
	return rc;
}

static const char *base_of(const struct uuid *nc)
{
	unsigned i;

	for (i = 0; i < w.ncontexts; i++) {
		if (uuid_eq(&w.contexts[i].id, nc))
			return w.contexts[i].base;
	}
	return "an unknown context";
}

/* A site that joins may take an older root entry, one that does not tell of a removal yet, in
 * between, and so only a part of that context. */
static bool is_removed(const struct uuid *nc)
{
	return w.is_removed && uuid_eq(nc, &w.contexts[w.leaver->number].id);
}

/* Only who lies, or has less than is here, also of a later life, is refused. */
static void refused(struct conn *c, const char *why)
{
	w.refusals++;
	if (plant == PLANT_NONE && !w.has_lies && !c->to->is_held && !is_removed(&c->written->nc) &&
	    strstr(why, "more of it is here") == NULL && strstr(why, "not known yet") == NULL)
		sim_fail("site %u refuses what came of %s from %u: %s", c->to->number,
			 base_of(&c->written->nc), c->from->number, why);
	if (c->link != NULL)
		repl_link_distrust(&c->link->peer.link);
	net_fail(c, why);
}

static void write_batch(struct conn *c)
{
	struct result why = {.code = LR_SUCCESS};
	struct site *s = c->to;
	int rc;

	if (plant == PLANT_POSITION_FIRST && position_first(c))
		rc = RC_IO;
	else
		rc = apply_written(c, &why);
	if (rc == RC_REFUSED && c->written == NULL) {
		c->is_writing = false;
		return;
	}
	if (rc == RC_REFUSED && c->written->head.n == 0)
		sim_fail("site %u refuses what came from %u: %s", s->number, c->from->number,
			 why.text);
	if (rc == RC_OK) {
		trace("site %u: %u changes from %u", s->number, c->written->batch.n,
		      c->from->number);
		net_committed(s);
		check_touched(s, &c->written->batch);
		if (w.only_moves)
			history_check_view(s);
		if (s->is_held)
			net_fail(c, "held");
	} else if (rc == RC_REFUSED && s->is_held) {
		net_fail(c, "held");
	} else if (rc == RC_REFUSED) {
		refused(c, why.text);
	} else if (plant != PLANT_FAILED_BATCH_SKIPPED) {
		net_fail(c, "a write failed");
	}
	c->is_writing = false;
	repl_ready_free(&c->written);
}

void net_run_writer(struct conn *c)
{
	if (!c->is_writing || c->write_ms > w.now_ms)
		return;
	write_batch(c);
	flush(c);
	check_refreshed(c);
	if (c->is_paused && c->link != NULL && !repl_held_is_full(&c->held)) {
		c->is_paused = false;
		repl_link_heard(&c->link->peer.link, w.now_ms);
	}
}

/* A crash while a write was under way: it is there, or it is not. */
void net_consumer_down(struct conn *c)
{
	struct result why;

	if (c->is_writing && chance(2)) {
		if (apply_written(c, &why) == RC_OK)
			check_touched(c->to, &c->written->batch);
	}
	c->is_writing = false;
	if (c->written != NULL)
		repl_ready_free(&c->written);
	repl_held_fini(&c->held);
	is_dropping = true;
	if (c->link != NULL)
		detach(c, "crashed");
	is_dropping = false;
}
