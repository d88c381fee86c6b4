/*
 * Which direct routes may be used: DNS health (M18) and dampening (M21) of each domain.
 *
 * Pure: the time is an argument, in milliseconds of a clock that never goes back. The daemon asks
 * DNS when health_due() says so and hands the verdict over; compute names the domains that would be
 * direct (health_want()); health_holds() is what compute needs to know of it all.
 *
 *              two good checks, confirm_ms apart
 *   unconfirmed ───────────────────────────────► up
 *        down   ◄─────────────────────────────── up
 *              two bad checks, or no answer for hold_ms
 */
#pragma once

#include "lib/buf.h"
#include "routed/damp.h"
#include "routed/dnscheck.h"
#include "routed/dnsview.h"
#include "routed/holds.h"

enum health_damping {
	HEALTH_DAMP_NO,
	HEALTH_DAMP_DNS, /* flips that DNS causes */
	HEALTH_DAMP_ALL, /* and those that changes of the directory cause */
};

struct health_config {
	bool check; /* ask DNS at all */
	unsigned confirm_ms, hold_ms;
	unsigned recheck_min_ms, recheck_max_ms; /* bounds of the TTL */
	enum health_damping damping;
	struct damp_config damp;
};

struct health_domain {
	struct span name; /* folded */
	bool wanted;      /* would be direct, but for what is known here */
	bool up, ever;    /* DNS allows it; a state was ever confirmed */
	bool pending;     /* the last check says something new, and waits to be confirmed */
	bool pending_good;
	bool asking;
	bool restored;                 /* by health_read_damping(), and not named since */
	uint64_t pending_ms;           /* when that check was made */
	uint64_t definite_ms;          /* last answer that says something */
	uint64_t next_ms;              /* when to ask */
	enum dnscheck_verdict verdict; /* of the last check */
	enum dnscheck_verdict known;   /* of the last definite one */
	uint32_t ttl_s;
	char target[64];    /* exchange of the last check, for people */
	bool alias;         /* an exchange of the last check is a CNAME */
	struct dnsview own; /* what the last check found, and what another resolver says */
	struct dnsview second;
	enum dnsview_difference seen;    /* between them, at the last look */
	enum dnsview_difference differs; /* as reported: seen twice in a row */
	struct damp damp;
};

struct health;

/** Nothing is known. RC_NOMEM. */
int health_new(const struct health_config *config, struct health **out) WARN_UNUSED;
void health_free(struct health **h);

/** This domain was direct before the start: it stays so until DNS says otherwise. RC_NOMEM. */
int health_seed(struct health *h, struct span domain, uint64_t now_ms) WARN_UNUSED;

/**
 * The domains that a new table wants direct, all of them. Others are forgotten once their penalty
 * is; with HEALTH_DAMP_ALL a domain that comes or goes (but for the first time) has flipped.
 * Returns  RC_OK; *changed is set if the holds are others now. RC_NOMEM.
 */
int health_want(struct health *h, const struct span *domains, size_t n, uint64_t now_ms,
		bool *changed) WARN_UNUSED;

/** A domain to ask DNS for now, marked as being asked; NULL: none is due. */
struct health_domain *health_due(struct health *h, uint64_t now_ms);

/**
 * What a check found. `random` spreads the next one.
 * Returns  true if this changes the holds.
 */
bool health_verdict(struct health *h, struct span domain, const struct dnscheck_result *r,
		    uint64_t now_ms, uint32_t random);

/**
 * What the second resolver says of the domain, right behind a check: compared with that, and never
 * a reason to change a route (M20).
 * Returns  true if there is news to report: `differs` is another one.
 */
bool health_second_view(struct health *h, struct span domain, const struct dnscheck_result *r);

/** End the suppressions whose time has come. Returns true if there was one; *domain names one. */
bool health_release(struct health *h, uint64_t now_ms, struct span *domain);

/** Milliseconds until health_due() or health_release() has something to do; DAMP_NEVER: never. */
uint64_t health_wait_ms(const struct health *h, uint64_t now_ms);

/** What compute has to know. Free *out with holds_fini(), also after an error. RC_NOMEM. */
int health_holds(const struct health *h, struct holds *out) WARN_UNUSED;

/** How often a penalty or a suppression has changed; decay is no change. */
unsigned long health_changes(const struct health *h);

/** Append what dampening has to remember, for people too: "2500000 suppressed DOMAIN", a line each.
 */
void health_write_damping(const struct health *h, uint64_t now_ms, struct buf *out);

/**
 * Take over what was written age_ms ago. A suppression whose time came meanwhile has ended.
 * Returns  RC_OK; RC_CORRUPT (the lines before the odd one count); RC_NOMEM.
 */
int health_read_damping(struct health *h, struct span lines, uint64_t age_ms,
			uint64_t now_ms) WARN_UNUSED;

/** Is DNS asked at all? */
bool health_checks(const struct health *h);

/** What is left of the domain's penalty. */
double health_penalty(const struct health *h, const struct health_domain *d, uint64_t now_ms);

/** What holds this domain back; TABLE_OK: nothing. */
enum table_reason health_reason(const struct health *h, const struct health_domain *d);

/** The domains in no certain order, borrowed until the next call that changes h. */
const struct health_domain *health_list(const struct health *h, size_t *n);
const struct health_domain *health_find(const struct health *h, struct span domain);
