#include "tools/hub.h"

#include "dird/tls.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "tools/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIMEOUT_MS 15000
#define MESSAGE_MAX_BYTES (16u << 20)
#define READ_BYTES 16384
#define LDAPS_PORT "636"

struct hub {
	char *uri;
	struct tls_context *context;
	struct tls *tls;
	int fd;
	uint64_t deadline_ms;
	struct buf in, out; /* plain bytes received; bytes to send */
	int32_t last_id;
};

static int fail(const struct hub *h, int rc, const char *what)
{
	cli_error("%s: %s", h->uri, what);
	return rc;
}

static uint64_t now_ms(void)
{
	return clock_system.mono_ms(&clock_system);
}

/* --- bytes --- */

static int wait_for(struct hub *h, short events)
{
	struct pollfd p = {.fd = h->fd, .events = events};
	uint64_t now = now_ms();
	int n;

	do {
		n = now < h->deadline_ms ? poll(&p, 1, (int)(h->deadline_ms - now)) : 0;
		now = now_ms();
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return RC_OK;
	return fail(h, n == 0 ? RC_TIMEOUT : RC_IO, n == 0 ? "no answer in time" : strerror(errno));
}

static int send_out(struct hub *h)
{
	ssize_t n;
	int rc = buf_rc(&h->out);

	while (rc == RC_OK && h->out.n != 0) {
		n = send(h->fd, h->out.p, h->out.n, MSG_NOSIGNAL);
		if (n > 0)
			buf_consume(&h->out, (size_t)n);
		else if (n < 0 && (errno == EAGAIN || errno == EINTR))
			rc = wait_for(h, POLLOUT);
		else
			rc = fail(h, RC_IO, strerror(errno));
	}
	return rc;
}

static int receive(struct hub *h)
{
	uint8_t block[READ_BYTES];
	ssize_t n;
	int rc = wait_for(h, POLLIN);

	if (rc != RC_OK)
		return rc;
	n = recv(h->fd, block, sizeof(block), 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return RC_OK;
	if (n < 0)
		return fail(h, RC_IO, strerror(errno));
	if (n == 0)
		return fail(h, RC_CLOSED, "closed the connection");
	rc = tls_feed(h->tls, span_make(block, (size_t)n), &h->in, &h->out);
	if (rc == RC_CLOSED && h->in.n == 0)
		return fail(h, rc, "closed the connection");
	if (rc != RC_OK && rc != RC_CLOSED)
		return fail(h, RC_REFUSED,
			    *tls_error(h->tls) != '\0' ? tls_error(h->tls) : rc_text(rc));
	return send_out(h);
}

/* --- connecting --- */

/* "ldaps://host:port": both in the arena. */
static int split_uri(const char *uri, struct arena *a, char **host, const char **port)
{
	static const char scheme[] = "ldaps://";
	char *rest, *colon;

	if (strncasecmp(uri, scheme, sizeof(scheme) - 1) != 0)
		return RC_INVALID;
	rest = arena_str(a, span_of(uri + sizeof(scheme) - 1));
	if (rest == NULL)
		return RC_NOMEM;
	rest[strcspn(rest, "/")] = '\0';
	*port = LDAPS_PORT;
	if (rest[0] == '[') {
		colon = strchr(rest, ']');
		if (colon == NULL)
			return RC_INVALID;
		*colon++ = '\0';
		rest++;
	} else {
		colon = strrchr(rest, ':');
	}
	if (colon != NULL && *colon == ':') {
		*port = colon + 1;
		*colon = '\0';
	}
	*host = rest;
	return *rest != '\0' ? RC_OK : RC_INVALID;
}

static int try_connect(struct hub *h, const struct addrinfo *ai)
{
	socklen_t n = sizeof(int);
	int err = 0, rc;

	h->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (h->fd < 0)
		return rc_from_errno(errno);
	if (connect(h->fd, ai->ai_addr, ai->ai_addrlen) == 0)
		return RC_OK;
	if (errno == EINPROGRESS) {
		rc = wait_for(h, POLLOUT);
		if (rc != RC_OK)
			return rc;
		if (getsockopt(h->fd, SOL_SOCKET, SO_ERROR, &err, &n) == 0 && err == 0)
			return RC_OK;
		errno = err;
	}
	rc = rc_from_errno(errno);
	cli_error("%s: %s", h->uri, strerror(errno));
	close(h->fd);
	h->fd = -1;
	return rc;
}

static int connect_any(struct hub *h, const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *ai;
	int rc = RC_NOTFOUND, err = getaddrinfo(host, port, &hints, &list);

	if (err != 0)
		return fail(h, rc, gai_strerror(err));
	for (ai = list; ai != NULL && rc != RC_OK; ai = ai->ai_next)
		rc = try_connect(h, ai);
	freeaddrinfo(list);
	return rc;
}

static int shake_hands(struct hub *h, const struct hub_options *o, const char *host)
{
	const struct tls_config cfg = {.certificate = o->certificate, .key = o->key};
	uint8_t pin[1][TLS_PIN_BYTES];
	struct buf why;
	int rc;

	if (tls_pin_parse(span_of(o->pin), pin[0]) != RC_OK)
		return fail(h, RC_INVALID, "the pin of its key is malformed");
	buf_init(&why, 4096);
	rc = tls_context_new(&cfg, &h->context, &why);
	if (rc == RC_OK)
		rc = tls_connect_new(h->context, host, (const uint8_t(*)[TLS_PIN_BYTES])pin, 1,
				     &h->tls);
	if (rc != RC_OK)
		(void)fail(h, rc, why.n != 0 ? buf_cstr(&why) : rc_text(rc));
	buf_fini(&why);
	if (rc == RC_OK)
		rc = tls_feed(h->tls, SPAN_LIT(""), &h->in, &h->out);
	if (rc == RC_OK)
		rc = send_out(h);
	while (rc == RC_OK && !tls_is_ready(h->tls))
		rc = receive(h);
	return rc;
}

int hub_open(const struct hub_options *o, struct hub **out)
{
	struct hub *h = mem_zalloc(1, sizeof(*h));
	const char *port;
	struct arena a;
	char *host;
	int rc;

	*out = NULL;
	if (h == NULL)
		return RC_NOMEM;
	h->fd = -1;
	h->deadline_ms = now_ms() + TIMEOUT_MS;
	buf_init(&h->in, MESSAGE_MAX_BYTES);
	buf_init(&h->out, MESSAGE_MAX_BYTES);
	arena_init(&a);
	h->uri = mem_strdup(o->uri);
	rc = h->uri != NULL ? split_uri(o->uri, &a, &host, &port) : RC_NOMEM;
	if (rc == RC_INVALID)
		(void)fail(h, rc, "not a ldaps:// URI");
	if (rc == RC_OK)
		rc = connect_any(h, host, port);
	if (rc == RC_OK)
		rc = shake_hands(h, o, host);
	arena_fini(&a);
	if (rc != RC_OK)
		hub_close(&h);
	*out = h;
	return rc;
}

void hub_close(struct hub **h)
{
	struct hub *hub = *h;

	if (hub == NULL)
		return;
	if (hub->fd >= 0)
		close(hub->fd);
	tls_free(&hub->tls);
	tls_context_free(&hub->context);
	buf_fini(&hub->in);
	buf_fini(&hub->out);
	mem_free(hub->uri);
	mem_free(hub);
	*h = NULL;
}

/* --- messages --- */

static int send_message(struct hub *h, const struct buf *message)
{
	int rc = buf_rc(message);

	h->deadline_ms = now_ms() + TIMEOUT_MS;
	if (rc == RC_OK)
		rc = tls_write(h->tls, buf_span(message), &h->out);
	return rc == RC_OK ? send_out(h) : rc;
}

/* The next message, copied into the arena. */
static int next_message(struct hub *h, struct arena *a, struct msg *out)
{
	const char *why = "malformed";
	struct span frame;
	bool fatal;
	size_t n;
	int rc;

	for (;;) {
		rc = tlv_frame(buf_span(&h->in), TLV_SEQUENCE, &n);
		if (rc == RC_OK && n <= h->in.n)
			break;
		if (rc == RC_INVALID || (rc == RC_OK && n > MESSAGE_MAX_BYTES))
			return fail(h, RC_INVALID, "answers something that is not LDAP");
		rc = receive(h);
		if (rc != RC_OK)
			return rc;
	}
	frame = arena_span(a, span_head(buf_span(&h->in), n));
	if (frame.p == NULL)
		return RC_NOMEM;
	buf_consume(&h->in, n);
	rc = msg_read(frame, a, out, &fatal, &why);
	return rc == RC_OK ? RC_OK : fail(h, rc, why);
}

static int check_result(const struct hub *h, const char *what, const struct msg_result *r)
{
	char text[300];
	size_t i, n = r->text.n < sizeof(text) ? r->text.n : sizeof(text);

	if (r->code == 0)
		return RC_OK;
	for (i = 0; i < n; i++)
		text[i] = (char)(r->text.p[i] < 0x20 || r->text.p[i] == 0x7f ? '?' : r->text.p[i]);
	cli_error("%s: %s: %s (%d)%s%.*s", h->uri, what, result_name((enum ldap_result)r->code),
		  (int)r->code, n != 0 ? ": " : "", (int)n, text);
	return RC_REFUSED;
}

/* Answers until the final one of kind `done`; an entry on the way is kept. */
static int collect(struct hub *h, struct arena *a, enum msg_op done, const char *what,
		   struct msg_entry *entry, bool *found)
{
	struct msg m;
	int rc;

	while ((rc = next_message(h, a, &m)) == RC_OK) {
		if (m.id == 0 && m.op == MSG_EXTENDED_RESPONSE) {
			rc = check_result(h, "disconnects", &m.u.result);
			return rc == RC_REFUSED ? RC_CLOSED : rc; /* no answer to the request */
		}
		if (m.id != h->last_id)
			continue;
		if (m.op == done)
			return check_result(h, what, &m.u.result);
		if (m.op == MSG_SEARCH_ENTRY && entry != NULL) {
			*entry = m.u.entry;
			*found = true;
		}
	}
	return rc;
}

int hub_bind(struct hub *h, const char *dn, const char *password)
{
	struct arena a;
	size_t whole, bind;
	struct buf b;
	int rc;

	arena_init(&a);
	buf_init(&b, 65536);
	whole = tlv_open(&b, TLV_SEQUENCE);
	tlv_put_int(&b, TLV_INTEGER, ++h->last_id);
	bind = tlv_open(&b, TLV_APP_CONS(MSG_BIND_REQUEST));
	tlv_put_int(&b, TLV_INTEGER, 3);
	tlv_put(&b, TLV_OCTETS, span_of(dn));
	tlv_put(&b, TLV_CONTEXT(0), span_of(password));
	tlv_close(&b, bind);
	tlv_close(&b, whole);
	rc = send_message(h, &b);
	if (rc == RC_OK)
		rc = collect(h, &a, MSG_BIND_RESPONSE, "bind with the token", NULL, NULL);
	if (b.p != NULL)
		explicit_bzero(b.p, b.n);
	buf_fini(&b);
	arena_fini(&a);
	return rc;
}

int hub_read(struct hub *h, struct arena *a, const char *dn, const char *const *attrs,
	     struct msg_entry *out)
{
	struct msg_search s = {.base = span_of(dn)};
	bool found = false;
	struct buf filter, b;
	unsigned i;
	int rc;

	while (attrs[s.nattrs] != NULL)
		s.nattrs++;
	s.attrs = arena_zalloc(a, s.nattrs, sizeof(*s.attrs));
	if (s.attrs == NULL)
		return RC_NOMEM;
	for (i = 0; i < s.nattrs; i++)
		s.attrs[i] = span_of(attrs[i]);
	buf_init(&filter, 64);
	buf_init(&b, 65536);
	tlv_put(&filter, TLV_CONTEXT(7), SPAN_LIT("objectClass"));
	s.filter = buf_span(&filter);
	msg_write_search(&b, ++h->last_id, &s, NULL, 0);
	rc = send_message(h, &b);
	if (rc == RC_OK)
		rc = collect(h, a, MSG_SEARCH_DONE, dn, out, &found);
	if (rc == RC_OK && !found) {
		cli_error("%s: %s: no such entry", h->uri, dn);
		rc = RC_NOTFOUND;
	}
	buf_fini(&filter);
	buf_fini(&b);
	return rc;
}

int hub_extended(struct hub *h, const char *oid, struct span value)
{
	struct arena a;
	struct buf b;
	int rc;

	arena_init(&a);
	buf_init(&b, MESSAGE_MAX_BYTES);
	msg_write_extended(&b, ++h->last_id, oid, value);
	rc = send_message(h, &b);
	if (rc == RC_OK)
		rc = collect(h, &a, MSG_EXTENDED_RESPONSE, "enrolment", NULL, NULL);
	buf_fini(&b);
	arena_fini(&a);
	return rc;
}
