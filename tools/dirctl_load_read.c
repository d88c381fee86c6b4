/*
 * dirctl load: records of the LDIF file as changes, and what of new entries can be done without the
 * database, on a thread of its own while the batch before goes into the database.
 */
#include "tools/dirctl_load.h"

#include <sys/random.h>

/* Of a batch, and there are two. */
#define BATCH_BYTES ((size_t)64 << 20)

int load_random(void *p, size_t n)
{
	static _Thread_local uint8_t pool[4096];
	static _Thread_local size_t left;

	must(n <= sizeof(pool));
	if (left < n) {
		if (getrandom(pool, sizeof(pool), 0) != (ssize_t)sizeof(pool))
			return RC_IO;
		left = sizeof(pool);
	}
	left -= n;
	memcpy(p, pool + left, n);
	return RC_OK;
}

static struct attr attr_of(const struct ldif_attr *a)
{
	return (struct attr){.type = a->type, .values = a->values, .nvalues = a->nvalues};
}

static int to_attrs(const struct ldif_record *r, struct arena *a, struct attr_list *out)
{
	unsigned i;

	out->n = r->nattrs;
	out->attrs = arena_zalloc(a, r->nattrs, sizeof(*out->attrs));
	if (out->attrs == NULL)
		return RC_NOMEM;
	for (i = 0; i < r->nattrs; i++)
		out->attrs[i] = attr_of(&r->attrs[i]);
	return RC_OK;
}

static int to_mods(const struct ldif_record *r, struct arena *a, struct change *c)
{
	static const enum change_op ops[] = {[LDIF_OP_ADD] = CHANGE_OP_ADD,
					     [LDIF_OP_DELETE] = CHANGE_OP_DELETE,
					     [LDIF_OP_REPLACE] = CHANGE_OP_REPLACE,
					     [LDIF_OP_INCREMENT] = CHANGE_OP_INCREMENT};
	unsigned i;

	c->nmods = r->nattrs;
	c->mods = arena_zalloc(a, r->nattrs, sizeof(*c->mods));
	if (c->mods == NULL)
		return RC_NOMEM;
	for (i = 0; i < r->nattrs; i++) {
		c->mods[i].op = ops[r->attrs[i].op];
		c->mods[i].attr = attr_of(&r->attrs[i]);
	}
	return RC_OK;
}

static int to_change(const struct ldif_record *r, struct arena *a, struct change *c,
		     const char **why)
{
	int rc = dn_parse(a, r->dn, &c->dn, why);

	if (rc != RC_OK)
		return rc;
	switch (r->kind) {
	case LDIF_CONTENT:
	case LDIF_ADD:
		c->kind = CHANGE_ADD;
		c->may_set_operational = true;
		return to_attrs(r, a, &c->attrs);
	case LDIF_MODIFY:
		c->kind = CHANGE_MODIFY;
		return to_mods(r, a, c);
	case LDIF_DELETE:
		c->kind = CHANGE_DELETE;
		return RC_OK;
	case LDIF_MODRDN:
		c->kind = CHANGE_RENAME;
		c->delete_old_rdn = r->deleteoldrdn;
		c->has_new_superior = r->has_newsuperior;
		rc = dn_rdn_parse(a, r->newrdn, &c->new_rdn, why);
		if (rc == RC_OK && r->has_newsuperior)
			rc = dn_parse(a, r->newsuperior, &c->new_superior, why);
		return rc;
	}
	return RC_INVALID;
}

/* Refusals are kept with the record, and told in its turn. */
static int prepare(struct load_reader *l, const struct ldif_record *r, struct arena *a,
		   struct load_record *out)
{
	int rc;

	out->line = r->line;
	out->dn = r->dn;
	out->why = "malformed name";
	out->is_new = r->kind == LDIF_CONTENT || r->kind == LDIF_ADD;
	out->change.actor = l->actor;
	rc = to_change(r, a, &out->change, &out->why);
	if (rc == RC_INVALID || rc == RC_TOOBIG) {
		out->what = "invalidDNSyntax";
		return RC_OK;
	}
	out->why = NULL;
	return rc == RC_OK && out->is_new ? update_prepare(&l->ctx, &out->change, a) : rc;
}

static int read_one(struct load_reader *l, struct load_batch *b, struct load_record **out)
{
	struct load_record *one = arena_zalloc(&b->arena, 1, sizeof(*one));
	struct ldif_record r;
	int rc;

	*out = one;
	if (one == NULL)
		return RC_NOMEM;
	rc = ldif_read(l->ldif, &b->arena, &r, &one->line, &one->why);
	if (rc == RC_INVALID)
		return RC_OK;
	if (rc != RC_OK)
		b->line = one->line;
	return rc == RC_OK ? prepare(l, &r, &b->arena, one) : rc;
}

void load_read(struct load_reader *l, struct load_batch *b, unsigned most)
{
	struct load_record *one;

	arena_fini(&b->arena);
	b->n = 0;
	b->rc = RC_OK;
	l->ctx.wall_us = clock_system.wall_us(&clock_system);
	while (b->rc == RC_OK && b->n < most && b->arena.bytes < BATCH_BYTES) {
		b->rc = read_one(l, b, &one);
		if (b->rc == RC_OK)
			b->records[b->n++] = one;
	}
}
