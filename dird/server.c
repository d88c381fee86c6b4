#include "dird/server.h"

#include "dird/conn.h"
#include "dird/heads.h"
#include "dird/psearch.h"
#include "dird/repl.h"
#include "dird/sync.h"
#include "dird/twins.h"
#include "dird/upkeep.h"

#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define EXIT_OK 0
#define EXIT_FAILED 1
#define EXIT_CONFIG 2

/* The daemon: the server that operations see, and the main thread's own loop around it. */
struct daemon {
	struct server s; /* first */
	uv_loop_t uv;
	uv_signal_t sigterm, sigint, sighup;
	uv_async_t stopped;
	struct listeners *listeners;
	struct conn_set **sets; /* one for each of s.loops */
	unsigned nsets;
	unsigned next_set;
	unsigned nstopped; /* atomic */
	bool is_stopping;
};

uint32_t server_own_uid(void)
{
	return (uint32_t)geteuid();
}

struct tls_context *server_tls(struct server *s)
{
	struct tls_context *c = NULL;

	uv_mutex_lock(&s->tls_lock);
	if (s->tls != NULL)
		c = tls_context_ref(s->tls);
	uv_mutex_unlock(&s->tls_lock);
	return c;
}

int server_admin_hash(struct server *s, struct arena *a, struct span *out)
{
	int rc = 0;

	*out = (struct span){NULL, 0};
	uv_mutex_lock(&s->tls_lock);
	if (s->admin_hash != NULL) {
		*out = arena_span(a, span_of(s->admin_hash));
		rc = out->p != NULL ? 0 : RC_NOMEM;
	}
	uv_mutex_unlock(&s->tls_lock);
	return rc;
}

static int sign(struct server *s, struct span data, struct buf *public_out,
		struct buf *signature_out)
{
	struct tls_context *c = server_tls(s);
	int rc = RC_NOTFOUND;

	if (c != NULL)
		rc = tls_context_sign(c, data, public_out, signature_out);
	tls_context_free(&c);
	return rc;
}

/* --- database and loops --- */

static void take_stopped(struct server *s)
{
	int rc = store_take_stopped(s->store, &s->was_stopped);

	if (rc != RC_OK)
		log_warn(NULL, "server.database", "error=\"%s\"", rc_text(rc));
}

/* Without it the next start begins new lives, which costs little. */
static void mark_stopped(struct server *s)
{
	int rc = store_mark_stopped(s->store);

	if (rc != RC_OK)
		log_warn(NULL, "server.database", "error=\"%s\"", rc_text(rc));
}

/* Without room on the disk it is no new start, so old heads are signed again. */
static int start_heads(struct server *s)
{
	uint32_t start = 0;
	int rc = store_count_start(s->store, &start);

	if (rc != RC_OK && rc != RC_FULL)
		return rc;
	s->sign = s->tls != NULL ? sign : NULL;
	return heads_new(s, start, &s->heads);
}

static int open_store(struct server *s)
{
	struct store_options opt = {0};
	struct buf why;
	int rc;

	buf_init(&why, 4096);
	rc = store_open(s->config.database, &opt, &s->store, &why);
	if (rc == RC_BUSY)
		log_error(NULL, "store.busy", "database=%s why=\"%s\"", s->config.database,
			  buf_cstr(&why));
	else if (rc != 0)
		log_error(NULL, "store.failed", "database=%s error=\"%s\" why=\"%s\"",
			  s->config.database, rc_text(rc), buf_cstr(&why));
	buf_fini(&why);
	if (rc == 0)
		take_stopped(s);
	if (rc == 0)
		rc = start_heads(s);
	if (rc == 0)
		rc = writer_start(s->store, s->schema, s->root, s->clock, &s->writer);
	if (rc == 0)
		writer_limit_values(s->writer, s->config.values_limit);
	if (rc == 0)
		writer_hold(s->writer); /* until partners were asked */
	return rc;
}

static int start_loops(struct server *s)
{
	char name[16];
	int rc = 0;

	s->loops = arena_zalloc(&s->arena, s->config.loops, sizeof(struct loop *));
	if (s->loops == NULL)
		return RC_NOMEM;
	while (s->nloops < s->config.loops && rc == 0) {
		snprintf(name, sizeof(name), "loop-%u", s->nloops);
		rc = loop_start(name, &s->loops[s->nloops]);
		if (rc == 0)
			s->nloops++;
	}
	return rc;
}

/* A call on a loop's thread that this thread waits for. */
struct call {
	struct daemon *d;
	unsigned i;
	int rc;
	uv_sem_t done;
};

static void make_set(void *arg)
{
	struct call *c = arg;

	c->rc = conn_set_new(&c->d->s, c->d->s.loops[c->i], &c->d->sets[c->i]);
	uv_sem_post(&c->done);
}

static int make_sets(struct daemon *d)
{
	struct call c = {.d = d};
	int rc = 0;

	d->sets = arena_zalloc(&d->s.arena, d->s.nloops, sizeof(struct conn_set *));
	if (d->sets == NULL || uv_sem_init(&c.done, 0) != 0)
		return RC_NOMEM;
	for (; d->nsets < d->s.nloops && rc == 0; d->nsets += rc == 0) {
		c.i = d->nsets;
		rc = loop_post(d->s.loops[c.i], make_set, &c);
		if (rc == 0) {
			uv_sem_wait(&c.done);
			rc = c.rc;
		}
	}
	uv_sem_destroy(&c.done);
	return rc;
}

/* --- replication --- */

static void wake_sync(void *ctx)
{
	sync_wake(ctx);
	psearch_wake();
}

static bool sync_listens(void *ctx)
{
	return loop_listens(ctx);
}

static bool repl_listens(void *ctx)
{
	struct daemon *d = ctx;

	return __atomic_load_n(&d->s.links_follow, __ATOMIC_SEQ_CST);
}

/* Runs on the links' own loop, as their end does: after that there is nothing to wake. */
static void wake_repl(void *ctx)
{
	struct daemon *d = ctx;

	if (!__atomic_load_n(&d->is_stopping, __ATOMIC_ACQUIRE))
		repl_wake(d->s.repl);
}

static int start_replication(struct daemon *d)
{
	struct server *s = &d->s;
	unsigned i;
	int rc = 0;

	for (i = 0; i < s->nloops && rc == 0; i++)
		rc = writer_on_commit(s->writer, s->loops[i], wake_sync, sync_listens, s->loops[i]);
	if (rc == 0)
		rc = repl_start(s, s->loops[0], &s->repl);
	if (rc == 0)
		rc = writer_on_commit(s->writer, s->loops[0], wake_repl, repl_listens, d);
	if (rc == 0)
		rc = upkeep_start(s, s->loops[0], &s->upkeep);
	return rc;
}

/* --- new connections --- */

struct handover {
	struct conn_set *set;
	int fd;
	struct peer from;
	bool is_local, is_tls;
};

static void hand_over(void *arg)
{
	struct handover *h = arg;

	conn_set_accept(h->set, h->fd, &h->from, h->is_local, h->is_tls);
	mem_free(h);
}

/* Too many: a client that speaks in clear is told. */
static void turn_away(struct server *s, int fd, const struct sockaddr *sa, socklen_t n, bool is_tls,
		      int rc, unsigned count)
{
	const struct peers_limits *limits = &s->config.connections;
	const char *why =
		rc == RC_FULL ? "too many connections" : "too many connections from this address";
	char host[48] = "unknown";
	struct buf notice;

	(void)getnameinfo(sa, n, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
	log_warn(NULL, "conn.refused", "ip=%s why=\"%s\" connections=%u %s=%u", host,
		 rc == RC_NOMEM ? rc_text(rc) : why, count,
		 rc == RC_FULL ? "max-connections" : "max-connections-per-address",
		 rc == RC_FULL ? limits->all : limits->each);
	buf_init(&notice, 256);
	conn_write_notice(&notice, LR_UNAVAILABLE, why);
	if (!is_tls && buf_rc(&notice) == 0)
		(void)!send(fd, notice.p, notice.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	buf_fini(&notice);
	close(fd);
}

static bool may_come_in(struct server *s, int fd, bool is_local, bool is_tls, struct peer *from)
{
	struct sockaddr_storage sa = {.ss_family = AF_UNSPEC};
	socklen_t n = sizeof(sa);
	unsigned count;
	int rc;

	memset(from, 0, sizeof(*from));
	if (is_local)
		return true;
	if (getpeername(fd, (struct sockaddr *)&sa, &n) != 0) { /* gone already */
		close(fd);
		return false;
	}
	*from = peer_of((struct sockaddr *)&sa);
	rc = peers_enter(s->peers, from, &count);
	if (rc != RC_OK)
		turn_away(s, fd, (struct sockaddr *)&sa, n, is_tls, rc, count);
	return rc == RC_OK;
}

static void on_accepted(void *ctx, int fd, bool is_local, bool is_tls)
{
	struct daemon *d = ctx;
	unsigned i = d->next_set++ % d->nsets;
	struct handover *h;
	struct peer from;

	if (!may_come_in(&d->s, fd, is_local, is_tls, &from))
		return;
	h = mem_alloc(sizeof(*h));
	if (h != NULL) {
		*h = (struct handover){d->sets[i], fd, from, is_local, is_tls};
		if (loop_post(d->s.loops[i], hand_over, h) == 0)
			return;
	}
	mem_free(h);
	peers_leave(d->s.peers, &from);
	close(fd);
	log_warn(NULL, "conn.refused", "error=\"%s\"", rc_text(RC_NOMEM));
}

/* --- stopping --- */

static void on_set_stopped(void *ctx)
{
	struct daemon *d = ctx;

	__atomic_add_fetch(&d->nstopped, 1, __ATOMIC_ACQ_REL);
	uv_async_send(&d->stopped);
}

static void stop_set(void *arg)
{
	struct call *c = arg;

	conn_set_stop(c->d->sets[c->i], on_set_stopped, c->d);
}

static void close_main_handles(struct daemon *d)
{
	uv_close((uv_handle_t *)&d->sigterm, NULL);
	uv_close((uv_handle_t *)&d->sigint, NULL);
	uv_close((uv_handle_t *)&d->sighup, NULL);
	uv_close((uv_handle_t *)&d->stopped, NULL);
}

static void on_all_stopped(uv_async_t *h)
{
	struct daemon *d = h->data;

	if (d->is_stopping && __atomic_load_n(&d->nstopped, __ATOMIC_ACQUIRE) == d->nsets)
		close_main_handles(d);
}

static void begin_stop(struct daemon *d)
{
	struct call *calls;
	unsigned i;

	if (d->is_stopping)
		return;
	__atomic_store_n(&d->is_stopping, true, __ATOMIC_RELEASE);
	listeners_close(&d->listeners);
	calls = arena_zalloc(&d->s.arena, d->nsets + 1, sizeof(*calls));
	must(calls != NULL);
	for (i = 0; i < d->nsets; i++) {
		calls[i] = (struct call){.d = d, .i = i};
		must(loop_post(d->s.loops[i], stop_set, &calls[i]) == 0);
	}
	uv_async_send(&d->stopped);
}

static void on_signal(uv_signal_t *h, int number)
{
	struct daemon *d = h->data;

	log_info(NULL, "stopping", "signal=%s", number == SIGINT ? "SIGINT" : "SIGTERM");
	begin_stop(d);
}

static void on_reload(uv_signal_t *h, int number)
{
	struct daemon *d = h->data;

	(void)number;
	server_reload(&d->s);
}

/* --- the whole --- */

static void init_main_loop(struct daemon *d)
{
	must(uv_loop_init(&d->uv) == 0);
	must(uv_signal_init(&d->uv, &d->sigterm) == 0);
	must(uv_signal_init(&d->uv, &d->sigint) == 0);
	must(uv_signal_init(&d->uv, &d->sighup) == 0);
	must(uv_async_init(&d->uv, &d->stopped, on_all_stopped) == 0);
	d->sigterm.data = d->sigint.data = d->sighup.data = d->stopped.data = d;
	must(uv_signal_start(&d->sigterm, on_signal, SIGTERM) == 0);
	must(uv_signal_start(&d->sigint, on_signal, SIGINT) == 0);
	must(uv_signal_start(&d->sighup, on_reload, SIGHUP) == 0);
}

static int start(struct daemon *d)
{
	int rc = peers_new(&d->s.config.connections, &d->s.peers);

	if (rc == 0)
		rc = twins_new(&d->s.twins);
	if (rc == 0)
		rc = open_store(&d->s);
	if (rc == 0)
		rc = start_loops(&d->s);
	if (rc == 0)
		rc = make_sets(d);
	if (rc == 0)
		rc = start_replication(d);
	if (rc == 0)
		rc = listeners_open(&d->uv, &d->s.config, on_accepted, d, &d->listeners);
	return rc;
}

static void finish(struct daemon *d)
{
	struct server *s = &d->s;

	upkeep_stop(&s->upkeep);
	if (s->repl != NULL) /* not before: operations read its status, upkeep asks it */
		repl_stop(&s->repl);
	if (s->writer != NULL) /* its last answers go to the loops */
		writer_stop(&s->writer);
	while (s->nloops != 0)
		loop_stop(&s->loops[--s->nloops]);
	if (s->store != NULL) {
		mark_stopped(s);
		store_close(&s->store);
	}
}

static void fini(struct daemon *d)
{
	if (d->s.schema != NULL)
		schema_free(&d->s.schema);
	tls_context_free(&d->s.tls);
	mem_free(d->s.admin_hash);
	peers_free(&d->s.peers);
	twins_free(&d->s.twins);
	heads_free(&d->s.heads);
	uv_mutex_destroy(&d->s.tls_lock);
	arena_fini(&d->s.arena);
}

static int serve(struct daemon *d)
{
	int rc;

	init_main_loop(d);
	rc = start(d);
	if (rc == 0)
		log_info(NULL, "ready", "site=%s organisation=\"%s\" loops=%u pid=%ld version=%s",
			 d->s.config.site, d->s.config.organisation, d->s.nloops, (long)getpid(),
			 WAYPOST_VERSION);
	else
		begin_stop(d);
	uv_run(&d->uv, UV_RUN_DEFAULT);
	finish(d);
	must(uv_loop_close(&d->uv) == 0);
	if (rc == 0)
		log_info(NULL, "stopped", "site=%s", d->s.config.site);
	return rc;
}

/* Every client is a file descriptor. */
static void raise_limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur == r.rlim_max)
		return;
	r.rlim_cur = r.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &r);
}

int server_main(const char *config_path, bool check_only)
{
	struct daemon d = {.s.clock = &clock_system};
	int rc, status = EXIT_OK;

	arena_init(&d.s.arena);
	must(uv_mutex_init(&d.s.tls_lock) == 0);
	(void)signal(SIGPIPE, SIG_IGN);
	raise_limits();
	log_init("dird", LOG_INFO);
	d.s.start_wall_us = d.s.clock->wall_us(d.s.clock);
	rc = server_load(&d.s, config_path);
	if (rc != 0)
		status = EXIT_CONFIG;
	else if (check_only)
		printf("%s: good\n", config_path);
	else if (serve(&d) != 0)
		status = EXIT_FAILED;
	fini(&d);
	log_flush();
	return status;
}
