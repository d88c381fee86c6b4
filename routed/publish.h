/*
 * Writes the routes of the current table below cn=Routes of the own site, for any LDAP client to
 * see.
 *
 * One thread with a session of its own, so that neither look-ups nor the subscription wait for it.
 * It always works on the newest table: what was submitted in between is skipped. A failure is
 * retried with growing delays, from a fresh look at what the directory holds.
 */
#pragma once

#include "routed/routes.h"
#include "routed/session.h"

struct publish_config {
	struct session_config session;
	const char *base; /* DN of the container: cn=Routes,cn=Configuration,ou=<site>,<root> */
	unsigned backoff_cap_ms;
};

struct publish_status {
	unsigned long generation; /* newest that is published completely; 0: none */
	unsigned long added, modified, deleted, failures;
	char error[SESSION_WHY_BYTES]; /* of the last try; "" when it worked */
};

struct publish;

/** Start the thread. Strings of `config` are borrowed until publish_close(). RC_NOMEM, RC_IO. */
int publish_new(const struct publish_config *config, struct publish **out) WARN_UNUSED;

/** Stop and join the thread. */
void publish_close(struct publish **p);

/** Publish these routes, which become the thread's (*routes is empty afterwards). */
void publish_submit(struct publish *p, struct routes *routes, unsigned long generation);

void publish_get_status(struct publish *p, struct publish_status *out);

/** Loop timer: end a library call that lasts too long. */
void publish_watch(struct publish *p, uint64_t now_ms);
