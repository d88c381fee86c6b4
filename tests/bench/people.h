/*
 * The people that benchmarks run on: person i is the same in every program and every run.
 *
 * Entries of about 1 KB. Names are put together from syllables, so there are some hundred thousand
 * of them and frequent ones as in a real address list; one of 32 is not ASCII, one of 64 is Han.
 */
#pragma once

#include "lib/buf.h"

#include <stdint.h>

#define PEOPLE_BASE "ou=People,o=Example"
#define PEOPLE_PASSWORD "test-secret"

struct person {
	char given[48], family[48], uid[64], mail[128], title[32];
};

/** A number that looks random, of two others. */
uint64_t people_mix(uint64_t a, uint64_t b);

void people_make(uint64_t i, struct person *out);

/** The value of the attributes cn and displayName. */
void people_cn(const struct person *p, char out[static 128]);

/** Attributes and values in turn, NULL at the end: at most PEOPLE_ATTRS pairs, borrowed from the
 * person and `scratch`. */
#define PEOPLE_ATTRS 24
#define PEOPLE_SCRATCH 2048
unsigned people_attrs(uint64_t i, const struct person *p, char scratch[static PEOPLE_SCRATCH],
		      const char *out[static PEOPLE_ATTRS * 2]);
