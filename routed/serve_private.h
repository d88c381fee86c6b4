/*
 * What the parts of the mail servers' sockets share: serve.c (connections), serve_listen.c
 * (listeners), serve_answer.c (requests of each protocol).
 */
#pragma once

#include "lib/arena.h"
#include "routed/netstring.h"
#include "routed/policy.h"
#include "routed/serve.h"

union stream {
	uv_handle_t handle;
	uv_stream_t stream;
	uv_pipe_t pipe;
	uv_tcp_t tcp;
};

struct listener {
	union stream io;
	struct serve *serve;
	enum serve_protocol protocol;
	char *path; /* of a unix socket, unlinked at the end */
	struct listener *next;
};

struct conn {
	union stream io;
	struct serve *serve;
	enum serve_protocol protocol;
	struct policy_message message; /* of SERVE_POLICY */
	struct gal_request request;
	uv_write_t write;
	bool waiting; /* for the directory */
	bool writing; /* the peer is slow: nothing is read until it took what there is */
	bool reading;
	bool closing;
	bool last;         /* the answer has been given, and it was the only one */
	uint64_t asked_ns; /* when the last request could have been answered at the earliest */
	uint8_t *in;       /* IN_BYTES */
	size_t in_n;
	struct buf out;
	struct conn *prev, *next;
};

struct serve {
	uv_loop_t *loop;
	struct serve_source source;
	struct serve_access access;
	struct listener *listeners;
	struct conn *conns;
	struct buf scratch; /* folded key */
	struct buf reply;   /* of one request */
	struct buf home;    /* reply of the recipient map, for another protocol */
	struct serve_stats stats;
	unsigned handles; /* open ones */
	bool closing;
	void (*on_left)(void *arg); /* NULL: not leaving */
	void *left_arg;
	void (*on_closed)(void *arg);
	void *closed_arg;
};

/* serve.c */

/** Begin a connection on this listener. */
void serve_on_connection(uv_stream_t *server, int status);

/** Is the last handle gone? Then so is the server. */
void serve_on_listener_closed(uv_handle_t *handle);

/* serve_listen.c */

int serve_stream_init(uv_loop_t *loop, bool tcp, union stream *io) WARN_UNUSED;

/* serve_answer.c */

/** The request at the start of what came. RC_OK; RC_MORE; anything else: it is none. */
int serve_read(enum serve_protocol protocol, struct span in, struct span *request,
	       size_t *used) WARN_UNUSED;

/** Answer one request into c->out; RC_MORE: later, by c->request.on_reply. */
int serve_answer(struct conn *c, struct span request) WARN_UNUSED;

/** The reply of the `recipient` map came: make it the protocol's. */
void serve_answer_recipient(struct conn *c, struct span reply);
