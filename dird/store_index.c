#include "dird/store_gram.h"
#include "dird/store_mdb.h"

#define HASH_BYTES 4

size_t store_index_key(uint32_t attr, struct span value, uint8_t key[static STORE_KEY_MAX_BYTES])
{
	struct span cut = span_head(value, STORE_VALUE_MAX_BYTES);

	be_put32(key, attr);
	if (cut.n != 0)
		memcpy(key + HASH_BYTES, cut.p, cut.n);
	return HASH_BYTES + cut.n;
}

void store_index_put(struct store_txn *t, uint32_t attr, struct span value, uint64_t eid)
{
	uint8_t key[STORE_KEY_MAX_BYTES], bytes[STORE_EID_BYTES];

	be_put64(bytes, eid);
	store_bulk_put(t, STORE_INDEX, span_make(key, store_index_key(attr, value, key)),
		       span_make(bytes, sizeof(bytes)));
}

void store_index_del(struct store_txn *t, uint32_t attr, struct span value, uint64_t eid)
{
	uint8_t key[STORE_KEY_MAX_BYTES], bytes[STORE_EID_BYTES];

	be_put64(bytes, eid);
	store_del(t, STORE_INDEX, span_make(key, store_index_key(attr, value, key)),
		  span_make(bytes, sizeof(bytes)));
}

bool store_has_index(struct store_txn *t, uint32_t attr, struct span value, uint64_t eid)
{
	uint8_t key[STORE_KEY_MAX_BYTES], bytes[STORE_EID_BYTES];

	be_put64(bytes, eid);
	return store_has(t, STORE_INDEX, span_make(key, store_index_key(attr, value, key)),
			 span_make(bytes, sizeof(bytes)));
}

int store_index_next(struct store_txn *t, uint32_t attr, struct span value, uint64_t after,
		     uint64_t *eid_out)
{
	uint8_t key[STORE_KEY_MAX_BYTES], bytes[STORE_EID_BYTES];
	MDB_val k = {store_index_key(attr, value, key), key}, v = {sizeof(bytes), bytes};
	MDB_cursor *c;
	int rc = store_cursor(t, STORE_INDEX, &c), err;

	if (rc != RC_OK)
		return rc;
	be_put64(bytes, after + 1);
	err = mdb_cursor_get(c, &k, &v, MDB_GET_BOTH_RANGE);
	if (err == 0 && v.mv_size != STORE_EID_BYTES)
		rc = RC_CORRUPT;
	else if (err == 0)
		*eid_out = be_get64(v.mv_data);
	else
		rc = err == MDB_NOTFOUND ? RC_DONE : store_rc(err);
	mdb_cursor_close(c);
	return rc;
}

int store_index_each(struct store_txn *t, uint32_t attr,
		     int (*fn)(void *ctx, struct span value, uint64_t eid), void *ctx)
{
	const struct index_range all = {.attr = attr, .kind = INDEX_ALL};
	uint8_t key[STORE_KEY_MAX_BYTES];
	MDB_val k = {store_range_start(&all, key), key}, v;
	MDB_cursor *c;
	int rc = store_cursor(t, STORE_INDEX, &c), err;

	if (rc != RC_OK)
		return rc;
	for (err = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
	     rc == RC_OK && err == 0 && store_range_has(&all, store_span(k));
	     err = mdb_cursor_get(c, &k, &v, MDB_NEXT))
		rc = v.mv_size == STORE_EID_BYTES
			     ? fn(ctx, span_from(store_span(k), HASH_BYTES), be_get64(v.mv_data))
			     : RC_CORRUPT;
	mdb_cursor_close(c);
	return rc != RC_OK || err == MDB_NOTFOUND ? rc : store_rc(err);
}

size_t store_range_start(const struct index_range *r, uint8_t key[static STORE_KEY_MAX_BYTES])
{
	bool from_lo = r->kind == INDEX_EQUAL || r->kind == INDEX_PREFIX || r->kind == INDEX_GE;

	return store_index_key(r->attr, from_lo ? r->lo : SPAN_LIT(""), key);
}

bool store_range_has(const struct index_range *r, struct span key)
{
	struct span lo = span_head(r->lo, STORE_VALUE_MAX_BYTES), value;

	if (key.n < HASH_BYTES || be_get32(key.p) != r->attr)
		return false;
	value = span_from(key, HASH_BYTES);
	switch (r->kind) {
	case INDEX_EQUAL:
		return span_eq(value, lo);
	case INDEX_PREFIX:
		return span_starts(value, lo);
	case INDEX_LE:
		return span_cmp(value, lo) <= 0;
	case INDEX_GE:
	case INDEX_ALL:
		return true;
	case INDEX_PART:
	case INDEX_NAMED:
		break; /* have no keys: store_gram.c, store_named.c */
	}
	return false;
}

/* What the last looks of this thread found, for as long as the snapshot is the same. */
#define KNOWN_BITS 6
#define KNOWN_BYTES 24

struct known {
	uint64_t store, snapshot; /* store 0: nothing known */
	uint32_t attr;
	uint32_t n;
	uint8_t value[KNOWN_BYTES];
	bool exists;
};

static struct known *known_slot(uint32_t attr, struct span value)
{
	static _Thread_local struct known slots[1 << KNOWN_BITS];
	uint32_t h = attr;
	size_t i;

	for (i = 0; i < value.n; i++)
		h = h * 31 + value.p[i];
	return &slots[h * 0x9e3779b1u >> (32 - KNOWN_BITS)];
}

bool store_value_exists(struct store_txn *t, uint32_t attr, struct span value)
{
	struct index_range r = {.attr = attr, .kind = INDEX_EQUAL, .lo = value};
	struct known *k = known_slot(attr, value);
	uint64_t snapshot = mdb_txn_id(t->txn);

	if (t->is_write || value.n > KNOWN_BYTES)
		return store_range_count(t, &r, 1) != 0;
	if (k->store == t->store->serial && k->snapshot == snapshot && k->attr == attr &&
	    span_eq(span_make(k->value, k->n), value))
		return k->exists;
	*k = (struct known){.store = t->store->serial, .snapshot = snapshot, .attr = attr};
	k->n = (uint32_t)value.n;
	memcpy(k->value, value.p, value.n);
	k->exists = store_range_count(t, &r, 1) != 0;
	return k->exists;
}

uint64_t store_range_count(void *ctx, const struct index_range *r, uint64_t limit)
{
	uint8_t key[STORE_KEY_MAX_BYTES];
	struct store_txn *t = ctx;
	MDB_val k = {store_range_start(r, key), key}, v;
	uint64_t n = 0;
	MDB_cursor *c;
	size_t dups;
	int err;

	if (r->kind == INDEX_NAMED)
		return store_named_count(t, r, limit);
	if (r->kind == INDEX_PART)
		return store_gram_count(t, r, limit);
	if (store_cursor(t, STORE_INDEX, &c) != RC_OK)
		return 0;
	for (err = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
	     err == 0 && n < limit && store_range_has(r, store_span(k));
	     err = mdb_cursor_get(c, &k, &v, MDB_NEXT_NODUP)) {
		if (mdb_cursor_count(c, &dups) == 0)
			n += dups;
	}
	mdb_cursor_close(c);
	return n < limit ? n : limit;
}
