/* Client changes (dird/update.h): results, refusals without a trace, and a property test. */
#include "tests/unit/base.h"

static const char person[] = "objectClass: inetOrgPerson\nobjectClass: mailRecipient\nsn: Hill\n"
			     "mail: ada@s1.example.com\n";
static const char bob[] = "objectClass: inetOrgPerson\nobjectClass: mailRecipient\nsn: Ash\n"
			  "mail: bob@s1.example.com\n";

static int setup(void **state)
{
	struct base *b = calloc(1, sizeof(*b));

	base_open(b, 0);
	base_open_views(b);
	base_site(b);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	base_close(*state);
	free(*state);
	return 0;
}

static bool has(struct base *b, const char *dn, const char *type, const char *value)
{
	struct span name = span_of(type), values, v;
	struct dn d = base_dn(b, dn);
	struct store_txn *t;
	struct entry_attr at;
	struct entry e;
	unsigned depth, i = 0;
	uint64_t eid;
	bool found = false;

	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	if (store_find(t, &d, &eid, &depth) == RC_OK) {
		assert_int_equal(store_entry(t, eid, &e), RC_OK);
		while (entry_find(&e, entry_type_hash(name), name, &i, &at)) {
			for (values = at.values; tlv_expect(&values, TLV_OCTETS, &v) == RC_OK;)
				found = found || value == NULL || span_eq(v, span_of(value));
		}
	}
	store_read_end(&t);
	return found;
}

#define ADA "cn=Ada Hill,cn=Recipients,ou=S1,o=Example"

static void add_fills_in(void **state)
{
	struct base *b = *state;

	assert_int_equal(base_add(b, ADA, person), 0);
	assert_true(has(b, ADA, "cn", "Ada Hill")); /* RFC 4511 §4.7 */
	assert_true(has(b, ADA, "objectClass", "person"));
	assert_true(has(b, ADA, "structuralObjectClass", "inetOrgPerson"));
	assert_true(has(b, ADA, "entryUUID", NULL));
	assert_true(has(b, ADA, "creatorsName", "cn=admin,o=Example"));
	assert_true(has(b, ADA, "createTimestamp", NULL));
	assert_true(has(b, "CN=ada  hill , cn=RECIPIENTS,ou=s1,o=example", "sn", "Hill"));
	base_check(b);
}

/* Every refusal leaves content and counters as they were. */
static void refused(struct base *b, int code, int got)
{
	if (got != code)
		fail_msg("want %d, got %d (%s)", code, got, b->why.text != NULL ? b->why.text : "");
}

struct refusal {
	int code;
	char kind; /* a m d r */
	const char *dn, *ops, *lines, *superior;
};

static const struct refusal refusals[] = {
	{19, 'a', "cn=Third,cn=Recipients,ou=S1,o=Example", NULL, person, NULL},
	{68, 'a', ADA, NULL, person, NULL},
	{68, 'a', "cn=ADA  hill,cn=recipients,ou=s1,o=example", NULL, person, NULL},
	{32, 'a', "cn=x,cn=Nowhere,ou=S1,o=Example", NULL, person, NULL},
	{32, 'a', "cn=x,o=Other", NULL, person, NULL},
	{65, 'a', "cn=x,ou=S1,o=Example", NULL, "objectClass: inetOrgPerson\n", NULL},
	{65, 'a', "cn=x,ou=S1,o=Example", NULL, "sn: x\n", NULL},
	{17, 'a', "cn=x,ou=S1,o=Example", NULL, "objectClass: container\nnoSuchType: x\n", NULL},
	{17, 'a', "nosuch=x,ou=S1,o=Example", NULL, "objectClass: container\n", NULL},
	{19, 'a', "cn=x,ou=S1,o=Example", NULL,
	 "objectClass: container\ncreateTimestamp: 20260101000000Z\n", NULL},
	{20, 'a', "cn=x,ou=S1,o=Example", NULL,
	 "objectClass: container\ndescription: a\ndescription: A\n", NULL},
	{32, 'm', "cn=x,ou=S1,o=Example", "r", "description: x\n", NULL},
	{16, 'm', ADA, "d", "description:\n", NULL},
	{16, 'm', ADA, "d", "mail: other@x\n", NULL},
	{20, 'm', ADA, "a", "mail: ADA@s1.example.com\n", NULL},
	{2, 'm', ADA, "a", "description:\n", NULL},
	{67, 'm', ADA, "d", "cn: ada hill\n", NULL},
	{67, 'm', ADA, "r", "cn: Other\n", NULL},
	{65, 'm', ADA, "d", "sn:\n", NULL},
	{65, 'm', ADA, "a", "siteSmtpDomain: x\n", NULL},
	{17, 'm', ADA, "a", "noSuchType: x\n", NULL},
	{21, 'm', ADA, "a", "manager: not a DN\n", NULL},
	{19, 'm', ADA, "r", "entryUUID: 550e8400-e29b-41d4-a716-446655440000\n", NULL},
	{19, 'm', ADA, "a", "displayName: one\ndisplayName: two\n", NULL},
	{16, 'm', ADA, "i", "uidNumber: 1\n", NULL},
	{19, 'm', ADA, "i", "sn: 1\n", NULL},
	{69, 'm', ADA, "r", "objectClass: organizationalPerson\nobjectClass: mailRecipient\n",
	 NULL},
	{69, 'm', ADA, "a", "objectClass: siteLocal\n", NULL},
	/* the first modification is fine, the second is not: neither happens */
	{16, 'm', ADA, "rd", "description: x\nmail: other@x\n", NULL},
	{32, 'd', "cn=x,ou=S1,o=Example", NULL, NULL, NULL},
	{66, 'd', "cn=Recipients,ou=S1,o=Example", NULL, NULL, NULL},
	{53, 'd', "o=Example", NULL, NULL, NULL},
	{32, 'r', "cn=x,ou=S1,o=Example", "cn=y", NULL, NULL},
	{68, 'r', ADA, "cn=Bob", NULL, NULL},
	{32, 'r', ADA, "cn=Ada Hill", NULL, "cn=Nowhere,o=Example"},
	{71, 'r', ADA, "cn=Ada Hill", NULL, "o=Example"},
	{53, 'r', "cn=Recipients,ou=S1,o=Example", "cn=Recipients", NULL,
	 "cn=Recipients,ou=S1,o=Example"},
	{53, 'r', "ou=S1,o=Example", "ou=S9", NULL, NULL},
	{53, 'r', "o=Example", "o=Other", NULL, NULL},
	{65, 'r', ADA, "ou=x+siteSmtpDomain=y", NULL, NULL},
};

static int run_refusal(struct base *b, const struct refusal *r)
{
	switch (r->kind) {
	case 'a':
		return base_add(b, r->dn, r->lines);
	case 'm':
		return base_modify(b, r->dn, r->ops, r->lines);
	case 'd':
		return base_delete(b, r->dn);
	}
	return base_rename(b, r->dn, r->ops, true, r->superior);
}

static void refusals_leave_no_trace(void **state)
{
	struct base *b = *state;
	struct buf before, after;
	struct store_nc nc;
	uint32_t number;
	uint64_t usns = 0, now;
	unsigned i;

	assert_int_equal(base_add(b, ADA, person), 0);
	assert_int_equal(base_add(b, "cn=Bob,cn=Recipients,ou=S1,o=Example", bob), 0);
	base_dump(b, &before);
	for (i = 0; i < UNIT_COUNT(refusals); i++) {
		int got = run_refusal(b, &refusals[i]);

		if (got != refusals[i].code)
			print_error("row %u %c %s\n", i, refusals[i].kind, refusals[i].dn);
		refused(b, refusals[i].code, got);
		if (refusals[i].code != 32)
			assert_non_null(b->why.text);
		base_begin(b);
		for (number = 0, now = 0; store_nc_next(b->t, &number, &nc) == RC_OK;)
			now += nc.position.usn;
		assert_true(i == 0 || now == usns);
		usns = now;
		store_write_abort(&b->t);
	}
	base_dump(b, &after);
	unit_assert_span(buf_span(&after), buf_span(&before));
	buf_fini(&before);
	buf_fini(&after);
	base_check(b);
}

static void matched_dn(void **state)
{
	struct base *b = *state;

	assert_int_equal(base_add(b, "cn=a,cn=b,cn=Recipients,ou=S1,o=Example", person), 32);
	unit_assert_span(b->why.matched, SPAN_LIT("cn=Recipients,ou=S1,o=Example"));
	assert_int_equal(base_delete(b, "cn=a,o=Elsewhere"), 32);
	assert_int_equal(b->why.matched.n, 0);
}

static void modifications(void **state)
{
	struct base *b = *state;

	assert_int_equal(base_add(b, ADA, person), 0);
	assert_int_equal(base_modify(b, ADA, "a", "mail: b@x\nmail: c@x\n"), 0);
	assert_true(has(b, ADA, "mail", "c@x") && has(b, ADA, "mail", "ada@s1.example.com"));
	assert_int_equal(base_modify(b, ADA, "da", "mail: B@X\ndescription: d\n"), 0);
	assert_false(has(b, ADA, "mail", "b@x"));
	assert_int_equal(base_modify(b, ADA, "r", "mail: only@x\n"), 0);
	assert_false(has(b, ADA, "mail", "c@x"));
	assert_int_equal(base_modify(b, ADA, "r", "mail:\n"), 0);
	assert_false(has(b, ADA, "mail", NULL));
	assert_int_equal(base_modify(b, ADA, "r", "mail:\n"), 0); /* RFC 4511 §4.6: ignored */
	assert_int_equal(base_modify(b, ADA, "aaaaa",
				     "objectClass: posixAccount\nuidNumber: 41\ngidNumber: 1\n"
				     "uid: ada\nhomeDirectory: /\n"),
			 0);
	assert_int_equal(base_modify(b, ADA, "i", "uidNumber: -43\n"), 0); /* RFC 4525 */
	assert_true(has(b, ADA, "uidNumber", "-2"));
	base_check(b);
}

static void renames(void **state)
{
	struct base *b = *state;

	assert_int_equal(base_add(b, ADA, person), 0);
	assert_int_equal(
		base_add(b, "cn=Staff,cn=Recipients,ou=S1,o=Example", "objectClass: container\n"),
		0);
	assert_int_equal(base_rename(b, ADA, "cn=Ada King", true, NULL), 0);
	assert_true(has(b, "cn=Ada King,cn=Recipients,ou=S1,o=Example", "cn", "Ada King"));
	assert_false(has(b, "cn=Ada King,cn=Recipients,ou=S1,o=Example", "cn", "Ada Hill"));
	assert_int_equal(base_rename(b, "cn=Ada King,cn=Recipients,ou=S1,o=Example", "cn=ADA KING",
				     false, "cn=Staff,cn=Recipients,ou=S1,o=Example"),
			 0);
	/* the case of a name is changed by replacing the old one */
	assert_int_equal(base_rename(b, "cn=Ada King,cn=Staff,cn=Recipients,ou=S1,o=Example",
				     "sn=Hill+cn=Ada", false, NULL),
			 0);
	assert_int_equal(base_rename(b, "cn=Staff,cn=Recipients,ou=S1,o=Example", "cn=Team", true,
				     "ou=S1,o=Example"),
			 0);
	assert_true(has(b, "cn=Ada+sn=Hill,cn=Team,ou=S1,o=Example", "cn", "Ada King"));
	assert_int_equal(base_rename(b, "cn=Team,ou=S1,o=Example", "cn=Team", false,
				     "cn=Ada+sn=Hill,cn=Team,ou=S1,o=Example"),
			 53);
	base_check(b);
}

/* A move never makes a name that could not be asked for. */
static void names_stay_short(void **state)
{
	struct base *b = *state;
	char deep[64 * 8], other[64 * 8];
	unsigned i;

	strcpy(deep, "cn=Recipients,ou=S1,o=Example");
	strcpy(other, "cn=Recipients,ou=S1,o=Example");
	for (i = 0; i < 40; i++) {
		memmove(deep + 5, deep, strlen(deep) + 1);
		memcpy(deep, "cn=d,", 5);
		assert_int_equal(base_add(b, deep, "objectClass: container\n"), 0);
	}
	for (i = 0; i < 30; i++) {
		memmove(other + 5, other, strlen(other) + 1);
		memcpy(other, "cn=o,", 5);
		assert_int_equal(base_add(b, other, "objectClass: container\n"), 0);
	}
	assert_int_equal(base_rename(b, "cn=o,cn=Recipients,ou=S1,o=Example", "cn=o", false, deep),
			 53);
	assert_int_equal(base_delete(b, other), 0);
	assert_int_equal(base_rename(b,
				     "cn=o,cn=o,cn=o,cn=o,cn=o,cn=o,cn=o,cn=o,cn=o,"
				     "cn=Recipients,ou=S1,o=Example",
				     "cn=o", false, deep),
			 0);
	base_check(b);
}

static void local_context(void **state)
{
	struct base *b = *state;
	struct store_nc nc;

	assert_int_equal(base_add(b, "cn=Routes,ou=S1,o=Example",
				  "objectClass: container\nobjectClass: siteLocal\n"),
			 0);
	assert_int_equal(base_add(b, "cn=x,cn=Routes,ou=S1,o=Example", "objectClass: container\n"),
			 0);
	base_begin(b);
	assert_int_equal(store_nc_find(b->t, &POSITION_LOCAL_NC, &nc), RC_OK);
	assert_int_equal(nc.position.usn, 2);
	assert_true(nc.is_own);
	store_write_abort(&b->t);
	assert_int_equal(
		base_rename(b, "cn=x,cn=Routes,ou=S1,o=Example", "cn=x", false, "ou=S1,o=Example"),
		71);
	base_check(b);
}

/* Another site's context, as replication brings it. */
static void foreign_site(struct base *b, bool with_servers)
{
	static const char *const names[] = {"ou=S2", "cn=Configuration", "cn=Servers", "cn=host"};
	static const char *const contents[] = {
		"objectClass: organizationalUnit\nobjectClass: mailSite\nou: S2\n",
		"objectClass: container\ncn: Configuration\n",
		"objectClass: container\ncn: Servers\n",
		("objectClass: directoryServer\ncn: host\nserverURI: ldap://s2:389\n"
		 "serverURI: ldaps://s2:636\n")};
	struct uuid nc = {{0x52}}, parent;
	struct store_txn *t;
	struct entry e;
	uint64_t root;
	unsigned i;

	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	assert_int_equal(store_root(t, &root), RC_OK);
	assert_int_equal(store_entry(t, root, &e), RC_OK);
	parent = e.head.uuid;
	store_read_end(&t);
	for (i = 0; i < (with_servers ? 4 : 1); i++) {
		b->last = (struct change){.kind = CHANGE_PUT, .parent_uuid = parent};
		b->last.uuid = nc;
		b->last.uuid.b[15] = (uint8_t)i;
		b->last.rdn = span_of(names[i]);
		b->last.attrs = base_attrs(b, contents[i]);
		b->last.stamp = (struct stamp){nc, 1, i + 1};
		assert_int_equal(base_apply(b), 0);
		assert_int_equal(b->outcome, UPDATE_APPLIED);
		parent = b->last.uuid;
	}
}

static void referrals(void **state)
{
	struct base *b = *state;

	foreign_site(b, true);
	assert_int_equal(base_add(b, "cn=x,ou=S2,o=Example", "objectClass: container\n"), 10);
	assert_string_equal(b->why.referrals[0], "ldap://s2:389");
	assert_string_equal(b->why.referrals[1], "ldaps://s2:636");
	assert_null(b->why.referrals[2]);
	assert_int_equal(base_modify(b, "ou=S2,o=Example", "r", "description: x\n"), 10);
	assert_int_equal(base_delete(b, "cn=host,cn=Servers,cn=Configuration,ou=S2,o=Example"), 10);
	assert_int_equal(
		base_rename(b, "cn=Servers,cn=Configuration,ou=S2,o=Example", "cn=y", true, NULL),
		10);
	assert_int_equal(base_rename(b, "cn=Recipients,ou=S1,o=Example", "cn=Recipients", false,
				     "ou=S2,o=Example"),
			 71);
	base_check(b);
}

static void no_referral_without_servers(void **state)
{
	struct base *b = *state;

	foreign_site(b, false);
	assert_int_equal(base_add(b, "cn=x,ou=S2,o=Example", "objectClass: container\n"), 53);
	assert_true(strstr(b->why.text, "S2") != NULL);
}

static void replacing(void **state)
{
	struct base *b = *state;

	assert_int_equal(
		base_modify(b, "ou=S1,o=Example", "r",
			    "siteKey: sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"),
		0);
	b->last = (struct change){
		.kind = CHANGE_ADD, .replace_existing = true, .may_set_operational = true};
	b->last.dn = base_dn(b, "ou=S1,o=Example");
	b->last.attrs = base_attrs(b, "objectClass: organizationalUnit\nobjectClass: mailSite\n"
				      "siteSmtpDomain: new.example.com\nentryCSN: dropped\n"
				      "entryUUID: 550e8400-e29b-41d4-a716-446655440000\n");
	assert_int_equal(base_apply(b), 0);
	assert_true(has(b, "ou=S1,o=Example", "siteSmtpDomain", "new.example.com"));
	assert_true(has(b, "ou=S1,o=Example", "siteKey", NULL));
	assert_false(
		has(b, "ou=S1,o=Example", "entryUUID", "550e8400-e29b-41d4-a716-446655440000"));
	assert_int_equal(base_add(b, "cn=x,ou=S1,o=Example", "objectClass: container\n"), 0);
	base_check(b);
}

static void given_uuid(void **state)
{
	struct base *b = *state;
	static const char lines[] = "objectClass: container\n"
				    "entryUUID: 550e8400-e29b-41d4-a716-446655440000\n"
				    "createTimestamp: 20010101000000Z\n";

	b->last = (struct change){.kind = CHANGE_ADD, .may_set_operational = true};
	b->last.dn = base_dn(b, "cn=x,ou=S1,o=Example");
	b->last.attrs = base_attrs(b, lines);
	assert_int_equal(base_apply(b), 0);
	assert_true(has(b, "cn=x,ou=S1,o=Example", "createTimestamp", "20010101000000Z"));
	b->last.dn = base_dn(b, "cn=y,ou=S1,o=Example");
	assert_int_equal(base_apply(b), 68);
	assert_int_equal(base_delete(b, "cn=x,ou=S1,o=Example"), 0);
	b->last = (struct change){.kind = CHANGE_ADD, .may_set_operational = true};
	b->last.dn = base_dn(b, "cn=y,ou=S1,o=Example");
	b->last.attrs = base_attrs(b, lines);
	assert_int_equal(base_apply(b), 0); /* alive again: its tombstone goes */
	base_check(b);
}

/* --- property: random changes against a naive model --- */

#define NODES 60

struct node {
	bool is_there;
	int parent; /* -1: cn=Recipients */
	unsigned name;
	unsigned mail;
};

static struct node model[NODES];

static void model_dn(int i, char *out, size_t n)
{
	size_t used = 0;

	for (; i >= 0; i = model[i].parent)
		used += (size_t)snprintf(out + used, n - used, "cn=N%u,", model[i].name);
	snprintf(out + used, n - used, "cn=Recipients,ou=S1,o=Example");
}

static bool model_has_child(int parent, unsigned name, int except)
{
	int i;

	for (i = 0; i < NODES; i++) {
		if (i != except && model[i].is_there && model[i].parent == parent &&
		    (name == 0 || model[i].name == name))
			return true;
	}
	return false;
}

static bool model_is_below(int i, int top)
{
	for (; i >= 0; i = model[i].parent) {
		if (i == top)
			return true;
	}
	return false;
}

static int pick(bool is_there)
{
	int tries, i;

	for (tries = 0; tries < 200; tries++) {
		i = (int)(base_random() % NODES);
		if (model[i].is_there == is_there)
			return i;
	}
	return -1;
}

static void step_add(struct base *b)
{
	int i = pick(false), parent = base_random() % 3 == 0 ? -1 : pick(true);
	unsigned name = 1 + base_random() % 12;
	char dn[1024], lines[200];
	bool taken;

	if (i < 0)
		return;
	taken = model_has_child(parent, name, -1);
	model[i] = (struct node){false, parent, name, base_random() % 1000};
	model_dn(i, dn, sizeof(dn));
	snprintf(lines, sizeof(lines),
		 "objectClass: inetOrgPerson\nsn: x\nmail: m%u@x\ncn: also %u\n", model[i].mail,
		 model[i].mail);
	assert_int_equal(base_add(b, dn, lines), taken ? 68 : 0);
	model[i].is_there = !taken;
}

static void step_modify(struct base *b)
{
	int i = pick(true);
	char dn[1024], lines[100];

	if (i < 0)
		return;
	model_dn(i, dn, sizeof(dn));
	model[i].mail = base_random() % 1000;
	snprintf(lines, sizeof(lines), "mail: m%u@x\n", model[i].mail);
	assert_int_equal(base_modify(b, dn, "r", lines), 0);
}

static void step_delete(struct base *b)
{
	int i = pick(true);
	bool leaf;
	char dn[1024];

	if (i < 0)
		return;
	model_dn(i, dn, sizeof(dn));
	leaf = !model_has_child(i, 0, -1);
	assert_int_equal(base_delete(b, dn), leaf ? 0 : 66);
	model[i].is_there = !leaf;
}

static void step_rename(struct base *b)
{
	int i = pick(true), to = base_random() % 4 == 0 ? -1 : pick(true), want = 0;
	unsigned name = 1 + base_random() % 12;
	char dn[1024], superior[1024], rdn[20];

	if (i < 0)
		return;
	model_dn(i, dn, sizeof(dn));
	model_dn(to, superior, sizeof(superior));
	snprintf(rdn, sizeof(rdn), "cn=N%u", name);
	if (model_is_below(to, i))
		want = 53;
	else if (model_has_child(to, name, i))
		want = 68;
	assert_int_equal(base_rename(b, dn, rdn, true, superior), want);
	if (want == 0) {
		model[i].parent = to;
		model[i].name = name;
	}
}

static void compare_with_model(struct base *b)
{
	char dn[1024], mail[30];
	int i;

	for (i = 0; i < NODES; i++) {
		if (!model[i].is_there)
			continue;
		model_dn(i, dn, sizeof(dn));
		snprintf(mail, sizeof(mail), "m%u@x", model[i].mail);
		if (!has(b, dn, "mail", mail))
			fail_msg("seed: %s lacks %s", dn, mail);
	}
}

static uint64_t count_usns(struct base *b, uint64_t *live, uint64_t *dead)
{
	struct store_change row;
	struct store_txn *t;
	struct store_nc nc;
	uint32_t number = 0;
	uint64_t top = 0, at;

	*live = *dead = 0;
	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	while (store_nc_next(t, &number, &nc) == RC_OK) {
		top += nc.position.usn;
		for (at = 0; store_change_next(t, number, at, UINT64_MAX, &row) == RC_OK;) {
			assert_true(row.usn > at && row.usn <= nc.position.usn);
			at = row.usn;
			++*(row.is_tombstone ? dead : live);
		}
	}
	store_read_end(&t);
	return top;
}

static void random_changes(void **state)
{
	struct base *b = *state;
	uint64_t live, dead, before, after;
	unsigned step, there;
	int i;

	base_seed = 20261123;
	memset(model, 0, sizeof(model));
	before = count_usns(b, &live, &dead);
	for (step = 0; step < 3000; step++) {
		switch (base_random() % 4) {
		case 0:
			step_add(b);
			break;
		case 1:
			step_modify(b);
			break;
		case 2:
			step_delete(b);
			break;
		default:
			step_rename(b);
		}
		if (step % 250 == 0) {
			base_check(b);
			compare_with_model(b);
		}
		arena_fini(&b->arena);
		b->ctx.root = base_dn(b, BASE_ROOT);
	}
	base_check(b);
	compare_with_model(b);
	after = count_usns(b, &live, &dead);
	for (i = 0, there = 0; i < NODES; i++)
		there += model[i].is_there;
	assert_int_equal(live, there + 3);
	assert_true(dead > 100 && after > before + 1000);
}

#define unit_base_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_base_test(add_fills_in),
		unit_base_test(refusals_leave_no_trace),
		unit_base_test(matched_dn),
		unit_base_test(modifications),
		unit_base_test(names_stay_short),
		unit_base_test(renames),
		unit_base_test(local_context),
		unit_base_test(referrals),
		unit_base_test(no_referral_without_servers),
		unit_base_test(replacing),
		unit_base_test(given_uuid),
		unit_base_test(random_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
