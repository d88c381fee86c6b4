/*
 * Values of the content synchronization controls and messages (RFC 4533 §2), read and written.
 *
 * Used by the provider (sync.c) and the consumer (repl_batch.c). Pure: no I/O. Spans that a reader
 * hands out point into what it read. Reading is strict: a wrong tag, a missing or additional
 * element, a UUID that is not 16 bytes or an unknown number is RC_INVALID.
 */
#pragma once

#include "dird/entry.h"

#define SYNC_OID_REQUEST "1.3.6.1.4.1.4203.1.9.1.1"
#define SYNC_OID_STATE "1.3.6.1.4.1.4203.1.9.1.2"
#define SYNC_OID_DONE "1.3.6.1.4.1.4203.1.9.1.3"
#define SYNC_OID_INFO "1.3.6.1.4.1.4203.1.9.1.4"

enum sync_mode { SYNC_REFRESH_ONLY = 1, SYNC_REFRESH_AND_PERSIST = 3 };
enum sync_state { SYNC_PRESENT = 0, SYNC_ADD = 1, SYNC_MODIFY = 2, SYNC_DELETE = 3 };

/** A cookie with .p NULL is absent; an empty one is present. */
struct sync_request {
	enum sync_mode mode;
	struct span cookie;
	bool reload_hint;
};

/** Sync State control of one entry (§2.3). */
struct sync_entry_state {
	enum sync_state state;
	struct uuid uuid;
	struct span cookie;
};

/** Sync Done control (§2.4). */
struct sync_done {
	struct span cookie;
	bool refresh_deletes;
};

/** Sync Info message (§2.5). */
struct sync_info {
	enum sync_info_kind {
		SYNC_INFO_NEW_COOKIE = 0,
		SYNC_INFO_REFRESH_DELETE = 1,
		SYNC_INFO_REFRESH_PRESENT = 2,
		SYNC_INFO_ID_SET = 3,
	} kind;
	struct span cookie;
	bool refresh_done;    /* REFRESH_DELETE, REFRESH_PRESENT */
	bool refresh_deletes; /* ID_SET */
	struct span uuids;    /* ID_SET: contents of the SET, checked; see sync_uuid_next() */
};

/** Read the Sync Request control's value (§2.2). */
int sync_request_read(struct span value, struct sync_request *out) WARN_UNUSED;
/** Append a Sync Request control's value. */
void sync_request_write(struct buf *out, const struct sync_request *r);

/** Read a Sync State control's value (§2.3). */
int sync_entry_state_read(struct span value, struct sync_entry_state *out) WARN_UNUSED;
/** Append a Sync State control's value. */
void sync_entry_state_write(struct buf *out, const struct sync_entry_state *s);

/** Read a Sync Done control's value (§2.4). */
int sync_done_read(struct span value, struct sync_done *out) WARN_UNUSED;
/** Append a Sync Done control's value. */
void sync_done_write(struct buf *out, const struct sync_done *d);

/** Read a Sync Info message's value (§2.5). */
int sync_info_read(struct span value, struct sync_info *out) WARN_UNUSED;
/**
 * Append a Sync Info message's value. For ID_SET the set holds `n` UUIDs from `uuids`;
 * `info->uuids` is not looked at.
 */
void sync_info_write(struct buf *out, const struct sync_info *info, const struct uuid *uuids,
		     size_t n);

/** The next UUID of an ID_SET's `uuids`; false at the end. */
bool sync_uuid_next(struct span *rest, struct uuid *out);
