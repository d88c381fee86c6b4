/* One connection of the simulated network, shared by net.c (links), net_consumer.c and
 * net_provider.c. */
#pragma once

#include "tests/sim/sim.h"

#define NET_LINGER_MS 30000 /* a provider may not hear of a lost client for so long */

enum stage {
	STAGE_DIALING, /* until the bind is answered */
	STAGE_ASKING,  /* the search is under way */
	STAGE_OPEN,
};

/* A message under way; without bytes: the end of the stream. */
struct frame {
	struct frame *next;
	uint64_t due_ms;
	size_t n;
	uint8_t bytes[];
};

/* One connection: the provider's operation, the wire, the consumer's side of it. */
struct conn {
	struct op op; /* first: the provider's calls come with it */
	struct conn *next;
	struct site *from, *to;
	enum stage stage;
	uint64_t stage_ms; /* when it goes on */
	struct buf cookie; /* of the search under way */

	bool is_served; /* the provider's session runs */
	uint64_t turn_ms, provider_end_ms;
	bool is_stalled;
	size_t room, flight; /* the provider waits with more than `room` bytes under way */
	struct frame *first, *last;
	bool is_dead; /* nothing comes any more, and nobody says so */

	struct link *link; /* NULL: given up */
	struct repl_session session;
	bool has_session, told_refreshed, is_paused;
	struct repl_batch batch;
	struct repl_held held;
	struct buf head; /* the last one that came */
	struct repl_ready *written;
	bool is_writing;
	uint64_t write_ms, probe_ms;
};

/** May messages pass? */
bool net_reach(const struct site *a, const struct site *b);
/** A time from now on, within so many ms. */
uint64_t net_later(uint32_t most_ms);
/** A message on its way to the consumer; an empty one is the end of the stream. */
void net_put_frame(struct conn *c, struct span bytes);
/** The consumer's search has arrived. */
void net_serve(struct conn *c);
/** The provider's turn, if it has one. */
void net_run_provider(struct conn *c);
/** The provider has heard that its client is gone. */
void net_end_provider(struct conn *c);
/** Sessions of this site that sleep look for what was committed. */
void net_wake(struct site *s);

/* --- net_consumer.c --- */

/** The bind is answered: ask for what is not here. */
void net_begin_session(struct conn *c);
void net_read_frames(struct conn *c);
void net_drop_frames(struct conn *c);
/** What is due at the writer. */
void net_run_writer(struct conn *c);
/** The connection ends in good order: whole messages that are here already still count. */
void net_lost(struct conn *c, const char *why);
/** Something does not fit: what this session still holds is not to be trusted. */
void net_fail(struct conn *c, const char *why);
/** The consumer's site is gone. */
void net_consumer_down(struct conn *c);
