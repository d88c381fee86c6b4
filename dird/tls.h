/*
 * OpenSSL, and nothing else, behind a pair of memory BIOs: bytes in, bytes out, no sockets.
 *
 * A client certificate is asked for and never required: who somebody is follows from the key pin of
 * a site object (sha256 of SubjectPublicKeyInfo), or from a chain to the configured CA.
 */
#pragma once

#include "lib/buf.h"

#define TLS_PIN_BYTES 32      /* SHA-256 of the DER SubjectPublicKeyInfo */
#define TLS_PIN_TEXT_BYTES 52 /* "sha256:" + base64 + NUL */
#define TLS_RESUME_S 3600
#define TLS_KEY_MIN_BITS 112 /* of security (NIST SP 800-57): RSA of 2048 bits, P-256 */

struct tls_context; /* certificate, key, trust; shared by many streams, replaceable while they live
		     */
struct tls;         /* one stream */

struct tls_config {
	const char *certificate; /* PEM files */
	const char *key;
	const char *ca; /* NULL: no chain is trusted, only pins identify. If the file holds
			   revocation lists (RFC 5280 §5), every issuer must have one there */
};

/** Refuses a key file that others may read. `why` gets a sentence. */
int tls_context_new(const struct tls_config *cfg, struct tls_context **out,
		    struct buf *why) WARN_UNUSED;
/** One more owner; each gives its reference back with tls_context_free(). From any thread. */
struct tls_context *tls_context_ref(struct tls_context *c);
void tls_context_free(struct tls_context **c);

/** Sign with the context's key: sign_with(). */
int tls_context_sign(struct tls_context *c, struct span data, struct buf *public_out,
		     struct buf *signature_out) WARN_UNUSED;

/**
 * Server side: TLS 1.2 or later. Sessions may be resumed (tickets, RFC 8446 §4.6.1 and RFC 5077)
 * for TLS_RESUME_S, but for those of clients with a certificate: each of them proves its key.
 */
int tls_accept_new(struct tls_context *c, struct tls **out) WARN_UNUSED;

/**
 * Client side towards another site: TLS 1.3 only, own certificate offered, and the handshake fails
 * unless the peer's key has one of the pins and TLS_KEY_MIN_BITS. Nothing else of its certificate
 * counts: neither issuer nor names nor dates.
 */
int tls_connect_new(struct tls_context *c, const char *host, const uint8_t (*pins)[TLS_PIN_BYTES],
		    unsigned npins, struct tls **out) WARN_UNUSED;
void tls_free(struct tls **t);

/** Bytes from the network: decrypted ones are appended to `plain`, bytes to send to `wire`.
 * RC_CLOSED: the peer ended TLS. */
int tls_feed(struct tls *t, struct span wire_in, struct buf *plain, struct buf *wire) WARN_UNUSED;
/** Encrypt; appended to `wire`. Before the handshake is done the bytes wait inside. */
int tls_write(struct tls *t, struct span plain, struct buf *wire) WARN_UNUSED;
/** close_notify into `wire`. */
void tls_close(struct tls *t, struct buf *wire);

bool tls_is_ready(const struct tls *t);
/** Its handshake takes a millisecond or more (RSA): work for a thread of the pool, not for a loop.
 */
bool tls_is_costly(const struct tls *t);
/** Why the handshake failed, for the log; "" if it did not. */
const char *tls_error(const struct tls *t);

struct tls_peer {
	bool has_certificate;
	bool is_weak;         /* its key has fewer than TLS_KEY_MIN_BITS */
	bool is_trusted;      /* chain to the configured CA */
	const char *distrust; /* why it is not; static text */
	bool is_tls13;
	uint8_t pin[TLS_PIN_BYTES];
	char subject[512]; /* RFC 2253 text; "" without a certificate */
};
void tls_peer(const struct tls *t, struct tls_peer *out);

void tls_pin_write(const uint8_t pin[static TLS_PIN_BYTES], char out[static TLS_PIN_TEXT_BYTES]);
int tls_pin_parse(struct span text, uint8_t out[static TLS_PIN_BYTES]) WARN_UNUSED;
