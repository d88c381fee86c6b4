#include "dird/check_digest.h"

#include "dird/store_digest.h"

struct context {
	struct context *next;
	struct uuid nc;
	uint8_t state[DIGEST_STATE_BYTES];
};

struct check_digest {
	struct store_txn *t;
	struct digester *digester;
	struct context *first;
};

int check_digest_new(struct store_txn *t, struct check_digest **out)
{
	struct check_digest *c = mem_zalloc(1, sizeof(*c));
	int rc;

	*out = c;
	if (c == NULL)
		return RC_NOMEM;
	c->t = t;
	rc = digester_new(&c->digester);
	if (rc != RC_OK)
		check_digest_free(out);
	return rc;
}

void check_digest_free(struct check_digest **cp)
{
	struct check_digest *c = *cp;
	struct context *at, *next;

	if (c == NULL)
		return;
	for (at = c->first; at != NULL; at = next) {
		next = at->next;
		mem_free(at);
	}
	digester_free(&c->digester);
	mem_free(c);
	*cp = NULL;
}

static struct context *find(struct check_digest *c, const struct uuid *nc)
{
	struct context *at;

	for (at = c->first; at != NULL; at = at->next) {
		if (uuid_eq(&at->nc, nc))
			return at;
	}
	at = mem_zalloc(1, sizeof(*at));
	if (at == NULL)
		return NULL;
	at->nc = *nc;
	at->next = c->first;
	c->first = at;
	return at;
}

int check_digest_add_quarantined(struct check_digest *c, const struct entry *e)
{
	struct context *at;

	if (uuid_eq(&e->head.stamp.nc, &POSITION_LOCAL_NC))
		return RC_OK;
	at = find(c, &e->head.stamp.nc);
	return at != NULL ? digest_add(c->digester, at->state, e) : RC_NOMEM;
}

int check_digest_add(struct check_digest *c, const struct entry *e)
{
	if (store_is_quarantined(c->t, &e->head.stamp.nc, &e->head.uuid))
		return RC_OK;
	return check_digest_add_quarantined(c, e);
}

int check_digest_is_right(struct check_digest *c, const struct uuid *nc, bool *out)
{
	uint8_t stored[DIGEST_STATE_BYTES];
	struct context *at = find(c, nc);
	int rc = at != NULL ? store_digest_state(c->t, nc, stored) : RC_NOMEM;

	*out = rc == RC_OK && memcmp(stored, at->state, sizeof(stored)) == 0;
	return rc;
}
