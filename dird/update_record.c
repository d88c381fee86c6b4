/* One entry's record, and the rows that follow from its content. */
#include "dird/trail.h"
#include "dird/update_int.h"
#include "lib/dn.h"

int update_load(struct update *u, uint64_t eid, struct update_old *out)
{
	struct span copy;
	int rc;

	out->eid = eid;
	rc = store_entry(u->t, eid, &out->e);
	if (rc != RC_OK)
		return rc;
	copy = arena_span(u->a, entry_record(&out->e));
	rc = copy.p != NULL ? entry_open(copy, &out->e) : RC_NOMEM;
	if (rc != RC_OK)
		return rc;
	store_attach(u->t, eid, &out->e);
	return entry_decode_near(&out->e, u->a, &out->attrs);
}

struct delta {
	struct store_txn *t;
	uint64_t eid;
	const struct update_values *values; /* NULL: none are stored apart */
};

static void put_delta(void *ctx, const struct apply_key *key, bool is_new)
{
	struct delta *d = ctx;

	if (is_new)
		store_index_put(d->t, key->attr, key->value, d->eid);
	else if (d->values == NULL || !update_values_keep(d->values, key->attr, key->value))
		store_index_del(d->t, key->attr, key->value, d->eid);
	if (is_new && key->has_parts)
		store_gram_put(d->t, key->attr, key->value, d->eid);
}

int update_index(struct update *u, uint64_t eid, const struct attr_list *old,
		 const struct attr_list *now)
{
	struct delta d = {u->t, eid, NULL};

	return apply_differences(u->ctx->schema, old, now, u->a, put_delta, &d);
}

static int index_ready(struct update *u, uint64_t eid, const struct apply_keys *keys)
{
	struct delta d = {u->t, eid, NULL};
	unsigned i;

	for (i = 0; i < keys->n; i++)
		put_delta(&d, &keys->at[i], true);
	return store_error(u->t);
}

void update_trail(struct update *u, const struct update_old *old, uint64_t usn)
{
	struct buf dn;

	if (u->ctx->trail == NULL)
		return;
	buf_init(&dn, 4 * DN_MAX_BYTES);
	if (store_dn(u->t, old->eid, &dn) == RC_OK)
		trail_add(u->ctx->trail, &old->e.head.uuid, usn, update_is_hidden(u, &old->e),
			  buf_span(&dn));
	buf_fini(&dn);
}

static bool is_step(const struct entry_head *old, const struct entry_head *now)
{
	return ((old->flags ^ now->flags) & ENTRY_HIDDEN) != 0 || old->parent != now->parent ||
	       !span_eq(old->rdn, now->rdn);
}

static int index_values(struct update *u, const struct update_values *v)
{
	struct delta d = {u->t, v->eid, v};
	int rc = apply_differences(u->ctx->schema, &v->was, &v->now, u->a, put_delta, &d);

	return rc == RC_OK ? update_values_index(v) : rc;
}

int update_write(struct update *u, uint64_t eid, const struct entry_head *head,
		 const struct apply_entry *content, const struct update_old *old)
{
	struct entry_head flagged = *head;
	struct update_values values;
	struct buf record;
	struct entry now;
	int rc;

	flagged.flags = apply_flags(u->ctx->schema, &content->attrs);
	if (old != NULL && is_step(&old->e.head, &flagged))
		update_trail(u, old, head->stamp.usn);
	buf_init(&record, UINT32_MAX);
	rc = update_values_write(u, eid, old, content, &values);
	if (rc == RC_OK)
		rc = entry_build(&flagged, &values.stored.attrs, values.stored.runs, &record);
	if (rc == RC_OK) {
		store_entry_put(u->t, eid, buf_span(&record));
		if (old == NULL && u->c->ready != NULL)
			rc = index_ready(u, eid, &u->c->ready->keys);
		else
			rc = index_values(u, &values);
	}
	if (rc == RC_OK)
		rc = store_error(u->t);
	if (rc == RC_OK)
		rc = entry_open(buf_span(&record), &now);
	if (rc == RC_OK) {
		update_count(u, old != NULL ? &old->e : NULL, &now, &values);
		rc = update_views(u, eid, old != NULL ? &old->e : NULL, &now);
	}
	buf_fini(&record);
	return rc;
}

int update_write_head(struct update *u, const struct update_old *old, const struct entry_head *head)
{
	struct apply_entry same = {.attrs = old->attrs};
	unsigned i;

	same.runs = arena_zalloc(u->a, same.attrs.n, sizeof(*same.runs));
	if (same.runs == NULL)
		return RC_NOMEM;
	for (i = 0; i < same.attrs.n; i++)
		same.runs[i] = schema_run(u->ctx->schema, same.attrs.attrs[i].type);
	return update_write(u, old->eid, head, &same, old);
}

void update_erase(struct update *u, const struct update_old *old)
{
	static const struct apply_entry nothing;
	struct update_values values;
	int rc;

	update_uncount(u, &old->e);
	rc = update_values_write(u, old->eid, old, &nothing, &values);
	if (rc == RC_OK)
		rc = index_values(u, &values);
	store_uuid_del(u->t, &old->e.head.uuid);
	store_entry_del(u->t, old->eid);
	if (rc == RC_OK)
		rc = update_views(u, old->eid, &old->e, NULL);
	if (rc != RC_OK)
		store_fail(u->t, rc);
}
