#include "dird/apply.h"

#include "dird/apply_int.h"
#include "lib/clock.h"

/* --- add --- */

/* What other servers write into their dumps and what means nothing here. */
static bool is_dropped_unknown(struct span type)
{
	return span_eq_nocase(type, SPAN_LIT("entryCSN")) ||
	       span_eq_nocase(type, SPAN_LIT("contextCSN"));
}

static int pick_given(struct apply_work *w, const struct change *c)
{
	const struct schema_attr *at;
	unsigned i;
	int rc;

	for (i = 0; i < c->attrs.n; i++) {
		at = schema_attr(w->x->schema, c->attrs.attrs[i].type);
		if (c->may_set_operational) {
			if (at == NULL && is_dropped_unknown(c->attrs.attrs[i].type))
				continue;
			if (at != NULL && at->no_user_modification && !apply_may_bring(at->name))
				continue;
		} else if (at != NULL && at->no_user_modification) {
			return apply_refuse(w, LR_CONSTRAINT_VIOLATION,
					    "no user modification allowed", c->attrs.attrs[i].type);
		}
		if (c->attrs.attrs[i].nvalues == 0)
			return apply_refuse(w, LR_PROTOCOL_ERROR, "attribute without values",
					    c->attrs.attrs[i].type);
		rc = at != NULL ? apply_check_count(w, at, &c->attrs.attrs[i]) : RC_OK;
		if (rc != RC_OK)
			return rc;
		w->attrs[w->n++] = c->attrs.attrs[i];
	}
	return RC_OK;
}

static int take_uuid(struct apply_work *w, struct uuid *uuid)
{
	struct attr *given = apply_find(w, SPAN_LIT("entryUUID"));
	char text[UUID_TEXT_BYTES];

	if (given != NULL && given->nvalues != 0 && uuid_parse(given->values[0], uuid) != RC_OK)
		return apply_refuse(w, LR_INVALID_SYNTAX, "not a UUID", given->type);
	uuid_write(uuid, text);
	return apply_set_text(w, "entryUUID", text);
}

static int add_operational(struct apply_work *w, const struct change *c, const char *structural,
			   struct uuid *uuid)
{
	char now[CLOCK_GENERALIZED_BYTES];
	int rc;

	clock_generalized(w->x->wall_us, now);
	rc = apply_set_text(w, "structuralObjectClass", structural);
	if (rc == RC_OK)
		rc = take_uuid(w, uuid);
	if (rc == RC_OK && apply_find(w, SPAN_LIT("createTimestamp")) == NULL)
		rc = apply_set_text(w, "createTimestamp", now);
	if (rc == RC_OK && apply_find(w, SPAN_LIT("modifyTimestamp")) == NULL)
		rc = apply_set_text(w, "modifyTimestamp", now);
	if (rc == RC_OK && c->actor.n != 0 && apply_find(w, SPAN_LIT("creatorsName")) == NULL)
		rc = apply_set(w, "creatorsName", c->actor);
	if (rc == RC_OK && c->actor.n != 0 && apply_find(w, SPAN_LIT("modifiersName")) == NULL)
		rc = apply_set(w, "modifiersName", c->actor);
	return rc;
}

int apply_add(const struct apply_context *x, const struct change *c, struct uuid *uuid,
	      struct apply_entry *out, struct result *why)
{
	const struct dn_rdn *rdn = &c->dn.rdns[0];
	const char *structural = NULL;
	struct attr_list canonical;
	struct apply_work w;
	int rc;

	must(c->dn.n != 0);
	rc = apply_work_init(&w, x, (struct attr_list){NULL, 0}, c->attrs.n, why);
	if (rc == RC_OK)
		rc = pick_given(&w, c);
	if (rc == RC_OK)
		rc = schema_canonical(x->schema, &(struct attr_list){w.attrs, w.n}, x->arena,
				      &canonical, why);
	if (rc == RC_OK) /* the RDN, six operational attributes */
		rc = apply_work_init(&w, x, canonical, rdn->n + 6, why);
	if (rc == RC_OK)
		rc = apply_add_rdn(&w, rdn);
	if (rc == RC_OK)
		rc = apply_check(&w, rdn, &structural);
	if (rc == RC_OK)
		rc = add_operational(&w, c, structural, uuid);
	return rc == RC_OK ? apply_finish(&w, out) : rc;
}

/* --- rename --- */

int apply_rename(const struct apply_context *x, const struct entry *old, const struct change *c,
		 struct apply_entry *out, struct result *why)
{
	const char *structural = NULL;
	struct dn_rdn rdn;
	struct apply_work w;
	int rc = apply_work_open(&w, x, old, c->new_rdn.n + 2, why);

	if (rc == RC_OK)
		rc = apply_parse_rdn(&w, old->head.rdn, &rdn);
	if (rc == RC_OK && c->delete_old_rdn)
		rc = apply_remove_rdn(&w, &rdn);
	if (rc == RC_OK)
		rc = apply_add_rdn(&w, &c->new_rdn);
	if (rc == RC_OK)
		rc = apply_check(&w, &c->new_rdn, &structural);
	if (rc == RC_OK)
		rc = apply_touch(&w, c);
	return rc == RC_OK ? apply_finish(&w, out) : rc;
}

/* --- replicated entries --- */

static bool is_computed(struct span type)
{
	static const char *const names[] = {"originStamp",     "parentUUID",
					    "entryDN",         "hasSubordinates",
					    "numSubordinates", "subschemaSubentry"};
	unsigned i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (span_eq_nocase(type, span_of(names[i])))
			return true;
	}
	return false;
}

int apply_put(const struct apply_context *x, const struct change *c, struct apply_entry *out)
{
	char text[UUID_TEXT_BYTES];
	struct apply_work w;
	unsigned i;
	int rc = apply_work_init(&w, x, (struct attr_list){NULL, 0}, c->attrs.n + 1, NULL);

	if (rc != RC_OK)
		return rc;
	for (i = 0; i < c->attrs.n; i++) {
		if (!is_computed(c->attrs.attrs[i].type))
			w.attrs[w.n++] = c->attrs.attrs[i];
	}
	uuid_write(&c->uuid, text);
	rc = apply_set_text(&w, "entryUUID", text);
	return rc == RC_OK ? apply_finish(&w, out) : rc;
}

static bool is_true(const struct attr *at, const char *type)
{
	return span_eq_nocase(at->type, span_of(type)) && at->nvalues == 1 &&
	       span_eq_nocase(at->values[0], SPAN_LIT("TRUE"));
}

uint8_t apply_flags(const struct schema *s, const struct attr_list *attrs)
{
	const struct schema_attr *at;
	unsigned i, flags = 0;

	for (i = 0; i < attrs->n; i++) {
		at = schema_attr(s, attrs->attrs[i].type);
		if (at != NULL && at->names_entries && attr_count(&attrs->attrs[i]) != 0)
			flags |= ENTRY_HAS_NAMES;
		if (is_true(&attrs->attrs[i], "hideFromAddressLists"))
			flags |= ENTRY_HIDDEN;
		if (is_true(&attrs->attrs[i], "hideDLMembership"))
			flags |= ENTRY_HIDES_MEMBERS;
	}
	return (uint8_t)flags;
}

bool apply_has_class(const struct schema *s, const struct attr_list *attrs, const char *class)
{
	const struct schema_class *want = schema_class(s, span_of(class));
	unsigned i, k;

	for (i = 0; i < attrs->n; i++) {
		if (!span_eq_nocase(attrs->attrs[i].type, SPAN_LIT("objectClass")))
			continue;
		for (k = 0; k < attrs->attrs[i].nvalues; k++) {
			if (span_eq_nocase(attrs->attrs[i].values[k], span_of(class)) ||
			    (want != NULL && schema_class(s, attrs->attrs[i].values[k]) == want))
				return true;
		}
	}
	return false;
}
