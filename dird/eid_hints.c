#include "dird/eid_hints.h"

#include "lib/arena.h"
#include "lib/siphash.h"

#define FIRST_SLOTS 1024

struct slot {
	uint64_t hash, eid; /* eid 0: empty */
};

struct eid_hints {
	struct slot *slots; /* a power of two, at most half of them used */
	size_t size, n;
};

static uint64_t hash_of(struct span key)
{
	static const uint8_t secret[SIPHASH_KEY_BYTES] = {0};
	struct siphash s;

	siphash_init(&s, secret);
	siphash_add(&s, key);
	return siphash_end(&s);
}

struct eid_hints *eid_hints_new(void)
{
	return mem_zalloc(1, sizeof(struct eid_hints));
}

void eid_hints_free(struct eid_hints **h)
{
	if (*h == NULL)
		return;
	mem_free((*h)->slots);
	mem_free(*h);
	*h = NULL;
}

static void put_slot(struct eid_hints *h, struct slot one)
{
	size_t i = one.hash & (h->size - 1);

	while (h->slots[i].eid != 0)
		i = (i + 1) & (h->size - 1);
	h->slots[i] = one;
	h->n++;
}

static int grow(struct eid_hints *h)
{
	struct slot *old = h->slots;
	size_t i, size = h->size;

	h->size = size != 0 ? 2 * size : FIRST_SLOTS;
	h->slots = mem_zalloc(h->size, sizeof(*h->slots));
	if (h->slots == NULL) {
		h->slots = old;
		h->size = size;
		return RC_NOMEM;
	}
	h->n = 0;
	for (i = 0; i < size; i++) {
		if (old[i].eid != 0)
			put_slot(h, old[i]);
	}
	mem_free(old);
	return RC_OK;
}

int eid_hints_put(struct eid_hints *h, struct span key, uint64_t eid)
{
	uint64_t have;
	size_t at = 0;
	int rc = RC_OK;

	while (eid_hints_next(h, key, &at, &have)) {
		if (have == eid)
			return RC_OK; /* a batch that is done again */
	}
	if (2 * (h->n + 1) > h->size)
		rc = grow(h);
	if (rc == RC_OK)
		put_slot(h, (struct slot){hash_of(key), eid});
	return rc;
}

bool eid_hints_next(const struct eid_hints *h, struct span key, size_t *at, uint64_t *eid_out)
{
	uint64_t hash;
	size_t i;

	if (h->n == 0)
		return false;
	hash = hash_of(key);
	for (;; ++*at) {
		i = (hash + *at) & (h->size - 1);
		if (h->slots[i].eid == 0)
			return false;
		if (h->slots[i].hash == hash)
			break;
	}
	*eid_out = h->slots[i].eid;
	++*at;
	return true;
}
