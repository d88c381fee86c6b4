/*
 * A distinguished name as the local part of a mail address: the IMCEA encapsulation of address type
 * EX ([MS-OXCMAIL] §2.1.3.1.8), for recipients without an address at their site's own domain
 * (docs/routing.md R10).
 *
 * Pure. RDNs come root first, each behind a '_'; within one, what is no letter, digit, '-' or '='
 * is '+' and two hex digits, so that any DN passes any mail server, and none can inject anything:
 *
 *   cn=Ada Hill,ou=S2,o=Example  <->  IMCEAEX-_o=Example_ou=S2_cn=Ada+20Hill
 */
#pragma once

#include "lib/arena.h"
#include "lib/buf.h"

/**
 * A path of SMTP has 256 octets with its angle brackets (RFC 5321 §4.5.3.1.3). A local part may be
 * longer than 64 octets: of such addresses §4.5.3.1 says so.
 */
#define ENCAP_ADDRESS_MAX_BYTES 254

/**
 * Append the address of `dn` at `domain`.
 * Returns  RC_OK; RC_INVALID: the DN is none, or empty; RC_TOOBIG: longer than
 *          ENCAP_ADDRESS_MAX_BYTES, nothing is appended; RC_NOMEM.
 */
int encap_write(struct span dn, struct span domain, struct buf *out) WARN_UNUSED;

/** Has the address or local part the form of an encapsulated DN? In any case of letters: mail
 * servers may fold it, and look-ups do. */
bool encap_is(struct span address);

/**
 * The DN, as RFC 4514 text, in a local part for which encap_is() is true.
 * Ownership: in the arena. RC_INVALID: it holds none. RC_NOMEM.
 */
int encap_read(struct arena *a, struct span local, struct span *dn) WARN_UNUSED;
