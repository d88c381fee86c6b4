#include "dird/store_view.h"

#include "dird/store_view_int.h"

#define SPARSE_ROWS 256 /* rows of other kinds in a row before the counts are asked */

/* RC_DONE: the row is of another view or level. */
static int read_row(const MDB_val *k, const MDB_val *v, uint32_t view, unsigned level,
		    struct view_row *out)
{
	const uint8_t *b = k->mv_data;

	if (k->mv_size < VIEW_HEAD_BYTES || be_get32(b) != view || b[4] != level)
		return RC_DONE;
	if (k->mv_size > VIEW_KEY_BYTES ||
	    v->mv_size != (level == 0 ? VIEW_MASK_BYTES : VIEW_COUNTS_BYTES))
		return RC_CORRUPT;
	out->place = span_make(b + VIEW_HEAD_BYTES, k->mv_size - VIEW_HEAD_BYTES);
	out->value = v->mv_data;
	return RC_OK;
}

static bool has_kind(const struct view_row *r, unsigned kind)
{
	return (be_get32(r->value) >> kind & 1) != 0;
}

/* --- cursors --- */

int view_move(MDB_cursor *c, MDB_cursor_op op, uint32_t view, unsigned level, struct view_row *out)
{
	MDB_val k, v;
	int err = mdb_cursor_get(c, &k, &v, op);

	if (err == MDB_NOTFOUND)
		return RC_DONE;
	return err == 0 ? read_row(&k, &v, view, level, out) : store_rc(err);
}

int view_seek(MDB_cursor *c, uint32_t view, unsigned level, struct span place, struct view_row *out)
{
	struct view_key key;
	MDB_val k, v;
	int err;

	view_key_set(&key, view, level, place);
	k = store_val(view_key_span(&key));
	err = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
	if (err == MDB_NOTFOUND)
		return RC_DONE;
	return err == 0 ? read_row(&k, &v, view, level, out) : store_rc(err);
}

int view_seek_back(MDB_cursor *c, uint32_t view, unsigned level, struct span place, bool or_equal,
		   struct view_row *out)
{
	struct view_key key;
	MDB_val k, v;
	int err;

	view_key_set(&key, view, level, place);
	k = store_val(view_key_span(&key));
	err = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
	if (err == 0 && or_equal && span_eq(store_span(k), view_key_span(&key)))
		return read_row(&k, &v, view, level, out);
	if (err != 0 && err != MDB_NOTFOUND)
		return store_rc(err);
	return view_move(c, err == 0 ? MDB_PREV : MDB_LAST, view, level, out);
}

/* --- positions --- */

uint64_t store_view_count(struct store_txn *t, uint32_t view, unsigned kind)
{
	uint64_t n = 0;
	struct view_row row;
	MDB_cursor *c;
	int rc;

	if (store_cursor(t, STORE_VIEW, &c) != RC_OK)
		return 0;
	for (rc = view_seek(c, view, STORE_VIEW_LEVELS, SPAN_LIT(""), &row); rc == RC_OK;
	     rc = view_move(c, MDB_NEXT, view, STORE_VIEW_LEVELS, &row))
		n += view_row_count(&row, kind);
	mdb_cursor_close(c);
	return n;
}

/* Down the levels; at each one as far as the rows lie below `key` as a whole. */
static int rank(MDB_cursor *c, uint32_t view, unsigned kind, struct span key, uint64_t *out)
{
	struct span from = SPAN_LIT("");
	struct view_row row, next;
	unsigned level;
	int rc;

	for (level = STORE_VIEW_LEVELS; level > 0; level--) {
		rc = view_seek(c, view, level, from, &row);
		if (rc != RC_OK)
			return rc == RC_DONE ? RC_CORRUPT : rc;
		while ((rc = view_move(c, MDB_NEXT, view, level, &next)) == RC_OK &&
		       span_cmp(next.place, key) <= 0) {
			*out += view_row_count(&row, kind);
			row = next;
		}
		if (rc != RC_OK && rc != RC_DONE)
			return rc;
		from = row.place;
	}
	for (rc = view_seek(c, view, 0, from, &row); rc == RC_OK && span_cmp(row.place, key) < 0;
	     rc = view_move(c, MDB_NEXT, view, 0, &row))
		*out += has_kind(&row, kind);
	return rc == RC_DONE ? RC_OK : rc;
}

int store_view_rank(struct store_txn *t, uint32_t view, unsigned kind, struct span key,
		    uint64_t *out)
{
	MDB_cursor *c;
	int rc = store_cursor(t, STORE_VIEW, &c);

	*out = 0;
	if (rc != RC_OK)
		return rc;
	rc = rank(c, view, kind, key, out);
	mdb_cursor_close(c);
	return rc;
}

static int find_nth(MDB_cursor *c, uint32_t view, unsigned kind, uint64_t n, struct view_row *row)
{
	struct span from = SPAN_LIT("");
	unsigned level;
	uint32_t here;
	int rc = RC_OK;

	for (level = STORE_VIEW_LEVELS; level > 0; level--) {
		for (rc = view_seek(c, view, level, from, row); rc == RC_OK;
		     rc = view_move(c, MDB_NEXT, view, level, row)) {
			here = view_row_count(row, kind);
			if (n < here)
				break;
			n -= here;
		}
		if (rc != RC_OK)
			return rc == RC_DONE && level < STORE_VIEW_LEVELS ? RC_CORRUPT : rc;
		from = row->place;
	}
	for (rc = view_seek(c, view, 0, from, row); rc == RC_OK;
	     rc = view_move(c, MDB_NEXT, view, 0, row)) {
		if (has_kind(row, kind) && n-- == 0)
			return RC_OK;
	}
	return rc == RC_DONE ? RC_CORRUPT : rc;
}

int store_view_at(struct store_txn *t, uint32_t view, unsigned kind, uint64_t n,
		  struct store_view_place *out)
{
	struct view_row row;
	MDB_cursor *c;
	int rc = store_cursor(t, STORE_VIEW, &c);

	if (rc != RC_OK)
		return rc;
	rc = find_nth(c, view, kind, n, &row);
	if (rc == RC_OK) {
		memcpy(out->key, row.place.p, row.place.n);
		out->n = row.place.n;
	}
	mdb_cursor_close(c);
	return rc;
}

int store_view_mask(struct store_txn *t, uint32_t view, struct span key, uint64_t eid,
		    uint32_t *out)
{
	struct store_view_place place;
	struct view_key k;
	struct span v;
	int rc;

	store_view_place_set(&place, key, eid);
	view_key_set(&k, view, 0, view_place_span(&place));
	rc = store_get(t, STORE_VIEW, view_key_span(&k), &v);
	if (rc == RC_OK && v.n != VIEW_MASK_BYTES)
		rc = RC_CORRUPT;
	if (rc == RC_OK)
		*out = be_get32(v.p);
	return rc;
}

/* --- iterators --- */

struct store_view_iter {
	struct store_txn *t; /* NULL while paused */
	MDB_cursor *c;       /* NULL: to be opened */
	bool is_placed;      /* the cursor stands at `place` */
	uint32_t view;
	unsigned kind;
	bool is_reverse;
	bool is_due; /* the row at `place` comes first */
	bool is_done;
	struct store_view_place place;
};

int store_view_walk(struct store_txn *t, uint32_t view, unsigned kind, bool is_reverse, uint64_t n,
		    struct store_view_iter **out)
{
	struct store_view_iter *i = mem_zalloc(1, sizeof(*i));
	uint64_t total;
	int rc;

	*out = i;
	if (i == NULL)
		return RC_NOMEM;
	i->t = t;
	i->view = view;
	i->kind = kind;
	i->is_reverse = is_reverse;
	i->is_due = true;
	total = store_view_count(t, view, kind);
	if (n >= total) {
		i->is_done = true;
		return RC_OK;
	}
	rc = store_view_at(t, view, kind, is_reverse ? total - 1 - n : n, &i->place);
	if (rc != RC_OK)
		store_view_iter_free(out);
	return rc;
}

static void keep_place(struct store_view_iter *i, struct span place)
{
	memcpy(i->place.key, place.p, place.n);
	i->place.n = place.n;
}

/* The row behind the place, of any kind; the one at the place while it is due. */
static int step(struct store_view_iter *i, struct view_row *row)
{
	struct span at = view_place_span(&i->place);
	int rc;

	if (i->is_placed)
		return view_move(i->c, i->is_reverse ? MDB_PREV : MDB_NEXT, i->view, 0, row);
	if (i->is_reverse)
		return view_seek_back(i->c, i->view, 0, at, i->is_due, row);
	rc = view_seek(i->c, i->view, 0, at, row);
	if (rc == RC_OK && !i->is_due && span_eq(row->place, at))
		rc = view_move(i->c, MDB_NEXT, i->view, 0, row);
	return rc;
}

/* Many rows of other kinds lie here: let the counts lead to the next one of ours. */
static int jump(struct store_view_iter *i, struct span from, struct view_row *row)
{
	struct store_view_place place = {.n = from.n};
	uint64_t n = 0;
	int rc;

	memcpy(place.key, from.p, from.n);
	rc = rank(i->c, i->view, i->kind, view_place_span(&place), &n);
	if (rc != RC_OK)
		return rc;
	if (!i->is_reverse)
		return find_nth(i->c, i->view, i->kind, n, row);
	return n != 0 ? find_nth(i->c, i->view, i->kind, n - 1, row) : RC_DONE;
}

int store_view_next(struct store_view_iter *i, uint64_t *eid_out)
{
	unsigned passed = 0;
	struct view_row row;
	int rc;

	if (i->is_done)
		return RC_DONE;
	if (i->c == NULL) {
		rc = store_cursor(i->t, STORE_VIEW, &i->c);
		if (rc != RC_OK)
			return rc;
	}
	rc = step(i, &row);
	while (rc == RC_OK && !has_kind(&row, i->kind)) {
		i->is_placed = true;
		if (++passed < SPARSE_ROWS) {
			rc = step(i, &row);
		} else {
			passed = 0;
			rc = jump(i, row.place, &row);
		}
	}
	i->is_done = rc == RC_DONE;
	if (rc != RC_OK)
		return rc;
	keep_place(i, row.place);
	i->is_placed = true;
	i->is_due = false;
	*eid_out = view_place_eid(row.place);
	return RC_OK;
}

void store_view_pause(struct store_view_iter *i)
{
	if (i->c != NULL)
		mdb_cursor_close(i->c);
	i->c = NULL;
	i->t = NULL;
	i->is_placed = false;
}

void store_view_resume(struct store_view_iter *i, struct store_txn *t)
{
	i->t = t;
}

bool store_view_is_running(const struct store_view_iter *i)
{
	return i->t != NULL;
}

void store_view_iter_free(struct store_view_iter **i)
{
	if (*i != NULL)
		store_view_pause(*i);
	mem_free(*i);
	*i = NULL;
}
