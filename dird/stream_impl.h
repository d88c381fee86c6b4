/* What stream.c, stream_tls.c and stream_connect.c share: the stream itself. */
#pragma once

#include "dird/stream.h"

enum stream_state {
	STREAM_RESOLVING,
	STREAM_CONNECTING,
	STREAM_OPEN,
	STREAM_LINGERING, /* only sends what has queued */
	STREAM_ENDED,     /* handles are closing */
};

struct stream {
	struct loop *loop;
	const struct stream_callbacks *cb;
	void *ctx;
	enum stream_state state;
	bool is_local;
	bool is_loopback;
	bool is_paused;
	bool is_reading;
	bool is_delivering; /* inside on_read() */
	bool was_full;
	bool is_sending;
	bool is_announced; /* on_ready() was called or is not due */
	bool is_reopening; /* the handle is being closed for another attempt */

	struct tls *tls;
	struct shake *shake; /* a step of the handshake that is on the pool; tls belongs to it */
	struct buf in;       /* plain bytes not yet consumed */
	struct buf plain;    /* to be encrypted; unused without TLS */
	struct buf wire;     /* to be sent */
	struct buf sending;  /* belongs to the write request */
	uint64_t sent;       /* before that */

	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} h;
	uv_prepare_t flush;
	uv_timer_t timer;
	unsigned open_handles;
	uv_write_t write;

	/* connecting */
	struct connecting {
		uv_getaddrinfo_t resolve;
		uv_connect_t connect;
		struct addrinfo *addresses, *next;
		struct tls_context *tls;
		char *host;
		uint8_t (*pins)[TLS_PIN_BYTES];
		unsigned npins;
		bool is_resolving;
	} * connecting;

	int end_rc;
	char end_text[192];
	char peer[64];
};

/** Memory and callbacks; nothing is open yet. */
int stream_new(struct loop *l, const struct stream_callbacks *cb, void *ctx, bool is_local,
	       struct stream **out) WARN_UNUSED;
/** Undo stream_new() without a call of the owner. */
void stream_discard(struct stream *s);
/** The end, told to the owner once every handle is closed. */
void stream_end(struct stream *s, int rc, const char *text);
void stream_end_uv(struct stream *s, int err);
/** A handle, or what can not always be cancelled, the resolver or a shake, has ended. */
void stream_part_closed(struct stream *s);
/** End with a timeout unless the timer is stopped before. */
void stream_limit(struct stream *s, uint64_t ms);
/** on_ready(), once. */
void stream_announce(struct stream *s);
/** Give bytes to the owner. Those it leaves wait in s->in. */
void stream_deliver(struct stream *s, struct span bytes);
/** Send what has queued, now or in this turn of the loop. */
void stream_flush(struct stream *s);
void stream_flush_soon(struct stream *s);
/** Read from the socket or not, as state and pause say. */
void stream_update_reading(struct stream *s);
/** Address and nearness of the other end. */
void stream_note_peer(struct stream *s);

/* --- stream_tls.c --- */

/** Bytes from the socket; none: the handshake's first flight. */
void stream_feed_tls(struct stream *s, struct span bytes);
/** The stream ends: what is on the pool comes back at once, or when it is done. */
void stream_cancel_shake(struct stream *s);

/* --- stream_connect.c --- */

void stream_connecting_free(struct stream *s);
