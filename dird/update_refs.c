/*
 * Referential integrity: when an entry gets another name or goes, values that named it follow.
 *
 * Only entries of contexts that this site writes are mended, in the transaction of the change, and
 * each gets a usn of its own. A list of another site is mended there, when the change arrives. A
 * mended entry keeps its name, so one mend never leads to another.
 *
 * An entry that waits in limbo has no name. Values that named it then say entryUUID=..., so that
 * they can not be mistaken for another entry that has taken the name, and follow when it has a
 * place again.
 */
#include "dird/eid_set.h"
#include "dird/update_below.h"
#include "lib/dn.h"

#include <stdlib.h>

int update_name(struct update *u, uint64_t eid, bool normal, struct buf *out)
{
	struct entry e;
	char uuid[UUID_TEXT_BYTES];
	uint64_t root, at;
	int rc = store_root(u->t, &root);

	for (at = eid; rc == RC_OK; at = e.head.parent) {
		rc = store_entry(u->t, at, &e);
		if (rc != RC_OK || at == root)
			break;
		if (e.head.parent == 0) {
			uuid_write(&e.head.uuid, uuid);
			buf_puts(out, normal ? "entryuuid=" : "entryUUID=");
			buf_puts(out, uuid);
			buf_putc(out, ',');
			rc = store_entry(u->t, root, &e);
			break;
		}
		buf_put(out, normal ? e.head.rdn_normal : e.head.rdn);
		buf_putc(out, ',');
	}
	if (rc != RC_OK)
		return rc;
	buf_put(out, normal ? e.head.rdn_normal : e.head.rdn);
	return buf_rc(out);
}

static int take_name(struct update *u, uint64_t eid, bool normal, struct span *out)
{
	struct buf b;
	int rc;

	buf_init(&b, 8 * DN_MAX_BYTES);
	rc = update_name(u, eid, normal, &b);
	if (rc == RC_OK) {
		*out = arena_span(u->a, buf_span(&b));
		rc = out->p != NULL ? RC_OK : RC_NOMEM;
	}
	buf_fini(&b);
	return rc;
}

static int note(struct update *u, uint64_t eid, struct update_names *names)
{
	size_t room = 2 * names->room + 1;
	struct update_name *more;

	if (names->n == names->room) {
		more = arena_zalloc(u->a, room, sizeof(*more));
		if (more == NULL)
			return RC_NOMEM;
		if (names->n != 0)
			memcpy(more, names->at, names->n * sizeof(*more));
		names->at = more;
		names->room = room;
	}
	names->at[names->n].eid = eid;
	return take_name(u, eid, true, &names->at[names->n++].normal);
}

int update_names_note(struct update *u, uint64_t eid, bool with_subtree, struct update_names *names)
{
	struct store_iter *iter = NULL;
	uint64_t at;
	int rc = store_root(u->t, &at);

	*names = (struct update_names){.at = NULL};
	if (rc == RC_NOTFOUND)
		return RC_OK; /* nothing has a name before the root comes */
	if (rc == RC_OK && !with_subtree)
		return note(u, eid, names);
	if (rc == RC_OK)
		rc = update_below_is_better(u, eid, &names->is_below);
	if (rc == RC_OK && names->is_below)
		return note(u, eid, names);
	if (rc == RC_OK)
		rc = store_walk(u->t, eid, STORE_SUB, &iter);
	while (rc == RC_OK && (rc = store_iter_next(iter, &at)) == RC_OK)
		rc = note(u, at, names);
	store_iter_free(&iter);
	return rc == RC_DONE ? RC_OK : rc;
}

/* Partners give back, as changes of their own, what was mended with the changes that a recovering
 * context has lost. */
static bool may_mend(const struct update *u, const struct store_nc *nc)
{
	return nc->is_own && (!nc->is_recovering || u->is_placing);
}

/* What its schema does not let go stays as it is. */
static int mend(struct update *u, uint64_t eid, const struct schema_attr *at, struct span old,
		const struct span *new_name)
{
	struct apply_context x = update_apply_context(u);
	struct apply_entry content;
	struct update_old was;
	struct entry_head head;
	struct store_nc nc = {.number = 0};
	struct result why;
	int rc = update_load(u, eid, &was);

	if (rc == RC_OK)
		rc = store_nc_find(u->t, &was.e.head.stamp.nc, &nc);
	if (rc != RC_OK || !may_mend(u, &nc))
		return rc == RC_NOTFOUND ? RC_OK : rc; /* it is leaving itself */
	rc = apply_mend(&x, &was.e, u->c, at, old, new_name, &content, &why);
	if (rc != RC_OK)
		return rc == RC_REFUSED || rc == RC_NOTFOUND ? RC_OK : rc;
	head = was.e.head;
	return update_put_changed(u, &was, &head, &content, &nc, false);
}

static int mend_all(struct update *u, const struct update_name *name, const struct span *new_name)
{
	const struct schema_attr *const *at = schema_references(u->ctx->schema);
	uint64_t eid;
	int rc = RC_OK;

	for (; rc == RC_OK && *at != NULL; at++) {
		for (eid = 0; rc == RC_OK && (rc = store_index_next(u->t, (*at)->hash, name->normal,
								    eid, &eid)) == RC_OK;)
			rc = mend(u, eid, *at, name->normal, new_name);
		rc = rc == RC_DONE ? RC_OK : rc;
	}
	return rc;
}

/* --- a subtree that moved: each entry that names some of it is written once --- */

static int by_normal(const void *a, const void *b)
{
	const struct update_name *x = a, *y = b;

	return span_cmp(x->normal, y->normal);
}

static const struct span *now_of(const void *ctx, struct span old_normal)
{
	const struct update_names *names = ctx;
	const struct update_name key = {.normal = old_normal};
	const struct update_name *found =
		bsearch(&key, names->at, names->n, sizeof(key), by_normal);

	return found != NULL && found->now.p != NULL ? &found->now : NULL;
}

static int take_new_names(struct update *u, const struct update_names *names)
{
	struct span normal;
	size_t i;
	int rc = RC_OK;

	for (i = 0; rc == RC_OK && i < names->n; i++) {
		rc = take_name(u, names->at[i].eid, true, &normal);
		if (rc == RC_OK && !span_eq(normal, names->at[i].normal))
			rc = take_name(u, names->at[i].eid, false, &names->at[i].now);
	}
	return rc;
}

/* Most types that could name entries are in no use at all. */
static bool is_used(struct update *u, const struct schema_attr *at)
{
	const struct index_range all = {.attr = at->hash, .kind = INDEX_ALL};

	return store_range_count(u->t, &all, 1) != 0;
}

static int find_referrers(struct update *u, const struct update_names *names, struct eid_set *out)
{
	const struct schema_attr *const *at = schema_references(u->ctx->schema);
	uint64_t eid;
	size_t i;
	int rc = RC_OK;

	for (; *at != NULL; at++) {
		for (i = is_used(u, *at) ? 0 : names->n; i < names->n; i++) {
			if (names->at[i].now.p == NULL)
				continue;
			for (eid = 0; (rc = store_index_next(u->t, (*at)->hash, names->at[i].normal,
							     eid, &eid)) == RC_OK;) {
				rc = eid_set_add(out, eid);
				if (rc != RC_OK && rc != RC_EXISTS)
					return rc;
			}
			if (rc != RC_DONE)
				return rc;
		}
	}
	return RC_OK;
}

/* In memory of its own: there may be many, and large ones. */
static int mend_referrer(struct update *u, uint64_t eid, const struct apply_moves *moves)
{
	struct update sub = *u;
	struct apply_entry content;
	struct apply_context x;
	struct update_old was;
	struct entry_head head;
	struct store_nc nc = {.number = 0};
	struct result why;
	struct arena a;
	int rc;

	arena_init(&a);
	sub.a = &a;
	x = update_apply_context(&sub);
	rc = update_load(&sub, eid, &was);
	if (rc == RC_OK)
		rc = store_nc_find(u->t, &was.e.head.stamp.nc, &nc);
	if (rc == RC_OK && may_mend(u, &nc))
		rc = apply_mend_all(&x, &was.e, u->c, moves, &content, &why);
	if (rc == RC_OK && may_mend(u, &nc)) {
		head = was.e.head;
		rc = update_put_changed(&sub, &was, &head, &content, &nc, false);
	}
	arena_fini(&a);
	return rc == RC_REFUSED || rc == RC_NOTFOUND ? RC_OK : rc;
}

static int mend_referrers(struct update *u, const struct eid_set *referrers,
			  const struct apply_moves *moves)
{
	size_t i;
	int rc = RC_OK;

	for (i = 0; rc == RC_OK && i < referrers->size; i++) {
		if (referrers->at[i] != 0)
			rc = mend_referrer(u, referrers->at[i], moves);
	}
	return rc;
}

static int mend_together(struct update *u, const struct update_names *names)
{
	const struct apply_moves moves = {now_of, names};
	struct eid_set referrers = {.at = NULL};
	int rc = take_new_names(u, names);

	qsort(names->at, names->n, sizeof(*names->at), by_normal);
	if (rc == RC_OK)
		rc = find_referrers(u, names, &referrers);
	if (rc == RC_OK)
		rc = mend_referrers(u, &referrers, &moves);
	eid_set_fini(&referrers);
	return rc;
}

static int mend_below(struct update *u, const struct update_name *top)
{
	struct update_below below = {.u = u, .top = top->eid, .top_normal = top->normal};
	const struct apply_moves moves = {update_below_now, &below};
	struct eid_set referrers = {.at = NULL};
	struct span now;
	int rc = take_name(u, top->eid, true, &now);

	if (rc != RC_OK || span_eq(now, top->normal))
		return rc;
	buf_init(&below.text, 8 * DN_MAX_BYTES);
	rc = update_below_find(u, top->normal, &referrers);
	if (rc == RC_OK)
		rc = mend_referrers(u, &referrers, &moves);
	if (rc == RC_OK)
		rc = below.rc;
	buf_fini(&below.text);
	eid_set_fini(&referrers);
	return rc;
}

static int mend_one_by_one(struct update *u, const struct update_names *names, bool is_gone)
{
	struct span now, normal;
	size_t i;
	int rc = RC_OK;

	for (i = 0; rc == RC_OK && i < names->n; i++) {
		if (is_gone) {
			rc = mend_all(u, &names->at[i], NULL);
			continue;
		}
		rc = take_name(u, names->at[i].eid, true, &normal);
		if (rc == RC_OK && span_eq(normal, names->at[i].normal))
			continue;
		if (rc == RC_OK)
			rc = take_name(u, names->at[i].eid, false, &now);
		if (rc == RC_OK)
			rc = mend_all(u, &names->at[i], &now);
	}
	return rc;
}

int update_names_mend(struct update *u, const struct update_names *names, bool is_gone)
{
	uint64_t eid_out = u->c->eid_out;
	struct uuid uuid_out = u->c->uuid_out;
	int rc = store_error(u->t);

	if (rc == RC_OK && names->is_below)
		rc = mend_below(u, &names->at[0]);
	else if (rc == RC_OK && names->n > 1 && !is_gone)
		rc = mend_together(u, names);
	else if (rc == RC_OK)
		rc = mend_one_by_one(u, names, is_gone);
	u->c->eid_out = eid_out;
	u->c->uuid_out = uuid_out;
	return rc;
}
