#include "dird/sync_session.h"

#include "dird/server.h"
#include "dird/twins.h"
#include "lib/log.h"

static bool needs_dn(const struct filter *f)
{
	unsigned i;

	for (i = 0; i < f->nsubs; i++) {
		if (needs_dn(f->subs[i]))
			return true;
	}
	return f->kind == FILTER_EXTENSIBLE && f->dn_attrs;
}

int sync_check_request(struct op *op)
{
	static const char *const others[] = {
		"1.2.840.113556.1.4.319",  /* paged results */
		"1.2.840.113556.1.4.473",  /* server-side sort */
		"2.16.840.1.113730.3.4.9", /* VLV */
	};
	int64_t deref = op->msg.u.search.deref;
	size_t i;

	if (!acl_may_sync(&op->server->acl, &op->identity))
		return result_set(&op->result, &op->arena, LR_INSUFFICIENT_ACCESS,
				  "content synchronization is for sites and administrators");
	if (deref == 1 || deref == 3) /* RFC 4533 §3.5.2 */
		return result_set(&op->result, &op->arena, LR_PROTOCOL_ERROR,
				  "content synchronization does not follow aliases in the search");
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (msg_control(&op->msg, others[i]) != NULL)
			return result_set(
				&op->result, &op->arena, LR_UNWILLING,
				"content synchronization can not be combined with control %s",
				others[i]);
	}
	return RC_OK;
}

int sync_read_request(struct sync_session *s, const struct msg_control *control,
		      struct sync_request *out)
{
	struct op *op = s->op;
	const struct msg_search *m = &op->msg.u.search;
	struct span filter = m->filter;
	const char *why = "";
	int rc;

	if (!control->has_value || sync_request_read(control->value, out) != RC_OK)
		return result_set(&op->result, &op->arena, LR_PROTOCOL_ERROR,
				  "malformed value of the sync request control");
	s->mode = out->mode;
	s->reload_hint = out->reload_hint;
	rc = dn_parse(&op->arena, m->base, &s->base, &why);
	if (rc == RC_INVALID || rc == RC_TOOBIG)
		return result_set(&op->result, &op->arena, LR_INVALID_DN, "search base: %s", why);
	if (rc == RC_OK)
		rc = filter_read(op->server->schema, &filter, &op->arena, &s->filter, &why);
	if (rc == RC_INVALID || rc == RC_TOOBIG)
		return result_set(&op->result, &op->arena, LR_PROTOCOL_ERROR, "filter: %s", why);
	if (rc == RC_OK)
		rc = op_selection_make(op, m->attrs, m->nattrs, m->types_only, &s->selection);
	if (rc == RC_OK)
		s->filter_needs_dn = needs_dn(s->filter);
	return rc;
}

/* --- twins: two processes that are one site --- */

static int refuse_twin(struct op *op, enum twins_verdict verdict)
{
	log_error(NULL, "sync.twin", "site=\"%s\" reason=\"%s\"",
		  op->identity.dn != NULL ? op->identity.dn : "",
		  verdict == TWINS_BOTH ? "two processes run as this site; both are refused until "
					  "an administrator has chosen one with sitectl take-over"
					: "another process of this site was chosen");
	return result_set(&op->result, &op->arena, LR_UNWILLING, "%s",
			  verdict == TWINS_BOTH ? TWINS_TEXT "; an administrator must choose"
						: TWINS_TEXT "; the other one was chosen");
}

int sync_check_twin(struct sync_session *s)
{
	struct op *op = s->op;
	const struct msg_control *c = msg_control(&op->msg, TWINS_OID);
	enum twins_verdict verdict;
	int rc;

	if (op->identity.kind != IDENTITY_SITE || op->server->twins == NULL || c == NULL ||
	    c->value.n != TWINS_VALUE_BYTES)
		return RC_OK;
	memcpy(s->instance.b, c->value.p, UUID_BYTES);
	rc = twins_seen(op->server->twins, &op->identity.uuid, &s->instance,
			c->value.p[UUID_BYTES] != 0, &verdict);
	if (rc != RC_OK)
		return rc;
	if (verdict != TWINS_NONE)
		sync_wake_all(op->server); /* the sessions of the other end */
	return verdict == TWINS_BOTH || verdict == TWINS_RETIRED ? refuse_twin(op, verdict) : RC_OK;
}
