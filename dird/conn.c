#include "dird/conn.h"

#include "dird/conn_int.h"
#include "dird/op_impl.h"
#include "dird/op_txn.h"
#include "lib/log.h"

#include <unistd.h>

#define CONN_OID_NOTICE "1.3.6.1.4.1.1466.20036"

static uint64_t next_id; /* of all loops */

static struct log_ctx log_of(const struct conn *c)
{
	return (struct log_ctx){.conn = c->id};
}

/* --- end of a connection --- */

static void conn_free(struct conn *c)
{
	struct conn_set *set = c->set;

	op_paged_free_all(c);
	op_txn_forget(c);
	peers_leave(c->server->peers, &c->from);
	identity_fini(&c->identity);
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		set->conns = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	mem_free(c);
	conn_set_check_stopped(set);
}

void conn_cancel_ops(struct conn *c, bool silently)
{
	struct op *op, *next;

	for (op = c->ops; op != NULL; op = next) {
		next = op->next;
		if (silently)
			op->is_abandoned = true;
		if (op->cancel != NULL)
			op->cancel(op);
	}
}

static void on_close(void *ctx, int rc, const char *text)
{
	struct conn *c = ctx;
	struct log_ctx lc = log_of(c);

	c->stream = NULL;
	c->is_closing = true;
	if (rc == RC_CLOSED)
		log_debug(&lc, "conn.closed", "why=\"%s\"", text);
	else
		log_info(&lc, "conn.closed", "error=\"%s\" why=\"%s\"", rc_text(rc), text);
	op_txn_forget(c);
	c->nops++; /* keeps c alive while its operations go */
	conn_cancel_ops(c, true);
	if (--c->nops == 0)
		conn_free(c);
}

void conn_close(struct conn *c)
{
	c->is_closing = true;
	if (c->stream != NULL)
		stream_close(c->stream);
}

void conn_write_notice(struct buf *out, enum ldap_result code, const char *text)
{
	struct result r = {.code = code, .text = text};
	struct buf name;

	buf_init(&name, 64);
	tlv_put(&name, TLV_CONTEXT(10), SPAN_LIT(CONN_OID_NOTICE));
	msg_write_result(out, 0, MSG_EXTENDED_RESPONSE, &r, buf_span(&name), NULL, 0);
	if (buf_rc(&name) != 0)
		out->rc = buf_rc(&name);
	buf_fini(&name);
}

static void send_notice(struct conn *c, enum ldap_result code, const char *text)
{
	struct buf *out = conn_scratch(c);

	if (c->stream == NULL || c->has_notice)
		return;
	c->has_notice = true;
	conn_write_notice(out, code, text);
	if (buf_rc(out) == 0 && stream_write(c->stream, buf_span(out)) != 0)
		c->has_notice = false; /* gone already */
}

void conn_disconnect(struct conn *c, enum ldap_result code, const char *text)
{
	struct log_ctx lc = log_of(c);

	if (!c->is_closing)
		log_info(&lc, "conn.disconnect", "result=%s why=\"%s\"", result_name(code), text);
	send_notice(c, code, text);
	conn_close(c);
}

/* --- requests --- */

static bool may_take(const struct conn *c)
{
	return c->stream != NULL && !c->is_closing && !c->is_exclusive && !c->waits_quiet &&
	       c->nops < CONN_MAX_OPS && !stream_is_full(c->stream);
}

static void update_reading(struct conn *c)
{
	bool pause = !may_take(c);

	if (c->stream == NULL || pause == c->is_paused)
		return;
	c->is_paused = pause;
	if (pause)
		stream_pause(c->stream);
	else
		stream_resume(c->stream);
}

static void refuse_message(struct conn *c, const struct msg *m, int rc, bool fatal, const char *why)
{
	enum ldap_result code = LR_PROTOCOL_ERROR;

	if (rc == RC_TOOBIG)
		code = LR_ADMIN_LIMIT;
	else if (rc == RC_NOMEM)
		code = LR_BUSY;
	if (fatal || m->op == MSG_UNBIND || m->op == MSG_ABANDON)
		conn_disconnect(c, code, why);
	else
		op_refuse(c, m, code, why);
	if (!fatal && m->op == MSG_BIND_REQUEST)
		conn_set_nobody(c);
}

static void take_message(struct conn *c, struct span frame)
{
	struct arena arena;
	struct span copy;
	struct msg msg;
	const char *why = "out of memory";
	bool fatal = false;
	int rc;

	arena_init(&arena);
	copy = arena_span(&arena, frame);
	if (copy.p == NULL) {
		conn_disconnect(c, LR_BUSY, why);
		return;
	}
	rc = msg_read(copy, &arena, &msg, &fatal, &why);
	if (rc == 0)
		op_start(c, &arena, &msg);
	else
		refuse_message(c, &msg, rc, fatal, why);
	arena_fini(&arena);
}

static bool is_bind(struct span frame)
{
	struct span body, id;

	return tlv_expect(&frame, TLV_SEQUENCE, &body) == 0 &&
	       tlv_expect(&body, TLV_INTEGER, &id) == 0 &&
	       tlv_peek(body, TLV_APP_CONS(MSG_BIND_REQUEST));
}

/* A bind begins when everything before it is done (RFC 4511 §4.2.1). */
static bool must_wait(struct conn *c, struct span frame)
{
	if (c->nops == 0 || !is_bind(frame))
		return false;
	op_stop_endless(c, true);
	c->waits_quiet = c->nops != 0;
	return c->waits_quiet;
}

/* One request from the front; 0 bytes when it is not whole or the connection ends. */
static size_t take_frame(struct conn *c, struct span bytes)
{
	size_t limit = c->identity.kind == IDENTITY_ANONYMOUS ? CONN_PDU_ANONYMOUS_BYTES
							      : c->server->config.max_request_bytes;
	size_t total;
	int rc = tlv_frame(bytes, TLV_SEQUENCE, &total);

	if (rc == RC_INVALID) {
		conn_disconnect(c, LR_PROTOCOL_ERROR, "not an LDAP message");
		return 0;
	}
	if (rc == 0 && total > limit) {
		conn_disconnect(c, LR_PROTOCOL_ERROR, "message larger than its limit");
		return 0;
	}
	if (rc != 0 || total > bytes.n || must_wait(c, span_head(bytes, total)))
		return 0;
	c->unread_bytes = bytes.n - total;
	take_message(c, span_head(bytes, total));
	return total;
}

static size_t on_read(void *ctx, struct span bytes)
{
	struct conn *c = ctx;
	size_t taken = 0, n;

	c->active_ms = conn_set_now_ms(c->set);
	while (taken < bytes.n && may_take(c)) {
		n = take_frame(c, span_from(bytes, taken));
		if (n == 0)
			break;
		taken += n;
	}
	if (c->is_closing)
		return bytes.n;
	if (taken == bytes.n || !may_take(c))
		c->partial_ms = 0;
	else if (taken != 0 || c->partial_ms == 0)
		c->partial_ms = conn_set_now_ms(c->set);
	update_reading(c);
	return taken;
}

static void on_drain(void *ctx)
{
	struct conn *c = ctx;
	struct op *op, *next;

	c->active_ms = conn_set_now_ms(c->set);
	for (op = c->ops; op != NULL && c->stream != NULL; op = next) {
		next = op->next;
		if (!op->waits_drain)
			continue;
		if (stream_is_full(c->stream))
			break;
		op->waits_drain = false;
		conn_make_ready(c, op);
	}
	update_reading(c);
}

static const struct stream_callbacks callbacks = {
	.on_read = on_read,
	.on_drain = on_drain,
	.on_close = on_close,
};

/* --- operations --- */

void conn_link(struct conn *c, struct op *op)
{
	op->prev = NULL;
	op->next = c->ops;
	if (c->ops != NULL)
		c->ops->prev = op;
	c->ops = op;
	c->nops++;
}

void conn_unlink(struct conn *c, struct op *op)
{
	if (op->is_ready)
		conn_set_forget(c->set, op);
	if (op->prev != NULL)
		op->prev->next = op->next;
	else
		c->ops = op->next;
	if (op->next != NULL)
		op->next->prev = op->prev;
	c->active_ms = conn_set_now_ms(c->set);
	if (--c->nops != 0) {
		update_reading(c);
		return;
	}
	c->waits_quiet = false;
	if (c->stream == NULL)
		conn_free(c);
	else if (c->set->is_stopping)
		conn_disconnect(c, LR_UNAVAILABLE, "the server stops");
	else
		update_reading(c);
}

void conn_set_identity(struct conn *c, struct identity *id)
{
	identity_fini(&c->identity);
	c->identity = *id;
	identity_init(id);
	op_paged_free_all(c); /* a cookie belongs to the identity it was given to */
	op_txn_forget(c);
}

void conn_set_nobody(struct conn *c)
{
	struct identity nobody;

	identity_init(&nobody);
	conn_set_identity(c, &nobody);
}

void conn_end_exclusive(struct conn *c)
{
	c->is_exclusive = false;
	update_reading(c);
}

/* --- begin of a connection --- */

void conn_set_accept(struct conn_set *set, int fd, const struct peer *from, bool is_local,
		     bool is_tls)
{
	struct conn *c = mem_zalloc(1, sizeof(*c));
	struct tls_context *tls = is_tls ? server_tls(set->server) : NULL;
	struct log_ctx lc;
	int rc = RC_NOMEM;

	if (set->is_stopping ||
	    (is_tls && tls == NULL)) { /* a reload may take the certificate away */
		close(fd);
		mem_free(c);
		tls_context_free(&tls);
		peers_leave(set->server->peers, from);
		return;
	}
	if (c == NULL) {
		close(fd);
	} else {
		c->set = set;
		c->server = set->server;
		c->id = __atomic_add_fetch(&next_id, 1, __ATOMIC_RELAXED);
		c->active_ms = conn_set_now_ms(set);
		c->from = *from;
		identity_init(&c->identity);
		rc = stream_accept(set->loop, fd, is_local, tls, &callbacks, c, &c->stream);
	}
	tls_context_free(&tls);
	if (rc != 0) {
		log_warn(NULL, "conn.refused", "error=\"%s\"", rc_text(rc));
		mem_free(c);
		peers_leave(set->server->peers, from);
		return;
	}
	c->next = set->conns;
	if (c->next != NULL)
		c->next->prev = c;
	set->conns = c;
	lc = log_of(c);
	log_debug(&lc, "conn.open", "%s tls=%s", stream_peer_text(c->stream),
		  is_tls ? "yes" : "no");
}
