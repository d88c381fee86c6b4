/*
 * Memory that is freed all at once, and the heap below everything else.
 *
 * One arena per request, replication batch or routing recompute; one arena_fini() in its finish
 * function. mem_*() is the project's heap: it counts live blocks and can be told to fail, so a unit
 * test sees leaks and walks every out-of-memory path.
 */
#pragma once

#include "lib/span.h"

#include <stddef.h>
#include <stdint.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks;
	uint8_t *at;  /* next free byte of the newest chunk */
	size_t left;  /* free bytes behind `at` */
	size_t bytes; /* handed out so far */
};

/** An empty arena; nothing is allocated before the first request. Zeroed memory is one, too. */
void arena_init(struct arena *a);

/** Free all of it. The arena is empty and usable again. */
void arena_fini(struct arena *a);

/** n bytes aligned for any type, not cleared. NULL when out of memory. n = 0 gives a valid pointer.
 */
void *arena_alloc(struct arena *a, size_t n) __attribute__((malloc));

/** count * size bytes, zeroed; NULL when out of memory or on overflow. */
void *arena_zalloc(struct arena *a, size_t count, size_t size) __attribute__((malloc));

/** A copy of the bytes followed by a NUL that the span does not count; .p is NULL without memory.
 */
struct span arena_span(struct arena *a, struct span s);

/** The bytes as a NUL-terminated string; NULL when out of memory. Inner NULs are kept. */
char *arena_str(struct arena *a, struct span s);

/** A formatted string; NULL when out of memory. */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The heap. Same contracts as malloc(3), realloc(3), calloc(3), free(3). */
void *mem_alloc(size_t n) __attribute__((malloc));
void *mem_zalloc(size_t count, size_t size) __attribute__((malloc));
void *mem_realloc(void *p, size_t n);
void mem_free(void *p);
char *mem_strdup(const char *s);

/** Blocks allocated and not yet freed, in the whole process. */
long mem_live_blocks(void);

/** Make the n-th allocation from now fail (1 = the next one); 0 switches the fault off. */
void mem_fail_at(long n);
