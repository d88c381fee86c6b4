/*
 * A session with a site's dird for the online tools: find it, bind, read, change.
 *
 * Everything that goes wrong is said here with cli_error() and a hint what to do; callers only look
 * at the return code. Entries and changes are struct ldif_record, so that LDIF files, search
 * results and changes are one thing. One thread; libldap's own referral chasing is off,
 * configuration files and environment of libldap are not read.
 */
#pragma once

#include "lib/ldif.h"
#include "tools/cli.h"

struct dirconn;

struct dirconn_options {
	const char *config;  /* dird.conf of the site: its local socket, SASL EXTERNAL */
	const char *uri;     /* or a URI, ldapi:// ldap:// ldaps:// */
	const char *bind_dn; /* with uri: simple bind */
	const char *password;
	const char *password_file; /* one line */
	const char *ca_file;       /* certificates that ldaps and StartTLS trust */
	bool starttls;
};

/** The options as rows of a struct cli_opt table. `o` is an object, not a pointer. */
#define DIRCONN_OPTS(o)                                                                            \
	{"config", 'c', CLI_TEXT, &(o).config, "FILE", "dird.conf of the site to talk to", false}, \
		{"uri", 'H', CLI_TEXT, &(o).uri, "URI", "server, instead of --config", false},     \
		{"bind-dn", 'D', CLI_TEXT, &(o).bind_dn, "DN", "who binds", false},                \
		{"password", 'w', CLI_TEXT, &(o).password, "TEXT", "its password", false},         \
		{"password-file",          'y',  CLI_TEXT, &(o).password_file, "FILE",             \
		 "file with the password", false},                                                 \
		{"starttls", 'Z', CLI_FLAG, &(o).starttls, NULL, "TLS on a ldap:// URI", false},   \
	{                                                                                          \
		"ca", 0, CLI_TEXT, &(o).ca_file, "FILE", "certificates to trust", false            \
	}

/**
 * Connect and bind. Returns RC_OK, or another code after saying what is wrong.
 */
int dirconn_open(const struct dirconn_options *o, struct dirconn **out) WARN_UNUSED;
void dirconn_close(struct dirconn **c);

/** DN of the organisation's root, from the configuration or the root DSE. */
const char *dirconn_root(const struct dirconn *c);

/** Name of the site whose server this is; NULL when only a URI is known and the server does not
 * say. */
const char *dirconn_site(const struct dirconn *c);

enum dirconn_scope {
	DIRCONN_BASE,
	DIRCONN_ONE,
	DIRCONN_SUB,
};

/** A search as data. attrs ends with NULL; NULL itself asks for all user attributes. */
struct dirconn_search {
	const char *base;
	enum dirconn_scope scope;
	const char *filter;
	const char *const *attrs;
	unsigned limit; /* entries, 0 = all */
};

/** Called for every entry; the record lives until it returns. A code other than RC_OK ends the
 * search. */
typedef int dirconn_entry_fn(const struct ldif_record *entry, void *arg);

/**
 * Search. RC_NOTFOUND when the base does not exist (nothing is said then). More entries than the
 * limit are RC_TOOBIG, said by nobody, after `limit` calls.
 */
int dirconn_search(struct dirconn *c, const struct dirconn_search *s, dirconn_entry_fn *fn,
		   void *arg) WARN_UNUSED;

/** One entry into the arena. RC_NOTFOUND without a message when there is none. */
int dirconn_read(struct dirconn *c, struct arena *a, const char *dn, const char *const *attrs,
		 struct ldif_record *out) WARN_UNUSED;

/**
 * Carry out a change record (LDIF_CONTENT adds) and say what is wrong if it is refused. A referral
 * to the entry's home site is followed with the -D and password given; see dirconn_refer.c.
 */
int dirconn_change(struct dirconn *c, const struct ldif_record *change) WARN_UNUSED;

/*
 * The same without waiting, for many changes: send, and later collect the answers in order.
 * A change that dirconn_collect() finds refused has been said there.
 */
int dirconn_send(struct dirconn *c, const struct ldif_record *change, int *id) WARN_UNUSED;
int dirconn_collect(struct dirconn *c, int id, const struct ldif_record *change) WARN_UNUSED;

/** From now on an entry that exists already is only told by RC_EXISTS, not said. */
void dirconn_expect_existing(struct dirconn *c, bool yes);

/* --- helpers for records --- */

/** First value of an attribute (options ignored); NULL if there is none. Values end with a NUL. */
const char *dirconn_value(const struct ldif_record *r, const char *type);

/** The attribute, or NULL. */
const struct ldif_attr *dirconn_attr(const struct ldif_record *r, const char *type);

/** All values joined by line ends, for a CLI_COL_LIST cell; NULL if there is none. */
const char *dirconn_values(struct arena *a, const struct ldif_record *r, const char *type);

/** Does the entry have this object class? */
bool dirconn_is_a(const struct ldif_record *r, const char *class_name);

/** A filter value with the escapes of RFC 4515 §3; NULL without memory. */
const char *dirconn_filter_escape(struct arena *a, const char *text);

/** "TYPE=VALUE,PARENT" with the escapes of RFC 4514; NULL without memory. */
const char *dirconn_child_dn(struct arena *a, const char *type, const char *value,
			     const char *parent);

/** The value of a DN's own RDN, for tables; the DN itself if it can not be parsed. */
const char *dirconn_rdn_value(struct arena *a, struct span dn);

/** Name of the site that a DN lies in, below `root`; NULL for the organisation's own entries. */
const char *dirconn_site_of(struct arena *a, struct span dn, const char *root);

/**
 * Ask the running dird to do something now (dird/manage.h): a verb and its argument, which may be
 * NULL. *text_out (may be NULL) is what it says, in the session's arena.
 */
int dirconn_manage(struct dirconn *c, const char *verb, const char *arg,
		   const char **text_out) WARN_UNUSED;
