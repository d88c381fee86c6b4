/* What the schema_*.c files share: definitions as read, and the loaded object. Nobody else's. */
#pragma once

#include "dird/schema.h"

/** One definition as read; strings and lists lie in the schema's arena. */
struct schema_def {
	struct schema_def *next;
	enum schema_kind kind; /* SCHEMA_ATTRIBUTE_TYPES or SCHEMA_OBJECT_CLASSES */
	const char *file;
	unsigned line;
	const char *oid;
	const char **names; /* lists are NULL-terminated; NULL when absent */
	const char *desc;
	bool obsolete;
	const char **sups;
	/* attribute types */
	const char *equality;
	const char *ordering;
	const char *substr;
	const char *syntax; /* without the upper bound */
	unsigned upper_bound;
	bool single;
	bool collective;
	bool no_user_modification;
	bool is_indexed;
	bool is_protected;
	enum schema_usage usage;
	/* object classes */
	enum schema_class_kind class_kind;
	const char **must;
	const char **may;
	/* set when resolved */
	struct schema_attr *attr;
	struct schema_class *class;
	const struct schema_def *sup_def; /* of an attribute type */
};

/** objectidentifier NAME OID */
struct schema_macro {
	struct schema_macro *next;
	const char *name;
	const char *oid;
};

/** Names and OIDs of one kind, folded, to definitions. */
struct schema_names {
	struct schema_def **slots;
	struct span *keys;
	size_t size; /* power of two */
};

struct schema {
	struct arena mem;
	struct schema_def *defs;
	struct schema_def **defs_end;
	struct schema_macro *macros;
	struct schema_names attr_names;
	struct schema_names class_names;
	struct schema_attr *attrs;
	unsigned nattrs;
	struct schema_class *classes;
	unsigned nclasses;
	const struct schema_attr ***subtypes; /* by schema_attr.id */
	const struct schema_attr **references;
	const char *const *definitions[4]; /* by enum schema_kind */
	unsigned nerrors;
};

struct schema_syntax {
	const char *oid;
	const char *desc;
	int (*check)(const struct schema *s, struct span value); /* RC_OK, RC_INVALID, RC_NOMEM */
};

/** Append the definitions of one file to s->defs. RC_NOMEM, else RC_OK with s->nerrors counted. */
int schema_parse(struct schema *s, const char *file, struct span text,
		 struct buf *errors) WARN_UNUSED;

/** Turn s->defs into attrs, classes and their relations. As schema_parse(). */
int schema_resolve(struct schema *s, struct buf *errors) WARN_UNUSED;

/** Write s->definitions. RC_NOMEM. */
int schema_publish(struct schema *s) WARN_UNUSED;

/** One "file:line: what is wrong" line. */
void schema_error(struct schema *s, struct buf *errors, const char *file, unsigned line,
		  const char *fmt, ...) __attribute__((format(printf, 5, 6)));

struct schema_def *schema_names_find(const struct schema_names *names, struct span key);

const struct schema_syntax *schema_syntax(const char *oid);

/** Tables for publishing; ended by a NULL oid. */
extern const struct schema_syntax schema_syntaxes[];
extern const struct schema_rule schema_rules[];

/** Well-formed RFC 4512 §1.4 descr or numericoid? */
bool schema_is_descr(struct span s);
bool schema_is_numericoid(struct span s);

/* Checks of syntaxes, as schema_syntax.check: RFC 4517 §3.3.29, and those of schema_lists.c. */
int schema_check_printable(const struct schema *s, struct span v) WARN_UNUSED;
int schema_check_postal(const struct schema *s, struct span v) WARN_UNUSED;
int schema_check_delivery(const struct schema *s, struct span v) WARN_UNUSED;
int schema_check_fax_number(const struct schema *s, struct span v) WARN_UNUSED;
int schema_check_telex(const struct schema *s, struct span v) WARN_UNUSED;
int schema_check_teletex(const struct schema *s, struct span v) WARN_UNUSED;
int schema_check_mailbox(const struct schema *s, struct span v) WARN_UNUSED;

/** The form of SCHEMA_NORM_CERT, of a certificate or of an assertion. */
int schema_certificate(const struct schema *s, struct span value, struct buf *out) WARN_UNUSED;

/** Forms of SCHEMA_NORM_WORDS and SCHEMA_NORM_KEYWORDS; just " " or "," where there are none. */
int schema_words(struct span value, struct buf *out) WARN_UNUSED;
int schema_keywords(struct span value, struct buf *out) WARN_UNUSED;

/** The normal form of a Generalized Time; RC_INVALID if it is none. */
int schema_time(struct span value, struct buf *out) WARN_UNUSED;

/**
 * The normal form of a DN without escapes, blanks and other special cases, in one pass. false: it
 * is not that simple (or no DN), nothing was appended. `out` may be NULL.
 */
bool schema_plain_dn(struct span v, struct buf *out);

#define SCHEMA_SHOWN_BYTES 64

struct schema_shown {
	char text[SCHEMA_SHOWN_BYTES + 4];
};

/** Peer text for a diagnostic message: UTF-8 without control characters, and not long. */
const char *schema_show(struct span s, struct schema_shown *out);

/** As schema_show(); values of protected types (passwords) appear in no message. */
const char *schema_show_value(const struct schema_attr *at, struct span s,
			      struct schema_shown *out);
