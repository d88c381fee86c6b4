/* Signed heads: keys, signatures, comparing, and a site that lies about others. */
#include "tests/sim/sim.h"

#include "dird/heads.h"
#include "dird/store_digest.h"
#include "lib/base64.h"

#define BEAT_MS 10000

/* Bugs of other kinds are to be found without them. */
bool proof_is_on(void)
{
	return plant == PLANT_NONE || plant == PLANT_HEAD_UNCHECKED ||
	       plant == PLANT_HEAD_OF_ANOTHER_LIFE;
}

static struct evp_pkey_st *key_of(const struct site *s)
{
	uint8_t seed[32] = {(uint8_t)(s->number + 1)};
	struct evp_pkey_st *key = sign_key_of(seed);

	need(key != NULL);
	return key;
}

static int sign(struct server *server, struct span data, struct buf *public_out,
		struct buf *signature_out)
{
	struct site *s = (struct site *)((char *)server - offsetof(struct site, server));
	struct evp_pkey_st *key = key_of(s);
	int rc = sign_with(key, data, public_out, signature_out);

	sign_key_free(&key);
	return rc;
}

void proof_pin(const struct site *s, char out[static TLS_PIN_TEXT_BYTES])
{
	struct evp_pkey_st *key = key_of(s);
	uint8_t pin[SIGN_PIN_BYTES];
	struct buf public, signature;

	buf_init(&public, SIGN_KEY_MAX_BYTES);
	buf_init(&signature, SIGN_MAX_BYTES);
	need(sign_with(key, SPAN_LIT("x"), &public, &signature) == RC_OK);
	sign_pin(buf_span(&public), pin);
	tls_pin_write(pin, out);
	buf_fini(&public);
	buf_fini(&signature);
	sign_key_free(&key);
}

static bool has_proven(const struct site *s, const struct context *c)
{
	struct store_txn *t;
	struct span head;
	bool has;

	if (s->store == NULL)
		return false;
	need(store_read_begin(s->store, &t) == RC_OK);
	has = store_head(t, &c->id, &head) == RC_OK;
	store_read_end(&t);
	return has;
}

void proof_note(const struct site *s, struct repl_held *held)
{
	struct store_txn *t;
	struct store_nc nc;
	unsigned i;

	need(store_read_begin(s->store, &t) == RC_OK);
	for (i = 0; i < w.ncontexts; i++) {
		enum verify_proof proof;

		if (store_nc_find(t, &w.contexts[i].id, &nc) != RC_OK)
			continue;
		need(verify_proof(t, &nc, &proof) == RC_OK);
		if (proof != VERIFY_NOTHING)
			need(repl_held_note_proven(held, &w.contexts[i].id) == RC_OK);
		if (proof != VERIFY_PRESENT && w.contexts[i].home != s)
			need(repl_held_note_unproven(held, &nc.position) == RC_OK);
	}
	store_read_end(&t);
}

void proof_open(struct site *s)
{
	uint32_t start;

	if (!proof_is_on())
		return;
	need(store_count_start(s->store, &start) == RC_OK);
	s->server.sign = sign;
	need(heads_new(&s->server, start, &s->server.heads) == RC_OK);
	s->beat_ms = w.now_ms + BEAT_MS;
}

void proof_close(struct site *s)
{
	heads_free(&s->server.heads);
}

void proof_run(struct site *s)
{
	if (!s->is_up || s->server.heads == NULL || w.now_ms < s->beat_ms)
		return;
	s->beat_ms = w.now_ms + BEAT_MS;
	heads_beat(s->server.heads);
	net_committed(s);
}

/* --- comparing, as repl_conn.c does --- */

bool proof_plant_life(struct head *head, const struct change *told)
{
	bool is_of_it = plant == PLANT_HEAD_OF_ANOTHER_LIFE && told->kind == CHANGE_POSITION &&
			uuid_eq(&told->position.nc, &head->position.nc) &&
			told->position.usn == head->position.usn;

	if (is_of_it)
		head->position = told->position;
	return is_of_it;
}

int proof_head(struct repl_peer *p, struct repl_held *held, const struct repl_session *session,
	       struct span bytes)
{
	struct head head;

	if (head_read(bytes, &head) != RC_OK)
		return RC_INVALID;
	if (repl_hear(p, session, bytes, &head) != RC_OK)
		return RC_INVALID;
	if (repl_session_is_own(session, &head.position.nc))
		return RC_OK;
	return repl_held_head(held, bytes, &head);
}

int proof_begin(struct site *s, struct store_txn *t, struct result *why)
{
	return s->verify != NULL ? verify_begin(t, s->verify, why) : RC_OK;
}

int proof_end(struct site *s, struct store_txn *t, struct result *why)
{
	int rc;

	if (s->verify == NULL)
		return RC_OK;
	s->verify->is_held = s->is_held;
	rc = verify_end(t, s->verify, why);
	return plant == PLANT_HEAD_UNCHECKED && rc == RC_REFUSED ? RC_OK : rc;
}

bool proof_is_present(struct store_txn *t, const struct store_nc *nc)
{
	enum verify_proof proof;

	need(verify_proof(t, nc, &proof) == RC_OK);
	return nc->is_own || !proof_is_on() || proof == VERIFY_PRESENT;
}

void proof_check_equal(struct site *s, struct context *c)
{
	uint8_t here[DIGEST_BYTES], home[DIGEST_BYTES];
	struct store_txn *t;
	struct span bytes;
	struct head head;

	if (!proof_is_on())
		return;
	need(store_read_begin(c->home->store, &t) == RC_OK);
	need(store_digest(t, &c->id, home) == RC_OK);
	store_read_end(&t);
	need(store_read_begin(s->store, &t) == RC_OK);
	need(store_digest(t, &c->id, here) == RC_OK);
	if (memcmp(here, home, DIGEST_BYTES) != 0)
		sim_fail("at quiet, site %u has another digest of %s", s->number, c->base);
	if (s != c->home &&
	    (store_head(t, &c->id, &bytes) != RC_OK || head_read(bytes, &head) != RC_OK ||
	     memcmp(head.digest, here, DIGEST_BYTES) != 0))
		sim_fail("at quiet, site %u can not prove %s", s->number, c->base);
	store_read_end(&t);
}

/* --- lies: of what was proven before; a first meeting is believed --- */

static uint8_t *find_context(const struct context *c, uint8_t *bytes, size_t n)
{
	char id[UUID_TEXT_BYTES];

	uuid_write(&c->id, id);
	return memmem(bytes, n, id, UUID_TEXT_BYTES - 1);
}

/* A later life in a cookie's position of somebody else's context. */
static void lie_about_life(const struct site *to, uint8_t *bytes, size_t n)
{
	const struct context *c = &w.contexts[1 + draw(w.nsites - 1)];
	uint8_t *at = find_context(c, bytes, n);

	if (at == NULL || !has_proven(to, c))
		return;
	at[UUID_TEXT_BYTES] = '7'; /* the epoch */
	w.lies++;
}

/* Another value in an entry. */
static void lie_about_entry(const struct site *to, uint8_t *bytes, size_t n)
{
	static const char type[] = "description";
	uint8_t *at = memmem(bytes, n, type, sizeof(type) - 1);
	unsigned i;

	if (at == NULL)
		return;
	for (i = 0; i < w.ncontexts; i++) {
		if ((i == 0 || i == w.nsites || !has_proven(to, &w.contexts[i])) &&
		    find_context(&w.contexts[i], bytes, n) != NULL)
			return;
	}
	at[sizeof(type) - 1 + 4] ^= 3; /* behind SET and OCTET STRING */
	w.lies++;
}

void proof_lie(const struct site *from, const struct site *to, uint8_t *bytes, size_t n)
{
	if (!w.has_lies || w.is_quiet || from->number != 0 || !chance(20))
		return;
	if (memmem(bytes, n, "wp1,", 4) != NULL)
		lie_about_life(to, bytes, n);
	else
		lie_about_entry(to, bytes, n);
}
