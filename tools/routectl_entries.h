/*
 * The sites and connectors of an organisation as entries that can be changed on paper.
 *
 * What is no site and no connector is not kept: no change of it can touch a route.
 */
#pragma once

#include "lib/ldif.h"
#include "routed/map.h"
#include "routed/model.h"

struct routectl_entry {
	struct span normal; /* DN in normal form */
	struct span dn;
	struct ldif_attr *attrs;
	unsigned nattrs;
	bool gone;
};

struct routectl_entries {
	struct arena arena;
	struct routectl_entry *items;
	size_t n, size;
	struct map by_dn; /* normal -> index */
};

void routectl_entries_init(struct routectl_entries *e);
void routectl_entries_fini(struct routectl_entries *e);

/** Take a whole entry; copies it. A second one of the same DN replaces the first. RC_INVALID: the
 * DN is none. RC_NOMEM. */
int routectl_entries_put(struct routectl_entries *e, const struct ldif_record *r) WARN_UNUSED;

/**
 * Carry out a change record. RC_NOTFOUND: the entry is no site or connector here, or does not have
 * the value; RC_EXISTS; RC_INVALID, RC_CONFLICT (entries below it). *why says more.
 */
int routectl_entries_change(struct routectl_entries *e, const struct ldif_record *change,
			    const char **why) WARN_UNUSED;

/**
 * Carry out "OBJECT:ATTRIBUTE=VALUE"; "+=" adds a value, "-=" takes one away, an empty value
 * clears. OBJECT is a DN, "CONNECTOR (SITE)", or the name of a site or connector that is unique.
 */
int routectl_entries_set(struct routectl_entries *e, const char *word,
			 const char **why) WARN_UNUSED;

/** A committed model of all of it. RC_NOMEM, RC_INVALID. */
int routectl_entries_model(const struct routectl_entries *e, struct model **out) WARN_UNUSED;
