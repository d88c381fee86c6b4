#include "routed/server_private.h"

#include "lib/file.h"
#include "routed/damp_file.h"

#include <stdio.h>

#define FILE_MODE 0640u
#define FILE_MAX_BYTES ((size_t)16 * 1024 * 1024)
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

static void stamp_of_now(struct damp_stamp *out)
{
	struct buf b;

	*out = (struct damp_stamp){.mono_ms = server_now_ms(),
				   .wall_us = clock_system.wall_us(&clock_system)};
	buf_init(&b, 256);
	if (file_read(BOOT_ID, &b) == RC_OK)
		(void)snprintf(out->boot, sizeof(out->boot), "%.*s",
			       SPAN_ARG(span_trim(buf_span(&b))));
	buf_fini(&b);
}

static int load(struct server *s, struct buf *file, uint64_t *age_ms)
{
	struct damp_stamp now;
	struct span lines;
	int rc = file_read(s->damping.path, file);

	stamp_of_now(&now);
	if (rc == RC_OK)
		rc = damp_file_read(buf_span(file), &now, &lines, age_ms);
	if (rc == RC_OK)
		rc = health_read_damping(s->health, lines, *age_ms, server_now_ms());
	return rc;
}

void server_damping_load(struct server *s)
{
	uint64_t age_ms = 0;
	struct buf file;
	int rc;

	buf_init(&file, FILE_MAX_BYTES);
	rc = load(s, &file, &age_ms);
	if (rc == RC_OK)
		log_info(NULL, "dampening.loaded", "age_s=%llu",
			 (unsigned long long)(age_ms / 1000));
	else if (rc != RC_NOTFOUND)
		log_error(NULL, "dampening.load", "path=%s why=\"%s\" penalties begin anew",
			  s->damping.path, rc_text(rc));
	buf_fini(&file);
	s->damping.changes = health_changes(s->health);
}

static int write_file(struct server *s)
{
	struct damp_stamp now;
	struct buf lines;
	int rc;

	stamp_of_now(&now);
	buf_init(&lines, FILE_MAX_BYTES);
	buf_init(&s->damping.file, FILE_MAX_BYTES);
	health_write_damping(s->health, server_now_ms(), &lines);
	damp_file_write(&now, buf_span(&lines), &s->damping.file);
	rc = buf_rc(&lines) != RC_OK ? buf_rc(&lines) : buf_rc(&s->damping.file);
	s->damping.changes = health_changes(s->health);
	buf_fini(&lines);
	return rc;
}

static void replace_file(struct server *s)
{
	s->damping.rc = file_replace(s->damping.path, buf_span(&s->damping.file), FILE_MODE);
}

/* A disk that is full is told once, and that it is not any more. */
static void tell(struct server *s)
{
	bool failed = s->damping.rc != RC_OK;

	if (failed && !s->damping.failed)
		log_error(NULL, "dampening.save", "path=%s why=\"%s\"", s->damping.path,
			  rc_text(s->damping.rc));
	else if (!failed && s->damping.failed)
		log_info(NULL, "dampening.saved", "path=%s", s->damping.path);
	s->damping.failed = failed;
}

static void on_work(uv_work_t *work)
{
	replace_file(work->data);
}

static void on_written(uv_work_t *work, int status)
{
	struct server *s = work->data;

	(void)status;
	s->damping.running = false;
	buf_fini(&s->damping.file);
	tell(s);
}

static bool is_due(const struct server *s)
{
	return s->health != NULL && !s->damping.running &&
	       (s->damping.failed || s->damping.changes != health_changes(s->health));
}

void server_damping_save(struct server *s)
{
	if (!is_due(s))
		return;
	s->damping.rc = write_file(s);
	s->damping.work.data = s;
	if (s->damping.rc == RC_OK &&
	    uv_queue_work(&s->loop, &s->damping.work, on_work, on_written) == 0) {
		s->damping.running = true;
		return;
	}
	buf_fini(&s->damping.file);
	tell(s);
}

void server_damping_fini(struct server *s)
{
	if (!is_due(s))
		return;
	s->damping.rc = write_file(s);
	if (s->damping.rc == RC_OK)
		replace_file(s);
	buf_fini(&s->damping.file);
	tell(s);
}
