#include "routed/holds.h"

void holds_init(struct holds *h, enum table_reason unknown)
{
	*h = (struct holds){.unknown = unknown};
}

void holds_fini(struct holds *h)
{
	map_fini(&h->domains);
	arena_fini(&h->arena);
}

int holds_set(struct holds *h, struct span domain, enum table_reason reason)
{
	struct span copy = arena_span(&h->arena, domain);

	return copy.p != NULL ? map_put(&h->domains, copy, (uint32_t)reason) : RC_NOMEM;
}

enum table_reason holds_reason(const struct holds *h, struct span domain)
{
	uint32_t reason = map_get(&h->domains, domain);

	return reason != MAP_NONE ? (enum table_reason)reason : h->unknown;
}
