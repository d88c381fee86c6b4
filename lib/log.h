/*
 * One log line per event: time, level, program, stable event name, key=value.
 *
 *   2026-11-23T11:40:02.123Z info  dird repl.applied site=S1 usn=41 n=3
 *
 * error = someone must act; warn = degraded, or a peer misbehaves; info = state changed; debug =
 * off in production. A line that repeats the last one of the same event within LOG_REPEAT_MS is
 * counted, not repeated; the next line of that event carries `repeated=N`. Peer text goes through
 * log_text(): printable and clipped. Safe from every thread. Codecs do not log.
 */
#pragma once

#include "lib/span.h"

struct clock;

enum log_level {
	LOG_ERROR,
	LOG_WARN,
	LOG_INFO,
	LOG_DEBUG,
};

/** Ids that a line carries in front of its own pairs; a zero or NULL field is left out. */
struct log_ctx {
	const char *site;
	uint64_t conn;
	int op; /* LDAP message id */
};

/** Program name on every line and the level from which lines are dropped. Lines go to stderr. */
void log_init(const char *program, enum log_level level);
void log_set_level(enum log_level level);

/** "error", "warn", "info", "debug"; false for another word. */
bool log_level_parse(struct span word, enum log_level *out);

/** One line; the macros below are the way to call it. fmt is printf's, values as key=value. */
void log_write(enum log_level level, const struct log_ctx *ctx, const char *event, const char *fmt,
	       ...) __attribute__((format(printf, 4, 5)));

/** Would a line of this level be written? For callers that must compute what they log. */
bool log_enabled(enum log_level level);

#define LOG_REPEAT_MS 10000

/** Write the counts of repeated lines that are still held back; at the end of a program. */
void log_flush(void);

/** For tests and simulators: where time comes from (NULL: the machine) and the file lines go to. */
void log_set_clock(const struct clock *c);
void log_set_fd(int fd);

#define log_error(ctx, event, ...) log_write(LOG_ERROR, ctx, event, __VA_ARGS__)
#define log_warn(ctx, event, ...) log_write(LOG_WARN, ctx, event, __VA_ARGS__)
#define log_info(ctx, event, ...) log_write(LOG_INFO, ctx, event, __VA_ARGS__)
#define log_debug(ctx, event, ...)                                                                 \
	do {                                                                                       \
		if (log_enabled(LOG_DEBUG))                                                        \
			log_write(LOG_DEBUG, ctx, event, __VA_ARGS__);                             \
	} while (0)

#define LOG_TEXT_BYTES 128

/**
 * Peer text made fit for a log value: control bytes, quotes, blanks and bytes that are no UTF-8
 * become `?`, longer text is clipped with "...". Writes into `out` and returns it.
 */
const char *log_text(struct span s, char out[static LOG_TEXT_BYTES]);
