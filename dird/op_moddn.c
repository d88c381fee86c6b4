#include "dird/op_write.h"

/* RFC 4511 §4.9 */
void op_moddn(struct op *op)
{
	const struct msg_moddn *m = &op->msg.u.moddn;
	const char *why = NULL;
	struct change *c;
	int rc;

	if (!op_may_write(op))
		return;
	c = op_change_new(op, CHANGE_RENAME, m->dn);
	if (c == NULL)
		return;
	rc = dn_rdn_parse(&op->arena, m->new_rdn, &c->new_rdn, &why);
	if (rc == RC_NOMEM) {
		op_finish_error(op, rc, "modrdn");
		return;
	}
	if (rc != 0) {
		op_finish_result(op, LR_INVALID_DN, why != NULL ? why : "malformed new RDN");
		return;
	}
	c->delete_old_rdn = m->delete_old_rdn;
	c->has_new_superior = m->has_new_superior;
	if (m->has_new_superior && op_parse_dn(op, m->new_superior, &c->new_superior) != 0)
		return;
	op_submit(op, c);
}
