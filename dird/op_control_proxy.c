/* Proxied authorization (RFC 4370): the administrator acts as somebody else. */
#include "dird/op_impl.h"

static int denied(struct op *op, const char *why)
{
	return result_set(&op->result, &op->arena, LR_AUTHORIZATION_DENIED, "%s", why);
}

/* RC_NOTFOUND: no such entry. */
static int look_up(struct op *op, const struct dn *dn, struct identity *id)
{
	struct store_txn *t;
	struct entry e;
	unsigned depth;
	struct buf name;
	uint64_t eid;
	int rc = store_read_begin(op->server->store, &t);

	if (rc != 0)
		return rc;
	buf_init(&name, DN_MAX_BYTES * 2);
	rc = store_find(t, dn, &eid, &depth);
	if (rc == 0)
		rc = store_entry(t, eid, &e);
	if (rc == 0)
		rc = store_dn(t, eid, &name);
	if (rc == 0) {
		id->kind = IDENTITY_USER;
		id->uuid = e.head.uuid;
		id->dn = mem_strdup(buf_cstr(&name));
		rc = id->dn != NULL ? 0 : RC_NOMEM;
	}
	store_read_end(&t);
	buf_fini(&name);
	return rc;
}

static int become(struct op *op, struct span name)
{
	struct span normal, own;
	struct identity id;
	struct dn dn;
	int rc = dn_parse(&op->arena, name, &dn, NULL);

	if (rc == 0)
		rc = op_normal_dn(&op->arena, &dn, &normal);
	if (rc == 0)
		rc = dn_normalize_text(&op->arena, span_of(op->identity.dn), &own);
	if (rc == RC_NOMEM)
		return rc;
	if (rc != 0)
		return denied(op, "the authorization identity is no distinguished name");
	if (span_eq(normal, own))
		return 0;
	identity_init(&id);
	rc = look_up(op, &dn, &id);
	if (rc == RC_NOTFOUND)
		return denied(op, "the authorization identity names no entry");
	if (rc == 0) {
		identity_fini(&op->identity);
		op->identity = id;
	}
	return rc;
}

int op_control_proxy(struct op *op, const struct msg_control *c)
{
	if (!c->critical)
		return result_set(&op->result, &op->arena, LR_PROTOCOL_ERROR,
				  "proxied authorization must be critical (RFC 4370)");
	if (op->msg.op == MSG_EXTENDED_REQUEST &&
	    span_eq(op->msg.u.extended.oid, SPAN_LIT(OP_OID_START_TLS)))
		return result_set(&op->result, &op->arena, LR_CRITICAL_EXTENSION,
				  "proxied authorization does not go with StartTLS");
	if (op->identity.kind != IDENTITY_ADMIN)
		return denied(op, "only the administrator may act as somebody else");
	op->controls.has_proxy = true;
	if (!c->has_value || c->value.n == 0) {
		identity_fini(&op->identity);
		return 0;
	}
	if (!span_starts(c->value, SPAN_LIT("dn:")))
		return denied(op, "an authorization identity is dn: and a name, or empty");
	if (c->value.n == 3) {
		identity_fini(&op->identity);
		return 0;
	}
	return become(op, span_from(c->value, 3));
}
