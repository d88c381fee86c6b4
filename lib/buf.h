/*
 * Owned bytes that grow up to a cap.
 *
 * The first failure sticks: later writes do nothing, and buf_rc() tells it once at the end. So a
 * writer is a run of plain calls with one check.
 */
#pragma once

#include "lib/rc.h"
#include "lib/span.h"

#include <stdarg.h>

struct buf {
	uint8_t *p;
	size_t n;    /* bytes in use */
	size_t size; /* bytes allocated */
	size_t max;  /* cap in bytes */
	int rc;      /* RC_OK, or the first failure: RC_NOMEM or RC_TOOBIG */
};

/** Empty, allocates nothing. max is a hard cap in bytes. */
void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);

/** Forget the content and the failure, keep the memory. */
void buf_clear(struct buf *b);

/** What sticks: RC_OK, RC_NOMEM or RC_TOOBIG. */
static inline int buf_rc(const struct buf *b)
{
	return b->rc;
}

/** The content, borrowed until the next call that changes b. */
static inline struct span buf_span(const struct buf *b)
{
	return (struct span){b->p, b->n};
}

/** Room for n bytes more than there are now, without using it yet. Returns what sticks. */
int buf_reserve(struct buf *b, size_t n);

/** Room for n bytes behind the end, counted in; NULL on failure. The bytes are not cleared. */
static inline uint8_t *buf_extend(struct buf *b, size_t n)
{
	uint8_t *at;

	if ((b->rc != RC_OK || n > b->size - b->n) && buf_reserve(b, n) != RC_OK)
		return NULL;
	at = b->p + b->n;
	b->n += n;
	return at;
}

/** Append. A failure sticks to the buffer (buf_rc), later calls then do nothing. */
void buf_put(struct buf *b, struct span s);
static inline void buf_putc(struct buf *b, uint8_t c)
{
	uint8_t *at = buf_extend(b, 1);

	if (at != NULL)
		*at = c;
}
void buf_puts(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/** Drop the first n bytes (n <= b->n); the rest moves to the front. */
void buf_consume(struct buf *b, size_t n);

/** Cut back to n bytes (n <= b->n). */
static inline void buf_truncate(struct buf *b, size_t n)
{
	if (n < b->n)
		b->n = n;
}

/** A terminating NUL that is not counted, and the content as a string; "" on failure. */
const char *buf_cstr(struct buf *b);
