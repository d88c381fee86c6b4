/* dirctl backup and restore: the database as one consistent moment, and back. */
#include "tools/dirctl.h"

#include "dird/store_int.h"
#include "dird/update.h"
#include "lib/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define DATA_FILE "data.mdb"

/* --- backup --- */

static int sync_path(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC), rc = RC_OK;

	if (fd < 0 || fsync(fd) != 0)
		rc = rc_from_errno(errno);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* The folder must not hold a database: a backup is never written over another one. */
static int prepare_folder(struct arena *a, const char *folder, char **data_out)
{
	int rc = file_mkdirs(folder, 0700);

	*data_out = arena_printf(a, "%s/" DATA_FILE, folder);
	if (rc != RC_OK)
		cli_error("%s: %s", folder, rc_text(rc));
	else if (*data_out == NULL)
		rc = RC_NOMEM;
	else if (access(*data_out, F_OK) == 0) {
		cli_error("%s: there is a backup already", folder);
		rc = RC_EXISTS;
	}
	return rc;
}

static int backup(struct dirctl *d, const char *folder, uint64_t *bytes)
{
	struct stat st;
	char *data;
	int rc = prepare_folder(&d->arena, folder, &data);

	if (rc != RC_OK)
		return rc;
	rc = store_copy(d->store, folder);
	if (rc == RC_OK && chmod(data, 0600) != 0)
		rc = rc_from_errno(errno);
	if (rc == RC_OK)
		rc = sync_path(data, O_RDONLY);
	if (rc == RC_OK)
		rc = sync_path(folder, O_RDONLY | O_DIRECTORY);
	if (rc == RC_OK && stat(data, &st) != 0)
		rc = rc_from_errno(errno);
	if (rc != RC_OK) {
		cli_error("%s: %s", folder, rc_text(rc));
		(void)unlink(data);
	} else {
		*bytes = (uint64_t)st.st_size;
	}
	return rc;
}

int dirctl_backup(int argc, char **argv)
{
	const char *config = NULL;
	bool json = false;
	const struct cli_opt opts[] = {
		{"config", 'c', CLI_TEXT, &config, "FILE", "the site's dird.conf", true},
		{"json", 0, CLI_FLAG, &json, NULL, "the outcome as a JSON object", false},
		{0}};
	const struct cli_usage u = {
		"dirctl backup",
		"FOLDER",
		"Writes the database as it is at this moment into a folder that holds none. Works "
		"beside a running\ndird, which goes on meanwhile. Keys and configuration are not "
		"in "
		"it: keep site.key, site.crt,\n*.conf and admin.password with it.",
		opts,
		"  dirctl backup --config site1/dird.conf /var/backups/site1/$(date +%F)\n",
		1,
		1};
	uint64_t bytes = 0;
	struct dirctl d;
	int first, status, rc;

	if (!cli_parse(&u, argc, argv, &first, &status))
		return status;
	rc = dirctl_open(&d, config, true);
	if (rc == RC_OK)
		rc = backup(&d, argv[first], &bytes);
	if (rc == RC_OK && json)
		printf("{\"bytes\":%" PRIu64 "}\n", bytes);
	else if (rc == RC_OK)
		printf("%" PRIu64 " bytes written to %s\n", bytes, argv[first]);
	dirctl_close(&d);
	return rc == RC_OK ? CLI_DONE : CLI_FAILED;
}

/* --- restore --- */

static int random_bytes(void *p, size_t n)
{
	return getrandom(p, n, 0) == (ssize_t)n ? RC_OK : RC_IO;
}

/* What is written here goes on in a new life; partners are asked first for what came later. */
static int begin_lives(struct dirctl *d, struct store_txn *t, bool is_overruling)
{
	struct update_context ctx = {.schema = d->schema,
				     .root = d->root,
				     .wall_us = clock_system.wall_us(&clock_system),
				     .random = random_bytes};
	struct change c = {.kind = CHANGE_RECOVERED, .is_overruling = true};
	enum update_outcome outcome;
	struct result why;
	struct position life;
	struct store_nc nc;
	uint32_t number = 0;
	int rc;

	while ((rc = store_nc_next(t, &number, &nc)) == RC_OK) {
		if (!nc.is_own)
			continue;
		if (uuid_eq(&nc.position.nc, &POSITION_LOCAL_NC)) {
			rc = update_begin_life(t, &ctx, &nc.position.nc, &life);
		} else {
			rc = update_recover_nc(t, &ctx, &nc);
			c.position = nc.position;
			while (rc == RC_OK && is_overruling && nc.is_recovering) {
				rc = update_apply(t, &ctx, &c, &d->arena, &outcome, &why);
				if (rc == RC_OK)
					rc = store_nc_find(t, &c.position.nc, &nc);
			}
		}
		if (rc != RC_OK)
			return rc;
	}
	return rc == RC_DONE ? store_error(t) : rc;
}

static int begin_all(struct dirctl *d, struct store *s, bool is_overruling)
{
	struct store_txn *t;
	int rc;

	do {
		rc = store_write_begin(s, &t);
		if (rc != RC_OK)
			return rc;
		rc = begin_lives(d, t, is_overruling);
		if (rc != RC_OK)
			store_fail(t, rc);
		rc = store_write_commit(&t);
	} while (rc == RC_MORE);
	return rc;
}

static int lock_database(struct dirctl *d, int *fd)
{
	char *path = arena_printf(&d->arena, "%s/writer.lock", d->config.database);
	long pid = 0;
	int rc = path != NULL ? file_mkdirs(d->config.database, 0700) : RC_NOMEM;

	if (rc == RC_OK)
		rc = file_lock(path, fd, &pid);
	if (rc == RC_BUSY)
		cli_error("%s: in use by process %ld; stop dird first", d->config.database, pid);
	else if (rc != RC_OK)
		cli_error("%s: %s", d->config.database, rc_text(rc));
	return rc;
}

static int open_backup(const char *folder, struct store **out)
{
	struct store_options opt = {.read_only = true};
	struct buf why;
	int rc;

	buf_init(&why, 4096);
	rc = store_open(folder, &opt, out, &why);
	if (rc != RC_OK)
		cli_error("%s", why.n != 0 ? buf_cstr(&why) : rc_text(rc));
	buf_fini(&why);
	return rc;
}

static int restore(struct dirctl *d, const char *folder, bool is_overruling)
{
	struct dirctl_beside b = {.folder = NULL};
	struct store *from = NULL;
	int lock = -1, rc = lock_database(d, &lock);

	if (rc != RC_OK)
		return rc;
	rc = open_backup(folder, &from);
	if (rc == RC_OK)
		rc = dirctl_beside_make(&b, d, from);
	if (rc == RC_OK) {
		rc = begin_all(d, b.store, is_overruling);
		if (rc != RC_OK)
			cli_error("%s: %s", folder, rc_text(rc));
	}
	store_close(&from);
	if (rc == RC_OK)
		rc = dirctl_beside_swap(&b, d);
	dirctl_beside_remove(&b);
	file_unlock(&lock);
	return rc;
}

int dirctl_restore(int argc, char **argv)
{
	const char *config = NULL;
	bool overrule = false;
	const struct cli_opt opts[] = {
		{"config", 'c', CLI_TEXT, &config, "FILE", "the site's dird.conf", true},
		{"overrule", 0, CLI_FLAG, &overrule, NULL,
		 "do not take back later changes from partners: the backup's state counts "
		 "everywhere",
		 false},
		{0}};
	const struct cli_usage u = {
		"dirctl restore",
		"FOLDER",
		"Puts the database that dirctl backup has written in the place of the site's; dird "
		"is "
		"stopped. When\ndird starts again, it first asks its partners for changes of this "
		"site that are newer than the\nbackup and takes them back, then lets clients "
		"write.",
		opts,
		"  dirctl restore --config site1/dird.conf /var/backups/site1/2026-11-23\n",
		1,
		1};
	struct dirctl d;
	int first, status, rc;

	if (!cli_parse(&u, argc, argv, &first, &status))
		return status;
	rc = dirctl_open_config(&d, config);
	if (rc == RC_OK)
		rc = restore(&d, argv[first], overrule);
	if (rc == RC_OK)
		printf("%s restored from %s\n", d.config.database, argv[first]);
	dirctl_close(&d);
	return rc == RC_OK ? CLI_DONE : CLI_FAILED;
}
