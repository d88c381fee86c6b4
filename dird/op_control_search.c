/* Controls of a search: sort (RFC 2891), virtual list view, persistent search, matched values
 * (RFC 3876). */
#include "dird/op_sort.h"
#include "dird/psearch.h"

#define VALUES_MAX_ITEMS 1000

int op_control_sort(struct op *op, const struct msg_control *c)
{
	struct op_sort *s = arena_zalloc(&op->arena, 1, sizeof(*s));

	if (s == NULL)
		return RC_NOMEM;
	s->is_critical = c->critical;
	op->controls.sort = s;
	return c->has_value ? sort_read(op, c->value, s) : RC_INVALID;
}

int op_control_vlv(struct op *op, const struct msg_control *c)
{
	struct op_vlv *v = arena_zalloc(&op->arena, 1, sizeof(*v));

	if (v == NULL)
		return RC_NOMEM;
	op->controls.vlv = v;
	if (msg_control(&op->msg, OP_OID_PAGED) != NULL)
		return result_set(&op->result, &op->arena, LR_UNWILLING,
				  "a virtual list view does not go with paged results");
	return c->has_value ? vlv_read(c->value, v) : RC_INVALID;
}

int op_control_psearch(struct op *op, const struct msg_control *c)
{
	struct op_psearch *p = arena_zalloc(&op->arena, 1, sizeof(*p));

	if (p == NULL)
		return RC_NOMEM;
	op->controls.psearch = p;
	return c->has_value ? psearch_read(c->value, p) : RC_INVALID;
}

/* SimpleFilterItem: no and, or, not, and no :dn: */
static int read_item(struct op *op, struct span *list, struct filter **out)
{
	const char *why = NULL;
	int rc;

	if (tlv_peek(*list, TLV_CONTEXT_CONS(0)) || tlv_peek(*list, TLV_CONTEXT_CONS(1)) ||
	    tlv_peek(*list, TLV_CONTEXT_CONS(2)))
		return RC_INVALID;
	rc = filter_read(op->server->schema, list, &op->arena, out, &why);
	if (rc == RC_TOOBIG)
		return RC_INVALID;
	return rc == 0 && (*out)->dn_attrs ? RC_INVALID : rc;
}

int op_control_values(struct op *op, const struct msg_control *c)
{
	struct op_controls *oc = &op->controls;
	struct span list;
	int rc = 0;

	if (op_control_body(c, TLV_SEQUENCE, &list) != 0 || list.n == 0)
		return RC_INVALID;
	oc->values = arena_zalloc(&op->arena, VALUES_MAX_ITEMS, sizeof(*oc->values));
	if (oc->values == NULL)
		return RC_NOMEM;
	while (rc == 0 && list.n != 0) {
		if (oc->nvalues == VALUES_MAX_ITEMS)
			return result_set(&op->result, &op->arena, LR_ADMIN_LIMIT,
					  "more than 1,000 items in matched values");
		rc = read_item(op, &list, &oc->values[oc->nvalues]);
		oc->nvalues++;
	}
	return rc;
}
