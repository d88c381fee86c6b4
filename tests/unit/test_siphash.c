/* SipHash-2-4 (lib/siphash.h) against the values its authors publish. */
#include "tests/unit/unit.h"

#include "lib/siphash.h"

static void published(void **state)
{
	/* input 00 01 02 .. of this many bytes, key 00 01 .. 0f */
	static const struct {
		size_t n;
		uint64_t want;
	} rows[] = {
		{0, 0x726fdb47dd0e0e31u},
		{1, 0x74f839c593dc67fdu},
		{8, 0x93f5f5799a932462u},
		{15, 0xa129ca6149be45e5u},
	};
	uint8_t key[SIPHASH_KEY_BYTES], in[16];
	struct siphash h;
	size_t i;

	(void)state;
	for (i = 0; i < 16; i++)
		key[i] = in[i] = (uint8_t)i;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		siphash_init(&h, key);
		siphash_add(&h, span_make(in, rows[i].n));
		assert_true(siphash_end(&h) == rows[i].want);
	}
}

static void cuts_do_not_matter(void **state)
{
	static const uint8_t key[SIPHASH_KEY_BYTES] = {7};
	static const char text[] = "o=Example and so on";
	uint64_t want;
	struct siphash h;
	size_t i;

	(void)state;
	siphash_init(&h, key);
	siphash_add(&h, span_of(text));
	want = siphash_end(&h);
	for (i = 0; i < sizeof(text); i++) {
		siphash_init(&h, key);
		siphash_add(&h, span_head(span_of(text), i));
		siphash_add(&h, span_from(span_of(text), i));
		assert_true(siphash_end(&h) == want);
	}
	siphash_init(&h, key);
	siphash_add_number(&h, 0x0807060504030201u);
	want = siphash_end(&h);
	siphash_init(&h, key);
	siphash_add(&h, SPAN_LIT("\1\2\3\4\5\6\7\10"));
	assert_true(siphash_end(&h) == want);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(published),
		cmocka_unit_test(cuts_do_not_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
