/* What a persistent search tells its client of one change. */
#include "dird/psearch_int.h"
#include "dird/trail.h"
#include "lib/dn.h"

/* What an entry was when the client was last told everything. */
struct past {
	bool is_known; /* it has had another name since, or was hidden, or was not */
	bool was_hidden;
	struct buf dn;
};

static bool sees_all(const struct op *op)
{
	return op->identity.kind == IDENTITY_ADMIN || op->identity.kind == IDENTITY_SITE;
}

/* --- entries of ordinary readers --- */

static uint64_t name_of(const struct uuid *u)
{
	uint64_t n;

	memcpy(&n, u->b, sizeof(n));
	return n;
}

static bool was_sent(struct op *op, const struct uuid *u)
{
	return sees_all(op) || eid_set_has(&search_of(op)->psearch->sent, name_of(u));
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

/* --- messages --- */

static int send_note(struct op *op, size_t message, enum psearch_change type, struct span was,
		     struct buf *out)
{
	struct msg_control note = {.oid = SPAN_LIT(OP_OID_ENTRY_CHANGE), .has_value = true};
	struct buf value;

	buf_init(&value, 3 * DN_MAX_BYTES);
	psearch_note(type, was, &value);
	note.value = buf_span(&value);
	msg_write_controls(out, &note, op->controls.psearch->with_notes ? 1 : 0);
	buf_fini(&value);
	tlv_close(out, message);
	op->nsent++;
	return search_flush(op, out);
}

/* `was`: the former name, empty if the change was no rename. */
static int send_entry(struct op *op, struct op_sight *v, uint64_t eid, const struct entry *e,
		      enum psearch_change type, struct span was)
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
	return send_note(op, message, type, was, out);
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
	return send_note(op, message, PSEARCH_DELETE, SPAN_LIT(""), out);
}

/* --- entries that are gone for this client --- */

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

static int tell_gone(struct op *op, const struct uuid *u, struct span dn)
{
	struct search *s = search_of(op);

	if (!was_sent(op, u))
		return RC_OK;
	eid_set_del(&s->psearch->sent, name_of(u));
	if ((op->controls.psearch->types & PSEARCH_DELETE) == 0 || !was_in_scope(s, dn))
		return RC_OK;
	return send_deleted(op, dn);
}

/* --- what lies below an entry that is hidden now, or no longer --- */

static int look_below(struct psearch *p, struct store_txn *t, uint64_t top, bool is_shown,
		      struct span top_was)
{
	struct psearch_below *b = &p->below;
	int rc;

	b->is_shown = is_shown;
	b->top = top;
	buf_clear(&b->top_was);
	buf_put(&b->top_was, top_was);
	if (buf_rc(&b->top_was) != RC_OK || !store_has_children(t, top))
		return buf_rc(&b->top_was);
	rc = store_walk(t, top, STORE_CHILDREN, &b->iter);
	return rc == RC_OK ? store_iter_pause(b->iter) : rc;
}

static bool find_past(struct op *op, const struct uuid *u, uint64_t settled, struct past *past)
{
	past->is_known = trail_find(writer_trail(op->server->writer), u, settled, &past->was_hidden,
				    &past->dn);
	return past->is_known;
}

/* Its own name, as it was before a rename that this client shall not hear of. */
static int own_name(struct op *op, struct store_txn *t, uint64_t eid, const struct entry *e,
		    struct past *past)
{
	const struct psearch_place *at;
	struct store_nc nc;
	int rc = store_nc_find(t, &e->head.stamp.nc, &nc);

	if (rc == RC_NOTFOUND) /* its site was removed, and it is about to go */
		return store_dn(t, eid, &past->dn);
	at = rc == RC_OK ? psearch_place(search_of(op)->psearch, nc.number) : NULL;
	if (rc == RC_OK && at == NULL)
		return RC_NOMEM;
	if (rc == RC_OK && find_past(op, &e->head.uuid, at->settled, past))
		return buf_rc(&past->dn);
	return rc == RC_OK ? store_dn(t, eid, &past->dn) : rc;
}

/* The name that an entry had when the one above it had its former one; RC_NOTFOUND: it came there
 * when that was hidden already. */
static int name_before(struct op *op, struct store_txn *t, uint64_t eid, const struct entry *e,
		       struct past *past)
{
	const struct psearch_below *b = &search_of(op)->psearch->below;
	struct buf top;
	int rc;

	buf_init(&top, 4 * DN_MAX_BYTES);
	rc = store_dn(t, b->top, &top);
	if (rc == RC_OK)
		rc = own_name(op, t, eid, e, past);
	if (rc == RC_OK && (!past->is_known || past->was_hidden)) {
		if (span_ends(buf_span(&past->dn), buf_span(&top)))
			buf_truncate(&past->dn, past->dn.n - top.n);
		else
			rc = RC_NOTFOUND;
		buf_put(&past->dn, buf_span(&b->top_was));
	}
	buf_fini(&top);
	return rc == RC_OK ? buf_rc(&past->dn) : rc;
}

static int tell_one_below(struct op *op, struct store_txn *t, uint64_t eid, struct op_view *view)
{
	const struct psearch_below *b = &search_of(op)->psearch->below;
	bool matches = false;
	struct past past = {.is_known = false};
	struct entry e;
	int rc = store_entry(t, eid, &e);

	if (rc != RC_OK)
		return rc;
	if (b->is_shown) {
		if (!was_sent(op, &e.head.uuid) && (op->controls.psearch->types & PSEARCH_ADD) != 0)
			rc = search_matches(op, t, eid, &e, view, &matches);
		return rc == RC_OK && matches
			       ? send_entry(op, &view->sight, eid, &e, PSEARCH_ADD, SPAN_LIT(""))
			       : rc;
	}
	if (!was_sent(op, &e.head.uuid) || op_sees_entry(&view->sight, &e))
		return RC_OK;
	buf_init(&past.dn, 8 * DN_MAX_BYTES);
	rc = name_before(op, t, eid, &e, &past);
	if (rc == RC_OK)
		rc = tell_gone(op, &e.head.uuid, buf_span(&past.dn));
	buf_fini(&past.dn);
	return rc;
}

int psearch_tell_below(struct op *op, struct store_txn *t, struct op_view *view, unsigned *budget)
{
	struct psearch_below *b = &search_of(op)->psearch->below;
	uint64_t eid;
	int rc;

	if (b->iter == NULL)
		return RC_DONE;
	rc = store_iter_resume(b->iter, t);
	while (rc == RC_OK && *budget != 0 && op_may_send(op)) {
		rc = store_iter_next(b->iter, &eid);
		if (rc != RC_OK)
			break;
		(*budget)--;
		rc = tell_one_below(op, t, eid, view);
		rc = rc == RC_NOTFOUND ? RC_OK : rc;
	}
	if (rc == RC_OK)
		rc = store_iter_pause(b->iter);
	if (rc != RC_OK)
		store_iter_free(&b->iter);
	return rc;
}

/* --- one row --- */

/* Hidden from this client: the end of the entry, as far as he may know. */
static int tell_hidden(struct op *op, struct store_txn *t, const struct store_change *row,
		       const struct past *past)
{
	int rc;

	if (!past->is_known || past->was_hidden)
		return RC_OK;
	rc = tell_gone(op, &row->uuid, buf_span(&past->dn));
	return rc == RC_OK
		       ? look_below(search_of(op)->psearch, t, row->eid, false, buf_span(&past->dn))
		       : rc;
}

static int tell_live(struct op *op, struct store_txn *t, const struct store_change *row,
		     const struct psearch_place *at, const struct past *past, struct op_view *view)
{
	bool has_come = past->is_known && past->was_hidden && !sees_all(op), matches = false;
	struct psearch *p = search_of(op)->psearch;
	enum psearch_change type = PSEARCH_MODIFY;
	struct span was = {NULL, 0};
	struct entry e;
	int rc = store_entry(t, row->eid, &e);

	if (rc != RC_OK)
		return rc == RC_NOTFOUND ? RC_OK : rc;
	if (!op_sees_entry(&view->sight, &e))
		return tell_hidden(op, t, row, past);
	if (row->eid >= p->newest || has_come) {
		type = PSEARCH_ADD;
	} else if (e.head.moved_usn > at->settled) {
		type = PSEARCH_MODDN;
		was = buf_span(&past->dn);
	}
	if ((op->controls.psearch->types & type) != 0)
		rc = search_matches(op, t, row->eid, &e, view, &matches);
	if (rc == RC_OK && matches)
		rc = send_entry(op, &view->sight, row->eid, &e, type, was);
	return rc == RC_OK && has_come ? look_below(p, t, row->eid, true, SPAN_LIT("")) : rc;
}

int psearch_tell(struct op *op, struct store_txn *t, const struct store_change *row,
		 const struct psearch_place *at, struct op_view *view)
{
	struct past past = {.is_known = false};
	int rc;

	buf_init(&past.dn, 4 * DN_MAX_BYTES);
	find_past(op, &row->uuid, at->settled, &past);
	if (!row->is_tombstone)
		rc = tell_live(op, t, row, at, &past, view);
	else if (past.dn.n != 0)
		rc = tell_gone(op, &row->uuid, buf_span(&past.dn));
	else
		rc = tell_gone(op, &row->uuid, row->old_dn);
	buf_fini(&past.dn);
	return rc;
}
