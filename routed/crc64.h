/* The checksum of the files in the state folder: CRC-64/XZ. */
#pragma once

#include "lib/span.h"

uint64_t crc64(struct span s);
