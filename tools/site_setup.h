/*
 * The folder of a new site, shared by `sitectl init` and `sitectl join`: keys, configuration,
 * database.
 *
 * Everything is made in a folder beside the wanted one, which takes its name at the end. So a
 * failure leaves nothing behind. Messages go to stderr through cli_error().
 */
#pragma once

#include "dird/update.h"
#include "lib/clock.h"
#include "lib/dn.h"
#include "tools/cli.h"
#include "tools/pki.h"

/** What the command line gives. */
struct site_options {
	const char *dir, *organisation, *site, *domain;
	const char *ldap, *ldaps, *ldapi;
	const char *admin_password_file, *ca, *cert, *key;
	bool anonymous_read;
};

/** The rows for a cli_usage, ended by a NULL name; how many there are, with it. */
#define SITE_SETUP_OPTS 12
void site_setup_opts(struct site_options *o, struct cli_opt out[static SITE_SETUP_OPTS]);

struct site_setup {
	struct site_options o;
	struct arena arena;
	const char *dir;    /* the folder's final path, absolute, no links */
	const char *beside; /* where it is made */
	const char *ldapi;  /* absolute */
	const char *host;   /* of this machine */
	char pin[PKI_PIN_TEXT_BYTES];
	struct dn root;
	const char *root_text, *site_dn;
	struct schema *schema;
	struct store *store;
	struct store_txn *txn;
	struct update_context ctx;
	struct uuid site_uuid;
	struct position site_position; /* own life */
	const char *connected_domain;  /* first value of the Internet Mail Service, or NULL */
};

/** Check the options, make the folder, keys and configuration, open the database. Says what is
 * wrong. o->organisation may come later for join: it is filled in by then. */
int site_setup_begin(struct site_setup *s, const struct site_options *o) WARN_UNUSED;

/** Begin the site's life and add its entries. The root must be there. */
int site_setup_entries(struct site_setup *s) WARN_UNUSED;

/** The root entry of a new organisation, mastered by this site. */
int site_setup_root(struct site_setup *s) WARN_UNUSED;

/** Add one entry: pairs of type and value, ended by NULL; a pair whose value is NULL is left out.
 */
int site_setup_add(struct site_setup *s, const char *dn, const char *const *pairs) WARN_UNUSED;

/** Apply any change; says what is wrong about `what`. */
int site_setup_apply(struct site_setup *s, struct change *c, const char *what) WARN_UNUSED;

/** Commit and give the folder its name. */
int site_setup_commit(struct site_setup *s) WARN_UNUSED;

/** Remove what has been committed. */
void site_setup_undo(struct site_setup *s);

/** Close; without a commit before, remove what was made. */
void site_setup_end(struct site_setup *s);

/** A name that fits a site: 1 to 64 bytes of UTF-8 without control bytes and without what has a
 * meaning in DNs and routes. */
bool site_setup_name_fits(struct span name);

/** "ldaps://host:port" of where we listen, for others to reach; NULL if there is no such listener.
 */
const char *site_setup_uri(struct arena *a, const char *scheme, const char *listen);

/* --- what the site_*.c files share --- */

/** Keys, password and configuration into the folder. */
int site_setup_files(struct site_setup *s) WARN_UNUSED;

/** Take ADDRESS:PORT or [ADDRESS]:PORT apart; *host_n is the length without brackets. */
bool site_setup_split(const char *listen, const char **host, size_t *host_n, const char **port);

/** The absolute path of something that need not exist, in a folder that does. */
int site_setup_absolute(struct arena *a, const char *path, const char **out) WARN_UNUSED;
