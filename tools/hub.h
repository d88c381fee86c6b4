/*
 * A short LDAP session with an existing site whose key is known by its pin: TLS 1.3 with an own
 * certificate, simple bind, reading single entries, one extended operation. Blocking, with
 * deadlines. Everything that goes wrong is said with cli_error().
 */
#pragma once

#include "dird/msg.h"

struct hub;

struct hub_options {
	const char *uri; /* ldaps://host:port */
	const char *pin; /* "sha256:..." */
	const char *certificate, *key;
};

int hub_open(const struct hub_options *o, struct hub **out) WARN_UNUSED;
void hub_close(struct hub **h);

int hub_bind(struct hub *h, const char *dn, const char *password) WARN_UNUSED;

/** One entry with these attributes, ended by NULL. RC_NOTFOUND is said, too. */
int hub_read(struct hub *h, struct arena *a, const char *dn, const char *const *attrs,
	     struct msg_entry *out) WARN_UNUSED;

/** An extended operation; RC_REFUSED after saying the partner's reason. */
int hub_extended(struct hub *h, const char *oid, struct span value) WARN_UNUSED;
