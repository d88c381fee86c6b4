#include "routed/gal.h"

#include "lib/clock.h"
#include "lib/log.h"

#include <stdatomic.h>

#define BUCKETS 4096u
#define MAX_WAITING 1000
#define RETRY_MS 1000
#define REPLY_MAX_BYTES 4096
#define HANG_FACTOR 2

enum entry_state {
	ENTRY_QUEUED,   /* a question for the thread */
	ENTRY_ANSWERED, /* reply is valid until expires_ms */
};

struct gal_entry {
	char *address;
	enum entry_state state;
	bool stale; /* do not keep the answer */
	uint64_t asked_ms, expires_ms;
	struct buf reply;
	struct gal_request *waiters;
	struct gal_entry *chain;         /* of its bucket */
	struct gal_entry *older, *newer; /* answered ones, by age */
	struct gal_entry *queue;         /* next question, or next finding */

	/* what the thread found; the loop reads it afterwards */
	int found_rc;
	struct arena arena;
	struct span dn;
	struct span *values;
	unsigned nvalues;
};

struct gal {
	struct gal_config config;
	gal_resolve *resolve;
	void *arg;
	void (*on_closed)(void *arg);
	void *closed_arg;
	uv_async_t async;
	uv_thread_t thread;
	atomic_bool stop;

	pthread_mutex_t lock; /* guards the two queues */
	pthread_cond_t wake;
	struct gal_entry *questions, *last_question;
	struct gal_entry *findings;

	/* of the loop alone */
	struct gal_entry *buckets[BUCKETS];
	struct gal_entry *oldest, *newest;
	struct gal_entry *undecided; /* findings that the resolver cannot judge yet */
	unsigned waiting;
	struct gal_stats stats;

	/* of the thread alone */
	struct session session;
	uint64_t retry_at_ms;
};

static uint64_t now_ms(void)
{
	return clock_system.mono_ms(&clock_system);
}

/* --- the thread --- */

/* RFC 4515 §3 */
static void put_escaped(struct buf *b, struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (memchr("*()\\", s.p[i], 4) != NULL || s.p[i] < ' ')
			buf_printf(b, "\\%02x", s.p[i]);
		else
			buf_putc(b, s.p[i]);
	}
}

static int connect_now(struct gal *g)
{
	char why[SESSION_WHY_BYTES];
	int rc;

	if (g->session.ld != NULL)
		return RC_OK;
	if (now_ms() < g->retry_at_ms)
		return RC_CLOSED;
	rc = session_open(&g->session, &g->config.session, why);
	if (rc != RC_OK) {
		g->retry_at_ms = now_ms() + RETRY_MS;
		log_warn(NULL, "gal.down", "why=\"%s\"", why);
	}
	return rc;
}

static int keep_values(struct gal_entry *e, struct berval **from)
{
	unsigned n = (unsigned)ldap_count_values_len(from);
	struct span *values = arena_zalloc(&e->arena, e->nvalues + n, sizeof(*values));
	unsigned i;

	if (values == NULL)
		return RC_NOMEM;
	if (e->nvalues != 0)
		memcpy(values, e->values, e->nvalues * sizeof(*values));
	for (i = 0; i < n; i++) {
		values[e->nvalues] =
			arena_span(&e->arena, span_make(from[i]->bv_val, from[i]->bv_len));
		if (values[e->nvalues++].p == NULL)
			return RC_NOMEM;
	}
	e->values = values;
	return RC_OK;
}

static int keep_entry(LDAP *ld, LDAPMessage *msg, struct gal_entry *e)
{
	static const char *const names[] = {"proxyAddresses", "mail"};
	char *dn = ldap_get_dn(ld, msg);
	unsigned i;
	int rc = RC_OK;

	if (dn == NULL)
		return RC_INVALID;
	e->dn = arena_span(&e->arena, span_of(dn));
	ldap_memfree(dn);
	if (e->dn.p == NULL)
		return RC_NOMEM;
	for (i = 0; i < 2 && rc == RC_OK; i++) {
		struct berval **values = ldap_get_values_len(ld, msg, names[i]);

		if (values != NULL)
			rc = keep_values(e, values);
		ldap_value_free_len(values);
	}
	return rc;
}

/* RC_OK: exactly one recipient has the address. RC_NOTFOUND: none. Else: doubt. */
static int search(struct gal *g, struct gal_entry *e)
{
	static const char *const attributes[] = {"proxyAddresses", "mail", NULL};
	char why[SESSION_WHY_BYTES];
	char text[LOG_TEXT_BYTES];
	LDAPMessage *res = NULL;
	struct buf filter;
	int count;
	int rc;

	buf_init(&filter, 64 * 1024);
	buf_puts(&filter, "(|(proxyAddresses=smtp:");
	put_escaped(&filter, span_of(e->address));
	buf_puts(&filter, ")(mail=");
	put_escaped(&filter, span_of(e->address));
	buf_puts(&filter, "))");
	rc = buf_rc(&filter) != RC_OK ? LDAP_NO_MEMORY : LDAP_SUCCESS;
	session_enter(&g->session);
	if (rc == LDAP_SUCCESS)
		rc = ldap_search_ext_s(g->session.ld, g->config.base, LDAP_SCOPE_SUBTREE,
				       buf_cstr(&filter), (char **)(uintptr_t)attributes, 0, NULL,
				       NULL, NULL, 2, &res);
	session_leave(&g->session);
	count = res != NULL ? ldap_count_entries(g->session.ld, res) : 0;
	rc = session_rc(&g->session, rc, NULL, why);
	if (rc == RC_OK && count == 0)
		rc = RC_NOTFOUND;
	else if (rc == RC_OK || count > 1)
		rc = count == 1 ? keep_entry(g->session.ld, ldap_first_entry(g->session.ld, res), e)
				: RC_CONFLICT;
	if (rc == RC_CONFLICT)
		log_warn(NULL, "gal.ambiguous", "address=%s several entries have it",
			 log_text(span_of(e->address), text));
	else if (rc != RC_OK && rc != RC_NOTFOUND)
		log_warn(NULL, "gal.failed", "why=\"%s\"", why[0] != '\0' ? why : rc_text(rc));
	ldap_msgfree(res);
	buf_fini(&filter);
	return rc;
}

static int try_once(struct gal *g, struct gal_entry *e)
{
	int rc = connect_now(g);

	if (rc == RC_OK)
		rc = search(g, e);
	if (rc != RC_OK && rc != RC_NOTFOUND && rc != RC_CONFLICT)
		session_close(&g->session);
	return rc;
}

/* The directory may have closed an idle connection meanwhile; that alone is no failure. */
static void answer(struct gal *g, struct gal_entry *e)
{
	bool was_open = g->session.ld != NULL;

	e->found_rc = try_once(g, e);
	if (e->found_rc == RC_CLOSED && was_open && !atomic_load(&g->stop))
		e->found_rc = try_once(g, e);
}

static void run(void *arg)
{
	struct gal *g = arg;

	pthread_mutex_lock(&g->lock);
	while (!atomic_load(&g->stop)) {
		struct gal_entry *e = g->questions;

		if (e == NULL) {
			pthread_cond_wait(&g->wake, &g->lock);
			continue;
		}
		g->questions = e->queue;
		if (g->questions == NULL)
			g->last_question = NULL;
		pthread_mutex_unlock(&g->lock);
		answer(g, e);
		pthread_mutex_lock(&g->lock);
		e->queue = g->findings;
		g->findings = e;
		(void)uv_async_send(&g->async);
	}
	pthread_mutex_unlock(&g->lock);
}

/* --- the cache, on the loop --- */

static unsigned bucket_of(struct span address)
{
	uint32_t h = 2166136261u;
	size_t i;

	for (i = 0; i < address.n; i++)
		h = (h ^ address.p[i]) * 16777619u;
	return h % BUCKETS;
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
	if (e->state == ENTRY_ANSWERED)
		unlink_age(g, e);
	g->stats.cached--;
	entry_free(e);
}

static void shrink(struct gal *g, unsigned to)
{
	while (g->stats.cached > to && g->oldest != NULL)
		drop(g, g->oldest);
}

static struct gal_entry *ask(struct gal *g, struct span address)
{
	struct gal_entry *e = mem_zalloc(1, sizeof(*e));
	unsigned bucket = bucket_of(address);

	if (e == NULL)
		return NULL;
	arena_init(&e->arena);
	buf_init(&e->reply, REPLY_MAX_BYTES);
	e->address = mem_zalloc(1, address.n + 1);
	if (e->address == NULL) {
		entry_free(e);
		return NULL;
	}
	memcpy(e->address, address.p, address.n);
	e->asked_ms = now_ms();
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

/* "OK bob@s2.example.com" with the extension: "OK bob+tag@s2.example.com" */
static void put_extended(struct span reply, const struct gal_request *r, struct buf *out)
{
	size_t at = reply.n;

	if (r->extension_n == 0 || !span_starts(reply, SPAN_LIT("OK "))) {
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

int gal_lookup(struct gal *g, struct span address, struct gal_request *r, struct buf *reply)
{
	struct gal_entry *e = find(g, address);

	g->stats.asked++;
	if (e != NULL && e->state == ENTRY_ANSWERED && e->expires_ms <= now_ms()) {
		drop(g, e);
		e = NULL;
	}
	if (e != NULL && e->state == ENTRY_ANSWERED) {
		g->stats.from_cache++;
		put_extended(buf_span(&e->reply), r, reply);
		return buf_rc(reply);
	}
	if (g->waiting >= MAX_WAITING)
		return RC_FULL;
	if (e == NULL) {
		shrink(g, g->config.max_entries - 1);
		e = ask(g, address);
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

	if (rc == RC_OK)
		rc = g->resolve(g->arg, e->dn, e->values, e->nvalues, &e->reply);
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
	e->state = ENTRY_ANSWERED;
	e->expires_ms = now_ms() + g->config.keep_ms;
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
	for (i = 0; i < BUCKETS; i++) {
		struct gal_entry *e;

		for (e = g->buckets[i]; e != NULL; e = e->chain)
			e->stale = e->state == ENTRY_QUEUED;
	}
}

void gal_tick(struct gal *g, uint64_t now)
{
	uint64_t busy = session_busy_ms(&g->session, now);
	unsigned waiting = 0;
	unsigned i;

	for (i = 0; i < BUCKETS; i++) {
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

	for (i = 0; i < BUCKETS; i++) {
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
	if (uv_thread_create(&g->thread, run, g) != 0) {
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
