#include "routed/table_index.h"

#include "routed/address.h"

#include <stdlib.h>

void table_index_fini(struct table_index *index)
{
	unsigned cls;

	if (index == NULL)
		return;
	for (cls = 0; cls < TABLE_CLASSES; cls++) {
		map_fini(&index->classes[cls].exact);
		map_fini(&index->classes[cls].suffix);
	}
	map_fini(&index->domains);
	map_fini(&index->systems);
}

static bool is_suffix_pattern(struct span folded)
{
	return folded.n > 1 && folded.p[0] == '*' && !address_is_wild(span_from(folded, 1));
}

static void add_suffix_bytes(struct table_spaces *s, size_t n)
{
	size_t at = s->nsuffix_bytes, i;

	for (i = 0; i < s->nsuffix_bytes; i++) {
		if (s->suffix_bytes[i] == n)
			return;
	}
	for (; at != 0 && s->suffix_bytes[at - 1] < n; at--)
		s->suffix_bytes[at] = s->suffix_bytes[at - 1];
	s->suffix_bytes[at] = n;
	s->nsuffix_bytes++;
}

static int add_space(struct table *t, struct table_spaces *s, uint32_t row)
{
	struct span folded;
	int rc = address_fold(&t->arena, t->texts[t->rows[row].target], &folded);

	if (rc != RC_OK)
		return rc;
	if (folded.n == 0) {
		s->blank = row;
		return RC_OK;
	}
	if (!address_is_wild(folded))
		return map_put(&s->exact, folded, row);
	s->wilds[s->nwilds++] = (struct table_wild){folded, address_literals(folded), row};
	return RC_OK;
}

static int cmp_wilds(const void *a, const void *b, void *arg)
{
	const struct table *t = arg;
	const struct table_wild *x = a, *y = b;
	uint32_t cx = t->rows[x->row].cost, cy = t->rows[y->row].cost;

	if (x->literals != y->literals)
		return x->literals > y->literals ? -1 : 1;
	if (cx != cy)
		return cx < cy ? -1 : 1;
	return span_cmp(x->folded, y->folded);
}

static bool same_target(const struct table_row *a, const struct table_row *b)
{
	return a->cls == b->cls && a->target == b->target;
}

/* Once ranks are known: suffixes are found by hash, only the rest is tried one by one. */
static int rank_wilds(struct table *t, struct table_spaces *s)
{
	uint32_t i;
	int rc = RC_OK;

	if (s->nwilds > 1)
		qsort_r(s->wilds, s->nwilds, sizeof(*s->wilds), cmp_wilds, t);
	for (i = 0; i < s->nwilds && rc == RC_OK; i++) {
		struct span folded = s->wilds[i].folded;

		if (!is_suffix_pattern(folded)) {
			s->general[s->ngeneral++] = i;
			continue;
		}
		add_suffix_bytes(s, folded.n - 1);
		rc = map_put(&s->suffix, span_from(folded, 1), i);
	}
	return rc;
}

static bool is_of_type(const struct table *t, uint32_t row, struct span type)
{
	return span_eq(t->texts[t->rows[row].type], type);
}

static int index_class(struct table *t, struct table_spaces *s, enum table_class cls)
{
	uint32_t i, spaces = 0;
	int rc = RC_OK;

	for (i = 0; i < t->nrows; i++) {
		if (t->rows[i].cls != cls || (i != 0 && same_target(&t->rows[i], &t->rows[i - 1])))
			continue;
		spaces += is_of_type(t, i, SPAN_LIT("SMTP"));
	}
	s->blank = TABLE_NONE;
	s->wilds = arena_zalloc(&t->arena, spaces, sizeof(*s->wilds));
	s->suffix_bytes = arena_zalloc(&t->arena, spaces, sizeof(*s->suffix_bytes));
	s->general = arena_zalloc(&t->arena, spaces, sizeof(*s->general));
	if (s->wilds == NULL || s->suffix_bytes == NULL || s->general == NULL)
		return RC_NOMEM;
	for (i = 0; i < t->nrows && rc == RC_OK; i++) {
		if (t->rows[i].cls != cls || (i != 0 && same_target(&t->rows[i], &t->rows[i - 1])))
			continue;
		if (is_of_type(t, i, SPAN_LIT("SMTP")))
			rc = add_space(t, s, i);
	}
	return rc == RC_OK ? rank_wilds(t, s) : rc;
}

/* What compute has found already need not be put together again. */
static int index_domains(struct table *t, struct map *domains)
{
	struct map *to = &t->index->domains;
	uint32_t i;
	int rc;

	if (domains != NULL) {
		*to = *domains;
		*domains = (struct map){0};
		return RC_OK;
	}
	rc = map_reserve(to, t->ndomains);
	for (i = 0; i < t->ndomains && rc == RC_OK; i++)
		rc = map_put(to, t->texts[t->domains[i].domain], i);
	return rc;
}

int table_index(struct table *t, struct map *domains)
{
	struct table_index *index = arena_zalloc(&t->arena, 1, sizeof(*index));
	uint32_t i;
	int rc;

	if (index == NULL)
		return RC_NOMEM;
	t->index = index;
	rc = index_class(t, &index->classes[TABLE_SYSTEM], TABLE_SYSTEM);
	if (rc == RC_OK)
		rc = index_class(t, &index->classes[TABLE_USER], TABLE_USER);
	if (rc == RC_OK)
		rc = index_domains(t, domains);
	for (i = 0; i < t->nsystems && rc == RC_OK; i++)
		rc = map_put(&index->systems, t->texts[t->systems[i]], 1);
	return rc;
}
