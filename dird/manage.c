#include "dird/manage.h"

#include "dird/conn.h"
#include "dird/op_write.h"
#include "dird/repl.h"
#include "dird/server.h"

#include <inttypes.h>
#include <stdio.h>

/* --- retry-quarantine --- */

static uint64_t count_quarantined(struct server *s)
{
	struct store_txn *t;
	uint64_t n;

	if (store_read_begin(s->store, &t) != RC_OK)
		return 0;
	n = store_quarantine_count(t);
	store_read_end(&t);
	return n;
}

static void on_retried(struct op *op, int rc, const struct result *why)
{
	char text[64];

	if (rc == RC_REFUSED) {
		op_finish_refused(op, why);
	} else if (rc != RC_OK) {
		op_finish_error(op, rc, "retry");
	} else {
		snprintf(text, sizeof(text), "%" PRIu64 " still in quarantine",
			 count_quarantined(op->server));
		op_finish_result(op, LR_SUCCESS, text);
	}
}

static void retry_quarantine(struct op *op)
{
	struct change *c = arena_zalloc(&op->arena, 1, sizeof(*c));

	if (c == NULL) {
		op_finish_error(op, RC_NOMEM, "retry");
		return;
	}
	c->kind = CHANGE_RETRY;
	op_submit_all(op, c, 1, on_retried);
}

/* --- sync-now --- */

static void sync_now(struct op *op, struct span partner)
{
	unsigned n = repl_sync_now(op->server->repl, partner);
	char text[64];

	if (n == 0 && partner.n != 0) {
		op_finish_result(op, LR_NO_SUCH_OBJECT, "no enabled link to a site of this name");
		return;
	}
	snprintf(text, sizeof(text), "%u links", n);
	op_finish_result(op, LR_SUCCESS, text);
}

static void take_over(struct op *op)
{
	int rc = repl_take_over(op->server->repl);

	if (rc != RC_OK)
		op_finish_error(op, rc, "take-over");
	else
		op_finish_result(op, LR_SUCCESS, "partners are asked for what either has written");
}

void op_manage(struct op *op)
{
	const struct msg_extended *x = &op->msg.u.extended;
	struct span arg = x->has_value ? x->value : SPAN_LIT(""), verb;

	if (!span_cut(&arg, ' ', &verb))
		arg = SPAN_LIT("");
	if (op->identity.kind != IDENTITY_ADMIN)
		op_finish_result(op, LR_INSUFFICIENT_ACCESS, "for the administrator only");
	else if (span_eq(verb, SPAN_LIT(MANAGE_RETRY_QUARANTINE)))
		retry_quarantine(op);
	else if (span_eq(verb, SPAN_LIT(MANAGE_SYNC_NOW)))
		sync_now(op, arg);
	else if (span_eq(verb, SPAN_LIT(MANAGE_TAKE_OVER)))
		take_over(op);
	else
		op_finish_result(op, LR_PROTOCOL_ERROR, "unknown verb");
}
