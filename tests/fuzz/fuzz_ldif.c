/* lib/ldif*.c: every broken record has a reason and a line; content that is written reads the same.
 */
#include "tests/fuzz/fuzz.h"

#include "lib/ldif.h"

static void write_record(const struct ldif_record *r, struct buf *out)
{
	unsigned i, j;

	ldif_write_attr(out, SPAN_LIT("dn"), r->dn);
	for (i = 0; i < r->nattrs; i++) {
		for (j = 0; j < r->attrs[i].nvalues; j++)
			ldif_write_attr(out, r->attrs[i].type, r->attrs[i].values[j]);
	}
	buf_putc(out, '\n');
}

static bool same_attr(const struct ldif_attr *x, const struct ldif_attr *y)
{
	unsigned i;

	if (x->nvalues != y->nvalues || !span_eq(x->type, y->type))
		return false;
	for (i = 0; i < x->nvalues; i++) {
		if (!span_eq(x->values[i], y->values[i]))
			return false;
	}
	return true;
}

/* A first attribute named like a control line would read as one. */
static bool is_ambiguous(const struct ldif_record *r)
{
	return span_eq_nocase(r->attrs[0].type, SPAN_LIT("changetype")) ||
	       span_eq_nocase(r->attrs[0].type, SPAN_LIT("control"));
}

static void check(const struct ldif_record *r)
{
	struct ldif_reader *reader;
	struct ldif_record again;
	const char *why;
	struct arena a;
	struct buf text;
	unsigned i;
	FILE *f;

	arena_init(&a);
	buf_init(&text, 1 << 26);
	write_record(r, &text);
	must(buf_rc(&text) == RC_OK);
	f = fmemopen(text.p, text.n, "r");
	must(f != NULL && ldif_reader_new(f, false, &reader) == RC_OK);
	must(ldif_read(reader, &a, &again, NULL, &why) == RC_OK);
	must(span_eq(r->dn, again.dn) && r->nattrs == again.nattrs);
	for (i = 0; i < r->nattrs; i++)
		must(same_attr(&r->attrs[i], &again.attrs[i]));
	must(ldif_read(reader, &a, &again, NULL, &why) == RC_DONE);
	ldif_reader_free(&reader);
	fclose(f);
	buf_fini(&text);
	arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ldif_reader *reader;
	unsigned long last = 0;
	int rc = RC_OK;
	FILE *f;

	if (size == 0)
		return 0;
	f = fmemopen((void *)(uintptr_t)data, size, "r");
	must(f != NULL && ldif_reader_new(f, false, &reader) == RC_OK);
	while (rc != RC_DONE) {
		struct ldif_record r;
		unsigned long line = 0;
		const char *why = NULL;
		struct arena a;

		arena_init(&a);
		rc = ldif_read(reader, &a, &r, &line, &why);
		must(rc == RC_OK || rc == RC_DONE ||
		     (rc == RC_INVALID && why != NULL && line != 0));
		must(rc != RC_OK || r.line > last);
		if (rc == RC_OK)
			last = r.line;
		if (rc == RC_OK && r.kind == LDIF_CONTENT && !is_ambiguous(&r))
			check(&r);
		arena_fini(&a);
	}
	ldif_reader_free(&reader);
	fclose(f);
	return 0;
}
