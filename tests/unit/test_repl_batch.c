/* Messages of a replication session to changes (dird/repl_batch.h). */
#include "tests/unit/unit.h"

#include "dird/repl_batch.h"
#include "dird/sync_ctl.h"

#define NC_A "aaaaaaaa-0000-4000-8000-000000000001"
#define NC_OWN "bbbbbbbb-0000-4000-8000-000000000002"
#define LIFE "cccccccc-0000-4000-8000-000000000003"
#define PARENT "dddddddd-0000-4000-8000-000000000004"
#define COOKIE(a, own) "wp1,0000000000000000," NC_A ":1:" LIFE ":" a "," NC_OWN ":1:" LIFE ":" own

static const struct uuid uuids[] = {{{3}}, {{1}}, {{2}}};

/* --- frames --- */

static void put_attr(struct buf *b, const char *type, const char *value)
{
	size_t attr = tlv_open(b, TLV_SEQUENCE), set;

	tlv_put(b, TLV_OCTETS, span_of(type));
	set = tlv_open(b, TLV_SET);
	tlv_put(b, TLV_OCTETS, span_of(value));
	tlv_close(b, set);
	tlv_close(b, attr);
}

struct entry_frame {
	int state; /* < 0: no control */
	const char *dn, *stamp, *parent, *cn, *cookie;
};

static void entry_frame(struct buf *b, const struct entry_frame *e, const struct uuid *u)
{
	struct sync_entry_state state = {e->state, *u, span_of(e->cookie)};
	struct msg_control control = {.oid = SPAN_LIT(SYNC_OID_STATE), .has_value = true};
	size_t whole, op, attrs;
	struct buf value;

	buf_clear(b);
	buf_init(&value, 1000);
	whole = tlv_open(b, TLV_SEQUENCE);
	tlv_put_int(b, TLV_INTEGER, 2);
	op = tlv_open(b, TLV_APP_CONS(MSG_SEARCH_ENTRY));
	tlv_put(b, TLV_OCTETS, span_of(e->dn));
	attrs = tlv_open(b, TLV_SEQUENCE);
	if (e->stamp != NULL)
		put_attr(b, "originStamp", e->stamp);
	if (e->cn != NULL)
		put_attr(b, "cn", e->cn);
	if (e->parent != NULL)
		put_attr(b, "parentUUID", e->parent);
	tlv_close(b, attrs);
	tlv_close(b, op);
	if (e->state >= 0) {
		sync_entry_state_write(&value, &state);
		control.value = buf_span(&value);
		msg_write_controls(b, &control, 1);
	}
	tlv_close(b, whole);
	buf_fini(&value);
	assert_int_equal(buf_rc(b), RC_OK);
}

static void info_frame(struct buf *b, enum sync_info_kind kind, const char *cookie, bool flag,
		       size_t nuuids)
{
	struct sync_info info = {.kind = kind,
				 .cookie = span_of(cookie),
				 .refresh_done = flag,
				 .refresh_deletes = flag};
	struct buf value;

	buf_clear(b);
	buf_init(&value, 10000);
	sync_info_write(&value, &info, uuids, nuuids);
	msg_write_intermediate(b, 2, SYNC_OID_INFO, buf_span(&value));
	buf_fini(&value);
}

/* --- a session under test --- */

struct fixture {
	struct repl_session session;
	struct repl_batch batch;
	struct buf frame;
	const char *why;
};

static void begin(struct fixture *f)
{
	struct uuid own;

	assert_int_equal(uuid_parse(SPAN_LIT(NC_OWN), &own), RC_OK);
	assert_int_equal(repl_session_init(&f->session, &own, 1), RC_OK);
	repl_batch_init(&f->batch);
	buf_init(&f->frame, 100000);
}

static void end(struct fixture *f)
{
	repl_session_fini(&f->session);
	repl_batch_fini(&f->batch);
	buf_fini(&f->frame);
}

static int feed(struct fixture *f)
{
	struct msg m;
	int rc = repl_batch_read(&f->batch, buf_span(&f->frame), &m, &f->why);

	return rc == RC_OK ? repl_session_feed(&f->session, &m, &f->batch, &f->why) : rc;
}

static int feed_entry(struct fixture *f, int state, const struct uuid *u)
{
	struct entry_frame e = {state, "cn=A\\,da,ou=S,o=E", NC_A ":1:7", PARENT, "A,da", NULL};

	entry_frame(&f->frame, &e, u);
	return feed(f);
}

static int feed_info(struct fixture *f, enum sync_info_kind kind, const char *cookie, bool flag,
		     size_t nuuids)
{
	info_frame(&f->frame, kind, cookie, flag, nuuids);
	return feed(f);
}

/* --- tests --- */

static void entries_become_changes(void **state)
{
	struct fixture f;
	const struct change *c;
	struct uuid parent;

	(void)state;
	begin(&f);
	assert_int_equal(feed_entry(&f, SYNC_ADD, &uuids[0]), RC_OK);
	assert_int_equal(feed_entry(&f, SYNC_DELETE, &uuids[1]), RC_OK);
	assert_int_equal(f.batch.n, 2);
	assert_int_equal(f.batch.entries, 2);
	c = &f.batch.changes[0];
	assert_int_equal(c->kind, CHANGE_PUT);
	assert_true(uuid_eq(&c->uuid, &uuids[0]));
	assert_int_equal(c->stamp.epoch, 1);
	assert_int_equal(c->stamp.usn, 7);
	assert_int_equal(uuid_parse(SPAN_LIT(PARENT), &parent), RC_OK);
	assert_true(uuid_eq(&c->parent_uuid, &parent));
	unit_assert_span(c->rdn, SPAN_LIT("cn=A\\,da"));
	assert_int_equal(c->attrs.n, 1); /* what travels beside the entry is no part of it */
	unit_assert_span(c->attrs.attrs[0].type, SPAN_LIT("cn"));
	c = &f.batch.changes[1];
	assert_int_equal(c->kind, CHANGE_REMOVE);
	assert_int_equal(c->stamp.usn, 7);
	unit_assert_span(c->old_dn, SPAN_LIT("cn=A\\,da,ou=S,o=E"));
	end(&f);
}

/* The root has no parent and is named by its whole DN. */
static void root_keeps_its_name(void **state)
{
	struct entry_frame e = {SYNC_ADD,    "dc=example,dc=com",
				NC_A ":1:7", "00000000-0000-0000-0000-000000000000",
				NULL,        NULL};
	struct fixture f;

	(void)state;
	begin(&f);
	entry_frame(&f.frame, &e, &uuids[0]);
	assert_int_equal(feed(&f), RC_OK);
	unit_assert_span(f.batch.changes[0].rdn, SPAN_LIT("dc=example,dc=com"));
	end(&f);
}

/* Notes 1.3 rule 8: nothing is guessed. */
static void malformed_entries(void **state)
{
	static const struct {
		struct entry_frame e;
		const char *why;
	} rows[] = {
		{{-1, "cn=a", NC_A ":1:7", PARENT, NULL, NULL}, "sync state"},
		{{4, "cn=a", NC_A ":1:7", PARENT, NULL, NULL}, "sync state"},
		{{SYNC_ADD, "cn=a", NULL, PARENT, NULL, NULL}, "originStamp"},
		{{SYNC_ADD, "cn=a", NC_A ":1:0", PARENT, NULL, NULL}, "originStamp"},
		{{SYNC_ADD, "cn=a", "x:1:1", PARENT, NULL, NULL}, "originStamp"},
		{{SYNC_ADD, "cn=a", NC_A ":1:7", NULL, NULL, NULL}, "parentUUID"},
		{{SYNC_ADD, "cn=a", NC_A ":1:7", "dddd", NULL, NULL}, "parentUUID"},
		{{SYNC_ADD, "", NC_A ":1:7", PARENT, NULL, NULL}, "name"},
		{{SYNC_DELETE, "cn=a", NULL, NULL, NULL, NULL}, "originStamp"},
		{{SYNC_ADD, "cn=a", NC_A ":1:7", PARENT, NULL, "wp9"}, "cookie"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		struct fixture f;

		begin(&f);
		entry_frame(&f.frame, &rows[i].e, &uuids[0]);
		assert_int_equal(feed(&f), RC_INVALID);
		assert_non_null(strstr(f.why, rows[i].why));
		end(&f);
	}
}

static void cookies_move_foreign_contexts(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	assert_int_equal(feed_info(&f, SYNC_INFO_NEW_COOKIE, COOKIE("5", "9"), false, 0), RC_OK);
	assert_int_equal(f.batch.n, 1); /* not for the context that is written here */
	assert_int_equal(f.batch.changes[0].kind, CHANGE_POSITION);
	assert_int_equal(f.batch.changes[0].position.usn, 5);
	assert_int_equal(f.session.partner.n, 2);
	assert_int_equal(feed_info(&f, SYNC_INFO_NEW_COOKIE, COOKIE("5", "10"), false, 0), RC_OK);
	assert_int_equal(f.batch.n, 1); /* nothing new */
	assert_int_equal(feed_info(&f, SYNC_INFO_NEW_COOKIE, COOKIE("6", "10"), false, 0), RC_OK);
	assert_int_equal(f.batch.n, 2);
	assert_int_equal(f.batch.changes[1].position.usn, 6);
	assert_int_equal(f.session.cookies, 3);
	assert_int_equal(feed_info(&f, SYNC_INFO_NEW_COOKIE, "", false, 0), RC_INVALID);
	end(&f);
}

/* R14: what a present phase named stays; the list is complete only with its end. */
static void present_phase(void **state)
{
	struct fixture f;
	const struct change *c;

	(void)state;
	begin(&f);
	assert_int_equal(feed_info(&f, SYNC_INFO_ID_SET, NULL, false, 2), RC_OK);
	assert_int_equal(feed_entry(&f, SYNC_ADD, &uuids[2]), RC_OK);
	assert_int_equal(feed_entry(&f, SYNC_PRESENT, &uuids[2]), RC_OK);
	assert_int_equal(f.batch.n, 1);
	assert_int_equal(feed_info(&f, SYNC_INFO_REFRESH_PRESENT, COOKIE("8", "9"), true, 0),
			 RC_OK);
	assert_true(f.session.is_refreshed);
	assert_int_equal(f.batch.n, 4); /* of the own context, too: it may be recovering */
	c = &f.batch.changes[1];
	assert_int_equal(c->kind, CHANGE_KEEP_ONLY);
	assert_int_equal(c->position.usn, 8);
	assert_int_equal(c->nkeep, 4);
	assert_true(uuid_eq(&c->keep[0], &uuids[1])); /* sorted */
	assert_true(uuid_eq(&c->keep[3], &uuids[0]));
	assert_int_equal(f.batch.changes[2].kind, CHANGE_POSITION);
	assert_int_equal(f.batch.changes[3].kind, CHANGE_KEEP_ONLY);
	assert_int_equal(f.batch.changes[3].position.usn, 9);
	/* behind the refresh stage nothing is named any more */
	assert_int_equal(feed_entry(&f, SYNC_PRESENT, &uuids[2]), RC_INVALID);
	assert_int_equal(feed_info(&f, SYNC_INFO_ID_SET, NULL, false, 1), RC_INVALID);
	assert_int_equal(feed_info(&f, SYNC_INFO_REFRESH_DELETE, COOKIE("8", "9"), true, 0),
			 RC_INVALID);
	end(&f);
}

static void present_phase_without_cookie(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	assert_int_equal(feed_info(&f, SYNC_INFO_REFRESH_PRESENT, NULL, true, 0), RC_INVALID);
	end(&f);
}

static void both_phases(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	assert_int_equal(feed_entry(&f, SYNC_ADD, &uuids[0]), RC_OK);
	assert_int_equal(feed_info(&f, SYNC_INFO_REFRESH_PRESENT, COOKIE("8", "9"), false, 0),
			 RC_OK);
	assert_false(f.session.is_refreshed);
	assert_int_equal(f.batch.changes[1].kind, CHANGE_KEEP_ONLY);
	assert_int_equal(f.batch.changes[1].nkeep, 1);
	assert_int_equal(feed_entry(&f, SYNC_DELETE, &uuids[0]), RC_OK);
	assert_int_equal(feed_info(&f, SYNC_INFO_REFRESH_DELETE, COOKIE("9", "9"), true, 0), RC_OK);
	assert_true(f.session.is_refreshed);
	assert_int_equal(f.batch.changes[f.batch.n - 1].kind, CHANGE_POSITION);
	assert_int_equal(f.batch.changes[f.batch.n - 1].position.usn, 9);
	end(&f);
}

static void deletions_need_stamps(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	assert_int_equal(feed_info(&f, SYNC_INFO_ID_SET, NULL, true, 1), RC_INVALID);
	assert_non_null(strstr(f.why, "stamp"));
	end(&f);
}

static void end_of_session(void **state)
{
	struct result r = {.code = LR_SYNC_REFRESH_REQUIRED, .text = "restored"};
	struct fixture f;

	(void)state;
	begin(&f);
	msg_write_result(&f.frame, 2, MSG_SEARCH_DONE, &r, SPAN_LIT(""), NULL, 0);
	assert_int_equal(feed(&f), RC_OK);
	assert_true(f.session.is_ended);
	assert_int_equal(f.session.result.code, 4096);
	unit_assert_span(f.session.result.text, SPAN_LIT("restored"));
	assert_int_equal(f.batch.n, 0);
	end(&f);
}

static void wrong_messages(void **state)
{
	struct result r = {.code = LR_SUCCESS};
	struct fixture f;

	(void)state;
	begin(&f);
	msg_write_result(&f.frame, 2, MSG_ADD_RESPONSE, &r, SPAN_LIT(""), NULL, 0);
	assert_int_equal(feed(&f), RC_INVALID);
	buf_clear(&f.frame);
	msg_write_intermediate(&f.frame, 2, "1.2.3", SPAN_LIT("x"));
	assert_int_equal(feed(&f), RC_INVALID);
	buf_clear(&f.frame);
	msg_write_intermediate(&f.frame, 2, SYNC_OID_INFO, SPAN_LIT("x"));
	assert_int_equal(feed(&f), RC_INVALID);
	buf_clear(&f.frame);
	buf_puts(&f.frame, "0\003xyz");
	assert_int_equal(feed(&f), RC_INVALID);
	end(&f);
}

static void full_by_count(void **state)
{
	struct fixture f;
	unsigned i;

	(void)state;
	begin(&f);
	for (i = 0; i < REPL_BATCH_ENTRIES; i++) {
		assert_false(repl_batch_is_full(&f.batch));
		assert_int_equal(feed_entry(&f, SYNC_MODIFY, &uuids[0]), RC_OK);
	}
	assert_true(repl_batch_is_full(&f.batch));
	end(&f);
}

static int whole_session(void *arg)
{
	static const struct uuid own = {{9}};
	struct buf *frames = arg;
	struct repl_session s;
	struct repl_batch b;
	struct msg m;
	const char *why;
	int i, rc;

	repl_batch_init(&b);
	rc = repl_session_init(&s, &own, 1);
	for (i = 0; i < 3 && rc == RC_OK; i++) {
		rc = repl_batch_read(&b, buf_span(&frames[i]), &m, &why);
		if (rc == RC_OK)
			rc = repl_session_feed(&s, &m, &b, &why);
	}
	repl_session_fini(&s);
	repl_batch_fini(&b);
	return rc;
}

static void out_of_memory(void **state)
{
	struct entry_frame e = {SYNC_ADD, "cn=a", NC_A ":1:7", PARENT, "a", NULL};
	struct buf frames[3];
	int i;

	(void)state;
	for (i = 0; i < 3; i++)
		buf_init(&frames[i], 10000);
	entry_frame(&frames[0], &e, &uuids[0]);
	info_frame(&frames[1], SYNC_INFO_ID_SET, NULL, false, 3);
	info_frame(&frames[2], SYNC_INFO_REFRESH_PRESENT, COOKIE("8", "9"), true, 0);
	unit_fail_allocations(whole_session, frames);
	for (i = 0; i < 3; i++)
		buf_fini(&frames[i]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		unit_heap_test(entries_become_changes),
		unit_heap_test(root_keeps_its_name),
		unit_heap_test(malformed_entries),
		unit_heap_test(cookies_move_foreign_contexts),
		unit_heap_test(present_phase),
		unit_heap_test(present_phase_without_cookie),
		unit_heap_test(both_phases),
		unit_heap_test(deletions_need_stamps),
		unit_heap_test(end_of_session),
		unit_heap_test(wrong_messages),
		unit_heap_test(full_by_count),
		unit_heap_test(out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
