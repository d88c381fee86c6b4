/* How long a whole routing table takes, and a change of one connector. Prints name, size, median
 * and worst of the runs. */
#include "routed/compute.h"
#include "routed/effect.h"
#include "routed/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RUNS 15
#define CHANGES 1000
#define PATH_RUNS 31
#define MESH_CONNECTORS 5 /* a site */

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static uint32_t next_random(void)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32);
}

static void put(struct model *m, const char *dn, const struct model_attr *attrs, unsigned n)
{
	unsigned changes = 0;

	must(model_put(m, span_of(dn), span_of(dn), attrs, n, &changes) == RC_OK);
}

static void put_site(struct model *m, unsigned site)
{
	struct span class = SPAN_LIT("mailSite"), domain;
	char dn[64], name[64];
	struct model_attr attrs[] = {
		{SPAN_LIT("objectClass"), &class, 1},
		{SPAN_LIT("siteSmtpDomain"), &domain, 1},
	};

	snprintf(dn, sizeof(dn), "ou=Site%u,o=Example", site);
	snprintf(name, sizeof(name), "site%u.example.com", site);
	domain = span_of(name);
	put(m, dn, attrs, 2);
}

/* One connector with connected domains to `n` sites. */
static void put_connector(struct model *m, unsigned site, unsigned number, const unsigned *to,
			  unsigned n)
{
	struct span class = SPAN_LIT("imsConnector"), flag = SPAN_LIT("TRUE");
	struct span *values = calloc(n, sizeof(*values));
	char(*texts)[80] = calloc(n, sizeof(*texts));
	char dn[128];
	unsigned i;
	struct model_attr attrs[] = {
		{SPAN_LIT("objectClass"), &class, 1},
		{SPAN_LIT("onlySystemMessagesUseCDs"), &flag, 1},
		{SPAN_LIT("connectedDomains"), values, n},
	};

	must(values != NULL && texts != NULL);
	for (i = 0; i < n; i++) {
		snprintf(texts[i], sizeof(texts[i]), "Site%u;%u;SMTP:site%u.example.com", to[i],
			 1 + next_random() % 100, to[i]);
		values[i] = span_of(texts[i]);
	}
	snprintf(dn, sizeof(dn), "cn=IMS %u,cn=Connections,cn=Configuration,ou=Site%u,o=Example",
		 number, site);
	put(m, dn, attrs, 3);
	free(values);
	free(texts);
}

static void make_mesh(struct model *m, unsigned sites)
{
	unsigned i, k, to;

	for (i = 0; i < sites; i++) {
		put_site(m, i);
		for (k = 0; k < MESH_CONNECTORS; k++) {
			to = k == 0 ? (i + 1) % sites : next_random() % sites;
			put_connector(m, i, k, &to, 1);
		}
	}
}

static void make_star(struct model *m, unsigned sites)
{
	unsigned *spokes = calloc(sites, sizeof(*spokes));
	unsigned hub = 0, i;

	must(spokes != NULL);
	for (i = 0; i < sites; i++) {
		put_site(m, i);
		spokes[i] = i;
		if (i != hub)
			put_connector(m, i, 0, &hub, 1);
	}
	put_connector(m, hub, 0, spokes + 1, sites - 1);
	free(spokes);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Another cost for one link of a random connector. */
static void change_one(struct model *m, unsigned sites, bool star)
{
	unsigned site = next_random() % sites, number = 0, to = 0;
	const struct model_connector *c;

	if (star) {
		put_connector(m, site != 0 ? site : 1, 0, &to, 1);
		return;
	}
	c = &m->connectors[next_random() % m->nconnectors];
	must(sscanf((const char *)c->dn.p, "cn=IMS %u,cn=Connections,cn=Configuration,ou=Site%u",
		    &number, &site) == 2);
	must(sscanf((const char *)c->cds[0].written.p, "Site%u", &to) == 1);
	put_connector(m, site, number, &to, 1);
}

/* From the changed entry to the new table, or to knowing that it is the old one. */
static void measure_changes(const char *name, void (*make)(struct model *, unsigned),
			    unsigned sites)
{
	static uint64_t took[CHANGES];
	struct effect e = {0};
	struct model *m = NULL;
	unsigned i, computed = 0;

	must(model_new(&m) == RC_OK);
	make(m, sites);
	for (i = 0; i < CHANGES; i++) {
		struct table *t = NULL;
		uint64_t begun = now_us();

		change_one(m, sites, make == make_star);
		if (!effect_none(&e, m)) {
			const struct compute_more more = {.effect = &e};

			must(model_commit(m) == RC_OK);
			must(compute_table_more(m, SPAN_LIT("Site0"), &more, &t) == RC_OK);
			computed++;
		}
		model_pending_clear(m);
		took[i] = now_us() - begun;
		table_free(&t);
	}
	qsort(took, CHANGES, sizeof(took[0]), compare);
	printf("%-14s sites=%u connectors=%u changes=%u computed=%u p50=%.0fus p80=%.0fus "
	       "max=%.2fms\n",
	       name, sites, m->nconnectors, CHANGES, computed, (double)took[CHANGES / 2],
	       (double)took[CHANGES * 8 / 10], (double)took[CHANGES - 1] / 1e3);
	effect_fini(&e);
	model_free(&m);
}

static void measure(const char *name, void (*make)(struct model *, unsigned), unsigned sites)
{
	struct model *m = NULL;
	struct table *before = NULL; /* stays until the next one is there, as in routed */
	uint64_t took[RUNS], loaded, begun = now_us();
	uint32_t rows = 0;
	unsigned i;

	must(model_new(&m) == RC_OK);
	make(m, sites);
	must(model_commit(m) == RC_OK);
	loaded = now_us() - begun;
	for (i = 0; i < RUNS; i++) {
		struct table *t = NULL;

		begun = now_us();
		must(compute_table(m, SPAN_LIT("Site0"), &t) == RC_OK);
		took[i] = now_us() - begun;
		rows = t->nrows;
		table_free(&before);
		before = t;
	}
	table_free(&before);
	qsort(took, RUNS, sizeof(took[0]), compare);
	printf("%-14s sites=%u connectors=%u rows=%u load=%.1fms compute p50=%.2fms max=%.2fms\n",
	       name, sites, m->nconnectors, rows, (double)loaded / 1e3,
	       (double)took[RUNS / 2] / 1e3, (double)took[RUNS - 1] / 1e3);
	model_free(&m);
}

static void write_graph(const struct graph *g, uint32_t root, const char *path)
{
	FILE *f = fopen(path, "w");
	uint32_t i, k;

	must(f != NULL && root == 0);
	fprintf(f, "%u %u\n", g->nnodes, g->nedges);
	for (i = 0; i < g->nnodes; i++) {
		for (k = g->first[i]; k < g->first[i + 1]; k++)
			fprintf(f, "%u %u %u\n", i, g->edges[k].to, g->edges[k].cost);
	}
	must(fclose(f) == 0);
}

/* The paths alone; the graph also as text, for compare_paths.py. */
static void measure_paths(void (*make)(struct model *, unsigned), unsigned sites, const char *path)
{
	uint64_t took[PATH_RUNS];
	struct model *m = NULL;
	unsigned sum = 0, i;
	struct graph g;
	struct arena a;

	arena_init(&a);
	must(model_new(&m) == RC_OK);
	make(m, sites);
	must(model_commit(m) == RC_OK);
	must(graph_build(m, &a, &g) == RC_OK);
	write_graph(&g, m->sites[0].name_id, path);
	for (i = 0; i < PATH_RUNS; i++) {
		struct graph_run r;
		uint64_t begun = now_us();
		uint32_t k;

		must(graph_run(&g, 0, MODEL_CARRY_ALL, 1u << 24, &r) == RC_OK);
		took[i] = now_us() - begun;
		for (k = 0, sum = 0; k < g.nnodes; k++)
			sum += r.dist[k] != GRAPH_NONE ? r.dist[k] : 0;
		graph_run_fini(&r);
	}
	qsort(took, PATH_RUNS, sizeof(took[0]), compare);
	printf("paths sites=%u edges=%u p50=%lluus min=%lluus sum=%u\n", sites, g.nedges,
	       (unsigned long long)took[PATH_RUNS / 2], (unsigned long long)took[0], sum);
	arena_fini(&a);
	model_free(&m);
}

int main(int argc, char **argv)
{
	if (argc == 3) {
		measure_paths(strcmp(argv[1], "star") == 0 ? make_star : make_mesh, 10000, argv[2]);
		return 0;
	}
	measure("compute.mesh", make_mesh, 1000);
	measure("compute.star", make_star, 1000);
	measure("compute.mesh", make_mesh, 10000);
	measure("compute.star", make_star, 10000);
	measure_changes("change.mesh", make_mesh, 10000);
	measure_changes("change.star", make_star, 10000);
	return 0;
}
