/*
 * The routes of one site, as a pure function of the model (R1-R11 of docs/routing.md).
 *
 * One shortest-path run per message class over the link state of all sites, from the local site.
 * Equal least-cost candidates are carried along the run, so a target's candidates cost what it
 * takes to write them down, also at a hub with 10,000 first hops.
 */
#pragma once

#include "routed/model.h"
#include "routed/table.h"

/**
 * The table of `site` (a name, any case). The same model gives the same table, byte for byte,
 * whatever order its entries came in.
 *
 * Needs    model_commit() after the last change.
 * Returns  RC_OK and a new table, to be freed with table_free(). RC_NOTFOUND: no object has that
 *          site name. RC_TOOBIG: more than 16 million equal least-cost candidates. RC_NOMEM.
 */
int compute_table(const struct model *m, struct span site, struct table **out) WARN_UNUSED;

struct holds;

struct effect;

/** What compute_table_more() takes and gives beside the table; all may be NULL. */
struct compute_more {
	const struct holds *holds; /* direct routes by MX to these domains keep to the chain */
	/* With holds: a struct span is appended for each domain that has such a route or would have
	 * it without them. They belong to the table. */
	struct buf *wanted;
	struct effect *effect; /* filled for effect_none(); what was in it is freed */
};

/** The same, with more. */
int compute_table_more(const struct model *m, struct span site, const struct compute_more *more,
		       struct table **out) WARN_UNUSED;

/**
 * All candidates of one target, also those that routing does not take while there are cheaper ones:
 * a table with their rows alone, in the order in which they would be tried (docs/routing.md
 * "Paths"). Computed when somebody asks: a run over the whole organisation for one target.
 *
 * `type` and `target` are those of a row: "EX" and a site's name, or an address space.
 * Returns  RC_OK; RC_NOTFOUND: no site `site`, or no target of that name. RC_TOOBIG, RC_NOMEM.
 */
int compute_candidates(const struct model *m, struct span site, enum table_class cls,
		       struct span type, struct span target, const struct holds *holds,
		       struct table **out) WARN_UNUSED;
