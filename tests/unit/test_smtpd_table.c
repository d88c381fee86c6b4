/* Both protocols of OpenSMTPD's table processes. */
#include "tests/unit/unit.h"

#include "routed/smtpd_table.h"

enum { OPEN = 2, CLOSE, UPDATE, CHECK, LOOKUP, FETCH };

/* As imsg_compose() of 6.8 does. */
static struct span message(uint8_t *p, uint32_t type, const void *data, size_t n)
{
	uint16_t length = (uint16_t)(16 + n);

	memset(p, 0, 16);
	memcpy(p, &type, 4);
	memcpy(p + 4, &length, 2);
	if (n != 0)
		memcpy(p + 16, data, n);
	return span_make(p, length);
}

static struct span query(uint8_t *p, uint32_t type, const char *key, bool with_key)
{
	uint8_t data[512] = {0};
	size_t n = 4 + sizeof(size_t);

	data[0] = 2; /* K_DOMAIN, or its upper byte */
	if (with_key) {
		memcpy(data + n, key, strlen(key) + 1);
		n += strlen(key) + 1;
	}
	return message(p, type, data, n);
}

static struct smtpd_request read_one(enum smtpd_protocol *protocol, struct span in)
{
	struct smtpd_request q;
	size_t used, i;

	for (i = 0; i < in.n; i++)
		assert_int_equal(smtpd_table_read(protocol, span_head(in, i), &q, &used), RC_MORE);
	assert_int_equal(smtpd_table_read(protocol, in, &q, &used), RC_OK);
	assert_int_equal(used, in.n);
	return q;
}

static void assert_reply(enum smtpd_protocol protocol, const struct smtpd_request *q,
			 enum smtpd_result result, const char *value, const void *want, size_t n)
{
	struct buf out;

	buf_init(&out, 65536);
	smtpd_table_write(protocol, q, result, span_of(value), &out);
	assert_int_equal(buf_rc(&out), RC_OK);
	unit_assert_span(buf_span(&out), span_make(want, n));
	buf_fini(&out);
}

/* header(OK, length), int, text: the words of a little-endian machine */
#define HEADER(length) "\0\0\0\0" length "\0\0\0\0\0\0\0\0\0\0\0"
#define ASSERT_IMSG(q, result, value, want)                                                        \
	assert_reply(SMTPD_IMSG, q, result, value, want, sizeof(want) - 1)

static void test_imsg(void **state)
{
	uint8_t open[4 + 2048] = {2}, bytes[4096];
	enum smtpd_protocol protocol = SMTPD_UNKNOWN;
	struct smtpd_request q;

	(void)state;
	memcpy(open + 4, "relayhost", 10);
	q = read_one(&protocol, message(bytes, OPEN, open, sizeof(open)));
	assert_int_equal(protocol, SMTPD_IMSG);
	assert_int_equal(q.kind, SMTPD_OPEN);
	unit_assert_span(q.table, SPAN_LIT("relayhost"));
	ASSERT_IMSG(&q, SMTPD_FOUND, "", HEADER("\x10"));

	q = read_one(&protocol, query(bytes, LOOKUP, "s2.example.com", true));
	assert_int_equal(q.kind, SMTPD_LOOKUP);
	unit_assert_span(q.key, SPAN_LIT("s2.example.com"));
	ASSERT_IMSG(&q, SMTPD_FOUND, "smtp://x", HEADER("\x1d") "\1\0\0\0smtp://x\0");
	ASSERT_IMSG(&q, SMTPD_ABSENT, "", HEADER("\x14") "\0\0\0\0");
	ASSERT_IMSG(&q, SMTPD_FAILED, "why", HEADER("\x14") "\xff\xff\xff\xff");

	q = read_one(&protocol, query(bytes, CHECK, "s2.example.com", true));
	assert_int_equal(q.kind, SMTPD_CHECK);
	ASSERT_IMSG(&q, SMTPD_FOUND, "smtp://x", HEADER("\x14") "\1\0\0\0");

	q = read_one(&protocol, query(bytes, FETCH, NULL, false));
	assert_int_equal(q.kind, SMTPD_FETCH);
	q = read_one(&protocol, message(bytes, UPDATE, NULL, 0));
	assert_int_equal(q.kind, SMTPD_UPDATE);
	ASSERT_IMSG(&q, SMTPD_FOUND, "", HEADER("\x14") "\1\0\0\0");
	q = read_one(&protocol, message(bytes, CLOSE, NULL, 0));
	assert_int_equal(q.kind, SMTPD_CLOSE);
	ASSERT_IMSG(&q, SMTPD_FOUND, "", "");
}

static void assert_no_imsg(struct span in)
{
	enum smtpd_protocol protocol = SMTPD_IMSG;
	struct smtpd_request q;
	size_t used;

	assert_int_equal(smtpd_table_read(&protocol, in, &q, &used), RC_INVALID);
}

static void test_odd_imsg(void **state)
{
	uint8_t bytes[4096], open[64];
	struct span in;

	(void)state;
	assert_no_imsg(message(bytes, 99, NULL, 0));
	assert_no_imsg(message(bytes, LOOKUP, "abc", 3));
	in = query(bytes, LOOKUP, "x", true);
	bytes[in.n - 1] = 'y'; /* no NUL */
	assert_no_imsg(in);
	in = query(bytes, LOOKUP, "x", true);
	bytes[16 + 4] = 1; /* a parameter */
	assert_no_imsg(in);
	in = message(bytes, UPDATE, NULL, 0);
	bytes[4] = 15; /* shorter than its header */
	assert_no_imsg(in);
	bytes[4] = 0xff;
	bytes[5] = 0xff;
	assert_no_imsg(in);
	memset(open, 'a', sizeof(open));
	assert_no_imsg(message(bytes, OPEN, open, sizeof(open))); /* version, and no NUL */
	assert_no_imsg(message(bytes, OPEN, open, 2));
}

#define ASSERT_LINE(q, result, value, want)                                                        \
	assert_reply(SMTPD_LINES, q, result, value, want, sizeof(want) - 1)

/* The examples of smtpd-tables(7). */
static void test_lines(void **state)
{
	enum smtpd_protocol protocol = SMTPD_UNKNOWN;
	struct smtpd_request q;

	(void)state;
	q = read_one(&protocol, SPAN_LIT("config|smtpd-version|7.8.0\n"));
	assert_int_equal(protocol, SMTPD_LINES);
	assert_int_equal(q.kind, SMTPD_CONFIG);
	ASSERT_LINE(&q, SMTPD_FOUND, "", "");
	q = read_one(&protocol, SPAN_LIT("config|tablename|relayhost\n"));
	assert_int_equal(q.kind, SMTPD_CONFIG);
	unit_assert_span(q.table, SPAN_LIT("relayhost"));
	q = read_one(&protocol, SPAN_LIT("config|ready\n"));
	assert_int_equal(q.kind, SMTPD_OPEN);
	ASSERT_LINE(&q, SMTPD_FOUND, "",
		    "register|domain\nregister|mailaddr\nregister|relayhost\nregister|string\n"
		    "register|ready\n");

	q = read_one(&protocol, SPAN_LIT("table|0.1|1713795097.394049|devs|update|478ff0d2\n"));
	assert_int_equal(q.kind, SMTPD_UPDATE);
	ASSERT_LINE(&q, SMTPD_FOUND, "", "update-result|478ff0d2|ok\n");
	q = read_one(&protocol,
		     SPAN_LIT("table|0.1|1713795103.314423|devs|check|netaddr|e5862859|a|b\n"));
	assert_int_equal(q.kind, SMTPD_CHECK);
	unit_assert_span(q.key, SPAN_LIT("a|b"));
	ASSERT_LINE(&q, SMTPD_ABSENT, "", "check-result|e5862859|not-found\n");
	ASSERT_LINE(&q, SMTPD_FOUND, "x", "check-result|e5862859|found\n");
	q = read_one(&protocol,
		     SPAN_LIT("table|0.1|1713795110.354921|devs|lookup|userinfo|f993c74|op\n"));
	unit_assert_span(q.table, SPAN_LIT("devs"));
	ASSERT_LINE(&q, SMTPD_FOUND, "1000:1000", "lookup-result|f993c74|found|1000:1000\n");
	ASSERT_LINE(&q, SMTPD_FAILED, "why", "lookup-result|f993c74|error|why\n");
	q = read_one(&protocol,
		     SPAN_LIT("table|0.1|1713795116.227321|devs|fetch|source|189bd3ee\n"));
	assert_int_equal(q.kind, SMTPD_FETCH);
	ASSERT_LINE(&q, SMTPD_ABSENT, "", "fetch-result|189bd3ee|not-found\n");
}

static void test_odd_lines(void **state)
{
	static const char *const rows[] = {
		"hello\n",
		"filter|0.1|1|a|check|domain|1|x\n",
		"table|0.2|1|a|check|domain|1|x\n",
		"table|0.1|1|a\n",
		"table|0.1|1|a|guess|domain|1|x\n",
		"table|0.1|1|a|check|domain|1\n",
		"table|0.1|1|a|lookup\n",
	};
	static uint8_t big[SMTPD_REQUEST_MAX_BYTES];
	enum smtpd_protocol protocol = SMTPD_LINES;
	struct smtpd_request q;
	size_t used, i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++)
		assert_int_equal(smtpd_table_read(&protocol, span_of(rows[i]), &q, &used),
				 RC_INVALID);
	memset(big, 'c', sizeof(big));
	assert_int_equal(smtpd_table_read(&protocol, span_make(big, sizeof(big)), &q, &used),
			 RC_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_imsg),
		cmocka_unit_test(test_odd_imsg),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_odd_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
