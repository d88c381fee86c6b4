/* What the definition of an address book view tells about itself: viewEntries, viewState. */
#include "dird/op_impl.h"
#include "dird/store_view.h"
#include "dird/view_set.h"

#include <stdio.h>

static const struct view_def *find_def(struct op_sight *v, const struct entry *e,
				       struct view_set **set)
{
	*set = NULL;
	if (!view_is_definition(e) || view_set_get(v->t, v->schema, set) != RC_OK)
		return NULL;
	return view_set_of_entry(*set, &e->head.uuid);
}

bool op_view_entries(struct op_sight *v, const struct entry *e, struct buf *out)
{
	struct view_set *set;
	const struct view_def *d = find_def(v, e, &set);
	bool has = d != NULL && d->state == VIEW_READY;
	char text[24];

	if (has) {
		snprintf(text, sizeof(text), "%llu",
			 (unsigned long long)store_view_count(v->t, d->number,
							      view_kind(0, !v->is_limited)));
		tlv_put(out, TLV_OCTETS, span_of(text));
	}
	view_set_put(store_of(v->t), &set);
	return has;
}

/* Entry numbers are given in sequence, so they tell how far the building is. */
static unsigned percent_built(struct store_txn *t, const struct view_def *d)
{
	uint64_t next = 0, all = store_last_eid(t);
	enum view_state state;

	if (view_def_progress(t, d->number, &state, &next) != RC_OK || all == 0)
		return 0;
	return (unsigned)(next < all ? next * 100 / all : 99);
}

static void write_state(struct store_txn *t, const struct view_def *d, struct buf *out)
{
	switch (d->state) {
	case VIEW_READY:
		buf_puts(out, d->base != 0 ? "ready"
					   : "empty: there is no entry with the name in viewBase");
		break;
	case VIEW_BUILDING:
		buf_printf(out, "building %u%%", percent_built(t, d));
		break;
	case VIEW_INVALID:
		buf_printf(out, "invalid: %s", d->why != NULL ? d->why : "?");
		break;
	case VIEW_DROPPING:
		break;
	}
}

bool op_view_state(struct op_sight *v, const struct entry *e, struct buf *out)
{
	struct view_set *set;
	const struct view_def *d = find_def(v, e, &set);
	size_t mark;

	if (d != NULL) {
		mark = tlv_open(out, TLV_OCTETS);
		write_state(v->t, d, out);
		tlv_close(out, mark);
	}
	view_set_put(store_of(v->t), &set);
	return d != NULL;
}
