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
#include "dird/sync_ctl.h"

/** Take over a search operation that carries the Sync Request control. Called by op_search(). */
void sync_start(struct op *op, const struct msg_control *request);

/** There is something to tell partners: wake the sessions of all loops. From any thread. */
void sync_wake_all(struct server *s);

/** A commit happened: wake this loop's sessions. Runs on the loop's thread. */
void sync_wake(struct loop *l);
