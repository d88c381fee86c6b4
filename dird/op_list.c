#include "dird/op_list.h"

#include "dird/view_set.h"

struct op_list {
	uint32_t view;
	unsigned kind;
	bool is_reverse;
	bool is_exact;  /* every row matches */
	bool is_sorted; /* in the order that is wanted, or in none that anybody asked for */
	bool is_second_choice;
	struct view_order order; /* for a place by value */
	bool is_started;
	uint64_t left; /* rows of the window that are still to come */
	struct store_view_iter *iter;
};

/* --- what is wanted --- */

/* A search, as far as views are concerned. */
struct wish {
	struct op *op;
	struct store_txn *t;
	struct search *s;
	const struct view_set *set;
	struct buf same; /* of the filter */
	bool sees_hidden;
	bool can_count; /* what this reader sees is a kind that views count */
};

static bool has_class_entries(const struct wish *w, const char *class)
{
	const struct schema *schema = w->op->server->schema;
	const struct schema_attr *at = schema_attr(schema, SPAN_LIT("objectClass"));
	struct index_range range = {.kind = INDEX_EQUAL};
	struct buf key;
	bool has = true;

	buf_init(&key, 256);
	if (at != NULL && at->is_indexed &&
	    schema_normalize(schema, at->equality, span_of(class), &key) == 0) {
		range.attr = at->hash;
		range.lo = buf_span(&key);
		has = store_range_count(w->t, &range, 1) != 0;
	}
	buf_fini(&key);
	return has;
}

/* Views hold neither referrals nor subentries. */
static bool wants_others(const struct wish *w)
{
	return (w->op->controls.manage_dsa_it && has_class_entries(w, "referral")) ||
	       w->s->subentries == OP_SUBENTRIES_ONLY;
}

static bool may_read_all(const struct op *op, const struct filter *f)
{
	unsigned i;

	for (i = 0; i < f->nsubs; i++) {
		if (!may_read_all(op, f->subs[i]))
			return false;
	}
	return f->at == NULL ||
	       acl_may_read_attr(&op->server->acl, &op->identity, f->at, span_of(f->at->name));
}

/* Everybody sees the entry he is bound as: if that is hidden, no count is his. */
static bool is_hidden_himself(const struct wish *w)
{
	struct op op = *w->op;
	struct op_sight v;
	uint64_t eid;

	if (op.identity.kind != IDENTITY_USER ||
	    store_by_uuid(w->t, &op.identity.uuid, &eid) != RC_OK)
		return false;
	op.identity.kind = IDENTITY_ANONYMOUS;
	op_sight_init(&v, &op, w->t);
	return !op_sees_eid(&v, eid, NULL);
}

static int wish_init(struct wish *w, struct op *op, struct store_txn *t, struct search *s,
		     const struct view_set *set)
{
	struct op_sight v;

	*w = (struct wish){.op = op, .t = t, .s = s, .set = set};
	op_sight_init(&v, op, t);
	w->sees_hidden = !v.is_limited;
	w->can_count = (w->sees_hidden || !is_hidden_himself(w)) && may_read_all(op, s->filter);
	buf_init(&w->same, 16u * 1024 * 1024);
	return filter_same(s->filter, &w->same);
}

/* --- does a view fit? --- */

static bool is_sorting(const struct search *s)
{
	return s->sort != NULL && s->sort->code == LR_SUCCESS;
}

/* Fewer keys than the view has are as good: nothing is said about the order of equal ones. */
static bool fits_order(const struct op_sort *sort, const struct view_order *o)
{
	unsigned i;

	if (sort->nkeys > o->n)
		return false;
	for (i = 0; i < sort->nkeys; i++) {
		if (sort->keys[i].at != o->keys[i].at || sort->keys[i].norm != o->keys[i].norm ||
		    sort->keys[i].is_reverse != sort->keys[0].is_reverse)
			return false;
	}
	return true;
}

static bool is_whole(const struct view *v)
{
	return span_eq(v->same, SPAN_LIT("T"));
}

/* The filter of the search among the view's entries as one of the counted; -1: it is none. */
static int counted_filter(const struct wish *w, const struct view_def *d, bool is_below)
{
	struct span same = buf_span(&w->same);

	if (!w->can_count)
		return -1;
	if (is_below || is_whole(&d->view))
		return !is_whole(&d->view) && span_eq(same, d->view.same)
			       ? 0
			       : view_kinds_find(&w->set->kinds, same);
	return span_eq(same, d->view.same) ? 0 : -1;
}

static int use(struct wish *w, const struct view_def *d, int filter, bool is_sorted)
{
	struct op_list *l = mem_zalloc(1, sizeof(*l));
	struct search *s = w->s;

	if (l == NULL)
		return RC_NOMEM;
	list_free(&s->list);
	l->view = d->number;
	l->kind = filter >= 0 ? view_kind((unsigned)filter, w->sees_hidden) : VIEW_KIND_ALL;
	l->is_exact = filter >= 0;
	l->is_sorted = is_sorted;
	l->is_reverse = is_sorted && is_sorting(s) && s->sort->keys[0].is_reverse;
	l->order = d->view.order;
	l->left = UINT64_MAX;
	s->list = l;
	return RC_OK;
}

/* --- a search of the tree --- */

static bool fits_scope(const struct search *s, const struct view_def *d)
{
	return d->base == s->base && s->scope == (d->view.is_one_level ? STORE_ONE : STORE_SUB);
}

static int choose_of_tree(struct wish *w)
{
	const struct view_def *second = NULL;
	const struct search *s = w->s;
	unsigned i;
	int rc = RC_OK, filter;

	if (!is_sorting(s) || s->derefs || wants_others(w))
		return RC_OK;
	for (i = 0; i < w->set->n; i++) {
		const struct view_def *d = &w->set->defs[i];

		if (d->state != VIEW_READY || !fits_scope(s, d) ||
		    !fits_order(s->sort, &d->view.order))
			continue;
		filter = counted_filter(w, d, false);
		if (filter >= 0)
			return use(w, d, filter, true);
		if (is_whole(&d->view))
			second = d;
	}
	if (second != NULL && s->vlv == NULL)
		rc = use(w, second, -1, true);
	if (s->list != NULL)
		s->list->is_second_choice = true;
	return rc;
}

/* --- a search below a view --- */

/*
 * The administrator and tools that manage entries see a plain entry: one that lists what is below
 * an entry to delete it must not be given the members of a view. Sorting or a list view is what an
 * address book asks for.
 */
static bool shows_members(const struct op *op, const struct search *s)
{
	return !op->controls.manage_dsa_it && !op->controls.dont_use_copy &&
	       s->subentries != OP_SUBENTRIES_ONLY &&
	       (op->identity.kind != IDENTITY_ADMIN || s->sort != NULL);
}

static int sort_by_definition(struct wish *w, const struct view *v)
{
	struct op_sort *sort = arena_zalloc(&w->op->arena, 1, sizeof(*sort));
	unsigned i;

	if (sort == NULL)
		return RC_NOMEM;
	for (i = 0; i < v->order.n; i++)
		sort->keys[sort->nkeys++] =
			(struct sort_key){v->order.keys[i].at, v->order.keys[i].norm, false};
	sort->is_silent = true;
	w->s->sort = sort;
	return RC_OK;
}

/* What the definition says, as a search of the tree. */
static int search_by_definition(struct wish *w, const struct view_def *d)
{
	struct search *s = w->s;
	struct filter *both = arena_zalloc(&w->op->arena, 1, sizeof(*both));
	struct filter **subs = arena_zalloc(&w->op->arena, 2, sizeof(*subs));
	struct view_text text = d->text;
	const char *why;
	struct view v;
	uint64_t root;
	int rc;

	if (both == NULL || subs == NULL)
		return RC_NOMEM;
	if (text.filter.p != NULL)
		text.filter = arena_span(&w->op->arena, text.filter);
	rc = view_read(w->op->server->schema, &text, &w->op->arena, &v, &why);
	if (rc != RC_OK)
		return rc == RC_INVALID ? RC_DONE : rc;
	subs[0] = v.filter;
	subs[1] = s->filter;
	*both = (struct filter){.kind = FILTER_AND, .subs = subs, .nsubs = 2};
	s->filter = both;
	s->base = d->base;
	s->base_is_root = store_root(w->t, &root) == RC_OK && root == d->base;
	s->scope = v.is_one_level ? STORE_ONE : STORE_SUB;
	s->has_referrals = false;
	return s->sort == NULL ? sort_by_definition(w, &v) : RC_OK;
}

static int choose_below_view(struct wish *w, const struct view_def *d)
{
	bool fits = !is_sorting(w->s) || fits_order(w->s->sort, &d->view.order);
	int filter = counted_filter(w, d, true);

	w->s->has_referrals = false;
	if (w->s->vlv != NULL && filter < 0)
		fits = false; /* positions are counted when all are found */
	return use(w, d, filter, fits);
}

static int choose_of_view(struct wish *w, const struct uuid *entry)
{
	const struct view_def *d = view_set_of_entry(w->set, entry);

	if (d == NULL || d->state == VIEW_INVALID || d->base == 0)
		return RC_DONE;
	return d->state == VIEW_READY ? choose_below_view(w, d) : search_by_definition(w, d);
}

/* Most searches are none of ours, and are not to pay for it. */
static int base_is_view(struct store_txn *t, const struct search *s, struct uuid *entry, bool *out)
{
	struct entry e;
	int rc;

	*out = false;
	if (s->base_is_root)
		return RC_OK;
	rc = store_entry(t, s->base, &e);
	if (rc == RC_OK) {
		*out = view_is_definition(&e);
		*entry = e.head.uuid;
	}
	return rc;
}

static int choose(struct wish *w, bool is_view, const struct uuid *entry)
{
	int rc;

	if (!is_view)
		rc = choose_of_tree(w);
	else
		rc = shows_members(w->op, w->s) ? choose_of_view(w, entry) : RC_OK;
	if (w->s->list != NULL && w->s->list->is_sorted && w->s->sort != NULL)
		w->s->sort->state = SORT_OFF;
	return rc;
}

int list_choose(struct op *op, struct store_txn *t, struct search *s)
{
	struct view_set *set = NULL;
	struct uuid entry;
	bool is_view;
	struct wish w;
	int rc;

	if (s->scope == STORE_BASE || s->psearch != NULL)
		return RC_OK;
	rc = base_is_view(t, s, &entry, &is_view);
	if (rc != RC_OK || (!is_view && !is_sorting(s)))
		return rc;
	rc = view_set_get(t, op->server->schema, &set);
	if (rc != RC_OK || set == NULL)
		return rc;
	rc = wish_init(&w, op, t, s, set);
	if (rc == RC_OK)
		rc = choose(&w, is_view, &entry);
	buf_fini(&w.same);
	view_set_put(op->server->store, &set);
	return rc;
}

/* Any view of everything in this order, however far above the base of the search. */
static const struct view_def *find_wider(const struct wish *w)
{
	const struct search *s = w->s;
	unsigned i;

	if (!is_sorting(s) || s->vlv != NULL || s->derefs || wants_others(w))
		return NULL;
	for (i = 0; i < w->set->n; i++) {
		const struct view_def *d = &w->set->defs[i];

		if (d->state == VIEW_READY && is_whole(&d->view) && !d->view.is_one_level &&
		    fits_order(s->sort, &d->view.order) && d->base != 0 &&
		    store_is_within(w->t, s->base, d->base))
			return d;
	}
	return NULL;
}

int list_choose_late(struct op *op, struct store_txn *t, struct search *s)
{
	const struct view_def *d;
	struct view_set *set = NULL;
	struct wish w;
	int rc = view_set_get(t, op->server->schema, &set);

	if (rc != RC_OK || set == NULL)
		return rc != RC_OK ? rc : RC_NOTFOUND;
	rc = wish_init(&w, op, t, s, set);
	d = rc == RC_OK ? find_wider(&w) : NULL;
	if (rc == RC_OK)
		rc = d != NULL ? use(&w, d, -1, true) : RC_NOTFOUND;
	buf_fini(&w.same);
	view_set_put(op->server->store, &set);
	return rc;
}

bool list_is_second_choice(const struct op_list *l)
{
	return l->is_second_choice;
}

bool list_is_better(struct search *s, uint64_t estimate)
{
	if (s->list == NULL)
		return false;
	if (estimate > SORT_MAX_ENTRIES)
		return true;
	list_free(&s->list);
	s->sort->state = SORT_GATHERS;
	return false;
}

/* --- going along --- */

bool list_is_exact(const struct op_list *l)
{
	return l->is_exact;
}

/* How many rows come before the first one that is not before the value. */
static int rank_of_value(struct op *op, struct store_txn *t, const struct op_list *l,
			 struct span value, uint64_t total, uint64_t *out)
{
	struct buf key;
	int rc;

	buf_init(&key, 2 * VIEW_KEY_MAX_BYTES);
	rc = view_key_of(op->server->schema, &l->order, value, l->is_reverse, &key);
	if (rc == RC_OK)
		rc = store_view_rank(t, l->view, l->kind, buf_span(&key), out);
	if (rc == RC_OK && l->is_reverse)
		*out = total - *out;
	buf_fini(&key);
	return rc;
}

static int find_window(struct op *op, struct store_txn *t, struct op_list *l, struct op_vlv *v,
		       uint64_t *first)
{
	uint64_t rank = 0;
	size_t lo, hi;
	int rc = RC_OK;

	v->total = store_view_count(t, l->view, l->kind);
	if (v->by_value) {
		rc = rank_of_value(op, t, l, v->value, v->total, &rank);
		v->position = rank + 1;
	} else {
		v->position = vlv_position(v, v->total);
	}
	if (rc == RC_INVALID) {
		v->position = 0;
		v->code = LR_INAPPROPRIATE_MATCHING;
		return RC_OK;
	}
	if (rc != RC_OK)
		return rc;
	if (v->position == 0) {
		v->code = VLV_RANGE_ERROR;
		return RC_OK;
	}
	vlv_place(v, v->position, v->total, &lo, &hi);
	*first = lo;
	l->left = hi - lo;
	return RC_OK;
}

static int start(struct op *op, struct store_txn *t, struct search *s)
{
	struct op_list *l = s->list;
	uint64_t first = 0;
	int rc = RC_OK;

	l->is_started = true;
	if (s->vlv != NULL && l->is_sorted && l->is_exact)
		rc = find_window(op, t, l, s->vlv, &first);
	if (rc == RC_OK && s->vlv != NULL && s->vlv->code != 0)
		l->left = 0;
	return rc == RC_OK ? store_view_walk(t, l->view, l->kind, l->is_reverse, first, &l->iter)
			   : rc;
}

static int check_view(struct store_txn *t, const struct op_list *l)
{
	enum view_state state;
	uint64_t next;
	int rc = view_def_progress(t, l->view, &state, &next);

	return rc == RC_NOTFOUND || (rc == RC_OK && state != VIEW_READY) ? RC_BUSY : rc;
}

/* The first row of this slice. */
static int go_on(struct op *op, struct store_txn *t, struct search *s)
{
	struct op_list *l = s->list;
	int rc;

	if (l->iter != NULL && store_view_is_running(l->iter))
		return RC_OK;
	rc = check_view(t, l);
	if (rc != RC_OK)
		return rc;
	if (!l->is_started)
		return start(op, t, s);
	store_view_resume(l->iter, t);
	return RC_OK;
}

int list_next(struct op *op, struct store_txn *t, struct search *s, uint64_t *eid_out)
{
	struct op_list *l = s->list;
	int rc = go_on(op, t, s);

	if (rc != RC_OK)
		return rc;
	if (l->left == 0)
		return RC_DONE;
	rc = store_view_next(l->iter, eid_out);
	if (rc == RC_OK && l->left != UINT64_MAX)
		l->left--;
	return rc;
}

void list_pause(struct op_list *l)
{
	if (l != NULL && l->iter != NULL)
		store_view_pause(l->iter);
}

void list_free(struct op_list **l)
{
	if (*l == NULL)
		return;
	store_view_iter_free(&(*l)->iter);
	mem_free(*l);
	*l = NULL;
}
