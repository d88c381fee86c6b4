/* RFC 4648 §10 */
#include "tests/unit/unit.h"

#include "lib/base64.h"

static const struct {
	const char *plain, *text;
} good[] = {
	{"", ""},
	{"f", "Zg=="},
	{"fo", "Zm8="},
	{"foo", "Zm9v"},
	{"foob", "Zm9vYg=="},
	{"fooba", "Zm9vYmE="},
	{"foobar", "Zm9vYmFy"},
	{"\xff\xfe\xfb", "//77"},
};

static void test_good(void **state)
{
	uint8_t bytes[16];
	struct buf b;
	size_t i, n;

	(void)state;
	buf_init(&b, 100);
	for (i = 0; i < UNIT_COUNT(good); i++) {
		buf_clear(&b);
		base64_encode(span_of(good[i].plain), &b);
		unit_assert_span(buf_span(&b), span_of(good[i].text));
		assert_true(base64_decode(span_of(good[i].text), bytes, &n));
		unit_assert_span(span_make(bytes, n), span_of(good[i].plain));
	}
	buf_fini(&b);
}

static void test_bad(void **state)
{
	static const char *const bad[] = {"Z",    "Zg",       "Zg=",   "Zh==",   "Zm9=", "====",
					  "Z===", "Zg==Zg==", "Zm 9v", "Zm9v\n", "Zm9-", "=Zg="};
	uint8_t bytes[16];
	size_t i, n;

	(void)state;
	for (i = 0; i < UNIT_COUNT(bad); i++) {
		if (base64_decode(span_of(bad[i]), bytes, &n))
			fail_msg("\"%s\" was accepted", bad[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {unit_heap_test(test_good), unit_heap_test(test_bad)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
