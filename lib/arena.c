#include "lib/arena.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_CHUNK_BYTES 4096
#define ARENA_CHUNK_MAX_BYTES (256 * 1024)

struct arena_chunk {
	struct arena_chunk *next;
	size_t size;
	max_align_t data[];
};

static atomic_long live_blocks;
static atomic_long fail_countdown;

static bool fail_now(void)
{
	if (atomic_load_explicit(&fail_countdown, memory_order_relaxed) == 0)
		return false;
	return atomic_fetch_sub(&fail_countdown, 1) == 1;
}

static void *counted(void *p)
{
	if (p != NULL)
		atomic_fetch_add_explicit(&live_blocks, 1, memory_order_relaxed);
	return p;
}

void *mem_alloc(size_t n)
{
	return fail_now() ? NULL : counted(malloc(n != 0 ? n : 1));
}

void *mem_zalloc(size_t count, size_t size)
{
	return fail_now() ? NULL : counted(calloc(count != 0 ? count : 1, size != 0 ? size : 1));
}

void *mem_realloc(void *p, size_t n)
{
	if (p == NULL)
		return mem_alloc(n);
	return fail_now() ? NULL : realloc(p, n != 0 ? n : 1);
}

void mem_free(void *p)
{
	if (p == NULL)
		return;
	atomic_fetch_sub_explicit(&live_blocks, 1, memory_order_relaxed);
	free(p);
}

char *mem_strdup(const char *s)
{
	size_t n = strlen(s) + 1;
	char *copy = mem_alloc(n);

	if (copy != NULL)
		memcpy(copy, s, n);
	return copy;
}

long mem_live_blocks(void)
{
	return atomic_load(&live_blocks);
}

void mem_fail_at(long n)
{
	atomic_store(&fail_countdown, n);
}

void arena_init(struct arena *a)
{
	*a = (struct arena){0};
}

void arena_fini(struct arena *a)
{
	struct arena_chunk *c = a->chunks;

	while (c != NULL) {
		struct arena_chunk *next = c->next;

		mem_free(c);
		c = next;
	}
	arena_init(a);
}

/* Chunks double, so a large request costs few of them; a block that is big itself gets its own. */
static int arena_grow(struct arena *a, size_t need)
{
	size_t size = a->chunks != NULL ? a->chunks->size * 2 : ARENA_CHUNK_BYTES;
	struct arena_chunk *c;

	if (size > ARENA_CHUNK_MAX_BYTES)
		size = ARENA_CHUNK_MAX_BYTES;
	if (size < need)
		size = need;
	if (size > SIZE_MAX - sizeof(*c))
		return -1;
	c = mem_alloc(sizeof(*c) + size);
	if (c == NULL)
		return -1;
	c->size = size;
	c->next = a->chunks;
	a->chunks = c;
	a->at = (uint8_t *)c->data;
	a->left = size;
	return 0;
}

void *arena_alloc(struct arena *a, size_t n)
{
	size_t rounded = (n + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	void *p;

	if (rounded < n)
		return NULL;
	if (rounded == 0)
		rounded = _Alignof(max_align_t);
	if (rounded > a->left && arena_grow(a, rounded) != 0)
		return NULL;
	p = a->at;
	a->at += rounded;
	a->left -= rounded;
	a->bytes += rounded;
	return p;
}

void *arena_zalloc(struct arena *a, size_t count, size_t size)
{
	size_t n;
	void *p;

	if (__builtin_mul_overflow(count, size, &n))
		return NULL;
	p = arena_alloc(a, n);
	if (p != NULL)
		memset(p, 0, n);
	return p;
}

struct span arena_span(struct arena *a, struct span s)
{
	uint8_t *p = s.n < SIZE_MAX ? arena_alloc(a, s.n + 1) : NULL;

	if (p == NULL)
		return (struct span){NULL, 0};
	if (s.n != 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (struct span){p, s.n};
}

char *arena_str(struct arena *a, struct span s)
{
	uint8_t *p = s.n < SIZE_MAX ? arena_alloc(a, s.n + 1) : NULL;

	if (p == NULL)
		return NULL;
	if (s.n != 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (char *)p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return NULL;
	p = arena_alloc(a, (size_t)n + 1);
	if (p == NULL)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}
