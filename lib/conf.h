/*
 * Configuration files: one `keyword value...` per line, `#` comments, "quoted words".
 *
 * A program gives a table of keywords; each unknown, repeated or malformed line is an error that
 * names file and line. All errors of a file are reported, not only the first.
 */
#pragma once

#include "lib/arena.h"
#include "lib/buf.h"

enum conf_type {
	CONF_STRING,  /* target: const char **, in the arena */
	CONF_STRINGS, /* target: struct conf_list *, the keyword may be repeated */
	CONF_PATH,    /* target: const char **; relative to the folder of the file */
	CONF_PATHS,   /* target: struct conf_list *, like both */
	CONF_BOOL,    /* target: bool *; yes no true false on off */
	CONF_UINT,    /* target: unsigned *; within min..max */
	CONF_MS,      /* target: unsigned *, milliseconds; "200ms", "2s", "5min", "1h" */
	CONF_SECONDS, /* target: unsigned *, seconds; "1s", "5min", "1h", "60d" */
	CONF_BYTES,   /* target: size_t *; "64k", "16M", "1G" */
};

struct conf_list {
	const char **items;
	unsigned n;
};

struct conf_key {
	const char *name;
	enum conf_type type;
	void *target; /* keeps its default when the keyword is absent */
	unsigned long min,
		max; /* of CONF_UINT, CONF_MS, CONF_SECONDS, CONF_BYTES; max 0 = no bound */
	bool required;
	const char *help; /* one line for --help-config */
};

/**
 * Syntax: words are separated by blanks; `#` at the start of a word begins a comment; a word that
 * holds blanks or `#` is put in double quotes, in which `\\` and `\"` stand for `\` and `"`.
 * CONF_STRINGS and CONF_PATHS take one or more words, all others exactly one.
 *
 * A key named "*" makes a reader take only the other keys and pass over unknown keywords; that is
 * for tools that want a few facts out of a daemon's file.
 *
 * Read `path` into the targets of `keys` (ended by a NULL name).
 * Ownership: strings live in the arena.
 * Returns  RC_OK, RC_INVALID with one "file:line: what is wrong" line each in `errors`,
 * RC_NOTFOUND, RC_DENIED, RC_IO (also worded in `errors`), RC_NOMEM.
 */
int conf_read(const char *path, struct arena *a, const struct conf_key *keys,
	      struct buf *errors) WARN_UNUSED;

/** The same for text that is already in memory; `path` is used in messages and for CONF_PATH. */
int conf_parse(struct span text, const char *path, struct arena *a, const struct conf_key *keys,
	       struct buf *errors) WARN_UNUSED;

/** Append one line a keyword: name, kind of value, help. For --help of a daemon. */
void conf_describe(const struct conf_key *keys, struct buf *out);
