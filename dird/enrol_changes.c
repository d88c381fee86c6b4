#include "dird/enrol_int.h"

#define SITE_COST 1

static struct change *add(struct enrol *e, enum change_kind kind)
{
	struct change *c = &e->changes[e->nchanges++];

	memset(c, 0, sizeof(*c));
	c->kind = kind;
	c->actor = span_of(e->op->identity.dn);
	return c;
}

/*
 * Everything of the head but its UUID, which travels apart. The stamp is older than anything the
 * site has done, and no position is claimed: its own first session brings the real ones.
 */
static int put_head(struct enrol *e)
{
	struct change *c = add(e, CHANGE_PUT);
	struct buf rdn;
	unsigned i;

	c->uuid = e->r.position.nc;
	c->parent_uuid = e->root;
	c->stamp = (struct stamp){e->r.position.nc, e->r.position.epoch, 0};
	c->attrs.attrs = arena_zalloc(&e->op->arena, e->r.attrs.n, sizeof(*c->attrs.attrs));
	if (c->attrs.attrs == NULL)
		return RC_NOMEM;
	for (i = 0; i < e->r.attrs.n; i++) {
		if (!span_eq_nocase(e->r.attrs.attrs[i].type, SPAN_LIT("entryUUID")))
			c->attrs.attrs[c->attrs.n++] = e->r.attrs.attrs[i];
	}
	buf_init(&rdn, SIZE_MAX);
	dn_rdn_write(&e->rdn, &rdn);
	c->rdn = arena_span(&e->op->arena, buf_span(&rdn));
	buf_fini(&rdn);
	return c->rdn.p != NULL ? RC_OK : RC_NOMEM;
}

/* The DN <type=value>,...,ou=<own site>,<root>; RDNs outermost last. */
static int own_dn(struct enrol *e, const char *const *values, unsigned n, struct dn *out)
{
	struct server *s = e->op->server;
	struct arena *a = &e->op->arena;
	struct dn_ava *avas = arena_zalloc(a, (size_t)n + 1, sizeof(*avas));
	unsigned i;

	out->n = n + 1 + s->root.n;
	out->rdns = arena_zalloc(a, out->n, sizeof(*out->rdns));
	if (avas == NULL || out->rdns == NULL)
		return RC_NOMEM;
	for (i = 0; i <= n; i++) {
		avas[i].type = i < n ? SPAN_LIT("cn") : SPAN_LIT("ou");
		avas[i].value = span_of(i < n ? values[i] : s->config.site);
		out->rdns[i] = (struct dn_rdn){&avas[i], 1};
	}
	memcpy(out->rdns + n + 1, s->root.rdns, s->root.n * sizeof(*out->rdns));
	return RC_OK;
}

static bool set_attr(struct enrol *e, struct attr_list *list, const char *type, struct span value)
{
	struct attr *at = &list->attrs[list->n++];

	at->type = span_of(type);
	at->values = arena_zalloc(&e->op->arena, 1, sizeof(*at->values));
	if (at->values == NULL)
		return false;
	at->values[0] = value;
	at->nvalues = 1;
	return value.p != NULL;
}

static int add_link(struct enrol *e)
{
	struct change *c = add(e, CHANGE_ADD);
	char *name = arena_printf(&e->op->arena, "To %.*s", SPAN_ARG(e->site));
	const char *const values[] = {name, "Directory Replication", "Configuration"};
	int rc = name != NULL ? own_dn(e, values, 3, &c->dn) : RC_NOMEM;

	c->attrs.attrs = arena_zalloc(&e->op->arena, 5, sizeof(*c->attrs.attrs));
	if (rc != RC_OK || c->attrs.attrs == NULL)
		return RC_NOMEM;
	if (!set_attr(e, &c->attrs, "objectClass", SPAN_LIT("replicationConnector")) ||
	    !set_attr(e, &c->attrs, "cn", span_of(name)) ||
	    !set_attr(e, &c->attrs, "remoteSite", e->site) ||
	    !set_attr(e, &c->attrs, "replicationURI", e->r.replication_uri) ||
	    !set_attr(e, &c->attrs, "connectorEnabled", SPAN_LIT("TRUE")))
		return RC_NOMEM;
	return RC_OK;
}

/* First field of a connected domain, `\` taken off; compared with a site's name. */
static bool names_site(struct span value, struct span site)
{
	size_t i, k = 0;

	for (i = 0; i < value.n && value.p[i] != ';'; i++, k++) {
		if (value.p[i] == '\\' && i + 1 < value.n)
			i++;
		if (k >= site.n || span_ascii_lower(value.p[i]) != span_ascii_lower(site.p[k]))
			return false;
	}
	return k == site.n;
}

static bool is_connected(const struct entry *ims, struct span site)
{
	struct span type = SPAN_LIT("connectedDomains"), rest, v;
	struct entry_attr at;
	unsigned i = 0;

	while (entry_find(ims, entry_type_hash(type), type, &i, &at)) {
		rest = at.values;
		while (tlv_expect(&rest, TLV_OCTETS, &v) == RC_OK) {
			if (names_site(v, site))
				return true;
		}
	}
	return false;
}

/* The first Internet Mail Service of the own site by name; RC_NOTFOUND. */
static int first_ims(struct enrol *e, struct store_txn *t, uint64_t *eid_out)
{
	static const char *const values[] = {"Connections", "Configuration"};
	struct span best = {NULL, 0};
	struct store_iter *it;
	uint64_t folder, eid;
	struct entry ims;
	unsigned depth;
	struct dn dn;
	int rc = own_dn(e, values, 2, &dn);

	if (rc == RC_OK)
		rc = store_find(t, &dn, &folder, &depth);
	if (rc == RC_OK)
		rc = store_walk(t, folder, STORE_ONE, &it);
	if (rc != RC_OK)
		return rc;
	while ((rc = store_iter_next(it, &eid)) == RC_OK) {
		if (store_entry(t, eid, &ims) != RC_OK ||
		    !enrol_entry_has(&ims, "objectClass", SPAN_LIT("imsConnector")) ||
		    (best.p != NULL && span_cmp(ims.head.rdn_normal, best) > 0))
			continue;
		best = ims.head.rdn_normal;
		*eid_out = eid;
	}
	store_iter_free(&it);
	return rc == RC_DONE ? (best.p != NULL ? RC_OK : RC_NOTFOUND) : rc;
}

static struct span connected_domain(struct enrol *e)
{
	struct span out;
	struct buf b;
	size_t i;

	buf_init(&b, SIZE_MAX);
	for (i = 0; i < e->site.n; i++) {
		if (e->site.p[i] == ';' || e->site.p[i] == '\\')
			buf_putc(&b, '\\');
		buf_putc(&b, e->site.p[i]);
	}
	buf_printf(&b, ";%d;SMTP:%.*s", SITE_COST, SPAN_ARG(e->domain));
	out = arena_span(&e->op->arena, buf_span(&b));
	if (buf_rc(&b) != RC_OK)
		out.p = NULL;
	buf_fini(&b);
	return out;
}

static int connect_mail(struct enrol *e, struct store_txn *t)
{
	struct arena *a = &e->op->arena;
	struct attr_list list;
	struct entry ims;
	struct change *c;
	uint64_t eid = 0;
	struct buf dn;
	int rc = first_ims(e, t, &eid);

	if (rc == RC_OK)
		rc = store_entry(t, eid, &ims);
	if (rc != RC_OK)
		return rc == RC_NOTFOUND ? RC_OK : rc;
	if (is_connected(&ims, e->site))
		return RC_OK;
	c = add(e, CHANGE_MODIFY);
	c->nmods = 1;
	c->mods = arena_zalloc(a, 1, sizeof(*c->mods));
	list.attrs = arena_zalloc(a, 1, sizeof(*list.attrs));
	list.n = 0;
	if (c->mods == NULL || list.attrs == NULL ||
	    !set_attr(e, &list, "connectedDomains", connected_domain(e)))
		return RC_NOMEM;
	c->mods[0] = (struct change_mod){CHANGE_OP_ADD, list.attrs[0]};
	buf_init(&dn, SIZE_MAX);
	rc = store_dn(t, eid, &dn);
	if (rc == RC_OK)
		rc = dn_parse(a, arena_span(a, buf_span(&dn)), &c->dn, NULL);
	buf_fini(&dn);
	return rc;
}

static int burn_token(struct enrol *e)
{
	struct change *c = add(e, CHANGE_DELETE);

	return dn_parse(&e->op->arena, span_of(e->op->identity.dn), &c->dn, NULL);
}

static int read_root(struct enrol *e, struct store_txn *t)
{
	struct entry root;
	uint64_t eid;
	int rc = store_root(t, &eid);

	if (rc == RC_OK)
		rc = store_entry(t, eid, &root);
	if (rc == RC_OK)
		e->root = root.head.uuid;
	return rc;
}

int enrol_make_changes(struct enrol *e)
{
	struct store_txn *t;
	int rc = store_read_begin(e->op->server->store, &t);

	if (rc != RC_OK)
		return rc;
	rc = read_root(e, t);
	if (rc == RC_OK)
		rc = put_head(e);
	if (rc == RC_OK)
		rc = add_link(e);
	if (rc == RC_OK)
		rc = connect_mail(e, t);
	if (rc == RC_OK)
		rc = burn_token(e);
	store_read_end(&t);
	return rc;
}
