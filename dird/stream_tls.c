#include "dird/stream_impl.h"
#include "lib/arena.h"

/* Bytes were fed to TLS. */
static void tls_fed(struct stream *s, int rc)
{
	if (s->wire.n != 0)
		stream_flush_soon(s);
	if (tls_is_ready(s->tls) && s->state == STREAM_OPEN)
		stream_announce(s);
	if (s->state == STREAM_OPEN && s->in.n != 0 && !s->is_paused)
		stream_deliver(s, buf_span(&s->in));
	if (rc == 0 || s->state == STREAM_ENDED)
		return;
	stream_flush(s); /* the alert that says why */
	if (rc == RC_CLOSED)
		stream_end(s, RC_CLOSED, "closed by the other side");
	else
		stream_end(s, rc, tls_error(s->tls)[0] != '\0' ? tls_error(s->tls) : rc_text(rc));
}

/* --- handshakes that are work for the pool --- */

/* A step of a handshake on a thread of the pool, with bytes and buffers of its own. */
struct shake {
	uv_work_t work;
	struct stream *stream;
	struct buf bytes, in, wire;
	int rc;
};

static void on_shake(uv_work_t *work)
{
	struct shake *k = work->data;

	k->rc = tls_feed(k->stream->tls, buf_span(&k->bytes), &k->in, &k->wire);
}

static void shake_free(struct shake *k)
{
	buf_fini(&k->bytes);
	buf_fini(&k->in);
	buf_fini(&k->wire);
	mem_free(k);
}

static void take_shaken(struct stream *s, const struct shake *k)
{
	int rc = k->rc;

	buf_put(&s->in, buf_span(&k->in));
	buf_put(&s->wire, buf_span(&k->wire));
	if (rc == 0)
		rc = buf_rc(&s->in) != 0 ? buf_rc(&s->in) : buf_rc(&s->wire);
	if (s->plain.n != 0)
		stream_flush_soon(s); /* was written meanwhile */
	tls_fed(s, rc);
}

static void on_shaken(uv_work_t *work, int status)
{
	struct shake *k = work->data;
	struct stream *s = k->stream;

	(void)status; /* cancelled: the stream has ended */
	s->shake = NULL;
	if (s->state == STREAM_OPEN) {
		take_shaken(s, k);
		stream_update_reading(s);
	}
	shake_free(k);
	stream_part_closed(s);
}

static int start_shake(struct stream *s, struct span bytes)
{
	struct shake *k = mem_zalloc(1, sizeof(*k));

	if (k == NULL)
		return RC_NOMEM;
	buf_init(&k->bytes, SIZE_MAX);
	buf_init(&k->in, STREAM_IN_MAX_BYTES);
	buf_init(&k->wire, STREAM_OUT_MAX_BYTES);
	buf_put(&k->bytes, bytes);
	k->work.data = k;
	k->stream = s;
	if (buf_rc(&k->bytes) != 0 ||
	    uv_queue_work(loop_uv(s->loop), &k->work, on_shake, on_shaken) != 0) {
		shake_free(k);
		return RC_NOMEM;
	}
	s->shake = k;
	s->open_handles++;
	stream_update_reading(s);
	return 0;
}

void stream_cancel_shake(struct stream *s)
{
	if (s->shake != NULL)
		uv_cancel((uv_req_t *)&s->shake->work);
}

/* --- the stream's side --- */

void stream_feed_tls(struct stream *s, struct span bytes)
{
	int rc;

	if (tls_is_ready(s->tls) || !tls_is_costly(s->tls)) {
		tls_fed(s, tls_feed(s->tls, bytes, &s->in, &s->wire));
		return;
	}
	rc = start_shake(s, bytes);
	if (rc != 0)
		stream_end(s, rc, rc_text(rc));
}

int stream_start_tls(struct stream *s, struct tls_context *tls)
{
	int rc;

	if (s->tls != NULL || s->state != STREAM_OPEN || (s->in.n != 0 && !s->is_delivering))
		return RC_INVALID;
	rc = tls_accept_new(tls, &s->tls);
	if (rc == 0)
		stream_limit(s, STREAM_HANDSHAKE_MS);
	return rc;
}

bool stream_is_tls(const struct stream *s)
{
	return s->tls != NULL && s->shake == NULL && tls_is_ready(s->tls);
}

void stream_tls_peer(const struct stream *s, struct tls_peer *out)
{
	if (s->tls != NULL && s->shake == NULL)
		tls_peer(s->tls, out);
	else
		memset(out, 0, sizeof(*out));
}
