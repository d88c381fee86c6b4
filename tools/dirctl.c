/* dirctl: the database of the site on this machine. */
#include "tools/dirctl.h"

#include "lib/dn.h"
#include "lib/file.h"

static int read_config(struct dirctl *d, const char *config, struct buf *why)
{
	int rc;

	memset(d, 0, sizeof(*d));
	rc = server_config_read(config, &d->arena, &d->config, why);
	if (rc == RC_OK)
		rc = dn_parse(&d->arena, span_of(d->config.organisation), &d->root, NULL);
	if (rc == RC_OK)
		rc = schema_load(d->config.schema, &d->schema, why);
	return rc;
}

int dirctl_open_config(struct dirctl *d, const char *config)
{
	struct buf why;
	int rc;

	buf_init(&why, 65536);
	rc = read_config(d, config, &why);
	if (rc != RC_OK)
		cli_error("%s", why.n != 0 ? buf_cstr(&why) : rc_text(rc));
	buf_fini(&why);
	return rc;
}

int dirctl_open(struct dirctl *d, const char *config, bool read_only)
{
	struct store_options opt = {.read_only = read_only};
	struct buf why;
	int rc;

	buf_init(&why, 65536);
	rc = read_config(d, config, &why);
	if (rc == RC_OK)
		rc = store_open(d->config.database, &opt, &d->store, &why);
	while (why.n != 0 && why.p[why.n - 1] == '\n')
		buf_truncate(&why, why.n - 1);
	if (rc == RC_BUSY && !read_only)
		cli_error("%s; stop dird first, or change the directory over LDAP", buf_cstr(&why));
	else if (rc != RC_OK)
		cli_error("%s", why.n != 0 ? buf_cstr(&why) : rc_text(rc));
	buf_fini(&why);
	return rc;
}

void dirctl_close(struct dirctl *d)
{
	store_close(&d->store);
	schema_free(&d->schema);
	arena_fini(&d->arena);
}

bool dirctl_is_in_use(const char *config)
{
	struct server_config c;
	bool busy = false;
	struct arena a;
	struct buf why, path;
	long pid;
	int fd, rc;

	arena_init(&a);
	buf_init(&why, 65536);
	buf_init(&path, 65536);
	if (server_config_read(config, &a, &c, &why) == RC_OK) {
		buf_printf(&path, "%s/writer.lock", c.database);
		rc = buf_rc(&path) == RC_OK ? file_lock(buf_cstr(&path), &fd, &pid) : RC_NOMEM;
		busy = rc == RC_BUSY;
		if (rc == RC_OK)
			file_unlock(&fd);
	}
	buf_fini(&path);
	buf_fini(&why);
	arena_fini(&a);
	return busy;
}

int main(int argc, char **argv)
{
	static const struct cli_verb verbs[] = {
		{"backup", dirctl_backup, "copy the database as it is now, beside a running dird"},
		{"restore", dirctl_restore, "put a backup in the database's place"},
		{"load", dirctl_load, "put the entries of an LDIF file into the database"},
		{"dump", dirctl_dump, "write all entries as LDIF"},
		{"check", dirctl_check, "verify that the database agrees with itself"},
		{"reindex", dirctl_reindex, "make indexes and address book views anew"},
		{"quarantine", dirctl_quarantine,
		 "changes of other sites that could not be applied here"},
		{"stat", dirctl_stat, "sizes, and how far each naming context is"},
		{0},
	};
	static const struct cli_tool tool = {
		"dirctl", "Works on the database of the site on this machine, without a server.",
		verbs,
		"  dirctl load --config site1/dird.conf people.ldif    # dird is stopped\n"
		"  dirctl backup --config site1/dird.conf /var/backups/site1\n"
		"  dirctl check --config site1/dird.conf\n"};

	return cli_run(&tool, argc, argv);
}
