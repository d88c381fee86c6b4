/*
 * Distinguished names: parse, write, normalize, compare (RFC 4514, X.501).
 *
 * One normal form for the whole project, so that store keys, pins, replication and routing can not
 * disagree: attribute types as their lower-case short name, values prepared with caseIgnoreMatch,
 * AVAs of an RDN sorted, minimal escapes.
 *
 *   "CN=Hill\, Ada , O=Example"  ->  "cn=hill\2c ada,o=example"
 */
#pragma once

#include "lib/arena.h"
#include "lib/buf.h"

#define DN_MAX_BYTES 8192
#define DN_MAX_RDNS 64
#define DN_MAX_AVAS 16 /* values of one RDN */

struct dn_ava {
	struct span type;  /* as written, e.g. "CN" or "2.5.4.3" */
	struct span value; /* unescaped bytes; BER contents octets for a #hex value */
};

struct dn_rdn {
	struct dn_ava *avas;
	unsigned n;
};

/** rdns[0] is the entry's own RDN, the last one is just below the root. n = 0: the empty DN. */
struct dn {
	struct dn_rdn *rdns;
	unsigned n;
};

/**
 * Parse RFC 4514 text (RFC 2253 leniencies: blanks around separators, ';' as separator, quotes).
 * Ownership: everything lies in the arena; types and unescaped values may point into `text`.
 * Errors   RC_INVALID, RC_TOOBIG (limits above), RC_NOMEM. *why (may be NULL) gets a static
 *          text that says what is wrong, e.g. "escape without two hex digits".
 */
int dn_parse(struct arena *a, struct span text, struct dn *out, const char **why) WARN_UNUSED;

/** Parse one RDN; text behind it is RC_INVALID. */
int dn_rdn_parse(struct arena *a, struct span text, struct dn_rdn *out,
		 const char **why) WARN_UNUSED;

/** Append RFC 4514 text. Types as written, values with the escapes of §2.4. */
void dn_rdn_write(const struct dn_rdn *rdn, struct buf *out);
void dn_write(const struct dn *dn, struct buf *out);

/**
 * Append the normal form of one RDN, or of a DN (RDNs joined by ',', own RDN first).
 *
 * In the normal form a `,` or `+` byte is always a separator: those inside values are \2c and \2b,
 * as are `"` `;` `<` `>` `\`, a leading `#` and a leading or trailing space. It is RFC 4514 text
 * whose own normal form is itself. A value that is no UTF-8 or holds prohibited code points is kept
 * byte by byte, what is not printable ASCII escaped.
 * Errors   RC_NOMEM; RC_TOOBIG from `out` or for an RDN of more than DN_MAX_AVAS values.
 */
int dn_rdn_normalize(const struct dn_rdn *rdn, struct buf *out) WARN_UNUSED;
int dn_normalize(const struct dn *dn, struct buf *out) WARN_UNUSED;

/** Parse and normalize in one go. Ownership: *out lies in the arena. Errors of both. */
int dn_normalize_text(struct arena *a, struct span text, struct span *out) WARN_UNUSED;

/** The name without its first `drop` RDNs; shares memory. */
static inline struct dn dn_ancestor(struct dn dn, unsigned drop)
{
	must(drop <= dn.n);
	return (struct dn){dn.rdns + drop, dn.n - drop};
}

/** The DN of a value of Name And Optional UID (RFC 4517 §3.3.21): what stands before `#'0101'B`, or
 * the whole value. */
struct span dn_of_name_uid(struct span value);

/** Of two *normal forms*: is `name` equal to or below `base`? "" is above everything. */
bool dn_is_within(struct span name_normal, struct span base_normal);

/** Lower-case short name of an attribute type used in DNs ("2.5.4.3", "commonName" -> "cn"); else
 * the folded type itself. */
int dn_type_normalize(struct span type, struct buf *out) WARN_UNUSED;
