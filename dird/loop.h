/*
 * One libuv loop on a thread of its own, with a mailbox: other threads hand it calls.
 */
#pragma once

#include "lib/rc.h"

#include <stdbool.h>

#include <uv.h>

struct loop;

/** Start a loop's thread. `name` is for the log and the debugger. */
int loop_start(const char *name, struct loop **out) WARN_UNUSED;

/** The libuv loop inside; only for code that runs on this loop's thread. */
uv_loop_t *loop_uv(struct loop *l);

/** fn(arg) runs on the loop's thread, in the order of posting. From any thread. */
int loop_post(struct loop *l, void (*fn)(void *arg), void *arg) WARN_UNUSED;

/** Does the caller run on this loop's thread? */
bool loop_is_mine(const struct loop *l);

/**
 * One more (+1) or one less (-1) on the calling loop's thread wants to know of commits. Whoever has
 * said so and then reads misses none. On other threads nothing.
 */
void loop_listen(int by);
/** Does anybody? From any thread. */
bool loop_listens(const struct loop *l);

/** End the thread when its last handle is closed (close your handles first, on the loop), and free
 * it. */
void loop_stop(struct loop **l);
