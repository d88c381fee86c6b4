/*
 * Searches that a view answers (view_set.h): lists of the address book, in order, by position, with
 * no scan and no sorting. A view serves
 *
 *   - a search whose base, scope, filter and sort keys are those of the view, or whose filter is
 *     one of those that views count: it goes along the rows, and knows positions;
 *   - a sorted search whose filter fits too many entries for sorting: along the rows of a view of
 *     the whole address list, looking at each entry;
 *   - a search below an addressBookView: the view's entries are what is below it.
 */
#pragma once

#include "dird/op_search.h"

/** One use of a view; the search's. Its place is kept between slices. */
struct op_list;

/**
 * Look for a view. *out stays NULL when none serves. For a base that is a view which is not ready
 * base, scope and filter of the search become what the definition says.
 * RC_DONE: there is nothing to find.
 */
int list_choose(struct op *op, struct store_txn *t, struct search *s) WARN_UNUSED;

/**
 * There turned out to be too much to sort: s->list becomes a view of everything in the order asked
 * for, of whatever base above that of the search, to go along with each entry looked at.
 * RC_NOTFOUND: there is none.
 */
int list_choose_late(struct op *op, struct store_txn *t, struct search *s) WARN_UNUSED;

/** Is the list only to be used when there is too much to sort? */
bool list_is_second_choice(const struct op_list *l);
/** Is it better than sorting what a plan has, `estimate` entries? If not, it is dropped. */
bool list_is_better(struct search *s, uint64_t estimate);

/** Are all rows known to match? Else each entry is to be looked at. */
bool list_is_exact(const struct op_list *l);

/** The next entry number; the first call fills in the answer of the list view control. RC_DONE;
 * RC_BUSY: the view is no longer the same. */
int list_next(struct op *op, struct store_txn *t, struct search *s, uint64_t *eid_out) WARN_UNUSED;
void list_pause(struct op_list *l);
void list_free(struct op_list **l);
