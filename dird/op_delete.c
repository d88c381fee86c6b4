#include "dird/op_write.h"

/* RFC 4511 §4.8 */
void op_delete(struct op *op)
{
	struct change *c;

	if (!op_may_write(op))
		return;
	c = op_change_new(op, CHANGE_DELETE, op->msg.u.delete_dn);
	if (c != NULL)
		op_submit(op, c);
}
