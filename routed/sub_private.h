/* What the two halves of the subscription share: sub.c (thread, session, life), sub_message.c. */
#pragma once

#include "lib/clock.h"
#include "routed/sched.h"
#include "routed/sub.h"

#include <stdatomic.h>

struct sub {
	struct sub_config config;
	void (*on_batch)(void *arg, struct batch *b);
	void *arg;
	void (*on_closed)(void *arg);
	void *closed_arg;
	uv_async_t async;
	uv_thread_t thread;
	int wake_fd; /* eventfd: the thread looks at its flags */
	atomic_bool stop;
	atomic_bool resync;

	pthread_mutex_t lock; /* guards the queue and the status */
	struct batch *first, *last;
	struct sub_status status;

	/* of the thread alone */
	struct session session;
	struct consumer *consumer;
	struct backoff backoff;
	int msgid;
	int probe_msgid;      /* of an unanswered heartbeat, else -1 */
	uint64_t deadline_ms; /* of the next message, whichever */
	uint64_t progress_ms; /* newest message of the subscription */
};

static inline uint64_t sub_now_ms(void)
{
	return clock_system.mono_ms(&clock_system);
}

/* sub.c */

void sub_set_state(struct sub *s, enum sub_state state);

/** Hand over what is complete. RC_NOMEM. */
int sub_take_batch(struct sub *s) WARN_UNUSED;

/* sub_message.c; all of them put a text into why[SESSION_WHY_BYTES] when they fail */

/** Copy a text into `why` and give the code back. */
int sub_fail(char *why, int rc, const char *text);

/** Search with the cookie at hand. */
int sub_start_search(struct sub *s, char *why) WARN_UNUSED;

/** A message of the session. RC_DONE: the subscription is over, nothing broke. */
int sub_on_message(struct sub *s, int type, LDAPMessage *msg, char *why) WARN_UNUSED;
