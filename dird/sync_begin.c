#include "dird/sync_session.h"

#include "dird/server.h"
#include "dird/update.h"
#include "lib/log.h"

#define COUNT_ROWS 20000

/* --- the check of cookies --- */

uint64_t sync_mac(const struct sync_session *s, const struct position *p, unsigned purpose)
{
	struct siphash h;

	siphash_init(&h, s->key);
	siphash_add_number(&h, purpose);
	siphash_add_number(&h, s->hash);
	siphash_add(&h, span_make(p->nc.b, UUID_BYTES));
	siphash_add(&h, span_make(p->invocation.b, UUID_BYTES));
	siphash_add_number(&h, p->epoch);
	siphash_add_number(&h, p->usn);
	return siphash_end(&h);
}

/* A partner is known by its certificate, and has the key. */
uint64_t sync_cookie_mac(const struct sync_session *s, const struct vector *v)
{
	struct siphash h;
	unsigned i;

	if (s->is_partner)
		return 0;
	siphash_init(&h, s->key);
	siphash_add_number(&h, s->hash);
	for (i = 0; i < v->n; i++)
		siphash_add_number(&h, sync_mac(s, &v->at[i], 0));
	return siphash_end(&h);
}

/*
 * The key is a secret of the organisation, so that a cookie is good at each of its sites. Where
 * there is none, cookies are still bound to their content.
 */
static int read_key(struct sync_session *s, struct store_txn *t)
{
	uint64_t half;
	struct siphash h;
	struct span text;
	struct entry e;
	unsigned i;
	int rc = store_entry(t, s->root_eid, &e);

	for (i = 0; rc == RC_OK && i < 2 && entry_first(&e, "syncCookieKey", &text); i++) {
		siphash_init(&h, s->key);
		siphash_add_number(&h, i);
		siphash_add(&h, text);
		half = siphash_end(&h);
		memcpy(s->key + i * sizeof(half), &half, sizeof(half));
	}
	return rc;
}

/* --- contexts --- */

static bool belongs(const struct sync_session *s, const struct store_nc *nc)
{
	return s->with_local || !uuid_eq(&nc->position.nc, &POSITION_LOCAL_NC);
}

/* Is it written by the partner's site? */
static bool is_home(const struct sync_session *s, struct store_txn *t, const struct store_nc *nc)
{
	const struct uuid *site = &s->op->identity.uuid;
	struct span master, name;
	struct entry root, e;
	uint64_t eid;

	if (!s->is_partner || s->op->identity.kind != IDENTITY_SITE)
		return false;
	if (uuid_eq(&nc->position.nc, site))
		return true;
	return nc->head == s->root_eid && store_entry(t, nc->head, &root) == RC_OK &&
	       entry_first(&root, "masterSite", &master) && store_by_uuid(t, site, &eid) == RC_OK &&
	       store_entry(t, eid, &e) == RC_OK && entry_first(&e, "ou", &name) &&
	       span_eq_nocase(master, name);
}

/*
 * How far we can tell. A home hears of what a cut session has brought beyond our position, too: it
 * may have been put back to just that position.
 */
static int reach(struct store_txn *t, const struct store_nc *nc, struct sync_nc *at)
{
	at->here = at->usn = nc->position.usn;
	return at->is_home ? update_reach(t, nc, &at->asked, &at->reach, &at->here) : RC_OK;
}

static int take_past(struct sync_nc *at, const struct store_nc *nc)
{
	struct position *past = at->past;

	if (nc->npast != at->npast)
		past = mem_realloc(past, (size_t)nc->npast * sizeof(*past) + 1);
	if (past == NULL && nc->npast != 0)
		return RC_NOMEM;
	at->past = past;
	at->npast = nc->npast;
	if (nc->npast != 0)
		memcpy(past, nc->past, nc->npast * sizeof(*past));
	return RC_OK;
}

static int add_context(struct sync_session *s, struct store_txn *t, const struct store_nc *nc,
		       const struct vector *v, struct sync_nc **out)
{
	struct sync_nc *at = mem_realloc(s->ncs, ((size_t)s->nncs + 1) * sizeof(*at));
	int rc;

	if (at == NULL)
		return RC_NOMEM;
	s->ncs = at;
	at += s->nncs++;
	memset(at, 0, sizeof(*at));
	at->number = nc->number;
	at->sent = nc->position;
	at->sent.usn = 0;
	at->told = UINT64_MAX;
	at->floor = nc->floor;
	at->is_own = nc->is_own;
	at->is_home = at->is_partners = is_home(s, t, nc);
	sync_openldap_add(s, at);
	at->asked = vector_lives(v, &nc->position.nc);
	*out = at;
	rc = reach(t, nc, at);
	if (rc == RC_OK && s->is_partner)
		rc = take_past(at, nc);
	at->pass_high = at->here;
	return rc;
}

struct sync_nc *sync_find_nc(struct sync_session *s, const struct uuid *id)
{
	unsigned i;

	for (i = 0; i < s->nncs; i++) {
		if (uuid_eq(&s->ncs[i].sent.nc, id))
			return &s->ncs[i];
	}
	return NULL;
}

/* All that the life had at p, this one has, too. */
static bool includes(const struct store_nc *nc, const struct position *p)
{
	struct position room[1 + POSITION_PAST_MAX];
	struct vector lives = store_nc_lives(nc, room);

	return lives_include(&lives, p);
}

/*
 * Everything of the life up to p is known to the client; does the order here tell the rest? At usn
 * 0 it may hold anything that a cut session brought.
 */
static bool is_usable(const struct store_nc *nc, const struct position *p)
{
	if (p->usn == 0)
		return nc->floor == 0 && nc->npast == 0;
	return (position_same_life(p, &nc->position) || includes(nc, p)) && p->usn >= nc->floor;
}

/*
 * One context of a cookie. A partner may be ahead of this site, since it has other partners;
 * another client that is ahead was served by a replica that knew more, so it gets everything.
 */
static bool take_position(struct sync_session *s, const struct store_nc *nc,
			  const struct position *p, struct sync_nc *at)
{
	bool same = position_same_life(p, &nc->position);

	if (s->is_partner && p->epoch > nc->position.epoch) {
		at->is_ahead = true;
		return true;
	}
	if (same ? s->is_partner || p->usn <= nc->position.usn : is_usable(nc, p))
		at->begin = p->usn;
	if (!is_usable(nc, p) || (!s->is_partner && p->usn > nc->position.usn))
		return false;
	at->sent.usn = at->settled = p->usn;
	if (!same)
		at->quiet = nc->position.usn;
	return true;
}

static void log_held(const struct store_nc *nc, const struct position *p)
{
	log_error(
		NULL, "sync.rolled_back",
		"epoch=%u usn=%llu partner_epoch=%u partner_usn=%llu reason=\"a partner has "
		"changes that the site which writes them does not have: that one runs on an older "
		"copy; the partner gets nothing of it until they are recovered\"",
		nc->position.epoch, (unsigned long long)nc->position.usn, p->epoch,
		(unsigned long long)p->usn);
}

/* Only when the home has heard of what the partner knows may the partner learn the rest: else that
 * would be gone, and the partner may be the only one who has it. */
static bool is_held(const struct sync_session *s, const struct store_nc *nc,
		    const struct position *p)
{
	if (!s->is_partner)
		return false;
	if (nc->is_own && nc->is_recovering)
		return true;
	if (p == NULL || p->epoch == 0 || includes(nc, p))
		return false;
	return nc->is_own ||
	       (p->epoch <= nc->position.epoch && !position_same_life(p, &nc->position));
}

/* Its own home asks: as long as that has all we have, we have nothing to tell it. */
static bool begin_home(struct sync_session *s, const struct store_nc *nc,
		       const struct vector *lives, struct sync_nc *at)
{
	struct position from;
	unsigned i;

	if (lives->n == 0 || at->reach.epoch == 0 ||
	    (lives_include(lives, &at->reach) &&
	     (nc->position.epoch == 0 || lives_include(lives, &nc->position))))
		return true;
	at->is_partners = false; /* it was put back, and wants the rest */
	if (nc->position.epoch == 0)
		return true; /* what is not here may never have come */
	for (i = 0; i < lives->n; i++) {
		if (!position_same_life(&lives->at[i], &nc->position))
			continue;
		from = lives->at[i];
		if (at->here > nc->position.usn && from.usn > nc->position.usn)
			from.usn = nc->position.usn; /* what is beyond may be of other lives */
		return take_position(s, nc, &from, at);
	}
	return false;
}

static void hold(const struct store_nc *nc, const struct position *p, struct sync_nc *at)
{
	at->is_ahead = at->is_waiting = true;
	if (p != NULL && !includes(nc, p)) {
		at->lost = *p;
		log_held(nc, p);
	}
}

/*
 * Can the context go on from the cookie? If not, the present phase speaks for it. A partner names
 * all contexts of which it has something; another client may hold anything.
 */
static bool begin_one(struct sync_session *s, const struct store_nc *nc, const struct position *p,
		      const struct vector *lives, struct sync_nc *at)
{
	static const struct position nothing;

	if (at->is_partners)
		return begin_home(s, nc, lives, at);
	return take_position(s, nc, p != NULL ? p : &nothing, at);
}

static const struct position *known(const struct sync_session *s, const struct vector *v,
				    const struct sync_nc *nc, struct position *from)
{
	if (!s->is_openldap)
		return vector_find(v, &nc->sent.nc);
	return sync_openldap_find(s, nc, from) ? from : NULL;
}

/* Contexts with what the cookie says; the present phase speaks for those that can not use it. */
static int begin_each(struct sync_session *s, struct store_txn *t, const struct vector *v,
		      bool usable)
{
	uint32_t number = 0;
	struct position from;
	struct store_nc nc;
	int rc;

	while ((rc = store_nc_next(t, &number, &nc)) == RC_OK) {
		const struct position *p;
		struct vector lives;
		struct sync_nc *at;

		if (!belongs(s, &nc))
			continue;
		rc = add_context(s, t, &nc, v, &at);
		if (rc != RC_OK)
			return rc;
		lives = vector_lives(v, &nc.position.nc);
		p = usable ? known(s, v, at, &from) : NULL;
		if (!at->is_partners && is_held(s, &nc, p))
			hold(&nc, p, at);
		else
			at->speaks = !usable || !begin_one(s, &nc, p, &lives, at);
	}
	return rc == RC_DONE ? RC_OK : rc;
}

/* Does the cookie name a context that is not here? Its entries at the client would stay for ever.
 */
static bool has_strangers(const struct sync_session *s, const struct vector *v)
{
	unsigned i, k;

	if (s->is_openldap)
		return sync_openldap_has_strangers(s);
	for (i = 0; i < v->n; i++) {
		for (k = 0; k < s->nncs && !uuid_eq(&s->ncs[k].sent.nc, &v->at[i].nc); k++)
			;
		if (k == s->nncs)
			return true;
	}
	return false;
}

/* Has the base, or what is above it, been moved since the cookie? Then the scope is another one. */
static int has_base_moved(struct sync_session *s, struct store_txn *t, bool *out)
{
	uint64_t eid = s->base_eid;
	struct entry e;
	unsigned i;
	int rc;

	*out = false;
	while (eid != 0 && eid != s->root_eid) {
		rc = store_entry(t, eid, &e);
		if (rc != RC_OK)
			return rc;
		for (i = 0; i < s->nncs; i++) {
			if (uuid_eq(&s->ncs[i].sent.nc, &e.head.stamp.nc) &&
			    e.head.moved_usn > s->ncs[i].begin)
				*out = true;
		}
		eid = e.head.parent;
	}
	return RC_OK;
}

/*
 * Everybody but a partner has one present phase for all contexts. `anew`: what the client has can
 * not be told by name.
 */
static void begin_present(struct sync_session *s, bool anew)
{
	unsigned i;

	for (i = 0; i < s->nncs; i++) {
		s->ncs[i].speaks = true;
		s->ncs[i].sent.usn = s->ncs[i].settled = 0;
		if (anew)
			s->ncs[i].begin = 0;
	}
}

static bool does_any_speak(const struct sync_session *s)
{
	unsigned i;

	for (i = 0; i < s->nncs; i++) {
		if (s->ncs[i].speaks)
			return true;
	}
	return false;
}

/* --- which phase is shorter (RFC 4533 §3.3.2) --- */

/* Removals since the cookie, as far as COUNT_ROWS rows tell. */
static int count_removals(struct sync_session *s, struct store_txn *t, uint64_t *out)
{
	unsigned rows = COUNT_ROWS, i;
	struct store_change row;
	int rc = RC_OK;

	*out = 0;
	for (i = 0; i < s->nncs; i++) {
		uint64_t at = s->ncs[i].sent.usn;

		while (rows != 0 && (rc = store_change_next(t, s->ncs[i].number, at, s->ncs[i].here,
							    &row)) == RC_OK) {
			*out += row.is_tombstone;
			at = row.usn;
			rows--;
		}
		if (rc != RC_OK && rc != RC_DONE)
			return rc;
	}
	return RC_OK;
}

/* Are there fewer than `most` entries in the scope? */
static int has_fewer(struct sync_session *s, struct store_txn *t, uint64_t most, bool *out)
{
	struct store_iter *i = NULL;
	uint64_t eid, n = 0;
	int rc = store_walk(t, s->base_eid, (enum store_scope)s->op->msg.u.search.scope, &i);

	while (rc == RC_OK && n < most && (rc = store_iter_next(i, &eid)) == RC_OK)
		n++;
	store_iter_free(&i);
	*out = n < most;
	return rc == RC_DONE ? RC_OK : rc;
}

/* Are there more removals to tell than entries to name? */
static int is_present_shorter(struct sync_session *s, struct store_txn *t, bool *out)
{
	uint64_t removals;
	int rc = count_removals(s, t, &removals);

	*out = false;
	if (rc == RC_OK && removals > 1)
		rc = has_fewer(s, t, removals, out);
	return rc;
}

/* --- the beginning --- */

/* RC_INVALID: it is none of ours, or not of this content. */
static int read_cookie(struct sync_session *s, struct span cookie, struct vector *v)
{
	uint64_t mac;
	int rc;

	if (!s->is_partner && csn_cookie_read(cookie, &s->rid, &s->csns)) {
		s->is_openldap = true;
		return s->csns.n != 0 ? RC_OK : RC_INVALID;
	}
	rc = cookie_read(cookie, &s->arena, &mac, v);
	return rc == RC_OK && mac != sync_cookie_mac(s, v) ? RC_INVALID : rc;
}

static int choose_phase(struct sync_session *s, struct store_txn *t, const struct vector *v,
			bool recognized)
{
	bool moved = false, shorter = false;
	int rc = has_base_moved(s, t, &moved);

	if (rc != RC_OK)
		return rc;
	if (moved || does_any_speak(s) || has_strangers(s, v)) {
		begin_present(s, moved || !recognized);
		return RC_OK;
	}
	rc = is_present_shorter(s, t, &shorter);
	if (shorter)
		begin_present(s, false);
	return rc;
}

int sync_begin_contexts(struct sync_session *s, struct store_txn *t, struct span cookie)
{
	struct vector v = {NULL, 0};
	bool recognized = false;
	int rc = read_key(s, t);

	if (rc == RC_OK && cookie.n != 0) {
		rc = read_cookie(s, cookie, &v);
		recognized = rc == RC_OK;
		if (rc == RC_INVALID && !s->is_partner && !s->is_openldap && !s->reload_hint)
			return RC_CONFLICT;
		if (rc == RC_INVALID)
			rc = RC_OK;
	}
	if (rc == RC_OK)
		rc = begin_each(s, t, &v, recognized);
	if (rc == RC_OK && !s->is_partner)
		rc = choose_phase(s, t, &v, recognized);
	s->stage = does_any_speak(s) ? SYNC_STAGE_PRESENT : SYNC_STAGE_DELETE;
	return rc;
}

static struct sync_nc *find_number(struct sync_session *s, uint32_t number)
{
	unsigned lo = 0, hi = s->nncs, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (s->ncs[mid].number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->nncs && s->ncs[lo].number == number ? &s->ncs[lo] : NULL;
}

/* A context of which nothing was told yet may learn which life it has, unless that is to be held.
 */
static bool take_life(struct sync_nc *at, const struct store_nc *nc)
{
	if (at->sent.usn != 0 || at->begin != 0 || at->is_ahead || nc->is_recovering)
		return false;
	at->sent.epoch = nc->position.epoch;
	at->sent.invocation = nc->position.invocation;
	return true;
}

int sync_refresh_contexts(struct sync_session *s, struct store_txn *t)
{
	static const struct vector none;
	uint32_t number = 0;
	struct store_nc nc;
	struct sync_nc *at;
	unsigned i;
	int rc;

	s->next_eid = store_next_eid(t);
	for (i = 0; i < s->nncs; i++)
		s->ncs[i].is_here = false;
	while ((rc = store_nc_next(t, &number, &nc)) == RC_OK) {
		if (!belongs(s, &nc))
			continue;
		at = find_number(s, nc.number);
		if (at == NULL && s->is_partner && nc.floor != 0)
			return RC_CONFLICT;
		if (at == NULL)
			rc = add_context(s, t, &nc, &none, &at);
		if (rc != RC_OK)
			return rc;
		if (!position_same_life(&at->sent, &nc.position) && !take_life(at, &nc))
			return RC_CONFLICT;
		if (at->is_waiting && !nc.is_recovering &&
		    (at->lost.epoch == 0 || includes(&nc, &at->lost)))
			return RC_CONFLICT;
		if (nc.floor > at->floor && (s->is_partner || at->sent.usn != 0) &&
		    at->sent.usn < nc.floor)
			return RC_CONFLICT;
		at->is_here = true;
		at->floor = nc.floor;
		rc = reach(t, &nc, at);
		if (rc == RC_OK && s->is_partner)
			rc = take_past(at, &nc);
		if (rc != RC_OK)
			return rc;
		if (at->is_partners)
			at->sent.usn = at->here;
	}
	/* The context of a site that was removed: sites remove it themselves. */
	for (i = 0; i < s->nncs; i++) {
		if (!s->ncs[i].is_here && !s->is_partner)
			return RC_CONFLICT;
		s->ncs[i].is_ahead |= !s->ncs[i].is_here;
	}
	return rc == RC_DONE ? RC_OK : rc;
}
