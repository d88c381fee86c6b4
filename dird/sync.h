/*
 * Content synchronization, provider side (RFC 4533): sites, routed and OpenLDAP consumers alike.
 *
 * A search with the Sync Request control becomes a sync session. It reads the change order of each
 * naming context in slices, from the cookie's position to the newest, each slice from a fresh
 * snapshot; a session that persists then sleeps until a commit wakes it. A slow consumer costs a
 * saved position, nothing else.
 */
#pragma once

#include "dird/op.h"

#define SYNC_OID_REQUEST "1.3.6.1.4.1.4203.1.9.1.1"
#define SYNC_OID_STATE "1.3.6.1.4.1.4203.1.9.1.2"
#define SYNC_OID_DONE "1.3.6.1.4.1.4203.1.9.1.3"
#define SYNC_OID_INFO "1.3.6.1.4.1.4203.1.9.1.4"

enum sync_mode { SYNC_REFRESH_ONLY = 1, SYNC_REFRESH_AND_PERSIST = 3 };
enum sync_state { SYNC_PRESENT = 0, SYNC_ADD = 1, SYNC_MODIFY = 2, SYNC_DELETE = 3 };

/** Take over a search operation that carries the Sync Request control. Called by op_search(). */
void sync_start(struct op *op, const struct msg_control *request);

/** A commit happened: wake this loop's sessions. Runs on the loop's thread. */
void sync_wake(struct loop *l);

/* Control values, shared with the consumer. */
int sync_request_read(struct span value, enum sync_mode *mode, struct span *cookie,
		      bool *reload_hint) WARN_UNUSED;
void sync_request_write(struct buf *out, enum sync_mode mode, struct span cookie, bool reload_hint);
