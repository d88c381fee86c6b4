/* URIs that a client at a referral entry gets (dird/op_impl.h, RFC 3296). */
#include "tests/unit/unit.h"

#include "dird/op_impl.h"

static void uris(void **state)
{
	static const struct {
		const char *ref, *target;
		unsigned below;
		const char *suffix, *uri;
	} rows[] = {
		{"ldap://h/ou=b,o=E", "ou=r,o=E", 0, "", "ldap://h/ou=b,o=E"},
		{"ldap://h/ou=b,o=E", "ou=r,o=E", 0, "??sub", "ldap://h/ou=b,o=E??sub"},
		{"ldap://h/ou=b,o=E", "cn=x,cn=y,ou=r,o=E", 2, "", "ldap://h/cn=x,cn=y,ou=b,o=E"},
		{"ldap://h", "cn=x,ou=r,o=E", 1, "??base", "ldap://h/cn=x,ou=r,o=E??base"},
		{"ldap://h/", "ou=r,o=E", 0, "", "ldap://h/ou=r,o=E"},
		{"LDAPS://h:63/o=%C3%BC??one?(a=b)", "ou=r", 0, "??sub",
		 "LDAPS://h:63/o=%C3%BC??sub"},
		{"ldap:///o=a%2", "ou=r", 0, "", "ldap:///o=a%252"},
		{"ldap://h/o=a b", "cn=1?,ou=r", 1, "", "ldap://h/cn=1%3F,o=a%20b"},
		{"https://h/x y?z", "cn=x,ou=r", 1, "??sub", "https://h/x y?z"},
		{"", "ou=r", 0, "??sub", ""},
	};
	struct arena a;
	struct buf out;
	struct dn dn;
	size_t i;

	(void)state;
	arena_init(&a);
	buf_init(&out, 10000);
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		buf_clear(&out);
		assert_int_equal(dn_parse(&a, span_of(rows[i].target), &dn, NULL), 0);
		assert_int_equal(op_referral_uri(span_of(rows[i].ref), &dn, rows[i].below,
						 rows[i].suffix, &out),
				 0);
		assert_string_equal(buf_cstr(&out), rows[i].uri);
	}
	buf_fini(&out);
	arena_fini(&a);
}

static void too_long(void **state)
{
	struct dn dn = {NULL, 0};
	struct buf out;

	(void)state;
	buf_init(&out, 8);
	assert_int_equal(op_referral_uri(SPAN_LIT("ldap://h/o=E"), &dn, 0, "", &out), RC_TOOBIG);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(uris), cmocka_unit_test(too_long)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
