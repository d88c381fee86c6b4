#include "dird/sync_session.h"

#include "dird/server.h"
#include "lib/log.h"

#define FNV_BASIS 14695981039346656037ull
#define FNV_PRIME 1099511628211ull

int sync_find_base(struct sync_session *s, struct store_txn *t)
{
	struct entry e;
	unsigned depth;
	int rc = store_root(t, &s->root_eid);

	if (rc == RC_OK)
		rc = store_find(t, &s->base, &s->base_eid, &depth);
	if (rc == RC_OK)
		rc = store_entry(t, s->base_eid, &e);
	if (rc != RC_OK)
		return rc;
	if (uuid_is_zero(&s->base_uuid))
		s->base_uuid = e.head.uuid;
	return uuid_eq(&s->base_uuid, &e.head.uuid) ? RC_OK : RC_NOTFOUND;
}

static bool is_in_scope(const struct sync_session *s, struct store_txn *t, uint64_t eid,
			const struct entry *e)
{
	switch (s->op->msg.u.search.scope) {
	case STORE_BASE:
		return eid == s->base_eid;
	case STORE_ONE:
		return e->head.parent == s->base_eid;
	case STORE_SUB:
		return store_is_within(t, eid, s->base_eid);
	default:
		return eid != s->base_eid && store_is_within(t, eid, s->base_eid);
	}
}

int sync_content_has(struct sync_session *s, struct store_txn *t, uint64_t eid,
		     const struct entry *e, enum sync_membership *out)
{
	struct buf dn;
	int rc = RC_OK;

	*out = SYNC_MEMBER;
	if (s->is_partner)
		return RC_OK;
	*out = SYNC_HIDDEN;
	if (!store_is_within(t, eid, s->root_eid))
		return RC_OK;
	*out = SYNC_OUTSIDE;
	if (!is_in_scope(s, t, eid, e))
		return RC_OK;
	buf_init(&dn, SIZE_MAX);
	if (s->filter_needs_dn) {
		rc = store_dn_normal(t, eid, &dn);
		if (rc == RC_OK)
			rc = buf_rc(&dn);
	}
	if (rc == RC_OK) {
		op_view_set(&s->view, t, eid, buf_span(&dn));
		*out = filter_match(s->filter, s->op->server->schema, e, &s->view.view,
				    &s->scratch) == FILTER_TRUE
			       ? SYNC_MEMBER
			       : SYNC_UNMATCHED;
	}
	buf_fini(&dn);
	return rc;
}

static uint64_t hash_more(uint64_t h, struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		h = (h ^ s.p[i]) * FNV_PRIME;
	return (h ^ 0xff) * FNV_PRIME; /* "ab", "c" is not "a", "bc" */
}

int sync_content_hash(struct sync_session *s, uint64_t *out)
{
	const struct msg_search *m = &s->op->msg.u.search;
	uint8_t numbers[] = {(uint8_t)m->scope, (uint8_t)m->deref, m->types_only,
			     (uint8_t)s->op->identity.kind};
	uint64_t h = FNV_BASIS;
	unsigned i;
	int rc;

	buf_clear(&s->scratch);
	rc = dn_normalize(&s->base, &s->scratch);
	if (rc == RC_OK)
		rc = buf_rc(&s->scratch);
	h = hash_more(h, buf_span(&s->scratch));
	h = hash_more(h, m->filter);
	h = hash_more(h, span_make(numbers, sizeof(numbers)));
	for (i = 0; i < m->nattrs; i++)
		h = hash_more(h, m->attrs[i]);
	*out = h != 0 ? h : 1; /* 0 is the partners' */
	return rc;
}

static bool asks_for(const struct msg_search *m, struct span name)
{
	unsigned i;

	for (i = 0; i < m->nattrs; i++) {
		if (span_eq_nocase(m->attrs[i], name))
			return true;
	}
	return false;
}

bool sync_is_partner_request(const struct op *op)
{
	/* present filter [7] "objectClass" */
	static const char any[] = "\x87\x0bobjectClass";
	const struct msg_search *m = &op->msg.u.search;

	return (op->identity.kind == IDENTITY_SITE || op->identity.kind == IDENTITY_ADMIN) &&
	       m->scope == STORE_SUB && !m->types_only &&
	       span_eq_nocase(m->filter, SPAN_LIT(any)) && asks_for(m, SPAN_LIT("*")) &&
	       asks_for(m, SPAN_LIT("+")) && asks_for(m, SPAN_LIT("originStamp")) &&
	       asks_for(m, SPAN_LIT("parentUUID"));
}

/* --- contexts --- */

static bool belongs(const struct sync_session *s, const struct store_nc *nc)
{
	return s->with_local || !uuid_eq(&nc->position.nc, &POSITION_LOCAL_NC);
}

static int add_context(struct sync_session *s, const struct store_nc *nc, struct sync_nc **out)
{
	struct sync_nc *at = mem_realloc(s->ncs, ((size_t)s->nncs + 1) * sizeof(*at));

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
	at->here = at->pass_high = nc->position.usn;
	at->is_partners = s->is_partner && s->op->identity.kind == IDENTITY_SITE &&
			  uuid_eq(&nc->position.nc, &s->op->identity.uuid);
	*out = at;
	return RC_OK;
}

/*
 * Everything of the life up to p is known to the client; does the order here tell the rest? At usn
 * 0 it may hold anything that a cut session brought.
 */
static bool is_usable(const struct store_nc *nc, const struct position *p)
{
	if (p->usn == 0)
		return nc->floor == 0 && nc->position.epoch <= 1;
	return position_same_life(p, &nc->position) && p->usn >= nc->floor;
}

/*
 * One context of a cookie. A partner may be ahead of this site, since it has other partners;
 * another client that is ahead was served by a replica that knew more, so it gets everything.
 */
static bool take_position(struct sync_session *s, const struct store_nc *nc,
			  const struct position *p, struct sync_nc *at)
{
	if (s->is_partner && p->epoch > nc->position.epoch) {
		at->is_ahead = true;
		return true;
	}
	if (position_same_life(p, &nc->position))
		at->begin = p->usn;
	if (!is_usable(nc, p) || (!s->is_partner && p->usn > nc->position.usn))
		return false;
	at->sent.usn = at->settled = p->usn;
	return true;
}

/* A partner names all contexts of which it has something; another client may hold anything. */
static bool begin_one(struct sync_session *s, const struct store_nc *nc, const struct position *p,
		      struct sync_nc *at)
{
	static const struct position nothing;

	if (p != NULL && nc->is_own && position_same_life(p, &nc->position) &&
	    p->usn > nc->position.usn)
		log_error(NULL, "sync.rolled_back",
			  "epoch=%u usn=%llu partner_usn=%llu reason=\"a partner has changes of "
			  "this site that are not here: it runs on an older copy\"",
			  nc->position.epoch, (unsigned long long)nc->position.usn,
			  (unsigned long long)p->usn);
	if (at->is_partners)
		return true;
	return take_position(s, nc, p != NULL ? p : &nothing, at);
}

/* Contexts with what the cookie says; the present phase speaks for those that can not use it. */
static int begin_each(struct sync_session *s, struct store_txn *t, const struct vector *v,
		      bool usable)
{
	uint32_t number = 0;
	struct store_nc nc;
	int rc;

	while ((rc = store_nc_next(t, &number, &nc)) == RC_OK) {
		struct sync_nc *at;

		if (!belongs(s, &nc))
			continue;
		rc = add_context(s, &nc, &at);
		if (rc != RC_OK)
			return rc;
		at->speaks = !usable || !begin_one(s, &nc, vector_find(v, &nc.position.nc), at);
	}
	return rc == RC_DONE ? RC_OK : rc;
}

/* Does the cookie name a context that is not here? Its entries at the client would stay for ever.
 */
static bool has_strangers(const struct sync_session *s, const struct vector *v)
{
	unsigned i, k;

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

/* Everybody but a partner has one present phase for everything, and is not told by name. */
static void begin_anew(struct sync_session *s)
{
	unsigned i;

	for (i = 0; i < s->nncs; i++) {
		s->ncs[i].speaks = true;
		s->ncs[i].sent.usn = s->ncs[i].settled = s->ncs[i].begin = 0;
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

int sync_begin_contexts(struct sync_session *s, struct store_txn *t, struct span cookie)
{
	struct vector v = {NULL, 0};
	bool usable = cookie.p != NULL && cookie.n != 0, moved = false;
	uint64_t hash;
	int rc = RC_OK;

	if (usable) {
		rc = cookie_read(cookie, &s->arena, &hash, &v);
		if (rc == RC_NOMEM)
			return rc;
		usable = rc == RC_OK && hash == s->hash;
	}
	rc = begin_each(s, t, &v, usable);
	if (rc == RC_OK && !s->is_partner)
		rc = has_base_moved(s, t, &moved);
	if (rc != RC_OK)
		return rc;
	if (!s->is_partner && (moved || does_any_speak(s) || has_strangers(s, &v)))
		begin_anew(s);
	s->stage = does_any_speak(s) ? SYNC_STAGE_PRESENT : SYNC_STAGE_DELETE;
	return RC_OK;
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

/* A context of which nothing was told yet may learn which life it has. */
static bool take_life(struct sync_nc *at, const struct position *now)
{
	if (at->sent.usn != 0 || at->begin != 0 || at->is_ahead)
		return false;
	at->sent.epoch = now->epoch;
	at->sent.invocation = now->invocation;
	return true;
}

int sync_refresh_contexts(struct sync_session *s, struct store_txn *t)
{
	uint32_t number = 0;
	struct store_nc nc;
	struct sync_nc *at;
	int rc;

	while ((rc = store_nc_next(t, &number, &nc)) == RC_OK) {
		if (!belongs(s, &nc))
			continue;
		at = find_number(s, nc.number);
		if (at == NULL && s->is_partner && nc.floor != 0)
			return RC_CONFLICT;
		if (at == NULL)
			rc = add_context(s, &nc, &at);
		if (rc != RC_OK)
			return rc;
		if (!position_same_life(&at->sent, &nc.position) && !take_life(at, &nc.position))
			return RC_CONFLICT;
		if (nc.floor > at->floor && (s->is_partner || at->sent.usn != 0) &&
		    at->sent.usn < nc.floor)
			return RC_CONFLICT;
		at->floor = nc.floor;
		at->here = nc.position.usn;
		if (at->is_partners)
			at->sent.usn = at->here;
	}
	return rc == RC_DONE ? RC_OK : rc;
}
