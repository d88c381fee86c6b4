/* Changes as pure functions (dird/apply.h): contents, index rows, memory. */
#include "tests/unit/unit.h"

#include "dird/apply.h"
#include "lib/dn.h"

static struct schema *schema;

static int load(void **state)
{
	struct buf errors;

	(void)state;
	buf_init(&errors, 65536);
	if (schema_load(SCHEMADIR, &schema, &errors) != RC_OK)
		fail_msg("%s", buf_cstr(&errors));
	buf_fini(&errors);
	return 0;
}

static int unload(void **state)
{
	(void)state;
	schema_free(&schema);
	return 0;
}

static struct span class_values[] = {{(const uint8_t *)"inetOrgPerson", 13}};
static struct span sn_values[] = {{(const uint8_t *)"Hill", 4}};
static struct span mail_values[] = {{(const uint8_t *)"Ada@X", 5}, {(const uint8_t *)"b@x", 3}};
static struct attr person[] = {
	{.type = {(const uint8_t *)"OBJECTCLASS", 11}, .values = class_values, .nvalues = 1},
	{.type = {(const uint8_t *)"2.5.4.4", 7}, .values = sn_values, .nvalues = 1},
	{.type = {(const uint8_t *)"mail", 4}, .values = mail_values, .nvalues = 2}};

static unsigned max_values; /* 0: any number */

static int add_person(struct arena *a, const char *dn, struct apply_entry *out, struct result *why)
{
	const struct apply_context x = {.schema = schema,
					.arena = a,
					.wall_us = 1795521600000000,
					.max_values = max_values};
	struct change c = {.kind = CHANGE_ADD, .actor = SPAN_LIT("cn=admin,o=Example")};
	struct uuid uuid = {{1, 2, 3}};
	int rc;

	c.attrs = (struct attr_list){person, 3};
	rc = dn_parse(a, span_of(dn), &c.dn, NULL);
	return rc == RC_OK ? apply_add(&x, &c, &uuid, out, why) : rc;
}

static const struct attr *find(const struct apply_entry *e, const char *type)
{
	unsigned i;

	for (i = 0; i < e->attrs.n; i++) {
		if (span_eq(e->attrs.attrs[i].type, span_of(type)))
			return &e->attrs.attrs[i];
	}
	return NULL;
}

static void an_entry_is_made_whole(void **state)
{
	struct apply_entry e;
	struct result why;
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_int_equal(add_person(&a, "cn=Ada+uid=ada,o=Example", &e, &why), RC_OK);
	assert_int_equal(find(&e, "objectClass")->nvalues, 4); /* with its superclasses */
	unit_assert_span(find(&e, "sn")->values[0], SPAN_LIT("Hill"));
	unit_assert_span(find(&e, "cn")->values[0], SPAN_LIT("Ada"));
	unit_assert_span(find(&e, "uid")->values[0], SPAN_LIT("ada"));
	unit_assert_span(find(&e, "entryUUID")->values[0],
			 SPAN_LIT("01020300-0000-0000-0000-000000000000"));
	unit_assert_span(find(&e, "structuralObjectClass")->values[0], SPAN_LIT("inetOrgPerson"));
	unit_assert_span(find(&e, "createTimestamp")->values[0], SPAN_LIT("20261124120000Z"));
	unit_assert_span(find(&e, "creatorsName")->values[0], SPAN_LIT("cn=admin,o=Example"));
	assert_int_equal(e.runs[find(&e, "entryUUID") - e.attrs.attrs], ENTRY_OPERATIONAL);
	assert_int_equal(e.runs[find(&e, "mail") - e.attrs.attrs], ENTRY_PUBLIC);
	arena_fini(&a);
}

/* `mail` has two values. */
static void values_are_counted(void **state)
{
	struct apply_entry e;
	struct result why;
	struct arena a;

	(void)state;
	arena_init(&a);
	max_values = 2;
	assert_int_equal(add_person(&a, "cn=Ada,o=Example", &e, &why), RC_OK);
	max_values = 1;
	assert_int_equal(add_person(&a, "cn=Ada,o=Example", &e, &why), RC_REFUSED);
	assert_int_equal(why.code, LR_ADMIN_LIMIT);
	max_values = 0;
	arena_fini(&a);
}

/* A whole life of an entry, for the allocation faults. */
static int live(void *arg)
{
	struct apply_context x = {.schema = schema, .wall_us = 1795521600000000};
	struct entry_head head = {.rdn = SPAN_LIT("cn=Ada"), .rdn_normal = SPAN_LIT("cn=ada")};
	struct change_mod mods[2] = {
		{CHANGE_OP_DELETE, {.type = SPAN_LIT("mail"), .values = mail_values, .nvalues = 1}},
		{CHANGE_OP_ADD,
		 {.type = SPAN_LIT("description"), .values = sn_values, .nvalues = 1}}};
	struct change c = {.kind = CHANGE_MODIFY, .mods = mods, .nmods = 2};
	struct apply_entry e;
	struct result why;
	struct entry old;
	struct buf record;
	struct arena a;
	int rc;

	arena_init(&a);
	buf_init(&record, 65536);
	x.arena = &a;
	c.actor = SPAN_LIT("cn=x");
	c.delete_old_rdn = true;
	rc = add_person(&a, "cn=Ada,o=Example", &e, &why);
	if (rc == RC_OK)
		rc = entry_build(&head, &e.attrs, e.runs, &record);
	if (rc == RC_OK)
		rc = entry_open(buf_span(&record), &old);
	if (rc == RC_OK)
		rc = apply_modify(&x, &old, &c, &e, &why);
	if (rc == RC_OK && arg == NULL) {
		assert_int_equal(find(&e, "mail")->nvalues, 1);
		assert_non_null(find(&e, "description"));
		unit_assert_span(find(&e, "modifiersName")->values[0], SPAN_LIT("cn=x"));
	}
	if (rc == RC_OK)
		rc = dn_rdn_parse(&a, SPAN_LIT("cn=Countess"), &c.new_rdn, NULL);
	if (rc == RC_OK)
		rc = apply_rename(&x, &old, &c, &e, &why);
	if (rc == RC_OK && arg == NULL) {
		assert_int_equal(find(&e, "cn")->nvalues, 1);
		unit_assert_span(find(&e, "cn")->values[0], SPAN_LIT("Countess"));
		assert_int_equal(find(&e, "mail")->nvalues, 2); /* of the old entry */
	}
	buf_fini(&record);
	arena_fini(&a);
	return rc;
}

static void a_life(void **state)
{
	(void)state;
	assert_int_equal(live(NULL), RC_OK);
}

static void out_of_memory(void **state)
{
	(void)state;
	unit_fail_allocations(live, schema);
}

/* --- index rows --- */

struct delta {
	unsigned added, removed;
	struct span last;
};

static void count(void *ctx, const struct apply_key *key, bool is_new)
{
	struct delta *d = ctx;

	++*(is_new ? &d->added : &d->removed);
	d->last = key->value;
}

static void keys_of(struct arena *a, const char *const *values, unsigned n, struct apply_keys *out)
{
	struct attr at = {.type = SPAN_LIT("mail;x-home"),
			  .values = arena_zalloc(a, n + 1, sizeof(struct span)),
			  .nvalues = n};
	struct attr_list list = {&at, 1};
	unsigned i;

	for (i = 0; i < n; i++)
		at.values[i] = span_of(values[i]);
	assert_int_equal(apply_keys(schema, &list, a, out), RC_OK);
}

static void deltas(void **state)
{
	struct apply_keys one, two;
	struct delta d = {0};
	struct arena a;

	(void)state;
	arena_init(&a);
	keys_of(&a, (const char *const[]){"a@x", "B@x", "c@x"}, 3, &one);
	keys_of(&a, (const char *const[]){"b@X", "A@X", "d@x"}, 3, &two);
	apply_delta(&one, &two, count, &d);
	assert_int_equal(d.removed, 1); /* c@x; the others differ in case only */
	assert_int_equal(d.added, 1);
	unit_assert_span(d.last, SPAN_LIT("d@x"));
	d = (struct delta){0};
	apply_delta(&one, &one, count, &d);
	assert_int_equal(d.added + d.removed, 0);
	arena_fini(&a);
}

/* Values that are cut to the same key are one row: removing one of them keeps it. */
static void cut_values_are_one_row(void **state)
{
	char x[601], y[601];
	struct apply_keys both, one;
	struct delta d = {0};
	struct arena a;

	(void)state;
	memset(x, 'v', 600);
	memset(y, 'v', 600);
	x[600] = y[600] = '\0';
	y[599] = 'w';
	arena_init(&a);
	keys_of(&a, (const char *const[]){x, y}, 2, &both);
	keys_of(&a, (const char *const[]){y}, 1, &one);
	assert_int_equal(both.n, 1);
	assert_int_equal(both.at[0].value.n, APPLY_VALUE_MAX_BYTES);
	apply_delta(&both, &one, count, &d);
	assert_int_equal(d.added + d.removed, 0);
	arena_fini(&a);
}

/* --- only what differs is normalized --- */

static unsigned next_random(unsigned *seed, unsigned below)
{
	*seed = *seed * 1103515245u + 12345u;
	return (*seed >> 16) % below;
}

/* Few values, so that lists often share them, several descriptions of a type, values that are
 * spelled differently or cut, and order that changes. */
static void make_list(struct arena *a, unsigned *seed, struct attr_list *out)
{
	static const char *const types[] = {"member",       "member;x-a",  "cn",
					    "cn;lang-de",   "commonName",  "mail",
					    "uniqueMember", "description", "noSuchType"};
	static const char *const values[] = {"cn=a",   "CN=A",     "cn=b,o=x", "cn=b, o=x",
					     "Müller", "Muller",   "Mùller",   "x",
					     "y",      "cn=c#'1'B"};
	unsigned i, k;
	struct attr *at;

	*out = (struct attr_list){arena_zalloc(a, UNIT_COUNT(types), sizeof(*at)), 0};
	for (i = 0; i < UNIT_COUNT(types); i++) {
		if (next_random(seed, 3) == 0)
			continue;
		at = &out->attrs[out->n++];
		at->type = span_of(types[i]);
		at->values = arena_zalloc(a, 8, sizeof(struct span));
		for (k = next_random(seed, 8); k != 0; k--) {
			const char *v = values[next_random(seed, UNIT_COUNT(values))];

			if (next_random(seed, 8) == 0)
				v = arena_printf(a, "cn=%0600d%u", 0, next_random(seed, 2));
			at->values[at->nvalues++] = span_of(v);
		}
	}
}

/* The same list in other memory, with some changes. */
static void vary_list(struct arena *a, unsigned *seed, const struct attr_list *in,
		      struct attr_list *out)
{
	unsigned i, k;

	make_list(a, seed, out);
	for (i = 0; i < in->n && i < out->n; i++) {
		if (next_random(seed, 2) == 0)
			continue;
		out->attrs[i].type = in->attrs[i].type;
		out->attrs[i].nvalues = in->attrs[i].nvalues;
		for (k = 0; k < in->attrs[i].nvalues; k++)
			out->attrs[i].values[k] = arena_span(a, in->attrs[i].values[k]);
		if (next_random(seed, 2) == 0 && out->attrs[i].nvalues != 0)
			out->attrs[i].nvalues--;
		for (k = 0; k < i; k++) { /* no description twice */
			if (span_eq(out->attrs[k].type, out->attrs[i].type))
				out->attrs[i].nvalues = 0;
		}
	}
	for (i = k = 0; i < out->n; i++) {
		if (out->attrs[i].nvalues != 0)
			out->attrs[k++] = out->attrs[i];
	}
	out->n = k;
}

struct rows {
	struct apply_key at[400];
	bool is_new[400];
	unsigned n;
};

static void note_row(void *ctx, const struct apply_key *key, bool is_new)
{
	struct rows *r = ctx;

	assert_true(r->n < UNIT_COUNT(r->at));
	r->at[r->n] = *key;
	r->is_new[r->n++] = is_new;
}

static void drop_doubles(struct attr_list *l)
{
	unsigned i, k, n;
	struct attr *at;

	/* what is stored has no value twice, in whatever spelling */
	for (i = 0; i < l->n; i++) {
		at = &l->attrs[i];
		for (k = n = 0; k < at->nvalues; k++) {
			struct attr one = {
				.type = at->type, .values = at->values, .nvalues = n + 1};
			struct attr_list check = {&one, 1}, canonical;
			struct result why;
			struct arena a;

			at->values[n] = at->values[k];
			arena_init(&a);
			n += schema_canonical(schema, &check, &a, &canonical, &why) == RC_OK;
			arena_fini(&a);
		}
		at->nvalues = n;
	}
}

static void differences_are_those_of_all_rows(void **state)
{
	unsigned seed, i, trimmed = 0;

	(void)state;
	for (seed = 1; seed <= 2000; seed++) {
		struct attr_list from, to;
		struct apply_keys had, has;
		struct rows want = {.n = 0}, got = {.n = 0};
		unsigned random = seed;
		struct arena a;

		arena_init(&a);
		make_list(&a, &random, &from);
		vary_list(&a, &random, &from, &to);
		drop_doubles(&from);
		drop_doubles(&to);
		assert_int_equal(apply_keys(schema, &from, &a, &had), RC_OK);
		assert_int_equal(apply_keys(schema, &to, &a, &has), RC_OK);
		apply_delta(&had, &has, note_row, &want);
		assert_int_equal(apply_differences(schema, &from, &to, &a, note_row, &got), RC_OK);
		if (want.n != got.n)
			fail_msg("seed %u: %u rows, not %u", seed, got.n, want.n);
		for (i = 0; i < want.n; i++) {
			assert_int_equal(got.at[i].attr, want.at[i].attr);
			unit_assert_span(got.at[i].value, want.at[i].value);
			assert_int_equal(got.is_new[i], want.is_new[i]);
		}
		trimmed += want.n != 0;
		arena_fini(&a);
	}
	assert_true(trimmed > 1000);
}

static uint8_t flags_of(const char *type, const char *value)
{
	struct span values[] = {span_of(value)};
	struct attr at = {.type = span_of(type), .values = values, .nvalues = 1};
	struct attr_list list = {&at, 1};

	return apply_flags(schema, &list);
}

static void flags_follow_from_attributes(void **state)
{
	(void)state;
	assert_int_equal(flags_of("cn", "TRUE"), 0);
	assert_int_equal(flags_of("hideFromAddressLists", "TRUE"), ENTRY_HIDDEN);
	assert_int_equal(flags_of("hideFromAddressLists", "FALSE"), 0);
	assert_int_equal(flags_of("hideDLMembership", "TRUE"), ENTRY_HIDES_MEMBERS);
	assert_int_equal(flags_of("member", "cn=x"), ENTRY_HAS_NAMES);
	assert_int_equal(flags_of("seeAlso;x-y", "cn=x"), ENTRY_HAS_NAMES);
	assert_int_equal(flags_of("uniqueMember", "cn=x#'1'B"), ENTRY_HAS_NAMES);
	assert_int_equal(flags_of("modifiersName", "cn=x"), 0);
	assert_int_equal(flags_of("noSuchType", "cn=x"), 0);
}

static void cn_keys(struct arena *a, const char *value, struct apply_keys *out)
{
	struct span values[] = {span_of(value)};
	struct attr at = {.type = SPAN_LIT("cn"), .values = values, .nvalues = 1};
	struct attr_list list = {&at, 1};

	assert_int_equal(apply_keys(schema, &list, a, out), RC_OK);
}

/* A second row for what the first one does not find. */
static void values_with_accents_have_two_rows(void **state)
{
	const struct schema_attr *cn = schema_attr(schema, SPAN_LIT("cn"));
	struct apply_keys keys;
	unsigned i, found = 0;
	struct arena a;

	(void)state;
	arena_init(&a);
	cn_keys(&a, "Rodriguez", &keys);
	assert_int_equal(keys.n, 1);
	assert_int_equal(keys.at[0].attr, cn->hash);
	cn_keys(&a, "張偉", &keys);
	assert_int_equal(keys.n, 1);
	cn_keys(&a, "Rodríguez", &keys);
	assert_int_equal(keys.n, 2);
	assert_int_not_equal(cn->accents_hash, cn->hash);
	for (i = 0; i < keys.n; i++) {
		if (keys.at[i].attr == cn->hash) {
			unit_assert_span(keys.at[i].value, SPAN_LIT("rodríguez"));
			found |= 1;
		} else if (keys.at[i].attr == cn->accents_hash) {
			unit_assert_span(keys.at[i].value, SPAN_LIT("rodriguez"));
			found |= 2;
		}
	}
	assert_int_equal(found, 3);
	arena_fini(&a);
}

static void classes(void **state)
{
	struct span by_oid[] = {SPAN_LIT("2.5.6.6")};
	struct attr at = {.type = SPAN_LIT("objectClass"), .values = by_oid, .nvalues = 1};
	struct attr_list list = {&at, 1};

	(void)state;
	assert_true(apply_has_class(schema, &list, "person"));
	assert_false(apply_has_class(schema, &list, "container"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(an_entry_is_made_whole),
		unit_heap_test(values_are_counted),
		unit_heap_test(a_life),
		unit_heap_test(out_of_memory),
		unit_heap_test(deltas),
		unit_heap_test(cut_values_are_one_row),
		unit_heap_test(differences_are_those_of_all_rows),
		unit_heap_test(flags_follow_from_attributes),
		unit_heap_test(classes),
		unit_heap_test(values_with_accents_have_two_rows),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
