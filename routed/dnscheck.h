/*
 * Is a domain fit for direct mail? The questions to ask DNS, and what the answers amount to.
 *
 * Pure. The rules are those a mail server applies (RFC 5321 §5.1, RFC 7505), so that a route that
 * passes does not bounce:
 *
 *   MX of the domain ──► A, AAAA of each exchange          without an MX: A, AAAA of the domain
 *
 *   dnscheck_init(); while questions remain: ask, dnscheck_answer(); dnscheck_result()
 */
#pragma once

#include "routed/dnsmsg.h"

#define DNSCHECK_TARGETS_MAX 16 /* exchanges that are looked at, the most preferred ones */

/*   enum                    text, as printed */
#define DNSCHECK_MAP(X)                                                                            \
	X(DNSCHECK_NONE, "UNCHECKED")                                                              \
	X(DNSCHECK_GOOD, "GOOD")                                                                   \
	X(DNSCHECK_NO_ANSWER, "NO_ANSWER")     /* SERVFAIL, time-out: nothing is known */          \
	X(DNSCHECK_NO_DOMAIN, "NO_DOMAIN")     /* NXDOMAIN */                                      \
	X(DNSCHECK_NULL_MX, "NULL_MX")         /* RFC 7505 */                                      \
	X(DNSCHECK_NO_ADDRESS, "NO_ADDRESS")   /* no exchange has one */                           \
	X(DNSCHECK_BAD_ADDRESS, "BAD_ADDRESS") /* loopback, unspecified, multicast */              \
	X(DNSCHECK_OWN_HOST, "OWN_HOST")       /* mail would loop back */

enum dnscheck_verdict {
#define DNSCHECK_ENUM(name, text) name,
	DNSCHECK_MAP(DNSCHECK_ENUM)
#undef DNSCHECK_ENUM
};

/** Names (lower case) and addresses (16 bytes, IPv4 mapped) of the own mail host. */
struct dnscheck_self {
	const struct span *names;
	unsigned nnames;
	const uint8_t (*addresses)[16];
	unsigned naddresses;
};

struct dnscheck_target {
	struct span name;
	unsigned preference;
	unsigned asked, answered; /* bits: 1 A, 2 AAAA */
	bool address, doubtful, unusable, own, alias;
};

struct dnscheck {
	const struct dnscheck_self *self;
	struct arena arena;
	struct span domain;
	bool mx_asked;
	enum dnscheck_verdict early; /* decided without the targets; DNSCHECK_NONE: not */
	struct dnscheck_target targets[DNSCHECK_TARGETS_MAX];
	unsigned ntargets;
	bool implicit;      /* the target is the domain itself */
	uint32_t ttl_s;     /* least of all answers */
	uint64_t addresses; /* sum of their checksums: the order does not matter */
};

struct dnscheck_question {
	unsigned target; /* private */
	struct span name;
	enum dnsmsg_type type;
};

struct dnscheck_result {
	enum dnscheck_verdict verdict;
	uint32_t ttl_s;
	struct span alias; /* an exchange that is a CNAME, which RFC 5321 §5.1 forbids; or empty */
	struct span target; /* the first exchange, or the one that is to blame; or empty */
	/* Digests of the exchanges with their preferences and of all addresses, whatever their
	 * order. */
	uint64_t exchanges, addresses;
	bool partial; /* some address was not answered */
};

/** "GOOD", "NULL_MX", ... Never NULL. */
const char *dnscheck_text(enum dnscheck_verdict v);

/** The domain (A-labels) and `self` are borrowed. */
void dnscheck_init(struct dnscheck *c, struct span domain, const struct dnscheck_self *self);
void dnscheck_fini(struct dnscheck *c);

/** The next question; false: none now, though answers may bring more. */
bool dnscheck_ask(struct dnscheck *c, struct dnscheck_question *out);

/** The answer to a question; NULL: there was none, or one that says nothing. RC_NOMEM. */
int dnscheck_answer(struct dnscheck *c, const struct dnscheck_question *q,
		    const struct dnsmsg *answer) WARN_UNUSED;

/** When every question has its answer. The spans are the check's. */
void dnscheck_result(const struct dnscheck *c, struct dnscheck_result *out);
