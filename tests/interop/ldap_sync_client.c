/*
 * A client of libldap's ldap_sync API (test_ldap_sync.py): prints a line for each thing it is told.
 *
 *   ldap_sync_client URI NAME PASSWORD BASE poll|persist [COOKIE]
 *
 *   entry PHASE UUID DN      0 present, 1 add, 2 modify, 3 delete
 *   set PHASE UUID...        of a phase: 0x30 presents, 0x33 deletes
 *   phase PHASE              0x10, 0x13 a phase has ended; 0x50 the refresh is done
 *   result CODE DELETES
 *   cookie TEXT              after each poll in which it changed
 */
#include <ldap.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_uuid(const struct berval *uuid)
{
	unsigned i;

	putchar(' ');
	for (i = 0; i < uuid->bv_len; i++)
		printf("%02x", (unsigned char)uuid->bv_val[i]);
}

static int on_entry(ldap_sync_t *ls, LDAPMessage *msg, struct berval *uuid,
		    ldap_sync_refresh_t phase)
{
	char *dn = ldap_get_dn(ls->ls_ld, msg);

	printf("entry %d", (int)phase);
	print_uuid(uuid);
	printf(" %s\n", dn != NULL ? dn : "");
	ldap_memfree(dn);
	return LDAP_SUCCESS;
}

static int on_intermediate(ldap_sync_t *ls, LDAPMessage *msg, BerVarray uuids,
			   ldap_sync_refresh_t phase)
{
	(void)ls, (void)msg;
	printf("%s 0x%02x", uuids != NULL ? "set" : "phase", (unsigned)phase);
	for (; uuids != NULL && uuids->bv_val != NULL; uuids++)
		print_uuid(uuids);
	putchar('\n');
	return LDAP_SUCCESS;
}

static int on_result(ldap_sync_t *ls, LDAPMessage *msg, int deletes)
{
	int code = LDAP_OTHER;

	if (ldap_parse_result(ls->ls_ld, msg, &code, NULL, NULL, NULL, NULL, 0) != LDAP_SUCCESS)
		return LDAP_OTHER;
	printf("result %d %d\n", code, deletes);
	return LDAP_SUCCESS;
}

static void print_cookie(const ldap_sync_t *ls, char **last)
{
	if (ls->ls_cookie.bv_val != NULL &&
	    (*last == NULL || strcmp(*last, ls->ls_cookie.bv_val) != 0)) {
		free(*last);
		*last = strdup(ls->ls_cookie.bv_val);
		printf("cookie %s\n", *last);
	}
	fflush(stdout);
}

static int run(ldap_sync_t *ls, bool persist)
{
	char *last = NULL;
	int rc = ldap_sync_init(ls,
				persist ? LDAP_SYNC_REFRESH_AND_PERSIST : LDAP_SYNC_REFRESH_ONLY);

	print_cookie(ls, &last);
	while (rc == LDAP_SUCCESS && persist) {
		rc = ldap_sync_poll(ls);
		print_cookie(ls, &last);
	}
	free(last);
	return rc;
}

int main(int argc, char **argv)
{
	struct berval password;
	int version = LDAP_VERSION3, rc;
	ldap_sync_t ls;

	if (argc < 6)
		return 2;
	ldap_sync_initialize(&ls);
	ls.ls_base = ldap_strdup(argv[4]);
	ls.ls_filter = ldap_strdup("(objectClass=*)");
	ls.ls_search_entry = on_entry;
	ls.ls_intermediate = on_intermediate;
	ls.ls_search_result = on_result;
	ls.ls_timeout = 1;
	if (argc > 6)
		ber_str2bv(argv[6], 0, 1, &ls.ls_cookie);
	rc = ldap_initialize(&ls.ls_ld, argv[1]);
	if (rc == LDAP_SUCCESS)
		rc = ldap_set_option(ls.ls_ld, LDAP_OPT_PROTOCOL_VERSION, &version);
	ber_str2bv(argv[3], 0, 0, &password);
	if (rc == LDAP_SUCCESS)
		rc = ldap_sasl_bind_s(ls.ls_ld, argv[2], LDAP_SASL_SIMPLE, &password, NULL, NULL,
				      NULL);
	if (rc == LDAP_SUCCESS)
		rc = run(&ls, strcmp(argv[5], "persist") == 0);
	ldap_sync_destroy(&ls, 0);
	printf("end %d\n", rc);
	return rc == LDAP_SUCCESS ? 0 : 1;
}
