#include "routed/model_reading.h"

#include <stdlib.h>

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

static int parse_cd(struct reading *r, struct span value, void *item, struct address_error *err)
{
	struct model_cd *cd = item;
	struct address_cd parsed;
	int rc = address_cd_parse(r->a, value, &parsed, err);

	if (rc != RC_OK)
		return rc;
	*err = (struct address_error){"site name is not usable as a name", 1};
	rc = address_fold(r->a, parsed.site, &cd->folded);
	if (rc != RC_OK || cd->folded.n == 0)
		return rc != RC_OK ? rc : RC_INVALID;
	cd->cost = parsed.cost;
	cd->written = parsed.site;
	cd->type = parsed.type;
	cd->address = parsed.address;
	return RC_OK;
}

static int read_cds(struct reading *r, struct model_connector *c)
{
	int rc = reading_list(r, ATTR_CONNECTED_DOMAINS, parse_cd, sizeof(*c->cds), &c->cds,
			      &c->ncds);

	if (rc == RC_OK && c->ncds != 0)
		c->ncds = unique_cds(c->cds, c->ncds);
	return rc;
}

static int parse_space(struct reading *r, struct span value, void *item, struct address_error *err)
{
	struct model_space *space = item;
	struct address_space parsed;
	int rc = address_space_parse(r->a, value, &parsed, err);

	if (rc != RC_OK)
		return rc;
	*err = (struct address_error){"pattern is not usable as an address", 1};
	space->type = parsed.type;
	space->pattern = parsed.pattern;
	space->cost = parsed.cost;
	space->site_scope = parsed.site_scope;
	return address_fold(r->a, parsed.pattern, &space->folded);
}

static int read_spaces(struct reading *r, struct model_connector *c)
{
	return reading_list(r, ATTR_ROUTING_LIST, parse_space, sizeof(*c->spaces), &c->spaces,
			    &c->nspaces);
}

static int compare_pins(const void *a, const void *b)
{
	const struct model_pin *x = a, *y = b;
	int c = span_cmp(x->folded, y->folded);

	return c != 0 ? c : span_cmp(x->host, y->host);
}

static int parse_pin(struct reading *r, struct span value, void *item, struct address_error *err)
{
	struct model_pin *pin = item;
	struct address_route parsed;
	int rc = address_route_parse(r->a, value, &parsed, err);

	if (rc != RC_OK)
		return rc;
	*err = (struct address_error){"domain is not usable as a name", 1};
	pin->host = parsed.host;
	return address_fold(r->a, parsed.domain, &pin->folded);
}

static int read_pins(struct reading *r, struct model_connector *c)
{
	int rc = reading_list(r, ATTR_DOMAIN_ROUTE, parse_pin, sizeof(*c->pins), &c->pins,
			      &c->npins);

	if (rc == RC_OK && c->npins != 0)
		qsort(c->pins, c->npins, sizeof(*c->pins), compare_pins);
	return rc;
}

static void read_smart_host(struct reading *r, struct model_connector *c)
{
	unsigned v;

	for (v = 0; v < r->view.n[ATTR_SMART_HOST]; v++) {
		struct span value = r->view.values[ATTR_SMART_HOST][v];
		struct address_error err;

		if (address_host_check(value, &err) != RC_OK)
			reading_ignore_error(r, ATTR_SMART_HOST, value, &err);
		else if (c->smart_host.n == 0)
			c->smart_host = value;
	}
}

/* A word of master.cf: no blanks, no ':'. */
static void read_transport(struct reading *r, struct model_connector *c)
{
	const struct span *value = reading_single(r, ATTR_TRANSPORT);
	size_t i;

	for (i = 0; value != NULL && i < value->n; i++) {
		uint8_t b = span_ascii_lower(value->p[i]);

		if ((b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '-' && b != '_' &&
		    b != '.') {
			reading_ignore(r, reading_names[ATTR_TRANSPORT], *value,
				       "not the name of a transport", (unsigned)i + 1);
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
	unsigned mode =
		reading_word(r, ATTR_TRANSFER_MODE, modes, "not one of both, in, out, none");

	c->sends = mode == 0 || mode == 2;
	c->receives = mode == 0 || mode == 1;
	c->carries = carries[reading_word(r, ATTR_RESTRICTION, restrictions,
					  "not one of none, noUser, noSystem")];
	c->enabled = reading_bool(r, ATTR_ENABLED) != MODEL_FLAG_FALSE;
	c->flag = reading_bool(r, ATTR_FLAG);
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
		rc = reading_name(&r, "cn", &c.dn_normal, &c.name, &c.name_folded);
	if (rc == RC_OK)
		rc = read_cds(&r, &c);
	if (rc == RC_OK)
		rc = read_spaces(&r, &c);
	if (rc == RC_OK)
		rc = read_pins(&r, &c);
	if (rc == RC_OK) {
		c.kind = reading_kind(&r);
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
