/*
 * The state of one search, which outlives its operation between two pages (RFC 2696).
 */
#pragma once

#include "dird/op_impl.h"

/** Entry numbers; 0 is none. */
struct eid_set {
	uint64_t *at;
	size_t n, size; /* size: a power of two */
};

struct search {
	struct arena arena; /* of the first page's request, once that is answered */
	struct filter *filter;
	struct op_selection *selection;
	uint64_t base; /* entry number */
	enum store_scope scope;
	bool base_is_root;
	bool needs_dn;           /* a :dn: match */
	bool from_index;         /* candidates may lie outside of the scope */
	bool may_repeat;         /* candidates may come twice */
	struct store_iter *iter; /* NULL: no candidates */
	bool is_paused;
	struct eid_set seen;

	bool has_referrals; /* some entry of the database is one, and they are to be shown as such
			     */
	bool in_referrals;  /* second phase: only these */
	struct index_range referral_range;

	uint64_t count;                   /* entries sent, of all pages */
	uint64_t size_limit, deadline_ms; /* 0: none */

	bool has_page_control;
	uint64_t page_size; /* 0: all at once */
	uint64_t page_count;
	bool page_is_full;

	uint64_t parent; /* whose DN is in parent_dn; good for one slice */
	struct buf parent_dn, dn_normal, value, scratch;
};

struct search *search_new(void);
void search_free(struct search **s);
/** Go on with a search that waited for its next page. */
void search_begin_page(struct op *op, struct search *s);

/**
 * Look at the paged results control.
 * Returns  false: the operation was answered or goes on with a kept search. true: start a search;
 *          *out is one with its page size set, or NULL when no paging is asked for.
 */
bool op_paged_begin(struct op *op, struct search **out);
/** The page is done: write the response control's value; keep *s (and clear it) if more is left. */
void op_paged_finish(struct op *op, struct search **s, struct buf *value);
