/* Who is there, and who is linked to whom. */
#include "tests/sim/sim.h"

static struct edge {
	unsigned a, b;
} edges[SIM_SITES * SIM_SITES];
static unsigned nedges;

static void both_ways(unsigned a, unsigned b)
{
	edges[nedges++] = (struct edge){a, b};
}

static const char *const topologies[] = {"hub", "chain", "ring", "mesh", "random"};

static unsigned number_of(const char *topology)
{
	unsigned i = 0;

	while (strcmp(topologies[i], topology) != 0)
		need(++i < sizeof(topologies) / sizeof(topologies[0]));
	return i;
}

static const char *make_topology(const char *wanted)
{
	unsigned what = wanted != NULL ? number_of(wanted) : draw(5), n = w.nsites, i, j;

	if (what == 3 && n > 6 && wanted == NULL)
		what = 4;
	nedges = 0;
	for (i = 1; i < n; i++) {
		if (what == 0)
			both_ways(0, i);
		else if (what == 1 || what == 2)
			both_ways(i - 1, i);
		else if (what == 4)
			both_ways(draw(i), i);
		for (j = 0; what == 3 && j < i; j++)
			both_ways(j, i);
	}
	if (what == 2 && n > 2)
		both_ways(n - 1, 0);
	if (what == 4 && n > 3)
		both_ways(1, n - 1);
	return topologies[what];
}

static unsigned draw_sites(void)
{
	if (chance(40))
		return 8 + draw(13);
	return 2 + draw(4);
}

/* --- joining --- */

/* The first site joins nobody; every other one has an edge to an earlier one, its partner. */
static struct site *partner_of(const struct site *s)
{
	unsigned i;

	for (i = 0; i < nedges; i++) {
		if (edges[i].b == s->number && w.sites[edges[i].a].is_member)
			return &w.sites[edges[i].a];
	}
	return NULL;
}

static void join(struct site *s, struct site *partner)
{
	unsigned i;

	site_open(s);
	site_found(s, partner);
	plant_join(s, partner);
	s->is_member = true;
	for (i = 0; i < nedges; i++) {
		struct site *a = &w.sites[edges[i].a], *b = &w.sites[edges[i].b];

		if ((a != s && b != s) || !a->is_member || !b->is_member)
			continue;
		net_add_link(a, b);
		net_add_link(b, a);
		if (a->is_up && b->is_up) {
			site_take_head(a, b);
			site_take_head(b, a);
		}
	}
	recover_start(s);
}

void world_join_one(void)
{
	struct site *partner;
	unsigned i;

	for (i = 0; i < w.nsites; i++) {
		partner = partner_of(&w.sites[i]);
		if (w.sites[i].is_member || partner == NULL || !partner->is_up)
			continue;
		trace("site %u joins at site %u", i, partner->number);
		join(&w.sites[i], partner);
		w.joins++;
		return;
	}
}

void world_join_all(void)
{
	unsigned i;

	for (i = 0; i < w.nsites; i++)
		world_join_one();
}

/* --- the whole --- */

void world_open(uint64_t seed, const struct shape *shape, const char *folder)
{
	unsigned i, late = 0;
	const char *topology;

	w.nsites = shape->nsites != 0 ? shape->nsites : draw_sites();
	w.only_moves = shape->only_moves;
	w.is_quiet = shape->is_calm;
	w.is_plain = !shape->has_restores && !shape->has_lies && !shape->only_moves;
	w.ncontexts = w.nsites + 1;
	if (!shape->is_calm && w.nsites > 2 && chance(3))
		late = 1 + draw(2);
	w.has_lies = shape->has_lies;
	w.backed_up = shape->has_restores ? &w.sites[draw(w.nsites)] : NULL;
	w.most_restores = chance(2) ? 1 : 1 + draw(4);
	topology = make_topology(shape->topology);
	for (i = 0; i < w.ncontexts; i++)
		history_create(&w.contexts[i]);
	for (i = 0; i < w.nsites; i++)
		site_create(&w.sites[i], i, folder);
	for (i = 0; i + late < w.nsites; i++)
		join(&w.sites[i], i != 0 ? &w.sites[0] : NULL);
	trace("seed %llu: %u sites, %s, %u of them join later", (unsigned long long)seed, w.nsites,
	      topology, late);
}

void world_close(void)
{
	unsigned i;

	net_free();
	for (i = 0; i < w.nsites; i++)
		site_free(&w.sites[i]);
	for (i = 0; i < w.ncontexts; i++)
		history_free(&w.contexts[i]);
}
