/*
 * The control socket: one request line in, text out until end of file.
 *
 * A local socket that only its owner may use (mode 0600). The handler runs on the loop.
 */
#pragma once

#include "lib/buf.h"

#include <uv.h>

#define CTL_LINE_MAX_BYTES 12288
#define CTL_FDS_MAX 32
#define CTL_REPLY_MAX_BYTES ((size_t)256 * 1024 * 1024)

struct ctl;

/** Append the reply to a request line (without its line end). */
typedef void ctl_handler(void *arg, struct span line, struct buf *reply);

/** Listen at `path`; a stale socket file is replaced. RC_NOMEM, RC_IO, RC_INVALID. */
int ctl_new(uv_loop_t *loop, const char *path, ctl_handler *handler, void *arg,
	    struct ctl **out) WARN_UNUSED;

/** From the handler: descriptors that go with its reply (SCM_RIGHTS); borrowed until it is sent. */
void ctl_send_fds(struct ctl *c, const int *fds, unsigned n);

/** Close everything, then call on_closed. */
void ctl_close(struct ctl **c, void (*on_closed)(void *arg), void *arg);
