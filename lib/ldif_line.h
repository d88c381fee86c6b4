/* Lines of an LDIF file: joined, told apart, values decoded (RFC 2849). Shared by ldif*.c alone. */
#pragma once

#include "lib/ldif.h"

#define LDIF_BLOCK_BYTES 65536

struct ldif_reader {
	FILE *f;
	bool allow_urls;
	bool eof, begun, in_record;
	int failed; /* RC_IO, RC_NOMEM, RC_TOOBIG: there is no going on */
	unsigned long lines_read;
	struct buf line;       /* the logical line: continuation lines joined */
	unsigned long line_no; /* where it begins */
	const char *why;
	size_t at, filled;
	uint8_t block[LDIF_BLOCK_BYTES];
};

/** The next logical line that is no comment (RFC 2849, notes 2 and 3); RC_DONE at the end. */
int ldif_next_line(struct ldif_reader *r) WARN_UNUSED;
/** The next line of the record; RC_DONE behind its last. */
int ldif_next_in_record(struct ldif_reader *r) WARN_UNUSED;
/** Take the current line apart; both parts get copied into the arena. */
int ldif_split_line(struct ldif_reader *r, struct arena *a, struct span *type,
		    struct span *value) WARN_UNUSED;

/** Can it be an attribute description? */
bool ldif_is_type(struct span s);

/** Note what is wrong with the record: RC_INVALID. */
int ldif_broken(struct ldif_reader *r, const char *why) WARN_UNUSED;
/** There is no going on: RC_NOMEM. */
int ldif_no_memory(struct ldif_reader *r) WARN_UNUSED;
