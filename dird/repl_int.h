/*
 * The edge of the replication consumer, shared by its files:
 *
 *   repl_in.c      links, timer, start and stop
 *   repl_conn.c    one connection to a partner: bind, search, batches to the writer
 *   repl_begin.c   what a session begins with
 *   repl_config.c  links as the directory has them
 *   repl_hours.c   when a link may be used
 *   repl_head.c    signed heads that come
 *   repl_proof.c   signed heads: what is not proven, what is stale
 *   repl_recover.c was our own state put back to an older one?
 *   repl_twin.c    does another process run as this site?
 *   repl_status.c  what others may know: status, positions of partners
 *
 * Everything runs on the home loop, but for what repl_status.c says.
 */
#pragma once

#include "dird/repl.h"
#include "dird/repl_batch.h"
#include "dird/server.h"
#include "dird/stream.h"
#include "lib/hours.h"

#include <pthread.h>
#include <stdatomic.h>

#define REPL_MAX_PINS 4
#define REPL_MAX_OWN 16 /* contexts that one site writes */
#define REPL_NAME_BYTES 128
#define REPL_URI_BYTES 256
#define REPL_ERROR_BYTES 256
#define REPL_MAX_REFUSED 16 /* contexts of one partner that are remembered */

struct head;
struct repl_conn;
struct repl_held;

/** One partner as the directory describes it. */
struct repl_partner {
	char name[REPL_NAME_BYTES]; /* remoteSite */
	char uri[REPL_URI_BYTES];
	char host[REPL_URI_BYTES];
	unsigned port;
	bool is_enabled;
	struct uuid site; /* zero: its site entry is not known */
	uint8_t pins[REPL_MAX_PINS][TLS_PIN_BYTES];
	unsigned npins;
	bool has_hours;
	struct hours hours;             /* replicationSchedule; outside them the link rests */
	char problem[REPL_ERROR_BYTES]; /* why no connection can be tried; empty: it can */
};

/* After so many heartbeats without news of a home, or without a head for what came of it, people
 * are told. */
#define REPL_STALE_HEARTBEATS 12

/** A context that the partner could not prove. */
struct repl_refused {
	struct uuid nc;
	char why[120];
};

/** What status tells of a link; guarded by repl.mutex. */
struct repl_figures {
	enum repl_state state;
	char last_error[REPL_ERROR_BYTES];
	int64_t last_contact_us;     /* wall clock; 0 never */
	int64_t level_us;            /* last contact while caught up; 0 never */
	int64_t next_attempt_us;     /* 0: none is due */
	struct position *partner_at; /* heap: the partner's own vector */
	unsigned partner_n;
	uint64_t bytes_in, entries_in;
	struct repl_refused refused[REPL_MAX_REFUSED];
	unsigned nrefused;
};

struct repl_peer {
	struct repl *repl;
	struct repl_peer *next;
	struct repl_partner partner; /* name, uri and site are read under repl.mutex by others */
	struct repl_link link;
	struct repl_conn *conn; /* NULL: none now */
	struct repl_figures figures;
	atomic_bool is_hurried; /* an attempt is wanted now */
	bool has_told;          /* how far it has what we write, since the start */
	bool is_unlooked;       /* ... to be compared with ours, see is_time_to_look() */
	bool has_answered;      /* ... or it failed to */
	bool has_given;         /* it has told all it has, in a session since */
	bool is_heard;          /* ... in any session since the start */
	unsigned recover_tries; /* in which it failed to give back what was lost */
	uint64_t recover_ms;    /* ... so not again before; 0: any time */
	bool is_seen;           /* while the list is compared with the directory */
};

struct repl {
	struct server *server;
	struct loop *home;
	pthread_mutex_t mutex;
	struct repl_peer *peers; /* changed on the home loop under the mutex */
	unsigned nconns;         /* open or closing connections */
	uv_timer_t timer;
	uint64_t beat_ms;     /* own heads are signed again */
	uint64_t reread_ms;   /* when the links are to be read again; 0: not */
	struct uuid instance; /* of this process, for partners (twins.h) */
	bool is_twin;         /* another process runs as this site: nothing is originated */
	bool is_chosen;       /* ... and the administrator wants this one */
	uint64_t settle_ms;   /* clients wait no longer for partners' answers */
	bool is_read;         /* the links are known */
	bool is_settled;      /* all partners were asked how far they have what we write */
	bool is_recovering;   /* ... and are asked for what we had lost of it */
	bool is_released;     /* clients may write */
	struct vector unconfirmed;
	struct arena unconfirmed_arena;
	struct change findings[REPL_MAX_OWN];
	unsigned nfindings;
	bool is_finding; /* they are at the writer */
	struct write_req finding_req;
	struct arena finding_arena;
	bool is_stopping;
	bool timer_is_closed;
	uv_sem_t stopped;
};

/* --- repl_in.c --- */

/** The link's attempt or session is over. Static or peer text; clipped. */
void repl_peer_lost(struct repl_peer *p, const char *why);
/** A connection is gone for good. */
void repl_conn_gone(struct repl *r);
/** Look when the next thing is due. */
void repl_arm(struct repl *r);
uint64_t repl_now_ms(const struct repl *r);

/* --- repl_conn.c --- */

/** Begin an attempt; RC_OK: p->conn is set and repl_peer_lost() will tell its end. */
int repl_conn_open(struct repl_peer *p) WARN_UNUSED;
void repl_conn_probe(struct repl_conn *c);
/** A heartbeat has passed; what waits too long for a signed head is refused aloud. */
void repl_conn_beat(struct repl_conn *c);
bool repl_conn_is_paused(const struct repl_conn *c);
/** Give it up; what was received whole is still written. p->conn becomes NULL. */
void repl_conn_drop(struct repl_peer *p);

/* --- repl_begin.c --- */

/**
 * Begin a session with this partner: set it up with what is written here, note what the partner has
 * to prove, and append the search for what it has.
 */
int repl_begin(struct repl_peer *p, int32_t id, struct repl_session *session,
	       struct repl_held *held, struct buf *request) WARN_UNUSED;

/* --- repl_config.c --- */

/** The links of the own site's Directory Replication container, in the arena. */
int repl_config_read(struct server *s, struct arena *a, struct repl_partner **out,
		     unsigned *n_out) WARN_UNUSED;
/** Host and port of an ldaps URI; false if it is none. */
bool repl_config_uri(struct repl_partner *p);

/* --- repl_hours.c --- */

/**
 * May the link be used now? Hours do not keep a link from telling its problem, nor count until
 * partners have said how far they have what we write, and given it back where it was lost here.
 */
bool repl_hours_within(const struct repl_peer *p);
/** When the link's hours begin or end, seconds since 1970; INT64_MAX: never. */
int64_t repl_hours_change(const struct repl_peer *p);
/** When to look at them again, monotonic; UINT64_MAX: never. */
uint64_t repl_hours_due(const struct repl_peer *p, uint64_t now_ms);

/* --- repl_recover.c --- */

/** The links were read for the first time. */
void repl_recover_start(struct repl *r);
/** A partner said how far it has contexts, own ones too. */
void repl_recover_told(struct repl_peer *p);
/** A session has caught up. */
void repl_recover_answered(struct repl_peer *p);
/** A session or an attempt has failed. */
void repl_recover_failed(struct repl_peer *p);
void repl_recover_links_changed(struct repl *r);
/** When repl_recover_tick() has something to do; UINT64_MAX: never. */
uint64_t repl_recover_due(const struct repl *r);
void repl_recover_tick(struct repl *r);

/** As if every own context had been put back to its beginning: what partners have is asked for. */
void repl_recover_all(struct repl *r);

/* --- repl_twin.c --- */

void repl_twin_start(struct repl *r);
/** Value of the control that names this process. */
void repl_twin_value(const struct repl *r, uint8_t out[static UUID_BYTES + 1]);
/** A session has ended with this result: is it because another process runs as this site? */
void repl_twin_refused(struct repl_peer *p, const struct msg_result *result);

/* --- repl_status.c --- */

/** Note bytes, entries, state and the partner's vector (NULL: unchanged). Home loop. */
void repl_note(struct repl_peer *p, uint64_t bytes, uint64_t entries, const struct vector *v);
void repl_note_error(struct repl_peer *p, const char *text);

/* --- repl_head.c --- */

/** A head came with a session. RC_DENIED: its signature is wrong. */
int repl_hear(struct repl_peer *p, const struct repl_session *session, struct span bytes,
	      const struct head *head) WARN_UNUSED;

/* --- repl_proof.c --- */

/** A context was compared with its head; `why`: it was refused (NULL: it was taken). */
void repl_note_proof(struct repl_peer *p, const struct uuid *nc, bool is_proven, const char *why);
/** Why the context was refused from this partner, "" if it was not. Under the mutex. */
const char *repl_refused_why(const struct repl_peer *p, const struct uuid *nc);
/** Has nothing new been heard of the home of a foreign context for too long? Any thread. */
bool repl_is_stale(struct repl *r, struct store_txn *t, const struct store_nc *nc);
/** When repl_beat_tick() has something to do. */
uint64_t repl_beat_due(const struct repl *r);
/** True: a heartbeat has passed. */
bool repl_beat_tick(struct repl *r);
