/* One entry for a person or, as JSON, for a program. */
#pragma once

#include "tools/dirconn.h"

/** The DN and under it "attribute value" lines, or one JSON object on a line, to stdout. */
int show_record(const struct ldif_record *r, bool json) WARN_UNUSED;
