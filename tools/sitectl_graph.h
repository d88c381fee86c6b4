/* Sites and replication links as a graph, for the verbs that look at the organisation as a whole.
 */
#pragma once

#include "lib/arena.h"
#include "tools/dirconn.h"

struct graph_site {
	const char *name, *uuid, *domain;
	unsigned part; /* sites of one part reach each other; 0 until graph_parts() */
};

/** `from` takes changes of `to`. */
struct graph_link {
	const char *dn, *from, *to, *uri;
	bool is_enabled;
};

/** A mail connector's connected domain: mail of `from` for `to`. */
struct graph_connector {
	const char *from, *to, *name, *cost;
};

struct graph {
	struct graph_site *sites;
	struct graph_link *links;
	struct graph_connector *connectors;
	unsigned nsites, nlinks, nconnectors;
	const char *master; /* site that writes the organisation's own entries */
};

/** Read everything into the arena; says what is wrong. */
int graph_read(struct dirconn *c, struct arena *a, struct graph *out) WARN_UNUSED;

struct graph_site *graph_find(struct graph *g, const char *name);

/**
 * Number the parts that enabled links hold together, a link in either direction, as if `without`
 * (may be NULL) were not there. Returns how many parts there are.
 */
unsigned graph_parts(struct graph *g, const char *without);
