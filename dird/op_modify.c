#include "dird/op_write.h"

/* RFC 4511 §4.6 */
void op_modify(struct op *op)
{
	const struct msg_modify *m = &op->msg.u.modify;
	struct change *c;

	if (!op_may_write(op))
		return;
	c = op_change_new(op, CHANGE_MODIFY, m->dn);
	if (c == NULL)
		return;
	c->mods = m->mods;
	c->nmods = m->nmods;
	op_submit(op, c);
}
