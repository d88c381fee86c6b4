/*
 * The subscription to the directory: one thread that owns one libldap session.
 *
 * It searches with refreshAndPersist (RFC 4533) for what routing reads and hands every consistent
 * batch to the loop. libldap may hang in a handshake or in half a message; that hurts only this
 * thread, and sub_watch() ends it. The cookie lives as long as the model that the batches built.
 *
 *   thread:  connect ─► search ─► consumer ─► queue ──uv_async──►  loop: on_batch()
 *               ▲                    │ broken
 *               └── backoff, jitter ◄┘
 */
#pragma once

#include "routed/consumer.h"
#include "routed/session.h"

#include <uv.h>

struct sub_config {
	struct session_config session;
	const char *base;        /* root of the organisation */
	unsigned heartbeat_ms;   /* silence after which the provider is asked whether it lives */
	unsigned backoff_cap_ms; /* longest delay between two attempts */
};

enum sub_state {
	SUB_CONNECTING,
	SUB_REFRESHING,
	SUB_CURRENT,     /* persist stage: every change arrives at once */
	SUB_WAITING,     /* for the next attempt */
	SUB_ROLLED_BACK, /* the provider is older than what we hold; waits for an operator */
};

struct sub_status {
	enum sub_state state;
	uint64_t current_at_ms; /* last moment the content was known to be current; 0 never */
	unsigned long sessions; /* connections tried */
	unsigned long failures; /* sessions that ended by an error */
	size_t entries;
	char error[SESSION_WHY_BYTES]; /* why the last session ended; "" for none */
};

struct sub;

/**
 * Start the thread. on_batch runs on the loop and gets each batch for keeps.
 * Ownership: strings of `config` are borrowed until sub_close() called back.
 * Errors   RC_NOMEM, RC_IO. Nothing was started then.
 */
int sub_new(uv_loop_t *loop, const struct sub_config *config,
	    void (*on_batch)(void *arg, struct batch *b), void *arg, struct sub **out) WARN_UNUSED;

/** Stop and join the thread, then call on_closed from the loop. *s is NULL afterwards. */
void sub_close(struct sub **s, void (*on_closed)(void *arg), void *arg);

void sub_get_status(struct sub *s, struct sub_status *out);
const char *sub_state_text(enum sub_state state);

/** Drop the cookie and load everything again, e.g. after a batch could not be applied. */
void sub_resync(struct sub *s);

/** Loop timer: end a library call that lasts too long. */
void sub_watch(struct sub *s, uint64_t now_ms);
