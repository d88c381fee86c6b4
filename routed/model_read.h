/* Entries to records: the part of the model that reads attributes. Used by model.c alone. */
#pragma once

#include "routed/model.h"

enum model_entry { MODEL_ENTRY_OTHER, MODEL_ENTRY_SITE, MODEL_ENTRY_CONNECTOR };

/** What the objectClass values make of an entry. */
enum model_entry model_read_class(const struct model_attr *attrs, unsigned nattrs);

/**
 * Append the canonical form of what routing reads of an entry: kind, DN, attributes in fixed order
 * with sorted values. Equal forms mean an equal record.
 */
int model_read_raw(struct arena *a, struct span dn, const struct model_attr *attrs, unsigned nattrs,
		   struct buf *raw) WARN_UNUSED;

/**
 * Build a record from an entry. It owns one block, which begins with `raw`; free it with
 * mem_free(). name_id, site and cds[].name are left to the caller.
 *
 * Returns  RC_INVALID: the DN is none. RC_NOMEM.
 */
int model_read_site(struct span key, struct span dn, const struct model_attr *attrs,
		    unsigned nattrs, struct span raw, struct model_site *out) WARN_UNUSED;
int model_read_connector(struct span key, struct span dn, const struct model_attr *attrs,
			 unsigned nattrs, struct span raw, struct model_connector *out) WARN_UNUSED;

/** The same connector below another name, in a new block. */
int model_read_moved(const struct model_connector *c, struct span dn, struct span dn_normal,
		     struct model_connector *out) WARN_UNUSED;

/** Copy everything a record points at into one block of its own, behind `raw`. */
int model_pack_site(struct span raw, const struct model_site *from,
		    struct model_site *out) WARN_UNUSED;
int model_pack_connector(struct span raw, const struct model_connector *from,
			 struct model_connector *out) WARN_UNUSED;
