#include "routed/server_private.h"

#include "routed/lookup.h"
#include "routed/compute.h"

#define MAX_IGNORED_LINES 20
#define MAX_ATTRS 64

/* A new table with less than half the routes of a table of at least this many waits for a person.
 */
#define HOLD_MIN_ROUTES 10

static void arm(struct server *s);

/* --- batches into the model --- */

static struct span stamp_of(const struct batch_item *i)
{
	unsigned k;

	for (k = 0; k < i->nattrs; k++) {
		if (span_eq_nocase(i->attrs[k].type, SPAN_LIT("originStamp")) &&
		    i->attrs[k].nvalues == 1)
			return i->attrs[k].values[0];
	}
	return SPAN_LIT("none");
}

/* A first load is one cause, whatever it holds. */
static void note(struct server *s, const char *what, const struct batch_item *i)
{
	struct buf dn;
	char stamp[LOG_TEXT_BYTES];

	if (!s->model_loaded)
		return;
	buf_init(&dn, 1024);
	lookup_put_line(span_head(i->dn, 1024), &dn);
	server_cause(s, "%s %s (stamp %s)", what, buf_cstr(&dn), log_text(stamp_of(i), stamp));
	buf_fini(&dn);
}

static int put_item(struct server *s, const struct batch_item *i, unsigned *changes)
{
	unsigned own = MODEL_CHANGED_NOTHING;
	struct model_attr attrs[MAX_ATTRS];
	char text[LOG_TEXT_BYTES];
	unsigned n = i->nattrs < MAX_ATTRS ? i->nattrs : MAX_ATTRS;
	unsigned k;
	int rc;

	for (k = 0; k < n; k++)
		attrs[k] = (struct model_attr){i->attrs[k].type, i->attrs[k].values,
					       i->attrs[k].nvalues};
	rc = model_put(s->model, span_make(i->uuid.b, sizeof(i->uuid.b)), i->dn, attrs, n, &own);
	if (own != MODEL_CHANGED_NOTHING)
		note(s, "entry", i);
	*changes |= own;
	if (rc != RC_INVALID)
		return rc;
	log_warn(NULL, "model.bad-dn", "dn=\"%s\"", log_text(i->dn, text));
	return RC_OK;
}

static void delete_item(struct server *s, const struct batch_item *i, unsigned *changes)
{
	unsigned own = MODEL_CHANGED_NOTHING;
	struct batch_item named = *i;

	named.dn = model_dn(s->model, span_make(i->uuid.b, sizeof(i->uuid.b)));
	if (named.dn.n != 0)
		note(s, "deleted entry", &named);
	model_delete(s->model, span_make(i->uuid.b, sizeof(i->uuid.b)), &own);
	*changes |= own;
}

static int apply(struct server *s, const struct batch *b, unsigned *changes)
{
	const struct batch_item *i;
	int rc = RC_OK;

	if (b->full)
		model_refresh_begin(s->model);
	for (i = b->first; i != NULL && rc == RC_OK; i = i->next) {
		if (i->deleted)
			delete_item(s, i, changes);
		else
			rc = put_item(s, i, changes);
	}
	if (b->full && rc == RC_OK) {
		model_refresh_end(s->model, changes);
		if (s->model_loaded && *changes != MODEL_CHANGED_NOTHING)
			server_cause(s, "the directory was read anew");
	}
	return rc;
}

/* A change that no route of this site can feel costs no computation. */
static void consider(struct server *s)
{
	if (effect_none(&s->effect, s->model)) {
		model_pending_clear(s->model);
		if (!s->sched.armed)
			server_drop_causes(s);
		s->skipped++;
		log_debug(NULL, "table.untouched", "changes=%lu", s->skipped);
		return;
	}
	effect_fini(&s->effect); /* the model goes ahead of the table now */
	sched_touch(&s->sched, server_now_ms());
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
		gal_decide(s->gal);
		server_cause(s, "the directory was read for the first time since the start");
		sched_init(&s->sched, 0, 0); /* the first table is not worth a delay */
		sched_touch(&s->sched, server_now_ms());
	} else if (changes != MODEL_CHANGED_NOTHING && s->model_loaded) {
		consider(s);
	}
	batch_free(&b);
	arm(s);
}

void server_on_batch(void *arg, struct batch *b)
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

/* A batch may be what starts the next computation; the others then wait for its end, too. */
static void absorb_waiting(struct server *s)
{
	while (s->waiting != NULL && !s->computing) {
		struct batch *b = s->waiting;

		s->waiting = b->next;
		b->next = NULL;
		absorb(s, b);
	}
	if (s->waiting == NULL)
		s->last_waiting = NULL;
}

/* --- recompute --- */

/* On the pool: nobody changes model and current table meanwhile. */
static void on_work(uv_work_t *work)
{
	struct server *s = work->data;
	struct job *j = &s->job;
	const struct compute_more more = {.holds = s->health != NULL ? &j->holds : NULL,
					  .wanted = s->health != NULL ? &j->wanted : NULL,
					  .effect = &j->effect};

	j->rc = compute_table_more(s->model, span_of(s->settings->site), &more, &j->table);
	if (j->rc != RC_OK)
		return;
	j->same = s->table != NULL && table_equal(s->table, j->table);
	j->held = !j->forced && s->table != NULL && table_routes(s->table) >= HOLD_MIN_ROUTES &&
		  table_routes(j->table) < table_routes(s->table) / 2;
	if (j->held)
		return;
	if (!j->same || s->from_disk)
		table_write(j->table, &j->saved);
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

/* R12: user mail may still find an address space, system mail waits until somebody acts. */
static void log_unreachable(const struct table *t)
{
	char text[LOG_TEXT_BYTES];
	struct span first = {NULL, 0};
	unsigned n = 0;
	uint32_t i;

	for (i = 0; i < t->nrows; i++) {
		if (t->rows[i].cls != TABLE_SYSTEM || t->rows[i].mode != TABLE_NO_ROUTE)
			continue;
		if (n++ == 0)
			first = table_text(t, t->rows[i].target);
	}
	if (n != 0)
		log_warn(NULL, "table.unreachable",
			 "sites=%u first=%s why=\"no chain of connected domains\" "
			 "system_mail=waits",
			 n, log_text(first, text));
}

static void log_swap(struct server *s, const char *event)
{
	const struct table *t = s->table;
	unsigned long long ms = s->computed_ms;

	log_info(NULL, event, "generation=%lu rows=%u routes=%u ignored=%zu ms=%llu", s->generation,
		 t->nrows, table_routes(t), s->nignored, ms);
	log_unreachable(t);
}

static void swap(struct server *s)
{
	struct job *j = &s->job;
	struct table *before;

	if (j->same) {
		table_free(&j->table);
		if (s->from_disk) {
			s->generation++;
			server_save(s, &j->saved); /* the files to render may be other ones now */
		}
		s->from_disk = false;
		log_swap(s, "table.unchanged");
		return;
	}
	before = s->table;
	s->table = j->table;
	j->table = NULL;
	s->generation++;
	s->from_disk = false;
	s->table_wall_us = clock_system.wall_us(&clock_system);
	server_history_add(s, before, &j->causes);
	gal_forget(s->gal);
	log_swap(s, "table.new");
	server_save(s, &j->saved);
}

static void finish_job(struct server *s)
{
	struct job *j = &s->job;
	char text[LOG_TEXT_BYTES];

	s->computed_ms = server_now_ms() - j->began_ms;
	if (s->computed_ms > s->computed_max_ms)
		s->computed_max_ms = s->computed_ms;
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
		s->effect = j->effect;
		j->effect = (struct effect){0};
		log_ignored(s);
		server_health_want(s, &j->wanted);
		swap(s);
		if (j->routes_rc == RC_OK && j->routes.entries != NULL && s->publish != NULL)
			publish_submit(s->publish, &j->routes, s->generation);
	}
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
	buf_fini(&s->job.saved);
	buf_fini(&s->job.wanted);
	buf_fini(&s->job.causes);
	effect_fini(&s->job.effect);
	holds_fini(&s->job.holds);
	if (s->stopping)
		return;
	absorb_waiting(s);
	arm(s);
}

static void recompute(struct server *s)
{
	int rc = model_commit(s->model);

	effect_fini(&s->effect);
	model_pending_clear(s->model);
	sched_done(&s->sched);
	if (s->sched.quiet_ms != s->settings->quiet_ms ||
	    s->sched.ceiling_ms < s->settings->ceiling_ms)
		sched_init(&s->sched, s->settings->quiet_ms, s->settings->ceiling_ms);
	s->job = (struct job){.forced = s->accept, .began_ms = server_now_ms()};
	s->job.work.data = s;
	buf_init(&s->job.saved, TABLE_MAX_BYTES);
	buf_init(&s->job.wanted, TABLE_MAX_BYTES);
	server_take_causes(s, &s->job.causes);
	if (rc == RC_OK && s->health != NULL)
		rc = health_holds(s->health, &s->job.holds);
	if (rc != RC_OK) {
		log_error(NULL, "table.failed", "why=\"%s\"", rc_text(rc));
		holds_fini(&s->job.holds);
		buf_fini(&s->job.causes);
		return;
	}
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
	uint64_t wait = sched_wait_ms(&s->sched, server_now_ms());

	if (s->computing || s->stopping || wait == SCHED_NEVER)
		return;
	if (wait == 0)
		recompute(s);
	else
		(void)uv_timer_start(&s->due, on_due, wait, 0);
}

void server_recompute_now(struct server *s)
{
	if (!s->model_loaded)
		return;
	sched_touch(&s->sched, server_now_ms());
	(void)uv_timer_start(&s->due, on_due, 0, 0);
}

void server_recompute_soon(struct server *s)
{
	if (!s->model_loaded)
		return;
	sched_touch(&s->sched, server_now_ms());
	/* Behind whatever calls this: it may be the end of a computation. */
	(void)uv_timer_start(&s->due, on_due, sched_wait_ms(&s->sched, server_now_ms()), 0);
}

void server_recompute_fini(struct server *s)
{
	while (s->waiting != NULL) {
		struct batch *b = s->waiting;

		s->waiting = b->next;
		batch_free(&b);
	}
	server_save_fini(s);
	effect_fini(&s->effect);
	table_free(&s->table);
	model_free(&s->model);
}
