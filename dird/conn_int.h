/* What conn.c, the connections, and conn_set.c, their loop, share. */
#pragma once

#include "dird/conn.h"

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

uint64_t conn_set_now_ms(const struct conn_set *set);
/** The operation does not wait for its turn any more. */
void conn_set_forget(struct conn_set *set, struct op *op);
/** A connection has gone: was it the last one of a set that stops? */
void conn_set_check_stopped(struct conn_set *set);
/** Cancel what is outstanding; silently: nobody wants an answer. */
void conn_cancel_ops(struct conn *c, bool silently);
