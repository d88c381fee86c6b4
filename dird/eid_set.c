#include "dird/eid_set.h"

#include "lib/arena.h"

static size_t home(const struct eid_set *s, uint64_t eid)
{
	return (size_t)(eid * 0x9e3779b97f4a7c15u >> 20) & (s->size - 1);
}

static size_t slot(const struct eid_set *s, uint64_t eid)
{
	size_t i = home(s, eid);

	while (s->at[i] != 0 && s->at[i] != eid)
		i = (i + 1) & (s->size - 1);
	return i;
}

static int grow(struct eid_set *s)
{
	struct eid_set more = {.size = s->size != 0 ? s->size * 2 : 64};
	size_t i;

	more.at = mem_zalloc(more.size, sizeof(*more.at));
	if (more.at == NULL)
		return RC_NOMEM;
	for (i = 0; i < s->size; i++) {
		if (s->at[i] != 0)
			more.at[slot(&more, s->at[i])] = s->at[i];
	}
	more.n = s->n;
	mem_free(s->at);
	*s = more;
	return RC_OK;
}

int eid_set_add(struct eid_set *s, uint64_t eid)
{
	size_t i;

	if (s->n * 2 >= s->size && grow(s) != RC_OK)
		return RC_NOMEM;
	i = slot(s, eid);
	if (s->at[i] == eid)
		return RC_EXISTS;
	s->at[i] = eid;
	s->n++;
	return RC_OK;
}

/* What follows without a gap moves up where that brings it no further than its home. */
void eid_set_del(struct eid_set *s, uint64_t eid)
{
	size_t gap, i, mask = s->size - 1;

	if (!eid_set_has(s, eid))
		return;
	gap = slot(s, eid);
	for (i = (gap + 1) & mask; s->at[i] != 0; i = (i + 1) & mask) {
		if (((i - home(s, s->at[i])) & mask) >= ((i - gap) & mask)) {
			s->at[gap] = s->at[i];
			gap = i;
		}
	}
	s->at[gap] = 0;
	s->n--;
}

bool eid_set_has(const struct eid_set *s, uint64_t eid)
{
	return s->n != 0 && s->at[slot(s, eid)] == eid;
}

void eid_set_fini(struct eid_set *s)
{
	mem_free(s->at);
	*s = (struct eid_set){.at = NULL};
}
