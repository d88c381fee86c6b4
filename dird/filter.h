/*
 * Search filters: decode, evaluate with three values (RFC 4511 §4.5.1.7, RFC 4515, RFC 4526).
 *
 * Assertion values are normalized once, when the filter is decoded. Evaluation looks into stored
 * entries.
 */
#pragma once

#include "dird/schema.h"

#define FILTER_MAX_DEPTH 200
#define FILTER_MAX_TERMS 100000

enum filter_kind {
	FILTER_AND,
	FILTER_OR,
	FILTER_NOT,
	FILTER_EQUAL,
	FILTER_SUBSTR,
	FILTER_GE,
	FILTER_LE,
	FILTER_PRESENT,
	FILTER_APPROX, /* of text: sounds alike (dird/sound.h); else as equality */
	FILTER_EXTENSIBLE,
	FILTER_UNDEFINED, /* unknown type, or an assertion that is not of its syntax */
};

struct filter {
	enum filter_kind kind;
	struct filter **subs; /* AND, OR, NOT (one) */
	unsigned nsubs;
	const struct schema_attr *at;           /* NULL: extensible match without a type */
	const struct schema_attr *const *types; /* at and its subtypes, NULL-terminated */
	struct span options;   /* ";lang-de" of the description, folded; "" if none */
	enum schema_norm norm; /* of the rule that compares */
	struct span value;     /* normalized; substrings: initial part, .p NULL if none */
	struct span *any;      /* substrings */
	unsigned nany;
	struct span final; /* .p NULL if none */
	struct span
		prefix; /* substrings: what every matching normal form begins with; "" if unknown */
	bool spaced;    /* a part begins or ends with a space: compared in long form, see
			   filter_spaces() */
	bool dn_attrs;  /* extensible :dn: */
	const struct schema_rule *rule; /* extensible: the rule named, or NULL */
	enum filter_kind match; /* how `value` is compared: EQUAL, SUBSTR, GE, LE, APPROX, or AND
				   for "less than" of an ordering rule in an extensible match */
};

enum filter_result { FILTER_FALSE, FILTER_TRUE, FILTER_UNKNOWN };

/**
 * Decode one Filter element from *rest.
 * Ownership: in the arena. Errors: RC_INVALID with *why set, RC_TOOBIG past the limits above,
 * RC_NOMEM.
 */
int filter_read(const struct schema *s, struct span *rest, struct arena *a, struct filter **out,
		const char **why) WARN_UNUSED;

/** What a site does with substrings whose beginning is not given ("*x*"), as Exchange's three modes
 * (KB Q224105). */
enum filter_substrings {
	FILTER_SUBSTR_ALLOW,
	FILTER_SUBSTR_AS_INITIAL, /* the first part given is what values begin with */
	FILTER_SUBSTR_REFUSE,
};

/** filter_read() in one of these modes. RC_DENIED: refused, with *why set. */
int filter_read_as(const struct schema *s, enum filter_substrings mode, struct span *rest,
		   struct arena *a, struct filter **out, const char **why) WARN_UNUSED;

/**
 * RFC 4515 text to the Filter element's BER, appended to out. For views, tools and tests. Blanks
 * between filters and one item without parentheses are taken, too.
 * Errors: RC_INVALID with *why set, RC_TOOBIG deeper than FILTER_MAX_DEPTH, buf failures.
 */
int filter_from_text(struct span text, struct buf *out, const char **why) WARN_UNUSED;

/**
 * The filter that (anr=text) stands for, as BER: a naming attribute (names, nickname, office,
 * addresses) begins with the text; of two words the first and the rest are given name and surname
 * in either order. "=text" asks for the whole value. filter_read() does this by itself, and
 * compares the names without accents (SCHEMA_NORM_ACCENTS). Source:
 * Exchange KB Q146024; MS-ADTS 3.1.1.3.1.3.3.
 */
void filter_anr(struct span text, struct buf *out);

/** What the reader may use in a match, and values that are computed on reading. */
struct filter_view {
	/** A filter on what one may not read is Undefined (S12). */
	bool (*may_read)(const void *ctx, const struct schema_attr *at, struct span description);
	/** hasSubordinates, entryDN, memberOf ...: the values of a computed attribute as contents
	 * of a SET OF, or false. */
	bool (*computed)(const void *ctx, const struct entry *e, const struct schema_attr *at,
			 struct span *values);
	/** Asked for values that name entries (schema_attr.names_entries): one that the reader may
	 * not know of is as if it were not there. NULL: he sees all. */
	bool (*sees_value)(const void *ctx, const struct entry *e, const struct schema_attr *at,
			   struct span value);
	const void *ctx;
	struct span dn_normal; /* of the entry, for :dn: matches; may be empty */
};

/**
 * Evaluate. Out of memory and undecodable values count as Undefined. `scratch` is cleared at will.
 * `view` may be NULL: everything may be read, nothing is computed.
 */
enum filter_result filter_match(const struct filter *f, const struct schema *s,
				const struct entry *e, const struct filter_view *view,
				struct buf *scratch);

/**
 * The long form of prepared text, RFC 4518 §2.6.1 to the letter: one space at each end, two for
 * each inner one. Only there "a " matches inside "a". `before` and `after`: add the outer spaces.
 */
void filter_spaces(struct span prepared, bool before, bool after, struct buf *out);

/**
 * Append a form that filters share which say the same in other words: conjunctions of conjunctions,
 * another sequence, repetitions, (objectClass=*) which every entry matches, names of types and
 * classes. Filters with different forms may still mean the same.
 * Errors   RC_NOMEM, RC_TOOBIG from `out`.
 */
int filter_same(const struct filter *f, struct buf *out) WARN_UNUSED;
