#include "routed/compute.h"

#include "routed/compute_work.h"
#include "routed/effect.h"

#include <stdlib.h>

#define MAX_CANDIDATES (1u << 24) /* of all targets together; a row and 24 bytes each */

#define CACHE_LINE 64
#define HOT_BYTES 128 /* of a site or connector */

static void prefetch(const void *p, size_t n)
{
	size_t at;

	for (at = 0; at < n; at += CACHE_LINE)
		__builtin_prefetch((const uint8_t *)p + at);
}

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
	bool unknown = false;
	uint32_t i;
	unsigned k;

	for (i = 0; i < m->nnames; i++)
		unknown = unknown || m->names[i].site == MODEL_NONE;
	for (i = 0; unknown && i < m->nconnectors; i++) {
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

/* Names without an object, sorted. */
static uint32_t unknown_targets(const struct model *m, const struct span *names,
				struct compute_target *out)
{
	uint32_t i, n = 0;

	for (i = 0; i < m->nnames; i++) {
		if (m->names[i].site == MODEL_NONE && names[i].n != 0)
			out[n++] = (struct compute_target){names[i], i};
	}
	if (n > 1)
		qsort(out, n, sizeof(*out), cmp_targets);
	return n;
}

/* In the order of names: sites are, since the commit; the others come in between. */
static int collect_targets(struct compute_work *w)
{
	const struct model *m = w->m;
	struct span *names = arena_zalloc(&w->a, m->nnames, sizeof(*names));
	struct compute_target *unknown;
	uint32_t nunknown, i, k = 0;

	w->names = names;
	w->targets = arena_alloc(&w->a, ((size_t)m->nnames + 1) * sizeof(*w->targets));
	unknown = arena_alloc(&w->a, ((size_t)m->nnames - m->nby_name + 1) * sizeof(*unknown));
	if (names == NULL || w->targets == NULL || unknown == NULL)
		return RC_NOMEM;
	collect_names(m, names);
	nunknown = unknown_targets(m, names, unknown);
	for (i = 0; i < m->nby_name; i++) {
		const struct model_site *s = &m->sites[m->by_name[i]];

		while (k < nunknown && span_cmp(unknown[k].name, s->name) < 0)
			w->targets[w->ntargets++] = unknown[k++];
		if (s->name_id != w->root)
			w->targets[w->ntargets++] = (struct compute_target){s->name, s->name_id};
	}
	while (k < nunknown)
		w->targets[w->ntargets++] = unknown[k++];
	return RC_OK;
}

/* Behind the "mx:" of the next hop that direct routes to the site will have. */
static uint32_t domain_text(struct compute_work *w, struct span folded, bool shared, uint32_t site)
{
	const struct model_site *s = &w->m->sites[site];
	struct span mx;

	if (shared || !span_eq(folded, s->domain))
		return build_text(&w->b, folded, (struct span){NULL, 0});
	mx = build_joined(&w->b, SPAN_LIT("mx:"), folded);
	w->mx_bytes[s->name_id] = mx;
	return build_alias(&w->b, mx.p != NULL ? span_from(mx, 3) : mx);
}

/* Sites of one domain that state different things: then nobody knows. */
static uint32_t join_tls(struct compute_work *w, uint32_t have, struct span stated)
{
	struct span old = have != TABLE_NONE ? build_bytes(&w->b, have) : span_make(NULL, 0);

	if (span_eq(old, stated))
		return have;
	return build_text(&w->b, SPAN_LIT(MODEL_TLS_UNKNOWN), (struct span){NULL, 0});
}

/* The domain's place among those of the table; a new one gets its place now. */
static int claim_domain(struct compute_work *w, struct span folded, bool shared, uint32_t site,
			uint32_t *place)
{
	struct span tls = w->m->sites[site].tls;
	uint32_t at = map_get(&w->domains, folded);
	struct table_domain *domains;
	struct table_domain new = {
		.row = {TABLE_NONE, TABLE_NONE},
		.owner = shared ? TABLE_OWNER_MANY
				: (site == w->site ? TABLE_OWNER_LOCAL : TABLE_OWNER_SITE),
		.tls = TABLE_NONE,
	};
	int rc = RC_OK;

	if (at == MAP_NONE) {
		at = (uint32_t)(w->b.domains.n / sizeof(new));
		new.domain = domain_text(w, folded, shared, site);
		if (tls.n != 0)
			new.tls = build_text(&w->b, tls, (struct span){NULL, 0});
		buf_put(&w->b.domains, span_make(&new, sizeof(new)));
		rc = buf_rc(&w->b.domains) != RC_OK ? buf_rc(&w->b.domains) : buf_rc(&w->b.texts);
		if (rc == RC_OK)
			rc = map_put(&w->domains, build_bytes(&w->b, new.domain), at);
	} else {
		domains = (struct table_domain *)(void *)w->b.domains.p;
		domains[at].owner = TABLE_OWNER_MANY;
		domains[at].tls = join_tls(w, domains[at].tls, tls);
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

/* As prefetch_rows(). */
static void prefetch_domains(const struct compute_work *w, uint32_t i)
{
	const struct model *m = w->m;
	uint32_t site;

	if (i + 24 < w->ntargets)
		__builtin_prefetch(&m->names[w->targets[i + 24].node]);
	if (i + 16 < w->ntargets) {
		site = m->names[w->targets[i + 16].node].site;
		if (site != MODEL_NONE)
			prefetch(&m->sites[site], HOT_BYTES);
	}
	if (i + 8 < w->ntargets) {
		site = m->names[w->targets[i + 8].node].site;
		if (site != MODEL_NONE) {
			__builtin_prefetch(m->sites[site].domain.p);
			__builtin_prefetch(m->sites[site].domain_folded.p);
		}
	}
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

		prefetch_domains(w, i);
		if (site != MODEL_NONE)
			rc = claim_site(w, site);
	}
	return rc;
}

/*
 * Targets come in the order of names, and what a row needs lies all over memory: most of the time
 * of a big table is waiting for it. So ask for it some rows ahead, in steps, as each needs the one
 * before.
 */
static void prefetch_rows(const struct compute_work *w, const struct graph_run *r, uint32_t k)
{
	const struct model *m = w->m;
	uint32_t node, at;

	if (k + 24 < w->ntargets) {
		node = w->targets[k + 24].node;
		__builtin_prefetch(&r->head[node]);
		__builtin_prefetch(&r->dist[node]);
		__builtin_prefetch(&m->names[node]);
		__builtin_prefetch(w->targets[k + 24].name.p);
	}
	if (k + 18 < w->ntargets) {
		node = w->targets[k + 18].node;
		if (r->head[node] != GRAPH_NONE)
			__builtin_prefetch(&r->labels[r->head[node]]);
		if (m->names[node].site != MODEL_NONE)
			prefetch(&m->sites[m->names[node].site], HOT_BYTES);
	}
	if (k + 12 < w->ntargets) {
		at = r->head[w->targets[k + 12].node];
		if (at != GRAPH_NONE)
			__builtin_prefetch(&w->g.edges[r->labels[at].edge]);
	}
	if (k + 6 < w->ntargets) {
		at = r->head[w->targets[k + 6].node];
		if (at != GRAPH_NONE)
			prefetch(&m->connectors[w->g.edges[r->labels[at].edge].connector],
				 HOT_BYTES);
	}
	if (k + 3 < w->ntargets) {
		at = r->head[w->targets[k + 3].node];
		if (at != GRAPH_NONE) {
			const struct model_connector *c =
				&m->connectors[w->g.edges[r->labels[at].edge].connector];

			__builtin_prefetch(c->name.p);
			prefetch(&m->sites[c->site], HOT_BYTES);
		}
	}
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
	for (k = 0; rc == RC_OK && k < w->ntargets; k++) {
		prefetch_rows(w, compute_run_of(w, cls), k);
		rc = compute_site_rows(w, cls, &w->targets[k], &ways);
	}
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
	uint32_t *local = numbers(w, m->total_pins), n = 0, i;
	unsigned k;

	if (local == NULL)
		return RC_NOMEM;
	for (i = 0; i < m->nconnectors && m->total_pins != 0; i++) {
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
	w->mx_bytes = arena_zalloc(&w->a, w->m->nnames, sizeof(*w->mx_bytes));
	w->connector_text = numbers(w, w->m->nconnectors);
	w->element_text = numbers(w, w->m->nconnectors);
	w->hops = arena_alloc(&w->a, (degree + 1) * sizeof(*w->hops));
	w->transport_text = numbers(w, degree);
	if (w->target_text == NULL || w->mx_text == NULL || w->mx_bytes == NULL ||
	    w->connector_text == NULL || w->element_text == NULL || w->hops == NULL ||
	    w->transport_text == NULL)
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

int compute_begin(struct compute_work *w)
{
	int rc = collect_targets(w);

	if (rc == RC_OK)
		rc = make_memos(w);
	if (rc != RC_OK)
		return rc;
	w->site_text = build_text(&w->b, w->m->sites[w->site].name, (struct span){NULL, 0});
	w->ex_text = build_text(&w->b, SPAN_LIT("EX"), (struct span){NULL, 0});
	return collect_domains(w);
}

static int fill(struct compute_work *w, struct table **out)
{
	unsigned cls;
	int rc = run_classes(w);

	if (rc == RC_OK)
		rc = compute_begin(w);
	for (cls = 0; cls < TABLE_CLASSES && rc == RC_OK; cls++)
		rc = class_rows(w, cls);
	if (rc == RC_OK)
		rc = add_pins(w);
	if (rc != RC_OK)
		return rc;
	point_domains(w);
	return build_finish(&w->b, w->site_text, &w->domains, out);
}

int compute_table(const struct model *m, struct span site, struct table **out)
{
	return compute_table_more(m, site, &(struct compute_more){0}, out);
}

/* The answers beside the table; all of it or none. */
static int give_more(const struct compute_work *w, const struct compute_more *more)
{
	int rc = more->wanted != NULL ? buf_rc(more->wanted) : RC_OK;
	unsigned i;

	if (more->effect == NULL)
		return rc;
	effect_fini(more->effect);
	for (i = 0; i < TABLE_CLASSES && rc == RC_OK; i++) {
		if (w->run[i].g != NULL)
			rc = effect_keep(more->effect, i, &w->run[i]);
	}
	if (rc != RC_OK)
		effect_fini(more->effect);
	return rc;
}

int compute_work_init(struct compute_work *w, const struct model *m, struct span site, size_t rows)
{
	int rc;

	must(m->committed);
	*w = (struct compute_work){.m = m, .last_wanted = GRAPH_NONE};
	arena_init(&w->a);
	rc = build_init(&w->b, rows);
	if (rc == RC_OK)
		rc = model_find_site(m, site, &w->site);
	if (rc == RC_OK)
		w->root = m->sites[w->site].name_id;
	return rc;
}

void compute_work_fini(struct compute_work *w)
{
	graph_run_fini(&w->run[TABLE_SYSTEM]);
	graph_run_fini(&w->run[TABLE_USER]);
	map_fini(&w->domains);
	build_fini(&w->b);
	arena_fini(&w->a);
}

int compute_table_more(const struct model *m, struct span site, const struct compute_more *more,
		       struct table **out)
{
	struct compute_work w;
	int rc;

	*out = NULL;
	rc = compute_work_init(&w, m, site, (size_t)m->nnames * TABLE_CLASSES + 16);
	w.holds = more->holds;
	w.wanted = more->wanted;
	if (rc == RC_OK)
		rc = fill(&w, out);
	if (rc == RC_OK)
		rc = give_more(&w, more);
	if (rc != RC_OK)
		table_free(out);
	compute_work_fini(&w);
	return rc;
}
