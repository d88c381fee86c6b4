/* By which index rows two contents of one entry differ, without normalizing what is the same. */
#include "dird/apply_int.h"

/* Values up to this length have a normal form that no index key cuts: each byte is three at most.
 */
#define UNCUT_VALUE_BYTES (APPLY_VALUE_MAX_BYTES / 3)

static bool same_value(struct span a, struct span b)
{
	return a.n == b.n && (a.p == b.p || span_eq(a, b));
}

static bool same_values(const struct attr *a, const struct attr *b)
{
	unsigned i;

	for (i = 0; i < a->nvalues && a->nvalues == b->nvalues; i++) {
		if (!same_value(a->values[i], b->values[i]))
			return false;
	}
	return a->nvalues == b->nvalues;
}

static const struct attr *counterpart(const struct attr_list *in, unsigned hint, struct span type)
{
	unsigned i;

	if (hint < in->n && same_value(in->attrs[hint].type, type))
		return &in->attrs[hint];
	for (i = 0; i < in->n; i++) {
		if (same_value(in->attrs[i].type, type))
			return &in->attrs[i];
	}
	return NULL;
}

struct side {
	const struct attr_list *all;
	const struct schema_attr **types; /* of `all`; NULL: has no rows */
	bool *differs;                    /* of `all` */
	struct attr_list part;            /* attributes to be looked at */
	const struct schema_attr **part_types;
};

static int side_init(struct side *s, const struct schema *schema, struct arena *a)
{
	unsigned i, n = s->all->n;

	s->types = arena_zalloc(a, n, sizeof(*s->types));
	s->part_types = arena_zalloc(a, n, sizeof(*s->part_types));
	s->differs = arena_zalloc(a, n, sizeof(*s->differs));
	s->part.attrs = arena_zalloc(a, n, sizeof(*s->part.attrs));
	if (s->types == NULL || s->part_types == NULL || s->differs == NULL ||
	    s->part.attrs == NULL)
		return RC_NOMEM;
	for (i = 0; i < n; i++) {
		s->types[i] = schema_attr(schema, s->all->attrs[i].type);
		if (s->types[i] != NULL && !s->types[i]->is_indexed)
			s->types[i] = NULL;
	}
	return RC_OK;
}

static void find_differing(struct side *s, const struct side *other)
{
	const struct attr *o;
	unsigned i;

	for (i = 0; i < s->all->n; i++) {
		if (s->types[i] == NULL)
			continue;
		o = counterpart(other->all, i, s->all->attrs[i].type);
		s->differs[i] = o == NULL || !same_values(&s->all->attrs[i], o);
	}
}

static bool has_differing(const struct side *s, const struct schema_attr *type)
{
	unsigned i;

	for (i = 0; i < s->all->n; i++) {
		if (s->differs[i] && s->types[i] == type)
			return true;
	}
	return false;
}

/* Descriptions of one type (cn, cn;lang-de) share rows: all of them, if one differs. */
static void take_differing(struct side *s, const struct side *other)
{
	unsigned i;

	for (i = 0; i < s->all->n; i++) {
		if (s->types[i] == NULL || (!s->differs[i] && !has_differing(s, s->types[i]) &&
					    !has_differing(other, s->types[i])))
			continue;
		s->part_types[s->part.n] = s->types[i];
		s->part.attrs[s->part.n++] = s->all->attrs[i];
	}
}

static struct attr *only_one(const struct side *s, const struct schema_attr *type)
{
	struct attr *found = NULL;
	unsigned i, n = 0;

	for (i = 0; i < s->part.n; i++) {
		if (s->part_types[i] == type) {
			found = &s->part.attrs[i];
			n++;
		}
	}
	return n == 1 ? found : NULL;
}

static bool has_long_value(const struct attr *at)
{
	unsigned i;

	for (i = 0; i < at->nvalues; i++) {
		if (at->values[i].n > UNCUT_VALUE_BYTES)
			return true;
	}
	return false;
}

/* What stands at both ends of both lists of names is the same, and has the same rows. */
static void trim(struct attr *a, struct attr *b)
{
	unsigned n = a->nvalues < b->nvalues ? a->nvalues : b->nvalues, i = 0;

	while (i < n && same_value(a->values[i], b->values[i]))
		i++;
	a->values += i, a->nvalues -= i;
	b->values += i, b->nvalues -= i;
	for (n -= i; n != 0 && same_value(a->values[a->nvalues - 1], b->values[b->nvalues - 1]);
	     n--)
		a->nvalues--, b->nvalues--;
}

static void trim_names(struct side *from, struct side *to)
{
	struct attr *a, *b;
	unsigned i;

	for (i = 0; i < from->part.n; i++) {
		if (!from->part_types[i]->names_entries)
			continue;
		a = only_one(from, from->part_types[i]);
		b = only_one(to, from->part_types[i]);
		if (a != NULL && b != NULL && !has_long_value(a) && !has_long_value(b))
			trim(a, b);
	}
}

int apply_differences(const struct schema *s, const struct attr_list *from,
		      const struct attr_list *to, struct arena *a,
		      void (*fn)(void *ctx, const struct apply_key *key, bool is_new), void *ctx)
{
	struct side old = {.all = from}, new = {.all = to};
	struct apply_keys had, has;
	int rc = side_init(&old, s, a);

	if (rc == RC_OK)
		rc = side_init(&new, s, a);
	if (rc != RC_OK)
		return rc;
	find_differing(&old, &new);
	find_differing(&new, &old);
	take_differing(&old, &new);
	take_differing(&new, &old);
	trim_names(&old, &new);
	rc = apply_keys(s, &old.part, a, &had);
	if (rc == RC_OK)
		rc = apply_keys(s, &new.part, a, &has);
	if (rc == RC_OK)
		apply_delta(&had, &has, fn, ctx);
	return rc;
}
