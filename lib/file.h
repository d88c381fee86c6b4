/* Files: read whole, replace atomically, lock. errno is mapped inside. */
#pragma once

#include "lib/buf.h"

/** The whole file into `out` (appended). RC_TOOBIG past the buffer's cap. */
int file_read(const char *path, struct buf *out) WARN_UNUSED;

/** Write beside, fsync, rename over, fsync the folder: after a crash the old or the new content. */
int file_replace(const char *path, struct span content, unsigned mode) WARN_UNUSED;

/** Put a file that is on the disk in the place of another of its folder, and fsync the folder. */
int file_rename(const char *from, const char *to) WARN_UNUSED;

/** Create the folder and its missing parents. An existing folder is fine. */
int file_mkdirs(const char *path, unsigned mode) WARN_UNUSED;

/**
 * Take the lock file for this process: RC_BUSY and *owner_pid (0 if unknown) when another holds it.
 * The lock ends with file_unlock() or the process.
 */
int file_lock(const char *path, int *fd_out, long *owner_pid) WARN_UNUSED;
void file_unlock(int *fd);

/** Is the file readable by group or others? Keys and passwords must not be. */
int file_is_private(const char *path, bool *out) WARN_UNUSED;
