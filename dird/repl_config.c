#include "dird/repl_int.h"

#include <stdio.h>

#define LDAPS_PORT 636

/* Copy into a fixed field; false if it does not fit. */
static bool copy_text(struct span s, char *out, size_t size)
{
	if (s.n == 0 || s.n >= size || memchr(s.p, 0, s.n) != NULL)
		return false;
	memcpy(out, s.p, s.n);
	out[s.n] = 0;
	return true;
}

static bool read_port(struct span s, unsigned *out)
{
	unsigned v = 0;
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9' || v > 65535)
			return false;
		v = v * 10 + (unsigned)(s.p[i] - '0');
	}
	*out = v;
	return s.n != 0 && v != 0 && v <= 65535;
}

bool repl_config_uri(struct repl_partner *p)
{
	struct span rest = span_of(p->uri), host, port;

	if (!span_starts(rest, SPAN_LIT("ldaps://")))
		return false;
	rest = span_from(rest, strlen("ldaps://"));
	span_cut(&rest, '/', &port);
	rest = port;
	if (span_starts(rest, SPAN_LIT("["))) {
		rest = span_from(rest, 1);
		if (!span_cut(&rest, ']', &host) || (rest.n != 0 && rest.p[0] != ':'))
			return false;
		rest = span_from(rest, 1);
	} else {
		span_cut(&rest, ':', &host);
	}
	p->port = LDAPS_PORT;
	if (rest.n != 0 && !read_port(rest, &p->port))
		return false;
	return copy_text(host, p->host, sizeof(p->host));
}

static void add_rdn(struct dn_rdn *rdn, struct dn_ava *ava, const char *type, struct span value)
{
	ava->type = span_of(type);
	ava->value = value;
	rdn->avas = ava;
	rdn->n = 1;
}

/* Find the entry whose RDNs (outermost last) stand below the organisation's root. */
static int find_below_root(struct server *s, struct store_txn *t, struct arena *a,
			   const char *const *types, const struct span *values, unsigned n,
			   uint64_t *eid_out)
{
	struct dn dn = {arena_zalloc(a, n + s->root.n, sizeof(struct dn_rdn)), n + s->root.n};
	struct dn_ava *avas = arena_zalloc(a, n, sizeof(*avas));
	unsigned i, depth;

	if (dn.rdns == NULL || avas == NULL)
		return RC_NOMEM;
	for (i = 0; i < n; i++)
		add_rdn(&dn.rdns[i], &avas[i], types[i], values[i]);
	memcpy(dn.rdns + n, s->root.rdns, s->root.n * sizeof(*dn.rdns));
	return store_find(t, &dn, eid_out, &depth);
}

static void read_pins(const struct entry *site, struct repl_partner *p)
{
	struct span type = SPAN_LIT("siteKey"), rest, value;
	struct entry_attr at;
	unsigned i = 0;

	while (entry_find(site, entry_type_hash(type), type, &i, &at)) {
		rest = at.values;
		while (p->npins < REPL_MAX_PINS && tlv_expect(&rest, TLV_OCTETS, &value) == RC_OK) {
			if (tls_pin_parse(value, p->pins[p->npins]) == RC_OK)
				p->npins++;
		}
	}
}

static int read_site(struct server *s, struct store_txn *t, struct arena *a, struct repl_partner *p)
{
	static const char *const types[] = {"ou"};
	struct span name = span_of(p->name);
	struct entry e;
	uint64_t eid;
	int rc = find_below_root(s, t, a, types, &name, 1, &eid);

	if (rc == RC_OK)
		rc = store_entry(t, eid, &e);
	if (rc != RC_OK)
		return rc == RC_NOTFOUND ? RC_OK : rc;
	p->site = e.head.uuid;
	read_pins(&e, p);
	return RC_OK;
}

static const char *problem_of(const struct server *s, const struct repl_partner *p,
			      bool uri_is_good)
{
	if (p->problem[0] != 0)
		return p->problem;
	if (s->tls == NULL)
		return "this site has no TLS certificate";
	if (uuid_is_zero(&p->site))
		return "the partner's site entry is not here yet";
	if (p->npins == 0)
		return "the partner's site entry has no valid siteKey";
	if (!uri_is_good)
		return "replicationURI is not ldaps://host:port";
	return "";
}

static void read_hours(const struct entry *e, struct repl_partner *p)
{
	struct span type = SPAN_LIT("replicationSchedule"), rest, value;
	char text[LOG_TEXT_BYTES];
	struct hours_error bad;
	struct entry_attr at;
	unsigned i = 0;

	while (entry_find(e, entry_type_hash(type), type, &i, &at)) {
		rest = at.values;
		p->has_hours = true;
		while (tlv_expect(&rest, TLV_OCTETS, &value) == RC_OK) {
			if (hours_add(&p->hours, value, &bad) != RC_OK)
				snprintf(p->problem, sizeof(p->problem),
					 "replicationSchedule \"%s\", column %u: %s",
					 log_text(value, text), bad.column, bad.why);
		}
	}
}

/* One replicationConnector; is_link says whether it is one that can be named. */
static int read_link(struct server *s, struct store_txn *t, struct arena *a, const struct entry *e,
		     struct repl_partner *p, bool *is_link)
{
	struct span site, uri = {NULL, 0}, enabled;
	const char *problem;
	bool uri_is_good;
	int rc;

	memset(p, 0, sizeof(*p));
	*is_link = entry_has_class(e, "replicationConnector") &&
		   entry_first(e, "remoteSite", &site) && copy_text(site, p->name, sizeof(p->name));
	if (!*is_link)
		return RC_OK;
	p->is_enabled = !entry_first(e, "connectorEnabled", &enabled) ||
			!span_eq_nocase(enabled, SPAN_LIT("FALSE"));
	uri_is_good = entry_first(e, "replicationURI", &uri) &&
		      copy_text(uri, p->uri, sizeof(p->uri)) && repl_config_uri(p);
	read_hours(e, p);
	rc = read_site(s, t, a, p);
	problem = problem_of(s, p, uri_is_good);
	if (problem != p->problem)
		snprintf(p->problem, sizeof(p->problem), "%s", problem);
	return rc;
}

static int read_children(struct server *s, struct store_txn *t, uint64_t folder, struct arena *a,
			 struct repl_partner *list, unsigned max, unsigned *n)
{
	struct store_iter *it;
	struct entry e;
	uint64_t eid;
	bool is_link;
	int rc = store_walk(t, folder, STORE_ONE, &it);

	if (rc != RC_OK)
		return rc;
	while (*n < max && (rc = store_iter_next(it, &eid)) == RC_OK) {
		rc = store_entry(t, eid, &e);
		if (rc == RC_OK)
			rc = read_link(s, t, a, &e, &list[*n], &is_link);
		if (rc != RC_OK)
			break;
		*n += is_link;
	}
	store_iter_free(&it);
	return rc == RC_DONE ? RC_OK : rc;
}

int repl_config_read(struct server *s, struct arena *a, struct repl_partner **out, unsigned *n_out)
{
	static const char *const types[] = {"cn", "cn", "ou"};
	struct span values[] = {SPAN_LIT("Directory Replication"), SPAN_LIT("Configuration"),
				span_of(s->config.site)};
	struct store_txn *t;
	uint64_t folder, max;
	int rc = store_read_begin(s->store, &t);

	*n_out = 0;
	*out = NULL;
	if (rc != RC_OK)
		return rc;
	rc = find_below_root(s, t, a, types, values, 3, &folder);
	if (rc == RC_OK) {
		max = store_child_count(t, folder, UINT32_MAX);
		*out = arena_zalloc(a, max + 1, sizeof(**out));
		rc = *out == NULL ? RC_NOMEM
				  : read_children(s, t, folder, a, *out, (unsigned)max, n_out);
	}
	store_read_end(&t);
	return rc == RC_NOTFOUND ? RC_OK : rc;
}
