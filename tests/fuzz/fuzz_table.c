/*
 * routed/table_file.c: a saved table with a right checksum over any bytes is refused, or it can be
 * printed, asked, and saved again to the same bytes. The input is what follows the checksum.
 */
#include "tests/fuzz/fuzz.h"

#include "routed/table.h"

#define OUTPUT_MAX_BYTES (16u << 20)

static void put_number(uint64_t v, unsigned bytes, struct buf *out)
{
	unsigned i;

	for (i = 0; i < bytes; i++)
		buf_putc(out, (uint8_t)(v >> (8 * i)));
}

static uint64_t crc64(struct span s)
{
	uint64_t crc = ~UINT64_C(0);
	unsigned bit;
	size_t i;

	for (i = 0; i < s.n; i++) {
		crc ^= s.p[i];
		for (bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ ((crc & 1) * UINT64_C(0xc96c5795d7870f42));
	}
	return ~crc;
}

static void check_table(const struct table *t, struct span saved)
{
	struct table_result r;
	struct buf b;

	buf_init(&b, OUTPUT_MAX_BYTES);
	table_write(t, &b);
	must(buf_rc(&b) == RC_OK && span_eq(buf_span(&b), saved));
	buf_clear(&b);
	table_json(t, &b);
	buf_clear(&b);
	if (table_lookup(t, SPAN_LIT("bob@site2.example.com"), TABLE_USER, &r) == RC_OK &&
	    r.status == TABLE_FOUND)
		table_transport(t, &r, &b);
	must(table_equal(t, t));
	buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span body = span_make(data, size);
	struct table *t;
	struct buf b;
	int rc;

	buf_init(&b, OUTPUT_MAX_BYTES);
	buf_puts(&b, "WPRT");
	put_number(3, 4, &b);
	put_number(body.n, 8, &b);
	put_number(crc64(body), 8, &b);
	buf_put(&b, body);
	rc = table_read(buf_span(&b), &t);
	must(rc == RC_OK || rc == RC_CORRUPT);
	if (rc == RC_OK)
		check_table(t, buf_span(&b));
	table_free(&t);
	buf_fini(&b);
	return 0;
}
