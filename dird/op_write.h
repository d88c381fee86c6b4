/*
 * From a request that changes something to the writer, and back.
 */
#pragma once

#include "dird/op_impl.h"

/**
 * May this identity write? Answers the operation with 50 (or 8 for an anonymous client) if not.
 */
bool op_may_write(struct op *op);

#define OP_WRITE_MAX_CONTROLS 2
/** Of a request that was carried out: what its read controls have found. Returns how many. */
unsigned op_write_controls(const struct write_req *req,
			   struct msg_control list[static OP_WRITE_MAX_CONTROLS]);

/** A zeroed change of the operation's arena with target and actor set; NULL: answered. */
struct change *op_change_new(struct op *op, enum change_kind kind, struct span dn);

/**
 * Hash what clear text passwords the change brings (on a thread of the pool), hand it to the
 * writer, answer with its result.
 */
void op_submit(struct op *op, struct change *c);

/**
 * The same for several changes, all or none; the last one is of the entry that the request names.
 * done (may be NULL: answer with the result) gets what became of them instead of the client.
 */
void op_submit_all(struct op *op, struct change *changes, unsigned n,
		   void (*done)(struct op *op, int rc, const struct result *why));
