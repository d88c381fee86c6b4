/*
 * Reading a DNS answer (RFC 1035 §4).
 *
 * Pure. Takes only what answers the question that was asked: the question section must repeat it,
 * and records count when their owner is the name asked for or what its CNAMEs lead to.
 */
#pragma once

#include "lib/arena.h"
#include "lib/rc.h"

#define DNSMSG_NAME_MAX_BYTES 255 /* RFC 1035 §3.1 */

enum dnsmsg_type {
	DNSMSG_A = 1,
	DNSMSG_CNAME = 5,
	DNSMSG_SOA = 6,
	DNSMSG_MX = 15,
	DNSMSG_AAAA = 28
};

enum dnsmsg_rcode { DNSMSG_NOERROR = 0, DNSMSG_SERVFAIL = 2, DNSMSG_NXDOMAIN = 3 };

struct dnsmsg_record {
	unsigned preference;  /* of an MX */
	struct span exchange; /* of an MX, lower case, without the last dot; empty: the root */
	uint8_t address[16];  /* of an A (first 4 bytes) or AAAA */
};

struct dnsmsg {
	unsigned rcode;
	bool truncated;
	bool alias; /* the name asked for is a CNAME */
	struct dnsmsg_record *records;
	unsigned n;
	uint32_t
		ttl_s; /* least of what was used; without records the SOA's (RFC 2308 §5), else 0 */
};

/**
 * Read the answer to the question (name, type).
 * Ownership: everything lies in the arena.
 * Returns  RC_OK; RC_INVALID: malformed, or no answer to that question; RC_NOMEM.
 */
int dnsmsg_read(struct span message, struct span name, enum dnsmsg_type type, struct arena *a,
		struct dnsmsg *out) WARN_UNUSED;
