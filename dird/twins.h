/*
 * Two processes that both say they are one site: a copied machine, or a restored one beside the
 * old (R12). Each process of a site draws an instance id and names it with its session. When a new
 * one comes, the sessions of the former are ended. One that is dead does not come back; one that is
 * alive does, and then both are refused until an administrator has chosen.
 *
 * Pure but for a mutex: from any thread.
 */
#pragma once

#include "dird/entry.h"

struct twins;

enum twins_verdict {
	TWINS_NONE,    /* known, or the first */
	TWINS_NEW,     /* takes the place of another instance: end that one's sessions */
	TWINS_BOTH,    /* two are alive: refuse them */
	TWINS_RETIRED, /* another one was chosen: refuse this one */
};

/** Control of a site's sync search: the instance (16 bytes), and 01 when it was chosen, else 00. */
#define TWINS_OID "2.25.120308962880139523094286593576329080187.3.3"
#define TWINS_VALUE_BYTES (UUID_BYTES + 1)

/** How a refusal of both begins; a site that reads it stops originating. */
#define TWINS_TEXT "two copies of this site are running"

int twins_new(struct twins **out) WARN_UNUSED;
void twins_free(struct twins **t);

/** An instance of a site begins a session. RC_NOMEM. */
int twins_seen(struct twins *t, const struct uuid *site, const struct uuid *instance,
	       bool is_chosen, enum twins_verdict *out) WARN_UNUSED;

/** May the session of this instance go on? */
bool twins_is_current(struct twins *t, const struct uuid *site, const struct uuid *instance);
