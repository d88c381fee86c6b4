#include "dird/conn.h"
#include "dird/enrol.h"
#include "dird/manage.h"
#include "dird/op_impl.h"
#include "dird/op_txn.h"

static void finish_with_name(struct op *op, const char *oid)
{
	struct buf extra;

	buf_init(&extra, 64);
	tlv_put(&extra, TLV_CONTEXT(10), span_of(oid));
	op->result = (struct result){.code = LR_SUCCESS};
	op_finish(op, buf_span(&extra), NULL, 0);
	buf_fini(&extra);
}

/* --- StartTLS (RFC 4511 §4.14) --- */

static void start_tls(struct op *op)
{
	struct conn *c = op->conn;
	struct tls_context *tls;
	int rc;

	if (stream_is_tls(c->stream)) {
		op_finish_result(op, LR_OPERATIONS_ERROR, "TLS is in use already");
		return;
	}
	if (c->nops > 1) {
		op_finish_result(op, LR_OPERATIONS_ERROR, "other operations are outstanding");
		return;
	}
	if (c->unread_bytes != 0) { /* clear text must not slip into the TLS session */
		conn_disconnect(c, LR_PROTOCOL_ERROR, "bytes behind the StartTLS request");
		op_drop(op);
		return;
	}
	tls = server_tls(op->server);
	if (tls == NULL) {
		op_finish_result(op, LR_UNAVAILABLE, "this server has no TLS certificate");
		return;
	}
	op_txn_forget(c);
	finish_with_name(op, OP_OID_START_TLS);
	rc = c->stream != NULL ? stream_start_tls(c->stream, tls) : 0;
	tls_context_free(&tls);
	if (rc != 0)
		conn_disconnect(c, LR_UNAVAILABLE, "TLS could not be started");
}

/* --- Who am I? (RFC 4532) --- */

static void who_am_i(struct op *op)
{
	struct buf extra, id;

	if (op->msg.u.extended.has_value) {
		op_finish_result(op, LR_PROTOCOL_ERROR, "this request has no value");
		return;
	}
	buf_init(&id, DN_MAX_BYTES * 2 + 16);
	buf_init(&extra, DN_MAX_BYTES * 2 + 32);
	if (op->identity.kind != IDENTITY_ANONYMOUS)
		buf_printf(&id, "dn:%s", op->identity.dn);
	tlv_put(&extra, TLV_CONTEXT(11), buf_span(&id));
	op->result = (struct result){.code = LR_SUCCESS};
	op_finish(op, buf_span(&extra), NULL, 0);
	buf_fini(&extra);
	buf_fini(&id);
}

/* --- Cancel (RFC 3909) --- */

static int read_cancel(struct span value, int32_t *id_out)
{
	struct span body;
	int64_t id;

	if (tlv_expect(&value, TLV_SEQUENCE, &body) != 0 || value.n != 0 ||
	    tlv_read_int(&body, TLV_INTEGER, &id) != 0 || body.n != 0 || id < 0 || id > INT32_MAX)
		return RC_INVALID;
	*id_out = (int32_t)id;
	return 0;
}

static void cancel(struct op *op)
{
	struct op *target;
	int32_t id;

	if (!op->msg.u.extended.has_value || read_cancel(op->msg.u.extended.value, &id) != 0) {
		op_finish_result(op, LR_PROTOCOL_ERROR, "malformed cancel request");
		return;
	}
	target = op_find(op->conn, id, op);
	if (target == NULL) {
		op_finish_result(op, LR_NO_SUCH_OPERATION, NULL);
	} else if (target->cancel == NULL) {
		op_finish_result(
			op, target->msg.op == MSG_SEARCH_REQUEST ? LR_TOO_LATE : LR_CANNOT_CANCEL,
			NULL);
	} else {
		target->cancel(target);
		op_finish_result(op, LR_SUCCESS, NULL);
	}
}

void op_extended(struct op *op)
{
	struct span oid = op->msg.u.extended.oid;

	if (op->conn->stream == NULL)
		op_drop(op);
	else if (span_eq(oid, SPAN_LIT(OP_OID_START_TLS)))
		start_tls(op);
	else if (span_eq(oid, SPAN_LIT(OP_OID_WHO_AM_I)))
		who_am_i(op);
	else if (span_eq(oid, SPAN_LIT(OP_OID_CANCEL)))
		cancel(op);
	else if (span_eq(oid, SPAN_LIT(OP_OID_TXN_START)))
		op_txn_start(op);
	else if (span_eq(oid, SPAN_LIT(OP_OID_TXN_END)))
		op_txn_end(op);
	else if (span_eq(oid, SPAN_LIT(OP_OID_PASSWD)))
		op_passwd(op);
	else if (span_eq(oid, SPAN_LIT(ENROL_OID)))
		op_enrol(op);
	else if (span_eq(oid, SPAN_LIT(MANAGE_OID)))
		op_manage(op);
	else
		op_finish_result(op, LR_PROTOCOL_ERROR, "unknown extended operation");
}
