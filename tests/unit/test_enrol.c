/* The enrolment request (dird/enrol.h): written by sitectl join, read by dird. */
#include "tests/unit/unit.h"

#include "dird/enrol.h"

#define UUID "aaaaaaaa-0000-4000-8000-000000000001"

static void fill(struct enrol_request *r, struct attr *attrs, struct span *values)
{
	static const char *const types[] = {"objectClass", "ou", "entryUUID"};
	unsigned i;

	memset(r, 0, sizeof(*r));
	values[0] = SPAN_LIT("mailSite");
	values[1] = SPAN_LIT("organizationalUnit");
	values[2] = SPAN_LIT("S1");
	values[3] = SPAN_LIT(UUID);
	for (i = 0; i < 3; i++) {
		attrs[i].type = span_of(types[i]);
		attrs[i].values = values + (i != 0 ? i + 1 : 0);
		attrs[i].nvalues = i != 0 ? 1 : 2;
	}
	r->dn = SPAN_LIT("ou=S1,o=Example");
	r->attrs = (struct attr_list){attrs, 3};
	r->position = (struct position){.epoch = 1, .invocation = {{7}}, .usn = 12};
	r->replication_uri = SPAN_LIT("ldaps://192.0.2.1:636");
}

static void write_request(const struct enrol_request *r, struct buf *b)
{
	buf_clear(b);
	enrol_request_write(b, r);
	assert_int_equal(buf_rc(b), RC_OK);
}

static int read_request(struct span value, struct enrol_request *out, struct arena *a)
{
	const char *why = NULL;
	int rc = enrol_request_read(value, a, out, &why);

	assert_true(rc == RC_OK || (rc == RC_INVALID && why != NULL));
	return rc;
}

static void there_and_back(void **state)
{
	struct enrol_request r, got;
	struct attr attrs[3];
	struct span values[4];
	struct uuid nc;
	struct arena a;
	struct buf b;

	(void)state;
	arena_init(&a);
	buf_init(&b, 10000);
	fill(&r, attrs, values);
	write_request(&r, &b);
	assert_int_equal(read_request(buf_span(&b), &got, &a), RC_OK);
	unit_assert_span(got.dn, r.dn);
	unit_assert_span(got.replication_uri, r.replication_uri);
	assert_int_equal(uuid_parse(SPAN_LIT(UUID), &nc), RC_OK);
	assert_true(uuid_eq(&got.position.nc, &nc));
	assert_int_equal(got.position.epoch, 1);
	assert_int_equal(got.position.usn, 12);
	assert_true(uuid_eq(&got.position.invocation, &r.position.invocation));
	assert_int_equal(got.attrs.n, 3);
	assert_int_equal(got.attrs.attrs[0].nvalues, 2);
	unit_assert_span(got.attrs.attrs[0].values[1], SPAN_LIT("organizationalUnit"));
	buf_fini(&b);
	arena_fini(&a);
}

static void wrong_requests(void **state)
{
	struct enrol_request r, got;
	struct attr attrs[3];
	struct span values[4];
	struct arena a;
	struct buf b;
	size_t n;
	int what;

	(void)state;
	arena_init(&a);
	buf_init(&b, 10000);
	for (what = 0; what < 4; what++) {
		fill(&r, attrs, values);
		if (what == 0)
			values[3] = SPAN_LIT("no uuid");
		else if (what == 1)
			attrs[2].type = SPAN_LIT("description");
		else if (what == 2)
			r.position.epoch = 0;
		else
			r.position.usn = 0;
		write_request(&r, &b);
		assert_int_equal(read_request(buf_span(&b), &got, &a), RC_INVALID);
	}
	fill(&r, attrs, values);
	write_request(&r, &b);
	for (n = 0; n < b.n; n++) /* cut anywhere */
		assert_int_equal(read_request(span_head(buf_span(&b), n), &got, &a), RC_INVALID);
	b.p[4 + (b.p[1] > 0x80 ? b.p[1] - 0x80 : 0)]++; /* another version */
	assert_int_equal(read_request(buf_span(&b), &got, &a), RC_INVALID);
	buf_fini(&b);
	arena_fini(&a);
}

static int read_once(void *arg)
{
	struct enrol_request got;
	const char *why;
	struct arena a;
	int rc;

	arena_init(&a);
	rc = enrol_request_read(*(struct span *)arg, &a, &got, &why);
	arena_fini(&a);
	return rc;
}

static void out_of_memory(void **state)
{
	struct enrol_request r;
	struct attr attrs[3];
	struct span values[4], value;
	struct buf b;

	(void)state;
	buf_init(&b, 10000);
	fill(&r, attrs, values);
	write_request(&r, &b);
	value = buf_span(&b);
	unit_fail_allocations(read_once, &value);
	buf_fini(&b);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		unit_heap_test(there_and_back),
		unit_heap_test(wrong_requests),
		unit_heap_test(out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
