#include "routed/map.h"

#include "lib/arena.h"

#define FIRST_SLOTS 64

#define HASH_MULTIPLIER 0x9e3779b97f4a7c15u

static uint64_t mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * HASH_MULTIPLIER;
	return h ^ (h >> 32);
}

/* Eight bytes at a time; the rest as one word. Lives in memory only. */
static uint32_t hash_bytes(struct span s)
{
	uint64_t h = s.n, word;

	for (; s.n >= sizeof(word); s = span_from(s, sizeof(word))) {
		memcpy(&word, s.p, sizeof(word));
		h = mix(h, word);
	}
	word = 0;
	if (s.n != 0)
		memcpy(&word, s.p, s.n);
	h = mix(h, word);
	return (uint32_t)(h ^ (h >> 29));
}

void map_fini(struct map *m)
{
	mem_free(m->slots);
	*m = (struct map){0};
}

/* The slot of the key, or the free one where it belongs. */
static struct map_slot *find(const struct map *m, struct span key, uint32_t hash)
{
	uint32_t at = hash & (m->size - 1);

	while (m->slots[at].key.p != NULL &&
	       (m->slots[at].hash != hash || !span_eq(m->slots[at].key, key)))
		at = (at + 1) & (m->size - 1);
	return &m->slots[at];
}

uint32_t map_get(const struct map *m, struct span key)
{
	const struct map_slot *slot;

	if (m->used == 0 || key.n == 0)
		return MAP_NONE;
	slot = find(m, key, hash_bytes(key));
	return slot->key.p != NULL ? slot->value : MAP_NONE;
}

static int resize(struct map *m, uint32_t size)
{
	struct map bigger = {.size = size, .used = m->used};
	uint32_t i;

	bigger.slots = mem_zalloc(bigger.size, sizeof(*bigger.slots));
	if (bigger.slots == NULL)
		return RC_NOMEM;
	for (i = 0; i < m->size; i++) {
		if (m->slots[i].key.p != NULL)
			*find(&bigger, m->slots[i].key, m->slots[i].hash) = m->slots[i];
	}
	mem_free(m->slots);
	*m = bigger;
	return RC_OK;
}

int map_reserve(struct map *m, uint32_t keys)
{
	uint32_t size = m->size != 0 ? m->size : FIRST_SLOTS;

	if (keys > UINT32_MAX / 4)
		return RC_NOMEM;
	while (size / 2 < keys)
		size *= 2;
	return size != m->size ? resize(m, size) : RC_OK;
}

int map_put(struct map *m, struct span key, uint32_t value)
{
	uint32_t hash = hash_bytes(key);
	struct map_slot *slot = m->size != 0 ? find(m, key, hash) : NULL;
	int rc;

	must(key.n != 0);
	if (slot == NULL || (slot->key.p == NULL && m->used >= m->size / 2)) {
		rc = map_reserve(m, m->used + 1);
		if (rc != RC_OK)
			return rc;
		slot = find(m, key, hash);
	}
	m->used += slot->key.p == NULL;
	*slot = (struct map_slot){key, hash, value};
	return RC_OK;
}

void map_del(struct map *m, struct span key)
{
	uint32_t mask = m->size - 1, hole, at;
	struct map_slot *slot;

	if (m->used == 0 || key.n == 0)
		return;
	slot = find(m, key, hash_bytes(key));
	if (slot->key.p == NULL)
		return;
	hole = (uint32_t)(slot - m->slots);
	for (at = (hole + 1) & mask; m->slots[at].key.p != NULL; at = (at + 1) & mask) {
		/* May it move back over the hole, or would it leave its own chain? */
		if (((at - m->slots[at].hash) & mask) < ((at - hole) & mask))
			continue;
		m->slots[hole] = m->slots[at];
		hole = at;
	}
	m->slots[hole] = (struct map_slot){0};
	m->used--;
}

void map_clear(struct map *m)
{
	if (m->size != 0)
		memset(m->slots, 0, m->size * sizeof(*m->slots));
	m->used = 0;
}
