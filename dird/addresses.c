#include "dird/addresses.h"

#include "lib/arena.h"
#include "lib/siphash.h"

#define FIRST_SLOTS 1024

struct slot {
	uint64_t hash, eid; /* eid 0: empty */
};

struct addresses {
	struct slot *slots; /* a power of two, at most half of them used */
	size_t size, n;
};

static uint64_t hash_of(struct span address)
{
	static const uint8_t key[SIPHASH_KEY_BYTES] = {0};
	struct siphash h;

	siphash_init(&h, key);
	siphash_add(&h, address);
	return siphash_end(&h);
}

struct addresses *addresses_new(void)
{
	return mem_zalloc(1, sizeof(struct addresses));
}

void addresses_free(struct addresses **a)
{
	if (*a == NULL)
		return;
	mem_free((*a)->slots);
	mem_free(*a);
	*a = NULL;
}

static void put_slot(struct addresses *a, struct slot one)
{
	size_t i = one.hash & (a->size - 1);

	while (a->slots[i].eid != 0)
		i = (i + 1) & (a->size - 1);
	a->slots[i] = one;
	a->n++;
}

static int grow(struct addresses *a)
{
	struct slot *old = a->slots;
	size_t i, size = a->size;

	a->size = size != 0 ? 2 * size : FIRST_SLOTS;
	a->slots = mem_zalloc(a->size, sizeof(*a->slots));
	if (a->slots == NULL) {
		a->slots = old;
		a->size = size;
		return RC_NOMEM;
	}
	a->n = 0;
	for (i = 0; i < size; i++) {
		if (old[i].eid != 0)
			put_slot(a, old[i]);
	}
	mem_free(old);
	return RC_OK;
}

int addresses_put(struct addresses *a, struct span address, uint64_t eid)
{
	uint64_t have;
	size_t at = 0;
	int rc = RC_OK;

	while (addresses_next(a, address, &at, &have)) {
		if (have == eid)
			return RC_OK; /* a batch that is done again */
	}
	if (2 * (a->n + 1) > a->size)
		rc = grow(a);
	if (rc == RC_OK)
		put_slot(a, (struct slot){hash_of(address), eid});
	return rc;
}

bool addresses_next(const struct addresses *a, struct span address, size_t *at, uint64_t *eid_out)
{
	uint64_t hash;
	size_t i;

	if (a->n == 0)
		return false;
	hash = hash_of(address);
	for (;; ++*at) {
		i = (hash + *at) & (a->size - 1);
		if (a->slots[i].eid == 0)
			return false;
		if (a->slots[i].hash == hash)
			break;
	}
	*eid_out = a->slots[i].eid;
	++*at;
	return true;
}
