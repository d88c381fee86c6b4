/* What the online verbs of sitectl share: finding objects, changing attributes, reporting it. */
#pragma once

#include "tools/dirconn.h"

#define SITECTL_CONNECTORS                                                                         \
	"(|(objectClass=imsConnector)(objectClass=siteConnector)(objectClass=x400Connector)"       \
	"(objectClass=gatewayConnector))"

/** What verbs that look after objects of a site are asked, and what they work with. */
struct sitectl_request {
	struct dirconn_options conn_options;
	struct dirconn *conn;
	struct arena arena;
	const char *site;
	bool json, dry_run, all;
	const char *name; /* of the object; NULL: not given */
	char **words;     /* arguments behind the name */
	int nwords;
};

#define SITECTL_SITE_OPT(r)                                                                        \
	{                                                                                          \
		"site", 0, CLI_TEXT, &(r).site, "NAME", "site it belongs to (the server's own)",   \
			false                                                                      \
	}
#define SITECTL_ALL_OPT(r)                                                                         \
	{                                                                                          \
		"all", 'a', CLI_FLAG, &(r).all, NULL, "those of all sites", false                  \
	}
#define SITECTL_JSON_OPT(r)                                                                        \
	{                                                                                          \
		"json", 0, CLI_FLAG, &(r).json, NULL, "as JSON, an object a line", false           \
	}
#define SITECTL_DRY_RUN_OPT(r)                                                                     \
	{                                                                                          \
		"dry-run", 'n', CLI_FLAG, &(r).dry_run, NULL,                                      \
			"say what would change, change nothing", false                             \
	}

typedef int sitectl_work_fn(struct sitectl_request *r);

/** Parse, connect, do the work, leave. Returns the exit status. */
int sitectl_run(const struct cli_usage *usage, struct sitectl_request *r, int argc, char **argv,
		sitectl_work_fn *work);

struct sitectl_rows {
	struct cli_table *table;
	const char *root;
};

/** Print a table of what fits `filter` at the site, or anywhere; add gets a sitectl_rows. */
int sitectl_list(struct sitectl_request *r, const struct cli_column *columns, const char *filter,
		 int (*add)(const struct ldif_record *entry, void *rows)) WARN_UNUSED;

/** Change an object as the request's words say. */
int sitectl_set(struct sitectl_request *r, const struct ldif_record *object) WARN_UNUSED;

/** "ou=SITE,root"; the server's own site when `site` is NULL. Says what is missing. */
int sitectl_site_dn(struct dirconn *c, struct arena *a, const char *site,
		    const char **dn) WARN_UNUSED;

/**
 * The one entry below `base` that fits `filter`. what ("connector"), name and list (the command
 * that lists them) word the message when there is none or more than one.
 */
struct sitectl_wanted {
	const char *base;
	const char *filter;
	const char *what, *name, *list;
};
int sitectl_find(struct dirconn *c, struct arena *a, const struct sitectl_wanted *w,
		 struct ldif_record *out) WARN_UNUSED;

/**
 * Check one value against the grammar of its attribute (docs/routing.md, "What is read");
 * attributes without one pass. *value may be replaced by its proper spelling ("true" -> "TRUE").
 * Says what is wrong and in which column.
 */
int sitectl_check_value(struct arena *a, struct span type, struct span *value) WARN_UNUSED;

/** A change of one entry that is being put together. */
struct sitectl_edit {
	struct arena *arena;
	const struct ldif_record *before;
	struct ldif_attr after[32]; /* the touched attributes with their new values */
	unsigned n;
};

/**
 * Apply the words ATTRIBUTE=VALUE (replace; several of one attribute give several values),
 * ATTRIBUTE= (remove), ATTRIBUTE+=VALUE and ATTRIBUTE-=VALUE. RC_INVALID after saying what is
 * wrong.
 */
int sitectl_edit_words(struct sitectl_edit *e, int nwords, char **words) WARN_UNUSED;

/** One step of the above. */
enum sitectl_step { SITECTL_SET, SITECTL_ADD, SITECTL_REMOVE, SITECTL_CLEAR };
int sitectl_edit_step(struct sitectl_edit *e, enum sitectl_step step, struct span type,
		      struct span value) WARN_UNUSED;

/** Write the difference to the server and print it; with dry_run print only. */
int sitectl_edit_commit(struct sitectl_edit *e, struct dirconn *c, bool dry_run) WARN_UNUSED;

/** Add an entry and print it; with dry_run print only. */
int sitectl_add(struct dirconn *c, const struct ldif_record *r, bool dry_run) WARN_UNUSED;

/** Delete an entry and say so; with dry_run say what would be. */
int sitectl_delete(struct dirconn *c, struct span dn, bool dry_run) WARN_UNUSED;
