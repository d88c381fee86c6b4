/*
 * What dird reads of a request before it looks at the store: the message, controls, names, filter,
 * attributes, selection. For the fuzz target, and for the unit test that lets allocations fail.
 */
#pragma once

#include "dird/conn.h"
#include "dird/op_impl.h"

/* RC_NOMEM, or RC_OK for what was taken or refused with a reason. */
static int pdu_outcome(int rc, bool has_reason)
{
	if (rc == RC_NOMEM)
		return rc;
	must(rc == RC_OK || has_reason);
	return RC_OK;
}

static int pdu_dn(struct op *op, struct span text)
{
	const char *why = NULL;
	struct span normal;
	struct dn dn;
	int rc = dn_parse(&op->arena, text, &dn, &why);

	return rc == RC_OK ? op_normal_dn(&op->arena, &dn, &normal) : pdu_outcome(rc, why != NULL);
}

static int pdu_search(struct op *op, const struct msg_search *m)
{
	struct op_selection *selection;
	struct span rest = m->filter;
	const char *why = NULL;
	struct filter *f;
	int rc = pdu_dn(op, m->base);

	if (rc == RC_OK) {
		rc = filter_read(op->server->schema, &rest, &op->arena, &f, &why);
		rc = pdu_outcome(rc, why != NULL || rc == RC_TOOBIG);
	}
	if (rc == RC_OK)
		rc = op_selection_make(op, m->attrs, m->nattrs, m->types_only, &selection);
	return rc;
}

static int pdu_attrs(struct op *op, const struct attr_list *attrs)
{
	struct result why = {.code = LR_SUCCESS};
	struct attr_list canonical;
	int rc = schema_canonical(op->server->schema, attrs, &op->arena, &canonical, &why);

	return pdu_outcome(rc, rc == RC_REFUSED && why.code != LR_SUCCESS);
}

static int pdu_modify(struct op *op, const struct msg_modify *m)
{
	int rc = pdu_dn(op, m->dn);
	unsigned i;

	for (i = 0; i < m->nmods && rc == RC_OK; i++)
		rc = pdu_attrs(op, &(struct attr_list){&m->mods[i].attr, 1});
	return rc;
}

static int pdu_moddn(struct op *op, const struct msg_moddn *m)
{
	int rc = pdu_dn(op, m->dn);

	if (rc == RC_OK)
		rc = pdu_dn(op, m->new_rdn);
	return rc == RC_OK ? pdu_dn(op, m->new_superior) : rc;
}

static int pdu_request(struct op *op)
{
	const struct msg *m = &op->msg;
	int rc = RC_OK;

	if (m->op == MSG_SEARCH_REQUEST)
		rc = pdu_search(op, &m->u.search);
	else if (m->op == MSG_MODIFY_REQUEST)
		rc = pdu_modify(op, &m->u.modify);
	else if (m->op == MSG_MODDN_REQUEST)
		rc = pdu_moddn(op, &m->u.moddn);
	else if (m->op == MSG_DELETE_REQUEST)
		rc = pdu_dn(op, m->u.delete_dn);
	else if (m->op == MSG_COMPARE_REQUEST)
		rc = pdu_dn(op, m->u.compare.dn);
	else if (m->op == MSG_BIND_REQUEST)
		rc = pdu_dn(op, m->u.bind.name);
	else if (m->op == MSG_ADD_REQUEST)
		rc = pdu_dn(op, m->u.add.dn);
	if (rc == RC_OK && m->op == MSG_ADD_REQUEST)
		rc = pdu_attrs(op, &m->u.add.attrs);
	return rc;
}

/**
 * Read one message as a user would send it (who may not become somebody else: that needs a store).
 * `server` needs no more than a schema. RC_OK, RC_NOMEM; anything else is a broken promise.
 */
static inline int pdu_read(struct server *server, struct span frame)
{
	struct conn conn = {.server = server};
	struct op op = {.conn = &conn, .server = server};
	const char *why = NULL;
	bool fatal = false;
	int rc;

	arena_init(&op.arena);
	identity_init(&op.identity);
	op.identity.kind = IDENTITY_USER;
	rc = msg_read(frame, &op.arena, &op.msg, &fatal, &why);
	if (rc == RC_OK) {
		rc = op_controls_read(&op);
		rc = pdu_outcome(rc, rc == RC_REFUSED && op.result.code != LR_SUCCESS);
		if (rc == RC_OK)
			rc = pdu_request(&op);
	} else {
		rc = pdu_outcome(rc, why != NULL);
	}
	arena_fini(&op.arena);
	return rc;
}
