#include "dird/conn.h"
#include "dird/op_impl.h"
#include "dird/password.h"
#include "lib/log.h"

/* RFC 4513. A bind runs alone on its connection, which is anonymous until it succeeds. */

#define BIND_MAX_HASHES 8
#define BIND_MAX_QUEUED 256 /* of the whole server: what a flood of binds may cost */

struct bind {
	uv_work_t work;
	struct op *op;
	struct identity identity; /* if a hash fits */
	struct span hashes[BIND_MAX_HASHES];
	unsigned nhashes;
	struct span password;
	bool is_right;
	int rc;
};

static unsigned queued; /* of all loops */
static const char wrong[] = "name or password is wrong";

/* --- the end --- */

static void refuse(struct op *op, enum ldap_result code, const char *text)
{
	struct log_ctx lc = {.conn = op->conn->id, .op = op->msg.id};
	struct conn *c = op->conn;
	char name[LOG_TEXT_BYTES], session[LOG_TEXT_BYTES];

	log_info(&lc, "bind.refused", "%s name=\"%s\" result=%s why=\"%s\"%s%s%s",
		 c->stream != NULL ? stream_peer_text(c->stream) : "gone",
		 log_text(op->msg.u.bind.name, name), result_name(code), text,
		 op->controls.session.n != 0 ? " session=\"" : "",
		 log_text(op->controls.session, session), op->controls.session.n != 0 ? "\"" : "");
	conn_end_exclusive(c);
	op_finish_result(op, code, text);
}

static void accept_as(struct op *op, struct identity *id)
{
	struct conn *c = op->conn;

	conn_set_identity(c, id);
	conn_end_exclusive(c);
	op_finish_result(op, LR_SUCCESS, NULL);
}

static int set_dn(struct identity *id, struct span dn)
{
	id->dn = mem_alloc(dn.n + 1);
	if (id->dn == NULL)
		return RC_NOMEM;
	memcpy(id->dn, dn.p, dn.n);
	id->dn[dn.n] = '\0';
	return 0;
}

static int set_admin(struct server *s, struct identity *id)
{
	struct buf dn;
	int rc;

	buf_init(&dn, DN_MAX_BYTES);
	buf_printf(&dn, "cn=admin,%s", s->config.organisation);
	rc = buf_rc(&dn);
	if (rc == 0)
		rc = set_dn(id, buf_span(&dn));
	buf_fini(&dn);
	id->kind = IDENTITY_ADMIN;
	return rc;
}

/* Is the name (normal form) cn=admin,<root>? */
static bool is_admin_name(const struct server *s, struct span normal)
{
	static const struct span rdn = SPAN_LIT("cn=admin,");

	return span_starts(normal, rdn) && span_eq(span_from(normal, rdn.n), s->root_normal);
}

static int identity_of_entry(struct op *op, struct store_txn *t, uint64_t eid,
			     const struct entry *e, enum identity_kind kind, struct identity *id)
{
	struct buf dn;
	int rc;

	(void)op;
	buf_init(&dn, DN_MAX_BYTES * 2);
	rc = store_dn(t, eid, &dn);
	if (rc == 0)
		rc = set_dn(id, buf_span(&dn));
	buf_fini(&dn);
	id->kind = kind;
	id->uuid = e->head.uuid;
	return rc;
}

/* --- simple bind --- */

static bool has_only_cheap_hashes(const struct bind *b)
{
	unsigned i;

	for (i = 0; i < b->nhashes; i++) {
		if (!password_is_cheap(b->hashes[i]))
			return false;
	}
	return true;
}

static void verify(struct bind *b)
{
	unsigned i;

	for (i = 0; i < b->nhashes && !b->is_right; i++)
		b->is_right = password_verify(b->hashes[i], b->password);
}

/* A wrong password takes as long with a digest, and with an unknown name, as with PBKDF2. */
static void on_hash(uv_work_t *w)
{
	struct bind *b = w->data;

	verify(b);
	if (!b->is_right && has_only_cheap_hashes(b))
		password_verify_nothing(b->password);
}

static void bind_free(struct bind *b)
{
	if (b != NULL)
		identity_fini(&b->identity);
	mem_free(b);
}

static void on_hashed(uv_work_t *w, int status)
{
	struct bind *b = w->data;
	struct op *op = b->op;

	__atomic_sub_fetch(&queued, 1, __ATOMIC_RELAXED);
	op->state = NULL;
	op->cancel = NULL;
	if (status == 0 && b->is_right)
		accept_as(op, &b->identity);
	else if (status == UV_ECANCELED)
		refuse(op, LR_UNAVAILABLE, "the connection or the server ends");
	else
		refuse(op, LR_INVALID_CREDENTIALS, wrong);
	bind_free(b);
}

/* The connection ended, or the server stops: on_hashed() comes at once if nothing has begun. */
static void cancel(struct op *op)
{
	struct bind *b = op->state;

	(void)uv_cancel((uv_req_t *)&b->work);
}

/* A join token opens the door until its time is over. */
bool op_token_is_expired(const struct server *s, const struct entry *e)
{
	char now[CLOCK_GENERALIZED_BYTES];
	struct buf until, today;
	struct span expires;
	bool is_over = true;

	if (!entry_first(e, "tokenExpires", &expires))
		return false;
	clock_generalized(s->clock->wall_us(s->clock), now);
	buf_init(&until, 128);
	buf_init(&today, 128);
	if (schema_normalize(s->schema, SCHEMA_NORM_TIME, expires, &until) == 0 &&
	    schema_normalize(s->schema, SCHEMA_NORM_TIME, span_of(now), &today) == 0)
		is_over = span_cmp(buf_span(&until), buf_span(&today)) <= 0;
	buf_fini(&until);
	buf_fini(&today);
	return is_over;
}

static int take_hashes(struct op *op, const struct entry *e, struct bind *b)
{
	struct span type = SPAN_LIT("userPassword"), rest, value;
	struct entry_attr at;
	unsigned i = 0;

	if (!entry_find(e, entry_type_hash(type), type, &i, &at))
		return 0;
	rest = at.values;
	while (b->nhashes < BIND_MAX_HASHES && tlv_expect(&rest, TLV_OCTETS, &value) == 0) {
		b->hashes[b->nhashes] = arena_span(&op->arena, value);
		if (b->hashes[b->nhashes].p == NULL)
			return RC_NOMEM;
		b->nhashes++;
	}
	return 0;
}

/* Hashes and identity of the named entry; none when there is no such entry. */
static int look_up(struct op *op, const struct dn *dn, struct bind *b)
{
	enum identity_kind kind = IDENTITY_USER;
	struct store_txn *t;
	unsigned depth;
	struct entry e;
	uint64_t eid;
	int rc;

	rc = store_read_begin(op->server->store, &t);
	if (rc != 0)
		return rc;
	rc = store_find(t, dn, &eid, &depth);
	if (rc == 0)
		rc = store_entry(t, eid, &e);
	if (rc == 0 && entry_has_class(&e, "joinToken")) {
		kind = IDENTITY_TOKEN;
		if (op_token_is_expired(op->server, &e))
			rc = RC_NOTFOUND;
	}
	if (rc == 0)
		rc = take_hashes(op, &e, b);
	if (rc == 0)
		rc = identity_of_entry(op, t, eid, &e, kind, &b->identity);
	store_read_end(&t);
	return rc == RC_NOTFOUND ? 0 : rc;
}

static int find_hashes(struct op *op, struct bind *b)
{
	const struct msg_bind *m = &op->msg.u.bind;
	struct server *s = op->server;
	struct span normal;
	struct dn dn;
	int rc;

	rc = dn_parse(&op->arena, m->name, &dn, NULL);
	if (rc == 0)
		rc = op_normal_dn(&op->arena, &dn, &normal);
	if (rc != 0)
		return rc;
	if (!is_admin_name(s, normal))
		return look_up(op, &dn, b);
	rc = server_admin_hash(s, &op->arena, &b->hashes[0]);
	if (rc == 0 && b->hashes[0].p != NULL)
		b->nhashes = 1;
	return rc == 0 ? set_admin(s, &b->identity) : rc;
}

static bool queue(struct op *op, struct bind *b)
{
	bool is_queued = __atomic_add_fetch(&queued, 1, __ATOMIC_RELAXED) <= BIND_MAX_QUEUED;

	b->work.data = b;
	if (is_queued)
		is_queued = uv_queue_work(loop_uv(conn_loop(op->conn)), &b->work, on_hash,
					  on_hashed) == 0;
	if (!is_queued)
		__atomic_sub_fetch(&queued, 1, __ATOMIC_RELAXED);
	return is_queued;
}

/* One digest is done at once; the pool would cost more. */
static bool is_right_at_once(struct op *op, struct bind *b)
{
	b->op = op;
	b->password = op->msg.u.bind.password;
	if (has_only_cheap_hashes(b))
		verify(b);
	return b->is_right;
}

static void simple(struct op *op)
{
	struct bind *b = mem_zalloc(1, sizeof(*b));
	int rc = b != NULL ? find_hashes(op, b) : RC_NOMEM;

	if (rc == 0 && is_right_at_once(op, b)) {
		accept_as(op, &b->identity);
	} else if (rc == 0 && queue(op, b)) {
		op->state = b;
		op->cancel = cancel;
		return;
	} else if (rc == RC_INVALID || rc == RC_TOOBIG) {
		refuse(op, LR_INVALID_DN, "the name is no distinguished name");
	} else {
		refuse(op, LR_BUSY, rc != 0 ? rc_text(rc) : "too many binds at once");
	}
	bind_free(b);
}

static void start_simple(struct op *op)
{
	const struct msg_bind *m = &op->msg.u.bind;
	struct stream *st = op->conn->stream;
	struct identity nobody;

	if (m->name.n == 0 && m->password.n == 0) {
		identity_init(&nobody);
		accept_as(op, &nobody);
	} else if (m->password.n == 0) {
		refuse(op, LR_UNWILLING, "a name without a password proves nothing");
	} else if (!stream_is_tls(st) && !stream_is_loopback(st)) {
		refuse(op, LR_CONFIDENTIALITY,
		       "a password is taken over TLS (ldaps or StartTLS) or on this machine only");
	} else if (m->name.n == 0) {
		refuse(op, LR_INVALID_CREDENTIALS, wrong);
	} else {
		simple(op);
	}
}

/* --- SASL EXTERNAL (RFC 4422 appendix A) --- */

static int external_local(struct op *op, struct identity *id)
{
	uint32_t uid, gid;

	if (!stream_peer_cred(op->conn->stream, &uid, &gid))
		return RC_NOTFOUND;
	if (uid != 0 && uid != server_own_uid())
		return RC_NOTFOUND;
	return set_admin(op->server, id);
}

bool op_entry_has_pin(const struct entry *e, struct span pin)
{
	struct span type = SPAN_LIT("siteKey"), rest, value;
	struct entry_attr at;
	unsigned i = 0;

	while (entry_find(e, entry_type_hash(type), type, &i, &at)) {
		rest = at.values;
		while (tlv_expect(&rest, TLV_OCTETS, &value) == 0) {
			if (span_eq(value, pin))
				return true;
		}
	}
	return false;
}

/* The one site, a child of the root, whose object pins this key. */
static int find_site(struct op *op, struct store_txn *t, const struct index_range *range,
		     struct span pin, struct identity *id)
{
	uint64_t root, eid, site = 0;
	struct store_iter *iter = NULL;
	struct entry e;
	int rc = store_root(t, &root);

	if (rc == 0)
		rc = store_ranges(t, range, 1, &iter);
	while (rc == 0 && (rc = store_iter_next(iter, &eid)) == 0) {
		rc = store_entry(t, eid, &e);
		if (rc == 0 && e.head.parent == root && entry_has_class(&e, "mailSite") &&
		    op_entry_has_pin(&e, pin) && eid != site) {
			if (site != 0)
				rc = RC_CONFLICT; /* two sites with one key are none */
			site = eid;
		}
	}
	if (iter != NULL)
		store_iter_free(&iter);
	if (rc == RC_DONE)
		rc = site != 0 ? store_entry(t, site, &e) : RC_NOTFOUND;
	return rc == 0 ? identity_of_entry(op, t, site, &e, IDENTITY_SITE, id) : rc;
}

static int external_site(struct op *op, const struct tls_peer *peer, struct identity *id)
{
	const struct schema_attr *at = schema_attr(op->server->schema, SPAN_LIT("siteKey"));
	char pin[TLS_PIN_TEXT_BYTES];
	struct index_range range;
	struct store_txn *t;
	struct buf key;
	int rc;

	if (!peer->is_tls13 || peer->is_weak || at == NULL || !at->is_indexed)
		return RC_NOTFOUND;
	tls_pin_write(peer->pin, pin);
	buf_init(&key, 256);
	rc = schema_normalize(op->server->schema, at->equality, span_of(pin), &key);
	if (rc == 0)
		rc = store_read_begin(op->server->store, &t);
	if (rc == 0) {
		range = (struct index_range){
			.attr = at->hash, .kind = INDEX_EQUAL, .lo = buf_span(&key)};
		rc = find_site(op, t, &range, span_of(pin), id);
		store_read_end(&t);
	}
	buf_fini(&key);
	return rc;
}

/* A certificate of the configured CA stands for the entry its subject names. */
static int external_subject(struct op *op, const struct tls_peer *peer, struct identity *id)
{
	struct store_txn *t;
	struct span normal;
	unsigned depth;
	struct entry e;
	uint64_t eid;
	struct dn dn;
	int rc;

	if (!peer->is_trusted || peer->subject[0] == '\0')
		return RC_NOTFOUND;
	rc = dn_parse(&op->arena, span_of(peer->subject), &dn, NULL);
	if (rc == 0)
		rc = op_normal_dn(&op->arena, &dn, &normal);
	if (rc != 0)
		return RC_NOTFOUND;
	if (is_admin_name(op->server, normal))
		return set_admin(op->server, id);
	rc = store_read_begin(op->server->store, &t);
	if (rc != 0)
		return rc;
	rc = store_find(t, &dn, &eid, &depth);
	if (rc == 0)
		rc = store_entry(t, eid, &e);
	if (rc == 0)
		rc = identity_of_entry(op, t, eid, &e, IDENTITY_USER, id);
	store_read_end(&t);
	return rc;
}

static int external_tls(struct op *op, struct identity *id)
{
	struct tls_peer peer;
	int rc;

	stream_tls_peer(op->conn->stream, &peer);
	if (!peer.has_certificate)
		return RC_NOTFOUND;
	rc = external_site(op, &peer, id);
	return rc == RC_NOTFOUND ? external_subject(op, &peer, id) : rc;
}

/* Why nobody was found by EXTERNAL. */
static const char *stranger(struct op *op)
{
	const char *text, *no_site;
	struct tls_peer peer;

	if (stream_is_local(op->conn->stream))
		return "EXTERNAL on the local socket is for root and the server's own user";
	stream_tls_peer(op->conn->stream, &peer);
	if (!peer.has_certificate)
		return "the client has given no certificate";
	if (peer.is_weak)
		return "the key of the client's certificate is too weak";
	no_site = peer.is_tls13 ? "no site has the client certificate's key pinned"
				: "a site is known by its key over TLS 1.3 only";
	if (peer.is_trusted)
		text = arena_printf(&op->arena, "%s, and no entry its subject's name", no_site);
	else
		text = arena_printf(&op->arena, "%s, and the certificate is not trusted: %s",
				    no_site, peer.distrust);
	return text != NULL ? text : rc_text(RC_NOMEM);
}

/* An authorization identity may only repeat who the client is. */
static bool is_same_identity(struct op *op, struct span authzid, const struct identity *id)
{
	struct span asked, own;

	if (authzid.n == 0)
		return true;
	if (!span_starts(authzid, SPAN_LIT("dn:")))
		return false;
	return dn_normalize_text(&op->arena, span_from(authzid, 3), &asked) == 0 &&
	       dn_normalize_text(&op->arena, span_of(id->dn), &own) == 0 && span_eq(asked, own);
}

static void start_external(struct op *op)
{
	struct identity id;
	int rc;

	identity_init(&id);
	if (stream_is_local(op->conn->stream))
		rc = external_local(op, &id);
	else
		rc = external_tls(op, &id);
	if (rc == RC_NOTFOUND)
		refuse(op, LR_INVALID_CREDENTIALS, stranger(op));
	else if (rc == RC_CONFLICT)
		refuse(op, LR_INVALID_CREDENTIALS, "two sites have this key pinned");
	else if (rc != 0)
		refuse(op, LR_OTHER, rc_text(rc));
	else if (!is_same_identity(op, op->msg.u.bind.credentials, &id))
		refuse(op, LR_INVALID_CREDENTIALS, "the authorization identity is another one");
	else
		accept_as(op, &id);
	identity_fini(&id);
}

void op_bind(struct op *op)
{
	const struct msg_bind *m = &op->msg.u.bind;

	op->conn->is_exclusive = true;
	if (op->conn->stream == NULL)
		refuse(op, LR_UNAVAILABLE, "connection closed");
	else if (m->version == 2)
		refuse(op, LR_PROTOCOL_ERROR,
		       "LDAPv2 is not spoken here; tell the client to use version 3");
	else if (m->version != 3)
		refuse(op, LR_PROTOCOL_ERROR, "only LDAP version 3 is spoken here");
	else if (m->is_other)
		refuse(op, LR_AUTH_METHOD, "binds here are simple, or SASL EXTERNAL");
	else if (!m->is_sasl)
		start_simple(op);
	else if (span_eq(m->mechanism, SPAN_LIT("EXTERNAL")))
		start_external(op);
	else
		refuse(op, LR_AUTH_METHOD, "the only SASL mechanism here is EXTERNAL");
}
