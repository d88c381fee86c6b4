#include "dird/heads.h"

#include "dird/server.h"
#include "dird/store_digest.h"

#include <pthread.h>

/* One context. */
struct known {
	struct known *next;
	struct uuid nc;
	struct buf bytes; /* own: the last one that was signed; else the newest that came */
	struct head head; /* without its spans */
	uint64_t version;
	uint64_t heard_ms;
	bool is_stale;
};

struct heads {
	struct server *server;
	pthread_mutex_t mutex; /* guards what follows */
	uint64_t beat, start_ms;
	struct known *first;
};

static uint64_t now_ms(const struct heads *h)
{
	return h->server->clock->mono_ms(h->server->clock);
}

int heads_new(struct server *s, uint32_t start, struct heads **out)
{
	struct heads *h = mem_zalloc(1, sizeof(*h));

	*out = h;
	if (h == NULL)
		return RC_NOMEM;
	h->server = s;
	h->beat = (uint64_t)start << 32;
	h->start_ms = now_ms(h);
	must(pthread_mutex_init(&h->mutex, NULL) == 0);
	return RC_OK;
}

void heads_free(struct heads **hp)
{
	struct heads *h = *hp;
	struct known *k;

	if (h == NULL)
		return;
	while ((k = h->first) != NULL) {
		h->first = k->next;
		buf_fini(&k->bytes);
		mem_free(k);
	}
	pthread_mutex_destroy(&h->mutex);
	mem_free(h);
	*hp = NULL;
}

static struct known *find(struct heads *h, const struct uuid *nc)
{
	struct known *k;

	for (k = h->first; k != NULL; k = k->next) {
		if (uuid_eq(&k->nc, nc))
			return k;
	}
	return NULL;
}

static struct known *find_or_add(struct heads *h, const struct uuid *nc)
{
	struct known *k = find(h, nc);

	if (k != NULL)
		return k;
	k = mem_zalloc(1, sizeof(*k));
	if (k == NULL)
		return NULL;
	k->nc = *nc;
	k->heard_ms = h->start_ms;
	buf_init(&k->bytes, HEAD_MAX_BYTES);
	k->next = h->first;
	h->first = k;
	return k;
}

/* --- own ones --- */

static bool is_of(const struct head *head, const struct position *p, const uint8_t *digest)
{
	return position_same_life(&head->position, p) && head->position.usn == p->usn &&
	       memcmp(head->digest, digest, DIGEST_BYTES) == 0;
}

static int sign(struct heads *h, struct known *k)
{
	struct server *s = h->server;
	struct buf body, key, signature;
	struct head head = k->head;
	int rc;

	buf_init(&body, HEAD_MAX_BYTES);
	buf_init(&key, SIGN_KEY_MAX_BYTES);
	buf_init(&signature, SIGN_MAX_BYTES);
	buf_clear(&k->bytes);
	head_body(&head, &body);
	rc = buf_rc(&body);
	if (rc == RC_OK)
		rc = s->sign(s, buf_span(&body), &key, &signature);
	head.public = buf_span(&key);
	head.signature = buf_span(&signature);
	if (rc == RC_OK)
		head_write(&head, &k->bytes);
	buf_fini(&body);
	buf_fini(&key);
	buf_fini(&signature);
	return rc == RC_OK ? buf_rc(&k->bytes) : rc;
}

static int find_own(struct heads *h, const struct position *p, const uint8_t *digest,
		    struct buf *out)
{
	struct known *k = find_or_add(h, &p->nc);
	int rc = RC_OK;

	if (k == NULL)
		return RC_NOMEM;
	if (k->bytes.n == 0 || k->head.beat != h->beat || !is_of(&k->head, p, digest)) {
		k->head = (struct head){.position = *p, .beat = h->beat};
		k->head.wall_us = h->server->clock->wall_us(h->server->clock);
		memcpy(k->head.digest, digest, DIGEST_BYTES);
		rc = sign(h, k);
	}
	if (rc == RC_OK)
		buf_put(out, buf_span(&k->bytes));
	else
		buf_clear(&k->bytes);
	return rc == RC_OK ? buf_rc(out) : rc;
}

/* --- of other sites --- */

/* The newest of those that came and the one that is stored, if they say what is here. */
static int find_foreign(struct heads *h, struct store_txn *t, const struct position *p,
			const uint8_t *digest, struct buf *out)
{
	struct known *k = find(h, &p->nc);
	struct head head;
	struct span bytes;
	int rc;

	if (k != NULL && k->bytes.n != 0 && is_of(&k->head, p, digest)) {
		buf_put(out, buf_span(&k->bytes));
		return buf_rc(out);
	}
	rc = store_head(t, &p->nc, &bytes);
	if (rc == RC_OK && (head_read(bytes, &head) != RC_OK || !is_of(&head, p, digest)))
		rc = RC_NOTFOUND;
	if (rc == RC_OK)
		buf_put(out, bytes);
	return rc == RC_OK ? buf_rc(out) : rc;
}

int heads_find(struct heads *h, struct store_txn *t, const struct store_nc *nc, struct buf *out)
{
	uint8_t digest[DIGEST_BYTES];
	int rc;

	if (nc->position.epoch == 0 || (nc->is_own && h->server->sign == NULL))
		return RC_NOTFOUND;
	rc = store_digest(t, &nc->position.nc, digest);
	if (rc != RC_OK)
		return rc;
	pthread_mutex_lock(&h->mutex);
	if (nc->is_own)
		rc = find_own(h, &nc->position, digest, out);
	else
		rc = find_foreign(h, t, &nc->position, digest, out);
	pthread_mutex_unlock(&h->mutex);
	return rc;
}

uint64_t heads_version(struct heads *h, const struct uuid *nc)
{
	const struct known *k;
	uint64_t version;

	pthread_mutex_lock(&h->mutex);
	k = find(h, nc);
	version = h->beat + (k != NULL ? k->version : 0);
	pthread_mutex_unlock(&h->mutex);
	return version;
}

bool heads_heard(struct heads *h, struct span bytes, const struct head *head)
{
	struct known *k;
	bool is_new;

	pthread_mutex_lock(&h->mutex);
	k = find_or_add(h, &head->position.nc);
	is_new = k != NULL && (k->bytes.n == 0 || head_is_newer(head, &k->head));
	if (is_new) {
		buf_clear(&k->bytes);
		buf_put(&k->bytes, bytes);
		k->head = *head;
		k->version++;
		k->heard_ms = now_ms(h);
	}
	pthread_mutex_unlock(&h->mutex);
	return is_new;
}

bool heads_knows(struct heads *h, struct span bytes, const struct head *head)
{
	const struct known *k;
	bool knows;

	pthread_mutex_lock(&h->mutex);
	k = find(h, &head->position.nc);
	knows = k != NULL && span_eq(buf_span(&k->bytes), bytes);
	pthread_mutex_unlock(&h->mutex);
	return knows;
}

void heads_beat(struct heads *h)
{
	pthread_mutex_lock(&h->mutex);
	h->beat++;
	pthread_mutex_unlock(&h->mutex);
}

void heads_news(struct heads *h, const struct uuid *nc, struct heads_news *out)
{
	const struct known *k;

	pthread_mutex_lock(&h->mutex);
	k = find(h, nc);
	out->is_known = k != NULL && k->bytes.n != 0;
	out->usn = out->is_known ? k->head.position.usn : 0;
	out->epoch = out->is_known ? k->head.position.epoch : 0;
	out->age_ms = now_ms(h) - (k != NULL ? k->heard_ms : h->start_ms);
	pthread_mutex_unlock(&h->mutex);
}

bool heads_set_stale(struct heads *h, const struct uuid *nc, bool is_stale)
{
	struct known *k;
	bool changed;

	pthread_mutex_lock(&h->mutex);
	k = is_stale ? find_or_add(h, nc) : find(h, nc);
	changed = k != NULL && k->is_stale != is_stale;
	if (changed)
		k->is_stale = is_stale;
	pthread_mutex_unlock(&h->mutex);
	return changed;
}
