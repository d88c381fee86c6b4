/*
 * Postfix's policy delegation protocol (SMTPD_POLICY_README): which messages keep to the connected
 * sites because of their sender.
 *
 * Pure. A transport map sees the recipient only, so a system message to a user would be routed like
 * a user's. smtpd asks here with both, in lines "name=value" and an empty one, and gets
 *
 *   system sender, recipient of another site -> FILTER transport:nexthop of the system row
 *   anything else                            -> DUNNO
 *   no table yet, or no route (R12: it waits) -> DEFER_IF_PERMIT reason
 *
 * FILTER counts for a whole message. So of one message's recipients those that want another answer
 * than the first are deferred, and their sender brings them again in a message of their own.
 */
#pragma once

#include "routed/table.h"

/** Longest request, its empty line included; Postfix sends about 1 KiB. */
#define POLICY_REQUEST_MAX_BYTES 16000

/** What counts of a request; empty: absent. Spans into the request. */
struct policy_request {
	struct span sender, recipient; /* no sender: the null sender */
	struct span instance;          /* the same for all requests about one message */
};

/** The message that a connection is about, as long as its instance stays the same. */
struct policy_message {
	struct buf instance;
	struct buf action; /* given for its first recipient; empty: none yet */
};

/**
 * Cut the request at the start of `in`: *lines without the empty line, *used with it.
 * Returns  RC_OK; RC_MORE when its end is still to come; RC_TOOBIG when it is too long for that.
 */
int policy_read(struct span in, struct span *lines, size_t *used) WARN_UNUSED;

/**
 * Read the lines of a request. Names that are unknown here are passed over, as the protocol asks.
 * Returns  RC_OK; RC_INVALID: a line without '=', a NUL byte, or another kind of request.
 */
int policy_parse(struct span lines, struct policy_request *out) WARN_UNUSED;

/**
 * Append the action for a request. A NULL table means that none was ever complete.
 * Returns  RC_OK; RC_MORE: a system message for a domain of several sites; ask for the recipient's
 *          own address and go on with policy_route(). RC_NOMEM.
 */
int policy_answer(const struct table *t, const struct policy_request *q, bool null_is_system,
		  struct buf *scratch, struct buf *action) WARN_UNUSED;

/** The action for a recipient of a system message; the same results. */
int policy_route(const struct table *t, struct span recipient, struct buf *scratch,
		 struct buf *action) WARN_UNUSED;

void policy_message_init(struct policy_message *m);
void policy_message_fini(struct policy_message *m);

/** A request of this instance came; another one than before begins a new message. */
void policy_message_begin(struct policy_message *m, struct span instance);

/** Make `action` a deferral if the message has got another one before. Failures stick to it. */
void policy_message_settle(struct policy_message *m, struct buf *action);
