/* dird/tlv.c: what was read and is written again reads the same; framing agrees with reading. */
#include "tests/fuzz/fuzz.h"

#include "dird/tlv.h"

#define DEPTH_MAX 32

static void check_value(const struct tlv *t)
{
	struct span rest;
	int64_t v, again;
	struct buf b;
	bool flag;

	buf_init(&b, 1 << 20);
	if (tlv_int(t->body, &v) == RC_OK) {
		tlv_put_int(&b, t->tag, v);
		rest = buf_span(&b);
		must(buf_rc(&b) == RC_OK && tlv_read_int(&rest, t->tag, &again) == RC_OK);
		must(again == v && rest.n == 0 && b.n <= t->whole.n);
	}
	if (tlv_bool(t->body, &flag) == RC_OK)
		must(flag == (t->body.p[0] != 0));
	buf_fini(&b);
}

/* Elements from `in`, written to `out` in their minimal form. */
static void copy(struct span in, unsigned depth, struct buf *out)
{
	struct span at = in;
	struct tlv t;
	size_t total, mark;

	while (tlv_next(&at, &t) == RC_OK) {
		must(tlv_frame(t.whole, t.tag, &total) == RC_OK && total == t.whole.n);
		must(tlv_peek(t.whole, t.tag) && t.body.n < t.whole.n);
		check_value(&t);
		if ((t.tag & 0x20) == 0 || depth == DEPTH_MAX) {
			tlv_put(out, t.tag, t.body);
			continue;
		}
		mark = tlv_open(out, t.tag);
		copy(t.body, depth + 1, out);
		tlv_close(out, mark);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf once, twice;

	buf_init(&once, 1 << 24);
	buf_init(&twice, 1 << 24);
	copy(span_make(data, size), 0, &once);
	must(buf_rc(&once) == RC_OK && once.n <= size);
	copy(buf_span(&once), 0, &twice);
	must(span_eq(buf_span(&once), buf_span(&twice)));
	buf_fini(&once);
	buf_fini(&twice);
	return 0;
}
