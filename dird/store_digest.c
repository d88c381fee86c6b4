/*
 * Digests of naming contexts (digest.h): table nc, 'd' id -> state. A write transaction keeps the
 * states that it changes beside it, and puts each once, before the commit. And signed heads of
 * foreign ones (head.h), as they came: 'h' id -> head.
 */
#include "dird/store_digest.h"

#include "dird/store_mdb.h"

#define KEY_BYTES (1 + UUID_BYTES)

struct state {
	struct state *next;
	struct uuid nc;
	uint8_t bytes[DIGEST_STATE_BYTES];
};

struct store_digests {
	struct digester *digester;
	struct state *first;
};

static struct span nc_key(uint8_t kind, const struct uuid *nc, uint8_t key[static KEY_BYTES])
{
	key[0] = kind;
	memcpy(key + 1, nc->b, UUID_BYTES);
	return span_make(key, KEY_BYTES);
}

static int read_state(struct store_txn *t, const struct uuid *nc, uint8_t *out)
{
	uint8_t key[KEY_BYTES];
	struct span v;
	int rc = store_get(t, STORE_NC, nc_key('d', nc, key), &v);

	if (rc == RC_OK && v.n != DIGEST_STATE_BYTES)
		return RC_CORRUPT;
	if (rc == RC_OK)
		memcpy(out, v.p, DIGEST_STATE_BYTES);
	else if (rc == RC_NOTFOUND)
		memset(out, 0, DIGEST_STATE_BYTES);
	return rc == RC_NOTFOUND ? RC_OK : rc;
}

static struct state *find_state(const struct store_txn *t, const struct uuid *nc)
{
	struct state *s = t->digests != NULL ? t->digests->first : NULL;

	while (s != NULL && !uuid_eq(&s->nc, nc))
		s = s->next;
	return s;
}

static int open_digests(struct store_txn *t)
{
	int rc;

	if (t->digests != NULL)
		return RC_OK;
	t->digests = mem_zalloc(1, sizeof(*t->digests));
	if (t->digests == NULL)
		return RC_NOMEM;
	rc = digester_new(&t->digests->digester);
	if (rc != RC_OK) {
		mem_free(t->digests);
		t->digests = NULL;
	}
	return rc;
}

/* The state that this transaction changes. */
static int open_state(struct store_txn *t, const struct uuid *nc, struct state **out)
{
	struct state *s;
	int rc = open_digests(t);

	if (rc != RC_OK)
		return rc;
	*out = find_state(t, nc);
	if (*out != NULL)
		return RC_OK;
	s = mem_zalloc(1, sizeof(*s));
	if (s == NULL)
		return RC_NOMEM;
	s->nc = *nc;
	rc = read_state(t, nc, s->bytes);
	if (rc != RC_OK) {
		mem_free(s);
		return rc;
	}
	s->next = t->digests->first;
	t->digests->first = s;
	*out = s;
	return RC_OK;
}

/* NULL: the entry is in no digest, or an error sticks. */
static struct state *state_of(struct store_txn *t, const struct entry *e)
{
	struct state *s = NULL;
	int rc = RC_OK;

	if (t->rc == RC_OK && !uuid_eq(&e->head.stamp.nc, &POSITION_LOCAL_NC))
		rc = open_state(t, &e->head.stamp.nc, &s);
	if (rc != RC_OK)
		store_fail(t, rc);
	return rc == RC_OK ? s : NULL;
}

static void stick(struct store_txn *t, int rc)
{
	if (rc != RC_OK)
		store_fail(t, rc);
}

void store_digest_add(struct store_txn *t, const struct entry *e)
{
	struct state *s = state_of(t, e);

	if (s != NULL)
		stick(t, digest_add(t->digests->digester, s->bytes, e));
}

void store_digest_sub(struct store_txn *t, const struct entry *e)
{
	struct state *s = state_of(t, e);

	if (s != NULL)
		stick(t, digest_sub(t->digests->digester, s->bytes, e));
}

void store_digest_change_own(struct store_txn *t, const struct entry *e, bool is_added)
{
	struct state *s = state_of(t, e);

	if (s != NULL)
		stick(t, digest_change_own(t->digests->digester, s->bytes, e, is_added));
}

void store_digest_change_value(struct store_txn *t, const struct entry *e, struct span type,
			       struct span value, bool is_added)
{
	struct state *s = state_of(t, e);

	if (s != NULL)
		stick(t, digest_change_value(t->digests->digester, s->bytes, e, type, value,
					     is_added));
}

int store_digest_state(struct store_txn *t, const struct uuid *nc, uint8_t *out)
{
	const struct state *s = find_state(t, nc);

	if (s == NULL)
		return read_state(t, nc, out);
	memcpy(out, s->bytes, DIGEST_STATE_BYTES);
	return RC_OK;
}

int store_digest(struct store_txn *t, const struct uuid *nc, uint8_t out[static DIGEST_BYTES])
{
	uint8_t state[DIGEST_STATE_BYTES];
	struct digester *d = NULL;
	int rc = store_digest_state(t, nc, state);

	if (rc == RC_OK)
		rc = digester_new(&d);
	if (rc == RC_OK)
		rc = digest_of(d, state, out);
	digester_free(&d);
	return rc;
}

int store_head(struct store_txn *t, const struct uuid *nc, struct span *out)
{
	uint8_t key[KEY_BYTES];

	return store_get(t, STORE_NC, nc_key('h', nc, key), out);
}

void store_head_put(struct store_txn *t, const struct uuid *nc, struct span head)
{
	uint8_t key[KEY_BYTES];

	store_put(t, STORE_NC, nc_key('h', nc, key), head);
}

static void del_row(struct store_txn *t, struct span key)
{
	if (store_has(t, STORE_NC, key, span_make(NULL, 0)))
		store_del(t, STORE_NC, key, span_make(NULL, 0));
}

void store_digest_del(struct store_txn *t, const struct uuid *nc)
{
	uint8_t key[KEY_BYTES];
	struct state *s = find_state(t, nc), **at;

	del_row(t, nc_key('d', nc, key));
	del_row(t, nc_key('h', nc, key));
	if (s == NULL)
		return;
	for (at = &t->digests->first; *at != s; at = &(*at)->next)
		;
	*at = s->next;
	mem_free(s);
}

void store_digest_settle(struct store_txn *t)
{
	uint8_t key[KEY_BYTES];
	struct state *s = t->digests != NULL ? t->digests->first : NULL;

	for (; s != NULL; s = s->next)
		store_put(t, STORE_NC, nc_key('d', &s->nc, key),
			  span_make(s->bytes, DIGEST_STATE_BYTES));
}

void store_digest_close(struct store_txn *t)
{
	struct state *s, *next;

	if (t->digests == NULL)
		return;
	for (s = t->digests->first; s != NULL; s = next) {
		next = s->next;
		mem_free(s);
	}
	digester_free(&t->digests->digester);
	mem_free(t->digests);
	t->digests = NULL;
}
