#include "dird/password.h"

#include "lib/buf.h"

#include <stdio.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#define ITERATIONS 100000
#define ITERATIONS_MAX 10000000
#define SALT_BYTES 16
#define HASH_MAX_BYTES 64
#define PASSWORD_MAX_BYTES 1024

struct scheme {
	const char *name;
	const EVP_MD *(*md)(void);
	bool is_pbkdf2;
	bool is_salted; /* of the plain digests: the salt stands behind the digest */
};

static const struct scheme schemes[] = {
	{"{PBKDF2-SHA512}", EVP_sha512, true, true}, /* the one that is made */
	{"{PBKDF2-SHA256}", EVP_sha256, true, true}, {"{PBKDF2-SHA1}", EVP_sha1, true, true},
	{"{PBKDF2}", EVP_sha1, true, true},          {"{SSHA512}", EVP_sha512, false, true},
	{"{SSHA256}", EVP_sha256, false, true},      {"{SSHA}", EVP_sha1, false, true},
	{"{SHA}", EVP_sha1, false, false},
};

static const struct scheme *scheme_of(struct span stored)
{
	struct span name;
	size_t i;

	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		name = span_of(schemes[i].name);
		if (stored.n >= name.n && span_eq_nocase(span_head(stored, name.n), name))
			return &schemes[i];
	}
	return NULL;
}

bool password_is_hash(struct span stored)
{
	return scheme_of(stored) != NULL;
}

/* --- base64; "adapted" has '.' for '+' and no padding (passlib) --- */

static void encode(const uint8_t *bytes, size_t n, struct buf *out)
{
	uint8_t *p = buf_extend(out, (n + 2) / 3 * 4 + 1);
	size_t at = out->n - ((n + 2) / 3 * 4 + 1), i;

	if (p == NULL)
		return;
	EVP_EncodeBlock(p, bytes, (int)n);
	for (i = at; i < out->n && out->p[i] != '=' && out->p[i] != '\0'; i++) {
		if (out->p[i] == '+')
			out->p[i] = '.';
	}
	buf_truncate(out, i);
}

/* Takes both forms. RC_INVALID also when it does not fit into `max`. */
static int decode(struct span text, uint8_t *out, size_t max, size_t *n_out)
{
	uint8_t copy[256], bytes[192];
	size_t i, n, pad;

	while (text.n != 0 && text.p[text.n - 1] == '=')
		text.n--;
	pad = (4 - text.n % 4) % 4;
	if (text.n == 0 || pad == 3 || text.n + pad > sizeof(copy))
		return RC_INVALID;
	for (i = 0; i < text.n; i++)
		copy[i] = text.p[i] == '.' ? '+' : text.p[i];
	memset(copy + text.n, '=', pad);
	if (EVP_DecodeBlock(bytes, copy, (int)(text.n + pad)) < 0)
		return RC_INVALID;
	n = (text.n + pad) / 4 * 3 - pad;
	if (n > max)
		return RC_INVALID;
	memcpy(out, bytes, n);
	*n_out = n;
	return 0;
}

/* --- PBKDF2 (RFC 8018) --- */

static int derive(const EVP_MD *md, struct span password, const uint8_t *salt, size_t nsalt,
		  unsigned iterations, uint8_t *out, size_t n)
{
	if (password.n > INT32_MAX)
		return RC_INVALID;
	return PKCS5_PBKDF2_HMAC((const char *)password.p, (int)password.n, salt, (int)nsalt,
				 (int)iterations, md, (int)n, out) == 1
		       ? 0
		       : RC_IO;
}

static int read_iterations(struct span text, unsigned *out)
{
	size_t i;

	*out = 0;
	if (text.n == 0 || text.n > 8)
		return RC_INVALID;
	for (i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return RC_INVALID;
		*out = *out * 10 + (unsigned)(text.p[i] - '0');
	}
	return *out >= 1 && *out <= ITERATIONS_MAX ? 0 : RC_INVALID;
}

static bool verify_pbkdf2(const EVP_MD *md, struct span rest, struct span password)
{
	uint8_t salt[128], want[HASH_MAX_BYTES], got[HASH_MAX_BYTES];
	size_t nsalt, nwant;
	unsigned iterations;
	struct span part;

	if (!span_cut(&rest, '$', &part) || read_iterations(part, &iterations) != 0 ||
	    !span_cut(&rest, '$', &part) || decode(part, salt, sizeof(salt), &nsalt) != 0 ||
	    decode(rest, want, sizeof(want), &nwant) != 0 || nwant < 16)
		return false;
	return derive(md, password, salt, nsalt, iterations, got, nwant) == 0 &&
	       CRYPTO_memcmp(want, got, nwant) == 0;
}

/* --- salted digests --- */

static bool verify_digest(const struct scheme *s, struct span rest, struct span password)
{
	uint8_t stored[192], got[EVP_MAX_MD_SIZE];
	size_t n, size = (size_t)EVP_MD_get_size(s->md());
	EVP_MD_CTX *ctx;
	bool fits = false;

	if (decode(rest, stored, sizeof(stored), &n) != 0 || n < size ||
	    (!s->is_salted && n != size))
		return false;
	ctx = EVP_MD_CTX_new();
	if (ctx != NULL && EVP_DigestInit_ex(ctx, s->md(), NULL) == 1 &&
	    EVP_DigestUpdate(ctx, password.p, password.n) == 1 &&
	    EVP_DigestUpdate(ctx, stored + size, n - size) == 1 &&
	    EVP_DigestFinal_ex(ctx, got, NULL) == 1)
		fits = CRYPTO_memcmp(stored, got, size) == 0;
	EVP_MD_CTX_free(ctx);
	return fits;
}

/* --- the whole --- */

int password_hash(struct span password, char out[static PASSWORD_HASH_BYTES])
{
	uint8_t salt[SALT_BYTES], hash[HASH_MAX_BYTES];
	struct buf b;
	int rc;

	if (password.n == 0 || password.n > PASSWORD_MAX_BYTES)
		return RC_INVALID;
	if (RAND_bytes(salt, sizeof(salt)) != 1)
		return RC_IO;
	rc = derive(EVP_sha512(), password, salt, sizeof(salt), ITERATIONS, hash, sizeof(hash));
	if (rc != 0)
		return rc;
	buf_init(&b, PASSWORD_HASH_BYTES - 1);
	buf_printf(&b, "%s%u$", schemes[0].name, ITERATIONS);
	encode(salt, sizeof(salt), &b);
	buf_putc(&b, '$');
	encode(hash, sizeof(hash), &b);
	rc = buf_rc(&b);
	if (rc == 0) {
		memcpy(out, b.p, b.n);
		out[b.n] = '\0';
	}
	buf_fini(&b);
	return rc;
}

bool password_verify(struct span stored, struct span password)
{
	const struct scheme *s = scheme_of(stored);
	struct span rest;

	if (s == NULL)
		return stored.n != 0 && stored.n == password.n &&
		       CRYPTO_memcmp(stored.p, password.p, stored.n) == 0;
	rest = span_from(stored, strlen(s->name));
	return s->is_pbkdf2 ? verify_pbkdf2(s->md(), rest, password)
			    : verify_digest(s, rest, password);
}

bool password_is_cheap(struct span stored)
{
	const struct scheme *s = scheme_of(stored);

	return s == NULL || !s->is_pbkdf2;
}

void password_verify_nothing(struct span password)
{
	static const uint8_t salt[SALT_BYTES];
	uint8_t hash[HASH_MAX_BYTES];

	if (derive(EVP_sha512(), password, salt, sizeof(salt), ITERATIONS, hash, sizeof(hash)) != 0)
		return;
	OPENSSL_cleanse(hash, sizeof(hash));
}
