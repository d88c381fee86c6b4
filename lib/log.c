#include "lib/log.h"

#include "lib/clock.h"
#include "lib/text.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_BYTES 2048
#define LAST_BYTES 512 /* of a line that are compared; longer lines are never held back */
#define EVENTS 64      /* events whose last line is remembered */

struct last_line {
	char event[48];
	char text[LAST_BYTES];
	size_t n;
	uint64_t at_ms;
	unsigned long repeats;
	enum log_level level;
};

struct line {
	char text[LINE_BYTES];
	size_t n;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct last_line lasts[EVENTS];
static const struct clock *time_source;
static char program_name[32] = "waypost";
static atomic_int threshold = LOG_INFO;
static atomic_int out_fd = STDERR_FILENO;

static const char *const level_names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

void log_init(const char *program, enum log_level level)
{
	pthread_mutex_lock(&lock);
	snprintf(program_name, sizeof(program_name), "%s", program);
	memset(lasts, 0, sizeof(lasts));
	pthread_mutex_unlock(&lock);
	log_set_level(level);
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

void log_set_clock(const struct clock *c)
{
	pthread_mutex_lock(&lock);
	time_source = c;
	pthread_mutex_unlock(&lock);
}

void log_set_fd(int fd)
{
	atomic_store(&out_fd, fd);
}

bool log_level_parse(struct span word, enum log_level *out)
{
	unsigned i;

	for (i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (span_eq_nocase(word, span_of(level_names[i]))) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

/* Two bytes stay free for the clip mark's end and the newline. */
__attribute__((format(printf, 2, 0))) static void line_vadd(struct line *l, const char *fmt,
							    va_list ap)
{
	size_t room = LINE_BYTES - l->n - 1;
	int n = vsnprintf(l->text + l->n, room, fmt, ap);

	if (n < 0)
		return;
	if ((size_t)n < room) {
		l->n += (size_t)n;
		return;
	}
	l->n += room - 1;
	memcpy(l->text + l->n - 3, "...", 3);
}

static void __attribute__((format(printf, 2, 3))) line_add(struct line *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line_vadd(l, fmt, ap);
	va_end(ap);
}

static void line_add_ctx(struct line *l, const struct log_ctx *ctx)
{
	char site[LOG_TEXT_BYTES];

	if (ctx == NULL)
		return;
	if (ctx->conn != 0)
		line_add(l, " conn=%llu", (unsigned long long)ctx->conn);
	if (ctx->op != 0)
		line_add(l, " op=%d", ctx->op);
	if (ctx->site != NULL)
		line_add(l, " site=%s", log_text(span_of(ctx->site), site));
}

/* One write(2) a line, so that lines of several processes do not mix in a shared file. */
static void put_line(struct line *l)
{
	size_t at = 0;
	size_t i;
	int fd = atomic_load(&out_fd);

	for (i = 0; i < l->n; i++) {
		if (l->text[i] == '\n' || l->text[i] == '\r')
			l->text[i] = ' ';
	}
	l->text[l->n++] = '\n';
	while (at < l->n) {
		ssize_t n = write(fd, l->text + at, l->n - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* nowhere left to report it */
		at += (size_t)n;
	}
}

static void line_begin(struct line *l, const struct clock *c, enum log_level level,
		       const char *event)
{
	char when[CLOCK_RFC3339_BYTES];

	clock_rfc3339(c->wall_us(c), when);
	l->n = 0;
	line_add(l, "%s %-5s %s %s", when, level_names[level], program_name, event);
}

static struct last_line *last_of(const char *event)
{
	unsigned hash = 5381;
	const char *p;

	for (p = event; *p != '\0'; p++)
		hash = hash * 33 + (unsigned char)*p;
	return &lasts[hash % EVENTS];
}

/* What was held back for the slot is said before the slot is used for something else. */
static void tell_repeats(struct last_line *last, const struct clock *c)
{
	struct line l;

	if (last->repeats == 0)
		return;
	line_begin(&l, c, last->level, last->event);
	line_add(&l, "%.*s repeated=%lu", (int)last->n, last->text, last->repeats);
	last->repeats = 0;
	put_line(&l);
}

/* Is the line to be held back because it says what the last one of its event said? */
static bool is_repeat(struct last_line *last, const struct line *body, const char *event,
		      enum log_level level, const struct clock *c)
{
	uint64_t now_ms = c->mono_ms(c);
	bool same = last->n == body->n && last->n != 0 && strcmp(last->event, event) == 0 &&
		    memcmp(last->text, body->text, body->n) == 0;

	if (same && now_ms - last->at_ms < LOG_REPEAT_MS) {
		last->repeats++;
		return true;
	}
	tell_repeats(last, c);
	last->n = 0;
	if (body->n > sizeof(last->text) || strlen(event) >= sizeof(last->event))
		return false;
	memcpy(last->text, body->text, body->n);
	last->n = body->n;
	strcpy(last->event, event);
	last->at_ms = now_ms;
	last->level = level;
	return false;
}

void log_write(enum log_level level, const struct log_ctx *ctx, const char *event, const char *fmt,
	       ...)
{
	struct line body = {.n = 0};
	struct line whole;
	const struct clock *c;
	va_list ap;

	if (!log_enabled(level))
		return;
	line_add_ctx(&body, ctx);
	line_add(&body, " ");
	va_start(ap, fmt);
	line_vadd(&body, fmt, ap);
	va_end(ap);

	pthread_mutex_lock(&lock);
	c = time_source != NULL ? time_source : &clock_system;
	if (!is_repeat(last_of(event), &body, event, level, c)) {
		line_begin(&whole, c, level, event);
		line_add(&whole, "%.*s", (int)body.n, body.text);
		put_line(&whole);
	}
	pthread_mutex_unlock(&lock);
}

void log_flush(void)
{
	const struct clock *c;
	unsigned i;

	pthread_mutex_lock(&lock);
	c = time_source != NULL ? time_source : &clock_system;
	for (i = 0; i < EVENTS; i++)
		tell_repeats(&lasts[i], c);
	pthread_mutex_unlock(&lock);
}

static bool fit_for_log(const uint8_t *p, size_t n)
{
	if (n > 1)
		return true;
	return *p > 0x20 && *p < 0x7f && *p != '"';
}

const char *log_text(struct span s, char out[static LOG_TEXT_BYTES])
{
	const size_t room = LOG_TEXT_BYTES - 1 - 3;
	size_t at = 0;
	size_t n = 0;

	while (at < s.n) {
		size_t len = text_utf8_len(span_from(s, at));

		if (n + (len != 0 ? len : 1) > room) {
			memcpy(out + n, "...", 3);
			n += 3;
			break;
		}
		if (len != 0 && fit_for_log(s.p + at, len)) {
			memcpy(out + n, s.p + at, len);
			n += len;
		} else {
			out[n++] = '?';
		}
		at += len != 0 ? len : 1;
	}
	out[n] = '\0';
	return out;
}
