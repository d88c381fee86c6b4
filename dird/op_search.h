/*
 * The state of one search, which outlives its operation between two pages (RFC 2696).
 */
#pragma once

#include "dird/op_sort.h"

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
	bool has_subentries; /* some entry is one */
	enum op_subentries subentries;

	struct op_sort *sort; /* NULL: as found. In the arena of the first request */
	struct op_vlv *vlv;
	uint64_t held; /* the entry after those that could be sorted */

	uint64_t count;                   /* entries sent, of all pages */
	uint64_t size_limit, deadline_ms; /* 0: none */

	bool has_page_control;
	uint64_t page_size; /* 0: all at once */
	uint64_t page_count;
	bool page_is_full;

	uint64_t parent; /* whose DN is in parent_dn; good for one slice */
	struct buf parent_dn, dn_normal, value, scratch;
};

/* --- op_search_run.c: candidates, slices, the end --- */

struct search *search_new(void);
void search_free(struct search **s);

static inline struct search *search_of(struct op *op)
{
	return op->state;
}

/** The next slice; the operation's resume(). */
void search_go_on(struct op *op);
/** The operation's cancel(). */
void search_cancel(struct op *op);
void search_finish(struct op *op, enum ldap_result code, const char *text);
void search_fail(struct op *op, int rc);
/** Append one SearchResultEntry message; `out` is sent when it has grown large. */
int search_send_entry(struct op *op, struct store_txn *t, uint64_t eid, const struct entry *e,
		      struct span dn, struct buf *out) WARN_UNUSED;
/** Send what has gathered and empty `out`. */
int search_flush(struct op *op, struct buf *out) WARN_UNUSED;

/* --- op_search.c --- */

/** Go on with a search that waited for its next page. */
void search_begin_page(struct op *op, struct search *s);

/* --- op_paged.c --- */

/**
 * Look at the paged results control.
 * Returns  false: the operation was answered or goes on with a kept search. true: start a search;
 *          *out is one with its page size set, or NULL when no paging is asked for.
 */
bool op_paged_begin(struct op *op, struct search **out);
/** The page is done: write the response control's value; keep *s (and clear it) if more is left. */
void op_paged_finish(struct op *op, struct search **s, struct buf *value);
