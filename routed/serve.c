#include "routed/serve.h"

#include "lib/arena.h"
#include "lib/log.h"
#include "routed/lookup.h"
#include "routed/netstring.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_CONNECTIONS 4096
#define BACKLOG 128
#define IN_BYTES ((size_t)16 * 1024)
#define OUT_MAX_BYTES ((size_t)1024 * 1024)
#define SOCKET_MODE 0666

static_assert(IN_BYTES >= NETSTRING_REQUEST_MAX_BYTES + NETSTRING_OVERHEAD_BYTES,
	      "a request must fit");

union stream {
	uv_handle_t handle;
	uv_stream_t stream;
	uv_pipe_t pipe;
	uv_tcp_t tcp;
};

struct listener {
	union stream io;
	struct serve *serve;
	char *path; /* of a unix socket, unlinked at the end */
	struct listener *next;
};

struct conn {
	union stream io;
	struct serve *serve;
	struct gal_request request;
	uv_write_t write;
	bool waiting; /* for the directory */
	bool writing; /* the peer is slow: nothing is read until it took what there is */
	bool reading;
	bool closing;
	uint8_t *in; /* IN_BYTES */
	size_t in_n;
	struct buf out;
	struct conn *prev, *next;
};

struct serve {
	uv_loop_t *loop;
	struct serve_source source;
	struct listener *listeners;
	struct conn *conns;
	struct buf scratch; /* folded key */
	struct buf reply;   /* of one request */
	struct serve_stats stats;
	unsigned handles; /* open ones */
	bool closing;
	void (*on_closed)(void *arg);
	void *closed_arg;
};

static int map_error(int uv_rc)
{
	switch (uv_rc) { /* codes of the library */
	case 0:
		return RC_OK;
	case UV_EADDRINUSE:
		return RC_BUSY;
	case UV_EACCES:
	case UV_EPERM:
		return RC_DENIED;
	case UV_ENOMEM:
		return RC_NOMEM;
	case UV_EINVAL:
	case UV_ENAMETOOLONG:
		return RC_INVALID;
	default:
		return RC_IO;
	}
}

/* --- end of life --- */

static void serve_free(struct serve *s)
{
	void (*on_closed)(void *arg) = s->on_closed;
	void *arg = s->closed_arg;

	buf_fini(&s->scratch);
	buf_fini(&s->reply);
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
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct listener *l = handle->data;
	struct serve *s = l->serve;

	mem_free(l->path);
	mem_free(l);
	release(s);
}

/* --- answers --- */

static void count(struct serve *s, struct span reply)
{
	s->stats.requests++;
	if (span_starts(reply, SPAN_LIT("OK ")))
		s->stats.ok++;
	else if (span_starts(reply, SPAN_LIT("NOTFOUND")))
		s->stats.notfound++;
	else if (span_starts(reply, SPAN_LIT("TEMP")))
		s->stats.temp++;
	else
		s->stats.perm++;
}

static void put_reply(struct conn *c, struct span reply)
{
	count(c->serve, reply);
	if (reply.n > NETSTRING_REPLY_MAX_BYTES)
		reply = SPAN_LIT("PERM the answer is too long");
	netstring_write(&c->out, reply);
}

static void unknown_map(struct span map, struct buf *reply)
{
	char text[LOG_TEXT_BYTES];

	buf_printf(reply, "PERM unknown map name %s, there are transport and recipient",
		   log_text(map, text));
}

/* One request; RC_MORE when its reply comes later. */
static int answer(struct conn *c, struct span request)
{
	struct serve *s = c->serve;
	struct span map;
	struct span key = request;
	int rc = RC_OK;

	buf_clear(&s->reply);
	if (!span_cut(&key, ' ', &map)) {
		buf_puts(&s->reply, "PERM request is not: map, blank, key");
	} else if (span_eq(map, SPAN_LIT("transport"))) {
		lookup_transport(s->source.table(s->source.arg), key, &s->scratch, &s->reply);
	} else if (span_eq(map, SPAN_LIT("recipient"))) {
		rc = s->source.recipient(s->source.arg, key, &c->request, &s->reply);
		if (rc == RC_MORE)
			return RC_MORE;
		if (rc != RC_OK) {
			buf_clear(&s->reply);
			buf_printf(&s->reply, "TEMP %s", rc_text(rc));
		}
	} else {
		unknown_map(map, &s->reply);
	}
	if (buf_rc(&s->reply) != RC_OK) {
		buf_clear(&s->reply);
		buf_puts(&s->reply, "TEMP out of memory");
	}
	put_reply(c, buf_span(&s->reply));
	return RC_OK;
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
	if (n < 0) {
		conn_close(c);
		return;
	}
	c->in_n += (size_t)n;
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

	while (rc == RC_OK && !c->waiting) {
		struct span request;
		size_t used;

		rc = netstring_read(span_make(c->in + at, c->in_n - at),
				    NETSTRING_REQUEST_MAX_BYTES, &request, &used);
		if (rc != RC_OK)
			break;
		c->waiting = answer(c, request) == RC_MORE;
		at += used;
	}
	memmove(c->in, c->in + at, c->in_n - at);
	c->in_n -= at;
	return (rc == RC_OK || rc == RC_MORE) && buf_rc(&c->out) == RC_OK;
}

static void pump(struct conn *c)
{
	if (c->closing || c->writing || c->waiting)
		return;
	if (!answer_all(c)) {
		c->serve->stats.broken++;
		log_warn(NULL, "serve.broken", "what=\"not a socketmap request\" bytes=%zu",
			 c->in_n);
		conn_close(c);
		return;
	}
	flush(c);
	set_reading(c, !c->writing && !c->waiting);
}

static void on_recipient(struct gal_request *r, struct span reply)
{
	struct conn *c = r->data;

	put_reply(c, reply);
	c->waiting = false;
	pump(c);
}

static int stream_init(uv_loop_t *loop, bool tcp, union stream *io)
{
	return tcp ? uv_tcp_init(loop, &io->tcp) : uv_pipe_init(loop, &io->pipe, 0);
}

static void on_connection(uv_stream_t *server, int status)
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
	if (c == NULL || c->in == NULL || stream_init(s->loop, tcp, &c->io) != 0) {
		if (c != NULL)
			mem_free(c->in);
		mem_free(c);
		return;
	}
	buf_init(&c->out, OUT_MAX_BYTES);
	c->serve = s;
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

/* --- listeners --- */

static int bind_unix(struct listener *l, const char *path)
{
	int rc;

	l->path = mem_strdup(path);
	if (l->path == NULL)
		return UV_ENOMEM;
	(void)unlink(path);
	rc = uv_pipe_bind(&l->io.pipe, path);
	if (rc == 0 && chmod(path, SOCKET_MODE) != 0)
		rc = UV_EACCES;
	return rc;
}

/* "host:port", "[v6]:port" */
static int bind_inet(struct listener *l, struct span where)
{
	struct sockaddr_storage addr;
	char host[64];
	char *end;
	size_t colon = where.n;
	long port;
	int rc;

	while (colon != 0 && where.p[colon - 1] != ':')
		colon--;
	if (colon < 2 || colon > sizeof(host))
		return UV_EINVAL;
	port = strtol((const char *)where.p + colon, &end, 10);
	if (*end != '\0' || port <= 0 || port > 65535)
		return UV_EINVAL;
	where = span_head(where, colon - 1);
	if (where.n > 2 && where.p[0] == '[' && where.p[where.n - 1] == ']')
		where = span_make(where.p + 1, where.n - 2);
	(void)snprintf(host, sizeof(host), "%.*s", SPAN_ARG(where));
	rc = uv_ip4_addr(host, (int)port, (struct sockaddr_in *)&addr);
	if (rc != 0)
		rc = uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)&addr);
	return rc != 0 ? rc : uv_tcp_bind(&l->io.tcp, (const struct sockaddr *)&addr, 0);
}

int serve_listen(struct serve *s, const char *address, char why[static SERVE_WHY_BYTES])
{
	struct span where = span_of(address);
	bool tcp = span_starts(where, SPAN_LIT("inet:"));
	struct listener *l;
	int rc;

	if (!tcp && !span_starts(where, SPAN_LIT("unix:"))) {
		(void)snprintf(why, SERVE_WHY_BYTES, "%s: neither unix:PATH nor inet:HOST:PORT",
			       address);
		return RC_INVALID;
	}
	l = mem_zalloc(1, sizeof(*l));
	if (l == NULL)
		return RC_NOMEM;
	l->serve = s;
	rc = stream_init(s->loop, tcp, &l->io);
	if (rc != 0) {
		mem_free(l);
		return map_error(rc);
	}
	l->io.handle.data = l;
	l->next = s->listeners;
	s->listeners = l;
	s->handles++;
	rc = tcp ? bind_inet(l, span_from(where, 5)) : bind_unix(l, address + 5);
	if (rc == 0)
		rc = uv_listen(&l->io.stream, BACKLOG, on_connection);
	if (rc != 0)
		(void)snprintf(why, SERVE_WHY_BYTES, "%s: %s", address, uv_strerror(rc));
	return map_error(rc);
}

int serve_new(uv_loop_t *loop, const struct serve_source *source, struct serve **out)
{
	struct serve *s = mem_zalloc(1, sizeof(*s));

	*out = s;
	if (s == NULL)
		return RC_NOMEM;
	s->loop = loop;
	s->source = *source;
	buf_init(&s->scratch, 4 * NETSTRING_REQUEST_MAX_BYTES);
	buf_init(&s->reply, NETSTRING_REPLY_MAX_BYTES + NETSTRING_OVERHEAD_BYTES);
	return RC_OK;
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
		uv_close(&l->io.handle, on_listener_closed);
	}
	if (s->handles == 0)
		serve_free(s);
}

void serve_get_stats(const struct serve *s, struct serve_stats *out)
{
	*out = s->stats;
}
