/* Controls that look at the entry of a request: assertion (RFC 4528), pre- and post-read (RFC
 * 4527), subentries (RFC 3672). */
#include "dird/op_impl.h"

#define ASSERT_SCRATCH_MAX_BYTES (17u * 1024 * 1024)

int op_control_assertion(struct op *op, const struct msg_control *c)
{
	struct span rest = c->value;
	const char *why = NULL;
	int rc;

	if (!c->has_value)
		return RC_INVALID;
	rc = filter_read(op->server->schema, &rest, &op->arena, &op->controls.assertion, &why);
	if (rc == RC_TOOBIG)
		return result_set(&op->result, &op->arena, LR_ADMIN_LIMIT,
				  "the assertion's filter is too large");
	return rc == 0 && rest.n != 0 ? RC_INVALID : rc;
}

int op_assert(struct op *op, struct store_txn *t, uint64_t eid, struct result *why)
{
	enum filter_result r;
	struct buf value, scratch, dn;
	struct op_view view;
	struct entry e;
	int rc = store_entry(t, eid, &e);

	if (rc != 0)
		return rc;
	buf_init(&value, UINT32_MAX);
	buf_init(&dn, DN_MAX_BYTES * 4);
	buf_init(&scratch, ASSERT_SCRATCH_MAX_BYTES);
	rc = store_dn_normal(t, eid, &dn);
	op_view_init(&view, op, &value);
	op_view_set(&view, t, eid, buf_span(&dn));
	r = filter_match(op->controls.assertion, op->server->schema, &e, &view.view, &scratch);
	buf_fini(&scratch);
	buf_fini(&dn);
	buf_fini(&value);
	if (rc != 0 || r == FILTER_TRUE)
		return rc;
	return result_set(why, &op->arena, LR_ASSERTION_FAILED, "the assertion %s for this entry",
			  r == FILTER_FALSE ? "is false" : "is undefined");
}

/* AttributeSelection (RFC 4511 §4.5.1) */
static int read_selection(struct op *op, const struct msg_control *c, struct op_selection **out)
{
	struct span body, rest, one;
	struct span *attrs;
	unsigned n = 0;

	if (op_control_body(c, TLV_SEQUENCE, &body) != 0)
		return RC_INVALID;
	for (rest = body; rest.n != 0; n++) {
		if (tlv_expect(&rest, TLV_OCTETS, &one) != 0)
			return RC_INVALID;
	}
	attrs = arena_zalloc(&op->arena, n + 1, sizeof(*attrs));
	if (attrs == NULL)
		return RC_NOMEM;
	for (n = 0; tlv_expect(&body, TLV_OCTETS, &attrs[n]) == 0;)
		n++;
	return op_selection_make(op, attrs, n, false, out);
}

int op_control_pre_read(struct op *op, const struct msg_control *c)
{
	return read_selection(op, c, &op->controls.pre_read);
}

int op_control_post_read(struct op *op, const struct msg_control *c)
{
	return read_selection(op, c, &op->controls.post_read);
}

int op_control_subentries(struct op *op, const struct msg_control *c)
{
	struct span rest = c->value;
	bool only;

	if (!c->has_value || tlv_read_bool(&rest, TLV_BOOLEAN, &only) != 0 || rest.n != 0)
		return RC_INVALID;
	op->controls.subentries = only ? OP_SUBENTRIES_ONLY : OP_SUBENTRIES_NONE;
	return 0;
}

int op_check_copy(struct op *op, struct store_txn *t, uint64_t eid, bool is_subtree,
		  struct result *why)
{
	uint32_t number = 0;
	struct store_nc nc;
	struct entry e;
	int rc = store_entry(t, eid, &e);

	if (rc == 0)
		rc = store_nc_find(t, &e.head.stamp.nc, &nc);
	if (rc == RC_NOTFOUND)
		return result_set(why, &op->arena, LR_UNWILLING, "its site was removed");
	if (rc == 0 && !nc.is_own)
		return update_refer(t, &op->arena, &nc, why);
	while (rc == 0 && is_subtree && (rc = store_nc_next(t, &number, &nc)) == 0) {
		if (!nc.is_own && nc.head != 0 && store_is_within(t, nc.head, eid))
			return result_set(why, &op->arena, LR_UNWILLING,
					  "a part below is a copy of another site's entries");
	}
	return rc == RC_DONE ? 0 : rc;
}
