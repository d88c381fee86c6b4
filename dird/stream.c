#include "dird/stream.h"

#include "dird/stream_impl.h"
#include "lib/arena.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAM_CHUNK_BYTES (64 * 1024)
#define STREAM_DISCARD_CHUNKS 32
#define STREAM_KEEP_BYTES 2048 /* a drained buffer above this is given back */

static _Thread_local char read_chunk[STREAM_CHUNK_BYTES];

/* --- the end --- */

static void stream_free(struct stream *s)
{
	stream_connecting_free(s);
	tls_free(&s->tls);
	buf_fini(&s->in);
	buf_fini(&s->plain);
	buf_fini(&s->wire);
	buf_fini(&s->sending);
	mem_free(s);
}

void stream_part_closed(struct stream *s)
{
	must(s->open_handles != 0);
	if (--s->open_handles != 0)
		return;
	if (s->cb != NULL)
		s->cb->on_close(s->ctx, s->end_rc, s->end_text);
	stream_free(s);
}

static void on_handle_closed(uv_handle_t *h)
{
	stream_part_closed(h->data);
}

void stream_end(struct stream *s, int rc, const char *text)
{
	if (s->state == STREAM_ENDED)
		return;
	s->state = STREAM_ENDED;
	s->end_rc = rc;
	snprintf(s->end_text, sizeof(s->end_text), "%s", text);
	if (s->connecting != NULL && s->connecting->is_resolving)
		uv_cancel((uv_req_t *)&s->connecting->resolve);
	stream_cancel_shake(s);
	if (!s->is_reopening)
		uv_close(&s->h.handle, on_handle_closed);
	uv_close((uv_handle_t *)&s->flush, on_handle_closed);
	uv_close((uv_handle_t *)&s->timer, on_handle_closed);
}

static int rc_from_uv(int err)
{
	return err == UV_EOF ? RC_CLOSED : rc_from_errno(-err);
}

void stream_end_uv(struct stream *s, int err)
{
	stream_end(s, rc_from_uv(err),
		   err == UV_EOF ? "closed by the other side" : uv_strerror(err));
}

void stream_abort(struct stream *s, int rc, const char *text)
{
	stream_end(s, rc, text);
}

static void on_timeout(uv_timer_t *h)
{
	struct stream *s = h->data;

	if (s->state == STREAM_LINGERING)
		stream_end(s, RC_TIMEOUT, "the other side does not read");
	else
		stream_end(s, RC_TIMEOUT,
			   s->state == STREAM_OPEN ? "TLS handshake timed out"
						   : "connecting timed out");
}

void stream_limit(struct stream *s, uint64_t ms)
{
	uv_timer_start(&s->timer, on_timeout, ms, 0);
}

int stream_new(struct loop *l, const struct stream_callbacks *cb, void *ctx, bool is_local,
	       struct stream **out)
{
	struct stream *s = mem_zalloc(1, sizeof(*s));
	uv_loop_t *uv = loop_uv(l);

	*out = NULL;
	if (s == NULL)
		return RC_NOMEM;
	s->loop = l;
	s->cb = cb;
	s->ctx = ctx;
	s->is_local = is_local;
	buf_init(&s->in, STREAM_IN_MAX_BYTES);
	buf_init(&s->plain, STREAM_OUT_MAX_BYTES);
	buf_init(&s->wire, STREAM_OUT_MAX_BYTES);
	buf_init(&s->sending, STREAM_OUT_MAX_BYTES);
	/* None of these can fail but for a loop that is out of memory; uv_tcp_init() opens nothing.
	 */
	if (is_local)
		must(uv_pipe_init(uv, &s->h.pipe, 0) == 0);
	else
		must(uv_tcp_init(uv, &s->h.tcp) == 0);
	must(uv_prepare_init(uv, &s->flush) == 0);
	must(uv_timer_init(uv, &s->timer) == 0);
	s->h.handle.data = s->flush.data = s->timer.data = s;
	s->open_handles = 3;
	*out = s;
	return 0;
}

/* Undo stream_new() without a call of the owner. */
void stream_discard(struct stream *s)
{
	s->cb = NULL;
	stream_end(s, RC_CLOSED, "");
}

/* --- receiving --- */

void stream_announce(struct stream *s)
{
	if (s->is_announced)
		return;
	s->is_announced = true;
	uv_timer_stop(&s->timer);
	if (s->cb->on_ready != NULL)
		s->cb->on_ready(s->ctx);
}

void stream_deliver(struct stream *s, struct span bytes)
{
	bool is_ours = bytes.p == s->in.p;
	size_t taken;

	s->is_delivering = true;
	taken = bytes.n != 0 ? s->cb->on_read(s->ctx, bytes) : 0;
	s->is_delivering = false;
	must(taken <= bytes.n);
	if (is_ours)
		buf_consume(&s->in, taken);
	else
		buf_put(&s->in, span_from(bytes, taken));
	if (buf_rc(&s->in) != 0)
		stream_end(s, buf_rc(&s->in), "too many bytes received");
	if (s->in.n == 0 && s->in.size > STREAM_KEEP_BYTES)
		buf_fini(&s->in);
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *out)
{
	(void)h;
	(void)hint;
	*out = uv_buf_init(read_chunk, sizeof(read_chunk));
}

static void on_read(uv_stream_t *h, ssize_t n, const uv_buf_t *chunk)
{
	struct stream *s = h->data;
	struct span bytes;

	if (n == 0)
		return;
	if (n == UV_EOF && stream_queued_bytes(s) != 0) {
		stream_close(s); /* what was asked for before is still sent */
		return;
	}
	if (n < 0) {
		stream_end_uv(s, (int)n);
		return;
	}
	bytes = span_make(chunk->base, (size_t)n);
	if (s->tls != NULL) {
		stream_feed_tls(s, bytes);
	} else if (s->in.n == 0) {
		stream_deliver(s, bytes);
	} else {
		buf_put(&s->in, bytes);
		if (buf_rc(&s->in) != 0)
			stream_end(s, buf_rc(&s->in), "too many bytes received");
		else
			stream_deliver(s, buf_span(&s->in));
	}
}

void stream_update_reading(struct stream *s)
{
	bool want = s->state == STREAM_OPEN && !s->is_paused && s->shake == NULL;
	int err;

	if (want == s->is_reading || s->state == STREAM_ENDED)
		return;
	s->is_reading = want;
	if (!want) {
		uv_read_stop(&s->h.stream);
		return;
	}
	err = uv_read_start(&s->h.stream, on_alloc, on_read);
	if (err != 0)
		stream_end_uv(s, err);
}

void stream_pause(struct stream *s)
{
	s->is_paused = true;
	stream_update_reading(s);
}

void stream_resume(struct stream *s)
{
	s->is_paused = false;
	stream_update_reading(s);
	if (s->in.n != 0)
		stream_flush_soon(s); /* hands the waiting bytes over in the next turn */
}

/* --- sending --- */

static void give_back(struct buf *b)
{
	buf_clear(b);
	if (b->size > STREAM_KEEP_BYTES)
		buf_fini(b);
}

size_t stream_queued_bytes(const struct stream *s)
{
	return s->plain.n + s->wire.n + s->sending.n;
}

uint64_t stream_sent_bytes(const struct stream *s)
{
	if (!s->is_sending || s->state == STREAM_ENDED)
		return s->sent;
	return s->sent + s->sending.n - uv_stream_get_write_queue_size(&s->h.stream);
}

bool stream_is_full(const struct stream *s)
{
	return stream_queued_bytes(s) >= STREAM_HIGH_BYTES;
}

static void check_drained(struct stream *s)
{
	if (s->state != STREAM_OPEN || !s->was_full || stream_queued_bytes(s) > STREAM_LOW_BYTES)
		return;
	s->was_full = false;
	if (s->cb->on_drain != NULL)
		s->cb->on_drain(s->ctx);
}

/* Closing a TCP socket with unread bytes resets it, and what was sent last may be lost. */
static void discard_unread(struct stream *s)
{
	uv_os_fd_t fd;
	int i;

	if (uv_fileno(&s->h.handle, &fd) != 0)
		return;
	for (i = 0; i < STREAM_DISCARD_CHUNKS; i++) {
		if (recv(fd, read_chunk, sizeof(read_chunk), MSG_DONTWAIT) <= 0)
			return;
	}
}

static void check_lingered(struct stream *s)
{
	if (s->state != STREAM_LINGERING || stream_queued_bytes(s) != 0)
		return;
	discard_unread(s);
	stream_end(s, RC_CLOSED, "closed here");
}

static void on_written(uv_write_t *req, int err)
{
	struct stream *s = req->data;

	s->is_sending = false;
	s->sent += s->sending.n;
	give_back(&s->sending);
	if (s->state == STREAM_ENDED)
		return;
	if (err != 0) {
		stream_end_uv(s, err);
		return;
	}
	if (s->plain.n != 0 || s->wire.n != 0)
		stream_flush_soon(s);
	check_drained(s);
	check_lingered(s);
}

/* What the socket does not take at once becomes a write request that owns the rest. */
static void send_wire(struct stream *s)
{
	uv_buf_t b = uv_buf_init((char *)s->wire.p, (unsigned)s->wire.n);
	struct buf swap;
	int n, err;

	if (s->is_sending || s->wire.n == 0)
		return;
	n = uv_try_write(&s->h.stream, &b, 1);
	if (n < 0 && n != UV_EAGAIN) {
		stream_end_uv(s, n);
		return;
	}
	if (n > 0) {
		s->sent += (size_t)n;
		buf_consume(&s->wire, (size_t)n);
	}
	if (s->wire.n == 0) {
		give_back(&s->wire);
		return;
	}
	swap = s->sending;
	s->sending = s->wire;
	s->wire = swap;
	b = uv_buf_init((char *)s->sending.p, (unsigned)s->sending.n);
	s->write.data = s;
	err = uv_write(&s->write, &s->h.stream, &b, 1, on_written);
	if (err != 0)
		stream_end_uv(s, err);
	else
		s->is_sending = true;
}

static void encrypt_plain(struct stream *s)
{
	int rc;

	if (s->tls == NULL || s->shake != NULL || s->plain.n == 0 || s->is_sending)
		return;
	rc = tls_write(s->tls, buf_span(&s->plain), &s->wire);
	give_back(&s->plain);
	if (rc != 0)
		stream_end(s, rc, tls_error(s->tls));
}

void stream_flush(struct stream *s)
{
	if (s->state != STREAM_OPEN && s->state != STREAM_LINGERING)
		return;
	uv_prepare_stop(&s->flush);
	encrypt_plain(s);
	if (s->state != STREAM_ENDED)
		send_wire(s);
	check_drained(s);
	if (s->state == STREAM_OPEN && s->in.n != 0 && !s->is_paused && !s->is_delivering)
		stream_deliver(s, buf_span(&s->in));
	check_lingered(s);
}

static void on_flush(uv_prepare_t *h)
{
	stream_flush(h->data);
}

void stream_flush_soon(struct stream *s)
{
	if (s->state == STREAM_OPEN || s->state == STREAM_LINGERING)
		uv_prepare_start(&s->flush, on_flush);
}

int stream_writev(struct stream *s, const struct span *pieces, unsigned n)
{
	struct buf *to = s->tls != NULL ? &s->plain : &s->wire;
	unsigned i;

	if (s->state != STREAM_OPEN)
		return RC_CLOSED;
	for (i = 0; i < n; i++)
		buf_put(to, pieces[i]);
	if (buf_rc(to) != 0) {
		int rc = buf_rc(to);

		stream_end(s, rc, "too many bytes to send");
		return rc;
	}
	if (stream_is_full(s))
		s->was_full = true;
	stream_flush_soon(s);
	return 0;
}

int stream_write(struct stream *s, struct span bytes)
{
	return stream_writev(s, &bytes, 1);
}

void stream_close(struct stream *s)
{
	if (s->state == STREAM_ENDED || s->state == STREAM_LINGERING)
		return;
	if (s->state != STREAM_OPEN || s->shake != NULL) {
		stream_end(s, RC_CLOSED, "closed here");
		return;
	}
	encrypt_plain(s);
	if (s->state == STREAM_ENDED)
		return;
	if (s->tls != NULL && s->plain.n == 0)
		tls_close(s->tls, &s->wire);
	s->state = STREAM_LINGERING;
	if (s->is_reading)
		uv_read_stop(&s->h.stream);
	s->is_reading = false;
	stream_limit(s, STREAM_LINGER_MS);
	stream_flush_soon(s);
}

/* --- who is at the other end --- */

static bool is_loopback(const struct sockaddr *sa)
{
	const struct sockaddr_in *in = (const void *)sa;
	const struct sockaddr_in6 *in6 = (const void *)sa;

	if (sa->sa_family == AF_INET)
		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	return sa->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

void stream_note_peer(struct stream *s)
{
	struct sockaddr_storage sa;
	char host[48], port[8];
	int n = sizeof(sa);

	if (s->is_local) {
		s->is_loopback = true;
		snprintf(s->peer, sizeof(s->peer), "local");
		return;
	}
	snprintf(s->peer, sizeof(s->peer), "ip=unknown");
	if (uv_tcp_getpeername(&s->h.tcp, (struct sockaddr *)&sa, &n) != 0)
		return;
	s->is_loopback = is_loopback((struct sockaddr *)&sa);
	if (getnameinfo((struct sockaddr *)&sa, (socklen_t)n, host, sizeof(host), port,
			sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		snprintf(s->peer, sizeof(s->peer), "ip=%s:%s", host, port);
}

bool stream_is_local(const struct stream *s)
{
	return s->is_local;
}

bool stream_is_loopback(const struct stream *s)
{
	return s->is_loopback;
}

const char *stream_peer_text(const struct stream *s)
{
	return s->peer;
}

bool stream_peer_cred(const struct stream *s, uint32_t *uid_out, uint32_t *gid_out)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);
	uv_os_fd_t fd;

	if (!s->is_local || uv_fileno(&s->h.handle, &fd) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) != 0)
		return false;
	*uid_out = cred.uid;
	*gid_out = cred.gid;
	return true;
}

/* --- accepted --- */

int stream_accept(struct loop *l, int fd, bool is_local, struct tls_context *tls,
		  const struct stream_callbacks *cb, void *ctx, struct stream **out)
{
	struct stream *s;
	int err, rc;

	*out = NULL;
	rc = stream_new(l, cb, ctx, is_local, &s);
	if (rc != 0) {
		close(fd);
		return rc;
	}
	err = is_local ? uv_pipe_open(&s->h.pipe, fd) : uv_tcp_open(&s->h.tcp, fd);
	if (err != 0) {
		close(fd);
		rc = rc_from_uv(err);
		goto fail;
	}
	if (!is_local)
		uv_tcp_nodelay(&s->h.tcp, 1);
	stream_note_peer(s);
	s->state = STREAM_OPEN;
	s->is_announced = tls == NULL;
	if (tls != NULL) {
		rc = tls_accept_new(tls, &s->tls);
		if (rc != 0)
			goto fail;
		stream_limit(s, STREAM_HANDSHAKE_MS);
	}
	stream_update_reading(s);
	*out = s;
	return 0;
fail:
	stream_discard(s);
	return rc;
}
