/*
 * For LD_PRELOAD: one of the calls by which a program writes its database goes wrong.
 *
 *   FAULT=<kind>:<n>   the n-th call (from 1) on a file named data.mdb. Kinds:
 *       count          nothing goes wrong
 *       exit           the process ends before the call
 *       torn           half of a write is done, then the process ends
 *       eio            the call fails with EIO; for calls of every kind
 *       eio-sync       the n-th fdatasync or fsync fails with EIO
 *       short          half of a write is done, as on a disk that gets full
 *   FAULT_REPORT=file  gets "calls=N syncs=N" for the whole of the process, and "after=N" for syncs
 * after the fault FIRST_MAP=bytes    the first size of the map
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXIT_FAULT 99

enum kind { COUNT, EXIT, TORN, EIO_ANY, EIO_SYNC, SHORT };

static const char *const names[] = {"count", "exit", "torn", "eio", "eio-sync", "short"};
static enum kind kind;
static long at;
static atomic_long calls, syncs, after;
static atomic_bool has_failed;

__attribute__((constructor)) static void start(void)
{
	const char *text = getenv("FAULT"), *colon = text != NULL ? strchr(text, ':') : NULL;
	unsigned i;

	if (colon == NULL)
		return;
	at = atol(colon + 1);
	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strlen(names[i]) == (size_t)(colon - text) &&
		    strncmp(text, names[i], strlen(names[i])) == 0)
			kind = (enum kind)i;
	}
}

static void report(void)
{
	const char *path = getenv("FAULT_REPORT");
	char line[100];
	int fd, n;

	if (path == NULL)
		return;
	n = snprintf(line, sizeof(line), "calls=%ld syncs=%ld after=%ld\n", calls, syncs, after);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		abort();
	close(fd);
}

static bool is_database(int fd)
{
	static const char name[] = "/data.mdb";
	char link[64], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path));
	return n >= (ssize_t)sizeof(name) - 1 &&
	       memcmp(path + n - (sizeof(name) - 1), name, sizeof(name) - 1) == 0;
}

/* Is this call the one? */
static bool is_hit(int fd, bool is_sync)
{
	long call, sync = 0;

	if (!is_database(fd))
		return false;
	call = atomic_fetch_add(&calls, 1) + 1;
	if (is_sync)
		sync = atomic_fetch_add(&syncs, 1) + 1;
	if (is_sync && has_failed)
		atomic_fetch_add(&after, 1);
	report();
	if (kind == COUNT || (kind == EIO_SYNC ? sync : call) != at)
		return false;
	has_failed = true;
	if (kind == EXIT || (kind == TORN && is_sync))
		_exit(EXIT_FAULT);
	return true;
}

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

/* half: writes one half and gives what that returned */
#define SPOIL(half)                                                                                \
	do {                                                                                       \
		if (kind == EIO_ANY) {                                                             \
			errno = EIO;                                                               \
			return -1;                                                                 \
		}                                                                                  \
		ssize_t spoilt_ = (half);                                                          \
		if (kind == TORN)                                                                  \
			_exit(EXIT_FAULT);                                                         \
		return spoilt_;                                                                    \
	} while (0)

ssize_t pwrite(int fd, const void *p, size_t n, off_t offset)
{
	if (is_hit(fd, false))
		SPOIL(REAL(pwrite)(fd, p, n / 2, offset));
	return REAL(pwrite)(fd, p, n, offset);
}

ssize_t write(int fd, const void *p, size_t n)
{
	if (is_hit(fd, false))
		SPOIL(REAL(write)(fd, p, n / 2));
	return REAL(write)(fd, p, n);
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
	if (is_hit(fd, false))
		SPOIL(REAL(write)(fd, iov[0].iov_base, iov[0].iov_len / 2));
	return REAL(writev)(fd, iov, n);
}

int fdatasync(int fd)
{
	if (is_hit(fd, true) && (kind == EIO_ANY || kind == EIO_SYNC)) {
		errno = EIO;
		return -1;
	}
	return REAL(fdatasync)(fd);
}

int fsync(int fd)
{
	if (is_hit(fd, true) && (kind == EIO_ANY || kind == EIO_SYNC)) {
		errno = EIO;
		return -1;
	}
	return REAL(fsync)(fd);
}

int mdb_env_set_mapsize(void *env, size_t bytes)
{
	static atomic_bool is_done;
	const char *first = getenv("FIRST_MAP");

	if (first != NULL && !atomic_exchange(&is_done, true))
		bytes = strtoul(first, NULL, 10);
	return ((int (*)(void *, size_t))dlsym(RTLD_NEXT, "mdb_env_set_mapsize"))(env, bytes);
}
