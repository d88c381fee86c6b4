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

/**
 * The same, but direct routes by MX to the domains of `holds` (NULL: none) keep to the chain.
 * Appends to `wanted` a struct span for each domain that has such a route or would have it without
 * the holds; they belong to the table.
 */
int compute_table_held(const struct model *m, struct span site, const struct holds *holds,
		       struct buf *wanted, struct table **out) WARN_UNUSED;
