/*
 * Replication consumer: for each partner a link that keeps an RFC 4533 session open.
 *
 *   repl.c        when to connect, to probe, to give up: one state machine a link, time as argument
 *   repl_batch.c  messages of a session to changes for the writer
 *   repl_in.c     drives both with streams, the writer and a timer
 *
 * The first two have no socket, clock or disk of their own, so a simulator can drive them too.
 * Links come from the replicationConnector entries of the site's own context.
 */
#pragma once

#include "lib/arena.h"
#include "lib/rc.h"
#include "lib/span.h"

struct loop;
struct position;
struct repl;
struct server;
struct uuid;

/* --- one link's schedule: pure, repl.c --- */

enum repl_state {
	REPL_DISABLED,
	REPL_SCHEDULED,  /* outside its hours */
	REPL_WAITING,    /* for the next attempt */
	REPL_CONNECTING, /* until the bind is answered */
	REPL_REFRESHING, /* the session catches up */
	REPL_PERSISTING, /* caught up; changes come as they happen */
};

/** What the driver has to do now; it then tells the outcome with one of the calls below. */
enum repl_action {
	REPL_DO_NOTHING,
	REPL_DO_CONNECT,
	REPL_DO_PROBE, /* ask for a sign of life */
	REPL_DO_DROP,  /* the partner is silent: close, then repl_link_lost() */
	REPL_DO_END,   /* its hours are over: close, then repl_link_ended() */
};

/**
 * The schedule of one link. Attempts are spread by full jitter: the wait is a random time between
 * nothing and a bound that doubles from 1 s to 60 s while attempts fail; after a session that had
 * caught up the first retry comes within REPL_FIRST_RETRY_MS. A partner that says nothing for one
 * heartbeat is probed, and given up when it stays silent for another one. A link may have hours:
 * outside them it rests, but for one attempt, up to the end of its refresh stage, when it is
 * hurried.
 */
struct repl_link {
	enum repl_state state;
	unsigned heartbeat_ms;
	unsigned failures; /* attempts in a row that did not catch up */
	bool is_probed;    /* asked, no byte since */
	bool is_off_hours; /* no attempt is made by itself */
	bool is_hurried;   /* ... but one was asked for */
	uint64_t next_ms;  /* WAITING: of the next attempt */
	uint64_t heard_ms; /* last byte, or the begin of the attempt */
};

#define REPL_FIRST_RETRY_MS 250
#define REPL_BACKOFF_MIN_MS 1000
#define REPL_BACKOFF_MAX_MS 60000
#define REPL_HOURS_SPREAD_MS 10000 /* partners with the same hours do not begin at once */

void repl_link_init(struct repl_link *l, unsigned heartbeat_ms);

/** Enabled: WAITING with an attempt due now, unless it runs already. Disabled: DISABLED. */
void repl_link_enable(struct repl_link *l, bool enabled, uint64_t now_ms);
/** An attempt is due now, if there is no session; outside the link's hours, too. */
void repl_link_hurry(struct repl_link *l, uint64_t now_ms);
/** Is it within the link's hours? To be told before each tick; `random` spreads their begin. */
void repl_link_hours(struct repl_link *l, bool is_within, uint64_t now_ms, uint32_t random);

/** Due now? CONNECT makes the link CONNECTING. `is_paused`: we ourselves do not read at present. */
enum repl_action repl_link_tick(struct repl_link *l, uint64_t now_ms, bool is_paused);
/** When repl_link_tick() has something to do at the latest; UINT64_MAX: never. */
uint64_t repl_link_due(const struct repl_link *l);

/** Bytes came from the partner. */
void repl_link_heard(struct repl_link *l, uint64_t now_ms);
/** The session runs. */
void repl_link_bound(struct repl_link *l);
/** The refresh stage is complete. */
void repl_link_refreshed(struct repl_link *l);
/** What the partner brought was not proven: the next attempts come as after many that failed. */
void repl_link_distrust(struct repl_link *l);
/** The attempt failed or the session ended; `random` spreads the next attempt. */
void repl_link_lost(struct repl_link *l, uint64_t now_ms, uint32_t random);

/** The session was closed because the link's hours are over. */
void repl_link_ended(struct repl_link *l);

/** "connecting", "refreshing", "persisting", "waiting", "scheduled", "disabled". */
const char *repl_state_name(enum repl_state s);

/* --- all links: repl_in.c --- */

/** Start the links on `home`. Partners are re-read after each commit that touches them. */
int repl_start(struct server *s, struct loop *home, struct repl **out) WARN_UNUSED;
/** End the links and free them. From the thread that started them; the loop still runs. */
void repl_stop(struct repl **r);

/**
 * Attempt the link to this partner now (name as the directory has it; empty: all links). Returns
 * how many links that concerns. From any thread.
 */
unsigned repl_sync_now(struct repl *r, struct span partner);

/**
 * Another process has run as this site, and an administrator has chosen this one: partners are
 * asked for what either has written, and changes are taken again. From any thread.
 */
int repl_take_over(struct repl *r) WARN_UNUSED;

/**
 * Have all partners said, since the start, that they know nothing of what is written here which is
 * not here? Until then one of them may give back what was deleted since this database was put back,
 * so its tombstones stay. On the home loop.
 */
bool repl_is_confirmed(struct repl *r);

/** A commit happened (any thread is told through its loop). */
void repl_wake(struct repl *r);

/**
 * How far is `site` in the life of position `of`, as its own cookies told? 0: not known. The
 * provider does not send a partner what came from it. Thread-safe; r may be NULL.
 */
uint64_t repl_partner_usn(struct repl *r, const struct uuid *site, const struct position *of);

/** The state of the links as entries below cn=Replication,cn=monitor: one struct per context and
 * partner. */
struct repl_status {
	char nc_name[256];
	char nc_master[128];
	char position[64]; /* "epoch:usn" */
	char partner_name[128];
	char partner_uri[256];
	char link_state[32]; /* repl_state_name() */
	char last_error[256];
	char last_contact[20]; /* generalizedTime; "" never */
	char partner_position[64];
	char context_state[12]; /* "own", "recovering", "foreign" */
	char head[64];          /* the newest that the home has signed: "epoch:usn"; "" none */
	int64_t head_age_s;     /* since a new one has come, or since the start; -1: own */
	char proof[12];         /* "own", "proven", "unproven", "stale" */
	char refused[120];      /* why the partner's word of the context is not taken; "" it is */
	char next_attempt[20];  /* generalizedTime; "": none is due */
	int64_t lag_s; /* since we were last known to have all that the partner has; -1: never */
	uint64_t floor;
	uint64_t bytes_in, entries_in;
};
/** Thread-safe copy into the arena. */
int repl_status(struct repl *r, struct arena *a, struct repl_status **out,
		unsigned *n_out) WARN_UNUSED;
