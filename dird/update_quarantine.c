/*
 * Quarantine: replicated changes that can not be applied here. Each keeps its place in the change
 * order, so that it is passed on to sites that may be able to, and waits to be tried again: when
 * the entry it stumbled over changes, at start, and when somebody asks for it.
 */
#include "dird/update_int.h"

static int record_of(struct update *u, struct entry *out)
{
	const struct change *c = u->c;
	bool removal = c->kind == CHANGE_REMOVE;
	struct attr_list attrs = removal ? (struct attr_list){NULL, 0} : c->attrs;
	struct span name = removal ? c->old_dn : c->rdn;
	struct entry_head head = {.uuid = c->uuid,
				  .parent_uuid = c->parent_uuid,
				  .stamp = c->stamp,
				  .moved_usn = c->stamp.usn};
	enum entry_run *runs = arena_zalloc(u->a, (size_t)attrs.n + 1, sizeof(*runs));
	struct buf b;
	int rc;

	if (runs == NULL)
		return RC_NOMEM;
	head.rdn = name.n <= UINT16_MAX ? name : span_head(name, UINT16_MAX);
	buf_init(&b, UINT32_MAX);
	rc = entry_build(&head, &attrs, runs, &b);
	if (rc == RC_TOOBIG) { /* no record can hold it: what is kept is that there is something */
		attrs.n = 0;
		buf_clear(&b);
		rc = entry_build(&head, &attrs, runs, &b);
	}
	if (rc == RC_OK) {
		struct span copy = arena_span(u->a, buf_span(&b));

		rc = copy.p != NULL ? entry_open(copy, out) : RC_NOMEM;
	}
	buf_fini(&b);
	return rc;
}

int update_quarantine(struct update *u, struct store_nc *nc)
{
	struct store_quarantined q = {.is_removal = u->c->kind == CHANGE_REMOVE,
				      .since_us = u->ctx->wall_us,
				      .awaited = u->awaited,
				      .reason = span_of(u->why->text)};
	struct store_quarantined was;
	int rc = record_of(u, &q.e);

	if (rc != RC_OK)
		return rc;
	if (u->c->is_retry && store_quarantined(u->t, nc->number, &u->c->uuid, &was) == RC_OK)
		q.since_us = was.since_us;
	if (nc->number == 0)
		store_nc_put(u->t, nc);
	store_quarantine_del(u->t, nc->number, &u->c->uuid);
	store_quarantine_put(u->t, nc->number, &q);
	u->c->quarantined = u->why->text;
	memset(u->why, 0, sizeof(*u->why));
	*u->outcome = UPDATE_QUARANTINED;
	return store_error(u->t);
}

/* The change as it came, in the arena. */
static int change_of(struct update *u, const struct store_quarantined *q, struct change *out)
{
	struct span copy = arena_span(u->a, entry_record(&q->e));
	struct entry e;
	int rc = copy.p != NULL ? entry_open(copy, &e) : RC_NOMEM;

	if (rc != RC_OK)
		return rc;
	*out = (struct change){.kind = q->is_removal ? CHANGE_REMOVE : CHANGE_PUT,
			       .uuid = e.head.uuid,
			       .parent_uuid = e.head.parent_uuid,
			       .stamp = e.head.stamp,
			       .rdn = e.head.rdn,
			       .old_dn = e.head.rdn,
			       .is_retry = true};
	return entry_decode(&e, true, u->a, &out->attrs);
}

static int retry_one(struct update *u, uint32_t number, const struct store_quarantined *q)
{
	enum update_outcome outcome = UPDATE_APPLIED;
	struct change c;
	struct result why = {.code = LR_SUCCESS};
	struct update again = *u;
	int rc;

	if (!q->is_removal && q->e.nattrs == 0) /* it was too large to be kept */
		return RC_OK;
	rc = change_of(u, q, &c);
	if (rc != RC_OK)
		return rc;
	again.c = &c;
	again.outcome = &outcome;
	again.why = &why;
	again.is_retrying = true;
	rc = c.kind == CHANGE_PUT ? update_put(&again) : update_remove(&again);
	if (rc == RC_OK && (outcome == UPDATE_DUPLICATE || outcome == UPDATE_FOREIGN_OWN))
		store_quarantine_del(u->t, number, &c.uuid);
	return rc == RC_OK ? store_error(u->t) : rc;
}

int update_retry_awaiting(struct update *u, const struct uuid *entry)
{
	struct store_quarantined q;
	struct uuid at = {{0}};
	uint32_t nc = 0;
	int rc;

	if (u->is_retrying || store_rows(u->t, STORE_QUARANTINE) == 0)
		return RC_OK;
	while ((rc = store_quarantine_waiting(u->t, entry, &nc, &at)) == RC_OK) {
		rc = store_quarantined(u->t, nc, &at, &q);
		if (rc == RC_OK)
			rc = retry_one(u, nc, &q);
		if (rc != RC_OK)
			return rc;
	}
	return rc == RC_DONE ? RC_OK : rc;
}

int update_retry(struct update *u)
{
	struct store_quarantined q;
	struct uuid at = {{0}};
	uint32_t nc = 0;
	int rc;

	while ((rc = store_quarantine_next(u->t, &nc, &at, &q)) == RC_OK) {
		rc = retry_one(u, nc, &q);
		if (rc != RC_OK)
			return rc;
	}
	return rc == RC_DONE ? RC_OK : rc;
}
