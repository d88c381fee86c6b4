/* Is the client still who it was when it bound? Looked at when something was written since. */
#include "dird/conn.h"
#include "dird/op_impl.h"

static bool has_own_pin(const struct conn *c, const struct entry *e)
{
	char pin[TLS_PIN_TEXT_BYTES];
	struct tls_peer peer;

	stream_tls_peer(c->stream, &peer);
	if (!peer.has_certificate)
		return false;
	tls_pin_write(peer.pin, pin);
	return op_entry_has_pin(e, span_of(pin));
}

static bool is_valid(const struct conn *c, const struct entry *e)
{
	switch (c->identity.kind) {
	case IDENTITY_SITE:
		return has_own_pin(c, e);
	case IDENTITY_TOKEN:
		return !op_token_is_expired(c->server, e);
	case IDENTITY_USER:
	case IDENTITY_ANONYMOUS:
	case IDENTITY_ADMIN:
		break;
	}
	return true;
}

static int look(const struct conn *c, bool *valid)
{
	struct store_txn *t;
	struct entry e;
	uint64_t eid;
	int rc = store_read_begin(c->server->store, &t);

	*valid = false;
	if (rc != 0)
		return rc;
	rc = store_by_uuid(t, &c->identity.uuid, &eid);
	if (rc == 0)
		rc = store_entry(t, eid, &e);
	if (rc == 0)
		*valid = is_valid(c, &e);
	store_read_end(&t);
	return rc == RC_NOTFOUND ? 0 : rc;
}

int op_session_check(struct conn *c)
{
	uint64_t now;
	bool valid;
	int rc;

	if (c->identity.kind == IDENTITY_ANONYMOUS || c->identity.kind == IDENTITY_ADMIN ||
	    c->stream == NULL)
		return 0;
	now = writer_commits(c->server->writer);
	if (now == c->checked_commit && c->identity.kind != IDENTITY_TOKEN)
		return 0;
	rc = look(c, &valid);
	if (rc == 0)
		c->checked_commit = now;
	if (rc == 0 && !valid)
		conn_set_nobody(c);
	return rc;
}
