#include "routed/server_private.h"

#include "lib/file.h"
#include "routed/history.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define CAUSE_LINES_MAX 32
#define FILE_MAX_BYTES ((size_t)512 * 1024 * 1024)
#define FILE_MODE 0600

/*
 * Tables that were replaced wait here, oldest first, until the pool has compared each with the one
 * after it: of the newest that is the table in use, which cannot go before it is replaced itself.
 */
struct history_item {
	struct table *before; /* owned; NULL: there was none */
	const struct table *after;
	struct history_head head;
	struct buf causes;
	struct history_item *next;
};

void server_cause(struct server *s, const char *fmt, ...)
{
	va_list ap;

	if (s->ncauses++ >= CAUSE_LINES_MAX)
		return;
	va_start(ap, fmt);
	buf_vprintf(&s->causes, fmt, ap);
	va_end(ap);
	buf_putc(&s->causes, '\n');
}

void server_take_causes(struct server *s, struct buf *out)
{
	if (s->ncauses > CAUSE_LINES_MAX)
		buf_printf(&s->causes, "and %u more\n", s->ncauses - CAUSE_LINES_MAX);
	*out = s->causes;
	buf_init(&s->causes, SERVER_CAUSES_BYTES);
	s->ncauses = 0;
}

void server_drop_causes(struct server *s)
{
	buf_clear(&s->causes);
	s->ncauses = 0;
}

/* --- on the pool --- */

static int append(const char *path, struct span text)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, FILE_MODE);
	int rc = fd < 0 ? rc_from_errno(errno) : RC_OK;

	while (rc == RC_OK && text.n != 0) {
		ssize_t n = write(fd, text.p, text.n);

		if (n < 0 && errno != EINTR)
			rc = rc_from_errno(errno);
		else if (n > 0)
			text = span_from(text, (size_t)n);
	}
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

/* Cut the file to the last records. A torn last record, of a crash, is cut off as well. */
static int shorten(const char *path, unsigned *records)
{
	struct buf b;
	struct span rest, keep, record;
	int rc;

	buf_init(&b, FILE_MAX_BYTES);
	rc = file_read(path, &b);
	keep = rest = history_tail(buf_span(&b), HISTORY_RECORDS);
	*records = 0;
	while (history_next(&rest, &record))
		++*records;
	keep.n -= rest.n;
	if (rc == RC_OK && keep.n != b.n)
		rc = file_replace(path, keep, FILE_MODE);
	buf_fini(&b);
	return rc == RC_NOTFOUND ? RC_OK : rc;
}

static void on_history_work(uv_work_t *work)
{
	struct server *s = work->data;
	struct history_item *i = s->history.first;
	struct buf b;

	buf_init(&b, FILE_MAX_BYTES);
	i->head.causes = buf_span(&i->causes);
	s->history.rc = history_write(i->before, i->after, &i->head, &b);
	if (s->history.rc == RC_OK && !s->history.counted)
		s->history.rc = shorten(s->history.path, &s->history.records);
	s->history.counted = s->history.rc == RC_OK;
	if (s->history.rc == RC_OK)
		s->history.rc = append(s->history.path, buf_span(&b));
	if (s->history.rc == RC_OK && ++s->history.records >= HISTORY_RECORDS + HISTORY_SLACK)
		s->history.rc = shorten(s->history.path, &s->history.records);
	buf_fini(&b);
}

/* --- on the loop --- */

static void item_free(struct history_item *i)
{
	table_free(&i->before);
	buf_fini(&i->causes);
	mem_free(i);
}

static void start(struct server *s);

static void on_history_done(uv_work_t *work, int status)
{
	struct server *s = work->data;
	struct history_item *i = s->history.first;

	(void)status;
	s->history.running = false;
	if (s->history.rc != RC_OK)
		log_error(NULL, "history.write", "path=%s why=\"%s\"", s->history.path,
			  rc_text(s->history.rc));
	s->history.first = i->next;
	if (s->history.first == NULL)
		s->history.last = NULL;
	item_free(i);
	start(s);
}

static void start(struct server *s)
{
	if (s->history.running || s->history.first == NULL)
		return;
	s->history.work.data = s;
	s->history.running =
		uv_queue_work(&s->loop, &s->history.work, on_history_work, on_history_done) == 0;
}

void server_history_add(struct server *s, struct table *before, struct buf *causes)
{
	struct history_item *i = mem_zalloc(1, sizeof(*i));

	if (i == NULL) {
		table_free(&before);
		log_error(NULL, "history.write", "why=\"%s\"", rc_text(RC_NOMEM));
		return;
	}
	i->before = before;
	i->after = s->table;
	i->head.generation = s->generation;
	i->head.wall_us = s->table_wall_us;
	i->causes = *causes;
	*causes = (struct buf){0};
	if (s->history.last != NULL)
		s->history.last->next = i;
	else
		s->history.first = i;
	s->history.last = i;
	start(s);
}

void server_history_fini(struct server *s)
{
	while (s->history.first != NULL) {
		struct history_item *i = s->history.first;

		s->history.first = i->next;
		item_free(i);
	}
	buf_fini(&s->causes);
}
