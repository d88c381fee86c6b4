/*
 * Sites and connected domains as a graph, and the least-cost paths from one site.
 *
 * Nodes are the numbers of the model's names; an edge is a connected domain of a connector that is
 * enabled and may send. Edges are grouped by their first site (CSR):
 *
 *   first[n] .. first[n + 1)  the edges out of node n
 *
 * A run gives every node its least cost, and one label for each first edge (= candidate: a local
 * connector and a first remote site) that reaches it at that cost, with the best path behind that
 * first edge: fewest hops, then the folded "site/connector" names of its edges, compared one after
 * the other. No edge leads back to the root, because costs are positive.
 */
#pragma once

#include "routed/model.h"

#define GRAPH_NONE UINT32_MAX
#define GRAPH_LABELS_LIMIT (1u << 30) /* numbers of labels stay far below GRAPH_NONE */

struct graph_edge {
	uint32_t to;        /* node */
	uint32_t connector; /* index into model->connectors */
	uint32_t cd;        /* index into its cds */
	uint16_t cost;
	uint16_t carries; /* enum model_carry */
};

struct graph {
	const struct model *m;
	uint32_t nnodes;
	uint32_t nedges;
	uint32_t *first; /* nnodes + 1 */
	struct graph_edge *edges;
};

struct graph_label {
	uint32_t first;  /* edge index of the candidate */
	uint32_t edge;   /* last edge */
	uint32_t parent; /* label of the node before; GRAPH_NONE: edge is first */
	uint32_t next;   /* label of the same node with the next higher `first`; GRAPH_NONE: last */
	uint32_t hops;
	bool all_ims; /* every connector of the path is an IMS */
};

struct graph_run {
	const struct graph *g;
	uint32_t root;
	uint32_t *dist; /* by node; GRAPH_NONE: no path */
	uint32_t *head; /* by node: first label, GRAPH_NONE: none */
	struct graph_label *labels;
	uint32_t nlabels, max_labels;
};

/** The graph of a committed model. Ownership: in the arena. RC_NOMEM. */
int graph_build(const struct model *m, struct arena *a, struct graph *out) WARN_UNUSED;

/**
 * Paths from `root` over edges that carry one of the classes in `carry`.
 * Cost: O(edges + highest distance) for the distances, plus the labels times the edges they travel.
 * Returns  RC_OK; free *out with graph_run_fini(). RC_TOOBIG: more than max_labels candidates in
 *          all. RC_NOMEM.
 */
int graph_run(const struct graph *g, uint32_t root, unsigned carry, uint32_t max_labels,
	      struct graph_run *out) WARN_UNUSED;
void graph_run_fini(struct graph_run *r);

/** Where a way may begin or end, and what that costs. */
struct graph_goal {
	uint32_t node;
	uint32_t cost; /* <= ADDRESS_COST_MAX */
};

/**
 * The least costs from any of the sources to all nodes, in dist (filled with GRAPH_NONE before);
 * order[] gets the nodes that are reached, nearest first. Both have room for all nodes. RC_NOMEM.
 */
int graph_distances(const struct graph *g, const struct graph_goal *sources, uint32_t nsources,
		    unsigned carry, uint32_t *dist, uint32_t *order, uint32_t *norder) WARN_UNUSED;

struct graph_candidate {
	uint32_t label; /* the last of its path */
	uint32_t cost;  /* the goal's own included */
};

/**
 * For each edge out of `root`, the best path over it to one of the goals, by the same order as a
 * run's, whatever it costs: the candidates that a run has only if they are of least cost. No goal
 * is the root. Cost: a run from the goals backwards, and the length of the paths. Returns  RC_OK;
 * free *run with graph_run_fini(): it has labels, no distances. *out lies in the arena, in the
 * order of first edges. RC_TOOBIG: more than max_labels. RC_NOMEM.
 */
int graph_candidates(const struct graph *g, uint32_t root, unsigned carry,
		     const struct graph_goal *goals, uint32_t ngoals, uint32_t max_labels,
		     struct arena *a, struct graph_run *run, struct graph_candidate **out,
		     uint32_t *n) WARN_UNUSED;

/** Order of candidates of equal cost: fewer hops, then names, then DNs of the connectors. */
int graph_label_cmp(const struct graph_run *r, uint32_t a, uint32_t b);

/** Order of two connectors by folded "site/connector"; 0 only when these are equal. */
int graph_connector_cmp(const struct model *m, uint32_t a, uint32_t b);
