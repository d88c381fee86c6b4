/*
 * The daemon as a whole: configuration, listeners, loops, start and stop order.
 */
#pragma once

#include "dird/acl.h"
#include "dird/peers.h"
#include "dird/store.h"
#include "dird/tls.h"
#include "dird/write.h"
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/log.h"

struct conn_set;
struct heads;
struct repl;
struct twins;
struct upkeep;

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
	unsigned look_through_limit;                   /* candidates of a search; 0: none */
	unsigned request_timeout_ms, write_timeout_ms; /* a request arrives, a client reads */
	size_t max_request_bytes;                      /* of a client that has bound */
	unsigned values_limit;                         /* of one attribute; 0: none */
	struct peers_limits connections;
	const char *substring_search; /* its word, for: */
	enum filter_substrings substrings;
	const char *log_level;
	unsigned heartbeat_ms; /* replication */
	unsigned tombstone_lifetime_s;
	const char *relayed_changes; /* its word, for: */
	bool indirect_only;          /* nothing of sites that this one has a link to */
	bool believes_partners;      /* nothing need be signed */
};

/** Read and check a dird.conf. Errors as conf_read(). Shared with the tools. */
int server_config_read(const char *path, struct arena *a, struct server_config *out,
		       struct buf *errors) WARN_UNUSED;
/** One line a keyword, for --help. */
void server_config_describe(struct buf *out);

/** What every part of the daemon may use; immutable after start, but for tls and the password. */
struct server {
	struct server_config config;
	struct arena arena; /* of config */
	struct dn root;
	struct span root_normal;
	struct schema *schema;
	struct store *store;
	struct writer *writer;
	struct peers *peers;
	struct acl acl;
	struct tls_context *tls; /* NULL without a certificate; replaced on SIGHUP: server_tls() */
	uv_mutex_t tls_lock;
	char *admin_hash; /* heap; NULL: no password bind for the administrator. Replaced on
			     SIGHUP: server_admin_hash() */
	struct loop **loops;
	unsigned nloops;
	bool was_stopped; /* in good order, before this start */
	struct repl *repl;
	bool links_follow; /* commits may concern the links: repl.c clears it while it is to read
			      them anyway. Atomic */
	struct upkeep *upkeep;
	struct twins *twins;
	struct heads *heads; /* NULL: nothing is signed or compared */
	/* Append public key and signature of the site to buffers; NULL: it has no key. From any
	 * thread. */
	int (*sign)(struct server *s, struct span data, struct buf *public_out,
		    struct buf *signature_out);
	const struct clock *clock;
	int64_t start_wall_us;
};

/**
 * The TLS context of this moment, NULL without a certificate.
 * Ownership: a reference for the caller, who gives it back with tls_context_free(). From any
 * thread.
 */
struct tls_context *server_tls(struct server *s);

/** The administrator's password hash of this moment, copied into the arena; .p NULL: there is none.
 * From any thread. */
int server_admin_hash(struct server *s, struct arena *a, struct span *out) WARN_UNUSED;

/** The user this process runs as: an administrator on the local socket. */
uint32_t server_own_uid(void);

/**
 * Start from a configuration file, serve until SIGTERM or SIGINT, stop. With check_only look at the
 * configuration and the files it names, and do not start.
 * Returns  the process's exit status: 0; 1: could not start or went wrong; 2: bad configuration.
 */
int server_main(const char *config_path, bool check_only);

/* --- server_files.c: the configuration and the files it names --- */

/** Everything that can be looked at without the database. Errors are logged. */
int server_load(struct server *s, const char *config_path) WARN_UNUSED;
/** Certificate, administrator's password and log level anew; everything else needs a restart. */
void server_reload(struct server *s);

/* --- server_listen.c: sockets that take connections, on the main thread's loop --- */

struct listeners;

/**
 * Open every listener of the configuration. `accepted` gets each connected socket.
 * Errors   logged, naming the address.
 */
int listeners_open(uv_loop_t *uv, const struct server_config *cfg,
		   void (*accepted)(void *ctx, int fd, bool is_local, bool is_tls), void *ctx,
		   struct listeners **out) WARN_UNUSED;
/** Stop listening and remove the local sockets' files. Memory goes with the loop's close callbacks.
 */
void listeners_close(struct listeners **l);
