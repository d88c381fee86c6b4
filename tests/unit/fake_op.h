/*
 * What the provider of content synchronization (dird/sync.h) needs of op.c, where a test stands in
 * for it. The test itself has op_send(), op_may_send(), op_yield(), op_drop() and op_finish().
 */
#pragma once

#include "dird/op_impl.h"

void op_finish_result(struct op *op, enum ldap_result code, const char *text)
{
	op->result = (struct result){.code = code, .text = text};
	op_finish(op, SPAN_LIT(""), NULL, 0);
}

int op_find_base(struct op *op, struct store_txn *t, const struct dn *dn, uint64_t *eid_out)
{
	unsigned depth;
	int rc = store_find(t, dn, eid_out, &depth);

	if (rc == RC_NOTFOUND)
		return result_set(&op->result, &op->arena, LR_NO_SUCH_OBJECT, "no such entry");
	return rc;
}

int op_selection_make(struct op *op, const struct span *attrs, unsigned nattrs, bool types_only,
		      struct op_selection **out)
{
	(void)op, (void)attrs, (void)nattrs, (void)types_only;
	*out = NULL;
	return RC_OK;
}

int op_entry_write(struct op *op, struct store_txn *t, uint64_t eid, const struct entry *e,
		   const struct op_selection *sel, struct buf *out)
{
	size_t mark = tlv_open(out, TLV_APP_CONS(MSG_SEARCH_ENTRY));
	struct buf dn;
	int rc;

	(void)op, (void)sel;
	buf_init(&dn, DN_MAX_BYTES);
	rc = store_dn(t, eid, &dn);
	tlv_put(out, TLV_OCTETS, buf_span(&dn));
	tlv_put(out, TLV_SEQUENCE, e->attrs);
	tlv_close(out, mark);
	buf_fini(&dn);
	return rc;
}

void op_view_init(struct op_view *v, struct op *op, struct buf *value)
{
	memset(v, 0, sizeof(*v));
	v->op = op;
	v->value = value;
}

void op_view_set(struct op_view *v, struct store_txn *t, uint64_t eid, struct span dn_normal)
{
	v->t = t;
	v->eid = eid;
	v->view.dn_normal = dn_normal;
}
