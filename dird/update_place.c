/*
 * Places of replicated entries. A parent may be told after its children, a name may still be
 * another entry's, and a move may run into its own subtree, each time because the change that makes
 * room comes later. Such an entry waits in limbo: it has its record, its uuid, its index rows and
 * its place in the change order, but no place in the tree, so that no reader sees it.
 */
#include "dird/update_int.h"
#include "lib/dn.h"

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

/* Its children's changes must still come: they move or go, too. */
int update_park_children(struct update *u, uint64_t eid)
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

/* Only the context's own entries hang below its entries, and its head below the root. */
static bool may_hang(struct update *u, const struct entry_head *head, const struct entry *parent,
		     uint64_t parent_eid)
{
	if (uuid_eq(&head->uuid, &head->stamp.nc))
		return update_is_root(u, parent_eid);
	return uuid_eq(&parent->head.stamp.nc, &head->stamp.nc);
}

/*
 * Find the entry's place: head->parent, 0 for limbo. An older holder of the name, whose own change
 * must still come, gives way. eid 0: an entry that is not there yet.
 */
int update_find_place(struct update *u, uint64_t eid, struct entry_head *head)
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
		return update_refuse_for(u, &head->parent_uuid,
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

typedef int waiting_fn(struct update *u, const struct uuid *parent);

/* fn for each parent that entries wait for. */
static int each_awaited(struct update *u, waiting_fn *fn)
{
	struct all_waiting w = {.a = u->a};
	size_t i;
	int rc = store_scan(u->t, STORE_LIMBO, note_waiting, &w);

	for (i = 0; rc == RC_OK && i < w.n; i++)
		rc = fn(u, &w.parents[i]);
	return rc;
}

int update_free_all(struct update *u)
{
	return each_awaited(u, update_free_waiting);
}

/* --- entries that would wait for ever --- */

/* "cn=x" becomes "cn=x+entryUUID=...". */
static int name_apart(struct update *u, struct entry_head *head)
{
	char uuid[UUID_TEXT_BYTES];
	struct dn_rdn rdn;
	struct buf b;
	int rc;

	uuid_write(&head->uuid, uuid);
	buf_init(&b, UINT16_MAX);
	buf_put(&b, head->rdn);
	buf_printf(&b, "+entryUUID=%s", uuid);
	rc = buf_rc(&b);
	head->rdn = arena_span(u->a, buf_span(&b));
	buf_clear(&b);
	if (rc == RC_OK)
		rc = dn_rdn_parse(u->a, head->rdn, &rdn, NULL);
	if (rc == RC_OK)
		rc = dn_rdn_normalize(&rdn, &b);
	head->rdn_normal = arena_span(u->a, buf_span(&b));
	buf_fini(&b);
	return rc == RC_OK && (head->rdn.p == NULL || head->rdn_normal.p == NULL) ? RC_NOMEM : rc;
}

/* Where the entry can be: below its parent, unless that is gone or below the entry itself. */
static int find_last_place(struct update *u, const struct store_nc *nc, uint64_t eid,
			   struct entry_head *head)
{
	uint64_t other;
	int rc = store_by_uuid(u->t, &head->parent_uuid, &head->parent);

	if (rc == RC_NOTFOUND || (rc == RC_OK && store_is_within(u->t, head->parent, eid))) {
		head->parent = nc->head;
		head->parent_uuid = nc->position.nc;
		rc = RC_OK;
	}
	if (rc == RC_OK)
		rc = store_child(u->t, head->parent, head->rdn_normal, &other);
	if (rc == RC_OK)
		return name_apart(u, head);
	return rc == RC_NOTFOUND ? RC_OK : rc;
}

static int place_apart(struct update *u, const struct store_nc *nc, uint64_t eid)
{
	struct store_nc now = *nc;
	struct update_names names;
	struct update_old old;
	struct entry_head head;
	int rc = update_load(u, eid, &old);

	if (rc != RC_OK || !uuid_eq(&old.e.head.stamp.nc, &nc->position.nc) || nc->head == 0 ||
	    eid == nc->head)
		return rc;
	head = old.e.head;
	rc = find_last_place(u, nc, eid, &head);
	if (rc == RC_OK)
		rc = update_names_note(u, eid, true, &names);
	if (rc != RC_OK)
		return rc;
	store_limbo_del(u->t, &old.e.head.parent_uuid, eid);
	store_order_del(u->t, nc->number, old.e.head.stamp.usn, &head.uuid);
	head.stamp = update_next_stamp(u, &now);
	head.moved_usn = head.stamp.usn;
	rc = update_write_head(u, &old, &head);
	store_child_put(u->t, head.parent, head.rdn_normal, eid);
	store_order_put(u->t, nc->number, head.stamp.usn, &head.uuid, eid);
	u->c->moved++;
	return rc == RC_OK ? update_names_mend(u, &names, false) : rc;
}

static int place_waiting(struct update *u, const struct uuid *parent)
{
	struct store_nc nc;
	uint64_t eid = 0;
	int rc;

	while ((rc = store_limbo_next(u->t, parent, eid, &eid)) == RC_OK) {
		rc = store_nc_find(u->t, &u->c->position.nc, &nc);
		if (rc == RC_OK)
			rc = place_apart(u, &nc, eid);
		if (rc != RC_OK)
			return rc;
	}
	return rc == RC_DONE ? RC_OK : rc;
}

int update_place_all(struct update *u, struct store_nc *nc)
{
	int rc;

	store_nc_put(u->t, nc);
	u->is_placing = true;
	rc = each_awaited(u, place_waiting);
	u->is_placing = false;
	return rc == RC_OK ? store_nc_find(u->t, &nc->position.nc, nc) : rc;
}
