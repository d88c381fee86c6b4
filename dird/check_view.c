#include "dird/check_view.h"

#include "dird/update_view.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct work {
	struct store_txn *t;
	struct view_set *set;
	struct update u; /* only as the view_facts_*() look at it */
	struct update_context uctx;
	void (*problem)(void *ctx, const char *text);
	void *ctx;
	uint64_t *members; /* of each view */
};

__attribute__((format(printf, 2, 3))) static void problem(struct work *w, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	w->problem(w->ctx, text);
}

static int check_entry(struct work *w, uint64_t eid, const struct entry *e)
{
	struct view_facts f;
	uint32_t mask;
	unsigned i;
	int rc = RC_OK;

	view_facts_init(&f, &w->u, w->set, eid, e);
	for (i = 0; i < w->set->n && rc == RC_OK; i++) {
		const struct view_def *d = &w->set->defs[i];

		if (d->state != VIEW_READY || !view_facts_member(&f, d))
			continue;
		w->members[i]++;
		buf_clear(&f.key);
		rc = view_key(w->uctx.schema, &d->view.order, e, &f.key);
		if (rc != RC_OK)
			break;
		rc = store_view_mask(w->t, d->number, buf_span(&f.key), eid, &mask);
		if (rc == RC_NOTFOUND)
			problem(w, "entry %" PRIu64 ": has no row in view %" PRIu32, eid,
				d->number);
		else if (rc == RC_OK && mask != view_facts_mask(&f))
			problem(w, "entry %" PRIu64 ": is of another kind in view %" PRIu32, eid,
				d->number);
		rc = rc == RC_NOTFOUND ? RC_OK : rc;
	}
	view_facts_fini(&f);
	return rc;
}

static int check_entries(struct work *w)
{
	struct entry e;
	uint64_t eid = 0;
	int rc;

	for (; (rc = store_entry_from(w->t, &eid, &e)) == RC_OK || rc == RC_CORRUPT; eid++) {
		if (rc == RC_OK)
			rc = check_entry(w, eid, &e);
		if (rc != RC_OK && rc != RC_CORRUPT)
			return rc;
	}
	return rc == RC_DONE ? RC_OK : rc;
}

static int check_counts(struct work *w, uint64_t *rows)
{
	uint64_t n, wrong;
	unsigned i;
	int rc = RC_OK;

	for (i = 0; i < w->set->n; i++) {
		const struct view_def *d = &w->set->defs[i];

		if (d->state == VIEW_INVALID || d->state == VIEW_DROPPING)
			continue;
		rc = store_view_verify(w->t, d->number, &n, &wrong);
		if (rc != RC_OK)
			return rc;
		*rows += n;
		if (wrong != 0)
			problem(w, "view %" PRIu32 ": %" PRIu64 " counts are wrong", d->number,
				wrong);
		if (d->state == VIEW_READY && n != w->members[i])
			problem(w,
				"view %" PRIu32 ": %" PRIu64 " rows, but %" PRIu64
				" entries belong to it",
				d->number, n, w->members[i]);
	}
	return RC_OK;
}

int check_views(struct store_txn *t, const struct schema *schema,
		void (*problem_fn)(void *ctx, const char *text), void *ctx, uint64_t *rows)
{
	struct work w = {.t = t, .problem = problem_fn, .ctx = ctx};
	int rc = view_set_get(t, schema, &w.set);

	*rows = 0;
	if (rc != RC_OK || w.set == NULL)
		return rc;
	w.uctx.schema = schema;
	w.u.t = t;
	w.u.ctx = &w.uctx;
	w.members = mem_zalloc(w.set->n + 1, sizeof(*w.members));
	rc = w.members != NULL ? check_entries(&w) : RC_NOMEM;
	if (rc == RC_OK)
		rc = check_counts(&w, rows);
	mem_free(w.members);
	view_set_put(store_of(t), &w.set);
	return rc;
}
