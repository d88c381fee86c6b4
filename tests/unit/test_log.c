#include "tests/unit/unit.h"

#include "lib/clock.h"
#include "lib/log.h"

#include <pthread.h>
#include <unistd.h>

static uint64_t now_ms;
static FILE *sink;

static uint64_t test_mono_ms(const struct clock *c)
{
	(void)c;
	return now_ms;
}

static int64_t test_wall_us(const struct clock *c)
{
	(void)c;
	return 1795434002123456;
}

static const struct clock test_clock = {test_mono_ms, test_wall_us};

static int begin(void **state)
{
	sink = tmpfile();
	now_ms = 1000;
	log_init("dird", LOG_INFO);
	log_set_clock(&test_clock);
	log_set_fd(fileno(sink));
	return unit_heap_begin(state);
}

static int end(void **state)
{
	log_set_fd(STDERR_FILENO);
	log_set_clock(NULL);
	fclose(sink);
	return unit_heap_end(state);
}

#define HEAD(level) "2026-11-23T11:40:02.123Z " level " dird "

static char written[1 << 20];

static const char *lines(void)
{
	ssize_t n = pread(fileno(sink), written, sizeof(written) - 1, 0);

	assert_true(n >= 0);
	written[n] = '\0';
	return written;
}

static void test_line(void **state)
{
	struct log_ctx ctx = {.site = "Site 1", .conn = 7, .op = 3};

	(void)state;
	log_info(NULL, "repl.applied", "usn=%d n=%d", 41, 3);
	log_warn(&ctx, "op.slow", "ms=%d", 900);
	log_debug(NULL, "not.shown", "x=%d", 1);
	assert_string_equal(lines(), HEAD("info ") "repl.applied usn=41 n=3\n" HEAD(
					     "warn ") "op.slow conn=7 op=3 site=Site?1 ms=900\n");
}

static void test_levels(void **state)
{
	enum log_level level = LOG_ERROR;

	(void)state;
	assert_true(log_level_parse(span_of("Debug"), &level));
	assert_int_equal(level, LOG_DEBUG);
	assert_false(log_level_parse(span_of("loud"), &level));
	log_set_level(LOG_ERROR);
	log_warn(NULL, "dropped", "x=%d", 1);
	assert_string_equal(lines(), "");
	log_set_level(LOG_DEBUG);
	log_debug(NULL, "shown", "x=%d", 1);
	assert_string_equal(lines(), HEAD("debug") "shown x=1\n");
}

/* Repeats are counted, not repeated. */
static void test_repeats(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 5; i++)
		log_warn(NULL, "link.down", "peer=%s", "Hub");
	log_warn(NULL, "link.down", "peer=%s", "Site2");
	assert_string_equal(
		lines(),
		HEAD("warn ") "link.down peer=Hub\n" HEAD(
			"warn ") "link.down peer=Hub repeated=4\n" HEAD("warn ") "link.down "
										 "peer=Site2\n");
}

static void test_repeat_ends_with_time(void **state)
{
	(void)state;
	log_warn(NULL, "e", "a=%d", 1);
	log_warn(NULL, "e", "a=%d", 1);
	now_ms += LOG_REPEAT_MS;
	log_warn(NULL, "e", "a=%d", 1);
	log_warn(NULL, "e", "a=%d", 1);
	log_flush();
	log_flush();
	assert_string_equal(lines(),
			    HEAD("warn ") "e a=1\n" HEAD("warn ") "e a=1 repeated=1\n" HEAD(
				    "warn ") "e a=1\n" HEAD("warn ") "e a=1 repeated=1\n");
}

static void test_events_are_apart(void **state)
{
	(void)state;
	log_info(NULL, "a", "x=%d", 1);
	log_info(NULL, "b", "x=%d", 1);
	log_info(NULL, "a", "x=%d", 1);
	assert_string_equal(lines(), HEAD("info ") "a x=1\n" HEAD("info ") "b x=1\n");
}

static void test_long_line_is_clipped(void **state)
{
	char text[5000];
	const char *got;
	size_t n;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	log_info(NULL, "long", "v=%s", text);
	log_info(NULL, "lines", "v=%s", "one\ntwo");
	got = lines();
	n = strcspn(got, "\n");
	assert_true(n < 2100);
	assert_memory_equal(got + n - 3, "...", 3);
	assert_string_equal(got + n + 1, HEAD("info ") "lines v=one two\n");
}

static const struct {
	const char *in, *want;
} text_cases[] = {
	{"plain", "plain"},        {"", ""},
	{"a b\n\"c\"", "a?b??c?"}, {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
	{"bad\xff\xc3", "bad??"},  {"\x7f\x1b[31m", "??[31m"},
};

static void test_text(void **state)
{
	char out[LOG_TEXT_BYTES];
	char longer[300];
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(text_cases); i++)
		assert_string_equal(log_text(span_of(text_cases[i].in), out), text_cases[i].want);
	memset(longer, 'y', sizeof(longer));
	log_text(span_make(longer, sizeof(longer)), out);
	assert_int_equal(strlen(out), LOG_TEXT_BYTES - 1);
	assert_string_equal(out + LOG_TEXT_BYTES - 4, "...");
}

static void *many_lines(void *arg)
{
	int i;

	for (i = 0; i < 500; i++)
		log_info(NULL, "thread.line", "id=%s i=%d", (const char *)arg, i);
	return NULL;
}

static void test_threads(void **state)
{
	char *ids[] = {"0", "1", "2", "3"};
	pthread_t threads[4];
	const char *at;
	int i, n = 0;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, many_lines, ids[i]), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (at = lines(); *at != '\0'; at += strcspn(at, "\n") + 1, n++)
		assert_int_equal(strncmp(at, HEAD("info ") "thread.line id=", 46), 0);
	assert_int_equal(n, 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_line, begin, end),
		cmocka_unit_test_setup_teardown(test_levels, begin, end),
		cmocka_unit_test_setup_teardown(test_repeats, begin, end),
		cmocka_unit_test_setup_teardown(test_repeat_ends_with_time, begin, end),
		cmocka_unit_test_setup_teardown(test_events_are_apart, begin, end),
		cmocka_unit_test_setup_teardown(test_long_line_is_clipped, begin, end),
		cmocka_unit_test_setup_teardown(test_text, begin, end),
		cmocka_unit_test_setup_teardown(test_threads, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
