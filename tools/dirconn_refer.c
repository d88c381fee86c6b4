/* A change that belongs to another site is carried out there. */
#include "tools/dirconn.h"

#include "lib/arena.h"
#include "tools/dirconn_private.h"

/*
 * The administrator's right on this machine's socket says nothing at another site, and a password
 * must not travel in clear: only ldaps, or ldap with StartTLS, is good enough.
 */
static bool may_follow(const struct dirconn *c, const char *uri)
{
	if (span_eq_nocase(span_head(span_of(uri), 8), SPAN_LIT("ldaps://")))
		return true;
	return c->options.starttls &&
	       span_eq_nocase(span_head(span_of(uri), 7), SPAN_LIT("ldap://"));
}

/* "scheme://host:port" of a referral, which may go on with "/DN". */
static const char *server_of(struct arena *a, const char *referral)
{
	struct span s = span_of(referral);
	size_t i, slashes = 0;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '/' && ++slashes == 3)
			break;
	}
	return arena_str(a, span_head(s, i));
}

/* siteKey values of the site that the entry lies in, as this server knows them; in c's arena. */
static int keys_for(struct dirconn *c, struct span dn, const struct ldif_attr **out)
{
	static const char *const attrs[] = {"siteKey", NULL};
	const char *site = dirconn_site_of(&c->arena, dn, c->root);
	struct ldif_record entry;
	const char *site_dn;
	int rc;

	*out = NULL;
	if (site == NULL || c->options.ca_file != NULL)
		return RC_OK;
	site_dn = dirconn_child_dn(&c->arena, "ou", site, c->root);
	if (site_dn == NULL)
		return RC_NOMEM;
	rc = dirconn_read(c, &c->arena, site_dn, attrs, &entry);
	if (rc == RC_OK)
		*out = dirconn_attr(&entry, "siteKey");
	return rc == RC_NOTFOUND ? RC_OK : rc;
}

static int session_for(struct dirconn *c, const char *uri, struct span dn)
{
	const struct ldif_attr *pins;
	int rc;

	if (c->other != NULL && strcmp(c->other->uri, uri) == 0)
		return RC_OK;
	dirconn_close(&c->other);
	rc = keys_for(c, dn, &pins);
	return rc == RC_OK ? dirconn_open_other(c, uri, pins, &c->other) : rc;
}

static int no_way(const struct dirconn *c, char *const *uris, const char *dn)
{
	cli_error("%s belongs to another site, whose server is %s", dn,
		  uris[0] != NULL ? uris[0] : "not known here");
	if (c->options.bind_dn == NULL)
		cli_hint("give the administrator of that site, too: -D cn=admin,%s -y FILE --ca "
			 "FILE",
			 c->root);
	else
		cli_hint("the password is sent only over ldaps, or with -Z over ldap");
	return RC_REFUSED;
}

int dirconn_refer(struct dirconn *c, char *const *uris, const struct ldif_record *change)
{
	const char *dn, *uri = NULL;
	struct arena a;
	int rc;
	int i;

	arena_init(&a);
	dn = arena_str(&a, change->dn);
	for (i = 0; uris[i] != NULL && uri == NULL && c->options.bind_dn != NULL; i++) {
		if (may_follow(c, uris[i]))
			uri = server_of(&a, uris[i]);
	}
	if (uri == NULL) {
		rc = no_way(c, uris, dn != NULL ? dn : "the entry");
	} else {
		rc = session_for(c, uri, change->dn);
		if (rc == RC_OK)
			cli_note("%s: written at its own site, %s", dn != NULL ? dn : "", uri);
		if (rc == RC_OK) {
			dirconn_expect_existing(c->other, c->expects_existing);
			rc = dirconn_change(c->other, change);
		}
	}
	arena_fini(&a);
	return rc;
}
