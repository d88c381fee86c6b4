#include "dird/gram.h"

#include "dird/apply.h"
#include "dird/be.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define TERM_BYTES 8
#define BITS_BYTES (GRAM_BLOCK_ENTRIES / 8)
#define BITS_FROM (BITS_BYTES / 2) /* so many numbers take as much room as the bits */
#define RADIX 4096
#define NEAR_STEP 4
#define CACHE_LINE_BYTES 64
#define SPREAD_FROM 8 /* a search in a list costs as much as so many bits set */

/* --- grams of values -------------------------------------------------------------------------- */

static uint32_t gram_at(struct span v, size_t i)
{
	uint32_t g = (uint32_t)v.p[i] << 16;

	if (i + 1 < v.n)
		g |= (uint32_t)v.p[i + 1] << 8;
	if (i + 2 < v.n)
		g |= v.p[i + 2];
	return g;
}

static gram_pair pair(uint32_t gram, unsigned entry)
{
	return (gram_pair)gram << GRAM_BLOCK_BITS | entry;
}

static bool is_cut(struct span value)
{
	return value.n >= APPLY_VALUE_MAX_BYTES;
}

void gram_pairs(struct span value, unsigned entry, struct buf *out)
{
	size_t n = value.n + 1 + is_cut(value), i;
	uint8_t *room = buf_extend(out, n * sizeof(gram_pair));
	gram_pair p = pair(value.n != 0 ? gram_at(value, 0) >> 8 : 0, entry);

	if (room == NULL)
		return;
	for (i = 0; i < n; i++) {
		memcpy(room + i * sizeof(p), &p, sizeof(p));
		p = pair(i < value.n ? gram_at(value, i) : GRAM_CUT, entry);
	}
}

bool gram_value_wants(struct span value, struct span part)
{
	if (is_cut(value))
		return true;
	if (part.n != 0 && part.p[0] == GRAM_BEGIN)
		return span_starts(value, span_from(part, 1));
	return value.n >= part.n && memmem(value.p, value.n, part.p, part.n) != NULL;
}

/* --- sorting ---------------------------------------------------------------------------------- */

static void radix_pass(const gram_pair *from, size_t n, unsigned shift, gram_pair *to)
{
	size_t at[RADIX] = {0}, sum = 0, i, k;

	for (i = 0; i < n; i++)
		at[from[i] >> shift & (RADIX - 1)]++;
	for (k = 0; k < RADIX; k++) {
		size_t here = at[k];

		at[k] = sum;
		sum += here;
	}
	for (i = 0; i < n; i++)
		to[at[from[i] >> shift & (RADIX - 1)]++] = from[i];
}

static int by_value(const void *a, const void *b)
{
	gram_pair x = *(const gram_pair *)a, y = *(const gram_pair *)b;

	return x < y ? -1 : x > y;
}

size_t gram_sort(gram_pair *pairs, size_t n, gram_pair *scratch)
{
	size_t i, kept = 0;

	if (n < RADIX / 4) {
		qsort(pairs, n, sizeof(*pairs), by_value);
	} else { /* 36 bits */
		radix_pass(pairs, n, 0, scratch);
		radix_pass(scratch, n, 12, pairs);
		radix_pass(pairs, n, 24, scratch);
		memcpy(pairs, scratch, n * sizeof(*pairs));
	}
	for (i = 0; i < n; i++) {
		if (kept == 0 || pairs[kept - 1] != pairs[i])
			pairs[kept++] = pairs[i];
	}
	return kept;
}

/* --- blocks ----------------------------------------------------------------------------------- */

struct block {
	const uint8_t *p;
	size_t bytes;
	uint32_t n;
};

static int open_block(struct span s, struct block *out)
{
	*out = (struct block){s.p, s.n, 0};
	if (s.n == 0)
		return RC_OK;
	if (s.n < 4 + TERM_BYTES)
		return RC_CORRUPT;
	out->n = be_get32(s.p);
	return out->n <= (s.n - 4 - TERM_BYTES) / TERM_BYTES ? RC_OK : RC_CORRUPT;
}

static uint32_t term(const struct block *b, uint32_t i)
{
	return be_get32(b->p + 4 + (size_t)i * TERM_BYTES);
}

static int entries_of(const struct block *b, uint32_t i, struct span *out)
{
	uint32_t from = be_get32(b->p + 8 + (size_t)i * TERM_BYTES);
	uint32_t to = be_get32(b->p + 8 + (size_t)(i + 1) * TERM_BYTES);

	if (from > to || to > b->bytes || (to - from) % 2 != 0 || to - from > BITS_BYTES)
		return RC_CORRUPT;
	*out = span_make(b->p + from, to - from);
	return RC_OK;
}

/* The first term from `from` on that is not below `gram`; that before `to` is, or there is none. */
static uint32_t lower_bound_in(const struct block *b, uint32_t gram, uint32_t from, uint32_t to)
{
	while (from < to) {
		uint32_t mid = from + (to - from) / 2;

		if (term(b, mid) < gram)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

/* The first term that is not below `gram`. */
static uint32_t lower_bound(const struct block *b, uint32_t gram)
{
	return lower_bound_in(b, gram, 0, b->n);
}

/* The same, sooner where it is near `guess`. */
static uint32_t lower_bound_near(const struct block *b, uint32_t gram, uint32_t guess)
{
	uint32_t from = 0, to = b->n, step = NEAR_STEP;

	if (guess >= to)
		return lower_bound(b, gram);
	if (term(b, guess) < gram) {
		for (from = guess + 1; step < to - from && term(b, from + step) < gram; step *= 2)
			from += step + 1;
		if (step < to - from)
			to = from + step;
	} else {
		for (to = guess; step < to && term(b, to - step) >= gram; step *= 2)
			to -= step;
		if (step < to)
			from = to - step + 1;
	}
	return lower_bound_in(b, gram, from, to);
}

static unsigned number_at(struct span entries, size_t i)
{
	return (unsigned)(entries.p[2 * i] << 8 | entries.p[2 * i + 1]) & (GRAM_BLOCK_ENTRIES - 1);
}

static void set_bit(struct gram_set *s, unsigned k)
{
	s->words[k / 64] |= (uint64_t)1 << (k % 64);
}

static bool has_bit(const struct gram_set *s, unsigned k)
{
	return (s->words[k / 64] >> (k % 64) & 1) != 0;
}

static uint64_t word_at(struct span bits, size_t i)
{
	uint64_t w;

	memcpy(&w, bits.p + 8 * i, sizeof(w));
	return le64toh(w);
}

static void set_add(struct gram_set *s, struct span entries)
{
	size_t i;

	if (entries.n == BITS_BYTES) {
		for (i = 0; i < GRAM_BLOCK_ENTRIES / 64; i++)
			s->words[i] |= word_at(entries, i);
		return;
	}
	for (i = 0; i < entries.n / 2; i++)
		set_bit(s, number_at(entries, i));
}

/* *from: no number in front of it is of use any more. */
static bool has_number(struct span entries, size_t *from, unsigned k)
{
	size_t to = entries.n / 2, mid;

	if (entries.n == BITS_BYTES)
		return (entries.p[k / 8] >> (k % 8) & 1) != 0;
	while (*from < to) {
		mid = *from + (to - *from) / 2;
		if (number_at(entries, mid) < k)
			*from = mid + 1;
		else
			to = mid;
	}
	return *from < entries.n / 2 && number_at(entries, *from) == k;
}

void gram_and(struct gram_set *s, const struct gram_set *with)
{
	size_t i;

	for (i = 0; i < GRAM_BLOCK_ENTRIES / 64; i++)
		s->words[i] &= with->words[i];
}

void gram_or(struct gram_set *s, const struct gram_set *with)
{
	size_t i;

	for (i = 0; i < GRAM_BLOCK_ENTRIES / 64; i++)
		s->words[i] |= with->words[i];
}

unsigned gram_count(const struct gram_set *s)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < GRAM_BLOCK_ENTRIES / 64; i++)
		n += (unsigned)__builtin_popcountll(s->words[i]);
	return n;
}

unsigned gram_next(const struct gram_set *s, unsigned from)
{
	unsigned i = from / 64;
	uint64_t w;

	if (from >= GRAM_BLOCK_ENTRIES)
		return GRAM_BLOCK_ENTRIES;
	w = s->words[i] & (~(uint64_t)0 << (from % 64));
	while (w == 0 && ++i < GRAM_BLOCK_ENTRIES / 64)
		w = s->words[i];
	return w != 0 ? i * 64 + (unsigned)__builtin_ctzll(w) : GRAM_BLOCK_ENTRIES;
}

/* --- looking ---------------------------------------------------------------------------------- */

static int add_term(const struct block *b, uint32_t i, struct gram_set *out)
{
	struct span entries;
	int rc = entries_of(b, i, &entries);

	if (rc == RC_OK)
		set_add(out, entries);
	return rc;
}

/* A part below three bytes: the terms that begin with it. */
static int find_short(const struct block *b, struct span part, struct gram_set *out)
{
	uint32_t from = gram_at(part, 0);
	uint32_t to = from | (part.n == 1 ? 0xffffu : 0xffu), i;
	int rc = RC_OK;

	for (i = lower_bound(b, from); rc == RC_OK && i < b->n && term(b, i) <= to; i++)
		rc = add_term(b, i, out);
	return rc;
}

static int find_long(const struct block *b, struct span part, struct gram_set *out)
{
	struct gram_set one;
	uint32_t gram, at;
	size_t from;
	int rc = RC_OK;

	for (from = 0; rc == RC_OK && from + GRAM_BYTES <= part.n; from++) {
		gram = gram_at(part, from);
		at = lower_bound(b, gram);
		memset(&one, 0, sizeof(one));
		if (at != b->n && term(b, at) == gram)
			rc = add_term(b, at, &one);
		if (from == 0)
			*out = one;
		else
			gram_and(out, &one);
	}
	return rc;
}

static bool has_cut(const struct block *b)
{
	return b->n != 0 && term(b, b->n - 1) == GRAM_CUT; /* no gram is above it */
}

int gram_find(struct span block, struct span part, struct gram_set *out)
{
	struct block b;
	int rc = open_block(block, &b);

	memset(out, 0, sizeof(*out));
	if (rc != RC_OK || b.n == 0)
		return rc;
	rc = part.n < GRAM_BYTES ? find_short(&b, part, out) : find_long(&b, part, out);
	if (rc == RC_OK && has_cut(&b))
		rc = add_term(&b, b.n - 1, out);
	return rc;
}

/* --- looking for several ---------------------------------------------------------------------- */

static void prefetch(struct span entries)
{
	size_t at;

	for (at = 0; at < entries.n; at += CACHE_LINE_BYTES)
		__builtin_prefetch(entries.p + at);
}

/* RC_NOTFOUND: it is not there, as most blocks lack one of a rare word. */
static int want_gram(struct gram_wanted *w, const struct block *b, uint32_t gram)
{
	uint32_t at = lower_bound_near(b, gram, w->near[w->n]);
	int rc;

	w->near[w->n] = at;
	if (at == b->n || term(b, at) != gram)
		return RC_NOTFOUND;
	rc = entries_of(b, at, &w->entries[w->n]);
	if (rc == RC_OK)
		prefetch(w->entries[w->n++]);
	return rc;
}

size_t gram_wanted_expect(const struct gram_wanted *w, size_t first, struct span block,
			  struct span part)
{
	size_t end = first + (part.n >= GRAM_BYTES ? part.n - GRAM_BYTES + 1 : 0), i, at;

	__builtin_prefetch(block.p);
	for (i = first; i < end && i < GRAM_WANTED_MAX; i++) {
		at = 4 + (size_t)w->near[i] * TERM_BYTES;
		if (at < block.n)
			__builtin_prefetch(block.p + at);
	}
	return end;
}

int gram_wanted_add(struct gram_wanted *w, struct span block, struct span part)
{
	struct block b;
	size_t from;
	int rc = open_block(block, &b);

	if (rc == RC_OK && b.n == 0)
		return RC_NOTFOUND;
	if (rc == RC_OK && (part.n < GRAM_BYTES || has_cut(&b)))
		return RC_UNSUPPORTED;
	for (from = 0; rc == RC_OK && from + GRAM_BYTES <= part.n && w->n < GRAM_WANTED_MAX; from++)
		rc = want_gram(w, &b, gram_at(part, from));
	return rc;
}

static void sort_fewest_first(struct gram_wanted *w)
{
	struct span one;
	size_t i, k;

	for (i = 1; i < w->n; i++) {
		one = w->entries[i];
		for (k = i; k > 0 && w->entries[k - 1].n > one.n; k--)
			w->entries[k] = w->entries[k - 1];
		w->entries[k] = one;
	}
}

/* Those of `at` that are in `entries`, in front; returns how many. */
static size_t keep_listed(uint16_t *at, size_t n, struct span entries)
{
	struct gram_set s;
	bool spread = entries.n != BITS_BYTES && n * SPREAD_FROM > entries.n / 2;
	size_t i, kept = 0, from = 0;

	if (spread) {
		memset(&s, 0, sizeof(s));
		set_add(&s, entries);
	}
	for (i = 0; i < n; i++) {
		at[kept] = at[i];
		kept += spread ? has_bit(&s, at[i]) : has_number(entries, &from, at[i]);
	}
	return kept;
}

static void keep_bits(struct gram_set *s, struct span bits)
{
	size_t i;

	for (i = 0; i < GRAM_BLOCK_ENTRIES / 64; i++)
		s->words[i] &= word_at(bits, i);
}

int gram_wanted_entries(struct gram_wanted *w, struct gram_set *out)
{
	uint16_t at[BITS_FROM];
	struct span few;
	size_t i, n;

	sort_fewest_first(w);
	few = w->entries[0];
	n = few.n / 2;
	if (few.n == BITS_BYTES) { /* all are bits */
		memset(out, 0xff, sizeof(*out));
		for (i = 0; i < w->n; i++)
			keep_bits(out, w->entries[i]);
		return RC_OK;
	}
	for (i = 0; i < n; i++)
		at[i] = (uint16_t)number_at(few, i);
	for (i = 1; i < w->n && n != 0; i++)
		n = keep_listed(at, n, w->entries[i]);
	if (n == 0)
		return RC_NOTFOUND;
	memset(out, 0, sizeof(*out));
	for (i = 0; i < n; i++)
		set_bit(out, at[i]);
	return RC_OK;
}

int gram_has(struct span block, const gram_pair *pairs, size_t n, gram_pair *missing)
{
	struct gram_set s;
	struct block b;
	size_t i;
	uint32_t at = 0, gram;
	int rc = open_block(block, &b);

	for (i = 0; rc == RC_OK && i < n; i++) {
		gram = (uint32_t)(pairs[i] >> GRAM_BLOCK_BITS);
		*missing = pairs[i];
		if (i == 0 || gram != pairs[i - 1] >> GRAM_BLOCK_BITS) {
			at = lower_bound(&b, gram);
			memset(&s, 0, sizeof(s));
			if (at == b.n || term(&b, at) != gram)
				return RC_NOTFOUND;
			rc = add_term(&b, at, &s);
		}
		if (rc == RC_OK && !has_bit(&s, pairs[i] & (GRAM_BLOCK_ENTRIES - 1)))
			return RC_NOTFOUND;
	}
	return rc;
}

/* --- merging ---------------------------------------------------------------------------------- */

struct merge {
	struct block old;
	uint32_t at; /* term of the old block */
	const gram_pair *pairs;
	size_t n, i;
	struct buf terms, entries;
};

static void put_set(struct buf *out, const struct gram_set *s)
{
	bool bits = gram_count(s) >= BITS_FROM;
	unsigned k;

	for (k = 0; bits && k < BITS_BYTES; k++)
		buf_putc(out, (uint8_t)(s->words[k / 8] >> (8 * (k % 8))));
	for (k = bits ? GRAM_BLOCK_ENTRIES : gram_next(s, 0); k < GRAM_BLOCK_ENTRIES;
	     k = gram_next(s, k + 1)) {
		buf_putc(out, (uint8_t)(k >> 8));
		buf_putc(out, (uint8_t)k);
	}
}

/* Pairs of one gram that the old block does not have: they are in order already. */
static void put_numbers(struct merge *m, size_t end)
{
	uint8_t *p = buf_extend(&m->entries, 2 * (end - m->i));

	for (; p != NULL && m->i < end; m->i++, p += 2) {
		p[0] = (uint8_t)(m->pairs[m->i] >> 8) & 0x0f;
		p[1] = (uint8_t)m->pairs[m->i];
	}
	m->i = end;
}

static int merge_term(struct merge *m, uint32_t gram, bool has_old, size_t end)
{
	struct span old = {NULL, 0};
	struct gram_set s = {{0}};
	uint8_t *p = buf_extend(&m->terms, TERM_BYTES);
	int rc = has_old ? entries_of(&m->old, m->at, &old) : RC_OK;

	if (p == NULL || rc != RC_OK)
		return p == NULL ? RC_NOMEM : rc;
	be_put32(p, gram);
	be_put32(p + 4, (uint32_t)m->entries.n);
	m->at += has_old;
	if (end == m->i) {
		buf_put(&m->entries, old);
	} else if (!has_old && end - m->i < BITS_FROM) {
		put_numbers(m, end);
	} else {
		set_add(&s, old);
		for (; m->i < end; m->i++)
			set_bit(&s, m->pairs[m->i] & (GRAM_BLOCK_ENTRIES - 1));
		put_set(&m->entries, &s);
	}
	return buf_rc(&m->entries);
}

static int merge_all(struct merge *m)
{
	uint32_t gram, old, new;
	size_t end;
	int rc = RC_OK;

	while (rc == RC_OK && (m->at < m->old.n || m->i < m->n)) {
		old = m->at < m->old.n ? term(&m->old, m->at) : UINT32_MAX;
		new = m->i < m->n ? (uint32_t)(m->pairs[m->i] >> GRAM_BLOCK_BITS) : UINT32_MAX;
		gram = old < new ? old : new;
		for (end = m->i; end < m->n && m->pairs[end] >> GRAM_BLOCK_BITS == gram; end++)
			;
		rc = merge_term(m, gram, old == gram, end);
	}
	return rc;
}

/* Offsets so far are counted from the first entry. */
static void put_block(struct merge *m, struct buf *out)
{
	uint32_t n = (uint32_t)(m->terms.n / TERM_BYTES), i;
	uint32_t head = 4 + (n + 1) * TERM_BYTES;
	uint8_t *p = buf_extend(out, head);

	if (p == NULL)
		return;
	be_put32(p, n);
	memcpy(p + 4, m->terms.p, m->terms.n);
	for (i = 0; i < n; i++)
		be_put32(p + 8 + (size_t)i * TERM_BYTES,
			 be_get32(p + 8 + (size_t)i * TERM_BYTES) + head);
	be_put32(p + 4 + (size_t)n * TERM_BYTES, 0);
	be_put32(p + 8 + (size_t)n * TERM_BYTES, head + (uint32_t)m->entries.n);
	buf_put(out, buf_span(&m->entries));
}

int gram_merge(struct span old, const gram_pair *pairs, size_t n, struct buf *out)
{
	struct merge m = {.pairs = pairs, .n = n};
	int rc = open_block(old, &m.old);

	if (rc != RC_OK || (n == 0 && m.old.n == 0))
		return rc;
	buf_init(&m.terms, UINT32_MAX);
	buf_init(&m.entries, UINT32_MAX);
	rc = merge_all(&m);
	if (rc == RC_OK) {
		put_block(&m, out);
		rc = buf_rc(out);
	}
	buf_fini(&m.entries);
	buf_fini(&m.terms);
	return rc;
}
