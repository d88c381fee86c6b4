/*
 * Values that are stored apart, while their entry is being changed: they stay where they are; what
 * goes and what comes is noted in attr.apart and attr.values.
 *
 * The hashes of both are in a table of their own, so that a change of thousands of values does not
 * look through them for each.
 */
#include "dird/apply_int.h"
#include "dird/values.h"

#define TOUCHED_FIRST 16

static size_t slot_of(const struct attr_apart *ap, uint64_t hash)
{
	size_t i = (size_t)(hash * 0x9e3779b97f4a7c15u >> 32) & (ap->touched_room - 1);

	while (ap->touched[i] != 0 && ap->touched[i] != hash)
		i = (i + 1) & (ap->touched_room - 1);
	return i;
}

static bool is_touched(const struct attr_apart *ap, uint64_t hash)
{
	return ap->ntouched != 0 && ap->touched[slot_of(ap, hash | 1)] != 0;
}

static int grow(struct attr_apart *ap, struct arena *a)
{
	struct attr_apart more = *ap;
	unsigned i;

	more.touched_room = ap->touched_room != 0 ? 4 * ap->touched_room : TOUCHED_FIRST;
	more.touched = arena_zalloc(a, more.touched_room, sizeof(*more.touched));
	if (more.touched == NULL)
		return RC_NOMEM;
	for (i = 0; i < ap->touched_room; i++) {
		if (ap->touched[i] != 0)
			more.touched[slot_of(&more, ap->touched[i])] = ap->touched[i];
	}
	*ap = more;
	return RC_OK;
}

/* The lowest bit is given up, so that no hash is 0. */
static int touch(struct attr_apart *ap, uint64_t hash, struct arena *a)
{
	int rc = 2 * (ap->ntouched + 1) > ap->touched_room ? grow(ap, a) : RC_OK;

	if (rc != RC_OK || is_touched(ap, hash))
		return rc;
	ap->touched[slot_of(ap, hash | 1)] = hash | 1;
	ap->ntouched++;
	return RC_OK;
}

static bool is_gone(const struct attr_apart *ap, const struct entry_place *place)
{
	unsigned i;

	for (i = 0; i < ap->ngone; i++) {
		if (ap->gone[i].place.hash == place->hash && ap->gone[i].place.tie == place->tie)
			return true;
	}
	return false;
}

/* Is it there already, before what comes? */
static bool find_stored(struct apply_work *w, const struct schema_attr *at,
			const struct attr_apart *ap, struct span normal, bool touched,
			struct apply_found *out)
{
	struct buf scratch;
	bool found;

	buf_init(&scratch, UINT32_MAX);
	found = values_find(w->x->schema, at, w->old, &ap->stored, normal, &scratch, &out->place,
			    &out->value) &&
		!(touched && is_gone(ap, &out->place));
	buf_fini(&scratch);
	return found;
}

int apply_find_value(struct apply_work *w, const struct schema_attr *at, const struct attr *in,
		     struct span value, struct apply_found *out)
{
	bool touched = true;
	struct buf normal;
	int rc = RC_OK;

	*out = (struct apply_found){.i = in->nvalues};
	if (attr_count(in) == 0)
		return RC_OK;
	buf_init(&normal, UINT32_MAX);
	if (in->apart != NULL) {
		rc = schema_normalize(w->x->schema, at->equality, value, &normal);
		touched = rc == RC_OK && is_touched(in->apart, values_hash(at, buf_span(&normal)));
		out->is_apart = rc == RC_OK &&
				find_stored(w, at, in->apart, buf_span(&normal), touched, out);
	}
	buf_fini(&normal);
	if (rc == RC_OK && touched && !out->is_apart)
		rc = apply_match(w, at, in, value, &out->i);
	out->is_there = out->is_apart || out->i < in->nvalues;
	return rc == RC_INVALID ? RC_OK : rc;
}

static int note_gone(struct apply_work *w, struct attr_apart *ap, const struct entry_place *place,
		     struct span value)
{
	struct attr_gone *more;
	unsigned room = 2 * ap->room + 8;

	if (ap->ngone == ap->room) {
		more = arena_zalloc(w->x->arena, room, sizeof(*more));
		if (more == NULL)
			return RC_NOMEM;
		if (ap->ngone != 0)
			memcpy(more, ap->gone, ap->ngone * sizeof(*more));
		ap->gone = more;
		ap->room = room;
	}
	value = arena_span(w->x->arena, value);
	if (value.p == NULL)
		return RC_NOMEM;
	ap->gone[ap->ngone++] = (struct attr_gone){*place, value};
	return touch(ap, place->hash, w->x->arena);
}

int apply_take_away(struct apply_work *w, struct attr *from, const struct apply_found *found)
{
	if (!found->is_apart)
		return apply_remove(w, from, found->i);
	return note_gone(w, from->apart, &found->place, found->value);
}

int apply_append_found(struct apply_work *w, const struct schema_attr *at, struct attr *to,
		       const struct attr *more)
{
	struct buf normal;
	unsigned i;
	int rc = apply_append(w, to, more);

	buf_init(&normal, UINT32_MAX);
	for (i = 0; to->apart != NULL && rc == RC_OK && i < more->nvalues; i++) {
		buf_clear(&normal);
		rc = schema_normalize(w->x->schema, at->equality, more->values[i], &normal);
		if (rc == RC_OK)
			rc = touch(to->apart, values_hash(at, buf_span(&normal)), w->x->arena);
	}
	buf_fini(&normal);
	return rc == RC_INVALID ? RC_OK : rc;
}

int apply_find_named(struct apply_work *w, const struct schema_attr *at, const struct attr *in,
		     struct span name_normal, struct apply_found *at_place)
{
	struct buf scratch;

	buf_init(&scratch, UINT32_MAX);
	if (!at_place->is_there)
		at_place->place = (struct entry_place){values_hash(at, name_normal), 0};
	else
		at_place->place.tie++;
	at_place->is_there = at_place->is_apart =
		values_next(w->x->schema, at, w->old, &in->apart->stored, VALUES_NAME, name_normal,
			    &scratch, &at_place->place, &at_place->value);
	buf_fini(&scratch);
	return at_place->is_there ? RC_OK : RC_DONE;
}

/* Values are told apart by their bytes: none comes twice. */
static bool has_gone(const struct attr_apart *ap, struct span value)
{
	unsigned i;

	for (i = 0; i < ap->ngone; i++) {
		if (span_eq(ap->gone[i].value, value))
			return true;
	}
	return false;
}

int apply_whole(struct apply_work *w, struct attr *at)
{
	struct attr_apart *ap = at->apart;
	struct attr kept = {.type = at->type};
	uint32_t i;
	int rc;

	if (ap == NULL)
		return RC_OK;
	rc = entry_take_apart(w->old, &ap->stored, w->x->arena, &kept.values);
	if (rc != RC_OK)
		return rc;
	for (i = 0; i < ap->stored.count; i++) {
		if (!has_gone(ap, kept.values[i]))
			kept.values[kept.nvalues++] = kept.values[i];
	}
	if (at->nvalues != 0)
		rc = apply_append(w, &kept, at);
	*at = kept;
	return rc;
}
