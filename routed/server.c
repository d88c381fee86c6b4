#include "routed/server.h"

#include "lib/clock.h"
#include "lib/dn.h"
#include "lib/file.h"
#include "routed/compute.h"
#include "routed/ctl.h"
#include "routed/explain.h"
#include "routed/publish.h"
#include "routed/sched.h"
#include "routed/serve.h"
#include "routed/sub.h"

#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#define TICK_MS 1000
#define AGE_LOG_TICKS 60
#define MAX_IGNORED_LINES 20
#define MAX_ATTRS 64
#define GAL_KEEP_MS 30000
#define GAL_PATIENCE_MS 5000
#define GAL_MAX_ENTRIES 10000

/* A new table with less than half the routes of a table of at least this many waits for a person.
 */
#define HOLD_MIN_ROUTES 10

/* One recompute. The pool fills the lower part. */
struct job {
	uv_work_t work;
	bool forced; /* an operator accepts whatever comes out */
	int rc;
	int save_rc;
	int routes_rc;
	bool same, held;
	struct table *table;
	struct routes routes;
	uint64_t began_ms;
};

struct server {
	const struct settings *settings;
	const char *config_path;
	uv_loop_t loop;
	uv_signal_t sigterm, sigint, sighup;
	uv_timer_t tick, due;
	unsigned ticks;
	bool stopping;
	int lock_fd;
	struct arena arena; /* paths */
	char *table_path;
	char *routes_dn;

	struct sub *sub;
	struct gal *gal;
	struct serve *serve;
	struct ctl *ctl;
	struct publish *publish;

	struct model *model;
	bool model_loaded; /* it holds one complete content */
	struct sched sched;
	bool computing, accept;
	struct job job;
	struct batch *waiting, *last_waiting;
	struct buf scratch;

	struct table *table; /* answers come from it; NULL: none was ever complete */
	bool from_disk;      /* not yet confirmed by the directory */
	unsigned long generation;
	int64_t table_wall_us; /* when it was computed */
	size_t nignored;
};

static uint64_t now_ms(void)
{
	return clock_system.mono_ms(&clock_system);
}

static void arm(struct server *s);

/* --- batches into the model --- */

static int put_item(struct server *s, const struct batch_item *i, unsigned *changes)
{
	struct model_attr attrs[MAX_ATTRS];
	char text[LOG_TEXT_BYTES];
	unsigned n = i->nattrs < MAX_ATTRS ? i->nattrs : MAX_ATTRS;
	unsigned k;
	int rc;

	for (k = 0; k < n; k++)
		attrs[k] = (struct model_attr){i->attrs[k].type, i->attrs[k].values,
					       i->attrs[k].nvalues};
	rc = model_put(s->model, span_make(i->uuid.b, sizeof(i->uuid.b)), i->dn, attrs, n, changes);
	if (rc != RC_INVALID)
		return rc;
	log_warn(NULL, "model.bad-dn", "dn=\"%s\"", log_text(i->dn, text));
	return RC_OK;
}

static int apply(struct server *s, const struct batch *b, unsigned *changes)
{
	const struct batch_item *i;
	int rc = RC_OK;

	if (b->full)
		model_refresh_begin(s->model);
	for (i = b->first; i != NULL && rc == RC_OK; i = i->next) {
		if (i->deleted)
			model_delete(s->model, span_make(i->uuid.b, sizeof(i->uuid.b)), changes);
		else
			rc = put_item(s, i, changes);
	}
	if (b->full && rc == RC_OK)
		model_refresh_end(s->model, changes);
	return rc;
}

static void absorb(struct server *s, struct batch *b)
{
	unsigned changes = MODEL_CHANGED_NOTHING;
	bool first = b->full && !s->model_loaded;
	int rc = apply(s, b, &changes);

	if (rc != RC_OK) {
		log_error(NULL, "model.failed", "why=\"%s\" next=\"full reload\"", rc_text(rc));
		sub_resync(s->sub);
	} else if (first) {
		s->model_loaded = true;
		sched_init(&s->sched, 0, 0); /* the first table is not worth a delay */
		sched_touch(&s->sched, now_ms());
	} else if (changes != MODEL_CHANGED_NOTHING && s->model_loaded) {
		sched_touch(&s->sched, now_ms());
	}
	batch_free(&b);
	arm(s);
}

static void on_batch(void *arg, struct batch *b)
{
	struct server *s = arg;

	if (!s->computing) {
		absorb(s, b);
		return;
	}
	if (s->last_waiting != NULL)
		s->last_waiting->next = b;
	else
		s->waiting = b;
	s->last_waiting = b;
}

static void absorb_waiting(struct server *s)
{
	while (s->waiting != NULL) {
		struct batch *b = s->waiting;

		s->waiting = b->next;
		b->next = NULL;
		absorb(s, b);
	}
	s->last_waiting = NULL;
}

/* --- recompute --- */

/* On the pool: nobody changes model and current table meanwhile. */
static void on_work(uv_work_t *work)
{
	struct server *s = work->data;
	struct job *j = &s->job;

	j->rc = compute_table(s->model, span_of(s->settings->site), &j->table);
	if (j->rc != RC_OK)
		return;
	j->same = s->table != NULL && table_equal(s->table, j->table);
	j->held = !j->forced && s->table != NULL && table_routes(s->table) >= HOLD_MIN_ROUTES &&
		  table_routes(j->table) < table_routes(s->table) / 2;
	if (j->held)
		return;
	if (!j->same)
		j->save_rc = table_save(j->table, s->table_path);
	if (s->settings->publish && (!j->same || s->from_disk))
		j->routes_rc = routes_of_table(j->table, &j->routes);
}

static void log_ignored(struct server *s)
{
	struct model_ignored *list = NULL;
	struct arena a;
	struct buf line;
	size_t i;

	arena_init(&a);
	s->nignored = 0;
	if (model_ignored(s->model, &a, &list, &s->nignored) != RC_OK)
		log_warn(NULL, "table.ignored", "why=\"%s\"", rc_text(RC_NOMEM));
	for (i = 0; i < s->nignored && i < MAX_IGNORED_LINES; i++) {
		buf_init(&line, 8192);
		model_ignored_write(&list[i], &line);
		log_warn(NULL, "table.ignored", "object=\"%s\"", buf_cstr(&line));
		buf_fini(&line);
	}
	if (s->nignored > MAX_IGNORED_LINES)
		log_warn(NULL, "table.ignored", "more=%zu", s->nignored - MAX_IGNORED_LINES);
	arena_fini(&a);
}

static void log_swap(struct server *s, const char *event)
{
	const struct table *t = s->table;
	unsigned long long ms = now_ms() - s->job.began_ms;

	log_info(NULL, event, "generation=%lu rows=%u routes=%u ignored=%zu ms=%llu", s->generation,
		 t->nrows, table_routes(t), s->nignored, ms);
}

static void swap(struct server *s)
{
	struct job *j = &s->job;

	if (j->same) {
		table_free(&j->table);
		if (s->from_disk)
			s->generation++;
		s->from_disk = false;
		log_swap(s, "table.unchanged");
		return;
	}
	table_free(&s->table);
	s->table = j->table;
	j->table = NULL;
	s->generation++;
	s->from_disk = false;
	s->table_wall_us = clock_system.wall_us(&clock_system);
	gal_forget(s->gal);
	log_swap(s, "table.new");
	if (j->save_rc != RC_OK)
		log_error(NULL, "table.save", "path=%s why=\"%s\"", s->table_path,
			  rc_text(j->save_rc));
}

static void finish_job(struct server *s)
{
	struct job *j = &s->job;
	char text[LOG_TEXT_BYTES];

	if (j->rc == RC_NOTFOUND) {
		log_error(NULL, "table.no-site", "site=%s the directory holds no such site",
			  log_text(span_of(s->settings->site), text));
	} else if (j->rc != RC_OK) {
		log_error(NULL, "table.failed", "why=\"%s\"", rc_text(j->rc));
	} else if (j->held) {
		log_error(NULL, "table.held",
			  "routes=%u were=%u the old table stays in use; if this is meant, run "
			  "'routectl accept'",
			  table_routes(j->table), table_routes(s->table));
		table_free(&j->table);
	} else {
		log_ignored(s);
		swap(s);
		if (j->routes_rc == RC_OK && j->routes.entries != NULL && s->publish != NULL)
			publish_submit(s->publish, &j->routes, s->generation);
	}
	table_free(&j->table);
	routes_fini(&j->routes);
}

static void on_worked(uv_work_t *work, int status)
{
	struct server *s = work->data;

	(void)status;
	s->computing = false;
	if (!s->stopping)
		finish_job(s);
	table_free(&s->job.table);
	routes_fini(&s->job.routes);
	if (s->stopping)
		return;
	absorb_waiting(s);
	arm(s);
}

static void recompute(struct server *s)
{
	int rc = model_commit(s->model);

	sched_done(&s->sched);
	if (s->sched.quiet_ms != s->settings->quiet_ms ||
	    s->sched.ceiling_ms < s->settings->ceiling_ms)
		sched_init(&s->sched, s->settings->quiet_ms, s->settings->ceiling_ms);
	if (rc != RC_OK) {
		log_error(NULL, "table.failed", "why=\"%s\"", rc_text(rc));
		return;
	}
	s->job = (struct job){.forced = s->accept, .began_ms = now_ms()};
	s->job.work.data = s;
	s->accept = false;
	s->computing = true;
	if (uv_queue_work(&s->loop, &s->job.work, on_work, on_worked) != 0) {
		s->computing = false;
		log_error(NULL, "table.failed", "why=\"no thread\"");
	}
}

static void on_due(uv_timer_t *timer)
{
	struct server *s = timer->data;

	if (!s->computing && !s->stopping)
		recompute(s);
}

/* Set the timer to the moment the schedule names. */
static void arm(struct server *s)
{
	uint64_t wait = sched_wait_ms(&s->sched, now_ms());

	if (s->computing || s->stopping || wait == SCHED_NEVER)
		return;
	if (wait == 0)
		recompute(s);
	else
		(void)uv_timer_start(&s->due, on_due, wait, 0);
}

static void recompute_now(struct server *s)
{
	if (!s->model_loaded)
		return;
	sched_touch(&s->sched, now_ms());
	(void)uv_timer_start(&s->due, on_due, 0, 0);
}

/* --- answers --- */

static const struct table *current_table(void *arg)
{
	return ((struct server *)arg)->table;
}

static int on_recipient(void *arg, struct span key, struct gal_request *r, struct buf *reply)
{
	struct server *s = arg;
	struct lookup_answer answer;
	struct lookup_key k;
	int rc = lookup_key(key, &s->scratch, &k);

	if (rc == RC_INVALID || rc == RC_TOOBIG) {
		buf_puts(reply, "PERM key is no mail address");
		return RC_OK;
	}
	if (rc == RC_OK && k.kind != LOOKUP_KEY_ADDRESS) {
		buf_puts(reply, "NOTFOUND ");
		return RC_OK;
	}
	if (rc == RC_OK && s->table == NULL) {
		buf_puts(reply, "TEMP no route table yet");
		return RC_OK;
	}
	if (rc == RC_OK)
		rc = lookup_route(s->table, &k, TABLE_USER, &answer);
	if (rc == RC_OK && answer.verdict == LOOKUP_SHARED)
		return gal_lookup(s->gal, k.address, r, reply);
	if (rc == RC_OK)
		buf_puts(reply, "NOTFOUND ");
	return rc;
}

/* What the directory found, turned into a reply. */
static int on_resolve(void *arg, struct span dn, const struct span *values, unsigned nvalues,
		      struct buf *reply)
{
	struct server *s = arg;
	char text[LOG_TEXT_BYTES];
	enum lookup_home home = LOOKUP_HOME_HERE;
	int rc;

	if (!s->model_loaded || !s->model->committed)
		return RC_BUSY;
	buf_puts(reply, "OK ");
	rc = lookup_unique(s->model, span_of(s->settings->site), span_of(s->settings->organisation),
			   dn, values, nvalues, &home, reply);
	if (rc != RC_OK)
		return rc;
	switch (home) {
	case LOOKUP_HOME_OTHER:
		return RC_OK;
	case LOOKUP_HOME_HERE:
		return RC_NOTFOUND;
	case LOOKUP_HOME_NO_MAIL:
		log_warn(NULL, "gal.no-address",
			 "dn=\"%s\" the recipient has no address at its site's own domain",
			 log_text(dn, text));
		return RC_INVALID;
	}
	return RC_INVALID;
}

/* --- control requests --- */

static long long age_s(int64_t since_wall_us)
{
	return (clock_system.wall_us(&clock_system) - since_wall_us) / 1000000;
}

static void put_status(struct server *s, struct buf *out)
{
	struct sub_status sub;
	char text[LOG_TEXT_BYTES];

	sub_get_status(s->sub, &sub);
	buf_printf(out, "site=%s\n", s->settings->site);
	buf_printf(out, "table=%s\n",
		   s->table == NULL ? "none"
		   : s->from_disk   ? "disk"
				    : "directory");
	buf_printf(out, "generation=%lu\n", s->generation);
	if (s->table != NULL)
		buf_printf(out, "age_s=%lld\nrows=%u\nroutes=%u\n", age_s(s->table_wall_us),
			   s->table->nrows, table_routes(s->table));
	buf_printf(out, "ignored=%zu\n", s->nignored);
	buf_printf(out, "directory=%s\nentries=%zu\nsessions=%lu\nfailures=%lu\n",
		   sub_state_text(sub.state), sub.entries, sub.sessions, sub.failures);
	if (sub.current_at_ms != 0)
		buf_printf(out, "directory_age_s=%llu\n",
			   (unsigned long long)((now_ms() - sub.current_at_ms) / 1000));
	if (sub.error[0] != '\0')
		buf_printf(out, "directory_error=%s\n", log_text(span_of(sub.error), text));
}

static void put_counters(struct server *s, struct buf *out)
{
	struct publish_status p = {0};
	struct serve_stats v;
	struct gal_stats g;

	serve_get_stats(s->serve, &v);
	gal_get_stats(s->gal, &g);
	buf_printf(out,
		   "connections=%u\nrequests=%lu\nok=%lu\nnotfound=%lu\ntemp=%lu\nperm=%lu\n"
		   "broken=%lu\n",
		   v.connections, v.requests, v.ok, v.notfound, v.temp, v.perm, v.broken);
	buf_printf(out,
		   "recipients_asked=%lu\nrecipients_cached=%u\nrecipients_searched=%lu\n"
		   "recipients_doubtful=%lu\n",
		   g.asked, g.cached, g.searched, g.doubtful);
	if (s->publish == NULL)
		return;
	publish_get_status(s->publish, &p);
	buf_printf(out, "published=%lu\npublish_failures=%lu\n", p.generation, p.failures);
	if (p.error[0] != '\0')
		buf_printf(out, "publish_error=%s\n", p.error);
}

/* The objects that were left out, a line each. */
static void put_ignored(struct server *s, struct buf *out)
{
	struct model_ignored *list = NULL;
	struct arena a;
	size_t n = 0;
	size_t i;

	arena_init(&a);
	if (s->model_loaded && model_ignored(s->model, &a, &list, &n) != RC_OK)
		buf_puts(out, "error: out of memory\n");
	for (i = 0; i < n; i++) {
		buf_puts(out, "ignored_object=");
		model_ignored_write(&list[i], out);
		buf_puts(out, "\n");
	}
	arena_fini(&a);
}

/* Status lines, an empty line, then the table in its saved form. */
static void put_table(struct server *s, struct buf *out)
{
	if (s->table == NULL) {
		buf_puts(out, "error: there is no route table yet\n");
		return;
	}
	put_status(s, out);
	put_ignored(s, out);
	buf_puts(out, "\n");
	table_write(s->table, out);
}

/* "explain user|system RECIPIENT [SENDER] text|json" */
static void explain(struct server *s, struct span args, struct buf *out)
{
	struct explain_request r = {.cls = TABLE_USER};
	const struct model *m = NULL;
	struct span words[4] = {0};
	unsigned n = 0;

	while (n < 4 && args.n != 0)
		(void)span_cut(&args, ' ', &words[n++]);
	if (n < 3) {
		buf_puts(out, "error: explain needs class, recipient and form\n");
		return;
	}
	if (span_eq(words[0], SPAN_LIT("system")))
		r.cls = TABLE_SYSTEM;
	r.recipient = words[1];
	r.json = span_eq(words[n - 1], SPAN_LIT("json"));
	if (n == 4)
		r.sender = words[2];
	if (s->model_loaded && (s->computing || model_commit(s->model) == RC_OK))
		m = s->model;
	explain_write(s->table, m, &r, out);
}

static void on_control(void *arg, struct span line, struct buf *out)
{
	struct server *s = arg;
	struct span rest = line;
	struct span word;

	(void)span_cut(&rest, ' ', &word);
	if (span_eq(word, SPAN_LIT("status"))) {
		put_status(s, out);
		put_counters(s, out);
		put_ignored(s, out);
	} else if (span_eq(word, SPAN_LIT("table"))) {
		put_table(s, out);
	} else if (span_eq(word, SPAN_LIT("explain"))) {
		explain(s, rest, out);
	} else if (span_eq(word, SPAN_LIT("resync"))) {
		sub_resync(s->sub);
		buf_puts(out, "ok: everything is loaded again from the directory\n");
	} else if (span_eq(word, SPAN_LIT("accept"))) {
		s->accept = true;
		recompute_now(s);
		buf_puts(out, "ok: the next table is taken whatever it holds\n");
	} else {
		buf_puts(out, "error: unknown request\n");
	}
}

/* --- timers and signals --- */

static void log_age(struct server *s)
{
	struct sub_status sub;

	if (++s->ticks % AGE_LOG_TICKS != 0)
		return;
	sub_get_status(s->sub, &sub);
	if (sub.state == SUB_CURRENT)
		return;
	if (s->table == NULL)
		log_error(NULL, "table.none", "directory=%s answers=TEMP",
			  sub_state_text(sub.state));
	else
		log_warn(NULL, "table.aged", "directory=%s generation=%lu age_s=%lld",
			 sub_state_text(sub.state), s->generation, age_s(s->table_wall_us));
}

static void on_tick(uv_timer_t *timer)
{
	struct server *s = timer->data;
	uint64_t now = now_ms();

	sub_watch(s->sub, now);
	gal_tick(s->gal, now);
	if (s->publish != NULL)
		publish_watch(s->publish, now);
	log_age(s);
}

static void stop(struct server *s)
{
	if (s->stopping)
		return;
	s->stopping = true;
	log_info(NULL, "server.stop", "table=%s", s->table != NULL ? "kept" : "none");
	uv_close((uv_handle_t *)&s->sigterm, NULL);
	uv_close((uv_handle_t *)&s->sigint, NULL);
	uv_close((uv_handle_t *)&s->sighup, NULL);
	uv_close((uv_handle_t *)&s->tick, NULL);
	uv_close((uv_handle_t *)&s->due, NULL);
	if (s->serve != NULL)
		serve_close(&s->serve, NULL, NULL);
	if (s->ctl != NULL)
		ctl_close(&s->ctl, NULL, NULL);
	if (s->sub != NULL)
		sub_close(&s->sub, NULL, NULL);
	if (s->gal != NULL)
		gal_close(&s->gal, NULL, NULL);
	publish_close(&s->publish);
}

static void on_stop_signal(uv_signal_t *handle, int signum)
{
	(void)signum;
	stop(handle->data);
}

static void on_reload(uv_signal_t *handle, int signum)
{
	struct server *s = handle->data;
	struct settings fresh;
	struct buf errors;
	struct arena a;

	(void)signum;
	arena_init(&a);
	buf_init(&errors, 64 * 1024);
	if (settings_read(s->config_path, &a, &fresh, &errors) == RC_OK) {
		log_set_level(fresh.log_level);
		log_info(NULL, "server.reload", "what=\"log level, recompute\"");
	} else {
		log_error(NULL, "server.reload", "why=\"%s\"", buf_cstr(&errors));
	}
	buf_fini(&errors);
	arena_fini(&a);
	recompute_now(s);
}

/* --- start --- */

/* The last table, so that answers do not wait for the directory. Another site's is refused. */
static void load_table(struct server *s)
{
	struct stat st;
	char text[LOG_TEXT_BYTES];
	int rc = table_load(s->table_path, &s->table);

	if (rc == RC_NOTFOUND)
		return;
	if (rc != RC_OK) {
		log_error(NULL, "table.load", "path=%s why=\"%s\"", s->table_path, rc_text(rc));
		return;
	}
	if (!span_eq_nocase(table_text(s->table, s->table->site), span_of(s->settings->site))) {
		log_error(NULL, "table.load", "path=%s why=\"table of site %s\"", s->table_path,
			  log_text(table_text(s->table, s->table->site), text));
		table_free(&s->table);
		return;
	}
	s->from_disk = true;
	if (stat(s->table_path, &st) == 0)
		s->table_wall_us = (int64_t)st.st_mtim.tv_sec * 1000000;
	log_info(NULL, "table.loaded", "rows=%u routes=%u age_s=%lld", s->table->nrows,
		 table_routes(s->table), age_s(s->table_wall_us));
}

static struct session_config session_of(const struct settings *c)
{
	return (struct session_config){
		.uri = c->directory,
		.bind_dn = c->bind_dn,
		.password_file = c->bind_password_file,
		.tls_ca = c->tls_ca,
		.tls_certificate = c->tls_certificate,
		.tls_key = c->tls_key,
		.timeout_ms = c->timeout_ms,
	};
}

static int start_threads(struct server *s)
{
	const struct settings *c = s->settings;
	struct sub_config sub = {session_of(c), c->organisation, c->heartbeat_ms,
				 c->reconnect_max_ms};
	struct gal_config gal = {session_of(c), c->organisation, GAL_KEEP_MS, GAL_PATIENCE_MS,
				 GAL_MAX_ENTRIES};
	struct publish_config publish = {session_of(c), s->routes_dn, c->reconnect_max_ms};
	int rc = gal_new(&s->loop, &gal, on_resolve, s, &s->gal);

	if (rc == RC_OK && c->publish)
		rc = publish_new(&publish, &s->publish);
	if (rc == RC_OK)
		rc = sub_new(&s->loop, &sub, on_batch, s, &s->sub);
	return rc;
}

static int start_sockets(struct server *s)
{
	struct serve_source source = {current_table, on_recipient, s};
	char why[SERVE_WHY_BYTES] = "";
	unsigned i;
	int rc = serve_new(&s->loop, &source, &s->serve);

	for (i = 0; i < s->settings->socketmaps.n && rc == RC_OK; i++)
		rc = serve_listen(s->serve, s->settings->socketmaps.items[i], why);
	if (rc != RC_OK)
		log_error(NULL, "server.listen", "why=\"%s\"", why[0] != '\0' ? why : rc_text(rc));
	if (rc == RC_OK)
		rc = ctl_new(&s->loop, s->settings->control, on_control, s, &s->ctl);
	return rc;
}

static void init_handles(struct server *s)
{
	must(uv_loop_init(&s->loop) == 0);
	must(uv_signal_init(&s->loop, &s->sigterm) == 0);
	must(uv_signal_init(&s->loop, &s->sigint) == 0);
	must(uv_signal_init(&s->loop, &s->sighup) == 0);
	must(uv_timer_init(&s->loop, &s->tick) == 0);
	must(uv_timer_init(&s->loop, &s->due) == 0);
	s->sigterm.data = s->sigint.data = s->sighup.data = s;
	s->tick.data = s->due.data = s;
	must(uv_signal_start(&s->sigterm, on_stop_signal, SIGTERM) == 0);
	must(uv_signal_start(&s->sigint, on_stop_signal, SIGINT) == 0);
	must(uv_signal_start(&s->sighup, on_reload, SIGHUP) == 0);
	must(uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS) == 0);
}

/* cn=Routes,cn=Configuration,ou=<site>,<root> */
static int write_routes_dn(struct server *s)
{
	struct dn_ava ava = {SPAN_LIT("ou"), span_of(s->settings->site)};
	struct dn_rdn rdn = {&ava, 1};
	struct buf b;
	int rc;

	buf_init(&b, DN_MAX_BYTES);
	buf_puts(&b, "cn=Routes,cn=Configuration,");
	dn_rdn_write(&rdn, &b);
	buf_printf(&b, ",%s", s->settings->organisation);
	rc = buf_rc(&b);
	if (rc == RC_OK)
		s->routes_dn = arena_str(&s->arena, buf_span(&b));
	buf_fini(&b);
	return rc == RC_OK && s->routes_dn == NULL ? RC_NOMEM : rc;
}

/* What must be there before anything is opened. The lock keeps a second routed away. */
static int prepare(struct server *s)
{
	char *lock_path = arena_printf(&s->arena, "%s/lock", s->settings->state);
	long pid = 0;
	int rc;

	s->table_path = arena_printf(&s->arena, "%s/table", s->settings->state);
	if (lock_path == NULL || s->table_path == NULL)
		return RC_NOMEM;
	rc = file_mkdirs(s->settings->state, 0755);
	if (rc == RC_OK)
		rc = file_lock(lock_path, &s->lock_fd, &pid);
	if (rc == RC_BUSY)
		log_error(NULL, "server.locked", "path=%s pid=%ld", lock_path, pid);
	else if (rc != RC_OK)
		log_error(NULL, "server.state", "path=%s why=\"%s\"", s->settings->state,
			  rc_text(rc));
	if (rc == RC_OK)
		rc = write_routes_dn(s);
	if (rc == RC_OK)
		rc = model_new(&s->model);
	return rc;
}

static void destroy(struct server *s)
{
	while (s->waiting != NULL) {
		struct batch *b = s->waiting;

		s->waiting = b->next;
		batch_free(&b);
	}
	table_free(&s->table);
	model_free(&s->model);
	buf_fini(&s->scratch);
	if (s->lock_fd >= 0)
		file_unlock(&s->lock_fd);
	arena_fini(&s->arena);
}

int server_run(const struct settings *settings, const char *config_path)
{
	static struct server server;
	struct server *s = &server;
	int rc;

	*s = (struct server){.settings = settings, .config_path = config_path, .lock_fd = -1};
	arena_init(&s->arena);
	buf_init(&s->scratch, 64 * 1024);
	sched_init(&s->sched, settings->quiet_ms, settings->ceiling_ms);
	rc = prepare(s);
	if (rc != RC_OK)
		goto out;
	init_handles(s);
	load_table(s);
	rc = start_threads(s);
	if (rc == RC_OK)
		rc = start_sockets(s);
	if (rc == RC_OK)
		log_info(NULL, "server.ready", "site=%s directory=%s", settings->site,
			 settings->directory);
	else
		stop(s);
	(void)uv_run(&s->loop, UV_RUN_DEFAULT);
	must(uv_loop_close(&s->loop) == 0);
out:
	destroy(s);
	return rc;
}
