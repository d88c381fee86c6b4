/* What libFuzzer and replay.c call. A target aborts (must()) when a promise does not hold. */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
