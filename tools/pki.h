/* Keys and certificates of a site: made here, or looked at when the administrator brings them. */
#pragma once

#include "lib/buf.h"

#define PKI_PIN_TEXT_BYTES 52 /* "sha256:" + base64 + NUL */

/**
 * A new key on curve P-256 and a certificate for it, signed by itself, valid for ten years; both
 * appended as PEM. `name` is the subject's common name; `hosts` are DNS names and IP addresses for
 * subjectAltName, ended by NULL.
 */
int pki_make(const char *name, const char *const *hosts, struct buf *key_pem,
	     struct buf *cert_pem) WARN_UNUSED;

/**
 * The pin of a PEM certificate's key: base64 of the SHA-256 of its SubjectPublicKeyInfo.
 * Errors   RC_INVALID: no certificate in there.
 */
int pki_pin(struct span cert_pem, char out[static PKI_PIN_TEXT_BYTES]) WARN_UNUSED;

/** Does the PEM key belong to the PEM certificate? RC_CONFLICT if not, RC_INVALID if it is no key.
 */
int pki_match(struct span cert_pem, struct span key_pem) WARN_UNUSED;

/** Random bytes fit for secrets. */
int pki_random(void *p, size_t n) WARN_UNUSED;
