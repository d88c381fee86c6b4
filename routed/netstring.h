/*
 * Netstrings, the framing of Postfix's socketmap protocol: "<length>:<bytes>,".
 *
 * Pure: bytes in, bytes out. The reader works on a growing buffer and says when it needs more, so
 * pipelined requests are read one after the other from the same bytes.
 */
#pragma once

#include "lib/buf.h"
#include "lib/span.h"

/** Limits of Postfix's own client (dict_sockmap.c of 3.12). */
#define NETSTRING_KEY_MAX_BYTES 10000
#define NETSTRING_REPLY_MAX_BYTES 100000

/** Room for a map name and the blank in front of the key. */
#define NETSTRING_REQUEST_MAX_BYTES (NETSTRING_KEY_MAX_BYTES + 128)

/** Most bytes that framing adds to a payload: six digits, colon, comma. */
#define NETSTRING_OVERHEAD_BYTES 8

/**
 * Read the netstring at the start of `in`.
 *
 * Ownership: *payload points into `in`. *used is the length of the whole frame.
 * Returns  RC_OK; RC_MORE when the frame is a valid beginning; RC_TOOBIG as soon as the length
 *          exceeds max_bytes; RC_INVALID for anything else: no digit, a leading zero, no colon, no
 *          comma behind the payload.
 */
int netstring_read(struct span in, size_t max_bytes, struct span *payload,
		   size_t *used) WARN_UNUSED;

/** Append the payload as a netstring. Failures stick to `out`. */
void netstring_write(struct buf *out, struct span payload);
