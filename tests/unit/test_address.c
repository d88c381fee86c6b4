#include "tests/unit/unit.h"

#include "lib/text.h"
#include "routed/address.h"

/* docs/routing.md, what is read; M8: an error names reason and column. */

static struct arena arena;

static void test_cd(void **state)
{
	static const struct {
		const char *value, *site, *type, *address;
		unsigned cost;
	} good[] = {
		{"S2;1;SMTP:hub.example.com", "S2", "SMTP", "hub.example.com", 1},
		{"S2;100;smtp:hub.example.com.", "S2", "SMTP", "hub.example.com", 100},
		{" New York ;9;SMTP:ny.example", "New York", "SMTP", "ny.example", 9},
		{"a\\;b;5;X400:c=US\\;a= \\;p=Ex", "a;b", "X400", "c=US;a= ;p=Ex", 5},
		{"S2;1;X400:c=US\\a", "S2", "X400", "c=US\\a", 1},
		{"S2;1;SMTP:[192.0.2.1]", "S2", "SMTP", "[192.0.2.1]", 1},
		{"S2;1;RPC:host:with:colons", "S2", "RPC", "host:with:colons", 1},
		{"Z\xc3\xbcrich;1;SMTP:z\xc3\xbcrich.example", "Z\xc3\xbcrich", "SMTP",
		 "z\xc3\xbcrich.example", 1},
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(good); i++) {
		struct address_error err;
		struct address_cd cd;

		assert_int_equal(address_cd_parse(&arena, span_of(good[i].value), &cd, &err),
				 RC_OK);
		unit_assert_span(cd.site, span_of(good[i].site));
		unit_assert_span(cd.type, span_of(good[i].type));
		unit_assert_span(cd.address, span_of(good[i].address));
		assert_int_equal(cd.cost, good[i].cost);
	}
}

struct bad {
	const char *value;
	unsigned column;
	const char *reason; /* a part of it */
};

static void check_bad(const struct bad *b, int rc, const struct address_error *err)
{
	if (rc != RC_INVALID || err->column != b->column || strstr(err->reason, b->reason) == NULL)
		print_error("\"%s\": rc %d, column %u, %s\n", b->value, rc, err->column,
			    err->reason);
	assert_int_equal(rc, RC_INVALID);
	assert_int_equal(err->column, b->column);
	assert_non_null(strstr(err->reason, b->reason));
}

static void test_bad_cd(void **state)
{
	static const struct bad bad[] = {
		{"", 0, "empty"},
		{"S2", 3, "form"},
		{"S2;1", 5, "form"},
		{";1;SMTP:a", 1, "site name"},
		{"S2;0;SMTP:a", 4, "1..100"},
		{"S2;101;SMTP:a", 4, "1..100"},
		{"S2;99999999999999999999;SMTP:a", 4, "1..100"},
		{"S2;;SMTP:a", 4, "missing"},
		{"S2;1x;SMTP:a", 5, "not a number"},
		{"S2;-1;SMTP:a", 4, "not a number"},
		{"S2; 1;SMTP:a", 4, "not a number"},
		{"S2;01;SMTP:a", 4, "leading zero"},
		{"S2;1;a.example", 6, "TYPE:"},
		{"S2;1;:a.example", 6, "1..16"},
		{"S2;1;SM TP:a", 8, "address type"},
		{"S2;1;SMTP:", 11, "missing"},
		{"S2;1;SMTP:a..b", 13, "empty label"},
		{"S2;1;SMTP:u@b", 12, "no domain has"},
		{"S2;1;SMTP:[1.2.3.4", 19, "]"},
		{"S2;1;X400:c=US;a=b", 15, "too many fields"},
		{"S2;1;X400:c=US\n", 15, "control"},
		{"S2;1;X400:\xff", 0, "UTF-8"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(bad); i++) {
		struct address_error err = {"", 0};
		struct address_cd cd;

		check_bad(&bad[i], address_cd_parse(&arena, span_of(bad[i].value), &cd, &err),
			  &err);
	}
}

static void test_space(void **state)
{
	static const struct {
		const char *value, *type, *pattern;
		unsigned cost;
		bool site_scope;
	} good[] = {
		{"SMTP:*;1", "SMTP", "*", 1, false},
		{"SMTP:*@a.example;7;org", "SMTP", "*@a.example", 7, false},
		{"fax:;100;site", "FAX", "", 100, true},
		{"X400:c=US\\;a= ;2;SITE", "X400", "c=US;a=", 2, true},
		{"SMTP: * ;1", "SMTP", "*", 1, false},
	};
	static const struct bad bad[] = {
		{"SMTP:*", 7, "form"},
		{"SMTP:*;0", 8, "1..100"},
		{"SMTP:*;1;", 10, "scope"},
		{"SMTP:*;1;world", 10, "scope"},
		{"*;1", 1, "TYPE:"},
		{"EX:S2;1", 1, "EX"},
		{"SMTP:*;1;org;x", 13, "too many"},
	};
	struct address_error err = {"", 0};
	struct address_space space;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(good); i++) {
		assert_int_equal(address_space_parse(&arena, span_of(good[i].value), &space, &err),
				 RC_OK);
		unit_assert_span(space.type, span_of(good[i].type));
		unit_assert_span(space.pattern, span_of(good[i].pattern));
		assert_int_equal(space.cost, good[i].cost);
		assert_int_equal(space.site_scope, good[i].site_scope);
	}
	for (i = 0; i < UNIT_COUNT(bad); i++)
		check_bad(&bad[i], address_space_parse(&arena, span_of(bad[i].value), &space, &err),
			  &err);
}

static void test_hosts(void **state)
{
	static const char *const good[] = {"relay",   "relay.example.com", "192.0.2.1",
					   "[relay]", "[relay]:25",        "[2001:db8::1]:65535"};
	static const struct bad bad[] = {
		{"", 0, "empty"},
		{"relay:25", 1, "[host]:port"},
		{"[relay", 7, "]"},
		{"[]:25", 2, "missing"},
		{"[relay]25", 8, ":port"},
		{"[relay]:", 9, "1..65535"},
		{"[relay]:0", 9, "1..65535"},
		{"[relay]:65536", 9, "1..65535"},
		{"[relay]:2x", 10, "number"},
		{"two words", 4, "no domain"},
		{"[two words]", 5, "no host"},
	};
	struct address_error err = {"", 0};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(good); i++)
		assert_int_equal(address_host_check(span_of(good[i]), &err), RC_OK);
	for (i = 0; i < UNIT_COUNT(bad); i++)
		check_bad(&bad[i], address_host_check(span_of(bad[i].value), &err), &err);
}

static void test_route(void **state)
{
	static const struct bad bad[] = {
		{"a.example", 10, "form"},
		{"a.example;h;x", 14, "form"},
		{"a b;h", 2, "no domain"},
		{"a.example;", 0, "empty"},
		{"a.example;h:25", 11, "[host]:port"},
	};
	struct address_error err = {"", 0};
	struct address_route route;
	size_t i;

	(void)state;
	assert_int_equal(address_route_parse(&arena, SPAN_LIT("S2.example.;[h]:26"), &route, &err),
			 RC_OK);
	unit_assert_span(route.domain, SPAN_LIT("S2.example"));
	unit_assert_span(route.host, SPAN_LIT("[h]:26"));
	for (i = 0; i < UNIT_COUNT(bad); i++)
		check_bad(&bad[i], address_route_parse(&arena, span_of(bad[i].value), &route, &err),
			  &err);
}

static void test_domain(void **state)
{
	static const struct bad bad[] = {
		{".", 0, "1..253"},
		{"a..b", 3, "empty label"},
		{".a", 1, "empty label"},
		{"a b", 2, "no domain"},
		{"a123456789b123456789c123456789d123456789e123456789f123456789g1234", 64, "63"},
	};
	struct address_error err = {"", 0};
	struct span domain;
	size_t i;

	(void)state;
	assert_int_equal(address_domain_parse(SPAN_LIT("A.example."), &domain, &err), RC_OK);
	unit_assert_span(domain, SPAN_LIT("A.example"));
	for (i = 0; i < UNIT_COUNT(bad); i++)
		check_bad(&bad[i], address_domain_parse(span_of(bad[i].value), &domain, &err),
			  &err);
}

/* R7: case-folded, trimmed, one trailing dot removed. */
static void test_fold(void **state)
{
	static const char *const pairs[][2] = {
		{"Ada@Example.COM", "ada@example.com"},
		{"  a@b.c.  ", "a@b.c"},
		{"a@b.c..", "a@b.c."},
		{"", ""},
		{" ", ""},
		{"STRA\xc3\x9f"
		 "E",
		 "strasse"},
		{"Z\xc3\x9cRICH", "z\xc3\xbcrich"},
		{"a  b", "a b"},
	};
	struct span folded;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(pairs); i++) {
		assert_int_equal(address_fold(&arena, span_of(pairs[i][0]), &folded), RC_OK);
		unit_assert_span(folded, span_of(pairs[i][1]));
	}
	assert_int_equal(address_fold(&arena, SPAN_LIT("\xff"), &folded), RC_INVALID);
}

/* The short cut for plain text gives what the preparation gives. */
static void test_fold_short_cut(void **state)
{
	static const char alphabet[] = "aZ09 -_.@;:=\\/*%\"'~!\t";
	uint32_t seed = 7;
	unsigned round;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (round = 0; round < 20000; round++) {
		char text[12];
		struct span folded, want;
		size_t n, i;

		seed = seed * 1103515245u + 12345u;
		n = (seed >> 16) % sizeof(text);
		for (i = 0; i < n; i++) {
			seed = seed * 1103515245u + 12345u;
			text[i] = alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
		}
		buf_clear(&b);
		want = span_trim(span_make(text, n));
		if (want.n != 0) {
			assert_int_equal(text_prepare(want, TEXT_IGNORE_CASE, TEXT_WHOLE, &b),
					 RC_OK);
			want = buf_span(&b);
			want.n -= want.p[want.n - 1] == '.';
		}
		assert_int_equal(address_fold(&arena, span_make(text, n), &folded), RC_OK);
		unit_assert_span(folded, want);
	}
	buf_fini(&b);
}

static void test_match(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool matches;
	} cases[] = {
		{"*", "", true},
		{"*", "anything", true},
		{"", "", true},
		{"", "a", false},
		{"abc", "abc", true},
		{"abc", "abcd", false},
		{"abcd", "abc", false},
		{"a*c", "abbbc", true},
		{"a*c", "abbbd", false},
		{"*@b.c", "a@b.c", true},
		{"@b.c", "a@b.c", false}, /* R7: the whole address is compared */
		{"*@*.c", "a@b.c", true},
		{"*a*b*", "xxaxxbxx", true},
		{"*ab", "aab", true},
		{"*aab", "aaaab", true},
		{"%", "a", true},
		{"%", "", false},
		{"%", "ab", false},
		{"%%@*", "ab@c", true},
		{"%@c", "\xc3\xbc@c", true}, /* one character, two bytes */
		{"*%", "\xc3\xbc", true},
		{"a**b", "ab", true},
		{"a*%b", "ab", false},
		{"a*", "a*b", true},
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		if (address_match(span_of(cases[i].pattern), span_of(cases[i].text)) !=
		    cases[i].matches)
			print_error("\"%s\" and \"%s\"\n", cases[i].pattern, cases[i].text);
		assert_int_equal(address_match(span_of(cases[i].pattern), span_of(cases[i].text)),
				 cases[i].matches);
	}
	assert_int_equal(address_literals(SPAN_LIT("*@\xc3\xbc%.b")), 4);
	assert_true(address_is_wild(SPAN_LIT("a%")));
	assert_false(address_is_wild(SPAN_LIT("a")));
	assert_false(address_is_wild(SPAN_LIT("")));
}

/* Whatever bytes come in: an error points into the value or just behind it, nothing is read beyond.
 */
static void test_random_values(void **state)
{
	static const char alphabet[] = "S;;;1209:::..[]\\*%@ -SMTPX400sitorg\xc3\xbc\xff\n";
	uint32_t seed = 1;
	unsigned round;

	(void)state;
	for (round = 0; round < 50000; round++) {
		struct address_error err = {"", 0};
		struct address_cd cd;
		struct address_space space;
		struct address_route route;
		uint8_t *value;
		struct span s;
		size_t n, i;

		seed = seed * 1103515245u + 12345u;
		n = (seed >> 16) % 24;
		value = mem_alloc(n); /* of its own, so that a sanitizer sees its end */
		for (i = 0; i < n; i++) {
			seed = seed * 1103515245u + 12345u;
			value[i] = (uint8_t)alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
		}
		s = span_make(value, n);
		if (address_cd_parse(&arena, s, &cd, &err) == RC_OK)
			assert_true(cd.cost >= 1 && cd.cost <= ADDRESS_COST_MAX && cd.site.n != 0);
		else
			assert_true(err.column <= n + 1 && err.reason[0] != '\0');
		if (address_space_parse(&arena, s, &space, &err) == RC_OK)
			assert_true(space.cost >= 1 && space.cost <= ADDRESS_COST_MAX);
		else
			assert_true(err.column <= n + 1);
		if (address_route_parse(&arena, s, &route, &err) == RC_OK)
			assert_true(route.domain.n != 0 && route.host.n != 0);
		else
			assert_true(err.column <= n + 1);
		mem_free(value);
		arena_fini(&arena);
	}
}

static int parse_once(void *arg)
{
	struct address_error err;
	struct address_cd cd;
	struct span folded;
	struct arena a;
	int rc;

	(void)arg;
	arena_init(&a);
	rc = address_cd_parse(&a, SPAN_LIT("S2;1;SMTP:hub.example.com"), &cd, &err);
	if (rc == RC_OK)
		rc = address_fold(&a, cd.site, &folded);
	arena_fini(&a);
	return rc;
}

static void test_out_of_memory(void **state)
{
	(void)state;
	unit_fail_allocations(parse_once, NULL);
}

static int teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_cd, teardown),
		cmocka_unit_test_teardown(test_bad_cd, teardown),
		cmocka_unit_test_teardown(test_space, teardown),
		cmocka_unit_test_teardown(test_hosts, teardown),
		cmocka_unit_test_teardown(test_route, teardown),
		cmocka_unit_test_teardown(test_domain, teardown),
		cmocka_unit_test_teardown(test_fold, teardown),
		cmocka_unit_test_teardown(test_fold_short_cut, teardown),
		cmocka_unit_test(test_match),
		cmocka_unit_test_teardown(test_random_values, teardown),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
