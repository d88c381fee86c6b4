#include "routed/compute.h"
#include "routed/compute_work.h"

#include <stdlib.h>

#define MAX_LABELS (1u << 22)

/* A candidate of the target, whatever it costs. */
struct found {
	struct compute_way way;
	uint32_t cost;
	const struct model_space *space; /* of a way out of this site's own connector */
};

struct finding {
	struct compute_work *w;
	unsigned cls;
	struct span type, target; /* folded, but for the type of a space */
	uint32_t node;            /* of a site; GRAPH_NONE: the target is an address space */
	struct graph_goal *goals;
	uint32_t ngoals;
	struct found *items;
	uint32_t n;
};

static uint32_t node_of(const struct model *m, struct span folded)
{
	uint32_t i;

	for (i = 0; i < m->nnames; i++) {
		if (span_eq(m->names[i].folded, folded))
			return i;
	}
	return GRAPH_NONE;
}

/* A space of another site is a goal; one of this site is a way by itself. */
static void add_offer(struct finding *f, const struct model_space *space, uint32_t connector)
{
	const struct compute_work *w = f->w;
	uint32_t site = w->m->connectors[connector].site;

	if (!span_eq(space->type, f->type) || !span_eq(space->folded, f->target))
		return;
	if (site == w->site)
		f->items[f->n++] =
			(struct found){{GRAPH_NONE, connector, GRAPH_NONE}, space->cost, space};
	else if (!space->site_scope)
		f->goals[f->ngoals++] = (struct graph_goal){w->m->sites[site].name_id, space->cost};
}

static void add_offers(struct finding *f)
{
	const struct model *m = f->w->m;
	uint32_t i;
	unsigned k;

	for (i = 0; i < m->nconnectors; i++) {
		const struct model_connector *c = &m->connectors[i];

		for (k = 0; compute_has_offers(c, compute_carry(f->cls)) && k < c->nspaces; k++)
			add_offer(f, &c->spaces[k], i);
	}
}

static int find_goals(struct finding *f)
{
	struct compute_work *w = f->w;
	size_t spaces = f->node == GRAPH_NONE ? w->m->total_spaces : 1;
	size_t degree = w->g.first[w->root + 1] - w->g.first[w->root];

	f->goals = arena_alloc(&w->a, (spaces + 1) * sizeof(*f->goals));
	f->items = arena_alloc(&w->a, (spaces + degree + 1) * sizeof(*f->items));
	if (f->goals == NULL || f->items == NULL)
		return RC_NOMEM;
	if (f->node != GRAPH_NONE)
		f->goals[f->ngoals++] = (struct graph_goal){f->node, 0};
	else
		add_offers(f);
	return RC_OK;
}

static int find(struct finding *f)
{
	struct compute_work *w = f->w;
	struct graph_candidate *candidates;
	uint32_t n, i;
	int rc = find_goals(f);

	if (rc == RC_OK)
		rc = graph_candidates(&w->g, w->root, compute_carry(f->cls), f->goals, f->ngoals,
				      MAX_LABELS, &w->a, &w->run[TABLE_SYSTEM], &candidates, &n);
	for (i = 0; rc == RC_OK && i < n; i++) {
		uint32_t first = w->run[TABLE_SYSTEM].labels[candidates[i].label].first;

		f->items[f->n++] =
			(struct found){{candidates[i].label, w->g.edges[first].connector, first},
				       candidates[i].cost,
				       NULL};
	}
	return rc;
}

static int cmp_found(const void *a, const void *b, void *arg)
{
	const struct found *x = a, *y = b;

	if (x->cost != y->cost)
		return x->cost < y->cost ? -1 : 1;
	return compute_cmp_ways(&x->way, &y->way, arg);
}

static int put_rows(struct finding *f)
{
	struct compute_order o = {f->w, &f->w->run[TABLE_SYSTEM]};
	uint32_t i;
	int rc = RC_OK;

	if (f->n > 1)
		qsort_r(f->items, f->n, sizeof(*f->items), cmp_found, &o);
	for (i = 0; i < f->n && rc == RC_OK; i++) {
		const struct found *one = &f->items[i];

		if (f->node != GRAPH_NONE)
			rc = compute_site_row(f->w, f->cls, f->node, one->way.label, one->cost);
		else
			rc = compute_space_row(f->w, f->cls, f->type, f->target, one->space,
					       &one->way, one->cost);
	}
	return rc;
}

static int fold_target(struct finding *f, struct span type, struct span target)
{
	int rc = address_fold(&f->w->a, target, &f->target);

	f->type = type;
	f->node = GRAPH_NONE;
	if (rc == RC_OK && span_eq(type, SPAN_LIT("EX"))) {
		f->node = node_of(f->w->m, f->target);
		rc = f->node != GRAPH_NONE && f->node != f->w->root ? RC_OK : RC_NOTFOUND;
	}
	return rc;
}

int compute_candidates(const struct model *m, struct span site, enum table_class cls,
		       struct span type, struct span target, const struct holds *holds,
		       struct table **out)
{
	struct compute_work w;
	struct finding f = {.w = &w, .cls = cls};
	int rc;

	*out = NULL;
	rc = compute_work_init(&w, m, site, 0);
	w.holds = holds;
	if (rc == RC_OK)
		rc = graph_build(m, &w.a, &w.g);
	if (rc == RC_OK)
		rc = fold_target(&f, type, target);
	if (rc == RC_OK)
		rc = find(&f);
	if (rc == RC_OK)
		rc = compute_begin(&w);
	if (rc == RC_OK)
		rc = put_rows(&f);
	if (rc == RC_OK)
		rc = build_finish(&w.b, w.site_text, &w.domains, out);
	compute_work_fini(&w);
	return rc;
}
