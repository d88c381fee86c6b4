#include "tools/pki.h"

#include "lib/base64.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <stdio.h>

#define VALID_DAYS 3650
#define SERIAL_BITS 127
#define SAN_MAX_BYTES 4096

static bool add_name(X509 *x, const char *name)
{
	X509_NAME *n = X509_get_subject_name(x);

	return X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
					  -1, 0) == 1 &&
	       X509_set_issuer_name(x, n) == 1;
}

static bool add_extension(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e;
	X509V3_CTX ctx;
	bool ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = e != NULL && X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok;
}

static bool is_address(const char *host)
{
	uint8_t bytes[16];

	return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static bool add_hosts(X509 *x, const char *const *hosts)
{
	struct buf b;
	bool ok;

	buf_init(&b, SAN_MAX_BYTES);
	for (; *hosts != NULL; hosts++)
		buf_printf(&b, "%s%s:%s", b.n != 0 ? "," : "", is_address(*hosts) ? "IP" : "DNS",
			   *hosts);
	ok = b.n == 0 || add_extension(x, NID_subject_alt_name, buf_cstr(&b));
	ok = ok && buf_rc(&b) == RC_OK;
	buf_fini(&b);
	return ok;
}

static bool set_serial(X509 *x)
{
	BIGNUM *serial = BN_new();
	bool ok = serial != NULL && BN_rand(serial, SERIAL_BITS, BN_RAND_TOP_ANY, 0) == 1 &&
		  BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x)) != NULL;

	BN_free(serial);
	return ok;
}

static bool fill(X509 *x, EVP_PKEY *key, const char *name, const char *const *hosts)
{
	return X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
	       X509_gmtime_adj(X509_getm_notBefore(x), -3600) != NULL &&
	       X509_time_adj_ex(X509_getm_notAfter(x), VALID_DAYS, 0, NULL) != NULL &&
	       X509_set_pubkey(x, key) == 1 && add_name(x, name) &&
	       add_extension(x, NID_basic_constraints, "critical,CA:TRUE") &&
	       add_extension(x, NID_key_usage, "critical,digitalSignature,keyCertSign") &&
	       add_extension(x, NID_ext_key_usage, "serverAuth,clientAuth") &&
	       add_extension(x, NID_subject_key_identifier, "hash") && add_hosts(x, hosts) &&
	       X509_sign(x, key, EVP_sha256()) != 0;
}

static void take(BIO *from, struct buf *out)
{
	char *p;
	long n = BIO_get_mem_data(from, &p);

	if (n > 0)
		buf_put(out, span_make(p, (size_t)n));
}

int pki_make(const char *name, const char *const *hosts, struct buf *key_pem, struct buf *cert_pem)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	BIO *kb = BIO_new(BIO_s_mem()), *xb = BIO_new(BIO_s_mem());
	int rc = RC_IO;

	if (key != NULL && x != NULL && kb != NULL && xb != NULL && fill(x, key, name, hosts) &&
	    PEM_write_bio_PrivateKey(kb, key, NULL, NULL, 0, NULL, NULL) == 1 &&
	    PEM_write_bio_X509(xb, x) == 1) {
		take(kb, key_pem);
		take(xb, cert_pem);
		rc = buf_rc(key_pem) != RC_OK ? buf_rc(key_pem) : buf_rc(cert_pem);
	}
	BIO_free(kb);
	BIO_free(xb);
	X509_free(x);
	EVP_PKEY_free(key);
	return rc;
}

static X509 *read_cert(struct span pem)
{
	BIO *b = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509 *x = b != NULL ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;

	BIO_free(b);
	return x;
}

int pki_pin(struct span cert_pem, char out[static PKI_PIN_TEXT_BYTES])
{
	uint8_t digest[EVP_MAX_MD_SIZE], *der = NULL;
	X509 *x = read_cert(cert_pem);
	int n = x != NULL ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der) : -1;
	struct buf text;
	int rc = RC_INVALID;

	buf_init(&text, 64);
	if (n > 0 && EVP_Digest(der, (size_t)n, digest, NULL, EVP_sha256(), NULL) == 1) {
		base64_encode(span_make(digest, 32), &text);
		rc = buf_rc(&text);
	}
	if (rc == RC_OK)
		snprintf(out, PKI_PIN_TEXT_BYTES, "sha256:%s", buf_cstr(&text));
	buf_fini(&text);
	OPENSSL_free(der);
	X509_free(x);
	return rc;
}

int pki_match(struct span cert_pem, struct span key_pem)
{
	BIO *b = BIO_new_mem_buf(key_pem.p, (int)key_pem.n);
	EVP_PKEY *key = b != NULL ? PEM_read_bio_PrivateKey(b, NULL, NULL, NULL) : NULL;
	X509 *x = read_cert(cert_pem);
	int rc = RC_INVALID;

	if (key != NULL && x != NULL)
		rc = X509_check_private_key(x, key) == 1 ? RC_OK : RC_CONFLICT;
	X509_free(x);
	EVP_PKEY_free(key);
	BIO_free(b);
	return rc;
}

int pki_random(void *p, size_t n)
{
	return RAND_bytes(p, (int)n) == 1 ? RC_OK : RC_IO;
}
