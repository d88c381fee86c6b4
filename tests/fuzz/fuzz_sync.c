/* dird/sync_ctl.c, position.c, csn.c: what is read of a control, cookie or stamp and written again
 * reads the same. */
#include "tests/fuzz/fuzz.h"

#include "dird/csn.h"
#include "dird/position.h"
#include "dird/sync_ctl.h"

static void controls(struct span in, struct buf *out)
{
	struct sync_request request, request2;
	struct sync_entry_state state, state2;
	struct sync_done done, done2;
	struct sync_info info;
	struct uuid uuid;
	size_t n = 0;

	if (sync_request_read(in, &request) == RC_OK) {
		sync_request_write(out, &request);
		must(sync_request_read(buf_span(out), &request2) == RC_OK);
		must(request2.mode == request.mode && request2.reload_hint == request.reload_hint);
		must(span_eq(request2.cookie, request.cookie));
	}
	buf_clear(out);
	if (sync_entry_state_read(in, &state) == RC_OK) {
		sync_entry_state_write(out, &state);
		must(sync_entry_state_read(buf_span(out), &state2) == RC_OK);
		must(state2.state == state.state && uuid_eq(&state2.uuid, &state.uuid));
	}
	buf_clear(out);
	if (sync_done_read(in, &done) == RC_OK) {
		sync_done_write(out, &done);
		must(sync_done_read(buf_span(out), &done2) == RC_OK);
		must(done2.refresh_deletes == done.refresh_deletes);
	}
	buf_clear(out);
	if (sync_info_read(in, &info) == RC_OK && info.kind == SYNC_INFO_ID_SET) {
		while (sync_uuid_next(&info.uuids, &uuid))
			n++;
		must(n * UUID_BYTES <= in.n);
	}
}

/* The lives of a context stand together, the present one first, and each has what it says. */
static void lives(const struct vector *v, struct arena *a)
{
	struct vector one, put = {NULL, 0};
	unsigned i, k;

	for (i = 0; i < v->n; i += one.n) {
		one = vector_lives(v, &v->at[i].nc);
		must(one.at == &v->at[i] && one.n != 0 && one.n <= POSITION_PAST_MAX + 1);
		must(vector_find(v, &v->at[i].nc) == one.at);
		for (k = 0; k < one.n; k++) {
			must(k == 0 || one.at[k].epoch <= one.at[k - 1].epoch);
			must(lives_include(&one, &one.at[k]));
		}
		must(vector_put_lives(&put, a, &one) == RC_OK);
	}
	must(put.n == v->n);
}

static void cookies(struct span in, struct buf *out)
{
	struct span rid, csns;
	struct vector v, again;
	uint64_t hash, hash2;
	struct csn csn;
	struct arena a;
	int rc = RC_OK;

	arena_init(&a);
	if (cookie_read(in, &a, &hash, &v) == RC_OK) {
		cookie_write(hash, &v, out);
		must(cookie_read(buf_span(out), &a, &hash2, &again) == RC_OK);
		must(hash == hash2 && v.n == again.n);
		must(buf_rc(out) == RC_OK && span_eq(buf_span(out), in));
		lives(&v, &a);
	}
	arena_fini(&a);
	buf_clear(out);
	if (csn_cookie_read(in, &rid, &csns)) {
		while (csn_cookie_next(&csns, &csn, &rc))
			must(rc == RC_INVALID || (rc == RC_OK && csn.sid < CSN_SIDS));
	}
	if (csn_read(in, &csn) == RC_OK) {
		must(csn_write(&csn, out) == RC_OK);
		must(span_eq(buf_span(out), in));
	}
}

static void stamps(struct span in, struct buf *out)
{
	struct stamp s, again;
	struct uuid u, u2;
	char text[UUID_TEXT_BYTES];

	buf_clear(out);
	if (stamp_read(in, &s) == RC_OK) {
		stamp_write(&s, out);
		must(stamp_read(buf_span(out), &again) == RC_OK);
		must(again.usn == s.usn && again.epoch == s.epoch && uuid_eq(&again.nc, &s.nc));
	}
	if (uuid_parse(in, &u) == RC_OK) {
		uuid_write(&u, text);
		must(uuid_parse(span_of(text), &u2) == RC_OK && uuid_eq(&u, &u2));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_make(data, size);
	struct buf out;

	buf_init(&out, 1 << 24);
	controls(in, &out);
	cookies(in, &out);
	stamps(in, &out);
	buf_fini(&out);
	return 0;
}
