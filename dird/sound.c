#include "dird/sound.h"

#include "lib/text.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

/* --- one word, a-z and others --- */

static bool is_in(uint8_t c, const char *set)
{
	return c != 0 && strchr(set, c) != NULL;
}

/* Letter with its neighbours in the word (0: none) to digits; "" for h. */
static const char *code_of(uint8_t before, uint8_t c, uint8_t after)
{
	if (is_in(c, "aeijouy"))
		return "0";
	if (is_in(c, "bp"))
		return c == 'p' && after == 'h' ? "3" : "1";
	if (is_in(c, "dt"))
		return is_in(after, "csz") ? "8" : "2";
	if (is_in(c, "fvw"))
		return "3";
	if (is_in(c, "gkq"))
		return "4";
	if (c == 'c' && before == 0)
		return is_in(after, "ahkloqrux") ? "4" : "8";
	if (c == 'c')
		return is_in(after, "ahkoqux") && !is_in(before, "sz") ? "4" : "8";
	if (c == 'x')
		return is_in(before, "ckq") ? "8" : "48";
	if (c == 'l')
		return "5";
	if (is_in(c, "mn"))
		return "6";
	if (c == 'r')
		return "7";
	return is_in(c, "sz") ? "8" : "";
}

static bool is_latin(uint8_t c)
{
	return c >= 'a' && c <= 'z';
}

/* The same digit twice is one; 0 (a vowel) only counts at the start, but keeps others apart. */
static void put_digits(const char *digits, size_t start, uint8_t *last, struct buf *out)
{
	for (; *digits != '\0'; digits++) {
		uint8_t c = (uint8_t)*digits;

		if (c != *last && (c != '0' || out->n == start))
			buf_putc(out, c);
		*last = c;
	}
}

static void put_word(struct span word, struct buf *out)
{
	size_t first = text_utf8_len(word), start, i;
	uint8_t last = 0;

	buf_put(out, span_head(word, first));
	start = out->n;
	for (i = 0; i < word.n && first < word.n; i++) {
		uint8_t before = i != 0 ? word.p[i - 1] : 0;
		uint8_t after = i + 1 < word.n ? word.p[i + 1] : 0;

		if (is_latin(word.p[i])) {
			put_digits(code_of(before, word.p[i], after), start, &last, out);
		} else {
			buf_putc(out, word.p[i]);
			last = 0;
		}
	}
	buf_putc(out, ' ');
}

/* --- texts --- */

static bool is_of_word(UChar32 c)
{
	return u_isalnum(c) || (U_GET_GC_MASK(c) & U_GC_M_MASK) != 0;
}

static void end_word(struct buf *word, struct buf *out)
{
	if (word->n != 0 && buf_rc(word) == RC_OK)
		put_word(buf_span(word), out);
	buf_truncate(word, 0);
}

/* Words of prepared text, which is well-formed. */
static void put_words(struct span text, struct buf *word, struct buf *out)
{
	int32_t at = 0, end = (int32_t)text.n;

	while (at < end) {
		int32_t from = at;
		UChar32 c;

		U8_NEXT(text.p, at, end, c);
		if (is_of_word(c))
			buf_put(word, span_make(text.p + from, (size_t)(at - from)));
		else if (c != '\'')
			end_word(word, out);
	}
	end_word(word, out);
}

int sound_code(struct span text, struct buf *out)
{
	struct buf plain, word;
	size_t start = out->n;
	int rc;

	buf_init(&plain, UINT32_MAX);
	buf_init(&word, UINT32_MAX);
	rc = text_prepare(text, TEXT_IGNORE_ACCENTS, TEXT_WHOLE, &plain);
	if (rc != RC_OK)
		goto out;
	put_words(buf_span(&plain), &word, out);
	rc = buf_rc(&word) != RC_OK ? buf_rc(&word) : buf_rc(out);
	if (rc != RC_OK)
		buf_truncate(out, start);
out:
	buf_fini(&word);
	buf_fini(&plain);
	return rc;
}

/* --- comparison --- */

static bool sounds_like(struct span a, struct span b)
{
	size_t first_a = text_utf8_len(a), first_b = text_utf8_len(b);

	if (first_a == a.n || first_b == b.n)
		return span_eq(span_head(a, first_a), span_head(b, first_b));
	return span_eq(span_from(a, first_a), span_from(b, first_b));
}

bool sound_match(struct span want, struct span have)
{
	struct span word, other;

	if (want.n == 0)
		return have.n == 0;
	while (span_cut(&want, ' ', &word)) {
		bool found = false;

		while (!found && span_cut(&have, ' ', &other))
			found = sounds_like(word, other);
		if (!found)
			return false;
	}
	return true;
}
