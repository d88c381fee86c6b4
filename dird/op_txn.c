#include "dird/op_txn.h"

#include "dird/conn.h"
#include "dird/op_write.h"

#include <stdio.h>

#define ID_BYTES 24

struct part {
	struct op *op;
	struct write_req *req; /* NULL until it is ready (its passwords are being hashed) */
};

struct op_txn {
	char id[ID_BYTES];
	struct part *parts;
	unsigned n, size, nready;
	size_t bytes;
	bool is_proxied; /* its updates are those of: */
	struct identity identity;
	struct op *ending;     /* the request that ends it */
	struct write_req head; /* without changes of its own */
};

static struct span id_of(const struct op_txn *t)
{
	return span_of(t->id);
}

static void txn_free(struct op_txn *t)
{
	unsigned i;

	for (i = 0; i < t->n; i++) {
		if (t->parts[i].req != NULL)
			op_free(t->parts[i].op);
		else
			t->parts[i].op->txn = NULL; /* answered when it is ready */
	}
	identity_fini(&t->identity);
	mem_free(t->parts);
	mem_free(t);
}

void op_txn_forget(struct conn *c)
{
	struct op_txn *t = c->txn;

	c->txn = NULL;
	if (t != NULL)
		txn_free(t);
}

/* --- begin --- */

void op_txn_start(struct op *op)
{
	static uint64_t counter; /* of all loops */
	struct conn *c = op->conn;
	struct op_txn *t;
	struct buf extra;

	if (op->msg.u.extended.has_value) {
		op_finish_result(op, LR_PROTOCOL_ERROR, "this request has no value");
		return;
	}
	if (c->txn != NULL) {
		op_finish_result(op, LR_BUSY, "one transaction at a time on a connection");
		return;
	}
	t = mem_zalloc(1, sizeof(*t));
	if (t != NULL)
		identity_init(&t->identity);
	if (t == NULL ||
	    (op->controls.has_proxy && identity_copy(&t->identity, &op->identity) != RC_OK)) {
		mem_free(t);
		op_finish_error(op, RC_NOMEM, "transaction");
		return;
	}
	t->is_proxied = op->controls.has_proxy;
	snprintf(t->id, sizeof(t->id), "%llu",
		 (unsigned long long)__atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED));
	c->txn = t;
	buf_init(&extra, 64);
	tlv_put(&extra, TLV_CONTEXT(11), id_of(t));
	op->result = (struct result){.code = LR_SUCCESS};
	op_finish(op, buf_span(&extra), NULL, 0);
	buf_fini(&extra);
}

/* --- updates --- */

int op_control_txn(struct op *op, const struct msg_control *c)
{
	struct op_txn *t = op->conn->txn;

	if (!c->critical || !c->has_value)
		return RC_INVALID; /* RFC 5805 §2.2 */
	if (t == NULL || !span_eq(c->value, id_of(t)))
		return result_set(&op->result, &op->arena, LR_UNWILLING,
				  "this connection has no such transaction");
	op->txn = t;
	op->controls.in_txn = true;
	if (op->controls.tree_delete || op->controls.no_op)
		return result_set(&op->result, &op->arena, LR_UNWILLING,
				  "tree delete and no-op do not go with a transaction");
	if (msg_control(&op->msg, OP_OID_PROXY) != NULL)
		return result_set(&op->result, &op->arena, LR_PROTOCOL_ERROR,
				  "proxied authorization goes with the start of a transaction");
	if (!t->is_proxied)
		return RC_OK;
	identity_fini(&op->identity);
	return identity_copy(&op->identity, &t->identity);
}

static int add_part(struct op_txn *t, struct op *op)
{
	unsigned size = t->size != 0 ? 2 * t->size : 8;
	struct part *more;

	if (t->n == OP_TXN_MAX_UPDATES || op->msg.bytes > OP_TXN_MAX_BYTES - t->bytes)
		return RC_TOOBIG;
	if (t->n == t->size) {
		more = mem_realloc(t->parts, size * sizeof(*more));
		if (more == NULL)
			return RC_NOMEM;
		t->parts = more;
		t->size = size;
	}
	t->parts[t->n++] = (struct part){.op = op};
	t->bytes += op->msg.bytes;
	return RC_OK;
}

bool op_txn_join(struct op *op)
{
	int rc = add_part(op->txn, op);

	if (rc == RC_TOOBIG)
		op_finish_result(op, LR_ADMIN_LIMIT,
				 "a transaction has at most 1,000 updates and 16 MiB");
	else if (rc != RC_OK)
		op_finish_error(op, rc, "transaction");
	return rc == RC_OK;
}

static void settle(struct op_txn *t);
static void answer_end(struct op_txn *t);

void op_txn_take(struct op *op, struct write_req *req)
{
	struct op_txn *t = op->txn;
	unsigned i;

	if (t == NULL) {
		op->controls.in_txn = false;
		op_finish_result(op, LR_UNWILLING, "the transaction was aborted");
		return;
	}
	for (i = 0; t->parts[i].op != op; i++)
		;
	t->parts[i].req = req;
	t->nready++;
	op_answer_and_keep(op);
	if (t->ending != NULL && t->nready == t->n)
		settle(t);
}

void op_txn_abort(struct op *op)
{
	struct conn *c = op->conn;
	struct op_txn *t = op->txn;
	struct buf value, *out;

	op->txn = NULL;
	op->controls.in_txn = false;
	if (t == NULL)
		return;
	if (t->ending != NULL) {
		t->head.rc = RC_REFUSED;
		t->head.result = op->result;
		answer_end(t);
		txn_free(t);
		return;
	}
	buf_init(&value, 128);
	tlv_put(&value, TLV_CONTEXT(10), SPAN_LIT(OP_OID_TXN_ABORTED));
	tlv_put(&value, TLV_CONTEXT(11), id_of(t));
	op_txn_forget(c);
	if (c->stream != NULL && !c->is_closing) {
		out = conn_scratch(c);
		msg_write_result(out, 0, MSG_EXTENDED_RESPONSE, &op->result, buf_span(&value), NULL,
				 0);
		if (buf_rc(out) != 0 || stream_write(c->stream, buf_span(out)) != 0)
			conn_close(c);
	}
	buf_fini(&value);
}

/* --- end --- */

static int read_end(struct span value, bool *commit, struct span *id)
{
	struct span body;

	*commit = true;
	if (tlv_expect(&value, TLV_SEQUENCE, &body) != 0 || value.n != 0)
		return RC_INVALID;
	if (tlv_peek(body, TLV_BOOLEAN) && tlv_read_bool(&body, TLV_BOOLEAN, commit) != 0)
		return RC_INVALID;
	return tlv_expect(&body, TLV_OCTETS, id) == 0 && body.n == 0 ? RC_OK : RC_INVALID;
}

/* updatesControls: what the read controls have found, by message id. */
static void put_controls(const struct op_txn *t, struct buf *out)
{
	struct msg_control list[OP_WRITE_MAX_CONTROLS];
	size_t all = 0, one, controls;
	unsigned i, k, n;

	for (i = 0; i < t->n; i++) {
		n = op_write_controls(t->parts[i].req, list);
		if (n == 0)
			continue;
		if (all == 0)
			all = tlv_open(out, TLV_SEQUENCE);
		one = tlv_open(out, TLV_SEQUENCE);
		tlv_put_int(out, TLV_INTEGER, t->parts[i].op->msg.id);
		controls = tlv_open(out, TLV_SEQUENCE);
		for (k = 0; k < n; k++)
			msg_write_control(out, &list[k]);
		tlv_close(out, controls);
		tlv_close(out, one);
	}
	if (all != 0)
		tlv_close(out, all);
}

static int32_t message_of(const struct op_txn *t, const struct write_req *req)
{
	unsigned i;

	for (i = 0; i < t->n; i++) {
		if (t->parts[i].req == req)
			return t->parts[i].op->msg.id;
	}
	return 0;
}

static void answer_end(struct op_txn *t)
{
	const struct write_req *head = &t->head;
	struct op *op = t->ending;
	struct buf value, extra;
	size_t mark;

	buf_init(&value, SIZE_MAX);
	buf_init(&extra, SIZE_MAX);
	mark = tlv_open(&value, TLV_SEQUENCE);
	if (head->rc == RC_REFUSED)
		tlv_put_int(&value, TLV_INTEGER, message_of(t, head->refused));
	else
		put_controls(t, &value);
	tlv_close(&value, mark);
	if (value.n > 2)
		tlv_put(&extra, TLV_CONTEXT(11), buf_span(&value));
	if (buf_rc(&value) != RC_OK || buf_rc(&extra) != RC_OK) {
		op_finish_error(op, RC_NOMEM, "transaction");
	} else {
		op->result = (struct result){.code = LR_SUCCESS};
		if (head->rc == RC_REFUSED)
			op->result = head->result;
		op_finish(op, buf_span(&extra), NULL, 0);
	}
	buf_fini(&extra);
	buf_fini(&value);
}

static void on_settled(struct write_req *req)
{
	struct op_txn *t = req->ctx;

	if (req->rc == RC_OK || req->rc == RC_REFUSED)
		answer_end(t);
	else
		op_finish_error(t->ending, req->rc, "transaction");
	txn_free(t);
}

static void settle(struct op_txn *t)
{
	struct write_req **last = &t->head.part;
	unsigned i;

	for (i = 0; i < t->n; i++) {
		*last = t->parts[i].req;
		last = &t->parts[i].req->part;
	}
	t->head.arena = &t->ending->arena;
	t->head.home = conn_loop(t->ending->conn);
	t->head.done = on_settled;
	t->head.ctx = t;
	t->head.is_alone = true;
	writer_submit(t->ending->server->writer, &t->head);
}

void op_txn_end(struct op *op)
{
	struct op_txn *t = op->conn->txn;
	struct span id;
	bool commit;

	if (!op->msg.u.extended.has_value ||
	    read_end(op->msg.u.extended.value, &commit, &id) != RC_OK) {
		op_finish_result(op, LR_PROTOCOL_ERROR, "malformed end of a transaction");
	} else if (op->controls.has_proxy) {
		op_finish_result(op, LR_PROTOCOL_ERROR,
				 "proxied authorization goes with the start of a transaction");
	} else if (t == NULL || !span_eq(id, id_of(t))) {
		op_finish_result(op, LR_UNWILLING, "this connection has no such transaction");
	} else if (!commit || t->n == 0) {
		op_txn_forget(op->conn);
		op_finish_result(op, LR_SUCCESS, NULL);
	} else {
		op->conn->txn = NULL; /* it is this operation's */
		t->ending = op;
		if (t->nready == t->n)
			settle(t);
	}
}
