/* Values that are stored apart from their entry's record, a row each, in the order of hashes. */
#include "dird/store_mdb.h"

#define LIST_BYTES (8 + 4) /* entry number, list */
#define KEY_BYTES (LIST_BYTES + 8 + 2)

static struct span row_key(uint64_t eid, uint32_t list, const struct entry_place *at,
			   uint8_t key[static KEY_BYTES])
{
	be_put64(key, eid);
	be_put32(key + 8, list);
	be_put64(key + LIST_BYTES, at->hash);
	be_put16(key + LIST_BYTES + 8, at->tie);
	return span_make(key, KEY_BYTES);
}

static bool read_key(struct span key, uint64_t eid, uint32_t list, struct entry_place *at)
{
	if (key.n != KEY_BYTES || be_get64(key.p) != eid || be_get32(key.p + 8) != list)
		return false;
	at->hash = be_get64(key.p + LIST_BYTES);
	at->tie = be_get16(key.p + LIST_BYTES + 8);
	return true;
}

/* The place behind one; false: there is none. */
static bool step(struct entry_place *at)
{
	if (++at->tie != 0)
		return true;
	return ++at->hash != 0;
}

/* Ties are never as many as fit: their last number marks the end of a walk. */
static void set_end(struct entry_place *at)
{
	*at = (struct entry_place){UINT64_MAX, UINT16_MAX};
}

static bool is_end(const struct entry_place *at)
{
	return at->hash == UINT64_MAX && at->tie == UINT16_MAX;
}

static unsigned read_values(void *ctx, uint64_t eid, uint32_t list, struct entry_place *from,
			    struct span *out, struct entry_place *places, unsigned max)
{
	struct store_txn *t = ctx;
	uint8_t key[KEY_BYTES];
	MDB_val k = store_val(row_key(eid, list, from, key)), v;
	struct entry_place at;
	MDB_cursor *c;
	unsigned n = 0;
	int err;

	if (is_end(from) || store_cursor(t, STORE_VALUE, &c) != RC_OK)
		return 0;
	for (err = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
	     err == 0 && n < max && read_key(store_span(k), eid, list, &at);
	     err = mdb_cursor_get(c, &k, &v, MDB_NEXT)) {
		out[n] = store_span(v);
		places[n++] = *from = at;
		if (!step(from))
			set_end(from);
	}
	mdb_cursor_close(c);
	if (n < max)
		set_end(from);
	return n;
}

static bool find_value(void *ctx, uint64_t eid, uint32_t list, struct entry_place *at,
		       struct span *out)
{
	struct store_txn *t = ctx;
	uint8_t key[KEY_BYTES];
	MDB_val k = store_val(row_key(eid, list, at, key)), v;
	struct entry_place there;
	MDB_cursor *c;
	bool found;

	if (store_cursor(t, STORE_VALUE, &c) != RC_OK)
		return false;
	found = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE) == 0 &&
		read_key(store_span(k), eid, list, &there) && there.hash == at->hash;
	if (found) {
		*at = there;
		*out = store_span(v);
	}
	mdb_cursor_close(c);
	return found;
}

void store_attach(struct store_txn *t, uint64_t eid, struct entry *e)
{
	static const struct entry_reader reader = {read_values, find_value};

	if ((e->head.flags & ENTRY_HAS_APART) == 0)
		return;
	e->reader = &reader;
	e->reader_ctx = t;
	e->eid = eid;
}

void store_value_put(struct store_txn *t, uint64_t eid, uint32_t list, uint64_t hash,
		     struct span value)
{
	struct entry_place at = {hash, 0};
	uint8_t key[KEY_BYTES];
	struct span other;

	while (t->rc == RC_OK && find_value(t, eid, list, &at, &other)) {
		if (++at.tie == UINT16_MAX) {
			store_fail(t, RC_TOOBIG);
			return;
		}
	}
	store_put(t, STORE_VALUE, row_key(eid, list, &at, key), value);
}

void store_value_del(struct store_txn *t, uint64_t eid, uint32_t list, const struct entry_place *at)
{
	uint8_t key[KEY_BYTES];

	store_del(t, STORE_VALUE, row_key(eid, list, at, key), span_make(NULL, 0));
}
