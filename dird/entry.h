/*
 * Entries in stored form, which is the form they are sent in.
 *
 * A record is a fixed head, a table of (attribute hash, offset), the RDN as written and normalized,
 * and then the PartialAttributes of RFC 4511 §4.1.7, BER-encoded. A search copies slices of that
 * last part to the socket and decodes only what its filter looks at. Attributes come in three runs:
 *
 *   | public user attributes | protected (userPassword) | operational |
 *   ^ attrs                  ^ public_bytes             ^ user_bytes  ^ end
 *
 * so "all user attributes" of an ordinary reader is one contiguous piece. The DN is not in the
 * record: it follows from the parents, so a rename moves one record. docs/storage-format.md has the
 * byte layout.
 */
#pragma once

#include "dird/tlv.h"
#include "lib/arena.h"
#include "lib/span.h"

#define UUID_BYTES 16

struct uuid {
	uint8_t b[UUID_BYTES];
};

/** Origin stamp: which naming context, which life, which change. */
struct stamp {
	struct uuid nc; /* see position.h */
	uint32_t epoch;
	uint64_t usn;
};

/** Where the values of an attribute are that has many: apart from the record, each in a row. */
struct entry_apart {
	uint32_t list; /* number among those of the entry */
	uint32_t count;
	uint64_t bytes; /* of all values, each an OCTET STRING */
};

/** The place of a value among those of its list, which are in the order of their hashes. */
struct entry_place {
	uint64_t hash;
	uint16_t tie; /* of several values with one hash */
};

/** Values that are stored apart, and what a change takes away from them. */
struct attr_apart {
	struct entry_apart stored;
	struct attr_gone {
		struct entry_place place;
		struct span value;
	} * gone;
	unsigned ngone, room;
	uint64_t *touched; /* hashes of what goes and comes, see apply_apart.c */
	unsigned ntouched, touched_room;
};

/** An attribute in decoded form: the description with options as sent, and its values. */
struct attr {
	struct span type;
	struct span *values;
	unsigned nvalues;
	struct attr_apart *apart; /* there are these, too; NULL: none */
};

/** How many values it has. */
static inline size_t attr_count(const struct attr *at)
{
	return at->nvalues + (at->apart != NULL ? at->apart->stored.count - at->apart->ngone : 0u);
}

struct attr_list {
	struct attr *attrs;
	unsigned n;
};

/** What a search must know of an entry before it looks into its attributes; see apply_flags(). */
enum entry_flag {
	ENTRY_HIDDEN = 1,        /* hideFromAddressLists: TRUE */
	ENTRY_HIDES_MEMBERS = 2, /* hideDLMembership: TRUE */
	ENTRY_HAS_NAMES = 4,     /* an attribute whose values name entries: member, manager ... */
	ENTRY_HAS_APART = 8,     /* an attribute whose values are stored apart */
};
#define ENTRY_FLAGS 15u /* all of them */

struct entry_head {
	struct uuid uuid;
	struct uuid parent_uuid; /* zero for the root */
	uint64_t parent;         /* entry number; 0 for the root, and while the parent is missing */
	struct stamp stamp;      /* of the last change */
	uint64_t moved_usn;      /* usn of the last change of name or parent */
	uint8_t flags;           /* enum entry_flag */
	struct span rdn;         /* RFC 4514 text as written */
	struct span rdn_normal;  /* dn_rdn_normalize() */
};

/** Reads values that are stored apart; what comes out lies in the map. */
struct entry_reader {
	/** Up to `max` values from a place on, each an OCTET STRING, and their places; *from moves
	 * behind them. 0 at the end. */
	unsigned (*read)(void *ctx, uint64_t eid, uint32_t list, struct entry_place *from,
			 struct span *out, struct entry_place *places, unsigned max);
	/** The first value from a place on that has its hash; *at moves to it. */
	bool (*find)(void *ctx, uint64_t eid, uint32_t list, struct entry_place *at,
		     struct span *out);
};

/** A view into a record; valid as long as the record's bytes, and where it has values that are
 * stored apart, as long as the transaction of store_entry(). */
struct entry {
	struct entry_head head;
	struct span table; /* nattrs * 8 bytes */
	unsigned nattrs;
	struct span attrs; /* PartialAttributes, one behind the other */
	uint32_t public_bytes;
	uint32_t user_bytes;
	const struct entry_reader
		*reader; /* store_entry() sets it where there is something apart */
	void *reader_ctx;
	uint64_t eid; /* for the reader */
};

/** One attribute inside an entry. */
struct entry_attr {
	struct span type;   /* description as stored, e.g. "cn" or "cn;lang-de" */
	struct span values; /* contents of the SET OF: iterate with entry_values_next(), or, of
			       types whose values name no entries, with tlv_expect(TLV_OCTETS) */
	struct span whole;  /* the PartialAttribute as stored; entry_put_attr() is as sent */
	bool is_operational;
	bool is_protected;
	bool is_apart; /* `values` is empty, and `whole` has what stands for them */
	struct entry_apart apart;
};

#define ENTRY_BATCH 32

/** A walk over the values of an attribute, wherever they are. */
struct entry_values {
	struct span rest;
	const struct entry *e; /* NULL: all are in `rest` */
	uint32_t list;
	struct entry_place from;
	unsigned n, next;
	struct span batch[ENTRY_BATCH];
	struct entry_place places[ENTRY_BATCH]; /* of what is stored apart; places[next - 1] is that
						   of the last value */
};

/**
 * Hash of an attribute type without options, ASCII-folded. Entries and index keys name attributes
 * by it; a hit is verified against the stored description, so a collision costs time and never an
 * answer.
 */
uint32_t entry_type_hash(struct span type);

/** The description up to the first ';'. */
struct span entry_base_type(struct span description);

/**
 * Look at a record. RC_CORRUPT if its head does not fit its size. The attributes are not looked at
 * here, as this is done for each entry that a search meets: where one is damaged it has no type and
 * no values for whoever asks for it, and nothing outside of the record is ever read.
 */
int entry_open(struct span record, struct entry *out) WARN_UNUSED;
/** Do table and framing of the attributes fit together? RC_CORRUPT. */
int entry_check(const struct entry *e) WARN_UNUSED;

/** The whole record that entry_open() has looked at. */
struct span entry_record(const struct entry *e);

/** Change the flags of a record that entry_open() has looked at. */
void entry_set_flags(uint8_t *record, uint8_t flags);

/** Only the parent's entry number, without the checks of entry_open(); 0 for a broken record. */
uint64_t entry_peek_parent(struct span record);

/** Attribute i (0 <= i < nattrs); a damaged one is empty. */
void entry_attr_at(const struct entry *e, unsigned i, struct entry_attr *out);

/**
 * The next attribute whose base type is `type` (any options), from *i on; *i moves behind it.
 * Start with *i = 0. Returns false when there is no further one.
 */
bool entry_find(const struct entry *e, uint32_t hash, struct span type, unsigned *i,
		struct entry_attr *out);

/** Begin with the first value. Needs no end. */
static inline void entry_values_begin(struct entry_values *v, const struct entry *e,
				      const struct entry_attr *at)
{
	v->rest = at->values;
	v->e = at->is_apart ? e : NULL;
	v->list = at->apart.list;
	v->from = (struct entry_place){0, 0};
	v->n = v->next = 0;
}

/** Of values that are stored apart: the next batch into v->rest's place. */
bool entry_values_more(struct entry_values *v, struct span *out);

/** The next value; false at the end. */
static inline bool entry_values_next(struct entry_values *v, struct span *out)
{
	if (v->e != NULL)
		return entry_values_more(v, out);
	return tlv_expect(&v->rest, TLV_OCTETS, out) == RC_OK;
}

/** Bytes of all attributes as PartialAttributes, about. */
size_t entry_attrs_bytes(const struct entry *e);

/** Append the attribute as a PartialAttribute, with all its values. RC_CORRUPT: not as many are
 * stored apart as the record says; buf failures. */
int entry_put_attr(const struct entry *e, const struct entry_attr *at, struct buf *out) WARN_UNUSED;

/** Append the values alone, as contents of a SET OF. Errors as entry_put_attr(). */
int entry_put_values(const struct entry *e, const struct entry_attr *at,
		     struct buf *out) WARN_UNUSED;

/** First value of an attribute without options; false if it is absent. For single-valued
 * attributes. */
bool entry_first(const struct entry *e, const char *type, struct span *out);

/** Does objectClass name this class? */
bool entry_has_class(const struct entry *e, const char *class);

/** All attributes, or all user attributes, decoded into the arena (spans point into the record;
 * values that are stored apart are copied). RC_CORRUPT where one of them is damaged. */
int entry_decode(const struct entry *e, bool with_operational, struct arena *a,
		 struct attr_list *out) WARN_UNUSED;
/** The same of all attributes, but values that are stored apart stay there: attr.apart. */
int entry_decode_near(const struct entry *e, struct arena *a, struct attr_list *out) WARN_UNUSED;

/** Values that are stored apart, copied into the arena. */
int entry_take_apart(const struct entry *e, const struct entry_apart *apart, struct arena *a,
		     struct span **values) WARN_UNUSED;

/** Where an attribute goes; the schema tells, see schema_run(). */
enum entry_run { ENTRY_PUBLIC, ENTRY_PROTECTED, ENTRY_OPERATIONAL, ENTRY_RUNS };

/**
 * Append a record. runs[i] is the run of attrs->attrs[i]; within a run the given order is kept.
 * Of an attribute with attr.apart the record has what is `stored` there, and no values.
 * Errors   RC_TOOBIG past 65,535 attributes or 4 GiB; buf failures.
 */
int entry_build(const struct entry_head *head, const struct attr_list *attrs,
		const enum entry_run *runs, struct buf *out) WARN_UNUSED;

/** "550e8400-e29b-41d4-a716-446655440000" (RFC 4530) plus NUL, and back (RC_INVALID). */
#define UUID_TEXT_BYTES 37
void uuid_write(const struct uuid *u, char out[static UUID_TEXT_BYTES]);
int uuid_parse(struct span text, struct uuid *out) WARN_UNUSED;
bool uuid_is_zero(const struct uuid *u);
static inline bool uuid_eq(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->b, b->b, UUID_BYTES) == 0;
}
