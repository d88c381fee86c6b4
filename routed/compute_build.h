/* Collects the parts of a table while compute finds them. Private to compute. */
#pragma once

#include "routed/table.h"

struct build {
	struct buf rows;    /* struct table_row */
	struct buf steps;   /* struct table_step */
	struct buf domains; /* struct table_domain */
	struct buf pins;    /* struct table_pin */
	struct buf systems; /* uint32_t */
	struct buf texts;   /* struct span, in table->arena */
	uint8_t *at;        /* where the bytes of the next text go */
	size_t left;
	struct table *table;
};

/** Room for `rows` rows to begin with. RC_NOMEM. build_fini() is needed in any case. */
int build_init(struct build *b, size_t rows) WARN_UNUSED;
void build_fini(struct build *b);

/** The number of a new text, the parts joined. Out of memory sticks, until build_finish(). */
uint32_t build_text(struct build *b, struct span head, struct span tail);

/** The bytes of a text. */
struct span build_bytes(const struct build *b, uint32_t text);

/** Bytes for build_alias(), the parts joined; .p = NULL without memory. */
struct span build_joined(struct build *b, struct span head, struct span tail);

/** A text whose bytes are part of another one's. */
uint32_t build_alias(struct build *b, struct span bytes);

/** The same as build_text() for "site/connector". */
uint32_t build_element(struct build *b, struct span site, struct span connector);

void build_row(struct build *b, const struct table_row *row);
uint32_t build_step(struct build *b, uint32_t parent, uint32_t name);
uint32_t build_nrows(const struct build *b);

/** The table with everything in it, indexed; `domains` goes to table_index(). RC_NOMEM. */
int build_finish(struct build *b, uint32_t site, struct map *domains,
		 struct table **out) WARN_UNUSED;
