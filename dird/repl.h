/*
 * Replication consumer: for each partner a link that keeps an RFC 4533 session open.
 *
 * repl.c and repl_batch.c are the core: bytes' meaning and time in, batches, timers and bytes out,
 * with no socket, clock or disk of their own; repl_in.c drives them with streams, the writer and
 * libuv timers, the simulator with virtual ones. Links come from the replicationConnector entries
 * of the site's own context.
 */
#pragma once

#include "dird/server.h"

struct repl;

/** Start the links on `home`. Partners are re-read after each commit that touches them. */
int repl_start(struct server *s, struct loop *home, struct repl **out) WARN_UNUSED;
void repl_stop(struct repl **r);

/** A commit happened (any thread is told through its loop). */
void repl_wake(struct repl *r);

/** The state of the links as entries below cn=Replication,cn=monitor: one struct per context and
 * partner. */
struct repl_status {
	char nc_name[256];
	char nc_master[128];
	char position[64]; /* "epoch:usn" */
	char partner_name[128];
	char partner_uri[256];
	char link_state[32]; /* connecting, refreshing, persisting, waiting, disabled */
	char last_error[256];
	char last_contact[20]; /* generalizedTime; "" never */
	char partner_position[64];
	uint64_t bytes_in, entries_in;
};
/** Thread-safe copy into the arena. */
int repl_status(struct repl *r, struct arena *a, struct repl_status **out,
		unsigned *n_out) WARN_UNUSED;
