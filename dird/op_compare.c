#include "dird/op_impl.h"

/* RFC 4511 §4.10. A compare is an equality filter on one entry. */

static struct filter *equality(struct op *op)
{
	const struct msg_compare *m = &op->msg.u.compare;
	struct filter *f = NULL;
	const char *why;
	struct span rest;
	struct buf b;
	size_t mark;

	buf_init(&b, 17u * 1024 * 1024);
	mark = tlv_open(&b, TLV_CONTEXT_CONS(3));
	tlv_put(&b, TLV_OCTETS, m->type);
	tlv_put(&b, TLV_OCTETS, m->value);
	tlv_close(&b, mark);
	rest = arena_span(&op->arena, buf_span(&b));
	if (buf_rc(&b) != 0 || rest.p == NULL ||
	    filter_read(op->server->schema, &rest, &op->arena, &f, &why) != 0)
		f = NULL;
	buf_fini(&b);
	return f;
}

static bool has_type(struct op_sight *v, const struct entry *e, const struct schema_attr *at)
{
	const struct schema_attr *const *sub = schema_subtypes(v->schema, at);
	struct entry_attr found;
	unsigned i;

	for (; *sub != NULL; sub++) {
		i = 0;
		while (entry_find(e, (*sub)->hash, span_of((*sub)->name), &i, &found)) {
			if (op_sees_attr(v, e, &found))
				return true;
		}
	}
	return false;
}

/* Why is the answer neither true nor false? */
static enum ldap_result undefined_code(struct op *op, struct op_sight *v, const struct entry *e)
{
	bool is_virtual = v->t == NULL;
	const struct msg_compare *m = &op->msg.u.compare;
	const struct schema_attr *at = schema_attr(op->server->schema, m->type);

	if (at == NULL)
		return LR_UNDEFINED_TYPE;
	if ((!is_virtual && !acl_may_read_attr(&op->server->acl, &op->identity, at, m->type)) ||
	    !has_type(v, e, at))
		return LR_NO_SUCH_ATTRIBUTE;
	return at->equality == SCHEMA_NORM_NONE ? LR_INAPPROPRIATE_MATCHING : LR_INVALID_SYNTAX;
}

/* t NULL: an entry that is made when it is read */
static enum ldap_result compare(struct op *op, struct store_txn *t, uint64_t eid,
				const struct entry *e, const struct filter *f)
{
	const struct msg_compare *m = &op->msg.u.compare;
	const struct schema_attr *at = schema_attr(op->server->schema, m->type);
	enum ldap_result code = LR_OTHER;
	struct buf value, scratch;
	struct op_view view;

	buf_init(&value, UINT32_MAX);
	buf_init(&scratch, 17u * 1024 * 1024);
	op_view_init(&view, op, &value);
	if (t != NULL)
		op_view_set(&view, t, eid, (struct span){NULL, 0});
	else
		op_sight_init(&view.sight, op, NULL);
	switch (filter_match(f, op->server->schema, e, &view.view, &scratch)) {
	case FILTER_TRUE:
		code = LR_COMPARE_TRUE;
		break;
	case FILTER_FALSE:
		buf_clear(&value);
		if (at != NULL && !has_type(&view.sight, e, at) &&
		    (t == NULL || !op_computed(&view.sight, eid, e, at, &value)))
			code = LR_NO_SUCH_ATTRIBUTE;
		else
			code = LR_COMPARE_FALSE;
		break;
	case FILTER_UNKNOWN:
		code = undefined_code(op, &view.sight, e);
		break;
	}
	buf_fini(&value);
	buf_fini(&scratch);
	return code;
}

static int compare_stored(struct op *op, const struct dn *dn, const struct filter *f,
			  enum ldap_result *code)
{
	struct store_txn *t;
	struct entry e;
	uint64_t eid;
	int rc = store_read_begin(op->server->store, &t);

	if (rc != 0)
		return rc;
	rc = op_find_entry(op, t, dn, &eid);
	if (rc == 0 && op->controls.dont_use_copy)
		rc = op_check_copy(op, t, eid, false, &op->result);
	if (rc == 0 && op->controls.assertion != NULL)
		rc = op_assert(op, t, eid, &op->result);
	if (rc == 0)
		rc = store_entry(t, eid, &e);
	if (rc == 0)
		*code = compare(op, t, eid, &e, f);
	store_read_end(&t);
	return rc;
}

static int compare_virtual(struct op *op, struct span normal, const struct filter *f,
			   enum ldap_result *code)
{
	struct op_virtual *list;
	struct entry e;
	unsigned n;
	int rc;

	if (op->controls.assertion != NULL)
		return result_set(&op->result, &op->arena, LR_UNWILLING,
				  "assertions are about stored entries");
	rc = op_virtual_make(op, &op->arena, normal, 0, &list, &n);
	if (rc == RC_NOTFOUND)
		return result_set(&op->result, &op->arena, LR_NO_SUCH_OBJECT, NULL);
	if (rc == 0)
		rc = entry_open(list[0].record, &e);
	if (rc == 0)
		*code = compare(op, NULL, 0, &e, f);
	return rc;
}

void op_compare(struct op *op)
{
	enum ldap_result code = LR_OTHER;
	struct span normal;
	struct filter *f;
	struct dn dn;
	int rc;

	if (op_parse_dn(op, op->msg.u.compare.dn, &dn) != 0)
		return;
	rc = op_normal_dn(&op->arena, &dn, &normal);
	if (rc == 0 && !op_may_read_at(op, normal)) {
		op_finish_result(op, LR_INSUFFICIENT_ACCESS,
				 op->identity.kind == IDENTITY_ANONYMOUS
					 ? "anonymous clients may not read here; bind first"
					 : "cn=monitor is for the administrator");
		return;
	}
	f = equality(op);
	if (rc == 0 && f == NULL)
		rc = RC_NOMEM;
	if (rc == 0)
		rc = op_is_virtual(normal) ? compare_virtual(op, normal, f, &code)
					   : compare_stored(op, &dn, f, &code);
	if (rc == RC_REFUSED) {
		struct result why = op->result;

		op_finish_refused(op, &why);
	} else if (rc != 0) {
		op_finish_error(op, rc, "compare");
	} else {
		op_finish_result(op, code, NULL);
	}
}
