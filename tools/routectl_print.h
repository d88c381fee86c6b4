/* Routing tables for people. */
#pragma once

#include "routed/table.h"

/** The rows [first, first + n) of t on standard output, in columns. RC_NOMEM, RC_IO. */
int routectl_print_rows(const struct table *t, const struct table_row *first,
			uint32_t n) WARN_UNUSED;
