#include "dird/conn.h"

#include "dird/op_impl.h"
#include "dird/op_txn.h"

#include "lib/log.h"

#include <unistd.h>

#define CONN_SCRATCH_MAX_BYTES (64u * 1024 * 1024)
#define CONN_SCRATCH_KEEP_BYTES (512 * 1024)
#define CONN_STOP_CANCEL_MS 400 /* after that, searches that still run are cancelled */
#define CONN_STOP_ABORT_MS 1700
#define CONN_SWEEP_MS 1000
#define CONN_OID_NOTICE "1.3.6.1.4.1.1466.20036"

struct conn_set {
	struct server *server;
	struct loop *loop;
	struct conn *conns;
	struct op *ready, **ready_end; /* yielded operations, in order */
	uv_idle_t turn;                /* runs them */
	uv_timer_t sweep;              /* idle connections; stop steps */
	struct buf scratch;
	bool is_stopping;
	uint64_t stop_ms;
	void (*on_stopped)(void *ctx);
	void *stopped_ctx;
	unsigned open_handles;
};

static uint64_t next_id; /* of all loops */

static uint64_t now_ms(const struct conn_set *set)
{
	return set->server->clock->mono_ms(set->server->clock);
}

static struct log_ctx log_of(const struct conn *c)
{
	return (struct log_ctx){.conn = c->id};
}

struct loop *conn_loop(const struct conn *c)
{
	return c->set->loop;
}

struct buf *conn_scratch(struct conn *c)
{
	struct buf *b = &c->set->scratch;

	if (b->size > CONN_SCRATCH_KEEP_BYTES)
		buf_fini(b);
	buf_clear(b);
	return b;
}

/* --- end of a connection --- */

static void check_stopped(struct conn_set *set);

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
	check_stopped(set);
}

static void cancel_ops(struct conn *c, bool silently)
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
	cancel_ops(c, true);
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

	c->active_ms = now_ms(c->set);
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
		c->partial_ms = now_ms(c->set);
	update_reading(c);
	return taken;
}

static void on_drain(void *ctx)
{
	struct conn *c = ctx;
	struct op *op, *next;

	c->active_ms = now_ms(c->set);
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

static void forget_ready(struct conn_set *set, struct op *op)
{
	struct op **at;

	for (at = &set->ready; *at != NULL; at = &(*at)->ready_next) {
		if (*at != op)
			continue;
		*at = op->ready_next;
		if (set->ready_end == &op->ready_next)
			set->ready_end = at;
		return;
	}
}

void conn_unlink(struct conn *c, struct op *op)
{
	if (op->is_ready)
		forget_ready(c->set, op);
	if (op->prev != NULL)
		op->prev->next = op->next;
	else
		c->ops = op->next;
	if (op->next != NULL)
		op->next->prev = op->prev;
	c->active_ms = now_ms(c->set);
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

/* Each operation that is ready now gets one slice; those that yield again wait for the next turn.
 */
static void on_turn(uv_idle_t *h)
{
	struct conn_set *set = h->data;
	unsigned n = 0;
	struct op *op;

	for (op = set->ready; op != NULL; op = op->ready_next)
		n++;
	for (; set->ready != NULL && n != 0; n--) {
		op = set->ready;
		set->ready = op->ready_next;
		if (set->ready == NULL)
			set->ready_end = &set->ready;
		op->is_ready = false;
		op->resume(op);
	}
	if (set->ready == NULL)
		uv_idle_stop(&set->turn);
}

void conn_make_ready(struct conn *c, struct op *op)
{
	struct conn_set *set = c->set;

	if (op->is_ready)
		return;
	op->is_ready = true;
	op->ready_next = NULL;
	*set->ready_end = op;
	set->ready_end = &op->ready_next;
	uv_idle_start(&set->turn, on_turn);
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

/* --- the set --- */

/* Does the client take nothing of what waits for it? */
static bool is_deaf(struct conn *c, uint64_t now)
{
	uint64_t sent = stream_sent_bytes(c->stream);

	if (stream_queued_bytes(c->stream) == 0 || sent != c->sent_bytes || c->sent_ms == 0) {
		c->sent_bytes = sent;
		c->sent_ms = now;
	}
	return now - c->sent_ms >= c->server->config.write_timeout_ms;
}

static void sweep(struct conn_set *set)
{
	const struct server_config *cfg = &set->server->config;
	uint64_t now = now_ms(set);
	struct conn *c, *next;

	for (c = set->conns; c != NULL; c = next) {
		next = c->next;
		if (c->stream == NULL)
			continue;
		if (is_deaf(c, now))
			stream_abort(c->stream, RC_TIMEOUT, "the client does not read its answers");
		else if (c->is_closing)
			continue;
		else if (c->partial_ms != 0 && now - c->partial_ms >= cfg->request_timeout_ms)
			conn_disconnect(c, LR_UNAVAILABLE, "a request took too long to arrive");
		else if (cfg->idle_timeout_ms != 0 && c->nops == 0 &&
			 now - c->active_ms >= cfg->idle_timeout_ms)
			conn_disconnect(c, LR_UNAVAILABLE, "idle for too long");
	}
}

static void step_stopping(struct conn_set *set)
{
	uint64_t since = now_ms(set) - set->stop_ms;
	struct conn *c, *next;

	for (c = set->conns; c != NULL; c = next) {
		next = c->next;
		if (since >= CONN_STOP_ABORT_MS && c->stream != NULL)
			stream_abort(c->stream, RC_TIMEOUT, "the server stops");
		else if (since >= CONN_STOP_CANCEL_MS && c->nops != 0)
			cancel_ops(c, false);
	}
}

static void on_sweep(uv_timer_t *h)
{
	struct conn_set *set = h->data;

	if (set->is_stopping)
		step_stopping(set);
	else
		sweep(set);
}

int conn_set_new(struct server *s, struct loop *l, struct conn_set **out)
{
	struct conn_set *set = mem_zalloc(1, sizeof(*set));

	*out = set;
	if (set == NULL)
		return RC_NOMEM;
	set->server = s;
	set->loop = l;
	set->ready_end = &set->ready;
	buf_init(&set->scratch, CONN_SCRATCH_MAX_BYTES);
	must(uv_idle_init(loop_uv(l), &set->turn) == 0);
	must(uv_timer_init(loop_uv(l), &set->sweep) == 0);
	set->turn.data = set->sweep.data = set;
	set->open_handles = 2;
	uv_timer_start(&set->sweep, on_sweep, CONN_SWEEP_MS, CONN_SWEEP_MS);
	return 0;
}

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
		c->active_ms = now_ms(set);
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

static void on_set_handle_closed(uv_handle_t *h)
{
	struct conn_set *set = h->data;

	if (--set->open_handles != 0)
		return;
	set->on_stopped(set->stopped_ctx);
	buf_fini(&set->scratch);
	mem_free(set);
}

static void check_stopped(struct conn_set *set)
{
	if (!set->is_stopping || set->conns != NULL)
		return;
	if (uv_is_closing((uv_handle_t *)&set->turn))
		return;
	uv_close((uv_handle_t *)&set->turn, on_set_handle_closed);
	uv_close((uv_handle_t *)&set->sweep, on_set_handle_closed);
}

void conn_set_stop(struct conn_set *set, void (*on_stopped)(void *ctx), void *ctx)
{
	struct conn *c, *next;

	set->is_stopping = true;
	set->stop_ms = now_ms(set);
	set->on_stopped = on_stopped;
	set->stopped_ctx = ctx;
	uv_timer_start(&set->sweep, on_sweep, 100, 100);
	for (c = set->conns; c != NULL; c = next) {
		next = c->next;
		if (c->nops == 0)
			conn_disconnect(c, LR_UNAVAILABLE, "the server stops");
		else
			op_stop_endless(c, false);
	}
	check_stopped(set);
}
