/*
 * UTF-8 and the string preparation of attribute values (RFC 3629, RFC 4518), on ICU.
 *
 * ASCII takes a fast path that never reaches ICU and gives the same bytes.
 */
#pragma once

#include "lib/buf.h"

enum text_fold {
	TEXT_EXACT,       /* caseExactMatch: prepared, case kept */
	TEXT_IGNORE_CASE, /* caseIgnoreMatch: full Unicode case folding */
	TEXT_NUMERIC,     /* numericStringMatch: all spaces dropped (RFC 4518 §2.6.2) */
	TEXT_TELEPHONE,   /* telephoneNumberMatch: spaces and hyphens dropped (RFC 4518 §2.6.3) */
	/*
	 * A rule of ours: as TEXT_IGNORE_CASE, then without accents, in the spirit of the primary
	 * level of UTS #10. Decomposed; nonspacing marks of Latin, Greek, Cyrillic, Hebrew, Arabic
	 * and Syriac text dropped (vowel signs of Indic and Thai text and kana voicing marks are
	 * letters there and stay); letters that do not decompose by a table (ø o, ł l, æ ae, þ th);
	 * any decimal digit as its ASCII digit; typographic apostrophes and hyphens as ' and -.
	 * It follows from the TEXT_IGNORE_CASE form alone, and of ASCII text it is the same.
	 */
	TEXT_IGNORE_ACCENTS,
};

/** Where a value stands in a substrings assertion; it decides about spaces at its ends (§2.6.1). */
enum text_part {
	TEXT_WHOLE,
	TEXT_INITIAL,
	TEXT_ANY,
	TEXT_FINAL,
};

/** Well-formed UTF-8 without surrogates and overlong forms (RFC 3629 §3)? */
bool text_is_utf8(struct span s);

/** Bytes of the well-formed UTF-8 sequence at the start of `s` (1..4); 0 if there is none. */
size_t text_utf8_len(struct span s);

/**
 * Append the prepared form of `s`: map, normalize (NFKC), fold, handle insignificant spaces.
 *
 * Equal prepared forms mean equal values, and a prepared initial part is a prefix of the prepared
 * value it matches; so the form serves as index key. Outer spaces are dropped and inner runs are
 * one space. A value of only spaces gives one space.
 * A space before a combining mark is no space (§2.6) and stays. Numeric and telephone forms may
 * become empty. Prepared forms are fixed points: preparing one again changes nothing.
 * Prohibited are private use, noncharacters and U+FFFD (§2.4). Code points that this ICU does not
 * know pass: two servers with different ICU versions must not disagree whether a value is valid.
 * Errors   RC_INVALID: not UTF-8 or a prohibited code point. RC_NOMEM, RC_TOOBIG from `out`. After
 *          an error the content of `out` is what it was.
 * Source:  RFC 4518 §2.
 */
int text_prepare(struct span s, enum text_fold fold, enum text_part part,
		 struct buf *out) WARN_UNUSED;
