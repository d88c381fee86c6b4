#include "lib/idna.h"

#include <unicode/uidna.h>

#define UTF8_PER_BYTE 4 /* a label in UTF-8 is at most so much longer than its A-label */

typedef int32_t convert_fn(const UIDNA *idna, const char *name, int32_t length, char *dest,
			   int32_t capacity, UIDNAInfo *info, UErrorCode *err);

static int convert(convert_fn *fn, uint32_t options, struct span domain, struct buf *out)
{
	char text[UTF8_PER_BYTE * IDNA_DOMAIN_MAX_BYTES + 3];
	UIDNAInfo info = UIDNA_INFO_INITIALIZER;
	UErrorCode err = U_ZERO_ERROR;
	UIDNA *idna;
	int32_t n;

	if (domain.n == 0 || domain.n > (size_t)UTF8_PER_BYTE * IDNA_DOMAIN_MAX_BYTES)
		return RC_INVALID;
	idna = uidna_openUTS46(options, &err);
	if (U_FAILURE(err))
		return RC_NOMEM;
	n = fn(idna, (const char *)domain.p, (int32_t)domain.n, text, (int32_t)sizeof(text), &info,
	       &err);
	uidna_close(idna);
	if (U_FAILURE(err) || info.errors != 0 || n <= 0)
		return RC_INVALID;
	buf_put(out, span_make(text, (size_t)n));
	return buf_rc(out);
}

int idna_to_ascii(struct span domain, struct buf *out)
{
	return convert(uidna_nameToASCII_UTF8, UIDNA_NONTRANSITIONAL_TO_ASCII, domain, out);
}

int idna_to_unicode(struct span domain, struct buf *out)
{
	return convert(uidna_nameToUnicodeUTF8, UIDNA_NONTRANSITIONAL_TO_UNICODE, domain, out);
}
