#include "dird/update.h"

#include "dird/update_int.h"
#include "lib/dn.h"

#define RDN_MAX_BYTES 65535

struct apply_context update_apply_context(const struct update *u)
{
	return (struct apply_context){.schema = u->ctx->schema,
				      .arena = u->a,
				      .wall_us = u->ctx->wall_us,
				      .max_values = u->ctx->max_values};
}

/* --- finding the target --- */

static int not_held_here(struct update *u)
{
	struct buf dn;
	int rc;

	buf_init(&dn, 4 * DN_MAX_BYTES);
	dn_write(&u->ctx->root, &dn);
	rc = buf_rc(&dn);
	if (rc == RC_OK)
		rc = result_set(u->why, u->a, LR_NO_SUCH_OBJECT, "this server holds %s",
				buf_cstr(&dn));
	buf_fini(&dn);
	return rc;
}

int update_no_such_object(struct update *u, uint64_t deepest, const char *what)
{
	struct buf dn;
	int rc;

	if (deepest == 0)
		return not_held_here(u);
	buf_init(&dn, 4 * DN_MAX_BYTES);
	rc = store_dn(u->t, deepest, &dn);
	if (rc == RC_OK) {
		u->why->matched = arena_span(u->a, buf_span(&dn));
		rc = u->why->matched.p != NULL ? RC_OK : RC_NOMEM;
	}
	buf_fini(&dn);
	return rc == RC_OK ? result_set(u->why, u->a, LR_NO_SUCH_OBJECT, "%s", what) : rc;
}

int update_find(struct update *u, struct update_old *out)
{
	unsigned depth;
	uint64_t eid;
	int rc = store_find(u->t, &u->c->dn, &eid, &depth);

	if (rc == RC_NOTFOUND)
		return update_no_such_object(u, eid, "no such entry");
	return rc == RC_OK ? update_load(u, eid, out) : rc;
}

bool update_is_root(struct update *u, uint64_t eid)
{
	uint64_t root;

	return store_root(u->t, &root) == RC_OK && root == eid;
}

int update_rdn(struct update *u, const struct dn_rdn *rdn, struct span *text, struct span *normal)
{
	struct buf b;
	int rc;

	buf_init(&b, RDN_MAX_BYTES);
	dn_rdn_write(rdn, &b);
	*text = arena_span(u->a, buf_span(&b));
	rc = buf_rc(&b);
	buf_clear(&b);
	if (rc == RC_OK)
		rc = dn_rdn_normalize(rdn, &b);
	*normal = arena_span(u->a, buf_span(&b));
	buf_fini(&b);
	if (rc == RC_TOOBIG)
		return result_set(u->why, u->a, LR_UNWILLING, "the entry's name is too long");
	return rc == RC_OK && (text->p == NULL || normal->p == NULL) ? RC_NOMEM : rc;
}

static int normal_dn(struct update *u, const struct dn *dn, struct span *text, struct span *normal)
{
	struct buf b;
	int rc;

	buf_init(&b, 4 * DN_MAX_BYTES);
	dn_write(dn, &b);
	*text = arena_span(u->a, buf_span(&b));
	rc = buf_rc(&b);
	buf_clear(&b);
	if (rc == RC_OK)
		rc = dn_normalize(dn, &b);
	*normal = arena_span(u->a, buf_span(&b));
	buf_fini(&b);
	return rc == RC_OK && (text->p == NULL || normal->p == NULL) ? RC_NOMEM : rc;
}

int update_check_parent(struct update *u, const struct entry *parent)
{
	if (entry_has_class(parent, "alias"))
		return result_set(u->why, u->a, LR_ALIAS_PROBLEM,
				  "an alias has no entries below it");
	if (entry_has_class(parent, "referral"))
		return result_set(u->why, u->a, LR_AFFECTS_MULTIPLE_DSAS,
				  "what lies below a referral entry is held elsewhere");
	return RC_OK;
}

/* --- add --- */

struct place {
	bool is_root;
	bool parent_is_root;
	uint64_t parent;
	struct entry parent_entry;
};

/* Where the new entry goes, or which one it replaces (*existing != 0). */
static int find_place(struct update *u, struct place *p, uint64_t *existing)
{
	struct span text, want, root;
	unsigned depth;
	uint64_t eid;
	int rc = store_find(u->t, &u->c->dn, &eid, &depth);

	memset(p, 0, sizeof(*p));
	*existing = 0;
	if (rc == RC_OK) {
		*existing = eid;
		return RC_OK;
	}
	if (rc != RC_NOTFOUND)
		return rc;
	rc = normal_dn(u, &u->c->dn, &text, &want);
	if (rc == RC_OK)
		rc = normal_dn(u, &u->ctx->root, &text, &root);
	if (rc != RC_OK)
		return rc;
	if (eid == 0 && span_eq(want, root) && store_root(u->t, &eid) == RC_NOTFOUND) {
		p->is_root = true;
		return RC_OK;
	}
	if (eid == 0 || depth + 1 != u->c->dn.n)
		return update_no_such_object(u, eid, "the entry above it does not exist");
	p->parent = eid;
	p->parent_is_root = update_is_root(u, eid);
	return store_entry(u->t, eid, &p->parent_entry);
}

static int name_new(struct update *u, const struct place *p, struct entry_head *head)
{
	if (p->is_root)
		return normal_dn(u, &u->c->dn, &head->rdn, &head->rdn_normal);
	return update_rdn(u, &u->c->dn.rdns[0], &head->rdn, &head->rdn_normal);
}

static int put_new(struct update *u, const struct place *p, struct entry_head *head,
		   const struct apply_entry *content, struct store_nc *nc)
{
	uint64_t eid;
	int rc;

	head->parent = p->parent;
	head->stamp = update_next_stamp(u, nc);
	head->moved_usn = head->stamp.usn;
	eid = store_new_eid(u->t);
	rc = update_write(u, eid, head, content, NULL);
	if (rc != RC_OK)
		return rc;
	if (p->is_root)
		store_root_put(u->t, eid);
	else
		store_child_put(u->t, p->parent, head->rdn_normal, eid);
	store_uuid_put(u->t, &head->uuid, eid);
	store_tombstone_del(u->t, &head->uuid);
	store_order_put(u->t, nc->number, head->stamp.usn, &head->uuid, eid);
	u->c->eid_out = eid;
	u->c->uuid_out = head->uuid;
	rc = update_keep_addresses(u, &content->attrs, eid);
	return rc == RC_OK ? store_error(u->t) : rc;
}

static int make_new(struct update *u, struct uuid *uuid, struct apply_entry *content)
{
	const struct update_ready *r = u->c->ready;
	struct apply_context x = update_apply_context(u);
	int rc;

	if (r == NULL) {
		rc = update_new_uuid(u->ctx, uuid);
		return rc == RC_OK ? apply_add(&x, u->c, uuid, content, u->why) : rc;
	}
	*uuid = r->uuid;
	*content = r->content;
	*u->why = r->why;
	return r->rc;
}

static int add_new(struct update *u, const struct place *p)
{
	const struct entry *parent = p->is_root ? NULL : &p->parent_entry;
	struct entry_head head = {.parent = 0};
	struct apply_entry content;
	struct store_nc nc;
	struct uuid id;
	uint64_t other;
	int rc = make_new(u, &head.uuid, &content);

	if (rc == RC_OK)
		rc = update_check_addresses(u, NULL, &content.attrs, 0);
	if (rc == RC_OK)
		rc = name_new(u, p, &head);
	if (rc != RC_OK)
		return rc;
	rc = store_by_uuid(u->t, &head.uuid, &other);
	if (rc == RC_OK)
		return result_set(u->why, u->a, LR_EXISTS, "entryUUID is another entry's");
	if (rc != RC_NOTFOUND)
		return rc;
	if (parent != NULL)
		head.parent_uuid = parent->head.uuid;
	id = update_nc_of(u, parent, p->parent_is_root, &content.attrs, &head.uuid);
	rc = update_nc_own(u, &id, &nc);
	if (rc == RC_OK && parent != NULL)
		rc = update_check_parent(u, parent);
	return rc == RC_OK ? put_new(u, p, &head, &content, &nc) : rc;
}

/* --- modify --- */

/* Classes that decide about the context come and go with the entry only. */
int update_check_context(struct update *u, const struct update_old *old, uint64_t parent,
			 const struct attr_list *attrs, enum ldap_result code)
{
	struct entry p;
	struct uuid id;
	int rc = RC_OK;

	if (parent != 0)
		rc = store_entry(u->t, parent, &p);
	if (rc != RC_OK)
		return rc;
	id = update_nc_of(u, parent != 0 ? &p : NULL, update_is_root(u, parent), attrs,
			  &old->e.head.uuid);
	if (!uuid_eq(&id, &old->e.head.stamp.nc))
		return result_set(u->why, u->a, code, "the entry would change its naming context");
	return RC_OK;
}

int update_put_changed(struct update *u, const struct update_old *old, struct entry_head *head,
		       const struct apply_entry *content, struct store_nc *nc, bool is_move)
{
	int rc;

	store_order_del(u->t, nc->number, old->e.head.stamp.usn, &head->uuid);
	head->stamp = update_next_stamp(u, nc);
	if (is_move)
		head->moved_usn = head->stamp.usn;
	rc = update_write(u, old->eid, head, content, old);
	store_order_put(u->t, nc->number, head->stamp.usn, &head->uuid, old->eid);
	u->c->eid_out = old->eid;
	u->c->uuid_out = head->uuid;
	if (rc == RC_OK)
		rc = update_keep_addresses(u, &content->attrs, old->eid);
	return rc == RC_OK ? store_error(u->t) : rc;
}

struct indexed {
	struct store_txn *t;
	uint64_t eid;
};

static bool has_value(const void *ctx, uint32_t attr, struct span normal)
{
	const struct indexed *i = ctx;

	return store_has_index(i->t, attr, normal, i->eid);
}

static int modify(struct update *u)
{
	struct apply_context x = update_apply_context(u);
	struct indexed here = {.t = u->t};
	struct apply_entry content;
	struct update_old old;
	struct entry_head head;
	struct store_nc nc;
	int rc = update_find(u, &old);

	if (rc == RC_OK)
		rc = update_nc_own(u, &old.e.head.stamp.nc, &nc);
	here.eid = old.eid;
	x.has_value = has_value;
	x.ctx = &here;
	if (rc == RC_OK)
		rc = apply_modify(&x, &old.e, u->c, &content, u->why);
	if (rc == RC_OK)
		rc = update_check_addresses(u, &old.attrs, &content.attrs, old.eid);
	if (rc == RC_OK)
		rc = update_check_context(u, &old, old.e.head.parent, &content.attrs,
					  LR_CLASS_MODS_PROHIBITED);
	if (rc == RC_OK)
		rc = update_check_master(u, &old, &content.attrs);
	if (rc != RC_OK)
		return rc;
	head = old.e.head;
	return update_put_changed(u, &old, &head, &content, &nc, false);
}

/* --- bulk load over what is there --- */

/* The keys of a site and the master of the organisation are kept when the file does not say them.
 */
static int keep_identity(struct update *u, const struct update_old *old,
			 struct apply_entry *content)
{
	static const char *const kept[][2] = {{"siteKey", "mailSite"},
					      {"masterSite", "mailOrganization"}};
	struct attr_list was, now = content->attrs;
	unsigned i, k, n = now.n;
	struct span type;
	int rc = entry_decode(&old->e, true, u->a, &was);

	if (rc != RC_OK)
		return rc;
	content->attrs.attrs = arena_zalloc(u->a, now.n + was.n, sizeof(*now.attrs));
	content->runs = arena_zalloc(u->a, now.n + was.n, sizeof(*content->runs));
	if (content->attrs.attrs == NULL || content->runs == NULL)
		return RC_NOMEM;
	memcpy(content->attrs.attrs, now.attrs, now.n * sizeof(*now.attrs));
	for (k = 0; k < 2; k++) {
		type = span_of(kept[k][0]);
		for (i = 0; i < now.n && !span_eq_nocase(now.attrs[i].type, type); i++)
			;
		if (i < now.n || !apply_has_class(u->ctx->schema, &now, kept[k][1]))
			continue;
		for (i = 0; i < was.n; i++) {
			if (span_eq_nocase(was.attrs[i].type, type))
				content->attrs.attrs[n++] = was.attrs[i];
		}
	}
	content->attrs.n = n;
	for (i = 0; i < n; i++)
		content->runs[i] = schema_run(u->ctx->schema, content->attrs.attrs[i].type);
	return RC_OK;
}

static int set_uuid(struct update *u, const struct uuid *uuid, struct attr_list *attrs)
{
	char text[UUID_TEXT_BYTES];
	unsigned i;

	uuid_write(uuid, text);
	for (i = 0; i < attrs->n; i++) {
		if (span_eq_nocase(attrs->attrs[i].type, SPAN_LIT("entryUUID")))
			attrs->attrs[i].values[0] = arena_span(u->a, span_of(text));
	}
	return RC_OK;
}

static int replace(struct update *u, uint64_t eid)
{
	struct apply_context x = update_apply_context(u);
	struct apply_entry content;
	struct update_old old;
	struct entry_head head;
	struct store_nc nc;
	struct uuid uuid;
	int rc = update_load(u, eid, &old);

	if (rc == RC_OK)
		rc = update_nc_own(u, &old.e.head.stamp.nc, &nc);
	if (rc != RC_OK)
		return rc;
	uuid = old.e.head.uuid;
	rc = apply_add(&x, u->c, &uuid, &content, u->why);
	if (rc == RC_OK)
		rc = set_uuid(u, &old.e.head.uuid, &content.attrs);
	if (rc == RC_OK)
		rc = keep_identity(u, &old, &content);
	if (rc == RC_OK)
		rc = update_check_addresses(u, &old.attrs, &content.attrs, old.eid);
	if (rc == RC_OK)
		rc = update_check_context(u, &old, old.e.head.parent, &content.attrs,
					  LR_CLASS_MODS_PROHIBITED);
	if (rc != RC_OK)
		return rc;
	head = old.e.head;
	return update_put_changed(u, &old, &head, &content, &nc, false);
}

static int add(struct update *u)
{
	uint64_t existing;
	struct place p;
	int rc = find_place(u, &p, &existing);

	if (rc != RC_OK)
		return rc;
	if (existing == 0)
		return add_new(u, &p);
	if (u->c->replace_existing)
		return replace(u, existing);
	return result_set(u->why, u->a, LR_EXISTS, "entry exists already");
}

/* --- delete --- */

bool update_is_hidden(struct update *u, const struct entry *e)
{
	struct entry up = *e;

	while ((up.head.flags & ENTRY_HIDDEN) == 0) {
		if (up.head.parent == 0 || store_entry(u->t, up.head.parent, &up) != RC_OK)
			return false;
	}
	return true;
}

static int del(struct update *u)
{
	struct update_names names;
	struct update_old old;
	struct store_nc nc;
	struct stamp s;
	struct buf dn;
	bool is_hidden;
	int rc = update_find(u, &old);

	if (rc == RC_OK)
		rc = update_nc_own(u, &old.e.head.stamp.nc, &nc);
	if (rc != RC_OK)
		return rc;
	if (update_is_root(u, old.eid))
		return result_set(u->why, u->a, LR_UNWILLING, "the organisation's root stays");
	if (store_has_children(u->t, old.eid))
		return result_set(u->why, u->a, LR_NOT_ALLOWED_ON_NONLEAF,
				  "entry has entries below it");
	buf_init(&dn, 4 * DN_MAX_BYTES);
	rc = update_names_note(u, old.eid, false, &names);
	is_hidden = update_is_hidden(u, &old.e);
	if (rc == RC_OK && !is_hidden)
		rc = store_dn(u->t, old.eid, &dn);
	if (rc == RC_OK) {
		s = update_next_stamp(u, &nc);
		if (is_hidden) /* its tombstone tells no name */
			update_trail(u, &old, s.usn);
		store_order_del(u->t, nc.number, old.e.head.stamp.usn, &old.e.head.uuid);
		store_child_del(u->t, old.e.head.parent, old.e.head.rdn_normal, old.eid);
		update_erase(u, &old);
		store_tombstone_put(u->t, nc.number, &s, &old.e.head.uuid, buf_span(&dn),
				    u->ctx->wall_us);
		rc = update_names_mend(u, &names, true);
	}
	buf_fini(&dn);
	u->c->eid_out = old.eid;
	u->c->uuid_out = old.e.head.uuid;
	return rc;
}

static int dispatch(struct update *u)
{
	switch (u->c->kind) {
	case CHANGE_ADD:
		return add(u);
	case CHANGE_MODIFY:
		return modify(u);
	case CHANGE_DELETE:
		return del(u);
	case CHANGE_RENAME:
		return update_rename(u);
	case CHANGE_PUT:
		return update_put(u);
	case CHANGE_REMOVE:
		return update_remove(u);
	case CHANGE_POSITION:
		return update_position(u);
	case CHANGE_KEEP_ONLY:
		return update_keep_only(u);
	case CHANGE_ROLLED_BACK:
		return update_rolled_back(u);
	case CHANGE_RECOVERED:
		return update_recovered(u);
	case CHANGE_COLLECT:
		return update_collect(u);
	case CHANGE_FORGET:
		return update_forget(u);
	case CHANGE_RETRY:
		return update_retry(u);
	}
	return RC_INVALID;
}

int update_apply(struct store_txn *t, const struct update_context *ctx, struct change *c,
		 struct arena *a, enum update_outcome *outcome, struct result *why)
{
	struct update u = {.t = t, .ctx = ctx, .c = c, .a = a, .outcome = outcome, .why = why};
	int rc;

	memset(why, 0, sizeof(*why));
	c->conflict = span_make(NULL, 0);
	*outcome = UPDATE_APPLIED;
	rc = store_error(t);
	if (rc == RC_OK)
		rc = dispatch(&u);
	if (rc == RC_OK && *outcome == UPDATE_APPLIED)
		rc = update_retry_awaiting(&u, &c->uuid_out);
	if (rc == RC_OK && *outcome == UPDATE_APPLIED)
		rc = update_forget_removed(&u);
	if (rc == RC_OK)
		rc = update_views_end(&u);
	if (rc != RC_OK && rc != RC_REFUSED) {
		if (store_error(t) == RC_OK && (rc == RC_INVALID || rc == RC_TOOBIG) &&
		    (c->kind == CHANGE_PUT || c->kind == CHANGE_REMOVE))
			c->poison = rc_text(rc);
		store_fail(t, rc); /* some rows may have been put */
	}
	return rc;
}
