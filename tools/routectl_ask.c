#include "tools/routectl_ask.h"

#include "routed/settings.h"
#include "tools/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_BYTES ((size_t)64 * 1024)

static int connect_to(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0) {
		int err = errno;

		(void)close(fd);
		errno = err;
		fd = -1;
	}
	return fd;
}

static bool send_all(int fd, const char *line)
{
	struct span rest = span_of(line);

	while (rest.n != 0) {
		ssize_t n = send(fd, rest.p, rest.n, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		rest = span_from(rest, (size_t)n);
	}
	return send(fd, "\n", 1, MSG_NOSIGNAL) == 1;
}

static bool read_all(int fd, struct buf *reply)
{
	for (;;) {
		uint8_t *room = buf_extend(reply, READ_BYTES);
		ssize_t n;

		if (room == NULL)
			return false;
		n = read(fd, room, READ_BYTES);
		buf_truncate(reply, reply->n - READ_BYTES + (n > 0 ? (size_t)n : 0));
		if (n == 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
	}
}

bool routectl_reply_check(struct span reply)
{
	struct span text;

	if (!span_starts(reply, SPAN_LIT("error: ")))
		return true;
	text = span_trim(span_from(reply, 7));
	cli_error("%.*s", SPAN_ARG(text));
	return false;
}

static bool exchange(const char *path, const char *line, struct buf *reply)
{
	int fd = connect_to(path);
	bool ok;

	if (fd < 0) {
		cli_error("routed does not answer at %s: %s", path, strerror(errno));
		cli_hint("is it running? see routed(8)");
		return false;
	}
	ok = send_all(fd, line) && read_all(fd, reply);
	(void)close(fd);
	if (!ok) {
		cli_error("%s: the answer broke off", path);
		return false;
	}
	return routectl_reply_check(buf_span(reply));
}

/* What is wrong has been said. */
static int read_settings(const char *config, struct arena *a, struct settings *out)
{
	struct buf errors;
	int rc;

	buf_init(&errors, (size_t)64 * 1024);
	rc = settings_read(config, a, out, &errors);
	if (rc != RC_OK)
		cli_error("%s", errors.n != 0 ? buf_cstr(&errors) : rc_text(rc));
	buf_fini(&errors);
	return rc;
}

char *routectl_organisation(const char *config)
{
	struct settings settings;
	struct arena a;
	char *root = NULL;

	arena_init(&a);
	if (read_settings(config, &a, &settings) == RC_OK)
		root = mem_strdup(settings.organisation);
	arena_fini(&a);
	return root;
}

bool routectl_ask(const char *config, const char *line, struct buf *reply)
{
	struct settings settings;
	struct arena a;
	bool ok;

	arena_init(&a);
	ok = read_settings(config, &a, &settings) == RC_OK &&
	     exchange(settings.control, line, reply);
	arena_fini(&a);
	return ok;
}
