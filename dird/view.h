/*
 * What a view of the address list is: which entries (base, scope, filter) in which order, and the
 * bytes by which its rows are sorted. Pure.
 *
 * A view counts its entries by kind: by the filters that clients send to fill a list, so that one
 * view answers them all. Each kind there is twice: with hidden entries, and without.
 */
#pragma once

#include "dird/filter.h"
#include "lib/dn.h"

#define VIEW_SORT_MAX 4
#define VIEW_FILTERS 12 /* that are counted; two kinds each */
#define VIEW_KINDS (2 * VIEW_FILTERS)
#define VIEW_KEY_MAX_BYTES 480

/** Kinds. Odd ones are what readers see from whom hidden entries are kept. */
#define VIEW_KIND_ALL 0
static inline unsigned view_kind(unsigned filter, bool sees_hidden)
{
	return 2 * filter + (sees_hidden ? 0 : 1);
}

/** A definition as it is written: attributes of an addressBookView. A NULL pointer: not given. */
struct view_text {
	struct span base, filter, scope, sort;
};

struct view_order {
	struct view_sort {
		const struct schema_attr *at;
		enum schema_norm norm;
	} keys[VIEW_SORT_MAX];
	unsigned n;
};

struct view {
	bool base_is_root; /* none was given */
	struct dn base;
	bool is_one_level;
	struct filter *filter;
	struct span same; /* filter_same() */
	struct view_order order;
};

/**
 * Read a definition. Defaults: the root, sub, people and other recipients, displayName.
 * Ownership: in the arena. Errors   RC_INVALID with *why, a sentence naming the attribute;
 * RC_NOMEM.
 */
int view_read(const struct schema *s, const struct view_text *text, struct arena *a,
	      struct view *out, const char **why) WARN_UNUSED;

/**
 * Append an entry's sort key. Keys compare by bytes; none is the beginning of another.
 * Shape:   for each sort type 01, the least value's normal form with 00 as 00 ff and cut, 00 00;
 *          or 02 if the entry has no value.
 */
int view_key(const struct schema *s, const struct view_order *o, const struct entry *e,
	     struct buf *out) WARN_UNUSED;

/**
 * Append where a value stands in the order of the first sort type: keys of entries with that value,
 * or a higher one, are not below it. With `behind` keys with that value are below it, too.
 * RC_INVALID: it is no value of that type.
 */
int view_key_of(const struct schema *s, const struct view_order *o, struct span value, bool behind,
		struct buf *out) WARN_UNUSED;

/** Do both have the same values of the sort types, so that their keys are the same? */
bool view_same_key(const struct schema *s, const struct view_order *o, const struct entry *a,
		   const struct entry *b);

/** The filters that are counted. */
struct view_kinds {
	struct filter *filters[VIEW_FILTERS];
	struct span same[VIEW_FILTERS];
};

/** Ownership: in the arena. */
int view_kinds_make(const struct schema *s, struct arena *a, struct view_kinds *out) WARN_UNUSED;
/** The kinds of an entry, a bit each. is_hidden: by itself or by an entry above it. */
uint32_t view_kinds_of(const struct view_kinds *k, const struct schema *s, const struct entry *e,
		       bool is_hidden, struct buf *scratch);
/** Which counted filter has this filter_same() form? -1: none. */
int view_kinds_find(const struct view_kinds *k, struct span same);

/** Is this an entry that lists show at all: neither a referral nor a subentry. */
bool view_may_show(const struct entry *e);
/** Is it a definition? */
bool view_is_definition(const struct entry *e);
