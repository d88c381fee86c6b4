/* routed/netstring.c: what was read and is written again has the same bytes; cuts only ask for
 * more. */
#include "tests/fuzz/fuzz.h"

#include "routed/netstring.h"

#define MAX_BYTES 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_make(data, size);
	struct span payload, cut;
	size_t used, n;
	struct buf b;

	buf_init(&b, MAX_BYTES + NETSTRING_OVERHEAD_BYTES);
	while (netstring_read(in, MAX_BYTES, &payload, &used) == RC_OK) {
		must(payload.n <= MAX_BYTES && used <= in.n);
		buf_clear(&b);
		netstring_write(&b, payload);
		must(span_eq(buf_span(&b), span_head(in, used)));
		for (n = 0; n < b.n; n++)
			must(netstring_read(span_head(in, n), MAX_BYTES, &cut, &used) == RC_MORE);
		in = span_from(in, b.n);
	}
	buf_fini(&b);
	return 0;
}
