/*
 * A table as directory entries: what routed publishes below cn=Routes (class mailRoute).
 *
 * Pure. A route's name is its class, type, target and number among the target's candidates, e.g.
 * "user EX Site2 1"; the same table gives the same entries, so a comparison with what is there
 * gives the few changes that are needed.
 */
#pragma once

#include "routed/table.h"

struct routes_attr {
	const char *type; /* static */
	struct span *values;
	unsigned nvalues;
};

#define ROUTES_ATTRS 12

struct routes_entry {
	struct span name;                       /* value of cn */
	struct routes_attr attrs[ROUTES_ATTRS]; /* without cn and objectClass */
	unsigned nattrs;
};

/** Sorted by name, bytewise. Everything lies in the arena. */
struct routes {
	struct arena arena;
	struct routes_entry *entries;
	size_t n;
};

void routes_init(struct routes *r);
void routes_fini(struct routes *r);

/** The entries of a table; copies everything. RC_NOMEM. */
int routes_of_table(const struct table *t, struct routes *out) WARN_UNUSED;

/** Sort by name, attribute types in the order of routes_type(), values bytewise. */
void routes_sort(struct routes *r);

/** The published attributes, without cn: index 0..; NULL behind the last. */
const char *routes_type(unsigned i);

/** Same attributes and values? Both sorted. */
bool routes_same(const struct routes_entry *a, const struct routes_entry *b);

enum routes_op { ROUTES_ADD, ROUTES_MODIFY, ROUTES_DELETE };

/** A step on the way from `have` to `want`; `entry` is the wanted one, of a deletion the old one.
 */
struct routes_change {
	enum routes_op op;
	const struct routes_entry *entry;
};

/** What has to be done. Both sorted; *out lies in the arena and borrows their entries. RC_NOMEM. */
int routes_compare(struct arena *a, const struct routes *have, const struct routes *want,
		   struct routes_change **out, size_t *n) WARN_UNUSED;
