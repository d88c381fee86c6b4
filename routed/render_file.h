/* Rendered maps on disk, in the formats that Postfix opens. */
#pragma once

#include "routed/render.h"

/**
 * Write all maps of a table to a target. Each file is replaced as a whole: a reader has the old or
 * the new one, also after a crash. The folder is made when it is missing.
 * Returns  RC_OK with *left_out (see render_rows); RC_INVALID for no target; RC_IO, RC_DENIED,
 *          RC_FULL, RC_NOMEM.
 */
int render_write(const struct table *t, const char *target, size_t *left_out) WARN_UNUSED;
