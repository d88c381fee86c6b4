/*
 * Pure: a change and the old entry give the new entry (RFC 4511 §4.6, §4.7, §4.9; RFC 4525), and
 * two entries give the rows by which the value index differs.
 *
 * Time, actor and memory come in; nothing is read or written. Refusals carry an LDAP result.
 */
#pragma once

#include "dird/change.h"
#include "dird/schema.h"

struct apply_context {
	const struct schema *schema;
	struct arena *arena; /* of everything that comes out */
	int64_t wall_us;     /* for timestamps */
	unsigned max_values; /* of an attribute that names no entries; 0: any number */
	/** Has the old entry a row of the value index with this value? Asked where an attribute has
	 * many values. NULL: not known, they are looked at one by one. */
	bool (*has_value)(const void *ctx, uint32_t attr, struct span normal);
	const void *ctx;
};

/** An entry's content, ready for entry_build(). */
struct apply_entry {
	struct attr_list attrs;
	enum entry_run *runs;
};

/**
 * The content of a new entry: canonical, with the values of its RDN, checked against the schema,
 * and with its operational attributes. `uuid` is the one to give; with change.may_set_operational
 * the attributes may bring their own (and timestamps and creators), which is then put into *uuid.
 * Errors   RC_REFUSED with *why: 17, 19, 20, 21, 64, 65.
 */
int apply_add(const struct apply_context *x, const struct change *c, struct uuid *uuid,
	      struct apply_entry *out, struct result *why) WARN_UNUSED;

/**
 * The content after all modifications, in order (RFC 4511 §4.6). All or none.
 * Errors   RC_REFUSED with *why: 2 (add without values), 16, 17, 18, 19, 20, 21, 65, 67, 69.
 */
int apply_modify(const struct apply_context *x, const struct entry *old, const struct change *c,
		 struct apply_entry *out, struct result *why) WARN_UNUSED;

/**
 * The content under a new RDN: its values are added, those of the old RDN removed if wanted.
 * Errors   RC_REFUSED with *why: 17, 19, 21, 64, 65.
 */
int apply_rename(const struct apply_context *x, const struct entry *old, const struct change *c,
		 struct apply_entry *out, struct result *why) WARN_UNUSED;

/**
 * The content of a replicated entry: as the origin sent it. No schema refuses it (a replica may
 * know less than the origin); attributes that are computed on reading are left out.
 */
int apply_put(const struct apply_context *x, const struct change *c,
	      struct apply_entry *out) WARN_UNUSED;

/**
 * The content of an entry whose values of type `at` name another entry, when that one is called
 * *new_name (text) instead of old_normal (normal form), or is gone (NULL).
 * Errors   RC_NOTFOUND: no value names it; RC_REFUSED with *why: the schema wants the value to
 * stay.
 */
int apply_mend(const struct apply_context *x, const struct entry *old, const struct change *c,
	       const struct schema_attr *at, struct span old_normal, const struct span *new_name,
	       struct apply_entry *out, struct result *why) WARN_UNUSED;

/**
 * The proxy addresses of a recipient (class mailRecipient or customRecipient), each once: values of
 * proxyAddresses, and of mail with smtp: in front, prepared for comparison. Anybody else has none.
 */
int apply_addresses(const struct apply_context *x, const struct attr_list *attrs,
		    struct attr *out) WARN_UNUSED;

/** Names that changed together, as a subtree's do when it moves. */
struct apply_moves {
	/** The new name, as text, of what was called `old_normal` (normal form); NULL: it has kept
	 * its name. */
	const struct span *(*now)(const void *ctx, struct span old_normal);
	const void *ctx;
};

/**
 * The content of an entry when everything that its references name has moved: in one pass over
 * their values, whatever their number. A value that then says what another one says goes. Errors as
 * apply_mend().
 */
int apply_mend_all(const struct apply_context *x, const struct entry *old, const struct change *c,
		   const struct apply_moves *moves, struct apply_entry *out,
		   struct result *why) WARN_UNUSED;

/** enum entry_flag bits of an entry with these attributes. */
uint8_t apply_flags(const struct schema *s, const struct attr_list *attrs);

/** One row of the value index: attribute and normalized value, cut. */
struct apply_key {
	uint32_t attr;
	bool has_parts; /* the type has a substrings rule: it is in the n-gram index, too */
	struct span value;
};

struct apply_keys {
	struct apply_key *at;
	unsigned n;
};

/** Values of the index are cut to this many bytes. */
#define APPLY_VALUE_MAX_BYTES 496

/**
 * The rows an entry has in the value index, sorted, no row twice. Memory from the arena.
 *
 * One row a value under the hash of its type. A value of a type that compares without case has a
 * second row, under schema_attr.accents_hash, with its form without accents, but only where that
 * is another form: a look-up without accents asks for the same bytes in both runs.
 */
int apply_keys(const struct schema *s, const struct attr_list *attrs, struct arena *a,
	       struct apply_keys *out) WARN_UNUSED;

/** Rows only in `from`, or only in `to`, go to fn; both lists as apply_keys() gives them. */
void apply_delta(const struct apply_keys *from, const struct apply_keys *to,
		 void (*fn)(void *ctx, const struct apply_key *key, bool is_new), void *ctx);

/**
 * The rows by which two contents of one entry differ, as apply_delta() of all their rows would give
 * them. Values are brought to normal form only where attributes differ, and of long lists of names
 * only the values that do.
 */
int apply_differences(const struct schema *s, const struct attr_list *from,
		      const struct attr_list *to, struct arena *a,
		      void (*fn)(void *ctx, const struct apply_key *key, bool is_new),
		      void *ctx) WARN_UNUSED;

/** Does objectClass of these attributes name `class` (or one of its aliases)? */
bool apply_has_class(const struct schema *s, const struct attr_list *attrs, const char *class);
