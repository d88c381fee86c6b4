#include "routed/settings.h"

#include "lib/dn.h"
#include "routed/render.h"

#include <grp.h>

#ifdef HAVE_CARES
#define HAS_CARES true
#else
#define HAS_CARES false
#endif

struct raw {
	struct settings s;
	const char *log_level;
	const char *null_sender;
	const char *dampen;
	const char *socket_mode, *socket_group;
};

#define NKEYS 40

static void keys_of(struct raw *r, struct conf_key keys[static NKEYS])
{
	struct settings *s = &r->s;
	const struct conf_key list[NKEYS] = {
		{"organisation", CONF_STRING, &s->organisation, 0, 0, true,
		 "DN of the organisation's root, e.g. o=Example"},
		{"site", CONF_STRING, &s->site, 0, 0, true, "name of this site"},
		{"directory", CONF_STRING, &s->directory, 0, 0, true,
		 "where dird listens: ldapi://, ldap:// or ldaps:// URI"},
		{"state", CONF_PATH, &s->state, 0, 0, true,
		 "folder for the route table and sockets"},
		{"socketmap", CONF_STRINGS, &s->socketmaps, 0, 0, true,
		 "unix:PATH or inet:ADDRESS:PORT for the mail server; repeatable"},
		{"policy", CONF_STRINGS, &s->policies, 0, 0, false,
		 "unix:PATH or inet:ADDRESS:PORT of Postfix's policy service; repeatable"},
		{"exim", CONF_STRINGS, &s->exims, 0, 0, false,
		 "unix:PATH or inet:ADDRESS:PORT for Exim's readsocket; repeatable"},
		{"socket-mode", CONF_STRING, &r->socket_mode, 0, 0, false,
		 "mode of these unix sockets, octal (0666)"},
		{"socket-group", CONF_STRING, &r->socket_group, 0, 0, false,
		 "their group (that of routed)"},
		{"listen-remote", CONF_BOOL, &s->access.remote, 0, 0, false,
		 "allow inet: addresses that are not loopback (no)"},
		{"render", CONF_STRINGS, &s->renders, 0, 0, false,
		 "lmdb:FOLDER or texthash:FOLDER of files for Postfix; repeatable"},
		{"null-sender", CONF_STRING, &r->null_sender, 0, 0, false,
		 "class of messages without a sender, user or system (user)"},
		{"control", CONF_PATH, &s->control, 0, 0, true, "socket of routectl"},
		{"bind-dn", CONF_STRING, &s->bind_dn, 0, 0, false,
		 "name to bind with instead of SASL EXTERNAL"},
		{"bind-password-file", CONF_PATH, &s->bind_password_file, 0, 0, false,
		 "password of bind-dn, first line"},
		{"tls-ca", CONF_PATH, &s->tls_ca, 0, 0, false, "CA of an ldaps directory"},
		{"tls-certificate", CONF_PATH, &s->tls_certificate, 0, 0, false,
		 "own certificate for ldaps"},
		{"tls-key", CONF_PATH, &s->tls_key, 0, 0, false, "key of the certificate"},
		{"quiet", CONF_MS, &s->quiet_ms, 0, 60000, false,
		 "wait this long after the last change before a recompute (200ms)"},
		{"ceiling", CONF_MS, &s->ceiling_ms, 0, 600000, false,
		 "but never longer than this after the first (2s)"},
		{"timeout", CONF_MS, &s->timeout_ms, 100, 600000, false,
		 "bound of a connect or an answer of the directory (5s)"},
		{"heartbeat", CONF_MS, &s->heartbeat_ms, 100, 3600000, false,
		 "ask whether the directory lives after that much silence (10s)"},
		{"reconnect-max", CONF_MS, &s->reconnect_max_ms, 100, 3600000, false,
		 "longest delay between two attempts to connect (60s)"},
		{"publish", CONF_BOOL, &s->publish, 0, 0, false,
		 "write the routes to the directory below cn=Routes (yes)"},
		{"dns-check", CONF_BOOL, &s->dns_check, 0, 0, false,
		 "a route is direct only while DNS finds the domain fit for mail (no)"},
		{"dns-server", CONF_STRINGS, &s->dns_servers, 0, 0, false,
		 "ADDRESS or ADDRESS:PORT to ask (those of /etc/resolv.conf); repeatable"},
		{"dns-compare", CONF_STRINGS, &s->dns_compare, 0, 0, false,
		 "another resolver, whose answers are compared and change nothing; repeatable"},
		{"dns-self", CONF_STRINGS, &s->dns_self, 0, 0, false,
		 "name or address of the own mail host beside the machine's; repeatable"},
		{"dns-confirm", CONF_MS, &s->dns_confirm_ms, 0, 3600000, false,
		 "a second check must agree, this long after the first (30s)"},
		{"dns-hold", CONF_MS, &s->dns_hold_ms, 0, 604800000, false,
		 "keep the last state that long while DNS gives no answer (1h)"},
		{"dns-recheck-min", CONF_MS, &s->dns_recheck_min_ms, 50, 86400000, false,
		 "check again after the TTL, but not sooner than this (30s)"},
		{"dns-recheck-max", CONF_MS, &s->dns_recheck_max_ms, 50, 86400000, false,
		 "and not later than this (5min)"},
		{"dampen", CONF_STRING, &r->dampen, 0, 0, false,
		 "which changes of a direct route count against it: dns, all or no (dns)"},
		{"dampen-penalty", CONF_UINT, &s->damp.penalty, 1, 1000000, false,
		 "of one change (1000)"},
		{"dampen-half-life", CONF_MS, &s->damp.half_life_ms, 10, 86400000, false,
		 "in which the penalty halves (15min)"},
		{"dampen-suppress", CONF_UINT, &s->damp.suppress, 1, 1000000, false,
		 "from this penalty on the route keeps to the connected sites (3000)"},
		{"dampen-reuse", CONF_UINT, &s->damp.reuse, 1, 1000000, false,
		 "until it is down to this (750)"},
		{"dampen-max", CONF_MS, &s->damp.max_ms, 10, 604800000, false,
		 "at the latest this long after the last change (60min)"},
		{"log-level", CONF_STRING, &r->log_level, 0, 0, false,
		 "error, warn, info or debug (info)"},
		{0},
	};

	memcpy(keys, list, sizeof(list));
}

/* Paths behind a prefix are relative to the folder of the file, as all paths in it. */
static int resolve(const char *path, struct arena *a, struct conf_list *list, const char *prefix)
{
	const char *slash = strrchr(path, '/');
	size_t folder = slash != NULL ? (size_t)(slash - path) + 1 : 0;
	size_t n = strlen(prefix);
	unsigned i;

	for (i = 0; i < list->n; i++) {
		const char *item = list->items[i];

		if (strncmp(item, prefix, n) != 0 || item[n] == '/')
			continue;
		list->items[i] = arena_printf(a, "%s%.*s%s", prefix, (int)folder, path, item + n);
		if (list->items[i] == NULL)
			return RC_NOMEM;
	}
	return RC_OK;
}

static int resolve_all(const char *path, struct arena *a, struct settings *s)
{
	const struct {
		struct conf_list *list;
		const char *prefix;
	} paths[] = {
		{&s->socketmaps, "unix:"}, {&s->policies, "unix:"},    {&s->exims, "unix:"},
		{&s->renders, "lmdb:"},    {&s->renders, "texthash:"},
	};
	size_t i;
	int rc = RC_OK;

	for (i = 0; i < sizeof(paths) / sizeof(*paths) && rc == RC_OK; i++)
		rc = resolve(path, a, paths[i].list, paths[i].prefix);
	return rc;
}

static int check_renders(const char *path, const struct conf_list *renders, struct buf *errors)
{
	enum render_format format;
	const char *folder;
	unsigned i;
	int rc = RC_OK;

	for (i = 0; i < renders->n; i++) {
		if (render_target_parse(renders->items[i], &format, &folder))
			continue;
		buf_printf(errors, "%s: render: \"%s\" is not lmdb:FOLDER or texthash:FOLDER\n",
			   path, renders->items[i]);
		rc = RC_INVALID;
	}
	return rc;
}

static bool null_sender_parse(const char *word, bool *is_system)
{
	*is_system = strcmp(word, "system") == 0;
	return *is_system || strcmp(word, "user") == 0;
}

/* "0660", "666" */
static bool mode_parse(const char *word, unsigned *out)
{
	size_t n = strlen(word);

	*out = 0;
	for (; *word >= '0' && *word <= '7'; word++)
		*out = *out * 8 + (unsigned)(*word - '0');
	return *word == '\0' && n >= 3 && n <= 4 && *out <= 0777;
}

/* Who may use the sockets. */
static int check_access(const char *path, struct raw *r, struct buf *errors)
{
	size_t before = errors->n;
	struct group *group;

	if (!mode_parse(r->socket_mode, &r->s.access.mode))
		buf_printf(errors, "%s: socket-mode: \"%s\" is no octal mode like 0660\n", path,
			   r->socket_mode);
	r->s.access.gid = -1;
	if (r->socket_group != NULL) {
		group = getgrnam(r->socket_group);
		if (group == NULL)
			buf_printf(errors, "%s: socket-group: there is no group \"%s\"\n", path,
				   r->socket_group);
		else
			r->s.access.gid = (long)group->gr_gid;
	}
	return errors->n == before ? RC_OK : RC_INVALID;
}

static bool dampen_parse(const char *word, enum health_damping *out)
{
	static const char *const words[] = {
		[HEALTH_DAMP_NO] = "no", [HEALTH_DAMP_DNS] = "dns", [HEALTH_DAMP_ALL] = "all"};
	unsigned i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i], word) == 0) {
			*out = (enum health_damping)i;
			return true;
		}
	}
	return false;
}

/* What holds direct routes back. */
static int check_health(const char *path, struct raw *r, struct buf *errors)
{
	const struct settings *s = &r->s;
	size_t before = errors->n;

	if (s->dns_check && !HAS_CARES)
		buf_printf(errors, "%s: dns-check: this routed was built without c-ares\n", path);
	if (s->dns_compare.n != 0 && !s->dns_check)
		buf_printf(errors, "%s: dns-compare without dns-check\n", path);
	if (s->dns_recheck_min_ms > s->dns_recheck_max_ms)
		buf_printf(errors, "%s: dns-recheck-min is longer than dns-recheck-max\n", path);
	if (!dampen_parse(r->dampen, &r->s.damping))
		buf_printf(errors, "%s: dampen: \"%s\" is not dns, all or no\n", path, r->dampen);
	if (s->damp.reuse >= s->damp.suppress)
		buf_printf(errors, "%s: dampen-reuse is not below dampen-suppress\n", path);
	return errors->n == before ? RC_OK : RC_INVALID;
}

static int check(const char *path, struct arena *a, struct raw *r, struct buf *errors)
{
	const struct settings *s = &r->s;
	const char *why = "";
	struct dn dn;
	int rc = RC_OK;

	if (dn_parse(a, span_of(s->organisation), &dn, &why) != RC_OK || dn.n == 0) {
		buf_printf(errors, "%s: organisation: \"%s\" is no DN: %s\n", path, s->organisation,
			   why);
		rc = RC_INVALID;
	}
	if (strncmp(s->directory, "ldapi://", 8) != 0 && strncmp(s->directory, "ldap://", 7) != 0 &&
	    strncmp(s->directory, "ldaps://", 8) != 0) {
		buf_printf(errors, "%s: directory: \"%s\" is no LDAP URI\n", path, s->directory);
		rc = RC_INVALID;
	}
	if (s->bind_dn != NULL && s->bind_password_file == NULL) {
		buf_printf(errors, "%s: bind-dn without bind-password-file\n", path);
		rc = RC_INVALID;
	}
	if (!log_level_parse(span_of(r->log_level), &r->s.log_level)) {
		buf_printf(errors, "%s: log-level: \"%s\" is not error, warn, info or debug\n",
			   path, r->log_level);
		rc = RC_INVALID;
	}
	if (!null_sender_parse(r->null_sender, &r->s.null_sender_is_system)) {
		buf_printf(errors, "%s: null-sender: \"%s\" is not user or system\n", path,
			   r->null_sender);
		rc = RC_INVALID;
	}
	if (check_renders(path, &s->renders, errors) != RC_OK)
		rc = RC_INVALID;
	if (check_health(path, r, errors) != RC_OK)
		rc = RC_INVALID;
	if (check_access(path, r, errors) != RC_OK)
		rc = RC_INVALID;
	return rc;
}

int settings_read(const char *path, struct arena *a, struct settings *out, struct buf *errors)
{
	struct raw r = {
		.s = {.quiet_ms = 200,
		      .ceiling_ms = 2000,
		      .timeout_ms = 5000,
		      .heartbeat_ms = 10000,
		      .reconnect_max_ms = 60000,
		      .publish = true,
		      .dns_confirm_ms = 30000,
		      .dns_hold_ms = 3600000,
		      .dns_recheck_min_ms = 30000,
		      .dns_recheck_max_ms = 300000,
		      .damp = {.penalty = 1000,
			       .half_life_ms = 900000,
			       .suppress = 3000,
			       .reuse = 750,
			       .max_ms = 3600000}},
		.log_level = "info",
		.null_sender = "user",
		.dampen = "dns",
		.socket_mode = "0666",
	};
	struct conf_key keys[NKEYS];
	int rc;

	keys_of(&r, keys);
	rc = conf_read(path, a, keys, errors);
	if (rc == RC_OK)
		rc = check(path, a, &r, errors);
	if (rc == RC_OK)
		rc = resolve_all(path, a, &r.s);
	*out = r.s;
	return rc;
}

void settings_describe(struct buf *out)
{
	struct conf_key keys[NKEYS];
	struct raw r;

	keys_of(&r, keys);
	conf_describe(keys, out);
}
