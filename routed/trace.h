/*
 * The way of one recipient's mail, hop by hop over the tables of all sites.
 *
 * Pure. Every site answers from its own table, as its own routed would; so what one site's table
 * promises is compared with what the next site does with the mail.
 */
#pragma once

#include "routed/lookup.h"

enum trace_end {
	TRACE_DELIVERED, /* arrived at the site that has the domain */
	TRACE_LEAVES,    /* out of the organisation, through a connector of the last site */
	TRACE_BY_DNS,    /* the first site has no route: its mail server decides by DNS */
	TRACE_SHARED,    /* the domain is of several sites: the directory knows the recipient's */
	TRACE_NO_ROUTE,  /* dead end: the last site knows the target and no way to it */
	TRACE_LOST,      /* dead end: the last site got it from another and knows nothing of it */
	TRACE_UNKNOWN_SITE, /* dead end: handed to a site that has no object in the directory */
	TRACE_LOOP,         /* back at a site where it was before */
};

/** One site's decision. */
struct trace_hop {
	struct span site;
	const struct table *table; /* NULL: the site has no object */
	struct lookup_answer answer;
	struct span next; /* the site that gets it; n = 0: none */
};

struct trace {
	struct lookup_key key;
	struct trace_hop *hops;
	unsigned nhops;
	enum trace_end end;
};

/**
 * The table of a site. Ownership stays with the callee, until the trace has been written.
 * RC_NOTFOUND: there is no such site.
 */
typedef int trace_table_fn(void *arg, struct span site, const struct table **out);

/**
 * Walk from `from`, at each site to its first candidate.
 * Ownership: in the arena, borrowing `scratch` and the tables.
 * Returns  RC_OK; RC_INVALID: no mail address; RC_NOTFOUND: no site `from`; what `fn` returns.
 */
int trace_run(struct span address, enum table_class cls, struct span from, trace_table_fn *fn,
	      void *arg, struct arena *a, struct buf *scratch, struct trace *out) WARN_UNUSED;

/** Is this an end that an administrator has to look at? */
bool trace_is_bad(enum trace_end end);

/** Append lines for people, or one JSON object with its line end. */
void trace_write(const struct trace *t, struct buf *out);
void trace_json(const struct trace *t, struct buf *out);
