/*
 * The database of one site on LMDB. The store*.c files are the only ones that know LMDB.
 *
 *   entry   entry number              -> record (entry.h)
 *   tree    parent number, RDN        -> entry number      (a rename moves one row)
 *   uuid    entryUUID                 -> entry number
 *   index   type hash, normal value   -> entry numbers     (equality, prefix, range, presence)
 *   gram    type hash, block          -> which entries contain which three bytes (parts of values)
 *   fresh   entry number              -> values that are not in gram yet
 *   value   entry number, list, hash  -> a value that is stored apart from its entry's record
 *   order   NC number, usn, entryUUID -> live entry or tombstone, one row each (change order)
 *   nc      NC number                 -> id, position, own or foreign, tombstone floor
 *   limbo   parent's entryUUID        -> entries whose parent has not come yet
 *   quarantine  NC number, entryUUID  -> usn of a change that can not be applied here
 *   meta    format version, counters
 *
 * One write transaction at a time, on the writer's thread. Read transactions belong to one thread
 * and are short: a search pauses its iterator and ends the transaction before it waits for a
 * client. Inside a write transaction the first error sticks: later puts do nothing and the commit
 * reports it. Numbers are big-endian in keys. docs/storage-format.md has the byte layout.
 */
#pragma once

#include "dird/entry.h"
#include "dird/plan.h"
#include "dird/position.h"

#define STORE_KEY_MAX_BYTES                                                                        \
	500 /* longer index values are cut, longer RDN keys hashed; both are verified */

struct store;
struct store_txn;

struct store_options {
	size_t map_bytes; /* first map size; it grows by itself. 0: a default */
	bool read_only;
	unsigned max_readers; /* 0: a default */
};

/**
 * Open or create the database in `folder` (which must exist). Takes the lock that keeps a second
 * dird or a second writer out. Errors   RC_BUSY: another process has it (read_only is allowed
 * beside it); RC_CORRUPT, RC_UNSUPPORTED (format of another version); RC_IO, RC_FULL, RC_DENIED,
 * RC_NOMEM. `why` gets a sentence.
 */
int store_open(const char *folder, const struct store_options *opt, struct store **out,
	       struct buf *why) WARN_UNUSED;
void store_close(struct store **s);

/**
 * Was the database closed in good order the last time? From now on it is not, until
 * store_mark_stopped(): a copy that is made while a program writes to it tells so, too. RC_FULL,
 * RC_IO: it could not be noted, *out is false.
 */
int store_take_stopped(struct store *s, bool *out) WARN_UNUSED;
/** Nothing more will be written. */
int store_mark_stopped(struct store *s) WARN_UNUSED;

/**
 * Write a compacted snapshot as the database of another folder (which must exist and hold none).
 * Readers and the writer go on meanwhile.
 */
int store_copy(struct store *s, const char *folder) WARN_UNUSED;

/* --- transactions --- */

/** A snapshot; as many as there are threads may be open, each used by one thread. */
int store_read_begin(struct store *s, struct store_txn **out) WARN_UNUSED;
void store_read_end(struct store_txn **t);

/** The one write transaction, for the writer thread alone. */
int store_write_begin(struct store *s, struct store_txn **out) WARN_UNUSED;
/** RC_OK: durable. Else nothing was written: RC_MORE, the map was too small and has been grown, so
 * do it again; RC_FULL, the disk is full; RC_IO, the disk failed and can not be trusted any more.
 */
int store_write_commit(struct store_txn **t) WARN_UNUSED;
void store_write_abort(struct store_txn **t);
/** Count one more start of the process that writes; *out is its number even when RC_FULL. */
int store_count_start(struct store *s, uint32_t *out) WARN_UNUSED;
/** The error that sticks, RC_OK if none. */
int store_error(const struct store_txn *t);

/* --- entries and tree --- */

/** The record lies in the map until the transaction ends (in a write transaction: until the next
 * put). */
int store_entry(struct store_txn *t, uint64_t eid, struct entry *out) WARN_UNUSED;
/** Let a record of this entry that was opened elsewhere, a copy say, read its values that are
 * stored apart in this transaction. */
void store_attach(struct store_txn *t, uint64_t eid, struct entry *e);
int store_by_uuid(struct store_txn *t, const struct uuid *u, uint64_t *eid_out) WARN_UNUSED;

/** The root entry of the organisation; RC_NOTFOUND while there is none. */
int store_root(struct store_txn *t, uint64_t *eid_out) WARN_UNUSED;
/** Child of `parent` with this normalized RDN. */
int store_child(struct store_txn *t, uint64_t parent, struct span rdn_normal,
		uint64_t *eid_out) WARN_UNUSED;

/**
 * Find a DN, given whole, with the root's own RDNs.
 * Returns  RC_OK; RC_NOTFOUND with *eid_out = deepest existing ancestor (0: not even the root) and
 *          *depth_out = how many RDNs of the whole DN exist from the root's side.
 */
struct dn;
int store_find(struct store_txn *t, const struct dn *dn, uint64_t *eid_out,
	       unsigned *depth_out) WARN_UNUSED;

/** Append the DN of an entry as RFC 4514 text, or its normal form. RC_NOTFOUND: it is, or is below,
 * an entry that waits for its parent (limbo), and no reader may see it. */
int store_dn(struct store_txn *t, uint64_t eid, struct buf *out) WARN_UNUSED;
int store_dn_normal(struct store_txn *t, uint64_t eid, struct buf *out) WARN_UNUSED;

/** The first for an entry that is at hand. */
int store_entry_dn(struct store_txn *t, uint64_t eid, const struct entry *e,
		   struct buf *out) WARN_UNUSED;

/** Is `eid` equal to or below `base`? Candidates of store_ranges() and store_by_uuid() are checked
 * with it even when base is the root: an entry in limbo is within nothing. */
bool store_is_within(struct store_txn *t, uint64_t eid, uint64_t base);
bool store_entry_is_within(struct store_txn *t, uint64_t eid, const struct entry *e, uint64_t base);
bool store_has_children(struct store_txn *t, uint64_t eid);
uint64_t store_child_count(struct store_txn *t, uint64_t eid, uint64_t limit);
uint64_t store_entry_count(struct store_txn *t);
/** Entries made behind this snapshot have this number or a higher one. */
uint64_t store_next_eid(struct store_txn *t);

/* --- iterators: candidates of a search, slice by slice --- */

enum store_scope {
	STORE_BASE,
	STORE_ONE,
	STORE_SUB,
	STORE_CHILDREN /* subtree without its base */
};

struct store_iter;

/** Walk a scope in tree order. */
int store_walk(struct store_txn *t, uint64_t base, enum store_scope scope,
	       struct store_iter **out) WARN_UNUSED;
/**
 * Every entry there was at the beginning, also such as wait for a parent, by number: as they lie on
 * the disk, which is much cheaper than a walk where most of them are wanted.
 */
int store_every(struct store_txn *t, struct store_iter **out) WARN_UNUSED;
/**
 * The union of index ranges, in the order of the ranges; an entry number may come several times.
 * Where a range asks for a part of keys, a few that do not contain it come, too.
 */
int store_ranges(struct store_txn *t, const struct index_range *ranges, unsigned n,
		 struct store_iter **out) WARN_UNUSED;
/** RC_OK and the next entry number; RC_DONE. */
int store_iter_next(struct store_iter *i, uint64_t *eid_out) WARN_UNUSED;
/** The entry whose number was given last; what store_entry() does, but a walk has it at hand. */
int store_iter_entry(struct store_iter *i, uint64_t eid, struct entry *out) WARN_UNUSED;
/** Keep the place without the transaction; then resume in another one. Entries added or removed
 * meanwhile are seen or not. */
int store_iter_pause(struct store_iter *i) WARN_UNUSED;
int store_iter_resume(struct store_iter *i, struct store_txn *t) WARN_UNUSED;
void store_iter_free(struct store_iter **i);

/** Has any entry this normal value of an indexed type? Remembered for each snapshot: asked by every
 * search, for classes and marks that few databases have. */
bool store_value_exists(struct store_txn *t, uint32_t attr, struct span value);

/** For plan_stats: entries in a range, counted up to limit. ctx is the struct store_txn. */
uint64_t store_range_count(void *ctx, const struct index_range *r, uint64_t limit);

/** Has the entry a row of the value index with this value (normalized, cut where it is long)? */
bool store_has_index(struct store_txn *t, uint32_t attr, struct span value, uint64_t eid);
/** The entry behind `after` in the row of one value; start with 0. RC_DONE. */
int store_index_next(struct store_txn *t, uint32_t attr, struct span value, uint64_t after,
		     uint64_t *eid_out) WARN_UNUSED;

/* --- naming contexts and change order --- */

struct store_nc {
	uint32_t number; /* of this database, >= 1 */
	struct position position;
	bool is_own;        /* written here */
	bool is_recovering; /* own, but put back to an older state: nothing is written or told
			       until partners have given back what they know */
	uint64_t
		common; /* while recovering: rows up to here are known to everybody who was heard */
	uint64_t floor; /* highest usn whose tombstone was collected */
	unsigned npast;
	struct position past[POSITION_PAST_MAX]; /* former lives, as far as this one has them */
	uint64_t head; /* entry number of the head; 0 for the local context or while missing */
};

/** Contexts in number order; start with *number = 0. RC_DONE at the end. */
int store_nc_next(struct store_txn *t, uint32_t *number, struct store_nc *out) WARN_UNUSED;
int store_nc_find(struct store_txn *t, const struct uuid *id, struct store_nc *out) WARN_UNUSED;

/** A context whose site was removed: no row tells of it any more, but what was in it still goes. */
struct store_leaving {
	uint32_t number;
	struct uuid id;
};
/** In number order; start with at->number = 0. RC_DONE at the end. */
int store_leaving_next(struct store_txn *t, struct store_leaving *at) WARN_UNUSED;
/** RC_NOTFOUND: that context is not leaving. */
int store_leaving_find(struct store_txn *t, const struct uuid *id,
		       struct store_leaving *out) WARN_UNUSED;

/** Is it written here, and known to other sites? (The local context is not.) */
bool store_nc_is_home(const struct store_nc *nc);

/** Its position and the past ones, as lives (position.h), in `room`. */
struct vector store_nc_lives(const struct store_nc *nc,
			     struct position room[static 1 + POSITION_PAST_MAX]);

/** One row of the change order. */
struct store_change {
	uint64_t usn;
	bool is_tombstone;
	bool is_quarantined;
	uint64_t eid; /* live */
	struct uuid uuid;
	uint32_t epoch;          /* tombstone: of its stamp */
	struct span old_dn;      /* tombstone: the DN it had, as text; in the map */
	struct span quarantined; /* for store_quarantined_read(); in the map */
};

/**
 * The first row of the context with usn > after and <= upto. RC_DONE if there is none. Rows come in
 * usn order; a reader keeps only the last usn between slices.
 */
int store_change_next(struct store_txn *t, uint32_t nc, uint64_t after, uint64_t upto,
		      struct store_change *out) WARN_UNUSED;
/** Another row with the usn of *row, behind it (a change of a former life, say). RC_DONE. */
int store_change_twin(struct store_txn *t, uint32_t nc, struct store_change *row) WARN_UNUSED;
/** Look for a tombstone; RC_NOTFOUND. */
int store_tombstone(struct store_txn *t, const struct uuid *u, struct stamp *out) WARN_UNUSED;

/**
 * Up to `max` tombstones that came here before that time, of max_rows looked at behind *at, which
 * moves on; start with a zero uuid. RC_OK: there may be more; RC_DONE: that was all.
 */
int store_tombstones_before(struct store_txn *t, int64_t before_us, unsigned max_rows,
			    struct uuid *at, struct uuid *out, unsigned max,
			    unsigned *n) WARN_UNUSED;

/* --- quarantine: replicated changes that can not be applied here --- */

struct store_quarantined {
	bool is_removal;
	int64_t since_us;    /* wall clock */
	struct uuid awaited; /* a change of this entry may help; zero: none does */
	struct span reason;
	struct entry e; /* uuid, parent_uuid, stamp, rdn as it came (of a removal: the old DN),
			   attributes */
};

/** The change in a row of the change order; points into it. RC_CORRUPT. */
int store_quarantined_read(struct span row, struct store_quarantined *out) WARN_UNUSED;
/** The change of entry `u` in context number `nc`, in the map; RC_NOTFOUND. */
int store_quarantined(struct store_txn *t, uint32_t nc, const struct uuid *u,
		      struct store_quarantined *out) WARN_UNUSED;
/** All of them; start with 0 and a zero uuid. RC_DONE at the end. */
int store_quarantine_next(struct store_txn *t, uint32_t *nc, struct uuid *u,
			  struct store_quarantined *out) WARN_UNUSED;
uint64_t store_quarantine_count(struct store_txn *t);

/* --- figures --- */

struct store_stat {
	uint64_t entries, tombstones, index_rows, limbo, quarantined;
	uint64_t leaving; /* contexts of removed sites */
	uint64_t map_bytes, used_bytes;
};
/** Sizes for people; counts what the snapshot holds. */
int store_stat(struct store_txn *t, struct store_stat *out) WARN_UNUSED;
