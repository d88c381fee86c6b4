/*
 * Why a recipient's mail goes where it goes, in words or as one JSON object (docs/routing.md R18).
 *
 * Pure. The decision comes from the same look-up as the live answer; the records behind it (class
 * of each connector, the flag and where it was set) come from the model, if there is one.
 */
#pragma once

#include "routed/health.h"
#include "routed/lookup.h"

struct explain_request {
	struct span recipient;
	struct span sender;   /* empty: not given */
	enum table_class cls; /* asked for; a system address makes it system anyway */
	bool json;
	const struct health *health;
	uint64_t now_ms; /* on the clock of `health` */
};

/** The meaning of a reason code in one sentence. Never NULL. */
const char *explain_reason(enum table_reason reason);

/**
 * Append the explanation, or "error: ..." for an address that is none.
 * `t` may be NULL (no table yet) and `m` may be NULL (the directory was not read since the start);
 * r->health may be NULL (nothing holds direct routes back).
 */
void explain_write(const struct table *t, const struct model *m, const struct explain_request *r,
		   struct buf *out);
