/*
 * All views made anew in one go: rows gathered by two threads, each for a half of the entries,
 * sorted and appended.
 */
#include "dird/be.h"
#include "dird/update_view.h"
#include "lib/sorter.h"

#include <pthread.h>

#define GATHERERS 2
#define RUN_BYTES ((size_t)8 << 20)
#define VIEW_BYTES 4 /* of a row's key: the view's place in the set */

/* Rows of all views for the entries from `next` up to `last`. */
struct gatherer {
	struct store *store;
	const struct update_context *ctx;
	const struct view_set *set;
	uint64_t next, last;
	struct sorter *rows; /* key: view, place; value: mask */
	int rc;

	struct sorter_row head; /* when they are read again */
	bool has_head;
};

static int put_row(struct gatherer *g, unsigned view, struct span key, uint64_t eid, uint32_t mask)
{
	uint8_t bytes[VIEW_BYTES + sizeof(((struct store_view_place *)0)->key)], value[4];
	struct store_view_place place;
	int rc;

	store_view_place_set(&place, key, eid);
	be_put32(bytes, view);
	memcpy(bytes + VIEW_BYTES, place.key, place.n);
	be_put32(value, mask);
	rc = sorter_put(g->rows, span_make(bytes, VIEW_BYTES + place.n),
			span_make(value, sizeof(value)));
	if (rc == RC_OK && sorter_held_bytes(g->rows) >= RUN_BYTES)
		rc = sorter_spill(g->rows);
	return rc;
}

/* One entry for all views. */
static int gather_entry(struct gatherer *g, struct update *u, uint64_t eid, const struct entry *e)
{
	struct view_facts f;
	unsigned i;
	int rc = RC_OK;

	view_facts_init(&f, u, g->set, eid, e);
	for (i = 0; i < g->set->n && rc == RC_OK; i++) {
		const struct view_def *d = &g->set->defs[i];

		if (d->state != VIEW_BUILDING || !view_facts_member(&f, d))
			continue;
		buf_clear(&f.key);
		rc = view_key(u->ctx->schema, &d->view.order, e, &f.key);
		if (rc == RC_OK)
			rc = put_row(g, i, buf_span(&f.key), eid, view_facts_mask(&f));
	}
	view_facts_fini(&f);
	return rc;
}

static int gather(struct gatherer *g)
{
	struct update u = {.ctx = g->ctx};
	struct entry e;
	int rc = store_read_begin(g->store, &u.t);

	if (rc != RC_OK)
		return rc;
	for (; rc == RC_OK && g->next <= g->last; g->next++) {
		rc = store_entry_from(u.t, &g->next, &e);
		if (rc == RC_OK && g->next <= g->last)
			rc = gather_entry(g, &u, g->next, &e);
	}
	store_read_end(&u.t);
	if (rc == RC_DONE)
		rc = RC_OK;
	return rc == RC_OK ? sorter_spill(g->rows) : rc;
}

static void *run_gatherer(void *arg)
{
	struct gatherer *g = arg;

	g->rc = gather(g);
	return NULL;
}

/* The second half is this thread's. */
static int gather_all(struct gatherer *g)
{
	pthread_t thread;
	bool has_thread = pthread_create(&thread, NULL, run_gatherer, &g[0]) == 0;

	run_gatherer(&g[1]);
	if (has_thread)
		must(pthread_join(thread, NULL) == 0);
	else
		run_gatherer(&g[0]);
	return g[0].rc != RC_OK ? g[0].rc : g[1].rc;
}

/* --- the rows of one view, of both gatherers --- */

struct merge {
	struct gatherer *g;
	unsigned view;
	struct gatherer *given; /* whose row was given out */
};

static int step(struct gatherer *g)
{
	int rc = sorter_next(g->rows, &g->head);

	g->has_head = rc == RC_OK;
	return rc == RC_DONE ? RC_OK : rc;
}

static int next_row(void *ctx, struct store_view_row *out)
{
	struct merge *m = ctx;
	struct gatherer *least = NULL, *g;
	int rc = m->given != NULL ? step(m->given) : RC_OK;

	m->given = NULL;
	if (rc != RC_OK)
		return rc;
	for (g = m->g; g < m->g + GATHERERS; g++) {
		if (g->has_head && be_get32(g->head.key.p) == m->view &&
		    (least == NULL || span_cmp(g->head.key, least->head.key) < 0))
			least = g;
	}
	if (least == NULL)
		return RC_DONE;
	m->given = least;
	*out = (struct store_view_row){span_from(least->head.key, VIEW_BYTES),
				       be_get32(least->head.value.p)};
	return RC_OK;
}

static int rewind_to(struct gatherer *g, unsigned view)
{
	unsigned i;
	int rc = RC_OK;

	for (i = 0; i < GATHERERS && rc == RC_OK; i++) {
		rc = sorter_rewind(g[i].rows);
		if (rc == RC_OK)
			rc = step(&g[i]);
		while (rc == RC_OK && g[i].has_head && be_get32(g[i].head.key.p) < view)
			rc = step(&g[i]);
	}
	return rc;
}

/* --- writing --- */

/* Under a number above all others, so that its rows can be appended. */
static int fill(struct update *u, const struct view_def *d, struct merge *m)
{
	struct view_def last = *d;
	int rc = store_view_drop(u->t, d->number, UINT32_MAX);

	if (rc != RC_OK)
		return rc;
	store_viewdef_del(u->t, d->number);
	last.number = store_viewdef_new(u->t);
	rc = store_view_fill(u->t, last.number, next_row, m);
	return rc == RC_OK ? update_view_ready(u->t, u->ctx, &last) : rc;
}

static int begin(struct update *u)
{
	store_view_clear(u->t);
	store_view_set_generation(u->t, 0);
	return store_error(u->t) == RC_OK ? update_views_sync(u->t, u->ctx) : store_error(u->t);
}

/* One write transaction, again when the map has grown: without a view the beginning. */
static int write_one(struct store *s, const struct update_context *ctx, const struct view_def *d,
		     struct merge *m)
{
	struct update u = {.ctx = ctx};
	int rc, commit_rc;

	do {
		rc = d != NULL ? rewind_to(m->g, m->view) : RC_OK;
		if (rc == RC_OK)
			rc = store_write_begin(s, &u.t);
		if (rc != RC_OK)
			return rc;
		rc = d != NULL ? fill(&u, d, m) : begin(&u);
		if (rc != RC_OK)
			store_fail(u.t, rc);
		commit_rc = store_write_commit(&u.t);
	} while (commit_rc == RC_MORE);
	return commit_rc != RC_OK && rc == RC_OK ? commit_rc : rc;
}

static int fill_all(struct store *s, const struct update_context *ctx, const struct view_set *set,
		    struct gatherer *g)
{
	struct merge m = {.g = g};
	int rc = RC_OK;

	for (; m.view < set->n && rc == RC_OK; m.view++) {
		m.given = NULL;
		if (set->defs[m.view].state == VIEW_BUILDING)
			rc = write_one(s, ctx, &set->defs[m.view], &m);
	}
	return rc;
}

static int build_all(struct store *s, const struct update_context *ctx, const struct view_set *set,
		     uint64_t last)
{
	struct gatherer g[GATHERERS] = {{.last = last / 2}, {.next = last / 2 + 1, .last = last}};
	unsigned i;
	int rc = RC_OK;

	for (i = 0; i < GATHERERS; i++) {
		g[i].store = s;
		g[i].ctx = ctx;
		g[i].set = set;
		if (rc == RC_OK)
			rc = sorter_new(store_folder(s), &g[i].rows);
	}
	if (rc == RC_OK)
		rc = gather_all(g);
	if (rc == RC_OK)
		rc = fill_all(s, ctx, set, g);
	for (i = 0; i < GATHERERS; i++)
		sorter_free(&g[i].rows);
	return rc;
}

int update_views_rebuild(struct store *s, const struct update_context *ctx)
{
	struct view_set *set = NULL;
	struct store_txn *t;
	uint64_t last;
	int rc = write_one(s, ctx, NULL, NULL);

	if (rc == RC_OK)
		rc = store_read_begin(s, &t);
	if (rc != RC_OK)
		return rc;
	rc = view_set_get(t, ctx->schema, &set);
	last = store_last_eid(t);
	store_read_end(&t);
	if (rc == RC_OK && set != NULL)
		rc = build_all(s, ctx, set, last);
	view_set_put(s, &set);
	return rc;
}
