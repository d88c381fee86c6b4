/* All indexes and views made anew from the entries. */
#include "dird/gram.h"
#include "dird/store_bulk.h"
#include "dird/update_view.h"

#define BATCH_ENTRIES GRAM_BLOCK_ENTRIES /* a block of the n-gram index is written once */

struct reindex {
	struct store_txn *t;
	const struct update_context *ctx;
	uint64_t next; /* entries below it are done */
	uint64_t reached;
};

/* The schema may know more types that name entries than it did. */
static void mend_flags(struct reindex *r, uint64_t eid, const struct entry *e,
		       const struct attr_list *attrs, uint8_t *record)
{
	uint8_t flags = apply_flags(r->ctx->schema, attrs) | (e->head.flags & ENTRY_HAS_APART);

	if (flags == e->head.flags)
		return;
	entry_set_flags(record, flags);
	store_entry_put(r->t, eid, entry_record(e));
}

static int index_entry(struct reindex *r, uint64_t eid, const struct entry *e)
{
	static const struct attr_list none;
	struct arena a;
	struct update u = {.t = r->t, .ctx = r->ctx, .a = &a};
	struct attr_list attrs;
	struct entry copy;
	struct span record = entry_record(e);
	uint8_t *bytes;
	int rc;

	arena_init(&a);
	bytes = arena_alloc(&a, record.n);
	if (bytes != NULL)
		memcpy(bytes, record.p, record.n);
	rc = bytes != NULL ? entry_open(span_make(bytes, record.n), &copy) : RC_NOMEM;
	if (rc == RC_OK) {
		store_attach(r->t, eid, &copy);
		rc = entry_decode(&copy, true, &a, &attrs);
	}
	if (rc == RC_OK)
		mend_flags(r, eid, &copy, &attrs, bytes);
	if (rc == RC_OK)
		rc = update_index(&u, eid, &none, &attrs);
	arena_fini(&a);
	return rc == RC_OK ? store_error(r->t) : rc;
}

static int index_batch(struct reindex *r)
{
	uint64_t eid = r->next, end = (eid / BATCH_ENTRIES + 1) * BATCH_ENTRIES;
	struct entry e;
	int rc = RC_OK;

	for (; eid < end && rc == RC_OK; eid++) {
		rc = store_entry_from(r->t, &eid, &e);
		if (rc == RC_OK)
			rc = index_entry(r, eid, &e);
	}
	r->reached = eid;
	return rc;
}

static int clear(struct reindex *r)
{
	store_index_clear(r->t);
	return store_error(r->t);
}

/* RC_DONE from `step` is told behind the commit. */
static int in_transaction(struct store *s, struct reindex *r, int (*step)(struct reindex *r))
{
	int rc, commit_rc;

	do {
		rc = store_write_begin(s, &r->t);
		if (rc != RC_OK)
			return rc;
		rc = step(r);
		if (rc != RC_OK && rc != RC_DONE)
			store_fail(r->t, rc);
		commit_rc = store_write_commit(&r->t);
	} while (commit_rc == RC_MORE);
	r->next = r->reached;
	return commit_rc != RC_OK ? commit_rc : rc;
}

static void no_progress(void *arg, unsigned long rows)
{
	(void)arg;
	(void)rows;
}

int update_reindex(struct store *s, const struct update_context *ctx,
		   void (*progress)(void *arg, unsigned long entries), void *arg)
{
	struct reindex r = {.ctx = ctx};
	int rc = in_transaction(s, &r, clear);

	if (rc == RC_OK)
		rc = store_bulk_begin(s);
	while (rc == RC_OK) {
		rc = in_transaction(s, &r, index_batch);
		progress(arg, BATCH_ENTRIES);
	}
	if (rc == RC_DONE)
		rc = store_bulk_end(s, no_progress, NULL);
	return rc == RC_OK ? update_views_rebuild(s, ctx) : rc;
}
