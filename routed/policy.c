#include "routed/policy.h"

#include "routed/lookup.h"

#define INSTANCE_MAX_BYTES 256
#define ACTION_MAX_BYTES 4096
#define DEFER "DEFER_IF_PERMIT "

int policy_read(struct span in, struct span *lines, size_t *used)
{
	struct span look = span_head(in, POLICY_REQUEST_MAX_BYTES);
	size_t i;

	for (i = 0; i < look.n; i++) {
		if (look.p[i] != '\n' || (i != 0 && look.p[i - 1] != '\n'))
			continue;
		*lines = span_head(in, i);
		*used = i + 1;
		return RC_OK;
	}
	return in.n < POLICY_REQUEST_MAX_BYTES ? RC_MORE : RC_TOOBIG;
}

static void take(struct span name, struct span value, struct policy_request *out)
{
	if (span_eq(name, SPAN_LIT("sender")))
		out->sender = value;
	else if (span_eq(name, SPAN_LIT("recipient")))
		out->recipient = value;
	else if (span_eq(name, SPAN_LIT("instance")))
		out->instance = value;
}

int policy_parse(struct span lines, struct policy_request *out)
{
	bool is_smtpd = false;
	struct span line;

	*out = (struct policy_request){0};
	if (lines.n == 0 || memchr(lines.p, '\0', lines.n) != NULL)
		return RC_INVALID;
	while (lines.n != 0) {
		struct span name;

		(void)span_cut(&lines, '\n', &line);
		if (!span_cut(&line, '=', &name))
			return RC_INVALID;
		if (span_eq(name, SPAN_LIT("request")))
			is_smtpd = span_eq(line, SPAN_LIT("smtpd_access_policy"));
		take(name, line, out);
	}
	return is_smtpd ? RC_OK : RC_INVALID;
}

int policy_answer(const struct table *t, const struct policy_request *q, bool null_is_system,
		  struct buf *scratch, struct buf *action)
{
	if (q->recipient.n == 0) {
		buf_puts(action, "DUNNO");
		return RC_OK;
	}
	if (t == NULL) {
		buf_puts(action, DEFER "4.3.0 no route table yet");
		return RC_OK;
	}
	if (lookup_sender(t, q->sender, null_is_system, scratch) == TABLE_SYSTEM)
		return policy_route(t, q->recipient, scratch, action);
	buf_puts(action, "DUNNO");
	return RC_OK;
}

static int put_action(const struct table *t, const struct lookup_answer *a, struct buf *action)
{
	switch (a->verdict) {
	case LOOKUP_ROUTE:
		buf_puts(action, "FILTER ");
		table_transport(t, &a->result, action);
		return RC_OK;
	case LOOKUP_NO_ROUTE:
		buf_puts(action, DEFER "4.4.4 no mail route to site ");
		lookup_put_line(table_text(t, a->result.row->target), action);
		return RC_OK;
	case LOOKUP_SHARED:
		return RC_MORE;
	case LOOKUP_LOCAL:
	case LOOKUP_ABSENT:
		break;
	}
	buf_puts(action, "DUNNO");
	return RC_OK;
}

int policy_route(const struct table *t, struct span recipient, struct buf *scratch,
		 struct buf *action)
{
	struct lookup_answer answer;
	struct lookup_key k;
	int rc = lookup_key(recipient, scratch, &k);

	if (rc == RC_OK)
		rc = lookup_route(t, &k, TABLE_SYSTEM, &answer);
	if (rc == RC_OK)
		return put_action(t, &answer, action);
	if (rc == RC_NOMEM)
		return rc;
	buf_puts(action, "DUNNO"); /* no address: nothing that could be routed */
	return RC_OK;
}

/* --- several recipients --- */

void policy_message_init(struct policy_message *m)
{
	buf_init(&m->instance, INSTANCE_MAX_BYTES);
	buf_init(&m->action, ACTION_MAX_BYTES);
}

void policy_message_fini(struct policy_message *m)
{
	buf_fini(&m->instance);
	buf_fini(&m->action);
}

void policy_message_begin(struct policy_message *m, struct span instance)
{
	if (instance.n != 0 && span_eq(instance, buf_span(&m->instance)))
		return;
	buf_clear(&m->action);
	buf_clear(&m->instance);
	buf_put(&m->instance, instance);
	if (buf_rc(&m->instance) != RC_OK)
		buf_clear(&m->instance);
}

void policy_message_settle(struct policy_message *m, struct buf *action)
{
	if (span_starts(buf_span(action), SPAN_LIT(DEFER)) || m->instance.n == 0)
		return;
	if (m->action.n == 0) {
		buf_put(&m->action, buf_span(action));
		if (buf_rc(&m->action) != RC_OK)
			buf_clear(&m->action);
		return;
	}
	if (span_eq(buf_span(&m->action), buf_span(action)))
		return;
	buf_clear(action);
	buf_puts(action, DEFER "4.5.3 this recipient of a system message has another route than "
			       "the one before, send it a message of its own");
}
