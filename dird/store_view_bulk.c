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

static int append_rows(struct store_txn *t, MDB_cursor *c, uint32_t view,
		       const struct store_view_row *rows, size_t n)
{
	struct store_view_place place;
	uint8_t mask[VIEW_MASK_BYTES];
	struct view_key key;
	int rc = RC_OK;
	size_t i;

	for (i = 0; rc == RC_OK && i < n; i++) {
		view_place_set(&place, rows[i].key, rows[i].eid);
		view_key_set(&key, view, 0, view_place_span(&place));
		be_put32(mask, rows[i].mask);
		rc = append(t, c, &key, span_make(mask, sizeof(mask)));
	}
	return rc;
}

static int append_counts(struct store_txn *t, MDB_cursor *c, uint32_t view, unsigned level,
			 struct span place, const struct view_counts *n)
{
	uint8_t bytes[VIEW_COUNTS_BYTES];
	struct view_key key;

	view_key_set(&key, view, level, place);
	return append(t, c, &key, view_counts_write(n, bytes));
}

static int append_level(struct store_txn *t, MDB_cursor *c, uint32_t view, unsigned level,
			const struct store_view_row *rows, size_t n)
{
	struct store_view_place at = {.n = 0};
	struct view_counts sum;
	int rc = RC_OK;
	size_t i;

	memset(&sum, 0, sizeof(sum));
	for (i = 0; rc == RC_OK && i < n; i++) {
		if (view_height(rows[i].eid) >= level) {
			rc = append_counts(t, c, view, level, view_place_span(&at), &sum);
			memset(&sum, 0, sizeof(sum));
			view_place_set(&at, rows[i].key, rows[i].eid);
		}
		view_counts_add(&sum, rows[i].mask);
	}
	return rc == RC_OK ? append_counts(t, c, view, level, view_place_span(&at), &sum) : rc;
}

int store_view_fill(struct store_txn *t, uint32_t view, const struct store_view_row *rows, size_t n)
{
	MDB_cursor *c;
	unsigned level;
	int rc = store_cursor(t, STORE_VIEW, &c);

	if (rc != RC_OK)
		return rc;
	rc = append_rows(t, c, view, rows, n);
	for (level = 1; rc == RC_OK && level <= STORE_VIEW_LEVELS; level++)
		rc = append_level(t, c, view, level, rows, n);
	mdb_cursor_close(c);
	return rc;
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
