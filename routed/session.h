/*
 * One libldap handle with the traps of the library closed.
 *
 * A session belongs to one thread. Only session_interrupt() and session_busy_ms() may be called
 * from another one: they are how the loop's watchdog ends a call that hangs, e.g. a TLS handshake
 * or half a message, which libldap waits for without a bound of its own.
 */
#pragma once

#include "lib/arena.h"
#include "lib/rc.h"

#include <ldap.h>
#include <pthread.h>

struct session_config {
	const char *uri; /* ldapi://, ldap:// or ldaps:// */
	const char
		*bind_dn; /* NULL: SASL EXTERNAL over ldapi or with a certificate, else anonymous */
	const char *password_file; /* of bind_dn; first line */
	const char *tls_ca;        /* files; any may be NULL */
	const char *tls_certificate;
	const char *tls_key;
	unsigned timeout_ms; /* bound of connect and of every awaited answer */
};

struct session {
	LDAP *ld;
	struct ldap_conncb callbacks;
	pthread_mutex_t lock; /* guards fd and busy_since_ms */
	int fd;               /* of the connection, -1 without one */
	uint64_t busy_since_ms;
};

#define SESSION_WHY_BYTES 160

/** In place; no connection yet. */
void session_init(struct session *s);
void session_fini(struct session *s);

/**
 * Connect and bind. An open session is closed first.
 * Returns  RC_OK; RC_CLOSED, RC_TIMEOUT, RC_DENIED, RC_REFUSED, RC_INVALID, RC_NOMEM with a
 * printable text in `why`.
 */
int session_open(struct session *s, const struct session_config *config,
		 char why[static SESSION_WHY_BYTES]) WARN_UNUSED;

void session_close(struct session *s);

/** Make the descriptor non-blocking, so that ldap_result() never waits for the rest of a message.
 */
int session_set_nonblocking(struct session *s) WARN_UNUSED;

/**
 * Our code for an LDAP result code or libldap error, and a printable text with the server's words.
 * Success gives RC_OK and "".
 */
int session_rc(struct session *s, int ldap_rc, const char *diagnostic,
	       char why[static SESSION_WHY_BYTES]);

/** Mark that a library call begins or ended; the watchdog reads it. */
void session_enter(struct session *s);
void session_leave(struct session *s);

/** Any thread: for how long has the present library call been running? 0 when none is. */
uint64_t session_busy_ms(struct session *s, uint64_t now_ms);

/** Any thread: shut the connection down; the call that waits on it fails. */
void session_interrupt(struct session *s);
