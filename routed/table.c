#include "routed/table.h"

#include "lib/text.h"
#include "routed/table_index.h"

#define PATH_STACK 64

static const char *const mode_names[] = {
	[TABLE_DIRECT] = "direct",
	[TABLE_CONNECTED] = "connected",
	[TABLE_NO_ROUTE] = "none",
	[TABLE_LOCAL_SPACE] = "local",
};

static const char *const reason_names[] = {
#define REASON_NAME(name, text) [name] = text,
	TABLE_REASON_MAP(REASON_NAME)
#undef REASON_NAME
};

void table_free(struct table **t)
{
	struct arena arena;
	unsigned i;

	if (*t == NULL)
		return;
	for (i = 0; i < TABLE_BLOCKS; i++)
		mem_free((*t)->blocks[i]);
	table_index_fini((*t)->index);
	arena = (*t)->arena;
	mem_free(*t);
	arena_fini(&arena);
	*t = NULL;
}

const char *table_class_name(enum table_class cls)
{
	return cls == TABLE_USER ? "user" : "system";
}

const char *table_mode_name(enum table_mode mode)
{
	return mode_names[mode];
}

const char *table_reason_name(enum table_reason reason)
{
	return reason_names[reason];
}

static bool equal_array(const void *a, size_t na, const void *b, size_t nb, size_t element)
{
	return na == nb && (na == 0 || memcmp(a, b, na * element) == 0);
}

bool table_equal(const struct table *a, const struct table *b)
{
	uint32_t i;

	if (a->site != b->site || a->ntexts != b->ntexts ||
	    !equal_array(a->rows, a->nrows, b->rows, b->nrows, sizeof(*a->rows)) ||
	    !equal_array(a->steps, a->nsteps, b->steps, b->nsteps, sizeof(*a->steps)) ||
	    !equal_array(a->domains, a->ndomains, b->domains, b->ndomains, sizeof(*a->domains)) ||
	    !equal_array(a->pins, a->npins, b->pins, b->npins, sizeof(*a->pins)) ||
	    !equal_array(a->systems, a->nsystems, b->systems, b->nsystems, sizeof(*a->systems)))
		return false;
	for (i = 0; i < a->ntexts; i++) {
		if (!span_eq(a->texts[i], b->texts[i]))
			return false;
	}
	return true;
}

uint32_t table_routes(const struct table *t)
{
	uint32_t n = 0, i;

	for (i = 0; i < t->nrows; i++)
		n += t->rows[i].mode != TABLE_NO_ROUTE;
	return n;
}

/* "[host]:port" stays as it is; a plain host gets the brackets that switch MX off. */
static void put_host(struct span host, struct buf *out)
{
	bool plain = host.n != 0 && host.p[0] != '[';

	buf_puts(out, plain ? "smtp:[" : "smtp:");
	buf_put(out, host);
	if (plain)
		buf_putc(out, ']');
}

static void put_typed(const struct table *t, const struct table_result *r, struct buf *out)
{
	struct span transport = table_text(t, r->row->transport);
	struct span address = table_text(t, r->row->nexthop), type;
	size_t i;

	span_cut(&address, ':', &type);
	if (transport.n != 0)
		buf_put(out, transport);
	for (i = 0; transport.n == 0 && i < type.n; i++)
		buf_putc(out, span_ascii_lower(type.p[i]));
	buf_putc(out, ':');
	buf_put(out, r->nexthop);
}

void table_transport(const struct table *t, const struct table_result *r, struct buf *out)
{
	switch (r->hop) {
	case TABLE_HOP_NONE:
		break;
	case TABLE_HOP_MX:
		buf_puts(out, "smtp:");
		buf_put(out, r->nexthop);
		break;
	case TABLE_HOP_HOST:
		put_host(r->nexthop, out);
		break;
	case TABLE_HOP_TYPE:
		put_typed(t, r, out);
		break;
	}
}

static void put_escaped(uint8_t c, struct buf *out)
{
	static const char letters[] = "\b\f\n\r\t";
	static const char *const shorts[] = {"\\b", "\\f", "\\n", "\\r", "\\t"};
	const char *at = c != 0 ? strchr(letters, c) : NULL;

	if (at != NULL)
		buf_puts(out, shorts[at - letters]);
	else
		buf_printf(out, "\\u%04x", c);
}

/* Bytes of the UTF-8 sequence at p; 0: there is none. */
static size_t sequence(const uint8_t *p, size_t n)
{
	size_t want = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;

	return want <= n && text_is_utf8(span_make(p, want)) ? want : 0;
}

void table_json_string(struct span s, struct buf *out)
{
	size_t i = 0, from = 0;

	buf_putc(out, '"');
	while (i < s.n) {
		size_t n = sequence(s.p + i, s.n - i);
		uint8_t c = s.p[i];

		if (n != 0 && c >= 0x20 && c != '"' && c != '\\') {
			i += n;
			continue;
		}
		buf_put(out, span_make(s.p + from, i - from));
		if (n == 0)
			buf_puts(out, "\xef\xbf\xbd");
		else if (c < 0x20)
			put_escaped(c, out);
		else
			buf_put(out, span_make((const uint8_t[]){'\\', c}, 2));
		from = ++i;
	}
	buf_put(out, span_make(s.p + from, s.n - from));
	buf_putc(out, '"');
}

static void put_path(const struct table *t, uint32_t step, struct buf *out)
{
	uint32_t stack[PATH_STACK], *path = stack, n = 0, at, i;

	for (at = step; at != TABLE_NONE; at = t->steps[at].parent)
		n++;
	if (n > PATH_STACK)
		path = mem_alloc(n * sizeof(*path));
	if (path == NULL) {
		out->rc = RC_NOMEM;
		return;
	}
	for (at = step, i = n; i-- != 0; at = t->steps[at].parent)
		path[i] = t->steps[at].name;
	buf_putc(out, '[');
	for (i = 0; i < n; i++) {
		if (i != 0)
			buf_putc(out, ',');
		table_json_string(t->texts[path[i]], out);
	}
	buf_putc(out, ']');
	if (path != stack)
		mem_free(path);
}

static void put_number(uint32_t n, struct buf *out)
{
	if (n == TABLE_NONE)
		buf_puts(out, "null");
	else
		buf_printf(out, "%u", n);
}

static void put_text(const struct table *t, uint32_t text, struct buf *out)
{
	if (text == TABLE_NONE)
		buf_puts(out, "null");
	else
		table_json_string(t->texts[text], out);
}

void table_row_json(const struct table *t, const struct table_row *row, struct buf *out)
{
	buf_printf(out, "{\"class\":\"%s\",\"type\":", table_class_name(row->cls));
	put_text(t, row->type, out);
	buf_puts(out, ",\"target\":");
	put_text(t, row->target, out);
	buf_puts(out, ",\"cost\":");
	put_number(row->cost, out);
	buf_puts(out, ",\"hops\":");
	put_number(row->hops, out);
	buf_printf(out, ",\"mode\":\"%s\",\"nexthop\":", table_mode_name(row->mode));
	put_text(t, row->nexthop, out);
	buf_puts(out, ",\"connector\":");
	put_text(t, row->connector, out);
	buf_puts(out, ",\"path\":");
	put_path(t, row->step, out);
	buf_printf(out, ",\"reason\":\"%s\"}", table_reason_name(row->reason));
}

void table_json(const struct table *t, struct buf *out)
{
	uint32_t i;

	for (i = 0; i < t->nrows && buf_rc(out) == RC_OK; i++) {
		table_row_json(t, &t->rows[i], out);
		buf_putc(out, '\n');
	}
}
