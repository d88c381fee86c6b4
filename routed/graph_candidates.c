#include "routed/graph.h"

/* The best way from each node to a goal, found from the goals backwards. */
struct search {
	const struct graph *g;
	uint32_t root;
	unsigned carry;
	struct graph back; /* the edges turned round, without those out of the root */
	uint32_t *dist;    /* by node: to the nearest goal; GRAPH_NONE: none */
	uint32_t *goal;    /* by node: what it costs to end there; GRAPH_NONE: no goal */
	uint32_t *via;     /* by node: the edge to go on by; GRAPH_NONE: the way ends */
	uint32_t *hops;    /* by node */
	uint32_t *order;
	uint32_t norder;
};

static uint32_t *numbers(struct arena *a, size_t n)
{
	uint32_t *p = arena_alloc(a, (n + 1) * sizeof(*p));

	if (p != NULL)
		memset(p, 0xff, (n + 1) * sizeof(*p));
	return p;
}

static bool is_usable(const struct search *s, uint32_t from, const struct graph_edge *e)
{
	return from != s->root && e->to != s->root && (e->carries & s->carry) != 0;
}

/* No edge leads back through the root, so no way does. */
static int turn_round(struct search *s, struct arena *a)
{
	const struct graph *g = s->g;
	struct graph *back = &s->back;
	uint32_t *next = arena_zalloc(a, (size_t)g->nnodes + 1, sizeof(*next)), n, e;

	*back = (struct graph){.m = g->m, .nnodes = g->nnodes};
	back->first = arena_zalloc(a, (size_t)g->nnodes + 1, sizeof(*back->first));
	back->edges = arena_alloc(a, ((size_t)g->nedges + 1) * sizeof(*back->edges));
	if (next == NULL || back->first == NULL || back->edges == NULL)
		return RC_NOMEM;
	for (n = 0; n < g->nnodes; n++) {
		for (e = g->first[n]; e < g->first[n + 1]; e++)
			next[g->edges[e].to] += is_usable(s, n, &g->edges[e]);
	}
	for (n = 0; n < g->nnodes; n++) {
		back->first[n + 1] = back->first[n] + next[n];
		next[n] = back->first[n];
	}
	back->nedges = back->first[g->nnodes];
	for (n = 0; n < g->nnodes; n++) {
		for (e = g->first[n]; e < g->first[n + 1]; e++) {
			if (!is_usable(s, n, &g->edges[e]))
				continue;
			back->edges[next[g->edges[e].to]] = g->edges[e];
			back->edges[next[g->edges[e].to]++].to = n;
		}
	}
	return RC_OK;
}

/* Order of two ways of equal length that go on by these edges: names, DNs, the site at the end. */
static int cmp_ways(const struct search *s, uint32_t a, uint32_t b)
{
	const struct model *m = s->g->m;
	int by_dn = 0;

	for (;;) {
		const struct graph_edge *x = &s->g->edges[a], *y = &s->g->edges[b];
		int c = graph_connector_cmp(m, x->connector, y->connector);

		if (c != 0)
			return c;
		if (by_dn == 0 && x->connector != y->connector)
			by_dn = span_cmp(m->connectors[x->connector].dn_normal,
					 m->connectors[y->connector].dn_normal);
		if (x->to == y->to)
			return by_dn;
		a = s->via[x->to];
		b = s->via[y->to];
		if (a == GRAPH_NONE || b == GRAPH_NONE)
			return by_dn != 0
				       ? by_dn
				       : span_cmp(m->names[x->to].folded, m->names[y->to].folded);
	}
}

/* A node's best way, once the nodes that are nearer to a goal have theirs. */
static void choose(struct search *s, uint32_t node)
{
	const struct graph *g = s->g;
	uint32_t e;

	if (s->goal[node] == s->dist[node]) {
		s->hops[node] = 0;
		return;
	}
	for (e = g->first[node]; e < g->first[node + 1]; e++) {
		const struct graph_edge *edge = &g->edges[e];
		uint32_t hops;

		if (!is_usable(s, node, edge) || s->dist[edge->to] == GRAPH_NONE ||
		    s->dist[edge->to] + edge->cost != s->dist[node])
			continue;
		hops = s->hops[edge->to] + 1;
		if (hops < s->hops[node] ||
		    (hops == s->hops[node] && cmp_ways(s, e, s->via[node]) < 0)) {
			s->hops[node] = hops;
			s->via[node] = e;
		}
	}
}

static int find_ways(struct search *s, const struct graph_goal *goals, uint32_t ngoals,
		     struct arena *a)
{
	uint32_t i;
	int rc;

	s->dist = numbers(a, s->g->nnodes);
	s->goal = numbers(a, s->g->nnodes);
	s->via = numbers(a, s->g->nnodes);
	s->hops = numbers(a, s->g->nnodes);
	s->order = numbers(a, s->g->nnodes);
	if (s->dist == NULL || s->goal == NULL || s->via == NULL || s->hops == NULL ||
	    s->order == NULL)
		return RC_NOMEM;
	for (i = 0; i < ngoals; i++) {
		must(goals[i].node != s->root && goals[i].cost <= ADDRESS_COST_MAX);
		if (goals[i].cost < s->goal[goals[i].node])
			s->goal[goals[i].node] = goals[i].cost;
	}
	rc = turn_round(s, a);
	if (rc == RC_OK)
		rc = graph_distances(&s->back, goals, ngoals, s->carry, s->dist, s->order,
				     &s->norder);
	for (i = 0; i < s->norder && rc == RC_OK; i++)
		choose(s, s->order[i]);
	return rc;
}

/* The way over a first edge as labels, first edge first; the number of the last one. */
static uint32_t put_labels(const struct search *s, uint32_t first, struct graph_run *r)
{
	uint32_t e = first, parent = GRAPH_NONE;
	bool ims = true;
	uint32_t hops = 1;

	for (; e != GRAPH_NONE; e = s->via[s->g->edges[e].to], hops++) {
		ims = ims && s->g->m->connectors[s->g->edges[e].connector].kind == MODEL_IMS;
		r->labels[r->nlabels] = (struct graph_label){
			.first = first,
			.edge = e,
			.parent = parent,
			.next = GRAPH_NONE,
			.hops = hops,
			.all_ims = ims,
		};
		parent = r->nlabels++;
	}
	return parent;
}

static bool leads_on(const struct search *s, const struct graph_edge *e)
{
	return (e->carries & s->carry) != 0 && s->dist[e->to] != GRAPH_NONE;
}

int graph_candidates(const struct graph *g, uint32_t root, unsigned carry,
		     const struct graph_goal *goals, uint32_t ngoals, uint32_t max_labels,
		     struct arena *a, struct graph_run *run, struct graph_candidate **out,
		     uint32_t *n)
{
	struct search s = {.g = g, .root = root, .carry = carry};
	size_t labels = 0;
	uint32_t e;
	int rc = find_ways(&s, goals, ngoals, a);

	*n = 0;
	*run = (struct graph_run){.g = g, .root = root, .max_labels = max_labels};
	for (e = g->first[root]; e < g->first[root + 1] && rc == RC_OK; e++) {
		if (leads_on(&s, &g->edges[e]))
			labels += s.hops[g->edges[e].to] + 1;
	}
	if (rc == RC_OK && labels > max_labels)
		rc = RC_TOOBIG;
	if (rc != RC_OK)
		return rc;
	*out = arena_alloc(a, (g->first[root + 1] - g->first[root] + 1) * sizeof(**out));
	run->labels = mem_alloc((labels + 1) * sizeof(*run->labels));
	if (*out == NULL || run->labels == NULL) {
		graph_run_fini(run);
		return RC_NOMEM;
	}
	for (e = g->first[root]; e < g->first[root + 1]; e++) {
		const struct graph_edge *edge = &g->edges[e];

		if (leads_on(&s, edge))
			(*out)[(*n)++] = (struct graph_candidate){put_labels(&s, e, run),
								  edge->cost + s.dist[edge->to]};
	}
	return RC_OK;
}
