#include "lib/text.h"

#include "lib/arena.h"
#include "lib/text_plain.h"

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>

#define STACK_UNITS 256
#define MAX_BYTES (64 * 1024 * 1024) /* keeps every ICU length far inside int32_t */
#define FOLD_ROUNDS 4

/*
 * A space that a combining mark follows is significant. Until spaces are handled it travels as NUL,
 * which no mapped text contains.
 */
#define HARD_SPACE 0x00

static bool is_continuation(uint8_t c)
{
	return (c & 0xc0) == 0x80;
}

size_t text_utf8_len(struct span s)
{
	uint8_t c, low = 0x80, high = 0xbf;
	size_t n, i;

	if (s.n == 0)
		return 0;
	c = s.p[0];
	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	if (s.n < n)
		return 0;
	/* The second byte rules out overlong forms, surrogates and what is above U+10FFFF. */
	if (c == 0xe0)
		low = 0xa0;
	else if (c == 0xf0)
		low = 0x90;
	else if (c == 0xed)
		high = 0x9f;
	else if (c == 0xf4)
		high = 0x8f;
	if (s.p[1] < low || s.p[1] > high)
		return 0;
	for (i = 2; i < n; i++) {
		if (!is_continuation(s.p[i]))
			return 0;
	}
	return n;
}

/* The number of leading ASCII bytes. */
static size_t ascii_run(struct span s)
{
	const uint64_t tops = 0x8080808080808080u;
	size_t at = 0;
	uint64_t word;

	while (s.n - at >= sizeof(word)) {
		memcpy(&word, s.p + at, sizeof(word));
		if ((word & tops) != 0)
			break;
		at += sizeof(word);
	}
	while (at < s.n && s.p[at] < 0x80)
		at++;
	return at;
}

bool text_is_utf8(struct span s)
{
	size_t at = 0;

	while (at < s.n) {
		size_t n;

		at += ascii_run(span_from(s, at));
		if (at == s.n)
			break;
		n = text_utf8_len(span_from(s, at));
		if (n == 0)
			return false;
		at += n;
	}
	return true;
}

enum mapping {
	MAP_KEEP,
	MAP_NOTHING,
	MAP_SPACE,
};

static const struct mapped_range {
	UChar32 first, last;
	enum mapping to;
} mapped_ranges[] = {
	/* RFC 4518 §2.2, in code point order */
	{0x0000, 0x0008, MAP_NOTHING},   {0x0009, 0x000d, MAP_SPACE},
	{0x000e, 0x001f, MAP_NOTHING},   {0x007f, 0x0084, MAP_NOTHING},
	{0x0085, 0x0085, MAP_SPACE},     {0x0086, 0x009f, MAP_NOTHING},
	{0x00a0, 0x00a0, MAP_SPACE},     {0x00ad, 0x00ad, MAP_NOTHING},
	{0x034f, 0x034f, MAP_NOTHING},   {0x06dd, 0x06dd, MAP_NOTHING},
	{0x070f, 0x070f, MAP_NOTHING},   {0x1680, 0x1680, MAP_SPACE},
	{0x1806, 0x1806, MAP_NOTHING},   {0x180b, 0x180e, MAP_NOTHING},
	{0x2000, 0x200a, MAP_SPACE},     {0x200b, 0x200f, MAP_NOTHING},
	{0x2028, 0x2029, MAP_SPACE},     {0x202a, 0x202e, MAP_NOTHING},
	{0x202f, 0x202f, MAP_SPACE},     {0x205f, 0x205f, MAP_SPACE},
	{0x2060, 0x2063, MAP_NOTHING},   {0x206a, 0x206f, MAP_NOTHING},
	{0x3000, 0x3000, MAP_SPACE},     {0xfe00, 0xfe0f, MAP_NOTHING},
	{0xfeff, 0xfeff, MAP_NOTHING},   {0xfff9, 0xfffc, MAP_NOTHING},
	{0x1d173, 0x1d17a, MAP_NOTHING}, {0xe0001, 0xe0001, MAP_NOTHING},
	{0xe0020, 0xe007f, MAP_NOTHING},
};

static enum mapping mapping_of(UChar32 c)
{
	size_t low = 0, high = sizeof(mapped_ranges) / sizeof(mapped_ranges[0]);

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (c > mapped_ranges[mid].last)
			low = mid + 1;
		else if (c < mapped_ranges[mid].first)
			high = mid;
		else
			return mapped_ranges[mid].to;
	}
	return MAP_KEEP;
}

static bool is_prohibited(UChar32 c)
{
	bool nonchar = (c & 0xfffe) == 0xfffe || (c >= 0xfdd0 && c <= 0xfdef);

	return c == 0xfffd || nonchar || u_charType(c) == U_SURROGATE ||
	       u_charType(c) == U_PRIVATE_USE_CHAR;
}

static bool is_combining(UChar32 c)
{
	return (U_GET_GC_MASK(c) & U_GC_M_MASK) != 0;
}

static bool is_hyphen(UChar32 c)
{
	return c == 0x2d || c == 0x58a || c == 0x2010 || c == 0x2011 || c == 0x2212 ||
	       c == 0xfe63 || c == 0xff0d;
}

static bool folds(enum text_fold fold)
{
	return fold == TEXT_IGNORE_CASE || fold == TEXT_TELEPHONE || fold == TEXT_IGNORE_ACCENTS;
}

/* UTF-16 text that starts on the stack. */
struct units {
	UChar *p;
	int32_t n, size;
	UChar first[STACK_UNITS];
};

static void units_init(struct units *u)
{
	u->p = u->first;
	u->n = 0;
	u->size = STACK_UNITS;
}

static void units_fini(struct units *u)
{
	if (u->p != u->first)
		mem_free(u->p);
}

/* Room for n units; what was in it is lost. */
static int units_reserve(struct units *u, int32_t n)
{
	UChar *p;

	if (n <= u->size)
		return RC_OK;
	p = mem_alloc((size_t)n * sizeof(*p));
	if (p == NULL)
		return RC_NOMEM;
	units_fini(u);
	u->p = p;
	u->size = n;
	return RC_OK;
}

/* RFC 4518 §2.1 and §2.2: transcode, map to nothing and to space. */
static int decode_mapped(struct span s, struct units *out)
{
	int32_t n = (int32_t)s.n;
	int32_t at = 0;
	int rc = units_reserve(out, n);

	if (rc != RC_OK)
		return rc;
	out->n = 0;
	while (at < n) {
		UChar32 c;

		U8_NEXT(s.p, at, n, c);
		if (c < 0)
			return RC_INVALID;
		switch (mapping_of(c)) {
		case MAP_NOTHING:
			continue;
		case MAP_SPACE:
			c = ' ';
			break;
		case MAP_KEEP:
			break;
		}
		U16_APPEND_UNSAFE(out->p, out->n, c);
	}
	return RC_OK;
}

/* One ICU transformation of `in` into `out`, again with more room if the first did not do. */
static int transform(const UNormalizer2 *nfkc, const struct units *in, struct units *out)
{
	int tries;

	for (tries = 0; tries < 2; tries++) {
		UErrorCode err = U_ZERO_ERROR;
		int32_t n;
		int rc;

		if (nfkc != NULL)
			n = unorm2_normalize(nfkc, in->p, in->n, out->p, out->size, &err);
		else
			n = u_strFoldCase(out->p, out->size, in->p, in->n, U_FOLD_CASE_DEFAULT,
					  &err);
		if (err == U_MEMORY_ALLOCATION_ERROR)
			return RC_NOMEM;
		if (err == U_BUFFER_OVERFLOW_ERROR) {
			rc = units_reserve(out, n);
			if (rc != RC_OK)
				return rc;
			continue;
		}
		if (U_FAILURE(err))
			return RC_INVALID;
		out->n = n;
		return RC_OK;
	}
	return RC_INVALID;
}

static bool units_eq(const struct units *a, const struct units *b)
{
	return a->n == b->n && u_memcmp(a->p, b->p, a->n) == 0;
}

/*
 * RFC 4518 §2.2 (folding) and §2.3. Folding undoes some normalization and the other way round, so
 * both are repeated until nothing changes; two rounds do for all of Unicode.
 */
static int fold_and_normalize(struct units *text, struct units *other, bool fold)
{
	UErrorCode err = U_ZERO_ERROR;
	const UNormalizer2 *nfkc = unorm2_getNFKCInstance(&err);
	int round;
	int rc;

	if (U_FAILURE(err))
		return RC_NOMEM;
	if (!fold) {
		rc = transform(nfkc, text, other);
		if (rc != RC_OK)
			return rc;
		rc = units_reserve(text, other->n);
		if (rc != RC_OK)
			return rc;
		u_memcpy(text->p, other->p, other->n);
		text->n = other->n;
		return RC_OK;
	}
	for (round = 0; round < FOLD_ROUNDS; round++) {
		struct units before;

		units_init(&before);
		rc = units_reserve(&before, text->n);
		if (rc == RC_OK) {
			u_memcpy(before.p, text->p, text->n);
			before.n = text->n;
			rc = transform(NULL, text, other);
		}
		if (rc == RC_OK)
			rc = transform(nfkc, other, text);
		if (rc != RC_OK || units_eq(&before, text))
			round = FOLD_ROUNDS;
		units_fini(&before);
	}
	return rc;
}

/* The code point at *at, which moves behind it; 0 at the end. ICU wrote it, so pairs are whole. */
static UChar32 take_unit(const struct units *text, int32_t *at)
{
	UChar32 c;

	if (*at == text->n)
		return 0;
	c = text->p[(*at)++];
	if ((c & 0xfc00) == 0xd800 && *at < text->n)
		c = ((c & 0x3ff) << 10) + (text->p[(*at)++] & 0x3ff) + 0x10000;
	return c;
}

static void put_utf8(struct buf *out, UChar32 c)
{
	uint8_t bytes[U8_MAX_LENGTH];
	int32_t n = 0;
	UBool broken = false;

	U8_APPEND(bytes, n, U8_MAX_LENGTH, (uint32_t)c, broken);
	must(!broken);
	buf_put(out, span_make(bytes, (size_t)n));
}

/* Prepared text without accents, see text.h. Neither rule makes work for the other one. */
static int drop_accents(struct units *text, struct units *other)
{
	UErrorCode err = U_ZERO_ERROR;
	const UNormalizer2 *nfd = unorm2_getNFDInstance(&err);
	const UNormalizer2 *nfc = unorm2_getNFCInstance(&err);
	int32_t at = 0;
	int rc;

	if (U_FAILURE(err))
		return RC_NOMEM;
	rc = transform(nfd, text, other);
	if (rc == RC_OK)
		rc = units_reserve(text, 2 * other->n);
	if (rc != RC_OK)
		return rc;
	text->n = 0;
	while (at < other->n) {
		text->n += text_plain(take_unit(other, &at), text->p + text->n);
	}
	rc = transform(nfc, text, other);
	if (rc == RC_OK)
		rc = units_reserve(text, other->n);
	if (rc != RC_OK)
		return rc;
	u_memcpy(text->p, other->p, other->n);
	text->n = other->n;
	return RC_OK;
}

/* RFC 4518 §2.4, and back to UTF-8, with hyphens dropped and significant spaces marked. */
static int encode_checked(const struct units *text, bool drop_hyphens, struct buf *out)
{
	int32_t at = 0, ahead;

	while (at < text->n) {
		UChar32 c = take_unit(text, &at);
		UChar32 next;

		if (is_prohibited(c))
			return RC_INVALID;
		ahead = at;
		next = take_unit(text, &ahead);
		if (c == ' ' && is_combining(next))
			c = HARD_SPACE;
		else if (drop_hyphens && is_hyphen(c) && !is_combining(next))
			continue;
		put_utf8(out, c);
	}
	return buf_rc(out);
}

static int map_unicode(struct span s, enum text_fold fold, struct buf *out)
{
	struct units text, other;
	int rc;

	if (s.n > MAX_BYTES)
		return RC_TOOBIG;
	units_init(&text);
	units_init(&other);
	rc = decode_mapped(s, &text);
	if (rc == RC_OK)
		rc = fold_and_normalize(&text, &other, folds(fold));
	if (rc == RC_OK && fold == TEXT_IGNORE_ACCENTS)
		rc = drop_accents(&text, &other);
	if (rc == RC_OK)
		rc = encode_checked(&text, fold == TEXT_TELEPHONE, out);
	units_fini(&other);
	units_fini(&text);
	return rc;
}

static int map_ascii(struct span s, enum text_fold fold, struct buf *out)
{
	bool lower = folds(fold);
	uint8_t *to;
	size_t i, n = 0;

	if (s.n == 0)
		return RC_OK;
	to = buf_extend(out, s.n);
	if (to == NULL)
		return buf_rc(out);
	for (i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (c < 0x20) {
			if (c < 0x09 || c > 0x0d)
				continue;
			c = ' ';
		} else if (c == 0x7f || (c == '-' && fold == TEXT_TELEPHONE)) {
			continue;
		} else if (lower) {
			c = span_ascii_lower(c);
		}
		to[n++] = c;
	}
	buf_truncate(out, out->n - (s.n - n));
	return RC_OK;
}

static size_t drop_spaces(uint8_t *p, size_t n)
{
	size_t i, to = 0;

	for (i = 0; i < n; i++) {
		if (p[i] != ' ')
			p[to++] = p[i] == HARD_SPACE ? ' ' : p[i];
	}
	return to;
}

/* RFC 4518 §2.6.1, in the shorter form that text.h describes. Never longer than it was. */
static size_t squeeze_spaces(uint8_t *p, size_t n, enum text_part part)
{
	bool keep_first = part == TEXT_ANY || part == TEXT_FINAL;
	bool keep_last = part == TEXT_ANY || part == TEXT_INITIAL;
	bool pending = false;
	size_t i, to = 0;

	for (i = 0; i < n; i++) {
		if (p[i] == ' ') {
			pending = true;
			continue;
		}
		if (pending && (to != 0 || keep_first))
			p[to++] = ' ';
		pending = false;
		p[to++] = p[i] == HARD_SPACE ? ' ' : p[i];
	}
	if (pending && to != 0 && keep_last)
		p[to++] = ' ';
	return to;
}

static bool drops_all_spaces(enum text_fold fold)
{
	return fold == TEXT_NUMERIC || fold == TEXT_TELEPHONE;
}

int text_prepare(struct span s, enum text_fold fold, enum text_part part, struct buf *out)
{
	size_t start = out->n;
	size_t n;
	int rc;

	if (buf_rc(out) != RC_OK)
		return buf_rc(out);
	if (ascii_run(s) == s.n)
		rc = map_ascii(s, fold, out);
	else
		rc = map_unicode(s, fold, out);
	if (rc != RC_OK) {
		buf_truncate(out, start);
		return rc;
	}
	n = out->n - start;
	if (drops_all_spaces(fold)) {
		buf_truncate(out, start + (n != 0 ? drop_spaces(out->p + start, n) : 0));
		return RC_OK;
	}
	n = n != 0 ? squeeze_spaces(out->p + start, n, part) : 0;
	buf_truncate(out, start + n);
	if (n == 0)
		buf_putc(out, ' ');
	return buf_rc(out);
}
