/*
 * Signed heads (head.h) for partners: with each context that a partner has wholly as a snapshot
 * has it goes the head that says so. It precedes the cookie, or follows when it comes later.
 */
#include "dird/sync_session.h"

#include "dird/heads.h"
#include "dird/server.h"

static int send_head(struct sync_session *s, struct span head)
{
	int rc;

	buf_clear(&s->out);
	msg_write_intermediate(&s->out, s->op->msg.id, HEAD_OID, head);
	rc = buf_rc(&s->out);
	return rc == RC_OK ? op_send(s->op, buf_span(&s->out)) : rc;
}

/* Has the partner all of the context that the snapshot holds? */
static bool is_level(const struct sync_session *s, const struct sync_nc *nc,
		     const struct store_nc *here)
{
	if (s->stage == SYNC_STAGE_PRESENT && !nc->speaks)
		return false;
	return position_same_life(&nc->sent, &here->position) && nc->sent.usn == here->position.usn;
}

static int send_one(struct sync_session *s, struct heads *heads, struct sync_nc *nc)
{
	uint64_t version = heads_version(heads, &nc->sent.nc);
	struct store_nc here;
	struct buf head;
	int rc;

	if (nc->head_usn == nc->sent.usn && nc->head_version == version)
		return RC_OK;
	rc = store_nc_find(s->snapshot, &nc->sent.nc, &here);
	if (rc != RC_OK || !is_level(s, nc, &here))
		return rc == RC_NOTFOUND ? RC_OK : rc;
	buf_init(&head, HEAD_MAX_BYTES);
	rc = heads_find(heads, s->snapshot, &here, &head);
	if (rc == RC_OK)
		rc = send_head(s, buf_span(&head));
	buf_fini(&head);
	nc->head_usn = nc->sent.usn;
	nc->head_version = version;
	return rc == RC_NOTFOUND ? RC_OK : rc;
}

int sync_send_heads(struct sync_session *s)
{
	struct heads *heads = s->op->server->heads;
	unsigned i;
	int rc = RC_OK;

	if (!s->is_partner || !s->wants_heads || heads == NULL || s->snapshot == NULL)
		return RC_OK;
	for (i = 0; i < s->nncs && rc == RC_OK; i++) {
		if (!s->ncs[i].is_ahead && !s->ncs[i].is_partners && s->ncs[i].sent.usn != 0)
			rc = send_one(s, heads, &s->ncs[i]);
	}
	return rc;
}
