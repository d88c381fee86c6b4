/*
 * Writing into the store: for update*.c, which keeps the tables consistent with each other, and for
 * check.c, which verifies that.
 *
 * All puts and deletes return nothing: the first error sticks to the transaction (store_error()).
 */
#pragma once

#include "dird/store.h"

enum store_table {
	STORE_META,
	STORE_ENTRY,
	STORE_TREE,
	STORE_UUID,
	STORE_INDEX,
	STORE_ORDER,
	STORE_TOMB,
	STORE_NC,
	STORE_LIMBO,
	STORE_QUARANTINE,
	STORE_VIEW,
	STORE_VIEWDEF,
	STORE_GRAM,
	STORE_FRESH,
	STORE_VALUE,
	STORE_TABLES
};

/** Cut of an index value: the key holds the attribute's hash too. */
#define STORE_VALUE_MAX_BYTES (STORE_KEY_MAX_BYTES - 4)

/** Where the database lies; for files that are of use beside it for a while. */
const char *store_folder(struct store *s);

/** Make an error stick: what was written so far must not be committed. */
void store_fail(struct store_txn *t, int rc);

/** A number no entry has had. 0 after an error. */
uint64_t store_new_eid(struct store_txn *t);

/** A number by name; "format" is what store_open() looks at. */
void store_meta_put(struct store_txn *t, const char *name, uint32_t value);

void store_entry_put(struct store_txn *t, uint64_t eid, struct span record);
void store_entry_del(struct store_txn *t, uint64_t eid);

/** Values of an attribute that are stored apart, each an OCTET STRING; the record is the caller's.
 */
void store_value_put(struct store_txn *t, uint64_t eid, uint32_t list, uint64_t hash,
		     struct span value);
void store_value_del(struct store_txn *t, uint64_t eid, uint32_t list,
		     const struct entry_place *at);

/** The entry without parent that everything hangs below. */
void store_root_put(struct store_txn *t, uint64_t eid);

void store_child_put(struct store_txn *t, uint64_t parent, struct span rdn_normal, uint64_t eid);
void store_child_del(struct store_txn *t, uint64_t parent, struct span rdn_normal, uint64_t eid);
/** The first child of `parent`; RC_NOTFOUND. */
int store_child_first(struct store_txn *t, uint64_t parent, uint64_t *eid_out) WARN_UNUSED;
/** The least entry number above *eid that has children; start with 0. RC_DONE. */
int store_parent_next(struct store_txn *t, uint64_t *eid) WARN_UNUSED;

void store_uuid_put(struct store_txn *t, const struct uuid *u, uint64_t eid);
void store_uuid_del(struct store_txn *t, const struct uuid *u);

/** One row of the value index; `value` is normalized and cut to STORE_VALUE_MAX_BYTES. */
void store_index_put(struct store_txn *t, uint32_t attr, struct span value, uint64_t eid);
void store_index_del(struct store_txn *t, uint32_t attr, struct span value, uint64_t eid);

/**
 * A value that substring searches look into, as it is in the value index. It counts from the
 * commit on. The index is told of values that come only; those that go stay until it is rebuilt.
 */
void store_gram_put(struct store_txn *t, uint32_t attr, struct span value, uint64_t eid);
/** Bring all that waits into the blocks of the n-gram index. */
void store_gram_merge(struct store_txn *t);
/** Does a search for any part of this value find the entry? */
bool store_has_gram(struct store_txn *t, uint32_t attr, struct span value, uint64_t eid);

/** Call fn for every row of the value index of one type, until it returns something else than
 * RC_OK; it must not write. */
int store_index_each(struct store_txn *t, uint32_t attr,
		     int (*fn)(void *ctx, struct span value, uint64_t eid), void *ctx) WARN_UNUSED;

/** Put the context's row; number 0 takes a new number, which is filled in. */
void store_nc_put(struct store_txn *t, struct store_nc *nc);

/** Forget a context; nothing but store_nc_leave() knows of its rows in the change order then. */
void store_nc_del(struct store_txn *t, const struct store_nc *nc);
/** The same, and it is leaving, until its last row has gone and store_leaving_del() says so. */
void store_nc_leave(struct store_txn *t, const struct store_nc *nc);
void store_leaving_del(struct store_txn *t, const struct store_leaving *l);
bool store_is_leaving(struct store_txn *t, uint32_t number);
/** A row with usn 0: what a join took along. RC_DONE. */
int store_change_stub(struct store_txn *t, uint32_t nc, struct store_change *out) WARN_UNUSED;

/** The change order. One row per live entry, or per tombstone. */
void store_order_put(struct store_txn *t, uint32_t nc, uint64_t usn, const struct uuid *u,
		     uint64_t eid);
void store_order_del(struct store_txn *t, uint32_t nc, uint64_t usn, const struct uuid *u);
void store_tombstone_put(struct store_txn *t, uint32_t nc, const struct stamp *s,
			 const struct uuid *u, struct span old_dn, int64_t since_us);
/** Forget a tombstone, if there is one. */
void store_tombstone_del(struct store_txn *t, const struct uuid *u);

/** Entries that wait for a parent to come, or for their name to become free below it. */
void store_limbo_put(struct store_txn *t, const struct uuid *parent, uint64_t eid);
void store_limbo_del(struct store_txn *t, const struct uuid *parent, uint64_t eid);
/** The first one behind `after` that waits for `parent`; RC_DONE. */
int store_limbo_next(struct store_txn *t, const struct uuid *parent, uint64_t after,
		     uint64_t *eid_out) WARN_UNUSED;

/** Quarantine: put the change's rows, and forget them if they are there. */
void store_quarantine_put(struct store_txn *t, uint32_t nc, const struct store_quarantined *q);
void store_quarantine_del(struct store_txn *t, uint32_t nc, const struct uuid *u);
/** Does a change of the context for this entry wait there? */
bool store_is_quarantined(struct store_txn *t, const struct uuid *nc, const struct uuid *u);
/** The next one behind (*nc, *u) that waits for a change of entry `awaited`; RC_DONE. */
int store_quarantine_waiting(struct store_txn *t, const struct uuid *awaited, uint32_t *nc,
			     struct uuid *u) WARN_UNUSED;

/** A row of a table as it is stored. */
typedef int store_row_fn(void *ctx, struct span key, struct span value);

/** Call fn for every row in key order, until it returns something else than RC_OK. */
int store_scan(struct store_txn *t, enum store_table table, store_row_fn *fn,
	       void *ctx) WARN_UNUSED;

/** Remove all rows of a table. */
void store_empty(struct store_txn *t, enum store_table table);

/** Is there exactly this row? See store_has_index(), too. */
bool store_has_order(struct store_txn *t, uint32_t nc, uint64_t usn, const struct uuid *u);
bool store_has_limbo(struct store_txn *t, const struct uuid *parent, uint64_t eid);

/** How many rows a table has. */
uint64_t store_rows(struct store_txn *t, enum store_table table);
