/*
 * slapd as a consumer (its syncrepl): cookies of CSNs instead of our own, and entryCSN in entries.
 *
 * A naming context is a sid of slapd's: a hash of its id, so that it is the same one at every site.
 * Where two contexts of an organisation meet in one sid, the later one takes the next free one; a
 * consumer that goes on at a site with another order then gets a present phase.
 *
 * slapd deletes only what a cookie covers, and only when the cookie is newer than its own. So a
 * context that is not here any more goes on in the cookies of the session that found it out, with
 * the check CSN_CHECK_GONE, newer than any other of the same position.
 */
#include "dird/sync_session.h"

#include "lib/siphash.h"

static bool is_taken(const struct sync_session *s, unsigned sid)
{
	return s->sids[sid / 8] & 1u << sid % 8;
}

void sync_openldap_add(struct sync_session *s, struct sync_nc *nc)
{
	static const uint8_t no_key[SIPHASH_KEY_BYTES];
	struct siphash h;
	unsigned sid;

	nc->sid = CSN_SIDS;
	if (!s->is_openldap || s->nncs > CSN_SIDS)
		return;
	siphash_init(&h, no_key);
	siphash_add(&h, span_make(nc->sent.nc.b, UUID_BYTES));
	for (sid = (unsigned)(siphash_end(&h) % CSN_SIDS); is_taken(s, sid);)
		sid = (sid + 1) % CSN_SIDS;
	s->sids[sid / 8] |= (uint8_t)(1u << sid % 8);
	nc->sid = sid;
}

static uint32_t check_of(const struct sync_session *s, const struct position *p)
{
	uint32_t check = (uint32_t)(sync_mac(s, p, 1) & 0xffffff);

	return check != CSN_CHECK_GONE ? check : 0;
}

bool sync_openldap_find(const struct sync_session *s, const struct sync_nc *nc,
			struct position *out)
{
	struct span rest = s->csns;
	struct csn csn;
	int rc;

	while (csn_cookie_next(&rest, &csn, &rc)) {
		if (rc != RC_OK || csn.sid != nc->sid || csn.epoch != nc->sent.epoch)
			continue;
		*out = nc->sent;
		out->usn = csn.usn;
		return check_of(s, out) == csn.check;
	}
	return false;
}

bool sync_openldap_has_strangers(const struct sync_session *s)
{
	struct span rest = s->csns;
	struct csn csn;
	int rc;

	while (csn_cookie_next(&rest, &csn, &rc)) {
		if (rc == RC_OK && csn.check != CSN_CHECK_GONE && !is_taken(s, csn.sid))
			return true;
	}
	return false;
}

static void put_csn(const struct sync_session *s, const struct csn *csn, struct buf *out)
{
	bool is_first = out->n == 0;

	if (is_first)
		buf_put(out, s->rid);
	buf_puts(out, is_first ? ",csn=" : ";");
	if (csn_write(csn, out) != RC_OK)
		must(false); /* looked at before */
}

void sync_openldap_put(const struct sync_session *s, const struct sync_nc *nc,
		       const struct position *p, struct buf *out)
{
	struct csn csn = {p->epoch, p->usn, nc->sid, check_of(s, p)};

	if (csn.sid != CSN_SIDS)
		put_csn(s, &csn, out);
}

void sync_openldap_put_gone(const struct sync_session *s, struct buf *out)
{
	struct span rest = s->csns;
	struct csn csn;
	int rc;

	while (csn_cookie_next(&rest, &csn, &rc)) {
		if (rc != RC_OK || is_taken(s, csn.sid))
			continue;
		csn.check = CSN_CHECK_GONE;
		put_csn(s, &csn, out);
	}
	if (out->n == 0)
		buf_put(out, s->rid);
}

int sync_openldap_entry_csn(struct sync_session *s, const struct entry *e, struct buf *out)
{
	const struct sync_nc *nc = sync_find_nc(s, &e->head.stamp.nc);
	struct csn csn;

	if (nc == NULL || nc->sid == CSN_SIDS)
		return RC_OK;
	csn = (struct csn){nc->sent.epoch, e->head.stamp.usn, nc->sid, 0};
	return csn_write(&csn, out);
}
