#include "tests/unit/routing.h"

#include "routed/rows.h"

static const char net[] =
	"dn: ou=A,o=E\nobjectClass: mailSite\nsiteSmtpDomain: a.example\n\n"
	"dn: ou=B,o=E\nobjectClass: mailSite\nsiteSmtpDomain: b.example\n\n"
	"dn: ou=Caf\xc3\xa9 \\\"x\\\",o=E\nobjectClass: mailSite\n\n"
	"dn: ou=Lost,o=E\nobjectClass: mailSite\n\n"
	"dn: cn=IMS,ou=B,o=E\nobjectClass: imsConnector\n"
	"connectedDomains: Caf\xc3\xa9 \"x\";2;SMTP:c.example\nroutingList: SMTP:*;1\n\n"
	"dn: cn=IMS2,ou=A,o=E\nobjectClass: imsConnector\n"
	"connectedDomains: B;1;SMTP:b.example\n\n";
static const char flag_off[] = "dn: cn=IMS,ou=A,o=E\nobjectClass: imsConnector\n"
			       "connectedDomains: B;1;SMTP:b.example\n\n";
static const char flag_on[] = "dn: cn=IMS,ou=A,o=E\nobjectClass: imsConnector\n"
			      "connectedDomains: B;1;SMTP:b.example\n"
			      "onlySystemMessagesUseCDs: TRUE\n\n";

static struct table *table_with(const char *more)
{
	struct model *m = routing_model((const char *const[]){net, more, NULL});
	struct table *t = routing_table(m, "A");

	model_free(&m);
	return t;
}

static struct buf json_of(const struct table *t)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	table_json(t, &b);
	assert_int_equal(buf_rc(&b), RC_OK);
	return b;
}

/* What a table prints reads back as the rows of the table. */
static void test_json_is_the_table(void **state)
{
	struct table *t = table_with(flag_on);
	struct buf json = json_of(t);
	struct rows of_table, of_json;
	struct rows_change *changes;
	unsigned long line;
	const char *why;
	struct arena a;
	size_t n;

	(void)state;
	arena_init(&a);
	assert_int_equal(rows_of_table(t, &a, &of_table), RC_OK);
	assert_int_equal(rows_of_json(buf_span(&json), &a, &of_json, &line, &why), RC_OK);
	assert_int_equal(of_json.n, t->nrows);
	assert_int_equal(line, t->nrows);
	assert_int_equal(rows_compare(&of_table, &of_json, &a, &changes, &n), RC_OK);
	assert_int_equal(n, 0);
	arena_fini(&a);
	buf_fini(&json);
	table_free(&t);
}

static void test_changes(void **state)
{
	struct table *before = table_with(flag_off), *after = table_with(flag_on);
	struct rows rows[2], none = {NULL, 0};
	struct rows_change *changes;
	struct arena a;
	struct buf b;
	size_t n;

	(void)state;
	arena_init(&a);
	buf_init(&b, 1 << 20);
	assert_int_equal(rows_of_table(before, &a, &rows[0]), RC_OK);
	assert_int_equal(rows_of_table(after, &a, &rows[1]), RC_OK);
	assert_int_equal(rows_compare(&rows[0], &rows[1], &a, &changes, &n), RC_OK);
	assert_int_equal(n, 2); /* one candidate instead of two for B; another reason */
	assert_int_equal(changes[0].nbefore, 2);
	assert_int_equal(changes[0].nafter, 1);
	rows_change_write(&changes[0], &b);
	unit_assert_span(buf_span(&b),
			 span_of("- user EX B: connected, mx:b.example, cost 1, hops 1, FLAG_OFF, "
				 "path A/IMS\n"
				 "- user EX B: connected, mx:b.example, cost 1, hops 1, FLAG_OFF, "
				 "path A/IMS2\n"
				 "+ user EX B: direct, mx:b.example, cost 1, hops 1, OK, "
				 "path A/IMS\n"));
	buf_clear(&b);
	rows_change_json(SPAN_LIT("A"), &changes[0], &b);
	assert_true(span_starts(buf_span(&b),
				SPAN_LIT("{\"site\":\"A\",\"class\":\"user\",\"type\":\"EX\","
					 "\"target\":\"B\",\"before\":[{\"mode\":\"connected\","
					 "\"cost\":1,\"hops\":1,\"nexthop\":\"mx:b.example\","
					 "\"connector\":\"IMS\",\"path\":[\"A/IMS\"],"
					 "\"reason\":\"FLAG_OFF\"},")));
	assert_int_equal(rows_compare(&none, &rows[1], &a, &changes, &n), RC_OK);
	assert_true(n > 1);
	assert_int_equal(changes[0].nbefore, 0);
	assert_int_equal(rows_compare(&rows[1], &none, &a, &changes, &n), RC_OK);
	assert_int_equal(changes[n - 1].nafter, 0);
	buf_fini(&b);
	arena_fini(&a);
	table_free(&before);
	table_free(&after);
}

#define ROW(cls, target) "{\"class\":\"" cls "\",\"type\":\"EX\",\"target\":\"" target "\"}\n"

static const struct broken {
	const char *json;
	unsigned long line;
} broken[] = {
	{"nonsense\n", 1},
	{ROW("user", "A") "\n[]\n", 3},
	{"{\"class\":\"user\"}\n", 1},
	{"{\"class\":\"user\",\"type\":\"EX\",\"target\":\"A\",\"cost\":-1}\n", 1},
	{"{\"class\":\"user\",\"type\":\"EX\",\"target\":\"A\",\"cost\":99999999999}\n", 1},
	{"{\"class\":\"user\",\"type\":\"EX\",\"target\":\"A\\q\"}\n", 1},
	{"{\"class\":\"user\",\"type\":\"EX\",\"target\":\"A\\u12\"}\n", 1},
	{"{\"class\":\"user\",\"type\":\"EX\",\"target\":\"\xff\"}\n", 1},
	{"{\"class\":\"user\",\"type\":\"EX\",\"target\":\"A\"} more\n", 1},
	{"{\"class\":\"user\",\"type\":\"EX\",\"target\":\"A\",\"path\":[\"x\"}\n", 1},
	{"{\"class\":\"user\",\"type\":\"EX\",\"target\":\"A", 1},
	{"{\"class\":\"user\",\"type\":\"EX\",\"target\":\"A\",\"colour\":\"red\"}\n", 1},
	{ROW("user", "B") ROW("user", "A"), 2},
	{ROW("user", "A") ROW("system", "A"), 2},
};

static void test_broken_json(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(broken); i++) {
		struct rows rows;
		unsigned long line = 0;
		const char *why = "";
		struct arena a;

		arena_init(&a);
		print_message("%s", broken[i].json);
		assert_int_equal(rows_of_json(span_of(broken[i].json), &a, &rows, &line, &why),
				 RC_INVALID);
		assert_int_equal(line, broken[i].line);
		assert_true(why[0] != '\0');
		arena_fini(&a);
	}
}

static void test_escapes(void **state)
{
	static const char json[] = "{ \"class\": \"user\", \"type\" :\"EX\", \"target\":"
				   "\"\\u0041\\u00e9\\u20ac\\\\\\\"\\n\\/\", \"cost\": 12}";
	struct rows rows;
	unsigned long line;
	const char *why;
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_int_equal(rows_of_json(span_of(json), &a, &rows, &line, &why), RC_OK);
	assert_int_equal(rows.n, 1);
	unit_assert_span(rows.items[0].target, span_of("A\xc3\xa9\xe2\x82\xac\\\"\n/"));
	assert_int_equal(rows.items[0].cost, 12);
	assert_int_equal(rows.items[0].hops, TABLE_NONE);
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_json_is_the_table),
		unit_heap_test(test_changes),
		unit_heap_test(test_broken_json),
		unit_heap_test(test_escapes),
	};

	return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
