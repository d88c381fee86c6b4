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

struct key_writer {
	const struct schema *s;
	struct arena *a;
	struct buf normal, plain; /* normal forms of the value at hand */
	struct apply_keys *out;
};

static int add_key(struct key_writer *w, const struct schema_attr *at, uint32_t attr,
		   const struct buf *form)
{
	struct apply_key *key = &w->out->at[w->out->n];

	key->attr = attr;
	key->has_parts = at->substr != SCHEMA_NORM_NONE;
	key->value = arena_span(w->a, span_head(buf_span(form), APPLY_VALUE_MAX_BYTES));
	if (key->value.p == NULL)
		return RC_NOMEM;
	w->out->n++;
	return RC_OK;
}

/* Then the form without accents is the same. */
static bool is_ascii(struct span s)
{
	uint8_t all = 0;
	size_t i;

	for (i = 0; i < s.n; i++)
		all |= s.p[i];
	return all < 0x80;
}

static int add_value(struct key_writer *w, const struct schema_attr *at, struct span value)
{
	int rc;

	buf_clear(&w->normal);
	rc = schema_normalize(w->s, at->equality, value, &w->normal);
	if (rc == RC_INVALID)
		return RC_OK; /* matches no assertion either */
	if (rc == RC_OK)
		rc = add_key(w, at, at->hash, &w->normal);
	if (rc != RC_OK || at->accents_hash == 0 || is_ascii(buf_span(&w->normal)))
		return rc;
	buf_clear(&w->plain);
	rc = schema_normalize(w->s, SCHEMA_NORM_ACCENTS, buf_span(&w->normal), &w->plain);
	if (rc == RC_OK && !span_eq(buf_span(&w->plain), buf_span(&w->normal)))
		rc = add_key(w, at, at->accents_hash, &w->plain);
	return rc;
}

static int add_attr(struct key_writer *w, const struct attr *attr)
{
	const struct schema_attr *at = indexed(w->s, attr->type);
	unsigned i;
	int rc = RC_OK;

	for (i = 0; at != NULL && i < attr->nvalues && rc == RC_OK; i++)
		rc = add_value(w, at, attr->values[i]);
	return rc;
}

static unsigned most_rows(const struct schema *s, const struct attr *attr)
{
	const struct schema_attr *at = indexed(s, attr->type);

	if (at == NULL)
		return 0;
	return at->accents_hash != 0 ? 2 * attr->nvalues : attr->nvalues;
}

int apply_keys(const struct schema *s, const struct attr_list *attrs, struct arena *a,
	       struct apply_keys *out)
{
	struct key_writer w = {.s = s, .a = a, .out = out};
	unsigned i, n = 0, total = 0;
	int rc = RC_OK;

	for (i = 0; i < attrs->n; i++)
		total += most_rows(s, &attrs->attrs[i]);
	out->n = 0;
	out->at = arena_zalloc(a, total, sizeof(*out->at));
	if (out->at == NULL)
		return RC_NOMEM;
	buf_init(&w.normal, UINT32_MAX);
	buf_init(&w.plain, UINT32_MAX);
	for (i = 0; i < attrs->n && rc == RC_OK; i++)
		rc = add_attr(&w, &attrs->attrs[i]);
	buf_fini(&w.plain);
	buf_fini(&w.normal);
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
