/*
 * A short keyed check: SipHash-2-4 (Aumasson and Bernstein, 2012), 64 bits.
 *
 * Who does not have the key can neither make a check nor find bytes that fit one.
 */
#pragma once

#include "lib/span.h"

#define SIPHASH_KEY_BYTES 16

struct siphash {
	uint64_t v[4];
	uint64_t tail; /* bytes that do not fill a word yet */
	uint64_t n;    /* bytes in all */
};

/** Begin with this key. */
void siphash_init(struct siphash *h, const uint8_t key[SIPHASH_KEY_BYTES]);
/** Add bytes; where they are cut does not matter. */
void siphash_add(struct siphash *h, struct span bytes);
/** Add a number, as eight bytes. */
void siphash_add_number(struct siphash *h, uint64_t number);
/** The check of all that was added; the state is used up. */
uint64_t siphash_end(struct siphash *h);
