/*
 * bench_load: what its files share. One thread, N connections, D requests of each in flight; every
 * answer is compared with what the people (people.h) say it must be.
 */
#pragma once

#include "dird/tlv.h"
#include "tests/bench/people.h"

#include <stdbool.h>

/** What the right answer to a request is. */
struct expect {
	uint8_t done_tag; /* of the last message */
	int code;         /* its result code */
	int64_t entries;  /* -1: not known beforehand */
	char needle[128]; /* every entry contains it */
	bool is_write;
};

struct load {
	const struct kind *kind;
	uint64_t people; /* in the database when the run starts */
	uint64_t first;  /* add, delete: the number of the first person */
	uint64_t seq;    /* requests made so far */
	uint64_t seed;
	bool is_admin;      /* bind before the first request */
	struct word *words; /* of searches for parts of names */
	unsigned nwords;
};

struct word {
	char text[64], second[64];
	unsigned matches; /* people that match, counted up to WORD_LIMIT + 1 */
};
#define WORD_LIMIT 20

struct kind {
	const char *name;
	/** Append the operation, without the envelope. */
	void (*build)(struct load *l, struct buf *out, struct expect *e);
	/** Choose a word from a person, and tell if a person matches it; NULL: no words. */
	void (*choose)(const struct person *p, uint64_t random, struct word *out);
	bool (*match)(const struct person *p, const struct word *w);
	enum { STEADY, RECONNECT, PAGED } manner;
	bool is_admin;
	bool per_entry; /* report CPU per entry */
};

const struct kind *kind_find(const char *name);
void kind_names(struct buf *out);
/** Choose the words of the kind and count whom they match. */
void kind_words(struct load *l);

void build_bind(struct buf *out, const char *dn, const char *password, struct expect *e);
/** A search for all people; pages of `page` entries go on from `cookie`. */
void build_page(struct buf *out, unsigned page, struct span cookie, struct expect *e);
