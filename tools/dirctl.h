/* What the verbs of dirctl share: configuration, schema and database of a site on this machine. */
#pragma once

#include "dird/server.h"
#include "tools/cli.h"

struct dirctl {
	struct arena arena;
	struct server_config config;
	struct dn root;
	struct schema *schema;
	struct store *store;
};

/** Open everything a configuration file names; says what is wrong. Without read_only no dird may
 * run. */
int dirctl_open(struct dirctl *d, const char *config, bool read_only) WARN_UNUSED;
void dirctl_close(struct dirctl *d);

int dirctl_load(int argc, char **argv);
int dirctl_dump(int argc, char **argv);
int dirctl_check(int argc, char **argv);
int dirctl_stat(int argc, char **argv);
int dirctl_quarantine(int argc, char **argv);

/** Does a running dird, or another dirctl, write this database? */
bool dirctl_is_in_use(const char *config);
