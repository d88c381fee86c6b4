/*
 * Can a change of connected domains change the table of a site at all?
 *
 * Pure. Most links are on no least-cost path from here, so most changes of their costs change
 * nothing. The distances of the last computation tell: an edge u -> v of cost c, gone or new, takes
 * part in a least-cost path only if dist(u) + c <= dist(v). That costs what the change touches,
 * where a computation costs the whole organisation.
 */
#pragma once

#include "routed/graph.h"
#include "routed/model.h"

/** What a computation leaves behind. Zeroed memory: nothing is known. */
struct effect {
	uint32_t *dist[2]; /* of the runs; the second is NULL when both classes share one */
	uint32_t nnodes;
};

/** Keep the distances of a run: 0 or 1. RC_NOMEM. */
int effect_keep(struct effect *e, unsigned which, const struct graph_run *r) WARN_UNUSED;
void effect_fini(struct effect *e);

/**
 * What has changed in the model since model_pending_clear() leaves the table as it is: the one that
 * `e` comes from, computed with the model of that moment.
 * false is no promise that it differs.
 */
bool effect_none(const struct effect *e, const struct model *m);
