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

/* What repl_recover.c has found out is written. */
void recover_run(struct site *s)
{
	struct write_req *req = s->finding;
	unsigned i;

	if (req == NULL || !s->is_up || s->power_is_lost)
		return;
	s->finding = NULL;
	memset(req->counts, 0, sizeof(req->counts));
	req->rc = site_apply(s, req->changes, req->nchanges, req->arena, &req->result);
	for (i = 0; req->rc == RC_OK && i < req->nchanges; i++) {
		trace("site %u: %s", s->number,
		      req->changes[i].kind == CHANGE_RECOVERED ? "recovered" : "was put back");
		if (req->changes[i].kind == CHANGE_RECOVERED)
			history_recovered(s, &req->changes[i].position.nc);
	}
	if (req->rc == RC_OK)
		req->counts[UPDATE_APPLIED] = req->nchanges;
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
	for (p = r->peers; p != NULL; p = p->next)
		p->has_told = p->has_answered = false;
	repl_recover_start(r);
}
