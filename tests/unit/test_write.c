/* Loops and the writer (dird/loop.h, dird/write.h): concurrent submits, gap-free usns, growth. */
#include "tests/unit/base.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

#include "dird/write.h"

#define THREADS 4
#define PER_THREAD 150

static void wait_for(atomic_int *value, int want)
{
	struct timespec nap = {0, 2000000};
	int tries;

	for (tries = 0; atomic_load(value) < want; tries++) {
		if (tries > 15000)
			fail_msg("waited 30 s: %d of %d", atomic_load(value), want);
		nanosleep(&nap, NULL);
	}
}

struct request {
	struct write_req req;
	struct arena arena;
	struct change changes[3];
	atomic_int *done;
	atomic_int *ok;
};

struct bench {
	struct base base;
	struct writer *writer;
	struct loop *loops[2];
	atomic_int done, ok, told, posted;
};

static void on_done(struct write_req *req)
{
	struct request *r = req->ctx;

	must(loop_is_mine(req->home));
	if (req->rc == RC_OK)
		atomic_fetch_add(r->ok, 1);
	arena_fini(&r->arena);
	atomic_fetch_add(r->done, 1);
	mem_free(r);
}

static void on_commit(void *ctx)
{
	struct bench *b = ctx;

	atomic_fetch_add(&b->told, 1);
}

static int setup_sized(void **state, size_t map_bytes)
{
	struct bench *b = calloc(1, sizeof(*b));

	base_open(&b->base, map_bytes);
	base_site(&b->base);
	assert_int_equal(loop_start("one", &b->loops[0]), RC_OK);
	assert_int_equal(loop_start("two", &b->loops[1]), RC_OK);
	assert_int_equal(writer_start(b->base.store, b->base.schema, b->base.ctx.root,
				      &clock_system, &b->writer),
			 RC_OK);
	*state = b;
	return 0;
}

static int setup(void **state)
{
	return setup_sized(state, 0);
}

static int setup_small(void **state)
{
	return setup_sized(state, 1 << 20);
}

static int teardown(void **state)
{
	struct bench *b = *state;

	writer_stop(&b->writer);
	loop_stop(&b->loops[0]);
	loop_stop(&b->loops[1]);
	base_close(&b->base);
	free(b);
	return 0;
}

static void fill_add(struct request *r, struct change *c, unsigned n, size_t bytes)
{
	char *dn = arena_printf(&r->arena, "cn=P%u,cn=Recipients,ou=S1,o=Example", n);
	struct attr *attrs = arena_zalloc(&r->arena, 2, sizeof(*attrs));
	struct span *values = arena_zalloc(&r->arena, 2, sizeof(*values));
	char *text = arena_alloc(&r->arena, bytes + 1);

	memset(text, 'x', bytes);
	values[0] = SPAN_LIT("container");
	values[1] = span_make(text, bytes);
	attrs[0] =
		(struct attr){.type = SPAN_LIT("objectClass"), .values = &values[0], .nvalues = 1};
	attrs[1] =
		(struct attr){.type = SPAN_LIT("description"), .values = &values[1], .nvalues = 1};
	c->kind = CHANGE_ADD;
	must(dn_parse(&r->arena, span_of(dn), &c->dn, NULL) == RC_OK);
	c->attrs = (struct attr_list){attrs, bytes != 0 ? 2 : 1};
}

static struct request *new_request(struct bench *b, unsigned home, unsigned nchanges)
{
	struct request *r = mem_zalloc(1, sizeof(*r));

	r->req.changes = r->changes;
	r->req.nchanges = nchanges;
	r->req.arena = &r->arena;
	r->req.home = b->loops[home];
	r->req.done = on_done;
	r->req.ctx = r;
	r->done = &b->done;
	r->ok = &b->ok;
	return r;
}

static uint64_t site_usn(struct bench *b, uint64_t *rows)
{
	struct dn dn = base_dn(&b->base, "ou=S1,o=Example");
	struct store_change row;
	struct store_txn *t;
	struct store_nc nc;
	struct entry e;
	unsigned depth;
	uint64_t eid, at = 0;

	*rows = 0;
	assert_int_equal(store_read_begin(b->base.store, &t), RC_OK);
	assert_int_equal(store_find(t, &dn, &eid, &depth), RC_OK);
	assert_int_equal(store_entry(t, eid, &e), RC_OK);
	assert_int_equal(store_nc_find(t, &e.head.uuid, &nc), RC_OK);
	while (store_change_next(t, nc.number, at, UINT64_MAX, &row) == RC_OK) {
		assert_int_equal(row.usn, at + 1); /* requirement R1: no gap */
		at = row.usn;
		++*rows;
	}
	store_read_end(&t);
	return nc.position.usn;
}

static bool always(void *ctx)
{
	(void)ctx;
	return true;
}

static void listen_here(void *arg)
{
	struct bench *b = arg;

	loop_listen(1);
	atomic_fetch_add(&b->posted, 1);
}

static bool first_listens(void *ctx)
{
	struct bench *b = ctx;

	return loop_listens(b->loops[0]);
}

static void add_one(struct bench *b, unsigned n)
{
	struct request *r = new_request(b, 1, 1);
	int before = atomic_load(&b->done);

	fill_add(r, &r->changes[0], n, 0);
	writer_submit(b->writer, &r->req);
	wait_for(&b->done, before + 1);
}

static void who_listens_is_told(void **state)
{
	struct bench *b = *state;

	assert_int_equal(writer_on_commit(b->writer, b->loops[0], on_commit, first_listens, b),
			 RC_OK);
	add_one(b, 1);
	add_one(b, 2); /* what the first commit posted was posted by now */
	assert_int_equal(loop_post(b->loops[0], listen_here, b), RC_OK);
	wait_for(&b->posted, 1); /* and has run */
	assert_int_equal(atomic_load(&b->told), 0);
	add_one(b, 3);
	wait_for(&b->told, 1);
}

struct submitter {
	struct bench *b;
	unsigned first;
};

static void *submit_many(void *arg)
{
	struct submitter *s = arg;
	struct request *r;
	unsigned i;

	for (i = 0; i < PER_THREAD; i++) {
		r = new_request(s->b, i % 2, 1);
		/* every tenth name was there before: refused among its neighbours */
		fill_add(r, &r->changes[0], i % 10 == 9 ? s->first + i - 1 : s->first + i, 0);
		writer_submit(s->b->writer, &r->req);
	}
	return NULL;
}

static void concurrent_submits(void **state)
{
	struct bench *b = *state;
	struct submitter s[THREADS];
	pthread_t threads[THREADS];
	struct writer_stats stats;
	uint64_t rows;
	unsigned i;

	assert_int_equal(writer_on_commit(b->writer, b->loops[0], on_commit, always, b), RC_OK);
	for (i = 0; i < THREADS; i++) {
		s[i] = (struct submitter){b, i * 1000};
		assert_int_equal(pthread_create(&threads[i], NULL, submit_many, &s[i]), 0);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	wait_for(&b->done, THREADS * PER_THREAD);
	wait_for(&b->told, 1);
	assert_int_equal(atomic_load(&b->ok), THREADS * PER_THREAD * 9 / 10);
	assert_int_equal(site_usn(b, &rows), THREADS * PER_THREAD * 9 / 10 + 2);
	assert_int_equal(rows, THREADS * PER_THREAD * 9 / 10 + 2);
	writer_stats(b->writer, &stats);
	assert_int_equal(stats.refused, THREADS * PER_THREAD / 10);
	assert_true(stats.commits >= 1 && stats.commits <= THREADS * PER_THREAD);
	base_check(&b->base);
}

static void all_or_none(void **state)
{
	struct bench *b = *state;
	struct request *r = new_request(b, 0, 3);
	uint64_t rows, before = site_usn(b, &rows);

	fill_add(r, &r->changes[0], 1, 0);
	fill_add(r, &r->changes[1], 2, 0);
	fill_add(r, &r->changes[2], 1, 0); /* exists by then */
	writer_submit(b->writer, &r->req);
	wait_for(&b->done, 1);
	assert_int_equal(atomic_load(&b->ok), 0);
	assert_int_equal(site_usn(b, &rows), before);
	r = new_request(b, 0, 2);
	fill_add(r, &r->changes[0], 1, 0);
	fill_add(r, &r->changes[1], 2, 0);
	writer_submit(b->writer, &r->req);
	wait_for(&b->done, 2);
	assert_int_equal(atomic_load(&b->ok), 1);
	assert_int_equal(site_usn(b, &rows), before + 2);
}

static int refuse_odd(struct write_req *req, struct store_txn *t, struct result *why)
{
	struct span rdn = ((struct request *)req->ctx)->changes[0].dn.rdns[0].avas[0].value;

	(void)t;
	return rdn.p[rdn.n - 1] % 2 != 0 ? result_set(why, req->arena, LR_ASSERTION_FAILED, "odd")
					 : RC_OK;
}

static void on_parts_done(struct write_req *req)
{
	struct request *r = req->ctx;

	atomic_store(r->done, 1);
}

/* Parts are applied in their order, each after its own check; one that fails undoes all. */
static void parts_stand_or_fall_together(void **state)
{
	struct bench *b = *state;
	unsigned round;
	int i;

	for (round = 0; round < 2; round++) {
		struct request *r[3];
		atomic_int ended = 0;
		uint64_t usn, rows, usn_then, rows_then;

		usn = site_usn(b, &rows);
		for (i = 0; i < 3; i++) {
			r[i] = new_request(b, 0, 1);
			arena_init(&r[i]->arena);
			fill_add(r[i], &r[i]->changes[0], 9000 + (unsigned)i, 0);
		}
		if (round == 1) { /* the first two are new, the last one is there */
			fill_add(r[0], &r[0]->changes[0], 9100, 0);
			fill_add(r[1], &r[1]->changes[0], 9101, 0);
		}
		r[0]->req.part = &r[1]->req;
		r[1]->req.part = &r[2]->req;
		r[0]->req.done = on_parts_done;
		r[0]->done = &ended;
		writer_submit(b->writer, &r[0]->req);
		wait_for(&ended, 1);
		usn_then = site_usn(b, &rows_then);
		assert_int_equal(r[0]->req.rc, round == 0 ? RC_OK : RC_REFUSED);
		assert_int_equal(usn_then - usn, round == 0 ? 3 : 0);
		assert_int_equal(rows_then - rows, round == 0 ? 3 : 0);
		assert_ptr_equal(r[0]->req.refused, round == 0 ? NULL : &r[2]->req);
		if (round == 1)
			assert_int_equal(r[0]->req.result.code, LR_EXISTS);
		for (i = 0; i < 3; i++) {
			arena_fini(&r[i]->arena);
			mem_free(r[i]);
		}
	}
}

static void checks_run_inside(void **state)
{
	struct bench *b = *state;
	struct request *r;
	unsigned i;

	for (i = 0; i < 10; i++) {
		r = new_request(b, 0, 1);
		r->req.check = refuse_odd;
		fill_add(r, &r->changes[0], i, 0);
		writer_submit(b->writer, &r->req);
	}
	wait_for(&b->done, 10);
	assert_int_equal(atomic_load(&b->ok), 5);
}

/* Requirement F7: the map grows under load, with readers, and no operation fails. */
static void *read_on(void *arg)
{
	struct bench *b = arg;
	struct store_txn *t;
	uint64_t root;

	while (atomic_load(&b->told) == 0) {
		must(store_read_begin(b->base.store, &t) == RC_OK);
		must(store_root(t, &root) == RC_OK);
		store_read_end(&t);
	}
	return NULL;
}

static void the_map_grows(void **state)
{
	struct bench *b = *state;
	struct store_stat stat;
	struct store_txn *t;
	struct request *r;
	pthread_t reader;
	unsigned i;

	assert_int_equal(pthread_create(&reader, NULL, read_on, b), 0);
	for (i = 0; i < 200; i++) {
		r = new_request(b, 0, 1);
		fill_add(r, &r->changes[0], i, 50000);
		writer_submit(b->writer, &r->req);
	}
	wait_for(&b->done, 200);
	atomic_store(&b->told, 1);
	pthread_join(reader, NULL);
	assert_int_equal(atomic_load(&b->ok), 200);
	assert_int_equal(store_read_begin(b->base.store, &t), RC_OK);
	assert_int_equal(store_stat(t, &stat), RC_OK);
	store_read_end(&t);
	assert_true(stat.map_bytes > (8u << 20) && stat.used_bytes > (8u << 20));
	base_check(&b->base);
}

/* Requirement F6: no room for a while. Writes fail, reads go on, and then it works again. */
static void the_disk_is_full(void **state)
{
	struct bench *b = *state;
	struct rlimit old, small;
	struct store_txn *t;
	struct request *r;
	uint64_t rows, before = site_usn(b, &rows);
	char path[200];
	struct stat st;

	snprintf(path, sizeof(path), "%s/data.mdb", b->base.folder);
	assert_int_equal(stat(path, &st), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = (rlim_t)st.st_size + 8192;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	r = new_request(b, 0, 1);
	fill_add(r, &r->changes[0], 1, 500000);
	writer_submit(b->writer, &r->req);
	wait_for(&b->done, 1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(atomic_load(&b->ok), 0);
	assert_int_equal(store_read_begin(b->base.store, &t), RC_OK);
	store_read_end(&t);
	assert_int_equal(site_usn(b, &rows), before);
	r = new_request(b, 0, 1);
	fill_add(r, &r->changes[0], 1, 500000);
	writer_submit(b->writer, &r->req);
	wait_for(&b->done, 2);
	assert_int_equal(atomic_load(&b->ok), 1);
	base_check(&b->base);
}

/* --- a replicated change that makes the whole transaction fail (R16) --- */

/* U+FDFA, 18 characters when it is normalised: a name that is too long only then. */
#define LONG_SIGN "\xef\xb7\xba"
#define LONG_SIGNS 2500
#define MANY_ATTRS (UINT16_MAX + 1)

static void name_too_long(struct request *r, struct change *c)
{
	char *name = arena_alloc(&r->arena, 4 + LONG_SIGNS * 3);
	unsigned i;

	strcpy(name, "cn=");
	for (i = 0; i < LONG_SIGNS; i++)
		memcpy(name + 3 + (size_t)i * 3, LONG_SIGN, 3);
	c->rdn = span_make(name, 3 + LONG_SIGNS * 3);
}

static void too_many_attributes(struct request *r, struct change *c)
{
	struct span *value = arena_zalloc(&r->arena, 1, sizeof(*value));
	unsigned i;

	*value = SPAN_LIT("x");
	c->attrs.attrs = arena_zalloc(&r->arena, MANY_ATTRS, sizeof(*c->attrs.attrs));
	c->attrs.n = MANY_ATTRS;
	for (i = 0; i < MANY_ATTRS; i++)
		c->attrs.attrs[i] =
			(struct attr){.type = span_of(arena_printf(&r->arena, "x%u", i)),
				      .values = value,
				      .nvalues = 1};
}

static struct uuid root_uuid(struct bench *b)
{
	struct store_txn *t;
	struct entry e;
	uint64_t eid;
	struct uuid u;

	assert_int_equal(store_read_begin(b->base.store, &t), RC_OK);
	assert_int_equal(store_root(t, &eid), RC_OK);
	assert_int_equal(store_entry(t, eid, &e), RC_OK);
	u = e.head.uuid;
	store_read_end(&t);
	return u;
}

static void leave_as_it_is(struct request *r, struct change *c)
{
	(void)r;
	(void)c;
}

/* The head of another site's context, an entry that `spoil` makes something of, and the position.
 */
static struct request *replicated_request(struct bench *b, struct uuid nc,
					  void (*spoil)(struct request *r, struct change *c))
{
	struct request *r = new_request(b, 0, 3);
	struct change *c = r->changes;

	fill_add(r, &c[0], 1, 0);
	fill_add(r, &c[1], 2, 0);
	c[0].kind = c[1].kind = CHANGE_PUT;
	c[0].uuid = c[1].parent_uuid = nc;
	c[0].parent_uuid = root_uuid(b);
	c[0].rdn = span_of(arena_printf(&r->arena, "ou=X%u", nc.b[0]));
	c[0].stamp = (struct stamp){nc, 1, 1};
	c[1].uuid = nc;
	c[1].uuid.b[0] ^= 1;
	c[1].rdn = SPAN_LIT("cn=poison");
	c[1].stamp = (struct stamp){nc, 1, 2};
	spoil(r, &c[1]);
	c[2] = (struct change){.kind = CHANGE_POSITION, .position = {nc, 1, {{7}}, 2}};
	r->req.is_internal = true;
	return r;
}

/* As replication writes several batches at once: `second` is a part of `first`. */
static void submit_both(struct bench *b, struct request *first, struct request *second)
{
	atomic_int ended = 0;

	first->req.part = &second->req;
	first->req.done = on_parts_done;
	first->done = &ended;
	writer_submit(b->writer, &first->req);
	wait_for(&ended, 1);
	assert_int_equal(first->req.rc, RC_OK);
	arena_fini(&first->arena);
	arena_fini(&second->arena);
	mem_free(first);
	mem_free(second);
}

static void a_hard_error_in_a_part(void **state)
{
	struct bench *b = *state;
	struct uuid one = {{0x40}}, two = {{0x42}};
	struct store_txn *t;

	submit_both(b, replicated_request(b, one, leave_as_it_is),
		    replicated_request(b, two, too_many_attributes));
	assert_int_equal(store_read_begin(b->base.store, &t), RC_OK);
	assert_int_equal(store_quarantine_count(t), 1);
	store_read_end(&t);
	base_check(&b->base);
}

static void give_an_address(struct request *r, struct change *c)
{
	struct attr *attrs = arena_zalloc(&r->arena, 2, sizeof(*attrs));
	struct span *values = arena_zalloc(&r->arena, 2, sizeof(*values));

	values[0] = SPAN_LIT("mailRecipient");
	values[1] = SPAN_LIT("anna@example.com");
	attrs[0] =
		(struct attr){.type = SPAN_LIT("objectClass"), .values = &values[0], .nvalues = 1};
	attrs[1] = (struct attr){.type = SPAN_LIT("mail"), .values = &values[1], .nvalues = 1};
	c->attrs = (struct attr_list){attrs, 2};
}

/* Whichever batch brings the second entry with an address, it is told. */
static void conflicts_are_counted(void **state)
{
	struct bench *b = *state;
	struct uuid one = {{0x40}}, two = {{0x42}}, three = {{0x44}}, four = {{0x46}};
	struct writer_stats stats;

	submit_both(b, replicated_request(b, one, give_an_address),
		    replicated_request(b, two, give_an_address));
	writer_stats(b->writer, &stats);
	assert_int_equal(stats.conflicts, 1);
	submit_both(b, replicated_request(b, three, give_an_address),
		    replicated_request(b, four, leave_as_it_is));
	writer_stats(b->writer, &stats);
	assert_int_equal(stats.conflicts, 2);
}

static void a_hard_error_costs_one_entry(void **state)
{
	static void (*const spoilers[])(struct request *, struct change *) = {name_too_long,
									      too_many_attributes};
	struct bench *b = *state;
	struct request *retry;
	struct store_txn *t;
	struct store_nc now;
	uint64_t eid;
	int i;

	for (i = 0; i < 2; i++) {
		struct uuid nc = {{(uint8_t)(0x40 + 2 * i)}}, one = {{(uint8_t)(0x41 + 2 * i)}};
		struct request *r = replicated_request(b, nc, spoilers[i]);

		writer_submit(b->writer, &r->req);
		wait_for(&b->done, i + 1);
		assert_int_equal(atomic_load(&b->ok), i + 1);
		assert_int_equal(store_read_begin(b->base.store, &t), RC_OK);
		assert_int_equal(store_quarantine_count(t), i + 1);
		assert_int_equal(store_by_uuid(t, &nc, &eid), RC_OK);
		assert_int_equal(store_by_uuid(t, &one, &eid), RC_NOTFOUND);
		assert_int_equal(store_nc_find(t, &nc, &now), RC_OK);
		assert_int_equal(now.position.usn, 2);
		store_read_end(&t);
	}
	base_check(&b->base);
	retry = new_request(b, 0, 1);
	retry->changes[0].kind = CHANGE_RETRY;
	writer_submit(b->writer, &retry->req);
	wait_for(&b->done, 3);
	assert_int_equal(atomic_load(&b->ok), 3);
	assert_int_equal(store_read_begin(b->base.store, &t), RC_OK);
	assert_int_equal(store_quarantine_count(t), 2);
	store_read_end(&t);
	base_check(&b->base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_listens_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(concurrent_submits, setup, teardown),
		cmocka_unit_test_setup_teardown(all_or_none, setup, teardown),
		cmocka_unit_test_setup_teardown(parts_stand_or_fall_together, setup, teardown),
		cmocka_unit_test_setup_teardown(checks_run_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(the_map_grows, setup_small, teardown),
		cmocka_unit_test_setup_teardown(the_disk_is_full, setup, teardown),
		cmocka_unit_test_setup_teardown(a_hard_error_costs_one_entry, setup, teardown),
		cmocka_unit_test_setup_teardown(a_hard_error_in_a_part, setup, teardown),
		cmocka_unit_test_setup_teardown(conflicts_are_counted, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
