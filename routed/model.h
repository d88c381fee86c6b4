/*
 * What routing knows of the organisation: typed records of sites and connectors, fed entry by
 * entry.
 *
 * The source is an LDIF file or RFC 4533 synchronization; both hand over whole entries. The model
 * keeps sites and connectors and drops everything else, so a change of recipients alone changes
 * nothing (R17). A value that breaks its grammar is left out, alone, and kept on a list
 * with the reason (M8).
 *
 *   entry (DN + attributes) ──model_put()──► record ──model_commit()──► links, order ──► compute
 *
 * Words: `key` is what names an entry for its whole life: the 16 bytes of entryUUID, or any other
 * bytes that are unique (the LDIF tools take the normalized DN). A `name` is a site's name, folded;
 * it exists when a site has it or a connected domain mentions it. A site that is not `live` has a
 * name but no object.
 *
 * Not thread-safe: the caller does not change a model while compute reads it.
 */
#pragma once

#include "lib/arena.h"
#include "lib/buf.h"
#include "routed/address.h"

#define MODEL_NONE UINT32_MAX

enum model_kind {
	MODEL_IMS,       /* imsConnector: the only SMTP connector (M1) */
	MODEL_SITE_LINK, /* siteConnector */
	MODEL_X400,      /* x400Connector */
	MODEL_GATEWAY,   /* gatewayConnector, or any other class derived from mailConnector */
};

/* Bits: what of the model a call changed. */
enum model_changes {
	MODEL_CHANGED_NOTHING = 0,
	MODEL_CHANGED_SITE = 1,      /* a site came, went, or changed a routing attribute */
	MODEL_CHANGED_CONNECTOR = 2, /* the same of a connector */
};

/* Bits: the classes of messages a connector may carry out of its site. */
enum model_carry {
	MODEL_CARRY_SYSTEM = 1,
	MODEL_CARRY_USER = 2,
	MODEL_CARRY_ALL = 3,
};

enum model_flag { MODEL_FLAG_ABSENT, MODEL_FLAG_FALSE, MODEL_FLAG_TRUE };

/** An attribute as the source has it; the type without options. */
struct model_attr {
	struct span type;
	const struct span *values;
	unsigned nvalues;
};

/** model_site.tls of a site that states a minimum which cannot be kept. */
#define MODEL_TLS_UNKNOWN "?"

/** A connected domain; of several for one remote site only the cheapest is kept. */
struct model_cd {
	uint32_t name;
	uint32_t cost;
	struct span folded;  /* the remote site's name, as it is compared */
	struct span written; /* the remote site's name as this value spells it */
	struct span type;    /* upper case */
	struct span address;
};

/** An address space. `folded` is what matching and grouping use. */
struct model_space {
	struct span type; /* upper case */
	struct span pattern;
	struct span folded;
	uint32_t cost;
	bool site_scope;
};

/** domainRoute: mail for `folded` goes to `host`. Sorted by folded, host. */
struct model_pin {
	struct span folded;
	struct span host;
};

/** What was left out of a record. All spans belong to the record. */
struct model_ignored {
	struct span dn;
	struct span attribute;
	struct span value;
	const char *reason; /* static */
	unsigned column;    /* 1-based, where in the value; 0: the whole value */
};

/* What compute looks at comes first in both records: there are many, all over memory. */

struct model_site {
	struct span name;   /* of its RDN, as written */
	struct span domain; /* siteSmtpDomain without a trailing dot; n = 0: absent */
	struct span domain_folded;
	uint32_t name_id;     /* MODEL_NONE: not usable as a name */
	enum model_flag flag; /* onlySystemMessagesUseCDs, the default of its connectors */
	unsigned nshared, nsystem;
	struct span tls; /* as Postfix words it: "encrypt"; n = 0: none stated; MODEL_TLS_UNKNOWN */
	bool live;       /* set by model_commit(): false only for a second site of the same name */
	bool inbound_ims; /* set by model_commit(): an enabled IMS that takes mail in (R8.4) */
	struct span *shared_folded; /* siteSharedDomain */
	struct span *system_folded; /* systemAddress */
	struct span name_folded;
	struct span key;
	struct span dn, dn_normal;
	struct model_ignored *ignored;
	unsigned nignored;
	void *block; /* owns every span above */
	size_t nraw; /* the block begins with the canonical form of the entry, this long */
	uint32_t mark;
};

struct model_connector {
	struct span name;
	uint32_t site; /* index of its site, set by model_commit(); MODEL_NONE: below no site */
	bool enabled, sends, receives; /* connectorEnabled; transferMode (an IMS only) */
	enum model_kind kind;
	enum model_flag flag;
	unsigned carries; /* enum model_carry, from messageClassRestriction */
	unsigned ncds, nspaces, npins;
	struct model_cd *cds;
	struct span smart_host; /* the bytewise first of several; n = 0: none */
	struct span transport;  /* mtaTransport; n = 0: none */
	struct model_pin *pins;
	struct model_space *spaces;
	struct span name_folded;
	struct span key;
	struct span dn, dn_normal;
	struct model_ignored *ignored;
	unsigned nignored;
	void *block;
	size_t nraw;
	uint32_t mark;
};

struct model_name {
	struct span folded;
	uint32_t site; /* index of the live site of this name, or MODEL_NONE */
};

struct model_index;

struct model {
	struct model_site *sites;
	uint32_t nsites, sites_size;
	struct model_connector *connectors;
	uint32_t nconnectors, connectors_size;
	struct model_name *names;
	uint32_t nnames, names_size;
	uint32_t *by_name; /* live sites in the order of their names as written, bytewise */
	uint32_t nby_name, by_name_size;
	size_t total_cds, total_spaces, total_pins; /* of all connectors */
	struct model_index *index;                  /* private: hash tables */
	uint32_t mark;
	bool committed;
	bool all_carry_all; /* set by model_commit(): no connector restricts a class */
};

/** An empty model. RC_NOMEM. */
int model_new(struct model **out) WARN_UNUSED;
void model_free(struct model **m);

/**
 * The entry `key` now has this DN and these attributes: add it, or replace what was there.
 *
 * Takes only the routing attributes (docs/routing.md); every other entry costs a look at its
 * objectClass. A rename of a site moves the connectors below it along.
 *
 * Ownership: everything is copied.
 * Returns  RC_OK and in *changes (or-ed in) what changed: enum model_changes. Else nothing changed:
 *          RC_INVALID: the DN is none, or it or the values are beyond all measure. RC_NOMEM.
 */
int model_put(struct model *m, struct span key, struct span dn, const struct model_attr *attrs,
	      unsigned nattrs, unsigned *changes) WARN_UNUSED;

/** The entry is gone. An unknown key changes nothing. */
void model_delete(struct model *m, struct span key, unsigned *changes);

/** The DN of an entry that the model holds, borrowed; empty for an unknown key. */
struct span model_dn(const struct model *m, struct span key);

/*
 * A full refresh: begin, model_put() or model_seen() for everything that exists, end. What was not
 * named in between is deleted by the end call.
 */
void model_refresh_begin(struct model *m);
void model_seen(struct model *m, struct span key);
void model_refresh_end(struct model *m, unsigned *changes);

struct model_pending;

/**
 * What has changed since model_pending_clear(); for effect.h. A change of nothing but connected
 * domains leaves a committed model committed.
 */
const struct model_pending *model_pending(const struct model *m);
void model_pending_clear(struct model *m);

/**
 * A consistent point is reached: link connectors to sites, settle double names. Needed before
 * compute. Time is linear in the model, and nothing after no change.
 */
int model_commit(struct model *m) WARN_UNUSED;

/**
 * The live site of this name, in any case; needs a commit. RC_NOTFOUND: there is none. RC_NOMEM.
 */
int model_find_site(const struct model *m, struct span name, uint32_t *out) WARN_UNUSED;

/**
 * What was left out, sorted by DN, attribute, value.
 *
 * Ownership: the array lies in the arena; the spans stay the model's, valid until it changes.
 */
int model_ignored(const struct model *m, struct arena *a, struct model_ignored **out,
		  size_t *n) WARN_UNUSED;

/** Append the line for one ignored value: DN, attribute, value, reason; control
 * bytes, and all bytes above ASCII of what is no UTF-8, as \xNN. */
void model_ignored_write(const struct model_ignored *i, struct buf *out);
