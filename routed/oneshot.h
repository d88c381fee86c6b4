/*
 * Exim's readsocket: one question in a line, one answer in a line, then the end.
 *
 * Pure. Exim hands over recipient and sender at once, so the class of a message is exact.
 *
 *   route bob@s2.example.com <ada@s1.example.com>      the sender is optional, <> the null sender
 *
 *   route HOSTS               for a manualroute router: "hub.example.com/mx", "relay::2525"
 *   rewrite ADDRESS           a domain of several sites; the recipient's address at its home site
 *   transport NAME NEXTHOP    a connector that is not SMTP
 *   local                     a recipient of this site
 *   none                      the table is complete and has no answer
 *   defer REASON              nothing certain is known, or there is no route now
 */
#pragma once

#include "routed/table.h"

#define ONESHOT_REQUEST_MAX_BYTES 16000

struct oneshot_request {
	struct span recipient;
	struct span sender;
	bool has_sender;
};

/** Cut the line at the start of `in`. RC_OK; RC_MORE; RC_TOOBIG. */
int oneshot_read(struct span in, struct span *line, size_t *used) WARN_UNUSED;

/** RC_OK; RC_INVALID: not the request above. Spans into the line. */
int oneshot_parse(struct span line, struct oneshot_request *out) WARN_UNUSED;

/**
 * Append the answer, without line end. A NULL table means that none was ever complete.
 * Returns  RC_OK; RC_MORE: a domain of several sites, or a DN encapsulated at this one: ask for the
 *          recipient's own address. RC_NOMEM.
 */
int oneshot_answer(const struct table *t, const struct oneshot_request *q, bool null_is_system,
		   struct buf *scratch, struct buf *reply) WARN_UNUSED;
