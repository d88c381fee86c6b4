/*
 * A proxy address belongs to one recipient of the organisation. At its home a second one is
 * refused. Two sites may give the same address before they hear of each other; both entries then
 * stay, and it is told.
 */
#include "dird/eid_hints.h"
#include "dird/update_int.h"
#include "lib/dn.h"

static bool has(const struct attr *list, struct span address)
{
	unsigned i;

	for (i = 0; i < list->nvalues; i++) {
		if (span_eq(list->values[i], address))
			return true;
	}
	return false;
}

/* Is it really an address of that entry? The index also has mail of those who are no recipients. */
static int verify(struct update *u, uint64_t eid, struct span address, bool *out)
{
	struct apply_context x = update_apply_context(u);
	struct attr_list attrs;
	struct attr addresses;
	struct entry e;
	int rc = store_entry(u->t, eid, &e);

	if (rc == RC_OK)
		rc = entry_decode_near(&e, u->a, &attrs);
	if (rc == RC_OK)
		rc = apply_addresses(&x, &attrs, &addresses);
	*out = rc == RC_OK && has(&addresses, address);
	return rc;
}

static int find_in(struct update *u, const char *type, struct span value, struct span address,
		   uint64_t self, uint64_t *out)
{
	const struct schema_attr *at = schema_attr(u->ctx->schema, span_of(type));
	uint64_t eid = 0;
	bool found = false;
	int rc = RC_OK;

	if (at == NULL || !at->is_indexed)
		return RC_OK;
	while (rc == RC_OK && !found &&
	       (rc = store_index_next(u->t, at->hash, value, eid, &eid)) == RC_OK) {
		if (eid != self)
			rc = verify(u, eid, address, &found);
	}
	if (found)
		*out = eid;
	return rc == RC_DONE ? RC_OK : rc;
}

/* Of entries that came with this load. One that is not there was in a batch that is done again. */
static int find_loaded(struct update *u, struct span address, uint64_t self, uint64_t *out)
{
	bool found = false;
	uint64_t eid;
	size_t at = 0;
	int rc = RC_OK;

	while (rc == RC_OK && !found && eid_hints_next(u->ctx->loaded, address, &at, &eid)) {
		if (eid != self)
			rc = verify(u, eid, address, &found);
		if (rc == RC_NOTFOUND)
			rc = RC_OK;
	}
	if (found)
		*out = eid;
	return rc;
}

/* Another entry with this address; 0: none. */
static int find_other(struct update *u, struct span address, uint64_t self, uint64_t *out)
{
	static const struct span smtp = {(const uint8_t *)"smtp:", 5};
	int rc;

	*out = 0;
	rc = find_in(u, "proxyAddresses", address, address, self, out);
	if (rc == RC_OK && *out == 0 && span_starts(address, smtp))
		rc = find_in(u, "mail", span_from(address, smtp.n), address, self, out);
	if (rc == RC_OK && *out == 0 && u->ctx->loaded != NULL)
		rc = find_loaded(u, address, self, out);
	return rc;
}

/* The first address that is new with this change and another entry's, in *address and *other. */
static int find_taken(struct update *u, const struct attr_list *old, const struct attr_list *now,
		      uint64_t self, struct span *address, uint64_t *other)
{
	struct apply_context x = update_apply_context(u);
	struct attr had = {.nvalues = 0}, has_now;
	unsigned i;
	int rc = apply_addresses(&x, now, &has_now);

	*other = 0;
	if (rc == RC_OK && old != NULL && has_now.nvalues != 0)
		rc = apply_addresses(&x, old, &had);
	for (i = 0; rc == RC_OK && *other == 0 && i < has_now.nvalues; i++) {
		*address = has_now.values[i];
		if (!has(&had, *address))
			rc = find_other(u, *address, self, other);
	}
	return rc;
}

static const char *name_of(struct update *u, uint64_t eid)
{
	const char *name = NULL;
	struct buf dn;

	buf_init(&dn, 4 * DN_MAX_BYTES);
	if (store_dn(u->t, eid, &dn) == RC_OK)
		name = arena_str(u->a, buf_span(&dn));
	buf_fini(&dn);
	return name != NULL ? name : "an entry that waits for its parent";
}

int update_check_addresses(struct update *u, const struct attr_list *old,
			   const struct attr_list *now, uint64_t self)
{
	struct span address;
	uint64_t other;
	int rc = find_taken(u, old, now, self, &address, &other);

	if (rc != RC_OK || other == 0)
		return rc;
	return result_set(u->why, u->a, LR_CONSTRAINT_VIOLATION,
			  "proxyAddresses: %s is an address of %s", arena_str(u->a, address),
			  name_of(u, other));
}

int update_note_conflict(struct update *u, const struct attr_list *old, const struct attr_list *now,
			 uint64_t self)
{
	struct span address;
	uint64_t other;
	int rc = find_taken(u, old, now, self, &address, &other);

	if (rc != RC_OK || other == 0)
		return rc;
	u->c->conflict = address;
	u->c->conflict_entry = span_of(name_of(u, self));
	u->c->conflict_other = span_of(name_of(u, other));
	return RC_OK;
}

int update_keep_addresses(struct update *u, const struct attr_list *now, uint64_t self)
{
	struct apply_context x = update_apply_context(u);
	struct attr addresses;
	unsigned i;
	int rc;

	if (u->ctx->loaded == NULL)
		return RC_OK;
	rc = apply_addresses(&x, now, &addresses);
	for (i = 0; rc == RC_OK && i < addresses.nvalues; i++)
		rc = eid_hints_put(u->ctx->loaded, addresses.values[i], self);
	return rc;
}
