/*
 * The grammars of routing attribute values (docs/routing.md), each parsed in one place.
 *
 *   connectedDomains  site;cost;TYPE:routing-address
 *   routingList       TYPE:pattern;cost[;scope]        scope "org" (default) or "site"
 *   domainRoute       domain;host
 *   smartHost         host | [host] | [host]:port
 *
 * `\;` stands for a ';' inside a field; every other backslash is itself. A cost is 1..100 without
 * leading zeros. An error names what is wrong (a static text) and the column, 1-based, in bytes.
 */
#pragma once

#include "lib/arena.h"
#include "lib/buf.h"

#define ADDRESS_COST_MAX 100
#define ADDRESS_VALUE_MAX_BYTES 1024

struct address_error {
	const char *reason; /* static */
	unsigned column;    /* 1-based; 0: the value as a whole */
};

struct address_cd {
	struct span site; /* unescaped, trimmed */
	unsigned cost;
	struct span type;    /* upper case */
	struct span address; /* unescaped */
};

struct address_space {
	struct span type;    /* upper case */
	struct span pattern; /* unescaped, trimmed; may be blank */
	unsigned cost;
	bool site_scope;
};

struct address_route {
	struct span domain;
	struct span host;
};

/*
 * All parsers: RC_OK; RC_INVALID with *err filled; RC_NOMEM. Ownership: spans lie in the arena or
 * in `value`.
 */
int address_cd_parse(struct arena *a, struct span value, struct address_cd *out,
		     struct address_error *err) WARN_UNUSED;
int address_space_parse(struct arena *a, struct span value, struct address_space *out,
			struct address_error *err) WARN_UNUSED;
int address_route_parse(struct arena *a, struct span value, struct address_route *out,
			struct address_error *err) WARN_UNUSED;

/** smartHost, and the host of a domainRoute. */
int address_host_check(struct span value, struct address_error *err) WARN_UNUSED;

/** A mail domain; a single trailing dot is cut off in *out. */
int address_domain_parse(struct span value, struct span *out,
			 struct address_error *err) WARN_UNUSED;

/**
 * The form in which names, domains, patterns and mail addresses are compared (R7): case-folded
 * (RFC 4518 preparation), trimmed, one trailing dot removed.
 * Ownership: in the arena. RC_INVALID: not UTF-8, or a character that has no place in a name.
 */
int address_fold(struct arena *a, struct span value, struct span *out) WARN_UNUSED;

/**
 * Does a folded pattern match a folded text? `*` any run, `%` one character (a UTF-8 sequence).
 * Time is O(pattern × text) at worst, and there is no recursion.
 */
bool address_match(struct span pattern, struct span text);

/** Has the pattern a `*` or `%`? */
bool address_is_wild(struct span pattern);

/** Characters of a pattern that are not wildcards. */
unsigned address_literals(struct span pattern);
