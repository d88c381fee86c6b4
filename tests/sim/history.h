/* What the homes acknowledged, shared by history.c and history_restore.c. */
#pragma once

#include "tests/sim/sim.h"

/* An entry, or its tombstone, as its home had it. */
struct version {
	uint32_t epoch;
	uint64_t usn;
	size_t item;
	bool is_dead;
	bool is_missed;         /* dead, as far as its home knows: a recovery did not find it */
	uint64_t content, body; /* body: without name and parent */
};

struct item {
	struct uuid uuid;
	size_t latest;       /* its version */
	bool is_since;       /* a client changed it since its home was put back */
	struct version lost; /* what another site (.item) had of it then, and the home had not; usn
				0: nothing */
};

struct history {
	struct version *versions; /* in order of epoch and usn */
	size_t nversions, versions_size;
	struct item *items;
	size_t nitems, items_size;
	uint32_t *slots; /* hash: item + 1 */
	size_t nslots;
	uint64_t usn;
	uint32_t epoch;
	struct position lives[1 + POSITION_PAST_MAX]; /* of the home */
	unsigned nlives;
	struct history *past; /* what was acknowledged before the last recovery; only versions */
};

/** Room for one more of `bytes` each. */
void *history_grow(void *at, size_t n, size_t *size, size_t bytes);
size_t history_item(struct history *h, const struct uuid *u);
/** By epoch and usn, for qsort(). */
int history_version_cmp(const void *x, const void *y);
/** Hashes: of name, parent and attributes; of attributes alone. */
uint64_t history_content(const struct entry *e);
uint64_t history_body(const struct entry *e);
const char *history_uuid_text(const struct uuid *u);
/** Take down what the home has; is_change: clients were told of it. */
void history_note_rows(struct context *c, struct store_txn *t, bool is_change);
