#include "routed/oneshot.h"

#include "routed/encap.h"
#include "routed/lookup.h"

int oneshot_read(struct span in, struct span *line, size_t *used)
{
	struct span rest = span_head(in, ONESHOT_REQUEST_MAX_BYTES);

	if (!span_cut(&rest, '\n', line))
		return in.n < ONESHOT_REQUEST_MAX_BYTES ? RC_MORE : RC_TOOBIG;
	*used = line->n + 1;
	return RC_OK;
}

/* "<...>" at the end behind a blank; a quoted local part may hold anything before it. */
static void cut_sender(struct oneshot_request *q)
{
	struct span all = q->recipient;
	size_t i;

	if (all.n == 0 || all.p[all.n - 1] != '>')
		return;
	for (i = all.n - 1; i > 1; i--) {
		if (all.p[i - 1] != '<' || all.p[i - 2] != ' ')
			continue;
		q->sender = span_make(all.p + i, all.n - 1 - i);
		q->recipient = span_trim(span_head(all, i - 2));
		q->has_sender = true;
		return;
	}
}

int oneshot_parse(struct span line, struct oneshot_request *out)
{
	struct span word;

	line = span_trim(line);
	*out = (struct oneshot_request){0};
	if (!span_cut(&line, ' ', &word) || !span_eq(word, SPAN_LIT("route")))
		return RC_INVALID;
	out->recipient = span_trim(line);
	cut_sender(out);
	return out->recipient.n != 0 ? RC_OK : RC_INVALID;
}

/* The colon separates hosts in a host list of Exim's, unless it is doubled. */
static void put_listed(struct span s, struct buf *reply)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		buf_putc(reply, s.p[i]);
		if (s.p[i] == ':')
			buf_putc(reply, ':');
	}
}

/* "relay", "[192.0.2.9]", "[relay]:2525". Only a port and colons together need the brackets. */
static void put_host(struct span host, struct buf *reply)
{
	struct span port = host;
	struct span name;

	if (host.n == 0 || host.p[0] != '[') {
		put_listed(host, reply);
		return;
	}
	port = span_from(host, 1);
	(void)span_cut(&port, ']', &name);
	if (port.n != 0 && memchr(name.p, ':', name.n) != NULL)
		name = span_head(host, name.n + 2);
	put_listed(name, reply);
	put_listed(port, reply);
}

static void put_route(const struct table *t, const struct lookup_answer *a, struct buf *reply)
{
	const struct table_result *r = &a->result;

	if (r->hop == TABLE_HOP_TYPE) {
		struct span name;
		struct span rest;
		size_t from = reply->n;

		table_transport(t, r, reply);
		rest = span_from(buf_span(reply), from);
		if (span_cut(&rest, ':', &name))
			reply->p[from + name.n] = ' ';
		return;
	}
	if (r->hop == TABLE_HOP_HOST) {
		put_host(r->nexthop, reply);
	} else {
		buf_put(reply, r->nexthop.n != 0 ? r->nexthop : a->domain);
		buf_puts(reply, "/mx");
	}
}

static int put_answer(const struct table *t, const struct lookup_key *k,
		      const struct lookup_answer *a, struct buf *reply)
{
	switch (a->verdict) {
	case LOOKUP_ROUTE:
		buf_puts(reply, a->result.hop == TABLE_HOP_TYPE ? "transport " : "route ");
		put_route(t, a, reply);
		break;
	case LOOKUP_NO_ROUTE:
		buf_puts(reply, "defer no mail route to site ");
		lookup_put_line(table_text(t, a->result.row->target), reply);
		break;
	case LOOKUP_LOCAL:
		if (encap_is(k->full))
			return RC_MORE;
		buf_puts(reply, "local");
		break;
	case LOOKUP_SHARED:
		return RC_MORE;
	case LOOKUP_ABSENT:
		buf_puts(reply, "none");
		break;
	}
	return RC_OK;
}

int oneshot_answer(const struct table *t, const struct oneshot_request *q, bool null_is_system,
		   struct buf *scratch, struct buf *reply)
{
	enum table_class cls = TABLE_USER;
	struct lookup_answer answer;
	struct lookup_key k;
	int rc;

	if (t == NULL) {
		buf_puts(reply, "defer no route table yet");
		return RC_OK;
	}
	if (q->has_sender)
		cls = lookup_sender(t, q->sender, null_is_system, scratch);
	rc = lookup_key(q->recipient, scratch, &k);
	if (rc == RC_OK)
		rc = lookup_route(t, &k, cls, &answer);
	if (rc == RC_OK)
		return put_answer(t, &k, &answer, reply);
	if (rc == RC_NOMEM)
		return rc;
	buf_puts(reply, "none");
	return RC_OK;
}
