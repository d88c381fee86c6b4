/*
 * What a mail server's question means, and the answer from one table.
 *
 * Pure. Postfix asks with the full address, its extension and the original case (transport(5)), and
 * never with the domain or its parents; so all of that happens here:
 *
 *   "User+Ext@Sub.S2.Example.COM."  ->  user@sub.s2.example.com, then the parent domains
 *   "u@bücher.example"  ->  also u@xn--bcher-kva.example
 *   "*"  "<>"  "\"<>\""  ""         ->  no address: NOTFOUND
 */
#pragma once

#include "routed/model.h"
#include "routed/table.h"

enum lookup_key_kind {
	LOOKUP_KEY_NONE,    /* wildcard or null sender */
	LOOKUP_KEY_ADDRESS, /* local@domain */
	LOOKUP_KEY_DOMAIN,  /* a domain alone */
};

struct lookup_key {
	enum lookup_key_kind kind;
	struct span full;    /* lower case, with the extension */
	struct span address; /* lower case, without it; of a domain: "postmaster@domain" */
	size_t domain_at;    /* offset of the domain in `address` */
	struct span ascii; /* `address` with A-labels, for a domain that is not ASCII; else empty */
	struct span unicode; /* `address` in UTF-8, for a domain with A-labels; else empty */
};

/**
 * Bring a key into the form that tables are asked with.
 * Ownership: the spans of *out lie in `scratch`, which is overwritten.
 * Returns  RC_OK; RC_TOOBIG past NETSTRING_KEY_MAX_BYTES; RC_INVALID for text that is no UTF-8 or
 *          holds a control byte; RC_NOMEM.
 */
int lookup_key(struct span key, struct buf *scratch, struct lookup_key *out) WARN_UNUSED;

enum lookup_verdict {
	LOOKUP_ROUTE,    /* result.row leads somewhere */
	LOOKUP_NO_ROUTE, /* the recipient's site is known, but there is no way to it */
	LOOKUP_LOCAL,    /* of this site */
	LOOKUP_SHARED,   /* of several sites; the recipient map knows more */
	LOOKUP_ABSENT,   /* nothing fits, or no address */
};

struct lookup_answer {
	enum lookup_verdict verdict;
	enum table_class cls;
	struct table_result result; /* of ROUTE and NO_ROUTE */
	struct span address;        /* the form of the key that was asked with at last */
	struct span domain; /* the domain that was asked with at last: the key's or a parent */
};

/**
 * Find the route for a key. A recipient that is a system address gets the system row (M3); `cls`
 * says so beforehand when the sender is one.
 * Returns  RC_OK, RC_INVALID, RC_NOMEM.
 */
int lookup_route(const struct table *t, const struct lookup_key *key, enum table_class cls,
		 struct lookup_answer *out) WARN_UNUSED;

/**
 * The site that `host` is of (a domain, a host, either in brackets and with a port): one whose
 * siteSmtpDomain it is, or is below. *out is empty for a host that the table knows nothing of.
 * Returns  RC_OK, RC_NOMEM.
 */
int lookup_site_of_host(const struct table *t, struct span host, struct span *out) WARN_UNUSED;

/**
 * The site that a next hop hands mail to: the one its host or domain is of, else the one the row
 * is meant for. A smart host, a domainRoute or a routing address may name another site than that.
 * *out is empty where mail leaves the organisation, or nobody knows. RC_OK, RC_NOMEM.
 */
int lookup_next_site(const struct table *t, const struct table_result *hop,
		     struct span *out) WARN_UNUSED;

/**
 * The class that a sender gives to a message (M3): a system address of any site, and the null
 * sender if `null_is_system`. `scratch` is overwritten.
 */
enum table_class lookup_sender(const struct table *t, struct span sender, bool null_is_system,
			       struct buf *scratch);

/** Append a name for people in an answer of one line: control bytes become '?'. */
void lookup_put_line(struct span name, struct buf *out);

/**
 * Every map begins like this: bring the key into form, and see that there is a table.
 * Returns  false when `reply` has got the answer already.
 */
bool lookup_begin(const struct table *t, struct span key, struct buf *scratch, struct lookup_key *k,
		  struct buf *reply);

/** Append the reply for an error of lookup_route(). */
void lookup_put_failure(int rc, struct buf *reply);

/**
 * Append the socketmap reply of the `transport` map: "OK smtp:hub.example.com", "NOTFOUND ",
 * "TEMP reason", "PERM reason". A NULL table means that none was ever complete: TEMP (M14).
 */
void lookup_transport(const struct table *t, struct span key, struct buf *scratch,
		      struct buf *reply);

/**
 * Append the reply of the `relaydomains` map: "OK domain" for the domain of one other site. Postfix
 * asks with the parents of a domain itself. A domain of several sites is no answer: some of its
 * recipients may be here.
 */
void lookup_relay_domain(const struct table *t, struct span key, struct buf *scratch,
			 struct buf *reply);

/**
 * Append the reply of the `tlspolicy` map for a next hop: "domain", "[host]", either with ":port".
 * A host below a site's domain is that site's. NOTFOUND for what is of no site or of one that
 * states nothing; TEMP for a minimum that cannot be kept (M17).
 */
void lookup_tls_policy(const struct table *t, struct span key, struct buf *scratch,
		       struct buf *reply);
