/*
 * The digest of a context, when an entry changes: the entry without the values of its long
 * attributes is taken away and added anew, and of those values what differs.
 */
#include "dird/store_digest.h"
#include "dird/update_int.h"

struct counted {
	struct store_txn *t;
	const struct entry *e; /* context and entryUUID are the same before and after */
};

static void change_all(const struct counted *c, const struct attr *attr, bool is_added)
{
	unsigned i;

	for (i = 0; i < attr->nvalues; i++)
		store_digest_change_value(c->t, c->e, attr->type, attr->values[i], is_added);
}

static bool is_long(const struct attr *attr)
{
	return attr != NULL && attr->nvalues >= DIGEST_LONG_VALUES;
}

/* What stands at both ends of both is the same. */
static void change_middle(const struct counted *c, const struct attr *was, const struct attr *now)
{
	struct attr a = *was, b = *now;

	while (a.nvalues != 0 && b.nvalues != 0 && span_eq(a.values[0], b.values[0])) {
		a.values++, a.nvalues--;
		b.values++, b.nvalues--;
	}
	while (a.nvalues != 0 && b.nvalues != 0 &&
	       span_eq(a.values[a.nvalues - 1], b.values[b.nvalues - 1]))
		a.nvalues--, b.nvalues--;
	change_all(c, &a, false);
	change_all(c, &b, true);
}

static const struct attr *same_type(const struct attr_list *in, struct span type)
{
	unsigned i;

	for (i = 0; i < in->n; i++) {
		if (span_eq(in->attrs[i].type, type))
			return &in->attrs[i];
	}
	return NULL;
}

/* Long attributes whose values are at hand, before and after. */
static void change_near(const struct counted *c, const struct attr_list *was,
			const struct attr_list *now)
{
	const struct attr *other;
	unsigned i;

	for (i = 0; i < now->n; i++) {
		if (!is_long(&now->attrs[i]))
			continue;
		other = same_type(was, now->attrs[i].type);
		if (is_long(other))
			change_middle(c, other, &now->attrs[i]);
		else
			change_all(c, &now->attrs[i], true);
	}
	for (i = 0; i < was->n; i++) {
		if (is_long(&was->attrs[i]) && !is_long(same_type(now, was->attrs[i].type)))
			change_all(c, &was->attrs[i], false);
	}
}

/* An attribute whose values were apart, so it was long; what is left of it may not be. */
static void change_apart(const struct counted *c, const struct update_value_change *change)
{
	unsigned i;

	for (i = 0; i < change->ngone; i++)
		store_digest_change_value(c->t, c->e, change->type, change->gone[i].value, false);
	for (i = 0; i < change->nadded; i++)
		store_digest_change_value(c->t, c->e, change->type, change->added[i], true);
	if (change->left.apart == NULL && !is_long(&change->left))
		change_all(c, &change->left, false);
}

void update_count(struct update *u, const struct entry *old, const struct entry *now,
		  const struct update_values *v)
{
	const struct counted c = {u->t, now};
	unsigned i;

	/* what waits in quarantine for the entry counts in its place */
	if (store_is_quarantined(u->t, &now->head.stamp.nc, &now->head.uuid))
		return;
	if (old != NULL)
		store_digest_change_own(u->t, old, false);
	store_digest_change_own(u->t, now, true);
	change_near(&c, &v->was, &v->now);
	for (i = 0; i < v->nchanges; i++)
		change_apart(&c, &v->changes[i]);
}

void update_uncount(struct update *u, const struct entry *old)
{
	if (!store_is_quarantined(u->t, &old->head.stamp.nc, &old->head.uuid))
		store_digest_sub(u->t, old);
}
