/*
 * Sorted answers (RFC 2891) and windows into them (virtual list views,
 * draft-ietf-ldapext-ldapv3-vlv-09).
 *
 * The rows of one search are gathered with their keys, sorted once, and sent in order. Memory is
 * bounded by SORT_MAX_ENTRIES; a search with more is answered unsorted or refused.
 */
#pragma once

#include "dird/op_impl.h"

#define SORT_MAX_ENTRIES 100000
#define SORT_MAX_KEYS 8
#define SORT_KEY_MAX_BYTES 512 /* of one attribute; what is longer is compared so far */

#define VLV_SORT_MISSING 60 /* virtualListViewResult */
#define VLV_RANGE_ERROR 61

struct sort_key {
	const struct schema_attr *at;
	enum schema_norm norm;
	bool is_reverse;
};

struct sort_row {
	uint64_t eid;
	const uint8_t *key; /* per sort key: 16 bits of length, bytes; 0xffff: no value */
};

struct op_sort {
	struct sort_key keys[SORT_MAX_KEYS];
	unsigned nkeys;
	enum ldap_result code; /* sortResult; other than 0: the answer is not sorted */
	struct span bad_type;  /* the attribute at fault, or "" */
	bool is_critical;
	bool is_silent; /* nobody asked for it: a view's own order, no answer */

	enum { SORT_GATHERS, SORT_SENDS, SORT_OFF } state;
	struct arena arena; /* of the keys */
	struct sort_row *rows;
	size_t n, size;
	size_t at, end; /* rows to send */
};

struct op_vlv {
	int64_t before, after;
	bool by_value;
	int64_t offset, count; /* the client's; count 0: it does not know */
	struct span value;
	bool has_context; /* of an earlier answer, it says */
	/* the answer */
	int code;
	uint64_t position, total;
};

/** Read SortKeyList. RC_INVALID; what can not be sorted by is in out->code. */
int sort_read(const struct op *op, struct span value, struct op_sort *out) WARN_UNUSED;
/** Read VirtualListViewRequest. RC_INVALID. */
int vlv_read(struct span value, struct op_vlv *out) WARN_UNUSED;

/** Take a row. RC_TOOBIG above SORT_MAX_ENTRIES (the row is not taken); RC_NOMEM. */
int sort_add(struct op_sort *s, struct op_sight *v, uint64_t eid,
	     const struct entry *e) WARN_UNUSED;
/** Bring the rows into order; equal ones by entry number. All are to be sent. */
void sort_rows(struct op_sort *s);
/** Choose the window of sorted rows; v->code, position and total are set. */
void vlv_window(struct op_vlv *v, struct op_sort *s, const struct schema *schema);
void sort_fini(struct op_sort *s);

/** Values of the response controls. */
void sort_write(const struct op_sort *s, struct buf *out);
void vlv_write(const struct op_vlv *v, struct buf *out);

/** Where the window [*lo, *hi) of n rows around 1 <= position <= n + 1 lies. */
void vlv_place(const struct op_vlv *v, uint64_t position, uint64_t n, size_t *lo, size_t *hi);
/** The position an offset means among n rows (draft §6.1.1); 0: out of range. */
uint64_t vlv_position(const struct op_vlv *v, uint64_t n);
