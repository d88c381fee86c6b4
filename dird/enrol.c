#include "dird/enrol.h"

#include "dird/enrol_int.h"
#include "lib/log.h"

static void finish(struct op *op, int rc, const struct result *why)
{
	if (rc == RC_OK)
		op_finish_result(op, LR_SUCCESS, NULL);
	else if (rc == RC_REFUSED)
		op_finish_refused(op, why);
	else
		op_finish_error(op, rc, "enrol");
}

static void log_outcome(const struct enrol *e, int rc, const struct result *why)
{
	struct log_ctx lc = {.conn = e->op->conn->id, .op = e->op->msg.id};
	char site[LOG_TEXT_BYTES], text[LOG_TEXT_BYTES];

	log_text(e->site, site);
	if (rc == RC_OK)
		log_info(&lc, "enrol.joined", "new_site=%s domain=%s", site,
			 log_text(e->domain, text));
	else
		log_warn(&lc, "enrol.refused", "new_site=%s reason=\"%s\"", site,
			 rc == RC_REFUSED ? log_text(span_of(why->text), text) : rc_text(rc));
}

static void on_written(struct write_req *req)
{
	struct enrol *e = req->ctx;

	log_outcome(e, req->rc, &req->result);
	finish(e->op, req->rc, &req->result);
}

static int begin(struct enrol *e, struct result *why)
{
	struct op *op = e->op;
	const struct msg_extended *x = &op->msg.u.extended;
	const char *text = NULL;
	int rc;

	if (op->identity.kind != IDENTITY_TOKEN)
		return result_set(why, &op->arena, LR_INSUFFICIENT_ACCESS,
				  "a site is enrolled with a join token");
	if (op->conn->stream == NULL || !stream_is_tls(op->conn->stream))
		return result_set(why, &op->arena, LR_CONFIDENTIALITY, "enrolment needs TLS");
	rc = enrol_request_read(x->has_value ? x->value : SPAN_LIT(""), &op->arena, &e->r, &text);
	if (rc == RC_INVALID)
		return result_set(why, &op->arena, LR_PROTOCOL_ERROR, "%s", text);
	if (rc == RC_OK)
		rc = enrol_check_head(e, why);
	return rc == RC_OK ? enrol_make_changes(e) : rc;
}

void op_enrol(struct op *op)
{
	struct enrol *e = arena_zalloc(&op->arena, 1, sizeof(*e));
	struct result why = {.code = LR_SUCCESS};
	int rc = RC_NOMEM;

	if (e != NULL) {
		e->op = op;
		rc = begin(e, &why);
	}
	if (rc != RC_OK) {
		if (e != NULL && e->site.p != NULL)
			log_outcome(e, rc, &why);
		finish(op, rc, &why);
		return;
	}
	e->req = (struct write_req){.changes = e->changes,
				    .nchanges = e->nchanges,
				    .arena = &op->arena,
				    .home = conn_loop(op->conn),
				    .done = on_written,
				    .ctx = e,
				    .check = enrol_check};
	writer_submit(op->server->writer, &e->req);
}
