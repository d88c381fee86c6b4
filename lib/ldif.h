/*
 * LDIF content and change records (RFC 2849).
 *
 * The reader pulls lines from a callback, so a file of any size is read in bounded memory. A broken
 * record is reported with its line and skipped; the reader goes on with the next one.
 */
#pragma once

#include "lib/arena.h"
#include "lib/buf.h"

#include <stdio.h>

#define LDIF_VALUE_MAX_BYTES (16u * 1024 * 1024)

enum ldif_kind {
	LDIF_CONTENT, /* no changetype line */
	LDIF_ADD,
	LDIF_DELETE,
	LDIF_MODIFY,
	LDIF_MODRDN,
};

/** One attribute description with its values in file order; for LDIF_MODIFY one change. */
struct ldif_attr {
	enum ldif_op { LDIF_OP_ADD, LDIF_OP_DELETE, LDIF_OP_REPLACE, LDIF_OP_INCREMENT } op;
	struct span type; /* with options, as written */
	struct span *values;
	unsigned nvalues;
};

struct ldif_record {
	enum ldif_kind kind;
	unsigned long line; /* of the dn: line, 1-based */
	struct span dn;
	struct ldif_attr *attrs; /* content, add: types merged in order of first appearance */
	unsigned nattrs;
	struct span newrdn; /* LDIF_MODRDN */
	bool deleteoldrdn;
	bool has_newsuperior;
	struct span newsuperior;
};

struct ldif_reader;

/** Read from `f`, which stays the caller's. file: URLs in values (`<`) are read only if allowed. */
int ldif_reader_new(FILE *f, bool allow_urls, struct ldif_reader **out) WARN_UNUSED;
void ldif_reader_free(struct ldif_reader **r);

/**
 * The next record, in the arena (which the caller clears between records).
 * Returns  RC_OK, RC_DONE at the end, RC_INVALID for a broken record: *why names what is wrong and
 *          *line (may be NULL) where; call again to go on behind it. RC_IO, RC_NOMEM, RC_TOOBIG
 *          end it.
 */
int ldif_read(struct ldif_reader *r, struct arena *a, struct ldif_record *out, unsigned long *line,
	      const char **why) WARN_UNUSED;

/** Append "type: value" or "type:: base64", folded at 76 columns, with the line end. */
void ldif_write_attr(struct buf *out, struct span type, struct span value);
