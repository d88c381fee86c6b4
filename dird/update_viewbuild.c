/* All views made anew in one go: rows gathered, sorted and appended. */
#include "dird/update_view.h"

#include <stdlib.h>

struct rows {
	struct arena keys;
	struct store_view_row *at;
	size_t n, size;
};

static int add_row(struct rows *r, struct span key, uint64_t eid, uint32_t mask)
{
	size_t size = r->size != 0 ? 2 * r->size : 1024;
	struct store_view_row *more;

	if (r->n == r->size) {
		more = mem_realloc(r->at, size * sizeof(*more));
		if (more == NULL)
			return RC_NOMEM;
		r->at = more;
		r->size = size;
	}
	key = arena_span(&r->keys, key);
	r->at[r->n++] = (struct store_view_row){key, eid, mask};
	return key.p != NULL ? RC_OK : RC_NOMEM;
}

static int by_key(const void *a, const void *b)
{
	const struct store_view_row *x = a, *y = b;
	int c = span_cmp(x->key, y->key);

	return c != 0 ? c : (x->eid > y->eid) - (x->eid < y->eid);
}

/* One entry for all views. */
static int gather_entry(struct update *u, const struct view_set *set, uint64_t eid,
			const struct entry *e, struct rows *rows)
{
	struct view_facts f;
	unsigned i;
	int rc = RC_OK;

	view_facts_init(&f, u, set, eid, e);
	for (i = 0; i < set->n && rc == RC_OK; i++) {
		const struct view_def *d = &set->defs[i];

		if (d->state != VIEW_BUILDING || !view_facts_member(&f, d))
			continue;
		buf_clear(&f.key);
		rc = view_key(u->ctx->schema, &d->view.order, e, &f.key);
		if (rc == RC_OK)
			rc = add_row(&rows[i], buf_span(&f.key), eid, view_facts_mask(&f));
	}
	view_facts_fini(&f);
	return rc;
}

static int gather(struct update *u, const struct view_set *set, struct rows *rows)
{
	struct entry e;
	uint64_t eid = 0;
	int rc;

	for (; (rc = store_entry_from(u->t, &eid, &e)) == RC_OK; eid++) {
		rc = gather_entry(u, set, eid, &e, rows);
		if (rc != RC_OK)
			return rc;
	}
	return rc == RC_DONE ? RC_OK : rc;
}

/* Under a number above all others, so that its rows can be appended. */
static int fill(struct update *u, const struct view_def *d, const struct rows *r)
{
	struct view_def last = *d;
	int rc = store_view_drop(u->t, d->number, UINT32_MAX);

	if (rc != RC_OK)
		return rc;
	store_viewdef_del(u->t, d->number);
	last.number = store_viewdef_new(u->t);
	rc = store_view_fill(u->t, last.number, r->at, r->n);
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
		     const struct rows *r)
{
	struct update u = {.ctx = ctx};
	int rc, commit_rc;

	do {
		rc = store_write_begin(s, &u.t);
		if (rc != RC_OK)
			return rc;
		rc = d != NULL ? fill(&u, d, r) : begin(&u);
		if (rc != RC_OK)
			store_fail(u.t, rc);
		commit_rc = store_write_commit(&u.t);
	} while (commit_rc == RC_MORE);
	return commit_rc != RC_OK && rc == RC_OK ? commit_rc : rc;
}

static int fill_all(struct store *s, const struct update_context *ctx, const struct view_set *set,
		    struct rows *rows)
{
	unsigned i;
	int rc = RC_OK;

	for (i = 0; i < set->n && rc == RC_OK; i++) {
		if (set->defs[i].state != VIEW_BUILDING)
			continue;
		if (rows[i].n > 1)
			qsort(rows[i].at, rows[i].n, sizeof(rows[i].at[0]), by_key);
		rc = write_one(s, ctx, &set->defs[i], &rows[i]);
	}
	return rc;
}

static int build_all(struct store *s, const struct update_context *ctx, struct update *u,
		     const struct view_set *set)
{
	struct rows *rows = mem_zalloc(set->n + 1, sizeof(*rows));
	unsigned i;
	int rc = rows != NULL ? gather(u, set, rows) : RC_NOMEM;

	store_read_end(&u->t);
	if (rc == RC_OK)
		rc = fill_all(s, ctx, set, rows);
	for (i = 0; rows != NULL && i < set->n; i++) {
		mem_free(rows[i].at);
		arena_fini(&rows[i].keys);
	}
	mem_free(rows);
	return rc;
}

int update_views_rebuild(struct store *s, const struct update_context *ctx)
{
	struct update u = {.ctx = ctx};
	struct view_set *set = NULL;
	int rc = write_one(s, ctx, NULL, NULL);

	if (rc == RC_OK)
		rc = store_read_begin(s, &u.t);
	if (rc != RC_OK)
		return rc;
	rc = view_set_get(u.t, ctx->schema, &set);
	if (rc == RC_OK && set != NULL)
		rc = build_all(s, ctx, &u, set);
	store_read_end(&u.t);
	view_set_put(s, &set);
	return rc;
}
