/* routed.conf as data: what it says, with defaults filled in and paths resolved. */
#pragma once

#include "lib/conf.h"
#include "lib/log.h"
#include "routed/health.h"
#include "routed/serve.h"

struct settings {
	const char *organisation; /* DN of the root */
	const char *site;         /* name of the own site */
	const char *directory;    /* LDAP URI */
	const char *bind_dn;      /* NULL: SASL EXTERNAL (ldapi, ldaps) or anonymous (ldap) */
	const char *bind_password_file;
	const char *tls_ca, *tls_certificate, *tls_key;
	const char *state;           /* folder of table, sockets, lock */
	const char *control;         /* path of the control socket */
	struct conf_list socketmaps; /* "unix:/absolute/path" or "inet:host:port" */
	struct conf_list policies;   /* the same for Postfix's policy service */
	struct conf_list exims;      /* the same for Exim's readsocket */
	struct serve_access access;  /* to all of these sockets */
	struct conf_list renders;    /* targets of render_write() */
	bool null_sender_is_system;
	unsigned quiet_ms, ceiling_ms;
	unsigned timeout_ms, heartbeat_ms, reconnect_max_ms;
	bool publish;
	bool dns_check;
	struct conf_list dns_servers; /* "address" or "address:port"; empty: /etc/resolv.conf */
	struct conf_list dns_compare; /* the same of another view; empty: none */
	struct conf_list dns_self;    /* names and addresses of the own mail host */
	unsigned dns_confirm_ms, dns_hold_ms, dns_recheck_min_ms, dns_recheck_max_ms;
	enum health_damping damping;
	struct damp_config damp;
	enum log_level log_level;
};

/**
 * Read and check a file.
 * Ownership: strings lie in the arena.
 * Returns  as conf_read(); RC_INVALID also for values that do not fit each other, worded in
 * `errors`.
 */
int settings_read(const char *path, struct arena *a, struct settings *out,
		  struct buf *errors) WARN_UNUSED;

/** Append one line a keyword, for --help. */
void settings_describe(struct buf *out);
