#include "dird/values.h"

#include "dird/apply.h"
#include "lib/dn.h"

bool values_may_be_apart(const struct schema_attr *at)
{
	return at != NULL && at->names_entries && !at->single && !at->is_protected &&
	       !at->no_user_modification;
}

static struct span part_of(const struct schema_attr *at, enum values_part part, struct span normal)
{
	switch (part) {
	case VALUES_WHOLE:
		break;
	case VALUES_KEY:
		return span_head(normal, APPLY_VALUE_MAX_BYTES);
	case VALUES_NAME:
		return at->equality == SCHEMA_NORM_NAME_UID ? dn_of_name_uid(normal) : normal;
	}
	return normal;
}

uint64_t values_hash(const struct schema_attr *at, struct span normal)
{
	struct span key = part_of(at, VALUES_KEY, part_of(at, VALUES_NAME, normal));
	uint64_t h = 14695981039346656037u; /* FNV-1a */
	size_t i;

	for (i = 0; i < key.n; i++)
		h = (h ^ key.p[i]) * 1099511628211u;
	return h;
}

bool values_next(const struct schema *s, const struct schema_attr *at, const struct entry *e,
		 const struct entry_apart *apart, enum values_part part, struct span normal,
		 struct buf *scratch, struct entry_place *place, struct span *out)
{
	struct span row;

	while (e->reader != NULL &&
	       e->reader->find(e->reader_ctx, e->eid, apart->list, place, &row)) {
		buf_clear(scratch);
		if (tlv_expect(&row, TLV_OCTETS, out) == RC_OK &&
		    schema_normalize(s, at->equality, *out, scratch) == RC_OK &&
		    span_eq(part_of(at, part, buf_span(scratch)), normal))
			return true;
		if (++place->tie == 0)
			break;
	}
	return false;
}

bool values_find(const struct schema *s, const struct schema_attr *at, const struct entry *e,
		 const struct entry_apart *apart, struct span normal, struct buf *scratch,
		 struct entry_place *place, struct span *out)
{
	*place = (struct entry_place){values_hash(at, normal), 0};
	return values_next(s, at, e, apart, VALUES_WHOLE, normal, scratch, place, out);
}
