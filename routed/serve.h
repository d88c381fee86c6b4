/*
 * The sockets of mail servers: they ask, one table answers.
 *
 *   socketmap: bytes ─► netstring ─► "map key" ─► lookup (transport) or gal (recipient) ─►
 * netstring policy:    lines ─► policy (by sender and recipient) ─► "action=…" Exim:      line ─►
 * oneshot ─► line, then the connection ends
 *
 * Replies keep the order of the requests of a connection, also of pipelined ones: a recipient that
 * the directory has to be asked for holds back what follows on that connection, and only that.
 */
#pragma once

#include "lib/buf.h"
#include "routed/gal.h"
#include "routed/latency.h"
#include "routed/table.h"

#include <uv.h>

enum serve_protocol {
	SERVE_SOCKETMAP, /* socketmap_table(5) */
	SERVE_POLICY,    /* SMTPD_POLICY_README */
	SERVE_EXIM,      /* oneshot.h */
};

/** What a request is answered from; called on the loop. */
struct serve_source {
	const struct table *(*table)(void *arg); /* NULL: none was ever complete */
	/* a recipient; as gal_lookup(), without RC_FULL */
	int (*recipient)(void *arg, struct span key, struct gal_request *r, struct buf *reply);
	void *arg;
	bool null_sender_is_system;
};

struct serve_stats {
	unsigned connections;
	unsigned long requests, ok, notfound, temp, perm, broken;
	struct latency latency; /* from a request's last byte to its answer */
};

/** Who may connect (S18). */
struct serve_access {
	unsigned mode; /* of unix sockets */
	long gid;      /* their group; -1: the daemon's own */
	bool remote;   /* addresses other than the loopback are allowed */
};

struct serve;

int serve_new(uv_loop_t *loop, const struct serve_source *source, const struct serve_access *access,
	      struct serve **out) WARN_UNUSED;

#define SERVE_WHY_BYTES 200

/**
 * Listen with one protocol on "unix:/path" (a stale socket file is replaced) or "inet:host:port".
 * `fd` is a socket that is bound there already, or -1 to bind one; it is the server's then.
 * Returns  RC_OK; RC_INVALID, RC_BUSY, RC_DENIED, RC_IO with a text in `why`.
 */
int serve_listen(struct serve *s, enum serve_protocol protocol, const char *address, int fd,
		 char why[static SERVE_WHY_BYTES]) WARN_UNUSED;

/** The listening sockets, borrowed; how many. */
unsigned serve_listeners(const struct serve *s, int *fds, unsigned max);

/**
 * Somebody else has the listening sockets now: accept no more, answer what was asked, and call
 * on_left when the last connection is gone. Idle connections are closed; clients come again.
 */
void serve_leave(struct serve *s, void (*on_left)(void *arg), void *arg);

/** Close listeners and connections, then call on_closed. */
void serve_close(struct serve **s, void (*on_closed)(void *arg), void *arg);

void serve_get_stats(const struct serve *s, struct serve_stats *out);
