#include "dird/sign.h"

#include "lib/rc.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

/* Ed25519 hashes by itself. */
static const EVP_MD *digest_for(const EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448") ? NULL : EVP_sha256();
}

static int put_public(EVP_PKEY *key, struct buf *out)
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(key, &der);

	if (n <= 0 || n > SIGN_KEY_MAX_BYTES) {
		OPENSSL_free(der);
		return RC_UNSUPPORTED;
	}
	buf_put(out, span_make(der, (size_t)n));
	OPENSSL_free(der);
	return buf_rc(out);
}

int sign_with(EVP_PKEY *key, struct span data, struct buf *public_out, struct buf *signature_out)
{
	unsigned char bytes[SIGN_MAX_BYTES];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = sizeof(bytes);
	int rc = put_public(key, public_out);

	if (rc == RC_OK && ctx == NULL)
		rc = RC_NOMEM;
	if (rc == RC_OK && (EVP_DigestSignInit(ctx, NULL, digest_for(key), NULL, key) != 1 ||
			    EVP_DigestSign(ctx, bytes, &n, data.p, data.n) != 1))
		rc = RC_UNSUPPORTED;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	if (rc == RC_OK)
		buf_put(signature_out, span_make(bytes, n));
	return rc == RC_OK ? buf_rc(signature_out) : rc;
}

bool sign_is_by(struct span public, struct span data, struct span signature)
{
	const unsigned char *p = public.p;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *key = NULL;
	bool ok;

	if (public.n != 0 && public.n <= SIGN_KEY_MAX_BYTES)
		key = d2i_PUBKEY(NULL, &p, (long)public.n);
	ok = ctx != NULL && key != NULL && p == public.p + public.n &&
	     EVP_DigestVerifyInit(ctx, NULL, digest_for(key), NULL, key) == 1 &&
	     EVP_DigestVerify(ctx, signature.p, signature.n, data.p, data.n) == 1;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return ok;
}

void sign_pin(struct span public, uint8_t out[static SIGN_PIN_BYTES])
{
	must(EVP_Digest(public.p, public.n, out, NULL, EVP_sha256(), NULL) == 1);
}

EVP_PKEY *sign_key_of(const uint8_t seed[static 32])
{
	return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
}

void sign_key_free(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
	*key = NULL;
}
