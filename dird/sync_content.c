#include "dird/sync_session.h"

#include "dird/server.h"
#include "dird/update.h"
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
		return store_entry_is_within(t, eid, e, s->base_eid);
	default:
		return eid != s->base_eid && store_entry_is_within(t, eid, e, s->base_eid);
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
	if (!store_entry_is_within(t, eid, e, s->root_eid))
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

/* --- the right to go on --- */

/* The keys of a site, whoever else asks has none to lose. */
static int read_right(struct sync_session *s, struct store_txn *t, uint64_t *out)
{
	struct span type = SPAN_LIT("siteKey");
	struct entry_attr at;
	struct entry e;
	uint64_t eid;
	unsigned i = 0;
	int rc;

	*out = 0;
	if (s->op->identity.kind != IDENTITY_SITE)
		return RC_OK;
	rc = store_by_uuid(t, &s->op->identity.uuid, &eid);
	if (rc == RC_OK)
		rc = store_entry(t, eid, &e);
	if (rc == RC_OK && entry_find(&e, entry_type_hash(type), type, &i, &at))
		*out = hash_more(FNV_BASIS, at.values);
	return rc == RC_NOTFOUND ? RC_OK : rc;
}

int sync_begin_right(struct sync_session *s, struct store_txn *t)
{
	return read_right(s, t, &s->right);
}

int sync_check_right(struct sync_session *s, struct store_txn *t)
{
	uint64_t now;
	int rc = read_right(s, t, &now);

	return rc == RC_OK && now != s->right ? RC_DENIED : rc;
}

/* --- moves --- */

static bool moved_since_cookie(struct sync_session *s, const struct entry *e)
{
	const struct sync_nc *nc = sync_find_nc(s, &e->head.stamp.nc);

	return nc == NULL || e->head.moved_usn > nc->begin;
}

/* Of siblings only the first is asked for. */
int sync_has_moved(struct sync_session *s, struct store_txn *t, const struct entry *e, bool *out)
{
	uint64_t parent = e->head.parent, eid = parent;
	struct entry above;
	int rc;

	*out = moved_since_cookie(s, e);
	if (*out || parent == 0)
		return RC_OK;
	if (parent == s->chain_eid) {
		*out = s->chain_moved;
		return RC_OK;
	}
	for (; eid != 0 && eid != s->base_eid && !*out; eid = above.head.parent) {
		rc = store_entry(t, eid, &above);
		if (rc != RC_OK)
			return rc;
		*out = moved_since_cookie(s, &above);
	}
	s->chain_eid = parent;
	s->chain_moved = *out;
	return RC_OK;
}
