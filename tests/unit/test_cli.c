#include "tests/unit/unit.h"

#include "tools/cli.h"

#include <unistd.h>

static struct {
	bool json;
	const char *config;
	struct cli_list filters;
	unsigned size;
} got;

static const struct cli_opt opts[] = {
	{"json", 'j', CLI_FLAG, &got.json, NULL, "one JSON object a line", false},
	{"config", 'c', CLI_TEXT, &got.config, "FILE", "of the site", true},
	{"filter", 0, CLI_LIST, &got.filters, "F", "may be repeated", false},
	{"size", 0, CLI_UINT, &got.size, "N", "at most", false},
	{0},
};

static const struct cli_usage usage = {"tool verb",       "NAME...", "Does it.", opts,
				       "  tool verb x\n", 1,         2};

static const struct {
	const char *argv[12];
	bool ok;
	int status, first;
} cases[] = {
	{{"verb", "--config", "f", "name"}, true, 0, 3},
	{{"verb", "name", "-c", "f", "-j"}, true, 0, 4},
	{{"verb", "-cf", "--", "-name"}, true, 0, 3},
	{{"verb", "--config=f", "--filter", "a", "--filter=b", "--size", "7", "x", "y"},
	 true,
	 0,
	 7},
	{{"verb", "--help"}, false, CLI_DONE, 0},
	{{"verb", "name"}, false, CLI_USAGE, 0},
	{{"verb", "-c", "f"}, false, CLI_USAGE, 0},
	{{"verb", "-c", "f", "a", "b", "c"}, false, CLI_USAGE, 0},
	{{"verb", "-c", "f", "a", "--size", "7x"}, false, CLI_USAGE, 0},
	{{"verb", "-c", "f", "a", "--size", "-7"}, false, CLI_USAGE, 0},
	{{"verb", "-c", "f", "a", "--nonsense"}, false, CLI_USAGE, 0},
	{{"verb", "-c", "f", "a", "-x"}, false, CLI_USAGE, 0},
	{{"verb", "a", "-c"}, false, CLI_USAGE, 0},
	{{"verb", "a", "-c", "f", "--json=yes"}, false, CLI_USAGE, 0},
};

static void test_parse(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		char *argv[12];
		int argc = 0, first = 0, status = 0;
		bool ok;

		memset(&got, 0, sizeof(got));
		for (; cases[i].argv[argc] != NULL; argc++)
			argv[argc] = (char *)(uintptr_t)cases[i].argv[argc];
		argv[argc] = NULL;
		ok = cli_parse(&usage, argc, argv, &first, &status);
		if (ok != cases[i].ok || (ok && first != cases[i].first) ||
		    (!ok && status != cases[i].status))
			fail_msg("case %zu: ok=%d status=%d first=%d", i, ok, status, first);
		if (ok)
			assert_string_equal(got.config, "f");
		if (i == 3) {
			assert_int_equal(got.filters.n, 2);
			assert_string_equal(got.filters.items[1], "b");
			assert_int_equal(got.size, 7);
			assert_false(got.json);
		}
	}
}

static int verb_ran;

static int run_verb(int argc, char **argv)
{
	verb_ran = argc;
	assert_string_equal(argv[0], "go");
	return CLI_FAILED;
}

static void test_run(void **state)
{
	static const struct cli_verb verbs[] = {{"go", run_verb, "goes"}, {0}};
	static const struct cli_tool tool = {"tool", "A tool.", verbs, NULL};
	char *words[] = {"tool", "go", "x", NULL};
	char *wrong[] = {"tool", "stop", NULL};
	char *help[] = {"tool", "--help", NULL};

	(void)state;
	assert_int_equal(cli_run(&tool, 3, words), CLI_FAILED);
	assert_int_equal(verb_ran, 2);
	assert_int_equal(cli_run(&tool, 2, wrong), CLI_USAGE);
	assert_int_equal(cli_run(&tool, 1, wrong), CLI_USAGE);
	assert_int_equal(cli_run(&tool, 2, help), CLI_DONE);
}

/* RFC 8259 §7 */
static void test_json_string(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	cli_json_string(&b, span_of("a\"b\\c\nd\x01\x7f é \xff"));
	assert_string_equal(buf_cstr(&b), "\"a\\\"b\\\\c\\nd\\u0001\\u007f é \\ufffd\"");
	buf_fini(&b);
}

static const struct cli_column columns[] = {
	{"NAME", "name", CLI_COL_TEXT},
	{"COST", "cost", CLI_COL_NUMBER},
	{"ON", "enabled", CLI_COL_BOOL},
	{"VALUES", "values", CLI_COL_LIST},
	{0},
};

static void print_table(bool json, char *out, size_t size)
{
	const char *const full[] = {"Hub", "10", "TRUE", "a\nb"};
	const char *const bare[] = {"S\t1", NULL, "FALSE", NULL};
	struct cli_table *t;
	FILE *sink = tmpfile();
	int saved = dup(STDOUT_FILENO);
	ssize_t n;

	fflush(stdout);
	assert_true(dup2(fileno(sink), STDOUT_FILENO) >= 0);
	assert_int_equal(cli_table_new(columns, json, &t), RC_OK);
	assert_int_equal(cli_table_add(t, full), RC_OK);
	assert_int_equal(cli_table_add(t, bare), RC_OK);
	assert_int_equal(cli_table_print(t), RC_OK);
	cli_table_free(&t);
	fflush(stdout);
	assert_true(dup2(saved, STDOUT_FILENO) >= 0);
	close(saved);
	n = pread(fileno(sink), out, size - 1, 0);
	assert_true(n >= 0);
	out[n] = '\0';
	fclose(sink);
}

static void test_table(void **state)
{
	char out[1000];

	(void)state;
	print_table(true, out, sizeof(out));
	assert_string_equal(
		out, "{\"name\":\"Hub\",\"cost\":10,\"enabled\":true,\"values\":[\"a\",\"b\"]}\n"
		     "{\"name\":\"S\\u00091\",\"cost\":null,\"enabled\":false,\"values\":[]}\n");
	print_table(false, out, sizeof(out));
	assert_string_equal(out, "NAME COST ON  VALUES\n"
				 "Hub    10 yes a; b\n"
				 "S?1     - no  -\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_parse),
		unit_heap_test(test_run),
		unit_heap_test(test_json_string),
		unit_heap_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
