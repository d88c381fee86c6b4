/*
 * One operation from its request to its result, and the table that names them all.
 *
 * dispatch -> op_<kind>.c -> op_finish(). An operation that waits (for the writer, for a slow
 * client, for the password pool, for changes to come) returns and is called again; it is found by
 * abandon, cancel and close through its connection. One id (conn, message id) follows it through
 * the log.
 */
#pragma once

#include "dird/acl.h"
#include "dird/msg.h"
#include "dird/op_control.h"
#include "dird/store.h"
#include "dird/write.h"

struct conn;
struct op_txn;
struct server;

struct op {
	struct conn *conn;
	struct server *server;
	struct arena arena; /* everything of this request; the frame is copied into it */
	struct msg msg;
	struct identity identity; /* the connection's at the time of the request */
	struct op_controls controls;
	struct result result;
	enum op_policy_error policy_error; /* for the password policy response */
	bool is_abandoned;                 /* no further message may be sent */
	bool is_endless; /* set by an operation that has no end of its own (persistent sync): a
			    stopping server cancels it first */

	/** Set by an operation that yields: go on (send queue drained, next slice). */
	void (*resume)(struct op *op);
	/** Abandon, Cancel, the end of the connection or of the server: release what is held and
	 * call op_finish() with LR_CANCELED, or op_drop(). NULL while it can not be stopped. */
	void (*cancel)(struct op *op);
	void *state;        /* the operation's own */
	struct op_txn *txn; /* with controls.in_txn: the transaction, NULL once it is over */

	/* of op.c and conn.c */
	struct op *next, *prev; /* the connection's list */
	struct op *ready_next;  /* operations that resume in the next turn */
	bool is_ready, waits_drain;
	uint64_t start_ms;
	unsigned nsent; /* entries, for the log */
};

/** Start an operation for a decoded message; takes over the arena and leaves an empty one. */
void op_start(struct conn *c, struct arena *arena, const struct msg *msg);
/** Answer a request that never becomes an operation. */
void op_refuse(struct conn *c, const struct msg *msg, enum ldap_result code, const char *why);
/** Cancel the connection's operations without an end of their own: the server stops, or, silently,
 * a bind waits. */
void op_stop_endless(struct conn *c, bool silently);
/** The outstanding operation with this message id, but not `but`; NULL. */
struct op *op_find(struct conn *c, int32_t id, const struct op *but);

/** Send op->result with controls, log one line, free the operation. */
void op_finish(struct op *op, struct span extra, const struct msg_control *controls,
	       unsigned ncontrols);
/** Shorthand: result code and text without anything else. */
void op_finish_result(struct op *op, enum ldap_result code, const char *text);
/** The same with what update, schema or a check here found. */
void op_finish_refused(struct op *op, const struct result *why);
/** A return code of our own side: logged, and 80, 51 or 52 for the client. */
void op_finish_error(struct op *op, int rc, const char *what);
/** Free without an answer (abandoned). */
void op_drop(struct op *op);
/** Answer with success; the operation is the caller's from now on, and outstanding no longer. */
void op_answer_and_keep(struct op *op);
/** The end of an operation that was kept. */
void op_free(struct op *op);

/** Send bytes of a message that was composed with msg_write_*() or entry slices. Nothing after an
 * abandon. */
int op_send(struct op *op, struct span bytes) WARN_UNUSED;
int op_sendv(struct op *op, const struct span *pieces, unsigned n) WARN_UNUSED;
/** May the operation produce more now? If not, return; resume() is called on drain. */
bool op_may_send(struct op *op);
/** Let other operations run; resume() is called in a later loop turn. */
void op_yield(struct op *op);

/* one file each */
void op_bind(struct op *op);
void op_search(struct op *op);
void op_modify(struct op *op);
void op_add(struct op *op);
void op_delete(struct op *op);
void op_moddn(struct op *op);
void op_compare(struct op *op);
void op_extended(struct op *op);

/**
 * Parse a DN of the request into the arena.
 * Returns  RC_OK; RC_REFUSED after the operation was finished with 34 and what is wrong.
 */
int op_parse_dn(struct op *op, struct span text, struct dn *out) WARN_UNUSED;

/**
 * Find the entry a request names.
 * Returns  RC_OK; RC_REFUSED with op->result filled: 32 and matchedDN, or 10 where a referral entry
 *          stands at or above the name (not with ManageDsaIT, RFC 3296 §5); else the store's error.
 */
int op_find_entry(struct op *op, struct store_txn *t, const struct dn *dn,
		  uint64_t *eid_out) WARN_UNUSED;

#define OP_OID_START_TLS "1.3.6.1.4.1.1466.20037"
#define OP_OID_WHO_AM_I "1.3.6.1.4.1.4203.1.11.3"
#define OP_OID_PASSWD "1.3.6.1.4.1.4203.1.11.1"
#define OP_OID_CANCEL "1.3.6.1.1.8"

/**
 * Which attributes a search asks for (RFC 4511 §4.5.1.8), decided once per request; shared by
 * search, content sync and read controls.
 */
struct op_selection;
int op_selection_make(struct op *op, const struct span *attrs, unsigned nattrs, bool types_only,
		      struct op_selection **out) WARN_UNUSED;
/**
 * Append the SearchResultEntry protocol operation ([APPLICATION 4] objectName, attributes) of an
 * entry as this identity may see it, computed attributes included.
 */
int op_entry_write(struct op *op, struct store_txn *t, uint64_t eid, const struct entry *e,
		   const struct op_selection *sel, struct buf *out) WARN_UNUSED;
