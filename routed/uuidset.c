#include "routed/uuidset.h"

#define FIRST_SIZE 64

void uuidset_clear(struct uuidset *m)
{
	mem_free(m->slots);
	*m = (struct uuidset){0};
}

/*
 * A UUID is not always random (version 1 has a fixed tail), and a provider may choose it: mix all
 * octets.
 */
static size_t home_of(const struct uuidset *m, const struct syncctl_uuid *uuid)
{
	uint64_t h = 0xcbf29ce484222325u;
	unsigned i;

	for (i = 0; i < SYNCCTL_UUID_BYTES; i++)
		h = (h ^ uuid->b[i]) * 0x100000001b3u;
	return (size_t)(h ^ (h >> 32)) & (m->size - 1);
}

static bool same(const struct syncctl_uuid *a, const struct syncctl_uuid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

/* The slot that holds the UUID or the free one where it belongs. */
static struct uuidset_slot *find(const struct uuidset *m, const struct syncctl_uuid *uuid)
{
	size_t i = home_of(m, uuid);

	while (m->slots[i].used && !same(&m->slots[i].uuid, uuid))
		i = (i + 1) & (m->size - 1);
	return &m->slots[i];
}

static int grow(struct uuidset *m)
{
	struct uuidset bigger = {.size = m->size != 0 ? m->size * 2 : FIRST_SIZE, .n = m->n};
	size_t i;

	bigger.slots = mem_zalloc(bigger.size, sizeof(*bigger.slots));
	if (bigger.slots == NULL)
		return RC_NOMEM;
	for (i = 0; i < m->size; i++) {
		if (m->slots[i].used)
			*find(&bigger, &m->slots[i].uuid) = m->slots[i];
	}
	mem_free(m->slots);
	*m = bigger;
	return RC_OK;
}

int uuidset_put(struct uuidset *m, const struct syncctl_uuid *uuid)
{
	struct uuidset_slot *slot;

	if (m->n * 4 >= m->size * 3 && grow(m) != RC_OK)
		return RC_NOMEM;
	slot = find(m, uuid);
	if (!slot->used)
		m->n++;
	*slot = (struct uuidset_slot){.uuid = *uuid, .used = true};
	return RC_OK;
}

bool uuidset_has(const struct uuidset *m, const struct syncctl_uuid *uuid)
{
	return m->n != 0 && find(m, uuid)->used;
}

/* Close the gap: move every following slot of the run that may live further ahead. */
static void close_gap(struct uuidset *m, size_t gap)
{
	size_t mask = m->size - 1;
	size_t i;

	for (i = (gap + 1) & mask; m->slots[i].used; i = (i + 1) & mask) {
		size_t home = home_of(m, &m->slots[i].uuid);

		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		m->slots[gap] = m->slots[i];
		m->slots[i] = (struct uuidset_slot){0};
		gap = i;
	}
}

void uuidset_del(struct uuidset *m, const struct syncctl_uuid *uuid)
{
	struct uuidset_slot *slot;

	if (m->n == 0)
		return;
	slot = find(m, uuid);
	if (!slot->used)
		return;
	*slot = (struct uuidset_slot){0};
	m->n--;
	close_gap(m, (size_t)(slot - m->slots));
}

const struct syncctl_uuid *uuidset_next(const struct uuidset *m, size_t *at)
{
	while (*at < m->size) {
		const struct uuidset_slot *slot = &m->slots[(*at)++];

		if (slot->used)
			return &slot->uuid;
	}
	return NULL;
}
