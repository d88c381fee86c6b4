/*
 * Many sites in one process, with virtual time: the provider (dird/sync.h), the consumer's schedule
 * and message reader (dird/repl.h, repl_batch.h) and the update code on real stores. Everything
 * follows from one seed.
 *
 *   site.c     stores, client operations, the writer
 *   disk.c     what a crash leaves of a commit; backups
 *   recover.c  after a restore
 *   net.c      links, connections; net_consumer.c and net_provider.c their two ends
 *   history.c  what every home acknowledged, and whether a site agrees with it;
 *              history_restore.c for homes that were put back
 *   proof.c    signed heads, lies
 *   plant.c    bugs to be found
 *   poison.c   changes that a site can not apply, and schema that it does not know
 *   remove.c   a site that is removed, and the one that takes its name
 *   links.c    links that are added, removed and changed
 *   world.c    who is there, who is linked to whom
 *   wrong.c    what goes wrong
 *   sim.c      steps, the end, runs
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "dird/op_impl.h"
#include "dird/repl_held.h"
#include "dird/repl_int.h"
#include "dird/schema.h"
#include "dird/update.h"
#include "dird/verify.h"

#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"

#define SIM_SITES 50
#define HEARTBEAT_MS 10000
#define SIM_CONTEXTS (SIM_SITES + 1) /* the sites' own, then the organisation's */
#define SIM_ROOT "o=Example"

struct conn;
struct history;

/* What a site has been seen to hold of an entry. */
struct seen {
	struct stamp stamp;
	bool was_there, is_gone;
};

struct site {
	unsigned number;
	unsigned name; /* the number in its name */
	char folder[128];
	bool is_member; /* it has joined */
	bool is_up;
	uint64_t up_ms; /* while down: of the restart */
	struct store *store;
	struct update_context ctx;
	struct arena arena;
	struct server server;
	struct repl repl;
	uint64_t wake_ms; /* the provider hears of commits; UINT64_MAX: nothing to hear */
	int64_t wall_offset_us;
	uint64_t full_ms;          /* until then its disk has no room */
	uint64_t eio_ms;           /* until then each sync fails */
	bool power_is_lost;        /* or a sync has failed: it ends with the step */
	bool lost_is_whole;        /* the commit that was under way is there all the same */
	struct buf image;          /* its database after that */
	struct buf backup;         /* its database at some earlier time */
	bool is_restored;          /* the next start is with that one */
	bool is_released;          /* clients may write */
	bool is_held;              /* the last changes ended with a position that is held */
	struct write_req *finding; /* of dird/repl_recover.c, to be written */
	struct buf before;         /* with a planted bug: its database before the last commit */
	struct verify *verify;     /* of the batch that is written; NULL: it is not compared */
	uint64_t beat_ms;
	struct position last[SIM_CONTEXTS];
	struct seen *seen[SIM_CONTEXTS];
	size_t nseen[SIM_CONTEXTS];
};

/* One site's link to another one, from which it pulls. */
struct link {
	struct site *from, *to;
	struct repl_peer peer; /* of `to` */
	struct conn *conn;
	bool is_removed;
};

/* A naming context with all that its home acknowledged. */
struct context {
	struct site *home;
	struct uuid id;
	char base[64];
	struct history *history;
	bool is_adrift; /* its home was put back, and has not recovered: others may know more */
};

struct edge {
	unsigned a, b;
};

struct world {
	uint64_t seed, now_ms, steps;
	unsigned nsites, ncontexts, nlinks;
	struct site sites[SIM_SITES];
	struct context contexts[SIM_CONTEXTS];
	struct link links[2 * SIM_SITES * SIM_SITES];
	bool is_cut[SIM_SITES][SIM_SITES];
	bool is_quiet;          /* nothing goes wrong any more */
	struct site *backed_up; /* may be restored; NULL: nobody is */
	unsigned most_restores;
	bool has_lies;      /* the hub alters what it passes on */
	bool is_plain;      /* nobody is put back, nobody lies: everything else may happen */
	bool has_new_links; /* links are added, removed and changed */
	bool only_moves; /* writes are moves and names used again, and readers look all the time */
	struct edge edges[SIM_SITES * SIM_SITES];
	unsigned nedges;
	struct site *leaver; /* is removed, or will be; NULL: nobody is */
	struct site *heir;   /* takes its name */
	bool is_removed;
	uint64_t removed_usn; /* of the organisation's context */
	struct conn *conns;
	/* totals, for the reader */
	uint64_t changes, commits, sessions, crashes, partitions, lives, presents, parked, checked,
		forgetting, foreign, collected, tears, joins, jumps, restores, recoveries, views,
		applied, messages, lies, refusals, full, eios, poisoned, relinks;
};

extern struct world w;
extern struct schema *sim_schema;

/* --- sim.c --- */

uint32_t draw(uint32_t below);
bool chance(uint32_t in); /* one in `in` */
int fill_random(void *p, size_t n);
/** An invariant does not hold: says so with the seed, and ends the program. */
_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Of our own machinery. */
#define need(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond))                                                                       \
			sim_fail("%s:%d: %s", __FILE__, __LINE__, #cond);                          \
	} while (0)

/* --- wrong.c --- */

/** Something goes wrong somewhere. */
void wrong_something(void);
/** Sites whose time has come, or all, start again. */
void wrong_restart_due(bool all);
/** Those that lost power or could not sync end now. */
void wrong_crash_without_power(void);
/** Some sites on one side, the others on the other; or everybody together again. */
void wrong_partition(bool heal);
void wrong_back_up(struct site *s);

/* --- world.c --- */

struct shape {
	unsigned nsites;      /* 0: any */
	const char *topology; /* NULL: any */
	bool is_calm;         /* nothing goes wrong */
	bool only_moves;
	bool has_restores;
	bool has_lies;
};
void world_open(uint64_t seed, const struct shape *shape, const char *folder);
void world_close(void);
/** One more site joins, if one is left and its partner is up. */
void world_join_one(void);
void world_join_all(void);

/** They are, or will be, linked. */
void world_add_edge(unsigned a, unsigned b);

/* --- remove.c --- */

/** Somebody may be removed later. */
void remove_plan(void);
/** The organisation's administrator removes the site, if that was planned and is possible now. */
void remove_now(void);
bool remove_is_gone(const struct site *s);
/** Does each of them find the other one's key on its site entry? */
bool remove_may_talk(const struct site *a, const struct site *b);
/** May the heir join at this site? */
bool remove_frees_name(const struct site *s);
/** Is nothing left of the removed site where its removal is known? */
void remove_check(struct site *s);
/** What removed sites had written goes on going, at every site. */
void remove_pieces(void);

/* --- links.c --- */

/** Two sites are linked, or not any more, or in another way. */
void links_change(void);

/* --- poison.c --- */

void poison_open(void);
void poison_close(void);
/** What a new site knows. */
struct schema *poison_schema(void);
/** The site may not be able to apply this one. */
void poison_change(const struct site *s, struct change *c);
/** Everything in quarantine is tried again. */
void poison_retry(struct site *s);

/* --- disk.c --- */

/** The database file of a site. */
void disk_read(const struct site *s, struct buf *out);
/** ENOSPC: nothing is written, nothing is lost. */
bool disk_is_full(const struct site *s);
/** EIO. The process ends with the first one; until the disk is well it can not start. */
bool disk_sync_fails(const struct site *s);
/** Power goes, or a sync fails, while these changes are committed: decide what will be left. */
void disk_lose_power(struct site *s, struct change *c, unsigned n, struct arena *a);
/** The site is down: its disk is what was decided. */
void disk_after_crash(struct site *s);

/** Keep the database as it is now. */
void disk_backup(struct site *s);

/* --- recover.c --- */

/** The site has started, its links are known. */
void recover_start(struct site *s);
void recover_run(struct site *s);

/* --- site.c --- */

void site_create(struct site *s, unsigned number, const char *folder);
void site_open(struct site *s);
void site_close(struct site *s);
void site_free(struct site *s);
/** Found contexts and their first entries; the organisation's at site 0, the others take the root
 * entry from `partner`. */
void site_found(struct site *s, struct site *partner);
/** Take along the other one's site entry, as a join does on both sides. */
void site_take_head(struct site *s, const struct site *of);
/** Add an entry with a name of its own. */
void site_add_numbered(struct context *c, unsigned number);
/** A client adds a value; false: refused. */
bool site_add_value(struct context *c, const char *dn, const char *type, const char *value);
/** One random client operation at the home of `c`. */
void site_write(struct context *c);
/** As after a restore that lost nothing: partners know an earlier life. */
void site_begin_life(struct context *c);
/** The life time of the site's older tombstones is over. */
void site_collect(struct site *s);
/** Changes in one transaction. RC_REFUSED, RC_IO (a failed write): nothing was written. */
int site_apply(struct site *s, struct change *c, unsigned n, struct arena *a, struct result *why);

/* --- history.c --- */

void history_create(struct context *c);
void history_free(struct context *c);
/** Take down what the home has written, as `t` (NULL: a new snapshot) shows it. */
void history_note(struct context *c, struct store_txn *t);
/** Does what the site has of the context agree with history? */
void history_check(struct site *s, struct context *c);
/** The site was put back: it begins from what it has now. */
void history_restored(struct site *s);
/** Has it, at the end, what others had at its last restore, and it had not? */
void history_check_returned(struct context *c);
/** A home has heard of what it lost: until it has recovered, others may have more. */
void history_adrift(const struct uuid *nc);
/** The home has recovered: what it has now is what counts. Nothing that was acknowledged since the
 * restore may be missing. */
void history_recovered(struct site *s, const struct uuid *nc);
/** Positions only grow. */
void history_positions(struct site *s);
/** Is the site as far as the home, with every entry in its place? */
void history_check_equal(struct site *s, struct context *c);
/** What a reader sees: nothing without its parent, no name twice. */
void history_check_view(struct site *s);
/** Does the database agree with itself? */
void history_check_database(struct site *s);

/* --- net.c --- */

void net_add_link(struct site *from, struct site *to);
/** It leads somewhere else: the connection is given up, another one begins. */
void net_change_link(struct link *l);
void net_remove_link(struct link *l);
/** Links, timers, messages: what is due now. */
void net_run(void);
/** Break a random connection. */
void net_break_one(void);
/** The site is gone, with all that it did not write. */
void net_site_down(struct site *s);
/** The link's connection ends in good order. */
void net_end(struct link *l, const char *why);
/** The link begins anew. */
void net_drop(struct repl_peer *p);
void net_cut(unsigned a, unsigned b, bool cut);
void net_free(void);
/** A commit at this site. */
void net_committed(struct site *s);

/* --- proof.c --- */

bool proof_is_on(void);
/** The value of siteKey. */
void proof_pin(const struct site *s, char out[static TLS_PIN_TEXT_BYTES]);
void proof_open(struct site *s);
/** Tell what a site has seen proven. */
void proof_note(const struct site *s, struct repl_held *held);
void proof_close(struct site *s);
/** Sign own heads again when it is time. */
void proof_run(struct site *s);
/** A head came; RC_INVALID: it is none. */
int proof_head(struct repl_peer *p, struct repl_held *held, const struct repl_session *session,
	       struct span bytes);
/** With a planted bug: the head counts for the position that was told, whatever its life. */
bool proof_plant_life(struct head *head, const struct change *told);
int proof_begin(struct site *s, struct store_txn *t, struct result *why);
int proof_end(struct site *s, struct store_txn *t, struct result *why);
/** Has it a head for what is there? */
bool proof_is_present(struct store_txn *t, const struct store_nc *nc);
/** Has the site the digest of the home, and the head for it? */
void proof_check_equal(struct site *s, struct context *c);
/** Alter a message, if it is the turn of this one. */
void proof_lie(const struct site *from, const struct site *to, uint8_t *bytes, size_t n);

/* --- plant.c: what a site with a bug does --- */

enum plant {
	PLANT_NONE,
	PLANT_POSITION_FIRST,
	PLANT_PRESENT_CUT,
	PLANT_PRESENT_IGNORED,
	PLANT_STALE_APPLIED,
	PLANT_LIMBO_DROPPED,
	PLANT_TOMBSTONE_FORGOTTEN,
	PLANT_REMOVE_DROPPED,
	PLANT_WAKE_LOST,
	PLANT_MESSAGE_LOST,
	PLANT_MEMORY_COOKIE,
	PLANT_FAILED_BATCH_SKIPPED,
	PLANT_MESSAGE_SWAPPED,
	PLANT_FLOOR_FORGOTTEN,
	PLANT_LIVES_MIXED,
	PLANT_ECHO_TOO_MUCH,
	PLANT_ACK_EARLY,
	PLANT_PROBE_IGNORED,
	PLANT_COLLECTED_QUIETLY,
	PLANT_SYNC_LOST,
	PLANT_CLOCK_DECIDES,
	PLANT_JOIN_CLAIMS,
	PLANT_NAME_TWICE,
	PLANT_RESTORE_UNNOTICED,
	PLANT_SINCE_NOT_STAMPED,
	PLANT_HEAD_UNCHECKED,
	PLANT_FULL_ACKNOWLEDGED,
	PLANT_SYNC_RETRIED,
	PLANT_SLOT_KEPT,
	PLANT_REMOVED_TAKEN,
	PLANT_POISON_DROPPED,
	PLANT_UNKNOWN_DROPPED,
	PLANT_MESSAGE_DOUBLED,
	PLANT_OLD_SESSION_READ,
	PLANT_HELD_LOST,
	PLANT_HEAD_OF_ANOTHER_LIFE,
	PLANT_COUNT
};
extern enum plant plant;
extern const char *const plant_names[PLANT_COUNT];

/** One change of a batch, with the bugs that are in the writer. */
/** Does it go on although a sync has failed? */
bool plant_retries_sync(struct site *s);
void plant_keep_before(struct site *s);
void plant_lose_sync(struct site *s);
void plant_join(struct site *s, struct site *partner);
int plant_apply(struct site *s, struct store_txn *t, struct change *c, struct arena *a,
		enum update_outcome *outcome, struct result *why);
