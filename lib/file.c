#include "lib/file.h"

#include "lib/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES 16384

static int write_all(int fd, struct span s)
{
	while (s.n != 0) {
		ssize_t n = write(fd, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return rc_from_errno(errno);
		s = span_from(s, (size_t)n);
	}
	return RC_OK;
}

int file_read(const char *path, struct buf *out)
{
	uint8_t block[READ_BYTES];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc = RC_OK;
	ssize_t n;

	if (fd < 0)
		return rc_from_errno(errno);
	do {
		n = read(fd, block, sizeof(block));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = rc_from_errno(errno);
		else
			buf_put(out, span_make(block, (size_t)n));
	} while (rc == RC_OK && buf_rc(out) == RC_OK && n != 0);
	close(fd);
	return rc != RC_OK ? rc : buf_rc(out);
}

/* The folder of a path, "." without one; NULL without memory. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *copy;

	if (slash == NULL)
		return mem_strdup(".");
	copy = mem_strdup(path);
	if (copy != NULL)
		copy[slash == path ? 1 : slash - path] = '\0';
	return copy;
}

static int sync_folder(const char *path)
{
	char *folder = folder_of(path);
	int rc = RC_OK;
	int fd;

	if (folder == NULL)
		return RC_NOMEM;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mem_free(folder);
	if (fd < 0)
		return rc_from_errno(errno);
	if (fsync(fd) != 0)
		rc = rc_from_errno(errno);
	close(fd);
	return rc;
}

int file_rename(const char *from, const char *to)
{
	return rename(from, to) == 0 ? sync_folder(to) : rc_from_errno(errno);
}

static int fill_new_file(int fd, struct span content, unsigned mode)
{
	int rc;

	if (fchmod(fd, (mode_t)mode) != 0)
		return rc_from_errno(errno);
	rc = write_all(fd, content);
	if (rc == RC_OK && fsync(fd) != 0)
		rc = rc_from_errno(errno);
	return rc;
}

int file_replace(const char *path, struct span content, unsigned mode)
{
	size_t n = strlen(path) + sizeof(".XXXXXX");
	char *beside = mem_alloc(n);
	int rc;
	int fd;

	if (beside == NULL)
		return RC_NOMEM;
	snprintf(beside, n, "%s.XXXXXX", path);
	fd = mkostemp(beside, O_CLOEXEC);
	if (fd < 0) {
		rc = rc_from_errno(errno);
		goto out;
	}
	rc = fill_new_file(fd, content, mode);
	if (close(fd) != 0 && rc == RC_OK)
		rc = rc_from_errno(errno);
	if (rc == RC_OK)
		rc = file_rename(beside, path);
	if (rc != RC_OK)
		unlink(beside);
out:
	mem_free(beside);
	return rc;
}

static int make_folder(const char *path, unsigned mode)
{
	struct stat st;

	if (mkdir(path, (mode_t)mode) == 0)
		return RC_OK;
	if (errno != EEXIST)
		return rc_from_errno(errno);
	if (stat(path, &st) != 0)
		return rc_from_errno(errno);
	return S_ISDIR(st.st_mode) ? RC_OK : RC_EXISTS;
}

int file_mkdirs(const char *path, unsigned mode)
{
	char *copy = mem_strdup(path);
	int rc = RC_OK;
	char *at;

	if (copy == NULL)
		return RC_NOMEM;
	for (at = copy; rc == RC_OK && *at != '\0';) {
		char *end = at + strspn(at, "/");

		end += strcspn(end, "/");
		if (end[strspn(end, "/")] == '\0') {
			rc = make_folder(copy, mode);
			break;
		}
		*end = '\0';
		rc = make_folder(copy, mode | 0700);
		*end = '/';
		at = end;
	}
	mem_free(copy);
	return rc;
}

static long pid_in(int fd)
{
	char text[24] = "";
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	return n > 0 ? strtol(text, NULL, 10) : 0;
}

int file_lock(const char *path, int *fd_out, long *owner_pid)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char text[24];
	int rc;
	int n;

	*fd_out = -1;
	*owner_pid = 0;
	if (fd < 0)
		return rc_from_errno(errno);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		rc = errno == EWOULDBLOCK ? RC_BUSY : rc_from_errno(errno);
		*owner_pid = pid_in(fd);
		close(fd);
		return rc;
	}
	n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
		rc = rc_from_errno(errno);
		close(fd);
		return rc;
	}
	*fd_out = fd;
	return RC_OK;
}

void file_unlock(int *fd)
{
	if (*fd < 0)
		return;
	/* The file stays: removing it would let two processes lock two files of one name. */
	if (ftruncate(*fd, 0) != 0) {
		/* the lock ends all the same; only the pid in the file is out of date */
	}
	close(*fd);
	*fd = -1;
}

int file_is_private(const char *path, bool *out)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return rc_from_errno(errno);
	*out = (st.st_mode & (S_IRWXG | S_IRWXO)) == 0;
	return RC_OK;
}
