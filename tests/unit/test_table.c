#include "tests/unit/routing.h"

#include <stdlib.h>
#include <unistd.h>

/* Site1 with a hub that knows the outside world; the table every lookup below asks. */
static const char net[] =
	"dn: ou=Site1,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: site1.example.com\n"
	"siteSharedDomain: example.com\nsystemAddress: DSA@site1.example.com\n\n"
	"dn: ou=Site2,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: Site2.example.com\n"
	"systemAddress: dsa@site2.example.com\n\n"
	"dn: ou=Hub,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: hub.example.com\n\n"
	"dn: ou=Lost,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: lost.example.com\n\n"
	"dn: ou=Twin1,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: twin.example.com\n\n"
	"dn: ou=Twin2,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: Twin.example.com\n\n"
	"dn: cn=IMS,ou=Site1,o=Example\nobjectClass: imsConnector\n"
	"onlySystemMessagesUseCDs: TRUE\n"
	"connectedDomains: Hub;1;SMTP:hub.example.com\n"
	"routingList: SMTP:*@direct.example;1\n"
	"routingList: SMTP:*.direct.example;1\n"
	"domainRoute: pinned.direct.example;pin.example\n\n"
	"dn: cn=Fax,ou=Site1,o=Example\nobjectClass: gatewayConnector\nmtaTransport: hylafax\n"
	"routingList: SMTP:*@fax.example;1\n"
	"routingList: SMTP:1%%@*.example;1\n\n"
	"dn: cn=X400,ou=Site1,o=Example\nobjectClass: x400Connector\n"
	"connectedDomains: Twin1;1;X400:c=US\\;a= \n\n"
	"dn: cn=IMS,ou=Hub,o=Example\nobjectClass: imsConnector\n"
	"connectedDomains: Site1;1;SMTP:site1.example.com\n"
	"connectedDomains: Site2;1;SMTP:site2.example.com\n"
	"routingList: SMTP:*;1\n"
	"routingList: SMTP:boss@partner.example;1\n"
	"routingList: SMTP:;100\n\n"
	"dn: cn=IMS,ou=Site2,o=Example\nobjectClass: imsConnector\nsmartHost: [relay2]:2525\n"
	"connectedDomains: Hub;1;SMTP:hub.example.com\n\n";

static struct table *make_table(void)
{
	struct model *m = routing_model((const char *const[]){net, NULL});
	struct table *t = routing_table(m, "Site1");

	model_free(&m); /* a table keeps nothing of the model */
	return t;
}

static const struct lookup {
	const char *address;
	enum table_class cls;
	enum table_status status;
	const char *transport; /* of TABLE_FOUND */
} lookups[] = {
	/* the domains of the organisation */
	{"ada@site1.example.com", TABLE_USER, TABLE_LOCAL, ""},
	{"ADA@SITE1.Example.Com.", TABLE_USER, TABLE_LOCAL, ""},
	{" ada@site1.example.com ", TABLE_USER, TABLE_LOCAL, ""},
	{"bob@site2.example.com", TABLE_USER, TABLE_FOUND, "smtp:Site2.example.com"},
	{"bob@site2.example.com", TABLE_SYSTEM, TABLE_FOUND, "smtp:hub.example.com"},
	{"eve@hub.example.com", TABLE_USER, TABLE_FOUND, "smtp:hub.example.com"},
	{"ada@example.com", TABLE_USER, TABLE_SHARED, ""},
	{"x@twin.example.com", TABLE_USER, TABLE_SHARED, ""},
	/* R12: no way to the site; user mail may leave by an address space, system mail waits */
	{"x@lost.example.com", TABLE_USER, TABLE_FOUND, "smtp:hub.example.com"},
	{"x@lost.example.com", TABLE_SYSTEM, TABLE_FOUND, ""},
	/* R7: exact, most literal characters, blank */
	{"Boss@Partner.example", TABLE_USER, TABLE_FOUND, "smtp:hub.example.com"},
	{"x@direct.example", TABLE_USER, TABLE_FOUND, "smtp:"},
	{"x@sub.direct.example", TABLE_USER, TABLE_FOUND, "smtp:"},
	{"x@pinned.direct.example", TABLE_USER, TABLE_FOUND, "smtp:[pin.example]"},
	{"x@fax.example", TABLE_USER, TABLE_FOUND, "hylafax:"},
	{"1ab@some.example", TABLE_USER, TABLE_FOUND, "hylafax:"},
	{"1abc@some.example", TABLE_USER, TABLE_FOUND, "smtp:hub.example.com"},
	{"x@anywhere.test", TABLE_USER, TABLE_FOUND, "smtp:hub.example.com"},
	{"1ab@direct.example", TABLE_USER, TABLE_FOUND, "smtp:"},
	/* not ASCII */
	{"\xc3\xbc@site2.example.com", TABLE_USER, TABLE_FOUND, "smtp:Site2.example.com"},
};

static void test_lookup(void **state)
{
	struct table *t = make_table();
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, 1000);
	for (i = 0; i < UNIT_COUNT(lookups); i++) {
		const struct lookup *l = &lookups[i];
		struct table_result r;

		buf_clear(&b);
		assert_int_equal(table_lookup(t, span_of(l->address), l->cls, &r), RC_OK);
		if (r.status == TABLE_FOUND)
			table_transport(t, &r, &b);
		if (r.status != l->status || strcmp(buf_cstr(&b), l->transport) != 0)
			print_error("%s: status %d, \"%s\"\n", l->address, r.status, buf_cstr(&b));
		assert_int_equal(r.status, l->status);
		assert_string_equal(buf_cstr(&b), l->transport);
	}
	buf_fini(&b);
	table_free(&t);
}

/*
 * R7 on random patterns against a plain reading of it: of all that match, most literals, then
 * cheapest, then bytewise first.
 */
static void test_random_patterns(void **state)
{
	static const char letters[] = "abc@*%";
	uint32_t seed = 3;
	unsigned round, i;

	(void)state;
	for (round = 0; round < 60; round++) {
		struct model *m;
		struct table *t;
		struct buf b;

		buf_init(&b, 1 << 20);
		buf_puts(&b, "dn: ou=S,o=X\nobjectClass: mailSite\n\n"
			     "dn: cn=C,ou=S,o=X\nobjectClass: imsConnector\n");
		for (i = 0; i < 30; i++) {
			unsigned n;

			buf_puts(&b, "routingList: SMTP:*");
			seed = seed * 1103515245u + 12345u;
			for (n = (seed >> 16) % 5; n != 0; n--) {
				seed = seed * 1103515245u + 12345u;
				buf_putc(&b, letters[(seed >> 16) % 6]);
			}
			buf_printf(&b, ";%u\n", 1 + i % 3);
		}
		m = routing_model((const char *const[]){buf_cstr(&b), NULL});
		t = routing_table(m, "S");
		for (i = 0; i < 200; i++) {
			char address[8] = "a@";
			const struct table_row *want = NULL;
			struct table_result r;
			uint32_t row;
			unsigned k;

			for (k = 2; k < 7; k++) {
				seed = seed * 1103515245u + 12345u;
				address[k] = letters[(seed >> 16) % 2];
			}
			for (row = 0; row < t->nrows; row++) {
				const struct table_row *x = &t->rows[row];
				struct span p = t->texts[x->target], best;
				unsigned lits = address_literals(p), most;

				if (x->cls != TABLE_USER || !address_match(p, span_of(address)))
					continue;
				best = want != NULL ? t->texts[want->target] : p;
				most = address_literals(best);
				if (want == NULL || lits > most ||
				    (lits == most &&
				     (x->cost < want->cost ||
				      (x->cost == want->cost && span_cmp(p, best) < 0))))
					want = x;
			}
			assert_int_equal(table_lookup(t, span_of(address), TABLE_USER, &r), RC_OK);
			assert_int_equal(r.status, want != NULL ? TABLE_FOUND : TABLE_ABSENT);
			if (want != NULL)
				unit_assert_span(t->texts[r.row->target], t->texts[want->target]);
		}
		buf_fini(&b);
		table_free(&t);
		model_free(&m);
	}
}

static void test_bad_addresses(void **state)
{
	static const char *const bad[] = {
		"", "ada", "@site1.example.com", "ada@", "\xff@a.example", "ada@ "};
	struct table *t = make_table();
	struct table_result r;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(bad); i++)
		assert_int_equal(table_lookup(t, span_of(bad[i]), TABLE_USER, &r), RC_INVALID);
	table_free(&t);
}

/* An address of 10,000 bytes is looked up like any other (M13). */
static void test_long_address(void **state)
{
	struct table *t = make_table();
	struct table_result r;
	char address[10001];

	(void)state;
	memset(address, 'A', sizeof(address));
	strcpy(address + sizeof(address) - sizeof("@DIRECT.example"), "@DIRECT.example");
	assert_int_equal(strlen(address), 10000);
	assert_int_equal(table_lookup(t, span_of(address), TABLE_USER, &r), RC_OK);
	assert_int_equal(r.status, TABLE_FOUND);
	assert_int_equal(r.hop, TABLE_HOP_MX);
	unit_assert_span(r.nexthop, SPAN_LIT(""));
	table_free(&t);
}

static void test_absent_and_sites(void **state)
{
	struct model *m = routing_model(
		(const char *const[]){"dn: ou=Site1,o=Example\nobjectClass: mailSite\n\n", NULL});
	struct table *alone = routing_table(m, "Site1"), *t = make_table();
	struct table_result r;
	struct buf b;

	(void)state;
	assert_int_equal(alone->nrows, 0);
	assert_int_equal(table_lookup(alone, SPAN_LIT("a@b.c"), TABLE_USER, &r), RC_OK);
	assert_int_equal(r.status, TABLE_ABSENT);
	assert_int_equal(table_lookup_site(t, SPAN_LIT("SITE1"), TABLE_USER, &r), RC_OK);
	assert_int_equal(r.status, TABLE_LOCAL);
	assert_int_equal(table_lookup_site(t, SPAN_LIT("nowhere"), TABLE_USER, &r), RC_OK);
	assert_int_equal(r.status, TABLE_ABSENT);
	assert_int_equal(table_lookup_site(t, SPAN_LIT("twin1"), TABLE_USER, &r), RC_OK);
	assert_int_equal(r.status, TABLE_FOUND);
	buf_init(&b, 100);
	table_transport(t, &r, &b);
	assert_string_equal(buf_cstr(&b), "x400:c=US;a= ");
	buf_fini(&b);
	table_free(&t);
	table_free(&alone);
	model_free(&m);
}

static void test_classify(void **state)
{
	struct table *t = make_table();

	(void)state;
	assert_int_equal(table_classify(t, SPAN_LIT("dsa@SITE2.example.com")), TABLE_SYSTEM);
	assert_int_equal(table_classify(t, SPAN_LIT("dsa@site1.example.com.")), TABLE_SYSTEM);
	assert_int_equal(table_classify(t, SPAN_LIT("ada@site1.example.com")), TABLE_USER);
	assert_int_equal(table_classify(t, SPAN_LIT("")), TABLE_USER);
	table_free(&t);
}

static void test_routes_counted(void **state)
{
	struct table *t = make_table();

	(void)state;
	/* Lost and Twin2 are out of reach, in both classes */
	assert_int_equal(table_routes(t), t->nrows - 4);
	table_free(&t);
}

static void save(const struct table *t, struct buf *out)
{
	buf_init(out, 1 << 20);
	table_write(t, out);
	assert_int_equal(buf_rc(out), RC_OK);
}

static void test_write_read(void **state)
{
	struct table *t = make_table(), *again = make_table(), *back;
	struct buf b, c;

	(void)state;
	save(t, &b);
	save(again, &c);
	unit_assert_span(buf_span(&b), buf_span(&c));
	assert_int_equal(table_read(buf_span(&b), &back), RC_OK);
	assert_true(table_equal(t, back));
	buf_clear(&c);
	table_write(back, &c);
	unit_assert_span(buf_span(&b), buf_span(&c));
	buf_clear(&b);
	buf_clear(&c);
	table_json(t, &b);
	table_json(back, &c);
	unit_assert_span(buf_span(&c), buf_span(&b));
	buf_fini(&b);
	buf_fini(&c);
	table_free(&t);
	table_free(&again);
	table_free(&back);
}

/* M14: whatever single byte is flipped, whatever is cut off or added: never a table. */
static void test_damage(void **state)
{
	struct table *t = make_table(), *back;
	struct buf b;
	size_t i;

	(void)state;
	save(t, &b);
	for (i = 0; i < b.n; i++) {
		b.p[i] ^= 0x40;
		assert_int_not_equal(table_read(buf_span(&b), &back), RC_OK);
		assert_null(back);
		b.p[i] ^= 0x40;
	}
	for (i = 0; i < b.n; i++)
		assert_int_equal(table_read(span_head(buf_span(&b), i), &back), RC_CORRUPT);
	buf_putc(&b, 0);
	assert_int_equal(table_read(buf_span(&b), &back), RC_CORRUPT);
	b.n--;
	b.p[4] = 1;
	assert_int_equal(table_read(buf_span(&b), &back), RC_UNSUPPORTED);
	buf_fini(&b);
	table_free(&t);
}

static uint64_t slow_crc64(struct span s)
{
	uint64_t crc = ~UINT64_C(0);
	size_t i;
	int bit;

	for (i = 0; i < s.n; i++) {
		crc ^= s.p[i];
		for (bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ ((crc & 1) * UINT64_C(0xc96c5795d7870f42));
	}
	return ~crc;
}

/* A right checksum over wrong numbers: refused or readable, never a crash. */
static void test_forged(void **state)
{
	struct table *t = make_table(), *back;
	unsigned refused = 0;
	struct buf b;
	size_t i;

	(void)state;
	assert_int_equal(slow_crc64(SPAN_LIT("123456789")), UINT64_C(0x995dc9bbdf1939fa));
	save(t, &b);
	for (i = 24; i < b.n; i++) {
		uint8_t old = b.p[i];
		uint64_t crc;
		unsigned k;

		b.p[i] = old == 0xff ? 0x7f : 0xff;
		crc = slow_crc64(span_from(buf_span(&b), 24));
		for (k = 0; k < 8; k++)
			b.p[16 + k] = (uint8_t)(crc >> (8 * k));
		if (table_read(buf_span(&b), &back) != RC_OK) {
			refused++;
		} else {
			struct table_result r;
			struct buf json;

			buf_init(&json, 1 << 20);
			table_json(back, &json);
			(void)!table_lookup(back, SPAN_LIT("x@site2.example.com"), TABLE_USER, &r);
			buf_fini(&json);
			table_free(&back);
		}
		b.p[i] = old;
	}
	assert_true(refused > 100);
	buf_fini(&b);
	table_free(&t);
}

static void test_file(void **state)
{
	char path[] = "/tmp/waypost-table-XXXXXX";
	struct table *t = make_table(), *back;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(table_load(path, &back), RC_CORRUPT);
	assert_int_equal(table_save(t, path), RC_OK);
	assert_int_equal(table_load(path, &back), RC_OK);
	assert_true(table_equal(t, back));
	unlink(path);
	table_free(&back);
	assert_int_equal(table_load(path, &back), RC_NOTFOUND);
	assert_null(back);
	table_free(&t);
}

static int read_once(void *arg)
{
	struct table_result r;
	struct table *t = NULL;
	struct buf b;
	int rc;

	buf_init(&b, 1 << 20);
	table_write(arg, &b);
	rc = buf_rc(&b);
	if (rc == RC_OK)
		rc = table_read(buf_span(&b), &t);
	if (rc == RC_OK)
		rc = table_lookup(t, SPAN_LIT("\xc3\xbc@site2.example.com"), TABLE_USER, &r);
	buf_fini(&b);
	table_free(&t);
	return rc;
}

static void test_out_of_memory(void **state)
{
	struct table *t = make_table();

	(void)state;
	unit_fail_allocations(read_once, t);
	table_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_lookup),
		unit_heap_test(test_random_patterns),
		unit_heap_test(test_bad_addresses),
		unit_heap_test(test_long_address),
		unit_heap_test(test_absent_and_sites),
		unit_heap_test(test_classify),
		unit_heap_test(test_routes_counted),
		unit_heap_test(test_write_read),
		unit_heap_test(test_damage),
		unit_heap_test(test_forged),
		unit_heap_test(test_file),
		unit_heap_test(test_out_of_memory),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
