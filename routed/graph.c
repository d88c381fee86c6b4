#include "routed/graph.h"

#define CDS_AHEAD 12 /* connectors whose connected domains are asked for beforehand */
#define BUCKETS 128  /* a power of two above ADDRESS_COST_MAX */

static bool has_edges(const struct model_connector *c)
{
	return c->site != MODEL_NONE && c->enabled && c->sends;
}

/* An edge with its first site, in the order of connectors. */
struct found_edge {
	uint32_t from;
	struct graph_edge edge;
};

/* The one look at every connected domain; counts[] gets the edges of each node. */
static size_t find_edges(const struct model *m, struct found_edge *found, uint32_t *counts)
{
	size_t n = 0;
	uint32_t i;
	unsigned k;

	for (i = 0; i < m->nconnectors; i++) {
		const struct model_connector *c = &m->connectors[i];
		uint32_t node;

		if (i + CDS_AHEAD < m->nconnectors)
			__builtin_prefetch(m->connectors[i + CDS_AHEAD].cds);
		if (!has_edges(c))
			continue;
		node = m->sites[c->site].name_id;
		for (k = 0; k < c->ncds; k++) {
			if (c->cds[k].name == node)
				continue;
			counts[node]++;
			found[n++] = (struct found_edge){
				node,
				{
					.to = c->cds[k].name,
					.connector = i,
					.cd = k,
					.cost = (uint16_t)c->cds[k].cost,
					.carries = (uint16_t)c->carries,
				},
			};
		}
	}
	return n;
}

int graph_build(const struct model *m, struct arena *a, struct graph *out)
{
	uint32_t *next = arena_zalloc(a, (size_t)m->nnames + 1, sizeof(*next)), i;
	struct found_edge *found = mem_alloc((m->total_cds + 1) * sizeof(*found));
	size_t n, k;
	int rc = RC_NOMEM;

	*out = (struct graph){.m = m, .nnodes = m->nnames};
	out->first = arena_zalloc(a, (size_t)m->nnames + 1, sizeof(*out->first));
	if (next == NULL || found == NULL || out->first == NULL)
		goto out;
	n = find_edges(m, found, next);
	for (i = 0; i < m->nnames; i++) {
		out->first[i + 1] = out->first[i] + next[i];
		next[i] = out->first[i];
	}
	out->nedges = out->first[m->nnames];
	out->edges = arena_alloc(a, out->nedges * sizeof(*out->edges));
	if (out->edges == NULL)
		goto out;
	for (k = 0; k < n; k++)
		out->edges[next[found[k].from]++] = found[k].edge;
	rc = RC_OK;
out:
	mem_free(found);
	return rc;
}

/* Dijkstra with buckets: costs are small numbers, so a ring of buckets is an exact queue. */
struct queue {
	uint32_t head[BUCKETS]; /* newest entry of the distances that are equal modulo BUCKETS */
	uint32_t *node;
	uint32_t *next;
	uint32_t used, waiting;
};

static void push(struct queue *q, uint32_t node, uint32_t dist)
{
	uint32_t at = q->used++;

	q->node[at] = node;
	q->next[at] = q->head[dist % BUCKETS];
	q->head[dist % BUCKETS] = at;
	q->waiting++;
}

static void relax(const struct graph *g, uint32_t node, unsigned carry, uint32_t *dist,
		  struct queue *q)
{
	uint32_t e;

	for (e = g->first[node]; e < g->first[node + 1]; e++) {
		const struct graph_edge *edge = &g->edges[e];
		uint32_t there = dist[node] + edge->cost;

		if ((edge->carries & carry) == 0 || there >= dist[edge->to])
			continue;
		dist[edge->to] = there;
		push(q, edge->to, there);
	}
}

int graph_distances(const struct graph *g, const struct graph_goal *sources, uint32_t nsources,
		    unsigned carry, uint32_t *dist, uint32_t *order, uint32_t *norder)
{
	size_t pushes = (size_t)g->nedges + nsources;
	struct queue q = {.used = 0};
	uint32_t at, d;

	q.node = mem_alloc((pushes + 1) * sizeof(*q.node));
	q.next = mem_alloc((pushes + 1) * sizeof(*q.next));
	if (q.node == NULL || q.next == NULL) {
		mem_free(q.node);
		mem_free(q.next);
		return RC_NOMEM;
	}
	memset(q.head, 0xff, sizeof(q.head));
	for (at = 0; at < nsources; at++) {
		if (sources[at].cost >= dist[sources[at].node])
			continue;
		dist[sources[at].node] = sources[at].cost;
		push(&q, sources[at].node, sources[at].cost);
	}
	*norder = 0;
	for (d = 0; q.waiting != 0; d++) {
		for (at = q.head[d % BUCKETS]; at != GRAPH_NONE; at = q.next[at]) {
			q.waiting--;
			if (dist[q.node[at]] != d) /* a shorter way was found since */
				continue;
			order[(*norder)++] = q.node[at];
			relax(g, q.node[at], carry, dist, &q);
		}
		q.head[d % BUCKETS] = GRAPH_NONE;
	}
	mem_free(q.node);
	mem_free(q.next);
	return RC_OK;
}

static uint8_t element_byte(const struct model *m, const struct model_connector *c, size_t at)
{
	struct span site = m->sites[c->site].name_folded;

	if (at < site.n)
		return site.p[at];
	return at == site.n ? '/' : c->name_folded.p[at - site.n - 1];
}

int graph_connector_cmp(const struct model *m, uint32_t a, uint32_t b)
{
	const struct model_connector *x = &m->connectors[a], *y = &m->connectors[b];
	struct span sx, sy;
	size_t nx, ny, i;
	int c;

	if (a == b)
		return 0;
	if (x->site == y->site)
		return span_cmp(x->name_folded, y->name_folded);
	sx = m->sites[x->site].name_folded;
	sy = m->sites[y->site].name_folded;
	i = sx.n < sy.n ? sx.n : sy.n;
	c = memcmp(sx.p, sy.p, i);
	if (c != 0)
		return c;
	nx = sx.n + 1 + x->name_folded.n;
	ny = sy.n + 1 + y->name_folded.n;
	for (; i < nx && i < ny; i++) {
		c = element_byte(m, x, i) - element_byte(m, y, i);
		if (c != 0)
			return c;
	}
	return (nx > ny) - (nx < ny);
}

/* Two paths of equal length that end in `edge` behind `parent`: the difference nearest to the root
 * counts. */
static int cmp_paths(const struct graph_run *r, uint32_t edge_a, uint32_t parent_a, uint32_t edge_b,
		     uint32_t parent_b)
{
	const struct model *m = r->g->m;
	int by_name = 0, by_dn = 0;

	for (;;) {
		uint32_t x = r->g->edges[edge_a].connector, y = r->g->edges[edge_b].connector;
		int c = graph_connector_cmp(m, x, y);

		if (c != 0)
			by_name = c;
		if (x != y)
			by_dn = span_cmp(m->connectors[x].dn_normal, m->connectors[y].dn_normal);
		if (parent_a == parent_b)
			break;
		edge_a = r->labels[parent_a].edge;
		parent_a = r->labels[parent_a].parent;
		edge_b = r->labels[parent_b].edge;
		parent_b = r->labels[parent_b].parent;
	}
	return by_name != 0 ? by_name : by_dn;
}

int graph_label_cmp(const struct graph_run *r, uint32_t a, uint32_t b)
{
	const struct graph_label *x = &r->labels[a], *y = &r->labels[b];

	if (a == b)
		return 0;
	if (x->hops != y->hops)
		return x->hops < y->hops ? -1 : 1;
	return cmp_paths(r, x->edge, x->parent, y->edge, y->parent);
}

static int add_label(struct graph_run *r, uint32_t *size, struct graph_label label, uint32_t *out)
{
	if (r->nlabels == r->max_labels)
		return RC_TOOBIG;
	if (r->nlabels == *size) {
		uint32_t bigger = *size != 0 ? *size * 2 : 1024;
		void *p = mem_realloc(r->labels, bigger * sizeof(label));

		if (p == NULL)
			return RC_NOMEM;
		r->labels = p;
		*size = bigger;
	}
	r->labels[r->nlabels] = label;
	*out = r->nlabels++;
	return RC_OK;
}

/* From the highest edge down, so that every list begins with the lowest. */
static int label_first_edges(struct graph_run *r, unsigned carry, uint32_t *size)
{
	const struct graph *g = r->g;
	uint32_t e, at;
	int rc = RC_OK;

	for (e = g->first[r->root + 1]; e-- != g->first[r->root] && rc == RC_OK;) {
		const struct graph_edge *edge = &g->edges[e];
		struct graph_label label = {
			.first = e,
			.edge = e,
			.parent = GRAPH_NONE,
			.next = r->head[edge->to],
			.hops = 1,
			.all_ims = g->m->connectors[edge->connector].kind == MODEL_IMS,
		};

		if ((edge->carries & carry) == 0 || r->dist[edge->to] != edge->cost)
			continue;
		rc = add_label(r, size, label, &at);
		if (rc == RC_OK)
			r->head[edge->to] = at;
	}
	return rc;
}

/* Is the path "label `from`, then edge e" better than the one label `old` has? */
static bool is_better(const struct graph_run *r, uint32_t from, uint32_t e, uint32_t old)
{
	const struct graph_label *have = &r->labels[old];
	uint32_t hops = r->labels[from].hops + 1;

	if (hops != have->hops)
		return hops < have->hops;
	return cmp_paths(r, e, from, have->edge, have->parent) < 0;
}

/* The candidates of u reach v over edge e, too. Both lists are sorted by first edge. */
static int merge_labels(struct graph_run *r, uint32_t u, uint32_t e, uint32_t *size)
{
	uint32_t v = r->g->edges[e].to, before = GRAPH_NONE, at = r->head[v], from;
	bool ims = r->g->m->connectors[r->g->edges[e].connector].kind == MODEL_IMS;
	int rc;

	for (from = r->head[u]; from != GRAPH_NONE; from = r->labels[from].next) {
		struct graph_label label = r->labels[from];

		while (at != GRAPH_NONE && r->labels[at].first < label.first) {
			before = at;
			at = r->labels[at].next;
		}
		label = (struct graph_label){label.first,         e, from, at, label.hops + 1,
					     label.all_ims && ims};
		if (at != GRAPH_NONE && r->labels[at].first == label.first) {
			label.next = r->labels[at].next;
			if (is_better(r, from, e, at))
				r->labels[at] = label;
			continue;
		}
		rc = add_label(r, size, label, &at);
		if (rc != RC_OK)
			return rc;
		if (before == GRAPH_NONE)
			r->head[v] = at;
		else
			r->labels[before].next = at;
	}
	return RC_OK;
}

/* Nearest first: the labels of a node are complete before any edge is followed from it. */
static int label_all(struct graph_run *r, unsigned carry, const uint32_t *order, uint32_t norder)
{
	const struct graph *g = r->g;
	uint32_t size = 0, i, e;
	int rc = label_first_edges(r, carry, &size);

	for (i = 1; i < norder; i++) {
		uint32_t u = order[i];

		for (e = g->first[u]; e < g->first[u + 1] && rc == RC_OK; e++) {
			const struct graph_edge *edge = &g->edges[e];

			if ((edge->carries & carry) != 0 &&
			    r->dist[u] + edge->cost == r->dist[edge->to])
				rc = merge_labels(r, u, e, &size);
		}
	}
	return rc;
}

int graph_run(const struct graph *g, uint32_t root, unsigned carry, uint32_t max_labels,
	      struct graph_run *out)
{
	const struct graph_goal from = {root, 0};
	uint32_t *order = mem_alloc(g->nnodes * sizeof(*order));
	uint32_t norder = 0;
	int rc = RC_NOMEM;

	must(max_labels <= GRAPH_LABELS_LIMIT);
	*out = (struct graph_run){.g = g, .root = root, .max_labels = max_labels};
	out->dist = mem_alloc(g->nnodes * sizeof(*out->dist));
	out->head = mem_alloc(g->nnodes * sizeof(*out->head));
	if (order != NULL && out->dist != NULL && out->head != NULL) {
		memset(out->dist, 0xff, g->nnodes * sizeof(*out->dist));
		memset(out->head, 0xff, g->nnodes * sizeof(*out->head));
		rc = graph_distances(g, &from, 1, carry, out->dist, order, &norder);
	}
	if (rc == RC_OK)
		rc = label_all(out, carry, order, norder);
	mem_free(order);
	if (rc != RC_OK)
		graph_run_fini(out);
	return rc;
}

void graph_run_fini(struct graph_run *r)
{
	mem_free(r->dist);
	mem_free(r->head);
	mem_free(r->labels);
	*r = (struct graph_run){0};
}
