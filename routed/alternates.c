#include "routed/alternates.h"

#include "routed/compute.h"
#include "routed/holds.h"

static bool same_text(const struct table *a, uint32_t x, const struct table *b, uint32_t y)
{
	return span_eq(table_text(a, x), table_text(b, y));
}

static bool same_path(const struct table *a, uint32_t x, const struct table *b, uint32_t y)
{
	for (; x != TABLE_NONE && y != TABLE_NONE; x = a->steps[x].parent, y = b->steps[y].parent) {
		if (!same_text(a, a->steps[x].name, b, b->steps[y].name))
			return false;
	}
	return x == y;
}

/* One candidate in two tables? Its path decides, and where it leads. */
static bool is_same(const struct table *a, const struct table_row *x, const struct table *b,
		    const struct table_row *y)
{
	return x->cost == y->cost && x->mode == y->mode &&
	       same_text(a, x->connector, b, y->connector) && same_text(a, x->next, b, y->next) &&
	       same_path(a, x->step, b, y->step);
}

static bool is_used(const struct table *t, const struct table_result *used, const struct table *all,
		    const struct table_row *row)
{
	uint32_t i;

	for (i = 0; i < used->nrows; i++) {
		if (is_same(t, &used->row[i], all, row))
			return true;
	}
	return false;
}

static bool is_hold(enum table_reason reason)
{
	return reason == TABLE_DNS_UNCONFIRMED || reason == TABLE_DNS_UNHEALTHY ||
	       reason == TABLE_DAMPENED;
}

static int find_all(const struct model *m, const struct table *t, const struct table_row *row,
		    struct table **out)
{
	enum table_reason reason = (enum table_reason)row->reason;
	struct holds holds;
	int rc;

	holds_init(&holds, is_hold(reason) ? reason : TABLE_OK);
	rc = compute_candidates(m, table_text(t, t->site), (enum table_class)row->cls,
				table_text(t, row->type), table_text(t, row->target), &holds, out);
	holds_fini(&holds);
	return rc;
}

int alternates_find(const struct model *m, const struct table *t, const struct table_result *used,
		    struct alternates *out)
{
	uint32_t i;
	int rc;

	*out = (struct alternates){.all = NULL};
	rc = find_all(m, t, used->row, &out->all);
	if (rc != RC_OK)
		return rc == RC_NOTFOUND ? RC_OK : rc;
	for (i = 0; i < out->all->nrows; i++) {
		const struct table_row *row = &out->all->rows[i];

		if (is_used(t, used, out->all, row))
			continue;
		if (out->n < ALTERNATES_SHOWN_MAX)
			out->rows[out->n++] = row;
		out->total++;
	}
	return RC_OK;
}

void alternates_fini(struct alternates *alternates)
{
	table_free(&alternates->all);
}

static void put_path(const struct table *t, uint32_t step, struct buf *out)
{
	if (step == TABLE_NONE)
		return;
	put_path(t, t->steps[step].parent, out);
	buf_puts(out, t->steps[step].parent != TABLE_NONE ? ", " : " by ");
	buf_put(out, table_text(t, t->steps[step].name));
}

static void put_row(const struct table *t, const struct table_row *row, unsigned number,
		    struct buf *out)
{
	buf_printf(out, "%s%u. cost %u, %s, ", number == 1 ? "Otherwise: " : "           ", number,
		   row->cost, table_mode_name((enum table_mode)row->mode));
	buf_put(out, table_text(t, row->nexthop));
	if (row->step != TABLE_NONE) {
		put_path(t, row->step, out);
	} else {
		buf_puts(out, " by ");
		buf_put(out, table_text(t, row->connector));
	}
	buf_putc(out, '\n');
}

void alternates_write(const struct alternates *alternates, struct buf *out)
{
	unsigned i;

	for (i = 0; i < alternates->n; i++)
		put_row(alternates->all, alternates->rows[i], i + 1, out);
	if (alternates->total > alternates->n)
		buf_printf(out, "           and %u more\n", alternates->total - alternates->n);
}

void alternates_json(const struct alternates *alternates, struct buf *out)
{
	unsigned i;

	buf_printf(out, ",\"alternatesTotal\":%u,\"alternates\":[", alternates->total);
	for (i = 0; i < alternates->n; i++) {
		buf_puts(out, i != 0 ? "," : "");
		table_row_json(alternates->all, alternates->rows[i], out);
	}
	buf_putc(out, ']');
}
