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

/** The same without the database. */
int dirctl_open_config(struct dirctl *d, const char *config) WARN_UNUSED;

/** A copy of a database in a folder beside the site's; zeroed before. */
struct dirctl_beside {
	char *folder; /* in the arena of the struct dirctl; NULL: none */
	struct store *store;
};
/** Copy `from`; says what is wrong. */
int dirctl_beside_make(struct dirctl_beside *b, struct dirctl *d, struct store *from) WARN_UNUSED;
/** The two change places, whole and durably. Nobody may write either. */
int dirctl_beside_swap(struct dirctl_beside *b, struct dirctl *d) WARN_UNUSED;
/** Remove the copy, or behind dirctl_beside_swap() what was there before. */
void dirctl_beside_remove(struct dirctl_beside *b);

int dirctl_backup(int argc, char **argv);
int dirctl_restore(int argc, char **argv);
int dirctl_load(int argc, char **argv);
int dirctl_dump(int argc, char **argv);
int dirctl_check(int argc, char **argv);
int dirctl_stat(int argc, char **argv);
int dirctl_quarantine(int argc, char **argv);
int dirctl_reindex(int argc, char **argv);

/** Does a running dird, or another dirctl, write this database? */
bool dirctl_is_in_use(const char *config);
