/* Opening a session. Operations are in dirconn_op.c, referrals in dirconn_refer.c. */
#include "tools/dirconn.h"

#include "lib/arena.h"
#include "lib/base64.h"
#include "lib/conf.h"
#include "lib/dn.h"
#include "lib/file.h"
#include "tools/dirconn_private.h"
#include "tools/pki.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#define CONNECT_SECONDS 10
#define PASSWORD_MAX_BYTES 4096

int dirconn_rc(int ldap_result)
{
	switch (ldap_result) {
	case LDAP_SUCCESS:
		return RC_OK;
	case LDAP_NO_MEMORY:
		return RC_NOMEM;
	case LDAP_NO_SUCH_OBJECT:
		return RC_NOTFOUND;
	case LDAP_ALREADY_EXISTS:
		return RC_EXISTS;
	case LDAP_INSUFFICIENT_ACCESS:
	case LDAP_INVALID_CREDENTIALS:
	case LDAP_STRONG_AUTH_REQUIRED:
	case LDAP_CONFIDENTIALITY_REQUIRED:
	case LDAP_INAPPROPRIATE_AUTH:
		return RC_DENIED;
	case LDAP_SERVER_DOWN:
	case LDAP_CONNECT_ERROR:
		return RC_CLOSED;
	case LDAP_TIMEOUT:
	case LDAP_TIMELIMIT_EXCEEDED:
		return RC_TIMEOUT;
	case LDAP_BUSY:
	case LDAP_UNAVAILABLE:
		return RC_BUSY;
	default:
		return RC_REFUSED;
	}
}

static void hint_for(struct dirconn *c, int ldap_result)
{
	const struct dirconn_options *o = &c->options;

	switch (ldap_result) {
	case LDAP_SERVER_DOWN:
	case LDAP_CONNECT_ERROR:
	case LDAP_TIMEOUT:
		if (o->config != NULL)
			cli_hint("is dird running? start it with: dird --config %s", o->config);
		else
			cli_hint("does a server listen there? For ldaps and -Z: is its certificate "
				 "trusted (--ca FILE)?");
		break;
	case LDAP_INVALID_CREDENTIALS:
		cli_hint("the bind DN (-D) or its password is wrong");
		break;
	case LDAP_CONFIDENTIALITY_REQUIRED:
	case LDAP_STRONG_AUTH_REQUIRED:
		cli_hint("use ldaps:// or -Z, or --config FILE on the server's own machine");
		break;
	case LDAP_INSUFFICIENT_ACCESS:
	case LDAP_INAPPROPRIATE_AUTH:
		cli_hint("use --config as root or as the user that dird runs as, or bind with -D "
			 "cn=admin,%s -y FILE",
			 c->root != NULL ? c->root : "<organisation>");
		break;
	default:
		break;
	}
}

void dirconn_complain(struct dirconn *c, const char *doing, const char *dn, int ldap_result,
		      const char *diagnostic)
{
	bool more = diagnostic != NULL && diagnostic[0] != '\0';

	cli_error("%s %s: %s%s%s", doing, dn, ldap_err2string(ldap_result), more ? ": " : "",
		  more ? diagnostic : "");
	hint_for(c, ldap_result);
}

/* --- configuration --- */

/* "ldapi://%2Fabs%2Fpath" */
static const char *ldapi_uri(struct arena *a, const char *path)
{
	char *absolute = realpath(path, NULL);
	struct buf b;
	const char *p;
	char *uri;

	buf_init(&b, 4096);
	buf_puts(&b, "ldapi://");
	for (p = absolute != NULL ? absolute : path; *p != '\0'; p++) {
		if (*p == '/' || *p == '%' || *p == ' ' || *p == '?' || *p == '#')
			buf_printf(&b, "%%%02X", (unsigned char)*p);
		else
			buf_putc(&b, (uint8_t)*p);
	}
	free(absolute);
	uri = buf_rc(&b) == RC_OK ? arena_str(a, buf_span(&b)) : NULL;
	buf_fini(&b);
	return uri;
}

static int read_config(struct dirconn *c)
{
	struct conf_list sockets = {0};
	const struct conf_key keys[] = {
		{"organisation", CONF_STRING, &c->root, 0, 0, true, "DN of the root"},
		{"site", CONF_STRING, &c->site, 0, 0, true, "name of the site"},
		{"listen-ldapi", CONF_PATHS, &sockets, 0, 0, false, "local socket"},
		{.name = "*"},
		{0},
	};
	struct buf errors;
	int rc;

	buf_init(&errors, 65536);
	rc = conf_read(c->options.config, &c->arena, keys, &errors);
	if (rc != RC_OK) {
		cli_error("the configuration can not be used");
		cli_hint("%.*s", (int)errors.n - (errors.n != 0), buf_cstr(&errors));
	}
	buf_fini(&errors);
	if (rc != RC_OK || c->options.uri != NULL)
		return rc;
	if (sockets.n == 0) {
		cli_error("%s has no listen-ldapi line, so there is no local socket to talk to",
			  c->options.config);
		cli_hint("add one, or use -H URI -D DN -y FILE");
		return RC_NOTFOUND;
	}
	c->uri = ldapi_uri(&c->arena, sockets.items[0]);
	c->where = sockets.items[0];
	return c->uri != NULL ? RC_OK : RC_NOMEM;
}

static int read_password(struct dirconn *c)
{
	const char *path = c->options.password_file;
	struct span first, text;
	struct buf b;
	int rc;

	if (path == NULL || c->options.password != NULL)
		return RC_OK;
	buf_init(&b, PASSWORD_MAX_BYTES);
	rc = file_read(path, &b);
	if (rc != RC_OK)
		cli_error("reading the password from %s: %s", path, rc_text(rc));
	text = buf_span(&b);
	span_cut(&text, '\n', &first);
	if (rc == RC_OK) {
		c->options.password = arena_str(&c->arena, first);
		rc = c->options.password != NULL ? RC_OK : RC_NOMEM;
	}
	buf_fini(&b);
	return rc;
}

/* --- connection --- */

/* Without a CA the handshake takes any certificate; check_pin() looks at its key before the bind.
 */
static int set_trust(struct dirconn *c)
{
	int any = LDAP_OPT_X_TLS_ALLOW;
	int client = 0;
	int rc = LDAP_SUCCESS;

	if (c->options.ca_file != NULL)
		rc = ldap_set_option(c->ld, LDAP_OPT_X_TLS_CACERTFILE, c->options.ca_file);
	else if (c->pins != NULL)
		rc = ldap_set_option(c->ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &any);
	else
		return rc;
	return rc == LDAP_SUCCESS ? ldap_set_option(c->ld, LDAP_OPT_X_TLS_NEWCTX, &client) : rc;
}

static int set_options(struct dirconn *c)
{
	const struct timeval timeout = {.tv_sec = CONNECT_SECONDS};
	int version = LDAP_VERSION3;
	int rc;

	rc = ldap_set_option(c->ld, LDAP_OPT_PROTOCOL_VERSION, &version);
	if (rc == LDAP_SUCCESS)
		rc = ldap_set_option(c->ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
	if (rc == LDAP_SUCCESS)
		rc = ldap_set_option(c->ld, LDAP_OPT_NETWORK_TIMEOUT, &timeout);
	if (rc == LDAP_SUCCESS)
		rc = set_trust(c);
	if (rc == LDAP_SUCCESS)
		return RC_OK;
	cli_error("the TLS settings can not be used: %s", ldap_err2string(rc));
	if (c->options.ca_file != NULL)
		cli_hint("does %s hold certificates in PEM form?", c->options.ca_file);
	return RC_INVALID;
}

static bool is_local(const char *uri)
{
	return span_eq_nocase(span_head(span_of(uri), 8), SPAN_LIT("ldapi://"));
}

/* The pin of the key in the server's certificate, which libldap gives in DER. */
static int peer_pin(struct dirconn *c, char out[static PKI_PIN_TEXT_BYTES])
{
	struct berval der = {0, NULL};
	struct buf base64, pem;
	size_t at;
	int rc;

	if (ldap_get_option(c->ld, LDAP_OPT_X_TLS_PEERCERT, &der) != LDAP_OPT_SUCCESS ||
	    der.bv_val == NULL)
		return RC_NOTFOUND;
	buf_init(&base64, 1 << 20);
	buf_init(&pem, 1 << 20);
	base64_encode(span_make(der.bv_val, der.bv_len), &base64);
	buf_puts(&pem, "-----BEGIN CERTIFICATE-----\n");
	for (at = 0; at < base64.n; at += 64) {
		buf_put(&pem, span_head(span_from(buf_span(&base64), at), 64));
		buf_putc(&pem, '\n');
	}
	buf_puts(&pem, "-----END CERTIFICATE-----\n");
	rc = buf_rc(&pem) == RC_OK ? pki_pin(buf_span(&pem), out) : buf_rc(&pem);
	buf_fini(&pem);
	buf_fini(&base64);
	ldap_memfree(der.bv_val);
	return rc;
}

static int check_pin(struct dirconn *c)
{
	char pin[PKI_PIN_TEXT_BYTES];
	unsigned i;
	int rc;

	if (c->pins == NULL || c->options.ca_file != NULL)
		return RC_OK;
	rc = peer_pin(c, pin);
	for (i = 0; rc == RC_OK && i < c->pins->nvalues; i++) {
		if (span_eq(c->pins->values[i], span_of(pin)))
			return RC_OK;
	}
	cli_error("%s does not prove that it is the site's server; the password was not sent",
		  c->uri);
	cli_hint("its key is not among the siteKey values of the site; --ca FILE trusts a CA "
		 "instead");
	return RC_DENIED;
}

static int bind_session(struct dirconn *c, bool external)
{
	const struct dirconn_options *o = &c->options;
	struct berval cred = {0, (char *)(uintptr_t) ""};
	char *diagnostic = NULL;
	int rc;

	rc = ldap_connect(c->ld);
	if (rc == LDAP_SUCCESS && o->starttls && !external)
		rc = ldap_start_tls_s(c->ld, NULL, NULL);
	if (rc == LDAP_SUCCESS && check_pin(c) != RC_OK)
		return RC_DENIED;
	if (rc == LDAP_SUCCESS && external) {
		rc = ldap_sasl_bind_s(c->ld, NULL, "EXTERNAL", &cred, NULL, NULL, NULL);
	} else if (rc == LDAP_SUCCESS && o->bind_dn != NULL) {
		cred.bv_val = (char *)(uintptr_t)o->password;
		cred.bv_len = strlen(o->password);
		rc = ldap_sasl_bind_s(c->ld, o->bind_dn, LDAP_SASL_SIMPLE, &cred, NULL, NULL, NULL);
	}
	if (rc == LDAP_SUCCESS)
		return RC_OK;
	ldap_get_option(c->ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &diagnostic);
	dirconn_complain(c, "connecting to", c->where, rc, diagnostic);
	ldap_memfree(diagnostic);
	return dirconn_rc(rc);
}

static int connect_session(struct dirconn *c, bool external)
{
	int rc = ldap_initialize(&c->ld, c->uri);

	if (rc != LDAP_SUCCESS) {
		cli_error("%s is no LDAP URI: %s", c->uri, ldap_err2string(rc));
		cli_hint("expected ldap://HOST:PORT, ldaps://HOST:PORT or ldapi://%%2FPATH");
		return RC_INVALID;
	}
	rc = set_options(c);
	return rc == RC_OK ? bind_session(c, external) : rc;
}

/* --- what the server says of itself --- */

static unsigned depth_of(struct span dn_text)
{
	struct arena a;
	struct dn dn;
	unsigned n;

	arena_init(&a);
	n = dn_parse(&a, dn_text, &dn, NULL) == RC_OK ? dn.n : DN_MAX_RDNS;
	arena_fini(&a);
	return n;
}

/* The shortest naming context is the organisation's root. */
static int ask_root(struct dirconn *c)
{
	static const char *const attrs[] = {"namingContexts", NULL};
	const struct ldif_attr *contexts;
	struct ldif_record dse;
	unsigned i, best = 0;
	int rc = dirconn_read(c, &c->arena, "", attrs, &dse);

	if (rc != RC_OK && rc != RC_NOTFOUND)
		return rc;
	contexts = rc == RC_OK ? dirconn_attr(&dse, "namingContexts") : NULL;
	if (contexts == NULL) {
		cli_error("%s does not say what it holds (no namingContexts in its root DSE)",
			  c->uri);
		return RC_NOTFOUND;
	}
	for (i = 1; i < contexts->nvalues; i++) {
		if (depth_of(contexts->values[i]) < depth_of(contexts->values[best]))
			best = i;
	}
	c->root = arena_str(&c->arena, contexts->values[best]);
	return c->root != NULL ? RC_OK : RC_NOMEM;
}

static int check_options(const struct dirconn_options *o)
{
	if (o->config == NULL && o->uri == NULL) {
		cli_error("which server? Neither --config nor --uri was given");
		cli_hint("--config D/dird.conf on the server's own machine, else -H URI -D DN -y "
			 "FILE");
		return RC_INVALID;
	}
	if (o->bind_dn != NULL && o->password == NULL && o->password_file == NULL) {
		cli_error("--bind-dn wants a password, too");
		cli_hint("give -y FILE, or -w TEXT");
		return RC_INVALID;
	}
	return RC_OK;
}

int dirconn_open(const struct dirconn_options *o, struct dirconn **out)
{
	struct dirconn *c;
	int rc = check_options(o);

	*out = NULL;
	if (rc != RC_OK)
		return rc;
	/* The administrator's ldaprc would change hosts, TLS and referrals behind our back. */
	setenv("LDAPNOINIT", "1", 1);
	c = mem_zalloc(1, sizeof(*c));
	if (c == NULL)
		return RC_NOMEM;
	c->options = *o;
	c->uri = o->uri;
	c->where = o->uri;
	if (o->config != NULL)
		rc = read_config(c);
	if (rc == RC_OK)
		rc = read_password(c);
	if (rc == RC_OK)
		rc = connect_session(c,
				     is_local(c->uri) && (o->config != NULL || o->bind_dn == NULL));
	if (rc == RC_OK && c->root == NULL)
		rc = ask_root(c);
	if (rc == RC_OK)
		*out = c;
	else
		dirconn_close(&c);
	return rc;
}

int dirconn_open_other(struct dirconn *c, const char *uri, const struct ldif_attr *pins,
		       struct dirconn **out)
{
	struct dirconn *other = mem_zalloc(1, sizeof(*other));
	int rc;

	*out = NULL;
	if (other == NULL)
		return RC_NOMEM;
	other->options = c->options;
	other->options.config = NULL;
	other->pins = pins;
	other->uri = arena_str(&other->arena, span_of(uri));
	other->where = other->uri;
	other->root = arena_str(&other->arena, span_of(c->root));
	rc = other->uri != NULL && other->root != NULL ? connect_session(other, false) : RC_NOMEM;
	if (rc == RC_OK)
		*out = other;
	else
		dirconn_close(&other);
	return rc;
}

void dirconn_close(struct dirconn **c)
{
	if (*c == NULL)
		return;
	dirconn_close(&(*c)->other);
	if ((*c)->ld != NULL)
		ldap_unbind_ext_s((*c)->ld, NULL, NULL);
	arena_fini(&(*c)->arena);
	mem_free(*c);
	*c = NULL;
}

const char *dirconn_root(const struct dirconn *c)
{
	return c->root;
}

const char *dirconn_site(const struct dirconn *c)
{
	return c->site;
}
