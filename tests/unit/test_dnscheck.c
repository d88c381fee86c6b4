#include "tests/unit/unit.h"

#include "routed/dnscheck.h"

/* A name server of a few lines: "name type ttl data", MX data "preference exchange". */
struct zone_line {
	const char *name;
	enum dnsmsg_type type;
	const char *data;
	unsigned preference;
	bool alias;
};
#define ZONE_LINES 6
#define ON(name, preference, exchange)                                                             \
	{                                                                                          \
		name, DNSMSG_MX, exchange, preference, false                                       \
	}
#define AT(name, address)                                                                          \
	{                                                                                          \
		name, DNSMSG_A, address, 0, false                                                  \
	}
#define AT6(name, address)                                                                         \
	{                                                                                          \
		name, DNSMSG_AAAA, address, 0, false                                               \
	}
#define ALIAS(name, address)                                                                       \
	{                                                                                          \
		name, DNSMSG_A, address, 0, true                                                   \
	}
#define NOTHING                                                                                    \
	{                                                                                          \
		{                                                                                  \
			NULL, DNSMSG_A, NULL, 0, false                                             \
		}                                                                                  \
	}

enum doubt { NO_DOUBT, DOUBT_MX, DOUBT_ADDRESSES };

static const struct row {
	const char *what;
	struct zone_line zone[ZONE_LINES];
	enum doubt doubt;
	bool nxdomain;
	enum dnscheck_verdict verdict;
	const char *target;
	const char *alias;
} rows[] = {
	{"one MX",
	 {ON("d.example", 10, "mx.d.example"), AT("mx.d.example", "\xc0\x00\x02\x05")},
	 NO_DOUBT,
	 false,
	 DNSCHECK_GOOD,
	 "mx.d.example",
	 NULL},
	{"no MX, an address (RFC 5321 §5.1)",
	 {AT("d.example", "\xc0\x00\x02\x05")},
	 NO_DOUBT,
	 false,
	 DNSCHECK_GOOD,
	 "d.example",
	 NULL},
	{"no such domain", NOTHING, NO_DOUBT, true, DNSCHECK_NO_DOMAIN, "", NULL},
	{"neither MX nor address", NOTHING, NO_DOUBT, false, DNSCHECK_NO_ADDRESS, "d.example",
	 NULL},
	{"null MX (RFC 7505)",
	 {ON("d.example", 0, "")},
	 NO_DOUBT,
	 false,
	 DNSCHECK_NULL_MX,
	 "",
	 NULL},
	{"null MX beside a real one is none (RFC 7505 §3)",
	 {ON("d.example", 0, ""), ON("d.example", 5, "mx.d.example"),
	  AT("mx.d.example", "\xc0\x00\x02\x05")},
	 NO_DOUBT,
	 false,
	 DNSCHECK_GOOD,
	 "mx.d.example",
	 NULL},
	{"exchange without address",
	 {ON("d.example", 10, "mx.d.example")},
	 NO_DOUBT,
	 false,
	 DNSCHECK_NO_ADDRESS,
	 "mx.d.example",
	 NULL},
	{"one of two exchanges has an address",
	 {ON("d.example", 10, "a.d.example"), ON("d.example", 20, "b.d.example"),
	  AT("b.d.example", "\xc0\x00\x02\x05")},
	 NO_DOUBT,
	 false,
	 DNSCHECK_GOOD,
	 "a.d.example",
	 NULL},
	{"loopback",
	 {ON("d.example", 10, "mx.d.example"), AT("mx.d.example", "\x7f\x00\x00\x09")},
	 NO_DOUBT,
	 false,
	 DNSCHECK_BAD_ADDRESS,
	 "mx.d.example",
	 NULL},
	{"unspecified",
	 {AT("d.example", "\x00\x00\x00\x00")},
	 NO_DOUBT,
	 false,
	 DNSCHECK_BAD_ADDRESS,
	 "d.example",
	 NULL},
	{"loopback of IPv6",
	 {AT6("d.example", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01")},
	 NO_DOUBT,
	 false,
	 DNSCHECK_BAD_ADDRESS,
	 "d.example",
	 NULL},
	{"mapped loopback",
	 {AT6("d.example", "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\x01")},
	 NO_DOUBT,
	 false,
	 DNSCHECK_BAD_ADDRESS,
	 "d.example",
	 NULL},
	{"loopback behind a good exchange spoils it",
	 {ON("d.example", 10, "a.d.example"), ON("d.example", 20, "b.d.example"),
	  AT("a.d.example", "\xc0\x00\x02\x05"), AT("b.d.example", "\x7f\0\0\x01")},
	 NO_DOUBT,
	 false,
	 DNSCHECK_BAD_ADDRESS,
	 "b.d.example",
	 NULL},
	{"own name",
	 {ON("d.example", 10, "me.example"), AT("me.example", "\xc0\x00\x02\x05")},
	 NO_DOUBT,
	 false,
	 DNSCHECK_OWN_HOST,
	 "me.example",
	 NULL},
	{"own address",
	 {ON("d.example", 10, "mx.d.example"), AT("mx.d.example", "\xc0\x00\x02\x63")},
	 NO_DOUBT,
	 false,
	 DNSCHECK_OWN_HOST,
	 "mx.d.example",
	 NULL},
	{"exchange is a CNAME",
	 {ON("d.example", 10, "mx.d.example"), ALIAS("mx.d.example", "\xc0\x00\x02\x05")},
	 NO_DOUBT,
	 false,
	 DNSCHECK_GOOD,
	 "mx.d.example",
	 "mx.d.example"},
	{"no answer for the MX", NOTHING, DOUBT_MX, false, DNSCHECK_NO_ANSWER, "", NULL},
	{"no answer for the addresses",
	 {ON("d.example", 10, "mx.d.example")},
	 DOUBT_ADDRESSES,
	 false,
	 DNSCHECK_NO_ANSWER,
	 "mx.d.example",
	 NULL},
};

static bool answer(const struct row *row, const struct dnscheck_question *q,
		   struct dnsmsg_record *records, struct dnsmsg *out)
{
	unsigned i;

	if (row->doubt == (q->type == DNSMSG_MX ? DOUBT_MX : DOUBT_ADDRESSES))
		return false;
	*out = (struct dnsmsg){.rcode = row->nxdomain ? DNSMSG_NXDOMAIN : DNSMSG_NOERROR,
			       .records = records,
			       .ttl_s = q->type == DNSMSG_MX ? 300 : 200};
	for (i = 0; i < ZONE_LINES && row->zone[i].name != NULL; i++) {
		const struct zone_line *z = &row->zone[i];
		struct dnsmsg_record *r = &records[out->n];

		if (z->type != q->type || !span_eq(span_of(z->name), q->name))
			continue;
		*r = (struct dnsmsg_record){.preference = z->preference};
		if (z->type == DNSMSG_MX)
			r->exchange = span_of(z->data);
		else
			memcpy(r->address, z->data, z->type == DNSMSG_A ? 4 : 16);
		out->alias = out->alias || z->alias;
		out->n++;
	}
	return true;
}

static void check_row(const struct row *row)
{
	static const struct span names[] = {{(const uint8_t *)"me.example", 10}};
	static const uint8_t addresses[1][16] = {
		{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 99}};
	const struct dnscheck_self self = {names, 1, addresses, 1};
	struct dnscheck_question q;
	struct dnscheck_result r;
	struct dnscheck c;

	dnscheck_init(&c, SPAN_LIT("d.example"), &self);
	while (dnscheck_ask(&c, &q)) {
		struct dnsmsg_record records[ZONE_LINES];
		struct dnsmsg m;

		assert_int_equal(dnscheck_answer(&c, &q, answer(row, &q, records, &m) ? &m : NULL),
				 RC_OK);
	}
	dnscheck_result(&c, &r);
	if (r.verdict != row->verdict)
		fail_msg("%s: %s", row->what, dnscheck_text(r.verdict));
	unit_assert_span(r.target, span_of(row->target));
	unit_assert_span(r.alias, span_of(row->alias != NULL ? row->alias : ""));
	if (r.verdict == DNSCHECK_GOOD)
		assert_int_equal(r.ttl_s, 200);
	dnscheck_fini(&c);
}

static void test_rows(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++)
		check_row(&rows[i]);
}

static void digests(const struct row *row, uint64_t *exchanges, uint64_t *addresses)
{
	const struct dnscheck_self self = {0};
	struct dnscheck_question q;
	struct dnscheck_result r;
	struct dnscheck c;

	dnscheck_init(&c, SPAN_LIT("d.example"), &self);
	while (dnscheck_ask(&c, &q)) {
		struct dnsmsg_record records[ZONE_LINES];
		struct dnsmsg m;

		assert_int_equal(dnscheck_answer(&c, &q, answer(row, &q, records, &m) ? &m : NULL),
				 RC_OK);
	}
	dnscheck_result(&c, &r);
	*exchanges = r.exchanges;
	*addresses = r.addresses;
	assert_int_equal(r.partial, row->doubt == DOUBT_ADDRESSES);
	dnscheck_fini(&c);
}

/* M20: two resolvers are compared by these. */
static void test_digests(void **state)
{
	static const struct {
		struct row row;
		bool same_exchanges, same_addresses;
	} others[] = {
		{{.zone = {AT("b.example", "\xc0\x00\x02\x06"), AT("b.example", "\xc0\x00\x02\x07"),
			   AT("a.example", "\xc0\x00\x02\x05"), ON("d.example", 10, "b.example"),
			   ON("d.example", 5, "a.example")}},
		 true,
		 true},
		{{.zone = {ON("d.example", 5, "a.example"), ON("d.example", 11, "b.example"),
			   AT("a.example", "\xc0\x00\x02\x05"), AT("b.example", "\xc0\x00\x02\x06"),
			   AT("b.example", "\xc0\x00\x02\x07")}},
		 false,
		 true},
		{{.zone = {ON("d.example", 5, "a.example"), ON("d.example", 10, "b.example"),
			   AT("a.example", "\xc0\x00\x02\x06"), AT("b.example", "\xc0\x00\x02\x05"),
			   AT("b.example", "\xc0\x00\x02\x07")}},
		 true,
		 false}, /* the same addresses at other hosts */
		{{.doubt = DOUBT_ADDRESSES,
		  .zone = {ON("d.example", 5, "a.example"), ON("d.example", 10, "b.example")}},
		 true,
		 false},
	};
	static const struct row row = {
		.zone = {ON("d.example", 5, "a.example"), ON("d.example", 10, "b.example"),
			 AT("a.example", "\xc0\x00\x02\x05"), AT("b.example", "\xc0\x00\x02\x06"),
			 AT("b.example", "\xc0\x00\x02\x07")}};
	uint64_t exchanges, addresses, e, a;
	size_t i;

	(void)state;
	digests(&row, &exchanges, &addresses);
	for (i = 0; i < UNIT_COUNT(others); i++) {
		digests(&others[i].row, &e, &a);
		assert_int_equal(e == exchanges, others[i].same_exchanges);
		assert_int_equal(a == addresses, others[i].same_addresses);
	}
}

/* More exchanges than are looked at: the most preferred ones count. */
static void test_many(void **state)
{
	const struct dnscheck_self self = {0};
	struct dnsmsg_record records[40] = {0};
	struct dnsmsg m = {.records = records, .n = 40};
	struct dnscheck_question q;
	struct dnscheck c;
	unsigned i, asked = 0;

	(void)state;
	for (i = 0; i < 40; i++)
		records[i] = (struct dnsmsg_record){.preference = 40 - i,
						    .exchange = SPAN_LIT("mx.example")};
	records[39].exchange = SPAN_LIT("best.example");
	dnscheck_init(&c, SPAN_LIT("d.example"), &self);
	assert_true(dnscheck_ask(&c, &q));
	assert_int_equal(dnscheck_answer(&c, &q, &m), RC_OK);
	unit_assert_span(c.targets[0].name, SPAN_LIT("best.example"));
	while (dnscheck_ask(&c, &q))
		asked++;
	assert_int_equal(asked, 2 * DNSCHECK_TARGETS_MAX);
	dnscheck_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_digests),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
