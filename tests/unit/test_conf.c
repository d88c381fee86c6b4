#include "tests/unit/unit.h"

#include "lib/conf.h"
#include "lib/file.h"

#include <stdlib.h>
#include <unistd.h>

struct settings {
	const char *organisation, *database;
	struct conf_list listen, files;
	bool anonymous;
	unsigned loops, quiet_ms;
	size_t cache_bytes;
};

static int parse(const char *text, struct settings *s, struct arena *a, struct buf *errors)
{
	const struct conf_key keys[] = {
		{"organisation", CONF_STRING, &s->organisation, 0, 0, true, "root of the tree"},
		{"database", CONF_PATH, &s->database, 0, 0, false, "folder of the store"},
		{"listen-ldap", CONF_STRINGS, &s->listen, 0, 0, false, "address:port"},
		{"extra-file", CONF_PATHS, &s->files, 0, 0, false, "more files"},
		{"anonymous-read", CONF_BOOL, &s->anonymous, 0, 0, false, "read without bind"},
		{"loops", CONF_UINT, &s->loops, 1, 64, false, "threads"},
		{"quiet", CONF_MS, &s->quiet_ms, 0, 0, false, "time without change"},
		{"cache", CONF_BYTES, &s->cache_bytes, 0, 0, false, "memory"},
		{0},
	};

	return conf_parse(span_of(text), "/etc/waypost/dird.conf", a, keys, errors);
}

static void test_good(void **state)
{
	struct settings s = {.loops = 4, .quiet_ms = 200};
	struct buf errors;
	struct arena a;

	(void)state;
	arena_init(&a);
	buf_init(&errors, 10000);
	assert_int_equal(parse("# a comment\r\n"
			       "\n"
			       "  Organisation \"o=My \\\"Big\\\" Co\"  # and another\r\n"
			       "database db\n"
			       "listen-ldap 127.0.0.1:1 127.0.0.1:2\n"
			       "listen-ldap [::1]:3\n"
			       "extra-file /abs a/b\n"
			       "anonymous-read YES\n"
			       "quiet 5min\n"
			       "cache 16M",
			       &s, &a, &errors),
			 RC_OK);
	assert_int_equal(errors.n, 0);
	assert_string_equal(s.organisation, "o=My \"Big\" Co");
	assert_string_equal(s.database, "/etc/waypost/db");
	assert_int_equal(s.listen.n, 3);
	assert_string_equal(s.listen.items[0], "127.0.0.1:1");
	assert_string_equal(s.listen.items[2], "[::1]:3");
	assert_string_equal(s.files.items[0], "/abs");
	assert_string_equal(s.files.items[1], "/etc/waypost/a/b");
	assert_true(s.anonymous);
	assert_int_equal(s.loops, 4); /* absent: its default stays */
	assert_int_equal(s.quiet_ms, 300000);
	assert_int_equal(s.cache_bytes, 16 * 1024 * 1024);
	buf_fini(&errors);
	arena_fini(&a);
}

#define FILE_ "/etc/waypost/dird.conf"

static const struct {
	const char *line, *error;
} bad[] = {
	{"listn-ldap a", ":2: unknown keyword listn-ldap; did you mean listen-ldap?\n"},
	{"lopos 1", ":2: unknown keyword lopos; did you mean loops?\n"},
	{"something-else 1", ":2: unknown keyword something-else\n"},
	{"organisation o=b", ":2: organisation was already given on line 1\n"},
	{"loops", ":2: loops has no value\n"},
	{"loops 1 2", ":2: loops takes one value; put quotes around a value with blanks\n"},
	{"loops many", ":2: loops wants a number, not many\n"},
	{"loops 0", ":2: loops must be 1 to 64, and is 0\n"},
	{"loops 65", ":2: loops must be 1 to 64, and is 65\n"},
	{"loops 99999999999999999999999",
	 ":2: loops wants a number, not 99999999999999999999999\n"},
	{"loops -1", ":2: loops wants a number, not -1\n"},
	{"loops \"\"", ":2: loops has an empty value\n"},
	{"quiet 5", ":2: quiet wants a time such as 200ms, 2s, 5min or 1h, not 5\n"},
	{"quiet 99d", ":2: quiet must be 0 to 4294967295 ms, and is 8553600000\n"},
	{"cache 1T", ":2: cache wants a size such as 512, 64k, 16M or 1G, not 1T\n"},
	{"anonymous-read maybe", ":2: anonymous-read wants yes or no, not maybe\n"},
	{"database \"a", ":2: the closing quote is missing\n"},
	{"database \"a\"b", ":2: a blank is missing behind the closing quote\n"},
	{"database a\"b", ":2: a quote stands inside a word; quote the whole word\n"},
	{"database \"a\\b\"", ":2: after a backslash in quotes comes \\ or \"\n"},
	{"database \xff", ":2: not UTF-8\n"},
};

static void test_bad(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(bad); i++) {
		struct settings s = {0};
		struct buf errors, want;
		struct arena a;
		char text[200];

		arena_init(&a);
		buf_init(&errors, 10000);
		buf_init(&want, 10000);
		snprintf(text, sizeof(text), "organisation o=a\n%s\n", bad[i].line);
		assert_int_equal(parse(text, &s, &a, &errors), RC_INVALID);
		buf_printf(&want, FILE_ "%s", bad[i].error);
		unit_assert_span(buf_span(&errors), buf_span(&want));
		buf_fini(&want);
		buf_fini(&errors);
		arena_fini(&a);
	}
}

/* All errors of a file, not only the first. */
static void test_all_errors(void **state)
{
	struct settings s = {0};
	struct buf errors;
	struct arena a;

	(void)state;
	arena_init(&a);
	buf_init(&errors, 10000);
	assert_int_equal(parse("loops x\n\nquite 2s\nloops 3\n", &s, &a, &errors), RC_INVALID);
	assert_string_equal(buf_cstr(&errors),
			    FILE_ ":1: loops wants a number, not x\n" FILE_
				  ":3: unknown keyword quite; did you mean quiet?\n" FILE_
				  ":4: loops was already given on line 1\n" FILE_
				  ": keyword organisation is missing (root of the tree)\n");
	buf_fini(&errors);
	arena_fini(&a);
}

static void test_file(void **state)
{
	char path[] = "/tmp/waypost-test-conf-XXXXXX";
	const char *database = NULL;
	const struct conf_key keys[] = {{"database", CONF_PATH, &database, 0, 0, true, "x"}, {0}};
	struct buf errors;
	struct arena a;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "database db\n", 12), 12);
	close(fd);
	arena_init(&a);
	buf_init(&errors, 1000);
	assert_int_equal(conf_read(path, &a, keys, &errors), RC_OK);
	assert_string_equal(database, "/tmp/db");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(conf_read(path, &a, keys, &errors), RC_NOTFOUND);
	assert_non_null(strstr(buf_cstr(&errors), ": can not be read: not found\n"));
	buf_clear(&errors);
	conf_describe(keys, &errors);
	assert_string_equal(buf_cstr(&errors), "  database               FILE      x (required)\n");
	buf_fini(&errors);
	arena_fini(&a);
}

static void test_pass_over(void **state)
{
	const char *database = NULL;
	const struct conf_key keys[] = {
		{"database", CONF_PATH, &database, 0, 0, true, "x"}, {.name = "*"}, {0}};
	struct buf errors;
	struct arena a;

	(void)state;
	arena_init(&a);
	buf_init(&errors, 1000);
	assert_int_equal(
		conf_parse(span_of("other 1 2\n* 3\ndatabase /db\n"), "f", &a, keys, &errors),
		RC_OK);
	assert_string_equal(database, "/db");
	assert_int_equal(errors.n, 0);
	buf_fini(&errors);
	arena_fini(&a);
}

static int parse_all(void *arg)
{
	struct settings s = {0};
	struct buf errors;
	struct arena a;
	char text[20000];
	size_t n = 0;
	int rc;

	(void)arg;
	n += snprintf(text, sizeof(text), "organisation \"o=a b\"\ndatabase db\n");
	while (n < sizeof(text) - 100)
		n += snprintf(text + n, sizeof(text) - n, "extra-file %050d\n", 1);
	arena_init(&a);
	buf_init(&errors, 1000);
	rc = parse(text, &s, &a, &errors);
	buf_fini(&errors);
	arena_fini(&a);
	return rc;
}

static void test_out_of_memory(void **state)
{
	(void)state;
	unit_fail_allocations(parse_all, NULL);
}

static int complain_all(void *arg)
{
	struct settings s = {0};
	struct buf errors;
	struct arena a;
	int rc;

	(void)arg;
	arena_init(&a);
	buf_init(&errors, 1000);
	rc = parse("nonsense\n", &s, &a, &errors);
	buf_fini(&errors);
	arena_fini(&a);
	return rc == RC_INVALID ? RC_OK : rc;
}

static void test_out_of_memory_in_errors(void **state)
{
	(void)state;
	unit_fail_allocations(complain_all, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_good),
		unit_heap_test(test_bad),
		unit_heap_test(test_all_errors),
		unit_heap_test(test_file),
		unit_heap_test(test_pass_over),
		unit_heap_test(test_out_of_memory),
		unit_heap_test(test_out_of_memory_in_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
