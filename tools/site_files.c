/* The files of a new site: key, certificate, password, configuration of both daemons. */
#include "tools/site_setup.h"

#include "dird/password.h"
#include "lib/file.h"

#include <ctype.h>
#include <stdio.h>
#include <unistd.h>

#define FILE_MAX_BYTES (1u << 20)
#define CONF_MAX_BYTES 65536

static int write_file(struct site_setup *s, const char *name, struct span content, unsigned mode)
{
	char *path = arena_printf(&s->arena, "%s/%s", s->beside, name);
	int rc = path != NULL ? file_replace(path, content, mode) : RC_NOMEM;

	if (rc != RC_OK)
		cli_error("%s/%s: %s", s->dir, name, rc_text(rc));
	return rc;
}

static int read_option_file(const char *option, const char *path, struct buf *out)
{
	int rc = file_read(path, out);

	if (rc != RC_OK)
		cli_error("--%s %s: %s", option, path, rc_text(rc));
	return rc;
}

static int take_given_keys(struct site_setup *s, struct buf *key, struct buf *cert)
{
	int rc = read_option_file("cert", s->o.cert, cert);

	if (rc == RC_OK)
		rc = read_option_file("key", s->o.key, key);
	if (rc != RC_OK)
		return rc;
	rc = pki_match(buf_span(cert), buf_span(key));
	if (rc == RC_CONFLICT)
		cli_error("%s is not the key of %s", s->o.key, s->o.cert);
	else if (rc != RC_OK)
		cli_error("%s, %s: not a certificate and a key without passphrase in PEM",
			  s->o.cert, s->o.key);
	return rc;
}

static int make_keys(struct site_setup *s, struct buf *key, struct buf *cert)
{
	const char *hosts[6] = {s->host, "localhost"};
	const char *listens[2] = {s->o.ldaps, s->o.ldap};
	const char *host, *port;
	unsigned i, n = strcmp(s->host, "localhost") == 0 ? 1 : 2;
	size_t bytes;

	for (i = 0; i < 2; i++) {
		if (listens[i] == NULL || !site_setup_split(listens[i], &host, &bytes, &port))
			continue;
		hosts[n] = arena_str(&s->arena, span_make(host, bytes));
		if (hosts[n] == NULL)
			return RC_NOMEM;
		if (strcmp(hosts[n], "*") != 0 && strcmp(hosts[n], s->host) != 0 &&
		    strcmp(hosts[n], "localhost") != 0 &&
		    (n == 2 || strcmp(hosts[n], hosts[n - 1]) != 0))
			n++;
	}
	hosts[n] = NULL;
	i = (unsigned)pki_make(s->o.site, hosts, key, cert);
	if (i != 0)
		cli_error("making the site's key: %s", rc_text((int)i));
	return (int)i;
}

static int write_keys(struct site_setup *s)
{
	struct buf key, cert;
	int rc;

	buf_init(&key, FILE_MAX_BYTES);
	buf_init(&cert, FILE_MAX_BYTES);
	rc = s->o.cert != NULL ? take_given_keys(s, &key, &cert) : make_keys(s, &key, &cert);
	if (rc == RC_OK)
		rc = pki_pin(buf_span(&cert), s->pin);
	if (rc == RC_OK)
		rc = write_file(s, "site.key", buf_span(&key), 0600);
	if (rc == RC_OK)
		rc = write_file(s, "site.crt", buf_span(&cert), 0644);
	if (key.p != NULL)
		explicit_bzero(key.p, key.n);
	buf_fini(&key);
	buf_fini(&cert);
	return rc;
}

static int write_password(struct site_setup *s)
{
	char hash[PASSWORD_HASH_BYTES + 1];
	struct span password;
	struct buf b;
	int rc;

	if (s->o.admin_password_file == NULL)
		return RC_OK;
	buf_init(&b, 4096);
	rc = read_option_file("admin-password-file", s->o.admin_password_file, &b);
	password = buf_span(&b);
	while (password.n != 0 &&
	       (password.p[password.n - 1] == '\n' || password.p[password.n - 1] == '\r'))
		password.n--;
	if (rc == RC_OK) {
		rc = password_hash(password, hash);
		if (rc != RC_OK)
			cli_error("--admin-password-file %s: %s", s->o.admin_password_file,
				  rc == RC_INVALID ? "empty or too long" : rc_text(rc));
	}
	if (rc == RC_OK) {
		strcat(hash, "\n");
		rc = write_file(s, "admin.password", span_of(hash), 0600);
	}
	if (b.p != NULL)
		explicit_bzero(b.p, b.n);
	buf_fini(&b);
	return rc;
}

/* One configuration line; the value in quotes where it needs them. */
static void conf_line(struct buf *b, const char *keyword, const char *value)
{
	bool quote = value[strcspn(value, " \t#\"\\")] != '\0';

	buf_printf(b, "%s ", keyword);
	if (quote)
		buf_putc(b, '"');
	for (; *value != '\0'; value++) {
		if (*value == '"' || *value == '\\')
			buf_putc(b, '\\');
		buf_putc(b, (uint8_t)*value);
	}
	buf_puts(b, quote ? "\"\n" : "\n");
}

/* A path inside the folder is written relative to it, so that the folder can be moved. */
static const char *inside(const struct site_setup *s, const char *path)
{
	size_t n = strlen(s->dir);

	return strncmp(path, s->dir, n) == 0 && path[n] == '/' ? path + n + 1 : path;
}

static int write_dird_conf(struct site_setup *s)
{
	const char *ca = NULL;
	struct buf b;
	int rc = RC_OK;

	if (s->o.ca != NULL)
		rc = site_setup_absolute(&s->arena, s->o.ca, &ca);
	if (rc != RC_OK || (ca != NULL && access(ca, R_OK) != 0)) {
		cli_error("--ca %s: can not be read", s->o.ca);
		return rc != RC_OK ? rc : RC_NOTFOUND;
	}
	buf_init(&b, CONF_MAX_BYTES);
	buf_puts(&b, "# Configuration of dird; see dird(8). Paths are relative to this folder.\n");
	conf_line(&b, "organisation", s->root_text);
	conf_line(&b, "site", s->o.site);
	conf_line(&b, "database", "db");
	if (s->o.ldap != NULL)
		conf_line(&b, "listen-ldap", s->o.ldap);
	if (s->o.ldaps != NULL)
		conf_line(&b, "listen-ldaps", s->o.ldaps);
	conf_line(&b, "listen-ldapi", inside(s, s->ldapi));
	conf_line(&b, "tls-certificate", "site.crt");
	conf_line(&b, "tls-key", "site.key");
	if (ca != NULL)
		conf_line(&b, "tls-ca", ca);
	if (s->o.admin_password_file != NULL)
		conf_line(&b, "admin-password-file", "admin.password");
	conf_line(&b, "anonymous-read", s->o.anonymous_read ? "yes" : "no");
	rc = buf_rc(&b);
	if (rc == RC_OK)
		rc = write_file(s, "dird.conf", buf_span(&b), 0644);
	buf_fini(&b);
	return rc;
}

static void put_ldapi_uri(struct buf *b, const char *path)
{
	buf_puts(b, "ldapi://");
	for (; *path != '\0'; path++) {
		if (isalnum((unsigned char)*path) || strchr("-._~", *path) != NULL)
			buf_putc(b, (uint8_t)*path);
		else
			buf_printf(b, "%%%02X", (unsigned char)*path);
	}
}

static int write_routed_conf(struct site_setup *s)
{
	struct buf b;
	int rc;

	buf_init(&b, CONF_MAX_BYTES);
	buf_puts(&b, "# Configuration of routed; see routed(8). Paths are relative to this "
		     "folder.\n");
	conf_line(&b, "organisation", s->root_text);
	conf_line(&b, "site", s->o.site);
	buf_puts(&b, "directory ");
	put_ldapi_uri(&b, s->ldapi);
	buf_puts(&b, "\nstate routed\nsocketmap unix:routed/socketmap\ncontrol routed/control\n"
		     "quiet 200ms\nceiling 2s\npublish yes\n");
	rc = buf_rc(&b);
	if (rc == RC_OK)
		rc = write_file(s, "routed.conf", buf_span(&b), 0644);
	buf_fini(&b);
	if (rc == RC_OK) {
		char *state = arena_printf(&s->arena, "%s/routed", s->beside);

		rc = state != NULL ? file_mkdirs(state, 0755) : RC_NOMEM;
	}
	return rc;
}

int site_setup_files(struct site_setup *s)
{
	int rc = write_keys(s);

	if (rc == RC_OK)
		rc = write_password(s);
	if (rc == RC_OK)
		rc = write_dird_conf(s);
	return rc == RC_OK ? write_routed_conf(s) : rc;
}
