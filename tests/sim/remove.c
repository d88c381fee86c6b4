/*
 * A site that is removed from the organisation while it runs, and another one that takes its name
 * (R25). Whoever has heard of the removal knows nothing of its context any more, whatever others
 * still tell; the one that was removed goes on, and hears of nobody.
 */
#include "tests/sim/history.h"

/* Is there a way from site 0 to everybody, in the order they join, that does not lead over it? */
static bool may_leave(unsigned n)
{
	unsigned i, k;

	for (i = 1; i < w.nsites; i++) {
		for (k = 0; i != n && k < w.nedges; k++) {
			if (w.edges[k].b == i && w.edges[k].a < i && w.edges[k].a != n)
				break;
		}
		if (i != n && k == w.nedges)
			return false;
	}
	return true;
}

void remove_plan(void)
{
	unsigned n = 1 + draw(w.nsites - 1), k, nedges = w.nedges;

	if (!may_leave(n) || w.nsites == SIM_SITES)
		return;
	w.leaver = &w.sites[n];
	w.heir = &w.sites[w.nsites];
	for (k = 0; k < nedges; k++) {
		if (w.edges[k].a == n || w.edges[k].b == n)
			world_add_edge(w.edges[k].a == n ? w.edges[k].b : w.edges[k].a, w.nsites);
	}
	w.nsites++;
	w.ncontexts++;
}

static bool knows(const struct site *s, const struct uuid *site)
{
	struct store_txn *t;
	uint64_t eid;
	bool is_there;

	need(store_read_begin(s->store, &t) == RC_OK);
	is_there = store_by_uuid(t, site, &eid) == RC_OK;
	store_read_end(&t);
	return is_there;
}

static bool has_keys(const struct site *s, const struct uuid *site)
{
	struct store_leaving l;
	struct store_txn *t;
	bool is_leaving;

	need(store_read_begin(s->store, &t) == RC_OK);
	is_leaving = store_leaving_find(t, site, &l) == RC_OK;
	store_read_end(&t);
	return !is_leaving && knows(s, site);
}

bool remove_may_talk(const struct site *a, const struct site *b)
{
	return has_keys(a, &w.contexts[b->number].id) && has_keys(b, &w.contexts[a->number].id);
}

bool remove_is_gone(const struct site *s)
{
	return w.is_removed && s == w.leaver;
}

bool remove_frees_name(const struct site *s)
{
	return w.is_removed && !knows(s, &w.contexts[w.leaver->number].id);
}

void remove_now(void)
{
	struct site *master = &w.sites[0];
	char id[UUID_TEXT_BYTES];

	if (w.leaver == NULL || w.is_removed || !w.leaver->is_member || !master->is_up ||
	    !master->is_released || master->power_is_lost)
		return;
	uuid_write(&w.contexts[w.leaver->number].id, id);
	w.removed_usn = w.contexts[w.nsites].history->usn + 1;
	/* it may be there after the crash, although nobody was told */
	w.is_removed = site_add_value(&w.contexts[w.nsites], SIM_ROOT, "removedSite", id) ||
		       (master->power_is_lost && master->lost_is_whole);
	if (!w.is_removed)
		return;
	trace("site %u is removed", w.leaver->number);
	remove_check(master);
}

/* As the writer does between two batches. */
static void forget_piece(struct site *s)
{
	struct change c = {.kind = CHANGE_FORGET};
	struct result why = {.code = LR_SUCCESS};
	struct arena a;

	arena_init(&a);
	if (site_apply(s, &c, 1, &a, &why) == RC_OK) {
		remove_check(s);
		net_committed(s);
		w.forgetting++;
	}
	arena_fini(&a);
}

void remove_pieces(void)
{
	struct store_txn *t;
	bool is_forgetting;
	unsigned i;

	for (i = 0; i < w.nsites; i++) {
		struct site *s = &w.sites[i];

		if (!s->is_up || !s->is_released || s->power_is_lost)
			continue;
		need(store_read_begin(s->store, &t) == RC_OK);
		is_forgetting = update_is_forgetting(t);
		store_read_end(&t);
		if (is_forgetting)
			forget_piece(s);
	}
}

/* Sessions with the one that was removed end where that is known. */
static void end_sessions(struct site *s)
{
	unsigned i;

	for (i = 0; i < w.nlinks; i++) {
		if (w.links[i].to == s && w.links[i].from == w.leaver)
			net_end(&w.links[i], "its site was removed");
	}
}

/* Nothing of the context: no position, and once all pieces are done no entry and no tombstone. */
static void check_nothing(struct site *s, struct store_txn *t, const struct context *c)
{
	const struct history *h = c->history;
	struct store_leaving leaving;
	struct store_nc nc;
	struct stamp stamp;
	uint64_t eid;
	size_t i;

	if (store_nc_find(t, &c->id, &nc) == RC_OK)
		sim_fail("site %u still has a position of %s, which was removed", s->number,
			 c->base);
	if (store_leaving_find(t, &c->id, &leaving) == RC_OK)
		return;
	for (i = 0; i < h->nitems; i++) {
		if (store_by_uuid(t, &h->items[i].uuid, &eid) == RC_OK)
			sim_fail("site %u still has entry %s of %s, which was removed", s->number,
				 history_uuid_text(&h->items[i].uuid), c->base);
		if (store_tombstone(t, &h->items[i].uuid, &stamp) == RC_OK)
			sim_fail("site %u still has a tombstone %s of %s, which was removed",
				 s->number, history_uuid_text(&h->items[i].uuid), c->base);
	}
}

void remove_check(struct site *s)
{
	struct store_txn *t;
	struct store_nc nc;
	bool has_heard;

	if (!w.is_removed || s == w.leaver)
		return;
	need(store_read_begin(s->store, &t) == RC_OK);
	has_heard = store_nc_find(t, &w.contexts[w.nsites].id, &nc) == RC_OK &&
		    nc.position.usn >= w.removed_usn;
	if (has_heard)
		check_nothing(s, t, &w.contexts[w.leaver->number]);
	store_read_end(&t);
	if (has_heard)
		end_sessions(s);
}
