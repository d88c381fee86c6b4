/* dird/entry.c: bytes as a record of the database. What entry_open() takes can be looked at in
 * every way, and lies inside the record. */
#include "tests/fuzz/fuzz.h"

#include "dird/entry.h"

/* Attributes of a checked record stand one behind the other, and the runs end between them. */
static bool attrs_cover(const struct entry *e)
{
	bool public_end = e->public_bytes == 0, user_end = e->user_bytes == 0;
	struct entry_attr at;
	size_t n = 0;
	unsigned i;

	for (i = 0; i < e->nattrs; i++) {
		entry_attr_at(e, i, &at);
		must(at.whole.n != 0 && at.whole.p == e->attrs.p + n);
		n += at.whole.n;
		public_end = public_end || n == e->public_bytes;
		user_end = user_end || n == e->user_bytes;
	}
	return n == e->attrs.n && public_end && user_end;
}

/* Without a reader nothing is apart, whatever the record says. */
static void walk(const struct entry *e, const struct entry_attr *at)
{
	struct entry_values values;
	struct span value;
	struct buf out;

	for (entry_values_begin(&values, e, at); entry_values_next(&values, &value);)
		must(value.p >= at->values.p && value.p + value.n <= at->values.p + at->values.n);
	buf_init(&out, UINT32_MAX);
	must(entry_put_attr(e, at, &out) == RC_OK || (at->is_apart && at->apart.bytes != 0));
	buf_fini(&out);
	(void)entry_attrs_bytes(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct attr_list attrs;
	struct entry_attr at;
	struct entry e;
	struct arena a;
	unsigned i;

	(void)entry_peek_parent(span_make(data, size));
	if (entry_open(span_make(data, size), &e) != RC_OK)
		return 0;
	arena_init(&a);
	for (i = 0; i < e.nattrs; i++) {
		entry_attr_at(&e, i, &at);
		must(at.type.p >= data && at.type.p + at.type.n <= data + size);
		walk(&e, &at);
		must(at.values.n == 0 ||
		     (at.values.p >= data && at.values.p + at.values.n <= data + size));
	}
	(void)entry_has_class(&e, "person");
	if (entry_decode(&e, true, &a, &attrs) == RC_OK)
		must(attrs.n <= e.nattrs);
	if (entry_check(&e) == RC_OK)
		must(attrs_cover(&e));
	arena_fini(&a);
	return 0;
}
