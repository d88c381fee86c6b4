#include "dird/op_control.h"

#include <assert.h>

#include "dird/op_impl.h"
#include "dird/sync.h"
#include "lib/log.h"

#define SESSION_MAX_BYTES 4096

#define OF(op) (1u << (op))
#define OF_SEARCH OF(MSG_SEARCH_REQUEST)
#define OF_COMPARE OF(MSG_COMPARE_REQUEST)
#define OF_ADD OF(MSG_ADD_REQUEST)
#define OF_MODIFY OF(MSG_MODIFY_REQUEST)
#define OF_DELETE OF(MSG_DELETE_REQUEST)
#define OF_MODDN OF(MSG_MODDN_REQUEST)
#define OF_WRITE (OF_ADD | OF_MODIFY | OF_DELETE | OF_MODDN)
#define OF_ENTRY (OF_SEARCH | OF_COMPARE | OF_WRITE)
#define OF_ANY (OF_ENTRY | OF(MSG_EXTENDED_REQUEST))

static int read_manage(struct op *op, const struct msg_control *c)
{
	(void)c;
	op->controls.manage_dsa_it = true;
	return 0;
}

static int read_permissive(struct op *op, const struct msg_control *c)
{
	(void)c;
	op->controls.permissive = true;
	return 0;
}

static int read_no_op(struct op *op, const struct msg_control *c)
{
	(void)c;
	op->controls.no_op = true;
	return 0;
}

static int read_tree_delete(struct op *op, const struct msg_control *c)
{
	(void)c;
	op->controls.tree_delete = true;
	return 0;
}

static int read_domain_scope(struct op *op, const struct msg_control *c)
{
	(void)c;
	op->controls.domain_scope = true;
	return 0;
}

static int read_dont_use_copy(struct op *op, const struct msg_control *c)
{
	if (!c->critical || c->has_value)
		return RC_INVALID; /* RFC 6171 §2 */
	op->controls.dont_use_copy = true;
	return 0;
}

static int read_relax(struct op *op, const struct msg_control *c)
{
	(void)c;
	if (op->identity.kind != IDENTITY_ADMIN)
		return result_set(&op->result, &op->arena, LR_INSUFFICIENT_ACCESS,
				  "only the administrator may relax rules");
	op->controls.relax = true;
	return 0;
}

/* draft-wahl-ldap-session-03 §2: where a front end's user comes from, who that is. */
static int read_session(struct op *op, const struct msg_control *c)
{
	struct span body, ip, name, format, id;
	struct buf text;
	int rc;

	if (op_control_body(c, TLV_SEQUENCE, &body) != 0 ||
	    tlv_expect(&body, TLV_OCTETS, &ip) != 0 || tlv_expect(&body, TLV_OCTETS, &name) != 0 ||
	    tlv_expect(&body, TLV_OCTETS, &format) != 0 ||
	    tlv_expect(&body, TLV_OCTETS, &id) != 0 || body.n != 0)
		return RC_INVALID;
	buf_init(&text, SESSION_MAX_BYTES);
	buf_put(&text, ip);
	buf_putc(&text, '/');
	buf_put(&text, name);
	buf_putc(&text, '/');
	buf_put(&text, id);
	rc = buf_rc(&text);
	if (rc == RC_OK) {
		op->controls.session = arena_span(&op->arena, buf_span(&text));
		rc = op->controls.session.p != NULL ? RC_OK : RC_NOMEM;
	}
	buf_fini(&text);
	return rc == RC_TOOBIG ? RC_INVALID : rc;
}

static int read_policy(struct op *op, const struct msg_control *c)
{
	if (c->has_value)
		return RC_INVALID;
	op->controls.password_policy = true;
	return 0;
}

/* In this order: what comes first may change who asks. `read` NULL: the operation looks itself, or
 * there is nothing to do. */
static const struct kind {
	const char *oid;
	unsigned of;
	int (*read)(struct op *op, const struct msg_control *c);
} kinds[] = {
	{OP_OID_PROXY, OF_ANY, op_control_proxy},
	{OP_OID_MANAGE_DSA_IT, OF_ENTRY, read_manage},
	{OP_OID_ASSERTION, OF_ENTRY, op_control_assertion},
	{OP_OID_PRE_READ, OF_MODIFY | OF_DELETE | OF_MODDN, op_control_pre_read},
	{OP_OID_POST_READ, OF_ADD | OF_MODIFY | OF_MODDN, op_control_post_read},
	{OP_OID_PERMISSIVE, OF_MODIFY, read_permissive},
	{OP_OID_NO_OP, OF_WRITE, read_no_op},
	{OP_OID_RELAX, OF_WRITE, read_relax},
	{OP_OID_TREE_DELETE, OF_DELETE, read_tree_delete},
	{OP_OID_TXN, OF_WRITE, op_control_txn},
	{OP_OID_DOMAIN_SCOPE, OF_SEARCH, read_domain_scope},
	{OP_OID_SUBENTRIES, OF_SEARCH, op_control_subentries},
	{OP_OID_DONT_USE_COPY, OF_SEARCH | OF_COMPARE, read_dont_use_copy},
	{OP_OID_SORT, OF_SEARCH, op_control_sort},
	{OP_OID_VLV, OF_SEARCH, op_control_vlv},
	{OP_OID_VALUES, OF_SEARCH, op_control_values},
	{OP_OID_PSEARCH, OF_SEARCH, op_control_psearch},
	{OP_OID_SESSION_TRACKING, OF_ANY | OF(MSG_BIND_REQUEST), read_session},
	{OP_OID_PASSWORD_POLICY, OF_ANY | OF(MSG_BIND_REQUEST), read_policy},
	{OP_OID_PAGED, OF_SEARCH, NULL},
	{SYNC_OID_REQUEST, OF_SEARCH, NULL},
};
#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

static_assert(NKINDS <= OP_CONTROLS_MAX, "room for all");

void op_controls_known(const char *out[static OP_CONTROLS_MAX + 1])
{
	unsigned i;

	for (i = 0; i < NKINDS; i++)
		out[i] = kinds[i].oid;
	out[NKINDS] = NULL;
}

int op_control_body(const struct msg_control *c, uint8_t tag, struct span *body_out)
{
	struct span rest = c->value;

	if (!c->has_value || tlv_expect(&rest, tag, body_out) != 0 || rest.n != 0)
		return RC_INVALID;
	return 0;
}

static bool belongs(const struct msg *m, struct span oid)
{
	unsigned i;

	for (i = 0; i < NKINDS; i++) {
		if (span_eq(oid, span_of(kinds[i].oid)))
			return (kinds[i].of & OF(m->op)) != 0;
	}
	return false;
}

static const struct msg_control *find(const struct msg *m, const struct kind *k, unsigned *n_out)
{
	const struct msg_control *found = NULL;
	unsigned i;

	*n_out = 0;
	for (i = 0; (k->of & OF(m->op)) != 0 && i < m->ncontrols; i++) {
		if (!span_eq(m->controls[i].oid, span_of(k->oid)))
			continue;
		found = &m->controls[i];
		++*n_out;
	}
	return found;
}

int op_controls_read(struct op *op)
{
	const struct msg *m = &op->msg;
	const struct msg_control *c;
	char oid[LOG_TEXT_BYTES];
	unsigned i, n;
	int rc = 0;

	for (i = 0; i < m->ncontrols; i++) {
		if (m->controls[i].critical && !belongs(m, m->controls[i].oid))
			return result_set(&op->result, &op->arena, LR_CRITICAL_EXTENSION,
					  "critical control %s is not known for this operation",
					  log_text(m->controls[i].oid, oid));
	}
	for (i = 0; i < NKINDS && rc == 0 && m->ncontrols != 0; i++) {
		c = find(m, &kinds[i], &n);
		if (n > 1)
			return result_set(&op->result, &op->arena, LR_PROTOCOL_ERROR,
					  "control %s comes twice", kinds[i].oid);
		if (c == NULL || kinds[i].read == NULL)
			continue;
		rc = kinds[i].read(op, c);
		if (rc == RC_INVALID)
			return result_set(&op->result, &op->arena, LR_PROTOCOL_ERROR,
					  "malformed value of control %s", kinds[i].oid);
	}
	return rc;
}
