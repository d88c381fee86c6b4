#include "tools/routectl_print.h"

#include "tools/cli.h"

#define CELL_MAX_BYTES ((size_t)1 << 24)

enum column { CLASS, TYPE, TARGET, COST, HOPS, MODE, NEXTHOP, REASON, PATH, NCOLUMNS };

static const struct cli_column columns[NCOLUMNS + 1] = {
	[CLASS] = {"CLASS", "class", CLI_COL_TEXT},
	[TYPE] = {"TYPE", "type", CLI_COL_TEXT},
	[TARGET] = {"TARGET", "target", CLI_COL_TEXT},
	[COST] = {"COST", "cost", CLI_COL_NUMBER},
	[HOPS] = {"HOPS", "hops", CLI_COL_NUMBER},
	[MODE] = {"MODE", "mode", CLI_COL_TEXT},
	[NEXTHOP] = {"NEXT HOP", "nexthop", CLI_COL_TEXT},
	[REASON] = {"REASON", "reason", CLI_COL_TEXT},
	[PATH] = {"PATH", "path", CLI_COL_TEXT},
};

/* "S1/IMS > Hub/IMS"; written from the end, as the steps are linked. */
static int put_path(const struct table *t, uint32_t step, struct buf *out)
{
	struct arena a;
	uint32_t at, n = 0, i, *names;

	arena_init(&a);
	for (at = step; at != TABLE_NONE; at = t->steps[at].parent)
		n++;
	names = arena_alloc(&a, n * sizeof(*names));
	if (names == NULL)
		return RC_NOMEM;
	for (at = step, i = n; i-- != 0; at = t->steps[at].parent)
		names[i] = t->steps[at].name;
	for (i = 0; i < n; i++) {
		buf_puts(out, i != 0 ? " > " : "");
		buf_put(out, t->texts[names[i]]);
	}
	arena_fini(&a);
	return RC_OK;
}

static const char *text_cell(const struct table *t, uint32_t text, struct arena *a)
{
	return text != TABLE_NONE ? arena_str(a, t->texts[text]) : NULL;
}

static const char *number_cell(uint32_t n, struct arena *a)
{
	return n != TABLE_NONE ? arena_printf(a, "%u", n) : NULL;
}

static int add_row(struct cli_table *out, const struct table *t, const struct table_row *row)
{
	const char *cells[NCOLUMNS];
	struct arena a;
	struct buf path;
	int rc;

	arena_init(&a);
	buf_init(&path, CELL_MAX_BYTES);
	rc = put_path(t, row->step, &path);
	cells[CLASS] = table_class_name(row->cls);
	cells[TYPE] = text_cell(t, row->type, &a);
	cells[TARGET] = text_cell(t, row->target, &a);
	cells[COST] = number_cell(row->cost, &a);
	cells[HOPS] = number_cell(row->hops, &a);
	cells[MODE] = table_mode_name(row->mode);
	cells[NEXTHOP] = text_cell(t, row->nexthop, &a);
	cells[REASON] = table_reason_name(row->reason);
	cells[PATH] = buf_cstr(&path);
	if (rc == RC_OK)
		rc = buf_rc(&path);
	if (rc == RC_OK)
		rc = cli_table_add(out, cells);
	buf_fini(&path);
	arena_fini(&a);
	return rc;
}

int routectl_print_rows(const struct table *t, const struct table_row *first, uint32_t n)
{
	struct cli_table *out;
	uint32_t i;
	int rc = cli_table_new(columns, false, &out);

	if (rc != RC_OK)
		return rc;
	for (i = 0; i < n && rc == RC_OK; i++)
		rc = add_row(out, t, &first[i]);
	if (rc == RC_OK)
		rc = cli_table_print(out);
	cli_table_free(&out);
	return rc;
}
