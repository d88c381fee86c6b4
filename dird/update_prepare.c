/* What a new entry needs that does not depend on the database, ahead of its turn. */
#include "dird/update_int.h"

int update_new_uuid(const struct update_context *ctx, struct uuid *out)
{
	int rc = ctx->random(out->b, UUID_BYTES);

	out->b[6] = (uint8_t)((out->b[6] & 0x0f) | 0x40); /* RFC 4122 §4.4 */
	out->b[8] = (uint8_t)((out->b[8] & 0x3f) | 0x80);
	return rc;
}

int update_prepare(const struct update_context *ctx, struct change *c, struct arena *a)
{
	const struct apply_context x = {.schema = ctx->schema,
					.arena = a,
					.wall_us = ctx->wall_us,
					.max_values = ctx->max_values};
	struct update_ready *r = arena_zalloc(a, 1, sizeof(*r));
	int rc = r != NULL ? update_new_uuid(ctx, &r->uuid) : RC_NOMEM;

	must(c->kind == CHANGE_ADD);
	if (rc != RC_OK)
		return rc;
	r->rc = apply_add(&x, c, &r->uuid, &r->content, &r->why);
	if (r->rc == RC_OK)
		r->rc = apply_keys(ctx->schema, &r->content.attrs, a, &r->keys);
	if (r->rc != RC_OK && r->rc != RC_REFUSED)
		return r->rc;
	c->ready = r;
	return RC_OK;
}
