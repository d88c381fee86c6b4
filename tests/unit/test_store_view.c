/* Sorted views with counts (dird/store_view.h), beside a plain sorted array. */
#include "tests/unit/base.h"

#include "dird/store_view_int.h"

#define VIEW 7u
#define OTHER 8u
#define ROWS_MAX 4000
#define KINDS_USED 3

/* What the view should hold. */
struct plain {
	struct plain_row {
		char key[40];
		uint64_t eid;
		uint32_t mask;
	} rows[ROWS_MAX];
	size_t n;
	uint64_t high[64]; /* entry numbers that are on upper levels */
	unsigned nhigh;
};

static int cmp_rows(const void *a, const void *b)
{
	const struct plain_row *x = a, *y = b;
	int c = strcmp(x->key, y->key);

	return c != 0 ? c : (x->eid > y->eid) - (x->eid < y->eid);
}

/* Few rows are on level 2 and 3: look for such numbers, so that all levels have some. */
static void find_high(struct plain *p)
{
	unsigned wanted[] = {40, 20, 4}, h;
	uint64_t eid;

	for (eid = 1; p->nhigh < 64; eid++) {
		h = view_height(eid);
		if (h != 0 && wanted[h - 1] != 0) {
			wanted[h - 1]--;
			p->high[p->nhigh++] = eid;
		}
	}
}

static bool has_eid(const struct plain *p, uint64_t eid)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		if (p->rows[i].eid == eid)
			return true;
	}
	return false;
}

/* Keys must not be the beginning of others, as view_key() makes them. */
static struct plain_row new_row(struct plain *p)
{
	struct plain_row r = {.mask = base_random() & 7};

	do {
		r.eid = base_random() % 3 == 0 ? p->high[base_random() % p->nhigh]
					       : 100000000 + base_random() % 1000000;
	} while (has_eid(p, r.eid));
	if (base_random() % 4 == 0)
		snprintf(r.key, sizeof(r.key), "same!");
	else
		snprintf(r.key, sizeof(r.key), "%c%u!", 'a' + base_random() % 26,
			 base_random() % 500);
	return r;
}

static size_t plain_rank(const struct plain *p, unsigned kind, const char *key)
{
	size_t i, n = 0;

	for (i = 0; i < p->n; i++)
		n += strcmp(p->rows[i].key, key) < 0 && (p->rows[i].mask >> kind & 1) != 0;
	return n;
}

static void compare_walk(struct base *b, const struct plain *p, unsigned kind, bool is_reverse,
			 size_t from)
{
	struct store_view_iter *iter;
	uint64_t eid;
	size_t i, n = 0;

	assert_int_equal(store_view_walk(b->t, VIEW, kind, is_reverse, from, &iter), RC_OK);
	for (i = 0; i < p->n; i++) {
		const struct plain_row *r = &p->rows[is_reverse ? p->n - 1 - i : i];

		if ((r->mask >> kind & 1) == 0 || n++ < from)
			continue;
		assert_int_equal(store_view_next(iter, &eid), RC_OK);
		assert_int_equal(eid, r->eid);
		if (base_random() % 8 == 0) {
			store_view_pause(iter);
			store_view_resume(iter, b->t);
		}
	}
	assert_int_equal(store_view_next(iter, &eid), RC_DONE);
	assert_int_equal(store_view_next(iter, &eid), RC_DONE);
	store_view_iter_free(&iter);
}

static void compare_kind(struct base *b, const struct plain *p, unsigned kind)
{
	struct store_view_place place;
	uint64_t total = 0, at;
	size_t i;

	for (i = 0; i < p->n; i++) {
		if ((p->rows[i].mask >> kind & 1) == 0)
			continue;
		if (base_random() % 16 == 0) {
			assert_int_equal(store_view_at(b->t, VIEW, kind, total, &place), RC_OK);
			assert_int_equal(view_place_eid(view_place_span(&place)), p->rows[i].eid);
			assert_int_equal(
				store_view_rank(b->t, VIEW, kind, span_of(p->rows[i].key), &at),
				RC_OK);
			assert_int_equal(at, plain_rank(p, kind, p->rows[i].key));
		}
		total++;
	}
	assert_int_equal(store_view_count(b->t, VIEW, kind), total);
	assert_int_equal(store_view_at(b->t, VIEW, kind, total, &place), RC_DONE);
	assert_int_equal(store_view_rank(b->t, VIEW, kind, SPAN_LIT("~"), &at), RC_OK);
	assert_int_equal(at, total);
	assert_int_equal(store_view_rank(b->t, VIEW, kind, SPAN_LIT(""), &at), RC_OK);
	assert_int_equal(at, 0);
	compare_walk(b, p, kind, false, base_random() % (total + 2));
	compare_walk(b, p, kind, true, base_random() % (total + 2));
}

static void verify(struct base *b, size_t want)
{
	uint64_t rows, wrong;

	assert_int_equal(store_view_verify(b->t, VIEW, &rows, &wrong), RC_OK);
	assert_int_equal(rows, want);
	assert_int_equal(wrong, 0);
}

static void compare(struct base *b, struct plain *p)
{
	unsigned kind;

	qsort(p->rows, p->n, sizeof(p->rows[0]), cmp_rows);
	verify(b, p->n);
	for (kind = 0; kind < KINDS_USED; kind++)
		compare_kind(b, p, kind);
}

static void put(struct base *b, const struct plain_row *r)
{
	store_view_put(b->t, VIEW, span_of(r->key), r->eid, r->mask);
}

static void step(struct base *b, struct plain *p)
{
	unsigned dice = base_random() % 10;
	struct plain_row *r;

	if (p->n < ROWS_MAX && (p->n == 0 || dice < 5)) {
		r = &p->rows[p->n];
		*r = new_row(p);
		p->n++;
		put(b, r);
		return;
	}
	r = &p->rows[base_random() % p->n];
	if (dice < 7) {
		r->mask = base_random() & 7;
		put(b, r);
	} else {
		store_view_del(b->t, VIEW, span_of(r->key), r->eid);
		*r = p->rows[--p->n];
	}
}

static void commit_and_begin(struct base *b)
{
	assert_int_equal(store_error(b->t), RC_OK);
	base_commit(b);
	base_begin(b);
}

static void random_steps_agree_with_a_sorted_array(void **state)
{
	struct plain *p = calloc(1, sizeof(*p));
	struct base *b = *state;
	unsigned round, i;

	base_reopen(b, 64 << 20);
	find_high(p);
	base_begin(b);
	store_view_create(b->t, VIEW);
	store_view_create(b->t, VIEW - 1);
	store_view_create(b->t, OTHER);
	store_view_put(b->t, VIEW - 1, SPAN_LIT("z"), 1, 7);
	store_view_put(b->t, OTHER, SPAN_LIT("a"), 1, 7);
	for (round = 0; round < 40; round++) {
		for (i = 0; i < 100; i++)
			step(b, p);
		compare(b, p);
		if (round % 8 == 7)
			commit_and_begin(b);
	}
	while (p->n != 0) {
		p->n--;
		store_view_del(b->t, VIEW, span_of(p->rows[p->n].key), p->rows[p->n].eid);
	}
	compare(b, p);
	assert_int_equal(store_view_count(b->t, OTHER, 0), 1);
	assert_int_equal(store_view_count(b->t, VIEW - 1, 0), 1);
	assert_int_equal(store_error(b->t), RC_OK);
	free(p);
}

struct copy {
	struct buf bytes;
	uint32_t view;
};

static int copy_row(void *ctx, struct span key, struct span value)
{
	struct copy *c = ctx;

	if (be_get32(key.p) == c->view) {
		buf_put(&c->bytes, span_from(key, 4));
		buf_put(&c->bytes, value);
	}
	return RC_OK;
}

static struct copy copy_of(struct base *b, uint32_t view)
{
	struct copy c = {.view = view};

	buf_init(&c.bytes, 64u << 20);
	assert_int_equal(store_scan(b->t, STORE_VIEW, copy_row, &c), RC_OK);
	return c;
}

struct in_order {
	const struct plain *p;
	size_t at;
	struct store_view_place place;
};

static int next_in_order(void *ctx, struct store_view_row *out)
{
	struct in_order *o = ctx;

	if (o->at == o->p->n)
		return RC_DONE;
	store_view_place_set(&o->place, span_of(o->p->rows[o->at].key), o->p->rows[o->at].eid);
	*out = (struct store_view_row){span_make(o->place.key, o->place.n),
				       o->p->rows[o->at++].mask};
	return RC_OK;
}

/* What is stored follows from the set of rows: built one by one in any order, or in one go. */
static void filled_views_have_the_same_bytes(void **state)
{
	struct plain *p = calloc(1, sizeof(*p));
	struct in_order order = {.p = p};
	struct base *b = *state;
	struct copy one, other;
	size_t i;

	base_reopen(b, 64 << 20);
	find_high(p);
	base_begin(b);
	store_view_create(b->t, VIEW);
	for (i = 0; i < 6000; i++)
		step(b, p);
	qsort(p->rows, p->n, sizeof(p->rows[0]), cmp_rows);
	assert_int_equal(store_view_fill(b->t, OTHER, next_in_order, &order), RC_OK);
	one = copy_of(b, VIEW);
	other = copy_of(b, OTHER);
	assert_true(one.bytes.n > 1000);
	assert_true(span_eq(buf_span(&one.bytes), buf_span(&other.bytes)));
	buf_fini(&one.bytes);
	buf_fini(&other.bytes);
	free(p);
}

static void views_are_dropped_in_pieces(void **state)
{
	struct base *b = *state;
	unsigned i, calls = 0;
	char key[16];
	int rc;

	base_begin(b);
	store_view_create(b->t, VIEW);
	store_view_create(b->t, OTHER);
	for (i = 0; i < 300; i++) {
		snprintf(key, sizeof(key), "%u!", base_random());
		store_view_put(b->t, VIEW, span_of(key), i + 1, 1);
		store_view_put(b->t, OTHER, span_of(key), i + 1, 1);
	}
	while ((rc = store_view_drop(b->t, VIEW, 100)) == RC_MORE)
		calls++;
	assert_int_equal(rc, RC_OK);
	assert_int_equal(calls, 3);
	assert_int_equal(store_view_count(b->t, VIEW, 0), 0);
	assert_int_equal(store_view_count(b->t, OTHER, 0), 300);
	assert_int_equal(store_error(b->t), RC_OK);
}

static void damage_is_found(void **state)
{
	uint8_t bytes[VIEW_COUNTS_BYTES] = {0};
	struct base *b = *state;
	uint64_t rows, wrong;
	struct view_key key;
	unsigned i;
	char text[16];

	base_begin(b);
	store_view_create(b->t, VIEW);
	for (i = 0; i < 300; i++) {
		snprintf(text, sizeof(text), "%u!", base_random());
		store_view_put(b->t, VIEW, span_of(text), i + 1, 1);
	}
	verify(b, 300);
	view_key_set(&key, VIEW, 1, SPAN_LIT(""));
	store_put(b->t, STORE_VIEW, view_key_span(&key), span_make(bytes, sizeof(bytes)));
	assert_int_equal(store_view_verify(b->t, VIEW, &rows, &wrong), RC_OK);
	assert_int_equal(wrong, 1);
	view_key_set(&key, VIEW, 2, SPAN_LIT("nobody's"));
	store_put(b->t, STORE_VIEW, view_key_span(&key), span_make(bytes, sizeof(bytes)));
	assert_int_equal(store_view_verify(b->t, VIEW, &rows, &wrong), RC_OK);
	assert_int_equal(wrong, 2);
	store_view_del(b->t, VIEW, SPAN_LIT("absent"), 1);
	assert_int_equal(store_error(b->t), RC_CORRUPT);
}

static void definitions_are_rows(void **state)
{
	struct base *b = *state;
	uint32_t number = 0, first;
	struct span row;

	base_begin(b);
	first = store_viewdef_new(b->t);
	assert_int_equal(store_viewdef_new(b->t), first + 1);
	store_viewdef_put(b->t, first, SPAN_LIT("one"));
	store_viewdef_put(b->t, first + 1, SPAN_LIT("two"));
	assert_int_equal(store_viewdef_next(b->t, &number, &row), RC_OK);
	assert_int_equal(number, first);
	assert_true(span_eq(row, SPAN_LIT("one")));
	store_viewdef_del(b->t, first);
	number = 0;
	assert_int_equal(store_viewdef_next(b->t, &number, &row), RC_OK);
	assert_int_equal(number, first + 1);
	assert_int_equal(store_viewdef_next(b->t, &number, &row), RC_DONE);
	assert_int_equal(store_viewdef_get(b->t, first, &row), RC_NOTFOUND);
	store_view_set_generation(b->t, 99);
	assert_int_equal(store_view_generation(b->t), 99);
	store_view_clear(b->t);
	number = 0;
	assert_int_equal(store_viewdef_next(b->t, &number, &row), RC_DONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(random_steps_agree_with_a_sorted_array, base_setup,
						base_teardown),
		cmocka_unit_test_setup_teardown(filled_views_have_the_same_bytes, base_setup,
						base_teardown),
		cmocka_unit_test_setup_teardown(views_are_dropped_in_pieces, base_setup,
						base_teardown),
		cmocka_unit_test_setup_teardown(damage_is_found, base_setup, base_teardown),
		cmocka_unit_test_setup_teardown(definitions_are_rows, base_setup, base_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
