/*
 * The client connections of one loop: framing, order of operations, limits, idle time, the end.
 *
 * A request is decoded as soon as its frame is whole and started at once; answers go out in any
 * order. Requests behind a bind or StartTLS wait until that is done (and run as the new identity).
 * With too many operations outstanding, or too many bytes waiting for the client, reading stops:
 * what a client costs is bounded by CONN_MAX_OPS requests and STREAM_HIGH_BYTES of answers, or one
 * entry; what all of a loop cost with long entries by CONN_WAITING_MAX_BYTES.
 *
 * Everything here runs on the loop's thread.
 */
#pragma once

#include "dird/op.h"
#include "dird/server.h"
#include "dird/stream.h"

#define CONN_MAX_OPS 128
#define CONN_PDU_ANONYMOUS_BYTES (1024 * 1024)
#define CONN_PDU_BOUND_BYTES (16 * 1024 * 1024)
/* Long is what one entry may be; all of a loop's clients may have so much waiting before another
 * long one is refused. Above half of it, a client has so long to take some of a long one. */
#define CONN_LONG_BYTES (1024 * 1024)
#define CONN_WAITING_MAX_BYTES (128 * 1024 * 1024)
#define CONN_CROWDED_MS 10000

struct conn_set; /* all connections of one loop */
struct op_paged;

struct conn {
	struct conn_set *set;
	struct server *server;
	struct stream *stream; /* NULL once it has ended; operations may outlive it */
	uint64_t id;
	struct identity identity;
	uint64_t checked_commit; /* the identity was good then: op_session_check() */
	struct op *ops;          /* outstanding, newest first */
	unsigned nops;
	bool is_exclusive; /* a bind or StartTLS runs: nothing else is started */
	bool waits_quiet;  /* a bind waits for what runs */
	bool is_closing;   /* no further request is taken */
	bool is_paused;
	bool has_notice;     /* a notice of disconnection was sent */
	size_t unread_bytes; /* behind the request that is being started, in the same delivery */
	uint64_t active_ms;
	uint64_t partial_ms;          /* since then a request has begun and is not whole; 0: none */
	uint64_t sent_bytes, sent_ms; /* when the client was last seen to read */
	struct peer from;
	struct op_txn *txn;     /* RFC 5805; NULL: none is open */
	struct op_paged *paged; /* paged searches between two pages, newest first */
	struct conn *next, *prev;
};

int conn_set_new(struct server *s, struct loop *l, struct conn_set **out) WARN_UNUSED;
/** Take over a connected socket, which is counted among its peers. */
void conn_set_accept(struct conn_set *set, int fd, const struct peer *from, bool is_local,
		     bool is_tls);
/** Append a notice of disconnection (RFC 4511 §4.4.1). */
void conn_write_notice(struct buf *out, enum ldap_result code, const char *text);
/**
 * Let what runs come to its end, tell every client, close. on_stopped() runs on the loop's thread
 * when the last connection is gone and the set is freed; at the latest after about 2 seconds.
 */
void conn_set_stop(struct conn_set *set, void (*on_stopped)(void *ctx), void *ctx);

/** For this connection's operations: an empty buffer, valid until control returns to the loop. */
struct buf *conn_scratch(struct conn *c);
struct loop *conn_loop(const struct conn *c);
/** May an answer of n bytes wait for this client? Long ones only while there is room for them. */
bool conn_may_wait(const struct conn *c, size_t n);
/** The identity from now on; takes over `id`'s memory and leaves it anonymous. */
void conn_set_identity(struct conn *c, struct identity *id);
/** Anonymous from now on, as with the arrival of any bind request (RFC 4511 §4.2.1). */
void conn_set_nobody(struct conn *c);
/** The operation that made the connection exclusive is done: take further requests. */
void conn_end_exclusive(struct conn *c);
/** Tell the client why (RFC 4511 §4.4.1) and close. */
void conn_disconnect(struct conn *c, enum ldap_result code, const char *text);
/** Close without a word, as after an unbind. */
void conn_close(struct conn *c);

/* For op.c: the list of outstanding operations, and those that wait for their next turn. */
void conn_link(struct conn *c, struct op *op);
void conn_unlink(struct conn *c, struct op *op);
void conn_make_ready(struct conn *c, struct op *op);
