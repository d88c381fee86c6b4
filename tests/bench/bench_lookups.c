/*
 * bench_lookups serve PATH
 *     a socketmap server on a local socket that knows one answer: what the protocol itself costs
 * bench_lookups load PATH PID CONNECTIONS DEPTH SECONDS DOMAINS
 *     ask a socketmap server for recipients at s0.example.com … as fast as it answers, DEPTH
 * questions under way on each connection. Prints a line of JSON: look-ups, rate per second,
 * microseconds of latency, and of CPU that process PID used for each look-up. A reply that is no
 * "OK " ends it.
 */
#include "lib/arena.h"
#include "lib/rc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 256
#define ROOM 65536
#define BUCKETS 100000 /* of a microsecond each */

static const char reply[] = "23:OK smtp:hub.example.com,";

struct conn {
	char in[ROOM];
	size_t n;
	unsigned under_way;
	double asked[1024]; /* ring of the moments of what is under way */
	unsigned first;
};

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	must(strlen(path) < sizeof(a.sun_path));
	memcpy(a.sun_path, path, strlen(path) + 1);
	return a;
}

/* false: the other side has gone. */
static bool write_whole(int fd, const char *p, size_t n)
{
	while (n != 0) {
		ssize_t did = write(fd, p, n);

		if (did < 0 && errno == EAGAIN) {
			struct pollfd w = {.fd = fd, .events = POLLOUT};

			must(poll(&w, 1, -1) >= 0);
			continue;
		}
		if (did <= 0)
			return false;
		p += did;
		n -= (size_t)did;
	}
	return true;
}

/* Bytes of the netstring at the start, 0 if it is not complete; *text is what it holds. */
static size_t netstring(const char *p, size_t n, const char **text)
{
	const char *colon = memchr(p, ':', n);
	size_t bytes;

	if (colon == NULL)
		return 0;
	bytes = (size_t)(colon - p) + 1 + strtoul(p, NULL, 10) + 1;
	*text = colon + 1;
	return bytes <= n ? bytes : 0;
}

/* --- the server that does nothing --- */

static bool answer_all(int fd, struct conn *c)
{
	static char out[ROOM];
	size_t used = 0, n, filled = 0;
	const char *text;

	while ((n = netstring(c->in + used, c->n - used, &text)) != 0) {
		used += n;
		memcpy(out + filled, reply, sizeof(reply) - 1);
		filled += sizeof(reply) - 1;
		if (filled > ROOM - sizeof(reply)) {
			if (!write_whole(fd, out, filled))
				return false;
			filled = 0;
		}
	}
	memmove(c->in, c->in + used, c->n - used);
	c->n -= used;
	return write_whole(fd, out, filled);
}

static int serve(const char *path)
{
	static struct conn *conns[MAX_CONNECTIONS];
	static struct pollfd fds[MAX_CONNECTIONS];
	struct sockaddr_un a = address_of(path);
	unsigned n = 1, i;
	ssize_t did;

	fds[0] = (struct pollfd){.fd = socket(AF_UNIX, SOCK_STREAM, 0), .events = POLLIN};
	signal(SIGPIPE, SIG_IGN);
	must(bind(fds[0].fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fds[0].fd, 128) == 0);
	for (;;) {
		must(poll(fds, n, -1) > 0);
		for (i = n - 1; i > 0; i--) {
			if (fds[i].revents == 0)
				continue;
			did = read(fds[i].fd, conns[i]->in + conns[i]->n, ROOM - conns[i]->n);
			conns[i]->n += did > 0 ? (size_t)did : 0;
			if (did > 0 && answer_all(fds[i].fd, conns[i]))
				continue;
			close(fds[i].fd);
			mem_free(conns[i]);
			n--;
			fds[i] = fds[n];
			conns[i] = conns[n];
		}
		if (fds[0].revents != 0 && n < MAX_CONNECTIONS) {
			fds[n] = (struct pollfd){.fd = accept(fds[0].fd, NULL, NULL),
						 .events = POLLIN};
			conns[n] = mem_zalloc(1, sizeof(**conns));
			must(fds[n].fd >= 0 && conns[n] != NULL);
			n++;
		}
	}
}

/* --- load --- */

static double cpu_us(int pid)
{
	char path[64], line[1024], *p;
	unsigned long user, system;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	must(f != NULL && fgets(line, sizeof(line), f) != NULL);
	fclose(f);
	p = strrchr(line, ')');
	must(p != NULL && sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
				 &user, &system) == 2);
	return (double)(user + system) * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

static unsigned long asked_in_all;

static void ask(int fd, struct conn *c, unsigned count, unsigned domains)
{
	static char out[ROOM];
	size_t filled = 0;
	char key[128];

	while (count-- != 0) {
		unsigned i = (unsigned)(asked_in_all++ * 2654435761U);
		int n = snprintf(key, sizeof(key), "transport user%u@s%u.example.com", i % 10000,
				 i / 7 % domains);

		filled += (size_t)snprintf(out + filled, sizeof(out) - filled, "%d:%s,", n, key);
		c->asked[(c->first + c->under_way++) % 1024] = now_us();
	}
	must(write_whole(fd, out, filled));
}

/* Replies that are there; how many. */
static unsigned take(int fd, struct conn *c, unsigned *histogram)
{
	ssize_t did = read(fd, c->in + c->n, ROOM - c->n);
	double now = now_us();
	size_t used = 0, n;
	unsigned count = 0, us;
	const char *text;

	must(did > 0);
	c->n += (size_t)did;
	while ((n = netstring(c->in + used, c->n - used, &text)) != 0) {
		if (strncmp(text, "OK ", 3) != 0) {
			fprintf(stderr, "bench_lookups: %.60s\n", text);
			exit(1);
		}
		used += n;
		us = (unsigned)(now - c->asked[c->first]);
		c->first = (c->first + 1) % 1024;
		c->under_way--;
		histogram[us < BUCKETS ? us : BUCKETS - 1]++;
		count++;
	}
	memmove(c->in, c->in + used, c->n - used);
	c->n -= used;
	return count;
}

static unsigned percentile(const unsigned *histogram, unsigned long total, double p)
{
	unsigned long below = 0;
	unsigned us = 0;

	while (us < BUCKETS - 1 && (double)(below += histogram[us]) < (double)total * p)
		us++;
	return us;
}

static int load(char **argv)
{
	static unsigned histogram[BUCKETS];
	static struct conn conns[MAX_CONNECTIONS];
	static struct pollfd fds[MAX_CONNECTIONS];
	struct sockaddr_un a = address_of(argv[0]);
	int pid = atoi(argv[1]);
	unsigned n = (unsigned)atoi(argv[2]), depth = (unsigned)atoi(argv[3]), i;
	unsigned domains = (unsigned)atoi(argv[5]);
	unsigned long total = 0;
	double begin, end, cpu;

	must(n > 0 && n <= MAX_CONNECTIONS && depth > 0 && depth <= 512 && domains > 0);
	for (i = 0; i < n; i++) {
		fds[i] = (struct pollfd){.fd = socket(AF_UNIX, SOCK_STREAM, 0), .events = POLLIN};
		must(connect(fds[i].fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	}
	cpu = cpu_us(pid);
	begin = now_us();
	end = begin + atof(argv[4]) * 1e6;
	for (i = 0; i < n; i++)
		ask(fds[i].fd, &conns[i], depth, domains);
	while (now_us() < end) {
		must(poll(fds, n, 10000) > 0);
		for (i = 0; i < n; i++) {
			unsigned got =
				fds[i].revents != 0 ? take(fds[i].fd, &conns[i], histogram) : 0;

			total += got;
			if (got != 0)
				ask(fds[i].fd, &conns[i], got, domains);
		}
	}
	end = now_us();
	printf("{\"lookups\": %lu, \"rate\": %.0f, \"p50_us\": %u, \"p99_us\": %u, \"cpu_us\": "
	       "%.3f}\n",
	       total, (double)total * 1e6 / (end - begin), percentile(histogram, total, 0.5),
	       percentile(histogram, total, 0.99), (cpu_us(pid) - cpu) / (double)total);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2]);
	if (argc == 8 && strcmp(argv[1], "load") == 0)
		return load(argv + 2);
	fprintf(stderr, "usage: bench_lookups serve PATH\n"
			"       bench_lookups load PATH PID CONNECTIONS DEPTH SECONDS DOMAINS\n");
	return 2;
}
