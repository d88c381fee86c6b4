/* Who is there, and who is linked to whom. */
#include "tests/sim/sim.h"

void world_add_edge(unsigned a, unsigned b)
{
	need(w.nedges < sizeof(w.edges) / sizeof(w.edges[0]));
	w.edges[w.nedges++] = (struct edge){a, b};
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
	for (i = 1; i < n; i++) {
		if (what == 0)
			world_add_edge(0, i);
		else if (what == 1 || what == 2)
			world_add_edge(i - 1, i);
		else if (what == 4)
			world_add_edge(draw(i), i);
		for (j = 0; what == 3 && j < i; j++)
			world_add_edge(j, i);
	}
	if (what == 2 && n > 2)
		world_add_edge(n - 1, 0);
	if (what == 4 && n > 3)
		world_add_edge(1, n - 1);
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

	for (i = 0; i < w.nedges; i++) {
		struct site *a = &w.sites[w.edges[i].a];

		if (w.edges[i].b == s->number && a->is_member && !remove_is_gone(a) &&
		    (s != w.heir || (a->is_up && remove_frees_name(a))))
			return a;
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
	for (i = 0; i < w.nedges; i++) {
		struct site *a = &w.sites[w.edges[i].a], *b = &w.sites[w.edges[i].b];

		if ((a != s && b != s) || !a->is_member || !b->is_member || remove_is_gone(a) ||
		    remove_is_gone(b))
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
	bool was_quiet = w.is_quiet;
	struct site *partner;
	unsigned i;

	for (i = 0; i < w.nsites; i++) {
		partner = partner_of(&w.sites[i]);
		if (w.sites[i].is_member || partner == NULL || !partner->is_up ||
		    (w.is_plain && partner->power_is_lost))
			continue;
		trace("site %u joins at site %u", i, partner->number);
		w.is_quiet |= w.is_plain; /* else it is refused, and tried again */
		join(&w.sites[i], partner);
		w.is_quiet = was_quiet;
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
	/* no dice: all other worlds stay what they were */
	w.has_new_links = w.is_plain && !shape->is_calm && shape->topology == NULL && seed % 4 == 3;
	w.ncontexts = w.nsites + 1;
	if (!shape->is_calm && w.nsites > 2 && chance(3))
		late = 1 + draw(2);
	w.has_lies = shape->has_lies;
	w.backed_up = shape->has_restores ? &w.sites[draw(w.nsites)] : NULL;
	w.most_restores = chance(2) ? 1 : 1 + draw(4);
	topology = make_topology(shape->topology);
	if (w.is_plain && !shape->is_calm && chance(4))
		remove_plan();
	for (i = 0; i < w.ncontexts; i++)
		history_create(&w.contexts[i]);
	for (i = 0; i < w.nsites; i++)
		site_create(&w.sites[i], i, folder);
	if (w.heir != NULL)
		w.heir->name = w.leaver->name;
	for (i = 0; i + late < w.nsites - (w.heir != NULL); i++)
		join(&w.sites[i], i != 0 ? &w.sites[0] : NULL);
	trace("seed %llu: %u sites, %s, %u of them join later%s", (unsigned long long)seed,
	      w.nsites, topology, late,
	      w.heir != NULL ? ", one is removed and another one takes its name" : "");
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
