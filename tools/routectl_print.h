/* Routing tables for people. */
#pragma once

#include "routed/table.h"

/** The rows [first, first + n) of t on standard output, in columns. RC_NOMEM, RC_IO. */
int routectl_print_rows(const struct table *t, const struct table_row *first,
			uint32_t n) WARN_UNUSED;

/**
 * The rows of a class in the classic text form, one a line, on standard output; rows without a
 * route have none. `root` is the DN of the organisation. RC_INVALID (the DN is none), RC_NOMEM,
 * RC_IO.
 *
 *   EX,/O=Example/OU=Site2;,2,Internet Mail Service (Site1)
 *   SMTP,*;,1,Internet Mail Service (Site1),
 */
int routectl_print_gwart(const struct table *t, struct span root, enum table_class cls) WARN_UNUSED;
