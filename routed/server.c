#include "routed/server.h"

#include "lib/dn.h"
#include "lib/file.h"
#include "routed/server_private.h"

#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#define TICK_MS 1000
#define AGE_LOG_TICKS 60
#define LEAVE_MS 8000 /* more than a recipient waits for the directory */
#define HANDOVER_MS 20000
#define HANDOVER_STEP_MS 5
#define GAL_KEEP_MS 30000
#define GAL_PATIENCE_MS 5000
#define GAL_MAX_ENTRIES 10000

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
			 sub_state_text(sub.state), s->generation, server_age_s(s->table_wall_us));
}

static void on_tick(uv_timer_t *timer)
{
	struct server *s = timer->data;
	uint64_t now = server_now_ms();

	sub_watch(s->sub, now);
	gal_tick(s->gal, now);
	if (s->publish != NULL)
		publish_watch(s->publish, now);
	server_damping_save(s);
	log_age(s);
	server_save_again(s);
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
	uv_close((uv_handle_t *)&s->leave, NULL);
	uv_close((uv_handle_t *)&s->check, NULL);
	dns_close(&s->dns);
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

/* --- leaving to another routed --- */

static void on_left(void *arg)
{
	stop(arg);
}

static void on_patience_end(uv_timer_t *timer)
{
	stop(timer->data);
}

static void on_leave(uv_timer_t *timer)
{
	struct server *s = timer->data;

	must(uv_timer_start(&s->leave, on_patience_end, LEAVE_MS, 0) == 0);
	serve_leave(s->serve, on_left, s);
}

void server_hand_over(struct server *s, struct buf *out)
{
	int fds[CTL_FDS_MAX];
	unsigned n = serve_listeners(s->serve, fds, CTL_FDS_MAX);

	if (s->leaving) {
		buf_puts(out, "error: the sockets have been handed over already\n");
		return;
	}
	s->leaving = true;
	log_info(NULL, "server.handover", "sockets=%u", n);
	buf_printf(out, "ok %u\n", n);
	ctl_send_fds(s->ctl, fds, n);
	must(uv_timer_start(&s->leave, on_leave, 0, 0) == 0); /* behind the reply */
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
	server_cause(s, "SIGHUP");
	server_recompute_now(s);
}

/* --- start --- */

static const struct table *current_table(void *arg)
{
	return ((struct server *)arg)->table;
}

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
		 table_routes(s->table), server_age_s(s->table_wall_us));
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
	int rc = gal_new(&s->loop, &gal, server_on_resolve, s, &s->gal);

	if (rc == RC_OK && c->publish)
		rc = publish_new(&publish, &s->publish);
	if (rc == RC_OK)
		rc = sub_new(&s->loop, &sub, server_on_batch, s, &s->sub);
	return rc;
}

static int listen_all(struct server *s, enum serve_protocol protocol, const struct conf_list *list)
{
	char why[SERVE_WHY_BYTES] = "";
	unsigned i;
	int rc = RC_OK;

	for (i = 0; i < list->n && rc == RC_OK; i++)
		rc = serve_listen(s->serve, protocol, list->items[i],
				  inherit_take(&s->inherit, list->items[i]), why);
	if (rc != RC_OK)
		log_error(NULL, "server.listen", "why=\"%s\"", why[0] != '\0' ? why : rc_text(rc));
	return rc;
}

static int start_sockets(struct server *s)
{
	const struct settings *c = s->settings;
	struct serve_source source = {current_table, server_on_recipient, s,
				      c->null_sender_is_system};
	int rc = serve_new(&s->loop, &source, &c->access, &s->serve);

	if (rc == RC_OK)
		rc = listen_all(s, SERVE_SOCKETMAP, &c->socketmaps);
	if (rc == RC_OK)
		rc = listen_all(s, SERVE_POLICY, &c->policies);
	if (rc == RC_OK)
		rc = listen_all(s, SERVE_EXIM, &c->exims);
	if (rc == RC_OK && inherit_close(&s->inherit) != 0)
		log_warn(NULL, "server.inherit", "why=\"sockets that routed.conf does not name\"");
	if (rc == RC_OK)
		rc = ctl_new(&s->loop, s->settings->control, server_on_control, s, &s->ctl);
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
	must(uv_timer_init(&s->loop, &s->leave) == 0);
	must(uv_timer_init(&s->loop, &s->check) == 0);
	s->sigterm.data = s->sigint.data = s->sighup.data = s;
	s->tick.data = s->due.data = s->leave.data = s->check.data = s;
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

/* The other one has ended when its lock is free; its table is on disk then. */
static int wait_for_lock(struct server *s, const char *path, long *pid)
{
	const struct timespec step = {.tv_nsec = HANDOVER_STEP_MS * 1000000L};
	uint64_t end = server_now_ms() + HANDOVER_MS;
	int rc;

	do {
		rc = file_lock(path, &s->lock_fd, pid);
		if (rc == RC_BUSY)
			(void)nanosleep(&step, NULL);
	} while (rc == RC_BUSY && server_now_ms() < end);
	return rc;
}

static int lock_state(struct server *s, const char *path, bool takeover, long *pid)
{
	int rc = file_lock(path, &s->lock_fd, pid);

	if (rc != RC_BUSY || !takeover)
		return rc;
	rc = inherit_ask(&s->inherit, s->settings->control);
	if (rc == RC_OK || rc == RC_NOTFOUND) /* it may be gone by now */
		return wait_for_lock(s, path, pid);
	log_error(NULL, "server.takeover", "control=%s why=\"%s\"", s->settings->control,
		  rc_text(rc));
	return rc;
}

/* What must be there before anything is opened. The lock keeps a second routed away. */
static int prepare(struct server *s, bool takeover)
{
	char *lock_path = arena_printf(&s->arena, "%s/lock", s->settings->state);
	long pid = 0;
	int rc;

	s->table_path = arena_printf(&s->arena, "%s/table", s->settings->state);
	s->history.path = arena_printf(&s->arena, "%s/history", s->settings->state);
	s->damping.path = arena_printf(&s->arena, "%s/dampening", s->settings->state);
	if (lock_path == NULL || s->table_path == NULL || s->history.path == NULL ||
	    s->damping.path == NULL)
		return RC_NOMEM;
	rc = file_mkdirs(s->settings->state, 0755);
	if (rc == RC_OK)
		rc = lock_state(s, lock_path, takeover, &pid);
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
	server_history_fini(s);
	server_recompute_fini(s);
	server_damping_fini(s);
	health_free(&s->health);
	(void)inherit_close(&s->inherit);
	buf_fini(&s->scratch);
	if (s->lock_fd >= 0)
		file_unlock(&s->lock_fd);
	arena_fini(&s->arena);
}

int server_run(const struct settings *settings, const char *config_path, bool takeover)
{
	static struct server server;
	struct server *s = &server;
	int rc;

	*s = (struct server){.settings = settings, .config_path = config_path, .lock_fd = -1};
	arena_init(&s->arena);
	buf_init(&s->scratch, 64 * 1024);
	buf_init(&s->causes, SERVER_CAUSES_BYTES);
	sched_init(&s->sched, settings->quiet_ms, settings->ceiling_ms);
	inherit_environment(&s->inherit);
	rc = prepare(s, takeover);
	if (rc != RC_OK)
		goto out;
	init_handles(s);
	load_table(s);
	rc = server_health_start(s);
	if (rc == RC_OK)
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
