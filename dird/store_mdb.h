/* What the store*.c files share about LMDB. Nobody else includes this. */
#pragma once

#include "dird/be.h"
#include "dird/store_int.h"
#include "lib/arena.h"

#include <lmdb.h>
#include <pthread.h>

#define STORE_FORMAT 6
#define STORE_EID_BYTES 8

struct store {
	MDB_env *env;
	MDB_dbi dbi[STORE_TABLES];
	uint64_t serial; /* no two of this process have the same; from 1 on */
	int lock_fd;
	bool read_only;

	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t idle;
	unsigned readers; /* open read transactions */
	bool growing;     /* the map is about to move: no new readers */
	struct store_txn *pool;
	struct store_cache *cache; /* store_view.h; NULL: none */

	struct store_bulk *bulk; /* store_bulk.h; NULL: rows are put at once */
};

/* Where a read transaction stands in the change order: no row lies between these two. */
struct store_place {
	MDB_cursor *cursor; /* on the upper one; NULL: not opened */
	MDB_val lower, upper, row;
};

struct store_txn {
	struct store *store;
	MDB_txn *txn;
	bool is_write;
	bool map_full;
	int rc;           /* sticks in a write transaction */
	struct buf fresh; /* values for the n-gram index: see store_gram.c */
	uint64_t fresh_entries, fresh_values, fresh_last;
	struct store_digests *digests;   /* store_digest.c; NULL: none was changed */
	uint64_t gathered[STORE_TABLES]; /* rows that store_bulk.c took instead */
	size_t snapshot;                 /* of a read transaction; what follows belongs to it */
	uint64_t root;                   /* cached; 0: not looked up yet */
	struct store_above *above;       /* store_name.c; NULL: nothing yet */
	struct store_place order;        /* store_order.c */
	struct store_txn *next;          /* in the pool */
};

static inline MDB_val store_val(struct span s)
{
	return (MDB_val){s.n, (void *)(uintptr_t)s.p};
}

static inline struct span store_span(MDB_val v)
{
	return span_make(v.mv_data, v.mv_size);
}

/** An LMDB or errno code as RC_*. */
int store_rc(int mdb) WARN_UNUSED;

/** Let what an LMDB call of a write transaction returned stick, unless it is 0. */
void store_stick(struct store_txn *t, int err);

/** Look a key up. RC_NOTFOUND is an answer; other errors stick to a write transaction. */
int store_get(struct store_txn *t, enum store_table table, struct span key,
	      struct span *out) WARN_UNUSED;
void store_above_forget(struct store_above *above);
void store_above_free(struct store_above **above);
/** Before the transaction ends. */
void store_order_close(struct store_txn *t);

/** Put and delete; an error sticks. Deleting what is not there is RC_CORRUPT. */
void store_put(struct store_txn *t, enum store_table table, struct span key, struct span value);
void store_del(struct store_txn *t, enum store_table table, struct span key, struct span value);

/** Is there this key, and in tables with several rows a key, with this value? */
bool store_has(struct store_txn *t, enum store_table table, struct span key, struct span value);

int store_cursor(struct store_txn *t, enum store_table table, MDB_cursor **out) WARN_UNUSED;

/**
 * Place the cursor on the first row behind (key, eid) of a table whose values are sorted entry
 * numbers; key and value are filled in. RC_DONE at the end.
 */
int store_seek_behind(MDB_cursor *c, struct span key, uint64_t eid, MDB_val *k,
		      MDB_val *v) WARN_UNUSED;

/** Put, or gather if that has begun. */
void store_bulk_put(struct store_txn *t, enum store_table table, struct span key,
		    struct span value);
/** The same of a row that names an entry; store_bulk_find() finds it. */
void store_bulk_put_eid(struct store_txn *t, enum store_table table, struct span key, uint64_t eid);
/** Is it the entry whose row has the key? */
typedef bool store_bulk_match(const struct entry *e, const void *ctx);
/** The entry of a row that was gathered; RC_NOTFOUND. */
int store_bulk_find(struct store_txn *t, enum store_table table, struct span key,
		    store_bulk_match *is_it, const void *ctx, uint64_t *eid_out) WARN_UNUSED;
/** Between transactions: bound what is in memory. */
int store_bulk_spill(struct store *s) WARN_UNUSED;
/** At the end of a transaction: what it gathered counts, or is forgotten. */
void store_bulk_settle(struct store_txn *t, bool is_committed);
/** Forget all that was gathered. */
void store_bulk_drop(struct store *s);

/* Rows of the change order. */
#define STORE_ORDER_KEY_BYTES (4 + 8 + 16)
#define STORE_ORDER_LIVE 0
#define STORE_ORDER_TOMBSTONE 1
#define STORE_ORDER_QUARANTINED 2
struct span store_order_key(uint32_t nc, uint64_t usn, const struct uuid *u,
			    uint8_t key[static STORE_ORDER_KEY_BYTES]);

/* Keys. */
#define STORE_TREE_KEY_MAX 511
size_t store_tree_key(uint64_t parent, struct span rdn_normal,
		      uint8_t key[static STORE_TREE_KEY_MAX]);
size_t store_index_key(uint32_t attr, struct span value, uint8_t key[static STORE_KEY_MAX_BYTES]);

/* Ranges of the value index: where one starts, and whether a key lies in it. */
size_t store_range_start(const struct index_range *r, uint8_t key[static STORE_KEY_MAX_BYTES]);
bool store_range_has(const struct index_range *r, struct span key);

/* Ranges of kind INDEX_NAMED (store_named.c): the place in the values of one attribute. */
struct store_named {
	uint64_t eid; /* whose values; 0: not begun */
	uint64_t usn; /* of the record that `row` and `offset` are about */
	unsigned row; /* attribute, counted as entry_find() does */
	size_t offset;
	struct entry_place apart; /* of values that are stored apart, instead of `offset` */
};
/** The next entry that is named; names of none are passed over. RC_DONE. When the record has
 * changed since, it begins anew. */
int store_named_next(struct store_txn *t, const struct index_range *r, struct store_named *at,
		     uint64_t *eid_out) WARN_UNUSED;
uint64_t store_named_count(struct store_txn *t, const struct index_range *r, uint64_t limit);
