#include "tools/cli.h"

#include "lib/arena.h"
#include "lib/text.h"

#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define JSON_MAX_BYTES (256 * 1024 * 1024)

struct cli_table {
	const struct cli_column *columns;
	unsigned ncolumns;
	bool json;
	struct buf lines;                 /* of a JSON table */
	struct libscols_table *smartcols; /* of any other */
};

static int add_columns(struct cli_table *t)
{
	unsigned i;

	scols_init_debug(0);
	t->smartcols = scols_new_table();
	if (t->smartcols == NULL)
		return RC_NOMEM;
	for (i = 0; i < t->ncolumns; i++) {
		const struct cli_column *c = &t->columns[i];
		bool last = i + 1 == t->ncolumns;
		int flags = c->type == CLI_COL_NUMBER ? SCOLS_FL_RIGHT : 0;

		if (last || c->type == CLI_COL_LIST)
			flags |= SCOLS_FL_TRUNC;
		if (scols_table_new_column(t->smartcols, c->title, 0, flags) == NULL)
			return RC_NOMEM;
	}
	/* Only a person's terminal has a width; a program that reads a pipe wants all of it. */
	if (isatty(STDOUT_FILENO) == 0)
		scols_table_enable_nowrap(t->smartcols, 1);
	return RC_OK;
}

int cli_table_new(const struct cli_column *columns, bool json, struct cli_table **out)
{
	struct cli_table *t = mem_zalloc(1, sizeof(*t));
	int rc = RC_OK;

	*out = t;
	if (t == NULL)
		return RC_NOMEM;
	t->columns = columns;
	t->json = json;
	while (columns[t->ncolumns].title != NULL)
		t->ncolumns++;
	buf_init(&t->lines, JSON_MAX_BYTES);
	if (!json)
		rc = add_columns(t);
	if (rc != RC_OK)
		cli_table_free(out);
	return rc;
}

void cli_table_free(struct cli_table **t)
{
	if (*t == NULL)
		return;
	buf_fini(&(*t)->lines);
	if ((*t)->smartcols != NULL)
		scols_unref_table((*t)->smartcols);
	mem_free(*t);
	*t = NULL;
}

void cli_json_string(struct buf *out, struct span s)
{
	buf_putc(out, '"');
	while (s.n != 0) {
		size_t n = text_utf8_len(s);
		uint8_t c = s.p[0];

		if (n == 0)
			buf_puts(out, "\\ufffd");
		else if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c == '\n')
			buf_puts(out, "\\n");
		else if (c < 0x20 || c == 0x7f)
			buf_printf(out, "\\u%04x", c);
		else
			buf_put(out, span_head(s, n));
		s = span_from(s, n != 0 ? n : 1);
	}
	buf_putc(out, '"');
}

static void json_list(struct buf *out, struct span lines)
{
	struct span line;
	bool more, first = true;

	buf_putc(out, '[');
	do {
		more = span_cut(&lines, '\n', &line);
		if (line.n == 0)
			continue;
		if (!first)
			buf_putc(out, ',');
		first = false;
		cli_json_string(out, line);
	} while (more);
	buf_putc(out, ']');
}

static bool is_number(const char *s)
{
	size_t digits = strspn(s + (s[0] == '-'), "0123456789");

	return digits != 0 && s[(s[0] == '-') + digits] == '\0';
}

static void json_cell(struct buf *out, enum cli_column_type type, const char *cell)
{
	if (cell == NULL) {
		buf_puts(out, type == CLI_COL_LIST ? "[]" : "null");
		return;
	}
	switch (type) {
	case CLI_COL_TEXT:
		cli_json_string(out, span_of(cell));
		break;
	case CLI_COL_NUMBER:
		if (is_number(cell))
			buf_puts(out, cell);
		else
			cli_json_string(out, span_of(cell));
		break;
	case CLI_COL_BOOL:
		buf_puts(out, span_eq_nocase(span_of(cell), SPAN_LIT("TRUE")) ? "true" : "false");
		break;
	case CLI_COL_LIST:
		json_list(out, span_of(cell));
		break;
	}
}

static int add_json(struct cli_table *t, const char *const *cells)
{
	unsigned i;

	buf_putc(&t->lines, '{');
	for (i = 0; i < t->ncolumns; i++) {
		if (i != 0)
			buf_putc(&t->lines, ',');
		cli_json_string(&t->lines, span_of(t->columns[i].key));
		buf_putc(&t->lines, ':');
		json_cell(&t->lines, t->columns[i].type, cells[i]);
	}
	buf_puts(&t->lines, "}\n");
	return buf_rc(&t->lines);
}

/* Control bytes of a value must not reach the terminal; line ends of lists become "; ". */
static void printable(struct buf *out, enum cli_column_type type, const char *cell)
{
	struct span s = span_of(cell);

	if (type == CLI_COL_BOOL) {
		buf_puts(out, span_eq_nocase(s, SPAN_LIT("TRUE")) ? "yes" : "no");
		return;
	}
	while (s.n != 0) {
		size_t n = text_utf8_len(s);

		if (s.p[0] == '\n')
			buf_puts(out, "; ");
		else if (n == 0 || s.p[0] < 0x20 || s.p[0] == 0x7f)
			buf_putc(out, '?');
		else
			buf_put(out, span_head(s, n));
		s = span_from(s, n != 0 ? n : 1);
	}
}

int cli_table_add(struct cli_table *t, const char *const *cells)
{
	struct libscols_line *line;
	unsigned i;

	if (t->json)
		return add_json(t, cells);
	line = scols_table_new_line(t->smartcols, NULL);
	if (line == NULL)
		return RC_NOMEM;
	for (i = 0; i < t->ncolumns; i++) {
		struct buf text;
		int failed;

		buf_init(&text, JSON_MAX_BYTES);
		printable(&text, cells[i] != NULL ? t->columns[i].type : CLI_COL_TEXT,
			  cells[i] != NULL ? cells[i] : "-");
		failed = buf_rc(&text) != RC_OK ||
			 scols_line_set_data(line, i, buf_cstr(&text)) != 0;
		buf_fini(&text);
		if (failed)
			return RC_NOMEM;
	}
	return RC_OK;
}

int cli_table_print(struct cli_table *t)
{
	if (!t->json && scols_print_table(t->smartcols) != 0)
		return RC_IO;
	if (t->lines.n != 0)
		fwrite(t->lines.p, 1, t->lines.n, stdout);
	return fflush(stdout) == 0 && ferror(stdout) == 0 ? RC_OK : RC_IO;
}
