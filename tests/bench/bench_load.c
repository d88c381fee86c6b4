/* bench_load: see usage(). One line of JSON on standard output. */
#include "tests/bench/load.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BIND_ID 2000000
#define ADMIN "cn=admin,o=Example"
#define PAGE 500
#define STALL_S 120 /* nothing came for so long: give up */

/* --- latencies: 32 steps to a power of two ---------------------------------------------------- */

struct histogram {
	uint64_t at[64 * 32], n;
};

static void note(struct histogram *h, uint64_t ns)
{
	unsigned log = 63 - (unsigned)__builtin_clzll(ns | 32);

	h->at[log * 32 + (ns >> (log - 5) & 31)]++;
	h->n++;
}

static double percentile(const struct histogram *h, double p)
{
	uint64_t want = (uint64_t)((double)h->n * p), seen = 0;
	unsigned i;

	for (i = 0; i < 64 * 32; i++) {
		seen += h->at[i];
		if (seen > want)
			return (double)((32 + i % 32) << (i / 32 - 5)) / 1000;
	}
	return 0;
}

/* --- state ------------------------------------------------------------------------------------ */

struct slot {
	uint64_t start;
	int64_t entries;
	bool is_busy;
	struct expect e;
};

struct conn {
	int fd;
	enum { CONNECTING, SHAKING, BINDING, READY } state;
	SSL *ssl;
	struct buf in, out;
	struct slot *slots;
	uint64_t start;
	struct buf cookie;
	uint64_t listed; /* entries of this paged scan */
	bool wants_out;
};

static struct run {
	struct load l;
	struct sockaddr_in server;
	SSL_CTX *tls;
	SSL_SESSION *session;
	bool resume;
	int epoll, pid;
	unsigned nconns, depth, ready;
	uint64_t begin, end, count, warm_ns;
	uint64_t issued, done, entries, errors, last_news;
	bool is_counting;
	struct histogram reads, writes;
	uint64_t cpu, own, written, anon_kb;
	struct conn *conns;
} r;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t cpu_of(int pid)
{
	struct timespec t = {0, 0};
	clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;

	if (pid != 0 && clock_getcpuclockid(pid, &clock) != 0)
		return 0;
	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A number behind a word in a file of /proc/PID; 0 if there is none. */
static uint64_t proc_number(const char *name, const char *word)
{
	char path[64], line[128];
	unsigned long long n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", r.pid, name);
	f = r.pid != 0 ? fopen(path, "re") : NULL;
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, word, strlen(word)) == 0)
			n = strtoull(line + strlen(word), NULL, 10);
	}
	if (f != NULL)
		fclose(f);
	return n;
}

/* Bytes given to write calls: what was asked for, not what the page cache makes of it. */
static uint64_t written(void)
{
	return proc_number("io", "wchar:");
}

/* Memory of the server that is no map of a file. */
static uint64_t anon_kb(void)
{
	return proc_number("status", "RssAnon:");
}

_Noreturn static void die(const char *what)
{
	fprintf(stderr, "bench_load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void wrong(const char *what, struct span bytes)
{
	size_t i;

	if (r.errors++ >= 5)
		return;
	fprintf(stderr, "wrong answer (%s): ", what);
	for (i = 0; i < bytes.n && i < 200; i++)
		fputc(bytes.p[i] >= 0x20 && bytes.p[i] < 0x7f ? bytes.p[i] : '.', stderr);
	fputc('\n', stderr);
}

static void start_counting(void)
{
	r.is_counting = true;
	r.begin = now();
	r.cpu = cpu_of(r.pid);
	r.own = cpu_of(0);
	r.written = written();
}

/* --- sending ---------------------------------------------------------------------------------- */

static void watch(struct conn *c, bool out)
{
	struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c};

	if (c->wants_out == out)
		return;
	c->wants_out = out;
	if (epoll_ctl(r.epoll, EPOLL_CTL_MOD, c->fd, &e) != 0)
		die("epoll_ctl");
}

static void flush(struct conn *c)
{
	ssize_t n = 0;
	size_t done;

	while (c->out.n != 0) {
		if (c->ssl != NULL)
			n = SSL_write_ex(c->ssl, c->out.p, c->out.n, &done) == 1 ? (ssize_t)done
										 : -1;
		else
			n = send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL);
		if (n <= 0)
			break;
		buf_consume(&c->out, (size_t)n);
	}
	if (n < 0 && c->ssl == NULL && errno != EAGAIN)
		die("send");
	watch(c, c->out.n != 0);
}

static bool may_start(void)
{
	if (r.count != 0)
		return r.issued < r.count;
	return r.end == 0 || now() < r.end;
}

static void request(struct conn *c, unsigned at)
{
	struct slot *s = &c->slots[at];
	struct buf *out = &c->out;
	size_t mark;

	if (s->is_busy || !may_start())
		return;
	mark = tlv_open(out, TLV_SEQUENCE);
	tlv_put_int(out, TLV_INTEGER, (int64_t)at + 1);
	if (r.l.kind->manner == PAGED)
		build_page(out, PAGE, buf_span(&c->cookie), &s->e);
	else
		r.l.kind->build(&r.l, out, &s->e);
	tlv_close(out, mark);
	must(buf_rc(out) == 0);
	s->is_busy = true;
	s->entries = 0;
	s->start = r.l.kind->manner == RECONNECT ? c->start : now();
	r.issued++;
}

static void fill(struct conn *c)
{
	unsigned i;

	for (i = 0; i < r.depth; i++)
		request(c, i);
}

/* --- connections ------------------------------------------------------------------------------ */

static void open_conn(struct conn *c)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
	int one = 1;

	c->start = now();
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->fd, (struct sockaddr *)&r.server, sizeof(r.server)) != 0 &&
	    errno != EINPROGRESS)
		die("connect");
	c->state = CONNECTING;
	c->wants_out = true;
	if (epoll_ctl(r.epoll, EPOLL_CTL_ADD, c->fd, &e) != 0)
		die("epoll_ctl");
}

static void close_conn(struct conn *c)
{
	struct linger now_gone = {1, 0}; /* no TIME-WAIT: ports would run out */

	if (c->ssl != NULL) {
		if (r.resume) {
			SSL_SESSION_free(r.session);
			r.session = SSL_get1_session(c->ssl);
			/* OpenSSL takes a session for bad whose end was not told. */
			SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		}
		SSL_free(c->ssl);
	}
	c->ssl = NULL;
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now_gone, sizeof(now_gone));
	close(c->fd);
	buf_clear(&c->in);
	buf_clear(&c->out);
}

static void become_ready(struct conn *c)
{
	struct expect e;
	size_t mark;

	if (r.l.kind->is_admin && c->state != BINDING) {
		c->state = BINDING;
		mark = tlv_open(&c->out, TLV_SEQUENCE);
		tlv_put_int(&c->out, TLV_INTEGER, BIND_ID);
		build_bind(&c->out, ADMIN, PEOPLE_PASSWORD, &e);
		tlv_close(&c->out, mark);
		return;
	}
	c->state = READY;
	if (r.ready < r.nconns && ++r.ready == r.nconns) {
		unsigned i;

		if (r.warm_ns == 0)
			start_counting();
		else
			r.begin = now() + r.warm_ns;
		if (r.end != 0)
			r.end += now() + r.warm_ns;
		for (i = 0; i < r.nconns; i++) {
			fill(&r.conns[i]);
			flush(&r.conns[i]);
		}
	} else if (r.ready == r.nconns) {
		fill(c);
	}
}

static void shake(struct conn *c)
{
	int n = SSL_do_handshake(c->ssl);

	if (n == 1)
		become_ready(c);
	else if (SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ)
		watch(c, false);
	else if (SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_WRITE)
		die("TLS handshake");
}

static void on_connected(struct conn *c)
{
	int err = 0;
	socklen_t n = sizeof(err);

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &n);
	errno = err;
	if (err != 0)
		die("connect");
	if (r.tls == NULL) {
		become_ready(c);
		return;
	}
	c->ssl = SSL_new(r.tls);
	must(c->ssl != NULL && SSL_set_fd(c->ssl, c->fd) == 1);
	SSL_set_connect_state(c->ssl);
	if (r.session != NULL)
		SSL_set_session(c->ssl, r.session);
	c->state = SHAKING;
	shake(c);
}

/* --- receiving -------------------------------------------------------------------------------- */

static void take_cookie(struct conn *c, struct span controls)
{
	struct span list, control, oid, value, seq, cookie;
	int64_t size;

	buf_clear(&c->cookie);
	if (tlv_expect(&controls, TLV_CONTEXT_CONS(0), &list) != 0 ||
	    tlv_expect(&list, TLV_SEQUENCE, &control) != 0 ||
	    tlv_expect(&control, TLV_OCTETS, &oid) != 0 ||
	    tlv_expect(&control, TLV_OCTETS, &value) != 0 ||
	    tlv_expect(&value, TLV_SEQUENCE, &seq) != 0 ||
	    tlv_read_int(&seq, TLV_INTEGER, &size) != 0 ||
	    tlv_expect(&seq, TLV_OCTETS, &cookie) != 0) {
		wrong("no page control", controls);
		return;
	}
	buf_put(&c->cookie, cookie);
}

static void finish(struct conn *c, unsigned at, struct span body, struct span controls)
{
	struct slot *s = &c->slots[at];
	uint64_t t = now();
	int64_t code = -1;
	struct span rest = body;

	if (tlv_read_int(&rest, TLV_ENUM, &code) != 0 || code != s->e.code)
		wrong("result code", body);
	if (s->e.entries >= 0 && s->entries != s->e.entries) {
		char text[80];

		snprintf(text, sizeof(text), "%lld entries instead of %lld", (long long)s->entries,
			 (long long)s->e.entries);
		wrong(text, body);
	}
	if (r.l.kind->manner == PAGED) {
		c->listed += (uint64_t)s->entries;
		take_cookie(c, controls);
		if (c->cookie.n == 0) {
			if (c->listed != r.l.people)
				wrong("a scan of another number of entries", body);
			c->listed = 0;
		}
	}
	s->is_busy = false;
	r.last_news = t;
	if (!r.is_counting && r.warm_ns != 0 && t >= r.begin)
		start_counting();
	if (!r.is_counting)
		return;
	r.done++;
	r.entries += (uint64_t)s->entries;
	note(s->e.is_write ? &r.writes : &r.reads, t - s->start);
}

/* false: the connection is closed. */
static bool message(struct conn *c, struct span whole)
{
	struct span body;
	struct tlv op;
	int64_t id;
	struct slot *s;

	must(tlv_expect(&whole, TLV_SEQUENCE, &body) == 0);
	if (tlv_read_int(&body, TLV_INTEGER, &id) != 0 || tlv_next(&body, &op) != 0) {
		wrong("malformed", whole);
		return true;
	}
	if (id == BIND_ID) {
		if (op.body.n < 3 || op.body.p[2] != 0)
			wrong("bind of the administrator", op.body);
		become_ready(c);
		return true;
	}
	if (id < 1 || id > r.depth || !c->slots[id - 1].is_busy) {
		wrong("message id", op.body);
		return true;
	}
	s = &c->slots[id - 1];
	if (op.tag == TLV_APP_CONS(4)) {
		s->entries++;
		if (s->e.needle[0] != '\0' &&
		    memmem(op.body.p, op.body.n, s->e.needle, strlen(s->e.needle)) == NULL)
			wrong("another entry", op.body);
		return true;
	}
	if (op.tag == TLV_APP_CONS(25) && r.l.kind->is_admin)
		return true; /* sync info */
	if (op.tag != s->e.done_tag)
		wrong("kind of message", op.whole);
	finish(c, (unsigned)id - 1, op.body, body);
	if (r.l.kind->manner == RECONNECT) {
		close_conn(c);
		if (may_start())
			open_conn(c);
		else
			c->fd = -1;
		return false;
	}
	request(c, (unsigned)id - 1);
	return true;
}

static bool take_messages(struct conn *c)
{
	struct span rest = buf_span(&c->in);
	size_t total;

	while (tlv_frame(rest, TLV_SEQUENCE, &total) == 0 && total <= rest.n) {
		struct span whole = span_head(rest, total);

		rest = span_from(rest, total);
		if (!message(c, whole))
			return false;
	}
	buf_consume(&c->in, c->in.n - rest.n);
	return true;
}

static void on_event(struct conn *c, unsigned events)
{
	static char chunk[1 << 18];
	size_t got;
	ssize_t n;

	if (c->state == CONNECTING) {
		if (events & (EPOLLOUT | EPOLLERR))
			on_connected(c);
	} else if (c->state == SHAKING) {
		shake(c);
	}
	if (c->state >= BINDING) {
		for (;;) {
			if (c->ssl != NULL)
				n = SSL_read_ex(c->ssl, chunk, sizeof(chunk), &got) == 1
					    ? (ssize_t)got
					    : -1;
			else
				n = recv(c->fd, chunk, sizeof(chunk), 0);
			if (n == 0 || (n < 0 && c->ssl == NULL && errno != EAGAIN))
				die("closed by the server");
			if (n < 0)
				break;
			buf_put(&c->in, span_make(chunk, (size_t)n));
			must(buf_rc(&c->in) == 0);
			if (!take_messages(c))
				return;
			if (c->ssl == NULL)
				break;
		}
		flush(c);
	}
}

/* --- the run ---------------------------------------------------------------------------------- */

static bool is_over(void)
{
	unsigned i, k;

	if (r.ready < r.nconns || may_start())
		return false;
	for (i = 0; i < r.nconns; i++) {
		for (k = 0; k < r.depth; k++) {
			if (r.conns[i].slots[k].is_busy)
				return false;
		}
		if (r.l.kind->manner == RECONNECT && r.conns[i].fd >= 0 && r.done < r.count)
			return false;
	}
	return true;
}

static void run(void)
{
	struct epoll_event e[256];
	unsigned i;
	int n, k;

	r.epoll = epoll_create1(EPOLL_CLOEXEC);
	r.conns = calloc(r.nconns, sizeof(*r.conns));
	must(r.conns != NULL);
	for (i = 0; i < r.nconns; i++) {
		struct conn *c = &r.conns[i];

		c->slots = calloc(r.depth, sizeof(*c->slots));
		must(c->slots != NULL);
		buf_init(&c->in, 1 << 28);
		buf_init(&c->out, 1 << 24);
		buf_init(&c->cookie, 1 << 16);
		open_conn(c);
	}
	r.last_news = now();
	while (!is_over()) {
		n = epoll_wait(r.epoll, e, 256, 1000);
		for (k = 0; k < n; k++)
			on_event(e[k].data.ptr, e[k].events);
		if (now() - r.last_news > (uint64_t)STALL_S * 1000000000u) {
			errno = ETIMEDOUT;
			die("the server");
		}
	}
}

static void idle(unsigned n)
{
	while (n-- != 0) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		/* addresses of their own: the ports of one would not do for tens of thousands */
		struct sockaddr_in from = {.sin_family = AF_INET,
					   .sin_addr.s_addr = htonl(0x7f000002 + n / 20000)};

		if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0 ||
		    connect(fd, (struct sockaddr *)&r.server, sizeof(r.server)) != 0)
			die("idle connection");
	}
}

static void report(void)
{
	const struct histogram *h = r.reads.n != 0 ? &r.reads : &r.writes;
	double seconds = (double)(now() - r.begin) / 1e9;
	double per = (double)(r.l.kind->per_entry ? r.entries : r.done);
	double cpu = (double)(cpu_of(r.pid) - r.cpu) / 1000,
	       own = (double)(cpu_of(0) - r.own) / 1000;
	double bytes = (double)(written() - r.written);

	if (per < 1)
		per = 1;
	printf("{\"op\":\"%s\",\"done\":%llu,\"entries\":%llu,\"errors\":%llu,\"seconds\":%.3f,"
	       "\"rate\":%.1f,\"cpu_us\":%.3f,\"own_us\":%.3f,\"written\":%.0f,"
	       "\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,"
	       "\"write_p50_us\":%.1f,\"write_p99_us\":%.1f,"
	       "\"anon_before_kb\":%llu,\"anon_kb\":%llu}\n",
	       r.l.kind->name, (unsigned long long)r.done, (unsigned long long)r.entries,
	       (unsigned long long)r.errors, seconds, per / seconds, cpu / per, own / per,
	       bytes / per, percentile(h, .5), percentile(h, .99), percentile(h, .999),
	       percentile(&r.writes, .5), percentile(&r.writes, .99), (unsigned long long)r.anon_kb,
	       (unsigned long long)anon_kb());
}

_Noreturn static void usage(void)
{
	struct buf names;

	buf_init(&names, 4096);
	kind_names(&names);
	fprintf(stderr,
		"usage: bench_load --op NAME --port N --people N [--pid PID] [--connections 8]\n"
		"  [--depth 4] [--seconds S | --count N] [--warm S] [--first N] [--seed N]\n"
		"  [--tls] [--resume] [--idle N]\n"
		"Names:%s\n",
		buf_cstr(&names));
	exit(2);
}

static void options(int argc, char **argv, unsigned *idle_out)
{
	static const struct option list[] = {
		{"op", 1, 0, 'o'},      {"port", 1, 0, 'p'},        {"people", 1, 0, 'n'},
		{"pid", 1, 0, 'P'},     {"connections", 1, 0, 'c'}, {"depth", 1, 0, 'd'},
		{"seconds", 1, 0, 's'}, {"count", 1, 0, 'N'},       {"warm", 1, 0, 'w'},
		{"first", 1, 0, 'f'},   {"seed", 1, 0, 'S'},        {"tls", 0, 0, 't'},
		{"resume", 0, 0, 'r'},  {"idle", 1, 0, 'i'},        {0, 0, 0, 0}};
	double seconds = 0;
	bool tls = false;
	int o;

	r.nconns = 8;
	r.depth = 4;
	r.server = (struct sockaddr_in){.sin_family = AF_INET,
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	while ((o = getopt_long(argc, argv, "", list, NULL)) != -1) {
		switch (o) {
		case 'o':
			r.l.kind = kind_find(optarg);
			break;
		case 'p':
			r.server.sin_port = htons((uint16_t)atoi(optarg));
			break;
		case 'n':
			r.l.people = strtoull(optarg, NULL, 10);
			break;
		case 'P':
			r.pid = atoi(optarg);
			break;
		case 'c':
			r.nconns = (unsigned)atoi(optarg);
			break;
		case 'd':
			r.depth = (unsigned)atoi(optarg);
			break;
		case 's':
			seconds = atof(optarg);
			break;
		case 'N':
			r.count = strtoull(optarg, NULL, 10);
			break;
		case 'w':
			r.warm_ns = (uint64_t)(atof(optarg) * 1e9);
			break;
		case 'f':
			r.l.first = strtoull(optarg, NULL, 10);
			break;
		case 'S':
			r.l.seed = strtoull(optarg, NULL, 10);
			break;
		case 't':
			tls = true;
			break;
		case 'r':
			r.resume = true;
			break;
		case 'i':
			*idle_out = (unsigned)atoi(optarg);
			break;
		default:
			usage();
		}
	}
	if (r.l.kind == NULL || r.server.sin_port == 0 || r.l.people == 0 || r.nconns == 0 ||
	    r.depth == 0 || (seconds == 0) == (r.count == 0))
		usage();
	if (r.l.kind->manner != STEADY)
		r.depth = 1;
	r.end = (uint64_t)(seconds * 1e9);
	if (!tls)
		return;
	r.tls = SSL_CTX_new(TLS_client_method());
	must(r.tls != NULL);
	SSL_CTX_set_mode(r.tls,
			 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

int main(int argc, char **argv)
{
	struct rlimit files;
	unsigned idlers = 0;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	options(argc, argv, &idlers);
	kind_words(&r.l);
	r.anon_kb = anon_kb();
	idle(idlers);
	run();
	report();
	return r.errors == 0 ? 0 : 1;
}
