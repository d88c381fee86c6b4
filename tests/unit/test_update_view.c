/* Views are what their definitions say after any change (dird/update_view.c, update_viewdef.c).
 * check_database() compares every view with all entries; lists are compared with a plain sort. */
#include "tests/unit/base.h"

#include "dird/view_set.h"
#include "lib/text.h"

#define RECIPIENTS "cn=Recipients,ou=S1,o=Example"
#define LISTS "cn=Address Lists,o=Example"

static int setup(void **state)
{
	struct base *b = calloc(1, sizeof(*b));

	base_open(b, 64 << 20);
	base_open_views(b);
	base_site(b);
	assert_int_equal(base_add(b, LISTS, "objectClass: container\n"), 0);
	base_build_views(b, 100);
	*state = b;
	return 0;
}

static const char *const names[] = {
	"Ada",   "ada",    "\xc3\x84gir", "Zo\xc3\xab", "Zoe",         "\xc3\x98yvind",
	"Иван",  "Ёлкин",  "Ελένη",       "שרה",        "أحمد",        "王伟",
	"李娜",  "さくら", "ภาณุ",         "नेहा",        "o'Neill",     "de la Cruz",
	"McKay", "Mäkelä", "Łukasz",      "Ľubica",     "\xc4\xb0pek", "straße",
};

static const char *name_of(unsigned dice)
{
	return names[dice % (sizeof(names) / sizeof(names[0]))];
}

/* --- one view's content --- */

/* The view of an entry, or the built-in one with this order. */
static const struct view_def *find_view(const struct view_set *set, const struct uuid *entry,
					const char *sort)
{
	unsigned i;

	if (entry != NULL)
		return view_set_of_entry(set, entry);
	for (i = 0; i < set->n; i++) {
		if (uuid_is_zero(&set->defs[i].entry) && set->defs[i].state == VIEW_READY &&
		    span_eq(set->defs[i].text.sort, span_of(sort)))
			return &set->defs[i];
	}
	return NULL;
}

/* Names of the view's entries of this kind in its order, apart by semicolons. */
static void list(struct base *b, const struct uuid *entry, const char *sort, unsigned kind,
		 bool is_reverse, const char *type, struct buf *out)
{
	struct store_txn *t;
	struct view_set *set;
	const struct view_def *d;
	struct store_view_iter *i;
	struct entry e;
	struct span v;
	uint64_t eid;

	buf_init(out, 1 << 22);
	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	assert_int_equal(view_set_get(t, b->schema, &set), RC_OK);
	d = find_view(set, entry, sort);
	if (d != NULL && d->state == VIEW_READY) {
		assert_int_equal(store_view_walk(t, d->number, kind, is_reverse, 0, &i), RC_OK);
		while (store_view_next(i, &eid) == RC_OK) {
			assert_int_equal(store_entry(t, eid, &e), RC_OK);
			buf_put(out, entry_first(&e, type, &v) ? v : SPAN_LIT("?"));
			buf_putc(out, ';');
		}
		store_view_iter_free(&i);
	} else {
		buf_puts(out, d == NULL ? "no view" : d->state == VIEW_BUILDING ? "building" : "-");
	}
	view_set_put(store_of(t), &set);
	store_read_end(&t);
}

static void expect(struct base *b, const struct uuid *entry, unsigned kind, const char *want)
{
	struct buf got;

	list(b, entry, NULL, kind, false, "cn", &got);
	assert_string_equal(buf_cstr(&got), want);
	buf_fini(&got);
}

static int add_person(struct base *b, const char *parent, const char *cn, const char *more)
{
	char dn[300], lines[400];

	snprintf(dn, sizeof(dn), "cn=%s,%s", cn, parent);
	snprintf(lines, sizeof(lines), "objectClass: inetOrgPerson\nsn: %s\n%s", cn, more);
	return base_add(b, dn, lines);
}

static struct uuid add_view(struct base *b, const char *cn, const char *lines)
{
	char dn[300], all[600];

	snprintf(dn, sizeof(dn), "cn=%s," LISTS, cn);
	snprintf(all, sizeof(all), "objectClass: addressBookView\n%s", lines);
	assert_int_equal(base_add(b, dn, all), 0);
	return b->last.uuid_out;
}

/* --- orders --- */

/* The built-in view on cn, against sort keys of the same collation sorted by hand. */
static void orders_are_those_of_a_plain_sort(void **state)
{
	struct plain {
		char key[200];
		char cn[64];
	} *rows = calloc(200, sizeof(*rows));
	struct base *b = *state;
	struct buf got, want;
	char cn[64], lines[100];
	unsigned i, k;

	buf_init(&want, 1 << 20);
	for (i = 0; i < 200; i++) {
		snprintf(cn, sizeof(cn), "%s %s %u", name_of(i * 7), name_of(i * 5 + 1), i);
		snprintf(lines, sizeof(lines), "mail: p%u@example.com\n", i);
		assert_int_equal(add_person(b, RECIPIENTS, cn, lines), 0);
		snprintf(rows[i].cn, sizeof(rows[i].cn), "%s", cn);
		buf_clear(&want);
		assert_int_equal(
			schema_normalize(b->schema, SCHEMA_NORM_COLLATE, span_of(cn), &want), 0);
		assert_true(want.n < sizeof(rows[i].key));
		memcpy(rows[i].key, want.p, want.n); /* no zero bytes */
	}
	for (i = 0; i < 200; i++) {
		for (k = i + 1; k < 200; k++) {
			if (strcmp(rows[k].key, rows[i].key) < 0) {
				struct plain other = rows[i];

				rows[i] = rows[k];
				rows[k] = other;
			}
		}
	}
	for (k = 0; k < 2; k++) {
		buf_clear(&want);
		for (i = 0; i < 200; i++)
			buf_printf(&want, "%s;", rows[k == 0 ? i : 199 - i].cn);
		list(b, NULL, "cn", view_kind(4, true), k == 1, "cn", &got); /* (mail=*) */
		assert_string_equal(buf_cstr(&got), buf_cstr(&want));
		buf_fini(&got);
	}
	buf_fini(&want);
	free(rows);
	base_check(b);
}

/* --- definitions --- */

static void views_follow_their_definitions(void **state)
{
	struct base *b = *state;
	struct uuid view;

	assert_int_equal(add_person(b, RECIPIENTS, "Zoe", "l: Turin\nmail: z@example.com\n"), 0);
	assert_int_equal(add_person(b, RECIPIENTS, "Ada", "l: Turin\n"), 0);
	assert_int_equal(add_person(b, RECIPIENTS, "Bob", "l: Oslo\n"), 0);
	view = add_view(b, "Turin", "viewFilter: (l=turin)\nviewSort: cn\n");
	expect(b, &view, VIEW_KIND_ALL, "building");
	base_build_views(b, 2);
	expect(b, &view, VIEW_KIND_ALL, "Ada;Zoe;");
	expect(b, &view, view_kind(4, true), "Zoe;");
	assert_int_equal(base_modify(b, "cn=Bob," RECIPIENTS, "r", "l: Turin\n"), 0);
	expect(b, &view, VIEW_KIND_ALL, "Ada;Bob;Zoe;");
	assert_int_equal(base_modify(b, "cn=Turin," LISTS, "r", "viewFilter: (l=oslo)\n"), 0);
	expect(b, &view, VIEW_KIND_ALL, "building");
	base_build_views(b, 1000);
	expect(b, &view, VIEW_KIND_ALL, "");
	assert_int_equal(base_modify(b, "cn=Turin," LISTS, "r", "viewFilter: (cn=*)\n"), 0);
	assert_int_equal(base_modify(b, "cn=Turin," LISTS, "rr",
				     "viewBase: " RECIPIENTS "\nviewScope: one\n"),
			 0);
	base_build_views(b, 1);
	expect(b, &view, VIEW_KIND_ALL, "Ada;Bob;Zoe;");
	assert_int_equal(base_delete(b, "cn=Turin," LISTS), 0);
	expect(b, &view, VIEW_KIND_ALL, "no view");
	base_build_views(b, 1);
	base_check(b);
}

static void bad_definitions_are_refused(void **state)
{
	static const char *const bad[] = {
		"viewFilter: (cn=*\n",
		"viewFilter: (noSuchType=a)\n",
		"viewFilter: (userPassword=*)\n",
		"viewSort: noSuchType\n",
		"viewSort: userPassword\n",
		"viewScope: base\n",
		"viewSort: cn,sn,l,st,title\n",
		"viewSort: cn:caseIgnoreMatch\n",
		"viewFilter: (ou:dn:=S1)\n",
		"viewFilter: (manager=cn=a)\n",
		"viewFilter: (memberOf=cn=a)\n",
		"viewSort: entryUUID\n",
		"viewSort: cn,\n",
	};
	struct base *b = *state;
	char lines[200];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(lines, sizeof(lines), "objectClass: addressBookView\n%s", bad[i]);
		assert_int_equal(base_add(b, "cn=Bad," LISTS, lines), LR_CONSTRAINT_VIOLATION);
		assert_true(b->why.text != NULL && strstr(b->why.text, "view") != NULL);
	}
	add_view(b, "Good", "viewSort: l , cn:caseIgnoreOrderingMatch\n");
	assert_int_equal(base_modify(b, "cn=Good," LISTS, "r", "viewFilter: x\n"),
			 LR_CONSTRAINT_VIOLATION);
	base_check(b);
}

static void hidden_entries_have_kinds_of_their_own(void **state)
{
	struct base *b = *state;
	struct uuid view = add_view(b, "All", "viewFilter: (objectClass=person)\nviewSort: cn\n");

	base_build_views(b, 100);
	assert_int_equal(add_person(b, RECIPIENTS, "Ada", ""), 0);
	assert_int_equal(add_person(b, RECIPIENTS, "Eve",
				    "objectClass: mailRecipient\nhideFromAddressLists: TRUE\n"),
			 0);
	expect(b, &view, view_kind(0, true), "Ada;Eve;");
	expect(b, &view, view_kind(0, false), "Ada;");
	assert_int_equal(base_modify(b, "cn=Eve," RECIPIENTS, "d", "hideFromAddressLists:\n"), 0);
	expect(b, &view, view_kind(0, false), "Ada;Eve;");
	assert_int_equal(base_add(b, "cn=Desk," RECIPIENTS,
				  "objectClass: container\nobjectClass: mailRecipient\n"),
			 0);
	assert_int_equal(add_person(b, "cn=Desk," RECIPIENTS, "Joe", ""), 0);
	expect(b, &view, view_kind(0, false), "Ada;Eve;Joe;");
	assert_int_equal(base_modify(b, "cn=Desk," RECIPIENTS, "a", "hideFromAddressLists: TRUE\n"),
			 0);
	expect(b, &view, view_kind(0, false), "Ada;Eve;"); /* what is below goes, too */
	expect(b, &view, view_kind(0, true), "Ada;Eve;Joe;");
	base_check(b);
}

/* The base of a view is found by name: it may come, go and be renamed. */
static void bases_come_and_go(void **state)
{
	struct base *b = *state;
	struct uuid view =
		add_view(b, "Deep",
			 "viewBase: cn=B,cn=A," RECIPIENTS "\nviewFilter: (objectClass=person)\n");

	base_build_views(b, 100);
	expect(b, &view, VIEW_KIND_ALL, "");
	assert_int_equal(base_add(b, "cn=X," RECIPIENTS, "objectClass: container\n"), 0);
	assert_int_equal(base_add(b, "cn=B,cn=X," RECIPIENTS, "objectClass: container\n"), 0);
	assert_int_equal(add_person(b, "cn=B,cn=X," RECIPIENTS, "Ada", ""), 0);
	expect(b, &view, VIEW_KIND_ALL, "");
	assert_int_equal(base_rename(b, "cn=X," RECIPIENTS, "cn=A", true, NULL), 0);
	base_build_views(b, 100);
	expect(b, &view, VIEW_KIND_ALL, "Ada;");
	assert_int_equal(base_rename(b, "cn=B,cn=A," RECIPIENTS, "cn=C", true, NULL), 0);
	base_build_views(b, 100);
	expect(b, &view, VIEW_KIND_ALL, "");
	assert_int_equal(base_add(b, "cn=B,cn=A," RECIPIENTS, "objectClass: container\n"), 0);
	base_build_views(b, 100);
	assert_int_equal(
		base_rename(b, "cn=C,cn=A," RECIPIENTS, "cn=C", false, "cn=B,cn=A," RECIPIENTS), 0);
	expect(b, &view, VIEW_KIND_ALL, "Ada;"); /* a subtree came with its entries */
	assert_int_equal(base_rename(b, "cn=C,cn=B,cn=A," RECIPIENTS, "cn=C", false, RECIPIENTS),
			 0);
	expect(b, &view, VIEW_KIND_ALL, "");
	assert_int_equal(base_delete(b, "cn=B,cn=A," RECIPIENTS), 0);
	base_build_views(b, 100);
	base_check(b);
}

/* --- at random --- */

struct world {
	char dns[400][300];
	unsigned n;
};

static const char *parent_of(unsigned dice)
{
	static const char *const parents[] = {RECIPIENTS, "cn=A," RECIPIENTS,
					      "cn=B,cn=A," RECIPIENTS, "cn=C," RECIPIENTS};

	return parents[dice % 4];
}

static void random_add(struct base *b, struct world *w, unsigned number)
{
	char cn[64], more[200];

	if (w->n == 400)
		return;
	snprintf(cn, sizeof(cn), "%s %u", name_of(base_random()), number);
	snprintf(more, sizeof(more), "%s%s%s", base_random() % 2 ? "l: Turin\n" : "l: Oslo\n",
		 base_random() % 3 ? "mail: a@example.com\n" : "",
		 base_random() % 8 ? ""
				   : "objectClass: mailRecipient\nhideFromAddressLists: TRUE\n");
	snprintf(w->dns[w->n], sizeof(w->dns[0]), "cn=%s,%s", cn, parent_of(base_random()));
	if (add_person(b, parent_of(0), cn, more) == 0)
		snprintf(w->dns[w->n++], sizeof(w->dns[0]), "cn=%s,%s", cn, RECIPIENTS);
}

static void random_step(struct base *b, struct world *w, unsigned number)
{
	unsigned dice = base_random() % 20, i = w->n != 0 ? base_random() % w->n : 0;
	char text[200];

	if (dice < 7 || w->n == 0) {
		random_add(b, w, number);
	} else if (dice < 9) {
		base_delete(b, w->dns[i]);
		memcpy(w->dns[i], w->dns[--w->n], sizeof(w->dns[0]));
	} else if (dice < 11) {
		base_modify(b, w->dns[i], "r", base_random() % 2 ? "l: Turin\n" : "l: Oslo\n");
	} else if (dice < 13) {
		snprintf(text, sizeof(text), "displayName: %s\n", name_of(base_random()));
		base_modify(b, w->dns[i], "r", text);
	} else if (dice < 15) {
		base_modify(b, w->dns[i], "r", base_random() % 2 ? "mail:\n" : "mail: b@x.org\n");
	} else if (dice < 17) {
		snprintf(text, sizeof(text), "cn=%s %u", name_of(base_random()), number);
		if (base_rename(b, w->dns[i], text, true, RECIPIENTS) == 0)
			snprintf(w->dns[i], sizeof(w->dns[0]), "%s,%s", text, RECIPIENTS);
	} else if (dice == 17) {
		base_rename(b, "cn=A," RECIPIENTS, "cn=A", false, "cn=C," RECIPIENTS);
	} else if (dice == 18) {
		base_rename(b, "cn=A,cn=C," RECIPIENTS, "cn=A", false, RECIPIENTS);
	} else {
		snprintf(text, sizeof(text), "viewFilter: %s\n",
			 base_random() % 2 ? "(l=Turin)" : "(mail=*)");
		base_modify(b, "cn=V," LISTS, "r", text);
	}
}

static void random_changes(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct base *b = *state;
	bool pending;
	unsigned i;

	assert_int_equal(base_add(b, "cn=A," RECIPIENTS, "objectClass: container\n"), 0);
	assert_int_equal(base_add(b, "cn=C," RECIPIENTS, "objectClass: container\n"), 0);
	assert_int_equal(base_add(b, "cn=B,cn=A," RECIPIENTS, "objectClass: container\n"), 0);
	for (i = 0; i < 20; i++) {
		assert_int_equal(add_person(b, parent_of(i), name_of(i), "l: Turin\n"), 0);
	}
	add_view(b, "V", "viewFilter: (l=Turin)\n");
	add_view(b, "A", "viewBase: cn=A," RECIPIENTS "\nviewSort: l,displayName\n");
	add_view(b, "B", "viewBase: cn=B,cn=A," RECIPIENTS "\nviewScope: one\nviewSort: mail\n");
	base_begin(b);
	for (i = 0; i < 1500; i++) {
		random_step(b, w, i);
		if (i % 3 == 0) /* views are built beside the changes */
			assert_int_equal(update_views_work(b->t, &b->ctx, 7), RC_OK);
		if (i % 50 == 0)
			base_check(b);
	}
	base_commit(b);
	base_build_views(b, 7);
	base_check(b);
	base_begin(b);
	assert_int_equal(update_views_pending(b->t, &b->ctx, &pending), RC_OK);
	assert_false(pending);
	free(w);
}

/* --- made anew --- */

static void rebuilt_views_are_the_same(void **state)
{
	static const unsigned kinds[] = {0, 1, 4, 5, 8};
	struct base *b = *state;
	struct buf one[5], other;
	struct uuid view;
	unsigned i;
	char cn[64];

	view = add_view(b, "V", "viewFilter: (l=Turin)\nviewSort: l,sn,cn\n");
	for (i = 0; i < 150; i++) {
		snprintf(cn, sizeof(cn), "%s %u", name_of(i), i);
		assert_int_equal(add_person(b, RECIPIENTS, cn,
					    i % 3 ? "l: Turin\nmail: a@b.c\n" : "l: Oslo\n"),
				 0);
	}
	base_build_views(b, 10);
	for (i = 0; i < 5; i++)
		list(b, &view, NULL, kinds[i], false, "cn", &one[i]);
	assert_true(one[0].n > 500);
	assert_int_equal(update_views_rebuild(b->store, &b->ctx), RC_OK);
	base_check(b);
	for (i = 0; i < 5; i++) {
		list(b, &view, NULL, kinds[i], false, "cn", &other);
		assert_string_equal(buf_cstr(&other), buf_cstr(&one[i]));
		buf_fini(&other);
		buf_fini(&one[i]);
	}
}

static void count_problem(void *ctx, const char *text)
{
	++*(unsigned *)ctx;
	assert_non_null(strstr(text, "view"));
}

/* A row too many, one too few, one of another kind: check tells, a rebuild mends. */
static void check_finds_damage(void **state)
{
	unsigned n = 0;
	struct check c = {.problem = count_problem, .ctx = &n};
	struct base *b = *state;
	struct view_set *set;

	assert_int_equal(add_person(b, RECIPIENTS, "Ada", ""), 0);
	base_begin(b);
	assert_int_equal(view_set_get(b->t, b->schema, &set), RC_OK);
	store_view_put(b->t, find_view(set, NULL, "cn")->number, SPAN_LIT("odd"), 1, 1);
	view_set_put(store_of(b->t), &set);
	base_commit(b);
	base_begin(b);
	assert_int_equal(check_database(b->t, b->schema, &c), RC_OK);
	assert_int_equal(c.problems, 1);
	assert_int_equal(n, 1);
	base_commit(b);
	assert_int_equal(update_views_rebuild(b->store, &b->ctx), RC_OK);
	base_check(b);
}

/* Keys of another ICU are in another order: such a view is made anew when the database is opened.
 */
static void other_collations_are_made_anew(void **state)
{
	struct base *b = *state;
	struct uuid view = add_view(b, "All", "viewFilter: (objectClass=person)\nviewSort: cn\n");
	struct view_set *set;
	struct view_def d;
	struct buf row;

	assert_int_equal(add_person(b, RECIPIENTS, "Ada", ""), 0);
	base_build_views(b, 100);
	base_begin(b);
	assert_int_equal(view_set_get(b->t, b->schema, &set), RC_OK);
	d = *view_set_of_entry(set, &view);
	d.collation++;
	buf_init(&row, 4096);
	view_def_write(&d, &row);
	store_viewdef_put(b->t, d.number, buf_span(&row));
	store_view_set_generation(b->t, 12345);
	buf_fini(&row);
	view_set_put(b->store, &set);
	base_commit(b);
	expect(b, &view, VIEW_KIND_ALL, "Ada;");
	base_begin(b);
	assert_int_equal(update_views_sync(b->t, &b->ctx), RC_OK);
	base_commit(b);
	expect(b, &view, VIEW_KIND_ALL, "building");
	base_build_views(b, 100);
	expect(b, &view, VIEW_KIND_ALL, "Ada;");
	base_check(b);
}

static void count_entries(void *arg, unsigned long entries)
{
	*(unsigned long *)arg += entries;
}

/* Index rows that are missing and odd are gone behind a reindex, too. */
static void reindex_mends_everything(void **state)
{
	struct check c = {.problem = base_problem};
	struct base *b = *state;
	unsigned long told = 0;
	uint64_t eid = 0;
	struct entry e;
	unsigned i;
	char cn[64];

	for (i = 0; i < 30; i++) {
		snprintf(cn, sizeof(cn), "%s %u", name_of(i), i);
		assert_int_equal(add_person(b, RECIPIENTS, cn, "l: Turin\n"), 0);
	}
	base_begin(b);
	assert_int_equal(store_entry_from(b->t, &eid, &e), RC_OK);
	store_index_put(b->t, 12345, SPAN_LIT("odd"), eid);
	store_index_del(b->t, schema_attr(b->schema, SPAN_LIT("sn"))->hash, SPAN_LIT("ada 0"),
			eid + 4);
	base_commit(b);
	base_begin(b);
	assert_int_equal(check_database(b->t, b->schema, &c), RC_OK);
	assert_true(c.problems >= 1);
	base_commit(b);
	assert_int_equal(update_reindex(b->store, &b->ctx, count_entries, &told), RC_OK);
	assert_true(told >= 30);
	base_check(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(orders_are_those_of_a_plain_sort, setup,
						base_teardown),
		cmocka_unit_test_setup_teardown(views_follow_their_definitions, setup,
						base_teardown),
		cmocka_unit_test_setup_teardown(bad_definitions_are_refused, setup, base_teardown),
		cmocka_unit_test_setup_teardown(hidden_entries_have_kinds_of_their_own, setup,
						base_teardown),
		cmocka_unit_test_setup_teardown(bases_come_and_go, setup, base_teardown),
		cmocka_unit_test_setup_teardown(random_changes, setup, base_teardown),
		cmocka_unit_test_setup_teardown(rebuilt_views_are_the_same, setup, base_teardown),
		cmocka_unit_test_setup_teardown(check_finds_damage, setup, base_teardown),
		cmocka_unit_test_setup_teardown(other_collations_are_made_anew, setup,
						base_teardown),
		cmocka_unit_test_setup_teardown(reindex_mends_everything, setup, base_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
