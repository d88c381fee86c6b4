/* Sites of a random world: stores, random writes, and what a site shows (test_sync.c). */
#pragma once

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "dird/sync.h"

#include "dird/op_impl.h"
#include "dird/repl_batch.h"
#include "dird/server.h"
#include "dird/store_digest.h"

#define SITES 4
#define ROOT "o=Example"

static struct schema *schema;
static uint64_t rng;

static uint32_t draw(uint32_t below)
{
	rng = rng * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(rng >> 33) % below;
}

static int fill_random(void *p, size_t n)
{
	uint8_t *at = p;

	while (n-- > 0)
		*at++ = (uint8_t)draw(256);
	return RC_OK;
}

/* --- sites --- */

struct site {
	char folder[64];
	unsigned number;
	struct store *store;
	struct update_context ctx;
	struct arena arena;
	struct uuid nc;
	uint64_t foreign_own, parked;
};

static struct site sites[SITES];

static struct dn dn_of(struct arena *a, const char *text)
{
	struct dn dn;

	assert_int_equal(dn_parse(a, arena_span(a, span_of(text)), &dn, NULL), RC_OK);
	return dn;
}

/* Apply changes in one transaction, as the writer does. Refused: nothing is written. */
static int apply(struct site *s, struct change *c, unsigned n, struct arena *a)
{
	struct result why = {.code = LR_SUCCESS};
	enum update_outcome outcome;
	struct store_txn *t;
	unsigned i;
	int rc = RC_OK;

	assert_int_equal(store_write_begin(s->store, &t), RC_OK);
	for (i = 0; i < n && rc == RC_OK; i++) {
		outcome = UPDATE_APPLIED;
		rc = update_apply(t, &s->ctx, &c[i], a, &outcome, &why);
		s->foreign_own += outcome == UPDATE_FOREIGN_OWN;
		s->parked += outcome == UPDATE_PARKED;
	}
	if (rc != RC_OK) {
		store_write_abort(&t);
		if (rc != RC_REFUSED)
			fail_msg("update: %s", rc_text(rc));
		return rc;
	}
	assert_int_equal(store_write_commit(&t), RC_OK);
	return RC_OK;
}

static void set_attr(struct arena *a, struct attr_list *l, const char *type, const char *value)
{
	struct attr *at = &l->attrs[l->n++];

	at->type = span_of(type);
	at->values = arena_zalloc(a, 1, sizeof(*at->values));
	at->values[0] = arena_span(a, span_of(value));
	at->nvalues = 1;
}

static void add_class(struct arena *a, struct attr *at, const char *class)
{
	struct span *values = arena_zalloc(a, at->nvalues + 1, sizeof(*values));

	memcpy(values, at->values, at->nvalues * sizeof(*values));
	values[at->nvalues++] = span_of(class);
	at->values = values;
}

static int add(struct site *s, const char *dn, const char *class, const char *aux, const char *type,
	       const char *value)
{
	struct change c = {.kind = CHANGE_ADD, .actor = SPAN_LIT("cn=admin," ROOT)};
	struct arena a;
	int rc;

	arena_init(&a);
	c.dn = dn_of(&a, dn);
	c.may_set_operational = true;
	c.attrs.attrs = arena_zalloc(&a, 4, sizeof(*c.attrs.attrs));
	set_attr(&a, &c.attrs, "objectClass", class);
	if (aux != NULL)
		add_class(&a, &c.attrs.attrs[0], aux);
	set_attr(&a, &c.attrs, type, value);
	rc = apply(s, &c, 1, &a);
	arena_fini(&a);
	return rc;
}

/* The root entry as a join takes it along: known, with a stamp older than anything. */
static void take_root(struct site *s)
{
	struct change c = {.kind = CHANGE_PUT, .rdn = SPAN_LIT(ROOT)};
	struct store_txn *t;
	struct entry e;
	uint64_t eid;
	struct arena a;

	arena_init(&a);
	assert_int_equal(store_read_begin(sites[0].store, &t), RC_OK);
	assert_int_equal(store_root(t, &eid), RC_OK);
	assert_int_equal(store_entry(t, eid, &e), RC_OK);
	assert_int_equal(entry_decode(&e, true, &a, &c.attrs), RC_OK);
	c.uuid = e.head.uuid;
	c.stamp.nc = e.head.uuid;
	assert_int_equal(apply(s, &c, 1, &a), RC_OK);
	store_read_end(&t);
	arena_fini(&a);
}

static void find_head(struct site *s, const char *dn)
{
	struct store_txn *t;
	struct entry e;
	struct arena a;
	struct dn name;
	unsigned depth;
	uint64_t eid;

	arena_init(&a);
	name = dn_of(&a, dn);
	assert_int_equal(store_read_begin(s->store, &t), RC_OK);
	assert_int_equal(store_find(t, &name, &eid, &depth), RC_OK);
	assert_int_equal(store_entry(t, eid, &e), RC_OK);
	s->nc = e.head.uuid;
	store_read_end(&t);
	arena_fini(&a);
}

static void found_site(struct site *s)
{
	char dn[64], uuid[UUID_TEXT_BYTES];
	struct position life;
	struct store_txn *t;

	snprintf(dn, sizeof(dn), "ou=S%u," ROOT, s->number);
	if (s->number != 0) {
		take_root(s);
		fill_random(s->nc.b, UUID_BYTES);
		assert_int_equal(store_write_begin(s->store, &t), RC_OK);
		assert_int_equal(update_begin_life(t, &s->ctx, &s->nc, &life), RC_OK);
		assert_int_equal(store_write_commit(&t), RC_OK);
		uuid_write(&s->nc, uuid);
		assert_int_equal(add(s, dn, "organizationalUnit", "mailSite", "entryUUID", uuid),
				 RC_OK);
	} else {
		assert_int_equal(
			add(s, ROOT, "organization", "mailOrganization", "masterSite", "S0"),
			RC_OK);
		assert_int_equal(add(s, dn, "organizationalUnit", "mailSite", "description", "a"),
				 RC_OK);
		find_head(s, dn);
	}
	snprintf(dn, sizeof(dn), "cn=Recipients,ou=S%u," ROOT, s->number);
	assert_int_equal(add(s, dn, "container", NULL, "description", "a"), RC_OK);
	snprintf(dn, sizeof(dn), "cn=Fixed,cn=Recipients,ou=S%u," ROOT, s->number);
	assert_int_equal(add(s, dn, "container", NULL, "description", "b"), RC_OK);
}

/* As after a restore: what partners know of the context belongs to an earlier life. */
static void begin_life(struct site *s)
{
	struct position life;
	struct store_txn *t;

	assert_int_equal(store_write_begin(s->store, &t), RC_OK);
	assert_int_equal(update_begin_life(t, &s->ctx, &s->nc, &life), RC_OK);
	assert_int_equal(store_write_commit(&t), RC_OK);
}

static void open_site(struct site *s, unsigned number)
{
	struct store_options opt = {.map_bytes = 16 << 20};
	struct buf why;

	memset(s, 0, sizeof(*s));
	s->number = number;
	arena_init(&s->arena);
	strcpy(s->folder, access("/dev/shm", W_OK) == 0 ? "/dev/shm/waypost-sync-XXXXXX"
							: "/tmp/waypost-sync-XXXXXX");
	assert_non_null(mkdtemp(s->folder));
	buf_init(&why, 1000);
	assert_int_equal(store_open(s->folder, &opt, &s->store, &why), RC_OK);
	buf_fini(&why);
	s->ctx = (struct update_context){.schema = schema,
					 .root = dn_of(&s->arena, ROOT),
					 .wall_us = 1700000000000000,
					 .random = fill_random};
	found_site(s);
}

static void close_site(struct site *s)
{
	char command[1000];

	store_close(&s->store);
	arena_fini(&s->arena);
	snprintf(command, sizeof(command), "rm -r %s", s->folder);
	assert_int_equal(system(command), 0);
}

/* --- random writes --- */

static void random_dn(struct site *s, bool container, char *out, size_t size)
{
	char base[128];
	unsigned depth = draw(3);

	snprintf(base, sizeof(base), "%scn=Recipients,ou=S%u," ROOT,
		 draw(2) == 0 ? "cn=Fixed," : "", s->number);
	while (depth-- > 0) {
		snprintf(out, size, "cn=c%u,%s", draw(3), base);
		snprintf(base, sizeof(base), "%s", out);
	}
	snprintf(out, size, "cn=%c%u,%s", container ? 'c' : 'p', draw(container ? 3 : 12), base);
}

static const char *random_word(void)
{
	static const char *const words[] = {"a", "b", "c"};

	return words[draw(3)];
}

static void random_change(struct site *s)
{
	struct change c = {.actor = SPAN_LIT("cn=admin," ROOT)};
	unsigned what = draw(6);
	bool container = draw(what > 3 ? 2 : 4) == 0;
	char dn[256], to[256], rdn[16];
	struct attr_list list;
	struct arena a;

	arena_init(&a);
	random_dn(s, container, dn, sizeof(dn));
	random_dn(s, true, to, sizeof(to));
	c.dn = dn_of(&a, dn);
	list.attrs = arena_zalloc(&a, 4, sizeof(*list.attrs));
	list.n = 0;
	switch (what) {
	case 0:
	case 1:
		add(s, dn, "container", NULL, "description", random_word());
		break;
	case 2:
		c.kind = CHANGE_MODIFY;
		set_attr(&a, &list, "description", random_word());
		c.mods = arena_zalloc(&a, 1, sizeof(*c.mods));
		c.mods[0] = (struct change_mod){CHANGE_OP_REPLACE, list.attrs[0]};
		c.nmods = 1;
		(void)!apply(s, &c, 1, &a);
		break;
	case 3:
		c.kind = CHANGE_DELETE;
		(void)!apply(s, &c, 1, &a);
		break;
	default:
		c.kind = CHANGE_RENAME;
		snprintf(rdn, sizeof(rdn), "cn=%c%u", container ? 'c' : 'p', draw(3));
		assert_int_equal(dn_rdn_parse(&a, span_of(rdn), &c.new_rdn, NULL), RC_OK);
		c.delete_old_rdn = true;
		c.has_new_superior = draw(4) != 0;
		c.new_superior = dn_of(&a, to);
		(void)!apply(s, &c, 1, &a);
		break;
	}
	arena_fini(&a);
}

/* --- what a site shows --- */

static int by_bytes(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return span_cmp(*x, *y);
}

static void put_printable(struct buf *b, struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		buf_putc(b, s.p[i] < ' ' || s.p[i] > '~' ? '.' : s.p[i]);
}

static unsigned dump_digests(struct store_txn *t, struct span *lines, struct arena *a)
{
	char text[DIGEST_TEXT_BYTES];
	uint8_t digest[DIGEST_BYTES];
	struct store_nc nc;
	uint32_t number = 0;
	unsigned n = 0;

	while (store_nc_next(t, &number, &nc) == RC_OK) {
		assert_int_equal(store_digest(t, &nc.position.nc, digest), RC_OK);
		digest_write(digest, text);
		lines[n++] = arena_span(a, span_of(text));
	}
	return n;
}

/* uuid, stamp, DN, attributes in order: one line an entry; digests; lines in order. */
static struct span dump(struct site *s, struct arena *a)
{
	struct store_iter *it;
	struct span *lines = arena_zalloc(a, 4096, sizeof(*lines));
	struct store_txn *t;
	struct entry e;
	struct buf b;
	struct span out;
	unsigned n = 0, i;
	uint64_t root, eid;

	buf_init(&b, 16 << 20);
	assert_int_equal(store_read_begin(s->store, &t), RC_OK);
	assert_int_equal(store_root(t, &root), RC_OK);
	assert_int_equal(store_walk(t, root, STORE_SUB, &it), RC_OK);
	while (store_iter_next(it, &eid) == RC_OK) {
		struct span attrs[64];

		assert_true(n < 4096);
		assert_int_equal(store_entry(t, eid, &e), RC_OK);
		buf_clear(&b);
		for (i = 0; i < UUID_BYTES; i++)
			buf_printf(&b, "%02x", e.head.uuid.b[i]);
		buf_putc(&b, ' ');
		stamp_write(&e.head.stamp, &b);
		buf_putc(&b, ' ');
		assert_int_equal(store_dn(t, eid, &b), RC_OK);
		assert_true(e.nattrs < 64);
		for (i = 0; i < e.nattrs; i++) {
			struct entry_attr at;

			entry_attr_at(&e, i, &at);
			attrs[i] = at.whole;
		}
		qsort(attrs, e.nattrs, sizeof(attrs[0]), by_bytes);
		for (i = 0; i < e.nattrs; i++)
			put_printable(&b, attrs[i]);
		lines[n++] = arena_span(a, buf_span(&b));
	}
	store_iter_free(&it);
	n += dump_digests(t, lines + n, a);
	store_read_end(&t);
	qsort(lines, n, sizeof(*lines), by_bytes);
	buf_clear(&b);
	for (i = 0; i < n; i++) {
		buf_put(&b, lines[i]);
		buf_putc(&b, '\n');
	}
	out = arena_span(a, buf_span(&b));
	buf_fini(&b);
	return out;
}
