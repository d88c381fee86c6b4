#include "routed/serve_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 128
#define SOCKET_MODE 0666

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

int serve_listen(struct serve *s, enum serve_protocol protocol, const char *address,
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
	rc = serve_stream_init(s->loop, tcp, &l->io);
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
		rc = uv_listen(&l->io.stream, BACKLOG, serve_on_connection);
	if (rc != 0)
		(void)snprintf(why, SERVE_WHY_BYTES, "%s: %s", address, uv_strerror(rc));
	return map_error(rc);
}
