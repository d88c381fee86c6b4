#include "dird/update_below.h"

#include "dird/eid_set.h"
#include "lib/dn.h"

#define FEW 1000
#define DEARER 8 /* looking for an entry's name in an index, beside reading a key of it */

/* --- which way --- */

static int has_entries(struct update *u, uint64_t top, size_t limit, bool *out)
{
	struct store_iter *i = NULL;
	uint64_t eid;
	size_t n = 0;
	int rc = store_walk(u->t, top, STORE_SUB, &i);

	while (rc == RC_OK && n < limit) {
		rc = store_iter_next(i, &eid);
		n += rc == RC_OK;
	}
	store_iter_free(&i);
	*out = n == limit;
	return rc == RC_DONE ? RC_OK : rc;
}

static size_t count_references(struct update *u, size_t limit)
{
	const struct schema_attr *const *at = schema_references(u->ctx->schema);
	size_t n = 0;

	for (; *at != NULL && n < limit; at++) {
		const struct index_range all = {.attr = (*at)->hash, .kind = INDEX_ALL};

		n += store_range_count(u->t, &all, limit - n);
	}
	return n;
}

int update_below_is_better(struct update *u, uint64_t top, bool *out)
{
	size_t limit = FEW;
	bool is_large;
	int rc = has_entries(u, top, limit, &is_large);

	*out = false;
	while (rc == RC_OK && is_large && !*out) {
		*out = count_references(u, limit * DEARER) < limit * DEARER;
		limit *= 4;
		if (!*out)
			rc = has_entries(u, top, limit, &is_large);
	}
	return rc;
}

/* --- who refers --- */

struct finder {
	struct span top;
	struct eid_set *out;
};

/* Long names are cut in the index: what they end with is seen when the entry is mended. */
static int find(void *ctx, struct span value, uint64_t eid)
{
	struct finder *f = ctx;
	int rc = RC_EXISTS;

	if (value.n >= APPLY_VALUE_MAX_BYTES || dn_is_within(value, f->top))
		rc = eid_set_add(f->out, eid);
	return rc == RC_EXISTS ? RC_OK : rc;
}

int update_below_find(struct update *u, struct span top_normal, struct eid_set *out)
{
	const struct schema_attr *const *at = schema_references(u->ctx->schema);
	struct finder f = {top_normal, out};
	int rc = RC_OK;

	for (; *at != NULL && rc == RC_OK; at++)
		rc = store_index_each(u->t, (*at)->hash, find, &f);
	return rc;
}

/* --- what they say now --- */

/* Down from the top by the RDNs in front of its name. */
static int go_down(struct update_below *b, struct span rest, uint64_t *eid)
{
	size_t at;
	int rc = RC_OK;

	*eid = b->top;
	while (rc == RC_OK && rest.n != 0) {
		rest.n--; /* the comma behind it */
		for (at = rest.n; at != 0 && rest.p[at - 1] != ',';)
			at--;
		rc = store_child(b->u->t, *eid, span_from(rest, at), eid);
		rest.n = at;
	}
	return rc;
}

const struct span *update_below_now(const void *ctx, struct span old_normal)
{
	struct update_below *b = (struct update_below *)(uintptr_t)ctx;
	uint64_t eid;
	int rc;

	if (b->rc != RC_OK || !dn_is_within(old_normal, b->top_normal))
		return NULL;
	rc = go_down(b, span_head(old_normal, old_normal.n - b->top_normal.n), &eid);
	if (rc == RC_OK) {
		buf_clear(&b->text);
		rc = update_name(b->u, eid, false, &b->text);
	}
	if (rc != RC_OK) {
		b->rc = rc == RC_NOTFOUND ? RC_OK : rc; /* it named nothing */
		return NULL;
	}
	b->now = buf_span(&b->text);
	return &b->now;
}
