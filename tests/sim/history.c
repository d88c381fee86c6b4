#include "tests/sim/history.h"

#include <stdlib.h>

#include "dird/check.h"
#include "dird/store_int.h"

void *history_grow(void *at, size_t n, size_t *size, size_t bytes)
{
	if (n < *size)
		return at;
	*size = *size != 0 ? 2 * *size : 64;
	at = mem_realloc(at, *size * bytes);
	need(at != NULL);
	return at;
}

void history_create(struct context *c)
{
	c->history = mem_zalloc(1, sizeof(*c->history));
	need(c->history != NULL);
}

void history_free(struct context *c)
{
	struct history *h = c->history, *past;

	for (; h != NULL; h = past) {
		past = h->past;
		mem_free(h->versions);
		mem_free(h->items);
		mem_free(h->slots);
		mem_free(h);
	}
	c->history = NULL;
}

/* --- items --- */

static size_t slot_of(const struct history *h, const struct uuid *u)
{
	uint64_t hash;
	size_t i;

	memcpy(&hash, u->b, sizeof(hash));
	for (i = hash & (h->nslots - 1); h->slots[i] != 0; i = (i + 1) & (h->nslots - 1)) {
		if (uuid_eq(&h->items[h->slots[i] - 1].uuid, u))
			break;
	}
	return i;
}

static void more_slots(struct history *h)
{
	size_t i;

	if (2 * (h->nitems + 1) < h->nslots)
		return;
	mem_free(h->slots);
	h->nslots = h->nslots != 0 ? 4 * h->nslots : 256;
	h->slots = mem_zalloc(h->nslots, sizeof(*h->slots));
	need(h->slots != NULL);
	for (i = 0; i < h->nitems; i++)
		h->slots[slot_of(h, &h->items[i].uuid)] = i + 1;
}

size_t history_item(struct history *h, const struct uuid *u)
{
	size_t slot;

	more_slots(h);
	slot = slot_of(h, u);
	if (h->slots[slot] == 0) {
		h->items = history_grow(h->items, h->nitems, &h->items_size, sizeof(*h->items));
		h->items[h->nitems++] = (struct item){.uuid = *u};
		h->slots[slot] = h->nitems;
	}
	return h->slots[slot] - 1;
}

int history_version_cmp(const void *x, const void *y)
{
	const struct version *a = x, *b = y;

	if (a->epoch != b->epoch)
		return a->epoch < b->epoch ? -1 : 1;
	return a->usn < b->usn ? -1 : a->usn > b->usn;
}

/* Did the home ever have the item so? Of several lives, or of one that was put back, there may be
 * several states with one stamp. */
static bool has(const struct history *h, const struct version *v)
{
	size_t lo = 0, hi = h->nversions;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (history_version_cmp(&h->versions[mid], v) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < h->nversions && history_version_cmp(&h->versions[lo], v) == 0; lo++) {
		const struct version *at = &h->versions[lo];

		if (at->item == v->item && at->is_dead == v->is_dead &&
		    (v->is_dead || at->content == v->content))
			return true;
	}
	return false;
}

static bool had(const struct history *h, const struct version *v)
{
	for (; h != NULL; h = h->past) {
		if (has(h, v))
			return true;
	}
	return false;
}

/* --- content --- */

static uint64_t hash_bytes(struct span s, uint64_t h)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		h = (h ^ s.p[i]) * 0x100000001b3ull;
	return h;
}

/* Attributes; their order does not matter. */
uint64_t history_body(const struct entry *e)
{
	struct entry_attr at;
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < e->nattrs; i++) {
		entry_attr_at(e, i, &at);
		sum += hash_bytes(at.whole, 0x84222325cbf29ce4ull);
	}
	return sum;
}

/* Name, parent and attributes. */
uint64_t history_content(const struct entry *e)
{
	uint64_t sum = hash_bytes(e->head.rdn, 0xcbf29ce484222325ull);

	return hash_bytes(span_make(e->head.parent_uuid.b, UUID_BYTES), sum) + history_body(e);
}

const char *history_uuid_text(const struct uuid *u)
{
	static char text[UUID_TEXT_BYTES];

	uuid_write(u, text);
	return text;
}

/* --- taking down --- */

static void note_row(struct history *h, struct store_txn *t, const struct store_change *row,
		     bool is_change)
{
	struct version v = {.usn = row->usn, .is_dead = row->is_tombstone, .epoch = row->epoch};
	struct entry e;

	if (!row->is_tombstone) {
		need(store_entry(t, row->eid, &e) == RC_OK);
		v.epoch = e.head.stamp.epoch;
		v.content = history_content(&e);
		v.body = history_body(&e);
	}
	v.item = history_item(h, &row->uuid);
	h->items[v.item].is_since |= is_change;
	h->items[v.item].latest = h->nversions;
	h->versions = history_grow(h->versions, h->nversions, &h->versions_size, sizeof(v));
	h->versions[h->nversions++] = v;
}

void history_note_rows(struct context *c, struct store_txn *t, bool is_change)
{
	struct history *h = c->history;
	struct store_txn *own = NULL;
	struct store_change row;
	struct store_nc nc;

	if (t == NULL) {
		need(store_read_begin(c->home->store, &own) == RC_OK);
		t = own;
	}
	if (store_nc_find(t, &c->id, &nc) == RC_OK) {
		while (store_change_next(t, nc.number, h->usn, UINT64_MAX, &row) == RC_OK) {
			note_row(h, t, &row, is_change);
			h->usn = row.usn;
		}
		need(h->usn <= nc.position.usn);
		h->usn = nc.position.usn;
		h->epoch = nc.position.epoch;
		h->nlives = store_nc_lives(&nc, h->lives).n;
	}
	if (own != NULL)
		store_read_end(&own);
}

void history_note(struct context *c, struct store_txn *t)
{
	history_note_rows(c, t, true);
}

/* --- is it so here? --- */

static struct seen *seen_at(struct site *s, unsigned context, size_t item)
{
	size_t have = s->nseen[context];

	if (item >= have) {
		size_t size = 2 * item + 64;

		s->seen[context] = mem_realloc(s->seen[context], size * sizeof(struct seen));
		need(s->seen[context] != NULL);
		memset(s->seen[context] + have, 0, (size - have) * sizeof(struct seen));
		s->nseen[context] = size;
	}
	return &s->seen[context][item];
}

static bool stamp_is_less(const struct stamp *a, const struct stamp *b)
{
	return a->epoch < b->epoch || (a->epoch == b->epoch && a->usn < b->usn);
}

static void check_live(struct site *s, struct context *c, struct store_txn *t,
		       const struct store_change *row)
{
	struct version v;
	struct seen *seen;
	struct entry e;
	size_t item;

	need(store_entry(t, row->eid, &e) == RC_OK);
	if (e.head.stamp.usn == 0)
		return; /* taken along by the join */
	item = history_item(c->history, &e.head.uuid);
	v = (struct version){.epoch = e.head.stamp.epoch,
			     .usn = e.head.stamp.usn,
			     .item = item,
			     .content = history_content(&e)};
	if (!had(c->history, &v))
		sim_fail("site %u: entry %s (%.*s) of %s is not what its home had at %u:%llu",
			 s->number, history_uuid_text(&e.head.uuid), SPAN_ARG(e.head.rdn), c->base,
			 e.head.stamp.epoch, (unsigned long long)e.head.stamp.usn);
	seen = seen_at(s, c - w.contexts, item);
	if (seen->is_gone)
		sim_fail("site %u: entry %s (%.*s) of %s was gone and is there again", s->number,
			 history_uuid_text(&e.head.uuid), SPAN_ARG(e.head.rdn), c->base);
	if (seen->was_there && stamp_is_less(&e.head.stamp, &seen->stamp))
		sim_fail("site %u: entry %s (%.*s) of %s went back from %u:%llu to %u:%llu",
			 s->number, history_uuid_text(&e.head.uuid), SPAN_ARG(e.head.rdn), c->base,
			 seen->stamp.epoch, (unsigned long long)seen->stamp.usn, e.head.stamp.epoch,
			 (unsigned long long)e.head.stamp.usn);
	if (!seen->was_there || stamp_is_less(&seen->stamp, &e.head.stamp))
		trace("site %u: %s (%.*s) of %s is as of %u:%llu", s->number,
		      history_uuid_text(&e.head.uuid), SPAN_ARG(e.head.rdn), c->base,
		      e.head.stamp.epoch, (unsigned long long)e.head.stamp.usn);
	seen->was_there = true;
	seen->stamp = e.head.stamp;
}

static void check_dead(struct site *s, struct context *c, const struct store_change *row)
{
	size_t item = history_item(c->history, &row->uuid);
	struct version v = {.epoch = row->epoch, .usn = row->usn, .item = item, .is_dead = true};

	if (!had(c->history, &v))
		sim_fail("site %u: a tombstone of %s that its home never had: %s %u:%llu",
			 s->number, c->base, history_uuid_text(&row->uuid), row->epoch,
			 (unsigned long long)row->usn);
	/* a deletion that a restore has lost may be undone by the recovery */
	if (has(c->history, &v))
		seen_at(s, c - w.contexts, item)->is_gone = true;
}

/* It waits as it came. */
static void check_quarantined(struct site *s, struct context *c, const struct store_change *row)
{
	struct store_quarantined q;
	struct version v = {.epoch = row->epoch, .usn = row->usn};

	need(store_quarantined_read(row->quarantined, &q) == RC_OK);
	v.epoch = q.e.head.stamp.epoch;
	v.item = history_item(c->history, &row->uuid);
	v.is_dead = q.is_removal;
	v.content = q.is_removal ? 0 : history_content(&q.e);
	if (!had(c->history, &v))
		sim_fail("site %u: %s of %s in quarantine is not what its home had at %u:%llu",
			 s->number, history_uuid_text(&row->uuid), c->base, v.epoch,
			 (unsigned long long)v.usn);
}

/* Does the state that counts wait in quarantine? What was there before stays. */
static bool is_waiting(struct store_txn *t, const struct context *c, const struct item *item)
{
	const struct version *v = &c->history->versions[item->latest];
	struct store_quarantined q;
	struct store_nc nc;

	return w.is_plain && store_nc_find(t, &c->id, &nc) == RC_OK &&
	       store_quarantined(t, nc.number, &item->uuid, &q) == RC_OK &&
	       q.e.head.stamp.epoch == v->epoch && q.e.head.stamp.usn == v->usn &&
	       q.is_removal == v->is_dead;
}

/* Nothing up to the position is missing, nothing removed is left. */
static void check_item(struct site *s, struct context *c, struct store_txn *t,
		       const struct position *p, size_t i)
{
	const struct item *item = &c->history->items[i];
	const struct version *v = &c->history->versions[item->latest];
	struct seen *seen = seen_at(s, c - w.contexts, i);
	bool covered = v->epoch <= p->epoch && v->usn <= p->usn;
	struct entry e;
	uint64_t eid;

	if (is_waiting(t, c, item))
		return;
	if (store_by_uuid(t, &item->uuid, &eid) != RC_OK) {
		if (seen->was_there && !seen->is_gone)
			trace("site %u: %s of %s (last %s at %u:%llu) is gone at %u:%llu",
			      s->number, history_uuid_text(&item->uuid), c->base,
			      v->is_dead ? "deleted" : "changed", v->epoch,
			      (unsigned long long)v->usn, p->epoch, (unsigned long long)p->usn);
		if (seen->was_there && !v->is_dead)
			sim_fail("site %u: entry %s of %s, which its home never deleted, is gone",
				 s->number, history_uuid_text(&item->uuid), c->base);
		seen->is_gone |= covered && v->is_dead;
		if (covered && !v->is_dead)
			sim_fail("site %u is at %u:%llu of %s, but entry %s of %u:%llu is missing",
				 s->number, p->epoch, (unsigned long long)p->usn, c->base,
				 history_uuid_text(&item->uuid), v->epoch,
				 (unsigned long long)v->usn);
		return;
	}
	if (!covered)
		return;
	need(store_entry(t, eid, &e) == RC_OK);
	if (v->is_dead)
		sim_fail("site %u is at %u:%llu of %s, but entry %s (%.*s), deleted at %u:%llu, "
			 "is there",
			 s->number, p->epoch, (unsigned long long)p->usn, c->base,
			 history_uuid_text(&item->uuid), SPAN_ARG(e.head.rdn), v->epoch,
			 (unsigned long long)v->usn);
	if (e.head.stamp.epoch != v->epoch || e.head.stamp.usn != v->usn)
		sim_fail("site %u is at %u:%llu of %s, but entry %s (%.*s) is of %u:%llu instead "
			 "of %u:%llu",
			 s->number, p->epoch, (unsigned long long)p->usn, c->base,
			 history_uuid_text(&item->uuid), SPAN_ARG(e.head.rdn), e.head.stamp.epoch,
			 (unsigned long long)e.head.stamp.usn, v->epoch,
			 (unsigned long long)v->usn);
}

/* Has it something that its home has lost, and has not heard of yet? Beyond its position, too: of a
 * session from before the restore that ends later. */
static bool is_held(const struct context *c, struct store_txn *t, const struct store_nc *nc)
{
	struct vector lives = {c->history->lives, c->history->nlives};
	struct position reach;
	uint64_t last;

	if (c->history->past == NULL || nc->position.epoch == 0)
		return false;
	need(update_reach(t, nc, &lives, &reach, &last) == RC_OK);
	return !lives_include(&lives, &nc->position) || !lives_include(&lives, &reach);
}

void history_check(struct site *s, struct context *c)
{
	struct store_change row;
	struct store_nc nc;
	struct store_txn *t;
	uint64_t at = 0;
	size_t i;

	if (c->is_adrift)
		return;
	w.checked++;
	need(store_read_begin(s->store, &t) == RC_OK);
	if (store_nc_find(t, &c->id, &nc) == RC_OK && !is_held(c, t, &nc)) {
		while (store_change_next(t, nc.number, at, UINT64_MAX, &row) == RC_OK) {
			at = row.usn;
			if (row.is_quarantined)
				check_quarantined(s, c, &row);
			else if (row.is_tombstone)
				check_dead(s, c, &row);
			else
				check_live(s, c, t, &row);
		}
		for (i = 0; i < c->history->nitems; i++)
			check_item(s, c, t, &nc.position, i);
		if (s == c->home && nc.position.usn != c->history->usn)
			sim_fail("site %u: its own context was at %llu and is at %llu", s->number,
				 (unsigned long long)c->history->usn,
				 (unsigned long long)nc.position.usn);
	}
	store_read_end(&t);
}

void history_positions(struct site *s)
{
	struct store_nc nc;
	struct store_txn *t;
	unsigned i;

	need(store_read_begin(s->store, &t) == RC_OK);
	for (i = 0; i < w.ncontexts; i++) {
		struct position *last = &s->last[i];

		if (w.contexts[i].is_adrift)
			continue;
		if (store_nc_find(t, &w.contexts[i].id, &nc) != RC_OK) {
			if (last->epoch != 0 && !remove_is_gone(w.contexts[i].home))
				sim_fail("site %u forgot %s", s->number, w.contexts[i].base);
			continue;
		}
		if (nc.position.epoch < last->epoch ||
		    (nc.position.epoch == last->epoch && nc.position.usn < last->usn))
			sim_fail("site %u: position of %s went from %u:%llu to %u:%llu", s->number,
				 w.contexts[i].base, last->epoch, (unsigned long long)last->usn,
				 nc.position.epoch, (unsigned long long)nc.position.usn);
		if (is_held(&w.contexts[i], t, &nc))
			continue;
		if (nc.position.epoch > w.contexts[i].history->epoch ||
		    (nc.position.usn > w.contexts[i].history->usn &&
		     (w.contexts[i].history->past == NULL ||
		      nc.position.epoch == w.contexts[i].history->epoch)))
			sim_fail("site %u: position %u:%llu of %s is ahead of its home", s->number,
				 nc.position.epoch, (unsigned long long)nc.position.usn,
				 w.contexts[i].base);
		if (w.contexts[i].home != NULL && nc.is_own != (w.contexts[i].home == s))
			sim_fail("site %u: %s changed its owner", s->number, w.contexts[i].base);
		*last = nc.position;
	}
	store_read_end(&t);
}

static void check_places(struct site *s, struct context *c, struct store_txn *t, uint32_t nc)
{
	struct store_change row;
	uint64_t at = 0;
	struct buf dn;

	buf_init(&dn, SIZE_MAX);
	while (store_change_next(t, nc, at, UINT64_MAX, &row) == RC_OK) {
		at = row.usn;
		buf_clear(&dn);
		if (row.is_quarantined)
			sim_fail("site %u: entry %s of %s is still in quarantine", s->number,
				 history_uuid_text(&row.uuid), c->base);
		if (!row.is_tombstone && store_dn(t, row.eid, &dn) != RC_OK)
			sim_fail("site %u: entry %s of %s is still in limbo", s->number,
				 history_uuid_text(&row.uuid), c->base);
	}
	buf_fini(&dn);
}

void history_check_equal(struct site *s, struct context *c)
{
	struct store_nc nc;
	struct store_txn *t;

	need(store_read_begin(s->store, &t) == RC_OK);
	if (store_nc_find(t, &c->id, &nc) != RC_OK)
		sim_fail("at quiet, site %u does not know %s", s->number, c->base);
	if (nc.position.epoch != c->history->epoch || nc.position.usn != c->history->usn)
		sim_fail("at quiet, site %u is at %u:%llu of %s instead of %u:%llu", s->number,
			 nc.position.epoch, (unsigned long long)nc.position.usn, c->base,
			 c->history->epoch, (unsigned long long)c->history->usn);
	check_places(s, c, t, nc.number);
	store_read_end(&t);
	proof_check_equal(s, c);
}

void history_check_view(struct site *s)
{
	struct store_iter *i;
	struct store_txn *t;
	struct arena a;
	struct buf text, known; /* a byte for each entry number */
	uint64_t eid, root, found;
	unsigned depth;
	struct dn dn;

	w.views++;
	arena_init(&a);
	buf_init(&text, SIZE_MAX);
	buf_init(&known, SIZE_MAX);
	need(store_read_begin(s->store, &t) == RC_OK);
	need(store_root(t, &root) == RC_OK);
	need(store_walk(t, root, STORE_SUB, &i) == RC_OK);
	while (store_iter_next(i, &eid) == RC_OK) {
		buf_clear(&text);
		if (!store_is_within(t, eid, root) || store_dn(t, eid, &text) != RC_OK)
			sim_fail("site %u: a reader sees an entry without its parent", s->number);
		need(dn_parse(&a, buf_span(&text), &dn, NULL) == RC_OK);
		if (eid >= known.n) {
			size_t n = eid + 1 - known.n;

			memset(buf_extend(&known, n), 0, n);
		}
		if (store_find(t, &dn, &found, &depth) != RC_OK || found != eid || known.p[eid]++)
			sim_fail("site %u: a reader sees two entries %.*s", s->number, (int)text.n,
				 (const char *)text.p);
	}
	store_iter_free(&i);
	store_read_end(&t);
	buf_fini(&known);
	buf_fini(&text);
	arena_fini(&a);
}

static void on_problem(void *ctx, const char *text)
{
	const struct site *s = ctx;

	sim_fail("site %u: %s", s->number, text);
}

void history_check_database(struct site *s)
{
	struct check c = {.problem = on_problem, .ctx = s};
	struct store_txn *t;

	need(store_read_begin(s->store, &t) == RC_OK);
	need(check_database(t, s->ctx.schema, &c) == RC_OK);
	store_read_end(&t);
}
