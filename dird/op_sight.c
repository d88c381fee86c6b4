#include "dird/op_sight.h"

#include "dird/apply.h"
#include "dird/op_impl.h"
#include "dird/values.h"

#include <stdlib.h>

#define SIFT_FEW_VALUES 64 /* so many names are looked up one by one */

static const char *const member_types[] = {"member", "uniqueMember", NULL};

/* --- hidden or not --- */

static struct index_range marked(const struct schema *s, const char *type)
{
	static const uint8_t yes[] = {1}; /* normal form of TRUE */
	const struct schema_attr *at = schema_attr(s, span_of(type));

	return (struct index_range){
		.attr = at != NULL && at->is_indexed ? at->hash : 0,
		.kind = INDEX_EQUAL,
		.lo = span_make(yes, sizeof(yes)),
	};
}

static bool has_marked(const struct op_sight *v, const char *type)
{
	struct index_range range = marked(v->schema, type);

	return range.attr != 0 && store_value_exists(v->t, range.attr, range.lo);
}

void op_sight_init(struct op_sight *v, const struct op *op, struct store_txn *t)
{
	enum identity_kind kind = op->identity.kind;

	*v = (struct op_sight){.schema = op->server->schema, .identity = &op->identity, .t = t};
	if (t != NULL && kind != IDENTITY_ADMIN && kind != IDENTITY_SITE)
		v->is_limited =
			has_marked(v, "hideFromAddressLists") || has_marked(v, "hideDLMembership");
}

static bool is_self(const struct op_sight *v, const struct entry *e)
{
	return v->identity->kind == IDENTITY_USER && uuid_eq(&v->identity->uuid, &e->head.uuid);
}

/* The highest hidden entry from `eid` up to the root decides. */
bool op_sees_eid(struct op_sight *v, uint64_t eid, uint64_t *above)
{
	struct entry e;
	uint64_t at;
	bool sees = true;

	if (above != NULL)
		*above = 0;
	for (at = v->is_limited ? eid : 0; at != 0; at = e.head.parent) {
		if (store_entry(v->t, at, &e) != RC_OK)
			return false;
		if (at == eid && is_self(v, &e))
			return true;
		if (!op_sight_skips(v, &e))
			continue;
		sees = false;
		if (above != NULL)
			*above = e.head.parent;
	}
	return sees;
}

bool op_sees_entry(struct op_sight *v, const struct entry *e)
{
	if (!v->is_limited || is_self(v, e))
		return true;
	if (op_sight_skips(v, e))
		return false;
	if (e->head.parent != v->parent) {
		v->parent = e->head.parent;
		v->sees_parent = op_sees_eid(v, e->head.parent, NULL);
	}
	return v->parent == 0 || v->sees_parent;
}

int op_sight_find(struct op_sight *v, const struct dn *dn, uint64_t *eid_out, unsigned *depth_out)
{
	int rc = store_find(v->t, dn, eid_out, depth_out);
	struct entry e;
	uint64_t above;

	if ((rc != RC_OK && rc != RC_NOTFOUND) || *eid_out == 0 || op_sees_eid(v, *eid_out, &above))
		return rc;
	for (rc = RC_OK; rc == RC_OK && *eid_out != above; *eid_out = e.head.parent, --*depth_out)
		rc = store_entry(v->t, *eid_out, &e);
	return rc == RC_OK ? RC_NOTFOUND : rc;
}

uint64_t op_child_count(struct op_sight *v, uint64_t eid, uint64_t limit)
{
	struct index_range range = marked(v->schema, "hideFromAddressLists");
	struct store_iter *iter = NULL;
	uint64_t child, hidden = 0, n;
	struct entry e;

	if (!v->is_limited || !store_has_children(v->t, eid))
		return store_child_count(v->t, eid, limit);
	if (store_ranges(v->t, &range, 1, &iter) != RC_OK)
		return 0;
	while (store_iter_next(iter, &child) == RC_OK) {
		if (store_entry(v->t, child, &e) == RC_OK && e.head.parent == eid &&
		    op_sight_skips(v, &e))
			hidden++;
	}
	store_iter_free(&iter);
	n = store_child_count(v->t, eid, limit > UINT64_MAX - hidden ? limit : limit + hidden);
	return n > hidden ? n - hidden : 0;
}

/* --- values that name entries --- */

static bool is_member_type(const struct schema_attr *at)
{
	unsigned i;

	for (i = 0; member_types[i] != NULL; i++) {
		if (strcmp(at->name, member_types[i]) == 0)
			return true;
	}
	return false;
}

/* The entry that a value names; 0: none. */
static uint64_t named(struct op_sight *v, const struct schema_attr *at, struct span value)
{
	struct span name = at->equality == SCHEMA_NORM_NAME_UID ? dn_of_name_uid(value) : value;
	struct arena a;
	uint64_t eid = 0;
	unsigned depth;
	struct dn dn;

	arena_init(&a);
	if (dn_parse(&a, name, &dn, NULL) != RC_OK || store_find(v->t, &dn, &eid, &depth) != RC_OK)
		eid = 0;
	arena_fini(&a);
	return eid;
}

bool op_sees_value(struct op_sight *v, const struct entry *e, const struct schema_attr *at,
		   struct span value)
{
	uint64_t eid;

	if (!v->is_limited || !at->names_entries)
		return true;
	if ((e->head.flags & ENTRY_HIDES_MEMBERS) != 0 && is_member_type(at))
		return false;
	eid = named(v, at, value);
	return eid == 0 || op_sees_eid(v, eid, NULL);
}

bool op_sees_attr(struct op_sight *v, const struct entry *e, const struct entry_attr *attr)
{
	const struct schema_attr *at = schema_attr(v->schema, attr->type);
	struct entry_values walk;
	struct span value;

	if (!op_sight_sifts(v, e) || at == NULL || !at->names_entries)
		return true;
	entry_values_begin(&walk, e, attr);
	while (entry_values_next(&walk, &value)) {
		if (op_sees_value(v, e, at, value))
			return true;
	}
	return false;
}

/* --- values of a long list --- */

struct hidden_names {
	struct arena arena;
	struct span *at;
	size_t n, room;
	size_t looked_at, budget;
};

static int by_bytes(const void *a, const void *b)
{
	return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

static int note_name(struct hidden_names *h, struct span normal)
{
	size_t room = h->room != 0 ? 2 * h->room : 16;
	struct span *more;

	if (h->n == h->room) {
		more = arena_zalloc(&h->arena, room, sizeof(*more));
		if (more == NULL)
			return RC_NOMEM;
		if (h->n != 0)
			memcpy(more, h->at, h->n * sizeof(*more));
		h->at = more;
		h->room = room;
	}
	h->at[h->n] = arena_span(&h->arena, normal);
	return h->at[h->n++].p != NULL ? RC_OK : RC_NOMEM;
}

/* Those of the entries at and below `top` that entry `eid` names in the attribute. */
static int note_below(struct op_sight *v, uint64_t eid, const struct schema_attr *at, uint64_t top,
		      struct hidden_names *h)
{
	struct store_iter *iter = NULL;
	struct entry e;
	struct buf dn;
	int rc = store_walk(v->t, top, STORE_SUB, &iter);

	buf_init(&dn, DN_MAX_BYTES * 4);
	while (rc == RC_OK && (rc = store_iter_next(iter, &top)) == RC_OK) {
		if (++h->looked_at > h->budget) {
			rc = RC_MORE;
			break;
		}
		buf_clear(&dn);
		rc = store_dn_normal(v->t, top, &dn);
		if (rc == RC_OK)
			rc = store_entry(v->t, top, &e);
		if (rc == RC_OK && !is_self(v, &e) &&
		    store_has_index(v->t, at->hash, buf_span(&dn), eid))
			rc = note_name(h, buf_span(&dn));
		if (rc == RC_NOTFOUND)
			rc = RC_OK; /* in limbo: nothing names it */
	}
	buf_fini(&dn);
	store_iter_free(&iter);
	return rc == RC_DONE ? RC_OK : rc;
}

/* The names in the attribute that must not be seen. RC_MORE: too many entries are hidden. */
static int find_hidden(struct op_sight *v, uint64_t eid, const struct schema_attr *at,
		       struct hidden_names *h)
{
	struct index_range range = marked(v->schema, "hideFromAddressLists");
	struct store_iter *iter = NULL;
	uint64_t top;
	int rc = store_ranges(v->t, &range, 1, &iter);

	while (rc == RC_OK && (rc = store_iter_next(iter, &top)) == RC_OK)
		rc = note_below(v, eid, at, top, h);
	store_iter_free(&iter);
	if (rc != RC_DONE)
		return rc;
	if (h->n > 1)
		qsort(h->at, h->n, sizeof(*h->at), by_bytes);
	return RC_OK;
}

static bool is_listed(const struct op_sight *v, const struct hidden_names *h,
		      const struct schema_attr *at, struct span value, struct buf *normal)
{
	struct span key;

	buf_clear(normal);
	if (schema_normalize(v->schema, at->equality, value, normal) != RC_OK)
		return false;
	key = buf_span(normal);
	return bsearch(&key, h->at, h->n, sizeof(*h->at), by_bytes) != NULL;
}

/* All of them: as they are stored, or appended. */
static int keep_all(const struct entry *e, const struct entry_attr *attr, struct buf *kept,
		    struct span *out)
{
	size_t start = kept->n;
	int rc;

	*out = attr->values;
	if (!attr->is_apart)
		return RC_OK;
	rc = entry_put_values(e, attr, kept);
	*out = span_from(buf_span(kept), start);
	return rc;
}

static int sift_long(struct op_sight *v, uint64_t eid, const struct entry *e,
		     const struct schema_attr *at, const struct entry_attr *attr, size_t nvalues,
		     struct buf *kept, struct span *out)
{
	struct hidden_names h = {.budget = nvalues};
	struct entry_values walk;
	size_t start = kept->n;
	struct span value;
	struct buf normal;
	int rc;

	arena_init(&h.arena);
	buf_init(&normal, DN_MAX_BYTES * 4);
	rc = find_hidden(v, eid, at, &h);
	if (rc == RC_OK && h.n == 0) {
		rc = keep_all(e, attr, kept, out);
	} else if (rc == RC_OK) {
		entry_values_begin(&walk, e, attr);
		while (entry_values_next(&walk, &value)) {
			if (!is_listed(v, &h, at, value, &normal))
				tlv_put(kept, TLV_OCTETS, value);
		}
		*out = span_from(buf_span(kept), start);
		rc = buf_rc(kept);
	}
	buf_fini(&normal);
	arena_fini(&h.arena);
	return rc;
}

static int sift_short(struct op_sight *v, const struct entry *e, const struct schema_attr *at,
		      const struct entry_attr *attr, struct buf *kept, struct span *out)
{
	struct entry_values walk;
	size_t start = kept->n;
	bool all = !attr->is_apart;
	struct span value;

	entry_values_begin(&walk, e, attr);
	while (entry_values_next(&walk, &value)) {
		if (op_sees_value(v, e, at, value))
			tlv_put(kept, TLV_OCTETS, value);
		else
			all = false;
	}
	*out = all ? attr->values : span_from(buf_span(kept), start);
	return buf_rc(kept);
}

static size_t count_values(const struct entry_attr *attr)
{
	struct span rest = attr->values, value;
	size_t n = 0;

	if (attr->is_apart)
		return attr->apart.count;
	while (tlv_expect(&rest, TLV_OCTETS, &value) == RC_OK)
		n++;
	return n;
}

int op_sift_values(struct op_sight *v, uint64_t eid, const struct entry *e,
		   const struct entry_attr *attr, struct buf *kept, struct span *out)
{
	const struct schema_attr *at = schema_attr(v->schema, attr->type);
	size_t n;
	int rc;

	if (!op_sight_sifts(v, e) || at == NULL || !at->names_entries)
		return keep_all(e, attr, kept, out);
	if ((e->head.flags & ENTRY_HIDES_MEMBERS) != 0 && is_member_type(at)) {
		*out = span_make(NULL, 0);
		return RC_OK;
	}
	n = count_values(attr);
	if (n > SIFT_FEW_VALUES && at->is_indexed && at->equality == SCHEMA_NORM_DN) {
		rc = sift_long(v, eid, e, at, attr, n, kept, out);
		if (rc != RC_MORE)
			return rc;
	}
	return sift_short(v, e, at, attr, kept, out);
}

/* --- memberOf --- */

/* Does the list really name it? Index values are cut. */
static bool is_named(const struct op_sight *v, const struct entry *list,
		     const struct schema_attr *at, struct span normal)
{
	struct entry_attr attr;
	struct entry_place place;
	struct span rest, value;
	struct buf b;
	unsigned i = 0;
	bool found = false;

	if (normal.n <= APPLY_VALUE_MAX_BYTES)
		return true;
	buf_init(&b, DN_MAX_BYTES * 4);
	while (!found && entry_find(list, at->hash, span_of(at->name), &i, &attr)) {
		if (attr.is_apart)
			found = values_find(v->schema, at, list, &attr.apart, normal, &b, &place,
					    &value);
		for (rest = attr.values;
		     !found && tlv_expect(&rest, TLV_OCTETS, &value) == RC_OK;) {
			buf_clear(&b);
			found = schema_normalize(v->schema, at->equality, value, &b) == RC_OK &&
				span_eq(buf_span(&b), normal);
		}
	}
	buf_fini(&b);
	return found;
}

static int put_list(struct op_sight *v, uint64_t list, const struct schema_attr *at,
		    struct span normal, struct buf *out)
{
	struct entry e;
	struct buf dn;
	int rc = store_entry(v->t, list, &e);

	if (rc != RC_OK || !is_named(v, &e, at, normal))
		return rc;
	if (v->is_limited &&
	    ((e.head.flags & ENTRY_HIDES_MEMBERS) != 0 || !op_sees_eid(v, list, NULL)))
		return RC_OK;
	buf_init(&dn, DN_MAX_BYTES * 2);
	rc = store_dn(v->t, list, &dn);
	if (rc == RC_OK)
		tlv_put(out, TLV_OCTETS, buf_span(&dn));
	buf_fini(&dn);
	return rc == RC_NOTFOUND ? RC_OK : rc; /* the list is in limbo */
}

int op_member_of(struct op_sight *v, uint64_t eid, struct buf *out)
{
	const struct schema_attr *at;
	struct span normal;
	uint64_t list;
	struct buf dn;
	unsigned i;
	int rc;

	buf_init(&dn, DN_MAX_BYTES * 4);
	rc = store_dn_normal(v->t, eid, &dn);
	normal = buf_span(&dn);
	for (i = 0; rc == RC_OK && member_types[i] != NULL; i++) {
		at = schema_attr(v->schema, span_of(member_types[i]));
		if (at == NULL || !at->is_indexed)
			continue;
		for (list = 0; rc == RC_OK && (rc = store_index_next(v->t, at->hash, normal, list,
								     &list)) == RC_OK;)
			rc = put_list(v, list, at, normal, out);
		rc = rc == RC_DONE ? RC_OK : rc;
	}
	buf_fini(&dn);
	return rc;
}
