/* The consumer rules of RFC 4533, message by message, against a small copy of the content. */
#include "routed/consumer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define MAX_BYTES ((size_t)1024 * 1024)
#define LAST_ID 26

/* What a model would hold: for the entries 'a'..'z', is it there and at which version? */
struct copy {
	int version[LAST_ID + 1];
	unsigned batches;
};

struct fixture {
	struct consumer *c;
	struct copy copy;
	const char *why;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->c = consumer_new(MAX_BYTES);
	f->why = "";
	*state = f;
	return f->c != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	consumer_free(&f->c);
	free(f);
	return mem_live_blocks() == 0 ? 0 : -1;
}

static struct syncctl_uuid uuid(char id)
{
	struct syncctl_uuid u = {{0}};

	u.b[0] = (uint8_t)id;
	return u;
}

static struct syncctl_cookie cookie(const char *text)
{
	return (struct syncctl_cookie){text != NULL, span_of(text)};
}

static int entry(struct fixture *f, enum syncctl_state_kind kind, char id, int version,
		 const char *c)
{
	char digits[16];
	struct span value =
		span_make(digits, (size_t)snprintf(digits, sizeof(digits), "%d", version));
	struct batch_attr attr = {SPAN_LIT("version"), &value, 1};
	struct batch_item item = {.dn = SPAN_LIT("ou=S,o=E"), .attrs = &attr, .nattrs = 1};
	struct syncctl_state s = {kind, uuid(id), cookie(c)};

	return consumer_on_entry(f->c, &s, &item, &f->why);
}

static int id_set(struct fixture *f, const char *ids, bool deletes, const char *c)
{
	struct syncctl_uuid uuids[LAST_ID];
	struct syncctl_info info = {.kind = SYNCCTL_ID_SET, .uuids = uuids};

	for (; *ids != '\0'; ids++)
		uuids[info.nuuids++] = uuid(*ids);
	info.refresh_deletes = deletes;
	info.cookie = cookie(c);
	return consumer_on_info(f->c, &info, &f->why);
}

static int phase_end(struct fixture *f, enum syncctl_info_kind kind, bool refresh_done,
		     const char *c)
{
	struct syncctl_info info = {
		.kind = kind, .refresh_done = refresh_done, .cookie = cookie(c)};

	return consumer_on_info(f->c, &info, &f->why);
}

static enum consumer_next done(struct fixture *f, int code, bool deletes, const char *c)
{
	struct syncctl_done d = {cookie(c), deletes};
	enum consumer_next next = CONSUMER_FAILED;

	assert_int_equal(consumer_on_done(f->c, code, &d, &next, &f->why), RC_OK);
	return next;
}

/* Apply what is complete, as the owner of the model does. */
static void take(struct fixture *f)
{
	struct batch *b;

	for (;;) {
		const struct batch_item *i;

		assert_int_equal(consumer_take(f->c, &b), RC_OK);
		if (b == NULL)
			return;
		if (b->full)
			memset(f->copy.version, 0, sizeof(f->copy.version));
		for (i = b->first; i != NULL; i = i->next) {
			int *slot = &f->copy.version[i->uuid.b[0] - 'a'];

			*slot = i->deleted ? 0 : atoi((const char *)i->attrs[0].values[0].p);
		}
		f->copy.batches++;
		batch_free(&b);
	}
}

static void expect(struct fixture *f, const char *text)
{
	char have[LAST_ID * 4 + 1] = "";
	unsigned i;

	take(f);
	for (i = 0; i < LAST_ID; i++) {
		if (f->copy.version[i] != 0)
			(void)snprintf(have + strlen(have), 5, "%c%d", 'a' + (int)i,
				       f->copy.version[i]);
	}
	assert_string_equal(have, text);
}

static void expect_cookie(struct fixture *f, const char *text)
{
	struct syncctl_cookie c = consumer_cookie(f->c);

	assert_int_equal(c.present, text != NULL);
	assert_true(span_eq(c.value, span_of(text)));
}

static void start(struct fixture *f)
{
	assert_int_equal(consumer_start(f->c), RC_OK);
}

#define OK(call) assert_int_equal(call, RC_OK)

/* Initial content a1 b1 c1, cookie "k1", in persist. */
static void load(struct fixture *f)
{
	start(f);
	OK(entry(f, SYNCCTL_ADD, 'a', 1, NULL));
	OK(entry(f, SYNCCTL_ADD, 'b', 1, NULL));
	OK(entry(f, SYNCCTL_ADD, 'c', 1, NULL));
	OK(phase_end(f, SYNCCTL_REFRESH_DELETE, true, "k1"));
	expect(f, "a1b1c1");
	expect_cookie(f, "k1");
}

static void test_initial_load_comes_as_one_batch(void **state)
{
	struct fixture *f = *state;

	start(f);
	expect_cookie(f, NULL);
	OK(entry(f, SYNCCTL_ADD, 'a', 1, NULL));
	OK(entry(f, SYNCCTL_ADD, 'b', 1, "early"));
	expect(f, "");
	OK(phase_end(f, SYNCCTL_REFRESH_PRESENT, true, "k1"));
	expect(f, "a1b1");
	assert_int_equal(f->copy.batches, 1);
	assert_true(consumer_is_persist(f->c));
	assert_int_equal(consumer_entries(f->c), 2);
}

/* Rule 2: the cookie never runs ahead of the data. */
static void test_broken_refresh_leaves_nothing(void **state)
{
	struct fixture *f = *state;

	load(f);
	start(f);
	expect_cookie(f, "k1");
	OK(entry(f, SYNCCTL_ADD, 'a', 2, "k2"));
	OK(id_set(f, "bc", true, "k3"));
	start(f);
	expect_cookie(f, "k1");
	expect(f, "a1b1c1");
	OK(phase_end(f, SYNCCTL_REFRESH_DELETE, true, NULL));
	expect(f, "a1b1c1");
	expect_cookie(f, "k1");
}

static void test_persist_changes_come_at_once(void **state)
{
	struct fixture *f = *state;

	load(f);
	OK(entry(f, SYNCCTL_MODIFY, 'b', 2, "k2"));
	expect(f, "a1b2c1");
	expect_cookie(f, "k2");
	OK(entry(f, SYNCCTL_DELETE, 'a', 0, "k3"));
	OK(entry(f, SYNCCTL_ADD, 'd', 1, "k4"));
	expect(f, "b2c1d1");
	OK(id_set(f, "bc", true, "k5"));
	expect(f, "d1");
	OK(phase_end(f, SYNCCTL_NEW_COOKIE, false, "k6"));
	expect(f, "d1");
	start(f);
	expect_cookie(f, "k6");
}

/* Rule 4: a present phase deletes what it did not name, and only at its end. */
static void test_present_phase(void **state)
{
	struct fixture *f = *state;

	load(f);
	start(f);
	OK(entry(f, SYNCCTL_ADD, 'b', 2, NULL));
	OK(entry(f, SYNCCTL_PRESENT, 'c', 0, NULL));
	expect(f, "a1b1c1");
	OK(phase_end(f, SYNCCTL_REFRESH_PRESENT, true, "k2"));
	expect(f, "b2c1");
}

static void test_cut_present_phase_deletes_nothing(void **state)
{
	struct fixture *f = *state;

	load(f);
	start(f);
	OK(id_set(f, "a", false, NULL));
	start(f);
	OK(phase_end(f, SYNCCTL_REFRESH_DELETE, true, "k2"));
	expect(f, "a1b1c1");
}

static void test_delete_phase_deletes_only_what_it_names(void **state)
{
	struct fixture *f = *state;

	load(f);
	start(f);
	OK(entry(f, SYNCCTL_DELETE, 'a', 0, NULL));
	OK(id_set(f, "xyz", true, NULL)); /* unknown ones are fine */
	OK(phase_end(f, SYNCCTL_REFRESH_DELETE, true, "k2"));
	expect(f, "b1c1");
}

/* Rule 5: present, then delete, in one refresh. */
static void test_present_then_delete(void **state)
{
	struct fixture *f = *state;

	load(f);
	start(f);
	OK(id_set(f, "ab", false, NULL));
	OK(phase_end(f, SYNCCTL_REFRESH_PRESENT, false, NULL));
	expect(f, "a1b1c1");
	OK(entry(f, SYNCCTL_DELETE, 'a', 0, NULL));
	OK(entry(f, SYNCCTL_ADD, 'd', 1, NULL));
	OK(phase_end(f, SYNCCTL_REFRESH_DELETE, true, "k2"));
	expect(f, "b1d1");
}

/* Rule 6. */
static void test_refresh_required_without_cookie_reloads(void **state)
{
	struct fixture *f = *state;

	load(f);
	start(f);
	OK(entry(f, SYNCCTL_ADD, 'z', 9, NULL));
	assert_int_equal(done(f, SYNCCTL_REFRESH_REQUIRED, false, NULL), CONSUMER_RELOAD);
	expect(f, "a1b1c1");
	start(f);
	expect_cookie(f, NULL);
	OK(entry(f, SYNCCTL_ADD, 'b', 5, NULL));
	expect(f, "a1b1c1");
	OK(phase_end(f, SYNCCTL_REFRESH_PRESENT, true, "n1"));
	expect(f, "b5");
	assert_int_equal(consumer_entries(f->c), 1);
}

static void test_refresh_required_with_cookie_goes_on(void **state)
{
	struct fixture *f = *state;

	load(f);
	assert_int_equal(done(f, SYNCCTL_REFRESH_REQUIRED, false, "k7"), CONSUMER_CONTINUE);
	expect_cookie(f, "k7");
	assert_false(consumer_is_persist(f->c));
	OK(id_set(f, "c", true, NULL));
	OK(phase_end(f, SYNCCTL_REFRESH_DELETE, true, "k8"));
	expect(f, "a1b1");
}

/* What came before the 4096 belongs to its cookie and is kept with it. */
static void test_refresh_required_in_mid_refresh_keeps_the_entries(void **state)
{
	struct fixture *f = *state;

	load(f);
	start(f);
	OK(entry(f, SYNCCTL_ADD, 'd', 1, NULL));
	assert_int_equal(done(f, SYNCCTL_REFRESH_REQUIRED, false, "k7"), CONSUMER_CONTINUE);
	expect(f, "a1b1c1");
	OK(id_set(f, "abd", false, NULL));
	OK(phase_end(f, SYNCCTL_REFRESH_PRESENT, true, "k8"));
	expect(f, "a1b1d1");
}

static void test_endless_refresh_required_ends_in_a_reload(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	load(f);
	start(f);
	for (i = 0; i < 3; i++)
		assert_int_equal(done(f, SYNCCTL_REFRESH_REQUIRED, false, "again"),
				 CONSUMER_CONTINUE);
	assert_int_equal(done(f, SYNCCTL_REFRESH_REQUIRED, false, "again"), CONSUMER_RELOAD);
	expect_cookie(f, NULL);
}

/* Rule 7. */
static void test_rolled_back_provider(void **state)
{
	struct fixture *f = *state;

	load(f);
	start(f);
	assert_int_equal(done(f, 53, false, NULL), CONSUMER_ROLLBACK);
	expect(f, "a1b1c1");
	start(f);
	expect_cookie(f, "k1");
	consumer_forget(f->c);
	start(f);
	expect_cookie(f, NULL);
	assert_int_equal(done(f, 53, false, NULL), CONSUMER_FAILED);
}

/* Rule 8, as far as it is not the decoder's. */
static void test_breaches(void **state)
{
	struct fixture *f = *state;
	enum consumer_next next;

	load(f);
	assert_int_equal(entry(f, SYNCCTL_PRESENT, 'a', 0, NULL), RC_INVALID);
	assert_int_equal(id_set(f, "a", false, NULL), RC_INVALID);
	assert_int_equal(phase_end(f, SYNCCTL_REFRESH_DELETE, true, NULL), RC_INVALID);
	start(f);
	assert_int_equal(phase_end(f, SYNCCTL_REFRESH_DELETE, false, NULL), RC_INVALID);
	start(f);
	assert_int_equal(consumer_on_done(f->c, 0, NULL, &next, &f->why), RC_INVALID);
	assert_string_equal(f->why, "end of a refresh without its sync done control");
	start(f);
	assert_int_equal(done(f, 0, true, "k2"), CONSUMER_AGAIN);
	assert_int_equal(entry(f, SYNCCTL_ADD, 'q', 1, NULL), RC_INVALID);
}

/* The provider counts on an entry that we never got: only a reload mends it. */
static void test_unknown_present_entry(void **state)
{
	struct fixture *f = *state;

	load(f);
	start(f);
	assert_int_equal(entry(f, SYNCCTL_PRESENT, 'q', 0, NULL), RC_CONFLICT);
	expect_cookie(f, NULL);
	load(f);
	start(f);
	assert_int_equal(id_set(f, "abq", false, NULL), RC_CONFLICT);
	start(f);
	expect_cookie(f, NULL);
}

/* Rule 10. */
static void test_duplicates_change_nothing(void **state)
{
	struct fixture *f = *state;

	load(f);
	OK(entry(f, SYNCCTL_ADD, 'a', 1, "k2"));
	OK(entry(f, SYNCCTL_DELETE, 'b', 0, NULL));
	OK(entry(f, SYNCCTL_DELETE, 'b', 0, NULL));
	expect(f, "a1c1");
	assert_int_equal(consumer_entries(f->c), 2);
	OK(entry(f, SYNCCTL_DELETE, 'c', 0, NULL));
	OK(entry(f, SYNCCTL_ADD, 'c', 4, NULL));
	expect(f, "a1c4");
}

/* A provider without persist ends its refresh by the result; refreshDeletes tells the phase. */
static void test_refresh_that_ends_by_the_result(void **state)
{
	struct fixture *f = *state;

	load(f);
	start(f);
	OK(entry(f, SYNCCTL_PRESENT, 'a', 0, NULL));
	assert_int_equal(done(f, 0, false, "k2"), CONSUMER_AGAIN);
	expect(f, "a1");
	start(f);
	OK(entry(f, SYNCCTL_DELETE, 'b', 0, NULL));
	assert_int_equal(done(f, 0, true, "k3"), CONSUMER_AGAIN);
	expect(f, "a1");
	expect_cookie(f, "k3");
}

static void test_batch_is_bounded(void **state)
{
	struct fixture *f = *state;
	int rc = RC_OK;
	unsigned i;

	start(f);
	for (i = 0; i < MAX_BYTES && rc == RC_OK; i++)
		rc = entry(f, SYNCCTL_ADD, (char)('a' + i % LAST_ID), 1, NULL);
	assert_int_equal(rc, RC_TOOBIG);
}

/* The n-th allocation fails, for every n: an error or success, never a half-booked batch. */
static void test_out_of_memory(void **state)
{
	struct fixture *f = *state;
	unsigned long n;

	(void)f;
	for (n = 1;; n++) {
		struct consumer *c = consumer_new(MAX_BYTES);
		struct fixture g = {.c = c, .why = ""};
		struct batch *b = NULL;
		int rc;

		assert_non_null(c);
		mem_fail_at((long)n);
		rc = consumer_start(c);
		if (rc == RC_OK)
			rc = entry(&g, SYNCCTL_ADD, 'a', 1, "k0");
		if (rc == RC_OK)
			rc = phase_end(&g, SYNCCTL_REFRESH_PRESENT, true, "k1");
		if (rc == RC_OK)
			rc = consumer_take(c, &b);
		mem_fail_at(0);
		assert_true(rc == RC_OK || rc == RC_NOMEM);
		assert_int_equal(b != NULL, rc == RC_OK);
		batch_free(&b);
		if (rc != RC_OK) {
			assert_int_equal(consumer_start(c), RC_OK);
			assert_false(consumer_cookie(c).present);
		}
		consumer_free(&c);
		if (rc == RC_OK)
			break;
	}
	assert_true(n > 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_initial_load_comes_as_one_batch),
		TEST(test_broken_refresh_leaves_nothing),
		TEST(test_persist_changes_come_at_once),
		TEST(test_present_phase),
		TEST(test_cut_present_phase_deletes_nothing),
		TEST(test_delete_phase_deletes_only_what_it_names),
		TEST(test_present_then_delete),
		TEST(test_refresh_required_without_cookie_reloads),
		TEST(test_refresh_required_with_cookie_goes_on),
		TEST(test_refresh_required_in_mid_refresh_keeps_the_entries),
		TEST(test_endless_refresh_required_ends_in_a_reload),
		TEST(test_rolled_back_provider),
		TEST(test_breaches),
		TEST(test_unknown_present_entry),
		TEST(test_duplicates_change_nothing),
		TEST(test_refresh_that_ends_by_the_result),
		TEST(test_batch_is_bounded),
		TEST(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
