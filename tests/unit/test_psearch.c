/* Controls of persistent search (dird/psearch.h). */
#include "tests/unit/unit.h"

#include "dird/psearch.h"

static void requests(void **state)
{
	static const struct {
		struct span value;
		int rc;
		unsigned types;
		bool changes_only, with_notes;
	} rows[] = {
		{SPAN_LIT("\x30\x09\x02\x01\x0f\x01\x01\xff\x01\x01\x00"), 0, 15, true, false},
		{SPAN_LIT("\x30\x09\x02\x01\x01\x01\x01\x00\x01\x01\x01"), 0, 1, false, true},
		{SPAN_LIT("\x30\x09\x02\x01\x00\x01\x01\xff\x01\x01\xff"), RC_INVALID, 0, 0, 0},
		{SPAN_LIT("\x30\x09\x02\x01\x10\x01\x01\xff\x01\x01\xff"), RC_INVALID, 0, 0, 0},
		{SPAN_LIT("\x30\x09\x02\x01\xff\x01\x01\xff\x01\x01\xff"), RC_INVALID, 0, 0, 0},
		{SPAN_LIT("\x30\x06\x02\x01\x01\x01\x01\xff"), RC_INVALID, 0, 0, 0},
		{SPAN_LIT("\x30\x0b\x02\x01\x01\x01\x01\xff\x01\x01\xff\x05\x00"), RC_INVALID, 0, 0,
		 0},
		{SPAN_LIT("\x30\x09\x02\x01\x01\x01\x01\xff\x01\x01\xff\x00"), RC_INVALID, 0, 0, 0},
		{SPAN_LIT(""), RC_INVALID, 0, 0, 0},
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		struct op_psearch p = {.types = 0};

		assert_int_equal(psearch_read(rows[i].value, &p), rows[i].rc);
		if (rows[i].rc != 0)
			continue;
		assert_int_equal(p.types, rows[i].types);
		assert_int_equal(p.changes_only, rows[i].changes_only);
		assert_int_equal(p.with_notes, rows[i].with_notes);
	}
}

static void notes(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 16);
	psearch_note(PSEARCH_MODIFY, SPAN_LIT(""), &b);
	unit_assert_span(buf_span(&b), SPAN_LIT("\x30\x03\x0a\x01\x04"));
	buf_clear(&b);
	psearch_note(PSEARCH_MODDN, SPAN_LIT("cn=a"), &b);
	unit_assert_span(buf_span(&b), SPAN_LIT("\x30\x09\x0a\x01\x08\x04\x04"
						"cn=a"));
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests),
		cmocka_unit_test(notes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
