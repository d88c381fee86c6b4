/*
 * Replicated changes. They come in the order of their origin's usn, but state-based: only the last
 * change of an entry is sent. Where it has no place yet, it waits (update_place.c).
 */
#include "dird/update_int.h"
#include "lib/dn.h"

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

int update_refuse_for(struct update *u, const struct uuid *awaited, const char *text)
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
	else if (nc->is_own) /* recovering */
		*out = s->usn <= nc->common || s->epoch >= nc->position.epoch;
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
	bool duplicate, may_come = true;
	uint64_t eid;
	int rc = update_nc_named(u, &u->c->stamp.nc, nc);

	*exists = false;
	if (rc == RC_OK && nc->number == 0)
		rc = update_may_come(u, &nc->position.nc, &may_come);
	if (rc != RC_OK)
		return rc;
	if (!may_come) {
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
			rc = update_refuse_for(u, &u->c->uuid,
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
		if (rc == RC_OK) {
			why = "it can not be compared";
			rc = dn_rdn_normalize(&rdn, &b);
		}
		if (rc == RC_INVALID || rc == RC_TOOBIG)
			rc = result_set(u->why, u->a, LR_INVALID_DN, "RDN: %s", why);
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
		return update_free_all(u);
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
		rc = check_root(u, &head, exists && update_is_root(u, old.eid));
	else
		rc = update_find_place(u, exists ? old.eid : 0, &head);
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

int update_old_name(struct update *u, const struct update_old *old, struct span *out)
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
	rc = update_park_children(u, old->eid);
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
		rc = update_old_name(u, &old, &dn);
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
