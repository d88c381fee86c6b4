/*
 * Listening sockets that were open before this process: a restart loses no look-up (M15).
 *
 * They come from the service manager (sd_listen_fds(3): LISTEN_PID, LISTEN_FDS), or from the
 * running routed over its control socket (SCM_RIGHTS). Whoever connects meanwhile waits in their
 * backlog.
 */
#pragma once

#include "lib/rc.h"

#define INHERIT_MAX 32

struct inherit {
	int fds[INHERIT_MAX]; /* -1: taken */
	unsigned n;
};

/** Take over what the service manager passed, and clear its variables. Before any other thread. */
void inherit_environment(struct inherit *h);

/**
 * Ask the routed behind this control socket for its listening sockets. From then on it accepts
 * nothing, answers what it has begun, and ends.
 * Returns  RC_OK; RC_NOTFOUND: nobody listens there; RC_DENIED, RC_TIMEOUT, RC_IO; RC_UNSUPPORTED:
 * it does not know the request.
 */
int inherit_ask(struct inherit *h, const char *control_path) WARN_UNUSED;

/** The socket that is bound to "unix:/path" or "inet:host:port", now the caller's; -1: none is. */
int inherit_take(struct inherit *h, const char *address);

/** Close what nobody took; returns how many. */
unsigned inherit_close(struct inherit *h);
