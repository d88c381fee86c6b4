/* Routing tables for people. */
#pragma once

#include "routed/table.h"

/** All rows on standard output, in columns. RC_NOMEM, RC_IO. */
int routectl_print_table(const struct table *t) WARN_UNUSED;

/** The rows [first, first + n) of t. */
int routectl_print_rows(const struct table *t, const struct table_row *first,
			uint32_t n) WARN_UNUSED;
