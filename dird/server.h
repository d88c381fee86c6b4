/*
 * The daemon as a whole: configuration, listeners, loops, start and stop order.
 */
#pragma once

#include "dird/acl.h"
#include "dird/store.h"
#include "dird/tls.h"
#include "dird/write.h"
#include "lib/conf.h"

struct repl;

struct server_config {
	const char *path;         /* of the configuration file */
	const char *organisation; /* root DN */
	const char *site;
	const char *database;
	const char *schema;
	struct conf_list listen_ldap, listen_ldaps, listen_ldapi;
	struct tls_config tls; /* certificate NULL: no TLS */
	const char *admin_password_file;
	bool anonymous_read;
	unsigned loops;
	unsigned size_limit, time_limit_ms, idle_timeout_ms;
	const char *log_level;
	unsigned heartbeat_ms; /* replication */
};

/** Read and check a dird.conf. Errors as conf_read(). Shared with the tools. */
int server_config_read(const char *path, struct arena *a, struct server_config *out,
		       struct buf *errors) WARN_UNUSED;

/** What every part of the daemon may use; immutable after start, but for tls. */
struct server {
	struct server_config config;
	struct arena arena; /* of config */
	struct dn root;
	struct span root_normal;
	struct schema *schema;
	struct store *store;
	struct writer *writer;
	struct acl acl;
	struct tls_context *tls; /* NULL without a certificate */
	char *admin_hash;        /* NULL: no password bind for the administrator */
	struct loop **loops;
	unsigned nloops;
	struct repl *repl;
	const struct clock *clock;
};
