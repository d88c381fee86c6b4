/* What the views are: definitions found, compared with those that have rows, and built. */
#include "dird/collate.h"
#include "dird/update_view.h"

#include <stdlib.h>

/* A view that there is to be. */
struct wanted {
	struct view_def def;
	bool is_there;
};

struct sync {
	struct store_txn *t;
	const struct update_context *ctx;
	struct arena a;
	struct wanted *at;
	unsigned n, size;
	bool has_changed;
};

/* --- what there is to be --- */

static int resolve(struct sync *s, struct view_def *d)
{
	unsigned depth;
	int rc;

	if (d->view.base_is_root)
		rc = store_root(s->t, &d->base);
	else
		rc = store_find(s->t, &d->view.base, &d->base, &depth);
	if (rc == RC_NOTFOUND)
		d->base = 0;
	return rc == RC_NOTFOUND ? RC_OK : rc;
}

static int want(struct sync *s, const struct uuid *entry, struct view_text text)
{
	struct wanted *more;
	struct view_def *d;
	int rc;

	if (s->n == s->size) {
		more = arena_zalloc(&s->a, 2 * s->size + 8, sizeof(*more));
		if (more == NULL)
			return RC_NOMEM;
		if (s->n != 0)
			memcpy(more, s->at, s->n * sizeof(*more));
		s->at = more;
		s->size = 2 * s->size + 8;
	}
	d = &s->at[s->n++].def;
	memset(d, 0, sizeof(*d));
	d->entry = *entry;
	d->text = text;
	d->collation = collate_version();
	rc = view_read(s->ctx->schema, &text, &s->a, &d->view, &d->why);
	if (rc == RC_INVALID)
		d->state = VIEW_INVALID;
	return rc == RC_OK ? resolve(s, d) : rc == RC_INVALID ? RC_OK : rc;
}

/* The address list as a whole, in the orders that clients ask for: every entry there is. */
static int want_built_in(struct sync *s)
{
	static const char *const sorts[] = {"displayName", "cn", "sn,givenName"};
	static const struct uuid none;
	size_t i;
	int rc = RC_OK;

	for (i = 0; i < sizeof(sorts) / sizeof(sorts[0]) && rc == RC_OK; i++)
		rc = want(s, &none,
			  (struct view_text){.filter = SPAN_LIT("(objectClass=*)"),
					     .sort = span_of(sorts[i])});
	return rc;
}

static struct span value_of(struct sync *s, const struct entry *e, const char *type, bool *failed)
{
	struct span v = {NULL, 0};

	if (entry_first(e, type, &v)) {
		v = arena_span(&s->a, v);
		*failed |= v.p == NULL;
	}
	return v;
}

static int want_entry(struct sync *s, uint64_t eid, uint64_t root)
{
	bool failed = false;
	struct view_text text;
	struct entry e;
	int rc = store_entry(s->t, eid, &e);

	if (rc != RC_OK || !store_is_within(s->t, eid, root) || !view_is_definition(&e))
		return rc;
	text.base = value_of(s, &e, "viewBase", &failed);
	text.filter = value_of(s, &e, "viewFilter", &failed);
	text.scope = value_of(s, &e, "viewScope", &failed);
	text.sort = value_of(s, &e, "viewSort", &failed);
	return failed ? RC_NOMEM : want(s, &e.head.uuid, text);
}

static int want_entries(struct sync *s)
{
	const struct schema_attr *at = schema_attr(s->ctx->schema, SPAN_LIT("objectClass"));
	struct index_range range = {.kind = INDEX_EQUAL};
	struct store_iter *i = NULL;
	uint64_t root, eid;
	struct buf key;
	int rc = store_root(s->t, &root);

	if (rc != RC_OK || at == NULL || !at->is_indexed)
		return rc == RC_NOTFOUND ? RC_OK : rc;
	buf_init(&key, 256);
	rc = schema_normalize(s->ctx->schema, at->equality, SPAN_LIT("addressBookView"), &key);
	range.attr = at->hash;
	range.lo = buf_span(&key);
	if (rc == RC_OK)
		rc = store_ranges(s->t, &range, 1, &i);
	while (rc == RC_OK && (rc = store_iter_next(i, &eid)) == RC_OK)
		rc = want_entry(s, eid, root);
	store_iter_free(&i);
	buf_fini(&key);
	return rc == RC_DONE || rc == RC_INVALID ? RC_OK : rc;
}

/* --- what there is --- */

static bool same_text(struct span a, struct span b)
{
	return (a.p == NULL) == (b.p == NULL) && span_eq(a, b);
}

static bool is_same(const struct view_def *a, const struct view_def *b)
{
	return uuid_eq(&a->entry, &b->entry) && a->collation == b->collation &&
	       a->base == b->base && (a->state == VIEW_INVALID) == (b->state == VIEW_INVALID) &&
	       same_text(a->text.base, b->text.base) && same_text(a->text.filter, b->text.filter) &&
	       same_text(a->text.scope, b->text.scope) && same_text(a->text.sort, b->text.sort);
}

static int put_def(struct store_txn *t, const struct view_def *d)
{
	struct buf row;
	int rc;

	buf_init(&row, UINT32_MAX);
	view_def_write(d, &row);
	rc = buf_rc(&row);
	if (rc == RC_OK)
		store_viewdef_put(t, d->number, buf_span(&row));
	buf_fini(&row);
	return rc == RC_OK ? store_error(t) : rc;
}

static int set_state(struct store_txn *t, const struct view_def *d, enum view_state state,
		     uint64_t next_eid)
{
	struct view_def now = *d;

	now.state = state;
	now.next_eid = next_eid;
	return put_def(t, &now);
}

static int compare(struct sync *s, const struct view_def *d)
{
	unsigned i;

	if (d->state == VIEW_DROPPING)
		return RC_OK;
	for (i = 0; i < s->n; i++) {
		if (!s->at[i].is_there && is_same(&s->at[i].def, d)) {
			s->at[i].is_there = true;
			return RC_OK;
		}
	}
	s->has_changed = true;
	return set_state(s->t, d, VIEW_DROPPING, 0);
}

static int make_missing(struct sync *s)
{
	unsigned i;
	int rc = RC_OK;

	for (i = 0; i < s->n && rc == RC_OK; i++) {
		if (s->at[i].is_there)
			continue;
		s->has_changed = true;
		s->at[i].def.number = store_viewdef_new(s->t);
		if (s->at[i].def.state != VIEW_INVALID)
			store_view_create(s->t, s->at[i].def.number);
		rc = put_def(s->t, &s->at[i].def);
	}
	return rc;
}

static int new_generation(struct store_txn *t, const struct update_context *ctx)
{
	uint64_t generation = 0;
	int rc = ctx->random(&generation, sizeof(generation));

	if (rc == RC_OK)
		store_view_set_generation(t, generation | 1);
	return rc == RC_OK ? store_error(t) : rc;
}

int update_views_sync(struct store_txn *t, const struct update_context *ctx)
{
	struct sync s = {.t = t, .ctx = ctx};
	struct view_set *set = NULL;
	unsigned i;
	int rc;

	arena_init(&s.a);
	rc = want_built_in(&s);
	if (rc == RC_OK)
		rc = want_entries(&s);
	if (rc == RC_OK)
		rc = view_set_get(t, ctx->schema, &set);
	for (i = 0; rc == RC_OK && set != NULL && i < set->n; i++)
		rc = compare(&s, &set->defs[i]);
	view_set_put(store_of(t), &set);
	if (rc == RC_OK)
		rc = make_missing(&s);
	if (rc == RC_OK && s.has_changed)
		rc = new_generation(t, ctx);
	arena_fini(&s.a);
	return rc;
}

int update_views_end(struct update *u)
{
	if (!u->views_changed || u->ctx->views_later)
		return RC_OK;
	return update_views_sync(u->t, u->ctx);
}

int update_views_again(struct store_txn *t, const struct update_context *ctx,
		       const struct view_set *set, const bool *marked)
{
	unsigned i;
	int rc = RC_OK;

	for (i = 0; i < set->n && rc == RC_OK; i++) {
		if (marked[i])
			rc = set_state(t, &set->defs[i], VIEW_BUILDING, 1);
	}
	return rc == RC_OK ? new_generation(t, ctx) : rc;
}

int update_view_ready(struct store_txn *t, const struct update_context *ctx,
		      const struct view_def *d)
{
	int rc = set_state(t, d, VIEW_READY, 0);

	return rc == RC_OK ? new_generation(t, ctx) : rc;
}

/* --- building, a slice at a time --- */

static int drop_slice(struct store_txn *t, const struct update_context *ctx,
		      const struct view_def *d, unsigned limit)
{
	int rc = store_view_drop(t, d->number, limit);

	if (rc != RC_OK)
		return rc == RC_MORE ? RC_OK : rc;
	store_viewdef_del(t, d->number);
	return new_generation(t, ctx);
}

/* The least number at which a view goes on; UINT64_MAX: none is being built. */
static int first_place(struct store_txn *t, const struct view_set *set, uint64_t *out)
{
	enum view_state state;
	uint64_t next;
	unsigned i;
	int rc;

	*out = UINT64_MAX;
	for (i = 0; i < set->n; i++) {
		rc = view_def_progress(t, set->defs[i].number, &state, &next);
		if (rc != RC_OK)
			return rc;
		if (state == VIEW_BUILDING && next < *out)
			*out = next;
	}
	return RC_OK;
}

/* Look at one entry for all views that have come as far as `from`. */
static int build_entry(struct update *u, const struct view_set *set, uint64_t from, uint64_t eid,
		       struct buf *record)
{
	enum view_state state;
	uint64_t next;
	unsigned i;
	int rc = RC_OK;

	for (i = 0; i < set->n && rc == RC_OK; i++) {
		rc = view_def_progress(u->t, set->defs[i].number, &state, &next);
		if (rc == RC_OK && state == VIEW_BUILDING && next == from)
			rc = update_view_entry(u, set, &set->defs[i], eid, buf_span(record));
	}
	return rc;
}

static int end_slice(struct store_txn *t, const struct update_context *ctx,
		     const struct view_set *set, uint64_t from, uint64_t to, bool is_done)
{
	enum view_state state;
	uint64_t next;
	unsigned i;
	int rc = RC_OK;

	for (i = 0; i < set->n && rc == RC_OK; i++) {
		rc = view_def_progress(t, set->defs[i].number, &state, &next);
		if (rc == RC_OK && state == VIEW_BUILDING && next == from)
			rc = set_state(t, &set->defs[i], is_done ? VIEW_READY : VIEW_BUILDING, to);
	}
	return rc == RC_OK && is_done ? new_generation(t, ctx) : rc;
}

static int build_slice(struct update *u, const struct view_set *set, uint64_t from, unsigned limit)
{
	uint64_t eid = from;
	struct buf record;
	struct entry e;
	int rc = RC_OK;

	buf_init(&record, UINT32_MAX);
	for (; rc == RC_OK && limit != 0; limit--) {
		rc = store_entry_from(u->t, &eid, &e);
		if (rc != RC_OK)
			break;
		buf_clear(&record);
		buf_put(&record, entry_record(&e));
		rc = buf_rc(&record);
		if (rc == RC_OK)
			rc = build_entry(u, set, from, eid, &record);
		eid++;
	}
	buf_fini(&record);
	if (rc != RC_OK && rc != RC_DONE)
		return rc;
	return end_slice(u->t, u->ctx, set, from, eid, rc == RC_DONE);
}

static const struct view_def *find_state(const struct view_set *set, enum view_state state)
{
	unsigned i;

	for (i = 0; set != NULL && i < set->n; i++) {
		if (set->defs[i].state == state)
			return &set->defs[i];
	}
	return NULL;
}

int update_views_pending(struct store_txn *t, const struct update_context *ctx, bool *out)
{
	struct view_set *set;
	int rc = view_set_get(t, ctx->schema, &set);

	*out = rc == RC_OK &&
	       (find_state(set, VIEW_BUILDING) != NULL || find_state(set, VIEW_DROPPING) != NULL);
	view_set_put(store_of(t), &set);
	return rc;
}

int update_views_work(struct store_txn *t, const struct update_context *ctx, unsigned limit)
{
	struct update u = {.t = t, .ctx = ctx};
	const struct view_def *gone;
	struct view_set *set;
	uint64_t from;
	int rc = view_set_get(t, ctx->schema, &set);

	if (rc != RC_OK || set == NULL)
		return rc;
	rc = first_place(t, set, &from);
	gone = find_state(set, VIEW_DROPPING);
	if (rc == RC_OK && from != UINT64_MAX)
		rc = build_slice(&u, set, from, limit);
	else if (rc == RC_OK && gone != NULL)
		rc = drop_slice(t, ctx, gone, limit * 8);
	view_set_put(store_of(t), &set);
	return rc;
}
