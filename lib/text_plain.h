/* Single characters without accents, for lib/text.c: TEXT_IGNORE_ACCENTS in lib/text.h. */
#pragma once

#include <unicode/utypes.h>

/** What a character of folded and decomposed text becomes: 0, 1 or 2 units. */
int32_t text_plain(UChar32 c, UChar out[static 2]);
