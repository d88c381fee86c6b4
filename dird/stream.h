/*
 * One byte stream on a loop: TCP or local socket, accepted or connected, with or without TLS.
 *
 * The owner gets plain bytes and a call when the send queue has drained. All calls on the loop's
 * thread. A stream is freed by itself behind on_close(), which comes exactly once and never from
 * inside a call of the owner, also after stream_close().
 *
 *   owner --stream_write()--> plain --tls--> wire --once a loop turn--> socket
 */
#pragma once

#include "dird/loop.h"
#include "dird/tls.h"
#include "lib/span.h"

struct stream;

struct stream_callbacks {
	/** Connected and, with TLS, shaken hands. Not for accepted plain streams. */
	void (*on_ready)(void *ctx);
	/** Bytes came; what is not consumed (return value: bytes taken) is given again with more
	 * behind it. */
	size_t (*on_read)(void *ctx, struct span bytes);
	/** The send queue fell below the low mark after it had been above the high mark. */
	void (*on_drain)(void *ctx);
	/** The end; rc says why (RC_CLOSED: orderly), text is for the log. */
	void (*on_close)(void *ctx, int rc, const char *text);
};

#define STREAM_HIGH_BYTES (256 * 1024)
#define STREAM_LOW_BYTES (64 * 1024)
#define STREAM_IN_MAX_BYTES (17u * 1024 * 1024) /* received and not yet consumed */
#define STREAM_OUT_MAX_BYTES (64u * 1024 * 1024)
#define STREAM_HANDSHAKE_MS 10000 /* connecting and TLS together */
#define STREAM_LINGER_MS 1500     /* what a closing stream waits for its last bytes to leave */

/**
 * Take over a connected socket. tls NULL: plain. is_local: a local (AF_UNIX) socket.
 * The descriptor is closed also when an error is returned; then no callback comes.
 */
int stream_accept(struct loop *l, int fd, bool is_local, struct tls_context *tls,
		  const struct stream_callbacks *cb, void *ctx, struct stream **out) WARN_UNUSED;

/**
 * Connect to the first address of `host` that answers. With tls the handshake must show one of the
 * pins. on_ready() or on_close() comes later.
 */
int stream_connect(struct loop *l, const char *host, unsigned port, struct tls_context *tls,
		   const uint8_t (*pins)[TLS_PIN_BYTES], unsigned npins,
		   const struct stream_callbacks *cb, void *ctx, struct stream **out) WARN_UNUSED;

/**
 * StartTLS on an accepted stream: what was written before goes out in clear, what comes from now on
 * is TLS. The caller sees to it that no byte received so far is left over (RC_INVALID if there is).
 */
int stream_start_tls(struct stream *s, struct tls_context *tls) WARN_UNUSED;

/** Queue bytes (copied); sent together at the end of the loop turn. */
int stream_write(struct stream *s, struct span bytes) WARN_UNUSED;
/** Queue several pieces (copied) as one. */
int stream_writev(struct stream *s, const struct span *pieces, unsigned n) WARN_UNUSED;

/** Is the send queue above the high mark? Then stop producing until on_drain(). */
bool stream_is_full(const struct stream *s);
size_t stream_queued_bytes(const struct stream *s);
/** Bytes that the other side's system has taken so far, of what was sent. */
uint64_t stream_sent_bytes(const struct stream *s);

/** Stop and go on reading: back-pressure on requests. on_read() comes in a later turn. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);

/** Close when what has queued is sent, at the latest after STREAM_LINGER_MS. */
void stream_close(struct stream *s);
/** Close now; rc and a static text for on_close(). */
void stream_abort(struct stream *s, int rc, const char *text);

bool stream_is_tls(const struct stream *s);
bool stream_is_local(const struct stream *s);
/** Is the peer on this machine: a local socket or a loopback address? */
bool stream_is_loopback(const struct stream *s);
/** Peer's certificate; zeroed without TLS. */
void stream_tls_peer(const struct stream *s, struct tls_peer *out);
/** uid and gid at the other end of a local socket; false elsewhere. */
bool stream_peer_cred(const struct stream *s, uint32_t *uid_out, uint32_t *gid_out);
/** "ip=127.0.0.1:41234" or "local", for the log. */
const char *stream_peer_text(const struct stream *s);
