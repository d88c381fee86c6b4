#include "routed/serve_private.h"

#include "lib/log.h"
#include "routed/lookup.h"
#include "routed/oneshot.h"
#include "routed/relayhost.h"

int serve_read(enum serve_protocol protocol, struct span in, struct span *request, size_t *used)
{
	switch (protocol) {
	case SERVE_SOCKETMAP:
		return netstring_read(in, NETSTRING_REQUEST_MAX_BYTES, request, used);
	case SERVE_POLICY:
		return policy_read(in, request, used);
	case SERVE_EXIM:
		return oneshot_read(in, request, used);
	}
	return RC_INVALID;
}

static bool begins(struct span reply, const char *const *words)
{
	for (; *words != NULL; words++) {
		if (span_starts(reply, span_of(*words)))
			return true;
	}
	return false;
}

static void count(struct serve *s, struct span reply)
{
	static const char *const ok[] = {"OK ",        "FILTER ",  "route ",
					 "transport ", "rewrite ", NULL};
	static const char *const notfound[] = {"NOTFOUND", "DUNNO", "local", "none", NULL};
	static const char *const temp[] = {"TEMP", "DEFER", "defer", NULL};

	s->stats.requests++;
	if (begins(reply, ok))
		s->stats.ok++;
	else if (begins(reply, notfound))
		s->stats.notfound++;
	else if (begins(reply, temp))
		s->stats.temp++;
	else
		s->stats.perm++;
}

/* s->reply in the protocol's frame */
static void put_reply(struct conn *c)
{
	struct serve *s = c->serve;
	struct span reply = buf_span(&s->reply);

	count(s, reply);
	latency_add(&s->stats.latency, uv_hrtime() - c->asked_ns);
	switch (c->protocol) {
	case SERVE_SOCKETMAP:
		if (reply.n > NETSTRING_REPLY_MAX_BYTES)
			reply = SPAN_LIT("PERM the answer is too long");
		netstring_write(&c->out, reply);
		break;
	case SERVE_POLICY:
		buf_puts(&c->out, "action=");
		buf_put(&c->out, reply);
		buf_puts(&c->out, "\n\n");
		break;
	case SERVE_EXIM:
		buf_put(&c->out, reply);
		buf_putc(&c->out, '\n');
		c->last = true;
		break;
	}
}

/* How each protocol says that it does not know now. */
static void put_doubt(struct conn *c, const char *why)
{
	static const char *const words[] = {
		[SERVE_SOCKETMAP] = "TEMP ",
		[SERVE_POLICY] = "DEFER_IF_PERMIT 4.3.0 ",
		[SERVE_EXIM] = "defer ",
	};

	buf_clear(&c->serve->reply);
	buf_puts(&c->serve->reply, words[c->protocol]);
	buf_puts(&c->serve->reply, why);
}

typedef void map_answer(const struct table *t, struct span key, struct buf *scratch,
			struct buf *reply);

/* What the table alone can answer; `recipient` may need the directory. */
static map_answer *find_map(struct span name)
{
	static const struct {
		const char *name;
		map_answer *answer;
	} maps[] = {
		{"transport", lookup_transport},
		{"tlspolicy", lookup_tls_policy},
		{"relaydomains", lookup_relay_domain},
		{"relayhost", relayhost_answer},
		{"systemrelayhost", relayhost_answer_system},
		{"systemsender", relayhost_answer_sender},
	};
	size_t i;

	for (i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		if (span_eq(name, span_of(maps[i].name)))
			return maps[i].answer;
	}
	return NULL;
}

static void unknown_map(struct span map, struct buf *reply)
{
	char text[LOG_TEXT_BYTES];

	buf_printf(reply,
		   "PERM unknown map name %s, there are transport, recipient, tlspolicy, "
		   "relaydomains, relayhost, systemrelayhost and systemsender",
		   log_text(map, text));
}

/* The reply of the `recipient` map in the words of the protocol. */
static int translate(struct conn *c, struct span home)
{
	struct serve *s = c->serve;
	const struct table *t = s->source.table(s->source.arg);
	struct span rest = home;
	struct span word;
	int rc = RC_OK;

	(void)span_cut(&rest, ' ', &word);
	if (c->protocol == SERVE_SOCKETMAP)
		buf_put(&s->reply, home);
	else if (span_eq(word, SPAN_LIT("NOTFOUND")))
		buf_puts(&s->reply, c->protocol == SERVE_EXIM ? "local" : "DUNNO");
	else if (!span_eq(word, SPAN_LIT("OK")) || t == NULL)
		put_doubt(c, "the home of this recipient is not known now");
	else if (c->protocol == SERVE_POLICY)
		rc = policy_route(t, rest, &s->scratch, &s->reply);
	else
		buf_printf(&s->reply, "rewrite %.*s", SPAN_ARG(rest));
	return rc == RC_MORE ? RC_BUSY : rc; /* its site's own domain has become a shared one */
}

static int ask_home(struct conn *c, struct span recipient)
{
	struct serve *s = c->serve;
	int rc;

	buf_clear(&s->home);
	rc = s->source.recipient(s->source.arg, recipient, &c->request, &s->home);
	return rc == RC_OK ? translate(c, buf_span(&s->home)) : rc;
}

static int answer_socketmap(struct conn *c, struct span key)
{
	struct serve *s = c->serve;
	map_answer *answer;
	struct span map;

	if (!span_cut(&key, ' ', &map)) {
		buf_puts(&s->reply, "PERM request is not: map, blank, key");
		return RC_OK;
	}
	if (span_eq(map, SPAN_LIT("recipient")))
		return ask_home(c, key);
	answer = find_map(map);
	if (answer != NULL)
		answer(s->source.table(s->source.arg), key, &s->scratch, &s->reply);
	else
		unknown_map(map, &s->reply);
	return RC_OK;
}

/* A policy client that sends nonsense has to wait: its mail must not take a wrong way. */
static int answer_policy(struct conn *c, struct span lines)
{
	struct serve *s = c->serve;
	const struct table *t = s->source.table(s->source.arg);
	struct policy_request q;
	int rc;

	if (policy_parse(lines, &q) != RC_OK) {
		put_doubt(c, "not a policy request");
		return RC_OK;
	}
	policy_message_begin(&c->message, q.instance);
	rc = policy_answer(t, &q, s->source.null_sender_is_system, &s->scratch, &s->reply);
	return rc == RC_MORE ? ask_home(c, q.recipient) : rc;
}

static int answer_exim(struct conn *c, struct span line)
{
	struct serve *s = c->serve;
	const struct table *t = s->source.table(s->source.arg);
	struct oneshot_request q;
	int rc;

	if (oneshot_parse(line, &q) != RC_OK) {
		put_doubt(c, "the request is not: route RECIPIENT <SENDER>");
		return RC_OK;
	}
	rc = oneshot_answer(t, &q, s->source.null_sender_is_system, &s->scratch, &s->reply);
	return rc == RC_MORE ? ask_home(c, q.recipient) : rc;
}

static void finish(struct conn *c, int rc)
{
	struct serve *s = c->serve;

	if (rc == RC_OK && c->protocol == SERVE_POLICY)
		policy_message_settle(&c->message, &s->reply);
	if (rc != RC_OK)
		put_doubt(c, rc_text(rc));
	if (buf_rc(&s->reply) != RC_OK)
		put_doubt(c, "out of memory");
	put_reply(c);
}

int serve_answer(struct conn *c, struct span request)
{
	int rc = RC_OK;

	buf_clear(&c->serve->reply);
	switch (c->protocol) {
	case SERVE_SOCKETMAP:
		rc = answer_socketmap(c, request);
		break;
	case SERVE_POLICY:
		rc = answer_policy(c, request);
		break;
	case SERVE_EXIM:
		rc = answer_exim(c, request);
		break;
	}
	if (rc == RC_MORE)
		return RC_MORE;
	finish(c, rc);
	return RC_OK;
}

void serve_answer_recipient(struct conn *c, struct span reply)
{
	buf_clear(&c->serve->reply);
	finish(c, translate(c, reply));
}
