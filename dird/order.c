#include "dird/order.h"

#define VALUE_MAX_BYTES (8u * 1024 * 1024)

void order_init(struct order_least *l, const struct schema *schema)
{
	l->schema = schema;
	l->has = false;
	buf_init(&l->now, VALUE_MAX_BYTES);
	buf_init(&l->best, VALUE_MAX_BYTES);
}

void order_fini(struct order_least *l)
{
	buf_fini(&l->best);
	buf_fini(&l->now);
}

void order_begin(struct order_least *l, enum schema_norm norm)
{
	l->norm = norm;
	l->has = false;
}

void order_value(struct order_least *l, struct span value)
{
	struct buf old;

	buf_clear(&l->now);
	if (schema_normalize(l->schema, l->norm, value, &l->now) != 0 || buf_rc(&l->now) != 0)
		return;
	if (l->has && span_cmp(buf_span(&l->now), buf_span(&l->best)) >= 0)
		return;
	old = l->best;
	l->best = l->now;
	l->now = old;
	l->has = true;
}

void order_entry(struct order_least *l, const struct schema_attr *at, const struct entry *e)
{
	const struct schema_attr *const *sub = schema_subtypes(l->schema, at);
	struct entry_attr found;
	struct entry_values walk;
	struct span value;
	unsigned i;

	for (; *sub != NULL; sub++) {
		i = 0;
		while (entry_find(e, (*sub)->hash, span_of((*sub)->name), &i, &found)) {
			for (entry_values_begin(&walk, e, &found);
			     entry_values_next(&walk, &value);)
				order_value(l, value);
		}
	}
}
