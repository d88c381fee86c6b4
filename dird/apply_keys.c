/* Rows of the value index: what an entry has, and how two entries differ. */
#include "dird/apply.h"

#include <stdlib.h>

static int key_cmp(const struct apply_key *a, const struct apply_key *b)
{
	if (a->attr != b->attr)
		return a->attr < b->attr ? -1 : 1;
	return span_cmp(a->value, b->value);
}

static int by_key(const void *a, const void *b)
{
	return key_cmp(a, b);
}

static const struct schema_attr *indexed(const struct schema *s, struct span description)
{
	const struct schema_attr *at = schema_attr(s, description);

	return at != NULL && at->is_indexed && at->equality != SCHEMA_NORM_NONE ? at : NULL;
}

static int add_keys(const struct schema *s, const struct schema_attr *at, const struct attr *attr,
		    struct arena *a, struct buf *b, struct apply_keys *out)
{
	unsigned i;
	int rc;

	for (i = 0; i < attr->nvalues; i++) {
		buf_clear(b);
		rc = schema_normalize(s, at->equality, attr->values[i], b);
		if (rc == RC_INVALID)
			continue; /* matches no assertion either */
		if (rc != RC_OK)
			return rc;
		out->at[out->n].attr = at->hash;
		out->at[out->n].value =
			arena_span(a, span_head(buf_span(b), APPLY_VALUE_MAX_BYTES));
		if (out->at[out->n].value.p == NULL)
			return RC_NOMEM;
		out->n++;
	}
	return RC_OK;
}

int apply_keys(const struct schema *s, const struct attr_list *attrs, struct arena *a,
	       struct apply_keys *out)
{
	const struct schema_attr *at;
	unsigned i, n = 0, total = 0;
	struct buf b;
	int rc = RC_OK;

	for (i = 0; i < attrs->n; i++)
		total += indexed(s, attrs->attrs[i].type) != NULL ? attrs->attrs[i].nvalues : 0;
	out->n = 0;
	out->at = arena_zalloc(a, total, sizeof(*out->at));
	if (out->at == NULL)
		return RC_NOMEM;
	buf_init(&b, UINT32_MAX);
	for (i = 0; i < attrs->n && rc == RC_OK; i++) {
		at = indexed(s, attrs->attrs[i].type);
		if (at != NULL)
			rc = add_keys(s, at, &attrs->attrs[i], a, &b, out);
	}
	buf_fini(&b);
	if (rc != RC_OK || out->n == 0)
		return rc;
	qsort(out->at, out->n, sizeof(*out->at), by_key);
	for (i = 1; i < out->n; i++) {
		if (key_cmp(&out->at[n], &out->at[i]) != 0)
			out->at[++n] = out->at[i];
	}
	out->n = n + 1;
	return RC_OK;
}

void apply_delta(const struct apply_keys *from, const struct apply_keys *to,
		 void (*fn)(void *ctx, const struct apply_key *key, bool is_new), void *ctx)
{
	unsigned i = 0, k = 0;
	int order;

	while (i < from->n || k < to->n) {
		if (i == from->n)
			order = 1;
		else if (k == to->n)
			order = -1;
		else
			order = key_cmp(&from->at[i], &to->at[k]);
		if (order < 0)
			fn(ctx, &from->at[i++], false);
		else if (order > 0)
			fn(ctx, &to->at[k++], true);
		else
			i++, k++;
	}
}
