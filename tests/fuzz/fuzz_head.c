/* dird/head.c, sign.c: a head that can be read is written again as it was, its parts lie in it, and
 * whatever key and signature are in it are looked at without harm. */
#include "tests/fuzz/fuzz.h"

#include "dird/head.h"

static bool is_inside(struct span part, struct span whole)
{
	return part.n != 0 && part.p >= whole.p && part.p + part.n <= whole.p + whole.n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_make(data, size);
	uint8_t pin[SIGN_PIN_BYTES];
	struct head head, later;
	struct buf out;

	buf_init(&out, HEAD_MAX_BYTES);
	if (head_read(in, &head) == RC_OK) {
		must(is_inside(head.public, in) && is_inside(head.signature, in));
		head_write(&head, &out);
		must(buf_rc(&out) == RC_OK && span_eq(buf_span(&out), in));
		(void)head_is_signed(in, &head);
		sign_pin(head.public, pin);
		must(!head_is_newer(&head, &head));
		later = head;
		later.beat++;
		must(later.beat == 0 || head_is_newer(&later, &head));
	}
	buf_fini(&out);
	return 0;
}
