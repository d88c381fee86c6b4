/* What the apply*.c files share: attributes being changed. Nobody else's. */
#pragma once

#include "dird/apply.h"
#include "lib/dn.h"

/* Attributes being changed: an array with room for more. */
struct apply_work {
	const struct apply_context *x;
	struct attr *attrs;
	unsigned n, room;
	const struct entry *old; /* where values of theirs are that are stored apart; NULL: none */
	struct result *why;
};

/** Printable and short, for messages; protected values are hidden. */
const char *apply_show(struct apply_work *w, struct span s);
const char *apply_show_value(struct apply_work *w, const struct schema_attr *at, struct span v);

/** RC_REFUSED with "type: what". */
int apply_refuse(struct apply_work *w, enum ldap_result code, const char *what, struct span type);

/** Begin with the attributes of `from` and room for `more` further ones; `old` as it then is. */
int apply_work_init(struct apply_work *w, const struct apply_context *x, struct attr_list from,
		    unsigned more, struct result *why) WARN_UNUSED;
/** Begin with all attributes of an entry. */
int apply_work_open(struct apply_work *w, const struct apply_context *x, const struct entry *old,
		    unsigned more, struct result *why) WARN_UNUSED;

/** By description, options included; NULL. */
struct attr *apply_find(struct apply_work *w, struct span description);
/** The same; takes from the room. */
struct attr *apply_find_or_new(struct apply_work *w, struct span description);

/** Make it the only value. */
int apply_set(struct apply_work *w, const char *type, struct span value) WARN_UNUSED;
int apply_set_text(struct apply_work *w, const char *type, const char *value) WARN_UNUSED;

/** Index of the value that matches, or nvalues. */
int apply_match(struct apply_work *w, const struct schema_attr *at, const struct attr *in,
		struct span value, unsigned *out) WARN_UNUSED;
int apply_append(struct apply_work *w, struct attr *to, const struct attr *more) WARN_UNUSED;
int apply_remove(struct apply_work *w, struct attr *from, unsigned i) WARN_UNUSED;

/** A value of an attribute, wherever it is. */
struct apply_found {
	bool is_there;
	bool is_apart; /* stored apart, at `place` */
	unsigned i;    /* else index in attr.values */
	struct entry_place place;
	struct span value; /* apart: in the map */
};

/** The value that matches. Of values that are stored apart it is looked up. */
int apply_find_value(struct apply_work *w, const struct schema_attr *at, const struct attr *in,
		     struct span value, struct apply_found *out) WARN_UNUSED;
/** Remove it. */
int apply_take_away(struct apply_work *w, struct attr *from,
		    const struct apply_found *found) WARN_UNUSED;
/** apply_append(), so that apply_find_value() finds them. */
int apply_append_found(struct apply_work *w, const struct schema_attr *at, struct attr *to,
		       const struct attr *more) WARN_UNUSED;
/** The next of the values stored apart that name this entry; begin with a zeroed *at_place.
 * RC_DONE.
 */
int apply_find_named(struct apply_work *w, const struct schema_attr *at, const struct attr *in,
		     struct span name_normal, struct apply_found *at_place) WARN_UNUSED;
/** Values that are stored apart come into attr.values, whatever their number. */
int apply_whole(struct apply_work *w, struct attr *at) WARN_UNUSED;

/** The first RDN of a stored name (the root's has several). */
int apply_parse_rdn(struct apply_work *w, struct span text, struct dn_rdn *out) WARN_UNUSED;
int apply_add_rdn(struct apply_work *w, const struct dn_rdn *rdn) WARN_UNUSED;
int apply_remove_rdn(struct apply_work *w, const struct dn_rdn *rdn) WARN_UNUSED;

/** Check the whole entry; *structural gets its class. Attributes without values go. */
int apply_check(struct apply_work *w, const struct dn_rdn *rdn,
		const char **structural) WARN_UNUSED;

/** A client has given values to the attribute: are they too many? 11. */
int apply_check_count(struct apply_work *w, const struct schema_attr *at,
		      const struct attr *attr) WARN_UNUSED;

/** modifyTimestamp and modifiersName. */
int apply_touch(struct apply_work *w, const struct change *c) WARN_UNUSED;

/** Is this an operational attribute that a load may bring along? */
bool apply_may_bring(const char *name);

/** Attributes without values go, and each gets its run. */
int apply_finish(struct apply_work *w, struct apply_entry *out) WARN_UNUSED;
