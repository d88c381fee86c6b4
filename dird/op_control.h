/*
 * The controls of a request: which there are, to which operations they belong, what they ask.
 *
 * One table (op_control.c) is what a request is checked against and what the root DSE advertises.
 * Values are read into struct op_controls before the operation runs.
 */
#pragma once

#include "dird/acl.h"
#include "dird/msg.h"

struct op;
struct op_selection;
struct op_sort;
struct op_vlv;
struct op_psearch;

#define OP_OID_MANAGE_DSA_IT "2.16.840.1.113730.3.4.2"
#define OP_OID_PAGED "1.2.840.113556.1.4.319"
#define OP_OID_ASSERTION "1.3.6.1.1.12"
#define OP_OID_PRE_READ "1.3.6.1.1.13.1"
#define OP_OID_POST_READ "1.3.6.1.1.13.2"
#define OP_OID_PERMISSIVE "1.2.840.113556.1.4.1413"
#define OP_OID_NO_OP "1.3.6.1.4.1.4203.1.10.2"
#define OP_OID_RELAX "1.3.6.1.4.1.4203.666.5.12"
#define OP_OID_TREE_DELETE "1.2.840.113556.1.4.805"
#define OP_OID_DOMAIN_SCOPE "1.2.840.113556.1.4.1339"
#define OP_OID_PROXY "2.16.840.1.113730.3.4.18"
#define OP_OID_SESSION_TRACKING "1.3.6.1.4.1.21008.108.63.1"
#define OP_OID_PSEARCH "2.16.840.1.113730.3.4.3"
#define OP_OID_ENTRY_CHANGE "2.16.840.1.113730.3.4.7"
#define OP_OID_PASSWORD_POLICY "1.3.6.1.4.1.42.2.27.8.5.1"
#define OP_OID_TXN "1.3.6.1.1.21.2"
#define OP_OID_SUBENTRIES "1.3.6.1.4.1.4203.1.10.1"

#define OP_OID_DONT_USE_COPY "1.3.6.1.1.22"
#define OP_OID_SORT "1.2.840.113556.1.4.473"
#define OP_OID_SORT_RESPONSE "1.2.840.113556.1.4.474"
#define OP_OID_VLV "2.16.840.1.113730.3.4.9"
#define OP_OID_VLV_RESPONSE "2.16.840.1.113730.3.4.10"
#define OP_OID_VALUES "1.2.826.0.1.3344810.2.3"

/** Which entries a search sees (RFC 3672 §3). */
enum op_subentries {
	OP_SUBENTRIES_HIDDEN, /* no control: in a base search only */
	OP_SUBENTRIES_ONLY,   /* TRUE */
	OP_SUBENTRIES_NONE,   /* FALSE: not even there */
};

/** What a password policy response can say here (draft-behera-ldap-password-policy-10 §6.2). */
enum op_policy_error {
	OP_POLICY_FINE = -1,
	OP_POLICY_MOD_NOT_ALLOWED = 3,
	OP_POLICY_QUALITY = 5,
	OP_POLICY_TOO_SHORT = 6,
};

struct op_controls {
	bool manage_dsa_it; /* RFC 3296 */
	bool permissive;    /* what is there may be added, what is not may be deleted */
	bool no_op;         /* everything but the change */
	bool relax;         /* operational attributes may be given (administrators) */
	bool tree_delete;
	bool domain_scope; /* no continuation references */
	bool has_proxy;
	bool dont_use_copy;   /* RFC 6171 */
	bool in_txn;          /* RFC 5805: see op->txn */
	bool password_policy; /* a response is asked for */
	struct span session;  /* session tracking, for the log; empty: none */
	enum op_subentries subentries;
	struct filter *assertion;                  /* RFC 4528; NULL: none */
	struct op_selection *pre_read, *post_read; /* RFC 4527; NULL: not asked for */
	struct op_sort *sort;                      /* RFC 2891; NULL: not asked for */
	struct op_vlv *vlv;         /* a window into a sorted answer; NULL: all of it */
	struct op_psearch *psearch; /* NULL: the search ends */
	struct filter **values;     /* RFC 3876: only values that match one of these; NULL: all */
	unsigned nvalues;
};

/**
 * Check the controls of a request and read those that are known (RFC 4511 §4.1.11).
 * Returns  RC_OK with op->controls filled; RC_REFUSED with op->result: 12 for an unknown critical
 *          control, 2 for a malformed or repeated one, 123, 50 ...; else our own error.
 */
int op_controls_read(struct op *op) WARN_UNUSED;

#define OP_CONTROLS_MAX 32
/** The OIDs of the table with a NULL behind them: for the root DSE. */
void op_controls_known(const char *out[static OP_CONTROLS_MAX + 1]);

/** Decode a whole value with this tag, nothing behind it. RC_INVALID. */
int op_control_body(const struct msg_control *c, uint8_t tag, struct span *body_out) WARN_UNUSED;

/* one reader each; errors as op_controls_read() */
int op_control_assertion(struct op *op, const struct msg_control *c) WARN_UNUSED;
int op_control_pre_read(struct op *op, const struct msg_control *c) WARN_UNUSED;
int op_control_post_read(struct op *op, const struct msg_control *c) WARN_UNUSED;
int op_control_proxy(struct op *op, const struct msg_control *c) WARN_UNUSED;
int op_control_sort(struct op *op, const struct msg_control *c) WARN_UNUSED;
int op_control_vlv(struct op *op, const struct msg_control *c) WARN_UNUSED;
int op_control_values(struct op *op, const struct msg_control *c) WARN_UNUSED;
int op_control_psearch(struct op *op, const struct msg_control *c) WARN_UNUSED;
int op_control_txn(struct op *op, const struct msg_control *c) WARN_UNUSED;
int op_control_subentries(struct op *op, const struct msg_control *c) WARN_UNUSED;
