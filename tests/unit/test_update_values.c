/*
 * Values that are stored apart (dird/update_values.c): a database that does so from a few values on
 * answers each change and each question as one that never does.
 *
 * WAYPOST_SEED: another world. WAYPOST_SOAK: fifty of them.
 */
#include "tests/unit/base.h"

#include "dird/filter.h"
#include "dird/order.h"
#include "dird/store_digest.h"

#define PEOPLE 400
#define LISTS 4
#define LINES_BYTES 200000
#define RECIPIENTS "cn=Recipients,ou=S1,o=Example"

/* `copy` gets by replication what happens in `apart`, and has a limit of its own. */
struct world {
	struct base near, apart, copy;
	struct base *both[2];
};

static uint32_t uuids;

/* The databases are given the same entryUUIDs. */
static int same_random(void *p, size_t n)
{
	uint64_t x = ++uuids * UINT64_C(0x9e3779b97f4a7c15);
	uint8_t *b = p;
	size_t i;

	for (i = 0; i < n; i++)
		b[i] = (uint8_t)((x ^ x >> 29) >> 8 * (i % 8));
	return RC_OK;
}

static void open_base(struct base *b, unsigned apart_from)
{
	base_open(b, 0);
	b->ctx.apart_from = apart_from;
	b->ctx.random = same_random;
	base_open_views(b);
}

static uint32_t dice(uint32_t n)
{
	return base_random() % n;
}

/* --- the same change on both ------------------------------------------------------------------ */

static void person_dn(unsigned i, char out[static 800])
{
	char odd[600] = "";

	if (i % 13 == 7) { /* normal forms that the index cuts, and that begin alike */
		memset(odd, 'x', 520);
		odd[520] = '\0';
	}
	snprintf(out, 800, "cn=%sPerson %u,cn=F%u," RECIPIENTS, odd, i, i % 2);
}

static void list_dn(unsigned i, char out[static 800])
{
	snprintf(out, 800, "cn=List %u," RECIPIENTS, i);
}

/* Another way to write the same name. */
static void disguise(char *dn)
{
	unsigned how = dice(4);
	size_t i, n = strlen(dn);

	if (how == 0) {
		for (i = 0; i < n; i++)
			dn[i] = (char)span_ascii_lower((uint8_t)dn[i]);
	} else if (how == 1 && n < 780) {
		char *comma = strchr(dn, ',');

		memmove(comma + 2, comma + 1, strlen(comma));
		comma[1] = ' ';
	}
}

static const char *const types[] = {"member", "member;x-old", "uniqueMember", "owner",
				    "description"};

static void put_values(const char *type, unsigned n, char *out, size_t size)
{
	char dn[820];
	size_t at = strlen(out);
	bool seen[PEOPLE] = {false};

	while (n-- != 0) {
		unsigned i = dice(PEOPLE);

		if (seen[i])
			continue; /* a request names nobody twice */
		seen[i] = true;
		person_dn(i, dn);
		disguise(dn);
		at += (size_t)snprintf(out + at, size - at, "%s: %s%s\n", type, dn,
				       strcmp(type, "uniqueMember") == 0 && dice(4) == 0 ? "#'01'B"
											 : "");
	}
}

static int apply_to(struct base *b, const struct change *c, uint32_t seed)
{
	uuids = seed;
	b->last = *c;
	return base_apply(b);
}

static void twice(struct world *w, const struct change *c)
{
	static uint32_t seed = 1000;
	int near, apart;

	seed += 10000;
	near = apply_to(&w->near, c, seed);
	apart = apply_to(&w->apart, c, seed);
	if (near != apart)
		fail_msg("kind %d: near %d %s, apart %d %s", (int)c->kind, near,
			 w->near.why.text != NULL ? w->near.why.text : "", apart,
			 w->apart.why.text != NULL ? w->apart.why.text : "");
}

static void add_person(struct world *w, unsigned i)
{
	struct change c = {.kind = CHANGE_ADD};
	char dn[820];

	person_dn(i, dn);
	c.dn = base_dn(&w->near, dn);
	c.attrs = base_attrs(&w->near, "objectClass: inetOrgPerson\nsn: x\n");
	twice(w, &c);
}

static void add_list(struct world *w, unsigned i)
{
	static char lines[LINES_BYTES];
	char dn[820];
	const char *classes = "objectClass: groupOfNames\nobjectClass: extensibleObject\n";
	struct change c = {.kind = CHANGE_ADD};

	list_dn(i, dn);
	c.dn = base_dn(&w->near, dn);
	snprintf(lines, sizeof(lines), "%s", classes);
	put_values("member", 100 + dice(400), lines, sizeof(lines));
	put_values("uniqueMember", 200 + dice(200), lines, sizeof(lines));
	c.attrs = base_attrs(&w->near, lines);
	twice(w, &c);
}

static void delete_entry(struct world *w, const char *dn)
{
	struct change c = {.kind = CHANGE_DELETE};

	c.dn = base_dn(&w->near, dn);
	twice(w, &c);
}

/* Up to three modifications, often of one attribute. */
static void modify_list(struct world *w, unsigned i)
{
	static const enum change_op ops[] = {
		CHANGE_OP_ADD,    CHANGE_OP_ADD,    CHANGE_OP_ADD,     CHANGE_OP_DELETE,
		CHANGE_OP_DELETE, CHANGE_OP_DELETE, CHANGE_OP_REPLACE, CHANGE_OP_INCREMENT};
	struct change c = {.kind = CHANGE_MODIFY, .is_permissive = dice(3) != 0};
	struct change_mod mods[3];
	char dn[820];
	unsigned type = dice(8) % UNIT_COUNT(types);

	list_dn(i, dn);
	c.dn = base_dn(&w->near, dn);
	c.mods = mods;
	for (c.nmods = 0; c.nmods == 0 || (c.nmods < 3 && dice(3) == 0); c.nmods++) {
		struct change_mod *m = &mods[c.nmods];
		static char lines[LINES_BYTES];

		m->op = ops[dice(dice(3) == 0 ? 8 : 6)];
		lines[0] = '\0';
		put_values(types[type],
			   m->op == CHANGE_OP_REPLACE ? dice(500)
			   : dice(4) == 0             ? 1 + dice(300)
						      : 1 + dice(3),
			   lines, sizeof(lines));
		m->attr = base_attrs(&w->near, lines).attrs[0];
		m->attr.type = span_of(types[type]);
		if (m->op == CHANGE_OP_DELETE && dice(25) == 0)
			m->attr.nvalues = 0;
		if (dice(4) == 0)
			type = dice(UNIT_COUNT(types));
	}
	twice(w, &c);
}

static void rename_entry(struct world *w, const char *dn, const char *rdn, bool delete_old)
{
	struct change c = {.kind = CHANGE_RENAME, .delete_old_rdn = delete_old};

	c.dn = base_dn(&w->near, dn);
	assert_int_equal(dn_rdn_parse(&w->near.arena, span_of(rdn), &c.new_rdn, NULL), RC_OK);
	twice(w, &c);
}

/* Away and back: what names it follows twice. */
static void rename_person(struct world *w)
{
	unsigned i = dice(PEOPLE);
	char dn[820], away[100], rdn[20];

	person_dn(i, dn);
	snprintf(rdn, sizeof(rdn), "cn=Away %u", i);
	snprintf(away, sizeof(away), "%s,cn=F%u," RECIPIENTS, rdn, i % 2);
	rename_entry(w, dn, rdn, true);
	*strchr(dn, ',') = '\0';
	if (dice(3) == 0)
		modify_list(w, dice(LISTS));
	rename_entry(w, away, dn, dice(2) == 0);
}

static void rename_folder(struct world *w)
{
	char dn[100], rdn[20];
	unsigned i = dice(2);

	snprintf(dn, sizeof(dn), "cn=F%u," RECIPIENTS, i);
	rename_entry(w, dn, "cn=Elsewhere", true);
	if (dice(2) == 0)
		modify_list(w, dice(LISTS));
	snprintf(rdn, sizeof(rdn), "cn=F%u", i);
	rename_entry(w, "cn=Elsewhere," RECIPIENTS, rdn, true);
}

/* Named by a value of an attribute that may be apart. */
static void rename_list(struct world *w)
{
	char dn[820], rdn[200], odd[300];
	unsigned i = dice(LISTS);

	list_dn(i, dn);
	if (dice(2) == 0) {
		snprintf(rdn, sizeof(rdn), "cn=List %u", i);
		rename_entry(w, dn, rdn, true);
		return;
	}
	snprintf(rdn, sizeof(rdn),
		 "member=cn\\=Person %u\\,cn\\=F%u\\,cn\\=Recipients\\,ou\\=S1\\,o\\=Example", i,
		 i % 2);
	snprintf(odd, sizeof(odd), "%s," RECIPIENTS, rdn);
	rename_entry(w, dn, rdn, false);
	if (dice(2) == 0) {
		struct change c = {.kind = CHANGE_MODIFY, .nmods = 1};
		struct change_mod m = {.op = CHANGE_OP_DELETE};
		char lines[900];

		snprintf(lines, sizeof(lines), "member: cn=Person %u,cn=F%u," RECIPIENTS "\n",
			 dice(LISTS), i % 2);
		m.attr = base_attrs(&w->near, lines).attrs[0];
		c.dn = base_dn(&w->near, odd);
		c.mods = &m;
		twice(w, &c);
	}
	snprintf(rdn, sizeof(rdn), "cn=List %u", i);
	rename_entry(w, odd, rdn, dice(2) == 0);
}

static void change(struct world *w)
{
	char dn[820];

	switch (dice(22)) {
	case 0:
		person_dn(dice(PEOPLE), dn);
		delete_entry(w, dn);
		break;
	case 1:
	case 2:
		add_person(w, dice(PEOPLE));
		break;
	case 3:
		add_list(w, dice(LISTS));
		break;
	case 4:
		if (dice(4) != 0)
			break;
		list_dn(dice(LISTS), dn);
		delete_entry(w, dn);
		break;
	case 5:
	case 6:
		rename_person(w);
		break;
	case 7:
		rename_folder(w);
		break;
	case 8:
		rename_list(w);
		break;
	default:
		modify_list(w, dice(LISTS));
	}
}

/* --- the same answers ------------------------------------------------------------------------- */

static int by_bytes(const void *a, const void *b)
{
	return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

/* Of the contexts that leave the site: they know nothing of where values are. */
static void put_digests(struct base *b, struct buf *out)
{
	uint8_t digest[DIGEST_BYTES];
	char text[DIGEST_TEXT_BYTES];
	uint32_t number = 0;
	struct store_txn *t;
	struct store_nc nc;

	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	while (store_nc_next(t, &number, &nc) == RC_OK) {
		assert_int_equal(store_digest(t, &nc.position.nc, digest), RC_OK);
		digest_write(digest, text);
		buf_printf(out, "digest %s\n", text);
	}
	store_read_end(&t);
}

/* All entries in the order of their names, with sorted values. */
static void dump(struct base *b, struct buf *out, unsigned *aparts)
{
	struct store_txn *t;
	struct store_iter *i;
	struct attr_list list;
	struct entry_attr attr;
	uint64_t root, eid;
	struct entry e;
	unsigned k, v;

	buf_init(out, 1 << 26);
	*aparts = 0;
	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	assert_int_equal(store_root(t, &root), RC_OK);
	assert_int_equal(store_walk(t, root, STORE_SUB, &i), RC_OK);
	while (store_iter_next(i, &eid) == RC_OK) {
		assert_int_equal(store_dn(t, eid, out), RC_OK);
		assert_int_equal(store_entry(t, eid, &e), RC_OK);
		assert_int_equal(entry_decode(&e, true, &b->arena, &list), RC_OK);
		buf_printf(out, " %u.%lu\n", e.head.stamp.epoch, (unsigned long)e.head.stamp.usn);
		for (k = 0; k < list.n; k++) {
			entry_attr_at(&e, k, &attr);
			*aparts += attr.is_apart;
			qsort(list.attrs[k].values, list.attrs[k].nvalues, sizeof(struct span),
			      by_bytes);
			for (v = 0; v < list.attrs[k].nvalues; v++) {
				buf_puts(out, "  ");
				buf_put(out, list.attrs[k].type);
				buf_puts(out, ": ");
				buf_put(out, list.attrs[k].values[v]);
				buf_putc(out, '\n');
			}
		}
	}
	store_iter_free(&i);
	store_read_end(&t);
	assert_int_equal(buf_rc(out), RC_OK);
}

static void same_dump(const struct buf *x, const struct buf *y)
{
	struct span a = buf_span(x), b = buf_span(y), la, lb;

	while (a.n != 0 || b.n != 0) {
		span_cut(&a, '\n', &la);
		span_cut(&b, '\n', &lb);
		if (!span_eq(la, lb))
			fail_msg("\n%.*s\n%.*s", SPAN_ARG(la), SPAN_ARG(lb));
	}
}

/* What a filter says of every entry, and the least value by which it is sorted. */
static void ask(struct base *b, const char *text, struct buf *out)
{
	const struct schema_attr *member = schema_attr(b->schema, SPAN_LIT("member"));
	struct order_least least;
	struct store_iter *i;
	struct store_txn *t;
	struct buf ber, scratch;
	const char *why = NULL;
	struct filter *f;
	struct entry e;
	struct span rest;
	uint64_t root, eid;

	buf_init(&ber, 1 << 20);
	buf_init(&scratch, 1 << 20);
	assert_int_equal(filter_from_text(span_of(text), &ber, &why), RC_OK);
	rest = buf_span(&ber);
	assert_int_equal(filter_read(b->schema, &rest, &b->arena, &f, &why), RC_OK);
	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	assert_int_equal(store_root(t, &root), RC_OK);
	assert_int_equal(store_walk(t, root, STORE_SUB, &i), RC_OK);
	order_init(&least, b->schema);
	while (store_iter_next(i, &eid) == RC_OK) {
		assert_int_equal(store_entry(t, eid, &e), RC_OK);
		buf_printf(out, "%lu:%d ", (unsigned long)eid,
			   (int)filter_match(f, b->schema, &e, NULL, &scratch));
		order_begin(&least, SCHEMA_NORM_DN);
		order_entry(&least, member, &e);
		if (least.has)
			buf_put(out, buf_span(&least.best));
		buf_putc(out, '\n');
	}
	order_fini(&least);
	store_iter_free(&i);
	store_read_end(&t);
	buf_fini(&scratch);
	buf_fini(&ber);
}

/* The entries that one entry names: candidates of (memberOf=...), paused and resumed. */
static void ask_named(struct base *b, const char *list, const char *type, struct buf *out)
{
	struct index_range r = {.attr = entry_type_hash(span_of(type)),
				.kind = INDEX_NAMED,
				.lo = span_of(list),
				.type = span_of(type)};
	struct store_iter *i;
	struct store_txn *t;
	uint64_t eid, seen[PEOPLE * 3] = {0};
	unsigned n = 0, k;

	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	assert_int_equal(store_ranges(t, &r, 1, &i), RC_OK);
	while (store_iter_next(i, &eid) == RC_OK) {
		assert_true(n < UNIT_COUNT(seen));
		seen[n++] = eid;
		if (n % 7 != 0)
			continue;
		assert_int_equal(store_iter_pause(i), RC_OK);
		store_read_end(&t);
		assert_int_equal(store_read_begin(b->store, &t), RC_OK);
		assert_int_equal(store_iter_resume(i, t), RC_OK);
	}
	store_iter_free(&i);
	store_read_end(&t);
	for (eid = 1; eid < 3000; eid++) {
		for (k = 0; k < n && seen[k] != eid; k++)
			;
		if (k < n)
			buf_printf(out, "%s names %lu\n", list, (unsigned long)eid);
	}
}

static void same_answers(struct world *w)
{
	char dn[820], text[1000];
	struct buf answers[2];
	unsigned k, i;
	uint32_t seed = base_seed;

	for (k = 0; k < 2; k++) {
		base_seed = seed;
		buf_init(&answers[k], 1 << 24);
		for (i = 0; i < 6; i++) {
			person_dn(dice(PEOPLE), dn);
			disguise(dn);
			snprintf(text, sizeof(text), "(%s=%s)", types[dice(4)], dn);
			ask(w->both[k], text, &answers[k]);
		}
		ask(w->both[k], "(|(member=*)(!(uniqueMember=*)))", &answers[k]);
		ask(w->both[k],
		    "(&(uniqueMember=*)(!(member;x-old=cn=Person 1,cn=F1," RECIPIENTS ")))",
		    &answers[k]);
		ask(w->both[k], "(:2.5.13.1:=cn=Person 2,cn=F0," RECIPIENTS ")", &answers[k]);
		ask(w->both[k], "(member=not a name)", &answers[k]);
		for (i = 0; i < LISTS; i++) {
			list_dn(i, dn);
			ask_named(w->both[k], dn, "member", &answers[k]);
			ask_named(w->both[k], dn, "uniqueMember", &answers[k]);
		}
	}
	same_dump(&answers[0], &answers[1]);
	buf_fini(&answers[0]);
	buf_fini(&answers[1]);
}

/* --- replication ------------------------------------------------------------------------------ */

static struct span keep(struct base *b, struct span s)
{
	return arena_span(&b->arena, s);
}

static void put_of(struct world *w, struct store_txn *t, uint64_t eid)
{
	struct change *c = &w->copy.last;
	struct entry e;

	assert_int_equal(store_entry(t, eid, &e), RC_OK);
	*c = (struct change){.kind = CHANGE_PUT,
			     .uuid = e.head.uuid,
			     .parent_uuid = e.head.parent_uuid,
			     .rdn = keep(&w->copy, e.head.rdn),
			     .stamp = e.head.stamp};
	assert_int_equal(entry_decode(&e, true, &w->copy.arena, &c->attrs), RC_OK);
}

static void carry(struct world *w, uint32_t number, const struct store_nc *nc, struct store_txn *t)
{
	struct store_change row;
	struct store_nc there;
	uint64_t at = 0;

	if (store_nc_find(w->copy.t, &nc->position.nc, &there) == RC_OK)
		at = there.position.usn;
	while (store_change_next(t, number, at, nc->position.usn, &row) == RC_OK) {
		at = row.usn;
		if (row.is_tombstone)
			w->copy.last =
				(struct change){.kind = CHANGE_REMOVE,
						.uuid = row.uuid,
						.stamp = {nc->position.nc, row.epoch, row.usn},
						.old_dn = keep(&w->copy, row.old_dn)};
		else
			put_of(w, t, row.eid);
		assert_int_equal(base_apply(&w->copy), 0);
	}
	w->copy.last = (struct change){.kind = CHANGE_POSITION, .position = nc->position};
	assert_int_equal(base_apply(&w->copy), 0);
}

static void carry_all(struct world *w)
{
	uint32_t number = 0;
	struct store_txn *t;
	struct store_nc nc;

	assert_int_equal(store_read_begin(w->apart.store, &t), RC_OK);
	base_begin(&w->copy);
	while (store_nc_next(t, &number, &nc) == RC_OK) {
		if (!uuid_eq(&nc.position.nc, &POSITION_LOCAL_NC))
			carry(w, number, &nc, t);
	}
	base_commit(&w->copy);
	store_read_end(&t);
}

/* Entry numbers of a copy are its own, so its lines stand in another order. */
static void same_lines(struct buf *x, struct buf *y)
{
	struct span a = buf_span(x), *lines[2];
	size_t n[2] = {0, 0}, i;
	unsigned k;

	for (k = 0; k < 2; k++) {
		a = buf_span(k == 0 ? x : y);
		lines[k] = calloc(a.n + 1, sizeof(struct span));
		while (a.n != 0)
			span_cut(&a, '\n', &lines[k][n[k]++]);
		qsort(lines[k], n[k], sizeof(struct span), by_bytes);
	}
	for (i = 0; i < n[0] && i < n[1]; i++) {
		if (!span_eq(lines[0][i], lines[1][i]))
			fail_msg("\n%.*s\n%.*s", SPAN_ARG(lines[0][i]), SPAN_ARG(lines[1][i]));
	}
	assert_int_equal(n[0], n[1]);
	free(lines[0]);
	free(lines[1]);
}

/* --- */

static void compare(struct world *w, unsigned *aparts)
{
	struct buf near, apart, copy;
	unsigned none, other;

	dump(&w->near, &near, &none);
	dump(&w->apart, &apart, aparts);
	assert_int_equal(none, 0);
	same_dump(&near, &apart);
	carry_all(w);
	dump(&w->copy, &copy, &other);
	put_digests(&w->apart, &apart);
	put_digests(&w->copy, &copy);
	same_lines(&apart, &copy);
	buf_fini(&near);
	buf_fini(&apart);
	buf_fini(&copy);
	same_answers(w);
	base_check(&w->near);
	base_check(&w->apart);
	base_check(&w->copy);
}

static void forget_memory(struct world *w)
{
	unsigned k;

	arena_fini(&w->copy.arena);
	w->copy.ctx.root = base_dn(&w->copy, BASE_ROOT);
	for (k = 0; k < 2; k++) {
		arena_fini(&w->both[k]->arena);
		w->both[k]->ctx.root = base_dn(w->both[k], BASE_ROOT);
	}
}

/* How many lists were apart, at all looks together. */
static unsigned play(uint32_t seed, unsigned steps)
{
	static struct world world;
	struct world *w = &world;
	unsigned i, aparts, seen = 0;
	struct change c = {.kind = CHANGE_ADD};

	base_seed = seed;
	memset(w, 0, sizeof(*w));
	w->both[0] = &w->near;
	w->both[1] = &w->apart;
	open_base(&w->near, UINT32_MAX);
	open_base(&w->apart, 0);
	open_base(&w->copy, 400);
	for (i = 0; i < 2; i++) {
		uuids = 10;
		base_site(w->both[i]);
	}
	for (i = 0; i < 2; i++) {
		c.dn = base_dn(&w->near, i == 0 ? "cn=F0," RECIPIENTS : "cn=F1," RECIPIENTS);
		c.attrs = base_attrs(&w->near, "objectClass: container\n");
		twice(w, &c);
	}
	for (i = 0; i < PEOPLE; i += 1 + dice(2))
		add_person(w, i);
	for (i = 0; i < LISTS; i++)
		add_list(w, i);
	for (i = 0; i < steps; i++) {
		change(w);
		if (i % 50 != 49)
			continue;
		compare(w, &aparts);
		seen += aparts;
		forget_memory(w);
	}
	base_close(&w->near);
	base_close(&w->apart);
	base_close(&w->copy);
	return seen;
}

static void both_give_the_same_answers(void **state)
{
	const char *seed = getenv("WAYPOST_SEED");
	unsigned i, n = getenv("WAYPOST_SOAK") != NULL ? 50 : 1;

	(void)state;
	for (i = 0; i < n; i++)
		assert_true(play((seed != NULL ? (uint32_t)atoi(seed) : 20261123u) + i, 600) >= 5);
}

/* --- what a change costs ---------------------------------------------------------------------- */

/* Bytes this process has given to the kernel to write. */
static unsigned long long written(void)
{
	unsigned long long n = 0;
	char line[100];
	FILE *f = fopen("/proc/self/io", "r");

	if (f == NULL)
		skip();
	while (fgets(line, sizeof(line), f) != NULL)
		(void)sscanf(line, "wchar: %llu", &n);
	fclose(f);
	return n;
}

static void stranger(unsigned i, char *out, size_t size)
{
	snprintf(out, size, "member: cn=Stranger %05u,ou=Elsewhere,o=Example\n", i);
}

#define CROWD "cn=Crowd," RECIPIENTS

static void add_crowd(struct base *b, unsigned n)
{
	size_t size = 60 * (size_t)n + 100, at;
	char *lines = malloc(size);
	unsigned i;

	at = (size_t)snprintf(lines, size, "objectClass: groupOfNames\n");
	for (i = 0; i < n; i++) {
		stranger(i, lines + at, size - at);
		at += strlen(lines + at);
	}
	assert_int_equal(base_add(b, CROWD, lines), 0);
	free(lines);
}

struct cost {
	unsigned long long written, memory;
};

/* Of 100 changes, each in a transaction of its own: members come and go all over the list. */
static struct cost cost_of_changes(unsigned n)
{
	struct cost cost = {0, 0};
	char member[100];
	struct base b;
	unsigned i;

	open_base(&b, 0);
	base_site(&b);
	add_crowd(&b, n);
	for (i = 0; i < 100; i++) {
		stranger(i / 2 * 37 % n, member, sizeof(member));
		arena_fini(&b.arena);
		b.ctx.root = base_dn(&b, BASE_ROOT);
		cost.written -= written();
		assert_int_equal(base_modify(&b, CROWD, i % 2 == 0 ? "d" : "a", member), 0);
		cost.written += written();
		cost.memory += b.arena.bytes;
	}
	base_check(&b);
	base_close(&b);
	return cost;
}

/* L12: a change of one member in constant time. */
static void long_lists_cost_what_short_ones_do(void **state)
{
	static const unsigned sizes[] = {1000, 30000};
	struct cost few = cost_of_changes(100), many;
	unsigned i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(sizes); i++) {
		many = cost_of_changes(sizes[i]);
		print_message(
			"%u members: %llu bytes written, %llu of memory; 100 members: %llu, %llu\n",
			sizes[i], many.written, many.memory, few.written, few.memory);
		assert_true(many.written <= 2 * few.written);
		assert_true(many.memory <= 2 * few.memory);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_give_the_same_answers),
		cmocka_unit_test(long_lists_cost_what_short_ones_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
