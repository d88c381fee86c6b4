/*
 * Attribute types, object classes, syntaxes and matching rules (RFC 4512, RFC 4517), read from
 * schema/.
 *
 * One immutable object after schema_load(), shared by all threads. Definitions are RFC 4512 §4.1
 * text, so the subschema entry publishes what was read.
 */
#pragma once

#include "dird/entry.h"
#include "dird/result.h"
#include "lib/buf.h"
#include "lib/text.h"

/** What a rule does with a value: the normal form for comparison and as index key is one of these.
 */
enum schema_norm {
	SCHEMA_NORM_NONE,   /* no such rule: values can be neither compared nor indexed */
	SCHEMA_NORM_OCTETS, /* as is */
	SCHEMA_NORM_IGNORE, /* text_prepare(TEXT_IGNORE_CASE) */
	SCHEMA_NORM_EXACT,
	SCHEMA_NORM_NUMERIC,
	SCHEMA_NORM_TELEPHONE,
	SCHEMA_NORM_DN,      /* dn_normalize() */
	SCHEMA_NORM_INTEGER, /* ordered bytes: sign, length, magnitude */
	SCHEMA_NORM_BOOLEAN,
	SCHEMA_NORM_TIME, /* generalizedTime in UTC with full digits */
	SCHEMA_NORM_UUID,
	SCHEMA_NORM_OID,  /* descriptor or number to the canonical name */
	SCHEMA_NORM_LIST, /* caseIgnoreListMatch: each line as SCHEMA_NORM_IGNORE, '$' between */
	SCHEMA_NORM_NAME_UID,  /* uniqueMemberMatch: DN and an optional #'01'B */
	SCHEMA_NORM_OID_FIRST, /* objectIdentifierFirstComponentMatch */
	SCHEMA_NORM_CERT,      /* certificateExactMatch: serial number and issuer */
	SCHEMA_NORM_INTEGER_FIRST,
	SCHEMA_NORM_STRING_FIRST, /* directoryStringFirstComponentMatch */
	SCHEMA_NORM_WORDS, /* wordMatch: " ada hill ", matched if the assertion's form is in it */
	SCHEMA_NORM_KEYWORDS, /* keywordMatch: ",mail server,unix,", likewise */
	SCHEMA_NORM_ACCENTS,  /* caseIgnoreAccentsMatch: text_prepare(TEXT_IGNORE_ACCENTS) */
	SCHEMA_NORM_COLLATE,  /* collationOrderingMatch: collate_key() */
	SCHEMA_NORM_SOUND,    /* approximate match of text: sound_code(), sound_match() */
};

/** A matching rule the server knows (RFC 4517 §4, RFC 4530, RFC 4523). */
struct schema_rule {
	const char *oid;
	const char *name;
	const char *syntax; /* OID of the assertion syntax */
	enum schema_rule_kind { SCHEMA_EQUALITY, SCHEMA_ORDERING, SCHEMA_SUBSTRINGS } kind;
	enum schema_norm norm;
};

struct schema_syntax; /* private to the schema files */

enum schema_usage {
	SCHEMA_USER,
	SCHEMA_DIRECTORY_OPERATION,
	SCHEMA_DISTRIBUTED_OPERATION,
	SCHEMA_DSA_OPERATION,
};

struct schema_attr {
	const char *oid;
	const char *name;         /* canonical: first NAME, or the OID */
	const char *const *names; /* NULL-terminated */
	const struct schema_attr *sup;
	enum schema_norm equality;
	enum schema_norm ordering; /* SCHEMA_NORM_NONE: no ordering rule */
	enum schema_norm substr;
	const char *equality_rule;           /* name, for messages; NULL if none */
	const char *syntax;                  /* OID */
	const struct schema_syntax *checker; /* NULL: a syntax we do not know */
	bool single;
	bool no_user_modification;
	bool is_protected;  /* X-WAYPOST 'protected': never shown to ordinary readers */
	bool is_indexed;    /* X-WAYPOST 'index': ordered value index (equality, prefix, range,
			       presence) */
	bool names_entries; /* a user attribute whose values are DNs, or DNs with a #'01'B; but not
			       aliasedObjectName, without which an alias is none */
	enum schema_usage usage;
	uint32_t hash;         /* entry_type_hash(name) */
	uint32_t accents_hash; /* of a second index run, see apply_keys(); 0: has none */
	unsigned id;           /* 0 .. number of types - 1 */
};

enum schema_class_kind { SCHEMA_ABSTRACT, SCHEMA_STRUCTURAL, SCHEMA_AUXILIARY };

struct schema_class {
	const char *oid;
	const char *name;
	const char *const *names;
	const struct schema_class *const *sups; /* NULL-terminated */
	enum schema_class_kind kind;
	const struct schema_attr *const *must; /* own ones, without those of superclasses */
	const struct schema_attr *const *may;
	const uint64_t *must_bits; /* by schema_attr.id, with those of superclasses */
	const uint64_t *may_bits;  /* includes must_bits */
	unsigned id;
};

struct schema;

/**
 * Read every *.schema file of a folder, in name order.
 *
 * A file holds `attributetype ( ... )` and `objectclass ( ... )` with RFC 4512 §4.1 text, and
 * `objectidentifier NAME OID` for shorthands (NAME:1.2); `#` begins a comment. Names may be used
 * before they are defined, across files. The private extension X-WAYPOST takes 'index' and
 * 'protected'.
 * Errors   RC_INVALID with "file:line: what is wrong" lines in `errors`; RC_NOTFOUND, RC_NOMEM.
 */
int schema_load(const char *folder, struct schema **out, struct buf *errors) WARN_UNUSED;
void schema_free(struct schema **s);

/** By any name or OID, options ignored, case folded; NULL if unknown. */
const struct schema_attr *schema_attr(const struct schema *s, struct span description);
const struct schema_class *schema_class(const struct schema *s, struct span name_or_oid);

/** A matching rule by name or OID; NULL if the server has none such. */
const struct schema_rule *schema_rule(struct span name_or_oid);

/** May `rule` compare values of this type? (Its values have a syntax the rule is defined for.) */
bool schema_rule_applies(const struct schema_rule *rule, const struct schema_attr *at);

/**
 * The natural order of a type: values sorted by this normal form are in the order people expect.
 * Unicode collation for text, else the type's ordering or equality rule, else the bytes.
 */
enum schema_norm schema_natural(const struct schema_attr *at);

/**
 * The order of a list sorted by a type under an ordering rule (NULL: none was named). A rule that
 * only says "without regard to case" means the natural order of text, too: clients that must name
 * some rule name caseIgnoreOrderingMatch, and do not ask for code points.
 */
enum schema_norm schema_list_order(const struct schema_rule *rule, const struct schema_attr *at);

/** `at` and all types below it in the SUP tree, `at` first. NULL-terminated; owned by the schema.
 */
const struct schema_attr *const *schema_subtypes(const struct schema *s,
						 const struct schema_attr *at);

/** The types with names_entries that have an index and are for users to change: those whose values
 * follow when an entry gets another name. NULL-terminated; owned by the schema. */
const struct schema_attr *const *schema_references(const struct schema *s);

/** Do a normal form and a DN differ plainly, in the value of their first RDN? Costs no parsing;
 * false: they may be equal. */
bool schema_dn_differs(struct span normal, struct span dn);

/** Is `c` the same as or a subclass of `of`? */
bool schema_class_is(const struct schema_class *c, const struct schema_class *of);

/** In which run of the record an attribute is stored. Unknown types are public. */
enum entry_run schema_run(const struct schema *s, struct span description);

/** All definitions of one kind as text ("( 2.5.4.3 NAME 'cn' ... )"), for the subschema entry.
 * NULL-terminated. */
enum schema_kind {
	SCHEMA_ATTRIBUTE_TYPES,
	SCHEMA_OBJECT_CLASSES,
	SCHEMA_SYNTAXES,
	SCHEMA_MATCHING_RULES,
};
const char *const *schema_definitions(const struct schema *s, enum schema_kind kind);

/**
 * Append the normal form of a value for one rule. Equal forms mean matching values; where the rule
 * orders, byte order is its order. Errors   RC_INVALID: the value is not of the rule's syntax (an
 * assertion is then Undefined).
 */
int schema_normalize(const struct schema *s, enum schema_norm norm, struct span value,
		     struct buf *out) WARN_UNUSED;

/**
 * As schema_normalize() for one part of a substrings assertion. Errors   RC_INVALID also for rules
 * that have no substrings.
 */
int schema_normalize_part(enum schema_norm norm, enum text_part part, struct span value,
			  struct buf *out) WARN_UNUSED;

/** Does the value have the attribute's syntax? RC_OK or RC_INVALID; unknown syntaxes accept
 * everything. */
int schema_check_value(const struct schema *s, const struct schema_attr *at,
		       struct span value) WARN_UNUSED;

/**
 * Bring attributes of a request into stored form: canonical names (options folded and sorted), same
 * descriptions merged, equal values refused (20), unknown types refused (17), bad syntax (21), too
 * many values of a single-valued type (19). Errors   RC_REFUSED with *why filled; RC_NOMEM.
 */
int schema_canonical(const struct schema *s, const struct attr_list *in, struct arena *a,
		     struct attr_list *out, struct result *why) WARN_UNUSED;

/**
 * Check a whole entry against its object classes: one structural class chain, MUST, MAY (65), RDN
 * values present (64). extensibleObject allows every attribute. Adds missing superclasses to
 * objectClass and yields the structural class. `attrs` are canonical; operational attributes are
 * not looked at. Errors   RC_REFUSED with *why naming attribute, class and rule.
 */
int schema_check_entry(const struct schema *s, struct span rdn, struct attr_list *attrs,
		       struct arena *a, const struct schema_class **structural_out,
		       struct result *why) WARN_UNUSED;
