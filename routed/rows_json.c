/* Reading what table_json() wrote: flat objects, one a line (RFC 8259). */
#include "routed/rows.h"

#include "lib/text.h"

struct reader {
	struct arena *a;
	struct span left; /* of the line */
	const char *why;
	int rc;
};

static void fail(struct reader *r, const char *why)
{
	if (r->rc == RC_OK) {
		r->rc = RC_INVALID;
		r->why = why;
	}
}

static void skip_blanks(struct reader *r)
{
	while (r->left.n != 0 && (r->left.p[0] == ' ' || r->left.p[0] == '\t'))
		r->left = span_from(r->left, 1);
}

static bool take(struct reader *r, char c)
{
	skip_blanks(r);
	if (r->rc != RC_OK || r->left.n == 0 || r->left.p[0] != (uint8_t)c)
		return false;
	r->left = span_from(r->left, 1);
	return true;
}

static void expect(struct reader *r, char c)
{
	if (!take(r, c))
		fail(r, "this is no JSON object of a row");
}

static bool take_word(struct reader *r, struct span word)
{
	skip_blanks(r);
	if (r->rc != RC_OK || !span_starts(r->left, word))
		return false;
	r->left = span_from(r->left, word.n);
	return true;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = span_ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four digits behind "\u"; of two halves of a pair each becomes U+FFFD, as none of ours writes any.
 */
static size_t put_unicode(struct reader *r, uint8_t *to)
{
	unsigned v = 0, i;

	for (i = 0; i < 4; i++) {
		int d = i < r->left.n ? hex_digit(r->left.p[i]) : -1;

		if (d < 0) {
			fail(r, "an escape of a text is broken");
			return 0;
		}
		v = v * 16 + (unsigned)d;
	}
	r->left = span_from(r->left, 4);
	if (v >= 0xd800 && v < 0xe000)
		v = 0xfffd;
	if (v < 0x80) {
		to[0] = (uint8_t)v;
		return 1;
	}
	if (v < 0x800) {
		to[0] = (uint8_t)(0xc0 | v >> 6);
		to[1] = (uint8_t)(0x80 | (v & 0x3f));
		return 2;
	}
	to[0] = (uint8_t)(0xe0 | v >> 12);
	to[1] = (uint8_t)(0x80 | (v >> 6 & 0x3f));
	to[2] = (uint8_t)(0x80 | (v & 0x3f));
	return 3;
}

/* Behind the backslash. Never longer than what it stands for in the line. */
static size_t put_escape(struct reader *r, uint8_t *to)
{
	static const char from[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
	uint8_t c = r->left.n != 0 ? r->left.p[0] : 0;
	const char *at = c != 0 ? strchr(from, c) : NULL;

	r->left = span_from(r->left, 1);
	if (c == 'u')
		return put_unicode(r, to);
	if (at == NULL) {
		fail(r, "an escape of a text is broken");
		return 0;
	}
	to[0] = (uint8_t)means[at - from];
	return 1;
}

static struct span get_text(struct reader *r)
{
	uint8_t *p;
	size_t n = 0;

	expect(r, '"');
	p = r->rc == RC_OK ? arena_alloc(r->a, r->left.n) : NULL;
	if (r->rc == RC_OK && p == NULL)
		r->rc = RC_NOMEM;
	while (r->rc == RC_OK && r->left.n != 0 && r->left.p[0] != '"') {
		uint8_t c = r->left.p[0];

		r->left = span_from(r->left, 1);
		if (c == '\\')
			n += put_escape(r, p + n);
		else
			p[n++] = c;
	}
	expect(r, '"');
	if (r->rc == RC_OK && !text_is_utf8(span_make(p, n)))
		fail(r, "a text is no UTF-8");
	return r->rc == RC_OK ? span_make(p, n) : span_make(NULL, 0);
}

static struct span get_text_or_null(struct reader *r)
{
	return take_word(r, SPAN_LIT("null")) ? span_make(NULL, 0) : get_text(r);
}

static uint32_t get_number(struct reader *r)
{
	uint64_t v = 0;
	size_t digits = 0;

	if (take_word(r, SPAN_LIT("null")))
		return TABLE_NONE;
	for (; digits < r->left.n && digits < 10 && r->left.p[digits] >= '0' &&
	       r->left.p[digits] <= '9';
	     digits++)
		v = v * 10 + (uint64_t)(r->left.p[digits] - '0');
	if (digits == 0 || v >= TABLE_NONE)
		fail(r, "a number is none");
	r->left = span_from(r->left, digits);
	return (uint32_t)v;
}

static void get_path(struct reader *r, struct rows_row *row)
{
	struct span *path = NULL, *bigger;
	unsigned n = 0, size = 0;

	expect(r, '[');
	if (take(r, ']'))
		return;
	do {
		if (n == size) {
			size = size != 0 ? size * 2 : 8;
			bigger = arena_alloc(r->a, size * sizeof(*path));
			if (bigger == NULL) {
				r->rc = RC_NOMEM;
				return;
			}
			if (n != 0)
				memcpy(bigger, path, n * sizeof(*path));
			path = bigger;
		}
		path[n++] = get_text(r);
	} while (take(r, ','));
	expect(r, ']');
	row->path = path;
	row->npath = n;
}

static void get_member(struct reader *r, struct rows_row *row)
{
	struct span name = get_text(r);
	const struct {
		const char *name;
		struct span *text;
		uint32_t *number;
	} members[] = {
		{"class", &row->cls, NULL},       {"type", &row->type, NULL},
		{"target", &row->target, NULL},   {"mode", &row->mode, NULL},
		{"nexthop", &row->nexthop, NULL}, {"connector", &row->connector, NULL},
		{"reason", &row->reason, NULL},   {"cost", NULL, &row->cost},
		{"hops", NULL, &row->hops},
	};
	size_t i;

	expect(r, ':');
	if (span_eq(name, SPAN_LIT("path"))) {
		get_path(r, row);
		return;
	}
	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		if (!span_eq(name, span_of(members[i].name)))
			continue;
		if (members[i].text != NULL)
			*members[i].text = get_text_or_null(r);
		else
			*members[i].number = get_number(r);
		return;
	}
	fail(r, "a member that no row has");
}

static void get_row(struct reader *r, struct rows_row *row)
{
	*row = (struct rows_row){.cost = TABLE_NONE, .hops = TABLE_NONE};
	expect(r, '{');
	do
		get_member(r, row);
	while (take(r, ','));
	expect(r, '}');
	if (r->rc == RC_OK && span_trim(r->left).n != 0)
		fail(r, "there is more behind the object");
	if (r->rc == RC_OK && (row->cls.n == 0 || row->type.n == 0 || row->target.p == NULL))
		fail(r, "class, type or target is missing");
}

static size_t count_lines(struct span s)
{
	struct span line;
	size_t n = 0;

	while (s.n != 0) {
		(void)span_cut(&s, '\n', &line);
		n += span_trim(line).n != 0;
	}
	return n;
}

int rows_of_json(struct span json, struct arena *a, struct rows *out, unsigned long *line,
		 const char **why)
{
	struct reader r = {.a = a, .why = ""};
	struct span text;

	*out = (struct rows){arena_zalloc(a, count_lines(json), sizeof(*out->items)), 0};
	if (out->items == NULL)
		return RC_NOMEM;
	for (*line = 0; json.n != 0 && r.rc == RC_OK;) {
		(void)span_cut(&json, '\n', &text);
		(*line)++;
		r.left = span_trim(text);
		if (r.left.n == 0)
			continue;
		get_row(&r, &out->items[out->n]);
		if (r.rc == RC_OK && out->n != 0 &&
		    rows_key_cmp(&out->items[out->n - 1], &out->items[out->n]) > 0)
			fail(&r, "the rows are not in the order of a table");
		out->n++;
	}
	*why = r.why;
	return r.rc;
}
