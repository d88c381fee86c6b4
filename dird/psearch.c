#include "dird/psearch.h"

#include "dird/loop.h"
#include "dird/psearch_int.h"

#define SLICE_ROWS 256

static _Thread_local struct psearch *first;
static unsigned count; /* of all threads */

/* --- the controls --- */

int psearch_read(struct span value, struct op_psearch *out)
{
	struct span body;
	int64_t types;

	if (tlv_expect(&value, TLV_SEQUENCE, &body) != 0 || value.n != 0 ||
	    tlv_read_int(&body, TLV_INTEGER, &types) != 0 ||
	    tlv_read_bool(&body, TLV_BOOLEAN, &out->changes_only) != 0 ||
	    tlv_read_bool(&body, TLV_BOOLEAN, &out->with_notes) != 0 || body.n != 0 || types < 1 ||
	    types > PSEARCH_ALL)
		return RC_INVALID;
	out->types = (unsigned)types;
	return RC_OK;
}

void psearch_note(enum psearch_change type, struct span was, struct buf *out)
{
	size_t mark = tlv_open(out, TLV_SEQUENCE);

	tlv_put_int(out, TLV_ENUM, type);
	if (was.n != 0)
		tlv_put(out, TLV_OCTETS, was);
	tlv_close(out, mark);
}

/* --- life --- */

bool psearch_admit(struct op *op, struct search *s)
{
	struct psearch *p;

	if (op->identity.kind == IDENTITY_ANONYMOUS) {
		op_finish_result(op, LR_INSUFFICIENT_ACCESS,
				 "a persistent search is for those who have bound");
		return false;
	}
	p = mem_zalloc(1, sizeof(*p));
	if (p == NULL || __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED) > PSEARCH_MAX) {
		if (p != NULL)
			__atomic_sub_fetch(&count, 1, __ATOMIC_RELAXED);
		mem_free(p);
		op_finish_result(op, LR_BUSY, "too many persistent searches");
		return false;
	}
	buf_init(&p->base_normal, 4 * DN_MAX_BYTES);
	buf_init(&p->below.top_was, 4 * DN_MAX_BYTES);
	s->psearch = p;
	return true;
}

void psearch_free(struct psearch **pp)
{
	struct psearch *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	if (p->prev != NULL)
		p->prev->next = p->next;
	else if (p->is_linked)
		first = p->next;
	if (p->is_linked)
		loop_listen(-1);
	if (p->next != NULL)
		p->next->prev = p->prev;
	__atomic_sub_fetch(&count, 1, __ATOMIC_RELAXED);
	buf_fini(&p->base_normal);
	buf_fini(&p->below.top_was);
	store_iter_free(&p->below.iter);
	eid_set_fini(&p->sent);
	mem_free(p->places);
	mem_free(p);
}

struct psearch_place *psearch_place(struct psearch *p, uint32_t nc)
{
	struct psearch_place *more;
	unsigned i;

	for (i = 0; i < p->nplaces; i++) {
		if (p->places[i].number == nc)
			return &p->places[i];
	}
	more = mem_realloc(p->places, (p->nplaces + 1) * sizeof(*more));
	if (more == NULL)
		return NULL;
	p->places = more;
	more[p->nplaces] = (struct psearch_place){.number = nc};
	return &more[p->nplaces++];
}

static void settle(struct psearch *p, struct store_txn *t)
{
	unsigned i;

	for (i = 0; i < p->nplaces; i++)
		p->places[i].settled = p->places[i].sent;
	p->newest = store_next_eid(t);
}

int psearch_begin(struct op *op, struct search *s, struct store_txn *t)
{
	struct psearch *p = s->psearch;
	struct store_nc nc;
	struct psearch_place *at;
	uint32_t number = 0;
	int rc;

	p->op = op;
	while ((rc = store_nc_next(t, &number, &nc)) == RC_OK) {
		at = psearch_place(p, nc.number);
		if (at == NULL)
			return RC_NOMEM;
		at->sent = nc.position.usn;
	}
	settle(p, t);
	return rc == RC_DONE ? RC_OK : rc;
}

/* RC_DONE: nothing is left of this context. */
static int slice_context(struct op *op, struct store_txn *t, const struct store_nc *nc,
			 struct op_view *view, unsigned *budget)
{
	struct psearch_place *at = psearch_place(search_of(op)->psearch, nc->number);
	uint64_t here = nc->position.usn;
	struct store_change row;
	int rc;

	if (at == NULL)
		return RC_NOMEM;
	if (at->sent > here) /* restored from a copy that is older */
		at->sent = at->settled = here;
	while (*budget != 0 && op_may_send(op)) {
		rc = store_change_next(t, nc->number, at->sent, here, &row);
		if (rc == RC_DONE)
			at->sent = here;
		if (rc == RC_OK)
			rc = psearch_tell(op, t, &row, at, view);
		if (rc != RC_OK)
			return rc;
		at->sent = row.usn;
		(*budget)--;
		rc = psearch_tell_below(op, t, view, budget);
		if (rc != RC_DONE)
			return rc;
	}
	return RC_OK;
}

static void find_base(struct search *s, struct store_txn *t, struct op_sight *sight)
{
	struct psearch *p = s->psearch;
	struct buf normal;

	buf_init(&normal, 4 * DN_MAX_BYTES);
	p->base_is_gone =
		store_dn_normal(t, s->base, &normal) != RC_OK || !op_sees_eid(sight, s->base, NULL);
	if (!p->base_is_gone) {
		buf_clear(&p->base_normal);
		buf_put(&p->base_normal, buf_span(&normal));
	}
	buf_fini(&normal);
}

static int slice(struct op *op, struct store_txn *t)
{
	struct search *s = search_of(op);
	unsigned budget = SLICE_ROWS;
	struct op_view view;
	struct store_nc nc;
	uint32_t number = 0;
	int rc;

	op_view_init(&view, op, &s->value);
	op_view_set(&view, t, s->base, SPAN_LIT(""));
	find_base(s, t, &view.sight);
	rc = psearch_tell_below(op, t, &view, &budget);
	if (rc != RC_DONE)
		return rc;
	while ((rc = store_nc_next(t, &number, &nc)) == RC_OK) {
		rc = slice_context(op, t, &nc, &view, &budget);
		if (rc != RC_DONE)
			return rc;
	}
	if (rc == RC_DONE)
		settle(s->psearch, t);
	return rc;
}

/* A client that has lost its rights is told no more. */
static bool may_go_on(struct op *op)
{
	if (op->conn->stream == NULL || op_session_check(op->conn) != RC_OK)
		return true; /* its end comes, or the next look tells */
	return op->conn->identity.kind != IDENTITY_ANONYMOUS;
}

static void go_on(struct op *op)
{
	struct search *s = search_of(op);
	struct store_txn *t;
	int rc;

	s->psearch->is_busy = false;
	if (!may_go_on(op)) {
		search_end(op, LR_INSUFFICIENT_ACCESS, "the client is no longer who it was");
		return;
	}
	rc = store_read_begin(op->server->store, &t);
	if (rc == RC_OK) {
		rc = slice(op, t);
		store_read_end(&t);
	}
	if (rc == RC_DONE && s->psearch->base_is_gone) {
		search_end(op, LR_NO_SUCH_OBJECT, "the base of the search is gone");
	} else if (rc == RC_TOOBIG) {
		search_end(op, LR_ADMIN_LIMIT, "more than 200,000 entries were sent");
	} else if (rc == RC_CLOSED) {
		search_cancel(op);
	} else if (rc != RC_OK && rc != RC_DONE) {
		search_fail(op, rc);
	} else if (rc == RC_OK) {
		s->psearch->is_busy = true; /* resume() comes: next slice, or the client has read */
		if (op_may_send(op))
			op_yield(op);
	}
}

void psearch_persist(struct op *op)
{
	struct search *s = search_of(op);
	struct psearch *p = s->psearch;

	s->deadline_ms = 0;
	s->has_referrals = s->has_subentries = true; /* from now on they may come */
	s->in_referrals = false;
	store_iter_free(&s->iter);
	eid_set_fini(&s->seen);
	p->next = first;
	if (first != NULL)
		first->prev = p;
	first = p;
	p->is_linked = true;
	loop_listen(1);
	op->is_endless = true;
	op->resume = go_on;
	go_on(op);
}

void psearch_wake(void)
{
	struct psearch *p, *next;

	for (p = first; p != NULL; p = next) {
		next = p->next;
		if (!p->is_busy)
			go_on(p->op);
	}
}
