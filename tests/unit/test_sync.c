/*
 * Sites in one process: the provider (dird/sync.h), the decoding of a session (dird/repl_batch.h)
 * and the update code on real stores, with random writes, slow and cut connections. What is left
 * out is sockets, threads and time. A failing run prints its seed.
 */
#include "tests/unit/sync_session.h"

#define CLIENTS 5

/* --- the world --- */

struct world {
	struct link links[12];
	unsigned nlinks;
	struct client *clients;
};

static void add_links(struct world *w, unsigned from, unsigned to)
{
	w->links[w->nlinks++] = (struct link){.from = &sites[from], .to = &sites[to]};
	w->links[w->nlinks++] = (struct link){.from = &sites[to], .to = &sites[from]};
}

static void open_world(struct world *w, uint64_t seed)
{
	static const struct request requests[CLIENTS] = {
		{.at = &sites[0], .base = ROOT, .filter = "(objectClass=*)", .scope = STORE_SUB},
		{.at = &sites[3], .base = ROOT, .filter = "(description=a)", .scope = STORE_SUB},
		{.at = &sites[1],
		 .base = "cn=c1,cn=Recipients,ou=S2," ROOT,
		 .filter = "(objectClass=*)",
		 .scope = STORE_SUB},
		{.at = &sites[2],
		 .base = "cn=Fixed,cn=Recipients,ou=S2," ROOT,
		 .filter = "(objectClass=*)",
		 .scope = STORE_CHILDREN},
		{.at = &sites[2],
		 .base = "cn=Recipients,ou=S0," ROOT,
		 .filter = "(description=a)",
		 .scope = STORE_ONE},
	};
	unsigned i;

	memset(w, 0, sizeof(*w));
	rng = seed;
	for (i = 0; i < SITES; i++)
		open_site(&sites[i], i);
	/* a chain, closed to a ring in every other world */
	for (i = 0; i + 1 < SITES; i++)
		add_links(w, i, i + 1);
	if (seed % 2 == 0)
		add_links(w, SITES - 1, 0);
	for (i = 0; i < w->nlinks; i++) {
		buf_init(&w->links[i].s.wire, 64 << 20);
		buf_init(&w->links[i].s.cookie, 1 << 20);
		repl_batch_init(&w->links[i].batch);
	}
	w->clients = mem_zalloc(CLIENTS, sizeof(*w->clients));
	assert_non_null(w->clients);
	for (i = 0; i < CLIENTS; i++) {
		w->clients[i].r = requests[i];
		w->clients[i].r.who = IDENTITY_ADMIN;
		arena_init(&w->clients[i].arena);
		buf_init(&w->clients[i].s.wire, 64 << 20);
		buf_init(&w->clients[i].s.cookie, 1 << 20);
	}
}

static void close_world(struct world *w)
{
	unsigned i;

	for (i = 0; i < w->nlinks; i++) {
		cut_link(&w->links[i]);
		free_session(&w->links[i].s);
	}
	for (i = 0; i < CLIENTS; i++) {
		free_session(&w->clients[i].s);
		arena_fini(&w->clients[i].arena);
	}
	mem_free(w->clients);
	for (i = 0; i < SITES; i++)
		close_site(&sites[i]);
}

static void step_link(struct link *l)
{
	if (!l->s.is_open)
		open_link(l);
	else if (draw(12) == 0)
		cut_link(l);
	else if (draw(2) == 0)
		turn(&l->s);
	else
		read_link(l, draw(8));
}

static void step_client(struct client *c)
{
	if (!c->s.is_open) {
		c->r.mode = draw(2) == 0 ? SYNC_REFRESH_ONLY : SYNC_REFRESH_AND_PERSIST;
		open_client(c);
	} else if (draw(12) == 0) {
		close_session(&c->s);
	} else if (draw(2) == 0) {
		turn(&c->s);
	} else {
		read_client(c, draw(8));
	}
}

static void step(struct world *w)
{
	unsigned what = draw(10), i = draw(w->nlinks);

	if (what < 3)
		random_change(&sites[draw(SITES)]);
	else if (what < 7)
		step_link(&w->links[i]);
	else if (what < 9)
		step_client(&w->clients[draw(CLIENTS)]);
	else if (draw(40) == 0)
		begin_life(&sites[draw(SITES)]);
	else
		sync_wake(NULL);
}

/* No more writes, links stay up: let everything flow. */
static void settle(struct world *w)
{
	unsigned round, i;

	for (round = 0; round < 200; round++) {
		sync_wake(NULL);
		for (i = 0; i < w->nlinks; i++) {
			if (!w->links[i].s.is_open)
				open_link(&w->links[i]);
			turn(&w->links[i].s);
			read_link(&w->links[i], UINT32_MAX);
		}
		for (i = 0; i < CLIENTS; i++) {
			struct client *c = &w->clients[i];

			c->r.mode = SYNC_REFRESH_AND_PERSIST;
			if (!c->s.is_open && (round < 190 || c->n != 0))
				open_client(c);
			turn(&c->s);
			read_client(c, UINT32_MAX);
		}
	}
}

/* Fail with the first line that is not in both. */
static void compare(struct span a, struct span b, unsigned number)
{
	struct span x, y;

	while (a.n != 0 || b.n != 0) {
		span_cut(&a, '\n', &x);
		span_cut(&b, '\n', &y);
		if (!span_eq(x, y))
			fail_msg("site %u differs from site 0:\n%.*s\n%.*s", number, SPAN_ARG(y),
				 SPAN_ARG(x));
	}
}

static void check_world(struct world *w)
{
	struct span first, other;
	struct arena a;
	unsigned i;

	arena_init(&a);
	first = dump(&sites[0], &a);
	for (i = 1; i < SITES; i++) {
		other = dump(&sites[i], &a);
		compare(first, other, i);
	}
	arena_fini(&a);
	for (i = 0; i < CLIENTS; i++)
		check_client(&w->clients[i]);
}

static void run_seed(uint64_t seed, unsigned steps)
{
	struct world w;
	unsigned i;

	print_message("seed %llu\n", (unsigned long long)seed);
	open_world(&w, seed);
	for (i = 0; i < steps; i++)
		step(&w);
	settle(&w);
	check_world(&w);
	close_world(&w);
}

static void random_worlds(void **state)
{
	const char *only = getenv("WAYPOST_SEED"), *soak = getenv("WAYPOST_SOAK");
	uint64_t seed, last = soak != NULL ? 300 : 40;

	(void)state;
	if (only != NULL) {
		run_seed(strtoull(only, NULL, 10), 1500);
		return;
	}
	for (seed = 1; seed <= last; seed++)
		run_seed(seed, 1500);
}

/* RFC 4533 §3.8: a naming context begins another life under a session that persists. It ends with
 * 4096 and a cookie, which leads to the content again. */
static void refresh_required_with_cookie(void **state)
{
	struct client *c;
	struct world w;
	unsigned i, entries;

	(void)state;
	open_world(&w, 1);
	c = &w.clients[4];
	for (i = 0; i < 200; i++)
		random_change(&sites[0]);
	c->r.at = &sites[0];
	c->r.mode = SYNC_REFRESH_AND_PERSIST;
	open_client(c);
	for (i = 0; i < 100; i++) {
		turn(&c->s);
		read_client(c, UINT32_MAX);
	}
	assert_true(c->s.is_open && c->n != 0);
	buf_clear(&c->s.cookie);
	begin_life(&sites[0]);
	sync_wake(NULL);
	read_client(c, UINT32_MAX);
	assert_false(c->s.is_open);
	assert_int_equal(c->s.code, LR_SYNC_REFRESH_REQUIRED);
	assert_true(c->s.cookie.n != 0);
	entries = c->n;
	open_client(c);
	for (i = 0; i < 100; i++) {
		turn(&c->s);
		read_client(c, UINT32_MAX);
	}
	assert_true(c->s.is_open);
	assert_int_equal(c->n, entries);
	check_client(c);
	close_world(&w);
}

static void set_recovering(struct site *s, bool is)
{
	struct store_txn *t;
	struct store_nc nc;

	assert_int_equal(store_write_begin(s->store, &t), RC_OK);
	assert_int_equal(store_nc_find(t, &s->nc, &nc), RC_OK);
	nc.is_recovering = is;
	store_nc_put(t, &nc);
	assert_int_equal(store_write_commit(&t), RC_OK);
}

/* What a home takes back is told to no site before it is whole, to one without a cookie neither. */
static void recovering_is_held(void **state)
{
	struct client *c;
	struct world w;
	unsigned i;

	(void)state;
	open_world(&w, 1);
	for (i = 0; i < 2; i++) {
		set_recovering(&sites[0], i == 0);
		c = &w.clients[0];
		c->r.at = &sites[0];
		c->r.who = IDENTITY_SITE;
		c->r.site = sites[1].nc;
		c->r.mode = SYNC_REFRESH_AND_PERSIST;
		open_client(c);
		turn(&c->s);
		read_client(c, UINT32_MAX);
		assert_int_equal(find_copy(c, &sites[0].nc) == NULL, i == 0);
		close_session(&c->s);
		buf_clear(&c->s.cookie);
	}
	close_world(&w);
}

static void set_key(struct site *s, const char *key)
{
	struct change change = {
		.kind = CHANGE_MODIFY, .actor = SPAN_LIT("cn=admin," ROOT), .nmods = 1};
	struct attr_list list = {.n = 0};
	char dn[64];
	struct arena a;

	arena_init(&a);
	snprintf(dn, sizeof(dn), "ou=S%u," ROOT, s->number);
	list.attrs = arena_zalloc(&a, 1, sizeof(*list.attrs));
	set_attr(&a, &list, "siteKey", key);
	change.dn = dn_of(&a, dn);
	change.mods = arena_zalloc(&a, 1, sizeof(*change.mods));
	change.mods[0] = (struct change_mod){CHANGE_OP_REPLACE, list.attrs[0]};
	assert_int_equal(apply(s, &change, 1, &a), RC_OK);
	arena_fini(&a);
}

/* A session rests on the keys of its site: other changes leave it alone, another key ends it. */
static void keys_change(void **state)
{
	struct client *c;
	struct world w;
	unsigned i;

	(void)state;
	open_world(&w, 1);
	c = &w.clients[4];
	set_key(&sites[0], "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	c->r.at = &sites[0];
	c->r.who = IDENTITY_SITE;
	c->r.site = sites[0].nc;
	c->r.mode = SYNC_REFRESH_AND_PERSIST;
	open_client(c);
	for (i = 0; i < 20; i++) {
		random_change(&sites[0]);
		sync_wake(NULL);
		turn(&c->s);
		read_client(c, UINT32_MAX);
	}
	assert_true(c->s.is_open);
	set_key(&sites[0], "sha256:BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA=");
	sync_wake(NULL);
	assert_true(c->s.has_ended);
	assert_int_equal(c->s.code, LR_INSUFFICIENT_ACCESS);
	close_world(&w);
}

static int load_schema(void **state)
{
	struct buf errors;
	int rc;

	(void)state;
	buf_init(&errors, 1 << 20);
	rc = schema_load(SCHEMADIR, &schema, &errors);
	buf_fini(&errors);
	return rc;
}

static int unload_schema(void **state)
{
	(void)state;
	schema_free(&schema);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		unit_heap_test(refresh_required_with_cookie),
		unit_heap_test(recovering_is_held),
		unit_heap_test(keys_change),
		unit_heap_test(random_worlds),
	};

	return cmocka_run_group_tests(tests, load_schema, unload_schema);
}
