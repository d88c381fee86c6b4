/* Searches and changes. */
#include "tools/dirconn.h"

#include "dird/manage.h"
#include "lib/arena.h"
#include "tools/dirconn_private.h"

#include <stdio.h>

static char *unconst(const void *p)
{
	return (char *)(uintptr_t)p;
}

/* --- reading --- */

static int take_values(LDAP *ld, LDAPMessage *m, struct arena *a, const char *type,
		       struct ldif_attr *out)
{
	struct berval **values = ldap_get_values_len(ld, m, type);
	int n = values != NULL ? ldap_count_values_len(values) : 0;
	int i, rc = RC_OK;

	out->type = arena_span(a, span_of(type));
	out->values = arena_zalloc(a, (size_t)n, sizeof(*out->values));
	if (out->type.p == NULL || out->values == NULL)
		rc = RC_NOMEM;
	for (i = 0; i < n && rc == RC_OK; i++) {
		out->values[i] = arena_span(a, span_make(values[i]->bv_val, values[i]->bv_len));
		if (out->values[i].p == NULL)
			rc = RC_NOMEM;
		out->nvalues++;
	}
	if (values != NULL)
		ldap_value_free_len(values);
	return rc;
}

static unsigned count_attrs(LDAP *ld, LDAPMessage *m)
{
	BerElement *ber = NULL;
	unsigned n = 0;
	char *type;

	for (type = ldap_first_attribute(ld, m, &ber); type != NULL;
	     type = ldap_next_attribute(ld, m, ber)) {
		n++;
		ldap_memfree(type);
	}
	ber_free(ber, 0);
	return n;
}

static int take_entry(LDAP *ld, LDAPMessage *m, struct arena *a, struct ldif_record *out)
{
	char *dn = ldap_get_dn(ld, m);
	BerElement *ber = NULL;
	unsigned n = count_attrs(ld, m);
	int rc = RC_OK;
	char *type;

	*out = (struct ldif_record){.kind = LDIF_CONTENT};
	out->dn = arena_span(a, span_of(dn));
	out->attrs = arena_zalloc(a, n, sizeof(*out->attrs));
	if (dn == NULL || out->dn.p == NULL || out->attrs == NULL)
		rc = RC_NOMEM;
	for (type = ldap_first_attribute(ld, m, &ber); type != NULL;
	     type = ldap_next_attribute(ld, m, ber)) {
		if (rc == RC_OK && out->nattrs < n)
			rc = take_values(ld, m, a, type, &out->attrs[out->nattrs++]);
		ldap_memfree(type);
	}
	ber_free(ber, 0);
	ldap_memfree(dn);
	return rc;
}

static int give_entry(struct dirconn *c, LDAPMessage *m, dirconn_entry_fn *fn, void *arg)
{
	struct ldif_record entry;
	struct arena a;
	int rc;

	arena_init(&a);
	rc = take_entry(c->ld, m, &a, &entry);
	if (rc == RC_OK)
		rc = fn(&entry, arg);
	arena_fini(&a);
	return rc;
}

static int lost_connection(struct dirconn *c, const char *doing, const char *dn)
{
	int result = LDAP_SERVER_DOWN;

	ldap_get_option(c->ld, LDAP_OPT_RESULT_CODE, &result);
	dirconn_complain(c, doing, dn, result, NULL);
	return dirconn_rc(result);
}

static const char *shown(const char *dn)
{
	return dn[0] != '\0' ? dn : "the root DSE";
}

static int search_done(struct dirconn *c, const struct dirconn_search *s, LDAPMessage *m,
		       unsigned seen)
{
	char *diagnostic = NULL;
	int result = LDAP_OTHER;
	int rc = ldap_parse_result(c->ld, m, &result, NULL, &diagnostic, NULL, NULL, 0);

	if (rc != LDAP_SUCCESS)
		result = rc;
	rc = dirconn_rc(result);
	if (result == LDAP_SIZELIMIT_EXCEEDED && s->limit != 0 && seen >= s->limit)
		rc = RC_TOOBIG;
	else if (result != LDAP_SUCCESS && result != LDAP_NO_SUCH_OBJECT)
		dirconn_complain(c, "searching", shown(s->base), result, diagnostic);
	ldap_memfree(diagnostic);
	return rc;
}

static int search_loop(struct dirconn *c, const struct dirconn_search *s, int id,
		       dirconn_entry_fn *fn, void *arg)
{
	unsigned seen = 0;
	int rc = RC_OK;

	for (;;) {
		LDAPMessage *m = NULL;
		int type = ldap_result(c->ld, id, LDAP_MSG_ONE, NULL, &m);

		if (type <= 0)
			return lost_connection(c, "searching", shown(s->base));
		if (type == LDAP_RES_SEARCH_RESULT) {
			rc = search_done(c, s, m, seen);
			ldap_msgfree(m);
			return rc;
		}
		if (type == LDAP_RES_SEARCH_ENTRY) {
			seen++;
			rc = give_entry(c, m, fn, arg);
		}
		ldap_msgfree(m);
		if (rc != RC_OK) {
			ldap_abandon_ext(c->ld, id, NULL, NULL);
			return rc;
		}
	}
}

int dirconn_search(struct dirconn *c, const struct dirconn_search *s, dirconn_entry_fn *fn,
		   void *arg)
{
	static const int scopes[] = {
		[DIRCONN_BASE] = LDAP_SCOPE_BASE,
		[DIRCONN_ONE] = LDAP_SCOPE_ONELEVEL,
		[DIRCONN_SUB] = LDAP_SCOPE_SUBTREE,
	};
	int id;
	int rc = ldap_search_ext(c->ld, s->base, scopes[s->scope], s->filter,
				 (char **)(uintptr_t)s->attrs, 0, NULL, NULL, NULL,
				 s->limit != 0 ? (int)s->limit : LDAP_NO_LIMIT, &id);

	if (rc == LDAP_FILTER_ERROR) {
		cli_error("\"%s\" is not a filter", s->filter);
		cli_hint("filters look like (cn=Ada*) or (&(sn=Hill)(mail=*)), see RFC 4515");
		return RC_INVALID;
	}
	if (rc != LDAP_SUCCESS) {
		dirconn_complain(c, "searching", shown(s->base), rc, NULL);
		return dirconn_rc(rc);
	}
	return search_loop(c, s, id, fn, arg);
}

struct keep {
	struct arena *arena;
	struct ldif_record *out;
	bool found;
};

static struct span keep_span(struct arena *a, struct span s, int *rc)
{
	struct span copy = arena_span(a, s);

	if (copy.p == NULL)
		*rc = RC_NOMEM;
	return copy;
}

static int keep_entry(const struct ldif_record *entry, void *arg)
{
	struct keep *k = arg;
	struct ldif_record *to = k->out;
	unsigned i, j;
	int rc = RC_OK;

	*to = *entry;
	to->dn = keep_span(k->arena, entry->dn, &rc);
	to->attrs = arena_zalloc(k->arena, entry->nattrs, sizeof(*to->attrs));
	if (to->attrs == NULL)
		return RC_NOMEM;
	for (i = 0; i < entry->nattrs; i++) {
		const struct ldif_attr *from = &entry->attrs[i];
		struct span *values = arena_zalloc(k->arena, from->nvalues, sizeof(*values));

		if (values == NULL)
			return RC_NOMEM;
		for (j = 0; j < from->nvalues; j++)
			values[j] = keep_span(k->arena, from->values[j], &rc);
		to->attrs[i] = (struct ldif_attr){.type = keep_span(k->arena, from->type, &rc),
						  .values = values,
						  .nvalues = from->nvalues};
	}
	k->found = true;
	return rc;
}

int dirconn_read(struct dirconn *c, struct arena *a, const char *dn, const char *const *attrs,
		 struct ldif_record *out)
{
	const struct dirconn_search s = {dn, DIRCONN_BASE, "(objectClass=*)", attrs, 0};
	struct keep keep = {a, out, false};
	int rc = dirconn_search(c, &s, keep_entry, &keep);

	return rc == RC_OK && !keep.found ? RC_NOTFOUND : rc;
}

/* --- changes --- */

static const char *doing_of(enum ldif_kind kind)
{
	switch (kind) {
	case LDIF_CONTENT:
	case LDIF_ADD:
		return "adding";
	case LDIF_DELETE:
		return "deleting";
	case LDIF_MODIFY:
		return "changing";
	case LDIF_MODRDN:
		return "renaming";
	}
	return "";
}

static int mod_op(enum ldif_op op)
{
	switch (op) {
	case LDIF_OP_ADD:
		return LDAP_MOD_ADD;
	case LDIF_OP_DELETE:
		return LDAP_MOD_DELETE;
	case LDIF_OP_REPLACE:
		return LDAP_MOD_REPLACE;
	case LDIF_OP_INCREMENT:
		return LDAP_MOD_INCREMENT;
	}
	return LDAP_MOD_ADD;
}

static struct berval **bervals(struct arena *a, const struct ldif_attr *attr)
{
	struct berval **list = arena_zalloc(a, attr->nvalues + 1, sizeof(*list));
	struct berval *items = arena_zalloc(a, attr->nvalues, sizeof(*items));
	unsigned i;

	if (list == NULL || items == NULL)
		return NULL;
	for (i = 0; i < attr->nvalues; i++) {
		items[i].bv_val = unconst(attr->values[i].p);
		items[i].bv_len = attr->values[i].n;
		list[i] = &items[i];
	}
	return list;
}

static LDAPMod **mods_of(struct arena *a, const struct ldif_record *r)
{
	LDAPMod **list = arena_zalloc(a, r->nattrs + 1, sizeof(*list));
	LDAPMod *items = arena_zalloc(a, r->nattrs, sizeof(*items));
	unsigned i;

	if (list == NULL || items == NULL)
		return NULL;
	for (i = 0; i < r->nattrs; i++) {
		items[i].mod_op = mod_op(r->attrs[i].op) | LDAP_MOD_BVALUES;
		items[i].mod_type = arena_str(a, r->attrs[i].type);
		if (r->attrs[i].nvalues != 0) {
			items[i].mod_bvalues = bervals(a, &r->attrs[i]);
			if (items[i].mod_bvalues == NULL)
				return NULL;
		}
		if (items[i].mod_type == NULL)
			return NULL;
		list[i] = &items[i];
	}
	return list;
}

static int send_change(struct dirconn *c, struct arena *a, const struct ldif_record *r, int *id)
{
	const char *dn = arena_str(a, r->dn);
	const char *superior = r->has_newsuperior ? arena_str(a, r->newsuperior) : NULL;
	const char *rdn = arena_str(a, r->newrdn);
	LDAPMod **mods = mods_of(a, r);

	if (dn == NULL || rdn == NULL || mods == NULL || (r->has_newsuperior && superior == NULL))
		return LDAP_NO_MEMORY;
	switch (r->kind) {
	case LDIF_CONTENT:
	case LDIF_ADD:
		return ldap_add_ext(c->ld, dn, mods, NULL, NULL, id);
	case LDIF_DELETE:
		return ldap_delete_ext(c->ld, dn, NULL, NULL, id);
	case LDIF_MODIFY:
		return ldap_modify_ext(c->ld, dn, mods, NULL, NULL, id);
	case LDIF_MODRDN:
		return ldap_rename(c->ld, dn, rdn, superior, r->deleteoldrdn, NULL, NULL, id);
	}
	return LDAP_PARAM_ERROR;
}

int dirconn_send(struct dirconn *c, const struct ldif_record *change, int *id)
{
	struct arena a;
	int result;

	arena_init(&a);
	result = send_change(c, &a, change, id);
	if (result != LDAP_SUCCESS) {
		const char *dn = arena_str(&a, change->dn);

		dirconn_complain(c, doing_of(change->kind), dn != NULL ? dn : "an entry", result,
				 NULL);
	}
	arena_fini(&a);
	return dirconn_rc(result);
}

static int change_done(struct dirconn *c, LDAPMessage *m, const struct ldif_record *change)
{
	char *diagnostic = NULL, *dn;
	char **referrals = NULL;
	int result = LDAP_OTHER;
	int rc = ldap_parse_result(c->ld, m, &result, NULL, &diagnostic, &referrals, NULL, 0);
	struct arena a;

	if (rc != LDAP_SUCCESS)
		result = rc;
	rc = dirconn_rc(result);
	if (result == LDAP_REFERRAL && referrals != NULL) {
		rc = dirconn_refer(c, referrals, change);
	} else if (result != LDAP_SUCCESS &&
		   !(result == LDAP_ALREADY_EXISTS && c->expects_existing)) {
		arena_init(&a);
		dn = arena_str(&a, change->dn);
		dirconn_complain(c, doing_of(change->kind), dn != NULL ? dn : "an entry", result,
				 diagnostic);
		arena_fini(&a);
	}
	ldap_memvfree((void **)referrals);
	ldap_memfree(diagnostic);
	return rc;
}

void dirconn_expect_existing(struct dirconn *c, bool yes)
{
	c->expects_existing = yes;
}

int dirconn_collect(struct dirconn *c, int id, const struct ldif_record *change)
{
	LDAPMessage *m = NULL;
	int rc;

	if (ldap_result(c->ld, id, LDAP_MSG_ALL, NULL, &m) <= 0)
		return lost_connection(c, doing_of(change->kind), "an entry");
	rc = change_done(c, m, change);
	ldap_msgfree(m);
	return rc;
}

int dirconn_change(struct dirconn *c, const struct ldif_record *change)
{
	int id;
	int rc = dirconn_send(c, change, &id);

	return rc == RC_OK ? dirconn_collect(c, id, change) : rc;
}

/* --- asking the daemon --- */

int dirconn_manage(struct dirconn *c, const char *verb, const char *arg, const char **text_out)
{
	char *diagnostic = NULL;
	struct berval value;
	struct buf b;
	int rc;

	buf_init(&b, 65536);
	buf_printf(&b, "%s%s%s", verb, arg != NULL ? " " : "", arg != NULL ? arg : "");
	value = (struct berval){b.n, unconst(b.p)};
	rc = ldap_extended_operation_s(c->ld, MANAGE_OID, &value, NULL, NULL, NULL, NULL);
	ldap_get_option(c->ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &diagnostic);
	if (rc != LDAP_SUCCESS)
		dirconn_complain(c, verb, arg != NULL ? arg : c->where, rc, diagnostic);
	else if (text_out != NULL)
		*text_out = arena_str(&c->arena, span_of(diagnostic != NULL ? diagnostic : ""));
	ldap_memfree(diagnostic);
	buf_fini(&b);
	return rc == LDAP_SUCCESS ? RC_OK : dirconn_rc(rc);
}
