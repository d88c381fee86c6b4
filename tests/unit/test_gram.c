/* dird/gram.c: no value is missed, and what is found can hardly be otherwise. */
#include "dird/gram.h"

#include "dird/apply.h"
#include "tests/unit/unit.h"

#include <stdlib.h>

static uint32_t seed = 7;

static uint32_t dice(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % n;
}

/* --- values of few letters, so that parts are often found ------------------------------------- */

#define VALUES 600
#define VALUE_MAX 24

static struct {
	unsigned entry;
	uint8_t bytes[VALUE_MAX];
	size_t n;
} values[VALUES];

static void make_values(unsigned entries)
{
	unsigned i, k;

	for (i = 0; i < VALUES; i++) {
		values[i].entry = dice(entries);
		values[i].n = dice(VALUE_MAX);
		for (k = 0; k < values[i].n; k++)
			values[i].bytes[k] = (uint8_t)("abc\xe5\xbc"[dice(5)]);
	}
}

static struct span value(unsigned i)
{
	return span_make(values[i].bytes, values[i].n);
}

/* `n` values from the first on, into `block`. */
static void merge(unsigned from, unsigned n, struct buf *block)
{
	struct buf pairs, out;
	gram_pair *scratch;
	unsigned i;
	size_t count;

	buf_init(&pairs, 1 << 26);
	buf_init(&out, 1 << 26);
	for (i = from; i < from + n; i++)
		gram_pairs(value(i), values[i].entry, &pairs);
	count = pairs.n / sizeof(gram_pair);
	scratch = calloc(count + 1, sizeof(*scratch));
	count = gram_sort((gram_pair *)(void *)pairs.p, count, scratch);
	assert_int_equal(gram_merge(buf_span(block), (gram_pair *)(void *)pairs.p, count, &out),
			 RC_OK);
	free(scratch);
	buf_clear(block);
	buf_put(block, buf_span(&out));
	buf_fini(&out);
	buf_fini(&pairs);
}

static bool has_part(unsigned i, struct span part)
{
	struct span v = value(i);

	if (part.p[0] == GRAM_BEGIN)
		return span_starts(v, span_from(part, 1));
	return v.n >= part.n && memmem(v.p, v.n, part.p, part.n) != NULL;
}

/* Every entry with the part; a part of up to three bytes exactly. */
static void look(struct span block, struct span part)
{
	bool want[GRAM_BLOCK_ENTRIES] = {false};
	struct gram_set s;
	unsigned i, n = 0, k;

	for (i = 0; i < VALUES; i++) {
		assert_true(gram_value_wants(value(i), part) == has_part(i, part));
		want[values[i].entry] = want[values[i].entry] || has_part(i, part);
	}
	assert_int_equal(gram_find(block, part, &s), RC_OK);
	for (i = 0, k = gram_next(&s, 0); i < GRAM_BLOCK_ENTRIES; i++) {
		if (want[i] && k != i)
			fail_msg("entry %u is missing for a part of %zu bytes", i, part.n);
		if (part.n <= GRAM_BYTES && k == i && !want[i])
			fail_msg("entry %u is found for a part of %zu bytes", i, part.n);
		n += k == i;
		if (k == i)
			k = gram_next(&s, i + 1);
	}
	assert_int_equal(gram_count(&s), n);
}

/* What is in a block for all parts together: no less than has each of them, and no more than each
 * finds for itself. */
static void look_for_all(struct gram_wanted *w, struct span block, const struct span *parts,
			 unsigned n)
{
	struct gram_set all, one, found;
	unsigned i;
	int rc = RC_OK;

	memset(&all, 0xff, sizeof(all));
	for (i = 0; i < n; i++) {
		assert_int_equal(gram_find(block, parts[i], &one), RC_OK);
		gram_and(&all, &one);
	}
	w->n = 0;
	for (i = 0; i < n && rc == RC_OK; i++)
		rc = gram_wanted_add(w, block, parts[i]);
	if (rc == RC_OK)
		rc = gram_wanted_entries(w, &found);
	if (rc == RC_NOTFOUND)
		memset(&found, 0, sizeof(found));
	else if (rc == RC_UNSUPPORTED)
		return;
	else
		assert_int_equal(rc, RC_OK);
	assert_memory_equal(&all, &found, sizeof(all));
}

static void finds_what_is_there(void **state)
{
	static const unsigned entries[] = {1, 3, 300, GRAM_BLOCK_ENTRIES};
	static const unsigned steps[] = {VALUES, VALUES / 4, VALUES / 60};
	unsigned e, s, i, k;
	struct gram_wanted wanted = {.n = 0};
	uint8_t part[6], bytes[3][6];
	struct span parts[3];
	struct buf block;

	(void)state;
	for (e = 0; e < UNIT_COUNT(entries); e++) {
		for (s = 0; s < UNIT_COUNT(steps); s++) {
			make_values(entries[e]);
			buf_init(&block, 1 << 26);
			for (i = 0; i < VALUES; i += steps[s])
				merge(i, steps[s], &block);
			for (i = 0; i < 300; i++) {
				size_t n = 1 + dice(sizeof(part));

				for (k = 0; k < n; k++)
					part[k] = (uint8_t)("abc\xe5\xbc"[dice(5)]);
				if (dice(4) == 0)
					part[0] = GRAM_BEGIN;
				look(buf_span(&block), span_make(part, n));
				memcpy(bytes[i % 3], part, n);
				parts[i % 3] = span_make(bytes[i % 3], n);
				if (i >= 2)
					look_for_all(&wanted, buf_span(&block), parts, 1 + dice(3));
			}
			buf_fini(&block);
		}
	}
}

/* The form with a bit for each entry begins where it is no longer than the numbers. */
static void many_entries(void **state)
{
	unsigned n, i;

	(void)state;
	for (n = 254; n < 259; n++) {
		struct buf block;

		for (i = 0; i < VALUES; i++) {
			values[i].entry = i % n * 7;
			values[i].n = 3;
			memcpy(values[i].bytes, "abc", 3);
		}
		buf_init(&block, 1 << 20);
		merge(0, 100, &block);
		merge(100, VALUES - 100, &block);
		look(buf_span(&block), SPAN_LIT("abc"));
		look(buf_span(&block), SPAN_LIT("b"));
		look(buf_span(&block), SPAN_LIT("abd"));
		buf_fini(&block);
	}
}

static void cut_values_may_have_anything(void **state)
{
	uint8_t cut[APPLY_VALUE_MAX_BYTES];
	struct buf pairs, block;
	gram_pair *scratch, missing;
	struct gram_wanted wanted = {.n = 0};
	struct gram_set s;
	size_t n;

	(void)state;
	memset(cut, 'x', sizeof(cut));
	assert_true(gram_value_wants(span_make(cut, sizeof(cut)), SPAN_LIT("y")));
	assert_true(gram_value_wants(span_make(cut, sizeof(cut)), SPAN_LIT("\0y")));
	assert_false(gram_value_wants(span_make(cut, sizeof(cut) - 1), SPAN_LIT("y")));
	buf_init(&pairs, 1 << 20);
	buf_init(&block, 1 << 20);
	gram_pairs(span_make(cut, sizeof(cut)), 5, &pairs);
	gram_pairs(span_make(cut, sizeof(cut) - 1), 6, &pairs);
	n = pairs.n / sizeof(gram_pair);
	scratch = calloc(n, sizeof(*scratch));
	n = gram_sort((gram_pair *)(void *)pairs.p, n, scratch);
	assert_int_equal(gram_merge(span_make(NULL, 0), (gram_pair *)(void *)pairs.p, n, &block),
			 RC_OK);
	assert_int_equal(gram_find(buf_span(&block), SPAN_LIT("other"), &s), RC_OK);
	assert_int_equal(gram_count(&s), 1);
	assert_int_equal(gram_next(&s, 0), 5);
	assert_int_equal(gram_wanted_add(&wanted, buf_span(&block), SPAN_LIT("other")),
			 RC_UNSUPPORTED);
	assert_int_equal(gram_has(buf_span(&block), (gram_pair *)(void *)pairs.p, n, &missing),
			 RC_OK);
	((gram_pair *)(void *)pairs.p)[0]++; /* entry 6 has no cut value, or another gram */
	((gram_pair *)(void *)pairs.p)[n - 1]++;
	assert_int_equal(gram_has(buf_span(&block), (gram_pair *)(void *)pairs.p, n, &missing),
			 RC_NOTFOUND);
	assert_int_equal(missing >> GRAM_BLOCK_BITS, GRAM_CUT);
	free(scratch);
	buf_fini(&block);
	buf_fini(&pairs);
}

/* Whatever bytes a block has, nothing is read outside of it. */
static void damaged_blocks(void **state)
{
	struct gram_wanted wanted = {.n = 0};
	struct buf block, copy, out;
	struct gram_set s;
	unsigned i, rc[2] = {0, 0};

	(void)state;
	make_values(300);
	buf_init(&block, 1 << 26);
	buf_init(&copy, 1 << 26);
	buf_init(&out, 1 << 26);
	merge(0, VALUES, &block);
	for (i = 0; i < 3000; i++) {
		size_t n = dice(8) == 0 ? dice((uint32_t)block.n) : block.n;
		uint8_t *exact = malloc(n + 1);

		memcpy(exact, block.p, n);
		if (n > 4)
			exact[dice((uint32_t)(n < 400 ? n : 400))] ^= (uint8_t)(1 << dice(8));
		rc[gram_find(span_make(exact, n), SPAN_LIT("abc"), &s) == RC_OK]++;
		(void)!gram_find(span_make(exact, n), SPAN_LIT("a"), &s);
		wanted.n = 0;
		if (gram_wanted_add(&wanted, span_make(exact, n), SPAN_LIT("abca")) == RC_OK)
			(void)!gram_wanted_entries(&wanted, &s);
		buf_clear(&out);
		(void)!gram_merge(span_make(exact, n), NULL, 0, &out);
		free(exact);
	}
	assert_true(rc[0] > 10 && rc[1] > 10);
	buf_fini(&out);
	buf_fini(&copy);
	buf_fini(&block);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(finds_what_is_there),
		unit_heap_test(many_entries),
		unit_heap_test(cut_values_may_have_anything),
		unit_heap_test(damaged_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
