#include "dird/write.h"

#include "dird/trail.h"
#include "lib/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define BATCH_MAX_REQUESTS 1000
#define VIEW_SLICE_ENTRIES 500 /* looked at between two batches while a view is built */

struct watcher {
	struct loop *loop;
	void (*fn)(void *ctx);
	bool (*listens)(void *ctx);
	void *ctx;
	atomic_bool is_told; /* a call is under way */
	struct watcher *next;
};

struct writer {
	struct store *store;
	struct update_context ctx;
	const struct clock *clock;
	pthread_t thread;
	bool has_views_to_build; /* the thread's own, as what follows */
	bool views_are_known;
	bool has_removals; /* what sites had written that were removed is to be taken away */
	bool is_over;

	atomic_uint_fast64_t commits;
	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t wake;
	struct write_req *first, **last;
	struct write_req *held_first, **held_last; /* of clients, until writer_release() */
	bool is_holding;
	const struct vector *unconfirmed;
	const char *stopped;
	bool is_stopping;
	struct watcher *watchers;
	struct writer_stats stats;
};

static int random_bytes(void *p, size_t n)
{
	return getrandom(p, n, 0) == (ssize_t)n ? RC_OK : RC_IO;
}

/* The database can no longer be trusted to keep what it is given: stop before anybody is told
 * otherwise (requirement F4). Another process may read what was durable. */
_Noreturn static void die(int rc)
{
	log_error(NULL, "write.failed", "rc=\"%s\" exit=%d", rc_text(rc), WRITE_EXIT_IO);
	fflush(NULL);
	_Exit(WRITE_EXIT_IO);
}

/* --- one batch --- */

static int apply_part(struct writer *w, struct store_txn *t, struct write_req *r)
{
	enum update_outcome outcome = UPDATE_APPLIED;
	unsigned i;
	int rc = RC_OK;

	memset(r->counts, 0, sizeof(r->counts));
	memset(&r->result, 0, sizeof(r->result));
	if (r->check != NULL)
		rc = r->check(r, t, &r->result);
	/* behind a position that is held nothing counts */
	for (i = 0; rc == RC_OK && i < r->nchanges && r->counts[UPDATE_HELD] == 0; i++) {
		rc = update_apply(t, &w->ctx, &r->changes[i], r->arena, &outcome, &r->result);
		if (rc == RC_OK)
			r->counts[outcome]++;
	}
	if (rc == RC_OK && r->after != NULL)
		rc = r->after(r, t, &r->result);
	return rc;
}

static int apply_request(struct writer *w, struct store_txn *t, struct write_req *r)
{
	struct write_req *p;
	int rc = RC_OK;

	r->refused = NULL;
	for (p = r; rc == RC_OK && p != NULL; p = p->part) {
		rc = apply_part(w, t, p);
		if (rc == RC_REFUSED)
			r->refused = p;
	}
	if (r->refused != NULL)
		r->result = r->refused->result;
	return rc;
}

static unsigned count_changes(const struct write_req *r)
{
	unsigned n = 0;

	for (; r != NULL; r = r->part)
		n += r->nchanges;
	return n;
}

static bool is_alone(const struct write_req *r)
{
	return r->is_alone || r->nchanges > 1 || r->part != NULL;
}

static void note_work(struct writer *w, struct store_txn *t)
{
	bool pending;

	w->has_removals = update_is_forgetting(t);
	if (update_views_pending(t, &w->ctx, &pending) == RC_OK)
		w->has_views_to_build |= pending || !w->views_are_known;
}

/*
 * RC_MORE: the map has grown, do it again. Each request's rc is set when this is RC_OK. A refused
 * change has written nothing; a request that may be undone has the transaction for itself.
 */
static int try_batch(struct writer *w, struct write_req *batch)
{
	struct store_txn *t;
	struct write_req *r;
	int rc = store_write_begin(w->store, &t);

	if (rc != RC_OK)
		return rc;
	w->ctx.wall_us = w->clock->wall_us(w->clock);
	for (r = batch; r != NULL && store_error(t) == RC_OK; r = r->next)
		r->rc = apply_request(w, t, r);
	if (store_error(t) == RC_OK)
		note_work(w, t);
	if (store_error(t) == RC_OK && is_alone(batch) &&
	    (batch->is_trial || batch->rc == RC_REFUSED)) {
		store_write_abort(&t);
		return RC_OK;
	}
	return store_write_commit(&t); /* after an error: grows the map, or just aborts */
}

/* Two sites gave the same address; once the change that tells is in for good. */
static uint64_t tell_conflicts(const struct write_req *part)
{
	char address[LOG_TEXT_BYTES], entry[LOG_TEXT_BYTES], other[LOG_TEXT_BYTES];
	const struct change *c;
	uint64_t n = 0;

	for (c = part->changes; c != part->changes + part->nchanges; c++) {
		if (c->conflict.p == NULL)
			continue;
		n++;
		log_warn(NULL, "address.conflict", "address=%s entry=\"%s\" other=\"%s\"",
			 log_text(c->conflict, address), log_text(c->conflict_entry, entry),
			 log_text(c->conflict_other, other));
	}
	return n;
}

static void count(struct writer *w, const struct write_req *batch)
{
	const struct write_req *r, *part;
	uint64_t n = 0, conflicts = 0;

	for (r = batch; r != NULL; r = r->next)
		for (part = r; r->rc == RC_OK && part != NULL; part = part->part)
			conflicts += tell_conflicts(part);
	atomic_fetch_add(&w->commits, 1);
	pthread_mutex_lock(&w->mutex);
	for (r = batch; r != NULL; r = r->next) {
		n++;
		if (r->rc == RC_OK)
			w->stats.changes += count_changes(r);
		else
			w->stats.refused++;
	}
	w->stats.commits++;
	w->stats.conflicts += conflicts;
	if (n > w->stats.batch_max)
		w->stats.batch_max = n;
	pthread_mutex_unlock(&w->mutex);
}

static void run_done(void *arg)
{
	struct write_req *r = arg;

	r->done(r);
}

static void answer(struct write_req *batch, int rc)
{
	struct write_req *r, *next;

	for (r = batch; r != NULL; r = next) {
		next = r->next;
		r->next = NULL;
		if (rc != RC_OK)
			r->rc = rc;
		/* the promise that done() runs is worth more than this process without memory */
		must(loop_post(r->home, run_done, r) == RC_OK);
	}
}

static void run_watcher(void *arg)
{
	struct watcher *n = arg;

	atomic_store(&n->is_told, false);
	n->fn(n->ctx);
}

static void free_watcher(void *arg)
{
	mem_free(arg);
}

static void tell_watchers(struct writer *w)
{
	struct watcher *n;

	pthread_mutex_lock(&w->mutex);
	for (n = w->watchers; n != NULL; n = n->next) {
		if (n->listens(n->ctx) && !atomic_exchange(&n->is_told, true) &&
		    loop_post(n->loop, run_watcher, n) != RC_OK)
			atomic_store(&n->is_told, false); /* the next commit tells */
	}
	pthread_mutex_unlock(&w->mutex);
}

/* Has the last attempt found a replicated change that makes it fail? Then it goes to quarantine. */
static bool is_poisoned(struct write_req *r)
{
	const struct write_req *part;
	unsigned n = 0, i;
	bool more;

	for (part = r; part != NULL; part = part->part)
		for (i = 0; i < part->nchanges; i++)
			n += part->changes[i].poison != NULL;
	more = n > r->npoisoned;
	r->npoisoned = n;
	return more;
}

static void do_batch(struct writer *w, struct write_req *batch)
{
	struct write_req *r, *next;
	int rc;

	do {
		rc = try_batch(w, batch);
	} while (rc == RC_MORE || (batch->next == NULL && is_poisoned(batch)));
	if (rc == RC_IO)
		die(rc);
	if (rc == RC_OK) {
		count(w, batch);
		tell_watchers(w);
		answer(batch, rc);
	} else if (batch->next == NULL || rc == RC_FULL) {
		log_error(NULL, "write.aborted", "rc=\"%s\"", rc_text(rc));
		answer(batch, rc);
	} else { /* only the request at fault shall fail */
		for (r = batch; r != NULL; r = next) {
			next = r->next;
			r->next = NULL;
			do_batch(w, r);
		}
	}
}

/* --- views --- */

/* Definitions once at the start, then slices. */
static int try_views(struct writer *w)
{
	struct store_txn *t;
	int rc = store_write_begin(w->store, &t);

	if (rc != RC_OK)
		return rc;
	if (w->views_are_known)
		rc = update_views_work(t, &w->ctx, VIEW_SLICE_ENTRIES);
	else
		rc = update_views_sync(t, &w->ctx);
	if (rc == RC_OK)
		rc = update_views_pending(t, &w->ctx, &w->has_views_to_build);
	if (rc == RC_OK || store_error(t) != RC_OK)
		return store_write_commit(&t); /* after an error: grows the map, or just aborts */
	store_write_abort(&t);
	return rc;
}

/* What can not be built now is tried again behind the next batch; searches do without. */
static void build_views(struct writer *w)
{
	int rc;

	do {
		rc = try_views(w);
	} while (rc == RC_MORE);
	if (rc == RC_IO)
		die(rc);
	w->views_are_known |= rc == RC_OK;
	if (rc == RC_OK)
		return;
	log_error(NULL, "views.failed", "rc=\"%s\"", rc_text(rc));
	w->has_views_to_build = false;
}

/* --- removed sites --- */

static int try_removal(struct writer *w)
{
	struct change c = {.kind = CHANGE_FORGET};
	enum update_outcome outcome;
	struct store_txn *t;
	struct result why;
	struct arena a;
	int rc = store_write_begin(w->store, &t);

	if (rc != RC_OK)
		return rc;
	arena_init(&a);
	w->ctx.wall_us = w->clock->wall_us(w->clock);
	if (update_apply(t, &w->ctx, &c, &a, &outcome, &why) == RC_OK)
		note_work(w, t);
	arena_fini(&a);
	return store_write_commit(&t); /* after an error: grows the map, or just aborts */
}

/* A piece between two batches. What fails is tried again behind the next batch. */
static void remove_piece(struct writer *w)
{
	int rc;

	do {
		rc = try_removal(w);
	} while (rc == RC_MORE);
	if (rc == RC_IO)
		die(rc);
	if (rc == RC_OK) {
		atomic_fetch_add(&w->commits, 1);
		tell_watchers(w);
		return;
	}
	log_error(NULL, "removal.failed", "rc=\"%s\"", rc_text(rc));
	w->has_removals = false;
}

/* --- the thread --- */

/* With the mutex. What names a removed entry is mended by a change of ours: not before those may
 * be made. */
static bool may_remove(const struct writer *w)
{
	return w->has_removals && !w->is_holding && w->stopped == NULL;
}

/* NULL: there is none now, but work between two batches; or the end. */
static struct write_req *take_batch(struct writer *w, bool *removes)
{
	struct write_req *batch, *r;
	unsigned n = 1;

	pthread_mutex_lock(&w->mutex);
	while (w->first == NULL && !w->is_stopping && !w->has_views_to_build && !may_remove(w))
		pthread_cond_wait(&w->wake, &w->mutex);
	w->ctx.unconfirmed = w->unconfirmed;
	w->ctx.stopped = w->stopped;
	batch = r = w->first;
	while (r != NULL && !is_alone(r) && r->next != NULL && !is_alone(r->next) &&
	       n++ < BATCH_MAX_REQUESTS)
		r = r->next;
	if (r != NULL) {
		w->first = r->next;
		r->next = NULL;
	}
	if (w->first == NULL)
		w->last = &w->first;
	w->is_over = w->first == NULL && batch == NULL && w->is_stopping;
	*removes = may_remove(w);
	pthread_mutex_unlock(&w->mutex);
	return batch;
}

static void *run(void *arg)
{
	struct writer *w = arg;
	struct write_req *batch;
	bool removes;

	pthread_setname_np(pthread_self(), "writer");
	for (;;) {
		batch = take_batch(w, &removes);
		if (batch != NULL)
			do_batch(w, batch);
		else if (w->is_over)
			return NULL;
		if (removes)
			remove_piece(w);
		if (w->has_views_to_build)
			build_views(w);
	}
}

int writer_start(struct store *s, const struct schema *schema, struct dn root,
		 const struct clock *clock, struct writer **out)
{
	struct writer *w = mem_zalloc(1, sizeof(*w));

	*out = NULL;
	if (w == NULL)
		return RC_NOMEM;
	w->store = s;
	w->ctx = (struct update_context){.schema = schema, .root = root, .random = random_bytes};
	if (trail_new(&w->ctx.trail) != RC_OK) {
		mem_free(w);
		return RC_NOMEM;
	}
	w->has_views_to_build = true; /* or so: definitions are looked at once */
	w->has_removals = true;       /* or so */
	w->clock = clock;
	w->last = &w->first;
	w->held_last = &w->held_first;
	must(pthread_mutex_init(&w->mutex, NULL) == 0 && pthread_cond_init(&w->wake, NULL) == 0);
	if (pthread_create(&w->thread, NULL, run, w) != 0) {
		pthread_cond_destroy(&w->wake);
		pthread_mutex_destroy(&w->mutex);
		trail_free(&w->ctx.trail);
		mem_free(w);
		return RC_NOMEM;
	}
	*out = w;
	return RC_OK;
}

struct trail *writer_trail(struct writer *w)
{
	return w->ctx.trail;
}

void writer_limit_values(struct writer *w, unsigned max)
{
	w->ctx.max_values = max;
}

void writer_submit(struct writer *w, struct write_req *req)
{
	req->next = NULL;
	pthread_mutex_lock(&w->mutex);
	must(!w->is_stopping);
	if (w->is_holding && !req->is_internal) {
		*w->held_last = req;
		w->held_last = &req->next;
	} else {
		*w->last = req;
		w->last = &req->next;
	}
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->mutex);
}

void writer_hold(struct writer *w)
{
	pthread_mutex_lock(&w->mutex);
	w->is_holding = true;
	pthread_mutex_unlock(&w->mutex);
}

/* With the mutex. */
static void let_go(struct writer *w)
{
	w->is_holding = false;
	if (w->held_first == NULL)
		return;
	*w->last = w->held_first;
	w->last = w->held_last;
	w->held_first = NULL;
	w->held_last = &w->held_first;
}

void writer_release(struct writer *w, const struct vector *unconfirmed)
{
	pthread_mutex_lock(&w->mutex);
	w->unconfirmed = unconfirmed;
	let_go(w);
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->mutex);
}

void writer_stop_origin(struct writer *w, const char *text)
{
	pthread_mutex_lock(&w->mutex);
	w->stopped = text;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->mutex);
}

int writer_on_commit(struct writer *w, struct loop *loop, void (*fn)(void *ctx),
		     bool (*listens)(void *ctx), void *ctx)
{
	struct watcher *n = mem_zalloc(1, sizeof(*n));

	if (n == NULL)
		return RC_NOMEM;
	n->loop = loop;
	n->fn = fn;
	n->listens = listens;
	n->ctx = ctx;
	pthread_mutex_lock(&w->mutex);
	n->next = w->watchers;
	w->watchers = n;
	pthread_mutex_unlock(&w->mutex);
	return RC_OK;
}

void writer_stop(struct writer **w)
{
	struct writer *wr = *w;
	struct watcher *n;

	if (wr == NULL)
		return;
	pthread_mutex_lock(&wr->mutex);
	wr->is_stopping = true;
	let_go(wr);
	pthread_cond_signal(&wr->wake);
	pthread_mutex_unlock(&wr->mutex);
	must(pthread_join(wr->thread, NULL) == 0);
	while ((n = wr->watchers) != NULL) {
		wr->watchers = n->next;
		must(loop_post(n->loop, free_watcher, n) == RC_OK); /* behind its last call */
	}
	pthread_cond_destroy(&wr->wake);
	pthread_mutex_destroy(&wr->mutex);
	trail_free(&wr->ctx.trail);
	mem_free(wr);
	*w = NULL;
}

uint64_t writer_commits(const struct writer *w)
{
	return atomic_load(&w->commits);
}

void writer_stats(const struct writer *w, struct writer_stats *out)
{
	struct writer *wr = (struct writer *)(uintptr_t)w;

	pthread_mutex_lock(&wr->mutex);
	*out = wr->stats;
	pthread_mutex_unlock(&wr->mutex);
}
