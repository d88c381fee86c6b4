/*
 * Can mail go in circles, also while some sites route by new tables and others still by old ones?
 *
 * Pure. For every destination the tables' next hops are the edges of a graph of sites. While a
 * change travels, each site routes by its old or by its new table, and picks any of its candidates;
 * a circle of edges passes a site once, so every circle in the union of old and new edges is a
 * state that can happen, and there is no other:
 *
 *   old   A ──► B ──► C        new   B ──► A ──► C        both   A ⇄ B: a loop while A is old
 *                                                                and B is new
 *
 * Destinations are the rows of sites and of address spaces that are not SMTP, and one mail address
 * for each mail domain and each SMTP address space, looked up as a live one. A hop leads to the
 * site that its host or domain is of, else to the one it is meant for (lookup_next_site()): a smart
 * host or a domainRoute may point elsewhere, also back. Memory is 12 bytes for each (site,
 * destination, class, candidate).
 */
#pragma once

#include "routed/model.h"
#include "routed/table.h"

struct loopcheck;

enum loopcheck_state { LOOPCHECK_OLD = 1, LOOPCHECK_NEW = 2 };

struct loopcheck_step {
	struct span site;
	unsigned states; /* enum loopcheck_state, as bits: in which it hands on to the next step */
};

/** A circle; the last step hands on to the first. */
struct loopcheck_loop {
	enum table_class cls;
	struct span target; /* "EX:Site2", "SMTP:x@s2.example.com" */
	const struct loopcheck_step *steps;
	unsigned nsteps;
	bool lasting; /* with new tables everywhere, too */
};

/** A check over the destinations of these models (NULL is skipped). RC_NOMEM. */
int loopcheck_new(const struct model *const *models, unsigned nmodels,
		  struct loopcheck **out) WARN_UNUSED;
void loopcheck_free(struct loopcheck **lc);

/** Take in the table of a site in one state; nothing of it is kept. RC_NOMEM, RC_TOOBIG. */
int loopcheck_add(struct loopcheck *lc, const struct table *t,
		  enum loopcheck_state state) WARN_UNUSED;

/**
 * The loops, one for a destination and class at most, in order of destinations.
 * Ownership: they live as long as the check. `ndestinations` counts what was looked at. RC_NOMEM.
 */
int loopcheck_run(struct loopcheck *lc, const struct loopcheck_loop **out, size_t *n,
		  size_t *ndestinations) WARN_UNUSED;

/** Append "user EX:Site2: A (old) > B (new) > A" for a loop. */
void loopcheck_write(const struct loopcheck_loop *loop, struct buf *out);

/** Append one JSON object with its line end. */
void loopcheck_json(const struct loopcheck_loop *loop, struct buf *out);
