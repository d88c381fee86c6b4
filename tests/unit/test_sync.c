/*
 * Sites in one process: the provider (dird/sync.h), the decoding of a session (dird/repl_batch.h)
 * and the update code on real stores, with random writes, slow and cut connections. What is left
 * out is sockets, threads and time. A failing run prints its seed.
 */
#include "dird/sync.h"

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "dird/op_impl.h"
#include "dird/repl_batch.h"
#include "dird/server.h"

#define SITES 4
#define CLIENTS 5
#define ROOT "o=Example"

static struct schema *schema;
static uint64_t rng;

static uint32_t draw(uint32_t below)
{
	rng = rng * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(rng >> 33) % below;
}

static int fill_random(void *p, size_t n)
{
	uint8_t *at = p;

	while (n-- > 0)
		*at++ = (uint8_t)draw(256);
	return RC_OK;
}

/* --- sites --- */

struct site {
	char folder[64];
	unsigned number;
	struct store *store;
	struct update_context ctx;
	struct arena arena;
	struct uuid nc;
	uint64_t foreign_own, parked;
};

static struct site sites[SITES];

static struct dn dn_of(struct arena *a, const char *text)
{
	struct dn dn;

	assert_int_equal(dn_parse(a, arena_span(a, span_of(text)), &dn, NULL), RC_OK);
	return dn;
}

/* Apply changes in one transaction, as the writer does. Refused: nothing is written. */
static int apply(struct site *s, struct change *c, unsigned n, struct arena *a)
{
	struct result why = {.code = LR_SUCCESS};
	enum update_outcome outcome;
	struct store_txn *t;
	unsigned i;
	int rc = RC_OK;

	assert_int_equal(store_write_begin(s->store, &t), RC_OK);
	for (i = 0; i < n && rc == RC_OK; i++) {
		outcome = UPDATE_APPLIED;
		rc = update_apply(t, &s->ctx, &c[i], a, &outcome, &why);
		s->foreign_own += outcome == UPDATE_FOREIGN_OWN;
		s->parked += outcome == UPDATE_PARKED;
	}
	if (rc != RC_OK) {
		store_write_abort(&t);
		if (rc != RC_REFUSED)
			fail_msg("update: %s", rc_text(rc));
		return rc;
	}
	assert_int_equal(store_write_commit(&t), RC_OK);
	return RC_OK;
}

static void set_attr(struct arena *a, struct attr_list *l, const char *type, const char *value)
{
	struct attr *at = &l->attrs[l->n++];

	at->type = span_of(type);
	at->values = arena_zalloc(a, 1, sizeof(*at->values));
	at->values[0] = arena_span(a, span_of(value));
	at->nvalues = 1;
}

static void add_class(struct arena *a, struct attr *at, const char *class)
{
	struct span *values = arena_zalloc(a, at->nvalues + 1, sizeof(*values));

	memcpy(values, at->values, at->nvalues * sizeof(*values));
	values[at->nvalues++] = span_of(class);
	at->values = values;
}

static int add(struct site *s, const char *dn, const char *class, const char *aux, const char *type,
	       const char *value)
{
	struct change c = {.kind = CHANGE_ADD, .actor = SPAN_LIT("cn=admin," ROOT)};
	struct arena a;
	int rc;

	arena_init(&a);
	c.dn = dn_of(&a, dn);
	c.may_set_operational = true;
	c.attrs.attrs = arena_zalloc(&a, 4, sizeof(*c.attrs.attrs));
	set_attr(&a, &c.attrs, "objectClass", class);
	if (aux != NULL)
		add_class(&a, &c.attrs.attrs[0], aux);
	set_attr(&a, &c.attrs, type, value);
	rc = apply(s, &c, 1, &a);
	arena_fini(&a);
	return rc;
}

/* The root entry as a join takes it along: known, with a stamp older than anything. */
static void take_root(struct site *s)
{
	struct change c = {.kind = CHANGE_PUT, .rdn = SPAN_LIT(ROOT)};
	struct store_txn *t;
	struct entry e;
	uint64_t eid;
	struct arena a;

	arena_init(&a);
	assert_int_equal(store_read_begin(sites[0].store, &t), RC_OK);
	assert_int_equal(store_root(t, &eid), RC_OK);
	assert_int_equal(store_entry(t, eid, &e), RC_OK);
	assert_int_equal(entry_decode(&e, true, &a, &c.attrs), RC_OK);
	c.uuid = e.head.uuid;
	c.stamp.nc = e.head.uuid;
	assert_int_equal(apply(s, &c, 1, &a), RC_OK);
	store_read_end(&t);
	arena_fini(&a);
}

static void find_head(struct site *s, const char *dn)
{
	struct store_txn *t;
	struct entry e;
	struct arena a;
	struct dn name;
	unsigned depth;
	uint64_t eid;

	arena_init(&a);
	name = dn_of(&a, dn);
	assert_int_equal(store_read_begin(s->store, &t), RC_OK);
	assert_int_equal(store_find(t, &name, &eid, &depth), RC_OK);
	assert_int_equal(store_entry(t, eid, &e), RC_OK);
	s->nc = e.head.uuid;
	store_read_end(&t);
	arena_fini(&a);
}

static void found_site(struct site *s)
{
	char dn[64], uuid[UUID_TEXT_BYTES];
	struct position life;
	struct store_txn *t;

	snprintf(dn, sizeof(dn), "ou=S%u," ROOT, s->number);
	if (s->number != 0) {
		take_root(s);
		fill_random(s->nc.b, UUID_BYTES);
		assert_int_equal(store_write_begin(s->store, &t), RC_OK);
		assert_int_equal(update_begin_life(t, &s->ctx, &s->nc, &life), RC_OK);
		assert_int_equal(store_write_commit(&t), RC_OK);
		uuid_write(&s->nc, uuid);
		assert_int_equal(add(s, dn, "organizationalUnit", "mailSite", "entryUUID", uuid),
				 RC_OK);
	} else {
		assert_int_equal(
			add(s, ROOT, "organization", "mailOrganization", "masterSite", "S0"),
			RC_OK);
		assert_int_equal(add(s, dn, "organizationalUnit", "mailSite", "description", "a"),
				 RC_OK);
		find_head(s, dn);
	}
	snprintf(dn, sizeof(dn), "cn=Recipients,ou=S%u," ROOT, s->number);
	assert_int_equal(add(s, dn, "container", NULL, "description", "a"), RC_OK);
	snprintf(dn, sizeof(dn), "cn=Fixed,cn=Recipients,ou=S%u," ROOT, s->number);
	assert_int_equal(add(s, dn, "container", NULL, "description", "b"), RC_OK);
}

/* As after a restore: what partners know of the context belongs to an earlier life. */
static void begin_life(struct site *s)
{
	struct position life;
	struct store_txn *t;

	assert_int_equal(store_write_begin(s->store, &t), RC_OK);
	assert_int_equal(update_begin_life(t, &s->ctx, &s->nc, &life), RC_OK);
	assert_int_equal(store_write_commit(&t), RC_OK);
}

static void open_site(struct site *s, unsigned number)
{
	struct store_options opt = {.map_bytes = 16 << 20};
	struct buf why;

	memset(s, 0, sizeof(*s));
	s->number = number;
	arena_init(&s->arena);
	strcpy(s->folder, access("/dev/shm", W_OK) == 0 ? "/dev/shm/waypost-sync-XXXXXX"
							: "/tmp/waypost-sync-XXXXXX");
	assert_non_null(mkdtemp(s->folder));
	buf_init(&why, 1000);
	assert_int_equal(store_open(s->folder, &opt, &s->store, &why), RC_OK);
	buf_fini(&why);
	s->ctx = (struct update_context){.schema = schema,
					 .root = dn_of(&s->arena, ROOT),
					 .wall_us = 1700000000000000,
					 .random = fill_random};
	found_site(s);
}

static void close_site(struct site *s)
{
	char command[1000];

	store_close(&s->store);
	arena_fini(&s->arena);
	snprintf(command, sizeof(command), "rm -r %s", s->folder);
	assert_int_equal(system(command), 0);
}

/* --- random writes --- */

static void random_dn(struct site *s, bool container, char *out, size_t size)
{
	char base[128];
	unsigned depth = draw(3);

	snprintf(base, sizeof(base), "%scn=Recipients,ou=S%u," ROOT,
		 draw(2) == 0 ? "cn=Fixed," : "", s->number);
	while (depth-- > 0) {
		snprintf(out, size, "cn=c%u,%s", draw(3), base);
		snprintf(base, sizeof(base), "%s", out);
	}
	snprintf(out, size, "cn=%c%u,%s", container ? 'c' : 'p', draw(container ? 3 : 12), base);
}

static const char *random_word(void)
{
	static const char *const words[] = {"a", "b", "c"};

	return words[draw(3)];
}

static void random_change(struct site *s)
{
	struct change c = {.actor = SPAN_LIT("cn=admin," ROOT)};
	unsigned what = draw(6);
	bool container = draw(what > 3 ? 2 : 4) == 0;
	char dn[256], to[256], rdn[16];
	struct attr_list list;
	struct arena a;

	arena_init(&a);
	random_dn(s, container, dn, sizeof(dn));
	random_dn(s, true, to, sizeof(to));
	c.dn = dn_of(&a, dn);
	list.attrs = arena_zalloc(&a, 4, sizeof(*list.attrs));
	list.n = 0;
	switch (what) {
	case 0:
	case 1:
		add(s, dn, "container", NULL, "description", random_word());
		break;
	case 2:
		c.kind = CHANGE_MODIFY;
		set_attr(&a, &list, "description", random_word());
		c.mods = arena_zalloc(&a, 1, sizeof(*c.mods));
		c.mods[0] = (struct change_mod){CHANGE_OP_REPLACE, list.attrs[0]};
		c.nmods = 1;
		(void)!apply(s, &c, 1, &a);
		break;
	case 3:
		c.kind = CHANGE_DELETE;
		(void)!apply(s, &c, 1, &a);
		break;
	default:
		c.kind = CHANGE_RENAME;
		snprintf(rdn, sizeof(rdn), "cn=%c%u", container ? 'c' : 'p', draw(3));
		assert_int_equal(dn_rdn_parse(&a, span_of(rdn), &c.new_rdn, NULL), RC_OK);
		c.delete_old_rdn = true;
		c.has_new_superior = draw(4) != 0;
		c.new_superior = dn_of(&a, to);
		(void)!apply(s, &c, 1, &a);
		break;
	}
	arena_fini(&a);
}

/* --- what a site shows --- */

static int by_bytes(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return span_cmp(*x, *y);
}

static void put_printable(struct buf *b, struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		buf_putc(b, s.p[i] < ' ' || s.p[i] > '~' ? '.' : s.p[i]);
}

/* uuid, stamp, DN, attributes in order: one line an entry, lines in order. */
static struct span dump(struct site *s, struct arena *a)
{
	struct store_iter *it;
	struct span *lines = arena_zalloc(a, 4096, sizeof(*lines));
	struct store_txn *t;
	struct entry e;
	struct buf b;
	struct span out;
	unsigned n = 0, i;
	uint64_t root, eid;

	buf_init(&b, 16 << 20);
	assert_int_equal(store_read_begin(s->store, &t), RC_OK);
	assert_int_equal(store_root(t, &root), RC_OK);
	assert_int_equal(store_walk(t, root, STORE_SUB, &it), RC_OK);
	while (store_iter_next(it, &eid) == RC_OK) {
		struct span attrs[64];

		assert_true(n < 4096);
		assert_int_equal(store_entry(t, eid, &e), RC_OK);
		buf_clear(&b);
		for (i = 0; i < UUID_BYTES; i++)
			buf_printf(&b, "%02x", e.head.uuid.b[i]);
		buf_putc(&b, ' ');
		stamp_write(&e.head.stamp, &b);
		buf_putc(&b, ' ');
		assert_int_equal(store_dn(t, eid, &b), RC_OK);
		assert_true(e.nattrs < 64);
		for (i = 0; i < e.nattrs; i++) {
			struct entry_attr at;

			entry_attr_at(&e, i, &at);
			attrs[i] = at.whole;
		}
		qsort(attrs, e.nattrs, sizeof(attrs[0]), by_bytes);
		for (i = 0; i < e.nattrs; i++)
			put_printable(&b, attrs[i]);
		lines[n++] = arena_span(a, buf_span(&b));
	}
	store_iter_free(&it);
	store_read_end(&t);
	qsort(lines, n, sizeof(*lines), by_bytes);
	buf_clear(&b);
	for (i = 0; i < n; i++) {
		buf_put(&b, lines[i]);
		buf_putc(&b, '\n');
	}
	out = arena_span(a, buf_span(&b));
	buf_fini(&b);
	return out;
}

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

void op_finish_result(struct op *op, enum ldap_result code, const char *text)
{
	op->result = (struct result){.code = code, .text = text};
	op_finish(op, SPAN_LIT(""), NULL, 0);
}

int op_selection_make(struct op *op, const struct span *attrs, unsigned nattrs, bool types_only,
		      struct op_selection **out)
{
	(void)op, (void)attrs, (void)nattrs, (void)types_only;
	*out = NULL;
	return RC_OK;
}

int op_entry_write(struct op *op, struct store_txn *t, uint64_t eid, const struct entry *e,
		   const struct op_selection *sel, struct buf *out)
{
	size_t mark = tlv_open(out, TLV_APP_CONS(MSG_SEARCH_ENTRY));
	struct buf dn;
	int rc;

	(void)op, (void)sel;
	buf_init(&dn, DN_MAX_BYTES);
	rc = store_dn(t, eid, &dn);
	tlv_put(out, TLV_OCTETS, buf_span(&dn));
	tlv_put(out, TLV_SEQUENCE, e->attrs);
	tlv_close(out, mark);
	buf_fini(&dn);
	return rc;
}

void op_view_init(struct op_view *v, struct op *op, struct buf *value)
{
	memset(v, 0, sizeof(*v));
	v->op = op;
	v->value = value;
}

void op_view_set(struct op_view *v, struct store_txn *t, uint64_t eid, struct span dn_normal)
{
	v->t = t;
	v->eid = eid;
	v->view.dn_normal = dn_normal;
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
		else if (at != NULL)
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
		/* the base is gone, or everything is to be had anew */
		assert_true(m->u.result.code == LR_NO_SUCH_OBJECT ||
			    m->u.result.code == LR_SYNC_REFRESH_REQUIRED);
		buf_clear(&c->s.cookie);
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

/* --- the world --- */

struct world {
	struct link links[12];
	unsigned nlinks;
	struct client *clients;
};

static void add_links(struct world *w, unsigned from, unsigned to)
{
	w->links[w->nlinks++] = (struct link){.from = &sites[from], .to = &sites[to]};
	w->links[w->nlinks++] = (struct link){.from = &sites[to], .to = &sites[from]};
}

static void open_world(struct world *w, uint64_t seed)
{
	static const struct request requests[CLIENTS] = {
		{.at = &sites[0], .base = ROOT, .filter = "(objectClass=*)", .scope = STORE_SUB},
		{.at = &sites[3], .base = ROOT, .filter = "(description=a)", .scope = STORE_SUB},
		{.at = &sites[1],
		 .base = "cn=c1,cn=Recipients,ou=S2," ROOT,
		 .filter = "(objectClass=*)",
		 .scope = STORE_SUB},
		{.at = &sites[2],
		 .base = "cn=Fixed,cn=Recipients,ou=S2," ROOT,
		 .filter = "(objectClass=*)",
		 .scope = STORE_CHILDREN},
		{.at = &sites[2],
		 .base = "cn=Recipients,ou=S0," ROOT,
		 .filter = "(description=a)",
		 .scope = STORE_ONE},
	};
	unsigned i;

	memset(w, 0, sizeof(*w));
	rng = seed;
	for (i = 0; i < SITES; i++)
		open_site(&sites[i], i);
	/* a chain, closed to a ring in every other world */
	for (i = 0; i + 1 < SITES; i++)
		add_links(w, i, i + 1);
	if (seed % 2 == 0)
		add_links(w, SITES - 1, 0);
	for (i = 0; i < w->nlinks; i++) {
		buf_init(&w->links[i].s.wire, 64 << 20);
		buf_init(&w->links[i].s.cookie, 1 << 20);
		repl_batch_init(&w->links[i].batch);
	}
	w->clients = mem_zalloc(CLIENTS, sizeof(*w->clients));
	assert_non_null(w->clients);
	for (i = 0; i < CLIENTS; i++) {
		w->clients[i].r = requests[i];
		w->clients[i].r.who = IDENTITY_ADMIN;
		arena_init(&w->clients[i].arena);
		buf_init(&w->clients[i].s.wire, 64 << 20);
		buf_init(&w->clients[i].s.cookie, 1 << 20);
	}
}

static void close_world(struct world *w)
{
	unsigned i;

	for (i = 0; i < w->nlinks; i++) {
		cut_link(&w->links[i]);
		free_session(&w->links[i].s);
	}
	for (i = 0; i < CLIENTS; i++) {
		free_session(&w->clients[i].s);
		arena_fini(&w->clients[i].arena);
	}
	mem_free(w->clients);
	for (i = 0; i < SITES; i++)
		close_site(&sites[i]);
}

static void step_link(struct link *l)
{
	if (!l->s.is_open)
		open_link(l);
	else if (draw(12) == 0)
		cut_link(l);
	else if (draw(2) == 0)
		turn(&l->s);
	else
		read_link(l, draw(8));
}

static void step_client(struct client *c)
{
	if (!c->s.is_open) {
		c->r.mode = draw(2) == 0 ? SYNC_REFRESH_ONLY : SYNC_REFRESH_AND_PERSIST;
		open_client(c);
	} else if (draw(12) == 0) {
		close_session(&c->s);
	} else if (draw(2) == 0) {
		turn(&c->s);
	} else {
		read_client(c, draw(8));
	}
}

static void step(struct world *w)
{
	unsigned what = draw(10), i = draw(w->nlinks);

	if (what < 3)
		random_change(&sites[draw(SITES)]);
	else if (what < 7)
		step_link(&w->links[i]);
	else if (what < 9)
		step_client(&w->clients[draw(CLIENTS)]);
	else if (draw(40) == 0)
		begin_life(&sites[draw(SITES)]);
	else
		sync_wake(NULL);
}

/* No more writes, links stay up: let everything flow. */
static void settle(struct world *w)
{
	unsigned round, i;

	for (round = 0; round < 200; round++) {
		sync_wake(NULL);
		for (i = 0; i < w->nlinks; i++) {
			if (!w->links[i].s.is_open)
				open_link(&w->links[i]);
			turn(&w->links[i].s);
			read_link(&w->links[i], UINT32_MAX);
		}
		for (i = 0; i < CLIENTS; i++) {
			struct client *c = &w->clients[i];

			c->r.mode = SYNC_REFRESH_AND_PERSIST;
			if (!c->s.is_open && (round < 190 || c->n != 0))
				open_client(c);
			turn(&c->s);
			read_client(c, UINT32_MAX);
		}
	}
}

/* Fail with the first line that is not in both. */
static void compare(struct span a, struct span b, unsigned number)
{
	struct span x, y;

	while (a.n != 0 || b.n != 0) {
		span_cut(&a, '\n', &x);
		span_cut(&b, '\n', &y);
		if (!span_eq(x, y))
			fail_msg("site %u differs from site 0:\n%.*s\n%.*s", number, SPAN_ARG(y),
				 SPAN_ARG(x));
	}
}

static void check_world(struct world *w)
{
	struct span first, other;
	struct arena a;
	unsigned i;

	arena_init(&a);
	first = dump(&sites[0], &a);
	for (i = 1; i < SITES; i++) {
		other = dump(&sites[i], &a);
		compare(first, other, i);
	}
	arena_fini(&a);
	for (i = 0; i < CLIENTS; i++)
		check_client(&w->clients[i]);
}

static void run_seed(uint64_t seed, unsigned steps)
{
	struct world w;
	unsigned i;

	print_message("seed %llu\n", (unsigned long long)seed);
	open_world(&w, seed);
	for (i = 0; i < steps; i++)
		step(&w);
	settle(&w);
	check_world(&w);
	close_world(&w);
}

static void random_worlds(void **state)
{
	const char *only = getenv("WAYPOST_SEED"), *soak = getenv("WAYPOST_SOAK");
	uint64_t seed, last = soak != NULL ? 300 : 40;

	(void)state;
	if (only != NULL) {
		run_seed(strtoull(only, NULL, 10), 1500);
		return;
	}
	for (seed = 1; seed <= last; seed++)
		run_seed(seed, 1500);
}

static int load_schema(void **state)
{
	struct buf errors;
	int rc;

	(void)state;
	buf_init(&errors, 1 << 20);
	rc = schema_load(SCHEMADIR, &schema, &errors);
	buf_fini(&errors);
	return rc;
}

static int unload_schema(void **state)
{
	(void)state;
	schema_free(&schema);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		unit_heap_test(random_worlds),
	};

	return cmocka_run_group_tests(tests, load_schema, unload_schema);
}
