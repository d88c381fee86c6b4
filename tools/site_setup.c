#include "tools/site_setup.h"

#include "lib/file.h"
#include "lib/text.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define NAME_MAX_BYTES 64
#define HOST_BYTES 256

void site_setup_opts(struct site_options *o, struct cli_opt out[static SITE_SETUP_OPTS])
{
	const struct cli_opt all[] = {
		{"dir", 0, CLI_TEXT, &o->dir, "D",
		 "the new site's folder, which must not exist yet", true},
		{"site", 0, CLI_TEXT, &o->site, "NAME", "name of the new site", true},
		{"domain", 0, CLI_TEXT, &o->domain, "DOMAIN", "the site's own mail domain", true},
		{"ldap", 0, CLI_TEXT, &o->ldap, "ADDRESS:PORT", "listen for LDAP and StartTLS",
		 false},
		{"ldaps", 0, CLI_TEXT, &o->ldaps, "ADDRESS:PORT",
		 "listen for LDAP over TLS; other sites replicate over it", false},
		{"ldapi", 0, CLI_TEXT, &o->ldapi, "PATH", "local socket (D/ldapi)", false},
		{"admin-password-file", 0, CLI_TEXT, &o->admin_password_file, "FILE",
		 "clear text password for cn=admin,<root>; kept as a hash", false},
		{"anonymous-read", 0, CLI_FLAG, &o->anonymous_read, NULL,
		 "anonymous clients may read the address list", false},
		{"ca", 0, CLI_TEXT, &o->ca, "FILE", "authority that signs client certificates",
		 false},
		{"cert", 0, CLI_TEXT, &o->cert, "FILE", "certificate to use; else one is made",
		 false},
		{"key", 0, CLI_TEXT, &o->key, "FILE", "its key", false},
		{0},
	};

	memcpy(out, all, sizeof(all));
}

/* --- looking at the options --- */

bool site_setup_name_fits(struct span name)
{
	size_t i;

	if (name.n == 0 || name.n > NAME_MAX_BYTES || !text_is_utf8(name) ||
	    !span_eq(span_trim(name), name))
		return false;
	for (i = 0; i < name.n; i++) {
		if (name.p[i] < 0x20 || name.p[i] == 0x7f || strchr("\"#+,;<=>\\/()*", name.p[i]))
			return false;
	}
	return true;
}

static bool domain_fits(const char *domain)
{
	size_t i, n = strlen(domain), label = 0;

	for (i = 0; i < n; i++) {
		if (domain[i] == '.') {
			if (label == 0 || domain[i - 1] == '-')
				return false;
			label = 0;
		} else {
			if (!isalnum((unsigned char)domain[i]) && (domain[i] != '-' || label == 0))
				return false;
			label++;
		}
	}
	return n <= 253 && label != 0 && domain[n - 1] != '-';
}

static const char *host_name(char out[static HOST_BYTES])
{
	memset(out, 0, HOST_BYTES);
	if (gethostname(out, HOST_BYTES - 1) != 0 || !domain_fits(out))
		strcpy(out, "localhost");
	return out;
}

/* ADDRESS:PORT or [ADDRESS]:PORT; *host_n is the length without brackets. */
bool site_setup_split(const char *listen, const char **host, size_t *host_n, const char **port)
{
	const char *colon = strrchr(listen, ':');
	char *end;
	unsigned long n;

	if (colon == NULL || colon == listen)
		return false;
	*port = colon + 1;
	*host = listen;
	*host_n = (size_t)(colon - listen);
	if (listen[0] == '[' && colon[-1] == ']') {
		*host = listen + 1;
		*host_n -= 2;
	} else if (memchr(listen, ':', *host_n) != NULL) {
		return false;
	}
	n = strtoul(*port, &end, 10);
	return isdigit((unsigned char)**port) && *end == '\0' && n >= 1 && n <= 65535 &&
	       *host_n != 0;
}

static int check_listen(const char *option, const char *listen)
{
	const char *host, *port;
	size_t n;

	if (listen == NULL || site_setup_split(listen, &host, &n, &port))
		return RC_OK;
	cli_error("--%s %s: want ADDRESS:PORT, e.g. 127.0.0.1:6360 or [::1]:6360", option, listen);
	return RC_INVALID;
}

static int check_options(const struct site_options *o)
{
	int rc = RC_OK;

	if (!site_setup_name_fits(span_of(o->site))) {
		cli_error("--site %s: a site's name has 1 to %d bytes and none of "
			  "\" # + , ; < = > \\ / ( ) *",
			  o->site, NAME_MAX_BYTES);
		rc = RC_INVALID;
	}
	if (!domain_fits(o->domain)) {
		cli_error("--domain %s: not a mail domain", o->domain);
		rc = RC_INVALID;
	}
	if (check_listen("ldap", o->ldap) != RC_OK || check_listen("ldaps", o->ldaps) != RC_OK)
		rc = RC_INVALID;
	if ((o->cert == NULL) != (o->key == NULL)) {
		cli_error("--cert and --key belong together");
		rc = RC_INVALID;
	}
	return rc;
}

const char *site_setup_uri(struct arena *a, const char *scheme, const char *listen)
{
	char name[HOST_BYTES];
	const char *host, *port;
	bool is_any, is_v6;
	size_t n;

	if (listen == NULL || !site_setup_split(listen, &host, &n, &port))
		return NULL;
	is_any = span_eq(span_make(host, n), SPAN_LIT("0.0.0.0")) ||
		 span_eq(span_make(host, n), SPAN_LIT("::")) ||
		 span_eq(span_make(host, n), SPAN_LIT("*"));
	if (is_any) {
		host = host_name(name);
		n = strlen(host);
	}
	is_v6 = memchr(host, ':', n) != NULL;
	return arena_printf(a, "%s://%s%.*s%s:%s", scheme, is_v6 ? "[" : "", (int)n, host,
			    is_v6 ? "]" : "", port);
}

/* --- paths --- */

/* The absolute path of something that need not exist, in a folder that does. */
int site_setup_absolute(struct arena *a, const char *path, const char **out)
{
	char *copy = arena_str(a, span_of(path)), folder[PATH_MAX], *slash;
	size_t n;

	if (copy == NULL)
		return RC_NOMEM;
	n = strlen(copy);
	while (n > 1 && copy[n - 1] == '/')
		copy[--n] = '\0';
	slash = strrchr(copy, '/');
	if (slash != NULL)
		*slash = '\0';
	if (slash == copy)
		strcpy(folder, "");
	else if (realpath(slash != NULL ? copy : ".", folder) == NULL)
		return rc_from_errno(errno);
	*out = arena_printf(a, "%s/%s", folder, slash != NULL ? slash + 1 : copy);
	return *out != NULL ? RC_OK : RC_NOMEM;
}

static bool is_free(const char *dir)
{
	struct stat st;
	struct dirent *d;
	unsigned n = 0;
	DIR *dp;

	if (lstat(dir, &st) != 0)
		return errno == ENOENT;
	dp = opendir(dir);
	if (dp == NULL)
		return false;
	while ((d = readdir(dp)) != NULL)
		n += strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
	closedir(dp);
	return n == 0;
}

/* An ldapi path given inside the new folder is meant relative to it, even before it exists. */
static int find_ldapi(struct site_setup *s)
{
	const char *given = s->o.ldapi;
	size_t n = strlen(s->o.dir);
	int rc = RC_OK;

	while (n > 1 && s->o.dir[n - 1] == '/')
		n--;
	if (given == NULL)
		s->ldapi = arena_printf(&s->arena, "%s/ldapi", s->dir);
	else if (strncmp(given, s->o.dir, n) == 0 && given[n] == '/')
		s->ldapi = arena_printf(&s->arena, "%s/%s", s->dir, given + n + 1);
	else
		rc = site_setup_absolute(&s->arena, given, &s->ldapi);
	if (rc != RC_OK) {
		cli_error("--ldapi %s: %s", given, rc_text(rc));
		return rc;
	}
	if (s->ldapi == NULL)
		return RC_NOMEM;
	if (strlen(s->ldapi) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
		cli_error("%s: too long for a local socket; use --ldapi with a shorter path",
			  s->ldapi);
		return RC_TOOBIG;
	}
	return RC_OK;
}

static int make_folder(struct site_setup *s)
{
	const char *slash;
	char *beside, *db;
	int rc;

	slash = strrchr(s->o.dir, '/');
	if (slash != NULL && slash != s->o.dir) {
		char *parent =
			arena_str(&s->arena, span_make(s->o.dir, (size_t)(slash - s->o.dir)));

		rc = parent != NULL && slash[1] != '\0' ? file_mkdirs(parent, 0755) : RC_OK;
		if (rc != RC_OK) {
			cli_error("%s: %s", parent, rc_text(rc));
			return rc;
		}
	}
	rc = site_setup_absolute(&s->arena, s->o.dir, &s->dir);
	if (rc != RC_OK) {
		cli_error("--dir %s: %s", s->o.dir, rc_text(rc));
		return rc;
	}
	if (!is_free(s->dir)) {
		cli_error("%s: is there already and not an empty folder", s->dir);
		return RC_EXISTS;
	}
	rc = find_ldapi(s);
	if (rc != RC_OK)
		return rc;
	beside = arena_printf(&s->arena, "%s.new.XXXXXX", s->dir);
	/* open to others: mail servers use the socket of routed; keys and database are private */
	if (beside == NULL || mkdtemp(beside) == NULL || chmod(beside, 0755) != 0) {
		rc = beside == NULL ? RC_NOMEM : rc_from_errno(errno);
		cli_error("%s: %s", s->dir, rc_text(rc));
		return rc;
	}
	s->beside = beside;
	db = arena_printf(&s->arena, "%s/db", beside);
	return db == NULL ? RC_NOMEM : file_mkdirs(db, 0700);
}

/* --- database --- */

static int open_database(struct site_setup *s)
{
	const char *folder = getenv("WAYPOST_SCHEMA");
	struct store_options opt = {0};
	struct buf why;
	char *db = arena_printf(&s->arena, "%s/db", s->beside);
	int rc;

	if (folder == NULL || *folder == '\0')
		folder = PKGSCHEMADIR;
	buf_init(&why, 65536);
	rc = schema_load(folder, &s->schema, &why);
	if (rc != RC_OK)
		cli_error("schema %s: %s%s%s", folder, rc_text(rc), why.n != 0 ? "\n" : "",
			  buf_cstr(&why));
	buf_clear(&why);
	if (rc == RC_OK) {
		rc = db != NULL ? store_open(db, &opt, &s->store, &why) : RC_NOMEM;
		if (rc == RC_OK)
			rc = store_write_begin(s->store, &s->txn);
		if (rc != RC_OK)
			cli_error("database: %s", why.n != 0 ? buf_cstr(&why) : rc_text(rc));
	}
	buf_fini(&why);
	s->ctx.schema = s->schema;
	s->ctx.root = s->root;
	s->ctx.wall_us = clock_system.wall_us(&clock_system);
	s->ctx.random = pki_random;
	return rc;
}

static int read_root(struct site_setup *s)
{
	const char *why = "empty";
	struct buf b;
	int rc = dn_parse(&s->arena, span_of(s->o.organisation), &s->root, &why);

	if (rc != RC_OK || s->root.n == 0) {
		cli_error("organisation %s: not a distinguished name: %s", s->o.organisation, why);
		return RC_INVALID;
	}
	buf_init(&b, 4 * DN_MAX_BYTES);
	dn_write(&s->root, &b);
	s->root_text = arena_str(&s->arena, buf_span(&b));
	s->site_dn = arena_printf(&s->arena, "ou=%s,%s", s->o.site, buf_cstr(&b));
	buf_fini(&b);
	return s->root_text == NULL || s->site_dn == NULL ? RC_NOMEM : RC_OK;
}

int site_setup_begin(struct site_setup *s, const struct site_options *o)
{
	char host[HOST_BYTES];
	int rc;

	memset(s, 0, sizeof(*s));
	s->o = *o;
	s->host = arena_str(&s->arena, span_of(host_name(host)));
	if (s->host == NULL)
		return RC_NOMEM;
	rc = check_options(o);
	if (rc == RC_OK)
		rc = read_root(s);
	if (rc == RC_OK)
		rc = make_folder(s);
	if (rc == RC_OK)
		rc = site_setup_files(s);
	return rc == RC_OK ? open_database(s) : rc;
}

/* --- the end --- */

static void remove_tree(const char *path)
{
	char child[PATH_MAX];
	struct dirent *d;
	DIR *dp = opendir(path);

	while (dp != NULL && (d = readdir(dp)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (snprintf(child, sizeof(child), "%s/%s", path, d->d_name) >= (int)sizeof(child))
			continue;
		if (unlink(child) != 0)
			remove_tree(child);
	}
	if (dp != NULL)
		closedir(dp);
	(void)rmdir(path);
}

int site_setup_commit(struct site_setup *s)
{
	int rc = store_write_commit(&s->txn);

	store_close(&s->store);
	if (rc == RC_OK && rename(s->beside, s->dir) != 0)
		rc = rc_from_errno(errno);
	if (rc != RC_OK)
		cli_error("%s: %s", s->dir, rc_text(rc));
	else
		s->beside = NULL;
	return rc;
}

void site_setup_undo(struct site_setup *s)
{
	remove_tree(s->dir);
}

void site_setup_end(struct site_setup *s)
{
	store_write_abort(&s->txn);
	store_close(&s->store);
	schema_free(&s->schema);
	if (s->beside != NULL)
		remove_tree(s->beside);
	arena_fini(&s->arena);
}
