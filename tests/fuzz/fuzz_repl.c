/*
 * dird/repl_batch.c: what a partner sends, message after message. Only changes of the replicated
 * kinds come out, none moves the position of a context that is written here, and an error is told
 * with its reason. The first byte says how many messages go into one batch.
 */
#include "tests/fuzz/fuzz.h"

#include "dird/repl_batch.h"

#define OWN "bbbbbbbb-0000-4000-8000-000000000002"

static void look(const struct repl_batch *b, const struct uuid *own)
{
	unsigned i;

	for (i = 0; i < b->n; i++) {
		const struct change *c = &b->changes[i];

		must(c->kind == CHANGE_PUT || c->kind == CHANGE_REMOVE ||
		     c->kind == CHANGE_POSITION || c->kind == CHANGE_KEEP_ONLY);
		if (c->kind == CHANGE_POSITION)
			must(!uuid_eq(&c->position.nc, own));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = span_from(span_make(data, size), 1);
	unsigned per_batch = size != 0 ? data[0] % 8u + 1u : 1, n = 0;
	struct repl_session session;
	struct repl_batch batch;
	const char *why = NULL;
	struct uuid own;
	struct msg m;
	size_t total;
	int rc = RC_OK;

	must(uuid_parse(SPAN_LIT(OWN), &own) == RC_OK);
	must(repl_session_init(&session, &own, 1) == RC_OK);
	repl_batch_init(&batch);
	while (rc == RC_OK && rest.n != 0 && tlv_frame(rest, TLV_SEQUENCE, &total) == RC_OK &&
	       total <= rest.n) {
		rc = repl_batch_read(&batch, span_head(rest, total), &m, &why);
		if (rc == RC_OK)
			rc = repl_session_feed(&session, &m, &batch, &why);
		must(rc == RC_OK || (rc == RC_INVALID && why != NULL));
		rest = span_from(rest, total);
		if (rc == RC_OK)
			look(&batch, &own);
		if (++n % per_batch == 0) {
			repl_batch_fini(&batch);
			repl_batch_init(&batch);
		}
	}
	repl_batch_fini(&batch);
	repl_session_fini(&session);
	return 0;
}
