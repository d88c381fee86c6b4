/*
 * Signatures with a site's key, and their check against a public key that comes along: ECDSA and
 * RSA with SHA-256, or Ed25519. Pins (tls.h) say whose key it is.
 */
#pragma once

#include "lib/buf.h"

#define SIGN_KEY_MAX_BYTES 1024 /* of a public key, DER SubjectPublicKeyInfo */
#define SIGN_MAX_BYTES 1024     /* of a signature */
#define SIGN_PIN_BYTES 32       /* SHA-256 of the public key: TLS_PIN_BYTES */

struct evp_pkey_st; /* EVP_PKEY */

/** Append the public key and a signature of `data` to buffers. RC_UNSUPPORTED: a key that can not
 * sign. */
int sign_with(struct evp_pkey_st *key, struct span data, struct buf *public_out,
	      struct buf *signature_out) WARN_UNUSED;

/** Is `signature` one of `data` by the private half of `public`? Anything malformed is none. */
bool sign_is_by(struct span public, struct span data, struct span signature);

void sign_pin(struct span public, uint8_t out[static SIGN_PIN_BYTES]);

/** An Ed25519 key from 32 bytes, for tests and the simulator; NULL without memory. */
struct evp_pkey_st *sign_key_of(const uint8_t seed[static 32]);
void sign_key_free(struct evp_pkey_st **key);
