/*
 * What the op_*.c files share among themselves: entries that are computed, selection, values.
 */
#pragma once

#include "dird/filter.h"
#include "dird/op.h"
#include "dird/op_sight.h"
#include "dird/server.h"

/** Does the entry have class referral? *ref_out is its `ref` attribute (RFC 3296 §2). */
bool op_entry_is_referral(const struct entry *e, struct entry_attr *ref_out);

/** Is it an alias entry, and which name does it stand for? */
bool op_entry_is_alias(const struct entry *e, struct span *target_out);

/**
 * Find the base of a search, following aliases on the way if derefAliases says so.
 * Returns  as op_find_entry(); op->result may also be 33 (the alias names no entry) or 36 (circle),
 *          with the name of the alias in matchedDN.
 */
int op_find_base(struct op *op, struct store_txn *t, const struct dn *dn,
		 uint64_t *eid_out) WARN_UNUSED;

/**
 * Find the entry a request names, as op_find_entry() does, with the refusal in *why. Any thread
 * that has the transaction.
 */
int op_resolve(struct op *op, struct store_txn *t, const struct dn *dn, uint64_t *eid_out,
	       struct result *why) WARN_UNUSED;

/**
 * Would an answer about this entry, or with `is_subtree` what is below it, come from a copy of
 * another site's entries? RC_REFUSED: 10 with that site's servers, or 53, in *why (RFC 6171 §3).
 */
int op_check_copy(struct op *op, struct store_txn *t, uint64_t eid, bool is_subtree,
		  struct result *why) WARN_UNUSED;

/** Does the assertion control hold for this entry? RC_REFUSED: 122 in *why. Any thread that has the
 * transaction. */
int op_assert(struct op *op, struct store_txn *t, uint64_t eid, struct result *why) WARN_UNUSED;

/**
 * Append the URI to give to a client that met a referral entry (RFC 3296 §5, §6).
 * ref: a `ref` value. `below`: how many RDNs of `target` lie below the referral entry; they go in
 * front of the name in the URI, or all of `target` stands where the URI names nothing. suffix:
 * "??sub" or "". Scope, filter and extensions of the value are left out; what is no LDAP URI is
 * appended as it is.
 */
int op_referral_uri(struct span ref, const struct dn *target, unsigned below, const char *suffix,
		    struct buf *out) WARN_UNUSED;
/** The same for all values of `ref`, in the arena, each ended by a NUL. */
int op_referral_uris(struct arena *a, const struct entry_attr *ref, const struct dn *target,
		     unsigned below, const char *suffix, struct span **out,
		     unsigned *n_out) WARN_UNUSED;

/** The values of a stored attribute as a list in the arena (the spans point into the record). */
int op_values(struct arena *a, const struct entry_attr *at, struct span **out,
	      unsigned *n_out) WARN_UNUSED;

/** Normal form of a DN, in the arena. */
int op_normal_dn(struct arena *a, const struct dn *dn, struct span *out) WARN_UNUSED;

/** Values that follow from an entry's place or from other entries instead of being stored: appends
 * them as contents of a SET OF. false: there is none. */
bool op_computed(struct op_sight *v, uint64_t eid, const struct entry *e,
		 const struct schema_attr *at, struct buf *values);

/** viewEntries and viewState of an addressBookView, as contents of a SET OF; false: it has none.
 * How many entries are on it for this reader (not while it is being built); how it is. */
bool op_view_entries(struct op_sight *v, const struct entry *e, struct buf *out);
bool op_view_state(struct op_sight *v, const struct entry *e, struct buf *out);

/** A filter's view of one entry as this operation's identity sees it. */
struct op_view {
	struct op *op;
	struct store_txn *t; /* NULL: a virtual entry, which may be read */
	uint64_t eid;
	struct buf *value; /* of a computed attribute */
	struct op_sight sight;
	struct filter_view view;
};
/** `value` is used as a scratch buffer as long as the view is; that is one transaction, or several
 * of an identity that sees everything. */
void op_view_init(struct op_view *v, struct op *op, struct buf *value);
/** Look at another entry from now on. dn_normal: for :dn: matches, else empty. */
void op_view_set(struct op_view *v, struct store_txn *t, uint64_t eid, struct span dn_normal);

/** About how many bytes the entry has on its way out, for tlv_open_about(). */
size_t op_entry_about(const struct op_selection *sel, const struct entry *e);
/** SearchResultEntry of an entry whose DN is known: what op_entry_write() does. */
int op_entry_write_named(struct op_sight *v, uint64_t eid, const struct entry *e, struct span dn,
			 const struct op_selection *sel, struct buf *out) WARN_UNUSED;
/** As op_selection_make(), in an arena of the caller's choice. */
int op_selection_make_in(struct op *op, struct arena *a, const struct span *attrs, unsigned nattrs,
			 bool types_only, struct op_selection **out) WARN_UNUSED;

/**
 * Before a request: a site whose key was taken back, a user whose entry is gone and a token that
 * was used or has expired lose their rights; the connection is anonymous from then on. Costs
 * nothing while nobody writes. Errors of the store: nothing has changed.
 */
int op_session_check(struct conn *c) WARN_UNUSED;
/** Does a siteKey of the entry pin this key? */
bool op_entry_has_pin(const struct entry *e, struct span pin);
bool op_token_is_expired(const struct server *s, const struct entry *e);

/** Password Modify (RFC 3062). */
void op_passwd(struct op *op);

/* --- entries that exist only while they are read: root DSE, subschema, monitor --- */

struct op_virtual {
	struct span dn; /* as shown */
	unsigned depth; /* RDNs */
	struct span record;
};

/** Is this name (normal form) the root DSE, the subschema entry or at or below cn=monitor? */
bool op_is_virtual(struct span dn_normal);
/** May the identity read at this name at all? Everybody may read the root DSE and the subschema. */
bool op_may_read_at(const struct op *op, struct span dn_normal);
/**
 * The virtual entries in scope, as records in the arena.
 * RC_NOTFOUND: no such entry.
 */
int op_virtual_make(struct op *op, struct arena *a, struct span base_normal, int64_t scope,
		    struct op_virtual **out, unsigned *n_out) WARN_UNUSED;

/* --- paged results --- */

/** Drop what waits for further pages (new identity, end of the connection). */
void op_paged_free_all(struct conn *c);
