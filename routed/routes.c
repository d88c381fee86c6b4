#include "routed/routes.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const types[] = {
	"routeClass",   "routeType",      "routeTarget", "routeCost",   "routeHops", "routeMode",
	"routeNextHop", "routeConnector", "routePath",   "routeReason", NULL,
};

const char *routes_type(unsigned i)
{
	return types[i];
}

void routes_init(struct routes *r)
{
	*r = (struct routes){0};
	arena_init(&r->arena);
}

void routes_fini(struct routes *r)
{
	arena_fini(&r->arena);
	*r = (struct routes){0};
}

struct filler {
	struct arena *a;
	struct routes_entry *e;
	int rc;
};

/* An attribute with one value; an empty value is none. */
static void put_span(struct filler *f, const char *type, struct span value)
{
	struct routes_attr *attr = &f->e->attrs[f->e->nattrs];

	if (f->rc != RC_OK || value.n == 0)
		return;
	must(f->e->nattrs < ROUTES_ATTRS);
	attr->type = type;
	attr->nvalues = 1;
	attr->values = arena_zalloc(f->a, 1, sizeof(*attr->values));
	if (attr->values != NULL)
		attr->values[0] = arena_span(f->a, value);
	if (attr->values == NULL || attr->values[0].p == NULL)
		f->rc = RC_NOMEM;
	f->e->nattrs++;
}

static void put_number(struct filler *f, const char *type, uint32_t value)
{
	char digits[16];
	int n = snprintf(digits, sizeof(digits), "%u", value);

	if (value != TABLE_NONE)
		put_span(f, type, span_make(digits, (size_t)n));
}

/* Values of an attribute have no order in LDAP, so each step carries its number. */
static void put_path(struct filler *f, const struct table *t, const struct table_row *row)
{
	struct routes_attr *attr = &f->e->attrs[f->e->nattrs];
	unsigned n = 0;
	uint32_t step;
	unsigned i;

	for (step = row->step; step != TABLE_NONE; step = t->steps[step].parent)
		n++;
	if (f->rc != RC_OK || n == 0)
		return;
	must(f->e->nattrs < ROUTES_ATTRS);
	attr->type = "routePath";
	attr->nvalues = n;
	attr->values = arena_zalloc(f->a, n, sizeof(*attr->values));
	f->rc = attr->values != NULL ? RC_OK : RC_NOMEM;
	for (step = row->step, i = n; f->rc == RC_OK && i != 0; step = t->steps[step].parent) {
		struct span name = table_text(t, t->steps[step].name);
		char *text = arena_printf(f->a, "%u %.*s", i, SPAN_ARG(name));

		if (text == NULL)
			f->rc = RC_NOMEM;
		attr->values[--i] = span_of(text);
	}
	f->e->nattrs++;
}

static int fill(struct arena *a, const struct table *t, const struct table_row *row,
		unsigned number, struct routes_entry *e)
{
	struct filler f = {a, e, RC_OK};
	const char *cls = table_class_name((enum table_class)row->cls);
	char *name = arena_printf(a, "%s %.*s %.*s %u", cls, SPAN_ARG(table_text(t, row->type)),
				  SPAN_ARG(table_text(t, row->target)), number);

	if (name == NULL)
		return RC_NOMEM;
	e->name = span_of(name);
	put_span(&f, "routeClass", span_of(cls));
	put_span(&f, "routeType", table_text(t, row->type));
	put_span(&f, "routeTarget", table_text(t, row->target));
	put_number(&f, "routeCost", row->cost);
	put_number(&f, "routeHops", row->hops);
	put_span(&f, "routeMode", span_of(table_mode_name((enum table_mode)row->mode)));
	put_span(&f, "routeNextHop", table_text(t, row->nexthop));
	put_span(&f, "routeConnector", table_text(t, row->connector));
	put_path(&f, t, row);
	put_span(&f, "routeReason", span_of(table_reason_name((enum table_reason)row->reason)));
	return f.rc;
}

static bool same_target(const struct table_row *a, const struct table_row *b)
{
	return a->cls == b->cls && a->type == b->type && a->target == b->target;
}

int routes_of_table(const struct table *t, struct routes *out)
{
	unsigned number = 0;
	uint32_t i;
	int rc = RC_OK;

	routes_init(out);
	out->entries = arena_zalloc(&out->arena, t->nrows, sizeof(*out->entries));
	if (out->entries == NULL)
		return RC_NOMEM;
	for (i = 0; i < t->nrows && rc == RC_OK; i++) {
		number = i != 0 && same_target(&t->rows[i], &t->rows[i - 1]) ? number + 1 : 1;
		rc = fill(&out->arena, t, &t->rows[i], number, &out->entries[i]);
	}
	out->n = t->nrows;
	if (rc == RC_OK)
		routes_sort(out);
	return rc;
}

/* --- order and comparison --- */

static int by_value(const void *a, const void *b)
{
	return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

static unsigned type_index(const char *type)
{
	unsigned i = 0;

	while (types[i] != NULL && strcmp(types[i], type) != 0)
		i++;
	return i;
}

static int by_type(const void *a, const void *b)
{
	unsigned i = type_index(((const struct routes_attr *)a)->type);
	unsigned k = type_index(((const struct routes_attr *)b)->type);

	return (i > k) - (i < k);
}

static int by_name(const void *a, const void *b)
{
	return span_cmp(((const struct routes_entry *)a)->name,
			((const struct routes_entry *)b)->name);
}

void routes_sort(struct routes *r)
{
	size_t i;
	unsigned k;

	for (i = 0; i < r->n; i++) {
		struct routes_entry *e = &r->entries[i];

		for (k = 0; k < e->nattrs; k++)
			qsort(e->attrs[k].values, e->attrs[k].nvalues, sizeof(struct span),
			      by_value);
		qsort(e->attrs, e->nattrs, sizeof(e->attrs[0]), by_type);
	}
	if (r->n != 0)
		qsort(r->entries, r->n, sizeof(*r->entries), by_name);
}

bool routes_same(const struct routes_entry *a, const struct routes_entry *b)
{
	unsigned i;
	unsigned k;

	if (a->nattrs != b->nattrs)
		return false;
	for (i = 0; i < a->nattrs; i++) {
		const struct routes_attr *x = &a->attrs[i];
		const struct routes_attr *y = &b->attrs[i];

		if (strcmp(x->type, y->type) != 0 || x->nvalues != y->nvalues)
			return false;
		for (k = 0; k < x->nvalues; k++) {
			if (!span_eq(x->values[k], y->values[k]))
				return false;
		}
	}
	return true;
}

int routes_compare(struct arena *a, const struct routes *have, const struct routes *want,
		   struct routes_change **out, size_t *n)
{
	struct routes_change *list = arena_zalloc(a, have->n + want->n, sizeof(*list));
	size_t h = 0;
	size_t w = 0;

	*n = 0;
	*out = list;
	if (list == NULL)
		return RC_NOMEM;
	while (h < have->n || w < want->n) {
		int c = h == have->n   ? 1
			: w == want->n ? -1
				       : by_name(&have->entries[h], &want->entries[w]);

		if (c < 0) {
			list[(*n)++] = (struct routes_change){ROUTES_DELETE, &have->entries[h++]};
		} else if (c > 0) {
			list[(*n)++] = (struct routes_change){ROUTES_ADD, &want->entries[w++]};
		} else {
			if (!routes_same(&have->entries[h], &want->entries[w]))
				list[(*n)++] =
					(struct routes_change){ROUTES_MODIFY, &want->entries[w]};
			h++;
			w++;
		}
	}
	return RC_OK;
}
