/* Grammars of the attributes that routing and replication read. */
#include "tools/sitectl_common.h"

#include "lib/arena.h"
#include "lib/base64.h"
#include "lib/hours.h"
#include "routed/address.h"

typedef int check_fn(struct arena *a, struct span value, struct address_error *err);

static int bad(struct address_error *err, const char *reason, unsigned column)
{
	*err = (struct address_error){reason, column};
	return RC_INVALID;
}

static int check_cd(struct arena *a, struct span value, struct address_error *err)
{
	struct address_cd cd;

	return address_cd_parse(a, value, &cd, err);
}

static int check_space(struct arena *a, struct span value, struct address_error *err)
{
	struct address_space space;

	return address_space_parse(a, value, &space, err);
}

static int check_route(struct arena *a, struct span value, struct address_error *err)
{
	struct address_route route;

	return address_route_parse(a, value, &route, err);
}

static int check_host(struct arena *a, struct span value, struct address_error *err)
{
	(void)a;
	return address_host_check(value, err);
}

static int check_domain(struct arena *a, struct span value, struct address_error *err)
{
	struct span domain;

	(void)a;
	return address_domain_parse(value, &domain, err);
}

static bool is_one_of(struct span value, const char *const *words)
{
	for (; *words != NULL; words++) {
		if (span_eq(value, span_of(*words)))
			return true;
	}
	return false;
}

static int check_class(struct arena *a, struct span value, struct address_error *err)
{
	static const char *const words[] = {"none", "noUser", "noSystem", NULL};

	(void)a;
	return is_one_of(value, words) ? RC_OK : bad(err, "must be none, noUser or noSystem", 0);
}

static int check_mode(struct arena *a, struct span value, struct address_error *err)
{
	static const char *const words[] = {"both", "in", "out", "none", NULL};

	(void)a;
	return is_one_of(value, words) ? RC_OK : bad(err, "must be both, in, out or none", 0);
}

#define PIN_BYTES 32

static int check_pin(struct arena *a, struct span value, struct address_error *err)
{
	struct span text = span_from(value, 7);
	uint8_t *bytes = arena_alloc(a, base64_max_bytes(text.n) + 1);
	size_t n = 0;

	if (bytes == NULL)
		return RC_NOMEM;
	if (!span_starts(value, SPAN_LIT("sha256:")))
		return bad(err, "must begin with sha256:", 1);
	if (!base64_decode(text, bytes, &n) || n != PIN_BYTES)
		return bad(err, "behind sha256: come 32 bytes in base64", 8);
	return RC_OK;
}

static int check_ldaps(struct arena *a, struct span value, struct address_error *err)
{
	struct span rest = span_from(value, 8);

	(void)a;
	if (!span_eq_nocase(span_head(value, 8), SPAN_LIT("ldaps://")))
		return bad(err, "must be ldaps://HOST:PORT, replication is never in clear", 1);
	if (rest.n == 0 || rest.p[0] == ':' || memchr(rest.p, ' ', rest.n) != NULL)
		return bad(err, "host name is missing or holds a blank", 9);
	return RC_OK;
}

static int check_hours(struct arena *a, struct span value, struct address_error *err)
{
	struct hours hours = {{0}};
	struct hours_error wrong = {0, NULL};
	int rc = hours_add(&hours, value, &wrong);

	(void)a;
	return rc == RC_OK ? RC_OK : bad(err, wrong.why, wrong.column);
}

static const struct {
	const char *type;
	check_fn *check;
} checks[] = {
	{"connectedDomains", check_cd},
	{"routingList", check_space},
	{"domainRoute", check_route},
	{"smartHost", check_host},
	{"siteSmtpDomain", check_domain},
	{"siteSharedDomain", check_domain},
	{"messageClassRestriction", check_class},
	{"transferMode", check_mode},
	{"siteKey", check_pin},
	{"replicationURI", check_ldaps},
	{"replicationSchedule", check_hours},
};

static int check_bool(struct span *value)
{
	if (span_eq_nocase(*value, SPAN_LIT("TRUE")))
		*value = SPAN_LIT("TRUE");
	else if (span_eq_nocase(*value, SPAN_LIT("FALSE")))
		*value = SPAN_LIT("FALSE");
	else
		return RC_INVALID;
	return RC_OK;
}

static bool is_bool(struct span type)
{
	return span_eq_nocase(type, SPAN_LIT("connectorEnabled")) ||
	       span_eq_nocase(type, SPAN_LIT("onlySystemMessagesUseCDs"));
}

int sitectl_check_value(struct arena *a, struct span type, struct span *value)
{
	struct address_error err = {"malformed", 0};
	int rc = RC_OK;
	size_t i;

	if (is_bool(type)) {
		rc = check_bool(value);
		err.reason = "must be TRUE or FALSE";
	}
	for (i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		if (span_eq_nocase(type, span_of(checks[i].type)))
			rc = checks[i].check(a, *value, &err);
	}
	if (rc == RC_INVALID && err.column != 0)
		cli_error("%.*s \"%.*s\", column %u: %s", SPAN_ARG(type), SPAN_ARG(*value),
			  err.column, err.reason);
	else if (rc == RC_INVALID)
		cli_error("%.*s \"%.*s\": %s", SPAN_ARG(type), SPAN_ARG(*value), err.reason);
	return rc;
}
