/* The entries a new site begins with. */
#include "tools/site_setup.h"

#include <stdio.h>

#define PAIRS_MAX 16

int site_setup_apply(struct site_setup *s, struct change *c, const char *what)
{
	enum update_outcome outcome = UPDATE_APPLIED;
	struct result why = {.code = LR_SUCCESS};
	int rc = update_apply(s->txn, &s->ctx, c, &s->arena, &outcome, &why);

	if (rc == RC_REFUSED)
		cli_error("%s: %s: %s", what, result_name(why.code),
			  why.text != NULL ? why.text : "refused");
	else if (rc != RC_OK)
		cli_error("%s: %s", what, rc_text(rc));
	return rc;
}

/* Pairs of one type that stand together become one attribute. */
static int read_pairs(struct arena *a, const char *const *pairs, struct attr_list *out)
{
	struct attr *at = NULL;

	out->n = 0;
	out->attrs = arena_zalloc(a, PAIRS_MAX, sizeof(*out->attrs));
	if (out->attrs == NULL)
		return RC_NOMEM;
	for (; pairs[0] != NULL; pairs += 2) {
		if (pairs[1] == NULL)
			continue;
		if (at == NULL || !span_eq(at->type, span_of(pairs[0]))) {
			must(out->n < PAIRS_MAX);
			at = &out->attrs[out->n++];
			at->type = span_of(pairs[0]);
			at->values = arena_zalloc(a, PAIRS_MAX, sizeof(*at->values));
			if (at->values == NULL)
				return RC_NOMEM;
		}
		must(at->nvalues < PAIRS_MAX);
		at->values[at->nvalues++] = span_of(pairs[1]);
	}
	return RC_OK;
}

int site_setup_add(struct site_setup *s, const char *dn, const char *const *pairs)
{
	struct change c = {.kind = CHANGE_ADD, .may_set_operational = true};
	const char *actor = arena_printf(&s->arena, "cn=admin,%s", s->root_text);
	int rc = read_pairs(&s->arena, pairs, &c.attrs);

	c.actor = span_of(actor);
	if (rc == RC_OK)
		rc = dn_parse(&s->arena, span_of(dn), &c.dn, NULL);
	if (rc != RC_OK || actor == NULL) {
		cli_error("%s: %s", dn, rc_text(rc));
		return rc != RC_OK ? rc : RC_NOMEM;
	}
	return site_setup_apply(s, &c, dn);
}

int site_setup_root(struct site_setup *s)
{
	static const struct {
		const char *type, *class;
	} kinds[] = {{"o", "organization"},
		     {"dc", "domain"},
		     {"ou", "organizationalUnit"},
		     {"c", "country"},
		     {"l", "locality"}};
	const struct schema_attr *at = schema_attr(s->schema, s->root.rdns[0].avas[0].type);
	struct position life;
	struct uuid uuid, secret;
	char text[UUID_TEXT_BYTES], key[UUID_TEXT_BYTES];
	unsigned i, n = sizeof(kinds) / sizeof(kinds[0]);
	int rc;

	for (i = 0; i < n && (at == NULL || strcmp(at->name, kinds[i].type) != 0); i++)
		;
	if (i == n) {
		cli_error("organisation %s: the first name must be one of o, dc, ou, c, l",
			  s->root_text);
		return RC_INVALID;
	}
	rc = pki_random(uuid.b, UUID_BYTES);
	uuid.b[6] = (uint8_t)((uuid.b[6] & 0x0f) | 0x40); /* RFC 4122 §4.4 */
	uuid.b[8] = (uint8_t)((uuid.b[8] & 0x3f) | 0x80);
	uuid_write(&uuid, text);
	if (rc == RC_OK)
		rc = pki_random(secret.b, UUID_BYTES);
	uuid_write(&secret, key);
	if (rc == RC_OK)
		rc = update_begin_life(s->txn, &s->ctx, &uuid, &life);
	if (rc != RC_OK) {
		cli_error("%s: %s", s->root_text, rc_text(rc));
		return rc;
	}
	return site_setup_add(s, s->root_text,
			      (const char *const[]){"objectClass", kinds[i].class, "objectClass",
						    "mailOrganization", "masterSite", s->o.site,
						    "syncCookieKey", key, "entryUUID", text, NULL});
}

static int add_head(struct site_setup *s)
{
	char text[UUID_TEXT_BYTES];
	int rc = pki_random(s->site_uuid.b, UUID_BYTES);

	s->site_uuid.b[6] = (uint8_t)((s->site_uuid.b[6] & 0x0f) | 0x40);
	s->site_uuid.b[8] = (uint8_t)((s->site_uuid.b[8] & 0x3f) | 0x80);
	if (rc == RC_OK)
		rc = update_begin_life(s->txn, &s->ctx, &s->site_uuid, &s->site_position);
	if (rc != RC_OK) {
		cli_error("%s: %s", s->site_dn, rc_text(rc));
		return rc;
	}
	uuid_write(&s->site_uuid, text);
	return site_setup_add(s, s->site_dn,
			      (const char *const[]){"objectClass", "organizationalUnit",
						    "objectClass", "mailSite", "siteSmtpDomain",
						    s->o.domain, "siteKey", s->pin, "entryUUID",
						    text, NULL});
}

static int add_container(struct site_setup *s, const char *name, const char *below, bool is_local)
{
	const char *dn = arena_printf(&s->arena, "cn=%s,%s%s", name, below, s->site_dn);

	if (dn == NULL)
		return RC_NOMEM;
	return site_setup_add(s, dn,
			      (const char *const[]){"objectClass", "container", "objectClass",
						    is_local ? "siteLocal" : NULL, NULL});
}

static int add_server(struct site_setup *s)
{
	const char *dn = arena_printf(&s->arena, "cn=%s,cn=Servers,cn=Configuration,%s", s->host,
				      s->site_dn);
	char invocation[UUID_TEXT_BYTES];

	if (dn == NULL)
		return RC_NOMEM;
	uuid_write(&s->site_position.invocation, invocation);
	return site_setup_add(s, dn,
			      (const char *const[]){"objectClass", "directoryServer", "serverURI",
						    site_setup_uri(&s->arena, "ldap", s->o.ldap),
						    "serverURI",
						    site_setup_uri(&s->arena, "ldaps", s->o.ldaps),
						    "invocationId", invocation, "softwareVersion",
						    WAYPOST_VERSION, NULL});
}

static int add_ims(struct site_setup *s)
{
	const char *dn = arena_printf(
		&s->arena, "cn=Internet Mail Service (%s),cn=Connections,cn=Configuration,%s",
		s->o.site, s->site_dn);

	if (dn == NULL)
		return RC_NOMEM;
	return site_setup_add(s, dn,
			      (const char *const[]){"objectClass", "imsConnector",
						    "connectedDomains", s->connected_domain, NULL});
}

int site_setup_entries(struct site_setup *s)
{
	static const struct {
		const char *name, *below;
		bool is_local;
	} containers[] = {
		{"Recipients", "", false},
		{"Configuration", "", false},
		{"Connections", "cn=Configuration,", false},
		{"Directory Replication", "cn=Configuration,", false},
		{"Servers", "cn=Configuration,", false},
		{"Routes", "cn=Configuration,", true},
		{"Join Tokens", "cn=Configuration,", true},
	};
	unsigned i;
	int rc = add_head(s);

	for (i = 0; rc == RC_OK && i < sizeof(containers) / sizeof(containers[0]); i++)
		rc = add_container(s, containers[i].name, containers[i].below,
				   containers[i].is_local);
	if (rc == RC_OK)
		rc = add_ims(s);
	return rc == RC_OK ? add_server(s) : rc;
}
