#include "routed/inherit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD 3
#define PATIENCE_S 10
#define ADDRESS_BYTES 256

static void add(struct inherit *h, int fd)
{
	if (h->n == INHERIT_MAX) {
		close(fd);
		return;
	}
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	h->fds[h->n++] = fd;
}

void inherit_environment(struct inherit *h)
{
	const char *pid = getenv("LISTEN_PID");
	const char *count = getenv("LISTEN_FDS");
	long n = count != NULL ? strtol(count, NULL, 10) : 0;
	int fd;

	if (pid != NULL && strtol(pid, NULL, 10) == (long)getpid()) {
		for (fd = FIRST_FD; fd < FIRST_FD + n && n <= INHERIT_MAX; fd++)
			add(h, fd);
	}
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
}

static int dial(const char *path, int *out)
{
	struct timeval patience = {.tv_sec = PATIENCE_S};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;
	int rc = RC_OK;

	if (strlen(path) >= sizeof(addr.sun_path))
		return RC_INVALID;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return rc_from_errno(errno);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0 ||
	    connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0) {
		rc = errno == ECONNREFUSED ? RC_NOTFOUND : rc_from_errno(errno);
		close(fd);
		return rc;
	}
	*out = fd;
	return RC_OK;
}

static void collect(struct inherit *h, struct msghdr *message)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		size_t i;

		for (i = 0; i < n && c->cmsg_type == SCM_RIGHTS; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			add(h, fd);
		}
	}
}

static int receive(struct inherit *h, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(INHERIT_MAX * sizeof(int))];
	char text[64] = "";
	struct iovec v = {text, sizeof(text) - 1};
	struct msghdr message = {.msg_iov = &v,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EAGAIN ? RC_TIMEOUT : rc_from_errno(errno);
	collect(h, &message);
	return strncmp(text, "ok", 2) == 0 ? RC_OK : RC_UNSUPPORTED;
}

int inherit_ask(struct inherit *h, const char *control_path)
{
	static const char request[] = "handover\n";
	int fd = -1;
	int rc = dial(control_path, &fd);

	if (rc != RC_OK)
		return rc;
	if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(request) - 1)
		rc = RC_IO;
	if (rc == RC_OK)
		rc = receive(h, fd);
	close(fd);
	return rc;
}

static void write_inet(int family, const void *ip, in_port_t port, char *out)
{
	char text[INET6_ADDRSTRLEN] = "";

	(void)inet_ntop(family, ip, text, sizeof(text));
	(void)snprintf(out, ADDRESS_BYTES, family == AF_INET6 ? "inet:[%s]:%u" : "inet:%s:%u", text,
		       (unsigned)ntohs(port));
}

/* As it is written in routed.conf; empty: another kind of socket. */
static void write_address(int fd, char out[static ADDRESS_BYTES])
{
	struct sockaddr_storage addr = {0};
	const struct sockaddr_un *un = (const struct sockaddr_un *)&addr;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr;
	socklen_t n = sizeof(addr);

	out[0] = '\0';
	if (getsockname(fd, (struct sockaddr *)&addr, &n) != 0)
		return;
	if (addr.ss_family == AF_UNIX)
		(void)snprintf(out, ADDRESS_BYTES, "unix:%s", un->sun_path);
	else if (addr.ss_family == AF_INET)
		write_inet(AF_INET, &in->sin_addr, in->sin_port, out);
	else if (addr.ss_family == AF_INET6)
		write_inet(AF_INET6, &in6->sin6_addr, in6->sin6_port, out);
}

int inherit_take(struct inherit *h, const char *address)
{
	char bound[ADDRESS_BYTES];
	unsigned i;

	for (i = 0; i < h->n; i++) {
		int fd = h->fds[i];

		if (fd < 0)
			continue;
		write_address(fd, bound);
		if (strcmp(bound, address) != 0)
			continue;
		h->fds[i] = -1;
		return fd;
	}
	return -1;
}

unsigned inherit_close(struct inherit *h)
{
	unsigned closed = 0;
	unsigned i;

	for (i = 0; i < h->n; i++) {
		if (h->fds[i] < 0)
			continue;
		close(h->fds[i]);
		closed++;
	}
	h->n = 0;
	return closed;
}
