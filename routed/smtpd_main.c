/*
 * table-waypost: the table process of OpenSMTPD. smtpd starts it for each `table NAME
 * waypost:SOCKET` of smtpd.conf; it asks routed's socketmap for NAME.
 *
 * smtpd ends when a table process does. So this one lives until smtpd goes: without an answer from
 * routed a look-up fails, smtpd defers the mail, and the next look-up connects anew.
 */
#include "lib/log.h"
#include "routed/netstring.h"
#include "routed/smtpd_table.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_S 5 /* smtpd looks up nothing else meanwhile */
#define NAME_MAX_BYTES 256

struct state {
	const char *path;
	char table[NAME_MAX_BYTES];
	int fd; /* to routed; -1: none */
	enum smtpd_protocol protocol;
	struct buf in, out, reply;
};

/* --- routed --- */

static bool connect_to(struct state *s)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	memcpy(addr.sun_path, s->path, strlen(s->path) + 1); /* main() has looked at its length */
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return false;
	if (setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
	    setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0 &&
	    connect(s->fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return true;
	close(s->fd);
	s->fd = -1;
	return false;
}

static bool send_all(int fd, struct span bytes)
{
	while (bytes.n != 0) {
		ssize_t n = write(fd, bytes.p, bytes.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes = span_from(bytes, (size_t)n);
	}
	return true;
}

/* More bytes into b; false at the end of the stream, after an error and without memory. */
static bool receive(int fd, struct buf *b)
{
	char piece[4096];
	ssize_t n;

	do {
		n = read(fd, piece, sizeof(piece));
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		buf_put(b, span_make(piece, (size_t)n));
	return n > 0 && buf_rc(b) == RC_OK;
}

/* One question and its answer on the connection there is. */
static bool exchange(struct state *s, struct span question, struct span *answer)
{
	size_t used;
	int rc;

	if (!send_all(s->fd, question))
		return false;
	buf_clear(&s->reply);
	do {
		if (!receive(s->fd, &s->reply))
			return false;
		rc = netstring_read(buf_span(&s->reply), NETSTRING_REPLY_MAX_BYTES, answer, &used);
	} while (rc == RC_MORE);
	return rc == RC_OK && used == s->reply.n;
}

static bool ask_once(struct state *s, struct span question, struct span *answer)
{
	if (s->fd < 0 && !connect_to(s))
		return false;
	if (exchange(s, question, answer))
		return true;
	close(s->fd);
	s->fd = -1;
	return false;
}

/* A connection that routed closed since the last question is no failure: once more. */
static bool ask(struct state *s, struct span key, struct span *answer)
{
	struct buf request, framed;
	bool had_one = s->fd >= 0;
	bool ok = false;

	buf_init(&request, SMTPD_REQUEST_MAX_BYTES + NAME_MAX_BYTES);
	buf_init(&framed, SMTPD_REQUEST_MAX_BYTES + NAME_MAX_BYTES + NETSTRING_OVERHEAD_BYTES);
	buf_printf(&request, "%s ", s->table);
	buf_put(&request, key);
	netstring_write(&framed, buf_span(&request));
	if (buf_rc(&request) == RC_OK && buf_rc(&framed) == RC_OK)
		ok = ask_once(s, buf_span(&framed), answer) ||
		     (had_one && ask_once(s, buf_span(&framed), answer));
	buf_fini(&request);
	buf_fini(&framed);
	return ok;
}

/* --- smtpd --- */

static enum smtpd_result look_up(struct state *s, struct span key, struct span *value)
{
	struct span word;

	if (!ask(s, key, value)) {
		*value = SPAN_LIT("no answer from routed");
		return SMTPD_FAILED;
	}
	(void)span_cut(value, ' ', &word);
	if (span_eq(word, SPAN_LIT("OK")))
		return SMTPD_FOUND;
	return span_eq(word, SPAN_LIT("NOTFOUND")) ? SMTPD_ABSENT : SMTPD_FAILED;
}

static void remember_name(struct state *s, struct span name)
{
	if (name.n != 0 && name.n < sizeof(s->table))
		(void)snprintf(s->table, sizeof(s->table), "%.*s", SPAN_ARG(name));
}

static void answer(struct state *s, const struct smtpd_request *q)
{
	struct span value = {NULL, 0};
	enum smtpd_result result = SMTPD_FOUND;
	char text[LOG_TEXT_BYTES];

	remember_name(s, q->table);
	if (q->kind == SMTPD_CHECK || q->kind == SMTPD_LOOKUP)
		result = look_up(s, q->key, &value);
	else if (q->kind == SMTPD_FETCH)
		result = SMTPD_ABSENT; /* there is no list of all domains */
	if (result == SMTPD_FAILED)
		log_warn(NULL, "table.failed", "table=%s why=\"%s\"", s->table,
			 log_text(value, text));
	smtpd_table_write(s->protocol, q, result, value, &s->out);
}

/* Answer what has come. RC_MORE when it is all answered. */
static int answer_all(struct state *s)
{
	struct smtpd_request q = {.kind = SMTPD_CONFIG};
	size_t used = 0;
	int rc;

	for (;;) {
		rc = smtpd_table_read(&s->protocol, buf_span(&s->in), &q, &used);
		if (rc != RC_OK)
			return rc;
		if (q.kind == SMTPD_CLOSE)
			return RC_OK;
		answer(s, &q);
		buf_consume(&s->in, used);
		if (!send_all(s->protocol == SMTPD_IMSG ? STDIN_FILENO : STDOUT_FILENO,
			      buf_span(&s->out)))
			return RC_IO;
		buf_clear(&s->out);
	}
}

static int serve(struct state *s)
{
	int rc = RC_MORE;

	while (rc == RC_MORE) {
		if (!receive(STDIN_FILENO, &s->in))
			return RC_OK; /* smtpd has gone */
		rc = answer_all(s);
	}
	if (rc != RC_OK)
		log_error(NULL, "table.ended", "why=\"smtpd: %s\"", rc_text(rc));
	return rc;
}

int main(int argc, char **argv)
{
	struct state s = {.fd = -1};
	int rc;

	if (argc != 2 || argv[1][0] == '-' || argv[1][0] == '\0' ||
	    strlen(argv[1]) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
		fprintf(stderr, "Usage: table-waypost SOCKET\n"
				"Table process for OpenSMTPD, see routed(8). SOCKET is the path of "
				"routed's socketmap.\n");
		return 2;
	}
	log_init("table-waypost", LOG_INFO);
	(void)signal(SIGPIPE, SIG_IGN);
	s.path = argv[1];
	remember_name(&s, span_of(argv[0]));
	buf_init(&s.in, 2 * SMTPD_REQUEST_MAX_BYTES);
	buf_init(&s.out, 2 * SMTPD_REQUEST_MAX_BYTES);
	buf_init(&s.reply, NETSTRING_REPLY_MAX_BYTES + NETSTRING_OVERHEAD_BYTES);
	rc = serve(&s);
	log_flush();
	buf_fini(&s.in);
	buf_fini(&s.out);
	buf_fini(&s.reply);
	if (s.fd >= 0)
		close(s.fd);
	return rc == RC_OK ? 0 : 1;
}
