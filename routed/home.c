#include "routed/home.h"

#include "lib/dn.h"
#include "lib/text.h"
#include "routed/encap.h"

/* The name of the site whose subtree holds the DN: the RDN just below the root. */
static int site_name_of(struct arena *a, struct span root, struct span dn, struct span *out)
{
	struct dn name;
	struct dn top;
	struct span root_normal, dn_normal;
	int rc = dn_parse(a, dn, &name, NULL);

	*out = span_make(NULL, 0);
	if (rc == RC_OK)
		rc = dn_parse(a, root, &top, NULL);
	if (rc == RC_OK)
		rc = dn_normalize_text(a, root, &root_normal);
	if (rc == RC_OK)
		rc = dn_normalize_text(a, dn, &dn_normal);
	if (rc != RC_OK)
		return rc;
	if (name.n > top.n && dn_is_within(dn_normal, root_normal) &&
	    name.rdns[name.n - top.n - 1].n == 1)
		*out = name.rdns[name.n - top.n - 1].avas[0].value;
	return RC_OK;
}

/* The live site that the recipient lives at; MODEL_NONE: none. */
static int site_of(const struct model *m, struct span root, struct span dn, uint32_t *out)
{
	struct arena a;
	struct span name;
	int rc;

	*out = MODEL_NONE;
	arena_init(&a);
	rc = site_name_of(&a, root, dn, &name);
	if (rc == RC_OK && name.n != 0)
		rc = model_find_site(m, name, out);
	arena_fini(&a);
	return rc == RC_NOTFOUND ? RC_OK : rc;
}

/* The mail address in a value of proxyAddresses or mail; empty for another address type. */
static struct span smtp_address(struct span value)
{
	struct span rest = value;
	struct span type;

	if (memchr(value.p, ':', value.n) == NULL)
		return value;
	(void)span_cut(&rest, ':', &type);
	return span_eq_nocase(type, SPAN_LIT("smtp")) ? rest : span_make(NULL, 0);
}

/* RFC 5322 §3.2.3, and RFC 6531 §3.3 for what is not ASCII. */
static bool is_atext(uint8_t c)
{
	uint8_t lower = span_ascii_lower(c);

	return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c >= 0x80 ||
	       (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* A local part that is the same with and without quotes: nothing to inject with. */
static bool is_dot_atom(struct span local)
{
	size_t i;

	if (local.n == 0 || local.p[0] == '-' || !text_is_utf8(local))
		return false;
	for (i = 0; i < local.n; i++) {
		bool dot = local.p[i] == '.';

		if (!dot && !is_atext(local.p[i]))
			return false;
		if (dot && (i == 0 || i + 1 == local.n || local.p[i - 1] == '.'))
			return false;
	}
	return true;
}

/* local@domain, and the domain; false: not an address to give out. */
static bool split_address(struct span address, struct span *domain)
{
	struct address_error err;
	size_t at = address.n;

	if (address.n == 0 || address.n > ENCAP_ADDRESS_MAX_BYTES)
		return false;
	while (at != 0 && address.p[at - 1] != '@')
		at--;
	return at != 0 && is_dot_atom(span_head(address, at - 1)) &&
	       address_domain_parse(span_from(address, at), domain, &err) == RC_OK;
}

/* Values come in no order: the primary address (SMTP: in capitals) wins, else the first bytewise.
 */
static void prefer(struct span value, struct span *best)
{
	if (best->n == 0 || span_cmp(value, *best) < 0)
		*best = value;
}

static struct span proxy_at(const struct home_recipient *r, struct span domain)
{
	struct span best = {NULL, 0}, own;
	unsigned i;

	for (i = 0; i < r->nvalues; i++) {
		if (split_address(smtp_address(r->values[i]), &own) && span_eq_nocase(own, domain))
			prefer(r->values[i], &best);
	}
	return best.n != 0 ? smtp_address(best) : best;
}

/* Mail for a domain that two sites claim may arrive at the wrong one. */
static bool is_unique_domain(const struct model *m, uint32_t site)
{
	struct span domain = m->sites[site].domain_folded;
	unsigned k;
	uint32_t i;

	if (domain.n == 0)
		return false;
	for (i = 0; i < m->nsites; i++) {
		const struct model_site *s = &m->sites[i];

		if (!s->live)
			continue;
		if (i != site && span_eq(s->domain_folded, domain))
			return false;
		for (k = 0; k < s->nshared; k++) {
			if (span_eq(s->shared_folded[k], domain))
				return false;
		}
	}
	return true;
}

int home_address(const struct model *m, struct span own_site, struct span root,
		 const struct home_recipient *r, enum home *home, struct buf *out)
{
	uint32_t site, own = MODEL_NONE;
	struct span proxy;
	int rc = site_of(m, root, r->dn, &site);

	*home = HOME_HERE;
	if (rc == RC_OK && site != MODEL_NONE)
		rc = model_find_site(m, own_site, &own);
	if (rc == RC_NOTFOUND)
		rc = RC_OK;
	if (rc != RC_OK || site == MODEL_NONE || site == own)
		return rc;
	*home = HOME_NO_MAIL;
	if (!is_unique_domain(m, site))
		return RC_OK;
	proxy = proxy_at(r, m->sites[site].domain);
	if (proxy.n != 0) {
		buf_put(out, proxy);
		rc = buf_rc(out);
	} else {
		rc = encap_write(r->dn, m->sites[site].domain, out);
	}
	if (rc == RC_OK)
		*home = HOME_OTHER;
	return rc == RC_TOOBIG && buf_rc(out) == RC_OK ? RC_OK : rc;
}

static int delivers(const struct table *t, struct span address, bool *out)
{
	struct table_result result;
	int rc = table_lookup(t, address, TABLE_USER, &result);

	*out = rc == RC_OK && (result.status == TABLE_LOCAL || result.status == TABLE_SHARED);
	return rc == RC_NOMEM ? rc : RC_OK;
}

int home_mailbox(const struct table *t, const struct home_recipient *r, struct buf *out)
{
	struct span best = {NULL, 0}, domain;
	unsigned i;
	int rc = RC_OK;

	for (i = 0; i < r->nvalues && rc == RC_OK; i++) {
		struct span address = smtp_address(r->values[i]);
		bool here = false;

		if (split_address(address, &domain) && !encap_is(address))
			rc = delivers(t, address, &here);
		if (here)
			prefer(r->values[i], &best);
	}
	if (rc != RC_OK)
		return rc;
	if (best.n == 0)
		return RC_NOTFOUND;
	buf_put(out, smtp_address(best));
	return buf_rc(out);
}
