/*
 * What the indexes answer is what a look at every entry answers: random filters on random people,
 * between random writes, behind a kill in the middle of writing, and rebuilt. Values come from few
 * syllables of several scripts, so most filters match some entries.
 *
 * WAYPOST_SOAK: 100,000 filters. WAYPOST_SEED: another world.
 */
#include "tests/unit/base.h"

#include "dird/filter.h"
#include "dird/plan.h"

#include <signal.h>
#include <sys/wait.h>

#define PEOPLE 500
#define BURNT 3900 /* entry numbers: the people lie on both sides of a block's border */
#define FOLDER "cn=Recipients,ou=S1,o=Example"

static const char *const syllables[] = {"an",
					"ber",
					"li",
					"m\xc3\xbcl",
					"o",
					"\xe7\x8e\x8b",
					"\xe5\xbb\xba\xe5\x9b\xbd",
					"\xd0\x9c\xd0\xbe",
					"ster",
					"x",
					"\xc3\x85s",
					" ",
					"q-"};
static const char *const types[] = {"cn",   "sn",    "givenName",       "displayName",
				    "mail", "title", "telephoneNumber", "description",
				    "name"};

static uint32_t dice(uint32_t n)
{
	return base_random() % n;
}

static void word(unsigned most, char *out, size_t size)
{
	unsigned n = 1 + dice(most);

	for (out[0] = '\0'; n-- != 0;)
		strncat(out, syllables[dice(UNIT_COUNT(syllables))], size - strlen(out) - 1);
}

/* --- writes ----------------------------------------------------------------------------------- */

static void dn_of(unsigned i, char out[static 100])
{
	snprintf(out, 100, "uid=p%u,%s", i, FOLDER);
}

static int add(struct base *b, unsigned i)
{
	char dn[100], given[80], family[80], shown[160], lines[900], title[80];

	dn_of(i, dn);
	word(3, given, sizeof(given));
	word(3, family, sizeof(family));
	word(5, shown, sizeof(shown));
	word(2, title, sizeof(title));
	snprintf(lines, sizeof(lines),
		 "objectClass: inetOrgPerson\ncn: _%s %s\ncn: %u\nsn: _%s\ngivenName: _%s\n"
		 "displayName: _%s\nmail: p%u@s%u.example.com\ntitle: _%s\n"
		 "telephoneNumber: +49 %u\ndescription: _%s\n",
		 given, family, i, family, given, shown, i, i % 9, title, dice(100000), shown);
	return base_add(b, dn, lines);
}

/* One of the people comes, goes or changes; the transaction is the caller's or its own. */
static void change(struct base *b)
{
	unsigned i = dice(PEOPLE);
	char dn[100], value[120], lines[400];

	dn_of(i, dn);
	word(5, value, sizeof(value));
	switch (dice(6)) {
	case 0:
		base_delete(b, dn);
		break;
	case 1:
	case 2:
		add(b, i);
		break;
	case 3: /* longer than keys of the index */
		snprintf(lines, sizeof(lines), "title: _%s", value);
		if (dice(8) == 0) {
			char longer[1200];
			size_t n = (size_t)snprintf(longer, sizeof(longer), "%s", lines);

			memset(longer + n, 'k', 700);
			snprintf(longer + n + 700, 200, "%s\n", value);
			base_modify(b, dn, "r", longer);
			break;
		}
		base_modify(b, dn, "r", lines);
		break;
	default:
		snprintf(lines, sizeof(lines), "displayName: _%s\nsn: _%s x\n", value, value);
		base_modify(b, dn, "rr", lines);
		break;
	}
}

static void changes(struct base *b, unsigned n)
{
	bool together = dice(2) == 0;

	if (together)
		base_begin(b);
	while (n-- != 0)
		change(b);
	if (together) {
		base_commit(b);
		b->t = NULL;
	}
}

/* --- filters ---------------------------------------------------------------------------------- */

static void put_escaped(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++)
		buf_printf(b, "\\%02x", (unsigned)(unsigned char)*s);
}

static void put_item(struct buf *b)
{
	const char *type = types[dice(UNIT_COUNT(types))];
	char w[80];

	word(2, w, sizeof(w));
	buf_printf(b, "(%s", type);
	switch (dice(12)) {
	case 0:
		buf_puts(b, "=*");
		break;
	case 1:
		buf_puts(b, "=_");
		put_escaped(b, w);
		break;
	case 2:
		buf_puts(b, dice(2) ? ">=" : "<=");
		put_escaped(b, w);
		break;
	case 3:
		buf_puts(b, dice(2) ? "~=" : ":caseIgnoreAccentsMatch:=");
		put_escaped(b, w);
		break;
	case 4:
	case 5:
		buf_puts(b, "=_");
		put_escaped(b, w);
		buf_putc(b, '*');
		break;
	case 6:
		buf_puts(b, "=*");
		put_escaped(b, w);
		break;
	case 7:
		buf_puts(b, ":caseIgnoreAccentsSubstringsMatch:=*");
		put_escaped(b, w);
		buf_putc(b, '*');
		break;
	case 8:
		buf_puts(b, "=_*");
		put_escaped(b, w);
		buf_putc(b, '*');
		put_escaped(b, syllables[dice(UNIT_COUNT(syllables))]);
		break;
	default:
		buf_puts(b, "=*");
		put_escaped(b, w);
		buf_putc(b, '*');
		break;
	}
	buf_putc(b, ')');
}

static void put_filter(struct buf *b, unsigned depth)
{
	unsigned n;

	if (depth == 0 || dice(3) == 0) {
		put_item(b);
		return;
	}
	n = dice(8) == 0 ? 0 : 1;
	buf_puts(b, n == 0 ? "(!" : dice(2) == 0 ? "(&" : "(|");
	for (n = n == 0 ? 1 : 1 + dice(4); n != 0; n--)
		put_filter(b, depth - 1);
	buf_putc(b, ')');
}

/* --- comparing -------------------------------------------------------------------------------- */

struct answers {
	struct base *b;
	struct store_txn *t;
	struct filter *f;
	struct buf scratch;
	uint8_t *found; /* by entry number */
	uint64_t size, matches;
};

static bool matches(struct answers *a, uint64_t eid)
{
	struct entry e;

	if (store_entry(a->t, eid, &e) != RC_OK)
		return false; /* went, but is in the n-gram index still */
	return filter_match(a->f, a->b->schema, &e, NULL, &a->scratch) == FILTER_TRUE;
}

static void by_index(struct answers *a, struct arena *arena)
{
	struct plan_stats stats = {store_range_count, a->t, store_entry_count(a->t)};
	struct store_iter *i;
	struct plan plan;
	uint64_t eid;
	int rc;

	assert_int_equal(plan_make(a->f, &stats, arena, &plan), RC_OK);
	if (plan.kind == PLAN_NOTHING)
		return;
	if (plan.kind == PLAN_SCOPE) {
		memset(a->found, 2, a->size);
		return;
	}
	assert_int_equal(store_ranges(a->t, plan.ranges, plan.nranges, &i), RC_OK);
	while ((rc = store_iter_next(i, &eid)) == RC_OK) {
		assert_true(eid < a->size);
		a->found[eid] = matches(a, eid);
		if (dice(200) == 0) {
			assert_int_equal(store_iter_pause(i), RC_OK);
			assert_int_equal(store_iter_resume(i, a->t), RC_OK);
		}
	}
	assert_int_equal(rc, RC_DONE);
	store_iter_free(&i);
}

static void compare(struct base *b)
{
	struct answers a = {.b = b};
	const char *why = NULL;
	struct arena arena;
	struct buf text, ber;
	struct span rest;
	struct store_iter *i;
	uint64_t root, eid;
	unsigned wrong = 0;

	arena_init(&arena);
	buf_init(&text, 1 << 16);
	buf_init(&ber, 1 << 16);
	buf_init(&a.scratch, 1 << 20);
	put_filter(&text, 3);
	assert_int_equal(filter_from_text(span_of(buf_cstr(&text)), &ber, &why), RC_OK);
	rest = buf_span(&ber);
	assert_int_equal(filter_read(b->schema, &rest, &arena, &a.f, &why), RC_OK);
	assert_int_equal(store_read_begin(b->store, &a.t), RC_OK);
	a.size = BURNT + 200000;
	a.found = calloc(a.size, 1);
	by_index(&a, &arena);
	assert_int_equal(store_root(a.t, &root), RC_OK);
	assert_int_equal(store_walk(a.t, root, STORE_SUB, &i), RC_OK);
	while (a.found[0] != 2 && store_iter_next(i, &eid) == RC_OK) {
		if (a.found[eid] != matches(&a, eid)) {
			print_error("entry %lu: the index says %d: %s\n", (unsigned long)eid,
				    a.found[eid], buf_cstr(&text));
			wrong++;
		}
	}
	store_iter_free(&i);
	store_read_end(&a.t);
	free(a.found);
	buf_fini(&a.scratch);
	buf_fini(&ber);
	buf_fini(&text);
	arena_fini(&arena);
	assert_int_equal(wrong, 0);
}

static void compare_many(struct base *b, unsigned n)
{
	while (n-- != 0) {
		compare(b);
		arena_fini(&b->arena);
		arena_init(&b->arena);
		b->ctx.root = base_dn(b, BASE_ROOT);
	}
}

/* --- the worlds ------------------------------------------------------------------------------- */

static unsigned rounds(unsigned n)
{
	return getenv("WAYPOST_SOAK") != NULL ? 25 * n : n;
}

static int setup(void **state)
{
	struct base *b = calloc(1, sizeof(*b));
	const char *seed = getenv("WAYPOST_SEED");
	unsigned i;

	base_seed = seed != NULL ? (uint32_t)atoi(seed) : 20261123;
	base_open(b, 0);
	base_site(b);
	base_begin(b);
	for (i = 0; i < BURNT; i++)
		(void)store_new_eid(b->t);
	for (i = 0; i < PEOPLE / 2; i++)
		add(b, i);
	base_commit(b);
	b->t = NULL;
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct base *b = *state;

	base_close(b);
	free(b);
	return 0;
}

static void after_writes(void **state)
{
	struct base *b = *state;
	unsigned i;

	for (i = 0; i < rounds(100); i++) {
		changes(b, 1 + dice(dice(4) == 0 ? 400 : 20));
		compare_many(b, 60);
	}
	base_check(b);
}

/* Writes until it is killed; tells of every commit. */
_Noreturn static void write_for_ever(struct base *b, int tell)
{
	base_reopen(b, 0);
	for (;;) {
		changes(b, 1 + dice(60));
		if (write(tell, "c", 1) != 1)
			_exit(1);
	}
}

static void after_kills(void **state)
{
	struct base *b = *state;
	unsigned i, n;
	int pipes[2], status;
	pid_t pid;
	char c;

	for (i = 0; i < rounds(8); i++) {
		store_close(&b->store);
		base_random();
		assert_int_equal(pipe(pipes), 0);
		pid = fork();
		if (pid == 0)
			write_for_ever(b, pipes[1]);
		close(pipes[1]);
		for (n = 1 + dice(12); n != 0; n--)
			assert_int_equal(read(pipes[0], &c, 1), 1);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		close(pipes[0]);
		base_reopen(b, 0);
		base_check(b);
		compare_many(b, 60);
	}
}

static void nothing_told(void *arg, unsigned long entries)
{
	(void)arg;
	(void)entries;
}

/* Entries that the n-gram index gives for a part of a surname. */
static unsigned candidates(struct base *b, const char *part)
{
	struct index_range r = {.kind = INDEX_PART, .lo = span_of(part)};
	struct store_iter *i;
	struct store_txn *t;
	unsigned n = 0;
	uint64_t eid;

	r.attr = schema_attr(b->schema, SPAN_LIT("sn"))->hash;
	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	assert_int_equal(store_ranges(t, &r, 1, &i), RC_OK);
	while (store_iter_next(i, &eid) == RC_OK)
		n++;
	store_iter_free(&i);
	store_read_end(&t);
	return n;
}

/* Made anew, the n-gram index has no longer what went. */
static void after_reindex(void **state)
{
	struct base *b = *state;
	char dn[100];
	unsigned i;

	for (i = 0; i < rounds(3); i++) {
		changes(b, 200);
		dn_of(0, dn);
		base_delete(b, dn);
		add(b, 0);
		base_modify(b, dn, "r", "sn: quondam\n");
		base_modify(b, dn, "r", "sn: hodie\n");
		assert_int_equal(candidates(b, "quondam"), 1);
		assert_int_equal(update_reindex(b->store, &b->ctx, nothing_told, NULL), RC_OK);
		assert_int_equal(candidates(b, "quondam"), 0);
		assert_int_equal(candidates(b, "hodie"), 1);
		base_check(b);
		compare_many(b, 100);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(after_writes, setup, teardown),
		cmocka_unit_test_setup_teardown(after_kills, setup, teardown),
		cmocka_unit_test_setup_teardown(after_reindex, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
