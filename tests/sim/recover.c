/*
 * Sites whose database was put back to an older state: dird/repl_recover.c itself, with what it
 * needs of the daemon. Clients' changes wait until it releases them, as dird/write.c has it.
 */
#include "tests/sim/sim.h"

#include "dird/write.h"

static struct site *site_of(const struct repl *r)
{
	unsigned i;

	for (i = 0; &w.sites[i].repl != r; i++)
		;
	return &w.sites[i];
}

uint64_t repl_now_ms(const struct repl *r)
{
	(void)r;
	return w.now_ms;
}

void repl_arm(struct repl *r)
{
	(void)r; /* links are looked at in each step */
}

void repl_conn_gone(struct repl *r)
{
	r->nconns--;
}

void repl_conn_drop(struct repl_peer *p)
{
	net_drop(p);
}

void writer_submit(struct writer *writer, struct write_req *req)
{
	struct repl *r = req->ctx;

	(void)writer;
	site_of(r)->finding = req;
}

void writer_release(struct writer *writer, const struct vector *unconfirmed)
{
	struct site *s = (struct site *)writer;

	s->ctx.unconfirmed = unconfirmed;
	s->is_released = true;
	trace("site %u: clients may write%s", s->number,
	      unconfirmed != NULL ? ", nobody could be asked" : "");
}

static bool is_recovering(struct site *s, const struct uuid *nc)
{
	struct store_txn *t;
	struct store_nc now;

	need(store_read_begin(s->store, &t) == RC_OK);
	need(store_nc_find(t, nc, &now) == RC_OK);
	store_read_end(&t);
	return now.is_recovering;
}

/* Has it changed anything? */
static bool look_at_finding(struct site *s, const struct change *c)
{
	bool recovering = is_recovering(s, &c->position.nc);

	trace("site %u: %s", s->number,
	      c->kind == CHANGE_ROLLED_BACK ? "was put back"
	      : recovering                  ? "recovers"
					    : "recovered");
	if (c->kind == CHANGE_ROLLED_BACK && recovering)
		history_adrift(&c->position.nc);
	if (c->kind == CHANGE_RECOVERED && !recovering)
		history_recovered(s, &c->position.nc);
	return recovering || c->kind == CHANGE_RECOVERED;
}

/* What repl_recover.c has found out is written. */
void recover_run(struct site *s)
{
	struct write_req *req;
	unsigned i;

	if (!s->is_up || s->power_is_lost)
		return;
	repl_recover_tick(&s->repl);
	req = s->finding;
	if (req == NULL)
		return;
	s->finding = NULL;
	memset(req->counts, 0, sizeof(req->counts));
	req->rc = site_apply(s, req->changes, req->nchanges, req->arena, &req->result);
	for (i = 0; req->rc == RC_OK && i < req->nchanges; i++)
		req->counts[UPDATE_APPLIED] += look_at_finding(s, &req->changes[i]);
	net_committed(s);
	req->done(req);
}

void recover_start(struct site *s)
{
	struct repl *r = &s->repl;
	struct repl_peer *p;

	s->is_released = false;
	s->finding = NULL;
	s->ctx.unconfirmed = NULL;
	s->server.writer = (struct writer *)s;
	arena_fini(&r->unconfirmed_arena);
	arena_fini(&r->finding_arena);
	arena_init(&r->unconfirmed_arena);
	arena_init(&r->finding_arena);
	r->unconfirmed = (struct vector){NULL, 0};
	r->is_read = r->is_settled = r->is_recovering = r->is_released = r->is_finding = false;
	r->nfindings = 0;
	for (p = r->peers; p != NULL; p = p->next) {
		p->has_told = p->has_answered = p->has_given = p->is_unlooked = false;
		p->is_heard = false;
		p->recover_ms = 0;
	}
	repl_recover_start(r);
}
