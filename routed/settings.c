#include "routed/settings.h"

#include "lib/dn.h"
#include "routed/render.h"

struct raw {
	struct settings s;
	const char *log_level;
	const char *null_sender;
};

#define NKEYS 24

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
		      .publish = true},
		.log_level = "info",
		.null_sender = "user",
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
