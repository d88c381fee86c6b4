#include "dird/repl_int.h"

#include "dird/repl_write.h"
#include "lib/log.h"

#include <stdio.h>

#define ID_BIND 1
#define ID_SEARCH 2
#define ID_FIRST_PROBE 3
#define OID_WHO_AM_I "1.3.6.1.4.1.4203.1.11.3"
#define NOTICE_ID 0

struct repl_conn {
	struct repl *repl;
	struct repl_peer *peer; /* NULL: given up, the rest is being written and closed */
	struct stream *stream;  /* NULL once it has ended */
	struct repl_session session;
	bool is_bound, told_refreshed;
	int32_t probe_id;
	uint64_t begin_ms, entries;

	struct repl_batch batch; /* of one message */
	struct repl_held held;
	struct repl_write write;
	bool is_paused;
	char site[REPL_NAME_BYTES];
	char unproven[REPL_ERROR_BYTES]; /* why a context was refused; "": none was */
};

static struct log_ctx log_of(const struct repl_conn *c)
{
	return (struct log_ctx){.site = c->peer != NULL ? c->peer->partner.name : NULL};
}

/* --- the end --- */

static void free_when_done(struct repl_conn *c)
{
	struct repl *r = c->repl;

	if (c->stream != NULL || c->write.is_writing || c->peer != NULL)
		return;
	repl_session_fini(&c->session);
	repl_batch_fini(&c->batch);
	repl_write_fini(&c->write);
	repl_held_fini(&c->held);
	mem_free(c);
	repl_conn_gone(r);
}

static void flush(struct repl_conn *c);

/* What needs no head may go as it is. */
static void flush_all(struct repl_conn *c)
{
	if (repl_held_release(&c->held, false) == RC_OK)
		flush(c);
}

/* The peer forgets the connection; whole messages that are here already still count. */
static void detach(struct repl_conn *c)
{
	c->peer->conn = NULL;
	c->peer = NULL;
	if (c->stream != NULL)
		stream_close(c->stream);
}

void repl_conn_drop(struct repl_peer *p)
{
	struct repl_conn *c = p->conn;

	detach(c);
	flush_all(c);
	free_when_done(c);
}

/* Something does not fit: what this session still holds is not to be trusted. */
static void fail(struct repl_conn *c, const char *why)
{
	struct repl_peer *p = c->peer;

	repl_batch_fini(&c->batch);
	repl_held_fini(&c->held);
	if (p == NULL)
		return;
	detach(c);
	repl_peer_lost(p, why);
}

static void fail_result(struct repl_conn *c, const char *what, const struct msg_result *r)
{
	char text[LOG_TEXT_BYTES], why[REPL_ERROR_BYTES];

	snprintf(why, sizeof(why), "%s: %s (%d) %s", what, result_name((enum ldap_result)r->code),
		 (int)r->code, log_text(r->text, text));
	fail(c, why);
}

/* --- to the writer --- */

static void check_refreshed(struct repl_conn *c)
{
	struct log_ctx lc = log_of(c);

	if (c->peer == NULL || !c->session.is_refreshed || c->told_refreshed ||
	    c->write.is_writing || c->held.ready != NULL)
		return;
	c->told_refreshed = true;
	repl_link_refreshed(&c->peer->link);
	repl_note(c->peer, 0, 0, NULL);
	repl_arm(c->repl);          /* outside its hours the session is over now */
	repl_recover_told(c->peer); /* also by silence: it knows nothing of ours */
	repl_recover_answered(c->peer);
	log_info(&lc, "repl.refreshed", "entries=%llu ms=%llu", (unsigned long long)c->entries,
		 (unsigned long long)(repl_now_ms(c->repl) - c->begin_ms));
}

static void note_refused(struct repl_conn *c)
{
	struct log_ctx lc = log_of(c);

	if (c->session.refused != 0)
		log_warn(
			&lc, "repl.foreign",
			"refused=%u reason=\"changes of a site that this one has a link of its own "
			"to\"",
			c->session.refused);
	c->session.refused = 0;
}

/* Reading goes on when there is room again. */
static void resume_reading(struct repl_conn *c)
{
	if (!c->is_paused || c->stream == NULL || c->peer == NULL || repl_held_is_full(&c->held))
		return;
	c->is_paused = false;
	repl_link_heard(&c->peer->link, repl_now_ms(c->repl));
	stream_resume(c->stream);
}

static void on_failed(void *ctx, const char *why)
{
	fail(ctx, why);
}

/* The other sessions, too, have to prove from now on what they say of it. */
static void tell_proven(struct repl_conn *c, const struct uuid *nc)
{
	struct repl_peer *p;

	for (p = c->repl->peers; p != NULL; p = p->next) {
		if (p->conn != NULL && repl_held_note_proven(&p->conn->held, nc) != RC_OK)
			fail(p->conn, rc_text(RC_NOMEM));
	}
}

/* A context was compared with its head; what is not proven is asked for again, after a while. */
static void on_compared(void *ctx, const struct uuid *nc, bool is_proven, const char *why)
{
	struct repl_conn *c = ctx;

	if (is_proven)
		tell_proven(c, nc);
	if (c->peer == NULL)
		return;
	repl_note_proof(c->peer, nc, is_proven, why);
	if (why != NULL)
		snprintf(c->unproven, sizeof(c->unproven), "a context was refused: %s", why);
}

static void on_written(void *ctx)
{
	struct repl_conn *c = ctx;

	flush(c);
	if (c->unproven[0] != 0 && !c->write.is_writing && c->peer != NULL) {
		repl_link_distrust(&c->peer->link);
		fail(c, c->unproven);
	}
	check_refreshed(c);
	resume_reading(c);
	free_when_done(c);
}

static void flush(struct repl_conn *c)
{
	if (repl_write_flush(&c->write) != RC_OK)
		fail(c, rc_text(RC_NOMEM));
}

/* --- requests --- */

static int send_request(struct repl_conn *c, struct buf *b)
{
	int rc = buf_rc(b);

	if (rc == RC_OK)
		rc = stream_write(c->stream, buf_span(b));
	buf_fini(b);
	return rc;
}

static void send_bind(struct repl_conn *c)
{
	struct buf b;

	buf_init(&b, SIZE_MAX);
	msg_write_sasl_external(&b, ID_BIND);
	if (send_request(c, &b) != RC_OK)
		fail(c, "the bind could not be sent");
}

void repl_conn_probe(struct repl_conn *c)
{
	struct buf b;

	buf_init(&b, SIZE_MAX);
	msg_write_extended(&b, c->probe_id++, OID_WHO_AM_I, (struct span){NULL, 0});
	if (c->stream == NULL || send_request(c, &b) != RC_OK)
		fail(c, "the probe could not be sent");
}

static int begin_session(struct repl_conn *c)
{
	struct buf b;
	int rc;

	buf_init(&b, SIZE_MAX);
	rc = repl_begin(c->peer, ID_SEARCH, &c->session, &c->held, &b);
	if (rc == RC_OK)
		return send_request(c, &b);
	buf_fini(&b);
	return rc;
}

/* --- messages --- */

static void on_bound(struct repl_conn *c, const struct msg *m)
{
	struct log_ctx lc = log_of(c);

	if (c->is_bound || m->op != MSG_BIND_RESPONSE) {
		fail(c, "an answer to the bind was expected");
	} else if (m->u.result.code != LR_SUCCESS) {
		fail_result(c, "bind refused", &m->u.result);
	} else if (begin_session(c) != RC_OK) {
		fail(c, "the session could not be begun");
	} else {
		c->is_bound = true;
		repl_link_bound(&c->peer->link);
		log_info(&lc, "repl.connected", "uri=%s", c->peer->partner.uri);
	}
}

static const char *held_error(int rc)
{
	if (rc == RC_INVALID)
		return "a change beyond the head that was sent with it";
	return rc == RC_TOOBIG ? "too many relayed changes without a signed head" : rc_text(rc);
}

static void on_head(struct repl_conn *c, struct span bytes)
{
	struct head head;
	int rc = head_read(bytes, &head);

	if (rc != RC_OK) {
		fail(c, "a malformed head");
		return;
	}
	rc = repl_hear(c->peer, &c->session, bytes, &head);
	if (rc == RC_DENIED) {
		fail(c, "a head with a wrong signature");
		return;
	}
	if (rc == RC_OK && !repl_session_is_own(&c->session, &head.position.nc))
		rc = repl_held_head(&c->held, bytes, &head);
	if (rc != RC_OK)
		fail(c, held_error(rc));
}

static void on_session_message(struct repl_conn *c, const struct msg *m)
{
	const char *why = NULL;
	int rc;

	if (!c->is_bound) {
		fail(c, "a search message before the bind was answered");
		return;
	}
	if (m->op == MSG_INTERMEDIATE && span_eq(m->u.intermediate.oid, SPAN_LIT(HEAD_OID))) {
		on_head(c, m->u.intermediate.value);
		return;
	}
	rc = repl_session_feed(&c->session, m, &c->batch, &why);
	if (rc != RC_OK) {
		fail(c, why != NULL ? why : rc_text(rc));
		return;
	}
	if (c->session.is_ended) {
		repl_twin_refused(c->peer, &c->session.result);
		fail_result(c, "session ended by the partner", &c->session.result);
		return;
	}
	c->entries += m->op == MSG_SEARCH_ENTRY;
	rc = repl_held_take(&c->held, &c->batch, c->session.own, c->session.nown);
	if (rc != RC_OK)
		fail(c, held_error(rc));
}

static void on_message(struct repl_conn *c, struct span frame)
{
	const char *why = NULL;
	struct msg m;
	int rc = repl_batch_read(&c->batch, frame, &m, &why);

	if (rc != RC_OK)
		fail(c, why != NULL ? why : rc_text(rc));
	else if (m.id == ID_SEARCH)
		on_session_message(c, &m);
	else if (m.id == ID_BIND)
		on_bound(c, &m);
	else if (m.id == NOTICE_ID && m.op == MSG_EXTENDED_RESPONSE)
		fail_result(c, "notice of disconnection", &m.u.result);
	else if (m.id < ID_FIRST_PROBE || m.id >= c->probe_id || m.op != MSG_EXTENDED_RESPONSE)
		fail(c, "an answer to nothing that was asked");
}

/* Whole messages from the front of `bytes`; returns the bytes taken. */
static size_t take_messages(struct repl_conn *c, struct span bytes)
{
	size_t taken = 0, total;
	int rc;

	while (c->peer != NULL) {
		rc = tlv_frame(span_from(bytes, taken), TLV_SEQUENCE, &total);
		if (rc == RC_INVALID)
			fail(c, "the partner does not speak LDAP");
		if (rc != RC_OK || total > bytes.n - taken)
			break;
		on_message(c, span_make(bytes.p + taken, total));
		taken += total;
	}
	return c->peer != NULL ? taken : bytes.n;
}

/* --- stream --- */

static void on_ready(void *ctx)
{
	struct repl_conn *c = ctx;

	if (c->peer != NULL)
		send_bind(c);
}

static size_t on_read(void *ctx, struct span bytes)
{
	struct repl_conn *c = ctx;
	unsigned cookies = c->session.cookies, own_told = c->session.own_told;
	uint64_t entries = c->entries;
	size_t taken;

	if (c->peer == NULL)
		return bytes.n;
	repl_link_heard(&c->peer->link, repl_now_ms(c->repl));
	taken = take_messages(c, bytes);
	if (c->peer == NULL)
		return taken;
	repl_note(c->peer, taken, c->entries - entries,
		  c->session.cookies != cookies ? &c->session.partner : NULL);
	if (c->session.own_told != own_told)
		repl_recover_told(c->peer);
	repl_batch_fini(&c->batch);
	note_refused(c);
	if (repl_held_release(&c->held, true) == RC_OK)
		flush(c);
	if (c->peer == NULL)
		return taken;
	check_refreshed(c);
	if (repl_held_is_full(&c->held)) {
		c->is_paused = true;
		stream_pause(c->stream);
	}
	return taken;
}

static void on_close(void *ctx, int rc, const char *text)
{
	struct repl_conn *c = ctx;
	struct repl_peer *p = c->peer;

	c->stream = NULL;
	if (p != NULL) {
		detach(c);
		flush_all(c);
		repl_peer_lost(p, text != NULL && *text != 0 ? text : rc_text(rc));
	}
	free_when_done(c);
}

int repl_conn_open(struct repl_peer *p)
{
	static const struct stream_callbacks callbacks = {
		.on_ready = on_ready, .on_read = on_read, .on_close = on_close};
	struct repl_conn *c = mem_zalloc(1, sizeof(*c));
	struct tls_context *tls;
	int rc;

	if (c == NULL)
		return RC_NOMEM;
	tls = server_tls(p->repl->server);
	c->repl = p->repl;
	c->probe_id = ID_FIRST_PROBE;
	c->begin_ms = repl_now_ms(p->repl);
	repl_batch_init(&c->batch);
	repl_held_init(&c->held);
	snprintf(c->site, sizeof(c->site), "%s", p->partner.name);
	c->write = (struct repl_write){.held = &c->held,
				       .writer = p->repl->server->writer,
				       .home = p->repl->home,
				       .site = c->site,
				       .ctx = c,
				       .on_written = on_written,
				       .on_compared = on_compared,
				       .on_failed = on_failed};
	rc = stream_connect(p->repl->home, p->partner.host, p->partner.port, tls,
			    (const uint8_t(*)[TLS_PIN_BYTES])p->partner.pins, p->partner.npins,
			    &callbacks, c, &c->stream);
	tls_context_free(&tls);
	if (rc != RC_OK) {
		mem_free(c);
		return rc;
	}
	c->peer = p;
	p->conn = c;
	p->repl->nconns++;
	return RC_OK;
}

static void tell_unsigned(void *ctx, const struct uuid *nc)
{
	struct repl_conn *c = ctx;

	repl_note_proof(c->peer, nc, false,
			"what is passed on of it comes without a head that its site has signed");
}

void repl_conn_beat(struct repl_conn *c)
{
	repl_held_beat(&c->held, REPL_STALE_HEARTBEATS, tell_unsigned, c);
}

bool repl_conn_is_paused(const struct repl_conn *c)
{
	return c->is_paused;
}
