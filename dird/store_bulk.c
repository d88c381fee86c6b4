#include "dird/store_bulk.h"

#include "dird/eid_hints.h"
#include "dird/store_mdb.h"
#include "lib/sorter.h"

#define RUN_BYTES ((size_t)8 << 20) /* so much is sorted in memory at once */
#define COMMIT_ROWS 500000          /* that many rows are some thousand full pages */
#define REBUILD_SHARE 8             /* from an eighth of what is there on, a table is made anew */
#define KEY_MAX (1 + STORE_TREE_KEY_MAX)
#define VALUE_MAX 4096 /* of what is not a new entry's: a tombstone with its name, say */

struct store_bulk {
	struct sorter *rows;     /* key: table u8, key in it */
	struct eid_hints *hints; /* of the same keys */
	uint64_t gathered[STORE_TABLES];
};

/* The rows on their way into the tables. */
struct flow {
	struct store *s;
	struct store_txn *t;
	MDB_cursor *cursors[STORE_TABLES];
	bool anew[STORE_TABLES]; /* emptied, and all its rows are in the sorter */
	struct buf key, value;   /* of the row before */
	unsigned long in_transaction;
};

int store_bulk_begin(struct store *s)
{
	struct store_bulk *b = mem_zalloc(1, sizeof(*b));
	int rc = b != NULL ? sorter_new(store_folder(s), &b->rows) : RC_NOMEM;

	if (rc == RC_OK) {
		b->hints = eid_hints_new();
		rc = b->hints != NULL ? RC_OK : RC_NOMEM;
	}
	s->bulk = b;
	if (rc != RC_OK)
		store_bulk_drop(s);
	return rc;
}

bool store_bulk_is_open(const struct store *s)
{
	return s->bulk != NULL;
}

void store_bulk_drop(struct store *s)
{
	if (s->bulk == NULL)
		return;
	sorter_free(&s->bulk->rows);
	eid_hints_free(&s->bulk->hints);
	mem_free(s->bulk);
	s->bulk = NULL;
}

/* --- gathering --- */

static struct span key_with_table(enum store_table table, struct span key,
				  uint8_t bytes[static KEY_MAX])
{
	must(key.n < KEY_MAX);
	bytes[0] = (uint8_t)table;
	memcpy(bytes + 1, key.p, key.n);
	return span_make(bytes, 1 + key.n);
}

static int gather(struct store_bulk *b, enum store_table table, struct span key, struct span value)
{
	uint8_t bytes[KEY_MAX];

	must(value.n <= VALUE_MAX);
	return sorter_put(b->rows, key_with_table(table, key, bytes), value);
}

void store_bulk_put(struct store_txn *t, enum store_table table, struct span key, struct span value)
{
	int rc;

	if (t->store->bulk == NULL) {
		store_put(t, table, key, value);
		return;
	}
	rc = gather(t->store->bulk, table, key, value);
	t->gathered[table]++;
	if (rc != RC_OK)
		store_fail(t, rc);
}

void store_bulk_put_eid(struct store_txn *t, enum store_table table, struct span key, uint64_t eid)
{
	uint8_t value[STORE_EID_BYTES], bytes[KEY_MAX];
	int rc = RC_OK;

	be_put64(value, eid);
	store_bulk_put(t, table, key, span_make(value, sizeof(value)));
	if (t->store->bulk != NULL && t->rc == RC_OK)
		rc = eid_hints_put(t->store->bulk->hints, key_with_table(table, key, bytes), eid);
	if (rc != RC_OK)
		store_fail(t, rc);
}

int store_bulk_find(struct store_txn *t, enum store_table table, struct span key,
		    store_bulk_match *is_it, const void *ctx, uint64_t *eid_out)
{
	const struct store_bulk *b = t->store->bulk;
	uint8_t bytes[KEY_MAX];
	struct entry e;
	size_t at = 0;
	int rc = RC_NOTFOUND;

	if (b == NULL)
		return rc;
	key = key_with_table(table, key, bytes);
	while (rc == RC_NOTFOUND && eid_hints_next(b->hints, key, &at, eid_out)) {
		rc = store_entry(t, *eid_out, &e);
		if (rc == RC_OK && !is_it(&e, ctx))
			rc = RC_NOTFOUND;
	}
	return rc;
}

int store_bulk_spill(struct store *s)
{
	if (s->bulk == NULL || sorter_held_bytes(s->bulk->rows) < RUN_BYTES)
		return RC_OK;
	return sorter_spill(s->bulk->rows);
}

void store_bulk_settle(struct store_txn *t, bool is_committed)
{
	struct store_bulk *b = t->store->bulk;
	unsigned i;

	if (b == NULL)
		return;
	if (!is_committed) {
		sorter_forget(b->rows);
		return;
	}
	sorter_keep(b->rows);
	for (i = 0; i < STORE_TABLES; i++)
		b->gathered[i] += t->gathered[i];
}

/* --- into the tables --- */

struct old_rows {
	struct store_bulk *b;
	enum store_table table;
};

static int gather_old(void *ctx, struct span key, struct span value)
{
	struct old_rows *o = ctx;
	int rc = value.n <= VALUE_MAX ? gather(o->b, o->table, key, value) : RC_TOOBIG;

	if (rc == RC_OK && sorter_held_bytes(o->b->rows) >= RUN_BYTES)
		rc = sorter_spill(o->b->rows);
	return rc;
}

/* A table that is small beside what comes is emptied, and its rows are sorted in with the others;
 * but not one that has very large ones, where it does not hurt that some are put again. */
static int choose_tables(struct flow *f)
{
	struct old_rows o = {.b = f->s->bulk};
	struct store_txn *t;
	unsigned i;
	int rc = store_read_begin(f->s, &t);

	if (rc != RC_OK)
		return rc;
	for (i = 0; i < STORE_TABLES && rc == RC_OK; i++) {
		o.table = i;
		f->anew[i] = o.b->gathered[i] > store_rows(t, i) / REBUILD_SHARE;
		if (f->anew[i])
			rc = store_scan(t, i, gather_old, &o);
		if (rc == RC_TOOBIG) {
			f->anew[i] = false;
			rc = RC_OK;
		}
	}
	store_read_end(&t);
	return rc;
}

static void close_cursors(struct flow *f)
{
	unsigned i;

	for (i = 0; i < STORE_TABLES; i++) {
		if (f->cursors[i] != NULL)
			mdb_cursor_close(f->cursors[i]);
		f->cursors[i] = NULL;
	}
}

static int begin(struct flow *f, bool is_first)
{
	unsigned i;
	int rc = store_write_begin(f->s, &f->t);

	if (rc != RC_OK)
		return rc;
	f->in_transaction = 0;
	for (i = 0; i < STORE_TABLES && store_error(f->t) == RC_OK; i++) {
		if (is_first && f->anew[i])
			store_empty(f->t, i);
		if (f->s->bulk->gathered[i] != 0)
			rc = store_cursor(f->t, i, &f->cursors[i]);
		if (rc != RC_OK)
			store_fail(f->t, rc);
	}
	return RC_OK;
}

static int commit(struct flow *f)
{
	close_cursors(f);
	return store_write_commit(&f->t);
}

static void put_row(struct flow *f, const struct sorter_row *row)
{
	enum store_table table = row->key.p[0];
	MDB_val k = store_val(span_from(row->key, 1)), v = store_val(row->value);
	bool same_key = span_eq(row->key, buf_span(&f->key));
	unsigned flags = 0;

	if (same_key && span_eq(row->value, buf_span(&f->value)))
		return;
	if (f->anew[table])
		flags = same_key ? MDB_APPENDDUP : MDB_APPEND;
	store_stick(f->t, mdb_cursor_put(f->cursors[table], &k, &v, flags));
	f->in_transaction++;
	if (!same_key) {
		buf_clear(&f->key);
		buf_put(&f->key, row->key);
	}
	buf_clear(&f->value);
	buf_put(&f->value, row->value);
}

static int next_transaction(struct flow *f)
{
	int rc = commit(f);

	return rc == RC_OK ? begin(f, false) : rc;
}

/* RC_MORE: the map has grown, all of it again. */
static int put_all(struct flow *f, void (*progress)(void *arg, unsigned long rows), void *arg)
{
	struct sorter *rows = f->s->bulk->rows;
	struct sorter_row row;
	int rc, commit_rc;

	buf_clear(&f->key);
	buf_clear(&f->value);
	rc = sorter_rewind(rows);
	if (rc == RC_OK)
		rc = begin(f, true);
	while (rc == RC_OK && store_error(f->t) == RC_OK &&
	       (rc = sorter_next(rows, &row)) == RC_OK) {
		put_row(f, &row);
		if (f->in_transaction < COMMIT_ROWS)
			continue;
		progress(arg, f->in_transaction);
		rc = next_transaction(f);
	}
	if (f->t == NULL)
		return rc;
	if (rc != RC_OK && rc != RC_DONE)
		store_fail(f->t, rc);
	commit_rc = commit(f);
	return commit_rc == RC_OK && rc == RC_DONE ? RC_OK : commit_rc;
}

int store_bulk_end(struct store *s, void (*progress)(void *arg, unsigned long rows), void *arg)
{
	struct flow f = {.s = s};
	int rc;

	if (s->bulk == NULL)
		return RC_OK;
	buf_init(&f.key, KEY_MAX);
	buf_init(&f.value, VALUE_MAX);
	rc = choose_tables(&f);
	if (rc == RC_OK) {
		do {
			rc = put_all(&f, progress, arg);
		} while (rc == RC_MORE);
	}
	buf_fini(&f.value);
	buf_fini(&f.key);
	store_bulk_drop(s);
	return rc;
}
