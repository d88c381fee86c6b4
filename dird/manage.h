/*
 * What an administrator's tool may ask a running dird to do at once, with one extended operation.
 *
 *   requestValue   text: a verb, and for some verbs a space and an argument
 *   "retry-quarantine"      try again what could not be applied
 *   "sync-now [PARTNER]"    attempt links now, whatever their schedule and backoff say
 *   "take-over"             of two processes that run as this site, this one is to go on
 *
 * For the administrator only. The answer is an LDAP result; its text says what was done.
 */
#pragma once

#define MANAGE_OID "2.25.120308962880139523094286593576329080187.3.2"

#define MANAGE_RETRY_QUARANTINE "retry-quarantine"
#define MANAGE_SYNC_NOW "sync-now"
#define MANAGE_TAKE_OVER "take-over"

struct op;

/** The extended operation. */
void op_manage(struct op *op);
