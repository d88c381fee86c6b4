/*
 * Links that are added, removed and changed while the sites run, as dird/repl_in.c does it when it
 * has read them again. There is always a way from everybody to everybody.
 */
#include "tests/sim/sim.h"

static struct link *link_of(const struct site *from, const struct site *to)
{
	unsigned i;

	for (i = 0; i < w.nlinks; i++) {
		struct link *l = &w.links[i];

		if (l->from == from && l->to == to && !l->is_removed)
			return l;
	}
	return NULL;
}

/* Who may be removed is not relied on. */
static bool counts(const struct site *s)
{
	return s->is_member && s != w.leaver;
}

static bool is_way(const struct site *a, const struct site *b)
{
	return a->is_up && b->is_up && link_of(a, b) != NULL && remove_may_talk(a, b);
}

static bool is_edge(const struct site *a, const struct site *b, const struct link *l)
{
	return (a == l->from && b == l->to) || (a == l->to && b == l->from);
}

/* Would everybody still hear of everybody? */
static bool is_spare(const struct link *l)
{
	bool is_reached[SIM_SITES] = {true}, grows = true;
	unsigned i, j;

	while (grows) {
		grows = false;
		for (i = 0; i < w.nsites; i++) {
			for (j = 0; is_reached[i] && j < w.nsites; j++) {
				struct site *a = &w.sites[i], *b = &w.sites[j];

				if (is_reached[j] || !counts(b) || is_edge(a, b, l) ||
				    !is_way(a, b))
					continue;
				is_reached[j] = grows = true;
			}
		}
	}
	for (i = 0; i < w.nsites && (is_reached[i] || !counts(&w.sites[i])); i++)
		;
	return i == w.nsites;
}

void links_change(void)
{
	struct site *a = &w.sites[draw(w.nsites)], *b = &w.sites[draw(w.nsites)];
	struct link *l = link_of(a, b);

	if (a == b || !counts(a) || !counts(b) || !a->is_up || !b->is_up)
		return;
	if (l == NULL && remove_may_talk(a, b)) {
		net_add_link(a, b);
		net_add_link(b, a);
	} else if (l != NULL && chance(3)) {
		net_change_link(l);
	} else if (l != NULL && is_spare(l)) {
		net_remove_link(l);
		net_remove_link(link_of(b, a));
	} else {
		return;
	}
	trace("the link of %u and %u is %s", a->number, b->number,
	      l == NULL       ? "added"
	      : l->is_removed ? "removed"
			      : "changed");
	w.relinks++;
}
