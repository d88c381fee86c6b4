/* The store (dird/store.h): opening, transactions, tree, iterators over ranges, change order. */
#include "tests/unit/base.h"

#include <sys/wait.h>

#define HASH 0x01020304u

/* --- opening --- */

static int try_open(struct base *b, bool read_only, struct store **out, char *why, size_t n)
{
	struct store_options opt = {.read_only = read_only};
	struct buf text;
	int rc;

	buf_init(&text, 4096);
	rc = store_open(b->folder, &opt, out, &text);
	snprintf(why, n, "%s", buf_cstr(&text));
	buf_fini(&text);
	return rc;
}

static void second_writer_is_kept_out(void **state)
{
	struct base *b = *state;
	struct store *second;
	char why[300];
	int status;
	pid_t pid = fork();

	/* LMDB must not be opened twice in one process, so another one tries */
	assert_true(pid >= 0);
	if (pid == 0) {
		if (try_open(b, false, &second, why, sizeof(why)) != RC_BUSY ||
		    strstr(why, "in use by process") == NULL)
			_exit(1);
		_exit(try_open(b, true, &second, why, sizeof(why)) == RC_OK ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void missing_folder(void **state)
{
	struct base *b = *state;
	struct store_options opt = {.read_only = true};
	struct store *s;
	struct buf why;

	(void)b;
	buf_init(&why, 4096);
	assert_int_equal(store_open("/nonexistent/folder", &opt, &s, &why), RC_NOTFOUND);
	assert_null(s);
	assert_true(why.n != 0);
	buf_fini(&why);
}

static void other_formats_are_refused(void **state)
{
	struct base *b = *state;
	struct store *s;
	char why[300];

	base_begin(b);
	store_meta_put(b->t, "format", 999);
	base_commit(b);
	store_close(&b->store);
	assert_int_equal(try_open(b, false, &s, why, sizeof(why)), RC_UNSUPPORTED);
	assert_non_null(strstr(why, "999"));
	assert_null(s);
}

/* --- transactions --- */

static void errors_stick(void **state)
{
	struct base *b = *state;
	struct uuid u = {{1}};
	uint64_t eid;

	base_begin(b);
	store_uuid_put(b->t, &u, 7);
	store_entry_del(b->t, 12345); /* is not there: damage */
	assert_int_equal(store_error(b->t), RC_CORRUPT);
	store_uuid_put(b->t, &u, 8);
	assert_int_equal(store_write_commit(&b->t), RC_CORRUPT);
	base_begin(b);
	assert_int_equal(store_by_uuid(b->t, &u, &eid), RC_NOTFOUND);
	store_write_abort(&b->t);
}

static void full_map_grows(void **state)
{
	struct base *b = *state;
	uint8_t *big = calloc(1, 3 << 20);
	struct store_stat stat;
	struct store_txn *t;
	unsigned tries = 0;
	uint64_t before;
	int rc;

	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	assert_int_equal(store_stat(t, &stat), RC_OK);
	store_read_end(&t);
	before = stat.map_bytes;
	do {
		base_begin(b);
		store_entry_put(b->t, 1, span_make(big, 3 << 20));
		rc = store_write_commit(&b->t);
		assert_true(++tries < 10);
	} while (rc == RC_MORE);
	assert_int_equal(rc, RC_OK);
	assert_true(tries > 1);
	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	assert_int_equal(store_stat(t, &stat), RC_OK);
	store_read_end(&t);
	assert_true(stat.map_bytes > before);
	free(big);
}

static void readers_see_one_moment(void **state)
{
	struct base *b = *state;
	struct uuid u = {{1}};
	struct store_txn *t;
	uint64_t eid;

	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	base_begin(b);
	store_uuid_put(b->t, &u, 7);
	base_commit(b);
	assert_int_equal(store_by_uuid(t, &u, &eid), RC_NOTFOUND);
	store_read_end(&t);
	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	assert_int_equal(store_by_uuid(t, &u, &eid), RC_OK);
	store_read_end(&t);
}

static void copies(void **state)
{
	struct base *b = *state;
	char folder[100];
	struct uuid u = {{1}};
	struct store_options opt = {.read_only = true};
	struct store *copy;
	struct store_txn *t;
	struct buf why;
	uint64_t eid;

	base_begin(b);
	store_uuid_put(b->t, &u, 7);
	base_commit(b);
	snprintf(folder, sizeof(folder), "%s/copy", b->folder);
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(store_copy(b->store, folder), RC_OK);
	buf_init(&why, 400);
	assert_int_equal(store_open(folder, &opt, &copy, &why), RC_OK);
	buf_fini(&why);
	assert_int_equal(store_read_begin(copy, &t), RC_OK);
	assert_int_equal(store_by_uuid(t, &u, &eid), RC_OK);
	store_read_end(&t);
	store_close(&copy);
	snprintf(folder, sizeof(folder), "%s/copy/data.mdb", b->folder);
	unlink(folder);
	snprintf(folder, sizeof(folder), "%s/copy/lock.mdb", b->folder);
	unlink(folder);
	snprintf(folder, sizeof(folder), "%s/copy", b->folder);
	assert_int_equal(rmdir(folder), 0);
}

/* --- tree --- */

static void long_names(void **state)
{
	struct base *b = *state;
	char rdn[2000], dn[2100], text[2100];
	struct buf out;
	unsigned k;
	struct dn d;
	uint64_t eid;
	unsigned depth;

	base_site(b);
	for (k = 0; k < 4; k++) {
		memset(rdn, 'x', sizeof(rdn));
		rdn[470 + 10 * k] = '\0';
		snprintf(dn, sizeof(dn), "cn=%s%u,ou=S1,o=Example", rdn, k);
		assert_int_equal(base_add(b, dn, "objectClass: container\n"), 0);
		assert_int_equal(base_add(b, dn, "objectClass: container\n"), 68);
		snprintf(text, sizeof(text), "cn=%s%u", rdn, k);
	}
	base_check(b);
	buf_init(&out, 10000);
	d = base_dn(b, dn);
	base_begin(b);
	assert_int_equal(store_find(b->t, &d, &eid, &depth), RC_OK);
	assert_int_equal(depth, 3);
	assert_int_equal(store_dn(b->t, eid, &out), RC_OK);
	unit_assert_span(buf_span(&out), span_of(dn));
	store_write_abort(&b->t);
	buf_fini(&out);
	assert_int_equal(base_delete(b, dn), 0);
	base_check(b);
}

/* Two long names that hash to one key are told apart by their records. */
static void hash_collisions(void **state)
{
	struct base *b = *state;
	struct entry_head head = {.uuid = {{1}}, .parent = 9};
	struct attr_list none = {NULL, 0};
	char one[600], two[600];
	struct buf record;
	uint64_t eid;

	memset(one, 'a', sizeof(one));
	memset(two, 'b', sizeof(two));
	buf_init(&record, 4096);
	base_begin(b);
	head.rdn = head.rdn_normal = span_make(one, sizeof(one));
	assert_int_equal(entry_build(&head, &none, NULL, &record), RC_OK);
	store_entry_put(b->t, 1, buf_span(&record));
	buf_clear(&record);
	head.rdn = head.rdn_normal = span_make(two, sizeof(two));
	assert_int_equal(entry_build(&head, &none, NULL, &record), RC_OK);
	store_entry_put(b->t, 2, buf_span(&record));
	/* as if both had the hash of `one` */
	store_child_put(b->t, 9, span_make(one, sizeof(one)), 2);
	store_child_put(b->t, 9, span_make(one, sizeof(one)), 1);
	assert_int_equal(store_child(b->t, 9, span_make(one, sizeof(one)), &eid), RC_OK);
	assert_int_equal(eid, 1);
	assert_int_equal(store_child_count(b->t, 9, 10), 2);
	store_child_del(b->t, 9, span_make(one, sizeof(one)), 1);
	assert_int_equal(store_child(b->t, 9, span_make(one, sizeof(one)), &eid), RC_NOTFOUND);
	buf_fini(&record);
}

/* --- value index --- */

static const char *const values[] = {"", "a", "ab", "abc", "abd", "b", "ba", "c"};

static void put_values(struct base *b)
{
	unsigned i;

	for (i = 0; i < UNIT_COUNT(values); i++) {
		store_index_put(b->t, HASH, span_of(values[i]), 100 + i);
		store_index_put(b->t, HASH, span_of(values[i]), 200 + i);
	}
	store_index_put(b->t, HASH - 1, SPAN_LIT("zz"), 1);
	store_index_put(b->t, HASH + 1, SPAN_LIT(""), 2);
}

static bool in_range(const struct index_range *r, const char *value)
{
	struct span v = span_of(value);

	switch (r->kind) {
	case INDEX_EQUAL:
		return span_eq(v, r->lo);
	case INDEX_PREFIX:
		return span_starts(v, r->lo);
	case INDEX_GE:
		return span_cmp(v, r->lo) >= 0;
	case INDEX_LE:
		return span_cmp(v, r->lo) <= 0;
	case INDEX_ALL:
		return true;
	case INDEX_NAMED:
	case INDEX_PART:
		break;
	}
	return false;
}

static void ranges(void **state)
{
	static const char *const los[] = {"", "a", "ab", "abcd", "b", "bz", "d"};
	struct base *b = *state;
	struct index_range r = {.attr = HASH};
	struct store_iter *it;
	unsigned i, k, want, n;
	uint64_t eid, sum, want_sum;
	int kind;

	base_begin(b);
	put_values(b);
	for (kind = INDEX_EQUAL; kind <= INDEX_ALL; kind++) {
		for (i = 0; i < UNIT_COUNT(los); i++) {
			r.kind = (enum index_kind)kind;
			r.lo = span_of(los[i]);
			for (k = want = 0, want_sum = 0; k < UNIT_COUNT(values); k++) {
				if (in_range(&r, values[k])) {
					want += 2;
					want_sum += 300 + 2 * k;
				}
			}
			assert_int_equal(store_ranges(b->t, &r, 1, &it), RC_OK);
			for (n = 0, sum = 0; store_iter_next(it, &eid) == RC_OK; n++) {
				sum += eid;
				assert_int_equal(store_iter_pause(it), RC_OK);
				assert_int_equal(store_iter_resume(it, b->t), RC_OK);
			}
			store_iter_free(&it);
			assert_int_equal(n, want);
			assert_int_equal(sum, want_sum);
			assert_int_equal(store_range_count(b->t, &r, 1000), want);
			assert_int_equal(store_range_count(b->t, &r, 3), want < 3 ? want : 3);
		}
	}
}

/* Every entry with the part in a block or waiting for one, and hardly any others, wherever the
 * iterator rests and whatever is merged meanwhile. */
static void parts_of_values(void **state)
{
	const struct index_range r = {.attr = HASH, .kind = INDEX_PART, .lo = SPAN_LIT("needle")};
	enum { VALUES = 9000, EVERY = 450 };
	unsigned wanted = 0, others = 0, i;
	struct base *b = *state;
	struct store_iter *it;
	char value[600];
	uint64_t eid, last = 0;

	base_begin(b);
	assert_int_equal(store_range_count(b->t, &r, 10), 0);
	for (i = 1; i <= VALUES; i++) {
		snprintf(value, sizeof(value), "%05u%s", i, i % EVERY == 0 ? " a needle" : " hay");
		store_gram_put(b->t, HASH, span_of(value), i);
		if (i == VALUES - 460 || i == VALUES - 100 || i == VALUES - 50) {
			base_commit(b);
			base_begin(b);
		}
	}
	memset(value, 'z', 496); /* cut: it may contain anything */
	store_gram_put(b->t, HASH, span_make(value, 496), 2);
	store_gram_put(b->t, HASH + 1, SPAN_LIT("needle"), 3);
	base_commit(b);
	base_begin(b);
	assert_true(store_rows(b->t, STORE_FRESH) != 0 && store_rows(b->t, STORE_GRAM) == 3);
	assert_true(store_range_count(b->t, &r, 10) == 10);
	assert_int_equal(store_ranges(b->t, &r, 1, &it), RC_OK);
	while (store_iter_next(it, &eid) == RC_OK) {
		wanted += eid % EVERY == 0 || eid == 2;
		others += eid % EVERY != 0 && eid != 2;
		assert_int_equal(store_iter_pause(it), RC_OK);
		if (wanted == 3 && last != 0) {
			store_gram_merge(b->t);
			assert_int_equal(store_rows(b->t, STORE_FRESH), 0);
		}
		assert_int_equal(store_iter_resume(it, b->t), RC_OK);
		last = eid;
	}
	store_iter_free(&it);
	assert_true(wanted >= VALUES / EVERY + 1); /* what was merged comes again */
	assert_int_equal(others, 0);
	assert_true(store_has_gram(b->t, HASH, SPAN_LIT("00450 a needle"), 450));
	assert_false(store_has_gram(b->t, HASH, SPAN_LIT("00450 a needle"), 451));
	assert_false(store_has_gram(b->t, HASH + 1, SPAN_LIT("00450 a needle"), 450));
}

static void union_of_ranges(void **state)
{
	const struct index_range r[] = {
		{.attr = HASH, .kind = INDEX_EQUAL, .lo = SPAN_LIT("b")},
		{.attr = HASH, .kind = INDEX_EQUAL, .lo = SPAN_LIT("nothing")},
		{.attr = HASH, .kind = INDEX_PREFIX, .lo = SPAN_LIT("ab")}};
	static const uint64_t want[] = {105, 205, 102, 202, 103, 203, 104, 204};
	struct base *b = *state;
	struct store_iter *it;
	uint64_t eid;
	unsigned n;

	base_begin(b);
	put_values(b);
	assert_int_equal(store_ranges(b->t, r, 3, &it), RC_OK);
	for (n = 0; store_iter_next(it, &eid) == RC_OK; n++)
		assert_int_equal(eid, want[n]);
	assert_int_equal(n, UNIT_COUNT(want));
	store_iter_free(&it);
	assert_int_equal(store_ranges(b->t, r, 0, &it), RC_OK);
	assert_int_equal(store_iter_next(it, &eid), RC_DONE);
	store_iter_free(&it);
}

/* Rows come and go around the place of a waiting iterator. */
static void ranges_go_on_after_changes(void **state)
{
	const struct index_range r = {.attr = HASH, .kind = INDEX_ALL};
	struct base *b = *state;
	struct store_iter *it;
	struct store_txn *t;
	uint64_t eid, seen[40];
	unsigned n;

	base_begin(b);
	put_values(b);
	base_commit(b);
	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	assert_int_equal(store_ranges(t, &r, 1, &it), RC_OK);
	for (n = 0; store_iter_next(it, &eid) == RC_OK; n++) {
		seen[n] = eid;
		if (eid != 102)
			continue;
		assert_int_equal(store_iter_pause(it), RC_OK);
		store_read_end(&t);
		base_begin(b);
		store_index_del(b->t, HASH, SPAN_LIT("ab"), 102); /* where it stands */
		store_index_del(b->t, HASH, SPAN_LIT("ab"), 202); /* the next one */
		store_index_put(b->t, HASH, SPAN_LIT("ab"), 50);  /* behind it: not seen */
		store_index_put(b->t, HASH, SPAN_LIT("abb"), 51); /* before it: seen */
		base_commit(b);
		assert_int_equal(store_read_begin(b->store, &t), RC_OK);
		assert_int_equal(store_iter_resume(it, t), RC_OK);
	}
	assert_int_equal(n, 16);
	assert_int_equal(seen[4], 102);
	assert_int_equal(seen[5], 51);
	assert_int_equal(seen[6], 103);
	store_iter_free(&it);
	store_read_end(&t);
}

static void long_values_are_cut(void **state)
{
	struct base *b = *state;
	struct index_range r = {.attr = HASH, .kind = INDEX_EQUAL};
	char text[1000];

	memset(text, 'v', sizeof(text));
	base_begin(b);
	store_index_put(b->t, HASH, span_make(text, 600), 1);
	store_index_put(b->t, HASH, span_make(text, 700), 2);
	r.lo = span_make(text, 900);
	for (r.kind = INDEX_EQUAL; r.kind <= INDEX_LE; r.kind++)
		assert_int_equal(store_range_count(b->t, &r, 10), 2);
	assert_true(store_has_index(b->t, HASH, span_make(text, 800), 1));
	assert_int_equal(store_error(b->t), RC_OK);
}

/* --- change order --- */

static void change_order(void **state)
{
	struct base *b = *state;
	struct store_nc nc = {.position = {.nc = {{7}}}}, back;
	struct uuid u = {{1}}, v = {{2}}, at = {{0}}, old;
	unsigned n;
	struct stamp s = {{{7}}, 3, 12}, got;
	struct store_change row;
	uint32_t number = 0;

	base_begin(b);
	store_nc_put(b->t, &nc);
	store_order_put(b->t, nc.number, 5, &u, 77);
	store_order_put(b->t, nc.number + 1, 6, &u, 78);
	store_tombstone_put(b->t, nc.number, &s, &v, SPAN_LIT("cn=gone"), 1000);
	assert_int_equal(store_change_next(b->t, nc.number, 0, 100, &row), RC_OK);
	assert_true(row.usn == 5 && row.eid == 77 && !row.is_tombstone && uuid_eq(&row.uuid, &u));
	assert_int_equal(store_change_next(b->t, nc.number, 5, 11, &row), RC_DONE);
	assert_int_equal(store_change_next(b->t, nc.number, 5, 12, &row), RC_OK);
	assert_true(row.is_tombstone && row.epoch == 3 && uuid_eq(&row.uuid, &v));
	unit_assert_span(row.old_dn, SPAN_LIT("cn=gone"));
	assert_int_equal(store_change_next(b->t, nc.number, 12, UINT64_MAX, &row), RC_DONE);
	assert_int_equal(store_tombstone(b->t, &v, &got), RC_OK);
	assert_true(got.usn == 12 && got.epoch == 3 && uuid_eq(&got.nc, &nc.position.nc));
	s.usn = 20;
	store_tombstone_put(b->t, nc.number, &s, &v, SPAN_LIT(""), 2000); /* moves */
	assert_int_equal(store_change_next(b->t, nc.number, 5, 19, &row), RC_DONE);
	assert_int_equal(store_tombstones_before(b->t, 2000, 9, &at, &old, 1, &n), RC_DONE);
	assert_int_equal(n, 0);
	at = (struct uuid){{0}};
	assert_int_equal(store_tombstones_before(b->t, 2001, 9, &at, &old, 1, &n), RC_DONE);
	assert_true(n == 1 && uuid_eq(&old, &v) && uuid_eq(&at, &v));
	store_tombstone_del(b->t, &v);
	assert_int_equal(store_tombstone(b->t, &v, &got), RC_NOTFOUND);
	assert_int_equal(store_nc_find(b->t, &nc.position.nc, &back), RC_OK);
	assert_int_equal(back.number, nc.number);
	assert_int_equal(store_nc_next(b->t, &number, &back), RC_OK);
	assert_int_equal(store_nc_next(b->t, &number, &back), RC_DONE);
	assert_int_equal(store_error(b->t), RC_OK);
}

#define unit_base_test(f) cmocka_unit_test_setup_teardown(f, base_setup, base_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_base_test(second_writer_is_kept_out),
		unit_base_test(missing_folder),
		unit_base_test(other_formats_are_refused),
		unit_base_test(errors_stick),
		unit_base_test(full_map_grows),
		unit_base_test(readers_see_one_moment),
		unit_base_test(copies),
		unit_base_test(long_names),
		unit_base_test(hash_collisions),
		unit_base_test(ranges),
		unit_base_test(union_of_ranges),
		unit_base_test(parts_of_values),
		unit_base_test(ranges_go_on_after_changes),
		unit_base_test(long_values_are_cut),
		unit_base_test(change_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
