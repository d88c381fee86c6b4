/*
 * What smtpd(8) of OpenSMTPD and a table process say to each other, on the process's standard
 * input.
 *
 * Pure. Two protocols, told apart by the first byte; answers to the first go to standard input,
 * too.
 *
 *   6.x to 7.5  messages of imsg: header of 16 bytes (u32 type | u16 length with it | u16 flags |
 *               u32 peer | u32 pid), in the machine's own byte order and word size; then
 *               open:           u32 version | name, NUL, padding
 *               check, lookup:  u32 service | size_t 0 | key, NUL      fetch: without the key
 *               reply:          int found | value, NUL
 *   from 7.6    lines, smtpd-tables(7):  table|0.1|TIME|NAME|lookup|SERVICE|ID|KEY
 */
#pragma once

#include "lib/buf.h"

enum smtpd_protocol { SMTPD_UNKNOWN, SMTPD_IMSG, SMTPD_LINES };

enum smtpd_request_kind {
	SMTPD_CONFIG, /* a line of the greeting that needs no answer */
	SMTPD_OPEN,
	SMTPD_CLOSE,
	SMTPD_UPDATE,
	SMTPD_CHECK,  /* is the key there? */
	SMTPD_LOOKUP, /* its value */
	SMTPD_FETCH,  /* the next value of a list */
};

/** Spans lie in the input. */
struct smtpd_request {
	enum smtpd_request_kind kind;
	struct span table; /* its name in smtpd.conf; empty where the message does not say it */
	struct span id;    /* of lines */
	struct span key;   /* of CHECK and LOOKUP */
};

enum smtpd_result { SMTPD_FOUND, SMTPD_ABSENT, SMTPD_FAILED };

#define SMTPD_REQUEST_MAX_BYTES 65535

/**
 * The request at the start of `in`. *protocol is learned from the first one.
 * Returns  RC_OK; RC_MORE; RC_INVALID: smtpd does not talk like that.
 */
int smtpd_table_read(enum smtpd_protocol *protocol, struct span in, struct smtpd_request *out,
		     size_t *used) WARN_UNUSED;

/**
 * Append the answer, if the request has one. `value` is that of a found key, or says why it failed;
 * the protocol of 6.x has no words for that.
 */
void smtpd_table_write(enum smtpd_protocol protocol, const struct smtpd_request *q,
		       enum smtpd_result result, struct span value, struct buf *out);
