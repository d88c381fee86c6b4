/* lib/dn*.c: what is written reads back the same; a normal form is its own; ancestors contain. */
#include "tests/fuzz/fuzz.h"

#include "lib/dn.h"

static void check_ancestors(struct arena *a, const struct dn *dn, struct span normal)
{
	unsigned i;

	for (i = 0; i <= dn->n; i++) {
		const struct dn above = dn_ancestor(*dn, i);
		struct buf b;

		buf_init(&b, 1 << 24);
		must(dn_normalize(&above, &b) == RC_OK);
		must(dn_is_within(normal, buf_span(&b)));
		must(dn_is_within(buf_span(&b), normal) == (i == 0));
		buf_fini(&b);
	}
	(void)a;
}

static void check(struct arena *a, const struct dn *dn)
{
	struct span normal, again;
	struct dn second;
	struct buf text;

	buf_init(&text, 1 << 24);
	must(dn_normalize(dn, &text) == RC_OK);
	normal = arena_span(a, buf_span(&text));
	check_ancestors(a, dn, normal);
	buf_clear(&text);
	dn_write(dn, &text);
	if (text.n <= DN_MAX_BYTES) {
		must(dn_parse(a, buf_span(&text), &second, NULL) == RC_OK);
		must(dn_normalize_text(a, buf_span(&text), &again) == RC_OK);
		must(second.n == dn->n && span_eq(normal, again));
	}
	if (normal.n <= DN_MAX_BYTES) {
		must(dn_normalize_text(a, normal, &again) == RC_OK);
		must(span_eq(normal, again));
	}
	buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why = NULL;
	struct arena a;
	struct dn dn;
	int rc;

	arena_init(&a);
	rc = dn_parse(&a, span_make(data, size), &dn, &why);
	must(rc == RC_OK || ((rc == RC_INVALID || rc == RC_TOOBIG) && why != NULL));
	if (rc == RC_OK)
		check(&a, &dn);
	arena_fini(&a);
	return 0;
}
