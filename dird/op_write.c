#include "dird/op_write.h"

#include "dird/conn.h"
#include "dird/op_txn.h"
#include "dird/password.h"

/* A change on its way. */
struct pending {
	struct write_req req;
	uv_work_t work;
	struct op *op;
	struct change *changes;
	unsigned nchanges;
	void (*done)(struct op *op, int rc, const struct result *why); /* NULL: answer with it */
	struct span before, after; /* SearchResultEntry of the read controls; .p NULL: none */
	int rc;
};

bool op_may_write(struct op *op)
{
	if (acl_may_write(&op->server->acl, &op->identity))
		return true;
	if (op->identity.kind == IDENTITY_ANONYMOUS)
		op_finish_result(op, LR_STRONGER_AUTH,
				 "only the administrator may write; bind first");
	else
		op_finish_result(op, LR_INSUFFICIENT_ACCESS, "only the administrator may write");
	return false;
}

/* The name of a write. RC_REFUSED: answered. */
static int read_name(struct op *op, struct span text, struct dn *out)
{
	struct span normal;
	int rc = op_parse_dn(op, text, out);

	if (rc != 0)
		return rc;
	rc = op_normal_dn(&op->arena, out, &normal);
	if (rc == 0 && !op_is_virtual(normal))
		return 0;
	if (rc == 0)
		op_finish_result(op, LR_UNWILLING, "this entry is made when it is read");
	else
		op_finish_error(op, rc, "write");
	return RC_REFUSED;
}

struct change *op_change_new(struct op *op, enum change_kind kind, struct span dn)
{
	struct change *c = arena_zalloc(&op->arena, 1, sizeof(*c));

	if (c == NULL) {
		op_finish_error(op, RC_NOMEM, "write");
		return NULL;
	}
	c->kind = kind;
	c->actor = span_of(op->identity.dn);
	c->may_set_operational = op->controls.relax;
	c->is_permissive = op->controls.permissive;
	return read_name(op, dn, &c->dn) == 0 ? c : NULL;
}

/* --- in the transaction, on the writer's thread --- */

static int read_entry(struct pending *p, struct store_txn *t, uint64_t eid,
		      const struct op_selection *sel, struct span *out)
{
	struct arena *a = &p->op->arena;
	struct entry e;
	struct buf b;
	int rc = store_entry(t, eid, &e);

	if (rc != 0)
		return rc;
	buf_init(&b, UINT32_MAX);
	rc = op_entry_write(p->op, t, eid, &e, sel, &b);
	if (rc == 0) {
		*out = arena_span(a, buf_span(&b));
		rc = out->p != NULL ? 0 : RC_NOMEM;
	}
	buf_fini(&b);
	return rc;
}

/* The new superior of a rename must be ours (RFC 3296 §5.6.2). */
static int check_superior(struct op *op, struct store_txn *t, const struct change *c,
			  struct result *why)
{
	uint64_t eid;
	int rc;

	if (c->kind != CHANGE_RENAME || !c->has_new_superior)
		return 0;
	rc = op_resolve(op, t, &c->new_superior, &eid, why);
	if (rc != RC_REFUSED || why->code != LR_REFERRAL)
		return rc == RC_REFUSED ? 0 : rc;
	return result_set(why, &op->arena, LR_AFFECTS_MULTIPLE_DSAS,
			  "the new superior is, or is below, a referral entry");
}

static int on_check(struct write_req *req, struct store_txn *t, struct result *why)
{
	struct pending *p = req->ctx;
	struct op *op = p->op;
	uint64_t eid;
	int rc = op_resolve(op, t, &p->changes[p->nchanges - 1].dn, &eid, why);

	if (rc == RC_REFUSED && why->code == LR_NO_SUCH_OBJECT) {
		*why = (struct result){.code = LR_SUCCESS};
		return 0; /* to be added, or the change says it better */
	}
	if (rc == 0)
		rc = check_superior(op, t, p->changes, why);
	if (rc == 0 && op->controls.assertion != NULL && op->msg.op != MSG_ADD_REQUEST)
		rc = op_assert(op, t, eid, why);
	if (rc == 0 && op->controls.pre_read != NULL)
		rc = read_entry(p, t, eid, op->controls.pre_read, &p->before);
	return rc;
}

static int on_after(struct write_req *req, struct store_txn *t, struct result *why)
{
	struct pending *p = req->ctx;
	struct op *op = p->op;
	uint64_t eid = p->changes[p->nchanges - 1].eid_out;
	int rc = 0;

	if (op->controls.assertion != NULL && op->msg.op == MSG_ADD_REQUEST)
		rc = op_assert(op, t, eid, why); /* of the entry that would be */
	if (rc == 0 && op->controls.post_read != NULL)
		rc = read_entry(p, t, eid, op->controls.post_read, &p->after);
	return rc;
}

/* --- the answer --- */

unsigned op_write_controls(const struct write_req *req,
			   struct msg_control list[static OP_WRITE_MAX_CONTROLS])
{
	const struct pending *p = req->ctx;
	unsigned n = 0;

	if (p->before.p != NULL)
		list[n++] = (struct msg_control){
			.oid = SPAN_LIT(OP_OID_PRE_READ), .has_value = true, .value = p->before};
	if (p->after.p != NULL)
		list[n++] = (struct msg_control){
			.oid = SPAN_LIT(OP_OID_POST_READ), .has_value = true, .value = p->after};
	return n;
}

static void finish_done(struct pending *p)
{
	struct msg_control list[OP_WRITE_MAX_CONTROLS];
	unsigned n = op_write_controls(&p->req, list);

	p->op->result = (struct result){.code = LR_SUCCESS};
	if (p->req.is_trial)
		p->op->result = (struct result){.code = LR_NO_OPERATION,
						.text = "it could be done, and was not"};
	op_finish(p->op, (struct span){NULL, 0}, list, n);
}

static void on_done(struct write_req *req)
{
	struct pending *p = req->ctx;
	int rc = req->rc;

	if (p->done != NULL)
		p->done(p->op, rc, &req->result);
	else if (rc == 0)
		finish_done(p);
	else if (rc == RC_REFUSED)
		op_finish_refused(p->op, &req->result);
	else
		op_finish_error(p->op, rc, "write");
}

static void submit(struct pending *p)
{
	const struct op_controls *oc = &p->op->controls;
	bool is_add = p->op->msg.op == MSG_ADD_REQUEST;

	p->req = (struct write_req){
		.changes = p->changes,
		.nchanges = p->nchanges,
		.arena = &p->op->arena,
		.home = conn_loop(p->op->conn),
		.done = on_done,
		.ctx = p,
		.check = on_check,
		.after = oc->post_read != NULL || (is_add && oc->assertion != NULL) ? on_after
										    : NULL,
		.is_trial = oc->no_op,
		.is_alone = oc->no_op || (is_add && oc->assertion != NULL),
	};
	if (oc->in_txn)
		op_txn_take(p->op, &p->req);
	else
		writer_submit(p->op->server->writer, &p->req);
}

/* --- passwords in clear text --- */

static bool is_clear_password(const struct attr *at, unsigned i)
{
	return span_eq_nocase(entry_base_type(at->type), SPAN_LIT("userPassword")) &&
	       !password_is_hash(at->values[i]);
}

/* The attribute that brings new values with part `i` of the change; NULL if it brings none. */
static struct attr *bringing(struct change *c, unsigned i)
{
	if (c->kind == CHANGE_ADD)
		return &c->attrs.attrs[i];
	return c->mods[i].op == CHANGE_OP_DELETE ? NULL : &c->mods[i].attr;
}

static unsigned count_parts(const struct change *c)
{
	return c->kind == CHANGE_ADD ? c->attrs.n : c->kind == CHANGE_MODIFY ? c->nmods : 0;
}

static bool has_clear_password(struct change *c)
{
	unsigned i, v, n = count_parts(c);
	struct attr *at;

	for (i = 0; i < n; i++) {
		at = bringing(c, i);
		for (v = 0; at != NULL && v < at->nvalues; v++) {
			if (is_clear_password(at, v))
				return true;
		}
	}
	return false;
}

static int hash_one(struct arena *a, struct span *value)
{
	char text[PASSWORD_HASH_BYTES];
	int rc = password_hash(*value, text);

	if (rc != 0)
		return rc;
	*value = arena_span(a, span_of(text));
	return value->p != NULL ? 0 : RC_NOMEM;
}

static void on_hash(uv_work_t *w)
{
	struct pending *p = w->data;
	unsigned i, v, n = count_parts(p->changes);
	struct attr *at;

	for (i = 0; i < n; i++) {
		at = bringing(p->changes, i);
		for (v = 0; at != NULL && v < at->nvalues && p->rc == 0; v++) {
			if (is_clear_password(at, v))
				p->rc = hash_one(&p->op->arena, &at->values[v]);
		}
	}
}

static void on_hashed(uv_work_t *w, int status)
{
	struct pending *p = w->data;

	if (status != 0 || p->rc != 0)
		op_finish_error(p->op, p->rc != 0 ? p->rc : RC_BUSY, "password");
	else
		submit(p);
}

void op_submit_all(struct op *op, struct change *changes, unsigned n,
		   void (*done)(struct op *op, int rc, const struct result *why))
{
	struct pending *p = arena_zalloc(&op->arena, 1, sizeof(*p));

	if (p == NULL) {
		op_finish_error(op, RC_NOMEM, "write");
		return;
	}
	p->op = op;
	p->changes = changes;
	p->nchanges = n;
	p->done = done;
	p->work.data = p;
	if (op->controls.in_txn && !op_txn_join(op))
		return;
	if (!has_clear_password(changes))
		submit(p);
	else if (uv_queue_work(loop_uv(conn_loop(op->conn)), &p->work, on_hash, on_hashed) != 0)
		op_finish_error(op, RC_BUSY, "password");
}

void op_submit(struct op *op, struct change *c)
{
	op_submit_all(op, c, 1, NULL);
}
