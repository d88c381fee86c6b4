#include "routed/render_file.h"

#include "lib/file.h"

#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_MODE 0644 /* Postfix reads them as another user */
#define FOLDER_MODE 0755
#define TEXT_MAX_BYTES ((size_t)1 << 30)
#define ROW_OVERHEAD_BYTES 32
#define SPARE_BYTES ((size_t)1 << 20)

static int write_text(const char *path, const struct render_rows *rows)
{
	struct buf text;
	int rc;

	buf_init(&text, TEXT_MAX_BYTES);
	render_text(rows, &text);
	rc = buf_rc(&text) == RC_OK ? file_replace(path, buf_span(&text), FILE_MODE)
				    : buf_rc(&text);
	buf_fini(&text);
	return rc;
}

/* --- LMDB as Postfix has it: one unnamed database in a file, no lock file --- */

static int rc_of(int err)
{
	if (err == MDB_SUCCESS)
		return RC_OK;
	return err > 0 ? rc_from_errno(err) : RC_IO;
}

/* Room for rows in half-filled pages, and a page or two for the tree. */
static size_t map_bytes(const struct render_rows *rows)
{
	size_t i, bytes = SPARE_BYTES;

	for (i = 0; i < rows->n; i++)
		bytes += 3 * (rows->items[i].key.n + rows->items[i].value.n + ROW_OVERHEAD_BYTES);
	return bytes;
}

/* Arena texts: a NUL follows them (see lib/arena.h). */
static MDB_val with_nul(struct span s)
{
	return (MDB_val){.mv_size = s.n + 1, .mv_data = (void *)(uintptr_t)s.p};
}

static int put_rows(MDB_env *env, const struct render_rows *rows, size_t *left_out)
{
	size_t i, longest = (size_t)mdb_env_get_maxkeysize(env);
	MDB_txn *txn;
	MDB_dbi dbi;
	int err = mdb_txn_begin(env, NULL, 0, &txn);

	if (err != MDB_SUCCESS)
		return err;
	err = mdb_dbi_open(txn, NULL, 0, &dbi);
	for (i = 0; i < rows->n && err == MDB_SUCCESS; i++) {
		MDB_val key = with_nul(rows->items[i].key), value = with_nul(rows->items[i].value);

		if (key.mv_size <= longest)
			err = mdb_put(txn, dbi, &key, &value, MDB_APPEND);
		else
			++*left_out;
	}
	if (err == MDB_SUCCESS)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return err;
}

static int build_lmdb(const char *path, const struct render_rows *rows, size_t *left_out)
{
	MDB_env *env;
	int err = mdb_env_create(&env);

	if (err != MDB_SUCCESS)
		return rc_of(err);
	err = mdb_env_set_mapsize(env, map_bytes(rows));
	if (err == MDB_SUCCESS)
		err = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOLOCK, FILE_MODE);
	if (err == MDB_SUCCESS)
		err = put_rows(env, rows, left_out);
	mdb_env_close(env);
	return rc_of(err);
}

static int write_lmdb(const char *path, const struct render_rows *rows, struct arena *a,
		      size_t *left_out)
{
	char *beside = arena_printf(a, "%s.new", path);
	int rc;

	if (beside == NULL)
		return RC_NOMEM;
	if (unlink(beside) != 0 && errno != ENOENT)
		return rc_from_errno(errno);
	rc = build_lmdb(beside, rows, left_out);
	if (rc == RC_OK)
		rc = file_rename(beside, path);
	if (rc != RC_OK)
		(void)unlink(beside);
	return rc;
}

/* --- all maps --- */

static int write_map(const struct table *t, enum render_map map, enum render_format format,
		     const char *folder, size_t *left_out)
{
	const char *suffix = format == RENDER_LMDB ? ".lmdb" : "";
	struct render_rows rows;
	struct arena a;
	const char *path;
	int rc;

	arena_init(&a);
	path = arena_printf(&a, "%s/%s%s", folder, render_map_name(map), suffix);
	rc = path != NULL ? render_rows(t, map, &a, &rows) : RC_NOMEM;
	if (rc == RC_OK) {
		*left_out += rows.left_out;
		rc = format == RENDER_LMDB ? write_lmdb(path, &rows, &a, left_out)
					   : write_text(path, &rows);
	}
	arena_fini(&a);
	return rc;
}

int render_write(const struct table *t, const char *target, size_t *left_out)
{
	enum render_format format;
	const char *folder;
	int map, rc;

	*left_out = 0;
	if (!render_target_parse(target, &format, &folder))
		return RC_INVALID;
	rc = file_mkdirs(folder, FOLDER_MODE);
	for (map = 0; map < RENDER_MAPS && rc == RC_OK; map++)
		rc = write_map(t, (enum render_map)map, format, folder, left_out);
	return rc;
}
