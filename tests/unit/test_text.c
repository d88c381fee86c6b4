/* RFC 3629 and RFC 4518. */
#include "tests/unit/unit.h"

#include "lib/text.h"

#include <stdlib.h>

static const struct {
	const char *in;
	size_t n;
	bool ok;
} utf8_cases[] = {
	{"", 0, true},
	{"plain ascii, longer than a word", 31, true},
	{"\xc3\xa4", 2, true},
	{"\xe2\x82\xac", 3, true},
	{"\xf0\x9f\x98\x80", 4, true},
	{"12345678\xc3\xa4", 10, true},
	{"\xf4\x8f\xbf\xbf", 4, true},
	{"\xf4\x90\x80\x80", 4, false}, /* above U+10FFFF */
	{"\xc0\x80", 2, false},         /* overlong */
	{"\xe0\x80\x80", 3, false},
	{"\xf0\x80\x80\x80", 4, false},
	{"\xed\xa0\x80", 3, false}, /* surrogate */
	{"\x80", 1, false},
	{"\xc3", 1, false},
	{"a\xe2\x82", 3, false},
	{"\xff", 1, false},
	{"\xc3\x28", 2, false},
	{"\xe2\x82\x28", 3, false},
};

static void test_utf8(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(utf8_cases); i++) {
		struct span s = span_make(utf8_cases[i].in, utf8_cases[i].n);

		if (text_is_utf8(s) != utf8_cases[i].ok)
			fail_msg("case %zu", i);
	}
}

static const struct {
	enum text_fold fold;
	enum text_part part;
	const char *in, *want;
} cases[] = {
	{TEXT_IGNORE_CASE, TEXT_WHOLE, "Ada Hill", "ada hill"},
	{TEXT_EXACT, TEXT_WHOLE, "Ada  Hill ", "Ada Hill"},
	{TEXT_IGNORE_CASE, TEXT_WHOLE, "  Ada \t\n Hill  ", "ada hill"},
	{TEXT_IGNORE_CASE, TEXT_WHOLE, "", " "},
	{TEXT_IGNORE_CASE, TEXT_WHOLE, "    ", " "},
	{TEXT_IGNORE_CASE, TEXT_WHOLE, "\x01\x7f", " "},
	{TEXT_IGNORE_CASE, TEXT_WHOLE,
	 "A\x01"
	 "b\x7f"
	 "C",
	 "abc"},
	/* full folding: sharp s, final sigma, dotted I, ligature, full width, Kelvin */
	{TEXT_IGNORE_CASE, TEXT_WHOLE, "Groß", "gross"},
	{TEXT_IGNORE_CASE, TEXT_WHOLE, "GROẞ", "gross"},
	{TEXT_IGNORE_CASE, TEXT_WHOLE, "ΣΊΣΥΦΟΣ", "σίσυφοσ"},
	{TEXT_IGNORE_CASE, TEXT_WHOLE, "σίσυφος", "σίσυφοσ"},
	{TEXT_IGNORE_CASE, TEXT_WHOLE, "İ", "i\xcc\x87"},
	{TEXT_IGNORE_CASE, TEXT_WHOLE, "ﬁn", "fin"},
	{TEXT_IGNORE_CASE, TEXT_WHOLE, "ＡＢＣ１", "abc1"},
	{TEXT_IGNORE_CASE, TEXT_WHOLE, "\xe2\x84\xaa", "k"},
	{TEXT_EXACT, TEXT_WHOLE, "Groß", "Groß"},
	/* without accents, in every script that has such */
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "  Ada  Hill", "ada hill"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "Rodríguez", "rodriguez"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "RODRI\xcc\x81GUEZ", "rodriguez"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "Ｒｏｄｒíｇｕｅｚ", "rodriguez"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "Łukasz Søren Đỗ", "lukasz soren do"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "Þórður Æsa Œuvre", "thordur aesa oeuvre"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "Groß GROẞ", "gross gross"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "İSTANBUL Işık", "istanbul isik"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "Nguyễn Văn", "nguyen van"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "Σίσυφος", "σισυφοσ"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "ΆΈ", "αε"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "Семён Ёлкин", "семен елкин"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "שָׁלוֹם", "שלומ"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "مُحَمَّد", "محمد"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "أحمد", "احمد"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "فاطمة", "فاطمه"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "علی", "علي"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "٣۴५", "345"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "O’Brien‐Smith", "o'brien-smith"},
	/* marks that are letters stay */
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "हिन्दी", "हिन्दी"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "กี่", "กี่"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "ガ ｶﾞ", "ガ ガ"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "김", "김"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "\xe1\x84\x80\xe1\x85\xa1", "가"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "張偉", "張偉"},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "\xcc\x81", " "},
	{TEXT_IGNORE_ACCENTS, TEXT_WHOLE, "a \xcc\x81 b", "a b"},
	{TEXT_IGNORE_ACCENTS, TEXT_INITIAL, "É  ", "e "},
	/* NFKC: decomposed and composed are one */
	{TEXT_EXACT, TEXT_WHOLE, "e\xcc\x81", "é"},
	{TEXT_IGNORE_CASE, TEXT_WHOLE, "E\xcc\x81", "é"},
	{TEXT_EXACT, TEXT_WHOLE, "\xe1\x84\x80\xe1\x85\xa1", "가"},
	/* RFC 4518 2.2: mapped to nothing, mapped to space */
	{TEXT_EXACT, TEXT_WHOLE, "soft\xc2\xadhyphen", "softhyphen"},
	{TEXT_EXACT, TEXT_WHOLE,
	 "a\xe2\x80\x8b"
	 "b",
	 "ab"},
	{TEXT_EXACT, TEXT_WHOLE,
	 "a\xef\xbb\xbf"
	 "b",
	 "ab"},
	{TEXT_EXACT, TEXT_WHOLE,
	 "a\xef\xb8\x8f"
	 "b",
	 "ab"},
	{TEXT_EXACT, TEXT_WHOLE,
	 "a\xef\xbf\xbc"
	 "b",
	 "ab"},
	{TEXT_EXACT, TEXT_WHOLE,
	 "a\xf3\xa0\x81\xbf"
	 "b",
	 "ab"},
	{TEXT_EXACT, TEXT_WHOLE,
	 "a\xc2\xa0\xe3\x80\x80"
	 "b",
	 "a b"},
	{TEXT_EXACT, TEXT_WHOLE,
	 "\xc2\x85"
	 "ab\xe2\x80\xa8",
	 "ab"},
	/* RFC 4518 2.6: a space before a combining mark is no space */
	{TEXT_EXACT, TEXT_WHOLE,
	 "a  \xcc\x88"
	 "b",
	 "a  \xcc\x88"
	 "b"},
	{TEXT_EXACT, TEXT_WHOLE, "\xc2\xa8", " \xcc\x88"},
	{TEXT_NUMERIC, TEXT_WHOLE,
	 "1 \xcc\x88"
	 "2 3",
	 "1 \xcc\x88"
	 "23"},
	/* substrings, RFC 4518 2.6.1 */
	{TEXT_IGNORE_CASE, TEXT_INITIAL, " Ada  ", "ada "},
	{TEXT_IGNORE_CASE, TEXT_INITIAL, "Ada  H", "ada h"},
	{TEXT_IGNORE_CASE, TEXT_ANY, "  H  ", " h "},
	{TEXT_IGNORE_CASE, TEXT_ANY, "h", "h"},
	{TEXT_IGNORE_CASE, TEXT_FINAL, "  Hill  ", " hill"},
	{TEXT_IGNORE_CASE, TEXT_FINAL, "   ", " "},
	{TEXT_IGNORE_CASE, TEXT_ANY, "   ", " "},
	{TEXT_IGNORE_CASE, TEXT_INITIAL, "   ", " "},
	{TEXT_IGNORE_CASE, TEXT_INITIAL, " Ä  ", "ä "},
	/* RFC 4518 2.6.2 and 2.6.3 */
	{TEXT_NUMERIC, TEXT_WHOLE, " 12 34 ", "1234"},
	{TEXT_NUMERIC, TEXT_WHOLE, "   ", ""},
	{TEXT_NUMERIC, TEXT_WHOLE,
	 "1\xe3\x80\x80"
	 "2",
	 "12"},
	{TEXT_NUMERIC, TEXT_WHOLE, "1-2", "1-2"},
	{TEXT_TELEPHONE, TEXT_WHOLE, "+1 (555) 12-34 EXT 5", "+1(555)1234ext5"},
	{TEXT_TELEPHONE, TEXT_WHOLE,
	 "12\xe2\x80\x90"
	 "34\xe2\x88\x92"
	 "5",
	 "12345"},
};

static void test_prepare(void **state)
{
	struct buf got;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		buf_init(&got, 4096);
		buf_puts(&got, "kept:");
		assert_int_equal(
			text_prepare(span_of(cases[i].in), cases[i].fold, cases[i].part, &got),
			RC_OK);
		unit_assert_span(span_head(buf_span(&got), 5), span_of("kept:"));
		unit_assert_span(span_from(buf_span(&got), 5), span_of(cases[i].want));
		buf_fini(&got);
	}
}

/* RFC 4518 2.4 */
static void test_prohibited(void **state)
{
	static const char *const bad[] = {
		"\xee\x80\x80",     /* private use */
		"\xf3\xb0\x80\x80", /* private use, plane 15 */
		"\xef\xbf\xbd",     /* replacement character */
		"\xef\xbf\xbf",     /* noncharacter */
		"\xef\xb7\x90",     /* noncharacter */
		"\xff",             /* no UTF-8 */
	};
	struct buf got;
	size_t i;

	(void)state;
	buf_init(&got, 100);
	buf_puts(&got, "kept");
	for (i = 0; i < UNIT_COUNT(bad); i++)
		assert_int_equal(text_prepare(span_of(bad[i]), TEXT_EXACT, TEXT_WHOLE, &got),
				 RC_INVALID);
	unit_assert_span(buf_span(&got), span_of("kept"));
	/* a code point no Unicode version assigns, but may one day */
	assert_int_equal(text_prepare(span_of("\xf0\xaf\xbf\xb0"), TEXT_EXACT, TEXT_WHOLE, &got),
			 RC_OK);
	buf_fini(&got);
}

#define FOLDS 5

static uint32_t seed = 20261123;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static size_t random_ascii(uint8_t *out, size_t max)
{
	size_t n = random_below(max);
	size_t i;

	for (i = 0; i < n; i++)
		out[i] = random_below(3) == 0 ? ' ' : random_below(128);
	return n;
}

/* U+00AD is mapped to nothing, so a value with it takes the ICU path and must end the same. */
static void test_both_paths_agree(void **state)
{
	uint8_t in[64], other[66];
	struct buf fast, slow;
	int round;

	(void)state;
	buf_init(&fast, 1000);
	buf_init(&slow, 1000);
	for (round = 0; round < 20000; round++) {
		enum text_fold fold = random_below(FOLDS);
		enum text_part part = random_below(4);
		size_t n = random_ascii(in, sizeof(in));
		size_t at = random_below(n + 1);

		memcpy(other, in, at);
		memcpy(other + at, "\xc2\xad", 2);
		memcpy(other + at + 2, in + at, n - at);
		buf_clear(&fast);
		buf_clear(&slow);
		assert_int_equal(text_prepare(span_make(in, n), fold, part, &fast), RC_OK);
		assert_int_equal(text_prepare(span_make(other, n + 2), fold, part, &slow), RC_OK);
		unit_assert_span(buf_span(&slow), buf_span(&fast));
	}
	buf_fini(&fast);
	buf_fini(&slow);
}

static size_t random_unicode(uint8_t *out, size_t chars)
{
	size_t n = 0;

	while (chars-- != 0) {
		uint32_t c = random_below(random_below(2) == 0 ? 0x3000 : 0x20000);

		if (random_below(5) == 0)
			c = ' ';
		if (c < 0x80) {
			out[n++] = c;
		} else if (c < 0x800) {
			out[n++] = 0xc0 | c >> 6;
			out[n++] = 0x80 | (c & 0x3f);
		} else if (c < 0x10000) {
			out[n++] = 0xe0 | c >> 12;
			out[n++] = 0x80 | (c >> 6 & 0x3f);
			out[n++] = 0x80 | (c & 0x3f);
		} else {
			out[n++] = 0xf0 | c >> 18;
			out[n++] = 0x80 | (c >> 12 & 0x3f);
			out[n++] = 0x80 | (c >> 6 & 0x3f);
			out[n++] = 0x80 | (c & 0x3f);
		}
	}
	return n;
}

static void test_prepared_is_fixed_point(void **state)
{
	uint8_t in[64];
	struct buf once, twice;
	int valid = 0;
	int round;

	(void)state;
	buf_init(&once, 10000);
	buf_init(&twice, 10000);
	for (round = 0; round < 50000; round++) {
		struct span s = span_make(in, random_unicode(in, 1 + random_below(15)));
		enum text_fold fold = random_below(FOLDS);
		enum text_part part = random_below(4);

		buf_clear(&once);
		buf_clear(&twice);
		if (text_prepare(s, fold, part, &once) != RC_OK)
			continue;
		valid++;
		assert_int_equal(text_prepare(buf_span(&once), fold, part, &twice), RC_OK);
		unit_assert_span(buf_span(&twice), buf_span(&once));
	}
	assert_true(valid > 10000);
	buf_fini(&once);
	buf_fini(&twice);
}

/* Without accents: what matched with them still matches, and it follows from the folded form. */
static void test_accents_follow_from_folded(void **state)
{
	uint8_t in[64];
	struct buf folded, direct, derived;
	int valid = 0;
	int round;

	(void)state;
	buf_init(&folded, 10000);
	buf_init(&direct, 10000);
	buf_init(&derived, 10000);
	for (round = 0; round < 30000; round++) {
		struct span s = span_make(in, random_unicode(in, 1 + random_below(15)));

		buf_clear(&folded);
		buf_clear(&direct);
		buf_clear(&derived);
		if (text_prepare(s, TEXT_IGNORE_CASE, TEXT_WHOLE, &folded) != RC_OK)
			continue;
		valid++;
		assert_int_equal(text_prepare(s, TEXT_IGNORE_ACCENTS, TEXT_WHOLE, &direct), RC_OK);
		assert_int_equal(
			text_prepare(buf_span(&folded), TEXT_IGNORE_ACCENTS, TEXT_WHOLE, &derived),
			RC_OK);
		unit_assert_span(buf_span(&derived), buf_span(&direct));
	}
	assert_true(valid > 10000);
	buf_fini(&folded);
	buf_fini(&direct);
	buf_fini(&derived);
}

static int prepare_long(void *arg)
{
	enum text_fold *fold = arg;
	struct buf b;
	char in[4000];
	size_t i;
	int rc;

	for (i = 0; i + 4 <= sizeof(in); i += 3)
		memcpy(in + i, "\xef\xb7\xba", 4); /* U+FDFA is 18 characters in NFKC */
	buf_init(&b, 1 << 20);
	rc = text_prepare(span_of(in), *fold, TEXT_WHOLE, &b);
	buf_fini(&b);
	return rc;
}

static void test_out_of_memory(void **state)
{
	enum text_fold folds[] = {TEXT_IGNORE_CASE, TEXT_IGNORE_ACCENTS};

	(void)state;
	unit_fail_allocations(prepare_long, &folds[0]);
	unit_fail_allocations(prepare_long, &folds[1]);
}

static void test_cap(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 3);
	assert_int_equal(text_prepare(span_of("abcd"), TEXT_EXACT, TEXT_WHOLE, &b), RC_TOOBIG);
	assert_int_equal(text_prepare(span_of("a"), TEXT_EXACT, TEXT_WHOLE, &b), RC_TOOBIG);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_utf8),
		unit_heap_test(test_prepare),
		unit_heap_test(test_prohibited),
		unit_heap_test(test_both_paths_agree),
		unit_heap_test(test_prepared_is_fixed_point),
		unit_heap_test(test_accents_follow_from_folded),
		unit_heap_test(test_out_of_memory),
		unit_heap_test(test_cap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
