/*
 * DNS checks of domains on the loop, with c-ares: the edge around dnscheck.
 *
 * Each check has a resolver of its own, so it follows /etc/resolv.conf as the mail server does, and
 * ends with all its memory. c-ares takes only answers that come from the server that was asked,
 * with the id of the question; dnsmsg compares the question itself. Built without c-ares, dns_new()
 * returns RC_UNSUPPORTED.
 */
#pragma once

#include "lib/conf.h"
#include "routed/dnscheck.h"

#include <uv.h>

struct dns_config {
	/* "address" or "address:port"; empty: resolv.conf, which a second view must not be */
	const struct conf_list *servers[2];
	const struct conf_list
		*self; /* names and addresses of the mail host beside the machine's */
};

struct dns;

enum dns_view { DNS_OWN, DNS_SECOND };

/** What a check found; `domain` as it was asked for. Spans last for the call. */
typedef void dns_handler(void *arg, struct span domain, enum dns_view view,
			 const struct dnscheck_result *r);

/** `config` is borrowed. RC_NOMEM, RC_UNSUPPORTED, RC_IO. */
int dns_new(uv_loop_t *loop, const struct dns_config *config, dns_handler *handler, void *arg,
	    struct dns **out) WARN_UNUSED;

/** End all checks without a word, then free; NULL is fine. */
void dns_close(struct dns **d);

/** Begin a check of a folded domain; the handler is called later. RC_NOMEM, RC_IO. */
int dns_check(struct dns *d, struct span domain, enum dns_view view) WARN_UNUSED;

/** Checks that run. */
unsigned dns_running(const struct dns *d);
