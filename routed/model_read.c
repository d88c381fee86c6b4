#include "routed/model_read.h"

#include "lib/base64.h"
#include "lib/dn.h"

#include <stdlib.h>

#define KEY_PREFIX "sha256:"
#define PIN_BYTES 32
#define PIN_TEXT_BYTES 44 /* of PIN_BYTES in base64 */
#define TLS_MAX_BYTES 4096

enum attr {
	SITE_DOMAIN,
	SHARED_DOMAIN,
	SYSTEM_ADDRESS,
	SITE_KEY,
	TLS_LEVEL,
	FLAG,
	CONNECTED_DOMAINS,
	ROUTING_LIST,
	ENABLED,
	RESTRICTION,
	TRANSPORT,
	TRANSFER_MODE,
	SMART_HOST,
	DOMAIN_ROUTE,
	ATTR_COUNT,
};

static const char *const attr_names[ATTR_COUNT] = {
	[SITE_DOMAIN] = "siteSmtpDomain",
	[SHARED_DOMAIN] = "siteSharedDomain",
	[SYSTEM_ADDRESS] = "systemAddress",
	[SITE_KEY] = "siteKey",
	[TLS_LEVEL] = "mailTlsLevel",
	[FLAG] = "onlySystemMessagesUseCDs",
	[CONNECTED_DOMAINS] = "connectedDomains",
	[ROUTING_LIST] = "routingList",
	[ENABLED] = "connectorEnabled",
	[RESTRICTION] = "messageClassRestriction",
	[TRANSPORT] = "mtaTransport",
	[TRANSFER_MODE] = "transferMode",
	[SMART_HOST] = "smartHost",
	[DOMAIN_ROUTE] = "domainRoute",
};

/* The rule table of M1: which class makes an entry what. */
static const struct {
	const char *name;
	enum model_entry entry;
	enum model_kind kind;
} classes[] = {
	{"mailSite", MODEL_ENTRY_SITE, MODEL_IMS},
	{"imsConnector", MODEL_ENTRY_CONNECTOR, MODEL_IMS},
	{"siteConnector", MODEL_ENTRY_CONNECTOR, MODEL_SITE_LINK},
	{"x400Connector", MODEL_ENTRY_CONNECTOR, MODEL_X400},
	{"gatewayConnector", MODEL_ENTRY_CONNECTOR, MODEL_GATEWAY},
	{"mailConnector", MODEL_ENTRY_CONNECTOR, MODEL_GATEWAY},
};
#define NCLASSES (sizeof(classes) / sizeof(classes[0]))

/* The values of one entry by attribute, sorted, without doubles. */
struct view {
	struct span *values[ATTR_COUNT];
	unsigned n[ATTR_COUNT];
	unsigned total;
	size_t class; /* index into classes; NCLASSES: none */
};

struct reading {
	struct arena *a;
	struct span dn;
	struct view view;
	struct model_ignored *ignored;
	unsigned nignored;
};

static size_t find_class(const struct model_attr *attrs, unsigned nattrs)
{
	size_t best = NCLASSES, c;
	unsigned i, v;

	for (i = 0; i < nattrs; i++) {
		if (!span_eq_nocase(attrs[i].type, SPAN_LIT("objectClass")))
			continue;
		for (v = 0; v < attrs[i].nvalues; v++) {
			for (c = 0; c < best; c++) {
				if (span_eq_nocase(attrs[i].values[v], span_of(classes[c].name)))
					best = c;
			}
		}
	}
	return best;
}

enum model_entry model_read_class(const struct model_attr *attrs, unsigned nattrs)
{
	size_t class = find_class(attrs, nattrs);

	return class < NCLASSES ? classes[class].entry : MODEL_ENTRY_OTHER;
}

static int compare_spans(const void *a, const void *b)
{
	return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

static int collect(struct arena *a, const struct model_attr *attrs, unsigned nattrs,
		   enum attr which, struct view *view)
{
	struct span name = span_of(attr_names[which]);
	unsigned i, v, n = 0, kept = 0;
	struct span *values;

	for (i = 0; i < nattrs; i++)
		n += span_eq_nocase(attrs[i].type, name) ? attrs[i].nvalues : 0;
	if (n == 0)
		return RC_OK;
	values = arena_zalloc(a, n, sizeof(*values));
	if (values == NULL)
		return RC_NOMEM;
	for (i = 0, n = 0; i < nattrs; i++) {
		for (v = 0; span_eq_nocase(attrs[i].type, name) && v < attrs[i].nvalues; v++)
			values[n++] = attrs[i].values[v];
	}
	qsort(values, n, sizeof(*values), compare_spans);
	for (i = 0; i < n; i++) {
		if (kept == 0 || !span_eq(values[i], values[kept - 1]))
			values[kept++] = values[i];
	}
	view->values[which] = values;
	view->n[which] = kept;
	view->total += kept;
	return RC_OK;
}

/* Only what the class of the entry gives a meaning to. */
static bool is_read(const struct view *view, enum attr which)
{
	if (classes[view->class].entry == MODEL_ENTRY_SITE)
		return which <= FLAG;
	if (classes[view->class].kind == MODEL_IMS)
		return which >= FLAG;
	return which >= CONNECTED_DOMAINS && which <= TRANSPORT;
}

static int view_init(struct arena *a, const struct model_attr *attrs, unsigned nattrs,
		     struct view *view)
{
	unsigned which;
	int rc = RC_OK;

	*view = (struct view){.class = find_class(attrs, nattrs)};
	must(view->class < NCLASSES);
	for (which = 0; which < ATTR_COUNT && rc == RC_OK; which++) {
		if (is_read(view, (enum attr)which))
			rc = collect(a, attrs, nattrs, (enum attr)which, view);
	}
	return rc;
}

static void put_counted(struct buf *raw, struct span s)
{
	uint32_t n = (uint32_t)s.n;

	buf_put(raw, span_make(&n, sizeof(n)));
	buf_put(raw, s);
}

int model_read_raw(struct arena *a, struct span dn, const struct model_attr *attrs, unsigned nattrs,
		   struct buf *raw)
{
	struct view view;
	unsigned which, v;
	int rc = view_init(a, attrs, nattrs, &view);

	if (rc != RC_OK)
		return rc;
	buf_putc(raw, (uint8_t)view.class);
	put_counted(raw, dn);
	for (which = 0; which < ATTR_COUNT; which++) {
		buf_putc(raw, (uint8_t)which);
		for (v = 0; v < view.n[which]; v++)
			put_counted(raw, view.values[which][v]);
	}
	return buf_rc(raw);
}

static void ignore(struct reading *r, const char *attribute, struct span value, const char *reason,
		   unsigned column)
{
	r->ignored[r->nignored++] = (struct model_ignored){
		.dn = r->dn,
		.attribute = span_of(attribute),
		.value = value,
		.reason = reason,
		.column = column,
	};
}

static void ignore_error(struct reading *r, enum attr which, struct span value,
			 const struct address_error *err)
{
	ignore(r, attr_names[which], value, err->reason, err->column);
}

static int reading_init(struct reading *r, struct arena *a, struct span dn,
			const struct model_attr *attrs, unsigned nattrs)
{
	int rc;

	*r = (struct reading){.a = a, .dn = dn};
	rc = view_init(a, attrs, nattrs, &r->view);
	if (rc != RC_OK)
		return rc;
	r->ignored = arena_zalloc(a, r->view.total + 1, sizeof(*r->ignored)); /* + 1: the name */
	return r->ignored != NULL ? RC_OK : RC_NOMEM;
}

/* The one value of a single-valued attribute, or NULL. */
static const struct span *single(struct reading *r, enum attr which)
{
	const struct span *values = r->view.values[which];
	unsigned v;

	for (v = 1; v < r->view.n[which]; v++)
		ignore(r, attr_names[which], values[v], "single-valued, another value is in use",
		       0);
	return r->view.n[which] != 0 ? values : NULL;
}

static enum model_flag read_bool(struct reading *r, enum attr which)
{
	const struct span *value = single(r, which);

	if (value == NULL)
		return MODEL_FLAG_ABSENT;
	if (span_eq_nocase(*value, SPAN_LIT("TRUE")))
		return MODEL_FLAG_TRUE;
	if (span_eq_nocase(*value, SPAN_LIT("FALSE")))
		return MODEL_FLAG_FALSE;
	ignore(r, attr_names[which], *value, "neither TRUE nor FALSE", 1);
	return MODEL_FLAG_ABSENT;
}

/* The index of the value in a NULL-ended list of words; 0, the default, when absent or unknown. */
static unsigned read_word(struct reading *r, enum attr which, const char *const words[],
			  const char *reason)
{
	const struct span *value = single(r, which);
	unsigned i;

	if (value == NULL)
		return 0;
	for (i = 0; words[i] != NULL; i++) {
		if (span_eq_nocase(*value, span_of(words[i])))
			return i;
	}
	ignore(r, attr_names[which], *value, reason, 1);
	return 0;
}

/* The own RDN's value of `type`, else its first one; and the DN in both forms. */
static int read_name(struct reading *r, const char *type, struct span *dn_normal, struct span *name,
		     struct span *folded)
{
	const struct dn_rdn *rdn;
	struct dn dn;
	unsigned i;
	int rc = dn_parse(r->a, r->dn, &dn, NULL);

	if (rc == RC_OK && dn.n == 0)
		rc = RC_INVALID;
	if (rc == RC_OK)
		rc = dn_normalize_text(r->a, r->dn, dn_normal);
	if (rc != RC_OK)
		return rc == RC_NOMEM ? rc : RC_INVALID;
	rdn = &dn.rdns[0];
	*name = rdn->avas[0].value;
	for (i = 0; i < rdn->n; i++) {
		if (span_eq_nocase(rdn->avas[i].type, span_of(type)))
			*name = rdn->avas[i].value;
	}
	rc = address_fold(r->a, *name, folded);
	if (rc != RC_INVALID && folded->n != 0)
		return rc;
	if (rc == RC_NOMEM)
		return rc;
	*folded = (struct span){NULL, 0};
	ignore(r, type, *name, "not usable as a name", 0);
	return RC_OK;
}

/* Keep the values of `which` that `check` accepts, folded. */
static int read_folded(struct reading *r, enum attr which, bool domains, struct span **out,
		       unsigned *n)
{
	unsigned v;

	*out = arena_zalloc(r->a, r->view.n[which], sizeof(**out));
	if (*out == NULL)
		return RC_NOMEM;
	for (v = 0; v < r->view.n[which]; v++) {
		struct address_error err = {"not usable as an address", 0};
		struct span value = r->view.values[which][v], plain = value;
		int rc = domains ? address_domain_parse(value, &plain, &err) : RC_OK;

		if (rc == RC_OK)
			rc = address_fold(r->a, plain, &(*out)[*n]);
		if (rc == RC_NOMEM)
			return rc;
		if (rc == RC_OK && (*out)[*n].n != 0)
			(*n)++;
		else
			ignore_error(r, which, value, &err);
	}
	return RC_OK;
}

static int read_site_domain(struct reading *r, struct model_site *site)
{
	struct address_error err = {"not usable as a domain", 0};
	const struct span *value = single(r, SITE_DOMAIN);
	int rc;

	if (value == NULL)
		return RC_OK;
	rc = address_domain_parse(*value, &site->domain, &err);
	if (rc == RC_OK)
		rc = address_fold(r->a, site->domain, &site->domain_folded);
	if (rc != RC_INVALID)
		return rc;
	site->domain = (struct span){NULL, 0};
	ignore_error(r, SITE_DOMAIN, *value, &err);
	return RC_OK;
}

static int compare_cds(const void *a, const void *b)
{
	const struct model_cd *x = a, *y = b;
	int c = span_cmp(x->folded, y->folded);

	if (c == 0)
		c = (x->cost > y->cost) - (x->cost < y->cost);
	if (c == 0)
		c = span_cmp(x->type, y->type);
	if (c == 0)
		c = span_cmp(x->address, y->address);
	return c;
}

/* Of several to one site the cheapest stays; the spelling shown is the bytewise first of all. */
static unsigned unique_cds(struct model_cd *cds, unsigned n)
{
	unsigned i, kept = 0;

	qsort(cds, n, sizeof(*cds), compare_cds);
	for (i = 0; i < n; i++) {
		struct model_cd *last = kept != 0 ? &cds[kept - 1] : NULL;

		if (last == NULL || !span_eq(last->folded, cds[i].folded))
			cds[kept++] = cds[i];
		else if (span_cmp(cds[i].written, last->written) < 0)
			last->written = cds[i].written;
	}
	return kept;
}

static int read_cds(struct reading *r, struct model_connector *c)
{
	unsigned v;

	c->cds = arena_zalloc(r->a, r->view.n[CONNECTED_DOMAINS], sizeof(*c->cds));
	if (c->cds == NULL)
		return RC_NOMEM;
	for (v = 0; v < r->view.n[CONNECTED_DOMAINS]; v++) {
		struct span value = r->view.values[CONNECTED_DOMAINS][v];
		struct model_cd *cd = &c->cds[c->ncds];
		struct address_error err = {"site name is not usable as a name", 1};
		struct address_cd parsed;
		int rc = address_cd_parse(r->a, value, &parsed, &err);

		if (rc == RC_OK)
			rc = address_fold(r->a, parsed.site, &cd->folded);
		if (rc == RC_NOMEM)
			return rc;
		if (rc != RC_OK || cd->folded.n == 0) {
			ignore_error(r, CONNECTED_DOMAINS, value, &err);
			continue;
		}
		cd->cost = parsed.cost;
		cd->written = parsed.site;
		cd->type = parsed.type;
		cd->address = parsed.address;
		c->ncds++;
	}
	if (c->ncds != 0)
		c->ncds = unique_cds(c->cds, c->ncds);
	return RC_OK;
}

static int read_spaces(struct reading *r, struct model_connector *c)
{
	unsigned v;

	c->spaces = arena_zalloc(r->a, r->view.n[ROUTING_LIST], sizeof(*c->spaces));
	if (c->spaces == NULL)
		return RC_NOMEM;
	for (v = 0; v < r->view.n[ROUTING_LIST]; v++) {
		struct span value = r->view.values[ROUTING_LIST][v];
		struct model_space *space = &c->spaces[c->nspaces];
		struct address_error err = {"pattern is not usable as an address", 1};
		struct address_space parsed;
		int rc = address_space_parse(r->a, value, &parsed, &err);

		if (rc == RC_OK)
			rc = address_fold(r->a, parsed.pattern, &space->folded);
		if (rc == RC_NOMEM)
			return rc;
		if (rc != RC_OK) {
			ignore_error(r, ROUTING_LIST, value, &err);
			continue;
		}
		space->type = parsed.type;
		space->pattern = parsed.pattern;
		space->cost = parsed.cost;
		space->site_scope = parsed.site_scope;
		c->nspaces++;
	}
	return RC_OK;
}

static int compare_pins(const void *a, const void *b)
{
	const struct model_pin *x = a, *y = b;
	int c = span_cmp(x->folded, y->folded);

	return c != 0 ? c : span_cmp(x->host, y->host);
}

static int read_pins(struct reading *r, struct model_connector *c)
{
	unsigned v;

	c->pins = arena_zalloc(r->a, r->view.n[DOMAIN_ROUTE], sizeof(*c->pins));
	if (c->pins == NULL)
		return RC_NOMEM;
	for (v = 0; v < r->view.n[DOMAIN_ROUTE]; v++) {
		struct span value = r->view.values[DOMAIN_ROUTE][v];
		struct model_pin *pin = &c->pins[c->npins];
		struct address_error err = {"domain is not usable as a name", 1};
		struct address_route parsed;
		int rc = address_route_parse(r->a, value, &parsed, &err);

		if (rc == RC_OK)
			rc = address_fold(r->a, parsed.domain, &pin->folded);
		if (rc == RC_NOMEM)
			return rc;
		if (rc != RC_OK) {
			ignore_error(r, DOMAIN_ROUTE, value, &err);
			continue;
		}
		pin->host = parsed.host;
		c->npins++;
	}
	if (c->npins != 0)
		qsort(c->pins, c->npins, sizeof(*c->pins), compare_pins);
	return RC_OK;
}

static void read_smart_host(struct reading *r, struct model_connector *c)
{
	unsigned v;

	for (v = 0; v < r->view.n[SMART_HOST]; v++) {
		struct span value = r->view.values[SMART_HOST][v];
		struct address_error err;

		if (address_host_check(value, &err) != RC_OK)
			ignore_error(r, SMART_HOST, value, &err);
		else if (c->smart_host.n == 0)
			c->smart_host = value;
	}
}

/* A word of master.cf: no blanks, no ':'. */
static void read_transport(struct reading *r, struct model_connector *c)
{
	const struct span *value = single(r, TRANSPORT);
	size_t i;

	for (i = 0; value != NULL && i < value->n; i++) {
		uint8_t b = span_ascii_lower(value->p[i]);

		if ((b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '-' && b != '_' &&
		    b != '.') {
			ignore(r, attr_names[TRANSPORT], *value, "not the name of a transport",
			       (unsigned)i + 1);
			return;
		}
	}
	if (value != NULL)
		c->transport = *value;
}

static void read_modes(struct reading *r, struct model_connector *c)
{
	static const char *const restrictions[] = {"none", "noUser", "noSystem", NULL};
	static const unsigned carries[] = {MODEL_CARRY_ALL, MODEL_CARRY_SYSTEM, MODEL_CARRY_USER};
	static const char *const modes[] = {"both", "in", "out", "none", NULL};
	unsigned mode = read_word(r, TRANSFER_MODE, modes, "not one of both, in, out, none");

	c->sends = mode == 0 || mode == 2;
	c->receives = mode == 0 || mode == 1;
	c->carries = carries[read_word(r, RESTRICTION, restrictions,
				       "not one of none, noUser, noSystem")];
	c->enabled = read_bool(r, ENABLED) != MODEL_FLAG_FALSE;
	c->flag = read_bool(r, FLAG);
}

/* "fingerprint match=AB:CD:..." of all keys; the minimum cannot be kept without any. */
static int read_fingerprints(struct reading *r, struct model_site *site)
{
	struct buf b;
	unsigned v;
	size_t i;
	int rc;

	buf_init(&b, TLS_MAX_BYTES);
	buf_puts(&b, "fingerprint");
	for (v = 0; v < r->view.n[SITE_KEY]; v++) {
		struct span value = r->view.values[SITE_KEY][v];
		struct span text = span_from(value, sizeof(KEY_PREFIX) - 1);
		uint8_t pin[PIN_TEXT_BYTES / 4 * 3];
		size_t n = 0;

		if (!span_starts(value, SPAN_LIT(KEY_PREFIX)) || text.n != PIN_TEXT_BYTES ||
		    !base64_decode(text, pin, &n) || n != PIN_BYTES) {
			ignore(r, attr_names[SITE_KEY], value, "not sha256:BASE64", 1);
			continue;
		}
		for (i = 0; i < n; i++)
			buf_printf(&b, i == 0 ? " match=%02X" : ":%02X", (unsigned)pin[i]);
	}
	if (b.n > sizeof("fingerprint"))
		site->tls = arena_span(r->a, buf_span(&b));
	rc = buf_rc(&b) == RC_OK && site->tls.p == NULL ? RC_NOMEM : buf_rc(&b);
	buf_fini(&b);
	return rc;
}

/* An unknown word is a minimum as well, and mail must not go below it. */
static int read_tls(struct reading *r, struct model_site *site)
{
	static const struct span levels[] = {
		SPAN_LIT("none"),   SPAN_LIT("may"),       SPAN_LIT("encrypt"),
		SPAN_LIT("dane"),   SPAN_LIT("dane-only"), SPAN_LIT("fingerprint"),
		SPAN_LIT("secure"),
	};
	const struct span *value = single(r, TLS_LEVEL);
	size_t i;

	if (value == NULL)
		return RC_OK;
	site->tls = SPAN_LIT(MODEL_TLS_UNKNOWN);
	if (span_eq_nocase(*value, SPAN_LIT("fingerprint")))
		return read_fingerprints(r, site);
	for (i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (span_eq_nocase(*value, levels[i])) {
			site->tls = levels[i];
			return RC_OK;
		}
	}
	ignore(r, attr_names[TLS_LEVEL], *value, "not a TLS level; mail to the site waits", 1);
	return RC_OK;
}

int model_read_site(struct span key, struct span dn, const struct model_attr *attrs,
		    unsigned nattrs, struct span raw, struct model_site *out)
{
	struct model_site site = {.key = key, .dn = dn, .name_id = MODEL_NONE};
	struct reading r;
	struct arena a;
	int rc;

	arena_init(&a);
	rc = reading_init(&r, &a, dn, attrs, nattrs);
	if (rc == RC_OK)
		rc = read_name(&r, "ou", &site.dn_normal, &site.name, &site.name_folded);
	if (rc == RC_OK)
		rc = read_site_domain(&r, &site);
	if (rc == RC_OK)
		rc = read_folded(&r, SHARED_DOMAIN, true, &site.shared_folded, &site.nshared);
	if (rc == RC_OK)
		rc = read_folded(&r, SYSTEM_ADDRESS, false, &site.system_folded, &site.nsystem);
	if (rc == RC_OK)
		rc = read_tls(&r, &site);
	if (rc == RC_OK) {
		site.flag = read_bool(&r, FLAG);
		site.ignored = r.ignored;
		site.nignored = r.nignored;
		rc = model_pack_site(raw, &site, out);
	}
	arena_fini(&a);
	return rc;
}

int model_read_connector(struct span key, struct span dn, const struct model_attr *attrs,
			 unsigned nattrs, struct span raw, struct model_connector *out)
{
	struct model_connector c = {.key = key, .dn = dn, .site = MODEL_NONE};
	struct reading r;
	struct arena a;
	int rc;

	arena_init(&a);
	rc = reading_init(&r, &a, dn, attrs, nattrs);
	if (rc == RC_OK)
		rc = read_name(&r, "cn", &c.dn_normal, &c.name, &c.name_folded);
	if (rc == RC_OK)
		rc = read_cds(&r, &c);
	if (rc == RC_OK)
		rc = read_spaces(&r, &c);
	if (rc == RC_OK)
		rc = read_pins(&r, &c);
	if (rc == RC_OK) {
		c.kind = classes[r.view.class].kind;
		read_smart_host(&r, &c);
		read_transport(&r, &c);
		read_modes(&r, &c);
		c.enabled = c.enabled && c.name_folded.n != 0;
		c.ignored = r.ignored;
		c.nignored = r.nignored;
		rc = model_pack_connector(raw, &c, out);
	}
	arena_fini(&a);
	return rc;
}
