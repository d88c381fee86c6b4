#include "tools/routectl_print.h"

#include <libsmartcols.h>
#include <stdio.h>

#define CELL_MAX_BYTES (1u << 20)

enum column { CLASS, TYPE, TARGET, COST, HOPS, MODE, NEXTHOP, REASON, PATH, COLUMNS };

static const struct {
	const char *name;
	double width;
	int flags;
} columns[COLUMNS] = {
	[CLASS] = {"CLASS", 6, 0},
	[TYPE] = {"TYPE", 4, 0},
	[TARGET] = {"TARGET", 0.2, 0},
	[COST] = {"COST", 4, SCOLS_FL_RIGHT},
	[HOPS] = {"HOPS", 4, SCOLS_FL_RIGHT},
	[MODE] = {"MODE", 9, 0},
	[NEXTHOP] = {"NEXT HOP", 0.3, 0},
	[REASON] = {"REASON", 10, 0},
	[PATH] = {"PATH", 0.4, SCOLS_FL_TRUNC},
};

static void put_steps(const struct table *t, uint32_t step, struct buf *out)
{
	uint32_t at, n = 0, i, k;

	for (at = step; at != TABLE_NONE; at = t->steps[at].parent)
		n++;
	for (i = n; i-- != 0;) {
		for (at = step, k = 0; k < i; k++)
			at = t->steps[at].parent;
		buf_puts(out, i + 1 == n ? "" : " > ");
		buf_put(out, t->texts[t->steps[at].name]);
	}
}

static void put_number(uint32_t n, struct buf *out)
{
	if (n == TABLE_NONE)
		buf_putc(out, '-');
	else
		buf_printf(out, "%u", n);
}

static void put_cell(const struct table *t, const struct table_row *row, enum column c,
		     struct buf *out)
{
	switch (c) {
	case CLASS:
		buf_puts(out, table_class_name(row->cls));
		break;
	case TYPE:
		buf_put(out, table_text(t, row->type));
		break;
	case TARGET:
		buf_put(out, table_text(t, row->target));
		break;
	case COST:
		put_number(row->cost, out);
		break;
	case HOPS:
		put_number(row->hops, out);
		break;
	case MODE:
		buf_puts(out, table_mode_name(row->mode));
		break;
	case NEXTHOP:
		buf_put(out, row->nexthop == TABLE_NONE ? SPAN_LIT("-") : t->texts[row->nexthop]);
		break;
	case REASON:
		buf_puts(out, table_reason_name(row->reason));
		break;
	case PATH:
		put_steps(t, row->step, out);
		break;
	case COLUMNS:
		break;
	}
}

static int add_row(struct libscols_table *out, const struct table *t, const struct table_row *row)
{
	struct libscols_line *line = scols_table_new_line(out, NULL);
	struct buf cell;
	unsigned c;
	int rc = line != NULL ? RC_OK : RC_NOMEM;

	buf_init(&cell, CELL_MAX_BYTES);
	for (c = 0; c < COLUMNS && rc == RC_OK; c++) {
		buf_clear(&cell);
		put_cell(t, row, (enum column)c, &cell);
		if (scols_line_set_data(line, c, buf_cstr(&cell)) != 0)
			rc = RC_NOMEM;
		if (rc == RC_OK)
			rc = buf_rc(&cell);
	}
	buf_fini(&cell);
	return rc;
}

int routectl_print_rows(const struct table *t, const struct table_row *first, uint32_t n)
{
	struct libscols_table *out;
	unsigned c;
	uint32_t i;
	int rc = RC_OK;

	scols_init_debug(0);
	out = scols_new_table();
	if (out == NULL)
		return RC_NOMEM;
	for (c = 0; c < COLUMNS && rc == RC_OK; c++) {
		if (scols_table_new_column(out, columns[c].name, columns[c].width,
					   columns[c].flags) == NULL)
			rc = RC_NOMEM;
	}
	for (i = 0; i < n && rc == RC_OK; i++)
		rc = add_row(out, t, &first[i]);
	if (rc == RC_OK && scols_print_table(out) != 0)
		rc = RC_IO;
	scols_unref_table(out);
	if (fflush(stdout) != 0 && rc == RC_OK)
		rc = RC_IO;
	return rc;
}

int routectl_print_table(const struct table *t)
{
	return routectl_print_rows(t, t->rows, t->nrows);
}
