/* The entries that an entry names: the members of a list, in the order of its values. */
#include "dird/store_mdb.h"
#include "lib/dn.h"

#define NAMED_TRIES_MAX 64 /* names of no entry that are passed over at a time */

static int find_name(struct store_txn *t, struct span text, uint64_t *eid_out)
{
	struct arena a;
	unsigned depth;
	struct dn dn;
	int rc;

	arena_init(&a);
	rc = dn_parse(&a, dn_of_name_uid(text), &dn, NULL);
	if (rc == RC_OK)
		rc = store_find(t, &dn, eid_out, &depth);
	arena_fini(&a);
	return rc == RC_INVALID || rc == RC_TOOBIG ? RC_NOTFOUND : rc;
}

static int begin(struct store_txn *t, const struct index_range *r, struct store_named *at,
		 struct entry *e)
{
	int rc = at->eid != 0 ? RC_OK : find_name(t, r->lo, &at->eid);

	if (rc == RC_OK)
		rc = store_entry(t, at->eid, e);
	if (rc != RC_OK)
		return rc == RC_NOTFOUND ? RC_DONE : rc;
	if (at->usn != e->head.stamp.usn)
		*at = (struct store_named){.eid = at->eid, .usn = e->head.stamp.usn};
	return RC_OK;
}

static bool next_apart(const struct entry *e, const struct entry_attr *attr,
		       struct entry_place *from, struct span *out)
{
	struct entry_place place;
	struct span value;

	return e->reader->read(e->reader_ctx, e->eid, attr->apart.list, from, &value, &place, 1) ==
		       1 &&
	       tlv_expect(&value, TLV_OCTETS, out) == RC_OK;
}

/* The value behind the place; RC_DONE. */
static int next_value(const struct entry *e, const struct index_range *r, struct store_named *at,
		      struct span *out)
{
	struct entry_attr attr;
	struct span rest;
	unsigned row = at->row;

	while (entry_find(e, r->attr, r->type, &row, &attr)) {
		if (attr.is_apart && next_apart(e, &attr, &at->apart, out))
			return RC_OK;
		rest = span_from(attr.values, at->offset);
		if (tlv_expect(&rest, TLV_OCTETS, out) == RC_OK) {
			at->offset = attr.values.n - rest.n;
			return RC_OK;
		}
		at->row = row;
		at->offset = 0;
		at->apart = (struct entry_place){0, 0};
	}
	return RC_DONE;
}

int store_named_next(struct store_txn *t, const struct index_range *r, struct store_named *at,
		     uint64_t *eid_out)
{
	struct span value;
	struct entry e;
	int tries, rc = begin(t, r, at, &e);

	for (tries = 0; rc == RC_OK && tries < NAMED_TRIES_MAX; tries++) {
		rc = next_value(&e, r, at, &value);
		if (rc != RC_OK)
			return rc;
		rc = find_name(t, value, eid_out);
		if (rc != RC_NOTFOUND)
			return rc;
		rc = RC_OK;
	}
	*eid_out = at->eid; /* no match, but the caller comes to its pause */
	return rc;
}

uint64_t store_named_count(struct store_txn *t, const struct index_range *r, uint64_t limit)
{
	struct store_named at = {0};
	struct span value;
	struct entry e;
	uint64_t n = 0;

	if (begin(t, r, &at, &e) != RC_OK)
		return 0;
	while (n < limit && next_value(&e, r, &at, &value) == RC_OK)
		n++;
	return n;
}
