#include "routed/rows.h"

int rows_key_cmp(const struct rows_row *a, const struct rows_row *b)
{
	int c = span_cmp(a->cls, b->cls);

	if (c == 0)
		c = span_cmp(a->type, b->type);
	return c != 0 ? c : span_cmp(a->target, b->target);
}

static int path_of_table(const struct table *t, uint32_t step, struct arena *a,
			 struct rows_row *out)
{
	struct span *path;
	uint32_t at;
	unsigned n = 0;

	for (at = step; at != TABLE_NONE; at = t->steps[at].parent)
		n++;
	path = arena_zalloc(a, n, sizeof(*path));
	if (path == NULL)
		return RC_NOMEM;
	out->path = path;
	out->npath = n;
	for (at = step; at != TABLE_NONE; at = t->steps[at].parent)
		path[--n] = t->texts[t->steps[at].name];
	return RC_OK;
}

int rows_of_table(const struct table *t, struct arena *a, struct rows *out)
{
	uint32_t i;
	int rc = RC_OK;

	*out = (struct rows){arena_zalloc(a, t->nrows, sizeof(*out->items)), t->nrows};
	if (out->items == NULL)
		return RC_NOMEM;
	for (i = 0; i < t->nrows && rc == RC_OK; i++) {
		const struct table_row *from = &t->rows[i];
		struct rows_row *row = &out->items[i];

		row->cls = span_of(table_class_name((enum table_class)from->cls));
		row->type = table_text(t, from->type);
		row->target = table_text(t, from->target);
		row->mode = span_of(table_mode_name((enum table_mode)from->mode));
		row->nexthop = table_text(t, from->nexthop);
		row->connector = table_text(t, from->connector);
		row->reason = span_of(table_reason_name((enum table_reason)from->reason));
		row->cost = from->cost;
		row->hops = from->hops;
		rc = path_of_table(t, from->step, a, row);
	}
	return rc;
}

static bool same_row(const struct rows_row *a, const struct rows_row *b)
{
	unsigned i;

	if (a->cost != b->cost || a->hops != b->hops || a->npath != b->npath ||
	    !span_eq(a->mode, b->mode) || !span_eq(a->nexthop, b->nexthop) ||
	    !span_eq(a->connector, b->connector) || !span_eq(a->reason, b->reason))
		return false;
	for (i = 0; i < a->npath; i++) {
		if (!span_eq(a->path[i], b->path[i]))
			return false;
	}
	return true;
}

/* Candidates from `at` on that have one key. */
static size_t group(const struct rows *r, size_t at)
{
	size_t n = 1;

	while (at + n < r->n && rows_key_cmp(&r->items[at], &r->items[at + n]) == 0)
		n++;
	return n;
}

static bool same_group(const struct rows_change *c)
{
	size_t i;

	if (c->nbefore != c->nafter)
		return false;
	for (i = 0; i < c->nbefore; i++) {
		if (!same_row(&c->before[i], &c->after[i]))
			return false;
	}
	return true;
}

/* The next key of the two lists, and how they stand at it. */
static struct rows_change next(const struct rows *before, const struct rows *after, size_t *b,
			       size_t *a)
{
	struct rows_change c = {0};
	int order;

	if (*b == before->n || *a == after->n)
		order = *b == before->n ? 1 : -1;
	else
		order = rows_key_cmp(&before->items[*b], &after->items[*a]);
	if (order <= 0) {
		c.before = &before->items[*b];
		c.nbefore = group(before, *b);
	}
	if (order >= 0) {
		c.after = &after->items[*a];
		c.nafter = group(after, *a);
	}
	*b += c.nbefore;
	*a += c.nafter;
	return c;
}

int rows_compare(const struct rows *before, const struct rows *after, struct arena *a,
		 struct rows_change **out, size_t *n)
{
	size_t at_before = 0, at_after = 0;

	*n = 0;
	*out = arena_alloc(a, (before->n + after->n) * sizeof(**out));
	if (*out == NULL)
		return RC_NOMEM;
	while (at_before < before->n || at_after < after->n) {
		struct rows_change c = next(before, after, &at_before, &at_after);

		if (!same_group(&c))
			(*out)[(*n)++] = c;
	}
	return RC_OK;
}

/* --- words --- */

static void put(struct buf *out, const char *before, struct span s)
{
	if (s.n == 0)
		return;
	buf_puts(out, before);
	buf_put(out, s);
}

static void put_count(struct buf *out, const char *what, uint32_t n)
{
	if (n != TABLE_NONE)
		buf_printf(out, ", %s %u", what, n);
}

static void write_row(char sign, const struct rows_row *r, struct buf *out)
{
	unsigned i;

	buf_putc(out, (uint8_t)sign);
	put(out, " ", r->cls);
	put(out, " ", r->type);
	put(out, " ", r->target);
	put(out, ": ", r->mode);
	put(out, ", ", r->nexthop);
	put_count(out, "cost", r->cost);
	put_count(out, "hops", r->hops);
	put(out, ", ", r->reason);
	for (i = 0; i < r->npath; i++)
		put(out, i == 0 ? ", path " : " > ", r->path[i]);
	buf_putc(out, '\n');
}

void rows_change_write(const struct rows_change *c, struct buf *out)
{
	size_t i;

	for (i = 0; i < c->nbefore; i++)
		write_row('-', &c->before[i], out);
	for (i = 0; i < c->nafter; i++)
		write_row('+', &c->after[i], out);
}

/* --- JSON --- */

static void member(struct buf *out, const char *name, struct span s)
{
	buf_printf(out, "\"%s\":", name);
	if (s.p == NULL)
		buf_puts(out, "null");
	else
		table_json_string(s, out);
}

static void number(struct buf *out, const char *name, uint32_t n)
{
	buf_printf(out, ",\"%s\":", name);
	if (n == TABLE_NONE)
		buf_puts(out, "null");
	else
		buf_printf(out, "%u", n);
}

static void json_row(const struct rows_row *r, struct buf *out)
{
	unsigned i;

	buf_putc(out, '{');
	member(out, "mode", r->mode);
	number(out, "cost", r->cost);
	number(out, "hops", r->hops);
	buf_putc(out, ',');
	member(out, "nexthop", r->nexthop);
	buf_putc(out, ',');
	member(out, "connector", r->connector);
	buf_puts(out, ",\"path\":[");
	for (i = 0; i < r->npath; i++) {
		buf_puts(out, i != 0 ? "," : "");
		table_json_string(r->path[i], out);
	}
	buf_puts(out, "],");
	member(out, "reason", r->reason);
	buf_putc(out, '}');
}

static void json_rows(const char *name, const struct rows_row *rows, size_t n, struct buf *out)
{
	size_t i;

	buf_printf(out, ",\"%s\":[", name);
	for (i = 0; i < n; i++) {
		buf_puts(out, i != 0 ? "," : "");
		json_row(&rows[i], out);
	}
	buf_putc(out, ']');
}

void rows_change_json(struct span site, const struct rows_change *c, struct buf *out)
{
	const struct rows_row *key = c->nbefore != 0 ? c->before : c->after;

	buf_putc(out, '{');
	member(out, "site", site);
	buf_putc(out, ',');
	member(out, "class", key->cls);
	buf_putc(out, ',');
	member(out, "type", key->type);
	buf_putc(out, ',');
	member(out, "target", key->target);
	json_rows("before", c->before, c->nbefore, out);
	json_rows("after", c->after, c->nafter, out);
	buf_puts(out, "}\n");
}
