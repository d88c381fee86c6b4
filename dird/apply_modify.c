/* Modifications (RFC 4511 §4.6, RFC 4525). */
#include "dird/apply_int.h"

#include <inttypes.h>
#include <stdlib.h>

#define MANY_VALUES 16

/* Did the change touch the type before this modification? Then the index does not know. */
static bool is_first(const struct apply_work *w, const struct change *c,
		     const struct change_mod *mod, const struct schema_attr *at)
{
	const struct change_mod *m;

	for (m = c->mods; m != mod; m++) {
		if (schema_attr(w->x->schema, m->attr.type) == at)
			return false;
	}
	return true;
}

/*
 * As apply_match(). Of many values the index tells whether there can be one that matches, and it
 * is mostly written as it is given.
 */
static int look_up(struct apply_work *w, const struct schema_attr *at, const struct attr *in,
		   struct span value, bool knows_index, struct apply_found *out)
{
	struct buf normal;
	bool maybe;
	int rc;

	if (in->apart != NULL || !knows_index || in->nvalues < MANY_VALUES)
		return apply_find_value(w, at, in, value, out);
	*out = (struct apply_found){.i = in->nvalues};
	buf_init(&normal, UINT32_MAX);
	rc = schema_normalize(w->x->schema, at->equality, value, &normal);
	maybe = rc == RC_OK && w->x->has_value(w->x->ctx, at->hash, buf_span(&normal));
	buf_fini(&normal);
	if (rc == RC_INVALID || (rc == RC_OK && !maybe))
		return RC_OK;
	for (out->i = 0; rc == RC_OK && out->i < in->nvalues; out->i++) {
		out->is_there = span_eq(in->values[out->i], value);
		if (out->is_there)
			return RC_OK;
	}
	return rc == RC_OK ? apply_find_value(w, at, in, value, out) : rc;
}

static int mod_add(struct apply_work *w, const struct schema_attr *at, const struct attr *mod,
		   bool is_permissive, bool knows_index)
{
	struct attr *to = apply_find_or_new(w, mod->type);
	struct attr fresh = {.type = mod->type};
	struct apply_found found;
	unsigned i;
	int rc;

	if (mod->nvalues == 0)
		return apply_refuse(w, LR_PROTOCOL_ERROR, "add without values", mod->type);
	fresh.values = arena_zalloc(w->x->arena, mod->nvalues, sizeof(*fresh.values));
	if (fresh.values == NULL)
		return RC_NOMEM;
	for (i = 0; i < mod->nvalues; i++) {
		rc = look_up(w, at, to, mod->values[i], knows_index, &found);
		if (rc != RC_OK)
			return rc;
		if (!found.is_there)
			fresh.values[fresh.nvalues++] = mod->values[i];
		else if (!is_permissive)
			return result_set(w->why, w->x->arena, LR_VALUE_EXISTS,
					  "%s: value \"%s\" exists already",
					  apply_show(w, mod->type),
					  apply_show_value(w, at, mod->values[i]));
	}
	rc = fresh.nvalues != 0 ? apply_append_found(w, at, to, &fresh) : RC_OK;
	return rc == RC_OK ? apply_check_count(w, at, to) : rc;
}

static int mod_delete(struct apply_work *w, const struct schema_attr *at, const struct attr *mod,
		      bool is_permissive, bool knows_index)
{
	struct attr *from = apply_find(w, mod->type);
	struct apply_found found;
	unsigned i;
	int rc = RC_OK;

	if (from == NULL || attr_count(from) == 0) {
		if (is_permissive)
			return RC_OK;
		return apply_refuse(w, LR_NO_SUCH_ATTRIBUTE, "no such attribute", mod->type);
	}
	if (mod->nvalues == 0) {
		from->nvalues = 0;
		from->apart = NULL;
		return RC_OK;
	}
	if (at->equality == SCHEMA_NORM_NONE)
		return apply_refuse(w, LR_INAPPROPRIATE_MATCHING,
				    "no equality rule, single values can not be deleted",
				    mod->type);
	for (i = 0; rc == RC_OK && i < mod->nvalues; i++) {
		rc = look_up(w, at, from, mod->values[i], knows_index, &found);
		if (rc == RC_OK && !found.is_there && is_permissive)
			continue;
		if (rc == RC_OK && !found.is_there)
			return result_set(w->why, w->x->arena, LR_NO_SUCH_ATTRIBUTE,
					  "%s: no value \"%s\"", apply_show(w, mod->type),
					  apply_show_value(w, at, mod->values[i]));
		if (rc == RC_OK)
			rc = apply_take_away(w, from, &found);
	}
	return rc;
}

static void mod_replace(struct apply_work *w, const struct attr *mod)
{
	struct attr *to;

	if (mod->nvalues == 0) {
		to = apply_find(w, mod->type);
		if (to != NULL) {
			to->nvalues = 0;
			to->apart = NULL;
		}
		return;
	}
	to = apply_find_or_new(w, mod->type);
	to->values = mod->values;
	to->nvalues = mod->nvalues;
	to->apart = NULL;
}

static int read_integer(struct span s, int64_t *out)
{
	char text[24], *end;
	long long v;

	if (s.n == 0 || s.n > 18)
		return RC_INVALID;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	v = strtoll(text, &end, 10);
	*out = v;
	return end == text + s.n && text[0] != ' ' && text[0] != '+' ? RC_OK : RC_INVALID;
}

/* RFC 4525 */
static int mod_increment(struct apply_work *w, const struct schema_attr *at, const struct attr *mod)
{
	struct attr *to = apply_find(w, mod->type);
	int64_t by, old;
	struct span *values;
	const char *text;
	unsigned i;

	if (at->equality != SCHEMA_NORM_INTEGER)
		return apply_refuse(w, LR_CONSTRAINT_VIOLATION, "only integers can be incremented",
				    mod->type);
	if (to == NULL || to->nvalues == 0)
		return apply_refuse(w, LR_NO_SUCH_ATTRIBUTE, "no such attribute", mod->type);
	if (mod->nvalues != 1)
		return apply_refuse(w, LR_PROTOCOL_ERROR, "increment takes one value", mod->type);
	if (read_integer(mod->values[0], &by) != RC_OK)
		return apply_refuse(w, LR_INVALID_SYNTAX, "increment is no integer", mod->type);
	values = arena_zalloc(w->x->arena, to->nvalues, sizeof(*values));
	if (values == NULL)
		return RC_NOMEM;
	for (i = 0; i < to->nvalues; i++) {
		if (read_integer(to->values[i], &old) != RC_OK)
			return apply_refuse(w, LR_CONSTRAINT_VIOLATION,
					    "value is no integer that can be incremented",
					    mod->type);
		text = arena_printf(w->x->arena, "%" PRId64, old + by);
		if (text == NULL)
			return RC_NOMEM;
		values[i] = span_of(text);
	}
	to->values = values;
	return RC_OK;
}

static int modify_one(struct apply_work *w, const struct change *c, const struct change_mod *mod)
{
	const struct schema_attr *at;
	struct attr_list canonical;
	const struct attr *m;
	bool knows_index;
	int rc;

	rc = schema_canonical(w->x->schema,
			      &(struct attr_list){(struct attr *)(uintptr_t)&mod->attr, 1},
			      w->x->arena, &canonical, w->why);
	if (rc != RC_OK)
		return rc;
	m = &canonical.attrs[0];
	at = schema_attr(w->x->schema, m->type);
	if (at == NULL)
		return RC_CORRUPT; /* schema_canonical() has just found it */
	if (at->no_user_modification && !(c->may_set_operational && apply_may_bring(at->name)))
		return apply_refuse(w, LR_CONSTRAINT_VIOLATION, "no user modification allowed",
				    m->type);
	knows_index = w->x->has_value != NULL && at->is_indexed &&
		      at->equality != SCHEMA_NORM_NONE && is_first(w, c, mod, at);
	switch (mod->op) {
	case CHANGE_OP_ADD:
		rc = mod_add(w, at, m, c->is_permissive, knows_index);
		break;
	case CHANGE_OP_DELETE:
		rc = mod_delete(w, at, m, c->is_permissive, knows_index);
		break;
	case CHANGE_OP_REPLACE:
		mod_replace(w, m);
		rc = apply_check_count(w, at, m);
		break;
	case CHANGE_OP_INCREMENT:
		rc = mod_increment(w, at, m);
		break;
	}
	return rc;
}

static int check_single(struct apply_work *w)
{
	const struct schema_attr *at;
	unsigned i;

	for (i = 0; i < w->n; i++) {
		at = schema_attr(w->x->schema, w->attrs[i].type);
		if (at != NULL && at->single && w->attrs[i].nvalues > 1)
			return apply_refuse(w, LR_CONSTRAINT_VIOLATION, "single-valued attribute",
					    w->attrs[i].type);
	}
	return RC_OK;
}

static int check_rdn_kept(struct apply_work *w, const struct dn_rdn *rdn)
{
	const struct schema_attr *at;
	struct apply_found found;
	struct attr *in;
	unsigned i;
	int rc;

	for (i = 0; i < rdn->n; i++) {
		at = schema_attr(w->x->schema, rdn->avas[i].type);
		if (at == NULL)
			continue;
		in = apply_find(w, span_of(at->name));
		found.is_there = false;
		rc = in != NULL ? apply_find_value(w, at, in, rdn->avas[i].value, &found) : RC_OK;
		if (rc != RC_OK)
			return rc;
		if (!found.is_there)
			return apply_refuse(w, LR_NOT_ALLOWED_ON_RDN,
					    "value names the entry; rename the entry instead",
					    span_of(at->name));
	}
	return RC_OK;
}

/* An entry's structural class is for life (RFC 4512 §2.4.2). */
static int check_structural(struct apply_work *w, const struct entry *old, const char *structural)
{
	struct span was;

	if (entry_first(old, "structuralObjectClass", &was) &&
	    !span_eq_nocase(was, span_of(structural)))
		return result_set(w->why, w->x->arena, LR_CLASS_MODS_PROHIBITED,
				  "objectClass: structural class would change from %s to %s",
				  apply_show(w, was), structural);
	return RC_OK;
}

int apply_modify(const struct apply_context *x, const struct entry *old, const struct change *c,
		 struct apply_entry *out, struct result *why)
{
	const char *structural = NULL;
	struct dn_rdn rdn;
	struct apply_work w;
	unsigned i;
	int rc = apply_work_open(&w, x, old, c->nmods + 2, why);

	if (rc == RC_OK)
		rc = apply_parse_rdn(&w, old->head.rdn, &rdn);
	for (i = 0; rc == RC_OK && i < c->nmods; i++)
		rc = modify_one(&w, c, &c->mods[i]);
	if (rc == RC_OK)
		rc = check_single(&w);
	if (rc == RC_OK)
		rc = check_rdn_kept(&w, &rdn);
	if (rc == RC_OK)
		rc = apply_check(&w, &rdn, &structural);
	if (rc == RC_OK)
		rc = check_structural(&w, old, structural);
	if (rc == RC_OK && !c->may_set_operational)
		rc = apply_touch(&w, c);
	return rc == RC_OK ? apply_finish(&w, out) : rc;
}
