#include "lib/siphash.h"

static uint64_t read_le(const uint8_t *p)
{
	uint64_t v = 0;
	unsigned i;

	for (i = 0; i < 8; i++)
		v |= (uint64_t)p[i] << 8 * i;
	return v;
}

static uint64_t rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static void mix(uint64_t *v, unsigned rounds)
{
	while (rounds-- > 0) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

static void take_word(struct siphash *h, uint64_t word)
{
	h->v[3] ^= word;
	mix(h->v, 2);
	h->v[0] ^= word;
}

void siphash_init(struct siphash *h, const uint8_t key[SIPHASH_KEY_BYTES])
{
	uint64_t k0 = read_le(key), k1 = read_le(key + 8);

	h->v[0] = k0 ^ 0x736f6d6570736575u; /* "somepseudorandomlygeneratedbytes" */
	h->v[1] = k1 ^ 0x646f72616e646f6du;
	h->v[2] = k0 ^ 0x6c7967656e657261u;
	h->v[3] = k1 ^ 0x7465646279746573u;
	h->tail = h->n = 0;
}

void siphash_add(struct siphash *h, struct span bytes)
{
	size_t i;

	for (i = 0; i < bytes.n; i++) {
		h->tail |= (uint64_t)bytes.p[i] << 8 * (h->n & 7);
		if ((++h->n & 7) != 0)
			continue;
		take_word(h, h->tail);
		h->tail = 0;
	}
}

void siphash_add_number(struct siphash *h, uint64_t number)
{
	uint8_t bytes[8];
	unsigned i;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(number >> 8 * i);
	siphash_add(h, span_make(bytes, sizeof(bytes)));
}

uint64_t siphash_end(struct siphash *h)
{
	take_word(h, h->tail | h->n << 56);
	h->v[2] ^= 0xff;
	mix(h->v, 4);
	return h->v[0] ^ h->v[1] ^ h->v[2] ^ h->v[3];
}
