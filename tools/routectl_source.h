/* Where the verbs that compute get sites and connectors from: an LDIF file or the directory. */
#pragma once

#include "tools/cli.h"
#include "tools/routectl_entries.h"

struct routectl_source {
	const char *ldif;   /* a file; "-" is stdin */
	const char *config; /* or the routed.conf of a site: its directory is searched */
};

/** The options as rows of a struct cli_opt table. `s` is an object, not a pointer. */
#define ROUTECTL_SOURCE_OPTS(s)                                                                    \
	{"ldif", 'l', CLI_TEXT, &(s).ldif, "FILE", "entries of the organisation; - is stdin",      \
	 false},                                                                                   \
	{                                                                                          \
		"config", 'c', CLI_TEXT, &(s).config, "FILE",                                      \
			"routed.conf of a site: ask its directory", false                          \
	}

/** Is exactly one source given? Says what is wrong. */
bool routectl_source_check(const struct routectl_source *s);

/** Called for each record of an LDIF file. RC_INVALID leaves the record out, alone, and sets *why;
 * other codes end the reading. */
typedef int routectl_record_fn(void *arg, struct arena *a, const struct ldif_record *r,
			       const char **why);

/** Read a file, "-" is stdin. Records left out are told on stderr and counted in *ignored. */
int routectl_read_ldif(const char *path, routectl_record_fn *fn, void *arg,
		       unsigned long *ignored) WARN_UNUSED;

/** All sites and connectors of the source. What is wrong has been said. */
int routectl_source_read(const struct routectl_source *s, struct routectl_entries *out,
			 unsigned long *ignored) WARN_UNUSED;

/** The values that a model left out, on stderr; *ignored is raised by their number, and told if
 * `sum`. */
int routectl_tell_ignored(const struct model *m, bool sum, unsigned long *ignored) WARN_UNUSED;

/** Everything in the buffer to stdout or stderr. */
int routectl_flush(FILE *f, const struct buf *b) WARN_UNUSED;
