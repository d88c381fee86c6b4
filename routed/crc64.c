#include "routed/crc64.h"

/* Four bits at a time. */
uint64_t crc64(struct span s)
{
	uint64_t table[16], crc = ~UINT64_C(0);
	unsigned i, bit;
	size_t at;

	for (i = 0; i < 16; i++) {
		table[i] = i;
		for (bit = 0; bit < 4; bit++)
			table[i] =
				(table[i] >> 1) ^ ((table[i] & 1) * UINT64_C(0xc96c5795d7870f42));
	}
	for (at = 0; at < s.n; at++) {
		crc ^= s.p[at];
		crc = (crc >> 4) ^ table[crc & 15];
		crc = (crc >> 4) ^ table[crc & 15];
	}
	return ~crc;
}
