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

/* An attribute as it is hashed; of a long one the type alone. */
struct part {
	struct span bytes;
	uint32_t nvalues; /* 0: not long */
};

static int part_cmp(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	if ((x->nvalues != 0) != (y->nvalues != 0))
		return x->nvalues != 0 ? 1 : -1;
	return span_cmp(x->bytes, y->bytes);
}

/* How many values, if they are many; else 0. */
static uint32_t long_count(const struct entry_attr *at)
{
	struct span rest = at->values, value;
	uint32_t n = 0;

	if (at->is_apart)
		return at->apart.count;
	if (rest.n < 2 * DIGEST_LONG_VALUES)
		return 0;
	while (tlv_expect(&rest, TLV_OCTETS, &value) == RC_OK)
		n++;
	return n >= DIGEST_LONG_VALUES ? n : 0;
}

static bool hash_bytes(struct digester *d, struct span s)
{
	return EVP_DigestUpdate(d->hash, s.p, s.n) == 1;
}

static bool hash_long(struct digester *d, const struct part *p)
{
	uint8_t head[5] = {0}, count[4];

	be_put32(head + 1, (uint32_t)p->bytes.n);
	be_put32(count, p->nvalues);
	return hash_bytes(d, span_make(head, sizeof(head))) && hash_bytes(d, p->bytes) &&
	       hash_bytes(d, span_make(count, sizeof(count)));
}

static bool hash_attrs(struct digester *d, const struct entry *e)
{
	struct part few[FEW_ATTRS], *parts = few;
	struct entry_attr at;
	bool ok = true;
	unsigned i;

	if (e->nattrs > FEW_ATTRS)
		parts = mem_zalloc(e->nattrs, sizeof(*parts));
	if (parts == NULL)
		return false;
	for (i = 0; i < e->nattrs; i++) {
		entry_attr_at(e, i, &at);
		parts[i].nvalues = long_count(&at);
		parts[i].bytes = parts[i].nvalues != 0 ? at.type : at.whole;
	}
	qsort(parts, e->nattrs, sizeof(*parts), part_cmp);
	for (i = 0; i < e->nattrs && ok; i++)
		ok = parts[i].nvalues != 0 ? hash_long(d, &parts[i])
					   : hash_bytes(d, parts[i].bytes);
	if (parts != few)
		mem_free(parts);
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

static bool hash_value(struct digester *d, const struct entry *e, struct span type,
		       struct span value, uint8_t key[static DIGEST_BYTES])
{
	static const char label[] = "waypost value 1";
	uint8_t head[sizeof(label) + 2 * UUID_BYTES + 4];

	memcpy(head, label, sizeof(label));
	memcpy(head + sizeof(label), e->head.stamp.nc.b, UUID_BYTES);
	memcpy(head + sizeof(label) + UUID_BYTES, e->head.uuid.b, UUID_BYTES);
	be_put32(head + sizeof(label) + 2 * UUID_BYTES, (uint32_t)type.n);
	return EVP_DigestInit_ex2(d->hash, d->sha256, NULL) == 1 &&
	       hash_bytes(d, span_make(head, sizeof(head))) && hash_bytes(d, type) &&
	       hash_bytes(d, value) && EVP_DigestFinal_ex(d->hash, key, NULL) == 1;
}

static int make_element(struct digester *d, const uint8_t key[static DIGEST_BYTES])
{
	static const uint8_t zeros[DIGEST_STATE_BYTES], nonce[16];
	int n;

	if (EVP_EncryptInit_ex2(d->stream, NULL, key, nonce, NULL) == 1 &&
	    EVP_EncryptUpdate(d->stream, d->element, &n, zeros, sizeof(zeros)) == 1)
		return RC_OK;
	return RC_NOMEM; /* nothing else can fail */
}

static int change_state(struct digester *d, uint8_t *state, const uint8_t key[static DIGEST_BYTES],
			bool is_added)
{
	uint16_t a[LANES], b[LANES];
	int rc = make_element(d, key), i;

	if (rc != RC_OK)
		return rc;
	memcpy(a, state, sizeof(a));
	memcpy(b, d->element, sizeof(b));
	for (i = 0; i < LANES && is_added; i++)
		a[i] = htole16((uint16_t)(le16toh(a[i]) + le16toh(b[i])));
	for (i = 0; i < LANES && !is_added; i++)
		a[i] = htole16((uint16_t)(le16toh(a[i]) - le16toh(b[i])));
	memcpy(state, a, sizeof(a));
	return RC_OK;
}

int digest_change_own(struct digester *d, uint8_t *state, const struct entry *e, bool is_added)
{
	uint8_t key[DIGEST_BYTES];

	return hash_entry(d, e, key) ? change_state(d, state, key, is_added) : RC_NOMEM;
}

int digest_change_value(struct digester *d, uint8_t *state, const struct entry *e, struct span type,
			struct span value, bool is_added)
{
	uint8_t key[DIGEST_BYTES];

	return hash_value(d, e, type, value, key) ? change_state(d, state, key, is_added)
						  : RC_NOMEM;
}

static int change_whole(struct digester *d, uint8_t *state, const struct entry *e, bool is_added)
{
	struct entry_values walk;
	struct entry_attr at;
	struct span value;
	unsigned i;
	int rc = digest_change_own(d, state, e, is_added);

	for (i = 0; rc == RC_OK && i < e->nattrs; i++) {
		entry_attr_at(e, i, &at);
		if (long_count(&at) == 0)
			continue;
		entry_values_begin(&walk, e, &at);
		while (rc == RC_OK && entry_values_next(&walk, &value))
			rc = digest_change_value(d, state, e, at.type, value, is_added);
	}
	return rc;
}

int digest_add(struct digester *d, uint8_t *state, const struct entry *e)
{
	return change_whole(d, state, e, true);
}

int digest_sub(struct digester *d, uint8_t *state, const struct entry *e)
{
	return change_whole(d, state, e, false);
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
