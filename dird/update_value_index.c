/* Rows of the value index for values that are stored apart. */
#include "dird/update_int.h"
#include "dird/values.h"

static bool is_in(const struct schema *s, const struct schema_attr *at, const struct attr *attr,
		  struct span key, struct buf *normal)
{
	unsigned i;

	for (i = 0; i < attr->nvalues; i++) {
		buf_clear(normal);
		if (schema_normalize(s, at->equality, attr->values[i], normal) == RC_OK &&
		    span_eq(span_head(buf_span(normal), APPLY_VALUE_MAX_BYTES), key))
			return true;
	}
	return false;
}

static bool is_in_rows(const struct update_values *v, const struct schema_attr *at,
		       const struct entry *e, const struct attr_apart *apart, struct span key,
		       struct buf *normal)
{
	struct entry_place place = {values_hash(at, key), 0};
	struct span value;

	return values_next(v->u->ctx->schema, at, e, &apart->stored, VALUES_KEY, key, normal,
			   &place, &value);
}

/* Has the entry as it now is a value with this key? Descriptions of one type share their rows. */
static bool has_key(const struct update_values *v, const struct schema_attr *at, struct span key)
{
	const struct attr_list *attrs = &v->stored.attrs;
	struct entry e = {.head.flags = ENTRY_HAS_APART};
	struct buf normal;
	bool found = false;
	unsigned i;

	store_attach(v->u->t, v->eid, &e);
	buf_init(&normal, UINT32_MAX);
	for (i = 0; !found && i < attrs->n; i++) {
		if (schema_attr(v->u->ctx->schema, attrs->attrs[i].type) != at)
			continue;
		found = attrs->attrs[i].apart != NULL
				? is_in_rows(v, at, &e, attrs->attrs[i].apart, key, &normal)
				: is_in(v->u->ctx->schema, at, &attrs->attrs[i], key, &normal);
	}
	buf_fini(&normal);
	return found;
}

bool update_values_keep(const struct update_values *v, uint32_t attr, struct span key)
{
	unsigned i;

	for (i = 0; i < v->nchanges; i++) {
		if (v->changes[i].at != NULL && v->changes[i].at->hash == attr)
			return has_key(v, v->changes[i].at, key);
	}
	return false;
}

static int index_value(const struct update_values *v, const struct schema_attr *at,
		       struct span value, bool is_new)
{
	struct store_txn *t = v->u->t;
	struct buf normal;
	struct span key;
	int rc;

	buf_init(&normal, UINT32_MAX);
	rc = schema_normalize(v->u->ctx->schema, at->equality, value, &normal);
	key = span_head(buf_span(&normal), APPLY_VALUE_MAX_BYTES);
	if (rc == RC_OK && is_new) {
		store_index_put(t, at->hash, key, v->eid);
		if (at->substr != SCHEMA_NORM_NONE)
			store_gram_put(t, at->hash, key, v->eid);
	} else if (rc == RC_OK && !has_key(v, at, key) &&
		   store_has_index(t, at->hash, key, v->eid)) {
		store_index_del(t, at->hash, key, v->eid);
	}
	buf_fini(&normal);
	return rc == RC_INVALID ? RC_OK : rc;
}

int update_values_index(const struct update_values *v)
{
	const struct update_value_change *c;
	unsigned i, k;
	int rc = RC_OK;

	for (k = 0; k < v->nchanges; k++) {
		c = &v->changes[k];
		if (c->at == NULL || !c->at->is_indexed || c->at->equality == SCHEMA_NORM_NONE)
			continue;
		for (i = 0; rc == RC_OK && i < c->ngone; i++)
			rc = index_value(v, c->at, c->gone[i].value, false);
		for (i = 0; rc == RC_OK && i < c->nadded; i++)
			rc = index_value(v, c->at, c->added[i], true);
	}
	return rc;
}
