/* The verbs of galctl and what they share. A verb returns the exit status. */
#pragma once

#include "tools/dirconn.h"

int galctl_list(int argc, char **argv);
int galctl_show(int argc, char **argv);
int galctl_conflicts(int argc, char **argv);
int galctl_add(int argc, char **argv);
int galctl_import(int argc, char **argv);
int galctl_export(int argc, char **argv);
int galctl_view(int argc, char **argv);

/** The filter for everything that is in the address list. */
#define GALCTL_RECIPIENTS "(|(objectClass=mailRecipient)(objectClass=customRecipient))"

/** "person", "list", "custom" or "other". */
const char *galctl_kind(const struct ldif_record *r);

/**
 * The DN of the one recipient that `who` names: a DN, a name, an alias or a mail address.
 * Says what is wrong: nobody, or several (with their DNs).
 */
int galctl_find(struct dirconn *c, struct arena *a, const char *who, const char **dn) WARN_UNUSED;
