#include "dird/conn_int.h"

#include "dird/op_impl.h"

#define SCRATCH_MAX_BYTES (64u * 1024 * 1024)
#define SCRATCH_KEEP_BYTES (512 * 1024)
#define STOP_CANCEL_MS 400 /* after that, searches that still run are cancelled */
#define STOP_ABORT_MS 1700
#define SWEEP_MS 1000

uint64_t conn_set_now_ms(const struct conn_set *set)
{
	return set->server->clock->mono_ms(set->server->clock);
}

struct loop *conn_loop(const struct conn *c)
{
	return c->set->loop;
}

struct buf *conn_scratch(struct conn *c)
{
	struct buf *b = &c->set->scratch;

	if (b->size > SCRATCH_KEEP_BYTES)
		buf_fini(b);
	buf_clear(b);
	return b;
}

/* --- operations that wait for their next turn --- */

void conn_set_forget(struct conn_set *set, struct op *op)
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

/* --- idle and deaf clients, the end --- */

static size_t waiting_bytes(const struct conn_set *set)
{
	const struct conn *c;
	size_t n = 0;

	for (c = set->conns; c != NULL; c = c->next)
		n += c->stream != NULL ? stream_queued_bytes(c->stream) : 0;
	return n;
}

bool conn_may_wait(const struct conn *c, size_t n)
{
	return n <= CONN_LONG_BYTES || waiting_bytes(c->set) + n <= CONN_WAITING_MAX_BYTES;
}

/* Does the client take nothing of what waits for it? */
static bool is_deaf(struct conn *c, uint64_t now, bool is_crowded)
{
	uint64_t limit = c->server->config.write_timeout_ms;
	uint64_t sent = stream_sent_bytes(c->stream);

	if (stream_queued_bytes(c->stream) == 0 || sent != c->sent_bytes || c->sent_ms == 0) {
		c->sent_bytes = sent;
		c->sent_ms = now;
	}
	if (is_crowded && stream_queued_bytes(c->stream) > CONN_LONG_BYTES &&
	    limit > CONN_CROWDED_MS)
		limit = CONN_CROWDED_MS;
	return now - c->sent_ms >= limit;
}

static void sweep(struct conn_set *set)
{
	const struct server_config *cfg = &set->server->config;
	bool is_crowded = waiting_bytes(set) > CONN_WAITING_MAX_BYTES / 2;
	uint64_t now = conn_set_now_ms(set);
	struct conn *c, *next;

	for (c = set->conns; c != NULL; c = next) {
		next = c->next;
		if (c->stream == NULL)
			continue;
		if (is_deaf(c, now, is_crowded))
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
	uint64_t since = conn_set_now_ms(set) - set->stop_ms;
	struct conn *c, *next;

	for (c = set->conns; c != NULL; c = next) {
		next = c->next;
		if (since >= STOP_ABORT_MS && c->stream != NULL)
			stream_abort(c->stream, RC_TIMEOUT, "the server stops");
		else if (since >= STOP_CANCEL_MS && c->nops != 0)
			conn_cancel_ops(c, false);
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
	buf_init(&set->scratch, SCRATCH_MAX_BYTES);
	must(uv_idle_init(loop_uv(l), &set->turn) == 0);
	must(uv_timer_init(loop_uv(l), &set->sweep) == 0);
	set->turn.data = set->sweep.data = set;
	set->open_handles = 2;
	uv_timer_start(&set->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
	return 0;
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

void conn_set_check_stopped(struct conn_set *set)
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
	set->stop_ms = conn_set_now_ms(set);
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
	conn_set_check_stopped(set);
}
