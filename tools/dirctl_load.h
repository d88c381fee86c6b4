/* What the files of dirctl load share: batches of records that are read ahead. */
#pragma once

#include "dird/gram.h"
#include "dird/update.h"
#include "lib/ldif.h"
#include "tools/dirctl.h"

/* Large, because a commit writes most pages of the tree: its keys are spread all over it. And as
 * many as whole blocks of the n-gram index have, for these are written anew when more is added. */
#define LOAD_BATCH_RECORDS (2 * GRAM_BLOCK_ENTRIES)

struct load_record {
	unsigned long line;
	struct span dn;
	const char *what, *why; /* why it is no change: what NULL, it is not even a record; why
				   NULL: it is one */
	bool is_new;
	struct change change;
};

/** Kept until they are in, since a transaction is repeated when the map has grown. */
struct load_batch {
	struct arena arena;
	struct load_record *records[LOAD_BATCH_RECORDS];
	unsigned n;
	int rc; /* behind these: RC_OK, there are more; RC_DONE; an error at `line` */
	unsigned long line;
};

struct load_reader {
	struct ldif_reader *ldif;
	struct update_context ctx;
	struct span actor;
};

/** Forget what the batch has, and read up to `most` records. One thread at a time. */
void load_read(struct load_reader *l, struct load_batch *b, unsigned most);

/** Random bytes for update_context; any thread. */
int load_random(void *p, size_t n);
