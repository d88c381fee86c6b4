/*
 * Recipients of shared domains, and of addresses that encapsulate a DN, looked up in the global
 * address list.
 *
 * Mail for a domain that several sites share goes to the recipient's home site at the domain that
 * is that site's alone (docs/routing.md R10, home.h, encap.h). The search runs on a thread with a
 * session of its own; callers on the loop never wait. Answers are kept for a short while in a
 * bounded cache. Whenever the directory does not say it clearly, the answer is TEMP.
 */
#pragma once

#include "lib/buf.h"
#include "routed/session.h"

#include <uv.h>

struct gal_config {
	struct session_config session;
	const char *base;     /* root of the organisation */
	unsigned keep_ms;     /* lifetime of an answer */
	unsigned patience_ms; /* a caller gets TEMP after that long */
	unsigned max_entries; /* of the cache */
};

struct gal_question {
	struct span address; /* lower case */
	struct span dn;      /* that the address encapsulates; n = 0: none */
};

/** Exactly one recipient fits the question. */
struct gal_finding {
	bool by_dn;
	struct span dn;
	const struct span *values; /* proxyAddresses and mail */
	unsigned nvalues;
};

/** Loop side: turn what was found into a socketmap reply. RC_OK, RC_BUSY: ask again with
 * gal_decide(), or an error = TEMP. */
typedef int gal_resolve(void *arg, const struct gal_finding *found, struct buf *reply);

struct gal_entry;

/** A local part has at most 64 octets (RFC 5321 §4.5.3.1.1). */
#define GAL_EXTENSION_MAX_BYTES 64

/** One question of a caller; embedded in the caller, zeroed before use. */
struct gal_request {
	void (*on_reply)(struct gal_request *r,
			 struct span reply);        /* from the loop, at most once */
	void *data;                                 /* of the caller */
	uint8_t extension[GAL_EXTENSION_MAX_BYTES]; /* "+tag", put into the address that is found */
	size_t extension_n;
	struct gal_entry *entry; /* private */
	struct gal_request *next;
};

struct gal_stats {
	unsigned long asked, from_cache, searched, doubtful;
	unsigned cached;
};

struct gal;

/** Start the thread. Strings of `config` are borrowed. RC_NOMEM, RC_IO. */
int gal_new(uv_loop_t *loop, const struct gal_config *config, gal_resolve *resolve, void *arg,
	    struct gal **out) WARN_UNUSED;

/** Stop and join the thread, then call on_closed. Open requests get no reply. */
void gal_close(struct gal **g, void (*on_closed)(void *arg), void *arg);

/**
 * Ask for a recipient.
 * Returns  RC_OK with the reply appended: it was known. RC_MORE: on_reply follows, unless
 *          gal_cancel() comes first. RC_FULL: too many questions wait. RC_NOMEM.
 */
int gal_lookup(struct gal *g, const struct gal_question *q, struct gal_request *r,
	       struct buf *reply) WARN_UNUSED;

/** The caller goes away. Harmless after the reply. */
void gal_cancel(struct gal_request *r);

/** The resolver can judge now what it was busy for. */
void gal_decide(struct gal *g);

/** Forget all answers: the model changed. */
void gal_forget(struct gal *g);

/** Loop timer: TEMP for callers that waited too long, and the watchdog of the thread. */
void gal_tick(struct gal *g, uint64_t now_ms);

void gal_get_stats(const struct gal *g, struct gal_stats *out);
