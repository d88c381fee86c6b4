/* Homes that were put back: what counts from then on, and what may not be lost. */
#include "tests/sim/history.h"

#include <stdlib.h>

/* --- what others still have --- */

static bool is_newer(const struct version *a, const struct version *b)
{
	return history_version_cmp(a, b) > 0;
}

static struct version version_of(struct store_txn *t, const struct store_change *row)
{
	struct version v = {.epoch = row->epoch, .usn = row->usn, .is_dead = row->is_tombstone};
	struct entry e;

	if (!row->is_tombstone) {
		need(store_entry(t, row->eid, &e) == RC_OK);
		v.epoch = e.head.stamp.epoch;
		v.body = history_body(&e);
	}
	return v;
}

/* What each site knew of the context. */
static struct {
	struct position room[1 + POSITION_PAST_MAX];
	struct vector lives;
} known[SIM_SITES];

/* Had its home that already, or has changed it since both were the same? */
static bool is_older(const struct item *item, const struct version *home)
{
	struct position p = {.epoch = home->epoch, .usn = home->usn};

	return !is_newer(&item->lost, home) || !lives_include(&known[item->lost.item].lives, &p);
}

/* What a site has of the context, if the home has nothing as new. */
static void note_lost(struct context *c, struct site *from)
{
	struct store_change row;
	struct store_txn *t;
	struct store_nc nc;
	struct version v;
	struct item *item;
	uint64_t at = 0;

	known[from->number].lives.n = 0;
	need(store_read_begin(from->store, &t) == RC_OK);
	if (store_nc_find(t, &c->id, &nc) == RC_OK) {
		known[from->number].lives = store_nc_lives(&nc, known[from->number].room);
		while (store_change_next(t, nc.number, at, UINT64_MAX, &row) == RC_OK) {
			at = row.usn;
			v = version_of(t, &row);
			item = &c->history->items[history_item(c->history, &row.uuid)];
			if (from == c->home && item->lost.usn != 0 && is_older(item, &v))
				item->lost = (struct version){.usn = 0};
			else if (from != c->home && is_newer(&v, &item->lost))
				item->lost = v;
			if (from != c->home && item->lost.usn == v.usn)
				item->lost.item = from->number;
		}
	}
	store_read_end(&t);
}

/* Did the home delete it later, in any of its lives? */
static bool was_deleted(const struct history *h, size_t i)
{
	const struct version *lost = &h->items[i].lost;
	size_t k;

	for (; h != NULL; h = h->past) {
		for (k = 0; k < h->nversions; k++) {
			const struct version *v = &h->versions[k];

			if (v->item == i && v->is_dead && !v->is_missed && is_newer(v, lost))
				return true;
		}
	}
	return false;
}

/* A deletion leaves nothing once its tombstone is collected: but the home knew what it deleted, so
 * who has it is behind. */
static void pass_over_deleted(struct context *c)
{
	struct history *h = c->history;
	size_t i;

	for (i = 0; i < h->nitems; i++) {
		struct version *lost = &h->items[i].lost;
		struct position p = {.epoch = lost->epoch, .usn = lost->usn};

		if (lost->usn != 0 && lives_include(&known[c->home->number].lives, &p) &&
		    was_deleted(h, i))
			*lost = (struct version){.usn = 0};
	}
}

static void note_all_lost(struct context *c)
{
	unsigned i;

	for (i = 0; i < c->history->nitems; i++)
		c->history->items[i].lost = (struct version){.usn = 0};
	for (i = 0; i < w.nsites; i++) {
		if (w.sites[i].is_up && &w.sites[i] != c->home)
			note_lost(c, &w.sites[i]);
	}
	note_lost(c, c->home);
	pass_over_deleted(c);
}

/* Did the home go on from there, in the life that was lost? */
static bool went_on(const struct history *h, size_t i)
{
	const struct version *lost = &h->items[i].lost;
	size_t k;

	for (; h != NULL; h = h->past) {
		for (k = 0; k < h->nversions; k++) {
			if (h->versions[k].item == i && h->versions[k].epoch == lost->epoch &&
			    h->versions[k].usn > lost->usn)
				return true;
		}
	}
	return false;
}

void history_check_returned(struct context *c)
{
	struct history *h = c->history;
	struct store_txn *t;
	struct entry e;
	uint64_t eid;
	size_t i;

	need(store_read_begin(c->home->store, &t) == RC_OK);
	for (i = 0; i < h->nitems; i++) {
		const struct version *lost = &h->items[i].lost;
		bool is_there = store_by_uuid(t, &h->items[i].uuid, &eid) == RC_OK;

		if (lost->usn == 0 || h->items[i].is_since || went_on(h, i))
			continue;
		need(!is_there || store_entry(t, eid, &e) == RC_OK);
		if (is_there == lost->is_dead || (is_there && history_body(&e) != lost->body))
			sim_fail("site %u: %s of %s, %s at %u:%llu before the restore, did not "
				 "come back",
				 c->home->number, history_uuid_text(&h->items[i].uuid), c->base,
				 lost->is_dead ? "deleted" : "written", lost->epoch,
				 (unsigned long long)lost->usn);
	}
	store_read_end(&t);
}

/* --- from a restore to a recovery --- */

void history_restored(struct site *s)
{
	struct store_txn *t;
	struct store_nc nc;
	struct context *c;
	unsigned i;
	size_t k;

	for (i = 0; i < w.ncontexts; i++) {
		c = &w.contexts[i];
		memset(&s->last[i], 0, sizeof(s->last[i]));
		mem_free(s->seen[i]);
		s->seen[i] = NULL;
		s->nseen[i] = 0;
		if (c->home != s)
			continue;
		c->is_adrift = true;
		for (k = 0; k < c->history->nitems; k++)
			c->history->items[k].is_since = false;
		note_all_lost(c);
		c->history->usn = 0;
		need(store_read_begin(s->store, &t) == RC_OK);
		if (store_nc_find(t, &c->id, &nc) == RC_OK)
			c->history->usn = nc.position.usn;
		store_read_end(&t);
	}
}

void history_adrift(const struct uuid *nc)
{
	struct context *c = w.contexts;

	while (!uuid_eq(&c->id, nc))
		c++;
	c->is_adrift = true;
}

/* It may have been moved: its parent was deleted in the life that was lost. */
static bool is_same(const struct version *v, const struct entry *e)
{
	return history_content(e) == v->content || history_body(e) == v->body;
}

/* Was the item's last state acknowledged since the restore? Then the home has it. */
static void check_kept(struct context *c, struct store_txn *t, size_t i)
{
	const struct history *h = c->history;
	const struct version *v = &h->versions[h->items[i].latest];
	struct entry e;
	uint64_t eid;
	bool is_there = store_by_uuid(t, &h->items[i].uuid, &eid) == RC_OK;

	if (!h->items[i].is_since)
		return;
	need(!is_there || store_entry(t, eid, &e) == RC_OK);
	if (is_there == v->is_dead || (is_there && !is_same(v, &e)))
		sim_fail(
			"site %u: %s of %s, %s after the restore at %u:%llu, is %s by the recovery",
			c->home->number, history_uuid_text(&h->items[i].uuid), c->base,
			v->is_dead ? "deleted" : "written", v->epoch, (unsigned long long)v->usn,
			is_there ? "there as it was" : "lost");
}

/* What the home has not is gone, whoever had it. */
static void note_gone(struct history *h, struct store_txn *t, const struct position *p, size_t i)
{
	struct version v = {
		.item = i, .epoch = p->epoch, .usn = p->usn, .is_dead = true, .is_missed = true};
	struct stamp stamp;
	uint64_t eid;

	if (store_by_uuid(t, &h->items[i].uuid, &eid) == RC_OK ||
	    store_tombstone(t, &h->items[i].uuid, &stamp) == RC_OK)
		return;
	h->items[i].latest = h->nversions;
	h->versions = history_grow(h->versions, h->nversions, &h->versions_size, sizeof(v));
	h->versions[h->nversions++] = v;
}

/* From here on only what the home has now is the latest; what it had may still be elsewhere. */
static void begin_generation(struct history *h)
{
	struct history *past = mem_zalloc(1, sizeof(*past));

	need(past != NULL);
	past->versions = h->versions;
	past->nversions = h->nversions;
	past->past = h->past;
	if (past->nversions != 0)
		qsort(past->versions, past->nversions, sizeof(*past->versions),
		      history_version_cmp);
	h->past = past;
	h->versions = NULL;
	h->nversions = h->versions_size = 0;
	h->usn = 0;
}

static void forget_seen(unsigned context)
{
	unsigned i;
	size_t k;

	for (i = 0; i < w.nsites; i++) {
		for (k = 0; k < w.sites[i].nseen[context]; k++)
			w.sites[i].seen[context][k] = (struct seen){.was_there = false};
	}
}

void history_recovered(struct site *s, const struct uuid *nc)
{
	struct context *c = w.contexts;
	struct history *h;
	struct store_nc now;
	struct store_txn *t;
	size_t i;

	while (!uuid_eq(&c->id, nc))
		c++;
	h = c->history;
	need(store_read_begin(s->store, &t) == RC_OK);
	need(store_nc_find(t, nc, &now) == RC_OK);
	for (i = 0; i < h->nitems; i++)
		check_kept(c, t, i);
	begin_generation(h);
	history_note_rows(c, t, false);
	if (h->nversions != 0)
		qsort(h->versions, h->nversions, sizeof(*h->versions), history_version_cmp);
	for (i = 0; i < h->nversions; i++)
		h->items[h->versions[i].item].latest = i;
	for (i = 0; i < h->nitems; i++)
		note_gone(h, t, &now.position, i);
	store_read_end(&t);
	forget_seen(c - w.contexts);
	c->is_adrift = false;
	w.recoveries++;
}
