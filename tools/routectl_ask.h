/* Asking the running routed over its control socket. */
#pragma once

#include "lib/buf.h"

/**
 * Send one request line to the daemon that `config` (a routed.conf) belongs to.
 * Ownership: the reply is appended to `reply`.
 * Returns  true; false when it cannot be reached or refuses: cli_error() has said why.
 */
bool routectl_ask(const char *config, const char *line, struct buf *reply);

/** Is it an answer? "error: ..." is none: cli_error() has said it then. */
bool routectl_reply_check(struct span reply);

/** The organisation's DN from a routed.conf, to be freed with mem_free(); NULL: cli_error() has
 * said why. */
char *routectl_organisation(const char *config);
