#include "dird/server.h"

#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG 1024
#define LISTEN_ACCEPT_BATCH 64

struct listener {
	uv_poll_t poll;
	struct listeners *all;
	int fd;
	bool is_tls;
	bool is_open;
	const char *path; /* local socket */
	dev_t dev;        /* of its file, so that nobody else's is removed */
	ino_t ino;
	struct listener *next;
};

struct listeners {
	uv_loop_t *uv;
	struct arena arena;
	struct listener *first;
	unsigned nopen;
	int reserve; /* given up to say no to a client when descriptors run out */
	bool is_closing;
	void (*accepted)(void *ctx, int fd, bool is_local, bool is_tls);
	void *ctx;
};

static int open_reserve(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Out of descriptors: without this the readable listener would keep the loop spinning. */
static void turn_away(struct listener *l)
{
	int fd;

	log_warn(NULL, "listen.full", "error=\"no file descriptor left\"");
	if (l->all->reserve >= 0)
		close(l->all->reserve);
	fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	l->all->reserve = open_reserve();
}

static void on_connection(uv_poll_t *h, int status, int events)
{
	struct listener *l = h->data;
	int i, fd;

	(void)events;
	if (l->all->reserve < 0) /* another thread was quicker; it comes before any client */
		l->all->reserve = open_reserve();
	for (i = 0; status == 0 && i < LISTEN_ACCEPT_BATCH; i++) {
		fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			l->all->accepted(l->all->ctx, fd, l->path != NULL, l->is_tls);
		} else if (errno == EMFILE || errno == ENFILE) {
			turn_away(l);
			return;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			return;
		}
	}
}

static void listeners_free(struct listeners *all)
{
	if (all->reserve >= 0)
		close(all->reserve);
	arena_fini(&all->arena);
	mem_free(all);
}

static void on_closed(uv_handle_t *h)
{
	struct listener *l = h->data;
	struct listeners *all = l->all;

	close(l->fd);
	if (--all->nopen == 0 && all->is_closing)
		listeners_free(all);
}

static int add(struct listeners *all, int fd, const char *path, bool is_tls)
{
	struct listener *l = arena_zalloc(&all->arena, 1, sizeof(*l));

	if (l == NULL)
		return RC_NOMEM;
	l->all = all;
	l->fd = fd;
	l->is_tls = is_tls;
	l->path = path;
	l->poll.data = l;
	if (uv_poll_init(all->uv, &l->poll, fd) != 0)
		return RC_IO;
	l->is_open = true;
	all->nopen++;
	l->next = all->first;
	all->first = l;
	return uv_poll_start(&l->poll, UV_READABLE, on_connection) == 0 ? 0 : RC_IO;
}

static int failed(const char *address, const char *what, int rc, const char *text)
{
	log_error(NULL, "listen.failed", "address=%s call=%s error=\"%s\"", address, what, text);
	return rc;
}

/* "host:port", "[v6]:port", "*:port" */
static int split_address(struct arena *a, const char *text, const char **host, const char **port)
{
	const char *colon = strrchr(text, ':');
	struct span h;

	if (colon == NULL || colon[1] == '\0')
		return RC_INVALID;
	h = span_make(text, (size_t)(colon - text));
	if (h.n >= 2 && h.p[0] == '[' && h.p[h.n - 1] == ']')
		h = span_make(h.p + 1, h.n - 2);
	*port = colon + 1;
	*host = h.n == 0 || span_eq(h, SPAN_LIT("*")) ? NULL : arena_str(a, h);
	return 0;
}

static int open_tcp(const struct addrinfo *ai)
{
	int on = 1, fd;

	fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, ai->ai_protocol);
	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    (ai->ai_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
		int err = errno;

		close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

static int listen_tcp(struct listeners *all, const char *address, bool is_tls)
{
	struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
				 .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL, *ai;
	const char *host, *port;
	int err, fd, rc;

	rc = split_address(&all->arena, address, &host, &port);
	if (rc != 0)
		return failed(address, "parse", rc, "host:port is needed");
	err = getaddrinfo(host, port, &hints, &list);
	if (err != 0)
		return failed(address, "getaddrinfo", RC_NOTFOUND, gai_strerror(err));
	for (ai = list; ai != NULL && rc == 0; ai = ai->ai_next) {
		fd = open_tcp(ai);
		if (fd < 0)
			rc = failed(address, "bind", RC_IO, strerror(errno));
		else
			rc = add(all, fd, NULL, is_tls);
	}
	freeaddrinfo(list);
	if (rc == 0)
		log_info(NULL, "listen", "%s=%s", is_tls ? "ldaps" : "ldap", address);
	return rc;
}

/* Made beside and renamed over an old file, so that the path always answers or never did. */
static int bind_local(int fd, const char *path, struct stat *st)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s.new", path);

	if (n < 0 || (size_t)n >= sizeof(sa.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	(void)unlink(sa.sun_path);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 || chmod(sa.sun_path, 0666) != 0 ||
	    listen(fd, LISTEN_BACKLOG) != 0 || lstat(sa.sun_path, st) != 0)
		return -1;
	return rename(sa.sun_path, path);
}

static int listen_local(struct listeners *all, const char *path)
{
	struct stat st;
	int fd, rc;

	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return failed(path, "bind", RC_EXISTS, "a file that is no socket is in the way");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return failed(path, "socket", RC_IO, strerror(errno));
	if (bind_local(fd, path, &st) != 0) {
		rc = failed(path, "bind", RC_IO, strerror(errno));
		close(fd);
		return rc;
	}
	rc = add(all, fd, path, false);
	if (rc != 0)
		return rc;
	all->first->dev = st.st_dev;
	all->first->ino = st.st_ino;
	log_info(NULL, "listen", "ldapi=%s", path);
	return 0;
}

int listeners_open(uv_loop_t *uv, const struct server_config *cfg,
		   void (*accepted)(void *ctx, int fd, bool is_local, bool is_tls), void *ctx,
		   struct listeners **out)
{
	struct listeners *all = mem_zalloc(1, sizeof(*all));
	unsigned i;
	int rc = 0;

	*out = NULL;
	if (all == NULL)
		return RC_NOMEM;
	all->uv = uv;
	all->accepted = accepted;
	all->ctx = ctx;
	all->reserve = open_reserve();
	for (i = 0; i < cfg->listen_ldap.n && rc == 0; i++)
		rc = listen_tcp(all, cfg->listen_ldap.items[i], false);
	for (i = 0; i < cfg->listen_ldaps.n && rc == 0; i++)
		rc = listen_tcp(all, cfg->listen_ldaps.items[i], true);
	for (i = 0; i < cfg->listen_ldapi.n && rc == 0; i++)
		rc = listen_local(all, cfg->listen_ldapi.items[i]);
	if (rc != 0)
		listeners_close(&all);
	*out = all;
	return rc;
}

static void remove_file(const struct listener *l)
{
	struct stat st;

	if (l->path != NULL && lstat(l->path, &st) == 0 && st.st_dev == l->dev &&
	    st.st_ino == l->ino)
		(void)unlink(l->path);
}

void listeners_close(struct listeners **lp)
{
	struct listeners *all = *lp;
	struct listener *l;

	*lp = NULL;
	if (all == NULL)
		return;
	all->is_closing = true;
	if (all->nopen == 0) {
		listeners_free(all);
		return;
	}
	for (l = all->first; l != NULL; l = l->next) {
		remove_file(l);
		uv_close((uv_handle_t *)&l->poll, on_closed);
	}
}
