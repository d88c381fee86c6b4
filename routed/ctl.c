#include "routed/ctl.h"

#include "lib/arena.h"
#include "lib/log.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_CLIENTS 32
#define BACKLOG 16

struct client {
	uv_pipe_t pipe;
	uv_write_t write;
	struct ctl *ctl;
	char in[CTL_LINE_MAX_BYTES];
	size_t in_n;
	struct buf out;
	struct client *prev, *next;
};

struct ctl {
	uv_pipe_t pipe;
	char *path;
	ctl_handler *handler;
	void *arg;
	struct client *clients;
	unsigned nclients;
	int fds[CTL_FDS_MAX]; /* that go with the reply of the handler */
	unsigned nfds;
	unsigned handles; /* open ones, this one included */
	void (*on_closed)(void *arg);
	void *closed_arg;
};

static void release(struct ctl *c)
{
	void (*on_closed)(void *arg) = c->on_closed;
	void *arg = c->closed_arg;

	if (--c->handles != 0)
		return;
	mem_free(c->path);
	mem_free(c);
	if (on_closed != NULL)
		on_closed(arg);
}

static void on_client_closed(uv_handle_t *handle)
{
	struct client *k = handle->data;
	struct ctl *c = k->ctl;

	buf_fini(&k->out);
	mem_free(k);
	release(c);
}

static void client_close(struct client *k)
{
	struct ctl *c = k->ctl;

	if (uv_is_closing((uv_handle_t *)&k->pipe))
		return;
	*(k->prev != NULL ? &k->prev->next : &c->clients) = k->next;
	if (k->next != NULL)
		k->next->prev = k->prev;
	c->nclients--;
	uv_close((uv_handle_t *)&k->pipe, on_client_closed);
}

static void on_written(uv_write_t *write, int status)
{
	(void)status;
	client_close(write->data);
}

void ctl_send_fds(struct ctl *c, const int *fds, unsigned n)
{
	c->nfds = n < CTL_FDS_MAX ? n : CTL_FDS_MAX;
	memcpy(c->fds, fds, c->nfds * sizeof(*fds));
}

/* A short reply to a fresh connection always fits into its buffer. */
static void send_with_fds(struct client *k)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(CTL_FDS_MAX * sizeof(int))] = {0};
	struct ctl *c = k->ctl;
	struct iovec v = {k->out.p, k->out.n};
	struct msghdr message = {.msg_iov = &v,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = CMSG_SPACE(c->nfds * sizeof(int))};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	int fd = -1;

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(c->nfds * sizeof(int));
	memcpy(CMSG_DATA(head), c->fds, c->nfds * sizeof(int));
	c->nfds = 0;
	if (uv_fileno((uv_handle_t *)&k->pipe, &fd) != 0 ||
	    sendmsg(fd, &message, MSG_NOSIGNAL) != (ssize_t)k->out.n)
		log_error(NULL, "ctl.handover", "why=\"%s\"", rc_text(RC_IO));
	client_close(k);
}

static void reply(struct client *k, struct span line)
{
	struct ctl *c = k->ctl;
	uv_buf_t b;

	(void)uv_read_stop((uv_stream_t *)&k->pipe);
	c->handler(c->arg, span_trim(line), &k->out);
	if (buf_rc(&k->out) != RC_OK) {
		buf_clear(&k->out);
		buf_printf(&k->out, "error: %s\n", rc_text(RC_TOOBIG));
	}
	if (c->nfds != 0) {
		send_with_fds(k);
		return;
	}
	b = uv_buf_init((char *)k->out.p, (unsigned)k->out.n);
	k->write.data = k;
	if (uv_write(&k->write, (uv_stream_t *)&k->pipe, &b, 1, on_written) != 0)
		client_close(k);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	struct client *k = handle->data;

	(void)suggested;
	*out = uv_buf_init(k->in + k->in_n, (unsigned)(sizeof(k->in) - k->in_n));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct client *k = stream->data;
	struct span rest;
	struct span line;

	(void)buf;
	if (n < 0) {
		client_close(k);
		return;
	}
	k->in_n += (size_t)n;
	rest = span_make(k->in, k->in_n);
	if (span_cut(&rest, '\n', &line))
		reply(k, line);
	else if (k->in_n == sizeof(k->in))
		client_close(k);
}

/* The mode of the socket says the same; this holds when somebody has changed it. */
static bool may_ask(const struct client *k)
{
	struct ucred peer = {0};
	socklen_t n = sizeof(peer);
	int fd = -1;

	if (uv_fileno((const uv_handle_t *)&k->pipe, &fd) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0)
		return false;
	if (peer.uid == 0 || peer.uid == geteuid())
		return true;
	log_warn(NULL, "ctl.denied", "uid=%u", (unsigned)peer.uid);
	return false;
}

static void on_connection(uv_stream_t *server, int status)
{
	struct ctl *c = server->data;
	struct client *k;

	if (status < 0)
		return;
	k = mem_zalloc(1, sizeof(*k));
	if (k == NULL || uv_pipe_init(server->loop, &k->pipe, 0) != 0) {
		mem_free(k);
		return;
	}
	buf_init(&k->out, CTL_REPLY_MAX_BYTES);
	k->ctl = c;
	k->pipe.data = k;
	k->next = c->clients;
	if (k->next != NULL)
		k->next->prev = k;
	c->clients = k;
	c->nclients++;
	c->handles++;
	if (uv_accept(server, (uv_stream_t *)&k->pipe) != 0 || c->nclients > MAX_CLIENTS ||
	    !may_ask(k) || uv_read_start((uv_stream_t *)&k->pipe, on_alloc, on_read) != 0)
		client_close(k);
}

static void on_ctl_closed(uv_handle_t *handle)
{
	release(handle->data);
}

int ctl_new(uv_loop_t *loop, const char *path, ctl_handler *handler, void *arg, struct ctl **out)
{
	struct ctl *c = mem_zalloc(1, sizeof(*c));
	mode_t old;
	int rc;

	*out = NULL;
	if (c != NULL)
		c->path = mem_strdup(path);
	if (c == NULL || c->path == NULL || uv_pipe_init(loop, &c->pipe, 0) != 0) {
		if (c != NULL)
			mem_free(c->path);
		mem_free(c);
		return RC_NOMEM;
	}
	c->pipe.data = c;
	c->handles = 1;
	c->handler = handler;
	c->arg = arg;
	(void)unlink(path);
	old = umask(0177);
	rc = uv_pipe_bind(&c->pipe, path);
	(void)umask(old);
	if (rc == 0)
		rc = uv_listen((uv_stream_t *)&c->pipe, BACKLOG, on_connection);
	if (rc != 0) {
		log_error(NULL, "ctl.listen", "path=%s why=\"%s\"", path, uv_strerror(rc));
		uv_close((uv_handle_t *)&c->pipe, on_ctl_closed);
		return RC_IO;
	}
	*out = c;
	return RC_OK;
}

void ctl_close(struct ctl **pc, void (*on_closed)(void *arg), void *arg)
{
	struct ctl *c = *pc;

	*pc = NULL;
	c->on_closed = on_closed;
	c->closed_arg = arg;
	while (c->clients != NULL)
		client_close(c->clients);
	(void)unlink(c->path);
	uv_close((uv_handle_t *)&c->pipe, on_ctl_closed);
}
