/* Signed heads that come with a session: whose they are, and whether they are news. */
#include "dird/repl_int.h"

#include "dird/heads.h"
#include "dird/sync.h"
#include "dird/verify.h"

/* If the key is one of the home's, it is news of it, whatever else comes. */
static int hear_signed(struct repl_peer *p, const struct repl_session *session, struct span bytes,
		       const struct head *head)
{
	struct server *s = p->repl->server;
	struct store_txn *t;
	bool pinned = false;
	int rc = store_read_begin(s->store, &t);

	if (rc != RC_OK)
		return rc;
	rc = verify_is_pinned(t, head, &pinned);
	store_read_end(&t);
	if (pinned && !repl_session_is_own(session, &head->position.nc) &&
	    heads_heard(s->heads, bytes, head))
		sync_wake_all(s);
	return rc == RC_NOTFOUND ? RC_OK : rc;
}

int repl_hear(struct repl_peer *p, const struct repl_session *session, struct span bytes,
	      const struct head *head)
{
	if (heads_knows(p->repl->server->heads, bytes, head))
		return RC_OK;
	if (!head_is_signed(bytes, head))
		return RC_DENIED;
	return hear_signed(p, session, bytes, head);
}
