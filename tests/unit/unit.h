/* What every unit test includes first: cmocka with the headers it wants, and small helpers. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/span.h"

/* Tables of numbers and sizes in tests need no casts. */
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"

#define UNIT_COUNT(table) (sizeof(table) / sizeof((table)[0]))

/** Fails and shows both when the bytes differ. */
#define unit_assert_span(got, want) unit_span_check((got), (want), __FILE__, __LINE__)

static inline void unit_span_check(struct span got, struct span want, const char *file, int line)
{
	if (span_eq(got, want))
		return;
	print_error("%s:%d: got \"%.*s\" (%zu bytes), want \"%.*s\" (%zu bytes)\n", file, line,
		    (int)got.n, got.n != 0 ? (const char *)got.p : "", got.n, (int)want.n,
		    want.n != 0 ? (const char *)want.p : "", want.n);
	_fail(file, line);
}

/**
 * Run `once` with the n-th allocation failing, n = 1, 2, 3, ..., until it succeeds. `once` returns
 * an RC_* code; whatever it got it has given back, so the count of live blocks ends where it began.
 */
static inline void unit_fail_allocations(int (*once)(void *arg), void *arg)
{
	long before = mem_live_blocks();
	long n;
	int rc = RC_NOMEM;

	for (n = 1; n < 100000; n++) {
		mem_fail_at(n);
		rc = once(arg);
		mem_fail_at(0);
		assert_int_equal(mem_live_blocks(), before);
		if (rc == RC_OK)
			break;
		assert_int_equal(rc, RC_NOMEM);
	}
	assert_int_equal(rc, RC_OK);
	assert_true(n > 1); /* a driver that allocates nothing proves nothing */
}

/** Dice of a test: xorshift, from any state but 0. */
static inline uint32_t unit_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state >> 32);
}

/* Setup and teardown of a whole test: nothing may stay allocated. */
static inline int unit_heap_begin(void **state)
{
	*state = (void *)(intptr_t)mem_live_blocks();
	return 0;
}

static inline int unit_heap_end(void **state)
{
	long before = (long)(intptr_t)*state;

	mem_fail_at(0);
	if (mem_live_blocks() == before)
		return 0;
	print_error("%ld blocks leaked\n", mem_live_blocks() - before);
	return -1;
}

/** A test that fails when it leaves a block of the counting heap behind. */
#define unit_heap_test(f) cmocka_unit_test_setup_teardown(f, unit_heap_begin, unit_heap_end)
