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

static int gather(struct update *u, const struct view_set *set, const struct view_def *d,
		  struct rows *r)
{
	struct view_facts f;
	struct entry e;
	uint64_t eid = 0;
	int rc;

	for (; (rc = store_entry_from(u->t, &eid, &e)) == RC_OK; eid++) {
		view_facts_init(&f, u, set, eid, &e);
		if (view_facts_member(&f, d)) {
			rc = view_key(u->ctx->schema, &d->view.order, &e, &f.key);
			if (rc == RC_OK)
				rc = add_row(r, buf_span(&f.key), eid, view_facts_mask(&f));
		}
		view_facts_fini(&f);
		if (rc != RC_OK)
			return rc;
	}
	return rc == RC_DONE ? RC_OK : rc;
}

static int build(struct update *u, const struct view_set *set, const struct view_def *d)
{
	struct rows r = {.n = 0};
	int rc;

	arena_init(&r.keys);
	rc = gather(u, set, d, &r);
	if (rc == RC_OK && r.n > 1)
		qsort(r.at, r.n, sizeof(r.at[0]), by_key);
	if (rc == RC_OK)
		rc = store_view_fill(u->t, d->number, r.at, r.n);
	mem_free(r.at);
	arena_fini(&r.keys);
	return rc;
}

/* Under a number above all others, so that its rows can be appended. */
static int build_as_last(struct update *u, const struct view_set *set, const struct view_def *d)
{
	struct view_def last = *d;
	int rc = store_view_drop(u->t, d->number, UINT32_MAX);

	if (rc != RC_OK)
		return rc;
	store_viewdef_del(u->t, d->number);
	last.number = store_viewdef_new(u->t);
	rc = build(u, set, &last);
	return rc == RC_OK ? update_view_ready(u->t, u->ctx, &last) : rc;
}

/* The first view that is still to be built; RC_DONE: there is none. */
static int build_next(struct update *u)
{
	struct view_set *set;
	unsigned i;
	int rc = view_set_get(u->t, u->ctx->schema, &set);

	if (rc != RC_OK || set == NULL)
		return rc == RC_OK ? RC_DONE : rc;
	for (i = 0; i < set->n && set->defs[i].state != VIEW_BUILDING; i++)
		;
	rc = i < set->n ? build_as_last(u, set, &set->defs[i]) : RC_DONE;
	view_set_put(u->t, &set);
	return rc;
}

static int begin(struct update *u)
{
	store_view_clear(u->t);
	store_view_set_generation(u->t, 0);
	return store_error(u->t) == RC_OK ? update_views_sync(u->t, u->ctx) : store_error(u->t);
}

/* A step in a transaction of its own, again when the map has grown. */
static int in_transaction(struct store *s, const struct update_context *ctx,
			  int (*step)(struct update *u))
{
	struct update u = {.ctx = ctx};
	int rc, commit_rc;

	do {
		rc = store_write_begin(s, &u.t);
		if (rc != RC_OK)
			return rc;
		rc = step(&u);
		if (rc != RC_OK)
			store_fail(u.t, rc);
		commit_rc = store_write_commit(&u.t);
	} while (commit_rc == RC_MORE);
	return commit_rc != RC_OK && rc == RC_OK ? commit_rc : rc;
}

int update_views_rebuild(struct store *s, const struct update_context *ctx)
{
	int rc = in_transaction(s, ctx, begin);

	while (rc == RC_OK)
		rc = in_transaction(s, ctx, build_next);
	return rc == RC_DONE ? RC_OK : rc;
}
