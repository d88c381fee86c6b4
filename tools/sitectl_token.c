/* sitectl token: leave to join, for one new site, once. */
#include "dird/password.h"
#include "lib/file.h"
#include "tools/dirconn.h"
#include "tools/dirctl.h"
#include "tools/site_setup.h"
#include "tools/sitectl.h"
#include "tools/token.h"

#include "lib/base64.h"

#include <stdio.h>

#define SECRET_BYTES 24
#define HOURS_DEFAULT 72
#define FILE_MAX_BYTES (1u << 20)

struct making {
	const char *config, *site;
	unsigned hours;
	struct arena arena;
	struct server_config server;
	struct token token;
	char pin[PKI_PIN_TEXT_BYTES];
	char hash[PASSWORD_HASH_BYTES];
	char expires[CLOCK_GENERALIZED_BYTES];
	struct ldif_record record;
};

/* --- what the token says --- */

static int read_config(struct making *m)
{
	struct buf b;
	int rc;

	buf_init(&b, FILE_MAX_BYTES);
	rc = server_config_read(m->config, &m->arena, &m->server, &b);
	while (b.n != 0 && b.p[b.n - 1] == '\n')
		buf_truncate(&b, b.n - 1);
	if (rc != RC_OK)
		cli_error("%s", b.n != 0 ? buf_cstr(&b) : rc_text(rc));
	buf_clear(&b);
	if (rc == RC_OK && (m->server.listen_ldaps.n == 0 || m->server.tls.certificate == NULL)) {
		cli_error("%s: no listen-ldaps: other sites have no way to this one", m->config);
		rc = RC_INVALID;
	}
	if (rc == RC_OK) {
		rc = file_read(m->server.tls.certificate, &b);
		if (rc == RC_OK)
			rc = pki_pin(buf_span(&b), m->pin);
		if (rc != RC_OK)
			cli_error("%s: %s", m->server.tls.certificate, rc_text(rc));
	}
	buf_fini(&b);
	return rc;
}

static int make_secret(struct making *m)
{
	uint8_t bytes[SECRET_BYTES];
	struct buf b;
	int rc = pki_random(bytes, sizeof(bytes));

	buf_init(&b, 64);
	base64_encode(span_make(bytes, sizeof(bytes)), &b);
	m->token.secret = arena_str(&m->arena, buf_span(&b));
	buf_fini(&b);
	if (m->token.secret == NULL)
		return RC_NOMEM;
	return rc == RC_OK ? password_hash(span_of(m->token.secret), m->hash) : rc;
}

static int fill(struct making *m)
{
	int64_t now = clock_system.wall_us(&clock_system);
	int rc;

	if (!site_setup_name_fits(span_of(m->site))) {
		cli_error("%s: not a name for a site", m->site);
		return RC_INVALID;
	}
	clock_generalized(now + (int64_t)m->hours * 3600 * 1000000, m->expires);
	m->token.root = m->server.organisation;
	m->token.hub = m->server.site;
	m->token.uri = site_setup_uri(&m->arena, "ldaps", m->server.listen_ldaps.items[0]);
	m->token.pin = m->pin;
	m->token.site = m->site;
	m->token.expires = m->expires;
	m->token.dn = arena_printf(&m->arena, "cn=%s,cn=Join Tokens,cn=Configuration,ou=%s,%s",
				   m->site, m->server.site, m->server.organisation);
	rc = make_secret(m);
	if (rc == RC_OK && (m->token.uri == NULL || m->token.dn == NULL)) {
		cli_error("%s: listen-ldaps %s: no address others could reach", m->config,
			  m->server.listen_ldaps.items[0]);
		rc = RC_INVALID;
	}
	return rc;
}

static int fill_record(struct making *m)
{
	const char *const pairs[][2] = {{"objectClass", "joinToken"},
					{"cn", m->site},
					{"userPassword", m->hash},
					{"tokenExpires", m->expires},
					{"tokenSite", m->site}};
	const unsigned n = sizeof(pairs) / sizeof(pairs[0]);
	struct span *values = arena_zalloc(&m->arena, n, sizeof(*values));
	unsigned i;

	m->record.kind = LDIF_ADD;
	m->record.dn = span_of(m->token.dn);
	m->record.attrs = arena_zalloc(&m->arena, n, sizeof(*m->record.attrs));
	if (values == NULL || m->record.attrs == NULL)
		return RC_NOMEM;
	for (i = 0; i < n; i++) {
		values[i] = span_of(pairs[i][1]);
		m->record.attrs[i].type = span_of(pairs[i][0]);
		m->record.attrs[i].values = &values[i];
		m->record.attrs[i].nvalues = 1;
	}
	m->record.nattrs = n;
	return RC_OK;
}

/* --- its entry, with dird running --- */

static int put_online(struct making *m)
{
	static const char *const none[] = {"1.1", NULL};
	struct dirconn_options o = {.config = m->config};
	struct ldif_record old = {.kind = LDIF_DELETE, .dn = m->record.dn}, found;
	const char *site_dn;
	struct dirconn *c;
	int rc = dirconn_open(&o, &c);

	if (rc != RC_OK)
		return rc;
	site_dn = dirconn_child_dn(&m->arena, "ou", m->site, m->server.organisation);
	rc = site_dn != NULL ? dirconn_read(c, &m->arena, site_dn, none, &found) : RC_NOMEM;
	if (rc == RC_OK) {
		cli_error("site %s exists already", m->site);
		rc = RC_EXISTS;
	} else if (rc == RC_NOTFOUND) {
		rc = dirconn_read(c, &m->arena, m->token.dn, none, &found);
		if (rc == RC_OK)
			rc = dirconn_change(c, &old); /* a former token is void */
		if (rc == RC_OK || rc == RC_NOTFOUND)
			rc = dirconn_change(c, &m->record);
	}
	dirconn_close(&c);
	return rc;
}

/* --- and with dird stopped --- */

static int apply(struct making *m, struct store_txn *t, const struct update_context *ctx,
		 struct change *c)
{
	enum update_outcome outcome = UPDATE_APPLIED;
	struct result why = {.code = LR_SUCCESS};
	int rc = update_apply(t, ctx, c, &m->arena, &outcome, &why);

	if (rc == RC_REFUSED && c->kind == CHANGE_DELETE && why.code == LR_NO_SUCH_OBJECT)
		return RC_OK;
	if (rc == RC_REFUSED)
		cli_error("%s: %s: %s", m->token.dn, result_name(why.code),
			  why.text != NULL ? why.text : "refused");
	else if (rc != RC_OK)
		cli_error("%s: %s", m->token.dn, rc_text(rc));
	return rc;
}

static int check_new(struct making *m, struct store_txn *t)
{
	const char *text = arena_printf(&m->arena, "ou=%s,%s", m->site, m->server.organisation);
	unsigned depth;
	struct dn dn;
	uint64_t eid;

	if (text == NULL || dn_parse(&m->arena, span_of(text), &dn, NULL) != RC_OK)
		return RC_NOMEM;
	if (store_find(t, &dn, &eid, &depth) != RC_OK)
		return RC_OK;
	cli_error("site %s exists already", m->site);
	return RC_EXISTS;
}

static int put_offline(struct making *m, struct dirctl *d)
{
	struct update_context ctx = {.schema = d->schema,
				     .root = d->root,
				     .wall_us = clock_system.wall_us(&clock_system),
				     .random = pki_random};
	struct change del = {.kind = CHANGE_DELETE}, add = {.kind = CHANGE_ADD};
	struct store_txn *t = NULL;
	unsigned i;
	int rc = dn_parse(&m->arena, m->record.dn, &add.dn, NULL);

	del.dn = add.dn;
	add.attrs.n = m->record.nattrs;
	add.attrs.attrs = arena_zalloc(&m->arena, add.attrs.n, sizeof(*add.attrs.attrs));
	if (rc == RC_OK && add.attrs.attrs == NULL)
		rc = RC_NOMEM;
	for (i = 0; rc == RC_OK && i < add.attrs.n; i++)
		add.attrs.attrs[i] = (struct attr){.type = m->record.attrs[i].type,
						   .values = m->record.attrs[i].values,
						   .nvalues = 1};
	if (rc == RC_OK)
		rc = store_write_begin(d->store, &t);
	if (rc == RC_OK)
		rc = check_new(m, t);
	if (rc == RC_OK)
		rc = apply(m, t, &ctx, &del);
	if (rc == RC_OK)
		rc = apply(m, t, &ctx, &add);
	if (rc == RC_OK) {
		rc = store_write_commit(&t);
		if (rc != RC_OK)
			cli_error("%s: %s", m->server.database, rc_text(rc));
	}
	store_write_abort(&t);
	return rc;
}

/* Whoever has the database's lock decides which way it goes. */
static int put(struct making *m)
{
	struct store_options opt = {0};
	struct dirctl d = {.store = NULL};
	struct buf why;
	int rc;

	buf_init(&why, 65536);
	rc = store_open(m->server.database, &opt, &d.store, &why);
	if (rc == RC_BUSY) {
		buf_fini(&why);
		return put_online(m);
	}
	if (rc == RC_OK)
		rc = schema_load(m->server.schema, &d.schema, &why);
	if (rc != RC_OK)
		cli_error("%s", why.n != 0 ? buf_cstr(&why) : rc_text(rc));
	buf_fini(&why);
	if (rc == RC_OK)
		rc = dn_parse(&m->arena, span_of(m->server.organisation), &d.root, NULL);
	if (rc == RC_OK)
		rc = put_offline(m, &d);
	store_close(&d.store);
	schema_free(&d.schema);
	return rc;
}

static int run(struct making *m)
{
	struct buf line;
	int rc = read_config(m);

	if (rc == RC_OK)
		rc = fill(m);
	if (rc == RC_OK)
		rc = fill_record(m);
	if (rc == RC_OK)
		rc = put(m);
	if (rc != RC_OK)
		return rc;
	buf_init(&line, 32768);
	rc = token_write(&m->token, &line);
	if (rc == RC_OK) {
		cli_note("token for %s, once, until %s; whoever has it may join as %s", m->site,
			 m->expires, m->site);
		printf("%s\n", buf_cstr(&line));
	} else {
		cli_error("%s", rc_text(rc));
	}
	buf_fini(&line);
	return rc;
}

int sitectl_token(int argc, char **argv)
{
	struct making m = {.hours = HOURS_DEFAULT};
	const struct cli_opt opts[] = {
		{"config", 'c', CLI_TEXT, &m.config, "FILE", "dird.conf of the existing site",
		 true},
		{"hours", 0, CLI_UINT, &m.hours, "N", "how long the token is good for (72)", false},
		{0}};
	const struct cli_usage u = {
		"sitectl token",
		"SITE",
		"Makes a token with which a new site of this name may join the organisation, once. "
		"It is one\nline on standard output, and a secret. Works with dird running or "
		"stopped.",
		opts,
		"  sitectl token --config hub/dird.conf Site1 >site1.token\n",
		1,
		1};
	int first, status, rc;

	if (!cli_parse(&u, argc, argv, &first, &status))
		return status;
	if (m.hours == 0 || m.hours > 24 * 366) {
		cli_error("--hours: 1 to %d", 24 * 366);
		return CLI_USAGE;
	}
	m.site = argv[first];
	rc = run(&m);
	explicit_bzero(m.hash, sizeof(m.hash));
	arena_fini(&m.arena);
	return rc == RC_OK ? CLI_DONE : CLI_FAILED;
}
