#include "dird/plan.h"

#include "dird/gram.h"

/*
 * Sizes are counted only as far as the decision needs: up to a limit, which grows where an AND has
 * to choose between ranges that reach it. A range that reaches it is taken for a share of all
 * entries. COUNTED_MAX bounds the work of one plan whatever the filter is.
 */
#define LIMIT_FIRST 32
#define LIMIT_SMALL_SCOPE 256 /* there every entry of the scope is worth counting */
#define LIMIT_FACTOR 8
#define LIMIT_MAX 16384
#define COUNTED_MAX 65536
#define COUNT_AT_ONCE 16
#define NAMED_MAX 1024 /* members of a group are counted fast */
/* So many candidates are dearer than to look for another part in all blocks. */
#define JOIN_FROM(entries) (4 + (entries) / (2 * GRAM_BLOCK_ENTRIES))
#define SHARE_PREFIX 16
#define SHARE_OTHER 2

/* A union of more ranges than this is dearer to open than the scope is to walk in practice. */
#define RANGES_MAX 4096

struct planner {
	const struct plan_stats *stats;
	struct arena *a;
	uint64_t limit;   /* of this round */
	uint64_t counted; /* entries and calls so far, all rounds */
};

struct choice {
	struct plan plan;
	bool is_guess; /* the estimate: counting stopped at the limit */
	bool is_open;  /* to count further could make another choice */
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
	if (kind == INDEX_PART && at->substr == SCHEMA_NORM_NONE)
		return false;
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

/* How many entries; is_guess if there are more than were counted. Keys of one value and parts are
 * told at once. */
static uint64_t estimate(struct planner *p, const struct index_range *r, bool *is_guess)
{
	bool is_exact = r->kind == INDEX_EQUAL || r->kind == INDEX_PART;
	uint64_t limit = is_exact ? UINT64_MAX : p->limit, n, share;

	if (r->kind == INDEX_NAMED && limit < NAMED_MAX)
		limit = NAMED_MAX;
	n = limit;
	if (p->counted < COUNTED_MAX) {
		n = p->stats->count(p->stats->ctx, r, limit);
		p->counted += is_exact ? COUNT_AT_ONCE : n + 1;
	}
	*is_guess = n >= limit;
	if (!*is_guess)
		return n;
	share = p->stats->scope_entries / (r->kind == INDEX_PREFIX ? SHARE_PREFIX : SHARE_OTHER);
	return share > n ? share : n;
}

static void add_range(struct planner *p, struct index_range r, struct choice *out)
{
	bool is_guess;
	uint64_t entries = estimate(p, &r, &is_guess);

	if (entries == 0)
		return;
	out->plan.ranges[out->plan.nranges++] = r;
	out->plan.estimate_entries += entries;
	out->is_guess = out->is_guess || is_guess;
}

/* What every key of a match contains, if there is an n-gram index of keys in the form that the item
 * compares in. */
static struct span longest_part(const struct filter *f)
{
	struct span longest = f->final;
	unsigned i;

	for (i = 0; i < f->nany; i++) {
		if (f->any[i].n > longest.n)
			longest = f->any[i];
	}
	if (f->spaced || !all_indexed(f, INDEX_PART, &i))
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
	bool both = f->norm == SCHEMA_NORM_ACCENTS && kind != INDEX_ALL;
	unsigned i, n;

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
	struct span part;

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
		if (span_eq_nocase(span_of(f->at->name), SPAN_LIT("objectClass")))
			return RC_OK; /* every entry has one */
		return type_ranges(p, f, INDEX_ALL, none, out);
	case FILTER_APPROX:
		return type_ranges(p, f, INDEX_ALL, none, out);
	case FILTER_SUBSTR:
		if (f->prefix.n != 0)
			return type_ranges(p, f, INDEX_PREFIX, f->prefix, out);
		part = longest_part(f);
		return type_ranges(p, f, part.n != 0 ? INDEX_PART : INDEX_ALL, part, out);
	case FILTER_OR:
	case FILTER_NOT:
	case FILTER_EXTENSIBLE:
	case FILTER_UNDEFINED:
		break;
	}
	return RC_OK;
}

static int make(struct planner *p, const struct filter *f, struct choice *out);

/* --- parts that have to come together --- */

/* A part of one type that the item asks for; false: none that the n-gram index could tell. */
static bool part_of(struct planner *p, const struct filter *f, struct index_part *out)
{
	struct span part;
	uint8_t *bytes;
	unsigned n;

	if ((f->kind != FILTER_SUBSTR && f->kind != FILTER_EXTENSIBLE) ||
	    f->match != FILTER_SUBSTR || f->at == NULL || f->dn_attrs ||
	    !all_indexed(f, INDEX_PART, &n) || n != 1)
		return false;
	part = longest_part(f);
	if (f->prefix.n + 1 > part.n) {
		bytes = arena_alloc(p->a, f->prefix.n + 1);
		if (bytes == NULL)
			return false;
		bytes[0] = GRAM_BEGIN;
		if (f->prefix.n != 0)
			memcpy(bytes + 1, f->prefix.p, f->prefix.n);
		part = span_make(bytes, f->prefix.n + 1);
	}
	*out = (struct index_part){f->types[0]->hash, 0, part};
	if (f->norm == SCHEMA_NORM_ACCENTS)
		out->accents = f->types[0]->accents_hash;
	return true;
}

/* The longest part is likely to be in the fewest entries. */
static void put_longest_first(struct index_part *parts, unsigned last)
{
	struct index_part new = parts[last];

	if (new.part.n > parts[0].part.n) {
		parts[last] = parts[0];
		parts[0] = new;
	}
}

/* Children that ask for parts, as one range; nothing changes if they are not two or more. */
static int join_parts(struct planner *p, const struct filter *f, struct choice *out)
{
	struct index_range r = {.kind = INDEX_PART};
	struct choice joined = {.plan = {.kind = PLAN_RANGES}};
	unsigned i;

	r.parts = arena_zalloc(p->a, f->nsubs, sizeof(*r.parts));
	joined.plan.ranges = arena_zalloc(p->a, 1, sizeof(r));
	if (r.parts == NULL || joined.plan.ranges == NULL)
		return RC_NOMEM;
	for (i = 0; i < f->nsubs && r.nparts < INDEX_PARTS_MAX; i++) {
		if (!part_of(p, f->subs[i], &r.parts[r.nparts]))
			continue;
		put_longest_first(r.parts, r.nparts++);
	}
	if (r.nparts < 2)
		return RC_OK;
	r.attr = r.parts[0].attr;
	add_range(p, r, &joined);
	if (joined.plan.nranges != 0 && joined.plan.estimate_entries < out->plan.estimate_entries)
		*out = joined;
	return RC_OK;
}

/* An entry must be in the answer of every child: the cheapest one will do. */
static int and_plan(struct planner *p, const struct filter *f, struct choice *out)
{
	unsigned i, nguesses = 0;
	struct choice sub;
	int rc = RC_OK;

	*out = scope(p);
	for (i = 0; i < f->nsubs && out->plan.kind != PLAN_NOTHING; i++) {
		rc = make(p, f->subs[i], &sub);
		if (rc != RC_OK)
			return rc;
		nguesses += sub.is_guess;
		if (sub.plan.kind == PLAN_NOTHING ||
		    (sub.plan.kind == PLAN_RANGES &&
		     sub.plan.estimate_entries < out->plan.estimate_entries))
			*out = sub;
	}
	out->is_open = out->is_open || (out->is_guess && nguesses > 1);
	if (out->plan.kind != PLAN_NOTHING &&
	    out->plan.estimate_entries > JOIN_FROM(p->stats->scope_entries))
		rc = join_parts(p, f, out);
	return rc;
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
		all.is_guess = all.is_guess || sub.is_guess;
		all.is_open = all.is_open || sub.is_open;
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

	if (stats->scope_entries < LIMIT_SMALL_SCOPE)
		p.limit = stats->scope_entries + 1;

	for (;;) {
		rc = make(&p, f, &c);
		if (rc != RC_OK)
			return rc;
		if (!c.is_open || p.limit >= LIMIT_MAX || p.counted >= COUNTED_MAX)
			break;
		p.limit *= LIMIT_FACTOR;
	}
	if (c.plan.kind == PLAN_RANGES && c.plan.estimate_entries >= stats->scope_entries)
		c = scope(&p);
	*out = c.plan;
	return RC_OK;
}
