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
#include "dird/write.h"

struct conn;
struct server;

struct op {
	struct conn *conn;
	struct server *server;
	struct arena arena; /* everything of this request; the frame is copied into it */
	struct msg msg;
	struct identity identity; /* the connection's at the time of the request */
	struct result result;
	bool is_finished;
	bool is_abandoned; /* no further message may be sent */

	/** Set by an operation that yields: go on (send queue drained, next slice). */
	void (*resume)(struct op *op);
	/** Abandon, Cancel or the end of the connection: release what is held and call op_finish()
	 * or op_drop(). */
	void (*cancel)(struct op *op);
	void *state; /* the operation's own */

	struct op *next, *prev; /* the connection's list */
};

/** Start an operation for a decoded message; takes over msg and arena. */
void op_start(struct conn *c, struct arena *arena, const struct msg *msg);

/** Send op->result with controls, log one line, free the operation. */
void op_finish(struct op *op, struct span extra, const struct msg_control *controls,
	       unsigned ncontrols);
/** Shorthand: result code and text without anything else. */
void op_finish_result(struct op *op, enum ldap_result code, const char *text);
/** Free without an answer (abandoned). */
void op_drop(struct op *op);

/** Send bytes of a message that was composed with msg_write_*() or entry slices. Nothing after an
 * abandon. */
int op_send(struct op *op, struct span bytes) WARN_UNUSED;
int op_sendv(struct op *op, const struct span *pieces, unsigned n) WARN_UNUSED;
/** May the operation produce more now? If not, return; resume() is called on drain. */
bool op_may_send(const struct op *op);
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
