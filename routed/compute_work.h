/*
 * What the parts of compute share: the state of one computation. Private to compute*.c.
 *
 *   compute.c         targets, domains, the runs, what a table holds beside rows
 *   compute_rows.c    candidates in order; what a row over the chain says
 *   compute_sites.c   rows of sites: direct or not, and why (R8)
 *   compute_spaces.c  rows of address spaces (R6)
 *   compute_candidates.c  all candidates of one target, for people
 */
#pragma once

#include "routed/compute_build.h"
#include "routed/graph.h"
#include "routed/holds.h"
#include "routed/map.h"

/* A site row's target: a site with an object, or a name that a connected domain mentions. */
struct compute_target {
	struct span name; /* as printed */
	uint32_t node;
};

/* One way to a space: a label of a run, or (label = GRAPH_NONE) a connector of the site itself. */
struct compute_way {
	uint32_t label;
	uint32_t connector; /* the local connector */
	uint32_t pair;      /* first edge, or GRAPH_NONE: equal pairs are one candidate */
};

struct compute_ways {
	struct compute_way *items;
	size_t n, size;
};

/* A next hop over the chain. */
struct compute_hop {
	uint32_t text; /* TABLE_NONE: not made yet */
	enum table_hop kind;
};

struct compute_work {
	const struct model *m;
	uint32_t site, root; /* the local site: index, node */
	struct arena a;
	struct graph g;
	struct graph_run run[TABLE_CLASSES]; /* run[TABLE_USER].g == NULL: the same as of system */
	struct span *names;                  /* by node, as printed; empty: nobody speaks of it */
	struct compute_target *targets;
	uint32_t ntargets;
	struct map domains;     /* folded -> index into build.domains */
	uint32_t *domain_sites; /* by that index: how many sites have it as siteSmtpDomain */
	uint32_t *domain_of;    /* by site: the place of its siteSmtpDomain */
	struct build b;
	/* Texts made so far, TABLE_NONE: not yet. */
	uint32_t *target_text, *mx_text;         /* by node */
	struct span *mx_bytes;                   /* by node: what mx_text will have; may be empty */
	uint32_t *first_row[TABLE_CLASSES];      /* by node */
	uint32_t *connector_text, *element_text; /* by connector */
	uint32_t *transport_text;                /* by edge out of the root */
	struct compute_hop *hops;                /* the same */
	uint32_t *step[TABLE_CLASSES];           /* by label */
	uint32_t ex_text, site_text;
	const struct holds *holds; /* NULL: nothing is held, and `wanted` is not asked for */
	struct buf *wanted;        /* struct span */
	uint32_t last_wanted;      /* node */
};

/** The bit of a class in enum model_carry. */
static inline unsigned compute_carry(unsigned cls)
{
	return cls == TABLE_USER ? MODEL_CARRY_USER : MODEL_CARRY_SYSTEM;
}

/** The run of a class: its own, or the one that both share. */
static inline const struct graph_run *compute_run_of(const struct compute_work *w, unsigned cls)
{
	return w->run[cls].g != NULL ? &w->run[cls] : &w->run[TABLE_SYSTEM];
}

/* compute.c */

/** Zero it and find the site; room for `rows` rows to begin with. RC_NOTFOUND, RC_NOMEM. Ends with
 * compute_work_fini() in any case. */
int compute_work_init(struct compute_work *w, const struct model *m, struct span site,
		      size_t rows) WARN_UNUSED;
void compute_work_fini(struct compute_work *w);

/** With graph and runs there: names, targets, domains, and what rows are made with. RC_NOMEM. */
int compute_begin(struct compute_work *w) WARN_UNUSED;

/* compute_rows.c */

/** The host that a domainRoute of the connector names for this domain, or an empty span. */
struct span compute_pinned(const struct model_connector *c, struct span folded);

/** Text of the name of a node. */
uint32_t compute_target_text(struct compute_work *w, uint32_t node);

/** Text of the connector's name. */
uint32_t compute_connector_text(struct compute_work *w, uint32_t connector);

/** Fill in what rows of sites and spaces over the chain have in common. RC_NOMEM. */
int compute_chain_row(struct compute_work *w, unsigned cls, uint32_t label,
		      struct table_row *row) WARN_UNUSED;

/** Add one way, or all candidates of a node. RC_NOMEM. */
int compute_add_way(struct compute_work *w, struct compute_ways *ways,
		    struct compute_way way) WARN_UNUSED;
int compute_add_node_ways(struct compute_work *w, const struct graph_run *r, uint32_t node,
			  struct compute_ways *ways) WARN_UNUSED;

struct compute_order {
	const struct compute_work *w;
	const struct graph_run *r;
};

/** Order of two struct compute_way, for qsort_r() with a struct compute_order. */
int compute_cmp_ways(const void *a, const void *b, void *arg);
void compute_sort_ways(const struct compute_work *w, const struct graph_run *r,
		       struct compute_ways *ways);

/* compute_sites.c */

/** All rows of one target. RC_NOMEM. */
int compute_site_rows(struct compute_work *w, unsigned cls, const struct compute_target *target,
		      struct compute_ways *ways) WARN_UNUSED;

/** One row over the chain or direct, as R8 says. RC_NOMEM. */
int compute_site_row(struct compute_work *w, unsigned cls, uint32_t node, uint32_t label,
		     uint32_t cost) WARN_UNUSED;

/* compute_spaces.c */

/** An address space that applies at this site. */
struct compute_offer {
	const struct model_space *space;
	uint32_t connector;
};

/** Offers of one type and folded pattern; printed as its bytewise first spelling, the first
 * offer's. */
struct compute_group {
	const struct compute_offer *offers;
	uint32_t n;
};

/** Do the spaces of the connector count for a class? */
bool compute_has_offers(const struct model_connector *c, unsigned carry);

/** One row of a space; `own` is that of the local connector for a way without label. RC_NOMEM. */
int compute_space_row(struct compute_work *w, unsigned cls, struct span type, struct span pattern,
		      const struct model_space *own, const struct compute_way *way,
		      uint32_t cost) WARN_UNUSED;

/** The groups of a class, sorted by type and printed pattern, in the arena of w. RC_NOMEM. */
int compute_groups(struct compute_work *w, unsigned cls, struct compute_group **out,
		   uint32_t *ngroups) WARN_UNUSED;

/** All rows of one group. RC_NOMEM. */
int compute_space_rows(struct compute_work *w, unsigned cls, const struct compute_group *g,
		       struct compute_ways *ways) WARN_UNUSED;
