#include "dird/check.h"

#include "dird/apply.h"
#include "dird/be.h"
#include "dird/check_digest.h"
#include "dird/check_view.h"
#include "dird/store_int.h"
#include "dird/values.h"
#include "lib/dn.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct work {
	struct store_txn *t;
	const struct schema *schema;
	struct check *c;
	struct arena arena; /* of one entry */
	uint64_t root;
	struct check_digest *digests;
	uint64_t placed; /* entries that need a row in the tree */
	uint64_t values; /* that are stored apart */
};

__attribute__((format(printf, 2, 3))) static void problem(struct work *w, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	w->c->problems++;
	w->c->problem(w->c->ctx, text);
}

static void check_uuid(struct work *w, uint64_t eid, const struct entry *e)
{
	uint64_t other = 0;

	if (store_by_uuid(w->t, &e->head.uuid, &other) != RC_OK || other != eid)
		problem(w, "entry %" PRIu64 ": its entryUUID leads to entry %" PRIu64, eid, other);
}

/* No ring, and every ancestor is there. */
static void check_chain(struct work *w, uint64_t eid, uint64_t parent)
{
	struct entry e;
	unsigned depth;

	for (depth = 0; parent != 0; depth++) {
		if (depth > DN_MAX_RDNS) {
			problem(w, "entry %" PRIu64 ": more than %d ancestors, or a ring", eid,
				DN_MAX_RDNS);
			return;
		}
		if (store_entry(w->t, parent, &e) != RC_OK) {
			problem(w, "entry %" PRIu64 ": its ancestor %" PRIu64 " is missing", eid,
				parent);
			return;
		}
		parent = e.head.parent;
	}
}

static void check_place(struct work *w, uint64_t eid, const struct entry *e)
{
	struct entry parent;
	uint64_t other = 0;

	if (e->head.parent == 0) {
		if (eid != w->root && !store_has_limbo(w->t, &e->head.parent_uuid, eid))
			problem(w, "entry %" PRIu64 ": has no parent and is not in limbo", eid);
		w->c->limbo += eid != w->root;
		return;
	}
	w->placed++;
	if (store_child(w->t, e->head.parent, e->head.rdn_normal, &other) != RC_OK || other != eid)
		problem(w, "entry %" PRIu64 ": its name leads to entry %" PRIu64, eid, other);
	if (store_entry(w->t, e->head.parent, &parent) == RC_OK &&
	    !uuid_eq(&parent.head.uuid, &e->head.parent_uuid))
		problem(w, "entry %" PRIu64 ": its parent has another entryUUID than it says", eid);
	check_chain(w, eid, e->head.parent);
}

static void check_order(struct work *w, uint64_t eid, const struct entry *e)
{
	const struct stamp *s = &e->head.stamp;
	struct store_leaving leaving;
	struct store_nc nc;

	if (store_nc_find(w->t, &s->nc, &nc) != RC_OK) {
		if (store_leaving_find(w->t, &s->nc, &leaving) == RC_OK)
			return;
		problem(w, "entry %" PRIu64 ": its naming context is unknown", eid);
		return;
	}
	if (!store_has_order(w->t, nc.number, s->usn, &e->head.uuid))
		problem(w, "entry %" PRIu64 ": no row in the change order at usn %" PRIu64, eid,
			s->usn);
	if (nc.is_own && s->epoch == nc.position.epoch && s->usn > nc.position.usn)
		problem(w, "entry %" PRIu64 ": usn %" PRIu64 " is above the counter of its context",
			eid, s->usn);
	if (e->head.moved_usn > s->usn)
		problem(w, "entry %" PRIu64 ": moved after its last change", eid);
}

static int check_index(struct work *w, uint64_t eid, const struct entry *e)
{
	struct attr_list attrs;
	struct apply_keys keys;
	unsigned i;
	int rc = entry_decode(e, true, &w->arena, &attrs);

	if (rc == RC_OK)
		rc = apply_keys(w->schema, &attrs, &w->arena, &keys);
	if (rc != RC_OK)
		return rc;
	if (apply_flags(w->schema, &attrs) != (e->head.flags & ~ENTRY_HAS_APART))
		problem(w, "entry %" PRIu64 ": its flags do not fit its attributes", eid);
	w->c->index_rows += keys.n;
	for (i = 0; i < keys.n; i++) {
		if (!store_has_index(w->t, keys.at[i].attr, keys.at[i].value, eid))
			problem(w,
				"entry %" PRIu64 ": a value is missing in the index of type "
				"%08" PRIx32,
				eid, keys.at[i].attr);
		if (keys.at[i].has_parts &&
		    !store_has_gram(w->t, keys.at[i].attr, keys.at[i].value, eid))
			problem(w,
				"entry %" PRIu64 ": a part of a value is missing in the n-gram "
				"index of type %08" PRIx32,
				eid, keys.at[i].attr);
	}
	return RC_OK;
}

/* Each of them can be found, and none twice. */
static void check_list(struct work *w, uint64_t eid, const struct entry *e,
		       const struct entry_attr *attr)
{
	const struct schema_attr *at = schema_attr(w->schema, attr->type);
	struct entry_values walk;
	struct entry_place place;
	struct buf normal, scratch;
	struct span value, found;

	buf_init(&normal, UINT32_MAX);
	buf_init(&scratch, UINT32_MAX);
	for (entry_values_begin(&walk, e, attr); entry_values_next(&walk, &value);) {
		const struct entry_place *here = &walk.places[walk.next - 1];

		buf_clear(&normal);
		if (!values_may_be_apart(at) ||
		    schema_normalize(w->schema, at->equality, value, &normal) != RC_OK ||
		    !values_find(w->schema, at, e, &attr->apart, buf_span(&normal), &scratch,
				 &place, &found) ||
		    place.hash != here->hash || place.tie != here->tie) {
			problem(w,
				"entry %" PRIu64 ": a value that is stored apart is in a wrong "
				"place",
				eid);
			break;
		}
	}
	buf_fini(&scratch);
	buf_fini(&normal);
}

static void check_values(struct work *w, uint64_t eid, const struct entry *e)
{
	struct entry_attr attr;
	struct buf all;
	unsigned i;

	for (i = 0; i < e->nattrs; i++) {
		entry_attr_at(e, i, &attr);
		if (!attr.is_apart)
			continue;
		w->values += attr.apart.count;
		buf_init(&all, UINT32_MAX);
		if (entry_put_values(e, &attr, &all) != RC_OK)
			problem(w,
				"entry %" PRIu64 ": values that are stored apart have other "
				"sizes than the record says",
				eid);
		buf_fini(&all);
		check_list(w, eid, e, &attr);
	}
}

static int check_entry(void *ctx, struct span key, struct span value)
{
	struct work *w = ctx;
	struct entry e;
	uint64_t eid;
	int rc;

	if (key.n != 8) {
		problem(w, "table of entries: a key of %zu bytes", key.n);
		return RC_OK;
	}
	eid = be_get64(key.p);
	w->c->entries++;
	if (entry_open(value, &e) != RC_OK || entry_check(&e) != RC_OK) {
		problem(w, "entry %" PRIu64 ": the record is damaged", eid);
		return RC_OK;
	}
	store_attach(w->t, eid, &e);
	check_uuid(w, eid, &e);
	check_place(w, eid, &e);
	check_order(w, eid, &e);
	check_values(w, eid, &e);
	rc = check_digest_add(w->digests, &e);
	if (rc == RC_OK)
		rc = check_index(w, eid, &e);
	if (rc == RC_CORRUPT) {
		problem(w, "entry %" PRIu64 ": an attribute is damaged", eid);
		rc = RC_OK;
	}
	arena_fini(&w->arena);
	return rc;
}

/* A row whose entry does not have the value. */
static int check_index_row(void *ctx, struct span key, struct span value)
{
	struct work *w = ctx;
	struct attr_list attrs;
	struct apply_keys keys;
	struct entry e;
	unsigned i;
	int rc;

	if (key.n < 4 || value.n != 8) {
		problem(w, "index: a row of impossible size");
		return RC_OK;
	}
	rc = store_entry(w->t, be_get64(value.p), &e);
	if (rc == RC_OK)
		rc = entry_decode(&e, true, &w->arena, &attrs);
	if (rc == RC_OK)
		rc = apply_keys(w->schema, &attrs, &w->arena, &keys);
	for (i = 0; rc == RC_OK && i < keys.n; i++) {
		if (keys.at[i].attr == be_get32(key.p) &&
		    span_eq(keys.at[i].value, span_from(key, 4)))
			break;
	}
	if (rc == RC_NOTFOUND || rc == RC_CORRUPT || (rc == RC_OK && i == keys.n)) {
		problem(w,
			"index of type %08" PRIx32 ": a row leads to entry %" PRIu64
			", which does not have the value",
			be_get32(key.p), be_get64(value.p));
		rc = RC_OK;
	}
	arena_fini(&w->arena);
	return rc;
}

static int check_tombstone(void *ctx, struct span key, struct span value)
{
	struct work *w = ctx;
	char text[UUID_TEXT_BYTES];
	struct uuid u;
	uint64_t eid;

	if (key.n != UUID_BYTES || value.n < 12) {
		problem(w, "tombstones: a row of impossible size");
		return RC_OK;
	}
	w->c->tombstones++;
	memcpy(u.b, key.p, UUID_BYTES);
	uuid_write(&u, text);
	if (!store_has_order(w->t, be_get32(value.p), be_get64(value.p + 4), &u))
		problem(w, "tombstone of %s: no row in the change order", text);
	if (store_by_uuid(w->t, &u, &eid) == RC_OK)
		problem(w, "tombstone of %s: entry %" PRIu64 " is alive", text, eid);
	return RC_OK;
}

static int check_quarantine(struct work *w)
{
	struct store_quarantined q;
	struct uuid u = {{0}};
	char text[UUID_TEXT_BYTES];
	uint64_t n = 0;
	uint32_t nc = 0;
	int rc;

	while ((rc = store_quarantine_next(w->t, &nc, &u, &q)) == RC_OK) {
		uuid_write(&u, text);
		if (!uuid_eq(&q.e.head.uuid, &u))
			problem(w, "quarantine: the row of %s holds another entry's change", text);
		if (!q.is_removal)
			rc = check_digest_add_quarantined(w->digests, &q.e);
		if (rc != RC_OK)
			return rc;
		n++;
	}
	if (rc == RC_CORRUPT || (rc == RC_DONE && n != w->c->quarantined))
		problem(w, "quarantine: a row without its place in the change order");
	return rc == RC_DONE || rc == RC_CORRUPT ? RC_OK : rc;
}

static void check_count(struct work *w, const char *what, uint64_t rows, uint64_t want)
{
	if (rows != want)
		problem(w, "%s: %" PRIu64 " rows, but the entries need %" PRIu64, what, rows, want);
}

static int check_contexts(struct work *w)
{
	uint32_t number = 0;
	struct store_nc nc;
	bool right;
	int rc;

	while ((rc = store_nc_next(w->t, &number, &nc)) == RC_OK) {
		w->c->contexts++;
		if (nc.floor > nc.position.usn)
			problem(w, "context %" PRIu32 ": tombstone floor above its position",
				number);
		rc = check_digest_is_right(w->digests, &nc.position.nc, &right);
		if (rc != RC_OK)
			return rc;
		if (!right)
			problem(w, "context %" PRIu32 ": its digest is not that of its entries",
				number);
	}
	return rc == RC_DONE ? RC_OK : rc;
}

static void view_problem(void *ctx, const char *text)
{
	problem(ctx, "%s", text);
}

int check_database(struct store_txn *t, const struct schema *schema, struct check *c)
{
	struct work w = {.t = t, .schema = schema, .c = c};
	int rc;

	c->entries = c->index_rows = c->view_rows = c->tombstones = c->limbo = c->contexts =
		c->problems = 0;
	c->quarantined = store_quarantine_count(t);
	arena_init(&w.arena);
	rc = check_digest_new(t, &w.digests);
	if (rc == RC_OK)
		rc = store_root(t, &w.root);
	if (rc == RC_OK || rc == RC_NOTFOUND)
		rc = store_scan(t, STORE_ENTRY, check_entry, &w);
	if (rc == RC_OK)
		rc = store_scan(t, STORE_TOMB, check_tombstone, &w);
	if (rc == RC_OK)
		rc = check_quarantine(&w);
	if (rc == RC_OK)
		rc = check_contexts(&w);
	if (rc == RC_OK && store_rows(t, STORE_INDEX) != c->index_rows)
		rc = store_scan(t, STORE_INDEX, check_index_row, &w);
	if (rc == RC_OK)
		rc = check_views(t, schema, view_problem, &w, &c->view_rows);
	if (rc == RC_OK) {
		check_count(&w, "uuid", store_rows(t, STORE_UUID), c->entries);
		check_count(&w, "tree", store_rows(t, STORE_TREE), w.placed);
		check_count(&w, "limbo", store_rows(t, STORE_LIMBO), c->limbo);
		check_count(&w, "order", store_rows(t, STORE_ORDER),
			    c->entries + c->tombstones + c->quarantined);
		check_count(&w, "index", store_rows(t, STORE_INDEX), c->index_rows);
		check_count(&w, "value", store_rows(t, STORE_VALUE), w.values);
	}
	check_digest_free(&w.digests);
	arena_fini(&w.arena);
	return rc;
}
