/*
 * Positions in the form that OpenLDAP's slapd understands: CSN values, and cookies made of them.
 *
 *   CSN     YYYYMMDDhhmmss.uuuuuuZ#cccccc#sss#mmmmmm
 *           the minute is the epoch, with 28 days a month; its seconds count units of 2^24 changes,
 *           cccccc (hex) the changes of the last unit: together the usn. So CSNs of a context are
 *           ordered as text, which is all that slapd asks of them. sss (hex) tells contexts apart,
 *           mmmmmm (hex) is a check.
 *   cookie  rid=NNN[,sid=SSS][,csn=CSN[;CSN]...]
 *
 * slapd keeps the newest CSN of each sid, and nothing else of a cookie. Pure: no I/O, no memory.
 */
#pragma once

#include "lib/buf.h"

#define CSN_BYTES 40
#define CSN_SIDS 4096
#define CSN_CHECK_GONE 0xffffffu /* the context does not exist any more; see sync_openldap.c */

struct csn {
	uint32_t epoch;
	uint64_t usn;
	unsigned sid;   /* below CSN_SIDS */
	uint32_t check; /* 24 bits */
};

/** Append the text. RC_UNSUPPORTED: a usn of 2^50, or so. */
int csn_write(const struct csn *c, struct buf *out) WARN_UNUSED;
/** RC_INVALID for anything csn_write() does not write. */
int csn_read(struct span text, struct csn *out) WARN_UNUSED;

/**
 * Does a sync cookie come from slapd? Then *rid_out is its "rid=NNN", and *csns_out what
 * csn_cookie_next() takes one by one.
 */
bool csn_cookie_read(struct span cookie, struct span *rid_out, struct span *csns_out);
/** The next CSN of a cookie; false at the end. RC_INVALID in *rc_out: it is none of ours. */
bool csn_cookie_next(struct span *csns, struct csn *out, int *rc_out);
