/*
 * More rows than memory holds, put in any order, come back sorted: runs that are sorted in memory
 * go to a file without a name, and are merged when they are read.
 *
 * Rows are in the order of their keys, then of their values, byte by byte, a shorter one first.
 */
#pragma once

#include "lib/buf.h"

#include <stdint.h>

struct sorter;

struct sorter_row {
	struct span key, value; /* each below 64 KiB */
};

/** `folder` holds the file. RC_NOMEM, or why there can be no file. */
int sorter_new(const char *folder, struct sorter **out) WARN_UNUSED;
void sorter_free(struct sorter **s);

/** Another row. It is in memory until sorter_spill(). RC_NOMEM. */
int sorter_put(struct sorter *s, struct span key, struct span value) WARN_UNUSED;

/** How many bytes of rows are in memory. */
size_t sorter_held_bytes(const struct sorter *s);
/** How many rows there are. */
uint64_t sorter_count(const struct sorter *s);

/** What was put so far stays; and: forget what was put since. Spilled rows stay, too. */
void sorter_keep(struct sorter *s);
void sorter_forget(struct sorter *s);

/**
 * What is in memory becomes a sorted run, on a thread of its own: what is wrong with one run
 * (RC_FULL, RC_IO, RC_NOMEM) is told by the next call of this or of sorter_rewind(), and then by
 * all.
 */
int sorter_spill(struct sorter *s) WARN_UNUSED;

/** Spill, wait, and place in front of the first row. May be repeated, also after more rows. */
int sorter_rewind(struct sorter *s) WARN_UNUSED;
/** The next row, valid until the next call. RC_DONE at the end. */
int sorter_next(struct sorter *s, struct sorter_row *out) WARN_UNUSED;
