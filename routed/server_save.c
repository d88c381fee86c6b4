#include "routed/server_private.h"

#include "lib/file.h"
#include "routed/render_file.h"

#define TABLE_MODE 0600
#define AGAIN_TICKS 5 /* seconds between tries while the disk takes nothing */

/* --- on the pool --- */

static int render_one(const struct table *t, const char *target)
{
	size_t left_out = 0;
	int rc = render_write(t, target, &left_out);

	if (rc == RC_OK && left_out != 0)
		log_warn(NULL, "render.left-out",
			 "target=%s patterns=%zu see 'RENDERED FILES' in routed(8)", target,
			 left_out);
	return rc;
}

/* The pool has no table of its own, but what was saved is one. A target that fails keeps no other
 * one from being written. */
static void render(struct save *save, const struct conf_list *targets)
{
	struct table *t = NULL;
	unsigned i;
	int rc = targets->n != 0 ? table_read(buf_span(&save->now), &t) : RC_OK;

	save->render_rc = rc;
	save->render_target = targets->n != 0 ? targets->items[0] : "";
	for (i = 0; i < targets->n && t != NULL; i++) {
		rc = render_one(t, targets->items[i]);
		if (rc == RC_OK || save->render_rc != RC_OK)
			continue;
		save->render_rc = rc;
		save->render_target = targets->items[i];
	}
	table_free(&t);
}

static void on_work(uv_work_t *work)
{
	struct server *s = work->data;

	s->save.rc = file_replace(s->table_path, buf_span(&s->save.now), TABLE_MODE);
	render(&s->save, &s->settings->renders);
}

/* --- on the loop --- */

/* Once when it begins, once when it ends. */
static void tell(struct server *s)
{
	struct save *save = &s->save;

	if (save->rc != RC_OK && save->rc != save->told_rc)
		log_error(NULL, "table.save", "path=%s why=\"%s\"", s->table_path,
			  rc_text(save->rc));
	if (save->render_rc != RC_OK && save->render_rc != save->told_render_rc)
		log_error(NULL, "render.failed", "target=%s why=\"%s\"", save->render_target,
			  rc_text(save->render_rc));
	if (save->rc == RC_OK && save->told_rc != RC_OK)
		log_info(NULL, "table.saved", "path=%s", s->table_path);
	if (save->render_rc == RC_OK && save->told_render_rc != RC_OK)
		log_info(NULL, "render.done", "targets=%u", s->settings->renders.n);
	save->told_rc = save->rc;
	save->told_render_rc = save->render_rc;
}

static void start(struct server *s);

/* What could not be written waits for the next try, unless there is something newer. */
static void on_saved(uv_work_t *work, int status)
{
	struct server *s = work->data;
	struct save *save = &s->save;

	(void)status;
	save->running = false;
	tell(s);
	save->failed = save->rc != RC_OK || save->render_rc != RC_OK;
	if (save->next.n != 0) {
		buf_fini(&save->now);
		save->now = save->next;
		save->next = (struct buf){0};
		start(s);
	} else if (!save->failed) {
		buf_fini(&save->now);
	}
}

static void start(struct server *s)
{
	s->save.running = true;
	s->save.work.data = s;
	if (uv_queue_work(&s->loop, &s->save.work, on_work, on_saved) == 0)
		return;
	s->save.running = false;
	s->save.failed = true;
	log_error(NULL, "table.save", "why=\"no thread\"");
}

void server_save(struct server *s, struct buf *saved)
{
	struct buf *slot = s->save.running ? &s->save.next : &s->save.now;

	if (buf_rc(saved) != RC_OK) {
		log_error(NULL, "table.save", "why=\"%s\"", rc_text(buf_rc(saved)));
		return;
	}
	buf_fini(slot);
	*slot = *saved;
	*saved = (struct buf){0};
	if (!s->save.running)
		start(s);
}

void server_save_again(struct server *s)
{
	if (s->save.failed && !s->save.running && s->save.now.n != 0 && s->ticks % AGAIN_TICKS == 0)
		start(s);
}

void server_put_saved(const struct server *s, struct buf *out)
{
	const struct save *save = &s->save;

	buf_printf(out, "table_saved=%d\n", !save->failed);
	if (!save->failed)
		return;
	if (save->told_rc != RC_OK)
		buf_printf(out, "save_error=%s: %s\n", s->table_path, rc_text(save->told_rc));
	if (save->told_render_rc != RC_OK)
		buf_printf(out, "render_error=%s\n", rc_text(save->told_render_rc));
}

void server_save_fini(struct server *s)
{
	buf_fini(&s->save.now);
	buf_fini(&s->save.next);
}
