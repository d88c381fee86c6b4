#include "dird/op_write.h"

#include "dird/conn.h"
#include "dird/password.h"

struct pending {
	struct write_req req;
	uv_work_t work;
	struct op *op;
	struct change *change;
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

struct change *op_change_new(struct op *op, enum change_kind kind, struct span dn)
{
	struct change *c = arena_zalloc(&op->arena, 1, sizeof(*c));

	if (c == NULL) {
		op_finish_error(op, RC_NOMEM, "write");
		return NULL;
	}
	c->kind = kind;
	c->actor = span_of(op->identity.dn);
	return op_parse_dn(op, dn, &c->dn) == 0 ? c : NULL;
}

static void on_done(struct write_req *req)
{
	struct op *op = req->ctx;
	int rc = req->rc;

	if (rc == 0)
		op_finish_result(op, LR_SUCCESS, NULL);
	else if (rc == RC_REFUSED)
		op_finish_refused(op, &req->result);
	else
		op_finish_error(op, rc, "write");
}

static void submit(struct pending *p)
{
	p->req = (struct write_req){
		.changes = p->change,
		.nchanges = 1,
		.arena = &p->op->arena,
		.home = conn_loop(p->op->conn),
		.done = on_done,
		.ctx = p->op,
	};
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
	unsigned i, v, n = count_parts(p->change);
	struct attr *at;

	for (i = 0; i < n; i++) {
		at = bringing(p->change, i);
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

void op_submit(struct op *op, struct change *c)
{
	struct pending *p = arena_zalloc(&op->arena, 1, sizeof(*p));

	if (p == NULL) {
		op_finish_error(op, RC_NOMEM, "write");
		return;
	}
	p->op = op;
	p->change = c;
	p->work.data = p;
	if (!has_clear_password(c))
		submit(p);
	else if (uv_queue_work(loop_uv(conn_loop(op->conn)), &p->work, on_hash, on_hashed) != 0)
		op_finish_error(op, RC_BUSY, "password");
}
