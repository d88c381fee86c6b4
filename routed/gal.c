#include "routed/gal.h"

#include "lib/log.h"
#include "routed/encap.h"
#include "routed/gal_private.h"

#define MAX_WAITING 1000
#define REPLY_MAX_BYTES 4096
#define HANG_FACTOR 2

static unsigned bucket_of(struct span address)
{
	uint32_t h = 2166136261u;
	size_t i;

	for (i = 0; i < address.n; i++)
		h = (h ^ address.p[i]) * 16777619u;
	return h % GAL_BUCKETS;
}

static struct gal_entry *find(struct gal *g, struct span address)
{
	struct gal_entry *e = g->buckets[bucket_of(address)];

	while (e != NULL && !span_eq(span_of(e->address), address))
		e = e->chain;
	return e;
}

static void entry_free(struct gal_entry *e)
{
	buf_fini(&e->reply);
	arena_fini(&e->arena);
	mem_free(e->address);
	mem_free(e->asked_dn);
	mem_free(e);
}

static void unlink_age(struct gal *g, struct gal_entry *e)
{
	*(e->older != NULL ? &e->older->newer : &g->oldest) = e->newer;
	*(e->newer != NULL ? &e->newer->older : &g->newest) = e->older;
	e->older = e->newer = NULL;
}

static void drop(struct gal *g, struct gal_entry *e)
{
	struct gal_entry **at = &g->buckets[bucket_of(span_of(e->address))];

	while (*at != e)
		at = &(*at)->chain;
	*at = e->chain;
	if (e->state == GAL_ANSWERED)
		unlink_age(g, e);
	g->stats.cached--;
	entry_free(e);
}

static void shrink(struct gal *g, unsigned to)
{
	while (g->stats.cached > to && g->oldest != NULL)
		drop(g, g->oldest);
}

static char *copy_of(struct span text)
{
	char *copy = mem_zalloc(1, text.n + 1);

	if (copy != NULL)
		memcpy(copy, text.p, text.n);
	return copy;
}

static struct gal_entry *ask(struct gal *g, const struct gal_question *q)
{
	struct gal_entry *e = mem_zalloc(1, sizeof(*e));
	unsigned bucket = bucket_of(q->address);

	if (e == NULL)
		return NULL;
	arena_init(&e->arena);
	buf_init(&e->reply, REPLY_MAX_BYTES);
	e->address = copy_of(q->address);
	e->asked_dn = q->dn.n != 0 ? copy_of(q->dn) : NULL;
	if (e->address == NULL || (q->dn.n != 0 && e->asked_dn == NULL)) {
		entry_free(e);
		return NULL;
	}
	e->asked_ms = gal_now_ms();
	e->chain = g->buckets[bucket];
	g->buckets[bucket] = e;
	g->stats.cached++;
	pthread_mutex_lock(&g->lock);
	*(g->last_question != NULL ? &g->last_question->queue : &g->questions) = e;
	g->last_question = e;
	pthread_cond_signal(&g->wake);
	pthread_mutex_unlock(&g->lock);
	return e;
}

/* "OK bob@s2.example.com" with the extension: "OK bob+tag@s2.example.com". An encapsulated DN has
 * no place for one. */
static void put_extended(struct span reply, const struct gal_request *r, struct buf *out)
{
	size_t at = reply.n;

	if (r->extension_n == 0 || !span_starts(reply, SPAN_LIT("OK ")) ||
	    encap_is(span_from(reply, 3))) {
		buf_put(out, reply);
		return;
	}
	while (at != 0 && reply.p[at - 1] != '@')
		at--;
	must(at != 0); /* the resolver gives addresses only */
	buf_put(out, span_head(reply, at - 1));
	buf_put(out, span_make(r->extension, r->extension_n));
	buf_put(out, span_from(reply, at - 1));
}

int gal_lookup(struct gal *g, const struct gal_question *q, struct gal_request *r,
	       struct buf *reply)
{
	struct gal_entry *e = find(g, q->address);

	g->stats.asked++;
	if (e != NULL && e->state == GAL_ANSWERED && e->expires_ms <= gal_now_ms()) {
		drop(g, e);
		e = NULL;
	}
	if (e != NULL && e->state == GAL_ANSWERED) {
		g->stats.from_cache++;
		put_extended(buf_span(&e->reply), r, reply);
		return buf_rc(reply);
	}
	if (g->waiting >= MAX_WAITING)
		return RC_FULL;
	if (e == NULL) {
		shrink(g, g->config.max_entries - 1);
		e = ask(g, q);
		g->stats.searched++;
	}
	if (e == NULL)
		return RC_NOMEM;
	g->waiting++;
	r->entry = e;
	r->next = e->waiters;
	e->waiters = r;
	return RC_MORE;
}

static void tell(struct gal *g, struct gal_entry *e, struct span reply)
{
	struct buf own;

	buf_init(&own, REPLY_MAX_BYTES);
	while (e->waiters != NULL) {
		struct gal_request *r = e->waiters;

		e->waiters = r->next;
		r->entry = NULL;
		r->next = NULL;
		if (g->waiting != 0)
			g->waiting--;
		buf_clear(&own);
		put_extended(reply, r, &own);
		r->on_reply(r, buf_rc(&own) == RC_OK ? buf_span(&own)
						     : SPAN_LIT("TEMP out of memory"));
	}
	buf_fini(&own);
}

void gal_cancel(struct gal_request *r)
{
	struct gal_request **at;

	if (r->entry == NULL)
		return;
	for (at = &r->entry->waiters; *at != NULL; at = &(*at)->next) {
		if (*at == r) {
			*at = r->next;
			break;
		}
	}
	r->entry = NULL;
	r->next = NULL;
}

static void finish(struct gal *g, struct gal_entry *e)
{
	int rc = e->found_rc;
	struct gal_finding found = {e->asked_dn != NULL, e->dn, e->values, e->nvalues};

	if (rc == RC_OK)
		rc = g->resolve(g->arg, &found, &e->reply);
	if (rc == RC_BUSY) {
		buf_clear(&e->reply);
		e->queue = g->undecided;
		g->undecided = e;
		return;
	}
	if (rc == RC_NOTFOUND) {
		buf_clear(&e->reply);
		buf_puts(&e->reply, "NOTFOUND ");
		rc = buf_rc(&e->reply);
	}
	arena_fini(&e->arena);
	if (rc != RC_OK) {
		g->stats.doubtful++;
		buf_clear(&e->reply);
		buf_puts(&e->reply, "TEMP the directory gives no clear answer now");
	}
	if (rc != RC_OK || e->stale) {
		tell(g, e, buf_span(&e->reply));
		drop(g, e);
		return;
	}
	e->state = GAL_ANSWERED;
	e->expires_ms = gal_now_ms() + g->config.keep_ms;
	e->older = g->newest;
	*(g->newest != NULL ? &g->newest->newer : &g->oldest) = e;
	g->newest = e;
	tell(g, e, buf_span(&e->reply));
}

static void on_async(uv_async_t *async)
{
	struct gal *g = async->data;
	struct gal_entry *e;

	pthread_mutex_lock(&g->lock);
	e = g->findings;
	g->findings = NULL;
	pthread_mutex_unlock(&g->lock);
	while (e != NULL) {
		struct gal_entry *next = e->queue;

		e->queue = NULL;
		finish(g, e);
		e = next;
	}
}

void gal_decide(struct gal *g)
{
	struct gal_entry *e = g->undecided;

	g->undecided = NULL;
	while (e != NULL) {
		struct gal_entry *next = e->queue;

		e->queue = NULL;
		finish(g, e);
		e = next;
	}
}

/* Nobody waits for them any more. */
static void give_up_undecided(struct gal *g, uint64_t now)
{
	struct gal_entry **at = &g->undecided;

	while (*at != NULL) {
		struct gal_entry *e = *at;

		if (now - e->asked_ms <= g->config.patience_ms) {
			at = &e->queue;
			continue;
		}
		*at = e->queue;
		e->queue = NULL;
		e->found_rc = RC_TIMEOUT;
		finish(g, e);
	}
}

void gal_forget(struct gal *g)
{
	unsigned i;

	shrink(g, 0);
	for (i = 0; i < GAL_BUCKETS; i++) {
		struct gal_entry *e;

		for (e = g->buckets[i]; e != NULL; e = e->chain)
			e->stale = e->state == GAL_QUEUED;
	}
}

void gal_tick(struct gal *g, uint64_t now)
{
	uint64_t busy = session_busy_ms(&g->session, now);
	unsigned waiting = 0;
	unsigned i;

	for (i = 0; i < GAL_BUCKETS; i++) {
		struct gal_entry *e;
		const struct gal_request *r;

		for (e = g->buckets[i]; e != NULL; e = e->chain) {
			if (e->waiters != NULL && now - e->asked_ms > g->config.patience_ms)
				tell(g, e, SPAN_LIT("TEMP the directory does not answer"));
			for (r = e->waiters; r != NULL; r = r->next)
				waiting++;
		}
	}
	g->waiting = waiting;
	give_up_undecided(g, now);
	if (busy > (uint64_t)g->config.session.timeout_ms * HANG_FACTOR) {
		log_warn(NULL, "gal.hang", "busy_ms=%llu connection=shut",
			 (unsigned long long)busy);
		session_interrupt(&g->session);
	}
}

void gal_get_stats(const struct gal *g, struct gal_stats *out)
{
	*out = g->stats;
}

/* --- life --- */

static void destroy(struct gal *g)
{
	unsigned i;

	for (i = 0; i < GAL_BUCKETS; i++) {
		while (g->buckets[i] != NULL) {
			struct gal_entry *e = g->buckets[i];

			g->buckets[i] = e->chain;
			entry_free(e);
		}
	}
	session_fini(&g->session);
	pthread_cond_destroy(&g->wake);
	pthread_mutex_destroy(&g->lock);
	mem_free(g);
}

static void on_async_closed(uv_handle_t *handle)
{
	struct gal *g = handle->data;
	void (*on_closed)(void *arg) = g->on_closed;
	void *arg = g->closed_arg;

	destroy(g);
	if (on_closed != NULL)
		on_closed(arg);
}

int gal_new(uv_loop_t *loop, const struct gal_config *config, gal_resolve *resolve, void *arg,
	    struct gal **out)
{
	struct gal *g = mem_zalloc(1, sizeof(*g));

	*out = NULL;
	if (g == NULL)
		return RC_NOMEM;
	g->config = *config;
	g->resolve = resolve;
	g->arg = arg;
	must(pthread_mutex_init(&g->lock, NULL) == 0);
	must(pthread_cond_init(&g->wake, NULL) == 0);
	session_init(&g->session);
	if (uv_async_init(loop, &g->async, on_async) != 0) {
		destroy(g);
		return RC_IO;
	}
	g->async.data = g;
	if (uv_thread_create(&g->thread, gal_search_run, g) != 0) {
		uv_close((uv_handle_t *)&g->async, on_async_closed);
		return RC_IO;
	}
	*out = g;
	return RC_OK;
}

void gal_close(struct gal **pg, void (*on_closed)(void *arg), void *arg)
{
	struct gal *g = *pg;

	*pg = NULL;
	g->on_closed = on_closed;
	g->closed_arg = arg;
	pthread_mutex_lock(&g->lock);
	atomic_store(&g->stop, true);
	pthread_cond_signal(&g->wake);
	pthread_mutex_unlock(&g->lock);
	session_interrupt(&g->session);
	(void)uv_thread_join(&g->thread);
	uv_close((uv_handle_t *)&g->async, on_async_closed);
}
