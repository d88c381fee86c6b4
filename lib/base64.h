/* Base64 (RFC 4648 §4): the standard alphabet, padded. */
#pragma once

#include "lib/buf.h"

/** Append the text form of `s`. Failures stick to `out`. */
void base64_encode(struct span s, struct buf *out);

/** The most bytes that `n` characters can stand for. */
static inline size_t base64_max_bytes(size_t n)
{
	return n / 4 * 3;
}

/**
 * Decode into `out`, which has room for base64_max_bytes(text.n); *n gets the length.
 * Strict: no blanks, whole groups of four, `=` only at the end, no bits left over.
 * Returns  false for anything else.
 */
bool base64_decode(struct span text, uint8_t *out, size_t *n);
