/*
 * A database beside the one of the site, that takes its place when it is complete: for verbs that
 * do all or nothing.
 */
#include "tools/dirctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int dirctl_beside_make(struct dirctl_beside *b, struct dirctl *d, struct store *from)
{
	struct store_options opt = {0};
	struct buf why;
	int rc;

	b->folder = arena_printf(&d->arena, "%s.load.XXXXXX", d->config.database);
	if (b->folder == NULL)
		return RC_NOMEM;
	if (mkdtemp(b->folder) == NULL) {
		rc = rc_from_errno(errno);
		cli_error("%s: %s", b->folder, rc_text(rc));
		b->folder = NULL;
		return rc;
	}
	buf_init(&why, 4096);
	rc = store_copy(from, b->folder);
	if (rc == RC_OK)
		rc = store_open(b->folder, &opt, &b->store, &why);
	if (rc != RC_OK)
		cli_error("copying the database: %s", why.n != 0 ? buf_cstr(&why) : rc_text(rc));
	buf_fini(&why);
	return rc;
}

static const char *const database_files[] = {"data.mdb", "lock.mdb", "writer.lock"};
#define DATABASE_FILES (sizeof(database_files) / sizeof(database_files[0]))

/* The daemon's user keeps what is its own when root loads. */
static int take_over(const char *from, const char *to)
{
	struct stat st;

	if (stat(from, &st) != 0 && errno == ENOENT)
		return RC_OK; /* what is restored may be lost altogether */
	if (stat(from, &st) != 0 || chmod(to, st.st_mode & 07777) != 0 ||
	    (geteuid() == 0 && chown(to, st.st_uid, st.st_gid) != 0))
		return rc_from_errno(errno);
	return RC_OK;
}

static int take_over_all(struct dirctl_beside *b, struct dirctl *d)
{
	char from[4096], to[4096];
	size_t i;
	int rc = take_over(d->config.database, b->folder);

	for (i = 0; rc == RC_OK && i < DATABASE_FILES; i++) {
		snprintf(from, sizeof(from), "%s/%s", d->config.database, database_files[i]);
		snprintf(to, sizeof(to), "%s/%s", b->folder, database_files[i]);
		rc = take_over(from, to);
	}
	return rc;
}

static int sync_parent(struct dirctl *d)
{
	char *parent = arena_printf(&d->arena, "%s/..", d->config.database);
	int fd = parent != NULL ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int rc = fd < 0 || fsync(fd) != 0 ? rc_from_errno(errno) : RC_OK;

	if (fd >= 0)
		close(fd);
	return rc;
}

/*
 * The folders change places: before that the old database is there, behind it the new one. Whole
 * folders, because a reader of the old file may still use the old lock file. Some file systems can
 * not exchange; then there is a moment without a database.
 */
int dirctl_beside_swap(struct dirctl_beside *b, struct dirctl *d)
{
	const char *db = d->config.database;
	char *aside = arena_printf(&d->arena, "%s.old", b->folder);
	int rc = aside != NULL ? take_over_all(b, d) : RC_NOMEM;

	if (rc == RC_OK && renameat2(AT_FDCWD, b->folder, AT_FDCWD, db, RENAME_EXCHANGE) != 0) {
		if (errno != EINVAL && errno != ENOSYS && errno != EXDEV)
			rc = rc_from_errno(errno);
		else if (rename(db, aside) != 0 || rename(b->folder, db) != 0 ||
			 rename(aside, b->folder) != 0)
			rc = rc_from_errno(errno);
	}
	if (rc == RC_OK)
		rc = sync_parent(d);
	if (rc != RC_OK)
		cli_error("%s: %s", db, rc_text(rc));
	return rc;
}

/* The copy, or behind swap() what was there before. */
void dirctl_beside_remove(struct dirctl_beside *b)
{
	char path[4096];
	size_t i;

	store_close(&b->store);
	if (b->folder == NULL)
		return;
	for (i = 0; i < DATABASE_FILES; i++) {
		snprintf(path, sizeof(path), "%s/%s", b->folder, database_files[i]);
		(void)unlink(path);
	}
	if (rmdir(b->folder) != 0)
		cli_note("%s: could not be removed: %s", b->folder, strerror(errno));
}
