/* TLS on memory BIOs (dird/tls.h): both ends in this process, pins right and wrong, versions. */
#include "tests/unit/unit.h"

#include "dird/tls.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static char folder[] = "/tmp/waypost-tls-XXXXXX";

static const char *path(const char *name)
{
	static char out[4][128];
	static int i;

	i = (i + 1) % 4;
	snprintf(out[i], sizeof(out[i]), "%s/%s", folder, name);
	return out[i];
}

/* A key and a certificate of it signed by `ca_key`, or by itself. */
static EVP_PKEY *make_identity(const char *name, X509_NAME *issuer, EVP_PKEY *ca_key)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	X509 *cert = X509_new();
	X509_NAME *subject = X509_NAME_new();
	char file[64];
	FILE *f;

	assert_non_null(key);
	assert_int_equal(X509_set_version(cert, 2), 1);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), issuer != NULL ? 2 : 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8, (const unsigned char *)"Example",
				   -1, -1, 0);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
				   -1, 0);
	X509_set_subject_name(cert, subject);
	X509_set_issuer_name(cert, issuer != NULL ? issuer : subject);
	X509_set_pubkey(cert, key);
	if (strcmp(name, "ca") == 0) {
		X509_EXTENSION *ext =
			X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");

		assert_non_null(ext);
		assert_int_equal(X509_add_ext(cert, ext, -1), 1);
		X509_EXTENSION_free(ext);
	}
	assert_true(X509_sign(cert, ca_key != NULL ? ca_key : key, EVP_sha256()) > 0);
	snprintf(file, sizeof(file), "%s.crt", name);
	f = fopen(path(file), "w");
	assert_non_null(f);
	assert_int_equal(PEM_write_X509(f, cert), 1);
	fclose(f);
	snprintf(file, sizeof(file), "%s.key", name);
	f = fopen(path(file), "w");
	assert_non_null(f);
	assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
	assert_int_equal(chmod(path(file), 0600), 0);
	X509_free(cert);
	X509_NAME_free(subject);
	return key;
}

static int make_files(void **state)
{
	X509_NAME *ca_name = X509_NAME_new();
	EVP_PKEY *ca;

	(void)state;
	assert_non_null(mkdtemp(folder));
	X509_NAME_add_entry_by_txt(ca_name, "O", MBSTRING_UTF8, (const unsigned char *)"Example",
				   -1, -1, 0);
	X509_NAME_add_entry_by_txt(ca_name, "CN", MBSTRING_UTF8, (const unsigned char *)"ca", -1,
				   -1, 0);
	ca = make_identity("ca", NULL, NULL);
	EVP_PKEY_free(make_identity("hub", NULL, NULL));
	EVP_PKEY_free(make_identity("site", NULL, NULL));
	EVP_PKEY_free(make_identity("signed", ca_name, ca));
	EVP_PKEY_free(ca);
	X509_NAME_free(ca_name);
	return 0;
}

static int remove_files(void **state)
{
	static const char *const names[] = {"ca", "hub", "site", "signed"};
	char file[64];
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(names); i++) {
		snprintf(file, sizeof(file), "%s.crt", names[i]);
		unlink(path(file));
		snprintf(file, sizeof(file), "%s.key", names[i]);
		unlink(path(file));
	}
	return rmdir(folder);
}

static struct tls_context *context(const char *name, const char *ca)
{
	char crt[128], key[128];
	struct tls_config cfg = {.certificate = crt, .key = key, .ca = ca};
	struct tls_context *c;
	struct buf why;

	snprintf(crt, sizeof(crt), "%s/%s.crt", folder, name);
	snprintf(key, sizeof(key), "%s/%s.key", folder, name);
	buf_init(&why, 4096);
	if (tls_context_new(&cfg, &c, &why) != 0)
		fail_msg("%s", buf_cstr(&why));
	buf_fini(&why);
	return c;
}

/* Carry bytes between the ends, `step` at a time, until neither has any. The first error is told.
 */
struct pair {
	struct tls *client, *server;
	struct buf to_server, to_client, at_server, at_client;
	int client_rc, server_rc;
};

static void pair_init(struct pair *p)
{
	memset(p, 0, sizeof(*p));
	buf_init(&p->to_server, 1 << 24);
	buf_init(&p->to_client, 1 << 24);
	buf_init(&p->at_server, 1 << 24);
	buf_init(&p->at_client, 1 << 24);
}

static void pair_fini(struct pair *p)
{
	tls_free(&p->client);
	tls_free(&p->server);
	buf_fini(&p->to_server);
	buf_fini(&p->to_client);
	buf_fini(&p->at_server);
	buf_fini(&p->at_client);
}

static int carry(struct tls *to, struct buf *from, struct buf *plain, struct buf *back, size_t step)
{
	uint8_t copy[20000];
	size_t n = from->n < step ? from->n : step;

	memcpy(copy, from->p, n);
	buf_consume(from, n);
	return tls_feed(to, span_make(copy, n), plain, back);
}

static void run(struct pair *p, size_t step)
{
	if (p->client_rc == 0 && !tls_is_ready(p->client))
		p->client_rc = tls_feed(p->client, span_make("", 0), &p->at_client, &p->to_server);
	while (p->client_rc == 0 && p->server_rc == 0 && (p->to_server.n + p->to_client.n) != 0) {
		if (p->to_server.n != 0)
			p->server_rc =
				carry(p->server, &p->to_server, &p->at_server, &p->to_client, step);
		if (p->to_client.n != 0)
			p->client_rc =
				carry(p->client, &p->to_client, &p->at_client, &p->to_server, step);
	}
}

/* The pin by its definition: SHA-256 of the DER SubjectPublicKeyInfo. */
static void pin_of(const char *name, uint8_t pin[TLS_PIN_BYTES])
{
	char file[64];
	unsigned char *der = NULL;
	EVP_PKEY *key;
	FILE *f;
	int n;

	snprintf(file, sizeof(file), "%s.key", name);
	f = fopen(path(file), "r");
	assert_non_null(f);
	key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	fclose(f);
	assert_non_null(key);
	n = i2d_PUBKEY(key, &der);
	assert_true(n > 0);
	assert_int_equal(EVP_Digest(der, n, pin, NULL, EVP_sha256(), NULL), 1);
	OPENSSL_free(der);
	EVP_PKEY_free(key);
}

static void connect_pair(struct pair *p, struct tls_context *client, struct tls_context *server,
			 const char *pinned)
{
	uint8_t pins[2][TLS_PIN_BYTES] = {{0}};

	pin_of(pinned, pins[1]);
	pair_init(p);
	assert_int_equal(tls_accept_new(server, &p->server), 0);
	assert_int_equal(tls_connect_new(client, "hub.example.com", pins, 2, &p->client), 0);
}

static void right_pin(void **state)
{
	static const size_t steps[] = {20000, 1, 7};
	struct tls_context *client = context("site", NULL), *server = context("hub", NULL);
	uint8_t pin[TLS_PIN_BYTES], big[50000];
	struct tls_peer peer;
	struct pair p;
	size_t i;

	(void)state;
	memset(big, 'x', sizeof(big));
	for (i = 0; i < UNIT_COUNT(steps); i++) {
		connect_pair(&p, client, server, "hub");
		/* written before the handshake is done: waits inside */
		assert_int_equal(tls_write(p.client, SPAN_LIT("hello"), &p.to_server), 0);
		run(&p, steps[i]);
		assert_int_equal(p.client_rc, 0);
		assert_int_equal(p.server_rc, 0);
		assert_true(tls_is_ready(p.client) && tls_is_ready(p.server));
		unit_assert_span(buf_span(&p.at_server), SPAN_LIT("hello"));
		assert_int_equal(tls_write(p.server, span_make(big, sizeof(big)), &p.to_client), 0);
		run(&p, steps[i]);
		assert_int_equal(p.at_client.n, sizeof(big));
		assert_memory_equal(p.at_client.p, big, sizeof(big));
		tls_peer(p.server, &peer);
		assert_true(peer.has_certificate);
		assert_true(peer.is_tls13);
		assert_false(peer.is_trusted);
		assert_string_equal(peer.subject, "CN=site,O=Example");
		pin_of("site", pin);
		assert_memory_equal(peer.pin, pin, sizeof(pin));
		tls_close(p.client, &p.to_server);
		run(&p, steps[i]);
		assert_int_equal(p.server_rc, RC_CLOSED);
		pair_fini(&p);
	}
	tls_context_free(&client);
	tls_context_free(&server);
}

/* Requirement S1: another key is refused before any data. */
static void wrong_pin(void **state)
{
	struct tls_context *client = context("site", NULL), *server = context("hub", NULL);
	struct pair p;

	(void)state;
	connect_pair(&p, client, server, "signed");
	assert_int_equal(tls_write(p.client, SPAN_LIT("secret"), &p.to_server), 0);
	run(&p, 20000);
	assert_int_equal(p.client_rc, RC_REFUSED);
	assert_non_null(strstr(tls_error(p.client), "pinned"));
	assert_false(tls_is_ready(p.client));
	assert_int_equal(tls_feed(p.server, buf_span(&p.to_server), &p.at_server, &p.to_client),
			 RC_REFUSED);
	assert_int_equal(p.at_server.n, 0);
	pair_fini(&p);
	tls_context_free(&client);
	tls_context_free(&server);
}

static void no_pin(void **state)
{
	struct tls_context *client = context("site", NULL);
	struct tls *t;

	(void)state;
	assert_int_equal(tls_connect_new(client, "hub", NULL, 0, &t), RC_DENIED);
	assert_null(t);
	tls_context_free(&client);
}

/* A chain to the configured authority is trusted; towards sites only the pin counts. */
static void trusted_chain(void **state)
{
	struct tls_context *client = context("signed", NULL);
	struct tls_context *server = context("hub", path("ca.crt"));
	struct tls_peer peer;
	struct pair p;

	(void)state;
	connect_pair(&p, client, server, "hub");
	run(&p, 20000);
	tls_peer(p.server, &peer);
	assert_true(peer.is_trusted);
	assert_string_equal(peer.subject, "CN=signed,O=Example");
	pair_fini(&p);
	tls_context_free(&client);
	client = context("site", NULL);
	connect_pair(&p, client, server, "hub");
	run(&p, 20000);
	assert_true(tls_is_ready(p.server));
	tls_peer(p.server, &peer);
	assert_false(peer.is_trusted);
	pair_fini(&p);
	tls_context_free(&client);
	tls_context_free(&server);
}

/* A plain OpenSSL end limited to one version, against ours. */
static int foreign_handshake(struct tls *ours, bool foreign_accepts, int version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	SSL *ssl;
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	struct buf plain, wire;
	uint8_t bytes[20000];
	int i, n, rc = 0;

	SSL_CTX_set_security_level(ctx, 0);
	assert_int_equal(SSL_CTX_set_min_proto_version(ctx, version), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(ctx, version), 1);
	if (foreign_accepts) {
		assert_int_equal(SSL_CTX_use_certificate_chain_file(ctx, path("hub.crt")), 1);
		assert_int_equal(
			SSL_CTX_use_PrivateKey_file(ctx, path("hub.key"), SSL_FILETYPE_PEM), 1);
	}
	ssl = SSL_new(ctx);
	SSL_set_bio(ssl, in, out);
	if (foreign_accepts)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	buf_init(&plain, 1 << 20);
	buf_init(&wire, 1 << 20);
	for (i = 0; i < 10 && rc == 0 && !tls_is_ready(ours); i++) {
		SSL_do_handshake(ssl);
		n = BIO_read(out, bytes, sizeof(bytes));
		rc = tls_feed(ours, span_make(bytes, n > 0 ? n : 0), &plain, &wire);
		if (wire.n != 0)
			BIO_write(in, wire.p, (int)wire.n);
		buf_clear(&wire);
	}
	assert_true(rc != 0 || tls_is_ready(ours));
	buf_fini(&plain);
	buf_fini(&wire);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return rc;
}

/* Requirement S7: clients need TLS 1.2, sites 1.3. */
static void versions(void **state)
{
	struct tls_context *c = context("hub", NULL);
	uint8_t pins[1][TLS_PIN_BYTES];
	struct tls *t;

	(void)state;
	pin_of("hub", pins[0]);
	assert_int_equal(tls_accept_new(c, &t), 0);
	assert_int_equal(foreign_handshake(t, false, TLS1_1_VERSION), RC_REFUSED);
	assert_string_not_equal(tls_error(t), "");
	tls_free(&t);
	assert_int_equal(tls_accept_new(c, &t), 0);
	assert_int_equal(foreign_handshake(t, false, TLS1_2_VERSION), 0);
	tls_free(&t);
	assert_int_equal(tls_connect_new(c, "127.0.0.1", pins, 1, &t), 0);
	assert_int_equal(foreign_handshake(t, true, TLS1_2_VERSION), RC_REFUSED);
	tls_free(&t);
	assert_int_equal(tls_connect_new(c, "127.0.0.1", pins, 1, &t), 0);
	assert_int_equal(foreign_handshake(t, true, TLS1_3_VERSION), 0);
	tls_free(&t);
	tls_context_free(&c);
}

static void garbage(void **state)
{
	struct tls_context *c = context("hub", NULL);
	struct buf plain, wire;
	struct tls *t;

	(void)state;
	buf_init(&plain, 4096);
	buf_init(&wire, 4096);
	assert_int_equal(tls_accept_new(c, &t), 0);
	assert_int_equal(tls_feed(t, SPAN_LIT("0\f\2\1\1`\7\2\1\3\4\0\200\0"), &plain, &wire),
			 RC_REFUSED);
	assert_int_equal(plain.n, 0);
	tls_free(&t);
	tls_context_free(&c);
	buf_fini(&plain);
	buf_fini(&wire);
}

/* Requirement S17 */
static void open_key_file(void **state)
{
	struct tls_config cfg = {.certificate = path("hub.crt"), .key = path("hub.key")};
	struct tls_context *c;
	struct buf why;

	(void)state;
	buf_init(&why, 4096);
	assert_int_equal(chmod(cfg.key, 0644), 0);
	assert_int_equal(tls_context_new(&cfg, &c, &why), RC_DENIED);
	assert_non_null(strstr(buf_cstr(&why), cfg.key));
	assert_int_equal(chmod(cfg.key, 0600), 0);
	buf_clear(&why);
	cfg.certificate = path("site.crt"); /* of another key */
	assert_int_equal(tls_context_new(&cfg, &c, &why), RC_INVALID);
	assert_true(why.n != 0);
	buf_fini(&why);
}

static void pin_text(void **state)
{
	static const char *const bad[] = {
		"",
		"sha256:",
		"sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=",
		"sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
		"sha1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= ",
		"sha256: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	};
	uint8_t pin[TLS_PIN_BYTES], back[TLS_PIN_BYTES];
	char text[TLS_PIN_TEXT_BYTES];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(pin); i++)
		pin[i] = (uint8_t)(i * 37);
	tls_pin_write(pin, text);
	assert_int_equal(strlen(text), TLS_PIN_TEXT_BYTES - 1);
	assert_int_equal(tls_pin_parse(span_of(text), back), 0);
	assert_memory_equal(pin, back, sizeof(pin));
	for (i = 0; i < UNIT_COUNT(bad); i++)
		assert_int_equal(tls_pin_parse(span_of(bad[i]), back), RC_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(right_pin),     unit_heap_test(wrong_pin), unit_heap_test(no_pin),
		unit_heap_test(trusted_chain), unit_heap_test(versions),  unit_heap_test(garbage),
		unit_heap_test(open_key_file), unit_heap_test(pin_text),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
