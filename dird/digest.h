/*
 * Digest of the live entries of a naming context: the same at each site that holds the same
 * entries, whatever the order in which they came, and brought up to date by what a change takes
 * away and adds.
 *
 * LtHash with 1,024 lanes of 16 bits (Bellare and Micciancio 1997; Lewi, Kim, Maykov and Weis
 * 2019): each entry is hashed to 2,048 bytes, and these are added lane by lane. Sums as narrow as a
 * common hash can be forged by a generalized birthday attack (Wagner 2002); at this width it costs
 * some 2^200. An entry's bytes are the ChaCha20 key stream under the SHA-256 of
 *
 *   "waypost entry 1" NUL | context id | entryUUID | epoch u32 | usn u64 | parent's entryUUID
 *   | length u32 and text of the RDN as written (of the root: nothing, sites spell it as they like)
 *   | the attributes as stored, sorted by their bytes: their order may differ between sites
 *
 * and nothing that is a site's own (entry numbers, flags). Lanes are stored little-endian.
 *
 * An attribute with DIGEST_LONG_VALUES values and more is there as
 *
 *   00 | length u32 and description | number of values u32
 *
 * sorted by description behind the others, and each of its values is hashed and added for itself,
 * so that a change of one costs the same whatever their number:
 *
 *   "waypost value 1" NUL | context id | entryUUID | length u32 and description | value
 */
#pragma once

#include "dird/entry.h"

#define DIGEST_STATE_BYTES 2048
#define DIGEST_BYTES 32 /* SHA-256 of the state: what is shown and signed */
#define DIGEST_LONG_VALUES 128

/** What hashing needs; one a thread at a time. */
struct digester;
int digester_new(struct digester **out) WARN_UNUSED;
void digester_free(struct digester **d);

/** Add an entry to a state of DIGEST_STATE_BYTES, all zero for none; take it away again. */
int digest_add(struct digester *d, uint8_t *state, const struct entry *e) WARN_UNUSED;
int digest_sub(struct digester *d, uint8_t *state, const struct entry *e) WARN_UNUSED;

/** The same of the entry without the values of its long attributes, and of one of those values. */
int digest_change_own(struct digester *d, uint8_t *state, const struct entry *e,
		      bool is_added) WARN_UNUSED;
int digest_change_value(struct digester *d, uint8_t *state, const struct entry *e, struct span type,
			struct span value, bool is_added) WARN_UNUSED;

/** The digest of a state. */
int digest_of(struct digester *d, const uint8_t *state,
	      uint8_t out[static DIGEST_BYTES]) WARN_UNUSED;

/** 64 hexadecimal digits and NUL. */
#define DIGEST_TEXT_BYTES (2 * DIGEST_BYTES + 1)
void digest_write(const uint8_t digest[static DIGEST_BYTES], char out[static DIGEST_TEXT_BYTES]);
