/*
 * What the two sides of gal share. Private to gal*.c.
 *
 *   gal.c         the cache and the callers, on the loop
 *   gal_search.c  the thread that searches
 */
#pragma once

#include "lib/clock.h"
#include "routed/gal.h"

#include <stdatomic.h>

#define GAL_BUCKETS 4096u

enum gal_state {
	GAL_QUEUED,   /* a question for the thread */
	GAL_ANSWERED, /* reply is valid until expires_ms */
};

struct gal_entry {
	char *address;
	char *asked_dn; /* that the address encapsulates, or NULL */
	enum gal_state state;
	bool stale; /* do not keep the answer */
	uint64_t asked_ms, expires_ms;
	struct buf reply;
	struct gal_request *waiters;
	struct gal_entry *chain;         /* of its bucket */
	struct gal_entry *older, *newer; /* answered ones, by age */
	struct gal_entry *queue;         /* next question, or next finding */

	/* what the thread found; the loop reads it afterwards */
	int found_rc;
	struct arena arena;
	struct span dn;
	struct span *values;
	unsigned nvalues;
};

struct gal {
	struct gal_config config;
	gal_resolve *resolve;
	void *arg;
	void (*on_closed)(void *arg);
	void *closed_arg;
	uv_async_t async;
	uv_thread_t thread;
	atomic_bool stop;

	pthread_mutex_t lock; /* guards the two queues */
	pthread_cond_t wake;
	struct gal_entry *questions, *last_question;
	struct gal_entry *findings;

	/* of the loop alone */
	struct gal_entry *buckets[GAL_BUCKETS];
	struct gal_entry *oldest, *newest;
	struct gal_entry *undecided; /* findings that the resolver cannot judge yet */
	unsigned waiting;
	struct gal_stats stats;

	/* of the thread alone */
	struct session session;
	uint64_t retry_at_ms;
};

static inline uint64_t gal_now_ms(void)
{
	return clock_system.mono_ms(&clock_system);
}

/** The thread's life; `arg` is the struct gal. */
void gal_search_run(void *arg);
