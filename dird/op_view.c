/* Looking into entries: their values, and what a filter sees of them. */
#include "dird/op_impl.h"

/* --- looking at values --- */

int op_values(struct arena *a, const struct entry_attr *at, struct span **out, unsigned *n_out)
{
	struct span rest = at->values, value;
	unsigned n = 0;

	while (tlv_expect(&rest, TLV_OCTETS, &value) == 0)
		n++;
	*n_out = n;
	*out = arena_zalloc(a, n + 1, sizeof(**out));
	if (*out == NULL)
		return RC_NOMEM;
	rest = at->values;
	for (n = 0; n < *n_out; n++) {
		if (tlv_expect(&rest, TLV_OCTETS, &(*out)[n]) != 0)
			return RC_CORRUPT;
	}
	return 0;
}

bool op_entry_is_referral(const struct entry *e, struct entry_attr *ref_out)
{
	struct span type = SPAN_LIT("ref");
	unsigned i = 0;

	return entry_find(e, entry_type_hash(type), type, &i, ref_out) &&
	       entry_has_class(e, "referral");
}

/* --- a filter's view --- */

static bool view_may_read(const void *ctx, const struct schema_attr *at, struct span description)
{
	const struct op_view *v = ctx;

	if (v->t == NULL) /* root DSE and subschema are for everybody; monitor was checked before */
		return true;
	return acl_may_read_attr(&v->op->server->acl, &v->op->identity, at, description);
}

static bool view_computed(const void *ctx, const struct entry *e, const struct schema_attr *at,
			  struct span *values)
{
	struct op_view *v = (struct op_view *)(uintptr_t)ctx;

	buf_clear(v->value);
	if (!op_computed(&v->sight, v->eid, e, at, v->value))
		return false;
	*values = buf_span(v->value);
	return true;
}

static bool view_sees_value(const void *ctx, const struct entry *e, const struct schema_attr *at,
			    struct span value)
{
	struct op_view *v = (struct op_view *)(uintptr_t)ctx;

	return op_sees_value(&v->sight, e, at, value);
}

void op_view_init(struct op_view *v, struct op *op, struct buf *value)
{
	*v = (struct op_view){.op = op, .value = value};
	v->view = (struct filter_view){
		.may_read = view_may_read,
		.computed = view_computed,
		.ctx = v,
	};
	op_sight_init(&v->sight, op, NULL);
}

void op_view_set(struct op_view *v, struct store_txn *t, uint64_t eid, struct span dn_normal)
{
	if (v->sight.t != t) {
		op_sight_init(&v->sight, v->op, t);
		v->view.sees_value = v->sight.is_limited ? view_sees_value : NULL;
	}
	v->t = t;
	v->eid = eid;
	v->view.dn_normal = dn_normal;
}
