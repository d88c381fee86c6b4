#include "dird/psearch.h"

#include "dird/conn.h"

#define SLICE_ROWS 256

/* How far one context is. */
struct place {
	uint32_t number;
	uint64_t sent;    /* rows up to it were looked at */
	uint64_t settled; /* the same, when a snapshot had nothing left */
};

struct psearch {
	struct op *op; /* once it is linked */
	struct psearch *next, *prev;
	bool is_linked, is_busy;
	struct place *places;
	unsigned nplaces;
	uint64_t newest;     /* entries with this number or a higher one are new since `settled` */
	struct eid_set sent; /* beginnings of entryUUIDs; of ordinary readers only */
	struct buf base_normal;
	bool base_is_gone;
};

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

void psearch_note(enum psearch_change type, struct buf *out)
{
	size_t mark = tlv_open(out, TLV_SEQUENCE);

	tlv_put_int(out, TLV_ENUM, type);
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
	if (p->next != NULL)
		p->next->prev = p->prev;
	__atomic_sub_fetch(&count, 1, __ATOMIC_RELAXED);
	buf_fini(&p->base_normal);
	eid_set_fini(&p->sent);
	mem_free(p->places);
	mem_free(p);
}

static struct place *place_of(struct psearch *p, uint32_t number)
{
	struct place *more;
	unsigned i;

	for (i = 0; i < p->nplaces; i++) {
		if (p->places[i].number == number)
			return &p->places[i];
	}
	more = mem_realloc(p->places, (p->nplaces + 1) * sizeof(*more));
	if (more == NULL)
		return NULL;
	p->places = more;
	more[p->nplaces] = (struct place){.number = number};
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
	struct place *at;
	uint32_t number = 0;
	int rc;

	p->op = op;
	while ((rc = store_nc_next(t, &number, &nc)) == RC_OK) {
		at = place_of(p, nc.number);
		if (at == NULL)
			return RC_NOMEM;
		at->sent = nc.position.usn;
	}
	settle(p, t);
	return rc == RC_DONE ? RC_OK : rc;
}

/* --- what is told --- */

static bool sees_all(const struct op *op)
{
	return op->identity.kind == IDENTITY_ADMIN || op->identity.kind == IDENTITY_SITE;
}

static uint64_t name_of(const struct uuid *u)
{
	uint64_t n;

	memcpy(&n, u->b, sizeof(n));
	return n;
}

int psearch_sent(struct op *op, const struct entry *e)
{
	struct eid_set *sent = &search_of(op)->psearch->sent;
	int rc;

	if (sees_all(op))
		return RC_OK;
	if (sent->n >= PSEARCH_MAX_SENT)
		return RC_TOOBIG;
	rc = eid_set_add(sent, name_of(&e->head.uuid));
	return rc == RC_EXISTS ? RC_OK : rc;
}

static int send_note(struct op *op, size_t message, enum psearch_change type, struct buf *out)
{
	struct msg_control note = {.oid = SPAN_LIT(OP_OID_ENTRY_CHANGE), .has_value = true};
	struct buf value;

	buf_init(&value, 32);
	psearch_note(type, &value);
	note.value = buf_span(&value);
	msg_write_controls(out, &note, op->controls.psearch->with_notes ? 1 : 0);
	buf_fini(&value);
	tlv_close(out, message);
	op->nsent++;
	return search_flush(op, out);
}

static int send_entry(struct op *op, struct op_sight *v, uint64_t eid, const struct entry *e,
		      enum psearch_change type)
{
	struct buf *out = conn_scratch(op->conn);
	size_t message = tlv_open(out, TLV_SEQUENCE);
	struct buf dn;
	int rc;

	buf_init(&dn, 2 * DN_MAX_BYTES);
	rc = store_dn(v->t, eid, &dn);
	tlv_put_int(out, TLV_INTEGER, op->msg.id);
	if (rc == RC_OK)
		rc = op_entry_write_named(v, eid, e, buf_span(&dn), search_of(op)->selection, out);
	buf_fini(&dn);
	if (rc == RC_OK)
		rc = psearch_sent(op, e);
	if (rc != RC_OK)
		return rc == RC_NOTFOUND ? RC_OK : rc;
	return send_note(op, message, type, out);
}

static int send_deleted(struct op *op, struct span dn)
{
	struct buf *out = conn_scratch(op->conn);
	size_t message = tlv_open(out, TLV_SEQUENCE), entry;

	tlv_put_int(out, TLV_INTEGER, op->msg.id);
	entry = tlv_open(out, TLV_APP_CONS(MSG_SEARCH_ENTRY));
	tlv_put(out, TLV_OCTETS, dn);
	tlv_put(out, TLV_SEQUENCE, (struct span){NULL, 0});
	tlv_close(out, entry);
	return send_note(op, message, PSEARCH_DELETE, out);
}

/* Levels of `normal` below the base's name; -1: it is not below. */
static int levels_below(struct span normal, struct span base)
{
	size_t i;
	int n = 0;

	if (!dn_is_within(normal, base))
		return -1;
	for (i = 0; i < normal.n - base.n; i++)
		n += normal.p[i] == ',';
	return n;
}

static bool was_in_scope(const struct search *s, struct span old_dn)
{
	struct arena a;
	struct span normal;
	int n = -1;

	arena_init(&a);
	if (dn_normalize_text(&a, old_dn, &normal) == RC_OK)
		n = levels_below(normal, buf_span(&s->psearch->base_normal));
	arena_fini(&a);
	switch (s->scope) {
	case STORE_BASE:
		return n == 0;
	case STORE_ONE:
		return n == 1;
	case STORE_SUB:
		return n >= 0;
	case STORE_CHILDREN:
		return n > 0;
	}
	return false;
}

static int tell_deleted(struct op *op, const struct store_change *row)
{
	struct search *s = search_of(op);

	if ((op->controls.psearch->types & PSEARCH_DELETE) == 0 || !was_in_scope(s, row->old_dn))
		return RC_OK;
	if (!sees_all(op) && !eid_set_has(&s->psearch->sent, name_of(&row->uuid)))
		return RC_OK;
	return send_deleted(op, row->old_dn);
}

static int tell(struct op *op, struct store_txn *t, const struct store_change *row,
		const struct place *at, struct op_view *view)
{
	struct search *s = search_of(op);
	unsigned types = op->controls.psearch->types;
	enum psearch_change type = PSEARCH_MODIFY;
	bool matches = false;
	struct entry e;
	int rc;

	if (row->is_tombstone)
		return tell_deleted(op, row);
	rc = store_entry(t, row->eid, &e);
	if (rc != RC_OK)
		return rc == RC_NOTFOUND ? RC_OK : rc;
	if (row->eid >= s->psearch->newest)
		type = PSEARCH_ADD;
	else if (e.head.moved_usn > at->settled)
		type = PSEARCH_MODDN;
	if ((types & type) == 0)
		return RC_OK;
	rc = search_matches(op, t, row->eid, &e, view, &matches);
	return rc == RC_OK && matches ? send_entry(op, &view->sight, row->eid, &e, type) : rc;
}

/* RC_DONE: nothing is left of this context. */
static int slice_context(struct op *op, struct store_txn *t, const struct store_nc *nc,
			 struct op_view *view, unsigned *budget)
{
	struct place *at = place_of(search_of(op)->psearch, nc->number);
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
			rc = tell(op, t, &row, at, view);
		if (rc != RC_OK)
			return rc;
		at->sent = row.usn;
		(*budget)--;
	}
	return RC_OK;
}

static void find_base(struct search *s, struct store_txn *t)
{
	struct psearch *p = s->psearch;
	struct buf normal;

	buf_init(&normal, 4 * DN_MAX_BYTES);
	p->base_is_gone = store_dn_normal(t, s->base, &normal) != RC_OK;
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

	find_base(s, t);
	op_view_init(&view, op, &s->value);
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
