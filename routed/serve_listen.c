#include "routed/serve_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128

int serve_stream_init(uv_loop_t *loop, bool tcp, union stream *io)
{
	return tcp ? uv_tcp_init(loop, &io->tcp) : uv_pipe_init(loop, &io->pipe, 0);
}

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

/* Not uv_pipe_bind(): its close removes the path, also from under a successor. */
static int bind_unix(struct listener *l, const char *path)
{
	const struct serve_access *access = &l->serve->access;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path))
		return UV_ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	(void)unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return uv_translate_sys_error(errno);
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0 ||
	    (access->gid >= 0 && chown(path, (uid_t)-1, (gid_t)access->gid) != 0) ||
	    chmod(path, access->mode) != 0) {
		int rc = uv_translate_sys_error(errno);

		close(fd);
		return rc;
	}
	return uv_pipe_open(&l->io.pipe, fd);
}

/* 127.0.0.0/8, ::1 */
static bool is_loopback(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in *v4 = (const void *)addr;
	const struct sockaddr_in6 *v6 = (const void *)addr;

	if (addr->ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return addr->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
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
	if (rc == 0 && !l->serve->access.remote && !is_loopback(&addr))
		return UV_EPERM;
	return rc != 0 ? rc : uv_tcp_bind(&l->io.tcp, (const struct sockaddr *)&addr, 0);
}

static int open_listener(struct listener *l, bool tcp, struct span where, int fd)
{
	int rc;

	if (fd >= 0)
		rc = tcp ? uv_tcp_open(&l->io.tcp, fd) : uv_pipe_open(&l->io.pipe, fd);
	else
		rc = tcp ? bind_inet(l, where) : bind_unix(l, (const char *)where.p);
	return rc == 0 ? uv_listen(&l->io.stream, BACKLOG, serve_on_connection) : rc;
}

int serve_listen(struct serve *s, enum serve_protocol protocol, const char *address, int fd,
		 char why[static SERVE_WHY_BYTES])
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
	l->protocol = protocol;
	if (!tcp)
		l->path = mem_strdup(address + 5);
	rc = tcp || l->path != NULL ? serve_stream_init(s->loop, tcp, &l->io) : UV_ENOMEM;
	if (rc != 0) {
		mem_free(l->path);
		mem_free(l);
		return map_error(rc);
	}
	l->io.handle.data = l;
	l->next = s->listeners;
	s->listeners = l;
	s->handles++;
	rc = open_listener(l, tcp, span_from(where, 5), fd);
	if (rc != 0)
		(void)snprintf(why, SERVE_WHY_BYTES, "%s: %s%s", address, uv_strerror(rc),
			       rc == UV_EPERM && tcp ? " (not loopback: listen-remote yes)" : "");
	return map_error(rc);
}

unsigned serve_listeners(const struct serve *s, int *fds, unsigned max)
{
	const struct listener *l;
	unsigned n = 0;

	for (l = s->listeners; l != NULL && n < max; l = l->next) {
		if (uv_fileno(&l->io.handle, &fds[n]) == 0)
			n++;
	}
	return n;
}
