/* The words of a schema file (RFC 4512 §4.1): blanks, comments, brackets, names, quoted strings. */
#pragma once

#include "dird/schema_def.h"

enum schema_token {
	SCHEMA_TOKEN_END,
	SCHEMA_TOKEN_OPEN,
	SCHEMA_TOKEN_CLOSE,
	SCHEMA_TOKEN_DOLLAR,
	SCHEMA_TOKEN_WORD,
	SCHEMA_TOKEN_QUOTED
};

struct schema_lexer {
	struct schema *s;
	const char *file;
	struct buf *errors;
	struct span rest;
	unsigned line;
	enum schema_token kind;
	struct span text;    /* of a word or a quoted string */
	unsigned token_line; /* where the token begins */
	bool nomem;
};

/** To the next token. RC_INVALID: what comes is none, and was reported. */
int schema_lex(struct schema_lexer *x) WARN_UNUSED;

/** Report at the current token; RC_INVALID, so that a parser can end with it. */
int schema_lex_fail(struct schema_lexer *x, const char *what) WARN_UNUSED;
