/* What update_view.c and update_viewdef.c share. Nobody else's. */
#pragma once

#include "dird/update_int.h"
#include "dird/view_set.h"

/** An entry, and what several views want to know of it. */
struct view_facts {
	struct update *u;
	const struct view_set *set;
	uint64_t eid, root;
	const struct entry *e; /* NULL: it is gone */
	bool is_placed;        /* not in limbo */
	bool may_show, is_hidden, has_mask;
	uint32_t mask;
	struct buf scratch, key, old_key;
};

void view_facts_init(struct view_facts *f, struct update *u, const struct view_set *set,
		     uint64_t eid, const struct entry *e);
void view_facts_fini(struct view_facts *f);
/** Does the entry belong to the view? */
bool view_facts_member(struct view_facts *f, const struct view_def *d);
/** Its kinds, as store_view_put() takes them. */
uint32_t view_facts_mask(struct view_facts *f);

/** Bring one entry's row of one view up to date; `record` does not lie in the map. */
int update_view_entry(struct update *u, const struct view_set *set, const struct view_def *d,
		      uint64_t eid, struct span record) WARN_UNUSED;

/** All entries are to be looked at again, for the views that are marked; what is there stays in
 * place. */
int update_views_again(struct store_txn *t, const struct update_context *ctx,
		       const struct view_set *set, const bool *marked) WARN_UNUSED;

/** The view has all its rows. */
int update_view_ready(struct store_txn *t, const struct update_context *ctx,
		      const struct view_def *d) WARN_UNUSED;
