/* A database in a folder of its own, with the project's schema, for tests of store and update. */
#pragma once

#include "tests/unit/unit.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dird/check.h"
#include "dird/schema.h"
#include "dird/store_int.h"
#include "dird/update.h"
#include "lib/dn.h"

#define BASE_ROOT "o=Example"

struct base {
	char folder[64];
	struct store *store;
	struct schema *schema;
	struct store_txn *t; /* the open write transaction, NULL if none */
	struct arena arena;
	struct update_context ctx;
	struct result why; /* of the last change */
	enum update_outcome outcome;
	struct change last;
};

static uint32_t base_seed = 1;

/* Reproducible; the tests' own dice use it too. */
static inline uint32_t base_random(void)
{
	base_seed ^= base_seed << 13;
	base_seed ^= base_seed >> 17;
	base_seed ^= base_seed << 5;
	return base_seed;
}

static inline int base_random_bytes(void *p, size_t n)
{
	uint8_t *b = p;

	while (n-- != 0)
		*b++ = (uint8_t)(base_random() >> 7);
	return RC_OK;
}

static inline struct dn base_dn(struct base *b, const char *text)
{
	struct dn dn;

	assert_int_equal(dn_parse(&b->arena, span_of(text), &dn, NULL), RC_OK);
	return dn;
}

static inline void base_reopen(struct base *b, size_t map_bytes)
{
	struct store_options opt = {.map_bytes = map_bytes};
	struct buf why;

	store_close(&b->store);
	buf_init(&why, 4096);
	if (store_open(b->folder, &opt, &b->store, &why) != RC_OK)
		fail_msg("store_open: %s", buf_cstr(&why));
	buf_fini(&why);
}

/* As the writer does when a database is opened, and later when it has nothing else to do. */
static inline void base_build_views(struct base *b, unsigned slice)
{
	struct store_txn *t;
	bool pending = true;

	while (pending) {
		assert_int_equal(store_write_begin(b->store, &t), RC_OK);
		assert_int_equal(update_views_work(t, &b->ctx, slice), RC_OK);
		assert_int_equal(update_views_pending(t, &b->ctx, &pending), RC_OK);
		assert_int_equal(store_write_commit(&t), RC_OK);
	}
}

static inline void base_open_views(struct base *b)
{
	struct store_txn *t;

	assert_int_equal(store_write_begin(b->store, &t), RC_OK);
	assert_int_equal(update_views_sync(t, &b->ctx), RC_OK);
	assert_int_equal(store_write_commit(&t), RC_OK);
	base_build_views(b, 1000);
}

static inline void base_open(struct base *b, size_t map_bytes)
{
	const char *tmp = getenv("TMPDIR");
	struct buf errors;

	memset(b, 0, sizeof(*b));
	snprintf(b->folder, sizeof(b->folder), "%.40s/wpstore.XXXXXX", tmp != NULL ? tmp : "/tmp");
	assert_non_null(mkdtemp(b->folder));
	buf_init(&errors, 65536);
	if (schema_load(SCHEMADIR, &b->schema, &errors) != RC_OK)
		fail_msg("schema: %s", buf_cstr(&errors));
	buf_fini(&errors);
	base_reopen(b, map_bytes);
	b->ctx.schema = b->schema;
	b->ctx.root = base_dn(b, BASE_ROOT);
	b->ctx.wall_us = 1795521600000000; /* 2026-11-24T20:00:00Z or so */
	b->ctx.random = base_random_bytes;
}

static inline void base_close(struct base *b)
{
	char path[400];
	struct dirent *d;
	DIR *dir;

	store_close(&b->store);
	schema_free(&b->schema);
	arena_fini(&b->arena);
	dir = opendir(b->folder);
	assert_non_null(dir);
	while ((d = readdir(dir)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s", b->folder, d->d_name);
		if (d->d_name[0] != '.')
			unlink(path);
	}
	closedir(dir);
	assert_int_equal(rmdir(b->folder), 0);
}

/* As setup and teardown of a test: *state is a base. */
static inline int base_setup(void **state)
{
	struct base *b = calloc(1, sizeof(*b));

	base_open(b, 1 << 20);
	*state = b;
	return 0;
}

static inline int base_teardown(void **state)
{
	struct base *b = *state;

	store_write_abort(&b->t);
	base_close(b);
	free(b);
	return 0;
}

static inline void base_begin(struct base *b)
{
	assert_int_equal(store_write_begin(b->store, &b->t), RC_OK);
}

static inline void base_commit(struct base *b)
{
	assert_int_equal(store_write_commit(&b->t), RC_OK);
}

static inline size_t base_count_lines(const char *lines)
{
	size_t n = 0;

	while (*lines != '\0')
		n += *lines++ == '\n';
	return n + 1;
}

/* "type: value" lines; lines of one type stand together. */
static inline struct attr_list base_attrs(struct base *b, const char *lines)
{
	size_t room = base_count_lines(lines);
	struct span rest = span_of(arena_str(&b->arena, span_of(lines))), line, type;
	struct attr_list list = {arena_zalloc(&b->arena, 64, sizeof(struct attr)), 0};
	struct attr *at = NULL;

	while (rest.n != 0) {
		span_cut(&rest, '\n', &line);
		if (line.n == 0)
			continue;
		span_cut(&line, ':', &type);
		if (at == NULL || !span_eq(at->type, type)) {
			at = &list.attrs[list.n++];
			at->type = type;
			at->values = arena_zalloc(&b->arena, room, sizeof(struct span));
		}
		at->values[at->nvalues++] = span_trim(line);
	}
	return list;
}

/* Apply b->last; inside the open transaction, or in one of its own. The LDAP code, or -RC_*. */
static inline int base_apply(struct base *b)
{
	bool own = b->t == NULL;
	int rc;

	if (own)
		base_begin(b);
	if (b->last.actor.p == NULL)
		b->last.actor = SPAN_LIT("cn=admin," BASE_ROOT);
	rc = update_apply(b->t, &b->ctx, &b->last, &b->arena, &b->outcome, &b->why);
	if (own) {
		if (rc == RC_OK || rc == RC_REFUSED)
			base_commit(b);
		else
			store_write_abort(&b->t);
	}
	return rc == RC_REFUSED ? (int)b->why.code : rc;
}

static inline int base_add(struct base *b, const char *dn, const char *lines)
{
	b->last = (struct change){.kind = CHANGE_ADD};
	b->last.dn = base_dn(b, dn);
	b->last.attrs = base_attrs(b, lines);
	return base_apply(b);
}

static inline int base_delete(struct base *b, const char *dn)
{
	b->last = (struct change){.kind = CHANGE_DELETE};
	b->last.dn = base_dn(b, dn);
	return base_apply(b);
}

static inline int base_rename(struct base *b, const char *dn, const char *rdn, bool delete_old,
			      const char *superior)
{
	b->last = (struct change){.kind = CHANGE_RENAME, .delete_old_rdn = delete_old};
	b->last.dn = base_dn(b, dn);
	assert_int_equal(dn_rdn_parse(&b->arena, span_of(rdn), &b->last.new_rdn, NULL), RC_OK);
	if (superior != NULL) {
		b->last.has_new_superior = true;
		b->last.new_superior = base_dn(b, superior);
	}
	return base_apply(b);
}

/* ops: one letter each for the attributes of `lines`: a d r i; "type:" alone is no value. */
static inline int base_modify(struct base *b, const char *dn, const char *ops, const char *lines)
{
	struct attr_list list = base_attrs(b, lines);
	unsigned i;

	b->last = (struct change){.kind = CHANGE_MODIFY, .nmods = list.n};
	b->last.dn = base_dn(b, dn);
	b->last.mods = arena_zalloc(&b->arena, list.n, sizeof(struct change_mod));
	for (i = 0; i < list.n; i++) {
		b->last.mods[i].op = ops[i] == 'a'   ? CHANGE_OP_ADD
				     : ops[i] == 'd' ? CHANGE_OP_DELETE
				     : ops[i] == 'r' ? CHANGE_OP_REPLACE
						     : CHANGE_OP_INCREMENT;
		b->last.mods[i].attr = list.attrs[i];
		if (list.attrs[i].values[0].n == 0)
			b->last.mods[i].attr.nvalues = 0;
	}
	return base_apply(b);
}

static inline void base_problem(void *ctx, const char *text)
{
	(void)ctx;
	print_error("check: %s\n", text);
}

/* The whole database agrees with itself; views that can be are built first. */
static inline void base_check(struct base *b)
{
	struct check c = {.problem = base_problem};
	struct store_txn *t = b->t;

	if (t == NULL) {
		base_build_views(b, 1000);
		assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	}
	assert_int_equal(check_database(t, b->schema, &c), RC_OK);
	assert_int_equal(c.problems, 0);
	if (b->t == NULL)
		store_read_end(&t);
}

/* All entries as text, one a line: DN, stamp, attributes; for comparing two moments. */
static inline void base_dump(struct base *b, struct buf *out)
{
	struct store_txn *t = b->t;
	struct store_iter *i;
	struct attr_list list;
	uint64_t root, eid;
	struct entry e;
	unsigned k, v;

	buf_init(out, 1 << 26);
	if (t == NULL)
		assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	if (store_root(t, &root) == RC_OK) {
		assert_int_equal(store_walk(t, root, STORE_SUB, &i), RC_OK);
		while (store_iter_next(i, &eid) == RC_OK) {
			assert_int_equal(store_dn(t, eid, out), RC_OK);
			assert_int_equal(store_entry(t, eid, &e), RC_OK);
			assert_int_equal(entry_decode(&e, true, &b->arena, &list), RC_OK);
			buf_printf(out, " %u.%lu", e.head.stamp.epoch,
				   (unsigned long)e.head.stamp.usn);
			for (k = 0; k < list.n; k++) {
				for (v = 0; v < list.attrs[k].nvalues; v++) {
					buf_putc(out, ' ');
					buf_put(out, list.attrs[k].type);
					buf_putc(out, '=');
					buf_put(out, list.attrs[k].values[v]);
				}
			}
			buf_putc(out, '\n');
		}
		store_iter_free(&i);
	}
	if (b->t == NULL)
		store_read_end(&t);
	assert_int_equal(buf_rc(out), RC_OK);
}

/* Organisation, own site S1 and its containers. */
static inline void base_site(struct base *b)
{
	assert_int_equal(base_add(b, "o=Example",
				  "objectClass: organization\nobjectClass: mailOrganization\n"
				  "masterSite: S1\n"),
			 0);
	assert_int_equal(base_add(b, "ou=S1,o=Example",
				  "objectClass: organizationalUnit\nobjectClass: mailSite\n"
				  "siteSmtpDomain: s1.example.com\n"),
			 0);
	assert_int_equal(base_add(b, "cn=Recipients,ou=S1,o=Example", "objectClass: container\n"),
			 0);
}
