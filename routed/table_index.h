/* What makes lookups in a table fast; derived from its rows. Private to table*.c. */
#pragma once

#include "routed/map.h"
#include "routed/table.h"

/* An SMTP address space with a wildcard. */
struct table_wild {
	struct span folded;
	unsigned literals;
	uint32_t row;
};

struct table_spaces {
	struct map exact;         /* folded pattern without wildcards -> row */
	struct table_wild *wilds; /* the others, best match first: a place is a rank */
	uint32_t nwilds;
	struct map suffix;    /* what follows the only `*`, which leads -> rank */
	size_t *suffix_bytes; /* lengths that occur in suffix, longest first */
	size_t nsuffix_bytes;
	uint32_t *general; /* ranks of all other wildcards, best first */
	uint32_t ngeneral;
	uint32_t blank; /* row of the blank pattern, TABLE_NONE */
};

struct table_index {
	struct table_spaces classes[TABLE_CLASSES];
	struct map domains; /* folded -> index into table->domains */
	struct map systems; /* folded -> 1 */
};

/** NULL is fine. The index itself lies in the table's arena, its maps do not. */
void table_index_fini(struct table_index *index);
