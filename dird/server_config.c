#include "dird/server.h"

#include "dird/conn.h"
#include "lib/dn.h"

#include <stdlib.h>
#include <unistd.h>

#define LOOPS_DEFAULT_MAX 4
#define LOOPS_MAX 64
#define DAY_MS (24ul * 3600 * 1000)
#define TEN_YEARS_S (3653ul * 86400)

static unsigned default_loops(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > LOOPS_DEFAULT_MAX ? LOOPS_DEFAULT_MAX : (unsigned)n;
}

static const char *default_schema(void)
{
	const char *folder = getenv("WAYPOST_SCHEMA");

	return folder != NULL && folder[0] != '\0' ? folder : PKGSCHEMADIR;
}

/* The table is the configuration's documentation, too: server_config_describe(). */
static int with_keys(struct server_config *c, int (*fn)(const struct conf_key *keys, void *ctx),
		     void *ctx)
{
	const struct conf_key keys[] = {
		{"organisation", CONF_STRING, &c->organisation, .required = true,
		 .help = "DN of the root of the tree, e.g. o=Example"},
		{"site", CONF_STRING, &c->site, .required = true, .help = "name of this site"},
		{"database", CONF_PATH, &c->database, .required = true,
		 .help = "folder of the database"},
		{"schema", CONF_PATH, &c->schema, .help = "folder of the *.schema files"},
		{"listen-ldap", CONF_STRINGS, &c->listen_ldap,
		 .help = "address:port for LDAP and StartTLS"},
		{"listen-ldaps", CONF_STRINGS, &c->listen_ldaps,
		 .help = "address:port for LDAP over TLS"},
		{"listen-ldapi", CONF_PATHS, &c->listen_ldapi, .help = "path of a local socket"},
		{"tls-certificate", CONF_PATH, &c->tls.certificate,
		 .help = "PEM file, with the chain"},
		{"tls-key", CONF_PATH, &c->tls.key, .help = "PEM file of mode 0600"},
		{"tls-ca", CONF_PATH, &c->tls.ca,
		 .help = "PEM file of the authority that signs client certificates, with its "
			 "revocation list if it has one"},
		{"admin-password-file", CONF_PATH, &c->admin_password_file,
		 .help = "file with the hash of the administrator's password"},
		{"anonymous-read", CONF_BOOL, &c->anonymous_read,
		 .help = "may anonymous clients read the address list? (no)"},
		{"loops", CONF_UINT, &c->loops, .min = 1, .max = LOOPS_MAX,
		 .help = "threads that serve clients (cores, at most 4)"},
		{"size-limit", CONF_UINT, &c->size_limit,
		 .help = "entries a search returns to ordinary clients; 0 is no limit (0)"},
		{"time-limit", CONF_MS, &c->time_limit_ms, .max = DAY_MS,
		 .help = "time a search of ordinary clients takes; 0 is no limit (0)"},
		{"substring-search", CONF_STRING, &c->substring_search,
		 .help = "*x* of ordinary clients: allow, initial (as x*) or refuse (allow)"},
		{"look-through-limit", CONF_UINT, &c->look_through_limit,
		 .help = "entries a search of ordinary clients looks at; 0 is no limit (0)"},
		{"values-limit", CONF_UINT, &c->values_limit,
		 .help = "values of an attribute, but names of entries; 0 is no limit (1000)"},
		{"max-request", CONF_BYTES, &c->max_request_bytes, .min = CONN_PDU_ANONYMOUS_BYTES,
		 .max = CONN_PDU_BOUND_BYTES, .help = "size of a request after a bind (16M)"},
		{"max-connections", CONF_UINT, &c->connections.all,
		 .help = "connections but those on local sockets; 0 is no limit (20000)"},
		{"max-connections-per-address", CONF_UINT, &c->connections.each,
		 .help = "of one IPv4 address or IPv6 /64; 0 is no limit (10000)"},
		{"request-timeout", CONF_MS, &c->request_timeout_ms, .min = 100, .max = DAY_MS,
		 .help = "a request that has begun is whole by then (2min)"},
		{"write-timeout", CONF_MS, &c->write_timeout_ms, .min = 100, .max = DAY_MS,
		 .help = "a client that takes nothing of its answers for so long is cut off "
			 "(5min)"},
		{"idle-timeout", CONF_MS, &c->idle_timeout_ms, .max = DAY_MS,
		 .help = "a connection without requests is closed then; 0 is never (1h)"},
		{"heartbeat", CONF_MS, &c->heartbeat_ms, .min = 100, .max = DAY_MS,
		 .help = "a replication partner is heard of so often (10s)"},
		{"tombstone-lifetime", CONF_SECONDS, &c->tombstone_lifetime_s, .min = 1,
		 .max = TEN_YEARS_S, .help = "traces of deleted entries are kept so long (60d)"},
		{"relayed-changes", CONF_STRING, &c->relayed_changes,
		 .help = "what partners may pass on of other sites: verified: what these have "
			 "signed; "
			 "indirect: that, but of none that this one has a link of its own to; all: "
			 "anything (verified)"},
		{"log-level", CONF_STRING, &c->log_level,
		 .help = "error, warn, info or debug (info)"},
		{0},
	};

	return fn(keys, ctx);
}

struct reading {
	const char *path;
	struct arena *a;
	struct buf *errors;
};

static int read_keys(const struct conf_key *keys, void *ctx)
{
	struct reading *r = ctx;

	return conf_read(r->path, r->a, keys, r->errors);
}

static int describe_keys(const struct conf_key *keys, void *ctx)
{
	conf_describe(keys, ctx);
	return 0;
}

void server_config_describe(struct buf *out)
{
	struct server_config c = {.path = NULL};

	(void)with_keys(&c, describe_keys, out);
}

static int complain(const struct server_config *c, struct buf *errors, const char *what)
{
	buf_printf(errors, "%s: %s\n", c->path, what);
	return RC_INVALID;
}

/* What no single line shows. */
static bool read_substrings(struct server_config *c)
{
	static const struct {
		const char *word;
		enum filter_substrings mode;
	} words[] = {{"allow", FILTER_SUBSTR_ALLOW},
		     {"initial", FILTER_SUBSTR_AS_INITIAL},
		     {"refuse", FILTER_SUBSTR_REFUSE}};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(c->substring_search, words[i].word) != 0)
			continue;
		c->substrings = words[i].mode;
		return true;
	}
	return false;
}

static int check(struct server_config *c, struct arena *a, struct buf *errors)
{
	enum log_level level;
	const char *why = NULL;
	struct dn dn;
	int rc = 0;

	if (dn_parse(a, span_of(c->organisation), &dn, &why) != 0 || dn.n == 0) {
		buf_printf(errors, "%s: organisation: %s\n", c->path,
			   why != NULL ? why : "a distinguished name is needed");
		rc = RC_INVALID;
	}
	if ((c->tls.certificate == NULL) != (c->tls.key == NULL))
		rc = complain(c, errors, "tls-certificate and tls-key belong together");
	if (c->listen_ldaps.n != 0 && c->tls.certificate == NULL)
		rc = complain(c, errors, "listen-ldaps needs tls-certificate and tls-key");
	if (c->listen_ldap.n + c->listen_ldaps.n + c->listen_ldapi.n == 0)
		rc = complain(c, errors, "no listen-ldap, listen-ldaps or listen-ldapi");
	if (!read_substrings(c))
		rc = complain(c, errors, "substring-search is allow, initial or refuse");
	if (strcmp(c->relayed_changes, "all") != 0 && strcmp(c->relayed_changes, "indirect") != 0 &&
	    strcmp(c->relayed_changes, "verified") != 0)
		rc = complain(c, errors, "relayed-changes is verified, indirect or all");
	if (!log_level_parse(span_of(c->log_level), &level))
		rc = complain(c, errors, "log-level is error, warn, info or debug");
	return rc;
}

int server_config_read(const char *path, struct arena *a, struct server_config *out,
		       struct buf *errors)
{
	struct reading r = {path, a, errors};
	int rc;

	*out = (struct server_config){
		.path = path,
		.schema = default_schema(),
		.loops = default_loops(),
		.idle_timeout_ms = 3600 * 1000,
		.substring_search = "allow",
		.values_limit = 1000,
		.max_request_bytes = CONN_PDU_BOUND_BYTES,
		.connections = {.all = 20000, .each = 10000},
		.request_timeout_ms = 2 * 60 * 1000,
		.write_timeout_ms = 5 * 60 * 1000,
		.log_level = "info",
		.relayed_changes = "verified",
		.heartbeat_ms = 10000,
		.tombstone_lifetime_s = 60 * 86400,
	};
	rc = with_keys(out, read_keys, &r);
	out->indirect_only = strcmp(out->relayed_changes, "indirect") == 0;
	out->believes_partners = strcmp(out->relayed_changes, "all") == 0;
	return rc == 0 ? check(out, a, errors) : rc;
}
