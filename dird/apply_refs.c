/* Values that name another entry, when that entry gets another name or goes. */
#include "dird/apply_int.h"

#include <stdlib.h>

/* The value with the new name: what stands behind the name in a Name And Optional UID stays. */
static int renamed(struct apply_work *w, const struct schema_attr *at, struct span old,
		   struct span name, struct span *out)
{
	struct span rest = {NULL, 0};
	struct buf b;
	int rc;

	if (at->equality == SCHEMA_NORM_NAME_UID)
		rest = span_from(old, dn_of_name_uid(old).n);
	buf_init(&b, UINT32_MAX);
	buf_put(&b, name);
	buf_put(&b, rest);
	rc = buf_rc(&b);
	if (rc == RC_OK) {
		*out = arena_span(w->x->arena, buf_span(&b));
		rc = out->p != NULL ? RC_OK : RC_NOMEM;
	}
	buf_fini(&b);
	return rc;
}

/* Index of the next value from *i on that names it, or nvalues. */
static int find_name(struct apply_work *w, const struct schema_attr *at, const struct attr *in,
		     struct span old_normal, unsigned *i)
{
	struct span name;
	struct buf b;
	int rc = RC_OK;

	buf_init(&b, UINT32_MAX);
	for (; *i < in->nvalues; ++*i) {
		name = in->values[*i];
		if (at->equality == SCHEMA_NORM_NAME_UID)
			name = dn_of_name_uid(name);
		if (schema_dn_differs(old_normal, name))
			continue;
		buf_clear(&b);
		rc = schema_normalize(w->x->schema, SCHEMA_NORM_DN, name, &b);
		if (rc == RC_OK && span_eq(buf_span(&b), old_normal))
			break;
		if (rc != RC_OK && rc != RC_INVALID)
			break;
		rc = RC_OK;
	}
	buf_fini(&b);
	return rc;
}

/* One value, which is there already under its new name, goes. */
static int mend_value(struct apply_work *w, const struct schema_attr *at, struct attr *in,
		      unsigned i, const struct span *new_name)
{
	struct span value;
	unsigned same;
	int rc;

	if (new_name == NULL)
		return apply_remove(w, in, i);
	rc = renamed(w, at, in->values[i], *new_name, &value);
	if (rc == RC_OK)
		rc = apply_match(w, at, in, value, &same);
	if (rc != RC_OK)
		return rc;
	if (same < in->nvalues)
		return apply_remove(w, in, i);
	in->values[i] = value; /* decoded for this change alone */
	return RC_OK;
}

/* The same of values that are stored apart, of which those that name it are looked up. */
static int mend_apart(struct apply_work *w, const struct schema_attr *at, struct attr *in,
		      struct span old_normal, const struct span *new_name, unsigned *found)
{
	struct apply_found here = {.is_there = false}, same;
	struct span value;
	struct attr one = {.type = in->type, .values = &value, .nvalues = 1};
	int rc;

	while ((rc = apply_find_named(w, at, in, old_normal, &here)) == RC_OK) {
		++*found;
		if (new_name != NULL)
			rc = renamed(w, at, here.value, *new_name, &value);
		if (rc == RC_OK)
			rc = apply_take_away(w, in, &here);
		if (rc == RC_OK && new_name != NULL)
			rc = apply_find_value(w, at, in, value, &same);
		if (rc == RC_OK && new_name != NULL && !same.is_there)
			rc = apply_append_found(w, at, in, &one);
		if (rc != RC_OK)
			return rc;
	}
	return rc == RC_DONE ? RC_OK : rc;
}

int apply_mend(const struct apply_context *x, const struct entry *old, const struct change *c,
	       const struct schema_attr *at, struct span old_normal, const struct span *new_name,
	       struct apply_entry *out, struct result *why)
{
	const char *structural = NULL;
	struct dn_rdn rdn;
	struct apply_work w;
	unsigned i, k, found = 0;
	int rc = apply_work_open(&w, x, old, 2, why);

	if (rc == RC_OK)
		rc = apply_parse_rdn(&w, old->head.rdn, &rdn);
	for (k = 0; rc == RC_OK && k < w.n; k++) {
		if (schema_attr(x->schema, w.attrs[k].type) != at)
			continue;
		if (w.attrs[k].apart != NULL) {
			rc = mend_apart(&w, at, &w.attrs[k], old_normal, new_name, &found);
			continue;
		}
		for (i = 0; (rc = find_name(&w, at, &w.attrs[k], old_normal, &i)) == RC_OK &&
			    i < w.attrs[k].nvalues;) {
			found++;
			rc = mend_value(&w, at, &w.attrs[k], i, new_name);
			if (rc != RC_OK)
				break;
		}
	}
	if (rc == RC_OK && found == 0)
		return RC_NOTFOUND;
	if (rc == RC_OK)
		rc = apply_check(&w, &rdn, &structural);
	if (rc == RC_OK)
		rc = apply_touch(&w, c);
	return rc == RC_OK ? apply_finish(&w, out) : rc;
}

/* --- many names at once --- */

struct mended {
	struct span normal; /* empty for a value that names nothing */
	unsigned i;
	bool is_new; /* it has been given this name */
};

static int by_normal(const void *a, const void *b)
{
	const struct mended *x = a, *y = b;
	int c = span_cmp(x->normal, y->normal);

	return c != 0 ? c : (x->is_new > y->is_new) - (x->is_new < y->is_new);
}

static int normal_of(struct apply_work *w, const struct schema_attr *at, struct span value,
		     struct span *out)
{
	struct buf b;
	int rc;

	buf_init(&b, UINT32_MAX);
	rc = schema_normalize(w->x->schema, at->equality, value, &b);
	*out = (struct span){NULL, 0};
	if (rc == RC_OK) {
		*out = arena_span(w->x->arena, buf_span(&b));
		rc = out->p != NULL ? RC_OK : RC_NOMEM;
	}
	buf_fini(&b);
	return rc == RC_INVALID ? RC_OK : rc;
}

/* What now says the same as a value that was there goes, as with one name. */
static void drop_twins(struct attr *in, struct mended *all)
{
	unsigned i, kept = 0, n = in->nvalues;
	bool *gone = (bool *)(all + n);

	qsort(all, n, sizeof(*all), by_normal);
	for (i = 1; i < n; i++)
		gone[all[i].i] = all[i].normal.n != 0 && span_eq(all[i].normal, all[i - 1].normal);
	for (i = 0; i < n; i++) {
		if (!gone[i])
			in->values[kept++] = in->values[i];
	}
	in->nvalues = kept;
}

static int mend_values(struct apply_work *w, const struct schema_attr *at, struct attr *in,
		       const struct apply_moves *moves, unsigned *found)
{
	struct mended *all =
		arena_zalloc(w->x->arena, in->nvalues + 1u, sizeof(*all) + sizeof(bool));
	const struct span *now;
	struct span name;
	unsigned i, n = 0;
	int rc = all != NULL ? RC_OK : RC_NOMEM;

	for (i = 0; rc == RC_OK && i < in->nvalues; i++) {
		all[i].i = i;
		rc = normal_of(w, at, in->values[i], &all[i].normal);
		name = at->equality == SCHEMA_NORM_NAME_UID ? dn_of_name_uid(all[i].normal)
							    : all[i].normal;
		now = rc == RC_OK ? moves->now(moves->ctx, name) : NULL;
		if (now == NULL)
			continue;
		n++;
		all[i].is_new = true;
		rc = renamed(w, at, in->values[i], *now, &in->values[i]);
		if (rc == RC_OK)
			rc = normal_of(w, at, in->values[i], &all[i].normal);
	}
	if (rc == RC_OK && n != 0)
		drop_twins(in, all);
	*found += n;
	return rc;
}

static bool is_reference(const struct schema *s, const struct schema_attr *at)
{
	const struct schema_attr *const *r = schema_references(s);

	while (*r != NULL && *r != at)
		r++;
	return at != NULL && *r == at;
}

int apply_mend_all(const struct apply_context *x, const struct entry *old, const struct change *c,
		   const struct apply_moves *moves, struct apply_entry *out, struct result *why)
{
	const struct schema_attr *at;
	const char *structural = NULL;
	struct dn_rdn rdn;
	struct apply_work w;
	unsigned k, found = 0;
	int rc = apply_work_open(&w, x, old, 2, why);

	if (rc == RC_OK)
		rc = apply_parse_rdn(&w, old->head.rdn, &rdn);
	for (k = 0; rc == RC_OK && k < w.n; k++) {
		at = schema_attr(x->schema, w.attrs[k].type);
		if (!is_reference(x->schema, at))
			continue;
		rc = apply_whole(&w, &w.attrs[k]);
		if (rc == RC_OK)
			rc = mend_values(&w, at, &w.attrs[k], moves, &found);
	}
	if (rc == RC_OK && found == 0)
		return RC_NOTFOUND;
	if (rc == RC_OK)
		rc = apply_check(&w, &rdn, &structural);
	if (rc == RC_OK)
		rc = apply_touch(&w, c);
	return rc == RC_OK ? apply_finish(&w, out) : rc;
}
