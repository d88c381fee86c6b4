#include "lib/idna.h"

#include <unicode/uidna.h>

int idna_to_ascii(struct span domain, struct buf *out)
{
	char ascii[IDNA_DOMAIN_MAX_BYTES + 3];
	UIDNAInfo info = UIDNA_INFO_INITIALIZER;
	UErrorCode err = U_ZERO_ERROR;
	UIDNA *idna;
	int32_t n;

	if (domain.n == 0 || domain.n > (size_t)4 * IDNA_DOMAIN_MAX_BYTES)
		return RC_INVALID;
	idna = uidna_openUTS46(UIDNA_NONTRANSITIONAL_TO_ASCII, &err);
	if (U_FAILURE(err))
		return RC_NOMEM;
	n = uidna_nameToASCII_UTF8(idna, (const char *)domain.p, (int32_t)domain.n, ascii,
				   (int32_t)sizeof(ascii), &info, &err);
	uidna_close(idna);
	if (U_FAILURE(err) || info.errors != 0 || n <= 0)
		return RC_INVALID;
	buf_put(out, span_make(ascii, (size_t)n));
	return buf_rc(out);
}
