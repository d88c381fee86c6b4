/*
 * Which index answers a filter: candidates as a union of ranges of the value index.
 *
 * Every candidate is verified by filter_match(), so a plan may only be too wide. Pure: sizes come
 * from a table of functions.
 */
#pragma once

#include "dird/filter.h"

/** A part that a value of a type contains, or begins with (GRAM_BEGIN in front, gram.h). */
struct index_part {
	uint32_t attr;    /* schema_attr.hash */
	uint32_t accents; /* schema_attr.accents_hash, to look there, too; or 0 */
	struct span part;
};

#define INDEX_PARTS_MAX 16

/** One stretch of the ordered value index, of one attribute type. */
struct index_range {
	uint32_t attr; /* schema_attr.hash, or .accents_hash */
	enum index_kind {
		INDEX_EQUAL,  /* key equal to lo */
		INDEX_PREFIX, /* keys that begin with lo */
		INDEX_GE,     /* lo and above */
		INDEX_LE,     /* up to and with lo */
		INDEX_ALL,    /* presence: every key of the type */
		INDEX_PART,   /* keys that contain lo, and some others */
		INDEX_NAMED,  /* the entries that entry `lo` (a DN) names in attribute `type` */
	} kind;
	struct span lo;
	struct span type; /* INDEX_NAMED */
	/* INDEX_PART: if there are any, then instead of lo all of them, the first one of `attr`;
	 * at most INDEX_PARTS_MAX */
	struct index_part *parts;
	unsigned nparts;
};

struct plan {
	enum plan_kind {
		PLAN_NOTHING, /* no entry can match */
		PLAN_SCOPE,   /* no index helps: walk the scope */
		PLAN_RANGES,  /* union of ranges; an entry may come twice */
	} kind;
	struct index_range *ranges;
	unsigned nranges;
	uint64_t estimate_entries;
};

/** How the planner asks about sizes. */
struct plan_stats {
	/** Entries in a range, counted up to `limit`. */
	uint64_t (*count)(void *ctx, const struct index_range *r, uint64_t limit);
	void *ctx;
	uint64_t scope_entries; /* upper estimate of the entries in the search scope */
};

/** Ownership: in the arena. RC_NOMEM is the only error. */
int plan_make(const struct filter *f, const struct plan_stats *stats, struct arena *a,
	      struct plan *out) WARN_UNUSED;
