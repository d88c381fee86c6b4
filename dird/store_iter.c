#include "dird/store_gram.h"
#include "dird/store_mdb.h"
#include "lib/dn.h"

#include <stddef.h>

#define KEY_MAX 511
#define WALK_DEPTH_MAX (DN_MAX_RDNS + 1)

/* A row of the tree that the walk has read and not given yet, and the record of its entry. */
struct ahead {
	MDB_val key;
	uint64_t eid;
	struct span record;
};
/* Looked up this long before they are given, so that memory has them by then. */
#define AHEAD_ROWS 8
#define AHEAD_AFTER 32 /* short walks are not worth it */
#define AHEAD_BYTES 2048
#define CACHE_LINE_BYTES 64

/* A level above the one being walked: the row through which the walk went down. */
struct level {
	uint64_t parent, eid;
	uint8_t *key;
	size_t key_n;
};

struct store_iter {
	struct store_txn *t; /* NULL while paused */
	MDB_cursor *rows, *probe;
	bool is_placed; /* the cursor stands on the last row given */

	/* the last row given; key_n 0: none yet */
	uint8_t key[KEY_MAX];
	size_t key_n;
	uint64_t eid;

	enum { ITER_RANGES, ITER_WALK, ITER_TABLE } kind;
	uint64_t end; /* of a table: numbers from here on are not looked at */
	/* walk */
	enum store_scope scope;
	uint64_t parent;
	bool base_is_due, may_descend;
	unsigned depth;
	uint64_t childless_from, childless_to; /* no entry of these numbers has children */
	unsigned given;                        /* rows, up to AHEAD_AFTER */
	struct ahead ahead[AHEAD_ROWS];
	unsigned ahead_at, ahead_n;
	bool ahead_is_all;  /* there are no more rows of this parent */
	struct span record; /* of the row given last; empty: not looked up */
	/* ranges */
	struct index_range *ranges;
	unsigned n, at;
	struct store_named named;
	struct arena arena; /* of the ranges */
	/* ranges that ask for a part */
	struct gram_cursors grams;
	struct gram_place place;
	bool looks_at_fresh;
	uint64_t fresh; /* the last one given */

	struct level levels[WALK_DEPTH_MAX]; /* of a walk; at the end, because it is large */
};

int store_seek_behind(MDB_cursor *c, struct span key, uint64_t eid, MDB_val *k, MDB_val *v)
{
	uint8_t next[STORE_EID_BYTES];
	int err;

	*k = store_val(key);
	err = mdb_cursor_get(c, k, v, MDB_SET_RANGE);
	if (err == 0 && span_eq(store_span(*k), key)) {
		be_put64(next, eid + 1);
		*k = store_val(key);
		*v = (MDB_val){sizeof(next), next};
		err = mdb_cursor_get(c, k, v, MDB_GET_BOTH_RANGE);
		if (err == 0)
			*k = store_val(key);
		if (err == MDB_NOTFOUND) {
			*k = store_val(key);
			err = mdb_cursor_get(c, k, v, MDB_SET_KEY);
			if (err == 0)
				err = mdb_cursor_get(c, k, v, MDB_NEXT_NODUP);
		}
	}
	return err == MDB_NOTFOUND ? RC_DONE : store_rc(err);
}

static int open_cursors(struct store_iter *i, struct store_txn *t)
{
	static const enum store_table tables[] = {
		[ITER_RANGES] = STORE_INDEX,
		[ITER_WALK] = STORE_TREE,
		[ITER_TABLE] = STORE_ENTRY,
	};
	int rc = store_cursor(t, tables[i->kind], &i->rows);

	if (rc == RC_OK && i->kind == ITER_WALK)
		rc = store_cursor(t, STORE_TREE, &i->probe);
	i->t = t;
	i->is_placed = false;
	return rc;
}

static void close_cursors(struct store_iter *i)
{
	if (i->rows != NULL)
		mdb_cursor_close(i->rows);
	if (i->probe != NULL)
		mdb_cursor_close(i->probe);
	gram_cursors_close(&i->grams);
	i->rows = i->probe = NULL;
	i->t = NULL;
	i->childless_to = 0;
}

static int keep_place(struct store_iter *i, struct span key, struct span value)
{
	if (key.n > KEY_MAX || value.n != STORE_EID_BYTES)
		return RC_CORRUPT;
	memcpy(i->key, key.p, key.n);
	i->key_n = key.n;
	i->eid = be_get64(value.p);
	i->is_placed = true;
	return RC_OK;
}

/* The row behind the place, or the first one at or behind `start` when there is no place yet. */
static int next_row(struct store_iter *i, struct span start, MDB_val *k, MDB_val *v)
{
	int err;

	if (i->key_n != 0 && !i->is_placed)
		return store_seek_behind(i->rows, span_make(i->key, i->key_n), i->eid, k, v);
	if (i->is_placed) {
		err = mdb_cursor_get(i->rows, k, v, MDB_NEXT);
	} else {
		*k = store_val(start);
		err = mdb_cursor_get(i->rows, k, v, MDB_SET_RANGE);
	}
	return err == MDB_NOTFOUND ? RC_DONE : store_rc(err);
}

static struct store_iter *iter_new(void)
{
	struct store_iter *i = mem_alloc(sizeof(*i));

	if (i != NULL)
		memset(i, 0, offsetof(struct store_iter, levels));
	return i;
}

/* --- walking a scope --- */

int store_walk(struct store_txn *t, uint64_t base, enum store_scope scope, struct store_iter **out)
{
	struct store_iter *i = iter_new();
	int rc;

	*out = NULL;
	if (i == NULL)
		return RC_NOMEM;
	i->kind = ITER_WALK;
	i->scope = scope;
	i->parent = base;
	i->base_is_due = scope == STORE_BASE || scope == STORE_SUB;
	rc = open_cursors(i, t);
	if (rc != RC_OK)
		store_iter_free(&i);
	*out = i;
	return rc;
}

/* Most entries have no children, so the gap between two parents answers for many of them. */
static bool has_rows(struct store_iter *i, uint64_t parent)
{
	uint8_t key[STORE_EID_BYTES];
	MDB_val k = {sizeof(key), key}, v;
	uint64_t next = UINT64_MAX;

	if (parent >= i->childless_from && parent < i->childless_to)
		return false;
	be_put64(key, parent);
	if (mdb_cursor_get(i->probe, &k, &v, MDB_SET_RANGE) == 0 && k.mv_size >= 8)
		next = be_get64(k.mv_data);
	i->childless_from = parent;
	i->childless_to = next;
	return next == parent;
}

static void forget_ahead(struct store_iter *i)
{
	i->ahead_at = i->ahead_n = 0;
	i->ahead_is_all = false;
	i->record = span_make(NULL, 0);
}

static void prefetch(struct span record)
{
	size_t at, n = record.n < AHEAD_BYTES ? record.n : AHEAD_BYTES;

	for (at = 0; at < n; at += CACHE_LINE_BYTES)
		__builtin_prefetch(record.p + at);
}

static int look_up_ahead(struct store_iter *i, MDB_val key, struct span value)
{
	struct ahead *a = &i->ahead[(i->ahead_at + i->ahead_n) % AHEAD_ROWS];
	int rc;

	if (value.n != STORE_EID_BYTES)
		return RC_CORRUPT;
	a->key = key;
	a->eid = be_get64(value.p);
	rc = store_get(i->t, STORE_ENTRY, value, &a->record);
	if (rc == RC_OK)
		prefetch(a->record);
	else
		a->record = span_make(NULL, 0);
	i->ahead_n++;
	return rc == RC_NOTFOUND ? RC_OK : rc;
}

/* Read rows of the same parent behind those that are waiting. */
static int read_ahead(struct store_iter *i)
{
	MDB_val k, v;
	int rc = RC_OK, err;

	while (rc == RC_OK && i->ahead_n < AHEAD_ROWS && !i->ahead_is_all) {
		err = mdb_cursor_get(i->rows, &k, &v, MDB_NEXT);
		if (err == MDB_NOTFOUND ||
		    (err == 0 && (k.mv_size < 8 || be_get64(k.mv_data) != i->parent)))
			i->ahead_is_all = true;
		else
			rc = err == 0 ? look_up_ahead(i, k, store_span(v)) : store_rc(err);
	}
	return rc;
}

/* The next row of the parent, read ahead. RC_DONE: it has no more. */
static int next_ahead(struct store_iter *i, uint64_t *eid_out)
{
	struct ahead *a = &i->ahead[i->ahead_at];
	int rc = read_ahead(i);

	if (rc != RC_OK)
		return rc;
	if (i->ahead_n == 0)
		return RC_DONE;
	if (a->key.mv_size > KEY_MAX)
		return RC_CORRUPT;
	memcpy(i->key, a->key.mv_data, a->key.mv_size);
	i->key_n = a->key.mv_size;
	*eid_out = i->eid = a->eid;
	i->record = a->record;
	i->ahead_at = (i->ahead_at + 1) % AHEAD_ROWS;
	i->ahead_n--;
	return RC_OK;
}

static int descend(struct store_iter *i)
{
	struct level *l;

	if (i->depth == WALK_DEPTH_MAX)
		return RC_CORRUPT;
	l = &i->levels[i->depth];
	l->key = mem_alloc(i->key_n);
	if (l->key == NULL)
		return RC_NOMEM;
	memcpy(l->key, i->key, i->key_n);
	l->key_n = i->key_n;
	l->parent = i->parent;
	l->eid = i->eid;
	i->depth++;
	i->parent = i->eid;
	i->key_n = 0;
	i->is_placed = false;
	forget_ahead(i);
	return RC_OK;
}

static int ascend(struct store_iter *i)
{
	struct level *l;

	if (i->depth == 0)
		return RC_DONE;
	l = &i->levels[--i->depth];
	memcpy(i->key, l->key, l->key_n);
	i->key_n = l->key_n;
	i->parent = l->parent;
	i->eid = l->eid;
	i->is_placed = false;
	forget_ahead(i);
	mem_free(l->key);
	l->key = NULL;
	return RC_OK;
}

/* The next row of the parent. RC_DONE: it has no more. */
static int next_child(struct store_iter *i, uint64_t *eid_out)
{
	uint8_t start[STORE_EID_BYTES];
	MDB_val k, v;
	int rc;

	if (i->is_placed && i->given == AHEAD_AFTER && !i->t->is_write)
		return next_ahead(i, eid_out);
	i->given += i->given < AHEAD_AFTER;
	be_put64(start, i->parent);
	rc = next_row(i, span_make(start, sizeof(start)), &k, &v);
	if (rc == RC_OK && (k.mv_size < 8 || be_get64(k.mv_data) != i->parent))
		rc = RC_DONE;
	if (rc == RC_OK)
		rc = keep_place(i, store_span(k), store_span(v));
	*eid_out = i->eid;
	return rc;
}

static int walk_next(struct store_iter *i, uint64_t *eid_out)
{
	int rc = RC_OK;

	if (i->base_is_due) {
		i->base_is_due = false;
		*eid_out = i->parent;
		return RC_OK;
	}
	if (i->scope == STORE_BASE)
		return RC_DONE;
	if (i->may_descend && has_rows(i, i->eid))
		rc = descend(i);
	i->may_descend = false;
	while (rc == RC_OK) {
		rc = next_child(i, eid_out);
		if (rc == RC_OK) {
			i->may_descend = i->scope != STORE_ONE;
			return rc;
		}
		if (rc == RC_DONE)
			rc = ascend(i);
	}
	return rc;
}

/* --- all entries, as they lie in the table --- */

int store_every(struct store_txn *t, struct store_iter **out)
{
	struct store_iter *i = iter_new();
	int rc;

	*out = NULL;
	if (i == NULL)
		return RC_NOMEM;
	i->kind = ITER_TABLE;
	i->end = store_next_eid(t);
	rc = open_cursors(i, t);
	if (rc != RC_OK)
		store_iter_free(&i);
	*out = i;
	return rc;
}

static int table_next(struct store_iter *i, uint64_t *eid_out)
{
	uint8_t behind[STORE_EID_BYTES];
	MDB_val k = {sizeof(behind), behind}, v;
	int err;

	be_put64(behind, i->eid + 1);
	err = mdb_cursor_get(i->rows, &k, &v, i->is_placed ? MDB_NEXT : MDB_SET_RANGE);
	if (err != 0)
		return err == MDB_NOTFOUND ? RC_DONE : store_rc(err);
	if (k.mv_size != STORE_EID_BYTES)
		return RC_CORRUPT;
	if (be_get64(k.mv_data) >= i->end)
		return RC_DONE;
	i->is_placed = true;
	i->record = store_span(v);
	*eid_out = i->eid = be_get64(k.mv_data);
	return RC_OK;
}

/* --- ranges of the value index --- */

static int copy_range(struct store_iter *i, const struct index_range *from, struct index_range *to)
{
	bool failed;
	unsigned k;

	*to = *from;
	to->lo = arena_span(&i->arena, from->lo);
	to->type = arena_span(&i->arena, from->type);
	to->parts = arena_zalloc(&i->arena, from->nparts, sizeof(*to->parts));
	failed = to->lo.p == NULL || to->type.p == NULL || to->parts == NULL;
	for (k = 0; k < from->nparts && !failed; k++) {
		to->parts[k] = from->parts[k];
		to->parts[k].part = arena_span(&i->arena, from->parts[k].part);
		failed = to->parts[k].part.p == NULL;
	}
	i->looks_at_fresh = i->looks_at_fresh || from->kind == INDEX_PART;
	return failed ? RC_NOMEM : RC_OK;
}

int store_ranges(struct store_txn *t, const struct index_range *ranges, unsigned n,
		 struct store_iter **out)
{
	struct store_iter *i = iter_new();
	unsigned at;
	int rc;

	*out = NULL;
	if (i == NULL)
		return RC_NOMEM;
	rc = open_cursors(i, t);
	i->ranges = arena_zalloc(&i->arena, n, sizeof(*ranges));
	if (i->ranges == NULL)
		rc = RC_NOMEM;
	for (at = 0; rc == RC_OK && at < n; at++)
		rc = copy_range(i, &ranges[at], &i->ranges[at]);
	i->n = n;
	if (rc != RC_OK)
		store_iter_free(&i);
	*out = i;
	return rc;
}

/* One row of a range of keys, or one entry that may contain a part. RC_DONE: the range is at its
 * end. */
static int range_next(struct store_iter *i, const struct index_range *r, uint64_t *eid_out)
{
	uint8_t start[STORE_KEY_MAX_BYTES];
	MDB_val k, v;
	int rc;

	if (r->kind == INDEX_PART)
		return store_gram_next(i->t, &i->grams, r, &i->place, eid_out);
	if (r->kind == INDEX_NAMED)
		return store_named_next(i->t, r, &i->named, eid_out);
	rc = next_row(i, span_make(start, store_range_start(r, start)), &k, &v);
	if (rc == RC_OK && !store_range_has(r, store_span(k)))
		return RC_DONE;
	if (rc == RC_OK)
		rc = keep_place(i, store_span(k), store_span(v));
	*eid_out = i->eid;
	return rc;
}

/* Entries that wait for their merge come first: once in a block, they are found there, too. */
static int ranges_next(struct store_iter *i, uint64_t *eid_out)
{
	int rc;

	if (i->looks_at_fresh) {
		rc = store_fresh_next(i->t, i->ranges, i->n, i->fresh, eid_out);
		if (rc == RC_OK)
			i->fresh = *eid_out;
		if (rc != RC_DONE)
			return rc;
		i->looks_at_fresh = false;
	}
	for (; i->at < i->n; i->at++) {
		rc = range_next(i, &i->ranges[i->at], eid_out);
		if (rc != RC_DONE)
			return rc;
		i->key_n = 0;
		i->is_placed = false;
		memset(&i->place, 0, sizeof(i->place));
		i->named = (struct store_named){0};
	}
	return RC_DONE;
}

/* --- all of them --- */

int store_iter_next(struct store_iter *i, uint64_t *eid_out)
{
	must(i->t != NULL);
	switch (i->kind) {
	case ITER_RANGES:
		return ranges_next(i, eid_out);
	case ITER_WALK:
		return walk_next(i, eid_out);
	case ITER_TABLE:
		return table_next(i, eid_out);
	}
	return RC_INVALID;
}

int store_iter_entry(struct store_iter *i, uint64_t eid, struct entry *out)
{
	return eid == i->eid && i->record.n != 0 ? entry_open(i->record, out)
						 : store_entry(i->t, eid, out);
}

int store_iter_pause(struct store_iter *i)
{
	close_cursors(i);
	i->is_placed = false;
	forget_ahead(i);
	return RC_OK;
}

int store_iter_resume(struct store_iter *i, struct store_txn *t)
{
	must(i->t == NULL);
	return open_cursors(i, t);
}

void store_iter_free(struct store_iter **i)
{
	if (*i == NULL)
		return;
	close_cursors(*i);
	while ((*i)->depth != 0)
		mem_free((*i)->levels[--(*i)->depth].key);
	arena_fini(&(*i)->arena);
	mem_free(*i);
	*i = NULL;
}
