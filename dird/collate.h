/*
 * The order in which people expect names: sort keys of the Unicode collation algorithm, on ICU.
 *
 * For sorted results, list views and address books. Filters with >= and <= compare code points, as
 * caseIgnoreOrderingMatch says (RFC 4517 §4.2.12); this order is another one.
 *
 * Any thread may call at any time: one collator is made at the first call and never changed.
 */
#pragma once

#include "lib/buf.h"

/**
 * Append the sort key of a text: keys compare by their bytes (span_cmp()), the shorter of two that
 * begin alike first.
 *
 * The value is prepared as for caseIgnoreMatch first, so values which that rule calls equal have
 * one key; sorting by a second attribute then goes on among them. The order is that of the CLDR
 * root locale: Latin, Greek, Cyrillic, Hebrew, Arabic, ..., Han; accents decide only between words
 * that are equal without them; spaces and punctuation come before digits, digits before letters.
 * Shape:   two to three bytes a letter of alphabets, four of Han; no zero byte. Keys of other ICU
 *          versions may differ: a key that is stored must go with collate_version().
 * Errors   RC_INVALID: not UTF-8 or a prohibited code point. RC_NOMEM; RC_TOOBIG from `out`, or of
 *          a value above 1 MiB. After an error the content of `out` is what it was.
 * Source:  UTS #10; UTS #35 part 5.
 */
int collate_key(struct span value, struct buf *out) WARN_UNUSED;

/** A number that changes when keys do: of the collation data that ICU has. 0: ICU has none. */
uint32_t collate_version(void);
