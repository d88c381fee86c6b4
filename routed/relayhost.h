/*
 * The maps for OpenSMTPD, whose table process (smtpd_main.c) asks with the name of the table.
 *
 * Pure. OpenSMTPD finds a relay by the recipient's domain alone, and it looks up the addresses of a
 * relay, never its MX. So only what is not the MX of the recipient's own domain is a relay:
 *
 *   mx:hub.example.com   for bob@s2.example.com   ->  OK smtp://hub.example.com
 *   mx:s2.example.com    for bob@s2.example.com   ->  NOTFOUND, its ordinary `relay` does that
 *   host:[relay]:2525                             ->  OK smtp://relay:2525
 */
#pragma once

#include "routed/lookup.h"

/**
 * Append the reply of the `relayhost` map, for a domain or an address: "OK URL", "NOTFOUND ",
 * "TEMP reason" where there is no route, or one that OpenSMTPD can not take (a connector that is
 * not SMTP; TLS that is more than encryption).
 */
void relayhost_answer(const struct table *t, struct span key, struct buf *scratch,
		      struct buf *reply);

/** The `systemrelayhost` map: the same for system mail; of addresses, only for system addresses. */
void relayhost_answer_system(const struct table *t, struct span key, struct buf *scratch,
			     struct buf *reply);

/** The `systemsender` map: is this a system address? "OK system", "NOTFOUND ". */
void relayhost_answer_sender(const struct table *t, struct span key, struct buf *scratch,
			     struct buf *reply);
