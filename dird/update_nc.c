/* Naming contexts of client changes: which one, who writes it, where it is at home. */
#include "dird/update_int.h"
#include "lib/dn.h"

#define REFERRALS_MAX 16

struct uuid update_nc_of(const struct update *u, const struct entry *parent, bool parent_is_root,
			 const struct attr_list *attrs, const struct uuid *uuid)
{
	const struct schema *s = u->ctx->schema;

	if (parent == NULL)
		return *uuid;
	if (uuid_eq(&parent->head.stamp.nc, &POSITION_LOCAL_NC))
		return POSITION_LOCAL_NC;
	if (parent_is_root && apply_has_class(s, attrs, "mailSite"))
		return *uuid;
	if (apply_has_class(s, attrs, "siteLocal"))
		return POSITION_LOCAL_NC;
	return parent->head.stamp.nc;
}

int update_nc_begin(struct store_txn *t, const struct update_context *ctx, struct store_nc *nc,
		    uint32_t above, bool is_told)
{
	uint32_t last = nc->position.epoch > above ? nc->position.epoch : above;
	uint16_t more = 0;
	int rc = last != 0 ? ctx->random(&more, sizeof(more)) : RC_OK;

	if (rc != RC_OK || last > UINT32_MAX - UINT16_MAX - 1)
		return rc != RC_OK ? rc : RC_TOOBIG;
	if (is_told && nc->position.epoch != 0)
		lives_add(nc->past, &nc->npast, POSITION_PAST_MAX, &nc->position);
	nc->is_own = true;
	nc->position.epoch = last + 1 + more; /* so that a life is known by its epoch */
	rc = ctx->random(nc->position.invocation.b, UUID_BYTES);
	if (rc == RC_OK)
		store_nc_put(t, nc);
	return rc == RC_OK ? store_error(t) : rc;
}

int update_nc_renew(struct store_txn *t, const struct update_context *ctx, struct store_nc *nc)
{
	return update_nc_begin(t, ctx, nc, 0, true);
}

int update_nc_found(struct store_txn *t, const struct update_context *ctx, const struct uuid *id,
		    struct store_nc *nc)
{
	int rc = store_nc_find(t, id, nc);

	if (rc == RC_NOTFOUND) {
		memset(nc, 0, sizeof(*nc));
		nc->position.nc = *id;
		rc = RC_OK;
	}
	if (rc != RC_OK)
		return rc;
	return update_nc_renew(t, ctx, nc);
}

int update_begin_life(struct store_txn *t, const struct update_context *ctx, const struct uuid *nc,
		      struct position *out)
{
	struct store_nc row;
	int rc = update_nc_found(t, ctx, nc, &row);

	if (rc == RC_OK)
		*out = row.position;
	return rc;
}

/* Nothing was written since the start, and no partner could say whether we know everything. */
static bool is_unconfirmed(const struct update_context *ctx, const struct store_nc *nc)
{
	const struct position *p =
		ctx->unconfirmed != NULL ? vector_find(ctx->unconfirmed, &nc->position.nc) : NULL;

	return p != NULL && position_same_life(p, &nc->position) && p->usn == nc->position.usn;
}

struct stamp update_next_stamp(struct update *u, struct store_nc *nc)
{
	int rc = RC_OK;

	if (is_unconfirmed(u->ctx, nc))
		rc = update_nc_renew(u->t, u->ctx, nc);
	if (rc != RC_OK)
		store_fail(u->t, rc);
	nc->position.usn++;
	store_nc_put(u->t, nc);
	return (struct stamp){nc->position.nc, nc->position.epoch, nc->position.usn};
}

/* --- referrals --- */

static int add_uris(struct update *u, uint64_t server, const char **uris, unsigned *n)
{
	static const struct span type = {(const uint8_t *)"serverURI", 9};
	struct span values, v;
	struct entry_attr at;
	struct entry e;
	unsigned i = 0;
	int rc = store_entry(u->t, server, &e);

	if (rc != RC_OK)
		return rc;
	while (entry_find(&e, entry_type_hash(type), type, &i, &at)) {
		for (values = at.values; tlv_expect(&values, TLV_OCTETS, &v) == RC_OK;) {
			if (*n < REFERRALS_MAX && (uris[(*n)++] = arena_str(u->a, v)) == NULL)
				return RC_NOMEM;
		}
	}
	return RC_OK;
}

/* serverURI values of the servers of a site. */
static int site_uris(struct update *u, uint64_t site, const char **uris, unsigned *n)
{
	struct store_iter *iter = NULL;
	uint64_t at = site;
	int rc;

	rc = store_child(u->t, at, SPAN_LIT("cn=configuration"), &at);
	if (rc == RC_OK)
		rc = store_child(u->t, at, SPAN_LIT("cn=servers"), &at);
	if (rc == RC_OK)
		rc = store_walk(u->t, at, STORE_ONE, &iter);
	while (rc == RC_OK && (rc = store_iter_next(iter, &at)) == RC_OK)
		rc = add_uris(u, at, uris, n);
	store_iter_free(&iter);
	return rc == RC_DONE || rc == RC_NOTFOUND ? RC_OK : rc;
}

/* The site entry of this name; RC_NOTFOUND. */
static int find_site(struct update *u, struct span name, uint64_t *out)
{
	struct dn_ava ava = {SPAN_LIT("ou"), name};
	struct dn_rdn rdn = {&ava, 1};
	struct buf b;
	int rc;

	buf_init(&b, 4 * DN_MAX_BYTES);
	rc = dn_rdn_normalize(&rdn, &b);
	if (rc == RC_OK)
		rc = store_root(u->t, out);
	if (rc == RC_OK)
		rc = store_child(u->t, *out, buf_span(&b), out);
	buf_fini(&b);
	return rc;
}

/* Head of the site that writes context nc; *name is that site's, for messages. */
static int home_site(struct update *u, const struct store_nc *nc, uint64_t *site_out,
		     const char **name)
{
	uint64_t root;
	struct entry e;
	struct span v;
	int rc = store_root(u->t, &root);

	*name = "another site";
	if (rc != RC_OK || nc->head == 0)
		return rc != RC_OK ? rc : RC_NOTFOUND;
	rc = store_entry(u->t, nc->head, &e);
	if (rc != RC_OK)
		return rc;
	if (nc->head != root) {
		*site_out = nc->head;
		v = e.head.rdn;
	} else if (!entry_first(&e, "masterSite", &v)) {
		return RC_NOTFOUND;
	} else {
		rc = find_site(u, v, site_out);
	}
	*name = arena_str(u->a, v);
	return *name == NULL ? RC_NOMEM : rc;
}

int update_home(struct store_txn *t, struct arena *a, const struct store_nc *nc, uint64_t *site_out)
{
	struct update u = {.t = t, .a = a};
	const char *name;

	return home_site(&u, nc, site_out, &name);
}

/* The name is that of the site that runs here. */
static int is_own_site(struct update *u, struct span name, bool *out)
{
	struct store_nc nc;
	struct entry e;
	uint64_t site;
	int rc = find_site(u, name, &site);

	*out = false;
	if (rc == RC_OK)
		rc = store_entry(u->t, site, &e);
	if (rc == RC_OK)
		rc = store_nc_find(u->t, &e.head.uuid, &nc);
	if (rc == RC_OK)
		*out = nc.is_own;
	return rc == RC_NOTFOUND ? RC_OK : rc;
}

int update_check_master(struct update *u, const struct update_old *old, const struct attr_list *now)
{
	struct span was, name = {NULL, 0};
	bool is_own = false;
	unsigned i;
	int rc = RC_OK;

	if (!uuid_is_zero(&old->e.head.parent_uuid) || !entry_first(&old->e, "masterSite", &was))
		return RC_OK;
	for (i = 0; i < now->n; i++) {
		if (span_eq_nocase(now->attrs[i].type, SPAN_LIT("masterSite")))
			name = now->attrs[i].values[0];
	}
	if (span_eq_nocase(name, was))
		return RC_OK;
	if (name.n != 0)
		rc = is_own_site(u, name, &is_own);
	if (rc != RC_OK || is_own)
		return rc;
	return result_set(u->why, u->a, LR_UNWILLING,
			  "the organisation's entries can not be handed to another site: partners "
			  "take them from none but %.*s",
			  SPAN_ARG(was));
}

static int refer(struct update *u, const struct store_nc *nc)
{
	const char **uris = arena_zalloc(u->a, REFERRALS_MAX + 1, sizeof(*uris));
	const char *name;
	uint64_t site;
	unsigned n = 0;
	int rc;

	if (uris == NULL)
		return RC_NOMEM;
	rc = home_site(u, nc, &site, &name);
	if (rc == RC_OK)
		rc = site_uris(u, site, uris, &n);
	if (rc != RC_OK && rc != RC_NOTFOUND)
		return rc;
	if (n == 0)
		return result_set(u->why, u->a, LR_UNWILLING,
				  "entry is written by %s, whose servers are not known here", name);
	u->why->referrals = uris;
	return result_set(u->why, u->a, LR_REFERRAL, "entry is written by %s", name);
}

int update_refer(struct store_txn *t, struct arena *a, const struct store_nc *nc,
		 struct result *why)
{
	struct update u = {.t = t, .a = a, .why = why};

	return refer(&u, nc);
}

/* The organisation's own context, if there is a root. */
static int organisation(struct update *u, struct store_nc *out)
{
	struct entry e;
	uint64_t root;
	int rc = store_root(u->t, &root);

	if (rc == RC_OK)
		rc = store_entry(u->t, root, &e);
	return rc == RC_OK ? store_nc_find(u->t, &e.head.uuid, out) : rc;
}

int update_nc_own(struct update *u, const struct uuid *id, struct store_nc *out)
{
	struct store_leaving leaving;
	int rc = store_nc_find(u->t, id, out);

	if (rc == RC_OK && out->is_recovering)
		return result_set(u->why, u->a, LR_BUSY,
				  "this site was put back to an older state and asks its partners "
				  "what is missing; try again");
	if (rc == RC_OK && out->is_own && u->ctx->stopped != NULL &&
	    !uuid_eq(id, &POSITION_LOCAL_NC))
		return result_set(u->why, u->a, LR_UNWILLING, "%s", u->ctx->stopped);
	if (rc == RC_OK)
		return out->is_own ? RC_OK : refer(u, out);
	if (rc != RC_NOTFOUND)
		return rc;
	if (store_leaving_find(u->t, id, &leaving) == RC_OK)
		return result_set(u->why, u->a, LR_UNWILLING,
				  "its site was removed, and it is about to go");
	if (!uuid_eq(id, &POSITION_LOCAL_NC)) {
		rc = organisation(u, out);
		if (rc == RC_OK && !out->is_own)
			return refer(u, out);
		if (rc != RC_OK && rc != RC_NOTFOUND)
			return rc;
	}
	return update_nc_found(u->t, u->ctx, id, out);
}
