/* Whole views: made, dropped, counted anew; and the rows that say what they are. */
#include "dird/store_view_int.h"

void store_view_create(struct store_txn *t, uint32_t view)
{
	uint8_t bytes[VIEW_COUNTS_BYTES] = {0};
	struct view_key key;
	unsigned level;

	for (level = 1; level <= STORE_VIEW_LEVELS; level++) {
		view_key_set(&key, view, level, SPAN_LIT(""));
		store_put(t, STORE_VIEW, view_key_span(&key), span_make(bytes, sizeof(bytes)));
	}
}

int store_view_drop(struct store_txn *t, uint32_t view, unsigned limit)
{
	struct view_key key;
	MDB_val k, v;
	MDB_cursor *c;
	int rc = store_cursor(t, STORE_VIEW, &c);

	if (rc != RC_OK)
		return rc;
	view_key_set(&key, view, 0, SPAN_LIT(""));
	for (; rc == RC_OK && limit != 0; limit--) {
		k = store_val(view_key_span(&key));
		rc = store_rc(mdb_cursor_get(c, &k, &v, MDB_SET_RANGE));
		if (rc == RC_OK && (k.mv_size < VIEW_HEAD_BYTES || be_get32(k.mv_data) != view))
			rc = RC_NOTFOUND;
		if (rc == RC_OK) {
			store_stick(t, mdb_cursor_del(c, 0));
			rc = store_error(t);
		}
	}
	mdb_cursor_close(c);
	return rc == RC_OK ? RC_MORE : rc == RC_NOTFOUND ? RC_OK : rc;
}

static int append(struct store_txn *t, MDB_cursor *c, const struct view_key *key, struct span value)
{
	MDB_val k = store_val(view_key_span(key)), v = store_val(value);

	store_stick(t, mdb_cursor_put(c, &k, &v, MDB_APPEND));
	return store_error(t);
}

/* A row above level 0, kept until all rows below it are in the table. */
struct upper {
	struct upper *next;
	struct span place;
	struct view_counts n;
};

struct fill {
	struct store_txn *t;
	MDB_cursor *c;
	uint32_t view;
	struct arena a;
	struct upper *first[STORE_VIEW_LEVELS + 1], *last[STORE_VIEW_LEVELS + 1];
};

static int open_upper(struct fill *f, unsigned level, struct span place)
{
	struct upper *one = arena_zalloc(&f->a, 1, sizeof(*one));

	if (one == NULL)
		return RC_NOMEM;
	one->place = arena_span(&f->a, place);
	if (f->last[level] == NULL)
		f->first[level] = one;
	else
		f->last[level]->next = one;
	f->last[level] = one;
	return one->place.p != NULL ? RC_OK : RC_NOMEM;
}

/* What a level's last row has counted goes to the one above it. */
static void pass_up(struct fill *f, unsigned level)
{
	unsigned i;

	for (i = 0; level < STORE_VIEW_LEVELS && i < STORE_VIEW_KINDS; i++)
		f->last[level + 1]->n.n[i] += f->last[level]->n.n[i];
}

static int fill_row(struct fill *f, const struct store_view_row *row)
{
	unsigned level, height = view_height(view_place_eid(row->place));
	uint8_t mask[VIEW_MASK_BYTES];
	struct view_key key;
	int rc = RC_OK;

	for (level = 1; level <= height && rc == RC_OK; level++) {
		pass_up(f, level);
		rc = open_upper(f, level, row->place);
	}
	if (rc != RC_OK)
		return rc;
	view_counts_add(&f->last[1]->n, row->mask);
	view_key_set(&key, f->view, 0, row->place);
	be_put32(mask, row->mask);
	return append(f->t, f->c, &key, span_make(mask, sizeof(mask)));
}

static int fill_uppers(struct fill *f, unsigned level)
{
	uint8_t bytes[VIEW_COUNTS_BYTES];
	const struct upper *at;
	struct view_key key;
	int rc = RC_OK;

	for (at = f->first[level]; at != NULL && rc == RC_OK; at = at->next) {
		view_key_set(&key, f->view, level, at->place);
		rc = append(f->t, f->c, &key, view_counts_write(&at->n, bytes));
	}
	return rc;
}

static int fill_all(struct fill *f, store_view_source *next, void *ctx)
{
	struct store_view_row row;
	unsigned level;
	int rc = RC_OK;

	for (level = 1; level <= STORE_VIEW_LEVELS && rc == RC_OK; level++)
		rc = open_upper(f, level, SPAN_LIT(""));
	while (rc == RC_OK && (rc = next(ctx, &row)) == RC_OK)
		rc = fill_row(f, &row);
	if (rc != RC_DONE)
		return rc;
	for (level = 1; level < STORE_VIEW_LEVELS; level++)
		pass_up(f, level);
	for (level = 1, rc = RC_OK; level <= STORE_VIEW_LEVELS && rc == RC_OK; level++)
		rc = fill_uppers(f, level);
	return rc;
}

int store_view_fill(struct store_txn *t, uint32_t view, store_view_source *next, void *ctx)
{
	struct fill f = {.t = t, .view = view};
	int rc = store_cursor(t, STORE_VIEW, &f.c);

	if (rc != RC_OK)
		return rc;
	rc = fill_all(&f, next, ctx);
	mdb_cursor_close(f.c);
	arena_fini(&f.a);
	return rc;
}

void store_view_place_set(struct store_view_place *p, struct span key, uint64_t eid)
{
	must(key.n <= STORE_VIEW_KEY_MAX);
	if (key.n != 0)
		memcpy(p->key, key.p, key.n);
	be_put64(p->key + key.n, eid);
	p->n = key.n + STORE_EID_BYTES;
}

/* --- what the views are --- */

#define NEXT_VIEW "next-view"
#define GENERATION "views-generation"

static struct span number_key(uint32_t number, uint8_t key[static 4])
{
	be_put32(key, number);
	return span_make(key, 4);
}

int store_viewdef_next(struct store_txn *t, uint32_t *number, struct span *out)
{
	uint8_t key[4];
	MDB_val k, v;
	MDB_cursor *c;
	int rc;

	if (*number == UINT32_MAX)
		return RC_DONE;
	k = store_val(number_key(*number + 1, key));
	rc = store_cursor(t, STORE_VIEWDEF, &c);
	if (rc != RC_OK)
		return rc;
	rc = store_rc(mdb_cursor_get(c, &k, &v, MDB_SET_RANGE));
	mdb_cursor_close(c);
	if (rc != RC_OK)
		return rc == RC_NOTFOUND ? RC_DONE : rc;
	if (k.mv_size != 4)
		return RC_CORRUPT;
	*number = be_get32(k.mv_data);
	*out = store_span(v);
	return RC_OK;
}

int store_viewdef_get(struct store_txn *t, uint32_t number, struct span *out)
{
	uint8_t key[4];

	return store_get(t, STORE_VIEWDEF, number_key(number, key), out);
}

void store_viewdef_put(struct store_txn *t, uint32_t number, struct span row)
{
	uint8_t key[4];

	store_put(t, STORE_VIEWDEF, number_key(number, key), row);
}

void store_viewdef_del(struct store_txn *t, uint32_t number)
{
	uint8_t key[4];

	store_del(t, STORE_VIEWDEF, number_key(number, key), (struct span){NULL, 0});
}

uint32_t store_viewdef_new(struct store_txn *t)
{
	struct span v;
	int rc = store_get(t, STORE_META, SPAN_LIT(NEXT_VIEW), &v);
	uint32_t number = rc == RC_OK && v.n == 4 ? be_get32(v.p) : 1;

	store_meta_put(t, NEXT_VIEW, number + 1);
	return number;
}

static void clear(struct store_txn *t, enum store_table table)
{
	must(t->is_write);
	if (t->rc == RC_OK)
		store_stick(t, mdb_drop(t->txn, t->store->dbi[table], 0));
}

void store_view_clear(struct store_txn *t)
{
	clear(t, STORE_VIEW);
	clear(t, STORE_VIEWDEF);
}

void store_index_clear(struct store_txn *t)
{
	clear(t, STORE_INDEX);
	clear(t, STORE_GRAM);
	clear(t, STORE_FRESH);
}

uint64_t store_view_generation(struct store_txn *t)
{
	struct span v;

	return store_get(t, STORE_META, SPAN_LIT(GENERATION), &v) == RC_OK && v.n == 8
		       ? be_get64(v.p)
		       : 0;
}

void store_view_set_generation(struct store_txn *t, uint64_t generation)
{
	uint8_t bytes[8];

	be_put64(bytes, generation);
	store_put(t, STORE_META, SPAN_LIT(GENERATION), span_make(bytes, sizeof(bytes)));
}

int store_entry_from(struct store_txn *t, uint64_t *eid, struct entry *out)
{
	uint8_t key[STORE_EID_BYTES];
	MDB_val k = {sizeof(key), key}, v;
	MDB_cursor *c;
	int rc = store_cursor(t, STORE_ENTRY, &c);

	if (rc != RC_OK)
		return rc;
	be_put64(key, *eid);
	rc = store_rc(mdb_cursor_get(c, &k, &v, MDB_SET_RANGE));
	mdb_cursor_close(c);
	if (rc != RC_OK)
		return rc == RC_NOTFOUND ? RC_DONE : rc;
	if (k.mv_size != STORE_EID_BYTES)
		return RC_CORRUPT;
	*eid = be_get64(k.mv_data);
	rc = entry_open(store_span(v), out);
	if (rc == RC_OK)
		store_attach(t, *eid, out);
	return rc;
}

uint64_t store_last_eid(struct store_txn *t)
{
	MDB_val k, v;
	MDB_cursor *c;
	int err;

	if (store_cursor(t, STORE_ENTRY, &c) != RC_OK)
		return 0;
	err = mdb_cursor_get(c, &k, &v, MDB_LAST);
	mdb_cursor_close(c);
	return err == 0 && k.mv_size == STORE_EID_BYTES ? be_get64(k.mv_data) : 0;
}

/* --- what is made of the definitions --- */

static void unref(struct store_cache *c)
{
	if (c != NULL && --c->refs == 0)
		c->free(c);
}

struct store_cache *store_cache_get(struct store_txn *t, uint64_t generation)
{
	struct store *s = t->store;
	struct store_cache *c;

	pthread_mutex_lock(&s->mutex);
	c = s->cache != NULL && s->cache->generation == generation ? s->cache : NULL;
	if (c != NULL)
		c->refs++;
	pthread_mutex_unlock(&s->mutex);
	return c;
}

void store_cache_set(struct store_txn *t, struct store_cache *c)
{
	struct store *s = t->store;

	pthread_mutex_lock(&s->mutex);
	unref(s->cache);
	s->cache = c;
	c->refs = 2;
	pthread_mutex_unlock(&s->mutex);
}

void store_cache_put(struct store *s, struct store_cache *c)
{
	pthread_mutex_lock(&s->mutex);
	unref(c);
	pthread_mutex_unlock(&s->mutex);
}

struct store *store_of(struct store_txn *t)
{
	return t->store;
}

/* --- checking --- */

/* What the rows of level 0 say, beside what is stored: one level at a time. */
struct recount {
	struct store_txn *t;
	uint32_t view;
	unsigned level;
	struct store_view_place at; /* the row above level 0 that counts */
	struct view_counts sum;
	uint64_t rows, uppers, wrong;
};

static void compare_upper(struct recount *r)
{
	uint8_t bytes[VIEW_COUNTS_BYTES];
	struct view_key key;
	struct span v;

	view_key_set(&key, r->view, r->level, view_place_span(&r->at));
	if (store_get(r->t, STORE_VIEW, view_key_span(&key), &v) != RC_OK ||
	    !span_eq(v, view_counts_write(&r->sum, bytes)))
		r->wrong++;
	r->uppers++;
	memset(&r->sum, 0, sizeof(r->sum));
}

/* How many rows are stored for a level. */
static int stored_rows(MDB_cursor *c, uint32_t view, unsigned level, uint64_t *n)
{
	struct view_key key;
	MDB_val k, v;
	int err;

	view_key_set(&key, view, level, SPAN_LIT(""));
	k = store_val(view_key_span(&key));
	for (*n = 0, err = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
	     err == 0 && k.mv_size >= VIEW_HEAD_BYTES &&
	     memcmp(k.mv_data, key.b, VIEW_HEAD_BYTES) == 0;
	     err = mdb_cursor_get(c, &k, &v, MDB_NEXT))
		++*n;
	return err == MDB_NOTFOUND ? RC_OK : store_rc(err);
}

static int recount(struct recount *r, MDB_cursor *c)
{
	struct view_key key;
	struct span place;
	uint64_t stored;
	MDB_val k, v;
	int err, rc;

	r->at.n = 0;
	r->rows = r->uppers = 0;
	memset(&r->sum, 0, sizeof(r->sum));
	view_key_set(&key, r->view, 0, SPAN_LIT(""));
	k = store_val(view_key_span(&key));
	for (err = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
	     err == 0 && memcmp(k.mv_data, key.b, VIEW_HEAD_BYTES) == 0;
	     err = mdb_cursor_get(c, &k, &v, MDB_NEXT)) {
		place = span_from(store_span(k), VIEW_HEAD_BYTES);
		if (place.n < STORE_EID_BYTES || place.n > sizeof(r->at.key) ||
		    v.mv_size != VIEW_MASK_BYTES)
			return RC_CORRUPT;
		if (view_height(view_place_eid(place)) >= r->level) {
			compare_upper(r);
			memcpy(r->at.key, place.p, place.n);
			r->at.n = place.n;
		}
		view_counts_add(&r->sum, be_get32(v.mv_data));
		r->rows++;
	}
	if (err != 0 && err != MDB_NOTFOUND)
		return store_rc(err);
	compare_upper(r);
	rc = stored_rows(c, r->view, r->level, &stored);
	if (rc == RC_OK && stored > r->uppers)
		r->wrong += stored - r->uppers;
	return rc;
}

int store_view_verify(struct store_txn *t, uint32_t view, uint64_t *rows, uint64_t *wrong)
{
	struct recount r = {.t = t, .view = view};
	MDB_cursor *c;
	int rc = store_cursor(t, STORE_VIEW, &c);

	if (rc != RC_OK)
		return rc;
	for (r.level = 1; rc == RC_OK && r.level <= STORE_VIEW_LEVELS; r.level++)
		rc = recount(&r, c);
	mdb_cursor_close(c);
	*rows = r.rows;
	*wrong = r.wrong;
	return rc;
}
