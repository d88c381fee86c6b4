/* wordMatch, keywordMatch (RFC 4517 §4.2.32, §4.2.21): what words are is up to the server. */
#include "dird/schema_def.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

/* Letters with their marks, digits, and the apostrophe of O'Brien. */
static bool is_of_word(UChar32 c)
{
	return u_isalnum(c) || c == '\'' || c == 0x2019 || (U_GET_GC_MASK(c) & U_GC_M_MASK) != 0;
}

int schema_words(struct span value, struct buf *out)
{
	size_t start = out->n;
	struct buf text;
	int32_t at = 0;
	int rc;

	buf_init(&text, UINT32_MAX);
	rc = text_prepare(value, TEXT_IGNORE_CASE, TEXT_WHOLE, &text);
	if (rc != RC_OK)
		goto out;
	buf_putc(out, ' ');
	while (at < (int32_t)text.n) {
		int32_t from = at;
		UChar32 c;

		U8_NEXT(text.p, at, (int32_t)text.n, c);
		if (is_of_word(c))
			buf_put(out, span_make(text.p + from, (size_t)(at - from)));
		else if (buf_rc(out) == RC_OK && out->p[out->n - 1] != ' ')
			buf_putc(out, ' ');
	}
	if (buf_rc(out) == RC_OK && out->p[out->n - 1] != ' ')
		buf_putc(out, ' ');
	rc = buf_rc(out);
	if (rc != RC_OK)
		buf_truncate(out, start);
out:
	buf_fini(&text);
	return rc;
}

static bool is_separator(uint8_t c)
{
	return c == ',' || c == ';' || c == '$';
}

int schema_keywords(struct span value, struct buf *out)
{
	size_t start = out->n, n;
	int rc = RC_OK;

	buf_putc(out, ',');
	while (value.n != 0 && rc == RC_OK) {
		for (n = 0; n < value.n && !is_separator(value.p[n]); n++)
			;
		if (span_trim(span_head(value, n)).n != 0) {
			rc = text_prepare(span_head(value, n), TEXT_IGNORE_CASE, TEXT_WHOLE, out);
			buf_putc(out, ',');
		}
		value = span_from(value, n < value.n ? n + 1 : n);
	}
	if (rc == RC_OK)
		rc = buf_rc(out);
	if (rc != RC_OK)
		buf_truncate(out, start);
	return rc;
}
