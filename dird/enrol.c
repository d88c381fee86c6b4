#include "dird/enrol.h"

#include "dird/conn.h"
#include "lib/clock.h"
#include "lib/log.h"

#define SITE_COST 1

struct enrol {
	struct op *op;
	struct enrol_request r;
	struct span site, domain;
	struct attr *keys;
	struct dn_rdn rdn; /* of the site entry */
	struct uuid root;
	struct change changes[4];
	unsigned nchanges;
	struct write_req req;
};

static int refuse(struct enrol *e, struct result *why, enum ldap_result code, const char *text)
{
	return result_set(why, &e->op->arena, code, "site %.*s: %s", SPAN_ARG(e->site), text);
}

/* --- what the request must hold --- */

static struct attr *find(struct attr_list *attrs, const char *type)
{
	unsigned i;

	for (i = 0; i < attrs->n; i++) {
		if (span_eq_nocase(attrs->attrs[i].type, span_of(type)))
			return &attrs->attrs[i];
	}
	return NULL;
}

static bool has_value(const struct attr *at, const char *value)
{
	unsigned i;

	for (i = 0; at != NULL && i < at->nvalues; i++) {
		if (span_eq_nocase(at->values[i], span_of(value)))
			return true;
	}
	return false;
}

static int check_keys(struct enrol *e, struct result *why)
{
	uint8_t pin[TLS_PIN_BYTES];
	unsigned i;

	e->keys = find(&e->r.attrs, "siteKey");
	if (e->keys == NULL || e->keys->nvalues > 2)
		return refuse(e, why, LR_CONSTRAINT_VIOLATION, "one or two siteKey are needed");
	for (i = 0; i < e->keys->nvalues; i++) {
		if (tls_pin_parse(e->keys->values[i], pin) != RC_OK)
			return refuse(e, why, LR_INVALID_SYNTAX, "siteKey is no sha256 pin");
	}
	return RC_OK;
}

/* The site entry: ou=<name> just below our root, a mailSite with key and domain. */
static int check_head(struct enrol *e, struct result *why)
{
	struct server *s = e->op->server;
	struct attr *class = find(&e->r.attrs, "objectClass");
	struct attr *domain = find(&e->r.attrs, "siteSmtpDomain");
	struct span parent;
	struct dn dn;
	struct buf b;
	int rc = dn_parse(&e->op->arena, e->r.dn, &dn, NULL);

	if (rc != RC_OK || dn.n == 0 || dn.rdns[0].n != 1 ||
	    !span_eq_nocase(dn.rdns[0].avas[0].type, SPAN_LIT("ou")))
		return result_set(why, &e->op->arena, LR_INVALID_DN,
				  "the site entry's name is not ou=<site>,<organisation>");
	e->rdn = dn.rdns[0];
	e->site = dn.rdns[0].avas[0].value;
	buf_init(&b, SIZE_MAX);
	dn = dn_ancestor(dn, 1);
	rc = dn_normalize(&dn, &b);
	parent = arena_span(&e->op->arena, buf_span(&b));
	buf_fini(&b);
	if (rc != RC_OK || !span_eq(parent, s->root_normal))
		return refuse(e, why, LR_NAMING_VIOLATION, "it is of another organisation");
	if (!has_value(class, "mailSite") || !has_value(class, "organizationalUnit"))
		return refuse(e, why, LR_CLASS_VIOLATION,
			      "objectClass must have organizationalUnit and mailSite");
	if (domain == NULL || domain->nvalues != 1)
		return refuse(e, why, LR_CONSTRAINT_VIOLATION, "one siteSmtpDomain is needed");
	e->domain = domain->values[0];
	return check_keys(e, why);
}

/* --- inside the transaction: the token, and nobody else has name, domain or key --- */

static bool is_past(const struct server *s, struct span time)
{
	char now[CLOCK_GENERALIZED_BYTES];

	clock_generalized(s->clock->wall_us(s->clock), now);
	return span_cmp(time, span_of(now)) <= 0;
}

static int check_token(struct enrol *e, struct store_txn *t, struct result *why)
{
	struct span site, expires;
	struct entry token;
	uint64_t eid;
	int rc = store_by_uuid(t, &e->op->identity.uuid, &eid);

	if (rc == RC_OK)
		rc = store_entry(t, eid, &token);
	if (rc == RC_NOTFOUND)
		return refuse(e, why, LR_INSUFFICIENT_ACCESS, "the join token has been used");
	if (rc != RC_OK)
		return rc;
	if (!entry_first(&token, "tokenSite", &site) || !span_eq_nocase(site, e->site))
		return refuse(e, why, LR_INSUFFICIENT_ACCESS, "the join token is for another site");
	if (entry_first(&token, "tokenExpires", &expires) && is_past(e->op->server, expires))
		return refuse(e, why, LR_INSUFFICIENT_ACCESS, "the join token has expired");
	return RC_OK;
}

static bool entry_has(const struct entry *e, const char *type, struct span value)
{
	struct span rest, v;
	struct entry_attr at;
	unsigned i = 0;

	while (entry_find(e, entry_type_hash(span_of(type)), span_of(type), &i, &at)) {
		rest = at.values;
		while (tlv_expect(&rest, TLV_OCTETS, &v) == RC_OK) {
			if (span_eq_nocase(v, value))
				return true;
		}
	}
	return false;
}

static int check_against(struct enrol *e, const struct entry *other, struct span rdn_normal,
			 struct result *why)
{
	unsigned i;

	if (span_eq(other->head.rdn_normal, rdn_normal))
		return refuse(e, why, LR_EXISTS, "a site of this name exists");
	if (entry_has(other, "siteSmtpDomain", e->domain) ||
	    entry_has(other, "siteSharedDomain", e->domain))
		return result_set(why, &e->op->arena, LR_CONSTRAINT_VIOLATION,
				  "site %.*s: domain %.*s is in use by %.*s", SPAN_ARG(e->site),
				  SPAN_ARG(e->domain), SPAN_ARG(other->head.rdn));
	for (i = 0; i < e->keys->nvalues; i++) {
		if (entry_has(other, "siteKey", e->keys->values[i]))
			return result_set(why, &e->op->arena, LR_CONSTRAINT_VIOLATION,
					  "site %.*s: the key is in use by %.*s", SPAN_ARG(e->site),
					  SPAN_ARG(other->head.rdn));
	}
	return RC_OK;
}

static int check_others(struct enrol *e, struct store_txn *t, struct result *why)
{
	struct store_iter *it = NULL;
	struct entry other;
	uint64_t root, eid;
	struct buf rdn;
	int rc = store_root(t, &root);

	buf_init(&rdn, SIZE_MAX);
	if (rc == RC_OK)
		rc = dn_rdn_normalize(&e->rdn, &rdn);
	if (rc == RC_OK)
		rc = buf_rc(&rdn);
	if (rc == RC_OK)
		rc = store_walk(t, root, STORE_ONE, &it);
	while (rc == RC_OK) {
		rc = store_iter_next(it, &eid);
		if (rc == RC_OK)
			rc = store_entry(t, eid, &other);
		if (rc == RC_OK)
			rc = check_against(e, &other, buf_span(&rdn), why);
	}
	store_iter_free(&it);
	buf_fini(&rdn);
	return rc == RC_DONE ? RC_OK : rc;
}

static int check(struct write_req *req, struct store_txn *t, struct result *why)
{
	struct enrol *e = req->ctx;
	struct stamp dead;
	uint64_t eid;
	int rc = check_token(e, t, why);

	if (rc == RC_OK)
		rc = check_others(e, t, why);
	if (rc == RC_OK && (store_by_uuid(t, &e->r.position.nc, &eid) == RC_OK ||
			    store_tombstone(t, &e->r.position.nc, &dead) == RC_OK))
		return refuse(e, why, LR_EXISTS, "its entryUUID is in use");
	return rc;
}

/* --- the changes --- */

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
		    !entry_has(&ims, "objectClass", SPAN_LIT("imsConnector")) ||
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

static int make_changes(struct enrol *e)
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

/* --- the operation --- */

static void finish(struct op *op, int rc, const struct result *why)
{
	if (rc == RC_OK)
		op_finish_result(op, LR_SUCCESS, NULL);
	else if (rc == RC_REFUSED)
		op_finish_refused(op, why);
	else
		op_finish_error(op, rc, "enrol");
}

static void log_outcome(const struct enrol *e, int rc, const struct result *why)
{
	struct log_ctx lc = {.conn = e->op->conn->id, .op = e->op->msg.id};
	char site[LOG_TEXT_BYTES], text[LOG_TEXT_BYTES];

	log_text(e->site, site);
	if (rc == RC_OK)
		log_info(&lc, "enrol.joined", "new_site=%s domain=%s", site,
			 log_text(e->domain, text));
	else
		log_warn(&lc, "enrol.refused", "new_site=%s reason=\"%s\"", site,
			 rc == RC_REFUSED ? log_text(span_of(why->text), text) : rc_text(rc));
}

static void on_written(struct write_req *req)
{
	struct enrol *e = req->ctx;

	log_outcome(e, req->rc, &req->result);
	finish(e->op, req->rc, &req->result);
}

static int begin(struct enrol *e, struct result *why)
{
	struct op *op = e->op;
	const struct msg_extended *x = &op->msg.u.extended;
	const char *text = NULL;
	int rc;

	if (op->identity.kind != IDENTITY_TOKEN)
		return result_set(why, &op->arena, LR_INSUFFICIENT_ACCESS,
				  "a site is enrolled with a join token");
	if (op->conn->stream == NULL || !stream_is_tls(op->conn->stream))
		return result_set(why, &op->arena, LR_CONFIDENTIALITY, "enrolment needs TLS");
	rc = enrol_request_read(x->has_value ? x->value : SPAN_LIT(""), &op->arena, &e->r, &text);
	if (rc == RC_INVALID)
		return result_set(why, &op->arena, LR_PROTOCOL_ERROR, "%s", text);
	if (rc == RC_OK)
		rc = check_head(e, why);
	return rc == RC_OK ? make_changes(e) : rc;
}

void op_enrol(struct op *op)
{
	struct enrol *e = arena_zalloc(&op->arena, 1, sizeof(*e));
	struct result why = {.code = LR_SUCCESS};
	int rc = RC_NOMEM;

	if (e != NULL) {
		e->op = op;
		rc = begin(e, &why);
	}
	if (rc != RC_OK) {
		if (e != NULL && e->site.p != NULL)
			log_outcome(e, rc, &why);
		finish(op, rc, &why);
		return;
	}
	e->req = (struct write_req){.changes = e->changes,
				    .nchanges = e->nchanges,
				    .arena = &op->arena,
				    .home = conn_loop(op->conn),
				    .done = on_written,
				    .ctx = e,
				    .check = check};
	writer_submit(op->server->writer, &e->req);
}
