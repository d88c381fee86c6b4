/*
 * By which value an entry is sorted (RFC 2891 §1.1): of the values of a type and its subtypes the
 * least one, in normal form. Pure.
 */
#pragma once

#include "dird/schema.h"

/** Where to look for the least value; `best` is it when `has` is set. */
struct order_least {
	const struct schema *schema;
	enum schema_norm norm;
	struct buf now, best;
	bool has;
};

void order_init(struct order_least *l, const struct schema *schema);
void order_fini(struct order_least *l);

/** Begin anew, with another rule. */
void order_begin(struct order_least *l, enum schema_norm norm);
/** Look at one value; what is not of the rule's syntax is passed over. */
void order_value(struct order_least *l, struct span value);
/** Look at all stored values of a type and its subtypes. */
void order_entry(struct order_least *l, const struct schema_attr *at, const struct entry *e);
