/*
 * Transactions (RFC 5805): updates that wait on their connection until the client ends the
 * transaction, and then go to the writer as one request, all or none.
 *
 * An update that was taken is answered at once and leaves the connection's list; its operation,
 * with its memory, belongs to the transaction from then on. Nothing is locked meanwhile: each
 * update finds the entries as they are when the transaction ends.
 */
#pragma once

#include "dird/op_impl.h"

#define OP_TXN_MAX_UPDATES 1000
#define OP_TXN_MAX_BYTES (16u * 1024 * 1024) /* of requests */

#define OP_OID_TXN_START "1.3.6.1.1.21.1"
#define OP_OID_TXN_END "1.3.6.1.1.21.3"
#define OP_OID_TXN_ABORTED "1.3.6.1.1.21.4"

/** The two extended operations. */
void op_txn_start(struct op *op);
void op_txn_end(struct op *op);

/**
 * An update with the control enters the transaction; its place is that of its request. false: the
 * operation was answered, and the transaction is over.
 */
bool op_txn_join(struct op *op);
/** Its changes are ready to be written: answers, and takes the operation over. */
void op_txn_take(struct op *op, struct write_req *req);
/** Without a word to the client: a bind, the end of the connection. */
void op_txn_forget(struct conn *c);
/** An update of the transaction was refused: over, with a notice. */
void op_txn_abort(struct op *op);
