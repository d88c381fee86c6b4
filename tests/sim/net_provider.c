/* The provider's side of the simulated network: what op.c and conn.c do around dird/sync.h. */
#include "tests/sim/conn.h"

#include "dird/sync_session.h"
#include "tests/unit/fake_op.h"

bool net_reach(const struct site *a, const struct site *b)
{
	return !w.is_cut[a->number][b->number];
}

uint64_t net_later(uint32_t most_ms)
{
	return w.now_ms + 1 + draw(most_ms);
}

static struct conn *conn_of(struct op *op)
{
	return (struct conn *)op;
}

void net_put_frame(struct conn *c, struct span bytes)
{
	struct frame *f = mem_zalloc(1, sizeof(*f) + bytes.n);

	need(f != NULL);
	f->n = bytes.n;
	if (bytes.n != 0)
		memcpy(f->bytes, bytes.p, bytes.n);
	f->due_ms = net_later(chance(10) ? 500 : 30);
	if (c->last != NULL && f->due_ms < c->last->due_ms)
		f->due_ms = c->last->due_ms;
	if (c->last != NULL)
		c->last->next = f;
	else
		c->first = f;
	c->last = f;
	c->flight += f->n;
}

/* One of the messages that are under way already comes once more, behind the others. */
static void put_again(struct conn *c)
{
	unsigned n = 0, at;
	struct frame *f;

	for (f = c->first; f != NULL; f = f->next)
		n++;
	at = draw(n);
	for (f = c->first; at-- > 0; f = f->next)
		;
	net_put_frame(c, span_make(f->bytes, f->n));
}

static void swap_last(struct conn *c)
{
	struct frame *a, *b = c->last, **at = &c->first;

	while (*at != NULL && (*at)->next != b)
		at = &(*at)->next;
	a = *at;
	if (a == NULL || a == b)
		return;
	b->due_ms = a->due_ms;
	*at = b;
	b->next = a;
	a->next = NULL;
	c->last = a;
}

int op_send(struct op *op, struct span bytes)
{
	struct conn *c = conn_of(op);
	size_t n;

	while (bytes.n != 0) {
		need(tlv_frame(bytes, TLV_SEQUENCE, &n) == RC_OK && n <= bytes.n);
		if (plant != PLANT_MESSAGE_LOST || !chance(300))
			net_put_frame(c, span_head(bytes, n));
		if (plant == PLANT_MESSAGE_DOUBLED && chance(10))
			put_again(c);
		if (c->last != NULL)
			proof_lie(c->from, c->to, c->last->bytes, c->last->n);
		if (plant == PLANT_MESSAGE_SWAPPED && chance(10))
			swap_last(c);
		bytes = span_from(bytes, n);
	}
	return RC_OK;
}

bool op_may_send(struct op *op)
{
	struct conn *c = conn_of(op);

	c->is_stalled = c->flight > c->room;
	return !c->is_stalled;
}

void op_yield(struct op *op)
{
	conn_of(op)->turn_ms = net_later(3);
}

static void provider_over(struct conn *c)
{
	c->is_served = false;
	c->turn_ms = UINT64_MAX;
	arena_fini(&c->op.arena);
}

void op_drop(struct op *op)
{
	provider_over(conn_of(op));
}

void op_finish(struct op *op, struct span extra, const struct msg_control *controls,
	       unsigned ncontrols)
{
	struct conn *c = conn_of(op);
	struct buf b;

	buf_init(&b, SIZE_MAX);
	msg_write_result(&b, op->msg.id, MSG_SEARCH_DONE, &op->result, extra, controls, ncontrols);
	net_put_frame(c, buf_span(&b));
	buf_fini(&b);
	provider_over(c);
}

/* The search has arrived. */
void net_serve(struct conn *c)
{
	static struct span attrs[] = {SPAN_LIT("*"), SPAN_LIT("+"), SPAN_LIT("originStamp"),
				      SPAN_LIT("parentUUID")};
	struct sync_request sr = {.mode = SYNC_REFRESH_AND_PERSIST};
	struct msg_control control = {.oid = SPAN_LIT(SYNC_OID_REQUEST), .has_value = true};
	struct msg_search *m = &c->op.msg.u.search;
	struct buf value, filter;
	const char *why;

	arena_init(&c->op.arena);
	c->op.server = &c->from->server;
	c->op.msg.id = 2;
	c->op.msg.op = MSG_SEARCH_REQUEST;
	c->op.msg.ncontrols = 1;
	c->op.msg.controls[0] = (struct msg_control){.oid = SPAN_LIT(HEAD_OID)};
	c->op.identity.kind = IDENTITY_SITE;
	c->op.identity.uuid = w.contexts[c->to->number].id;
	buf_init(&value, SIZE_MAX);
	buf_init(&filter, 1000);
	need(filter_from_text(SPAN_LIT("(objectClass=*)"), &filter, &why) == RC_OK);
	m->base = SPAN_LIT(SIM_ROOT);
	m->scope = STORE_SUB;
	m->filter = arena_span(&c->op.arena, buf_span(&filter));
	m->attrs = attrs;
	m->nattrs = sizeof(attrs) / sizeof(attrs[0]);
	sr.cookie = buf_span(&c->cookie);
	sync_request_write(&value, &sr);
	control.value = arena_span(&c->op.arena, buf_span(&value));
	buf_fini(&value);
	buf_fini(&filter);
	c->is_served = true;
	c->room = chance(3) ? 2000 : 1 << 20;
	w.sessions++;
	sync_start(&c->op, &control);
}

void net_end_provider(struct conn *c)
{
	if (!c->is_served)
		return;
	c->op.is_abandoned = true;
	c->op.cancel(&c->op);
}

void net_run_provider(struct conn *c)
{
	if (c->is_served && c->provider_end_ms <= w.now_ms)
		net_end_provider(c);
	if (!c->is_served)
		return;
	if (c->is_stalled && c->flight <= c->room / 2)
		c->turn_ms = w.now_ms;
	if (c->turn_ms > w.now_ms)
		return;
	c->turn_ms = UINT64_MAX;
	c->is_stalled = false;
	c->op.resume(&c->op);
}

/* --- wake-ups: of this site's sessions only --- */

void net_committed(struct site *s)
{
	if (plant == PLANT_WAKE_LOST && chance(2))
		return;
	if (s->wake_ms == UINT64_MAX)
		s->wake_ms = net_later(5);
}

void net_wake(struct site *s)
{
	bool was_busy[2 * SIM_SITES * SIM_SITES];
	struct sync_session *session;
	struct conn *c;
	size_t n = 0;

	s->wake_ms = UINT64_MAX;
	for (c = w.conns; c != NULL; c = c->next) {
		session = c->is_served && c->from != s ? c->op.state : NULL;
		need(n < sizeof(was_busy) / sizeof(was_busy[0]));
		was_busy[n++] = session != NULL && session->is_busy;
		if (session != NULL)
			session->is_busy = true;
	}
	sync_wake(NULL);
	n = 0;
	for (c = w.conns; c != NULL; c = c->next, n++) {
		if (c->is_served && c->from != s)
			((struct sync_session *)c->op.state)->is_busy = was_busy[n];
	}
}
