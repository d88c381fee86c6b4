/*
 * sitectl join: a further site. Its folder is made as by init; then it introduces itself at the
 * site that gave the token, which takes its site entry and from then on replicates with it. Only
 * when that has succeeded does the folder get its name.
 */
#include "dird/enrol.h"
#include "lib/file.h"
#include "tools/hub.h"
#include "tools/site_setup.h"
#include "tools/sitectl.h"
#include "tools/token.h"

#include <stdio.h>

#define TOKEN_MAX_BYTES 65536

static const char *const wanted[] = {"*",
				     "entryUUID",
				     "structuralObjectClass",
				     "createTimestamp",
				     "creatorsName",
				     "modifyTimestamp",
				     "modifiersName",
				     NULL};

struct join {
	const char *token_text;
	struct site_options o;
	struct token token;
	struct arena arena;
	struct site_setup s;
	struct hub *hub;
	struct uuid root_uuid;
	const char *hub_domain;
};

/* --- the token --- */

/* Its text, a file that holds it, or - for standard input. */
static int read_token(struct join *j)
{
	const char *path = strcmp(j->token_text, "-") == 0 ? "/dev/stdin" : j->token_text;
	char now[CLOCK_GENERALIZED_BYTES];
	struct buf b;
	int rc = token_read(span_of(j->token_text), &j->arena, &j->token);

	if (rc == RC_INVALID) {
		buf_init(&b, TOKEN_MAX_BYTES);
		rc = file_read(path, &b);
		if (rc == RC_OK)
			rc = token_read(buf_span(&b), &j->arena, &j->token);
		buf_fini(&b);
		if (rc != RC_OK) {
			cli_error("--token: neither a token nor a file with one");
			return RC_INVALID;
		}
	}
	if (rc != RC_OK)
		return rc;
	clock_generalized(clock_system.wall_us(&clock_system), now);
	if (strcmp(j->token.expires, now) <= 0) {
		cli_error("--token: it was good until %s; ask site %s for a new one",
			  j->token.expires, j->token.hub);
		return RC_REFUSED;
	}
	if (strcasecmp(j->token.site, j->o.site) != 0) {
		cli_error("--token: it is for site %s, not for %s", j->token.site, j->o.site);
		return RC_REFUSED;
	}
	return RC_OK;
}

/* --- what the hub knows --- */

static const struct attr *find(const struct attr_list *list, const char *type)
{
	unsigned i;

	for (i = 0; i < list->n; i++) {
		if (span_eq_nocase(list->attrs[i].type, span_of(type)) &&
		    list->attrs[i].nvalues != 0)
			return &list->attrs[i];
	}
	return NULL;
}

static int uuid_of(const struct join *j, const struct msg_entry *e, const char *dn,
		   struct uuid *out)
{
	const struct attr *at = find(&e->attrs, "entryUUID");

	if (at != NULL && uuid_parse(at->values[0], out) == RC_OK)
		return RC_OK;
	cli_error("%s: %s: no entryUUID", j->token.uri, dn);
	return RC_INVALID;
}

/*
 * Keep an entry of another site. The stamp says that nothing is known about its age, so that
 * replication replaces it.
 */
static int keep(struct join *j, const struct msg_entry *e, const struct uuid *uuid, const char *rdn,
		const char *dn)
{
	struct change c = {.kind = CHANGE_PUT, .uuid = *uuid, .attrs = e->attrs};

	c.stamp.nc = *uuid;
	c.rdn = span_of(rdn);
	if (!uuid_eq(uuid, &j->root_uuid))
		c.parent_uuid = j->root_uuid;
	return site_setup_apply(&j->s, &c, dn);
}

static int fetch_root(struct join *j)
{
	struct msg_entry e;
	int rc = hub_read(j->hub, &j->arena, j->s.root_text, wanted, &e);

	if (rc == RC_OK)
		rc = uuid_of(j, &e, j->s.root_text, &j->root_uuid);
	return rc == RC_OK ? keep(j, &e, &j->root_uuid, j->s.root_text, j->s.root_text) : rc;
}

static int fetch_hub_site(struct join *j)
{
	const char *rdn = arena_printf(&j->arena, "ou=%s", j->token.hub);
	const char *dn = arena_printf(&j->arena, "ou=%s,%s", j->token.hub, j->s.root_text);
	const struct attr *domain;
	struct msg_entry e;
	struct uuid uuid;
	int rc;

	if (rdn == NULL || dn == NULL)
		return RC_NOMEM;
	rc = hub_read(j->hub, &j->arena, dn, wanted, &e);
	if (rc == RC_OK)
		rc = uuid_of(j, &e, dn, &uuid);
	if (rc != RC_OK)
		return rc;
	domain = find(&e.attrs, "siteSmtpDomain");
	if (domain == NULL) {
		cli_note("site %s has no siteSmtpDomain: no connected domain is made for it",
			 j->token.hub);
	} else {
		j->s.connected_domain = arena_printf(&j->arena, "%s;1;SMTP:%.*s", j->token.hub,
						     SPAN_ARG(domain->values[0]));
		if (j->s.connected_domain == NULL)
			return RC_NOMEM;
	}
	return keep(j, &e, &uuid, rdn, dn);
}

/* --- our own entries --- */

static int add_link(struct join *j)
{
	const char *dn =
		arena_printf(&j->arena, "cn=To %s,cn=Directory Replication,cn=Configuration,%s",
			     j->token.hub, j->s.site_dn);

	if (dn == NULL)
		return RC_NOMEM;
	return site_setup_add(&j->s, dn,
			      (const char *const[]){"objectClass", "replicationConnector",
						    "remoteSite", j->token.hub, "replicationURI",
						    j->token.uri, "connectorEnabled", "TRUE",
						    NULL});
}

static int write_request(struct join *j, struct buf *out)
{
	struct enrol_request r = {.position = j->s.site_position};
	const char *uri = site_setup_uri(&j->arena, "ldaps", j->o.ldaps);
	struct entry head;
	uint64_t eid;
	int rc = store_by_uuid(j->s.txn, &j->s.site_uuid, &eid);

	if (rc == RC_OK)
		rc = store_entry(j->s.txn, eid, &head);
	if (rc == RC_OK)
		rc = entry_decode(&head, true, &j->arena, &r.attrs);
	if (rc != RC_OK || uri == NULL) {
		cli_error("%s: %s", j->s.site_dn, rc_text(rc != RC_OK ? rc : RC_NOMEM));
		return rc != RC_OK ? rc : RC_NOMEM;
	}
	r.dn = span_of(j->s.site_dn);
	r.position.usn = head.head.stamp.usn;
	r.replication_uri = span_of(uri);
	enrol_request_write(out, &r);
	return buf_rc(out);
}

/*
 * The token works once, and only for the key in our folder. So the folder is whole and has its name
 * before the token is used; it goes again only when the hub has said no.
 */
static int enrol(struct join *j)
{
	struct buf b;
	int rc;

	buf_init(&b, 1u << 20);
	rc = write_request(j, &b);
	if (rc == RC_OK)
		rc = site_setup_commit(&j->s);
	if (rc == RC_OK) {
		rc = hub_extended(j->hub, ENROL_OID, buf_span(&b));
		if (rc == RC_REFUSED)
			site_setup_undo(&j->s);
		else if (rc != RC_OK)
			cli_error(
				"%s: site %s did not answer whether it has taken site %s; keep the "
				"folder, if that knows it now, or remove it and join again",
				j->s.dir, j->token.hub, j->o.site);
	}
	buf_fini(&b);
	return rc;
}

static int open_hub(struct join *j)
{
	struct hub_options o = {.uri = j->token.uri, .pin = j->token.pin};
	int rc;

	o.certificate = arena_printf(&j->arena, "%s/site.crt", j->s.beside);
	o.key = arena_printf(&j->arena, "%s/site.key", j->s.beside);
	if (o.certificate == NULL || o.key == NULL)
		return RC_NOMEM;
	rc = hub_open(&o, &j->hub);
	return rc == RC_OK ? hub_bind(j->hub, j->token.dn, j->token.secret) : rc;
}

static int run(struct join *j)
{
	int rc = read_token(j);

	if (rc == RC_OK && j->o.ldaps == NULL) {
		cli_error("--ldaps is needed: other sites replicate over it");
		rc = RC_INVALID;
	}
	if (rc != RC_OK)
		return rc;
	j->o.organisation = j->token.root;
	rc = site_setup_begin(&j->s, &j->o);
	if (rc == RC_OK)
		rc = open_hub(j);
	if (rc == RC_OK)
		rc = fetch_root(j);
	if (rc == RC_OK)
		rc = fetch_hub_site(j);
	if (rc == RC_OK)
		rc = site_setup_entries(&j->s);
	if (rc == RC_OK)
		rc = add_link(j);
	if (rc == RC_OK)
		rc = enrol(j);
	if (rc == RC_OK) {
		printf("Site %s of organisation %s has joined at %s; its folder is %s\n", j->o.site,
		       j->s.root_text, j->token.hub, j->s.dir);
		printf("Start it with: dird --config %s/dird.conf\n", j->s.dir);
	}
	return rc;
}

int sitectl_join(int argc, char **argv)
{
	struct join j = {.hub = NULL};
	struct cli_opt opts[SITE_SETUP_OPTS + 1] = {
		{"token", 0, CLI_TEXT, &j.token_text, "TOKEN",
		 "what `sitectl token` printed, a file that holds it, or -", true}};
	const struct cli_usage u = {
		"sitectl join",
		"",
		"Makes the folder of a further site and introduces it at the site that gave the "
		"token, whose dird\nruns. When anything fails, nothing is left behind.",
		opts,
		"  sitectl join --dir site1 --token site1.token --site Site1 \\\n"
		"      --domain site1.example.com --ldap 127.0.0.1:3891 --ldaps 127.0.0.1:6361\n",
		0,
		0};
	int first, status, rc;

	site_setup_opts(&j.o, opts + 1);
	if (!cli_parse(&u, argc, argv, &first, &status))
		return status;
	rc = run(&j);
	hub_close(&j.hub);
	site_setup_end(&j.s);
	arena_fini(&j.arena);
	return rc == RC_OK ? CLI_DONE : CLI_FAILED;
}
