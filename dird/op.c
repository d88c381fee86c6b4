#include "dird/op.h"

#include "dird/conn.h"
#include "dird/op_impl.h"
#include "dird/op_txn.h"
#include "lib/log.h"

#define OP_MAX_ANSWER_CONTROLS 4

/* What may be asked of each operation. Bind, unbind and abandon are looked at before. */
struct kind {
	void (*run)(struct op *op);
	enum msg_op response;
	const char *name;
};

static const struct kind *kind_of(enum msg_op op)
{
	static const struct kind bind = {op_bind, MSG_BIND_RESPONSE, "bind"};
	static const struct kind search = {op_search, MSG_SEARCH_DONE, "search"};
	static const struct kind modify = {op_modify, MSG_MODIFY_RESPONSE, "modify"};
	static const struct kind add = {op_add, MSG_ADD_RESPONSE, "add"};
	static const struct kind delete = {op_delete, MSG_DELETE_RESPONSE, "delete"};
	static const struct kind moddn = {op_moddn, MSG_MODDN_RESPONSE, "modrdn"};
	static const struct kind compare = {op_compare, MSG_COMPARE_RESPONSE, "compare"};
	static const struct kind extended = {op_extended, MSG_EXTENDED_RESPONSE, "extended"};

	switch (op) {
	case MSG_BIND_REQUEST:
		return &bind;
	case MSG_SEARCH_REQUEST:
		return &search;
	case MSG_MODIFY_REQUEST:
		return &modify;
	case MSG_ADD_REQUEST:
		return &add;
	case MSG_DELETE_REQUEST:
		return &delete;
	case MSG_MODDN_REQUEST:
		return &moddn;
	case MSG_COMPARE_REQUEST:
		return &compare;
	case MSG_EXTENDED_REQUEST:
		return &extended;
	case MSG_BIND_RESPONSE:
	case MSG_UNBIND:
	case MSG_SEARCH_ENTRY:
	case MSG_SEARCH_DONE:
	case MSG_MODIFY_RESPONSE:
	case MSG_ADD_RESPONSE:
	case MSG_DELETE_RESPONSE:
	case MSG_MODDN_RESPONSE:
	case MSG_COMPARE_RESPONSE:
	case MSG_ABANDON:
	case MSG_SEARCH_REFERENCE:
	case MSG_EXTENDED_RESPONSE:
	case MSG_INTERMEDIATE:
		return NULL;
	}
	return NULL;
}

static struct log_ctx log_of(const struct op *op)
{
	return (struct log_ctx){.conn = op->conn->id, .op = op->msg.id};
}

/* --- the end --- */

static void log_done(const struct op *op)
{
	struct log_ctx lc = log_of(op);
	char text[LOG_TEXT_BYTES], session[LOG_TEXT_BYTES];

	if (!log_enabled(LOG_DEBUG))
		return;
	log_debug(
		&lc, "op.done", "kind=%s result=%s entries=%u ms=%llu text=\"%s\"%s%s%s%s",
		kind_of(op->msg.op)->name, result_name(op->result.code), op->nsent,
		(unsigned long long)(op->server->clock->mono_ms(op->server->clock) - op->start_ms),
		log_text(span_of(op->result.text), text), op->is_abandoned ? " abandoned" : "",
		op->controls.session.n != 0 ? " session=\"" : "",
		log_text(op->controls.session, session), op->controls.session.n != 0 ? "\"" : "");
}

void op_free(struct op *op)
{
	identity_fini(&op->identity);
	arena_fini(&op->arena);
	mem_free(op);
}

void op_drop(struct op *op)
{
	conn_unlink(op->conn, op);
	op_free(op);
}

/* What a client that asks for the password policy is told: there is no lockout and no expiry here,
 * so at most why a new password was not taken. */
static void put_policy(const struct op *op, struct buf *value)
{
	size_t mark = tlv_open(value, TLV_SEQUENCE);

	if (op->policy_error != OP_POLICY_FINE)
		tlv_put_int(value, TLV_CONTEXT(1), op->policy_error);
	tlv_close(value, mark);
}

static bool has_policy(const struct op *op)
{
	return op->controls.password_policy &&
	       (op->msg.op == MSG_BIND_REQUEST || op->msg.op == MSG_ADD_REQUEST ||
		op->msg.op == MSG_MODIFY_REQUEST ||
		(op->msg.op == MSG_EXTENDED_REQUEST &&
		 span_eq(op->msg.u.extended.oid, SPAN_LIT(OP_OID_PASSWD))));
}

static void write_answer(struct op *op, struct span extra, const struct msg_control *controls,
			 unsigned ncontrols, struct buf *out)
{
	struct msg_control all[OP_MAX_ANSWER_CONTROLS + 1];
	struct buf policy;

	must(ncontrols <= OP_MAX_ANSWER_CONTROLS);
	buf_init(&policy, 32);
	if (ncontrols != 0)
		memcpy(all, controls, ncontrols * sizeof(*all));
	if (has_policy(op)) {
		put_policy(op, &policy);
		all[ncontrols++] = (struct msg_control){.oid = SPAN_LIT(OP_OID_PASSWORD_POLICY),
							.has_value = true,
							.value = buf_span(&policy)};
	}
	msg_write_result(out, op->msg.id, kind_of(op->msg.op)->response, &op->result, extra, all,
			 ncontrols);
	buf_fini(&policy);
}

static void answer(struct op *op, struct span extra, const struct msg_control *controls,
		   unsigned ncontrols)
{
	struct buf out;

	log_done(op);
	if (op->is_abandoned || op->conn->stream == NULL)
		return;
	buf_init(&out, CONN_PDU_BOUND_BYTES);
	write_answer(op, extra, controls, ncontrols, &out);
	if (buf_rc(&out) != 0)
		conn_disconnect(op->conn, LR_OTHER, "out of memory");
	else if (stream_write(op->conn->stream, buf_span(&out)) != 0)
		op->is_abandoned = true; /* on_close() follows */
	buf_fini(&out);
}

void op_finish(struct op *op, struct span extra, const struct msg_control *controls,
	       unsigned ncontrols)
{
	answer(op, extra, controls, ncontrols);
	if (op->controls.in_txn)
		op_txn_abort(op);
	op_drop(op);
}

void op_answer_and_keep(struct op *op)
{
	op->result = (struct result){.code = LR_SUCCESS};
	answer(op, (struct span){NULL, 0}, NULL, 0);
	conn_unlink(op->conn, op);
}

void op_finish_result(struct op *op, enum ldap_result code, const char *text)
{
	op->result = (struct result){.code = code, .text = text};
	op_finish(op, (struct span){NULL, 0}, NULL, 0);
}

void op_finish_refused(struct op *op, const struct result *why)
{
	if (why != &op->result)
		op->result = *why;
	op_finish(op, (struct span){NULL, 0}, NULL, 0);
}

void op_finish_error(struct op *op, int rc, const char *what)
{
	struct log_ctx lc = log_of(op);

	log_error(&lc, "op.failed", "what=\"%s\" error=\"%s\"", what, rc_text(rc));
	if (rc == RC_NOMEM || rc == RC_BUSY)
		op_finish_result(op, LR_BUSY, rc_text(rc));
	else if (rc == RC_FULL)
		op_finish_result(op, LR_UNAVAILABLE,
				 "the disk or database is full; nothing was written");
	else
		op_finish_result(op, LR_OTHER, "internal error; the server's log tells more");
}

/* --- sending --- */

int op_sendv(struct op *op, const struct span *pieces, unsigned n)
{
	if (op->is_abandoned || op->conn->stream == NULL)
		return RC_CLOSED;
	return stream_writev(op->conn->stream, pieces, n);
}

int op_send(struct op *op, struct span bytes)
{
	return op_sendv(op, &bytes, 1);
}

bool op_may_send(struct op *op)
{
	op->waits_drain = op->conn->stream != NULL && stream_is_full(op->conn->stream);
	return !op->waits_drain;
}

void op_yield(struct op *op)
{
	conn_make_ready(op->conn, op);
}

/* --- the start --- */

void op_refuse(struct conn *c, const struct msg *msg, enum ldap_result code, const char *why)
{
	struct result r = {.code = code, .text = why};
	struct buf *out = conn_scratch(c);

	msg_write_result(out, msg->id, kind_of(msg->op)->response, &r, (struct span){NULL, 0}, NULL,
			 0);
	if (buf_rc(out) != 0 || stream_write(c->stream, buf_span(out)) != 0)
		conn_close(c);
}

struct op *op_find(struct conn *c, int32_t id, const struct op *but)
{
	struct op *op;

	for (op = c->ops; op != NULL; op = op->next) {
		if (op->msg.id == id && op != but)
			return op;
	}
	return NULL;
}

static void abandon(struct conn *c, int32_t id)
{
	struct op *op = op_find(c, id, NULL);

	if (op == NULL || op->msg.op == MSG_BIND_REQUEST)
		return;
	op->is_abandoned = true;
	if (op->cancel != NULL)
		op->cancel(op);
}

void op_stop_endless(struct conn *c, bool silently)
{
	struct op *op, *next;

	c->nops++; /* keeps c alive, and quiet */
	for (op = c->ops; op != NULL; op = next) {
		next = op->next;
		if (!op->is_endless || op->cancel == NULL)
			continue;
		op->is_abandoned |= silently;
		op->cancel(op);
	}
	if (--c->nops == 0 && !silently)
		conn_disconnect(c, LR_UNAVAILABLE, "the server stops");
}

static struct op *op_new(struct conn *c, struct arena *arena, const struct msg *msg)
{
	struct op *op = mem_zalloc(1, sizeof(*op));

	if (op == NULL || identity_copy(&op->identity, &c->identity) != 0) {
		mem_free(op);
		return NULL;
	}
	op->conn = c;
	op->server = c->server;
	op->policy_error = OP_POLICY_FINE;
	op->msg = *msg;
	op->arena = *arena;
	op->start_ms = op->server->clock->mono_ms(op->server->clock);
	arena_init(arena);
	return op;
}

void op_start(struct conn *c, struct arena *arena, const struct msg *msg)
{
	const struct kind *kind = kind_of(msg->op);
	struct op *op;
	int rc;

	if (msg->op == MSG_UNBIND) {
		conn_close(c);
		return;
	}
	if (msg->op == MSG_ABANDON) {
		abandon(c, msg->u.abandon_id);
		return;
	}
	if (kind == NULL) {
		conn_disconnect(c, LR_PROTOCOL_ERROR, "a response is no request");
		return;
	}
	rc = 0;
	if (msg->op == MSG_BIND_REQUEST)
		conn_set_nobody(c);
	else
		rc = op_session_check(c);
	if (rc != 0) {
		op_refuse(c, msg, LR_BUSY, rc_text(rc));
		return;
	}
	op = op_new(c, arena, msg);
	if (op == NULL) {
		op_refuse(c, msg, LR_BUSY, "out of memory");
		return;
	}
	conn_link(c, op);
	rc = op_controls_read(op);
	if (rc == RC_REFUSED)
		op_finish_refused(op, &op->result);
	else if (rc != 0)
		op_finish_error(op, rc, "controls");
	else
		kind->run(op);
}

/* --- names --- */

int op_parse_dn(struct op *op, struct span text, struct dn *out)
{
	const char *why = NULL;
	int rc = dn_parse(&op->arena, text, out, &why);

	if (rc == 0)
		return 0;
	if (rc == RC_NOMEM)
		op_finish_error(op, rc, "dn");
	else
		op_finish_result(op, LR_INVALID_DN, why != NULL ? why : rc_text(rc));
	return RC_REFUSED;
}

int op_normal_dn(struct arena *a, const struct dn *dn, struct span *out)
{
	struct buf b;
	int rc;

	buf_init(&b, DN_MAX_BYTES * 4); /* case folding may lengthen */
	rc = dn_normalize(dn, &b);
	if (rc == 0) {
		*out = arena_span(a, buf_span(&b));
		rc = out->p != NULL ? 0 : RC_NOMEM;
	}
	buf_fini(&b);
	return rc;
}
