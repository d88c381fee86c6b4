#include "tests/unit/unit.h"

#include "lib/idna.h"

static const struct {
	const char *domain;
	int rc;
	const char *ascii;
} rows[] = {
	{"Example.COM", RC_OK, "example.com"},
	{"b\xc3\xbc"
	 "cher.example",
	 RC_OK, "xn--bcher-kva.example"},
	{"B\xc3\x9c"
	 "CHER.example",
	 RC_OK, "xn--bcher-kva.example"},
	{"xn--bcher-kva.example", RC_OK, "xn--bcher-kva.example"},
	{"fa\xc3\x9f.de", RC_OK, "xn--fa-hia.de"},
	{"\xe4\xbe\x8b\xe3\x80\x82\xe4\xbe\x8b", RC_OK, "xn--fsq.xn--fsq"},
	{"", RC_INVALID, ""},
	{"a..b", RC_INVALID, ""},
	{"\xff.example", RC_INVALID, ""},
	{"xn--\xc3\xbc.example", RC_INVALID, ""},
};

static void test_to_ascii(void **state)
{
	struct buf out;
	size_t i;

	(void)state;
	buf_init(&out, 1024);
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		int rc;

		buf_clear(&out);
		rc = idna_to_ascii(span_of(rows[i].domain), &out);
		if (rc != rows[i].rc)
			fail_msg("row %zu: %s", i, rc_text(rc));
		unit_assert_span(buf_span(&out), span_of(rows[i].ascii));
	}
	buf_fini(&out);
}

static void test_to_unicode(void **state)
{
	static const struct {
		const char *domain;
		int rc;
		const char *text;
	} back[] = {
		{"xn--bcher-kva.example", RC_OK,
		 "b\xc3\xbc"
		 "cher.example"},
		{"XN--BCHER-KVA.Example", RC_OK,
		 "b\xc3\xbc"
		 "cher.example"},
		{"xn--fsq.xn--fsq", RC_OK, "\xe4\xbe\x8b.\xe4\xbe\x8b"},
		{"example.com", RC_OK, "example.com"},
		{"xn--a-\xc3\xbc.example", RC_INVALID, ""},
		{"xn--0.example", RC_INVALID, ""},
		{"", RC_INVALID, ""},
	};
	struct buf out;
	size_t i;

	(void)state;
	buf_init(&out, 1024);
	for (i = 0; i < UNIT_COUNT(back); i++) {
		int rc;

		buf_clear(&out);
		rc = idna_to_unicode(span_of(back[i].domain), &out);
		if (rc != back[i].rc)
			fail_msg("row %zu: %s", i, rc_text(rc));
		unit_assert_span(buf_span(&out), span_of(back[i].text));
	}
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_to_ascii),
					   cmocka_unit_test(test_to_unicode)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
