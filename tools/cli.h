/*
 * What the command line tools have in common: verbs, options, --help, errors, tables, JSON,
 * progress.
 *
 * Exit status of every tool: 0 all done, 1 something could not be done, 2 wrong usage. Results go
 * to stdout; errors, notes and progress go to stderr.
 */
#pragma once

#include "lib/buf.h"
#include "lib/clock.h"

#define CLI_DONE 0
#define CLI_FAILED 1
#define CLI_USAGE 2

/* --- verbs --- */

struct cli_verb {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is the verb; returns the exit status */
	const char *summary;               /* one line for the list of verbs */
};

struct cli_tool {
	const char *name;             /* "galctl" */
	const char *summary;          /* one line: what the tool is for */
	const struct cli_verb *verbs; /* ended by a NULL name */
	const char *examples;         /* lines for the end of --help; may be NULL */
};

/**
 * Run the verb that argv[1] names; print help or what is wrong. Nested verbs ("connector add") use
 * it again, with the outer verb as tool: .name = "sitectl connector". Returns  the exit status.
 */
int cli_run(const struct cli_tool *tool, int argc, char **argv);

/* --- options of one verb --- */

enum cli_opt_type {
	CLI_FLAG, /* bool *: given or not */
	CLI_TEXT, /* const char ** */
	CLI_LIST, /* struct cli_list *: may be repeated */
	CLI_UINT, /* unsigned * */
};

#define CLI_LIST_MAX 64

struct cli_list {
	const char *items[CLI_LIST_MAX];
	unsigned n;
};

struct cli_opt {
	const char *name; /* without the dashes */
	char letter;      /* short form, 0 for none */
	enum cli_opt_type type;
	void *target;      /* keeps its default when the option is not given */
	const char *value; /* name of the value in the help, e.g. "FILE" */
	const char *help;
	bool required;
};

struct cli_usage {
	const char *command;        /* "sitectl connector set" */
	const char *args;           /* "NAME ATTRIBUTE=VALUE..."; "" for none */
	const char *summary;        /* what the verb does; sentences, may have several lines */
	const struct cli_opt *opts; /* ended by a NULL name */
	const char *examples;       /* may be NULL */
	int min_args, max_args;     /* words that are no options; max -1 = any number */
};

/**
 * Parse options (also behind and between arguments; "--" ends them). --help is always there.
 * Returns  true: go on, argv[*first..] are the arguments. false: leave with *status, all is said.
 */
bool cli_parse(const struct cli_usage *u, int argc, char **argv, int *first, int *status);

/* --- messages --- */

/** "sitectl connector set: what failed and where" on stderr; the command is what cli_parse saw
 * last. */
void cli_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** What every error names first from now on, e.g. "people.ldif:12: "; "" ends it. */
void cli_context(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** A further line under an error: what to do about it. */
void cli_hint(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** Something worth knowing that is no error, on stderr. */
void cli_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* --- tables and JSON --- */

enum cli_column_type {
	CLI_COL_TEXT,
	CLI_COL_NUMBER, /* right-aligned; a bare number in JSON */
	CLI_COL_BOOL,   /* cells "TRUE" and "FALSE"; yes and no in a table */
	CLI_COL_LIST,   /* cells of lines; an array in JSON */
};

struct cli_column {
	const char *title; /* in the table, e.g. "COST" */
	const char *key;   /* in JSON, e.g. "cost" */
	enum cli_column_type type;
};

struct cli_table;

/** A table of rows, or with json one JSON object a line. columns end with a NULL title. */
int cli_table_new(const struct cli_column *columns, bool json, struct cli_table **out) WARN_UNUSED;
void cli_table_free(struct cli_table **t);

/** Add a row: a cell a column, copied; NULL = no value ("-" in a table, null in JSON). */
int cli_table_add(struct cli_table *t, const char *const *cells) WARN_UNUSED;

/** Write all of it to stdout; long columns are cut to the terminal's width, never in a pipe. */
int cli_table_print(struct cli_table *t) WARN_UNUSED;

/** Append a JSON string with its quotes (RFC 8259 §7); bytes that are no UTF-8 become U+FFFD. */
void cli_json_string(struct buf *out, struct span s);

/* --- progress --- */

/** Shown on stderr once the work has lasted a second: in place on a terminal, else a line now and
 * then. */
struct cli_progress {
	const char *what;          /* "importing entries" */
	unsigned long done, total; /* total 0 = unknown */
	uint64_t begun_ms, shown_ms;
	bool on_terminal, shown;
};

void cli_progress_begin(struct cli_progress *p, const char *what, unsigned long total);
void cli_progress_step(struct cli_progress *p, unsigned long n);
void cli_progress_end(struct cli_progress *p);

/* --- input --- */

/** Ask for a password without echo; without a terminal one line of stdin. Caller mem_free()s *out.
 */
int cli_ask_password(const char *prompt, char **out) WARN_UNUSED;
