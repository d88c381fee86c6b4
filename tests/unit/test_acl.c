/* dird/acl.c and dird/result.c. */
#include "dird/acl.h"

#include "tests/unit/unit.h"

static const struct schema_attr cn = {.name = "cn"};
static const struct schema_attr password = {.name = "userPassword", .is_protected = true};

static void who_may_what(void **state)
{
	/* anonymous without and with anonymous-read, user, token, site, admin */
	static const struct {
		enum identity_kind kind;
		bool anonymous_read;
		bool search, read, read_password, write, sync;
	} rows[] = {
		{IDENTITY_ANONYMOUS, false, false, false, false, false, false},
		{IDENTITY_ANONYMOUS, true, true, true, false, false, false},
		{IDENTITY_USER, false, true, true, false, false, false},
		{IDENTITY_TOKEN, false, true, true, false, false, false},
		{IDENTITY_SITE, false, true, true, true, false, true},
		{IDENTITY_ADMIN, false, true, true, true, true, true},
	};
	unsigned i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		struct acl acl = {.anonymous_read = rows[i].anonymous_read};
		struct identity id = {.kind = rows[i].kind};

		assert_int_equal(acl_may_search(&acl, &id), rows[i].search);
		assert_int_equal(acl_may_read_attr(&acl, &id, &cn, SPAN_LIT("cn")), rows[i].read);
		assert_int_equal(acl_may_read_attr(&acl, &id, NULL, SPAN_LIT("x")), rows[i].read);
		assert_int_equal(acl_may_read_attr(&acl, &id, &password, SPAN_LIT("userPassword")),
				 rows[i].read_password);
		assert_int_equal(acl_may_write(&acl, &id), rows[i].write);
		assert_int_equal(acl_may_sync(&acl, &id), rows[i].sync);
	}
}

static int copy_once(void *arg)
{
	struct identity id;
	int rc = identity_copy(&id, arg);

	if (rc == RC_OK)
		identity_fini(&id);
	return rc;
}

static void identities_own_their_name(void **state)
{
	struct identity a, b;

	(void)state;
	identity_init(&a);
	assert_int_equal(a.kind, IDENTITY_ANONYMOUS);
	assert_int_equal(identity_copy(&b, &a), RC_OK);
	assert_null(b.dn);
	a.kind = IDENTITY_USER;
	a.dn = mem_strdup("cn=a,o=x");
	assert_int_equal(identity_copy(&b, &a), RC_OK);
	assert_string_equal(b.dn, "cn=a,o=x");
	assert_ptr_not_equal(a.dn, b.dn);
	identity_fini(&b);
	assert_int_equal(b.kind, IDENTITY_ANONYMOUS);
	unit_fail_allocations(copy_once, &a);
	identity_fini(&a);
}

static void results_are_worded(void **state)
{
	struct result r = {0};
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_int_equal(result_set(&r, &a, LR_INVALID_SYNTAX, "%s: %d", "cn", 7), RC_REFUSED);
	assert_int_equal(r.code, 21);
	assert_string_equal(r.text, "cn: 7");
	assert_string_equal(result_name(LR_SYNC_REFRESH_REQUIRED), "e-syncRefreshRequired");
	assert_string_equal(result_name((enum ldap_result)9), "unknown");
	arena_fini(&a);
	mem_fail_at(1);
	assert_int_equal(result_set(&r, &a, LR_OTHER, "x"), RC_REFUSED);
	mem_fail_at(0);
	assert_null(r.text);
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(who_may_what),
		unit_heap_test(identities_own_their_name),
		unit_heap_test(results_are_worded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
