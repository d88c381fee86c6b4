/* Password Modify (RFC 3062): users change their own password, the administrator everybody's. */
#include "dird/conn.h"
#include "dird/op_write.h"
#include "dird/password.h"

#include <sys/random.h>

#define PASSWD_MAX_HASHES 8
#define PASSWD_GENERATED_CHARS 20 /* of 5 bits each */

struct password_change {
	uv_work_t work;
	struct op *op;
	struct span user, old, new; /* of the request; .p NULL: not given */
	struct span hashes[PASSWD_MAX_HASHES];
	unsigned nhashes;
	struct change *change;
	char generated[PASSWD_GENERATED_CHARS + 1]; /* "": the client chose */
	char hash[PASSWORD_HASH_BYTES];
	int matched; /* which hash the old password fits; -1: none */
	int rc;
};

/* --- request and target --- */

static int read_optional(struct span *body, uint8_t tag, struct span *out)
{
	return tlv_peek(*body, tag) ? tlv_expect(body, tag, out) : 0;
}

static int read_request(const struct msg_extended *m, struct password_change *p)
{
	struct span rest = m->value, body;

	if (!m->has_value)
		return 0;
	if (tlv_expect(&rest, TLV_SEQUENCE, &body) != 0 || rest.n != 0 ||
	    read_optional(&body, TLV_CONTEXT(0), &p->user) != 0 ||
	    read_optional(&body, TLV_CONTEXT(1), &p->old) != 0 ||
	    read_optional(&body, TLV_CONTEXT(2), &p->new) != 0 || body.n != 0)
		return RC_INVALID;
	return 0;
}

/* false: answered. */
static bool may_send_password(struct op *op)
{
	struct stream *st = op->conn->stream;

	if (stream_is_tls(st) || stream_is_loopback(st))
		return true;
	op_finish_result(
		op, LR_CONFIDENTIALITY,
		"a password is taken over TLS (ldaps or StartTLS) or on this machine only");
	return false;
}

static bool is_own(struct op *op, const struct dn *dn)
{
	struct span normal, own;

	return op_normal_dn(&op->arena, dn, &normal) == 0 &&
	       dn_normalize_text(&op->arena, span_of(op->identity.dn), &own) == 0 &&
	       span_eq(normal, own);
}

static bool may_change(struct op *op, const struct dn *dn)
{
	switch (op->identity.kind) {
	case IDENTITY_ADMIN:
		return true;
	case IDENTITY_USER:
		if (is_own(op, dn))
			return true;
		op->policy_error = OP_POLICY_MOD_NOT_ALLOWED;
		op_finish_result(op, LR_INSUFFICIENT_ACCESS,
				 "users may change their own password only");
		return false;
	case IDENTITY_ANONYMOUS:
		op_finish_result(op, LR_STRONGER_AUTH, "bind first");
		return false;
	case IDENTITY_TOKEN:
	case IDENTITY_SITE:
		break;
	}
	op->policy_error = OP_POLICY_MOD_NOT_ALLOWED;
	op_finish_result(op, LR_INSUFFICIENT_ACCESS, "sites and tokens have no password to change");
	return false;
}

/* The hashes that the old password is compared with. */
static int take_hashes(struct op *op, struct password_change *p)
{
	struct span type = SPAN_LIT("userPassword");
	struct entry_attr at;
	struct store_txn *t;
	struct entry e;
	struct span rest, value;
	unsigned i = 0;
	uint64_t eid;
	int rc = store_read_begin(op->server->store, &t);

	if (rc != 0)
		return rc;
	rc = op_find_entry(op, t, &p->change->dn, &eid);
	if (rc == 0)
		rc = store_entry(t, eid, &e);
	if (rc == 0 && entry_find(&e, entry_type_hash(type), type, &i, &at)) {
		rest = at.values;
		while (p->nhashes < PASSWD_MAX_HASHES && tlv_expect(&rest, TLV_OCTETS, &value) == 0)
			p->hashes[p->nhashes++] = arena_span(&op->arena, value);
	}
	store_read_end(&t);
	return rc;
}

/* --- on a thread of the pool --- */

static int generate(char out[static PASSWD_GENERATED_CHARS + 1])
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789"; /* 32, none alike */
	uint8_t random[PASSWD_GENERATED_CHARS];
	unsigned i;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return RC_IO;
	for (i = 0; i < PASSWD_GENERATED_CHARS; i++)
		out[i] = letters[random[i] & 31];
	out[i] = '\0';
	return 0;
}

static void on_hash(uv_work_t *w)
{
	struct password_change *p = w->data;
	unsigned i;

	p->matched = -1;
	for (i = 0; p->old.p != NULL && i < p->nhashes && p->matched < 0; i++) {
		if (p->hashes[i].p != NULL && password_verify(p->hashes[i], p->old))
			p->matched = (int)i;
	}
	if (p->old.p != NULL && p->matched < 0)
		return;
	if (p->new.p == NULL) {
		p->rc = generate(p->generated);
		p->new = span_of(p->generated);
	}
	if (p->rc == 0)
		p->rc = password_hash(p->new, p->hash);
}

/* --- the change --- */

static void on_done(struct op *op, int rc, const struct result *why)
{
	struct password_change *p = op->state;
	struct buf value, extra;
	size_t mark;

	if (rc == RC_REFUSED) {
		op_finish_refused(op, why);
		return;
	}
	if (rc != 0) {
		op_finish_error(op, rc, "password modify");
		return;
	}
	buf_init(&value, 128);
	buf_init(&extra, 256);
	if (p->generated[0] != '\0') {
		mark = tlv_open(&value, TLV_SEQUENCE);
		tlv_put(&value, TLV_CONTEXT(0), span_of(p->generated));
		tlv_close(&value, mark);
		tlv_put(&extra, TLV_CONTEXT(11), buf_span(&value));
	}
	op->result = (struct result){.code = LR_SUCCESS};
	op_finish(op, buf_span(&extra), NULL, 0);
	buf_fini(&extra);
	buf_fini(&value);
}

static struct change_mod password_mod(struct password_change *p, enum change_op op,
				      struct span *value)
{
	(void)p;
	return (struct change_mod){
		.op = op,
		.attr = {.type = SPAN_LIT("userPassword"), .values = value, .nvalues = 1}};
}

/* The old password's own value goes, so that two changes at once can not both succeed. */
static void submit(struct password_change *p)
{
	struct op *op = p->op;
	struct change *c = p->change;
	struct span *value = arena_zalloc(&op->arena, 1, sizeof(*value));

	c->mods = arena_zalloc(&op->arena, 2, sizeof(*c->mods));
	if (c->mods == NULL || value == NULL) {
		op_finish_error(op, RC_NOMEM, "password modify");
		return;
	}
	*value = span_of(p->hash);
	if (p->old.p != NULL) {
		c->mods[c->nmods++] = password_mod(p, CHANGE_OP_DELETE, &p->hashes[p->matched]);
		c->mods[c->nmods++] = password_mod(p, CHANGE_OP_ADD, value);
	} else {
		c->mods[c->nmods++] = password_mod(p, CHANGE_OP_REPLACE, value);
	}
	op_submit_all(op, c, 1, on_done);
}

static void refuse_quality(struct password_change *p)
{
	p->op->policy_error = p->new.n == 0 ? OP_POLICY_TOO_SHORT : OP_POLICY_QUALITY;
	op_finish_result(p->op, LR_CONSTRAINT_VIOLATION, "a password has 1 to 1024 bytes");
}

static void on_hashed(uv_work_t *w, int status)
{
	struct password_change *p = w->data;

	if (status != 0)
		op_finish_error(p->op, RC_BUSY, "password modify");
	else if (p->old.p != NULL && p->matched < 0)
		op_finish_result(p->op, LR_INVALID_CREDENTIALS, "the old password is wrong");
	else if (p->rc == RC_INVALID)
		refuse_quality(p);
	else if (p->rc != 0)
		op_finish_error(p->op, p->rc, "password modify");
	else
		submit(p);
}

/* The entry whose password it is. false: answered. */
static bool find_target(struct op *op, struct password_change *p)
{
	struct span name = p->user.p != NULL ? p->user : span_of(op->identity.dn);
	struct change *c;
	int rc;

	if (span_starts(name, SPAN_LIT("dn:")))
		name = span_from(name, 3);
	c = op_change_new(op, CHANGE_MODIFY, name);
	if (c == NULL || !may_change(op, &c->dn)) /* answered: the arena, and p, are gone */
		return false;
	p->change = c;
	rc = take_hashes(op, p);
	if (rc == RC_REFUSED && op->identity.kind == IDENTITY_ADMIN && is_own(op, &p->change->dn)) {
		op->policy_error = OP_POLICY_MOD_NOT_ALLOWED;
		op_finish_result(op, LR_UNWILLING,
				 "the administrator's password is in a file of the server");
	} else if (rc == RC_REFUSED)
		op_finish_refused(op, &op->result);
	else if (rc != 0)
		op_finish_error(op, rc, "password modify");
	return rc == 0;
}

void op_passwd(struct op *op)
{
	struct password_change *p = arena_zalloc(&op->arena, 1, sizeof(*p));

	if (p == NULL) {
		op_finish_error(op, RC_NOMEM, "password modify");
		return;
	}
	p->op = op;
	p->work.data = p;
	op->state = p;
	if (read_request(&op->msg.u.extended, p) != 0) {
		op_finish_result(op, LR_PROTOCOL_ERROR, "malformed password modify request");
		return;
	}
	if (!may_send_password(op) || !find_target(op, p))
		return;
	if (uv_queue_work(loop_uv(conn_loop(op->conn)), &p->work, on_hash, on_hashed) != 0)
		op_finish_error(op, RC_BUSY, "password modify");
}
