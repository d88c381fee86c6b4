/* routed/dnsmsg.c: whatever a name server sends. The first byte picks the type asked for. */
#include "tests/fuzz/fuzz.h"

#include "routed/dnsmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum dnsmsg_type types[] = {DNSMSG_A, DNSMSG_MX, DNSMSG_AAAA};
	struct dnsmsg m;
	struct arena a;
	unsigned i;

	if (size == 0)
		return 0;
	arena_init(&a);
	if (dnsmsg_read(span_make(data + 1, size - 1), SPAN_LIT("s2.example.com"),
			types[data[0] % 3], &a, &m) == RC_OK) {
		must(m.rcode < 16);
		for (i = 0; i < m.n; i++)
			must(m.records[i].exchange.n <= DNSMSG_NAME_MAX_BYTES);
	}
	arena_fini(&a);
	return 0;
}
