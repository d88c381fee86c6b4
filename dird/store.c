#include "dird/store.h"

#include "dird/store_digest.h"
#include "dird/store_gram.h"
#include "dird/store_mdb.h"
#include "dird/store_view.h"
#include "lib/file.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAP_FIRST_BYTES ((size_t)1 << 30)
#define MAP_MIN_BYTES ((size_t)1 << 20)
#define READERS_DEFAULT 256
#define PAGE_BYTES 4096

static const struct {
	const char *name;
	unsigned flags;
} tables[STORE_TABLES] = {
	[STORE_META] = {"meta", 0},
	[STORE_ENTRY] = {"entry", 0},
	[STORE_TREE] = {"tree", MDB_DUPSORT | MDB_DUPFIXED},
	[STORE_UUID] = {"uuid", 0},
	[STORE_INDEX] = {"index", MDB_DUPSORT | MDB_DUPFIXED},
	[STORE_ORDER] = {"order", 0},
	[STORE_TOMB] = {"tombstone", 0},
	[STORE_NC] = {"nc", 0},
	[STORE_LIMBO] = {"limbo", MDB_DUPSORT | MDB_DUPFIXED},
	[STORE_QUARANTINE] = {"quarantine", 0},
	[STORE_VIEW] = {"view", 0},
	[STORE_VIEWDEF] = {"viewdef", 0},
	[STORE_GRAM] = {"gram", 0},
	[STORE_FRESH] = {"fresh", 0},
	[STORE_VALUE] = {"value", 0},
};

static atomic_uint_fast64_t serials;

/* Read transactions this thread holds: it must not wait for the map to grow while it has one. */
static __thread unsigned held;

int store_rc(int mdb)
{
	switch (mdb) {
	case MDB_SUCCESS:
		return RC_OK;
	case MDB_NOTFOUND:
		return RC_NOTFOUND;
	case MDB_KEYEXIST:
		return RC_EXISTS;
	case MDB_MAP_FULL:
		return RC_FULL;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
		return RC_CORRUPT;
	case MDB_VERSION_MISMATCH:
		return RC_UNSUPPORTED;
	case MDB_READERS_FULL:
		return RC_BUSY;
	case MDB_PANIC:
		return RC_IO;
	default:
		return mdb > 0 ? rc_from_errno(mdb) : RC_IO;
	}
}

/* --- opening --- */

static int check_format(struct store *s, struct buf *why)
{
	struct store_txn *t;
	struct span v;
	int rc;

	rc = store_read_begin(s, &t);
	if (rc != RC_OK)
		return rc;
	rc = store_get(t, STORE_META, SPAN_LIT("format"), &v);
	if (rc == RC_OK && (v.n != 4 || be_get32(v.p) != STORE_FORMAT)) {
		buf_printf(why,
			   "the database has format %lu, this program reads format %d: dump it "
			   "with the program that wrote it, and load the dump into a new one",
			   v.n == 4 ? (unsigned long)be_get32(v.p) : 0ul, STORE_FORMAT);
		rc = RC_UNSUPPORTED;
	}
	store_read_end(&t);
	if (rc != RC_NOTFOUND)
		return rc;
	if (s->read_only) {
		buf_puts(why, "the database is empty");
		return RC_NOTFOUND;
	}
	rc = store_write_begin(s, &t);
	if (rc != RC_OK)
		return rc;
	store_meta_put(t, "format", STORE_FORMAT);
	return store_write_commit(&t);
}

static int put_stopped(struct store *s, bool is_stopped)
{
	struct store_txn *t;
	int rc = store_write_begin(s, &t);

	if (rc != RC_OK)
		return rc;
	store_meta_put(t, "stopped", is_stopped);
	return store_write_commit(&t);
}

int store_take_stopped(struct store *s, bool *out)
{
	struct store_txn *t;
	struct span v;
	int rc = store_read_begin(s, &t);

	*out = false;
	if (rc != RC_OK)
		return rc;
	*out = store_get(t, STORE_META, SPAN_LIT("stopped"), &v) == RC_OK && v.n == 4 &&
	       be_get32(v.p) != 0;
	store_read_end(&t);
	rc = *out ? put_stopped(s, false) : RC_OK;
	*out &= rc == RC_OK;
	return rc;
}

int store_mark_stopped(struct store *s)
{
	return put_stopped(s, true);
}

static __attribute__((noinline)) int compare_bytes(const MDB_val *a, const MDB_val *b)
{
	return span_cmp(store_span(*a), store_span(*b));
}

/* LMDB's own order, for keys that are numbers of entries. */
static int compare_numbers(const MDB_val *a, const MDB_val *b)
{
	uint64_t x, y;

	if (a->mv_size != STORE_EID_BYTES || b->mv_size != STORE_EID_BYTES)
		return compare_bytes(a, b);
	x = be_get64(a->mv_data);
	y = be_get64(b->mv_data);
	return (x > y) - (x < y);
}

static int open_tables(struct store *s, struct buf *why)
{
	unsigned flags = s->read_only ? 0 : MDB_CREATE;
	MDB_txn *txn;
	unsigned i;
	int err;

	err = mdb_txn_begin(s->env, NULL, s->read_only ? MDB_RDONLY : 0, &txn);
	if (err != 0)
		return store_rc(err);
	for (i = 0; i < STORE_TABLES; i++) {
		err = mdb_dbi_open(txn, tables[i].name, tables[i].flags | flags, &s->dbi[i]);
		if (err != 0) {
			mdb_txn_abort(txn);
			if (err == MDB_NOTFOUND && s->read_only && i != 0)
				buf_puts(why, "the database has an older format: dump it with "
					      "the program that wrote it");
			return store_rc(err);
		}
	}
	err = mdb_set_compare(txn, s->dbi[STORE_ENTRY], compare_numbers);
	must(err == 0);
	return store_rc(mdb_txn_commit(txn));
}

static int open_env(struct store *s, const char *folder, const struct store_options *opt)
{
	size_t map = opt->map_bytes != 0 ? opt->map_bytes : MAP_FIRST_BYTES;
	unsigned flags = MDB_NOTLS | (opt->read_only ? MDB_RDONLY : 0), got;
	MDB_envinfo info;
	int err;

	if (map < MAP_MIN_BYTES)
		map = MAP_MIN_BYTES;
	err = mdb_env_create(&s->env);
	if (err == 0)
		err = mdb_env_set_maxdbs(s->env, STORE_TABLES);
	if (err == 0)
		err = mdb_env_set_maxreaders(s->env, opt->max_readers != 0 ? opt->max_readers
									   : READERS_DEFAULT);
	if (err == 0 && !opt->read_only)
		err = mdb_env_set_mapsize(s->env, map / PAGE_BYTES * PAGE_BYTES);
	if (err == 0)
		err = mdb_env_open(s->env, folder, flags, 0640);
	if (err != 0)
		return store_rc(err);
	/* requirement F5 */
	must(mdb_env_get_flags(s->env, &got) == 0);
	must((got & (MDB_NOSYNC | MDB_NOMETASYNC | MDB_WRITEMAP | MDB_MAPASYNC)) == 0);
	/* readers of a crashed process would pin old pages */
	err = mdb_reader_check(s->env, NULL);
	if (err == 0)
		err = mdb_env_info(s->env, &info);
	return store_rc(err);
}

static int lock_folder(struct store *s, const char *folder, struct buf *why)
{
	char path[4096];
	long pid = 0;
	int rc;

	if (snprintf(path, sizeof(path), "%s/writer.lock", folder) >= (int)sizeof(path))
		return RC_TOOBIG;
	rc = file_lock(path, &s->lock_fd, &pid);
	if (rc == RC_BUSY)
		buf_printf(why, "%s: in use by process %ld", folder, pid);
	else if (rc != RC_OK)
		buf_printf(why, "%s: %s", path, rc_text(rc));
	return rc;
}

/* LMDB writes its first two pages at once. If not both came to the disk, there never was a
 * database, but LMDB would call it damaged ever after. */
static int remove_unfinished(const char *folder)
{
	char path[4096];
	struct stat st;

	if (snprintf(path, sizeof(path), "%s/data.mdb", folder) >= (int)sizeof(path))
		return RC_TOOBIG;
	if (stat(path, &st) != 0)
		return errno == ENOENT ? RC_OK : rc_from_errno(errno);
	if (st.st_size >= 2 * sysconf(_SC_PAGESIZE))
		return RC_OK;
	return truncate(path, 0) == 0 ? RC_OK : rc_from_errno(errno);
}

int store_open(const char *folder, const struct store_options *opt, struct store **out,
	       struct buf *why)
{
	struct store *s = mem_zalloc(1, sizeof(*s));
	int rc = RC_OK;

	if (s == NULL)
		return RC_NOMEM;
	s->lock_fd = -1;
	s->serial = atomic_fetch_add(&serials, 1) + 1;
	s->read_only = opt->read_only;
	must(pthread_mutex_init(&s->mutex, NULL) == 0 && pthread_cond_init(&s->idle, NULL) == 0);
	if (!opt->read_only)
		rc = lock_folder(s, folder, why);
	if (rc == RC_OK && !opt->read_only)
		rc = remove_unfinished(folder);
	if (rc == RC_OK)
		rc = open_env(s, folder, opt);
	if (rc == RC_OK)
		rc = open_tables(s, why);
	if (rc == RC_OK)
		rc = check_format(s, why);
	if (rc != RC_OK) {
		if (why->n == 0)
			buf_printf(why, "database %s: %s", folder, rc_text(rc));
		store_close(&s);
	}
	*out = s;
	return rc;
}

static void txn_free(struct store_txn *t)
{
	store_above_free(&t->above);
	store_digest_close(t);
	buf_fini(&t->fresh);
	mem_free(t);
}

void store_close(struct store **s)
{
	struct store *st = *s;
	struct store_txn *t;

	if (st == NULL)
		return;
	must(st->readers == 0);
	while ((t = st->pool) != NULL) {
		st->pool = t->next;
		mdb_txn_abort(t->txn);
		txn_free(t);
	}
	store_bulk_drop(st);
	if (st->cache != NULL)
		st->cache->free(st->cache);
	if (st->env != NULL)
		mdb_env_close(st->env);
	if (st->lock_fd >= 0)
		file_unlock(&st->lock_fd);
	pthread_cond_destroy(&st->idle);
	pthread_mutex_destroy(&st->mutex);
	mem_free(st);
	*s = NULL;
}

const char *store_folder(struct store *s)
{
	const char *path = NULL;

	must(mdb_env_get_path(s->env, &path) == 0);
	return path;
}

int store_copy(struct store *s, const char *folder)
{
	return store_rc(mdb_env_copy2(s->env, folder, MDB_CP_COMPACT));
}

/* --- transactions --- */

static void reader_enter(struct store *s, struct store_txn **pooled)
{
	pthread_mutex_lock(&s->mutex);
	while (s->growing && held == 0)
		pthread_cond_wait(&s->idle, &s->mutex);
	s->readers++;
	held++;
	*pooled = s->pool;
	if (*pooled != NULL)
		s->pool = (*pooled)->next;
	pthread_mutex_unlock(&s->mutex);
}

static void reader_leave(struct store *s, struct store_txn *to_pool)
{
	pthread_mutex_lock(&s->mutex);
	if (to_pool != NULL) {
		to_pool->next = s->pool;
		s->pool = to_pool;
	}
	held--;
	if (--s->readers == 0)
		pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->mutex);
}

/* Set the map size while nobody reads. 0: the size another process has given it. */
static int resize(struct store *s, size_t bytes)
{
	struct store_txn *t, *next;
	int err;

	must(held == 0);
	pthread_mutex_lock(&s->mutex);
	while (s->growing)
		pthread_cond_wait(&s->idle, &s->mutex);
	s->growing = true;
	while (s->readers != 0)
		pthread_cond_wait(&s->idle, &s->mutex);
	for (t = s->pool; t != NULL; t = next) {
		next = t->next;
		mdb_txn_abort(t->txn);
		txn_free(t);
	}
	s->pool = NULL;
	err = mdb_env_set_mapsize(s->env, bytes);
	s->growing = false;
	pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->mutex);
	return store_rc(err);
}

static int grow(struct store *s)
{
	MDB_envinfo info;
	int err = mdb_env_info(s->env, &info);

	return err != 0 ? store_rc(err) : resize(s, info.me_mapsize * 2);
}

/* What is remembered stays true while nothing is committed. */
static void begin_snapshot(struct store_txn *t)
{
	size_t snapshot = mdb_txn_id(t->txn);

	t->rc = RC_OK;
	if (t->snapshot == snapshot)
		return;
	t->snapshot = snapshot;
	t->root = 0;
	store_above_forget(t->above);
}

/* RC_MORE: another process has grown the map. */
static int try_read(struct store *s, struct store_txn **out)
{
	struct store_txn *t;
	int err;

	reader_enter(s, &t);
	if (t != NULL) {
		err = mdb_txn_renew(t->txn);
	} else {
		t = mem_zalloc(1, sizeof(*t));
		if (t == NULL) {
			reader_leave(s, NULL);
			return RC_NOMEM;
		}
		t->store = s;
		err = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &t->txn);
	}
	if (err == 0) {
		begin_snapshot(t);
		*out = t;
		return RC_OK;
	}
	if (t->txn != NULL)
		mdb_txn_abort(t->txn);
	txn_free(t);
	reader_leave(s, NULL);
	return err == MDB_MAP_RESIZED ? RC_MORE : store_rc(err);
}

int store_read_begin(struct store *s, struct store_txn **out)
{
	int rc = try_read(s, out);

	if (rc != RC_MORE)
		return rc;
	rc = resize(s, 0);
	return rc == RC_OK ? try_read(s, out) : rc;
}

void store_read_end(struct store_txn **t)
{
	struct store_txn *txn = *t;

	if (txn == NULL)
		return;
	must(!txn->is_write);
	store_order_close(txn);
	mdb_txn_reset(txn->txn);
	*t = NULL;
	reader_leave(txn->store, txn);
}

int store_write_begin(struct store *s, struct store_txn **out)
{
	struct store_txn *t;
	int err, rc = store_bulk_spill(s);

	must(!s->read_only);
	if (rc != RC_OK)
		return rc;
	t = mem_zalloc(1, sizeof(*t));
	if (t == NULL)
		return RC_NOMEM;
	t->store = s;
	t->is_write = true;
	buf_init(&t->fresh, SIZE_MAX);
	errno = 0; /* write_error() looks at what is set from here on */
	err = mdb_txn_begin(s->env, NULL, 0, &t->txn);
	if (err != 0)
		mem_free(t);
	else
		*out = t;
	return store_rc(err);
}

/* LMDB gives EIO also for a write that was cut short, as the last one before a disk is full is.
 * Then no call has failed, the transaction is undone, and the next one may well succeed. */
static int write_error(int err)
{
	return err == EIO && errno != EIO ? ENOSPC : err;
}

int store_write_commit(struct store_txn **t)
{
	struct store_txn *txn = *t;
	int rc, err;

	must(txn->is_write);
	store_gram_settle(txn);
	store_digest_settle(txn);
	rc = txn->rc;
	if (rc == RC_OK) {
		err = write_error(mdb_txn_commit(txn->txn));
		txn->map_full = err == MDB_MAP_FULL;
		rc = store_rc(err);
	} else {
		mdb_txn_abort(txn->txn);
	}
	store_bulk_settle(txn, rc == RC_OK);
	if (txn->map_full) {
		rc = grow(txn->store);
		rc = rc == RC_OK ? RC_MORE : rc;
	}
	txn_free(txn);
	*t = NULL;
	return rc;
}

void store_write_abort(struct store_txn **t)
{
	if (*t == NULL)
		return;
	must((*t)->is_write);
	mdb_txn_abort((*t)->txn);
	store_bulk_settle(*t, false);
	txn_free(*t);
	*t = NULL;
}

int store_error(const struct store_txn *t)
{
	return t->rc;
}

void store_fail(struct store_txn *t, int rc)
{
	if (t->rc == RC_OK)
		t->rc = rc;
}

/* --- rows --- */

void store_stick(struct store_txn *t, int err)
{
	if (t->rc == RC_OK && err != 0) {
		t->rc = store_rc(write_error(err));
		t->map_full = err == MDB_MAP_FULL;
	}
}

int store_get(struct store_txn *t, enum store_table table, struct span key, struct span *out)
{
	MDB_val k = store_val(key), v;
	int err;

	if (t->rc != RC_OK)
		return t->rc;
	err = mdb_get(t->txn, t->store->dbi[table], &k, &v);
	if (err == 0)
		*out = store_span(v);
	else if (t->is_write && err != MDB_NOTFOUND)
		store_stick(t, err);
	return store_rc(err);
}

void store_put(struct store_txn *t, enum store_table table, struct span key, struct span value)
{
	MDB_val k = store_val(key), v = store_val(value);

	must(t->is_write);
	if (t->rc == RC_OK)
		store_stick(t, mdb_put(t->txn, t->store->dbi[table], &k, &v, 0));
}

void store_meta_put(struct store_txn *t, const char *name, uint32_t value)
{
	uint8_t bytes[4];

	be_put32(bytes, value);
	store_put(t, STORE_META, span_of(name), span_make(bytes, sizeof(bytes)));
}

void store_del(struct store_txn *t, enum store_table table, struct span key, struct span value)
{
	MDB_val k = store_val(key), v = store_val(value);
	int err;

	must(t->is_write);
	if (t->rc != RC_OK)
		return;
	err = mdb_del(t->txn, t->store->dbi[table], &k, value.p != NULL ? &v : NULL);
	store_stick(t, err == MDB_NOTFOUND ? MDB_CORRUPTED : err);
}

void store_empty(struct store_txn *t, enum store_table table)
{
	must(t->is_write);
	if (t->rc == RC_OK)
		store_stick(t, mdb_drop(t->txn, t->store->dbi[table], 0));
}

int store_cursor(struct store_txn *t, enum store_table table, MDB_cursor **out)
{
	if (t->rc != RC_OK)
		return t->rc;
	return store_rc(mdb_cursor_open(t->txn, t->store->dbi[table], out));
}

int store_scan(struct store_txn *t, enum store_table table, store_row_fn *fn, void *ctx)
{
	MDB_cursor *c;
	MDB_val k, v;
	int rc, err;

	rc = store_cursor(t, table, &c);
	if (rc != RC_OK)
		return rc;
	for (err = mdb_cursor_get(c, &k, &v, MDB_FIRST); err == 0 && rc == RC_OK;
	     err = mdb_cursor_get(c, &k, &v, MDB_NEXT))
		rc = fn(ctx, store_span(k), store_span(v));
	mdb_cursor_close(c);
	return rc == RC_OK && err != MDB_NOTFOUND ? store_rc(err) : rc;
}

bool store_has(struct store_txn *t, enum store_table table, struct span key, struct span value)
{
	MDB_val k = store_val(key), v = store_val(value);
	MDB_cursor *c;
	int err;

	if (store_cursor(t, table, &c) != RC_OK)
		return false;
	if ((tables[table].flags & MDB_DUPSORT) != 0)
		err = mdb_cursor_get(c, &k, &v, MDB_GET_BOTH);
	else
		err = mdb_cursor_get(c, &k, &v, MDB_SET);
	mdb_cursor_close(c);
	return err == 0;
}

/* --- figures --- */

uint64_t store_rows(struct store_txn *t, enum store_table table)
{
	MDB_stat st;

	return mdb_stat(t->txn, t->store->dbi[table], &st) == 0 ? st.ms_entries : 0;
}

uint64_t store_entry_count(struct store_txn *t)
{
	return store_rows(t, STORE_ENTRY);
}

int store_stat(struct store_txn *t, struct store_stat *out)
{
	struct store_leaving l = {.number = 0};
	MDB_envinfo info;
	int err = mdb_env_info(t->store->env, &info);

	if (err != 0)
		return store_rc(err);
	out->entries = store_rows(t, STORE_ENTRY);
	out->tombstones = store_rows(t, STORE_TOMB);
	out->index_rows = store_rows(t, STORE_INDEX);
	out->limbo = store_rows(t, STORE_LIMBO);
	out->quarantined = store_quarantine_count(t);
	for (out->leaving = 0; store_leaving_next(t, &l) == RC_OK;)
		out->leaving++;
	out->map_bytes = info.me_mapsize;
	out->used_bytes = ((uint64_t)info.me_last_pgno + 1) * PAGE_BYTES;
	return RC_OK;
}

int store_count_start(struct store *s, uint32_t *out)
{
	struct store_txn *t;
	struct span v;
	int rc;

	do {
		rc = store_write_begin(s, &t);
		if (rc != RC_OK)
			return rc;
		*out = 1;
		if (store_get(t, STORE_META, SPAN_LIT("starts"), &v) == RC_OK && v.n == 4)
			*out = be_get32(v.p) + 1;
		store_meta_put(t, "starts", *out);
		rc = store_write_commit(&t);
	} while (rc == RC_MORE);
	return rc;
}
