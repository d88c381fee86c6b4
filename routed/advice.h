/*
 * What in sites and connectors deserves an administrator's look, though it is not malformed.
 *
 * Pure. Each piece of advice names the objects by DN, so that it can be acted on.
 */
#pragma once

#include "routed/model.h"

/*   enum                          code, as printed */
#define ADVICE_MAP(X)                                                                              \
	X(ADVICE_ADDRESS_DIFFERS, "ADDRESS_DIFFERS") /* a routing address is not the target's      \
							domain (M29) */                            \
	X(ADVICE_UNKNOWN_SITE, "UNKNOWN_SITE")       /* a connected domain of a site without       \
							object */                                  \
	X(ADVICE_FLAG_UNUSED, "FLAG_UNUSED")         /* the flag is on and makes no route          \
							direct */                                  \
	X(ADVICE_FLAG_ONE_WAY, "FLAG_ONE_WAY")       /* direct there, over the chain back */       \
	X(ADVICE_DOMAIN_TWICE, "DOMAIN_TWICE")       /* two sites have one mail domain */          \
	X(ADVICE_NO_SITE, "NO_SITE")                 /* a connector lies below no site */

enum advice_code {
#define ADVICE_ENUM(name, text) name,
	ADVICE_MAP(ADVICE_ENUM)
#undef ADVICE_ENUM
};

struct advice {
	enum advice_code code;
	struct span site;  /* name of the site it is about; n = 0: none */
	struct span dn;    /* the object to look at */
	struct span other; /* the DN of the other object; n = 0: none */
	struct span text;  /* one sentence */
};

/** "ADDRESS_DIFFERS", … . Never NULL. */
const char *advice_code_name(enum advice_code code);

/**
 * All advice about a committed model, sorted by DN, code, other DN, text. Computes the tables of
 * the sites that have the flag on somewhere.
 * Ownership: in the arena, borrowing the model. RC_NOMEM, RC_TOOBIG.
 */
int advice_of_model(const struct model *m, struct arena *a, struct advice **out,
		    size_t *n) WARN_UNUSED;

/** Order of two pieces of advice, as above; 0: the same. */
int advice_cmp(const struct advice *a, const struct advice *b);

/** Append two lines for people, or one JSON object with its line end. */
void advice_write(const struct advice *a, struct buf *out);
void advice_json(const struct advice *a, struct buf *out);
