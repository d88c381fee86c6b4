#include "dird/op_write.h"

/* RFC 4511 §4.7 */
void op_add(struct op *op)
{
	const struct msg_add *m = &op->msg.u.add;
	struct change *c;

	if (!op_may_write(op))
		return;
	c = op_change_new(op, CHANGE_ADD, m->dn);
	if (c == NULL)
		return;
	c->attrs = m->attrs;
	op_submit(op, c);
}
