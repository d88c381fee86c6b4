/*
 * What the parts of the server share: server.c (start, stop, signals), server_recompute.c (batches,
 * tables), server_save.c (tables to disk), server_history.c (the record of tables), server_health.c
 * (DNS checks, dampening), server_answer.c (recipients, control requests). Everything runs on the
 * loop, but for the pool work of jobs.
 */
#pragma once

#include "lib/clock.h"
#include "routed/ctl.h"
#include "routed/dns.h"
#include "routed/gal.h"
#include "routed/effect.h"
#include "routed/health.h"
#include "routed/inherit.h"
#include "routed/model.h"
#include "routed/publish.h"
#include "routed/sched.h"
#include "routed/serve.h"
#include "routed/settings.h"
#include "routed/sub.h"

/* One recompute. The pool fills the lower part. */
struct job {
	uv_work_t work;
	bool forced;        /* an operator accepts whatever comes out */
	struct holds holds; /* of s->health */
	struct buf wanted;  /* struct span, of the new table */
	struct effect effect;
	struct buf causes;
	int rc;
	int routes_rc;
	bool same, held;
	struct table *table;
	struct buf saved; /* its saved form, if it is new */
	struct routes routes;
	uint64_t began_ms;
};

/* Writing the table to disk, behind the swap: answers do not wait for an fsync. server_save.c */
struct save {
	uv_work_t work;
	bool running;
	bool failed;     /* the last try; `now` is kept for the next one */
	struct buf now;  /* what the pool writes */
	struct buf next; /* a newer one that came meanwhile; empty: none */
	int rc, render_rc;
	const char *render_target;   /* that render_rc is of */
	int told_rc, told_render_rc; /* what the log has last been told */
};

/* What dampening remembers, on the way to disk: server_damping.c. */
struct damping_save {
	uv_work_t work;
	bool running, failed;
	char *path;
	struct buf file;
	unsigned long
		changes; /* health_changes() that is on disk, or was when the last try began */
	int rc;
};

#define SERVER_CAUSES_BYTES ((size_t)1024 * 1024)

struct history_item;

/* What becomes of replaced tables: server_history.c. */
struct server_history {
	uv_work_t work;
	bool running;
	bool counted; /* `records` is known */
	unsigned records;
	struct history_item *first, *last;
	char *path;
	int rc;
};

struct server {
	const struct settings *settings;
	const char *config_path;
	uv_loop_t loop;
	uv_signal_t sigterm, sigint, sighup;
	uv_timer_t tick, due;
	uv_timer_t check; /* of s->health */
	uv_timer_t leave; /* after a handover: first begin to leave, then the end of patience */
	unsigned ticks;
	bool stopping;
	bool leaving; /* another routed has the listening sockets */
	int lock_fd;
	struct inherit inherit;
	struct arena arena; /* paths */
	char *table_path;
	char *routes_dn;

	struct sub *sub;
	struct gal *gal;
	struct serve *serve;
	struct ctl *ctl;
	struct publish *publish;
	struct health *health; /* NULL: nothing can hold a direct route back */
	struct damping_save damping;
	struct dns_config dns_config;
	struct dns *dns;

	struct model *model;
	bool model_loaded;     /* it holds one complete content */
	struct effect effect;  /* of s->table, when the model is the one it was computed from */
	unsigned long skipped; /* changes that touched no route */
	struct sched sched;
	bool computing, accept;
	struct job job;
	struct save save;
	struct batch *waiting, *last_waiting;
	struct buf scratch;
	struct buf causes; /* of the next recompute, a line each */
	unsigned ncauses;
	struct server_history history;

	struct table *table; /* answers come from it; NULL: none was ever complete */
	bool from_disk;      /* not yet confirmed by the directory */
	unsigned long generation;
	int64_t table_wall_us; /* when it was computed */
	size_t nignored;
	uint64_t computed_ms, computed_max_ms; /* what recomputes took: the last, the longest */
};

static inline uint64_t server_now_ms(void)
{
	return clock_system.mono_ms(&clock_system);
}

/* server.c */

/** Give the listening sockets away with the reply, then end when all is answered. */
void server_hand_over(struct server *s, struct buf *out);

/* server_recompute.c */

/** A batch of the subscription: into the model, and a recompute when its time comes. */
void server_on_batch(void *arg, struct batch *b);

/** Recompute without waiting for the schedule; or as it says, together with what else comes. */
void server_recompute_now(struct server *s);
void server_recompute_soon(struct server *s);

/** Free what waits; the loop has ended. */
void server_recompute_fini(struct server *s);

/* server_save.c */

/** Write a table in its saved form, which is taken over, and what is rendered of it. */
void server_save(struct server *s, struct buf *saved);

/** Once a second: what the disk did not take is tried again now and then. */
void server_save_again(struct server *s);

/** Append whether the table in use is on disk, and why not, as key=value lines. */
void server_put_saved(const struct server *s, struct buf *out);

/** The loop has ended. */
void server_save_fini(struct server *s);

/* server_history.c */

/** Note why the next recompute happens: one line, fit for people. */
void server_cause(struct server *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** What was noted, for keeps; the next notes begin anew. */
void server_take_causes(struct server *s, struct buf *out);

/** What was noted has led to nothing. */
void server_drop_causes(struct server *s);

/** s->table has replaced `before` (NULL: none), which is taken over like `causes`. */
void server_history_add(struct server *s, struct table *before, struct buf *causes);

/** The loop has ended. */
void server_history_fini(struct server *s);

/* server_health.c */

/** After the table was loaded from disk. RC_NOMEM, RC_UNSUPPORTED; already logged. */
int server_health_start(struct server *s) WARN_UNUSED;

/** A new table wants these domains direct (struct span each). */
void server_health_want(struct server *s, const struct buf *wanted);

/** "up", or the reason code of what holds the domain back. */
const char *server_health_state(const struct server *s, const struct health_domain *d);

/** Append the counts as key=value lines. */
void server_put_health(const struct server *s, struct buf *out);

/* server_damping.c */

/** Read what dampening remembers; what is wrong with it is logged, and is no obstacle. */
void server_damping_load(struct server *s);

/** Begin to write it, if it has changed. Called now and then. */
void server_damping_save(struct server *s);

/** The last time: the loop has ended. */
void server_damping_fini(struct server *s);

/* server_answer.c */

/** serve's source of the `recipient` map. */
int server_on_recipient(void *arg, struct span key, struct gal_request *r, struct buf *reply);

/** gal's resolver: what the directory found becomes a reply. */
int server_on_resolve(void *arg, const struct gal_finding *found, struct buf *reply);

/** ctl's handler. */
void server_on_control(void *arg, struct span line, struct buf *out);

/** Seconds since a wall clock time. */
long long server_age_s(int64_t since_wall_us);
