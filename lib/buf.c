#include "lib/buf.h"

#include "lib/arena.h"

#include <stdio.h>

#define BUF_FIRST_BYTES 256

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
	mem_free(b->p);
	buf_init(b, b->max);
}

void buf_clear(struct buf *b)
{
	b->n = 0;
	b->rc = RC_OK;
}

int buf_reserve(struct buf *b, size_t n)
{
	size_t need, size;
	uint8_t *p;

	if (b->rc != RC_OK)
		return b->rc;
	if (__builtin_add_overflow(b->n, n, &need) || need > b->max) {
		b->rc = RC_TOOBIG;
		return b->rc;
	}
	if (need <= b->size)
		return RC_OK;
	size = b->size != 0 ? b->size : BUF_FIRST_BYTES;
	while (size < need)
		size = size > b->max / 2 ? b->max : size * 2;
	if (size > b->max)
		size = b->max; /* buf_extend() looks at the size alone */
	p = mem_realloc(b->p, size);
	if (p == NULL) {
		b->rc = RC_NOMEM;
		return b->rc;
	}
	b->p = p;
	b->size = size;
	return RC_OK;
}

void buf_put(struct buf *b, struct span s)
{
	uint8_t *at;

	if (s.n == 0)
		return;
	at = buf_extend(b, s.n);
	if (at != NULL)
		memcpy(at, s.p, s.n);
}

void buf_puts(struct buf *b, const char *s)
{
	buf_put(b, span_of(s));
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	/* vsnprintf wants room for its NUL; it is given back at once. */
	if (n >= 0 && buf_reserve(b, (size_t)n + 1) == RC_OK) {
		vsnprintf((char *)b->p + b->n, (size_t)n + 1, fmt, again);
		b->n += (size_t)n;
	}
	va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void buf_consume(struct buf *b, size_t n)
{
	must(n <= b->n);
	if (n == 0)
		return;
	b->n -= n;
	if (b->n != 0)
		memmove(b->p, b->p + n, b->n);
}

const char *buf_cstr(struct buf *b)
{
	if (buf_reserve(b, 1) != RC_OK)
		return "";
	b->p[b->n] = '\0';
	return (const char *)b->p;
}
