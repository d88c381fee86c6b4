#include "routed/effect.h"

#include "routed/model_pending.h"

int effect_keep(struct effect *e, unsigned which, const struct graph_run *r)
{
	size_t bytes = r->g->nnodes * sizeof(*r->dist);
	uint32_t *copy = mem_alloc(bytes);

	if (copy == NULL)
		return RC_NOMEM;
	memcpy(copy, r->dist, bytes);
	mem_free(e->dist[which]);
	e->dist[which] = copy;
	e->nnodes = r->g->nnodes;
	return RC_OK;
}

void effect_fini(struct effect *e)
{
	mem_free(e->dist[0]);
	mem_free(e->dist[1]);
	*e = (struct effect){0};
}

static bool matters_in(const uint32_t *dist, const struct model_edge *edge)
{
	if (dist[edge->from] == GRAPH_NONE)
		return false;
	return dist[edge->to] == GRAPH_NONE || dist[edge->from] + edge->cost <= dist[edge->to];
}

/* A name without an object is a target only while a connected domain mentions it. */
static bool matters(const struct effect *e, const struct model *m, const struct model_edge *edge)
{
	unsigned i;
	bool any = false;

	if (edge->from >= e->nnodes || edge->to >= e->nnodes ||
	    m->names[edge->to].site == MODEL_NONE)
		return true;
	for (i = 0; i < 2; i++)
		any = any || (e->dist[i] != NULL && matters_in(e->dist[i], edge));
	return any;
}

bool effect_none(const struct effect *e, const struct model *m)
{
	const struct model_pending *p = model_pending(m);
	uint32_t i;

	if (p->beyond || e->dist[0] == NULL)
		return false;
	for (i = 0; i < p->n; i++) {
		if (matters(e, m, &p->edges[i]))
			return false;
	}
	return true;
}
