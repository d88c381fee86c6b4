#include "routed/serve.h"

#include "lib/log.h"
#include "routed/oneshot.h"
#include "routed/serve_private.h"

#include <assert.h>
#include <unistd.h>

#define MAX_CONNECTIONS 4096
#define IN_BYTES ((size_t)16 * 1024)
#define OUT_MAX_BYTES ((size_t)1024 * 1024)

static_assert(IN_BYTES >= NETSTRING_REQUEST_MAX_BYTES + NETSTRING_OVERHEAD_BYTES,
	      "a request must fit");
static_assert(IN_BYTES > POLICY_REQUEST_MAX_BYTES && IN_BYTES > ONESHOT_REQUEST_MAX_BYTES,
	      "a request must fit");

/* --- end of life --- */

static void serve_free(struct serve *s)
{
	void (*on_closed)(void *arg) = s->on_closed;
	void *arg = s->closed_arg;

	buf_fini(&s->scratch);
	buf_fini(&s->reply);
	buf_fini(&s->home);
	mem_free(s);
	if (on_closed != NULL)
		on_closed(arg);
}

static void release(struct serve *s)
{
	s->handles--;
	if (s->closing && s->handles == 0)
		serve_free(s);
}

static void on_conn_closed(uv_handle_t *handle)
{
	struct conn *c = handle->data;
	struct serve *s = c->serve;

	policy_message_fini(&c->message);
	buf_fini(&c->out);
	mem_free(c->in);
	mem_free(c);
	release(s);
}

static void conn_close(struct conn *c)
{
	struct serve *s = c->serve;

	if (c->closing)
		return;
	c->closing = true;
	gal_cancel(&c->request);
	*(c->prev != NULL ? &c->prev->next : &s->conns) = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	s->stats.connections--;
	uv_close(&c->io.handle, on_conn_closed);
	if (s->conns == NULL && s->on_left != NULL && !s->closing)
		s->on_left(s->left_arg);
}

void serve_on_listener_closed(uv_handle_t *handle)
{
	struct listener *l = handle->data;
	struct serve *s = l->serve;

	mem_free(l->path);
	mem_free(l);
	release(s);
}

/* --- streams --- */

static void pump(struct conn *c);

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	struct conn *c = handle->data;

	(void)suggested;
	*out = uv_buf_init((char *)c->in + c->in_n, (unsigned)(IN_BYTES - c->in_n));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct conn *c = stream->data;

	(void)buf;
	if (n == UV_EOF && c->protocol == SERVE_EXIM && c->in_n != 0 && c->in_n < IN_BYTES)
		c->in[c->in_n++] = '\n'; /* the end of the stream ends the line as well */
	else if (n < 0)
		conn_close(c);
	else
		c->in_n += (size_t)n;
	c->asked_ns = uv_hrtime();
	pump(c);
}

static void on_written(uv_write_t *write, int status)
{
	struct conn *c = write->data;

	if (status < 0) {
		conn_close(c);
		return;
	}
	c->writing = false;
	c->asked_ns = uv_hrtime(); /* not our time that the peer took */
	buf_clear(&c->out);
	pump(c);
}

/* Send what there is. What the socket does not take at once stops the reading. */
static void flush(struct conn *c)
{
	uv_buf_t b = uv_buf_init((char *)c->out.p, (unsigned)c->out.n);
	int n;

	if (c->out.n == 0)
		return;
	n = uv_try_write(&c->io.stream, &b, 1);
	if (n == (int)c->out.n) {
		buf_clear(&c->out);
		return;
	}
	if (n < 0 && n != UV_EAGAIN) {
		conn_close(c);
		return;
	}
	buf_consume(&c->out, n > 0 ? (size_t)n : 0);
	b = uv_buf_init((char *)c->out.p, (unsigned)c->out.n);
	c->write.data = c;
	if (uv_write(&c->write, &c->io.stream, &b, 1, on_written) != 0)
		conn_close(c);
	else
		c->writing = true;
}

static void set_reading(struct conn *c, bool on)
{
	if (on == c->reading || c->closing)
		return;
	c->reading = on;
	if (!on)
		(void)uv_read_stop(&c->io.stream);
	else if (uv_read_start(&c->io.stream, on_alloc, on_read) != 0)
		conn_close(c);
}

/* Answer all complete requests of the buffer. False when the stream is no socketmap client. */
static bool answer_all(struct conn *c)
{
	size_t at = 0;
	int rc = RC_OK;

	while (rc == RC_OK && !c->waiting && !c->last) {
		struct span request;
		size_t used;

		rc = serve_read(c->protocol, span_make(c->in + at, c->in_n - at), &request, &used);
		if (rc != RC_OK)
			break;
		c->waiting = serve_answer(c, request) == RC_MORE;
		at += used;
	}
	memmove(c->in, c->in + at, c->in_n - at);
	c->in_n -= at;
	return (rc == RC_OK || rc == RC_MORE) && buf_rc(&c->out) == RC_OK;
}

/* Is all answered that ever will be? */
static bool is_over(const struct conn *c)
{
	bool leaving = c->serve->on_left != NULL && c->protocol != SERVE_EXIM && c->in_n == 0;

	return (c->last || leaving) && !c->writing && !c->waiting;
}

static void pump(struct conn *c)
{
	if (c->closing || c->writing || c->waiting)
		return;
	if (!answer_all(c)) {
		c->serve->stats.broken++;
		/* Always the same words, so that many of them are one line (F23). */
		log_warn(NULL, "serve.broken", "what=\"not a request of this socket\"");
		conn_close(c);
		return;
	}
	flush(c);
	if (is_over(c))
		conn_close(c);
	set_reading(c, !c->writing && !c->waiting);
}

static void on_recipient(struct gal_request *r, struct span reply)
{
	struct conn *c = r->data;

	serve_answer_recipient(c, reply);
	c->waiting = false;
	pump(c);
}

void serve_on_connection(uv_stream_t *server, int status)
{
	struct listener *l = server->data;
	struct serve *s = l->serve;
	struct conn *c;
	bool tcp = l->path == NULL;

	if (status < 0)
		return;
	c = mem_zalloc(1, sizeof(*c));
	if (c != NULL)
		c->in = mem_alloc(IN_BYTES);
	if (c == NULL || c->in == NULL || serve_stream_init(s->loop, tcp, &c->io) != 0) {
		if (c != NULL)
			mem_free(c->in);
		mem_free(c);
		return;
	}
	buf_init(&c->out, OUT_MAX_BYTES);
	policy_message_init(&c->message);
	c->serve = s;
	c->protocol = l->protocol;
	c->io.handle.data = c;
	c->request.data = c;
	c->request.on_reply = on_recipient;
	c->next = s->conns;
	if (c->next != NULL)
		c->next->prev = c;
	s->conns = c;
	s->handles++;
	s->stats.connections++;
	if (uv_accept(server, &c->io.stream) != 0 || s->stats.connections > MAX_CONNECTIONS) {
		conn_close(c);
		return;
	}
	if (tcp)
		(void)uv_tcp_nodelay(&c->io.tcp, 1);
	set_reading(c, true);
}

int serve_new(uv_loop_t *loop, const struct serve_source *source, const struct serve_access *access,
	      struct serve **out)
{
	struct serve *s = mem_zalloc(1, sizeof(*s));

	*out = s;
	if (s == NULL)
		return RC_NOMEM;
	s->loop = loop;
	s->source = *source;
	s->access = *access;
	buf_init(&s->scratch, 4 * NETSTRING_REQUEST_MAX_BYTES);
	buf_init(&s->home, NETSTRING_REPLY_MAX_BYTES);
	buf_init(&s->reply, NETSTRING_REPLY_MAX_BYTES + NETSTRING_OVERHEAD_BYTES);
	return RC_OK;
}

/* One that came just now may have its question on the way; it is answered and then closed. */
static bool is_owed(const struct conn *c)
{
	return c->waiting || c->writing || c->in_n != 0 || c->protocol == SERVE_EXIM;
}

void serve_leave(struct serve *s, void (*on_left)(void *arg), void *arg)
{
	struct listener *l;
	struct conn *c, *next;

	while ((l = s->listeners) != NULL) {
		s->listeners = l->next;
		uv_close(&l->io.handle, serve_on_listener_closed);
	}
	for (c = s->conns; c != NULL; c = next) {
		next = c->next;
		if (!is_owed(c))
			conn_close(c);
	}
	s->on_left = on_left;
	s->left_arg = arg;
	if (s->conns == NULL)
		on_left(arg);
}

void serve_close(struct serve **ps, void (*on_closed)(void *arg), void *arg)
{
	struct serve *s = *ps;
	struct listener *l;

	*ps = NULL;
	s->on_closed = on_closed;
	s->closed_arg = arg;
	s->closing = true;
	while (s->conns != NULL)
		conn_close(s->conns);
	while ((l = s->listeners) != NULL) {
		s->listeners = l->next;
		if (l->path != NULL)
			(void)unlink(l->path);
		uv_close(&l->io.handle, serve_on_listener_closed);
	}
	if (s->handles == 0)
		serve_free(s);
}

void serve_get_stats(const struct serve *s, struct serve_stats *out)
{
	*out = s->stats;
}
