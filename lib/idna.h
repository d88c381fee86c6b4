/* Internationalized domain names (RFC 5891, UTS #46), on ICU. */
#pragma once

#include "lib/buf.h"

#define IDNA_DOMAIN_MAX_BYTES 253

/**
 * Append the A-label form of a domain in UTF-8 ("bücher.example" gives "xn--bcher-kva.example").
 * An ASCII domain comes out in lower case.
 * Errors   RC_INVALID: no domain name, or a label that IDNA does not allow. RC_TOOBIG, RC_NOMEM.
 */
int idna_to_ascii(struct span domain, struct buf *out) WARN_UNUSED;

/** The opposite: append the form in UTF-8 of a domain with A-labels. Errors as above. */
int idna_to_unicode(struct span domain, struct buf *out) WARN_UNUSED;
