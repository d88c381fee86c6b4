/*
 * Sessions of a random world (test_sync.c): the operation at the provider with a stand-in for op.c
 * and conn.c, and its two kinds of reader, links between sites and ordinary clients.
 */
#pragma once

#include "tests/unit/fake_op.h"
#include "tests/unit/sync_site.h"

/* --- a session: the operation at the provider and the reader of its messages --- */

struct session {
	struct op op; /* first: the provider's calls come with it */
	struct server server;
	struct buf wire, cookie;
	size_t room; /* the client's buffer: beyond it, the provider has to wait */
	bool is_open, has_ended, wants_turn, is_stalled;
	enum ldap_result code;
	uint64_t entries; /* entry messages of all times */
};

static struct session *session_of(struct op *op)
{
	return (struct session *)op;
}

int op_send(struct op *op, struct span bytes)
{
	buf_put(&session_of(op)->wire, bytes);
	return buf_rc(&session_of(op)->wire);
}

bool op_may_send(struct op *op)
{
	struct session *s = session_of(op);

	s->is_stalled = s->wire.n > s->room;
	return !s->is_stalled;
}

void op_yield(struct op *op)
{
	session_of(op)->wants_turn = true;
}

void op_drop(struct op *op)
{
	session_of(op)->has_ended = true;
}

void op_finish(struct op *op, struct span extra, const struct msg_control *controls,
	       unsigned ncontrols)
{
	struct session *s = session_of(op);

	msg_write_result(&s->wire, op->msg.id, MSG_SEARCH_DONE, &op->result, extra, controls,
			 ncontrols);
	s->code = op->result.code;
	s->has_ended = true;
}

struct request {
	struct site *at;
	enum identity_kind who;
	struct uuid site;
	const char *base, *filter;
	enum store_scope scope;
	enum sync_mode mode;
};

static void open_session(struct session *s, const struct request *r)
{
	static struct span partner_attrs[] = {
		{(const uint8_t *)"*", 1},
		{(const uint8_t *)"+", 1},
		{(const uint8_t *)"originStamp", 11},
		{(const uint8_t *)"parentUUID", 10},
	};
	struct sync_request sr = {.mode = r->mode};
	struct msg_control control = {.oid = SPAN_LIT(SYNC_OID_REQUEST), .has_value = true};
	struct buf value, filter;
	const char *why;
	struct msg_search *m = &s->op.msg.u.search;

	memset(&s->op, 0, sizeof(s->op));
	arena_init(&s->op.arena);
	s->server = (struct server){.schema = schema, .store = r->at->store};
	s->op.server = &s->server;
	s->op.msg.id = 2;
	s->op.msg.op = MSG_SEARCH_REQUEST;
	s->op.identity.kind = r->who;
	s->op.identity.uuid = r->site;
	buf_init(&value, 1 << 20);
	buf_init(&filter, 1000);
	assert_int_equal(filter_from_text(span_of(r->filter), &filter, &why), RC_OK);
	m->base = span_of(r->base);
	m->scope = r->scope;
	m->filter = arena_span(&s->op.arena, buf_span(&filter));
	m->attrs = partner_attrs;
	m->nattrs = r->who == IDENTITY_SITE ? 4 : 1;
	if (s->cookie.n != 0)
		sr.cookie = buf_span(&s->cookie);
	sync_request_write(&value, &sr);
	control.value = arena_span(&s->op.arena, buf_span(&value));
	buf_fini(&value);
	buf_fini(&filter);
	buf_clear(&s->wire);
	s->is_open = true;
	s->has_ended = s->wants_turn = s->is_stalled = false;
	s->code = LR_SUCCESS;
	s->room = draw(3) == 0 ? 2000 : 1 << 20;
	sync_start(&s->op, &control);
}

static void close_session(struct session *s)
{
	if (!s->is_open)
		return;
	s->is_open = false;
	if (!s->has_ended) {
		s->op.is_abandoned = true;
		s->op.cancel(&s->op);
	}
	arena_fini(&s->op.arena);
}

static void free_session(struct session *s)
{
	close_session(s);
	buf_fini(&s->wire);
	buf_fini(&s->cookie);
}

/* Let the provider go on: its next turn, or because the client has read something. */
static void turn(struct session *s)
{
	bool drained = s->is_stalled && s->wire.n <= s->room / 2;

	if (!s->is_open || s->has_ended || !(s->wants_turn || drained))
		return;
	s->wants_turn = s->is_stalled = false;
	s->op.resume(&s->op);
}

/* The next whole message; empty if there is none. */
static struct span next_frame(struct session *s, struct arena *a)
{
	struct span frame = {NULL, 0};
	size_t n;

	if (s->wire.n == 0)
		return frame;
	assert_int_equal(tlv_frame(buf_span(&s->wire), TLV_SEQUENCE, &n), RC_OK);
	assert_true(n <= s->wire.n);
	frame = arena_span(a, span_head(buf_span(&s->wire), n));
	buf_consume(&s->wire, n);
	return frame;
}

/* --- links between sites --- */

struct link {
	struct session s;
	struct site *from, *to;
	struct repl_session reader;
	struct repl_batch batch;
};

static void write_vector(struct site *s, struct buf *out)
{
	struct vector v = {NULL, 0};
	uint32_t number = 0;
	struct store_nc nc;
	struct store_txn *t;
	struct arena a;

	arena_init(&a);
	assert_int_equal(store_read_begin(s->store, &t), RC_OK);
	while (store_nc_next(t, &number, &nc) == RC_OK) {
		if (!uuid_eq(&nc.position.nc, &POSITION_LOCAL_NC))
			assert_int_equal(vector_put(&v, &a, &nc.position), RC_OK);
	}
	store_read_end(&t);
	buf_clear(out);
	cookie_write(0, &v, out);
	arena_fini(&a);
}

static void open_link(struct link *l)
{
	struct request r = {l->from,   IDENTITY_SITE,           l->to->nc, ROOT, "(objectClass=*)",
			    STORE_SUB, SYNC_REFRESH_AND_PERSIST};
	struct uuid own[2] = {l->to->nc};
	struct store_txn *t;
	struct entry e;
	uint64_t eid;
	unsigned nown = 1;

	if (l->to->number == 0) {
		assert_int_equal(store_read_begin(l->to->store, &t), RC_OK);
		assert_int_equal(store_root(t, &eid), RC_OK);
		assert_int_equal(store_entry(t, eid, &e), RC_OK);
		own[nown++] = e.head.uuid;
		store_read_end(&t);
	}
	write_vector(l->to, &l->s.cookie);
	assert_int_equal(repl_session_init(&l->reader, own, nown), RC_OK);
	open_session(&l->s, &r);
}

static void write_batch(struct link *l)
{
	if (l->batch.n != 0)
		assert_int_equal(apply(l->to, l->batch.changes, l->batch.n, &l->batch.arena),
				 RC_OK);
	repl_batch_fini(&l->batch);
}

static void cut_link(struct link *l)
{
	if (!l->s.is_open)
		return;
	close_session(&l->s);
	repl_session_fini(&l->reader);
	if (draw(2) == 0)
		write_batch(l);
	repl_batch_fini(&l->batch);
}

static void read_link(struct link *l, unsigned frames)
{
	struct span frame;
	const char *why = "";
	struct arena a;
	struct msg m;

	arena_init(&a);
	while (frames-- > 0 && (frame = next_frame(&l->s, &a)).n != 0) {
		assert_int_equal(repl_batch_read(&l->batch, frame, &m, &why), RC_OK);
		if (repl_session_feed(&l->reader, &m, &l->batch, &why) != RC_OK)
			fail_msg("session: %s", why);
		l->s.entries += m.op == MSG_SEARCH_ENTRY;
	}
	if (draw(3) == 0 || frames > 1000)
		write_batch(l);
	arena_fini(&a);
	if (l->reader.is_ended && l->s.wire.n == 0)
		cut_link(l);
}

/* --- ordinary clients: a scope, a filter, a copy --- */

struct copy {
	struct uuid uuid;
	struct span attrs;
	bool named;
};

struct client {
	struct session s;
	struct request r;
	struct arena arena;
	struct copy copies[4096];
	unsigned n;
};

static struct copy *find_copy(struct client *c, const struct uuid *u)
{
	unsigned i;

	for (i = 0; i < c->n; i++) {
		if (uuid_eq(&c->copies[i].uuid, u))
			return &c->copies[i];
	}
	return NULL;
}

static void forget_copy(struct client *c, const struct uuid *u)
{
	struct copy *at = find_copy(c, u);

	if (at != NULL)
		*at = c->copies[--c->n];
}

static void forget_unnamed(struct client *c)
{
	unsigned i = 0;

	while (i < c->n) {
		if (c->copies[i].named)
			i++;
		else
			c->copies[i] = c->copies[--c->n];
	}
}

static void keep_cookie(struct client *c, struct span cookie)
{
	if (cookie.p == NULL)
		return;
	buf_clear(&c->s.cookie);
	buf_put(&c->s.cookie, cookie);
}

/* The attributes of an entry message, as bytes. */
static struct span attrs_of(struct span frame)
{
	struct span whole, op, dn, attrs;
	int64_t id;

	assert_int_equal(tlv_expect(&frame, TLV_SEQUENCE, &whole), RC_OK);
	assert_int_equal(tlv_read_int(&whole, TLV_INTEGER, &id), RC_OK);
	assert_int_equal(tlv_expect(&whole, TLV_APP_CONS(MSG_SEARCH_ENTRY), &op), RC_OK);
	assert_int_equal(tlv_expect(&op, TLV_OCTETS, &dn), RC_OK);
	assert_int_equal(tlv_expect(&op, TLV_SEQUENCE, &attrs), RC_OK);
	return attrs;
}

static void client_entry(struct client *c, const struct msg *m, struct span frame)
{
	const struct msg_control *control = msg_control(m, SYNC_OID_STATE);
	struct sync_entry_state state;
	struct copy *at;

	assert_non_null(control);
	assert_int_equal(sync_entry_state_read(control->value, &state), RC_OK);
	c->s.entries++;
	if (state.state == SYNC_DELETE) {
		forget_copy(c, &state.uuid);
		return;
	}
	at = find_copy(c, &state.uuid);
	if (at == NULL) {
		assert_true(c->n < UNIT_COUNT(c->copies));
		at = &c->copies[c->n++];
		at->uuid = state.uuid;
	}
	at->named = true;
	at->attrs = arena_span(&c->arena, attrs_of(frame));
	keep_cookie(c, state.cookie);
}

static void client_info(struct client *c, const struct msg *m)
{
	struct sync_info info;
	struct uuid u;
	struct copy *at;

	assert_int_equal(sync_info_read(m->u.intermediate.value, &info), RC_OK);
	if (info.kind == SYNC_INFO_REFRESH_PRESENT)
		forget_unnamed(c);
	while (info.kind == SYNC_INFO_ID_SET && sync_uuid_next(&info.uuids, &u)) {
		at = find_copy(c, &u);
		if (info.refresh_deletes)
			forget_copy(c, &u);
		else if (at == NULL)
			fail_msg("client %s %s: named what it does not have", c->r.base,
				 c->r.filter);
		else
			at->named = true;
	}
	keep_cookie(c, info.cookie);
}

static void client_done(struct client *c, const struct msg *m)
{
	const struct msg_control *control = msg_control(m, SYNC_OID_DONE);
	struct sync_done done;

	if (m->u.result.code == LR_SUCCESS) {
		assert_non_null(control);
		assert_int_equal(sync_done_read(control->value, &done), RC_OK);
		if (!done.refresh_deletes)
			forget_unnamed(c);
		keep_cookie(c, done.cookie);
	} else {
		/* the base is gone, or another refresh is needed: from the cookie, if there is one
		 */
		assert_true(m->u.result.code == LR_NO_SUCH_OBJECT ||
			    m->u.result.code == LR_SYNC_REFRESH_REQUIRED);
		buf_clear(&c->s.cookie);
		if (control != NULL) {
			assert_int_equal(sync_done_read(control->value, &done), RC_OK);
			keep_cookie(c, done.cookie);
		}
		if (m->u.result.code == LR_NO_SUCH_OBJECT)
			c->n = 0;
	}
	close_session(&c->s);
}

static void open_client(struct client *c)
{
	unsigned i;

	for (i = 0; i < c->n; i++)
		c->copies[i].named = false;
	open_session(&c->s, &c->r);
}

static void read_client(struct client *c, unsigned frames)
{
	struct span frame;
	const char *why;
	struct arena a;
	struct msg m;
	bool fatal;

	arena_init(&a);
	while (frames-- > 0 && (frame = next_frame(&c->s, &a)).n != 0) {
		assert_int_equal(msg_read(frame, &a, &m, &fatal, &why), RC_OK);
		if (m.op == MSG_SEARCH_ENTRY)
			client_entry(c, &m, frame);
		else if (m.op == MSG_INTERMEDIATE)
			client_info(c, &m);
		else
			client_done(c, &m);
	}
	arena_fini(&a);
}

/* Does the copy hold what the site has in scope and of the filter, and nothing else? */
static void check_client(struct client *c)
{
	struct store_iter *it;
	struct store_txn *t;
	struct arena a;
	struct dn base;
	struct entry e;
	unsigned depth, n = 0;
	uint64_t eid;
	struct span word;

	arena_init(&a);
	base = dn_of(&a, c->r.base);
	assert_int_equal(store_read_begin(c->r.at->store, &t), RC_OK);
	if (store_find(t, &base, &eid, &depth) == RC_OK) {
		assert_int_equal(store_walk(t, eid, c->r.scope, &it), RC_OK);
		while (store_iter_next(it, &eid) == RC_OK) {
			struct copy *at;

			assert_int_equal(store_entry(t, eid, &e), RC_OK);
			if (strstr(c->r.filter, "description") != NULL &&
			    (!entry_first(&e, "description", &word) || word.p[0] != 'a'))
				continue;
			at = find_copy(c, &e.head.uuid);
			if (at == NULL || !span_eq(at->attrs, e.attrs))
				fail_msg("client %s %s: an entry is %s", c->r.base, c->r.filter,
					 at == NULL ? "missing" : "old");
			n++;
		}
		store_iter_free(&it);
	}
	store_read_end(&t);
	arena_fini(&a);
	if (n != c->n)
		fail_msg("client %s %s: %u entries too many", c->r.base, c->r.filter, c->n - n);
}
