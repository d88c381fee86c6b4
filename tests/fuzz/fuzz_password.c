/* dird/password.c: a stored value, a zero byte, a password. A malformed hash fits nothing. */
#include "tests/fuzz/fuzz.h"

#include "dird/password.h"

#include <string.h>

/* Tens of thousands of rounds are what a hash is for, and what a fuzzer has no time for. */
static bool is_costly(struct span stored)
{
	unsigned digits = 0;
	size_t i;

	for (i = 0; i < stored.n && stored.p[i] != '$'; i++)
		digits = stored.p[i] >= '0' && stored.p[i] <= '9' ? digits + 1 : 0;
	return digits > 3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *zero = size != 0 ? memchr(data, 0, size) : NULL;
	size_t n = zero != NULL ? (size_t)(zero - data) : size;
	struct span stored = span_make(data, n), password = span_from(span_make(data, size), n + 1);

	if (is_costly(stored))
		return 0;
	if (password_verify(stored, password) && !password_is_hash(stored))
		must(span_eq(stored, password));
	return 0;
}
