/*
 * Borrowed bytes.
 *
 * A span points at bytes that somebody else owns: an LMDB page until its transaction ends, a read
 * buffer until the callback returns, an arena until it is freed. To keep the bytes, copy them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const uint8_t *p;
	size_t n;
};

/** A string literal as a span, without its terminating NUL. */
#define SPAN_LIT(s) ((struct span){(const uint8_t *)(s), sizeof(s) - 1})

/** printf helpers: printf("%.*s", SPAN_ARG(s)). Only for bytes known to be printable. */
#define SPAN_ARG(s) (int)(s).n, (const char *)(s).p

/** A NUL-terminated string as a span; NULL gives the empty span. */
static inline struct span span_of(const char *s)
{
	return (struct span){(const uint8_t *)s, s != NULL ? strlen(s) : 0};
}

/** n bytes from p on. */
static inline struct span span_make(const void *p, size_t n)
{
	return (struct span){(const uint8_t *)p, n};
}

/** Bytes from offset `from` (clipped to the end) up to the end. */
static inline struct span span_from(struct span s, size_t from)
{
	if (from > s.n)
		from = s.n;
	return (struct span){s.p + from, s.n - from};
}

/** The first `n` bytes (clipped). */
static inline struct span span_head(struct span s, size_t n)
{
	return (struct span){s.p, n < s.n ? n : s.n};
}

/** Same bytes? */
static inline bool span_eq(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/** Byte order, a shorter prefix first: <0, 0, >0. */
static inline int span_cmp(struct span a, struct span b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n != 0 ? memcmp(a.p, b.p, n) : 0;

	if (c != 0)
		return c;
	return (a.n > b.n) - (a.n < b.n);
}

/** The byte, an ASCII capital made small. */
static inline uint8_t span_ascii_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/** Equal when ASCII letters are folded; for keywords and attribute names (RFC 4512 §1.4). */
static inline bool span_eq_nocase(struct span a, struct span b)
{
	size_t i;

	if (a.n != b.n)
		return false;
	for (i = 0; i < a.n; i++) {
		if (span_ascii_lower(a.p[i]) != span_ascii_lower(b.p[i]))
			return false;
	}
	return true;
}

/** Does s begin with these bytes? */
static inline bool span_starts(struct span s, struct span prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

/** Does s end with these bytes? */
static inline bool span_ends(struct span s, struct span end)
{
	return s.n >= end.n && (end.n == 0 || memcmp(s.p + s.n - end.n, end.p, end.n) == 0);
}

/** Without leading and trailing blanks, tabs and line ends. */
static inline struct span span_trim(struct span s)
{
	while (s.n != 0 && (s.p[0] == ' ' || s.p[0] == '\t' || s.p[0] == '\r' || s.p[0] == '\n')) {
		s.p++;
		s.n--;
	}
	while (s.n != 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t' || s.p[s.n - 1] == '\r' ||
			    s.p[s.n - 1] == '\n'))
		s.n--;
	return s;
}

/**
 * Cut `*rest` at the first byte `sep`: *head gets what is before it, *rest what is behind it.
 * Without a separator the head is everything and the rest is empty.
 * Returns  true if the separator was there.
 */
static inline bool span_cut(struct span *rest, uint8_t sep, struct span *head)
{
	const uint8_t *at = rest->n != 0 ? memchr(rest->p, sep, rest->n) : NULL;

	if (at == NULL) {
		*head = *rest;
		*rest = span_from(*rest, rest->n);
		return false;
	}
	*head = span_head(*rest, (size_t)(at - rest->p));
	*rest = span_from(*rest, head->n + 1);
	return true;
}
