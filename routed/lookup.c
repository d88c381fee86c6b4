#include "routed/lookup.h"

#include "lib/idna.h"
#include "lib/text.h"
#include "routed/address.h"
#include "routed/netstring.h"

#include <limits.h>

#define POSTMASTER "postmaster@"
#define DOMAIN_FORM_MAX_BYTES (4 * IDNA_DOMAIN_MAX_BYTES + 3)

static bool is_no_address(struct span key)
{
	return key.n == 0 || span_eq(key, SPAN_LIT("*")) || span_eq(key, SPAN_LIT("<>")) ||
	       span_eq(key, SPAN_LIT("\"<>\""));
}

static int check_text(struct span key)
{
	size_t i;

	if (key.n > NETSTRING_KEY_MAX_BYTES)
		return RC_TOOBIG;
	for (i = 0; i < key.n; i++) {
		if (key.p[i] < ' ' || key.p[i] == 0x7f)
			return RC_INVALID;
	}
	return text_is_utf8(key) ? RC_OK : RC_INVALID;
}

static size_t last_at(struct span key)
{
	size_t i;

	for (i = key.n; i != 0; i--) {
		if (key.p[i - 1] == '@')
			return i - 1;
	}
	return key.n;
}

/* Where the extension begins; the end of the local part without one. A quoted part has none. */
static size_t extension_at(struct span local)
{
	size_t i;

	if (local.n != 0 && local.p[0] == '"')
		return local.n;
	for (i = 1; i < local.n; i++) {
		if (local.p[i] == '+')
			return i;
	}
	return local.n;
}

static void put_lower(struct buf *b, struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		buf_putc(b, span_ascii_lower(s.p[i]));
}

static struct span without_dot(struct span key)
{
	return key.n != 0 && key.p[key.n - 1] == '.' ? span_head(key, key.n - 1) : key;
}

static bool is_ascii(struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] >= 0x80)
			return false;
	}
	return true;
}

typedef int convert_fn(struct span domain, struct buf *out);

/* The same address with its domain in another form, behind the end of `scratch`, which may move. */
static int add_form(struct buf *scratch, struct lookup_key *k, convert_fn *convert,
		    struct span *form)
{
	size_t full_at = (size_t)(k->full.p - scratch->p);
	size_t address_at = (size_t)(k->address.p - scratch->p);
	size_t form_at = scratch->n;
	struct buf domain;
	size_t i;
	int rc;

	buf_init(&domain, DOMAIN_FORM_MAX_BYTES);
	rc = convert(span_from(k->address, k->domain_at), &domain);
	if (rc == RC_OK) {
		for (i = 0; i < k->domain_at; i++)
			buf_putc(scratch, scratch->p[address_at + i]);
		buf_put(scratch, buf_span(&domain));
		rc = buf_rc(scratch);
		k->full.p = scratch->p + full_at;
		k->address.p = scratch->p + address_at;
		*form = span_from(buf_span(scratch), form_at);
	}
	buf_fini(&domain);
	return rc == RC_INVALID ? RC_OK : rc; /* only the text itself can match */
}

static bool has_a_label(struct span domain)
{
	struct span label;

	do {
		bool more = span_cut(&domain, '.', &label);

		if (span_starts(label, SPAN_LIT("xn--")))
			return true;
		if (!more)
			return false;
	} while (true);
}

/* Directory and mail servers may each write a domain in either form (RFC 5890). */
static int add_forms(struct buf *scratch, struct lookup_key *k)
{
	struct span domain = span_from(k->address, k->domain_at);

	if (!is_ascii(domain))
		return add_form(scratch, k, idna_to_ascii, &k->ascii);
	return has_a_label(domain) ? add_form(scratch, k, idna_to_unicode, &k->unicode) : RC_OK;
}

static int fold_key(struct span key, struct buf *scratch, struct lookup_key *out)
{
	size_t at;
	size_t cut;
	int rc;

	rc = check_text(key);
	if (rc != RC_OK)
		return rc;
	key = span_trim(key);
	if (is_no_address(key))
		return RC_OK;
	key = without_dot(key);
	buf_clear(scratch);
	at = last_at(key);
	if (at == key.n) {
		buf_puts(scratch, POSTMASTER);
		put_lower(scratch, key);
		out->kind = LOOKUP_KEY_DOMAIN;
		out->full = out->address = buf_span(scratch);
		out->domain_at = sizeof(POSTMASTER) - 1;
		return buf_rc(scratch);
	}
	if (at == 0 || at + 1 == key.n)
		return RC_OK; /* "@domain", "user@": no address */
	cut = extension_at(span_head(key, at));
	put_lower(scratch, key);
	put_lower(scratch, span_head(key, cut));
	put_lower(scratch, span_from(key, at));
	if (buf_rc(scratch) != RC_OK)
		return buf_rc(scratch);
	out->kind = LOOKUP_KEY_ADDRESS;
	out->full = span_head(buf_span(scratch), key.n);
	out->address = span_from(buf_span(scratch), key.n);
	out->domain_at = cut + 1;
	return RC_OK;
}

int lookup_key(struct span key, struct buf *scratch, struct lookup_key *out)
{
	int rc;

	*out = (struct lookup_key){.kind = LOOKUP_KEY_NONE};
	rc = fold_key(key, scratch, out);
	return rc == RC_OK && out->kind != LOOKUP_KEY_NONE ? add_forms(scratch, out) : rc;
}

static enum table_class classify(const struct table *t, const struct lookup_key *key)
{
	const struct span forms[] = {key->full, key->address, key->ascii, key->unicode};
	size_t i;

	if (key->kind != LOOKUP_KEY_ADDRESS)
		return TABLE_USER;
	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (forms[i].n != 0 && table_classify(t, forms[i]) == TABLE_SYSTEM)
			return TABLE_SYSTEM;
	}
	return TABLE_USER;
}

enum table_class lookup_sender(const struct table *t, struct span sender, bool null_is_system,
			       struct buf *scratch)
{
	struct lookup_key k;

	if (sender.n == 0 || span_eq(sender, SPAN_LIT("<>")))
		return null_is_system ? TABLE_SYSTEM : TABLE_USER;
	return lookup_key(sender, scratch, &k) == RC_OK ? classify(t, &k) : TABLE_USER;
}

void lookup_put_line(struct span name, struct buf *out)
{
	size_t i;

	for (i = 0; i < name.n; i++)
		buf_putc(out, name.p[i] >= ' ' && name.p[i] != 0x7f ? name.p[i] : '?');
}

static void judge(struct lookup_answer *out)
{
	switch (out->result.status) {
	case TABLE_FOUND:
		out->verdict =
			out->result.row->mode == TABLE_NO_ROUTE ? LOOKUP_NO_ROUTE : LOOKUP_ROUTE;
		break;
	case TABLE_LOCAL:
		out->verdict = LOOKUP_LOCAL;
		break;
	case TABLE_SHARED:
		out->verdict = LOOKUP_SHARED;
		break;
	case TABLE_ABSENT:
		out->verdict = LOOKUP_ABSENT;
		break;
	}
}

/* How well what was found fits (R7): a pattern by its literal characters, all else better. */
static unsigned fitness(const struct table *t, const struct lookup_answer *a)
{
	struct span pattern;

	if (a->verdict == LOOKUP_ABSENT)
		return 0;
	if (a->result.status != TABLE_FOUND ||
	    span_eq(table_text(t, a->result.row->type), SPAN_LIT("EX")))
		return UINT_MAX;
	pattern = table_text(t, a->result.row->target);
	return pattern.n == 0 || address_is_wild(pattern) ? address_literals(pattern) : UINT_MAX;
}

/*
 * A host below a site's domain belongs to that site: ask with each parent domain in turn. Only a
 * site counts there, because address spaces have patterns of their own for it; and one of more
 * literal characters than ".domain" keeps what it has.
 */
static int walk_parents(const struct table *t, struct span domain, struct lookup_answer *out)
{
	uint8_t text[sizeof(POSTMASTER) - 1 + 256];
	struct table_result result;
	struct span head, tls;
	int rc = RC_OK;

	memcpy(text, POSTMASTER, sizeof(POSTMASTER) - 1);
	while (rc == RC_OK && span_cut(&domain, '.', &head) && domain.n != 0) {
		if (domain.n > 255)
			continue;
		if (domain.n + 1 <= fitness(t, out))
			break;
		memcpy(text + sizeof(POSTMASTER) - 1, domain.p, domain.n);
		rc = table_lookup(t, span_make(text, sizeof(POSTMASTER) - 1 + domain.n), out->cls,
				  &result);
		if (rc != RC_OK || result.status == TABLE_ABSENT)
			continue;
		if (result.status == TABLE_FOUND &&
		    !span_eq(table_text(t, result.row->type), SPAN_LIT("EX"))) {
			if (table_tls(t, domain, &tls))
				break; /* a site without a route: as its own mail (R12) */
			continue;
		}
		out->result = result;
		out->domain = domain;
		judge(out);
		break;
	}
	return rc;
}

static int route_address(const struct table *t, struct span address, size_t domain_at,
			 struct lookup_answer *out)
{
	int rc;

	out->address = address;
	out->domain = span_from(address, domain_at);
	rc = table_lookup(t, address, out->cls, &out->result);
	if (rc != RC_OK)
		return rc;
	judge(out);
	return walk_parents(t, out->domain, out);
}

/* Of the domain's two forms the one with the closer match counts. */
static int route_other_form(const struct table *t, struct span form, size_t domain_at,
			    struct lookup_answer *out)
{
	struct lookup_answer other = {.verdict = LOOKUP_ABSENT, .cls = out->cls};
	int rc = route_address(t, form, domain_at, &other);

	if (rc == RC_OK && (out->verdict == LOOKUP_ABSENT || fitness(t, &other) > fitness(t, out)))
		*out = other;
	return rc;
}

int lookup_route(const struct table *t, const struct lookup_key *key, enum table_class cls,
		 struct lookup_answer *out)
{
	struct span other = key->ascii.n != 0 ? key->ascii : key->unicode;
	int rc;

	*out = (struct lookup_answer){.verdict = LOOKUP_ABSENT, .cls = cls};
	if (key->kind == LOOKUP_KEY_NONE)
		return RC_OK;
	if (classify(t, key) == TABLE_SYSTEM)
		out->cls = TABLE_SYSTEM;
	rc = route_address(t, key->address, key->domain_at, out);
	return rc == RC_OK && other.n != 0 ? route_other_form(t, other, key->domain_at, out) : rc;
}

/* "domain", "domain:port", "[host]", "[host]:port" */
static struct span host_of(struct span key)
{
	bool bracket = key.n != 0 && key.p[0] == '[';
	struct span rest = bracket ? span_from(key, 1) : key;
	struct span host;

	(void)span_cut(&rest, bracket ? ']' : ':', &host);
	return host;
}

int lookup_site_of_host(const struct table *t, struct span host, struct span *out)
{
	struct lookup_answer answer;
	struct lookup_key k;
	struct buf scratch;
	int rc;

	*out = span_make(NULL, 0);
	buf_init(&scratch, 4 * NETSTRING_REQUEST_MAX_BYTES);
	rc = lookup_key(host_of(host), &scratch, &k);
	if (rc == RC_OK && k.kind == LOOKUP_KEY_DOMAIN) {
		rc = lookup_route(t, &k, TABLE_SYSTEM, &answer);
		if (rc == RC_OK && answer.verdict == LOOKUP_LOCAL)
			*out = table_text(t, t->site);
		else if (rc == RC_OK && answer.result.status == TABLE_FOUND &&
			 span_eq(table_text(t, answer.result.row->type), SPAN_LIT("EX")))
			*out = table_text(t, answer.result.row->target);
	}
	buf_fini(&scratch);
	return rc == RC_NOMEM ? rc : RC_OK;
}

int lookup_next_site(const struct table *t, const struct table_result *hop, struct span *out)
{
	int rc = RC_OK;

	*out = span_make(NULL, 0);
	if ((hop->hop == TABLE_HOP_MX || hop->hop == TABLE_HOP_HOST) && hop->nexthop.n != 0)
		rc = lookup_site_of_host(t, hop->nexthop, out);
	if (out->n == 0)
		*out = table_text(t, hop->row->next);
	return rc;
}

static void put_answer(const struct table *t, const struct lookup_answer *a, struct buf *reply)
{
	switch (a->verdict) {
	case LOOKUP_ROUTE:
		buf_puts(reply, "OK ");
		table_transport(t, &a->result, reply);
		break;
	case LOOKUP_NO_ROUTE:
		buf_puts(reply, "OK retry:4.4.4 no mail route to site ");
		lookup_put_line(table_text(t, a->result.row->target), reply);
		break;
	case LOOKUP_LOCAL:
	case LOOKUP_SHARED:
	case LOOKUP_ABSENT:
		buf_puts(reply, "NOTFOUND ");
		break;
	}
}

bool lookup_begin(const struct table *t, struct span key, struct buf *scratch, struct lookup_key *k,
		  struct buf *reply)
{
	int rc = lookup_key(key, scratch, k);

	if (rc == RC_OK && k->kind == LOOKUP_KEY_NONE)
		buf_puts(reply, "NOTFOUND ");
	else if (rc == RC_NOMEM)
		buf_puts(reply, "TEMP out of memory");
	else if (rc == RC_TOOBIG)
		buf_puts(reply, "PERM key is too long");
	else if (rc != RC_OK)
		buf_puts(reply, "PERM key is no mail address");
	else if (t == NULL)
		buf_puts(reply, "TEMP no route table yet");
	else
		return true;
	return false;
}

void lookup_put_failure(int rc, struct buf *reply)
{
	buf_puts(reply, rc == RC_NOMEM ? "TEMP out of memory" : "PERM key is no mail address");
}

void lookup_transport(const struct table *t, struct span key, struct buf *scratch,
		      struct buf *reply)
{
	struct lookup_answer answer;
	struct lookup_key k;
	int rc;

	if (!lookup_begin(t, key, scratch, &k, reply))
		return;
	rc = lookup_route(t, &k, TABLE_USER, &answer);
	if (rc == RC_OK)
		put_answer(t, &answer, reply);
	else
		lookup_put_failure(rc, reply);
}

void lookup_relay_domain(const struct table *t, struct span key, struct buf *scratch,
			 struct buf *reply)
{
	struct lookup_answer answer;
	struct lookup_key k;
	struct span asked;
	int rc;

	if (!lookup_begin(t, key, scratch, &k, reply))
		return;
	rc = lookup_route(t, &k, TABLE_SYSTEM, &answer);
	if (rc != RC_OK) {
		lookup_put_failure(rc, reply);
		return;
	}
	asked = span_from(answer.address, k.domain_at);
	if (k.kind == LOOKUP_KEY_DOMAIN && answer.result.status == TABLE_FOUND &&
	    span_eq(table_text(t, answer.result.row->type), SPAN_LIT("EX")) &&
	    answer.domain.n == asked.n) {
		buf_puts(reply, "OK ");
		buf_put(reply, asked);
	} else {
		buf_puts(reply, "NOTFOUND ");
	}
}

/* Of the domain, or the nearest one above it. */
static struct span find_tls(const struct table *t, struct span domain)
{
	struct span policy, head;

	while (!table_tls(t, domain, &policy) && span_cut(&domain, '.', &head))
		;
	return policy;
}

void lookup_tls_policy(const struct table *t, struct span key, struct buf *scratch,
		       struct buf *reply)
{
	struct lookup_key k;
	struct span policy;

	if (!lookup_begin(t, host_of(span_trim(key)), scratch, &k, reply))
		return;
	policy = find_tls(t, span_from(k.ascii.n != 0 ? k.ascii : k.address, k.domain_at));
	if (policy.n == 0)
		policy = find_tls(t, span_from(k.unicode, k.domain_at));
	if (policy.n == 0) {
		buf_puts(reply, "NOTFOUND ");
	} else if (span_eq(policy, SPAN_LIT(MODEL_TLS_UNKNOWN))) {
		buf_puts(reply, "TEMP the TLS that this site needs is not known");
	} else {
		buf_puts(reply, "OK ");
		buf_put(reply, policy);
	}
}
