/* Entries into views: what a change of one entry does to them. */
#include "dird/update_view.h"

#define BELOW_MAX                                                                                  \
	20000 /* entries of a moved subtree that are looked at in the same transaction             \
	       */

/* Up to the root. false: the entry is, or is below, one that waits in limbo. */
static bool look_above(struct view_facts *f)
{
	uint64_t at = f->eid, parent = f->e->head.parent;
	struct entry e;
	unsigned depth;

	f->is_hidden = (f->e->head.flags & ENTRY_HIDDEN) != 0;
	for (depth = 0; at != f->root && depth <= 2 * DN_MAX_RDNS; depth++) {
		at = parent;
		if (at == 0 || store_entry(f->u->t, at, &e) != RC_OK)
			return false;
		f->is_hidden |= (e.head.flags & ENTRY_HIDDEN) != 0;
		parent = e.head.parent;
	}
	return at == f->root;
}

void view_facts_init(struct view_facts *f, struct update *u, const struct view_set *set,
		     uint64_t eid, const struct entry *e)
{
	memset(f, 0, sizeof(*f));
	f->u = u;
	f->set = set;
	f->eid = eid;
	f->e = e;
	buf_init(&f->scratch, UINT32_MAX);
	buf_init(&f->key, 2 * VIEW_KEY_MAX_BYTES);
	buf_init(&f->old_key, 2 * VIEW_KEY_MAX_BYTES);
	f->is_placed = e != NULL && store_root(u->t, &f->root) == RC_OK && look_above(f);
	f->may_show = f->is_placed && view_may_show(e);
}

void view_facts_fini(struct view_facts *f)
{
	buf_fini(&f->old_key);
	buf_fini(&f->key);
	buf_fini(&f->scratch);
}

static bool in_base(const struct view_facts *f, const struct view_def *d)
{
	if (d->base == 0)
		return false;
	if (d->view.is_one_level)
		return f->e->head.parent == d->base;
	return d->base == f->root || store_is_within(f->u->t, f->eid, d->base);
}

bool view_facts_member(struct view_facts *f, const struct view_def *d)
{
	return f->may_show && in_base(f, d) &&
	       filter_match(d->view.filter, f->u->ctx->schema, f->e, NULL, &f->scratch) ==
		       FILTER_TRUE;
}

uint32_t view_facts_mask(struct view_facts *f)
{
	if (!f->has_mask)
		f->mask = view_kinds_of(&f->set->kinds, f->u->ctx->schema, f->e, f->is_hidden,
					&f->scratch);
	f->has_mask = true;
	return f->mask;
}

static int key_of(struct view_facts *f, const struct view_def *d, const struct entry *e,
		  struct buf *out)
{
	buf_clear(out);
	return e != NULL ? view_key(f->u->ctx->schema, &d->view.order, e, out) : RC_OK;
}

/* The row under the old key tells whether the entry was on the view, whatever has moved since. */
static int update_row(struct view_facts *f, const struct view_def *d, const struct entry *old)
{
	const struct schema *s = f->u->ctx->schema;
	struct store_txn *t = f->u->t;
	bool was, is = view_facts_member(f, d), same_key;
	uint32_t mask = 0;
	int rc = key_of(f, d, old, &f->old_key);

	if (rc == RC_OK && old != NULL)
		rc = store_view_mask(t, d->number, buf_span(&f->old_key), f->eid, &mask);
	if (rc != RC_OK && rc != RC_NOTFOUND)
		return rc;
	was = rc == RC_OK && old != NULL;
	same_key = old != NULL && f->e != NULL && view_same_key(s, &d->view.order, old, f->e);
	if (was && (!is || !same_key))
		store_view_del(t, d->number, buf_span(&f->old_key), f->eid);
	if (!is || (was && same_key && mask == view_facts_mask(f)))
		return store_error(t);
	rc = key_of(f, d, f->e, &f->key);
	if (rc == RC_OK)
		store_view_put(t, d->number, buf_span(&f->key), f->eid, view_facts_mask(f));
	return rc == RC_OK ? store_error(t) : rc;
}

static bool is_kept(const struct view_def *d)
{
	return d->state == VIEW_BUILDING || d->state == VIEW_READY;
}

static int update_rows(struct update *u, const struct view_set *set, uint64_t eid,
		       const struct entry *old, const struct entry *now)
{
	struct view_facts f;
	unsigned i;
	int rc = RC_OK;

	view_facts_init(&f, u, set, eid, now);
	for (i = 0; i < set->n && rc == RC_OK; i++) {
		if (is_kept(&set->defs[i]))
			rc = update_row(&f, &set->defs[i], old);
	}
	view_facts_fini(&f);
	return rc;
}

int update_view_entry(struct update *u, const struct view_set *set, const struct view_def *d,
		      uint64_t eid, struct span record)
{
	struct entry e;
	struct view_facts f;
	int rc = entry_open(record, &e);

	if (rc != RC_OK)
		return rc;
	view_facts_init(&f, u, set, eid, &e);
	rc = update_row(&f, d, &e);
	view_facts_fini(&f);
	return rc;
}

/* --- what hangs below a moved entry --- */

/* Look at an entry whose place may have changed with one above it. */
static int refresh(struct update *u, const struct view_set *set, const bool *concerned,
		   uint64_t eid)
{
	struct buf record;
	struct view_facts f;
	struct entry e;
	unsigned i;
	int rc = store_entry(u->t, eid, &e);

	if (rc != RC_OK)
		return rc;
	buf_init(&record, UINT32_MAX);
	buf_put(&record, entry_record(&e)); /* puts disturb what lies in the map */
	rc = buf_rc(&record);
	if (rc == RC_OK)
		rc = entry_open(buf_span(&record), &e);
	view_facts_init(&f, u, set, eid, &e);
	for (i = 0; i < set->n && rc == RC_OK; i++) {
		if (concerned[i])
			rc = update_row(&f, &set->defs[i], &e);
	}
	view_facts_fini(&f);
	buf_fini(&record);
	return rc;
}

/* Entries below `top`. RC_TOOBIG: more than BELOW_MAX. */
static int list_below(struct update *u, uint64_t top, uint64_t *at, unsigned *n)
{
	struct store_iter *i = NULL;
	int rc = store_walk(u->t, top, STORE_CHILDREN, &i);

	while (rc == RC_OK && *n < BELOW_MAX) {
		rc = store_iter_next(i, &at[*n]);
		*n += rc == RC_OK;
	}
	store_iter_free(&i);
	return rc == RC_OK ? RC_TOOBIG : rc == RC_DONE ? RC_OK : rc;
}

static int refresh_below(struct update *u, const struct view_set *set, const bool *concerned,
			 uint64_t top)
{
	uint64_t *at = mem_alloc(BELOW_MAX * sizeof(*at));
	unsigned i, n = 0;
	int rc = at != NULL ? list_below(u, top, at, &n) : RC_NOMEM;

	for (i = 0; rc == RC_OK && i < n; i++)
		rc = refresh(u, set, concerned, at[i]);
	mem_free(at);
	return rc == RC_TOOBIG ? update_views_again(u->t, u->ctx, set, concerned) : rc;
}

/* Of the views that are kept, those on which what lies below the entry may come or go, or count
 * otherwise. A view of direct children has them wherever their parent is. */
static bool find_concerned(struct update *u, const struct view_set *set, uint64_t eid,
			   const struct entry *old, const struct entry *now, bool *out)
{
	struct view_facts was, is;
	bool is_any = false;
	unsigned i;

	view_facts_init(&was, u, set, eid, old);
	view_facts_init(&is, u, set, eid, now);
	if (was.is_placed != is.is_placed)
		u->views_changed = true; /* definitions may come or go, too */
	for (i = 0; i < set->n; i++) {
		const struct view_def *d = &set->defs[i];

		out[i] = is_kept(d) &&
			 (was.is_placed != is.is_placed || was.is_hidden != is.is_hidden ||
			  (!d->view.is_one_level && d->base != 0 && d->base != is.root &&
			   store_is_within(u->t, old->head.parent, d->base) !=
				   store_is_within(u->t, now->head.parent, d->base)));
		is_any |= out[i];
	}
	view_facts_fini(&is);
	view_facts_fini(&was);
	return is_any;
}

/* Below a moved entry the base may be another one, below a hidden one entries are hidden, too. */
static int update_below(struct update *u, const struct view_set *set, uint64_t eid,
			const struct entry *old, const struct entry *now)
{
	bool *concerned;

	if (old == NULL || now == NULL ||
	    (old->head.parent == now->head.parent &&
	     ((old->head.flags ^ now->head.flags) & ENTRY_HIDDEN) == 0) ||
	    !store_has_children(u->t, eid))
		return RC_OK;
	concerned = arena_zalloc(u->a, set->n + 1, sizeof(*concerned));
	if (concerned == NULL)
		return RC_NOMEM;
	return find_concerned(u, set, eid, old, now, concerned)
		       ? refresh_below(u, set, concerned, eid)
		       : RC_OK;
}

/* --- views whose base is gone, has come, or is another entry now --- */

static bool has_name(struct update *u, const struct view_def *d, struct span rdn_normal)
{
	struct buf b;
	bool same;

	buf_init(&b, 4 * DN_MAX_BYTES);
	same = d->view.base.n != 0 && dn_rdn_normalize(&d->view.base.rdns[0], &b) == RC_OK &&
	       span_eq(buf_span(&b), rdn_normal);
	buf_fini(&b);
	return same || store_error(u->t) != RC_OK;
}

static bool moves_base(struct update *u, const struct view_def *d, uint64_t eid,
		       const struct entry *old, const struct entry *now)
{
	if (d->state == VIEW_DROPPING)
		return false;
	if (d->view.base_is_root)
		return d->base == 0 && now != NULL && uuid_is_zero(&now->head.parent_uuid);
	if (now == NULL)
		return d->base == eid;
	if (old == NULL)
		return d->base == 0 && has_name(u, d, now->head.rdn_normal);
	if (old->head.parent == now->head.parent &&
	    span_eq(old->head.rdn_normal, now->head.rdn_normal))
		return false;
	return d->base == 0 || store_is_within(u->t, d->base, eid);
}

static bool is_definition(const struct entry *e)
{
	return e != NULL && view_is_definition(e);
}

int update_views(struct update *u, uint64_t eid, const struct entry *old, const struct entry *now)
{
	struct view_set *set;
	unsigned i;
	int rc;

	if (u->ctx->views_later)
		return RC_OK;
	if (is_definition(old) || is_definition(now))
		u->views_changed = true;
	rc = view_set_get(u->t, u->ctx->schema, &set);
	if (rc != RC_OK || set == NULL)
		return rc;
	for (i = 0; i < set->n; i++) {
		if (moves_base(u, &set->defs[i], eid, old, now))
			u->views_changed = true;
	}
	rc = update_rows(u, set, eid, old, now);
	if (rc == RC_OK)
		rc = update_below(u, set, eid, old, now);
	view_set_put(store_of(u->t), &set);
	return rc;
}
