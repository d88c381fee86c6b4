/*
 * What one identity sees of the entries: hidden recipients and hidden memberships (S12).
 *
 * For ordinary readers an entry with hideFromAddressLists: TRUE, and everything below it, is not
 * there: no answer, error, count or value differs from that of a directory without it. Of a list
 * with hideDLMembership: TRUE they see no members, and of its members no memberOf with its name.
 * The administrator and sites see everything, and everybody sees the entry he is bound as.
 *
 * One object lives as long as one transaction. Where nothing is hidden it costs two looks into the
 * index and nothing per entry.
 */
#pragma once

#include "dird/acl.h"
#include "dird/store.h"

struct op;

struct op_sight {
	const struct schema *schema;
	const struct identity *identity;
	struct store_txn *t;
	bool is_limited; /* something is hidden, and from this identity */
	/* the parent that was looked at last; 0: none */
	uint64_t parent;
	bool sees_parent;
};

/** `t` NULL: for entries that exist only while they are read. */
void op_sight_init(struct op_sight *v, const struct op *op, struct store_txn *t);

/** Is the entry hidden by itself? The first and cheapest look; ancestors are not looked at. */
static inline bool op_sight_skips(const struct op_sight *v, const struct entry *e)
{
	return v->is_limited && (e->head.flags & ENTRY_HIDDEN) != 0 &&
	       !(v->identity->kind == IDENTITY_USER && uuid_eq(&v->identity->uuid, &e->head.uuid));
}

/** May the reader know that the entry is there? Looks at its ancestors, too. */
bool op_sees_entry(struct op_sight *v, const struct entry *e);

/**
 * The same by number. *above gets the lowest ancestor that he may know of, 0 if it is seen or there
 * is none.
 */
bool op_sees_eid(struct op_sight *v, uint64_t eid, uint64_t *above);

/** As store_find(), for what he may know of: a name at or below a hidden entry is not there, and
 * the deepest entry is the one above the highest hidden one. */
int op_sight_find(struct op_sight *v, const struct dn *dn, uint64_t *eid_out,
		  unsigned *depth_out) WARN_UNUSED;

/** May he see this value of an attribute of the entry? False where it names an entry that he may
 * not know of, and for members of a list that hides them. */
bool op_sees_value(struct op_sight *v, const struct entry *e, const struct schema_attr *at,
		   struct span value);

/** Does the attribute have a value that he may see? */
bool op_sees_attr(struct op_sight *v, const struct entry *e, const struct entry_attr *attr);

/** Must the values of this entry be looked at one by one before they are shown? */
static inline bool op_sight_sifts(const struct op_sight *v, const struct entry *e)
{
	return v->is_limited && (e->head.flags & (ENTRY_HIDES_MEMBERS | ENTRY_HAS_NAMES)) != 0;
}

/**
 * Those values of an attribute that he may see: the contents of a SET OF. *out is `attr->values`
 * where that is all of them; else they are appended to `kept`, which must outlive *out.
 */
int op_sift_values(struct op_sight *v, uint64_t eid, const struct entry *e,
		   const struct entry_attr *attr, struct buf *kept, struct span *out) WARN_UNUSED;

/** How many children he may know of, counted up to `limit`. */
uint64_t op_child_count(struct op_sight *v, uint64_t eid, uint64_t limit);

/**
 * The lists of which the entry is a member, as far as he may know: appends their DNs as contents of
 * a SET OF (memberOf).
 */
int op_member_of(struct op_sight *v, uint64_t eid, struct buf *out) WARN_UNUSED;
