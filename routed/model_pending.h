/*
 * What has changed in a model since model_pending_clear(), as long as it is nothing but connected
 * domains of known connectors. Private to model*.c and effect.c.
 */
#pragma once

#include "routed/model.h"

#define MODEL_PENDING_MAX 4096

/** A connected domain that came or went. */
struct model_edge {
	uint32_t from, to; /* names */
	uint32_t cost;
};

struct model_pending {
	bool beyond; /* something else changed, or too much */
	struct model_edge *edges;
	uint32_t n, size;
};

/**
 * Note the difference of two records of one connector.
 * Returns  true: they differ in their connected domains only, and those are noted. false: whatever
 *          else; the pending changes are beyond then.
 */
bool model_pending_note(struct model_pending *p, const struct model *m,
			const struct model_connector *old, const struct model_connector *new);

void model_pending_fini(struct model_pending *p);
