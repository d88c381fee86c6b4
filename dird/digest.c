#include "dird/digest.h"

#include "dird/be.h"

#include <endian.h>
#include <openssl/evp.h>
#include <stdlib.h>

#define LANES (DIGEST_STATE_BYTES / 2)
#define FEW_ATTRS 64

struct digester {
	EVP_MD *sha256;
	EVP_CIPHER *chacha;
	EVP_MD_CTX *hash;
	EVP_CIPHER_CTX *stream;
	uint8_t element[DIGEST_STATE_BYTES];
};

int digester_new(struct digester **out)
{
	struct digester *d = mem_zalloc(1, sizeof(*d));

	*out = d;
	if (d == NULL)
		return RC_NOMEM;
	d->sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
	d->chacha = EVP_CIPHER_fetch(NULL, "ChaCha20", NULL);
	d->hash = EVP_MD_CTX_new();
	d->stream = EVP_CIPHER_CTX_new();
	if (d->sha256 != NULL && d->chacha != NULL && d->hash != NULL && d->stream != NULL &&
	    EVP_EncryptInit_ex2(d->stream, d->chacha, NULL, NULL, NULL) == 1)
		return RC_OK;
	digester_free(out);
	return RC_NOMEM;
}

void digester_free(struct digester **d)
{
	if (*d == NULL)
		return;
	EVP_MD_free((*d)->sha256);
	EVP_CIPHER_free((*d)->chacha);
	EVP_MD_CTX_free((*d)->hash);
	EVP_CIPHER_CTX_free((*d)->stream);
	mem_free(*d);
	*d = NULL;
}

static int attr_cmp(const void *a, const void *b)
{
	return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

static bool hash_attrs(struct digester *d, const struct entry *e)
{
	struct span few[FEW_ATTRS], *attrs = few;
	struct entry_attr at;
	bool ok = true;
	unsigned i;

	if (e->nattrs > FEW_ATTRS)
		attrs = mem_zalloc(e->nattrs, sizeof(*attrs));
	if (attrs == NULL)
		return false;
	for (i = 0; i < e->nattrs; i++) {
		entry_attr_at(e, i, &at);
		attrs[i] = at.whole;
	}
	qsort(attrs, e->nattrs, sizeof(*attrs), attr_cmp);
	for (i = 0; i < e->nattrs && ok; i++)
		ok = EVP_DigestUpdate(d->hash, attrs[i].p, attrs[i].n) == 1;
	if (attrs != few)
		mem_free(attrs);
	return ok;
}

static bool hash_entry(struct digester *d, const struct entry *e, uint8_t key[static DIGEST_BYTES])
{
	static const char label[] = "waypost entry 1";
	const struct entry_head *h = &e->head;
	struct span rdn = uuid_is_zero(&h->parent_uuid) ? SPAN_LIT("") : h->rdn;
	uint8_t head[sizeof(label) + 3 * UUID_BYTES + 4 + 8 + 4], *p = head;

	memcpy(p, label, sizeof(label));
	p += sizeof(label);
	memcpy(p, h->stamp.nc.b, UUID_BYTES);
	p += UUID_BYTES;
	memcpy(p, h->uuid.b, UUID_BYTES);
	p += UUID_BYTES;
	be_put32(p, h->stamp.epoch);
	be_put64(p + 4, h->stamp.usn);
	p += 12;
	memcpy(p, h->parent_uuid.b, UUID_BYTES);
	be_put32(p + UUID_BYTES, (uint32_t)rdn.n);
	return EVP_DigestInit_ex2(d->hash, d->sha256, NULL) == 1 &&
	       EVP_DigestUpdate(d->hash, head, sizeof(head)) == 1 &&
	       EVP_DigestUpdate(d->hash, rdn.p, rdn.n) == 1 && hash_attrs(d, e) &&
	       EVP_DigestFinal_ex(d->hash, key, NULL) == 1;
}

static int make_element(struct digester *d, const struct entry *e)
{
	static const uint8_t zeros[DIGEST_STATE_BYTES], nonce[16];
	uint8_t key[DIGEST_BYTES];
	int n;

	if (hash_entry(d, e, key) && EVP_EncryptInit_ex2(d->stream, NULL, key, nonce, NULL) == 1 &&
	    EVP_EncryptUpdate(d->stream, d->element, &n, zeros, sizeof(zeros)) == 1)
		return RC_OK;
	return RC_NOMEM; /* nothing else can fail */
}

int digest_add(struct digester *d, uint8_t *state, const struct entry *e)
{
	uint16_t a[LANES], b[LANES];
	int rc = make_element(d, e), i;

	if (rc != RC_OK)
		return rc;
	memcpy(a, state, sizeof(a));
	memcpy(b, d->element, sizeof(b));
	for (i = 0; i < LANES; i++)
		a[i] = htole16((uint16_t)(le16toh(a[i]) + le16toh(b[i])));
	memcpy(state, a, sizeof(a));
	return RC_OK;
}

int digest_sub(struct digester *d, uint8_t *state, const struct entry *e)
{
	uint16_t a[LANES], b[LANES];
	int rc = make_element(d, e), i;

	if (rc != RC_OK)
		return rc;
	memcpy(a, state, sizeof(a));
	memcpy(b, d->element, sizeof(b));
	for (i = 0; i < LANES; i++)
		a[i] = htole16((uint16_t)(le16toh(a[i]) - le16toh(b[i])));
	memcpy(state, a, sizeof(a));
	return RC_OK;
}

int digest_of(struct digester *d, const uint8_t *state, uint8_t out[static DIGEST_BYTES])
{
	if (EVP_DigestInit_ex2(d->hash, d->sha256, NULL) == 1 &&
	    EVP_DigestUpdate(d->hash, state, DIGEST_STATE_BYTES) == 1 &&
	    EVP_DigestFinal_ex(d->hash, out, NULL) == 1)
		return RC_OK;
	return RC_NOMEM;
}

void digest_write(const uint8_t digest[static DIGEST_BYTES], char out[static DIGEST_TEXT_BYTES])
{
	static const char hex[] = "0123456789abcdef";
	unsigned i;

	for (i = 0; i < DIGEST_BYTES; i++) {
		*out++ = hex[digest[i] >> 4];
		*out++ = hex[digest[i] & 15];
	}
	*out = 0;
}
