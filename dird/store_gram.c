/*
 * The n-gram index (gram.h): table `gram` has the blocks, and `fresh` the values of entries that
 * were written lately. Entries go into their blocks together, because a block is rewritten as a
 * whole.
 */
#include "dird/store_gram.h"

#include <stdlib.h>

#define GRAM_KEY_BYTES 12        /* type hash u32, block u64 */
#define ROW_HEAD_BYTES 6         /* type hash u32, length u16 */
#define FRESH_MERGE_ENTRIES 128  /* so many fresh rows are merged */
#define FRESH_DIRECT_ENTRIES 256 /* a transaction of so many does without fresh rows */
#define COUNT_BLOCKS 2

/* A value that is not in a block yet. */
struct row {
	uint32_t attr;
	uint64_t eid;
	struct span value;
	struct row *next; /* that goes into the same block */
};

static void gram_key(uint32_t attr, uint64_t block, uint8_t key[static GRAM_KEY_BYTES])
{
	be_put32(key, attr);
	be_put64(key + 4, block);
}

void store_gram_put(struct store_txn *t, uint32_t attr, struct span value, uint64_t eid)
{
	uint8_t *p = buf_extend(&t->fresh, 8 + ROW_HEAD_BYTES);

	if (p == NULL) {
		store_fail(t, buf_rc(&t->fresh));
		return;
	}
	be_put64(p, eid);
	be_put32(p + 8, attr);
	be_put16(p + 12, (uint16_t)value.n);
	buf_put(&t->fresh, value);
	t->fresh_entries += t->fresh_last != eid;
	t->fresh_last = eid;
	t->fresh_values++;
}

/* The next value of a fresh row. RC_DONE at its end. */
static int next_value(struct span *rest, struct row *out)
{
	size_t n;

	if (rest->n == 0)
		return RC_DONE;
	if (rest->n < ROW_HEAD_BYTES)
		return RC_CORRUPT;
	n = be_get16(rest->p + 4);
	if (rest->n < ROW_HEAD_BYTES + n)
		return RC_CORRUPT;
	out->attr = be_get32(rest->p);
	out->value = span_make(rest->p + ROW_HEAD_BYTES, n);
	*rest = span_from(*rest, ROW_HEAD_BYTES + n);
	return RC_OK;
}

/* --- looking ---------------------------------------------------------------------------------- */

void gram_cursors_close(struct gram_cursors *c)
{
	unsigned i;

	for (i = 0; i < GRAM_CURSORS; i++) {
		if (c->of[i] != NULL)
			mdb_cursor_close(c->of[i]);
		c->of[i] = NULL;
	}
}

/* The blocks of one snapshot, and the cursors that a range goes along them with. */
struct blocks {
	struct store_txn *t;
	struct gram_cursors *cursors;
};

/* The block of part i at or behind `number`, which is mostly the one behind that before.
 * RC_DONE: there is none. */
static int block_from(const struct blocks *b, unsigned i, uint32_t attr, uint64_t *number,
		      struct span *out)
{
	MDB_cursor **c = &b->cursors->of[i % GRAM_CURSORS];
	uint8_t key[GRAM_KEY_BYTES];
	MDB_val k, v;
	int err = MDB_NOTFOUND, rc = RC_OK;

	gram_key(attr, *number, key);
	if (*c != NULL)
		err = mdb_cursor_get(*c, &k, &v, MDB_NEXT);
	else
		rc = store_cursor(b->t, STORE_GRAM, c);
	if (rc != RC_OK)
		return rc;
	if (err != 0 || !span_eq(store_span(k), span_make(key, sizeof(key)))) {
		k = (MDB_val){sizeof(key), key};
		err = mdb_cursor_get(*c, &k, &v, MDB_SET_RANGE);
	}
	if (err != 0)
		return err == MDB_NOTFOUND ? RC_DONE : store_rc(err);
	if (k.mv_size != GRAM_KEY_BYTES)
		return RC_CORRUPT;
	if (be_get32(k.mv_data) != attr)
		return RC_DONE;
	*number = be_get64((const uint8_t *)k.mv_data + 4);
	*out = store_span(v);
	return RC_OK;
}

/* The one with just this number; empty: there is none. */
static int block_at(const struct blocks *b, unsigned i, uint32_t attr, uint64_t number,
		    struct span *out)
{
	uint64_t at = number;
	int rc = block_from(b, i, attr, &at, out);

	if (rc == RC_DONE || (rc == RC_OK && at != number)) {
		*out = span_make(NULL, 0);
		return RC_OK;
	}
	return rc;
}

/* Entries of a block that may have part i, in one run of its type or the other. `first`: the block
 * of the first run. */
static int find_part(const struct blocks *b, unsigned i, const struct index_part *part,
		     uint64_t number, struct span first, struct gram_set *out)
{
	struct gram_set accents;
	int rc = gram_find(first, part->part, out);

	if (rc != RC_OK || part->accents == 0)
		return rc;
	rc = block_at(b, i, part->accents, number, &first);
	if (rc == RC_OK)
		rc = gram_find(first, part->part, &accents);
	if (rc == RC_OK)
		gram_or(out, &accents);
	return rc;
}

/* The blocks of all parts; parts[0] has that in out[0] already. */
static int find_blocks(const struct blocks *b, const struct index_part *parts, unsigned n,
		       const struct gram_place *p, struct span *out)
{
	size_t grams = 0;
	unsigned i;
	int rc = RC_OK;

	for (i = 0; rc == RC_OK && i < n; i++) {
		if (i != 0)
			rc = block_at(b, i, parts[i].attr, p->block, &out[i]);
		if (rc == RC_OK)
			grams = gram_wanted_expect(&p->wanted, grams, out[i], parts[i].part);
	}
	return rc;
}

/* Entries of p->block that may have all parts. Parts whose grams tell are looked for together, the
 * others one by one. RC_NOTFOUND: there are none. */
static int find_parts(const struct blocks *b, const struct index_part *parts, unsigned n,
		      struct span *blocks, struct gram_place *p)
{
	bool has_others = false;
	struct gram_set one;
	unsigned i;
	int rc = find_blocks(b, parts, n, p, blocks);

	p->wanted.n = 0;
	for (i = 0; rc == RC_OK && i < n; i++) {
		rc = parts[i].accents == 0 ? gram_wanted_add(&p->wanted, blocks[i], parts[i].part)
					   : RC_UNSUPPORTED;
		if (rc != RC_UNSUPPORTED)
			continue;
		rc = find_part(b, i, &parts[i], p->block, blocks[i], &one);
		if (has_others)
			gram_and(&p->set, &one);
		else
			p->set = one;
		has_others = true;
	}
	if (rc != RC_OK || p->wanted.n == 0)
		return rc;
	if (!has_others)
		return gram_wanted_entries(&p->wanted, &p->set);
	rc = gram_wanted_entries(&p->wanted, &one);
	if (rc == RC_OK)
		gram_and(&p->set, &one);
	return rc;
}

/* The block at or behind p->block. RC_DONE: the type has no more. */
static int load_block(const struct blocks *b, const struct index_range *r, struct gram_place *p)
{
	const struct index_part only = {.attr = r->attr, .part = r->lo};
	const struct index_part *parts = r->nparts != 0 ? r->parts : &only;
	struct span blocks[INDEX_PARTS_MAX];
	int rc = block_from(b, 0, r->attr, &p->block, &blocks[0]);

	if (rc != RC_OK)
		return rc;
	p->next = 0;
	p->has_set = true;
	rc = find_parts(b, parts, r->nparts != 0 ? r->nparts : 1, blocks, p);
	if (rc != RC_NOTFOUND)
		return rc;
	p->next = GRAM_BLOCK_ENTRIES;
	return RC_OK;
}

int store_gram_next(struct store_txn *t, struct gram_cursors *c, const struct index_range *r,
		    struct gram_place *p, uint64_t *eid_out)
{
	const struct blocks b = {t, c};
	unsigned k;
	int rc;

	for (;;) {
		if (p->has_set) {
			k = gram_next(&p->set, p->next);
			p->next = k + 1;
			*eid_out = p->block << GRAM_BLOCK_BITS | k;
			if (k < GRAM_BLOCK_ENTRIES)
				return RC_OK;
			p->has_set = false;
			p->block++;
		}
		rc = load_block(&b, r, p);
		if (rc != RC_OK)
			return rc;
	}
}

/* Of several parts one will do: the others may be in a block. */
static bool has_part(const struct index_range *r, const struct row *row)
{
	unsigned i;

	if (r->nparts == 0)
		return r->attr == row->attr && gram_value_wants(row->value, r->lo);
	for (i = 0; i < r->nparts; i++) {
		if ((r->parts[i].attr == row->attr || r->parts[i].accents == row->attr) &&
		    gram_value_wants(row->value, r->parts[i].part))
			return true;
	}
	return false;
}

static bool is_wanted(const struct index_range *ranges, unsigned n, const struct row *row)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		if (ranges[i].kind == INDEX_PART && has_part(&ranges[i], row))
			return true;
	}
	return false;
}

int store_fresh_next(struct store_txn *t, const struct index_range *ranges, unsigned n,
		     uint64_t after, uint64_t *eid_out)
{
	uint8_t key[STORE_EID_BYTES];
	MDB_val k = {sizeof(key), key}, v;
	struct span rest;
	struct row row;
	MDB_cursor *c;
	int err, rc = store_cursor(t, STORE_FRESH, &c);

	if (rc != RC_OK)
		return rc;
	be_put64(key, after + 1);
	for (err = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE); err == 0;
	     err = mdb_cursor_get(c, &k, &v, MDB_NEXT)) {
		rest = store_span(v);
		while ((rc = next_value(&rest, &row)) == RC_OK && !is_wanted(ranges, n, &row))
			;
		if (rc != RC_DONE)
			break;
	}
	if (err == 0 && rc == RC_OK)
		*eid_out = be_get64(k.mv_data);
	else if (err != 0)
		rc = err == MDB_NOTFOUND ? RC_DONE : store_rc(err);
	mdb_cursor_close(c);
	return rc;
}

uint64_t store_gram_count(struct store_txn *t, const struct index_range *r, uint64_t limit)
{
	uint64_t blocks = store_entry_count(t) / GRAM_BLOCK_ENTRIES + 1, found = 0, read = 0;
	struct gram_cursors cursors = {{NULL}};
	const struct blocks b = {t, &cursors};
	struct gram_place p = {0};

	for (; read < COUNT_BLOCKS && load_block(&b, r, &p) == RC_OK; read++, p.block++) {
		if (p.next == 0)
			found += gram_count(&p.set);
	}
	gram_cursors_close(&cursors);
	if (read == 0)
		return store_rows(t, STORE_FRESH) != 0;
	if (read == COUNT_BLOCKS && blocks > COUNT_BLOCKS)
		found = found * blocks / COUNT_BLOCKS;
	if (found == 0)
		found = 1; /* in blocks further on, or fresh */
	return found < limit ? found : limit;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* One block gets the rows of its type and entries. */
static int merge_block(struct store_txn *t, const struct row *rows, struct buf *pairs,
		       struct buf *out)
{
	uint8_t key[GRAM_KEY_BYTES];
	struct span k = span_make(key, sizeof(key)), old = {NULL, 0};
	gram_pair *scratch;
	size_t npairs;
	int rc;

	buf_clear(pairs);
	buf_clear(out);
	gram_key(rows->attr, rows->eid >> GRAM_BLOCK_BITS, key);
	for (; rows != NULL; rows = rows->next)
		gram_pairs(rows->value, rows->eid & (GRAM_BLOCK_ENTRIES - 1), pairs);
	npairs = pairs->n / sizeof(gram_pair);
	scratch = buf_rc(pairs) == RC_OK ? mem_alloc(pairs->n + 1) : NULL;
	if (scratch == NULL)
		return RC_NOMEM;
	npairs = gram_sort((gram_pair *)(void *)pairs->p, npairs, scratch);
	mem_free(scratch);
	rc = store_get(t, STORE_GRAM, k, &old);
	if (rc == RC_OK || rc == RC_NOTFOUND)
		rc = gram_merge(old, (const gram_pair *)(const void *)pairs->p, npairs, out);
	if (rc == RC_OK && out->n != 0)
		store_put(t, STORE_GRAM, k, buf_span(out));
	return rc;
}

static bool is_same_block(const struct row *a, const struct row *b)
{
	return a->attr == b->attr && a->eid >> GRAM_BLOCK_BITS == b->eid >> GRAM_BLOCK_BITS;
}

static int by_block(const void *a, const void *b)
{
	const struct row *x = *(struct row *const *)a, *y = *(struct row *const *)b;

	if (x->attr != y->attr)
		return x->attr < y->attr ? -1 : 1;
	return x->eid < y->eid ? -1 : x->eid > y->eid;
}

/* Many rows, few blocks: the rows of each in a list, the lists by what they are of in `slots`, of
 * which there is a power of two above the number of rows. */
static void list_by_block(struct row *rows, size_t n, struct row **slots, size_t size)
{
	uint64_t h;
	size_t i, k;

	for (i = 0; i < n; i++) {
		h = (rows[i].eid >> GRAM_BLOCK_BITS ^ (uint64_t)rows[i].attr << 32) *
		    0x9e3779b97f4a7c15u;
		k = h >> 32 & (size - 1);
		while (slots[k] != NULL && !is_same_block(slots[k], &rows[i]))
			k = (k + 1) & (size - 1);
		rows[i].next = slots[k];
		slots[k] = &rows[i];
	}
}

static int merge_lists(struct store_txn *t, struct row **lists, size_t n)
{
	struct buf pairs, out;
	size_t i;
	int rc = RC_OK;

	buf_init(&pairs, SIZE_MAX);
	buf_init(&out, UINT32_MAX);
	for (i = 0; i < n && rc == RC_OK; i++)
		rc = merge_block(t, lists[i], &pairs, &out);
	buf_fini(&out);
	buf_fini(&pairs);
	return rc;
}

static int merge_rows(struct store_txn *t, struct row *rows, size_t n)
{
	size_t i, nlists = 0, size = 64;
	struct row **slots;
	int rc;

	while (size <= n)
		size *= 2;
	slots = mem_zalloc(size, sizeof(struct row *));
	if (slots == NULL)
		return RC_NOMEM;
	list_by_block(rows, n, slots, size);
	for (i = 0; i < size; i++) {
		if (slots[i] != NULL)
			slots[nlists++] = slots[i];
	}
	if (nlists > 1)
		qsort(slots, nlists, sizeof(struct row *), by_block);
	rc = merge_lists(t, slots, nlists);
	mem_free(slots);
	return rc;
}

/* What the transaction has gathered, as rows that point into it. */
static int merge_gathered(struct store_txn *t)
{
	struct span rest = buf_span(&t->fresh), one;
	struct row *rows = mem_zalloc(t->fresh_values, sizeof(*rows));
	size_t n = 0;
	int rc = rows != NULL ? RC_OK : RC_NOMEM;

	while (rc == RC_OK && rest.n != 0) {
		must(n < t->fresh_values && rest.n >= 8);
		rows[n].eid = be_get64(rest.p);
		one = span_from(rest, 8);
		rc = next_value(&one, &rows[n++]);
		rest = one;
	}
	if (rc == RC_OK)
		rc = merge_rows(t, rows, n);
	mem_free(rows);
	return rc;
}

/* Append the values of one entry to its fresh row. */
static int put_fresh(struct store_txn *t, uint64_t eid, struct span values, struct buf *scratch)
{
	uint8_t key[STORE_EID_BYTES];
	struct span k = span_make(key, sizeof(key)), old;
	int rc;

	be_put64(key, eid);
	rc = store_get(t, STORE_FRESH, k, &old);
	if (rc != RC_OK && rc != RC_NOTFOUND)
		return rc;
	buf_clear(scratch);
	if (rc == RC_OK)
		buf_put(scratch, old);
	buf_put(scratch, values);
	store_put(t, STORE_FRESH, k, buf_span(scratch));
	return buf_rc(scratch);
}

/* Gathered values to fresh rows; those of one entry often come together. */
static int put_all_fresh(struct store_txn *t)
{
	struct span rest = buf_span(&t->fresh), one;
	struct buf values, scratch;
	uint64_t eid = 0;
	struct row row;
	int rc = RC_OK;

	buf_init(&values, UINT32_MAX);
	buf_init(&scratch, UINT32_MAX);
	while (rc == RC_OK && rest.n != 0) {
		eid = be_get64(rest.p);
		buf_clear(&values);
		while (rc == RC_OK && rest.n != 0 && be_get64(rest.p) == eid) {
			one = span_from(rest, 8);
			rest = one;
			rc = next_value(&rest, &row);
			buf_put(&values, span_head(one, one.n - rest.n));
		}
		if (rc == RC_OK)
			rc = buf_rc(&values);
		if (rc == RC_OK)
			rc = put_fresh(t, eid, buf_span(&values), &scratch);
	}
	buf_fini(&scratch);
	buf_fini(&values);
	return rc;
}

static int gather_fresh(void *ctx, struct span key, struct span value)
{
	struct store_txn *t = ctx;
	struct row row;
	int rc;

	if (key.n != STORE_EID_BYTES)
		return RC_CORRUPT;
	while ((rc = next_value(&value, &row)) == RC_OK)
		store_gram_put(t, row.attr, row.value, be_get64(key.p));
	return rc == RC_DONE ? store_error(t) : rc;
}

static void forget_gathered(struct store_txn *t)
{
	buf_clear(&t->fresh);
	t->fresh_entries = t->fresh_values = t->fresh_last = 0;
}

void store_gram_merge(struct store_txn *t)
{
	int rc = store_rows(t, STORE_FRESH) != 0 ? store_scan(t, STORE_FRESH, gather_fresh, t)
						 : RC_OK;

	if (rc == RC_OK)
		rc = merge_gathered(t);
	if (rc == RC_OK)
		store_empty(t, STORE_FRESH);
	else
		store_fail(t, rc);
	forget_gathered(t);
}

void store_gram_settle(struct store_txn *t)
{
	int rc;

	if (t->fresh.n == 0 || store_error(t) != RC_OK)
		return;
	if (t->fresh_entries >= FRESH_DIRECT_ENTRIES) {
		store_gram_merge(t);
		return;
	}
	rc = put_all_fresh(t);
	forget_gathered(t);
	if (rc != RC_OK)
		store_fail(t, rc);
	else if (store_rows(t, STORE_FRESH) >= FRESH_MERGE_ENTRIES)
		store_gram_merge(t);
}

/* --- verifying -------------------------------------------------------------------------------- */

static bool is_fresh(struct store_txn *t, uint32_t attr, struct span value, uint64_t eid)
{
	uint8_t key[STORE_EID_BYTES];
	struct span row;
	struct row have;

	be_put64(key, eid);
	if (store_get(t, STORE_FRESH, span_make(key, sizeof(key)), &row) != RC_OK)
		return false;
	while (next_value(&row, &have) == RC_OK) {
		if (have.attr == attr && span_eq(have.value, value))
			return true;
	}
	return false;
}

bool store_has_gram(struct store_txn *t, uint32_t attr, struct span value, uint64_t eid)
{
	uint8_t key[GRAM_KEY_BYTES];
	struct span block;
	gram_pair missing;
	struct buf pairs;
	bool has;

	if (t->is_write)
		store_gram_settle(t);
	gram_key(attr, eid >> GRAM_BLOCK_BITS, key);
	buf_init(&pairs, SIZE_MAX);
	gram_pairs(value, eid & (GRAM_BLOCK_ENTRIES - 1), &pairs);
	has = buf_rc(&pairs) == RC_OK &&
	      store_get(t, STORE_GRAM, span_make(key, sizeof(key)), &block) == RC_OK &&
	      gram_has(block, (const gram_pair *)(const void *)pairs.p, pairs.n / sizeof(gram_pair),
		       &missing) == RC_OK;
	buf_fini(&pairs);
	return has || is_fresh(t, attr, value, eid);
}
