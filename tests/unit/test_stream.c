/* Streams (dird/stream.h): connecting, back-pressure, the end told exactly once. */
#include "tests/unit/unit.h"

#include "dird/stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_MS 30000

/* One stream as its owner sees it. */
struct peer {
	struct loop *loop;
	struct stream *stream;
	const char *host;
	unsigned port;
	int fd; /* to accept */
	int start_rc;
	size_t want_bytes; /* to write as soon as the stream lets us */
	size_t written;
	size_t take; /* at most so many bytes are consumed a call; 0: all */
	atomic_size_t received;
	atomic_int started, ready, drained, closed, close_rc;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void wait_for(atomic_int *value, int want, const char *what)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	uint64_t end = now_ms() + DEADLINE_MS;

	while (atomic_load(value) < want) {
		if (now_ms() > end)
			fail_msg("not in time: %s", what);
		nanosleep(&pause, NULL);
	}
}

static void write_more(struct peer *p)
{
	static const uint8_t chunk[10000];

	while (p->written < p->want_bytes && !stream_is_full(p->stream)) {
		assert_int_equal(stream_write(p->stream, span_make(chunk, sizeof(chunk))), 0);
		p->written += sizeof(chunk);
	}
	if (p->want_bytes != 0 && p->written >= p->want_bytes)
		stream_close(p->stream);
}

static void on_ready(void *ctx)
{
	struct peer *p = ctx;

	atomic_fetch_add(&p->ready, 1);
	write_more(p);
}

static size_t on_read(void *ctx, struct span bytes)
{
	struct peer *p = ctx;
	size_t n = p->take != 0 && p->take < bytes.n ? p->take : bytes.n;

	atomic_fetch_add(&p->received, n);
	return n;
}

static void on_drain(void *ctx)
{
	struct peer *p = ctx;

	atomic_fetch_add(&p->drained, 1);
	write_more(p);
}

static void on_close(void *ctx, int rc, const char *text)
{
	struct peer *p = ctx;

	(void)text;
	p->stream = NULL;
	atomic_store(&p->close_rc, rc);
	atomic_fetch_add(&p->closed, 1);
}

static const struct stream_callbacks callbacks = {on_ready, on_read, on_drain, on_close};

static void start_connect(void *arg)
{
	struct peer *p = arg;

	p->start_rc =
		stream_connect(p->loop, p->host, p->port, NULL, NULL, 0, &callbacks, p, &p->stream);
	atomic_store(&p->started, 1);
}

static void start_accept(void *arg)
{
	struct peer *p = arg;

	p->start_rc = stream_accept(p->loop, p->fd, false, NULL, &callbacks, p, &p->stream);
	atomic_store(&p->started, 1);
}

static void start_abort(void *arg)
{
	struct peer *p = arg;

	start_connect(p);
	if (p->stream != NULL)
		stream_abort(p->stream, RC_TIMEOUT, "enough");
}

static void post(struct peer *p, struct loop *l, void (*fn)(void *))
{
	p->loop = l;
	assert_int_equal(loop_post(l, fn, p), 0);
	wait_for(&p->started, 1, "start");
	assert_int_equal(p->start_rc, 0);
}

static int listener(unsigned *port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	*port = ntohs(sa.sin_port);
	return fd;
}

static void run_pair(const char *host, size_t bytes, size_t take)
{
	struct peer client = {.host = host, .want_bytes = bytes}, server = {.take = take};
	struct loop *l;
	int fd = listener(&client.port);

	assert_int_equal(loop_start("test", &l), 0);
	post(&client, l, start_connect);
	wait_for(&client.ready, 1, "connection");
	server.fd = accept(fd, NULL, NULL);
	assert_true(server.fd >= 0);
	post(&server, l, start_accept);
	wait_for(&client.closed, 1, "end of the client");
	wait_for(&server.closed, 1, "end of the server");
	assert_int_equal(client.close_rc, RC_CLOSED);
	assert_int_equal(server.close_rc, RC_CLOSED);
	if (take == 0)
		assert_int_equal(server.received, client.written);
	assert_int_equal(client.ready, 1);
	assert_int_equal(server.ready, 0);
	loop_stop(&l);
	assert_int_equal(client.closed, 1);
	assert_int_equal(server.closed, 1);
	close(fd);
}

static void small_and_large(void **state)
{
	(void)state;
	run_pair("127.0.0.1", 1, 0);
	run_pair("127.0.0.1", 20 * 1024 * 1024, 0); /* many times the high mark: drains */
	run_pair("127.0.0.1", 50000, 100);          /* what is left over is given again */
}

/* localhost may be ::1 first, where nobody listens here: the next address is tried. */
static void next_address(void **state)
{
	(void)state;
	run_pair("localhost", 1000, 0);
}

static void failures(void **state)
{
	/* over 63 bytes: no name, so nobody is asked for it */
	static const char long_label[] =
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
	struct peer refused = {.host = "localhost"}, nowhere = {.host = long_label};
	struct peer aborted = {.host = "localhost"};
	struct loop *l;
	int fd = listener(&refused.port);

	(void)state;
	aborted.port = refused.port;
	close(fd); /* the port is free again: connecting is refused */
	assert_int_equal(loop_start("test", &l), 0);
	post(&refused, l, start_connect);
	post(&nowhere, l, start_connect);
	post(&aborted, l, start_abort);
	wait_for(&refused.closed, 1, "refusal");
	wait_for(&nowhere.closed, 1, "no such host");
	wait_for(&aborted.closed, 1, "abort");
	assert_int_not_equal(refused.close_rc, RC_CLOSED);
	assert_int_not_equal(refused.close_rc, 0);
	assert_int_equal(nowhere.close_rc, RC_NOTFOUND);
	assert_int_equal(aborted.close_rc, RC_TIMEOUT);
	loop_stop(&l);
	assert_int_equal(refused.closed + nowhere.closed + aborted.closed, 3);
	assert_int_equal(refused.ready + nowhere.ready + aborted.ready, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(small_and_large),
		unit_heap_test(next_address),
		unit_heap_test(failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
