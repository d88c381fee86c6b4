#include "routed/relayhost.h"

#include "lib/idna.h"
#include "routed/netstring.h"

/* "relay", "[relay]", "[192.0.2.9]:2525", "[2001:db8::1]": the host without brackets, and the rest.
 */
static struct span cut_host(struct span nexthop, struct span *port)
{
	struct span rest = nexthop;
	struct span host = nexthop;

	*port = span_make(NULL, 0);
	if (rest.n != 0 && rest.p[0] == '[') {
		rest = span_from(rest, 1);
		(void)span_cut(&rest, ']', &host);
		*port = rest;
	}
	return host;
}

static bool is_ipv4(struct span host)
{
	size_t i;

	for (i = 0; i < host.n; i++) {
		if ((host.p[i] < '0' || host.p[i] > '9') && host.p[i] != '.')
			return false;
	}
	return host.n != 0;
}

/* Literals have brackets there, names have not. */
static int put_host(struct span nexthop, struct buf *reply)
{
	struct span port;
	struct span host = cut_host(nexthop, &port);
	int rc = RC_OK;

	if (memchr(host.p, ':', host.n) != NULL)
		buf_printf(reply, "[IPv6:%.*s]", SPAN_ARG(host));
	else if (is_ipv4(host))
		buf_printf(reply, "[%.*s]", SPAN_ARG(host));
	else
		rc = idna_to_ascii(host, reply);
	buf_put(reply, port);
	return rc;
}

/* What a URL can ask for; NULL: less than the site wants. */
static const char *scheme_of(const struct table *t, struct span nexthop, struct buf *scratch,
			     struct buf *policy)
{
	struct span text;

	lookup_tls_policy(t, nexthop, scratch, policy);
	text = buf_span(policy);
	if (span_starts(text, SPAN_LIT("NOTFOUND")) || span_eq(text, SPAN_LIT("OK may")) ||
	    span_eq(text, SPAN_LIT("OK none")))
		return "smtp://";
	return span_eq(text, SPAN_LIT("OK encrypt")) ? "smtp+tls://" : NULL;
}

static void put_url(const struct table *t, struct span nexthop, struct buf *scratch,
		    struct buf *reply)
{
	const char *scheme;
	struct buf policy;
	int rc;

	buf_init(&policy, NETSTRING_REPLY_MAX_BYTES);
	scheme = scheme_of(t, nexthop, scratch, &policy);
	if (scheme == NULL) {
		buf_puts(reply, "TEMP OpenSMTPD can not keep the TLS that this site needs");
	} else {
		buf_printf(reply, "OK %s", scheme);
		rc = put_host(nexthop, reply);
		if (rc != RC_OK) {
			buf_clear(reply);
			buf_puts(reply, rc == RC_NOMEM ? "TEMP out of memory"
						       : "TEMP the next hop is no host name");
		}
	}
	buf_fini(&policy);
}

static void put_route(const struct table *t, const struct lookup_key *k,
		      const struct lookup_answer *a, struct buf *scratch, struct buf *reply)
{
	struct span own = span_from(k->ascii.n != 0 ? k->ascii : k->address, k->domain_at);
	const struct table_result *r = &a->result;

	if (r->hop == TABLE_HOP_TYPE)
		buf_puts(reply, "TEMP the connector is not SMTP");
	else if (r->nexthop.n == 0 || (r->hop == TABLE_HOP_MX && span_eq_nocase(r->nexthop, own)))
		buf_puts(reply, "NOTFOUND ");
	else
		put_url(t, r->nexthop, scratch, reply); /* the key is not needed any more */
}

static void answer(const struct table *t, const struct lookup_key *k, enum table_class cls,
		   struct buf *scratch, struct buf *reply)
{
	struct lookup_answer a;
	int rc = lookup_route(t, k, cls, &a);

	if (rc != RC_OK) {
		lookup_put_failure(rc, reply);
		return;
	}
	switch (a.verdict) {
	case LOOKUP_ROUTE:
		put_route(t, k, &a, scratch, reply);
		break;
	case LOOKUP_NO_ROUTE:
		buf_puts(reply, "TEMP no mail route to site ");
		lookup_put_line(table_text(t, a.result.row->target), reply);
		break;
	case LOOKUP_LOCAL:
	case LOOKUP_SHARED:
	case LOOKUP_ABSENT:
		buf_puts(reply, "NOTFOUND ");
		break;
	}
}

void relayhost_answer(const struct table *t, struct span key, struct buf *scratch,
		      struct buf *reply)
{
	struct lookup_key k;

	if (lookup_begin(t, key, scratch, &k, reply))
		answer(t, &k, TABLE_USER, scratch, reply);
}

static bool is_system(const struct table *t, struct span address, struct buf *scratch)
{
	return lookup_sender(t, address, false, scratch) == TABLE_SYSTEM;
}

void relayhost_answer_system(const struct table *t, struct span key, struct buf *scratch,
			     struct buf *reply)
{
	struct lookup_key k;

	if (!lookup_begin(t, key, scratch, &k, reply))
		return;
	if (k.kind == LOOKUP_KEY_ADDRESS && !is_system(t, key, scratch))
		buf_puts(reply, "NOTFOUND ");
	else if (lookup_begin(t, key, scratch, &k, reply))
		answer(t, &k, TABLE_SYSTEM, scratch, reply);
}

void relayhost_answer_sender(const struct table *t, struct span key, struct buf *scratch,
			     struct buf *reply)
{
	struct lookup_key k;

	if (lookup_begin(t, key, scratch, &k, reply))
		buf_puts(reply, is_system(t, key, scratch) ? "OK system" : "NOTFOUND ");
}
