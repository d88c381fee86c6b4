#include "routed/compute.h"

#include "routed/compute_work.h"

#include <stdlib.h>

#define MAX_CANDIDATES (1u << 24) /* of all targets together; a row and 24 bytes each */

static uint32_t *numbers(struct compute_work *w, size_t n)
{
	uint32_t *p = arena_alloc(&w->a, (n + 1) * sizeof(*p));

	if (p != NULL)
		memset(p, 0xff, (n + 1) * sizeof(*p));
	return p;
}

static int cmp_targets(const void *a, const void *b)
{
	return span_cmp(((const struct compute_target *)a)->name,
			((const struct compute_target *)b)->name);
}

/* Names as printed: the object's, or the bytewise first spelling in a connected domain. */
static void collect_names(const struct model *m, struct span *names)
{
	uint32_t i;
	unsigned k;

	for (i = 0; i < m->nconnectors; i++) {
		const struct model_connector *c = &m->connectors[i];

		for (k = 0; c->site != MODEL_NONE && k < c->ncds; k++) {
			struct span *name = &names[c->cds[k].name];

			if (m->names[c->cds[k].name].site == MODEL_NONE &&
			    (name->n == 0 || span_cmp(c->cds[k].written, *name) < 0))
				*name = c->cds[k].written;
		}
	}
	for (i = 0; i < m->nsites; i++) {
		if (m->sites[i].live)
			names[m->sites[i].name_id] = m->sites[i].name;
	}
}

static int collect_targets(struct compute_work *w)
{
	const struct model *m = w->m;
	struct span *names = arena_zalloc(&w->a, m->nnames, sizeof(*names));
	uint32_t i;

	w->names = names;
	w->targets = arena_zalloc(&w->a, m->nnames, sizeof(*w->targets));
	if (names == NULL || w->targets == NULL)
		return RC_NOMEM;
	collect_names(m, names);
	for (i = 0; i < m->nnames; i++) {
		if (names[i].n != 0 && i != w->root)
			w->targets[w->ntargets++] = (struct compute_target){names[i], i};
	}
	qsort(w->targets, w->ntargets, sizeof(*w->targets), cmp_targets);
	return RC_OK;
}

/* The domain's place among those of the table; a new one gets its place now. */
static int claim_domain(struct compute_work *w, struct span folded, bool shared, uint32_t site,
			uint32_t *place)
{
	uint32_t at = map_get(&w->domains, folded);
	struct table_domain *domains;
	struct table_domain new = {
		.row = {TABLE_NONE, TABLE_NONE},
		.owner = shared ? TABLE_OWNER_MANY
				: (site == w->site ? TABLE_OWNER_LOCAL : TABLE_OWNER_SITE),
	};
	int rc = RC_OK;

	if (at == MAP_NONE) {
		at = (uint32_t)(w->b.domains.n / sizeof(new));
		new.domain = build_text(&w->b, folded, (struct span){NULL, 0});
		buf_put(&w->b.domains, span_make(&new, sizeof(new)));
		rc = buf_rc(&w->b.domains);
		if (rc == RC_OK)
			rc = map_put(&w->domains, folded, at);
	} else {
		domains = (struct table_domain *)(void *)w->b.domains.p;
		domains[at].owner = TABLE_OWNER_MANY;
	}
	if (rc == RC_OK && !shared)
		w->domain_sites[at]++;
	*place = at;
	return rc;
}

static int claim_site(struct compute_work *w, uint32_t site)
{
	const struct model_site *s = &w->m->sites[site];
	uint32_t shared;
	unsigned k;
	int rc = RC_OK;

	if (s->domain.n != 0)
		rc = claim_domain(w, s->domain_folded, false, site, &w->domain_of[site]);
	for (k = 0; k < s->nshared && rc == RC_OK; k++)
		rc = claim_domain(w, s->shared_folded[k], true, site, &shared);
	for (k = 0; k < s->nsystem && rc == RC_OK; k++) {
		uint32_t text = build_text(&w->b, s->system_folded[k], (struct span){NULL, 0});

		buf_put(&w->b.systems, span_make(&text, sizeof(text)));
	}
	return rc;
}

/* In the order of targets, the local site first, so that numbers do not depend on the input's
 * order. */
static int collect_domains(struct compute_work *w)
{
	size_t total = 1;
	uint32_t i;
	int rc;

	for (i = 0; i < w->m->nsites; i++)
		total += 1 + w->m->sites[i].nshared;
	w->domain_sites = arena_zalloc(&w->a, total, sizeof(*w->domain_sites));
	w->domain_of = numbers(w, w->m->nsites);
	if (w->domain_sites == NULL || w->domain_of == NULL)
		return RC_NOMEM;
	rc = map_reserve(&w->domains, w->m->nsites);
	if (rc == RC_OK)
		rc = claim_site(w, w->site);
	for (i = 0; i < w->ntargets && rc == RC_OK; i++) {
		uint32_t site = w->m->names[w->targets[i].node].site;

		if (site != MODEL_NONE)
			rc = claim_site(w, site);
	}
	return rc;
}

/* Rows are sorted by type: spaces before EX, sites, spaces behind EX. */
static int class_rows(struct compute_work *w, unsigned cls)
{
	struct compute_ways ways = {NULL, 0, 0};
	struct compute_group *groups;
	uint32_t ngroups, i = 0, k;
	int rc = compute_groups(w, cls, &groups, &ngroups);

	for (; rc == RC_OK && i < ngroups &&
	       span_cmp(groups[i].offers->space->type, SPAN_LIT("EX")) < 0;
	     i++)
		rc = compute_space_rows(w, cls, &groups[i], &ways);
	for (k = 0; rc == RC_OK && k < w->ntargets; k++)
		rc = compute_site_rows(w, cls, &w->targets[k], &ways);
	for (; rc == RC_OK && i < ngroups; i++)
		rc = compute_space_rows(w, cls, &groups[i], &ways);
	return rc;
}

static int cmp_connectors(const void *a, const void *b, void *arg)
{
	const struct model *m = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int c = graph_connector_cmp(m, x, y);

	return c != 0 ? c : span_cmp(m->connectors[x].dn_normal, m->connectors[y].dn_normal);
}

/* The domain routes that a lookup applies to the recipient's own domain. */
static int add_pins(struct compute_work *w)
{
	const struct model *m = w->m;
	uint32_t *local = numbers(w, m->nconnectors), n = 0, i;
	unsigned k;

	if (local == NULL)
		return RC_NOMEM;
	for (i = 0; i < m->nconnectors; i++) {
		if (m->connectors[i].site == w->site && m->connectors[i].npins != 0 &&
		    w->connector_text[i] != TABLE_NONE)
			local[n++] = i;
	}
	if (n > 1)
		qsort_r(local, n, sizeof(*local), cmp_connectors, (void *)(uintptr_t)m);
	for (i = 0; i < n; i++) {
		const struct model_connector *c = &m->connectors[local[i]];

		for (k = 0; k < c->npins; k++) {
			struct table_pin pin = {w->connector_text[local[i]], 0, 0};

			if (k != 0 && span_eq(c->pins[k].folded, c->pins[k - 1].folded))
				continue;
			pin.domain = build_text(&w->b, c->pins[k].folded, (struct span){NULL, 0});
			pin.host = build_text(&w->b, c->pins[k].host, (struct span){NULL, 0});
			buf_put(&w->b.pins, span_make(&pin, sizeof(pin)));
		}
	}
	return RC_OK;
}

/* Now that rows have numbers, every domain of one other site points at its site's rows. */
static void point_domains(struct compute_work *w)
{
	struct table_domain *domains = (struct table_domain *)(void *)w->b.domains.p;
	unsigned cls;
	uint32_t i;

	for (i = 0; i < w->ntargets; i++) {
		uint32_t node = w->targets[i].node, site = w->m->names[node].site, at;

		if (site == MODEL_NONE || w->m->sites[site].domain.n == 0)
			continue;
		at = w->domain_of[site];
		for (cls = 0; cls < TABLE_CLASSES && domains[at].owner == TABLE_OWNER_SITE; cls++)
			domains[at].row[cls] = w->first_row[cls][node];
	}
}

static int run_classes(struct compute_work *w)
{
	unsigned cls;
	int rc = graph_build(w->m, &w->a, &w->g);

	if (rc == RC_OK && w->m->all_carry_all)
		return graph_run(&w->g, w->root, MODEL_CARRY_ALL, MAX_CANDIDATES,
				 &w->run[TABLE_SYSTEM]);
	for (cls = 0; cls < TABLE_CLASSES && rc == RC_OK; cls++)
		rc = graph_run(&w->g, w->root, compute_carry(cls), MAX_CANDIDATES, &w->run[cls]);
	return rc;
}

static int make_memos(struct compute_work *w)
{
	size_t degree = w->g.first[w->root + 1] - w->g.first[w->root], i;
	unsigned cls;

	w->target_text = numbers(w, w->m->nnames);
	w->mx_text = numbers(w, w->m->nnames);
	w->connector_text = numbers(w, w->m->nconnectors);
	w->element_text = numbers(w, w->m->nconnectors);
	w->hops = arena_alloc(&w->a, (degree + 1) * sizeof(*w->hops));
	w->transport_text = numbers(w, degree);
	if (w->target_text == NULL || w->mx_text == NULL || w->connector_text == NULL ||
	    w->element_text == NULL || w->hops == NULL || w->transport_text == NULL)
		return RC_NOMEM;
	for (i = 0; i < degree; i++)
		w->hops[i] = (struct compute_hop){TABLE_NONE, TABLE_HOP_NONE};
	for (cls = 0; cls < TABLE_CLASSES; cls++) {
		w->first_row[cls] = numbers(w, w->m->nnames);
		w->step[cls] = numbers(w, w->run[cls].nlabels);
		if (w->first_row[cls] == NULL || w->step[cls] == NULL)
			return RC_NOMEM;
	}
	return RC_OK;
}

static int fill(struct compute_work *w, struct table **out)
{
	uint32_t site_text;
	unsigned cls;
	int rc = run_classes(w);

	if (rc == RC_OK)
		rc = collect_targets(w);
	if (rc == RC_OK)
		rc = make_memos(w);
	if (rc != RC_OK)
		return rc;
	site_text = build_text(&w->b, w->m->sites[w->site].name, (struct span){NULL, 0});
	w->ex_text = build_text(&w->b, SPAN_LIT("EX"), (struct span){NULL, 0});
	rc = collect_domains(w);
	for (cls = 0; cls < TABLE_CLASSES && rc == RC_OK; cls++)
		rc = class_rows(w, cls);
	if (rc == RC_OK)
		rc = add_pins(w);
	if (rc != RC_OK)
		return rc;
	point_domains(w);
	return build_finish(&w->b, site_text, out);
}

int compute_table(const struct model *m, struct span site, struct table **out)
{
	struct compute_work w = {.m = m};
	int rc;

	*out = NULL;
	must(m->committed);
	rc = model_find_site(m, site, &w.site);
	if (rc != RC_OK)
		return rc;
	w.root = m->sites[w.site].name_id;
	arena_init(&w.a);
	rc = build_init(&w.b, (size_t)m->nnames * TABLE_CLASSES + 16);
	if (rc == RC_OK)
		rc = fill(&w, out);
	graph_run_fini(&w.run[TABLE_SYSTEM]);
	graph_run_fini(&w.run[TABLE_USER]);
	map_fini(&w.domains);
	build_fini(&w.b);
	arena_fini(&w.a);
	return rc;
}
