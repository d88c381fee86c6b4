/*
 * Replicated changes. They come in the order of their origin's usn, but state-based: only the last
 * change of an entry is sent. So a parent may be told after its children, a name may still be
 * another entry's, and a move may run into its own subtree, each time because the change that
 * makes room comes later. Such an entry waits in limbo: it has its record, its uuid, its index rows
 * and its place in the change order, but no place in the tree, so that no reader sees it.
 */
#include "dird/update_int.h"
#include "lib/dn.h"

static int stamp_cmp(const struct stamp *a, const struct stamp *b)
{
	if (a->epoch != b->epoch)
		return a->epoch < b->epoch ? -1 : 1;
	return (a->usn > b->usn) - (a->usn < b->usn);
}

int update_nc_named(struct update *u, const struct uuid *id, struct store_nc *nc)
{
	int rc;

	if (uuid_eq(id, &POSITION_LOCAL_NC) || uuid_is_zero(id))
		return result_set(u->why, u->a, LR_UNWILLING, "no context that leaves a site");
	rc = store_nc_find(u->t, id, nc);
	if (rc != RC_NOTFOUND)
		return rc;
	memset(nc, 0, sizeof(*nc));
	nc->position.nc = *id;
	return RC_OK;
}

/* Refused, but that may end when that entry changes. */
static int refuse_for(struct update *u, const struct uuid *awaited, const char *text)
{
	u->awaited = *awaited;
	return result_set(u->why, u->a, LR_UNWILLING, "%s", text);
}

/* Is there something newer of this entry, or the same? `old` is NULL when it is not there. */
static int is_duplicate(struct update *u, const struct store_nc *nc, const struct update_old *old,
			bool *out)
{
	const struct stamp *s = &u->c->stamp;
	struct store_quarantined q;
	struct stamp dead;
	int rc;

	/* usn 0 marks what a join took along: anything else is newer */
	if (s->usn == 0)
		*out = old != NULL;
	else if (nc->is_own) /* recovering: entry by entry, but nothing of the life since */
		*out = s->epoch > nc->before.epoch;
	else
		*out = !u->c->is_retry && position_covers(&nc->position, s);
	if (*out)
		return RC_OK;
	rc = store_quarantined(u->t, nc->number, &u->c->uuid, &q);
	if (rc == RC_OK && !u->c->is_retry)
		*out = stamp_cmp(&q.e.head.stamp, s) >= 0;
	if (*out || (rc != RC_OK && rc != RC_NOTFOUND))
		return rc;
	if (old != NULL) {
		*out = stamp_cmp(&old->e.head.stamp, s) >= 0;
		return RC_OK;
	}
	rc = store_tombstone(u->t, &u->c->uuid, &dead);
	if (rc == RC_OK)
		*out = uuid_eq(&dead.nc, &s->nc) && stamp_cmp(&dead, s) >= 0;
	return rc == RC_NOTFOUND ? RC_OK : rc;
}

/* Context row and old entry of a change; *outcome stays APPLIED when it is to be applied. */
static int examine(struct update *u, struct store_nc *nc, struct update_old *old, bool *exists)
{
	bool duplicate;
	uint64_t eid;
	int rc = update_nc_named(u, &u->c->stamp.nc, nc);

	*exists = false;
	if (rc != RC_OK)
		return rc;
	if (nc->number == 0 && update_is_removed(u, &nc->position.nc)) {
		*u->outcome = UPDATE_DUPLICATE;
		return RC_OK;
	}
	if (nc->is_own && !nc->is_recovering) {
		*u->outcome = UPDATE_FOREIGN_OWN;
		return RC_OK;
	}
	rc = store_by_uuid(u->t, &u->c->uuid, &eid);
	if (rc == RC_OK) {
		*exists = true;
		rc = update_load(u, eid, old);
	}
	if (rc != RC_OK && rc != RC_NOTFOUND)
		return rc;
	if (*exists && !uuid_eq(&old->e.head.stamp.nc, &u->c->stamp.nc)) {
		rc = is_duplicate(u, nc, NULL, &duplicate);
		if (rc == RC_OK && !duplicate)
			rc = refuse_for(u, &u->c->uuid,
					"the entry belongs to another naming context");
	} else {
		rc = is_duplicate(u, nc, *exists ? old : NULL, &duplicate);
	}
	if (rc == RC_OK && duplicate)
		*u->outcome = UPDATE_DUPLICATE;
	else if (rc == RC_OK && u->c->poison != NULL)
		rc = result_set(u->why, u->a, LR_UNWILLING, "%s", u->c->poison);
	return rc;
}

/* --- places --- */

static bool is_root_eid(struct update *u, uint64_t eid)
{
	uint64_t root;

	return store_root(u->t, &root) == RC_OK && root == eid;
}

/* Out of the tree, to wait for a change of its own. */
static int park(struct update *u, uint64_t eid)
{
	struct update_names names;
	struct update_old old;
	struct entry_head head;
	int rc = update_load(u, eid, &old);

	if (rc == RC_OK)
		rc = update_names_note(u, eid, true, &names);
	if (rc != RC_OK)
		return rc;
	store_child_del(u->t, old.e.head.parent, old.e.head.rdn_normal, eid);
	head = old.e.head;
	head.parent = 0;
	rc = update_write_head(u, &old, &head);
	store_limbo_put(u->t, &head.parent_uuid, eid);
	return rc == RC_OK ? update_names_mend(u, &names, false) : rc;
}

/* Only the context's own entries hang below its entries, and its head below the root. */
static bool may_hang(struct update *u, const struct entry_head *head, const struct entry *parent,
		     uint64_t parent_eid)
{
	if (uuid_eq(&head->uuid, &head->stamp.nc))
		return is_root_eid(u, parent_eid);
	return uuid_eq(&parent->head.stamp.nc, &head->stamp.nc);
}

/*
 * Find the entry's place: head->parent, 0 for limbo. An older holder of the name, whose own change
 * must still come, gives way. eid 0: an entry that is not there yet.
 */
static int find_place(struct update *u, uint64_t eid, struct entry_head *head)
{
	struct entry parent, holder;
	uint64_t parent_eid, other;
	int rc = store_by_uuid(u->t, &head->parent_uuid, &parent_eid);

	head->parent = 0;
	if (rc != RC_OK)
		return rc == RC_NOTFOUND ? RC_OK : rc;
	rc = store_entry(u->t, parent_eid, &parent);
	if (rc != RC_OK)
		return rc;
	if (!may_hang(u, head, &parent, parent_eid))
		return refuse_for(u, &head->parent_uuid,
				  "the parent belongs to another naming context");
	if (eid != 0 && store_is_within(u->t, parent_eid, eid))
		return RC_OK; /* its own descendant, for now */
	rc = store_child(u->t, parent_eid, head->rdn_normal, &other);
	if (rc == RC_OK && other != eid) {
		rc = store_entry(u->t, other, &holder);
		if (rc != RC_OK)
			return rc;
		if (!uuid_eq(&holder.head.stamp.nc, &head->stamp.nc) ||
		    stamp_cmp(&holder.head.stamp, &head->stamp) > 0)
			return RC_OK;
		rc = park(u, other);
	}
	if (rc == RC_OK || rc == RC_NOTFOUND) {
		head->parent = parent_eid;
		rc = RC_OK;
	}
	return rc;
}

/* Give one that waits its place, if there is one now. */
static int try_place(struct update *u, uint64_t eid)
{
	struct update_names names;
	struct update_old old;
	struct entry_head head;
	uint64_t parent, other;
	struct entry e;
	int rc = update_load(u, eid, &old);

	if (rc != RC_OK)
		return rc;
	head = old.e.head;
	rc = store_by_uuid(u->t, &head.parent_uuid, &parent);
	if (rc == RC_OK)
		rc = store_entry(u->t, parent, &e);
	if (rc != RC_OK)
		return rc == RC_NOTFOUND ? RC_OK : rc;
	if (!may_hang(u, &head, &e, parent) || store_is_within(u->t, parent, eid))
		return RC_OK;
	rc = store_child(u->t, parent, head.rdn_normal, &other);
	if (rc != RC_NOTFOUND)
		return rc;
	rc = update_names_note(u, eid, true, &names);
	if (rc != RC_OK)
		return rc;
	head.parent = parent;
	store_limbo_del(u->t, &head.parent_uuid, eid);
	rc = update_write_head(u, &old, &head);
	store_child_put(u->t, parent, head.rdn_normal, eid);
	return rc == RC_OK ? update_names_mend(u, &names, false) : rc;
}

int update_free_waiting(struct update *u, const struct uuid *parent)
{
	uint64_t eid = 0;
	int rc;

	while ((rc = store_limbo_next(u->t, parent, eid, &eid)) == RC_OK) {
		rc = try_place(u, eid);
		if (rc != RC_OK)
			return rc;
	}
	return rc == RC_DONE ? RC_OK : rc;
}

struct all_waiting {
	struct arena *a;
	struct uuid *parents;
	size_t n, room;
};

static int note_waiting(void *ctx, struct span key, struct span value)
{
	struct all_waiting *w = ctx;
	struct uuid *more;

	(void)value;
	if (key.n != UUID_BYTES)
		return RC_CORRUPT;
	if (w->n != 0 && memcmp(w->parents[w->n - 1].b, key.p, UUID_BYTES) == 0)
		return RC_OK;
	if (w->n == w->room) {
		more = arena_zalloc(w->a, 2 * w->room + 16, sizeof(*more));
		if (more == NULL)
			return RC_NOMEM;
		if (w->n != 0)
			memcpy(more, w->parents, w->n * sizeof(*more));
		w->parents = more;
		w->room = 2 * w->room + 16;
	}
	memcpy(w->parents[w->n++].b, key.p, UUID_BYTES);
	return RC_OK;
}

/* A subtree has moved: that may have opened a ring anywhere. */
static int free_all(struct update *u)
{
	struct all_waiting w = {.a = u->a};
	size_t i;
	int rc = store_scan(u->t, STORE_LIMBO, note_waiting, &w);

	for (i = 0; rc == RC_OK && i < w.n; i++)
		rc = update_free_waiting(u, &w.parents[i]);
	return rc;
}

/* --- put --- */

static int read_name(struct update *u, struct entry_head *head)
{
	struct dn_rdn rdn;
	const char *why = "malformed";
	struct buf b;
	int rc;

	buf_init(&b, UINT16_MAX);
	if (uuid_is_zero(&head->parent_uuid)) {
		dn_write(&u->ctx->root, &b);
		head->rdn = arena_span(u->a, buf_span(&b));
		buf_clear(&b);
		rc = dn_normalize(&u->ctx->root, &b);
	} else {
		head->rdn = u->c->rdn;
		rc = dn_rdn_parse(u->a, u->c->rdn, &rdn, &why);
		if (rc == RC_INVALID || rc == RC_TOOBIG)
			rc = result_set(u->why, u->a, LR_INVALID_DN, "RDN: %s", why);
		if (rc == RC_OK)
			rc = dn_rdn_normalize(&rdn, &b);
	}
	if (rc == RC_OK)
		head->rdn_normal = arena_span(u->a, buf_span(&b));
	buf_fini(&b);
	if (head->rdn.n > UINT16_MAX)
		rc = result_set(u->why, u->a, LR_INVALID_DN, "RDN: too long");
	return rc == RC_OK && (head->rdn.p == NULL || head->rdn_normal.p == NULL) ? RC_NOMEM : rc;
}

/* The root: its context is the organisation's, and there is one root only. */
static int check_root(struct update *u, const struct entry_head *head, bool exists)
{
	uint64_t root;
	int rc = store_root(u->t, &root);

	if (!uuid_eq(&head->uuid, &head->stamp.nc) || (rc == RC_OK && !exists))
		return result_set(u->why, u->a, LR_UNWILLING,
				  "the organisation has another root here");
	return rc == RC_NOTFOUND ? RC_OK : rc;
}

static bool keeps_name(const struct entry_head *was, const struct entry_head *head)
{
	return was->parent == head->parent && span_eq(was->rdn_normal, head->rdn_normal);
}

/* Take the old place back, unless it stays. True: a subtree moves. */
static bool leave_place(struct update *u, const struct update_old *old,
			const struct entry_head *head)
{
	const struct entry_head *was = &old->e.head;

	if (uuid_is_zero(&was->parent_uuid))
		return false;
	if (was->parent == 0) {
		store_limbo_del(u->t, &was->parent_uuid, old->eid);
		return true;
	}
	if (keeps_name(was, head))
		return false;
	store_child_del(u->t, was->parent, was->rdn_normal, old->eid);
	return true;
}

static void take_place(struct update *u, uint64_t eid, const struct entry_head *head,
		       const struct entry_head *was)
{
	if (uuid_is_zero(&head->parent_uuid))
		store_root_put(u->t, eid);
	else if (head->parent == 0)
		store_limbo_put(u->t, &head->parent_uuid, eid);
	else if (was == NULL || !keeps_name(was, head))
		store_child_put(u->t, head->parent, head->rdn_normal, eid);
}

static int put_rows(struct update *u, struct store_nc *nc, const struct update_old *old,
		    struct entry_head *head, const struct apply_entry *content)
{
	uint64_t eid = old != NULL ? old->eid : store_new_eid(u->t);
	struct update_names names = {.n = 0};
	bool moves = false;
	int rc = RC_OK;

	if (old != NULL && !keeps_name(&old->e.head, head))
		rc = update_names_note(u, eid, true, &names);
	if (rc != RC_OK)
		return rc;
	if (nc->number == 0)
		store_nc_put(u->t, nc);
	if (old != NULL) {
		moves = leave_place(u, old, head);
		store_order_del(u->t, nc->number, old->e.head.stamp.usn, &head->uuid);
	}
	rc = update_write(u, eid, head, content, old);
	if (rc != RC_OK)
		return rc;
	take_place(u, eid, head, old != NULL ? &old->e.head : NULL);
	if (old == NULL)
		store_uuid_put(u->t, &head->uuid, eid);
	store_tombstone_del(u->t, &head->uuid);
	store_quarantine_del(u->t, nc->number, &head->uuid);
	store_order_put(u->t, nc->number, head->stamp.usn, &head->uuid, eid);
	u->c->eid_out = eid;
	u->c->uuid_out = head->uuid;
	rc = update_names_mend(u, &names, false);
	if (rc == RC_OK)
		rc = update_note_conflict(u, old != NULL ? &old->attrs : NULL, &content->attrs,
					  eid);
	if (rc != RC_OK)
		return rc;
	if (moves)
		return free_all(u);
	return old == NULL ? update_free_waiting(u, &head->uuid) : store_error(u->t);
}

static bool same_name(const struct entry_head *a, const struct entry_head *b)
{
	return uuid_eq(&a->parent_uuid, &b->parent_uuid) && span_eq(a->rdn, b->rdn);
}

static int put(struct update *u, struct store_nc *nc)
{
	struct apply_context x = update_apply_context(u);
	struct entry_head head = {.uuid = u->c->uuid, .parent_uuid = u->c->parent_uuid};
	struct apply_entry content;
	struct update_old old;
	bool exists;
	int rc = examine(u, nc, &old, &exists);

	if (rc != RC_OK || *u->outcome != UPDATE_APPLIED)
		return rc;
	head.stamp = u->c->stamp;
	rc = read_name(u, &head);
	if (rc == RC_OK)
		rc = apply_put(&x, u->c, &content);
	if (rc != RC_OK)
		return rc;
	if (uuid_is_zero(&head.parent_uuid))
		rc = check_root(u, &head, exists && is_root_eid(u, old.eid));
	else
		rc = find_place(u, exists ? old.eid : 0, &head);
	if (rc != RC_OK)
		return rc;
	head.moved_usn =
		exists && same_name(&head, &old.e.head) ? old.e.head.moved_usn : head.stamp.usn;
	if (head.parent == 0 && !uuid_is_zero(&head.parent_uuid))
		*u->outcome = UPDATE_PARKED;
	return put_rows(u, nc, exists ? &old : NULL, &head, &content);
}

/* What comes back to a recovering context is behind its counter. */
static void count_recovered(struct update *u, struct store_nc *nc)
{
	bool is_in = *u->outcome == UPDATE_APPLIED || *u->outcome == UPDATE_PARKED;

	if (!nc->is_own || !nc->is_recovering || !is_in || u->c->stamp.usn <= nc->position.usn)
		return;
	nc->position.usn = u->c->stamp.usn;
	store_nc_put(u->t, nc);
}

/* What can not be applied is kept aside; only a context that must not be named ends the session. */
static int keep_refused(struct update *u, struct store_nc *nc, int rc)
{
	return rc == RC_REFUSED && !uuid_is_zero(&nc->position.nc) ? update_quarantine(u, nc) : rc;
}

int update_put(struct update *u)
{
	struct store_nc nc = {.number = 0};
	int rc = put(u, &nc);

	if (rc == RC_OK)
		count_recovered(u, &nc);
	return keep_refused(u, &nc, rc);
}

/* --- remove --- */

/* Its children's changes must still come: they move or go, too. */
static int park_children(struct update *u, uint64_t eid)
{
	uint64_t child;
	int rc;

	while ((rc = store_child_first(u->t, eid, &child)) == RC_OK) {
		rc = park(u, child);
		if (rc != RC_OK)
			return rc;
	}
	return rc == RC_NOTFOUND ? RC_OK : rc;
}

static int old_name(struct update *u, const struct update_old *old, struct span *out)
{
	struct buf dn;
	int rc;

	*out = u->c->kind == CHANGE_REMOVE ? u->c->old_dn : SPAN_LIT("");
	if (update_is_hidden(u, &old->e)) {
		*out = SPAN_LIT("");
		return RC_OK;
	}
	if (out->n != 0)
		return RC_OK;
	buf_init(&dn, 4 * DN_MAX_BYTES);
	rc = store_dn(u->t, old->eid, &dn);
	if (rc == RC_OK) {
		*out = arena_span(u->a, buf_span(&dn));
		rc = out->p != NULL ? RC_OK : RC_NOMEM;
	}
	buf_fini(&dn);
	return rc == RC_NOTFOUND ? RC_OK : rc; /* it was in limbo */
}

int update_erase_placed(struct update *u, uint32_t nc, const struct update_old *old)
{
	const struct entry_head *was = &old->e.head;
	struct update_names names;
	int rc;

	if (uuid_is_zero(&was->parent_uuid))
		return result_set(u->why, u->a, LR_UNWILLING, "the organisation's root stays");
	rc = park_children(u, old->eid);
	if (rc == RC_OK)
		rc = update_names_note(u, old->eid, false, &names);
	if (rc != RC_OK)
		return rc;
	if (was->parent == 0)
		store_limbo_del(u->t, &was->parent_uuid, old->eid);
	else
		store_child_del(u->t, was->parent, was->rdn_normal, old->eid);
	store_order_del(u->t, nc, was->stamp.usn, &was->uuid);
	update_erase(u, old);
	return update_names_mend(u, &names, true);
}

static int remove_entry(struct update *u, struct store_nc *nc)
{
	struct update_old old;
	struct span dn;
	bool exists;
	int rc = examine(u, nc, &old, &exists);

	if (rc != RC_OK || *u->outcome != UPDATE_APPLIED)
		return rc;
	dn = u->c->old_dn;
	if (exists)
		rc = old_name(u, &old, &dn);
	if (rc == RC_OK && exists)
		rc = update_erase_placed(u, nc->number, &old);
	if (rc != RC_OK)
		return rc;
	if (nc->number == 0)
		store_nc_put(u->t, nc);
	store_quarantine_del(u->t, nc->number, &u->c->uuid);
	store_tombstone_put(u->t, nc->number, &u->c->stamp, &u->c->uuid, dn, u->ctx->wall_us);
	u->c->uuid_out = u->c->uuid;
	if (store_error(u->t) != RC_OK || !exists)
		return store_error(u->t);
	return update_free_waiting(u, &old.e.head.parent_uuid);
}

int update_remove(struct update *u)
{
	struct store_nc nc = {.number = 0};
	int rc = remove_entry(u, &nc);

	if (rc == RC_OK)
		count_recovered(u, &nc);
	return keep_refused(u, &nc, rc);
}
