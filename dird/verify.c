#include "dird/verify.h"

#include "dird/store_digest.h"
#include "dird/tls.h"
#include "dird/update.h"

#include <assert.h>

static_assert(TLS_PIN_BYTES == SIGN_PIN_BYTES, "pins of keys are the same everywhere");

static int refuse(struct result *why, const char *text)
{
	*why = (struct result){.code = LR_UNWILLING, .text = text};
	return RC_REFUSED;
}

static bool has_pin(const struct entry *site, const uint8_t pin[static TLS_PIN_BYTES])
{
	struct span type = SPAN_LIT("siteKey"), rest, value;
	uint8_t one[TLS_PIN_BYTES];
	struct entry_attr at;
	unsigned i = 0;

	while (entry_find(site, entry_type_hash(type), type, &i, &at)) {
		for (rest = at.values; tlv_expect(&rest, TLV_OCTETS, &value) == RC_OK;) {
			if (tls_pin_parse(value, one) == RC_OK &&
			    memcmp(one, pin, sizeof(one)) == 0)
				return true;
		}
	}
	return false;
}

int verify_is_pinned(struct store_txn *t, const struct head *h, bool *out)
{
	uint8_t pin[SIGN_PIN_BYTES];
	struct store_nc nc;
	struct entry site;
	struct arena a;
	uint64_t eid;
	int rc;

	*out = false;
	arena_init(&a);
	rc = store_nc_find(t, &h->position.nc, &nc);
	if (rc == RC_OK)
		rc = update_home(t, &a, &nc, &eid);
	if (rc == RC_OK)
		rc = store_entry(t, eid, &site);
	arena_fini(&a);
	if (rc != RC_OK)
		return rc;
	sign_pin(h->public, pin);
	*out = has_pin(&site, pin);
	return RC_OK;
}

/* Where the context is, with what digest. */
static int look(struct store_txn *t, const struct uuid *id, struct position *at,
		uint8_t digest[static DIGEST_BYTES])
{
	struct store_nc nc;
	int rc = store_nc_find(t, id, &nc);

	if (rc == RC_OK)
		*at = nc.position;
	else if (rc == RC_NOTFOUND)
		*at = (struct position){.nc = *id};
	return rc == RC_OK || rc == RC_NOTFOUND ? store_digest(t, id, digest) : rc;
}

static int check_pin(struct store_txn *t, struct verify *v, struct result *why)
{
	bool pinned;
	int rc = verify_is_pinned(t, &v->head, &pinned);

	v->home_is_unknown = rc == RC_NOTFOUND;
	if (rc == RC_NOTFOUND)
		return refuse(why, "the key of the site that writes it is not known yet");
	if (rc != RC_OK)
		return rc;
	return pinned ? RC_OK
		      : refuse(why, "its head is signed by a key that the site which writes it "
				    "does not have");
}

/*
 * Keys count as they were before: else a partner could bring its own along. Only where nothing was
 * ever proven they are taken as they come.
 */
int verify_begin(struct store_txn *t, struct verify *v, struct result *why)
{
	struct span head;
	int rc = look(t, &v->head.position.nc, &v->was, v->before);

	v->is_proven = false;
	if (rc != RC_OK)
		return rc;
	rc = store_head(t, &v->head.position.nc, &head);
	if (rc != RC_OK && rc != RC_NOTFOUND)
		return rc;
	v->is_known = rc == RC_OK;
	return v->is_known && !v->is_homes ? check_pin(t, v, why) : RC_OK;
}

static bool is_same_place(const struct position *a, const struct position *b)
{
	return position_same_life(a, b) && a->usn == b->usn;
}

int verify_proof(struct store_txn *t, const struct store_nc *nc, enum verify_proof *out)
{
	struct head head;
	struct span bytes;
	int rc = store_head(t, &nc->position.nc, &bytes);

	*out = VERIFY_NOTHING;
	if (rc == RC_OK)
		*out = head_read(bytes, &head) == RC_OK &&
				       is_same_place(&head.position, &nc->position)
			       ? VERIFY_PRESENT
			       : VERIFY_EARLIER;
	return rc == RC_NOTFOUND ? RC_OK : rc;
}

/* Rows behind the head: of a session with another partner that was cut. Then it proves nothing. */
static bool is_beyond(struct store_txn *t, const struct head *h)
{
	struct store_change row;
	struct store_nc nc;

	return store_nc_find(t, &h->position.nc, &nc) == RC_OK &&
	       store_change_next(t, nc.number, h->position.usn, UINT64_MAX, &row) == RC_OK;
}

static int refuse_difference(struct store_txn *t, const struct verify *v, bool same_place,
			     struct result *why)
{
	if (v->is_homes)
		return RC_OK;
	if (v->is_held)
		return refuse(why, VERIFY_HELD_TEXT);
	if (!same_place)
		return refuse(why, "it comes with a head of another position");
	if (is_beyond(t, &v->head))
		return refuse(why, "more of it is here already than the partner has");
	return refuse(why, "it is not what the head that its site has signed says");
}

static int keep_head(struct store_txn *t, const struct verify *v)
{
	struct span bytes;
	struct head kept;
	int rc = store_head(t, &v->head.position.nc, &bytes);

	if (rc == RC_OK && head_read(bytes, &kept) == RC_OK &&
	    is_same_place(&kept.position, &v->head.position))
		return RC_OK;
	store_head_put(t, &v->head.position.nc, v->bytes);
	return store_error(t);
}

int verify_end(struct store_txn *t, struct verify *v, struct result *why)
{
	uint8_t now[DIGEST_BYTES];
	struct position at;
	bool same_place;
	int rc = look(t, &v->head.position.nc, &at, now);

	if (rc != RC_OK)
		return rc;
	same_place = is_same_place(&at, &v->head.position);
	v->is_proven = same_place && memcmp(now, v->head.digest, DIGEST_BYTES) == 0;
	if (!v->is_proven && is_same_place(&at, &v->was) &&
	    memcmp(now, v->before, DIGEST_BYTES) == 0)
		return RC_OK; /* all of it was here */
	if (!v->is_proven)
		return refuse_difference(t, v, same_place, why);
	if (v->is_homes || !v->is_known)
		rc = check_pin(t, v, why);
	if (rc == RC_OK)
		return keep_head(t, v);
	v->is_proven = false;
	return v->is_homes && rc == RC_REFUSED ? RC_OK : rc; /* TLS has shown who it is */
}
