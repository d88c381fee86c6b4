#include "dird/tls.h"

#include "dird/sign.h"
#include "lib/arena.h"
#include "lib/file.h"

#include <arpa/inet.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#define TLS_PENDING_MAX_BYTES (1024 * 1024) /* plain bytes that wait for the handshake */

struct tls_context {
	SSL_CTX *ssl;
	bool has_ca;
	bool is_costly; /* to sign with its key */
	int references;
};

struct tls {
	struct tls_context *context;
	SSL *ssl;
	BIO *in, *out; /* owned by ssl */
	struct buf pending;
	uint8_t (*pins)[TLS_PIN_BYTES]; /* client side */
	unsigned npins;
	bool is_trusted;
	bool is_ready;
	const char *distrust; /* why its chain is not trusted */
	const char *refusal;  /* why this side ended the handshake; NULL: it did not */
	char error[160];
};

/* --- context --- */

static void why_openssl(struct buf *why, const char *what, const char *path)
{
	unsigned long e = ERR_peek_last_error();
	const char *reason = e != 0 ? ERR_reason_error_string(e) : NULL;

	buf_printf(why, "%s %s: %s", what, path, reason != NULL ? reason : "unknown TLS error");
	ERR_clear_error();
}

static int spki_pin(X509 *cert, uint8_t pin[static TLS_PIN_BYTES])
{
	unsigned char *der = NULL;
	int n, rc = RC_INVALID;

	n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	if (n > 0 && EVP_Digest(der, (size_t)n, pin, NULL, EVP_sha256(), NULL) == 1)
		rc = 0;
	OPENSSL_free(der);
	return rc;
}

static bool has_pin(const struct tls *t, X509 *cert)
{
	uint8_t pin[TLS_PIN_BYTES];
	unsigned i;

	if (cert == NULL || spki_pin(cert, pin) != 0)
		return false;
	for (i = 0; i < t->npins; i++) {
		if (memcmp(t->pins[i], pin, TLS_PIN_BYTES) == 0)
			return true;
	}
	return false;
}

static bool is_weak(X509 *cert)
{
	EVP_PKEY *key = cert != NULL ? X509_get0_pubkey(cert) : NULL;

	return key == NULL || EVP_PKEY_get_security_bits(key) < TLS_KEY_MIN_BITS;
}

static const char *refusal_of(const struct tls *t, X509 *cert)
{
	if (!has_pin(t, cert))
		return "the key of the other side is not the one pinned for its site";
	if (is_weak(cert))
		return "the key of the other side is too weak";
	return NULL;
}

/*
 * Instead of OpenSSL's own verification. A server takes every certificate here and remembers if its
 * chain is good; a client takes only a pinned key, whoever signed it.
 */
static int verify(X509_STORE_CTX *ctx, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *t = SSL_get_app_data(ssl);

	(void)arg;
	if (t->npins != 0) {
		t->refusal = refusal_of(t, X509_STORE_CTX_get0_cert(ctx));
		if (t->refusal != NULL)
			X509_STORE_CTX_set_error(ctx, X509_V_ERR_APPLICATION_VERIFICATION);
		return t->refusal == NULL;
	}
	(void)SSL_set_num_tickets(ssl, 0);
	t->is_trusted = t->context->has_ca && X509_verify_cert(ctx) == 1;
	t->distrust = t->context->has_ca
			      ? X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx))
			      : "no CA is configured here";
	return 1;
}

/* Revocation lists in the CA file are there to be looked at. */
static void look_at_lists(struct tls_context *c)
{
	X509_STORE *store = SSL_CTX_get_cert_store(c->ssl);
	STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(store);
	int i;

	for (i = 0; i < sk_X509_OBJECT_num(all); i++) {
		if (X509_OBJECT_get_type(sk_X509_OBJECT_value(all, i)) == X509_LU_CRL) {
			(void)X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK |
								  X509_V_FLAG_CRL_CHECK_ALL);
			return;
		}
	}
}

static int load_files(struct tls_context *c, const struct tls_config *cfg, struct buf *why)
{
	bool is_private;
	int rc;

	rc = file_is_private(cfg->key, &is_private);
	if (rc != 0) {
		buf_printf(why, "key file %s: %s", cfg->key, rc_text(rc));
		return rc;
	}
	if (!is_private) {
		buf_printf(why, "key file %s may be read by others; chmod 600 it", cfg->key);
		return RC_DENIED;
	}
	if (SSL_CTX_use_certificate_chain_file(c->ssl, cfg->certificate) != 1) {
		why_openssl(why, "certificate", cfg->certificate);
		return RC_INVALID;
	}
	if (SSL_CTX_use_PrivateKey_file(c->ssl, cfg->key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(c->ssl) != 1) {
		why_openssl(why, "key file", cfg->key);
		return RC_INVALID;
	}
	c->is_costly = EVP_PKEY_is_a(SSL_CTX_get0_privatekey(c->ssl), "RSA");
	if (cfg->ca == NULL)
		return 0;
	if (SSL_CTX_load_verify_locations(c->ssl, cfg->ca, NULL) != 1) {
		why_openssl(why, "CA file", cfg->ca);
		return RC_INVALID;
	}
	c->has_ca = true;
	look_at_lists(c);
	return 0;
}

/* A session that was begun with a certificate would outlive its date, its revocation, or its pin.
 */
static SSL_TICKET_RETURN look_at_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
					size_t n, SSL_TICKET_STATUS status, void *arg)
{
	(void)ssl;
	(void)name;
	(void)n;
	(void)arg;
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return SSL_SESSION_get0_peer(session) == NULL ? SSL_TICKET_RETURN_USE
						      : SSL_TICKET_RETURN_IGNORE;
}

static bool allow_resumption(SSL_CTX *c)
{
	static const unsigned char context[] = "waypost";

	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(c, TLS_RESUME_S);
	return SSL_CTX_set_num_tickets(c, 1) == 1 &&
	       SSL_CTX_set_session_id_context(c, context, sizeof(context) - 1) == 1 &&
	       SSL_CTX_set_session_ticket_cb(c, NULL, look_at_ticket, NULL) == 1;
}

int tls_context_new(const struct tls_config *cfg, struct tls_context **out, struct buf *why)
{
	struct tls_context *c = mem_zalloc(1, sizeof(*c));
	int rc;

	*out = NULL;
	if (c == NULL)
		return RC_NOMEM;
	c->references = 1;
	c->ssl = SSL_CTX_new(TLS_method());
	if (c->ssl == NULL) {
		rc = RC_NOMEM;
		goto out;
	}
	SSL_CTX_set_options(c->ssl, SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS);
	if (SSL_CTX_set_min_proto_version(c->ssl, TLS1_2_VERSION) != 1 ||
	    !allow_resumption(c->ssl)) {
		rc = RC_UNSUPPORTED;
		goto out;
	}
	SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(c->ssl, verify, NULL);
	rc = load_files(c, cfg, why);
out:
	if (rc != 0)
		tls_context_free(&c);
	*out = c;
	return rc;
}

static void context_release(struct tls_context *c)
{
	if (__atomic_sub_fetch(&c->references, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	SSL_CTX_free(c->ssl);
	mem_free(c);
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
	__atomic_add_fetch(&c->references, 1, __ATOMIC_ACQ_REL);
	return c;
}

void tls_context_free(struct tls_context **c)
{
	if (*c != NULL)
		context_release(*c);
	*c = NULL;
}

int tls_context_sign(struct tls_context *c, struct span data, struct buf *public_out,
		     struct buf *signature_out)
{
	EVP_PKEY *key = SSL_CTX_get0_privatekey(c->ssl);

	return key != NULL ? sign_with(key, data, public_out, signature_out) : RC_NOTFOUND;
}

/* --- one stream --- */

static int tls_new(struct tls_context *c, struct tls **out)
{
	struct tls *t = mem_zalloc(1, sizeof(*t));

	*out = NULL;
	if (t == NULL)
		return RC_NOMEM;
	buf_init(&t->pending, TLS_PENDING_MAX_BYTES);
	t->context = tls_context_ref(c);
	t->ssl = SSL_new(c->ssl);
	t->in = BIO_new(BIO_s_mem());
	t->out = BIO_new(BIO_s_mem());
	if (t->ssl == NULL || t->in == NULL || t->out == NULL) {
		BIO_free(t->in);
		BIO_free(t->out);
		tls_free(&t);
		return RC_NOMEM;
	}
	SSL_set_bio(t->ssl, t->in, t->out);
	SSL_set_app_data(t->ssl, t);
	*out = t;
	return 0;
}

int tls_accept_new(struct tls_context *c, struct tls **out)
{
	int rc = tls_new(c, out);

	if (rc == 0)
		SSL_set_accept_state((*out)->ssl);
	return rc;
}

static bool is_address(const char *host)
{
	unsigned char b[16];

	return inet_pton(AF_INET, host, b) == 1 || inet_pton(AF_INET6, host, b) == 1;
}

int tls_connect_new(struct tls_context *c, const char *host, const uint8_t (*pins)[TLS_PIN_BYTES],
		    unsigned npins, struct tls **out)
{
	struct tls *t;
	int rc;

	*out = NULL;
	if (npins == 0)
		return RC_DENIED; /* nobody could be proven to be the other site */
	rc = tls_new(c, &t);
	if (rc != 0)
		return rc;
	t->pins = mem_zalloc(npins, sizeof(*t->pins));
	if (t->pins == NULL) {
		tls_free(&t);
		return RC_NOMEM;
	}
	memcpy(t->pins, pins, npins * sizeof(*t->pins));
	t->npins = npins;
	SSL_set_connect_state(t->ssl);
	if (SSL_set_min_proto_version(t->ssl, TLS1_3_VERSION) != 1 ||
	    /* The macro casts to void *; by way of a number it takes no const away. */
	    (!is_address(host) && SSL_set_tlsext_host_name(t->ssl, (uintptr_t)host) != 1)) {
		ERR_clear_error();
		tls_free(&t);
		return RC_UNSUPPORTED;
	}
	*out = t;
	return 0;
}

void tls_free(struct tls **tp)
{
	struct tls *t = *tp;

	if (t == NULL)
		return;
	SSL_free(t->ssl);
	buf_fini(&t->pending);
	mem_free(t->pins);
	context_release(t->context);
	mem_free(t);
	*tp = NULL;
}

static void remember_error(struct tls *t)
{
	unsigned long e = ERR_peek_error();
	const char *reason = e != 0 ? ERR_reason_error_string(e) : NULL;

	if (t->refusal != NULL)
		reason = t->refusal;
	if (t->error[0] == '\0')
		snprintf(t->error, sizeof(t->error), "%s", reason != NULL ? reason : "TLS failure");
	ERR_clear_error();
}

static int take_wire(struct tls *t, struct buf *wire)
{
	size_t n = BIO_ctrl_pending(t->out);
	uint8_t *p;

	if (n == 0)
		return 0;
	p = buf_extend(wire, n);
	if (p == NULL)
		return buf_rc(wire);
	return BIO_read(t->out, p, (int)n) == (int)n ? 0 : RC_IO;
}

/* RC_OK also while the handshake waits for the other side. */
static int handshake(struct tls *t)
{
	int r = SSL_do_handshake(t->ssl);

	if (r == 1) {
		t->is_ready = true;
		return 0;
	}
	if (SSL_get_error(t->ssl, r) == SSL_ERROR_WANT_READ)
		return 0;
	remember_error(t);
	return RC_REFUSED;
}

static int encrypt(struct tls *t, struct span plain)
{
	size_t done;

	while (plain.n != 0) {
		if (SSL_write_ex(t->ssl, plain.p, plain.n, &done) != 1) {
			remember_error(t);
			return RC_IO;
		}
		plain = span_from(plain, done);
	}
	return 0;
}

static int write_pending(struct tls *t)
{
	int rc;

	if (!t->is_ready || t->pending.n == 0)
		return 0;
	rc = encrypt(t, buf_span(&t->pending));
	buf_fini(&t->pending);
	buf_init(&t->pending, TLS_PENDING_MAX_BYTES);
	return rc;
}

static int decrypt(struct tls *t, struct buf *plain)
{
	size_t room, got;
	uint8_t *p;
	int r;

	for (;;) {
		room = (size_t)SSL_pending(t->ssl);
		if (room < 4096)
			room = 4096;
		p = buf_extend(plain, room);
		if (p == NULL)
			return buf_rc(plain);
		r = SSL_read_ex(t->ssl, p, room, &got);
		if (r != 1)
			got = 0;
		buf_truncate(plain, plain->n - room + got);
		if (r == 1)
			continue;
		switch (SSL_get_error(t->ssl, r)) {
		case SSL_ERROR_WANT_READ:
			return 0;
		case SSL_ERROR_ZERO_RETURN:
			return RC_CLOSED;
		default:
			remember_error(t);
			return RC_IO;
		}
	}
}

int tls_feed(struct tls *t, struct span wire_in, struct buf *plain, struct buf *wire)
{
	int rc = 0, wire_rc;

	ERR_clear_error();
	if (wire_in.n > INT32_MAX)
		return RC_TOOBIG;
	if (wire_in.n != 0 && BIO_write(t->in, wire_in.p, (int)wire_in.n) != (int)wire_in.n)
		return RC_NOMEM;
	if (!t->is_ready)
		rc = handshake(t);
	if (rc == 0)
		rc = write_pending(t);
	if (rc == 0 && t->is_ready)
		rc = decrypt(t, plain);
	wire_rc = take_wire(t, wire); /* an alert of a failed handshake goes out, too */
	return rc != 0 ? rc : wire_rc;
}

int tls_write(struct tls *t, struct span plain, struct buf *wire)
{
	int rc;

	if (!t->is_ready) {
		buf_put(&t->pending, plain);
		return buf_rc(&t->pending);
	}
	ERR_clear_error();
	rc = encrypt(t, plain);
	return rc == 0 ? take_wire(t, wire) : rc;
}

void tls_close(struct tls *t, struct buf *wire)
{
	if (t->is_ready)
		SSL_shutdown(t->ssl);
	if (take_wire(t, wire) != 0)
		buf_clear(wire);
	ERR_clear_error();
}

bool tls_is_ready(const struct tls *t)
{
	return t->is_ready;
}

bool tls_is_costly(const struct tls *t)
{
	return t->context->is_costly;
}

const char *tls_error(const struct tls *t)
{
	return t->error;
}

static void subject_text(X509 *cert, char *out, size_t size)
{
	BIO *b = BIO_new(BIO_s_mem());
	int n = 0;

	if (b != NULL &&
	    X509_NAME_print_ex(b, X509_get_subject_name(cert), 0,
			       XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >= 0 &&
	    BIO_ctrl_pending(b) < size)
		n = BIO_read(b, out, (int)size - 1);
	out[n > 0 ? n : 0] = '\0'; /* a name that does not fit is no name */
	BIO_free(b);
}

void tls_peer(const struct tls *t, struct tls_peer *out)
{
	X509 *cert;

	memset(out, 0, sizeof(*out));
	out->is_tls13 = SSL_version(t->ssl) == TLS1_3_VERSION;
	cert = t->is_ready ? SSL_get0_peer_certificate(t->ssl) : NULL;
	if (cert == NULL || spki_pin(cert, out->pin) != 0)
		return;
	out->has_certificate = true;
	out->is_weak = is_weak(cert);
	out->is_trusted = t->is_trusted;
	out->distrust = t->distrust;
	subject_text(cert, out->subject, sizeof(out->subject));
}

/* --- pins --- */

void tls_pin_write(const uint8_t pin[static TLS_PIN_BYTES], char out[static TLS_PIN_TEXT_BYTES])
{
	memcpy(out, "sha256:", 7);
	EVP_EncodeBlock((unsigned char *)out + 7, pin, TLS_PIN_BYTES);
}

int tls_pin_parse(struct span text, uint8_t out[static TLS_PIN_BYTES])
{
	uint8_t bytes[TLS_PIN_BYTES + 1];
	char again[TLS_PIN_TEXT_BYTES];
	struct span base64 = span_from(text, 7);

	if (!span_starts(text, SPAN_LIT("sha256:")) || base64.n != 44 || base64.p[43] != '=' ||
	    base64.p[42] == '=')
		return RC_INVALID;
	if (EVP_DecodeBlock(bytes, base64.p, 44) != TLS_PIN_BYTES + 1)
		return RC_INVALID;
	tls_pin_write(bytes, again); /* one text for one pin: no stray bits, no blanks */
	if (!span_eq(span_of(again), text))
		return RC_INVALID;
	memcpy(out, bytes, TLS_PIN_BYTES);
	return 0;
}
