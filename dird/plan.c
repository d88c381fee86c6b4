#include "dird/plan.h"

/*
 * Sizes are counted only as far as the decision needs: all ranges up to a limit, which grows until
 * the chosen ones end below it. COUNTED_MAX bounds the work of one plan whatever the filter is.
 */
#define LIMIT_FIRST 128
#define LIMIT_FACTOR 8
#define LIMIT_MAX 16384
#define COUNTED_MAX 65536

/*
 * Of the keys of a range hardly any contain a part of this length (a character of Han, three
 * letters), and to pass over a key costs less than this share of looking into an entry.
 */
#define PART_BYTES 3
#define PART_SHARE 16

/* A union of more ranges than this is dearer to open than the scope is to walk in practice. */
#define RANGES_MAX 4096

struct planner {
	const struct plan_stats *stats;
	struct arena *a;
	uint64_t limit;   /* of this round */
	uint64_t counted; /* entries and calls so far, all rounds */
};

/* A plan, and whether its estimate stopped at the limit. */
struct choice {
	struct plan plan;
	bool saturated;
};

static struct choice scope(const struct planner *p)
{
	return (struct choice){
		.plan = {.kind = PLAN_SCOPE, .estimate_entries = p->stats->scope_entries}};
}

static struct choice nothing(void)
{
	return (struct choice){.plan = {.kind = PLAN_NOTHING}};
}

/* Is the type indexed, in the form the item compares in? For all rows, in whatever form. */
static bool is_indexed(const struct filter *f, enum index_kind kind, const struct schema_attr *at)
{
	if (kind == INDEX_ALL)
		return at->is_indexed;
	if (f->norm == SCHEMA_NORM_ACCENTS)
		return at->accents_hash != 0;
	return at->is_indexed && at->equality == f->norm;
}

/* Then of every subtype, too; their number is *n. */
static bool all_indexed(const struct filter *f, enum index_kind kind, unsigned *n)
{
	for (*n = 0; f->types[*n] != NULL; ++*n) {
		if (!is_indexed(f, kind, f->types[*n]))
			return false;
	}
	return true;
}

static uint64_t count(struct planner *p, const struct index_range *r)
{
	uint64_t n;

	if (p->counted >= COUNTED_MAX)
		return p->limit;
	n = p->stats->count(p->stats->ctx, r, p->limit);
	p->counted += n + 1;
	return n;
}

static void add_range(struct planner *p, struct index_range r, struct choice *out)
{
	uint64_t entries = count(p, &r);

	if (entries == 0)
		return;
	out->plan.ranges[out->plan.nranges++] = r;
	out->plan.estimate_entries += r.part.n >= PART_BYTES ? entries / PART_SHARE + 1 : entries;
	out->saturated = out->saturated || entries >= p->limit;
}

/* What every key of a match contains, if keys have the form that the item compares in. */
static struct span longest_part(const struct filter *f)
{
	struct span longest = f->final;
	unsigned i;

	for (i = 0; i < f->nany; i++) {
		if (f->any[i].n > longest.n)
			longest = f->any[i];
	}
	if (f->match != FILTER_SUBSTR || f->spaced || !all_indexed(f, INDEX_EQUAL, &i))
		return (struct span){NULL, 0};
	return longest;
}

/*
 * One range for each subtype, all of the same kind and bound. A value without accents is in the
 * first run, one with accents is in both (apply_keys()), so the first will do where every value
 * is wanted.
 */
static int type_ranges(struct planner *p, const struct filter *f, enum index_kind kind,
		       struct span lo, struct choice *out)
{
	struct index_range r = {.kind = kind, .lo = lo};
	bool both = f->norm == SCHEMA_NORM_ACCENTS;
	unsigned i, n;

	if (kind == INDEX_ALL) {
		r.part = longest_part(f);
		both = both && r.part.n != 0;
	}

	*out = scope(p);
	if (!all_indexed(f, kind, &n))
		return RC_OK;
	*out = (struct choice){.plan = {.kind = PLAN_RANGES}};
	out->plan.ranges = arena_zalloc(p->a, both ? 2 * n : n, sizeof(*out->plan.ranges));
	if (out->plan.ranges == NULL)
		return RC_NOMEM;
	for (i = 0; i < n; i++) {
		r.attr = f->types[i]->hash;
		add_range(p, r, out);
		r.attr = f->types[i]->accents_hash;
		if (both)
			add_range(p, r, out);
	}
	if (out->plan.nranges == 0)
		*out = nothing();
	return RC_OK;
}

/* memberOf is computed: its entries are those that the list names. */
static int member_of_plan(struct planner *p, const struct filter *f, struct choice *out)
{
	static const char *const types[] = {"member", "uniqueMember"};
	struct index_range r = {.kind = INDEX_NAMED, .lo = f->value};
	unsigned i;

	*out = (struct choice){.plan = {.kind = PLAN_RANGES}};
	out->plan.ranges = arena_zalloc(p->a, 2, sizeof(*out->plan.ranges));
	if (out->plan.ranges == NULL)
		return RC_NOMEM;
	for (i = 0; i < 2; i++) {
		r.type = span_of(types[i]);
		r.attr = entry_type_hash(r.type);
		add_range(p, r, out);
	}
	if (out->plan.nranges == 0)
		*out = nothing();
	return RC_OK;
}

static int item_plan(struct planner *p, const struct filter *f, struct choice *out)
{
	const struct span none = {NULL, 0};

	*out = scope(p);
	if (f->at == NULL || f->dn_attrs)
		return RC_OK;
	switch (f->match) {
	case FILTER_EQUAL:
		if (f->norm == SCHEMA_NORM_DN && strcmp(f->at->name, "memberOf") == 0)
			return member_of_plan(p, f, out);
		return type_ranges(p, f, INDEX_EQUAL, f->value, out);
	case FILTER_GE:
		return type_ranges(p, f, INDEX_GE, f->value, out);
	case FILTER_LE:
	case FILTER_AND: /* less than */
		return type_ranges(p, f, INDEX_LE, f->value, out);
	case FILTER_PRESENT:
	case FILTER_APPROX:
		return type_ranges(p, f, INDEX_ALL, none, out);
	case FILTER_SUBSTR:
		if (f->prefix.n != 0)
			return type_ranges(p, f, INDEX_PREFIX, f->prefix, out);
		return type_ranges(p, f, INDEX_ALL, none, out);
	case FILTER_OR:
	case FILTER_NOT:
	case FILTER_EXTENSIBLE:
	case FILTER_UNDEFINED:
		break;
	}
	return RC_OK;
}

static int make(struct planner *p, const struct filter *f, struct choice *out);

/* An entry must be in the answer of every child: the cheapest one will do. */
static int and_plan(struct planner *p, const struct filter *f, struct choice *out)
{
	struct choice sub;
	unsigned i;
	int rc;

	*out = scope(p);
	for (i = 0; i < f->nsubs && out->plan.kind != PLAN_NOTHING; i++) {
		rc = make(p, f->subs[i], &sub);
		if (rc != RC_OK)
			return rc;
		if (sub.plan.kind == PLAN_NOTHING ||
		    (sub.plan.kind == PLAN_RANGES &&
		     sub.plan.estimate_entries < out->plan.estimate_entries))
			*out = sub;
	}
	return RC_OK;
}

static int append_ranges(struct planner *p, struct plan *to, const struct plan *from,
			 unsigned *room)
{
	unsigned need = to->nranges + from->nranges;
	struct index_range *ranges;

	if (need > *room) {
		ranges = arena_zalloc(p->a, 2 * (size_t)need, sizeof(*ranges));
		if (ranges == NULL)
			return RC_NOMEM;
		if (to->nranges != 0)
			memcpy(ranges, to->ranges, to->nranges * sizeof(*ranges));
		to->ranges = ranges;
		*room = 2 * need;
	}
	memcpy(to->ranges + to->nranges, from->ranges, from->nranges * sizeof(*from->ranges));
	to->nranges = need;
	to->estimate_entries += from->estimate_entries;
	return RC_OK;
}

/* Every child must be answered by indexes, or none helps. */
static int or_plan(struct planner *p, const struct filter *f, struct choice *out)
{
	struct choice sub, all = {.plan = {.kind = PLAN_RANGES}};
	unsigned i, room = 0;
	int rc;

	for (i = 0; i < f->nsubs; i++) {
		rc = make(p, f->subs[i], &sub);
		if (rc != RC_OK)
			return rc;
		if (sub.plan.kind == PLAN_NOTHING)
			continue;
		*out = scope(p);
		if (sub.plan.kind == PLAN_SCOPE || all.plan.nranges + sub.plan.nranges > RANGES_MAX)
			return RC_OK;
		rc = append_ranges(p, &all.plan, &sub.plan, &room);
		if (rc != RC_OK)
			return rc;
		all.saturated = all.saturated || sub.saturated;
		if (all.plan.estimate_entries > p->stats->scope_entries)
			return RC_OK;
	}
	*out = all.plan.nranges != 0 ? all : nothing();
	return RC_OK;
}

static int make(struct planner *p, const struct filter *f, struct choice *out)
{
	switch (f->kind) {
	case FILTER_AND:
		return and_plan(p, f, out);
	case FILTER_OR:
		return or_plan(p, f, out);
	case FILTER_NOT:
		*out = scope(p);
		return RC_OK;
	case FILTER_UNDEFINED:
		*out = nothing();
		return RC_OK;
	case FILTER_EQUAL:
	case FILTER_SUBSTR:
	case FILTER_GE:
	case FILTER_LE:
	case FILTER_PRESENT:
	case FILTER_APPROX:
	case FILTER_EXTENSIBLE:
		return item_plan(p, f, out);
	}
	*out = scope(p);
	return RC_OK;
}

int plan_make(const struct filter *f, const struct plan_stats *stats, struct arena *a,
	      struct plan *out)
{
	struct planner p = {.stats = stats, .a = a, .limit = LIMIT_FIRST};
	struct choice c;
	int rc;

	for (;;) {
		rc = make(&p, f, &c);
		if (rc != RC_OK)
			return rc;
		if (!c.saturated || p.limit >= LIMIT_MAX || p.limit >= stats->scope_entries ||
		    p.counted >= COUNTED_MAX)
			break;
		p.limit *= LIMIT_FACTOR;
	}
	if (c.plan.kind == PLAN_RANGES && c.plan.estimate_entries >= stats->scope_entries)
		c = scope(&p);
	*out = c.plan;
	return RC_OK;
}
