/* One row of a view, and the counts above it. */
#include "dird/store_view_int.h"

static void read_counts(const struct view_row *r, struct view_counts *out)
{
	unsigned i;

	for (i = 0; i < STORE_VIEW_KINDS; i++)
		out->n[i] = view_row_count(r, i);
}

static void put_counts(struct store_txn *t, uint32_t view, unsigned level, struct span place,
		       const struct view_counts *n)
{
	uint8_t bytes[VIEW_COUNTS_BYTES];
	struct view_key key;

	view_key_set(&key, view, level, place);
	store_put(t, STORE_VIEW, view_key_span(&key), view_counts_write(n, bytes));
}

static void put_mask(struct store_txn *t, uint32_t view, struct span place, uint32_t mask)
{
	uint8_t bytes[VIEW_MASK_BYTES];
	struct view_key key;

	view_key_set(&key, view, 0, place);
	be_put32(bytes, mask);
	store_put(t, STORE_VIEW, view_key_span(&key), span_make(bytes, sizeof(bytes)));
}

static void del_row(struct store_txn *t, uint32_t view, unsigned level, struct span place)
{
	struct view_key key;

	view_key_set(&key, view, level, place);
	store_del(t, STORE_VIEW, view_key_span(&key), (struct span){NULL, 0});
}

static void sub_mask(struct view_counts *n, uint32_t mask)
{
	unsigned i;

	for (i = 0; i < STORE_VIEW_KINDS; i++)
		n->n[i] -= mask >> i & 1;
}

static void add_counts(struct view_counts *n, const struct view_counts *more)
{
	unsigned i;

	for (i = 0; i < STORE_VIEW_KINDS; i++)
		n->n[i] += more->n[i];
}

static void sub_counts(struct view_counts *n, const struct view_counts *less)
{
	unsigned i;

	for (i = 0; i < STORE_VIEW_KINDS; i++)
		n->n[i] -= less->n[i];
}

/* A row above level 0, copied: puts move what a cursor has seen. */
struct upper {
	struct store_view_place place;
	struct view_counts counts;
};

/* The row of a level that counts what is at `place`: at it, or with `before` the one before. */
static int find_upper(struct store_txn *t, uint32_t view, unsigned level, struct span place,
		      bool before, struct upper *out)
{
	struct view_row row;
	MDB_cursor *c;
	int rc = store_cursor(t, STORE_VIEW, &c);

	if (rc != RC_OK)
		return rc;
	rc = view_seek_back(c, view, level, place, !before, &row);
	if (rc == RC_OK) {
		if (row.place.n != 0)
			memcpy(out->place.key, row.place.p, row.place.n);
		out->place.n = row.place.n;
		read_counts(&row, &out->counts);
	}
	mdb_cursor_close(c);
	return rc == RC_DONE ? RC_CORRUPT : rc;
}

/* What lies from `place` on below the next row of `level`, as the level under it counts it. */
static int sum_below(struct store_txn *t, uint32_t view, unsigned level, struct span place,
		     struct view_counts *out)
{
	struct store_view_place end = {.n = 0};
	struct view_row row;
	struct view_counts n;
	MDB_cursor *c;
	int rc = store_cursor(t, STORE_VIEW, &c);

	memset(out, 0, sizeof(*out));
	if (rc != RC_OK)
		return rc;
	rc = view_seek(c, view, level, place, &row);
	if (rc == RC_OK) {
		memcpy(end.key, row.place.p, row.place.n);
		end.n = row.place.n;
	}
	if (rc == RC_OK || rc == RC_DONE)
		rc = view_seek(c, view, level - 1, place, &row);
	for (; rc == RC_OK && (end.n == 0 || span_cmp(row.place, view_place_span(&end)) < 0);
	     rc = view_move(c, MDB_NEXT, view, level - 1, &row)) {
		if (level == 1) {
			view_counts_add(out, be_get32(row.value));
		} else {
			read_counts(&row, &n);
			add_counts(out, &n);
		}
	}
	mdb_cursor_close(c);
	return rc == RC_DONE ? RC_OK : rc;
}

/* A new row gets a row on this level, too: it takes its part from the one before. */
static int split_upper(struct store_txn *t, uint32_t view, unsigned level, struct span place,
		       struct upper *before, uint32_t mask)
{
	struct view_counts own;
	int rc = sum_below(t, view, level, place, &own);

	if (rc != RC_OK)
		return rc;
	view_counts_add(&before->counts, mask);
	sub_counts(&before->counts, &own);
	put_counts(t, view, level, view_place_span(&before->place), &before->counts);
	put_counts(t, view, level, place, &own);
	return RC_OK;
}

static void insert(struct store_txn *t, uint32_t view, struct span place, uint32_t mask)
{
	unsigned height = view_height(view_place_eid(place)), level;
	struct upper up;
	int rc;

	put_mask(t, view, place, mask);
	for (level = 1; level <= STORE_VIEW_LEVELS; level++) {
		rc = find_upper(t, view, level, place, true, &up);
		if (rc == RC_OK && level <= height) {
			rc = split_upper(t, view, level, place, &up, mask);
		} else if (rc == RC_OK) {
			view_counts_add(&up.counts, mask);
			put_counts(t, view, level, view_place_span(&up.place), &up.counts);
		}
		if (rc != RC_OK)
			store_fail(t, rc);
	}
}

static void change_mask(struct store_txn *t, uint32_t view, struct span place, uint32_t old,
			uint32_t mask)
{
	struct upper up;
	unsigned level;
	int rc;

	put_mask(t, view, place, mask);
	for (level = 1; level <= STORE_VIEW_LEVELS; level++) {
		rc = find_upper(t, view, level, place, false, &up);
		if (rc != RC_OK) {
			store_fail(t, rc);
			return;
		}
		view_counts_add(&up.counts, mask);
		sub_mask(&up.counts, old);
		put_counts(t, view, level, view_place_span(&up.place), &up.counts);
	}
}

void store_view_put(struct store_txn *t, uint32_t view, struct span key, uint64_t eid,
		    uint32_t mask)
{
	struct store_view_place place;
	uint32_t old;
	int rc = store_view_mask(t, view, key, eid, &old);

	store_view_place_set(&place, key, eid);
	if (rc == RC_NOTFOUND)
		insert(t, view, view_place_span(&place), mask);
	else if (rc != RC_OK)
		store_fail(t, rc);
	else if (old != mask)
		change_mask(t, view, view_place_span(&place), old, mask);
}

/* The row's own part on this level goes back to the row before. */
static int join_upper(struct store_txn *t, uint32_t view, unsigned level, struct span place,
		      uint32_t mask)
{
	struct upper own, before;
	int rc = find_upper(t, view, level, place, false, &own);

	if (rc == RC_OK && !span_eq(view_place_span(&own.place), place))
		rc = RC_CORRUPT;
	if (rc == RC_OK)
		rc = find_upper(t, view, level, place, true, &before);
	if (rc != RC_OK)
		return rc;
	add_counts(&before.counts, &own.counts);
	sub_mask(&before.counts, mask);
	put_counts(t, view, level, view_place_span(&before.place), &before.counts);
	del_row(t, view, level, place);
	return RC_OK;
}

void store_view_del(struct store_txn *t, uint32_t view, struct span key, uint64_t eid)
{
	unsigned height = view_height(eid), level;
	struct store_view_place at;
	struct span place;
	struct upper up;
	uint32_t mask;
	int rc = store_view_mask(t, view, key, eid, &mask);

	store_view_place_set(&at, key, eid);
	place = view_place_span(&at);
	for (level = 1; rc == RC_OK && level <= STORE_VIEW_LEVELS; level++) {
		if (level <= height) {
			rc = join_upper(t, view, level, place, mask);
			continue;
		}
		rc = find_upper(t, view, level, place, true, &up);
		if (rc != RC_OK)
			break;
		sub_mask(&up.counts, mask);
		put_counts(t, view, level, view_place_span(&up.place), &up.counts);
	}
	if (rc != RC_OK)
		store_fail(t, rc == RC_NOTFOUND ? RC_CORRUPT : rc);
	else
		del_row(t, view, 0, place);
}
