/*
 * R26: sessions of release 0.1, as they were on the wire (tests/unit/sessions, a frame a line in
 * base64), read by what is here now. The provider's: a first load of a small site, and then a
 * modify, a delete that a list is mended for, and a container that is renamed.
 */
#include "tests/unit/base.h"

#include "dird/repl_batch.h"
#include "dird/sync_ctl.h"
#include "dird/twins.h"
#include "lib/base64.h"

#define HUB "55ea1bff-885d-4584-b8c6-8eb197841de7"

struct frames {
	char line[16384];
	uint8_t bytes[12288];
	FILE *file;
};

static void frames_open(struct frames *f, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", SESSIONDIR, name);
	f->file = fopen(path, "r");
	assert_non_null(f->file);
}

static bool frames_next(struct frames *f, struct span *out)
{
	size_t n;

	if (fgets(f->line, sizeof(f->line), f->file) == NULL) {
		fclose(f->file);
		return false;
	}
	assert_true(base64_decode(span_trim(span_of(f->line)), f->bytes, &n));
	*out = span_make(f->bytes, n);
	return true;
}

/* --- the provider is of that release --- */

static void take(struct base *b, struct repl_session *s, struct span frame)
{
	struct repl_batch batch;
	const char *why = "";
	struct msg m;
	unsigned i;

	repl_batch_init(&batch);
	assert_int_equal(repl_batch_read(&batch, frame, &m, &why), RC_OK);
	if (repl_session_feed(s, &m, &batch, &why) != RC_OK)
		fail_msg("%s", why);
	for (i = 0; i < batch.n; i++) {
		b->last = batch.changes[i];
		assert_int_equal(base_apply(b), RC_OK);
		assert_true(b->outcome == UPDATE_APPLIED || b->outcome == UPDATE_DUPLICATE);
	}
	repl_batch_fini(&batch);
}

static void assert_holds(struct buf *dump, const char *text)
{
	if (strstr(buf_cstr(dump), text) == NULL)
		fail_msg("no \"%s\" in\n%s", text, buf_cstr(dump));
}

static void an_older_provider(void **state)
{
	struct base *b = *state;
	struct repl_session session;
	struct store_txn *t;
	struct store_nc nc;
	struct frames f;
	struct span frame;
	struct uuid hub;
	struct buf dump;

	assert_int_equal(repl_session_init(&session, NULL, 0), RC_OK);
	frames_open(&f, "0.1-provider.b64");
	while (frames_next(&f, &frame))
		take(b, &session, frame);
	assert_true(session.is_refreshed);
	assert_false(session.is_ended);
	repl_session_fini(&session);

	base_check(b);
	base_dump(b, &dump);
	assert_holds(&dump, "cn=Ada,cn=Recipients,ou=Hub,o=Example 20388.19 ");
	assert_holds(&dump, " title=Dr");
	assert_holds(&dump, "cn=\xc5\x81ukasz,ou=Team,cn=Recipients,ou=Hub,o=Example 1.16 ");
	assert_holds(&dump, "cn=All,cn=Recipients,ou=Hub,o=Example 20388.21 ");
	assert_null(strstr(buf_cstr(&dump), "cn=Bo,"));
	buf_fini(&dump);

	assert_int_equal(uuid_parse(SPAN_LIT(HUB), &hub), RC_OK);
	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	assert_int_equal(store_nc_find(t, &hub, &nc), RC_OK);
	assert_int_equal(nc.position.epoch, 20388);
	assert_int_equal(nc.position.usn, 22);
	store_read_end(&t);
}

/* --- the consumer is of that release --- */

static const struct msg_control *control(const struct msg *m, const char *oid)
{
	unsigned i;

	for (i = 0; i < m->ncontrols; i++) {
		if (span_eq(m->controls[i].oid, span_of(oid)))
			return &m->controls[i];
	}
	fail_msg("no control %s", oid);
	return NULL;
}

static void an_older_consumer(void **state)
{
	const struct msg_control *c;
	struct sync_request request;
	struct base *b = *state;
	struct frames f;
	struct span frame;
	struct msg m;
	const char *why = "";
	bool fatal;

	frames_open(&f, "0.1-consumer.b64");
	assert_true(frames_next(&f, &frame));
	assert_int_equal(msg_read(frame, &b->arena, &m, &fatal, &why), RC_OK);
	assert_int_equal(m.op, MSG_SEARCH_REQUEST);
	unit_assert_span(m.u.search.base, SPAN_LIT(BASE_ROOT));
	c = control(&m, SYNC_OID_REQUEST);
	assert_true(c->critical);
	assert_int_equal(sync_request_read(c->value, &request), RC_OK);
	assert_true(span_starts(request.cookie, SPAN_LIT("wp1,0000000000000000,")));
	c = control(&m, TWINS_OID);
	assert_int_equal(c->value.n, TWINS_VALUE_BYTES);
	assert_false(frames_next(&f, &frame));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_older_provider, base_setup, base_teardown),
		cmocka_unit_test_setup_teardown(an_older_consumer, base_setup, base_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
