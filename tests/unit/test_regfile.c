#include "tests/unit/unit.h"

#include "lib/rc.h"
#include "tools/regfile.h"

#define V5 "Windows Registry Editor Version 5.00\r\n\r\n"
#define KEY "HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\MSExchangeIMC\\Parameters"

static int note(void *arg, const struct regfile_value *v)
{
	static const char *const kinds[] = {"dword", "other", "removed"};
	struct buf *out = arg;

	buf_printf(out, "%lu ", v->line);
	buf_put(out, v->key);
	buf_putc(out, '|');
	buf_put(out, v->name);
	buf_printf(out, "|%s %x\n", kinds[v->kind], (unsigned)v->dword);
	return RC_OK;
}

static const struct good {
	const char *file, *values;
} good[] = {
	{"REGEDIT4\n\n[" KEY "]\n\"OnlySystemMessagesUseCDs\"=dword:00000001\n",
	 "4 " KEY "|OnlySystemMessagesUseCDs|dword 1\n"},
	{"\xef\xbb\xbf" V5 "; a remark\r\n[A]\r\n\"x\\\\y\\\"z\" = DWORD:dEad\r\n@=\"default\"\r\n",
	 "5 A|x\\y\"z|dword dead\n6 A|@|other 0\n"},
	{V5 "[A]\n\"h\"=hex(4):01,02,00,80\n\"b\"=hex:01,\\\n  02,\\\n  "
	    "03\n\"c\"=-\n[-B]\n\"d\"=\"x\"\n",
	 "4 A|h|dword 80000201\n5 A|b|other 0\n8 A|c|removed 0\n9 B||removed 0\n"},
	{"\n\nregedit4\n[K\xf6ln]\n\"a\"=dword:0\n", "5 K\xc3\xb6ln|a|dword 0\n"},
	{"REGEDIT4\n", ""},
};

static void test_good(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(good); i++) {
		unsigned long line;
		const char *why;
		struct buf b;

		buf_init(&b, 10000);
		assert_int_equal(regfile_read(span_of(good[i].file), note, &b, &line, &why), RC_OK);
		unit_assert_span(buf_span(&b), span_of(good[i].values));
		buf_fini(&b);
	}
}

static const struct bad {
	const char *file;
	unsigned long line;
} bad[] = {
	{"", 0},
	{"nonsense\n", 1},
	{"REGEDIT4\n[A\n", 2},
	{"REGEDIT4\n[A]\nx=1\n", 3},
	{"REGEDIT4\n[A]\n\"x=1\n", 3},
	{"REGEDIT4\n[A]\n\"x\" dword:1\n", 3},
	{"REGEDIT4\n[A]\n\"x\"=dword:\n", 3},
	{"REGEDIT4\n[A]\n\"x\"=dword:000000001\n", 3},
	{"REGEDIT4\n[A]\n\"x\"=dword:0000000g\n", 3},
	{"REGEDIT4\n[A]\n\"x\"=hex(4):01,00,00\n", 3},
	{"REGEDIT4\n[A]\n\"x\"=hex(4):01,00,00,00,00\n", 3},
};

static void test_bad(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(bad); i++) {
		unsigned long line = 99;
		const char *why = "";
		struct buf b;

		buf_init(&b, 10000);
		assert_int_equal(regfile_read(span_of(bad[i].file), note, &b, &line, &why),
				 RC_INVALID);
		assert_int_equal(line, bad[i].line);
		assert_true(why[0] != '\0');
		buf_fini(&b);
	}
}

/* UTF-16LE, as regedit writes it; also a pair, a lone half, and half a unit at the end. */
static void test_utf16(void **state)
{
	static const char text[] =
		V5 "[" KEY "]\r\n\"OnlySystemMessagesUseCDs\"=dword:00000001\r\n";
	static const uint8_t more[] = {'[',  0, 0x3d, 0xd8, 0x00, 0xde, 0x00, 0xd8, ']', 0,
				       '\n', 0, '@',  0,    '=',  0,    '-',  0,    'x'};
	unsigned long line;
	const char *why;
	struct buf file, b;
	size_t i;

	(void)state;
	buf_init(&file, 10000);
	buf_init(&b, 10000);
	buf_put(&file, SPAN_LIT("\xff\xfe"));
	for (i = 0; text[i] != '\0'; i++) {
		buf_putc(&file, (uint8_t)text[i]);
		buf_putc(&file, 0);
	}
	assert_int_equal(regfile_read(buf_span(&file), note, &b, &line, &why), RC_OK);
	unit_assert_span(buf_span(&b), span_of("4 " KEY "|OnlySystemMessagesUseCDs|dword 1\n"));
	buf_clear(&b);
	buf_put(&file, span_make(more, sizeof(more) - 1));
	assert_int_equal(regfile_read(buf_span(&file), note, &b, &line, &why), RC_OK);
	unit_assert_span(buf_span(&b), span_of("4 " KEY "|OnlySystemMessagesUseCDs|dword 1\n"
					       "6 \xf0\x9f\x98\x80\xef\xbf\xbd|@|removed 0\n"));
	buf_putc(&file, 'x');
	assert_int_equal(regfile_read(buf_span(&file), note, &b, &line, &why), RC_INVALID);
	buf_fini(&file);
	buf_fini(&b);
}

static int read_once(void *arg)
{
	unsigned long line;
	const char *why;
	struct buf b;
	int rc;

	buf_init(&b, 10000);
	rc = regfile_read(span_of(arg), note, &b, &line, &why);
	if (rc == RC_OK)
		rc = buf_rc(&b);
	buf_fini(&b);
	return rc;
}

static void test_out_of_memory(void **state)
{
	(void)state;
	unit_fail_allocations(read_once, (void *)(uintptr_t)good[0].file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_good),
		unit_heap_test(test_bad),
		unit_heap_test(test_utf16),
		unit_heap_test(test_out_of_memory),
	};

	return cmocka_run_group_tests_name("regfile", tests, NULL, NULL);
}
