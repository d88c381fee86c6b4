/* Batches of a session (repl_held.h) to the writer, on the loop of the session. */
#pragma once

#include "dird/repl_held.h"
#include "dird/write.h"

#define REPL_WRITE_PARTS 64 /* in one request */

struct repl_part;

struct repl_write {
	struct repl_held *held;
	struct writer *writer;
	struct loop *home;
	const char *site; /* the partner, for the log */
	void *ctx;
	/** Something was written, or not: go on. */
	void (*on_written)(void *ctx);
	/** A context was compared with a head. `why`: it was refused. */
	void (*on_compared)(void *ctx, const struct uuid *nc, bool is_proven, const char *why);
	/** It could not be written: nothing behind it may be. */
	void (*on_failed)(void *ctx, const char *why);

	struct repl_part *parts, *last; /* at the writer */
	bool is_writing;
	bool one_by_one; /* since something was refused */
};

/** Hand over what is ready, unless something is at the writer. RC_NOMEM. */
int repl_write_flush(struct repl_write *w) WARN_UNUSED;

/** Nothing may be at the writer. */
void repl_write_fini(struct repl_write *w);
