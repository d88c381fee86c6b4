#include "dird/sync_session.h"

#include "dird/server.h"

#include <stdlib.h>

#define STATE_BYTES 256 /* name, stamp and control of an entry, about */

/* Begin an LDAPMessage with a SearchResultEntry inside, of about so many bytes. */
static size_t open_message(struct sync_session *s, size_t about)
{
	size_t mark;

	buf_clear(&s->out);
	mark = tlv_open_about(&s->out, TLV_SEQUENCE, about);
	tlv_put_int(&s->out, TLV_INTEGER, s->op->msg.id);
	return mark;
}

static int close_message(struct sync_session *s, size_t mark, enum sync_state state,
			 const struct uuid *u)
{
	struct sync_entry_state value = {.state = state, .uuid = *u};
	struct msg_control control = {.oid = SPAN_LIT(SYNC_OID_STATE), .has_value = true};
	int rc;

	buf_clear(&s->scratch);
	sync_entry_state_write(&s->scratch, &value);
	control.value = buf_span(&s->scratch);
	msg_write_controls(&s->out, &control, 1);
	tlv_close(&s->out, mark);
	rc = buf_rc(&s->scratch);
	if (rc == RC_OK)
		rc = buf_rc(&s->out);
	if (rc == RC_OK)
		rc = op_send(s->op, buf_span(&s->out));
	s->since_cookie++;
	return rc;
}

static void write_attr(struct buf *out, struct span type, struct span value)
{
	size_t attr = tlv_open(out, TLV_SEQUENCE), set;

	tlv_put(out, TLV_OCTETS, type);
	set = tlv_open(out, TLV_SET);
	tlv_put(out, TLV_OCTETS, value);
	tlv_close(out, set);
	tlv_close(out, attr);
}

static void write_stamp(struct sync_session *s, const struct stamp *stamp)
{
	buf_clear(&s->scratch);
	stamp_write(stamp, &s->scratch);
	write_attr(&s->out, SPAN_LIT("originStamp"), buf_span(&s->scratch));
}

static size_t about_stored(const struct entry *e)
{
	return entry_attrs_bytes(e) + STATE_BYTES;
}

static int write_stored_attrs(struct sync_session *s, const struct entry *e)
{
	struct entry_attr at;
	unsigned i;
	int rc = RC_OK;

	if ((e->head.flags & ENTRY_HAS_APART) == 0) {
		buf_put(&s->out, e->attrs);
		return RC_OK;
	}
	for (i = 0; rc == RC_OK && i < e->nattrs; i++) {
		entry_attr_at(e, i, &at);
		rc = entry_put_attr(e, &at, &s->out);
	}
	return rc;
}

/* A partner gets the attributes as they are stored. */
static int write_stored_entry(struct sync_session *s, struct span dn, const struct entry *e)
{
	size_t about = about_stored(e), op, attrs;
	char parent[UUID_TEXT_BYTES];
	int rc;

	op = tlv_open_about(&s->out, TLV_APP_CONS(MSG_SEARCH_ENTRY), about);
	tlv_put(&s->out, TLV_OCTETS, dn);
	attrs = tlv_open_about(&s->out, TLV_SEQUENCE, about);
	rc = write_stored_attrs(s, e);
	write_stamp(s, &e->head.stamp);
	uuid_write(&e->head.parent_uuid, parent);
	write_attr(&s->out, SPAN_LIT("parentUUID"), span_of(parent));
	tlv_close(&s->out, attrs);
	tlv_close(&s->out, op);
	return rc;
}

/* An entry whose parent has not come yet has no name but its own RDN. */
static int write_partner_entry(struct sync_session *s, struct store_txn *t, uint64_t eid,
			       const struct entry *e)
{
	int rc = RC_OK;

	buf_clear(&s->scratch);
	if (store_entry_is_within(t, eid, e, s->root_eid))
		rc = store_entry_dn(t, eid, e, &s->scratch);
	else
		buf_put(&s->scratch, e->head.rdn);
	return rc == RC_OK ? write_stored_entry(s, buf_span(&s->scratch), e) : rc;
}

int sync_send_quarantined(struct sync_session *s, const struct entry *e)
{
	int rc = sync_send_set(s);
	size_t mark;

	if (rc != RC_OK)
		return rc;
	mark = open_message(s, about_stored(e));
	rc = write_stored_entry(s, e->head.rdn, e);
	if (rc != RC_OK)
		return rc;
	s->entries_sent++;
	return close_message(s, mark, s->stage == SYNC_STAGE_PRESENT ? SYNC_ADD : SYNC_MODIFY,
			     &e->head.uuid);
}

/* The entry as everybody sees it, and its entryCSN behind the other attributes. */
static int write_openldap_entry(struct sync_session *s, struct store_txn *t, uint64_t eid,
				const struct entry *e)
{
	struct buf plain, csn;
	struct span rest, body, dn = {NULL, 0}, attrs = {NULL, 0};
	size_t op, list;
	int rc;

	buf_init(&plain, SIZE_MAX);
	buf_init(&csn, CSN_BYTES + 1);
	rc = op_entry_write(s->op, t, eid, e, s->selection, &plain);
	if (rc == RC_OK)
		rc = sync_openldap_entry_csn(s, e, &csn);
	rest = buf_span(&plain);
	if (rc == RC_OK)
		rc = tlv_expect(&rest, TLV_APP_CONS(MSG_SEARCH_ENTRY), &body);
	if (rc == RC_OK)
		rc = tlv_expect(&body, TLV_OCTETS, &dn);
	if (rc == RC_OK)
		rc = tlv_expect(&body, TLV_SEQUENCE, &attrs);
	op = tlv_open(&s->out, TLV_APP_CONS(MSG_SEARCH_ENTRY));
	tlv_put(&s->out, TLV_OCTETS, dn);
	list = tlv_open(&s->out, TLV_SEQUENCE);
	buf_put(&s->out, attrs);
	if (csn.n != 0)
		write_attr(&s->out, SPAN_LIT("entryCSN"), buf_span(&csn));
	tlv_close(&s->out, list);
	tlv_close(&s->out, op);
	buf_fini(&csn);
	buf_fini(&plain);
	return rc;
}

int sync_send_entry(struct sync_session *s, struct store_txn *t, uint64_t eid,
		    const struct entry *e, enum sync_state state)
{
	int rc = sync_send_set(s);
	size_t mark;

	if (rc != RC_OK)
		return rc;
	mark = open_message(s, about_stored(e));
	if (s->is_partner)
		rc = write_partner_entry(s, t, eid, e);
	else if (s->is_openldap)
		rc = write_openldap_entry(s, t, eid, e);
	else
		rc = op_entry_write(s->op, t, eid, e, s->selection, &s->out);
	if (rc != RC_OK)
		return rc;
	s->entries_sent++;
	return close_message(s, mark, state, &e->head.uuid);
}

static int send_one_delete(struct sync_session *s, const struct uuid *u, struct span dn,
			   const struct stamp *stamp)
{
	size_t mark = open_message(s, 0);
	size_t op = tlv_open(&s->out, TLV_APP_CONS(MSG_SEARCH_ENTRY)), attrs;

	tlv_put(&s->out, TLV_OCTETS, dn);
	attrs = tlv_open(&s->out, TLV_SEQUENCE);
	if (s->is_partner)
		write_stamp(s, stamp);
	tlv_close(&s->out, attrs);
	tlv_close(&s->out, op);
	return close_message(s, mark, SYNC_DELETE, u);
}

static int add_to_set(struct sync_session *s, const struct uuid *u, bool deletes)
{
	int rc = RC_OK;

	if (s->nset == SYNC_SET_UUIDS || (s->nset != 0 && s->set_deletes != deletes))
		rc = sync_send_set(s);
	s->set_deletes = deletes;
	s->set[s->nset++] = *u;
	return rc;
}

int sync_send_delete(struct sync_session *s, const struct uuid *u, struct span dn,
		     const struct stamp *stamp)
{
	/* slapd heeds a set only where its own cookie covers the entries already */
	if (s->is_partner || s->is_openldap || s->stage == SYNC_STAGE_PERSIST)
		return send_one_delete(s, u, dn, stamp);
	return add_to_set(s, u, true);
}

int sync_send_present(struct sync_session *s, const struct uuid *u)
{
	return add_to_set(s, u, false);
}

static int send_info(struct sync_session *s, const struct sync_info *info)
{
	int rc;

	buf_clear(&s->scratch);
	sync_info_write(&s->scratch, info, s->set, s->nset);
	rc = buf_rc(&s->scratch);
	if (rc != RC_OK)
		return rc;
	buf_clear(&s->out);
	msg_write_intermediate(&s->out, s->op->msg.id, SYNC_OID_INFO, buf_span(&s->scratch));
	rc = buf_rc(&s->out);
	return rc == RC_OK ? op_send(s->op, buf_span(&s->out)) : rc;
}

int sync_send_set(struct sync_session *s)
{
	struct sync_info info = {.kind = SYNC_INFO_ID_SET, .refresh_deletes = s->set_deletes};
	int rc;

	if (s->nset == 0)
		return RC_OK;
	rc = send_info(s, &info);
	s->nset = 0;
	s->since_cookie++;
	return rc;
}

int sync_send_info(struct sync_session *s, enum sync_info_kind kind, bool refresh_done)
{
	struct sync_info info = {.kind = kind, .refresh_done = refresh_done};
	bool all = !s->is_partner || kind != SYNC_INFO_NEW_COOKIE;
	struct buf cookie;
	int rc = sync_send_set(s);

	if (rc == RC_OK)
		rc = sync_send_heads(s);
	buf_init(&cookie, SIZE_MAX);
	sync_cookie(s, all, &cookie);
	info.cookie = buf_span(&cookie);
	if (rc == RC_OK)
		rc = buf_rc(&cookie);
	if (rc == RC_OK)
		rc = send_info(s, &info);
	s->since_cookie = s->rows_since_cookie = 0;
	if (all && rc == RC_OK) {
		buf_clear(&s->last_cookie);
		buf_put(&s->last_cookie, info.cookie);
		rc = buf_rc(&s->last_cookie);
	}
	buf_fini(&cookie);
	return rc;
}

/* What a cookie may claim: nothing of what is held back. */
static uint64_t claim(const struct sync_session *s, const struct sync_nc *nc)
{
	uint64_t usn = nc->sent.usn;
	size_t i;

	for (i = 0; i < s->nheld; i++) {
		if (s->held[i].nc == nc->number && s->held[i].usn <= usn)
			usn = s->held[i].usn - 1;
	}
	return usn;
}

/* Is there something to say of this context, or all that can be said? */
static bool is_in_cookie(const struct sync_session *s, const struct sync_nc *nc, bool all)
{
	if (nc->is_ahead || nc->sent.usn > nc->here || nc->sent.epoch == 0 ||
	    claim(s, nc) < nc->quiet)
		return false;
	if (s->stage == SYNC_STAGE_PRESENT && !nc->speaks)
		return false;
	return all || nc->told != nc->sent.usn;
}

static struct vector lives_of(const struct sync_nc *nc, uint64_t usn, struct position *room)
{
	room[0] = nc->sent;
	room[0].usn = usn;
	if (nc->npast != 0)
		memcpy(room + 1, nc->past, nc->npast * sizeof(*room));
	return (struct vector){room, 1 + nc->npast};
}

/* For the home of a context: what is here, beyond our position, too. */
static struct vector home_lives(const struct sync_nc *nc, struct position *room)
{
	struct vector lives;

	if (nc->reach.epoch == nc->sent.epoch)
		return lives_of(nc, nc->reach.usn, room);
	lives = lives_of(nc, nc->usn, room + 1);
	room[0] = nc->reach;
	if (nc->sent.epoch == 0)
		lives.n = 0;
	lives.n += lives.n < 1 + POSITION_PAST_MAX;
	return (struct vector){room, lives.n};
}

int sync_send_home(struct sync_session *s)
{
	struct sync_info info = {.kind = SYNC_INFO_NEW_COOKIE};
	struct position room[2 + POSITION_PAST_MAX];
	struct vector v = {NULL, 0}, lives;
	struct buf cookie;
	unsigned i;
	int rc = RC_OK;

	for (i = 0; i < s->nncs && rc == RC_OK; i++) {
		lives = home_lives(&s->ncs[i], room);
		if (s->ncs[i].is_home && room[0].epoch != 0)
			rc = vector_put_lives(&v, &s->arena, &lives);
	}
	if (rc != RC_OK || v.n == 0)
		return rc;
	buf_init(&cookie, SIZE_MAX);
	cookie_write(sync_cookie_mac(s, &v), &v, &cookie);
	info.cookie = buf_span(&cookie);
	rc = buf_rc(&cookie);
	if (rc == RC_OK)
		rc = send_info(s, &info);
	buf_fini(&cookie);
	return rc;
}

/* A partner is told of the lives before, too; another client has no use for them. */
static struct vector cookie_lives(const struct sync_session *s, struct sync_nc *nc,
				  struct position *room)
{
	bool is_present = s->stage == SYNC_STAGE_PRESENT;
	uint64_t usn = claim(s, nc);
	struct vector lives;

	if (nc->is_home && is_present && usn > nc->usn)
		usn = nc->usn; /* what lies behind it has gaps: the phase does not speak for that */
	lives = lives_of(nc, usn, room);
	if (!s->is_partner)
		lives.n = 1;
	else if (nc->is_home && !is_present)
		lives = home_lives(nc, room);
	nc->told = nc->sent.usn;
	return lives;
}

void sync_cookie(struct sync_session *s, bool all, struct buf *out)
{
	struct position room[2 + POSITION_PAST_MAX];
	struct vector v = {NULL, 0}, lives;
	struct arena a;
	unsigned i;
	int rc = RC_OK;

	arena_init(&a);
	for (i = 0; i < s->nncs && rc == RC_OK; i++) {
		struct sync_nc *nc = &s->ncs[i];

		if (!is_in_cookie(s, nc, all))
			continue;
		lives = cookie_lives(s, nc, room);
		if (s->is_openldap)
			sync_openldap_put(s, nc, room, out);
		else
			rc = vector_put_lives(&v, &a, &lives);
	}
	if (s->is_openldap)
		sync_openldap_put_gone(s, out);
	else if (rc == RC_OK)
		cookie_write(sync_cookie_mac(s, &v), &v, out);
	else
		out->rc = rc;
	arena_fini(&a);
}
