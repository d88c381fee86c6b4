/* The classic text form of a routing table, as GWART0.MTA has it. */
#include "tools/routectl_print.h"

#include "lib/dn.h"

#include "tools/routectl_source.h"

#define OUTPUT_MAX_BYTES ((size_t)1 << 30)

/* "o=Example" to "/O=Example": highest first. */
static int put_root(struct arena *a, struct span root, struct buf *out)
{
	struct dn dn;
	unsigned i, k;
	int rc = dn_parse(a, root, &dn, NULL);

	for (i = rc == RC_OK ? dn.n : 0; i-- != 0;) {
		const struct dn_ava *ava = &dn.rdns[i].avas[0];

		buf_putc(out, '/');
		for (k = 0; k < ava->type.n; k++) {
			uint8_t c = span_ascii_lower(ava->type.p[k]);

			buf_putc(out, c >= 'a' && c <= 'z' ? (uint8_t)(c - 32) : c);
		}
		buf_putc(out, '=');
		buf_put(out, ava->value);
	}
	return rc;
}

static void put_row(const struct table *t, const struct table_row *row, struct span root,
		    struct buf *out)
{
	struct span type = table_text(t, row->type), target = table_text(t, row->target);
	bool is_site = span_eq(type, SPAN_LIT("EX"));

	buf_put(out, type);
	buf_putc(out, ',');
	if (is_site) {
		buf_put(out, root);
		buf_puts(out, "/OU=");
	}
	buf_put(out, target);
	if (target.n == 0 || target.p[target.n - 1] != ';')
		buf_putc(out, ';');
	buf_printf(out, ",%u,", row->cost);
	buf_put(out, table_text(t, row->connector));
	buf_puts(out, is_site ? "\n" : ",\n");
}

int routectl_print_gwart(const struct table *t, struct span root, enum table_class cls)
{
	struct buf out, top;
	struct arena a;
	uint32_t i;
	int rc;

	arena_init(&a);
	buf_init(&out, OUTPUT_MAX_BYTES);
	buf_init(&top, OUTPUT_MAX_BYTES);
	rc = put_root(&a, root, &top);
	for (i = 0; i < t->nrows; i++) {
		if (t->rows[i].cls == cls && t->rows[i].mode != TABLE_NO_ROUTE)
			put_row(t, &t->rows[i], buf_span(&top), &out);
	}
	if (rc == RC_OK)
		rc = buf_rc(&top);
	if (rc == RC_OK)
		rc = routectl_flush(stdout, &out);
	buf_fini(&top);
	buf_fini(&out);
	arena_fini(&a);
	return rc;
}
