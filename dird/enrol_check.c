#include "dird/enrol_int.h"

#include "lib/clock.h"

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
int enrol_check_head(struct enrol *e, struct result *why)
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

bool enrol_entry_has(const struct entry *e, const char *type, struct span value)
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
	if (enrol_entry_has(other, "siteSmtpDomain", e->domain) ||
	    enrol_entry_has(other, "siteSharedDomain", e->domain))
		return result_set(why, &e->op->arena, LR_CONSTRAINT_VIOLATION,
				  "site %.*s: domain %.*s is in use by %.*s", SPAN_ARG(e->site),
				  SPAN_ARG(e->domain), SPAN_ARG(other->head.rdn));
	for (i = 0; i < e->keys->nvalues; i++) {
		if (enrol_entry_has(other, "siteKey", e->keys->values[i]))
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

int enrol_check(struct write_req *req, struct store_txn *t, struct result *why)
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
