#include "routed/model_pending.h"

static bool same_spaces(const struct model_connector *a, const struct model_connector *b)
{
	unsigned i;

	for (i = 0; i < a->nspaces && i < b->nspaces; i++) {
		const struct model_space *x = &a->spaces[i], *y = &b->spaces[i];

		if (!span_eq(x->type, y->type) || !span_eq(x->pattern, y->pattern) ||
		    x->cost != y->cost || x->site_scope != y->site_scope)
			return false;
	}
	return a->nspaces == b->nspaces;
}

static bool same_pins(const struct model_connector *a, const struct model_connector *b)
{
	unsigned i;

	for (i = 0; i < a->npins && i < b->npins; i++) {
		if (!span_eq(a->pins[i].folded, b->pins[i].folded) ||
		    !span_eq(a->pins[i].host, b->pins[i].host))
			return false;
	}
	return a->npins == b->npins;
}

/* Everything but the connected domains. What was left out of either might be reported. */
static bool same_otherwise(const struct model_connector *a, const struct model_connector *b)
{
	return span_eq(a->dn, b->dn) && span_eq(a->name, b->name) && a->kind == b->kind &&
	       a->flag == b->flag && a->enabled == b->enabled && a->sends == b->sends &&
	       a->receives == b->receives && a->carries == b->carries &&
	       span_eq(a->smart_host, b->smart_host) && span_eq(a->transport, b->transport) &&
	       a->nignored == 0 && b->nignored == 0 && same_spaces(a, b) && same_pins(a, b);
}

static bool same_cd(const struct model_cd *a, const struct model_cd *b)
{
	return a->cost == b->cost && span_eq(a->type, b->type) && span_eq(a->address, b->address) &&
	       span_eq(a->written, b->written);
}

static void add(struct model_pending *p, uint32_t from, const struct model_cd *cd)
{
	uint32_t size = p->size != 0 ? 2 * p->size : 16;
	struct model_edge *bigger;

	if (p->n == MODEL_PENDING_MAX)
		p->beyond = true;
	if (p->n == p->size && !p->beyond) {
		bigger = mem_realloc(p->edges, size * sizeof(*bigger));
		if (bigger != NULL) {
			p->edges = bigger;
			p->size = size;
		}
		p->beyond = bigger == NULL;
	}
	if (!p->beyond)
		p->edges[p->n++] = (struct model_edge){from, cd->name, cd->cost};
}

/* Both lists are sorted by the folded name of the remote site, each name once. */
static void add_differences(struct model_pending *p, uint32_t from,
			    const struct model_connector *old, const struct model_connector *new)
{
	unsigned i = 0, k = 0;

	while ((i < old->ncds || k < new->ncds) && !p->beyond) {
		int c = i == old->ncds ? 1 : k == new->ncds ? -1 : 0;

		if (c == 0)
			c = span_cmp(old->cds[i].folded, new->cds[k].folded);
		if (c != 0 || !same_cd(&old->cds[i], &new->cds[k])) {
			if (c <= 0)
				add(p, from, &old->cds[i]);
			if (c >= 0)
				add(p, from, &new->cds[k]);
		}
		i += c <= 0;
		k += c >= 0;
	}
}

bool model_pending_note(struct model_pending *p, const struct model *m,
			const struct model_connector *old, const struct model_connector *new)
{
	if (!m->committed || old->site == MODEL_NONE || !same_otherwise(old, new))
		p->beyond = true;
	if (!p->beyond)
		add_differences(p, m->sites[old->site].name_id, old, new);
	return !p->beyond;
}

void model_pending_fini(struct model_pending *p)
{
	mem_free(p->edges);
	*p = (struct model_pending){0};
}
