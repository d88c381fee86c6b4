/*
 * The state of one search, which outlives its operation between two pages (RFC 2696).
 */
#pragma once

#include "dird/eid_set.h"
#include "dird/op_sort.h"

struct op_list;
struct psearch;

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
	bool derefs;         /* aliases below the base are followed, not shown */
	/* What they name: entries with scope one, else the tops of subtrees. */
	struct eid_set places;
	uint64_t *place_list;
	unsigned nplaces;
	unsigned place_at; /* the next one to walk */
	enum op_subentries subentries;

	struct op_sort *sort; /* NULL: as found. In the arena of the first request */
	struct op_vlv *vlv;
	struct op_list *list; /* NULL: no view serves */
	uint64_t held;        /* the entry after those that could be sorted */

	uint64_t count;                   /* entries sent, of all pages */
	uint64_t size_limit, deadline_ms; /* 0: none */
	uint64_t looked, look_limit;      /* candidates; 0: no limit */

	struct psearch *psearch; /* NULL: the search ends */

	bool has_page_control;
	uint64_t page_size; /* 0: all at once */
	uint64_t page_count;
	bool page_is_full;

	struct op_sight *sight; /* good for one slice, as is what follows */
	struct buf dn_normal, value, scratch;
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
/** The answers are all sent, or there is a reason to stop: a result, or the persistent stage. */
void search_finish(struct op *op, enum ldap_result code, const char *text);
/** The result, in any case. */
void search_end(struct op *op, enum ldap_result code, const char *text);
void search_fail(struct op *op, int rc);
/** Append one SearchResultEntry message; `out` is sent when it has grown large. */
int search_send_entry(struct op *op, struct op_sight *v, uint64_t eid, const struct entry *e,
		      struct span dn, struct buf *out) WARN_UNUSED;
/** Send what has gathered and empty `out`. */
int search_flush(struct op *op, struct buf *out) WARN_UNUSED;

/** Is the entry in the scope, or in what aliases have added to it? */
bool search_covers(const struct search *s, struct store_txn *t, uint64_t eid,
		   const struct entry *e);

/** Is the entry to be shown: in scope, not hidden, matched by the filter? */
int search_matches(struct op *op, struct store_txn *t, uint64_t eid, const struct entry *e,
		   struct op_view *view, bool *out) WARN_UNUSED;

/* --- op_alias.c --- */

/** derefAliases */
#define OP_DEREF_SEARCHING 1
#define OP_DEREF_FINDING 2
#define OP_DEREF_ALWAYS 3

/**
 * Add to the scope what aliases in it name, and the aliases below that; each place once.
 * aliases: the index range of class alias. RC_REFUSED: 11 in op->result; else the store's error.
 */
int search_follow_aliases(struct op *op, struct search *s, struct store_txn *t,
			  const struct index_range *aliases) WARN_UNUSED;

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
