/*
 * Reading the attributes of one entry: what model_read*.c share. Private to them.
 *
 *   model_read.c            classes, values by attribute, the parts that both kinds have
 *   model_read_site.c       a site
 *   model_read_connector.c  a connector
 */
#pragma once

#include "routed/model_read.h"

enum model_attribute {
	ATTR_SITE_DOMAIN,
	ATTR_SHARED_DOMAIN,
	ATTR_SYSTEM_ADDRESS,
	ATTR_SITE_KEY,
	ATTR_TLS_LEVEL,
	ATTR_FLAG,
	ATTR_CONNECTED_DOMAINS,
	ATTR_ROUTING_LIST,
	ATTR_ENABLED,
	ATTR_RESTRICTION,
	ATTR_TRANSPORT,
	ATTR_TRANSFER_MODE,
	ATTR_SMART_HOST,
	ATTR_DOMAIN_ROUTE,
	ATTR_COUNT,
};

/* The values of one entry by attribute, sorted, without doubles. */
struct reading_view {
	struct span *values[ATTR_COUNT];
	unsigned n[ATTR_COUNT];
	unsigned total;
	size_t class; /* index into classes; NCLASSES: none */
};

struct reading {
	struct arena *a;
	struct span dn;
	struct reading_view view;
	struct model_ignored *ignored;
	unsigned nignored;
};

/** The attributes' names. */
extern const char *const reading_names[ATTR_COUNT];

int reading_init(struct reading *r, struct arena *a, struct span dn, const struct model_attr *attrs,
		 unsigned nattrs) WARN_UNUSED;

/** The kind of connector that the class of the entry means. */
enum model_kind reading_kind(const struct reading *r);

/** Leave a value out. */
void reading_ignore(struct reading *r, const char *attribute, struct span value, const char *reason,
		    unsigned column);
void reading_ignore_error(struct reading *r, enum model_attribute which, struct span value,
			  const struct address_error *err);

/** The one value of a single-valued attribute, or NULL. */
const struct span *reading_single(struct reading *r, enum model_attribute which);
enum model_flag reading_bool(struct reading *r, enum model_attribute which);

/** The index of the value in a NULL-ended list of words; 0, the default, when absent or unknown. */
unsigned reading_word(struct reading *r, enum model_attribute which, const char *const words[],
		      const char *reason);

/** The own RDN's value of `type`, else its first one; and the DN in both forms. */
int reading_name(struct reading *r, const char *type, struct span *dn_normal, struct span *name,
		 struct span *folded) WARN_UNUSED;

/** One value into *item (zeroed). RC_OK, RC_INVALID: left out, for what *err says; RC_NOMEM. */
typedef int reading_item(struct reading *r, struct span value, void *item,
			 struct address_error *err);

/**
 * All values of an attribute that `parse` accepts. `items` is the address of the pointer to the
 * array, which gets one in the arena with elements of that size. RC_NOMEM.
 */
int reading_list(struct reading *r, enum model_attribute which, reading_item *parse, size_t element,
		 void *items, unsigned *n) WARN_UNUSED;
