/* What the store_view*.c files share: keys, and which levels a row is on. Nobody else's. */
#pragma once

#include "dird/store_mdb.h"
#include "dird/store_view.h"

#define VIEW_HEAD_BYTES 5 /* view u32, level u8 */
#define VIEW_KEY_BYTES (VIEW_HEAD_BYTES + STORE_VIEW_KEY_MAX + STORE_EID_BYTES)
#define VIEW_MASK_BYTES 4
#define VIEW_COUNT_BYTES 4
#define VIEW_COUNTS_BYTES (STORE_VIEW_KINDS * VIEW_COUNT_BYTES)
#define VIEW_LEVEL_BITS 7 /* of 2^7 rows one is on the next level, too */

_Static_assert(VIEW_KEY_BYTES <= 511, "LMDB's limit");

struct view_counts {
	uint32_t n[STORE_VIEW_KINDS];
};

/** A row's whole key. */
struct view_key {
	uint8_t b[VIEW_KEY_BYTES];
	size_t n;
};

/** How many levels above 0 a row is on. Neighbours in the order are not neighbours here. */
static inline unsigned view_height(uint64_t eid)
{
	uint64_t x = eid;
	unsigned bits;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u; /* splitmix64 */
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	x ^= x >> 31;
	bits = x != 0 ? (unsigned)__builtin_ctzll(x) : 64;
	return bits / VIEW_LEVEL_BITS < STORE_VIEW_LEVELS ? bits / VIEW_LEVEL_BITS
							  : STORE_VIEW_LEVELS;
}

static inline void view_key_set(struct view_key *k, uint32_t view, unsigned level,
				struct span place)
{
	be_put32(k->b, view);
	k->b[4] = (uint8_t)level;
	if (place.n != 0)
		memcpy(k->b + VIEW_HEAD_BYTES, place.p, place.n);
	k->n = VIEW_HEAD_BYTES + place.n;
}

static inline struct span view_key_span(const struct view_key *k)
{
	return span_make(k->b, k->n);
}

static inline struct span view_place_span(const struct store_view_place *p)
{
	return span_make(p->key, p->n);
}

static inline uint64_t view_place_eid(struct span place)
{
	return place.n >= STORE_EID_BYTES ? be_get64(place.p + place.n - STORE_EID_BYTES) : 0;
}

static inline void view_counts_add(struct view_counts *n, uint32_t mask)
{
	unsigned i;

	for (i = 0; i < STORE_VIEW_KINDS; i++)
		n->n[i] += mask >> i & 1;
}

static inline struct span view_counts_write(const struct view_counts *n,
					    uint8_t bytes[static VIEW_COUNTS_BYTES])
{
	unsigned i;

	for (i = 0; i < STORE_VIEW_KINDS; i++)
		be_put32(bytes + i * VIEW_COUNT_BYTES, n->n[i]);
	return span_make(bytes, VIEW_COUNTS_BYTES);
}

/** A row a cursor stands on; good until the next put. */
struct view_row {
	struct span place; /* key without view and level */
	const uint8_t *value;
};

static inline uint32_t view_row_count(const struct view_row *r, unsigned kind)
{
	return be_get32(r->value + kind * VIEW_COUNT_BYTES);
}

/** A step of a cursor. RC_DONE: there it is another view or level. */
int view_move(MDB_cursor *c, MDB_cursor_op op, uint32_t view, unsigned level,
	      struct view_row *out) WARN_UNUSED;
/** The first row at or behind a place. RC_DONE: there is none. */
int view_seek(MDB_cursor *c, uint32_t view, unsigned level, struct span place,
	      struct view_row *out) WARN_UNUSED;
/** The last row before a place, or with `or_equal` at it. RC_DONE: there is none. */
int view_seek_back(MDB_cursor *c, uint32_t view, unsigned level, struct span place, bool or_equal,
		   struct view_row *out) WARN_UNUSED;
