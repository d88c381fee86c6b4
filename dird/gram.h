/*
 * Pure: the n-gram index of parts of values. Which entries have a value that contains three bytes
 * in a row, for each type of the value index and each block of 4096 entry numbers.
 *
 * Every position of a normal value gives a gram of three bytes, and one before its begin, too;
 * outside of it they are zero. So a
 * part of three bytes or more (three letters, one character of Han) is in the entries that have
 * all its grams, and a shorter one is in those that have a gram which begins with it; a part that
 * begins with a zero byte (GRAM_BEGIN) stands at the begin of the value. A value that
 * was cut for the index (APPLY_VALUE_MAX_BYTES) has the gram GRAM_CUT, and may contain anything.
 *
 * A block may name entries that do not have a gram any more, and never lacks one that has it; what
 * is found is verified by filter_match(). Layout, numbers big-endian:
 *
 *   u32 n | n times (u32 gram, u32 offset of its entries) | u32 0, u32 end
 *   entries of each gram: u16 numbers in the block, ascending; or, 256 of them and more, 512 bytes
 *   of which bit k (of byte k / 8, counted from the lowest) stands for entry k
 */
#pragma once

#include "lib/buf.h"

#include <stdbool.h>
#include <stdint.h>

#define GRAM_BLOCK_BITS 12
#define GRAM_BLOCK_ENTRIES (1u << GRAM_BLOCK_BITS)
#define GRAM_BYTES 3
#define GRAM_CUT 0xffffffu /* in no UTF-8 text */
#define GRAM_BEGIN '\0'

/** A gram in an entry of the block at hand: gram << GRAM_BLOCK_BITS | entry. */
typedef uint64_t gram_pair;

/** Append the pairs of one normal value, as an array of gram_pair, to `out`; failures stick. */
void gram_pairs(struct span value, unsigned entry, struct buf *out);

/** Sort pairs and drop repeated ones; `scratch` has the room of `pairs`. Returns how many are left.
 */
size_t gram_sort(gram_pair *pairs, size_t n, gram_pair *scratch);

/**
 * Append the block that has what `old` has (empty: nothing) and the sorted pairs.
 * Errors   RC_CORRUPT (of old), RC_NOMEM.
 */
int gram_merge(struct span old, const gram_pair *pairs, size_t n, struct buf *out) WARN_UNUSED;

/** Entries of a block. */
struct gram_set {
	uint64_t words[GRAM_BLOCK_ENTRIES / 64];
};

/** Those that may contain `part`, which is not empty. RC_CORRUPT. */
int gram_find(struct span block, struct span part, struct gram_set *out) WARN_UNUSED;

/**
 * The same for parts, each of a type of its own, that have to come together: what is in all entries
 * is looked for from the gram with the fewest. Zeroed at first; then in the blocks of one number
 * after those of another, as `near` says where a gram was in the block before.
 */
#define GRAM_WANTED_MAX 32
struct gram_wanted {
	size_t n;
	struct span entries[GRAM_WANTED_MAX];
	uint32_t near[GRAM_WANTED_MAX];
};

/** Have memory bring what will be read of a block; `first`: the number of grams of the parts in
 * front. Returns the same for the next part. */
size_t gram_wanted_expect(const struct gram_wanted *w, size_t first, struct span block,
			  struct span part);

/** RC_OK; RC_NOTFOUND: no entry contains the part; RC_UNSUPPORTED: only gram_find() tells;
 * RC_CORRUPT. */
int gram_wanted_add(struct gram_wanted *w, struct span block, struct span part) WARN_UNUSED;
/** Those that may contain all parts since n was set to 0, of which there are some. RC_NOTFOUND:
 * there are no such entries, and nothing in *out. */
int gram_wanted_entries(struct gram_wanted *w, struct gram_set *out) WARN_UNUSED;

/** What is in both, or in any of the two. */
void gram_and(struct gram_set *s, const struct gram_set *with);
void gram_or(struct gram_set *s, const struct gram_set *with);

unsigned gram_count(const struct gram_set *s);
/** The first entry of the set from `from` on; GRAM_BLOCK_ENTRIES if there is none. */
unsigned gram_next(const struct gram_set *s, unsigned from);

/** Does the block have all these sorted pairs? RC_NOTFOUND with the first that is missing. */
int gram_has(struct span block, const gram_pair *pairs, size_t n, gram_pair *missing) WARN_UNUSED;

/** May a value, as the index holds it, contain the part? */
bool gram_value_wants(struct span value, struct span part);
