#include "dird/apply.h"

#include "lib/clock.h"
#include "lib/dn.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SHOWN_BYTES 64

/* Attributes being changed: an array with room for more. */
struct work {
	const struct apply_context *x;
	struct attr *attrs;
	unsigned n, room;
	struct result *why;
};

/* Printable and short, for messages. */
static const char *show(struct work *w, struct span s)
{
	char *text = arena_str(w->x->arena, span_head(s, SHOWN_BYTES));
	size_t i;

	if (text == NULL)
		return "?";
	for (i = 0; i < s.n && i < SHOWN_BYTES; i++) {
		if (text[i] < 0x20 || text[i] > 0x7e)
			text[i] = '?';
	}
	return text;
}

static const char *show_value(struct work *w, const struct schema_attr *at, struct span v)
{
	return at->is_protected ? "(hidden)" : show(w, v);
}

static int refuse(struct work *w, enum ldap_result code, const char *what, struct span type)
{
	return result_set(w->why, w->x->arena, code, "%s: %s", show(w, type), what);
}

static int work_init(struct work *w, const struct apply_context *x, struct attr_list from,
		     unsigned more, struct result *why)
{
	unsigned i;

	w->x = x;
	w->why = why;
	w->n = 0;
	w->room = from.n + more;
	w->attrs = arena_zalloc(x->arena, w->room, sizeof(*w->attrs));
	if (w->attrs == NULL)
		return RC_NOMEM;
	for (i = 0; i < from.n; i++)
		w->attrs[w->n++] = from.attrs[i];
	return RC_OK;
}

static struct attr *find(struct work *w, struct span description)
{
	unsigned i;

	for (i = 0; i < w->n; i++) {
		if (span_eq_nocase(w->attrs[i].type, description))
			return &w->attrs[i];
	}
	return NULL;
}

static struct attr *find_or_new(struct work *w, struct span description)
{
	struct attr *at = find(w, description);

	if (at == NULL) {
		must(w->n < w->room);
		at = &w->attrs[w->n++];
		at->type = description;
	}
	return at;
}

static int set_one(struct work *w, const char *type, struct span value)
{
	struct attr *at = find_or_new(w, span_of(type));

	at->values = arena_zalloc(w->x->arena, 1, sizeof(*at->values));
	if (at->values == NULL)
		return RC_NOMEM;
	at->values[0] = value;
	at->nvalues = 1;
	return RC_OK;
}

static int set_text(struct work *w, const char *type, const char *value)
{
	struct span v = arena_span(w->x->arena, span_of(value));

	return v.p != NULL ? set_one(w, type, v) : RC_NOMEM;
}

static void drop_empty(struct work *w)
{
	unsigned i, n = 0;

	for (i = 0; i < w->n; i++) {
		if (w->attrs[i].nvalues != 0)
			w->attrs[n++] = w->attrs[i];
	}
	w->n = n;
}

static int finish(struct work *w, struct apply_entry *out)
{
	unsigned i;

	drop_empty(w);
	out->attrs = (struct attr_list){w->attrs, w->n};
	out->runs = arena_zalloc(w->x->arena, w->n, sizeof(*out->runs));
	if (out->runs == NULL)
		return RC_NOMEM;
	for (i = 0; i < w->n; i++)
		out->runs[i] = schema_run(w->x->schema, w->attrs[i].type);
	return RC_OK;
}

/* --- values --- */

static enum schema_norm norm_of(const struct schema_attr *at)
{
	return at->equality != SCHEMA_NORM_NONE ? at->equality : SCHEMA_NORM_OCTETS;
}

/* Index of a value that matches, or nvalues. */
static int match_value(struct work *w, const struct schema_attr *at, const struct attr *in,
		       struct span value, unsigned *out)
{
	struct buf want, got;
	int rc;

	buf_init(&want, UINT32_MAX);
	buf_init(&got, UINT32_MAX);
	rc = schema_normalize(w->x->schema, norm_of(at), value, &want);
	for (*out = 0; rc == RC_OK && *out < in->nvalues; ++*out) {
		buf_clear(&got);
		rc = schema_normalize(w->x->schema, norm_of(at), in->values[*out], &got);
		if (rc == RC_INVALID)
			rc = RC_OK; /* came in by replication; matches nothing */
		else if (rc == RC_OK && span_eq(buf_span(&want), buf_span(&got)))
			break;
	}
	buf_fini(&want);
	buf_fini(&got);
	if (rc == RC_INVALID)
		*out = in->nvalues;
	return rc == RC_INVALID ? RC_OK : rc;
}

static int append_values(struct work *w, struct attr *to, const struct attr *more)
{
	unsigned n = to->nvalues + more->nvalues;
	struct span *values = arena_zalloc(w->x->arena, n, sizeof(*values));

	if (values == NULL)
		return RC_NOMEM;
	if (to->nvalues != 0)
		memcpy(values, to->values, to->nvalues * sizeof(*values));
	memcpy(values + to->nvalues, more->values, more->nvalues * sizeof(*values));
	to->values = values;
	to->nvalues = n;
	return RC_OK;
}

static int remove_value(struct work *w, struct attr *from, unsigned i)
{
	struct span *values = arena_zalloc(w->x->arena, from->nvalues, sizeof(*values));

	if (values == NULL)
		return RC_NOMEM;
	memcpy(values, from->values, i * sizeof(*values));
	memcpy(values + i, from->values + i + 1, (from->nvalues - i - 1) * sizeof(*values));
	from->values = values;
	from->nvalues--;
	return RC_OK;
}

/* --- names --- */

static int add_rdn_values(struct work *w, const struct dn_rdn *rdn)
{
	const struct schema_attr *at;
	unsigned i, found;
	struct attr one, *to;
	int rc;

	for (i = 0; i < rdn->n; i++) {
		at = schema_attr(w->x->schema, rdn->avas[i].type);
		if (at == NULL)
			return refuse(w, LR_UNDEFINED_TYPE, "attribute type of the RDN not defined",
				      rdn->avas[i].type);
		if (at->no_user_modification)
			return refuse(w, LR_NAMING_VIOLATION,
				      "operational attribute can not name an entry",
				      rdn->avas[i].type);
		to = find_or_new(w, span_of(at->name));
		rc = match_value(w, at, to, rdn->avas[i].value, &found);
		if (rc != RC_OK)
			return rc;
		if (found < to->nvalues)
			continue;
		one.values = &rdn->avas[i].value;
		one.nvalues = 1;
		rc = append_values(w, to, &one);
		if (rc != RC_OK)
			return rc;
		if (at->single && to->nvalues > 1)
			return refuse(w, LR_CONSTRAINT_VIOLATION,
				      "single-valued attribute has another value than the RDN",
				      to->type);
		if (schema_check_value(w->x->schema, at, rdn->avas[i].value) == RC_INVALID)
			return refuse(w, LR_INVALID_SYNTAX, "value of the RDN is malformed",
				      to->type);
	}
	return RC_OK;
}

static int remove_rdn_values(struct work *w, const struct dn_rdn *rdn)
{
	const struct schema_attr *at;
	unsigned i, found;
	struct attr *from;
	int rc;

	for (i = 0; i < rdn->n; i++) {
		at = schema_attr(w->x->schema, rdn->avas[i].type);
		from = at != NULL ? find(w, span_of(at->name)) : NULL;
		if (from == NULL)
			continue;
		rc = match_value(w, at, from, rdn->avas[i].value, &found);
		if (rc == RC_OK && found < from->nvalues)
			rc = remove_value(w, from, found);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

static int parse_rdn(struct work *w, struct span text, struct dn_rdn *out)
{
	struct span first = text;
	const char *why = NULL;
	struct dn dn;
	int rc = dn_parse(w->x->arena, first, &dn, &why); /* the root's has several RDNs */

	if (rc == RC_OK && dn.n == 0)
		rc = RC_INVALID;
	if (rc == RC_OK)
		*out = dn.rdns[0];
	return rc == RC_INVALID || rc == RC_TOOBIG ? RC_CORRUPT : rc;
}

static int rdn_text(struct work *w, const struct dn_rdn *rdn, struct span *out)
{
	struct buf b;
	int rc;

	buf_init(&b, 4 * DN_MAX_BYTES);
	dn_rdn_write(rdn, &b);
	rc = buf_rc(&b);
	if (rc == RC_OK) {
		*out = arena_span(w->x->arena, buf_span(&b));
		rc = out->p != NULL ? RC_OK : RC_NOMEM;
	}
	buf_fini(&b);
	return rc;
}

/* --- the schema's say --- */

/* Check the whole entry; *structural is its name. */
static int check_entry(struct work *w, const struct dn_rdn *rdn, const char **structural)
{
	const struct schema_class *class;
	struct attr_list list;
	struct span text;
	int rc = rdn_text(w, rdn, &text);

	if (rc != RC_OK)
		return rc;
	drop_empty(w);
	list = (struct attr_list){w->attrs, w->n};
	rc = schema_check_entry(w->x->schema, text, &list, w->x->arena, &class, w->why);
	if (rc == RC_OK)
		*structural = class->name;
	return rc;
}

static int touch(struct work *w, const struct change *c)
{
	char now[CLOCK_GENERALIZED_BYTES];
	int rc;

	clock_generalized(w->x->wall_us, now);
	rc = set_text(w, "modifyTimestamp", now);
	if (rc == RC_OK && c->actor.n != 0)
		rc = set_one(w, "modifiersName", c->actor);
	return rc;
}

/* --- add --- */

/* Operational attributes that a load may bring along; the rest is computed here. */
static bool is_kept(const char *name)
{
	static const char *const kept[] = {"entryUUID", "createTimestamp", "creatorsName",
					   "modifyTimestamp", "modifiersName"};
	unsigned i;

	for (i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		if (strcmp(kept[i], name) == 0)
			return true;
	}
	return false;
}

/* What other servers write into their dumps and what means nothing here. */
static bool is_dropped_unknown(struct span type)
{
	return span_eq_nocase(type, SPAN_LIT("entryCSN")) ||
	       span_eq_nocase(type, SPAN_LIT("contextCSN"));
}

static int pick_given(struct work *w, const struct change *c)
{
	const struct schema_attr *at;
	unsigned i;

	for (i = 0; i < c->attrs.n; i++) {
		at = schema_attr(w->x->schema, c->attrs.attrs[i].type);
		if (c->may_set_operational) {
			if (at == NULL && is_dropped_unknown(c->attrs.attrs[i].type))
				continue;
			if (at != NULL && at->no_user_modification && !is_kept(at->name))
				continue;
		} else if (at != NULL && at->no_user_modification) {
			return refuse(w, LR_CONSTRAINT_VIOLATION, "no user modification allowed",
				      c->attrs.attrs[i].type);
		}
		if (c->attrs.attrs[i].nvalues == 0)
			return refuse(w, LR_PROTOCOL_ERROR, "attribute without values",
				      c->attrs.attrs[i].type);
		w->attrs[w->n++] = c->attrs.attrs[i];
	}
	return RC_OK;
}

static int take_uuid(struct work *w, struct uuid *uuid)
{
	struct attr *given = find(w, SPAN_LIT("entryUUID"));
	char text[UUID_TEXT_BYTES];

	if (given != NULL && given->nvalues != 0 && uuid_parse(given->values[0], uuid) != RC_OK)
		return refuse(w, LR_INVALID_SYNTAX, "not a UUID", given->type);
	uuid_write(uuid, text);
	return set_text(w, "entryUUID", text);
}

static int add_operational(struct work *w, const struct change *c, const char *structural,
			   struct uuid *uuid)
{
	char now[CLOCK_GENERALIZED_BYTES];
	int rc;

	clock_generalized(w->x->wall_us, now);
	rc = set_text(w, "structuralObjectClass", structural);
	if (rc == RC_OK)
		rc = take_uuid(w, uuid);
	if (rc == RC_OK && find(w, SPAN_LIT("createTimestamp")) == NULL)
		rc = set_text(w, "createTimestamp", now);
	if (rc == RC_OK && find(w, SPAN_LIT("modifyTimestamp")) == NULL)
		rc = set_text(w, "modifyTimestamp", now);
	if (rc == RC_OK && c->actor.n != 0 && find(w, SPAN_LIT("creatorsName")) == NULL)
		rc = set_one(w, "creatorsName", c->actor);
	if (rc == RC_OK && c->actor.n != 0 && find(w, SPAN_LIT("modifiersName")) == NULL)
		rc = set_one(w, "modifiersName", c->actor);
	return rc;
}

int apply_add(const struct apply_context *x, const struct change *c, struct uuid *uuid,
	      struct apply_entry *out, struct result *why)
{
	const struct dn_rdn *rdn = &c->dn.rdns[0];
	const char *structural = NULL;
	struct attr_list canonical;
	struct work w;
	int rc;

	must(c->dn.n != 0);
	rc = work_init(&w, x, (struct attr_list){NULL, 0}, c->attrs.n, why);
	if (rc == RC_OK)
		rc = pick_given(&w, c);
	if (rc == RC_OK)
		rc = schema_canonical(x->schema, &(struct attr_list){w.attrs, w.n}, x->arena,
				      &canonical, why);
	if (rc == RC_OK) /* the RDN, six operational attributes */
		rc = work_init(&w, x, canonical, rdn->n + 6, why);
	if (rc == RC_OK)
		rc = add_rdn_values(&w, rdn);
	if (rc == RC_OK)
		rc = check_entry(&w, rdn, &structural);
	if (rc == RC_OK)
		rc = add_operational(&w, c, structural, uuid);
	return rc == RC_OK ? finish(&w, out) : rc;
}

/* --- modify --- */

static int mod_add(struct work *w, const struct schema_attr *at, const struct attr *mod)
{
	struct attr *to = find_or_new(w, mod->type);
	unsigned i, found;
	int rc;

	if (mod->nvalues == 0)
		return refuse(w, LR_PROTOCOL_ERROR, "add without values", mod->type);
	for (i = 0; to->nvalues != 0 && i < mod->nvalues; i++) {
		rc = match_value(w, at, to, mod->values[i], &found);
		if (rc != RC_OK)
			return rc;
		if (found < to->nvalues)
			return result_set(w->why, w->x->arena, LR_VALUE_EXISTS,
					  "%s: value \"%s\" exists already", show(w, mod->type),
					  show_value(w, at, mod->values[i]));
	}
	return append_values(w, to, mod);
}

static int mod_delete(struct work *w, const struct schema_attr *at, const struct attr *mod)
{
	struct attr *from = find(w, mod->type);
	unsigned i, found;
	int rc = RC_OK;

	if (from == NULL || from->nvalues == 0)
		return refuse(w, LR_NO_SUCH_ATTRIBUTE, "no such attribute", mod->type);
	if (mod->nvalues == 0) {
		from->nvalues = 0;
		return RC_OK;
	}
	if (at->equality == SCHEMA_NORM_NONE)
		return refuse(w, LR_INAPPROPRIATE_MATCHING,
			      "no equality rule, single values can not be deleted", mod->type);
	for (i = 0; rc == RC_OK && i < mod->nvalues; i++) {
		rc = match_value(w, at, from, mod->values[i], &found);
		if (rc == RC_OK && found == from->nvalues)
			return result_set(w->why, w->x->arena, LR_NO_SUCH_ATTRIBUTE,
					  "%s: no value \"%s\"", show(w, mod->type),
					  show_value(w, at, mod->values[i]));
		if (rc == RC_OK)
			rc = remove_value(w, from, found);
	}
	return rc;
}

static void mod_replace(struct work *w, const struct attr *mod)
{
	struct attr *to;

	if (mod->nvalues == 0) {
		to = find(w, mod->type);
		if (to != NULL)
			to->nvalues = 0;
		return;
	}
	to = find_or_new(w, mod->type);
	to->values = mod->values;
	to->nvalues = mod->nvalues;
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
	return *end == '\0' && text[0] != ' ' && text[0] != '+' ? RC_OK : RC_INVALID;
}

/* RFC 4525 */
static int mod_increment(struct work *w, const struct attr *mod)
{
	struct attr *to = find(w, mod->type);
	int64_t by, old;
	struct span *values;
	const char *text;
	unsigned i;

	if (to == NULL || to->nvalues == 0)
		return refuse(w, LR_NO_SUCH_ATTRIBUTE, "no such attribute", mod->type);
	if (mod->nvalues != 1)
		return refuse(w, LR_PROTOCOL_ERROR, "increment takes one value", mod->type);
	if (read_integer(mod->values[0], &by) != RC_OK)
		return refuse(w, LR_INVALID_SYNTAX, "increment is no integer", mod->type);
	values = arena_zalloc(w->x->arena, to->nvalues, sizeof(*values));
	if (values == NULL)
		return RC_NOMEM;
	for (i = 0; i < to->nvalues; i++) {
		if (read_integer(to->values[i], &old) != RC_OK)
			return refuse(w, LR_CONSTRAINT_VIOLATION,
				      "value is no integer that can be incremented", mod->type);
		text = arena_printf(w->x->arena, "%" PRId64, old + by);
		if (text == NULL)
			return RC_NOMEM;
		values[i] = span_of(text);
	}
	to->values = values;
	return RC_OK;
}

static int modify_one(struct work *w, const struct change *c, const struct change_mod *mod)
{
	const struct schema_attr *at;
	struct attr_list canonical;
	const struct attr *m;
	int rc;

	rc = schema_canonical(w->x->schema,
			      &(struct attr_list){(struct attr *)(uintptr_t)&mod->attr, 1},
			      w->x->arena, &canonical, w->why);
	if (rc != RC_OK)
		return rc;
	m = &canonical.attrs[0];
	at = schema_attr(w->x->schema, m->type);
	must(at != NULL);
	if (at->no_user_modification && !(c->may_set_operational && is_kept(at->name)))
		return refuse(w, LR_CONSTRAINT_VIOLATION, "no user modification allowed", m->type);
	switch (mod->op) {
	case CHANGE_OP_ADD:
		rc = mod_add(w, at, m);
		break;
	case CHANGE_OP_DELETE:
		rc = mod_delete(w, at, m);
		break;
	case CHANGE_OP_REPLACE:
		mod_replace(w, m);
		break;
	case CHANGE_OP_INCREMENT:
		rc = mod_increment(w, m);
		break;
	}
	return rc;
}

static int check_single(struct work *w)
{
	const struct schema_attr *at;
	unsigned i;

	for (i = 0; i < w->n; i++) {
		at = schema_attr(w->x->schema, w->attrs[i].type);
		if (at != NULL && at->single && w->attrs[i].nvalues > 1)
			return refuse(w, LR_CONSTRAINT_VIOLATION, "single-valued attribute",
				      w->attrs[i].type);
	}
	return RC_OK;
}

static int check_rdn_kept(struct work *w, const struct dn_rdn *rdn)
{
	const struct schema_attr *at;
	unsigned i, found;
	struct attr *in;
	int rc;

	for (i = 0; i < rdn->n; i++) {
		at = schema_attr(w->x->schema, rdn->avas[i].type);
		if (at == NULL)
			continue;
		in = find(w, span_of(at->name));
		found = 0;
		rc = in != NULL ? match_value(w, at, in, rdn->avas[i].value, &found) : RC_OK;
		if (rc != RC_OK)
			return rc;
		if (in == NULL || found == in->nvalues)
			return refuse(w, LR_NOT_ALLOWED_ON_RDN, "value names the entry",
				      span_of(at->name));
	}
	return RC_OK;
}

/* An entry's structural class is for life (RFC 4512 §2.4.2). */
static int check_structural(struct work *w, const struct entry *old, const char *structural)
{
	struct span was;

	if (entry_first(old, "structuralObjectClass", &was) &&
	    !span_eq_nocase(was, span_of(structural)))
		return result_set(w->why, w->x->arena, LR_CLASS_MODS_PROHIBITED,
				  "objectClass: structural class would change from %s to %s",
				  show(w, was), structural);
	return RC_OK;
}

int apply_modify(const struct apply_context *x, const struct entry *old, const struct change *c,
		 struct apply_entry *out, struct result *why)
{
	const char *structural = NULL;
	struct attr_list list;
	struct dn_rdn rdn;
	struct work w;
	unsigned i;
	int rc;

	rc = entry_decode(old, true, x->arena, &list);
	if (rc == RC_OK)
		rc = work_init(&w, x, list, c->nmods + 2, why);
	if (rc == RC_OK)
		rc = parse_rdn(&w, old->head.rdn, &rdn);
	for (i = 0; rc == RC_OK && i < c->nmods; i++)
		rc = modify_one(&w, c, &c->mods[i]);
	if (rc == RC_OK)
		rc = check_single(&w);
	if (rc == RC_OK)
		rc = check_rdn_kept(&w, &rdn);
	if (rc == RC_OK)
		rc = check_entry(&w, &rdn, &structural);
	if (rc == RC_OK)
		rc = check_structural(&w, old, structural);
	if (rc == RC_OK && !c->may_set_operational)
		rc = touch(&w, c);
	return rc == RC_OK ? finish(&w, out) : rc;
}

/* --- rename --- */

int apply_rename(const struct apply_context *x, const struct entry *old, const struct change *c,
		 struct apply_entry *out, struct result *why)
{
	const char *structural = NULL;
	struct attr_list list;
	struct dn_rdn rdn;
	struct work w;
	int rc;

	rc = entry_decode(old, true, x->arena, &list);
	if (rc == RC_OK)
		rc = work_init(&w, x, list, c->new_rdn.n + 2, why);
	if (rc == RC_OK)
		rc = parse_rdn(&w, old->head.rdn, &rdn);
	if (rc == RC_OK && c->delete_old_rdn)
		rc = remove_rdn_values(&w, &rdn);
	if (rc == RC_OK)
		rc = add_rdn_values(&w, &c->new_rdn);
	if (rc == RC_OK)
		rc = check_entry(&w, &c->new_rdn, &structural);
	if (rc == RC_OK)
		rc = touch(&w, c);
	return rc == RC_OK ? finish(&w, out) : rc;
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
	struct work w;
	unsigned i;
	int rc = work_init(&w, x, (struct attr_list){NULL, 0}, c->attrs.n + 1, NULL);

	if (rc != RC_OK)
		return rc;
	for (i = 0; i < c->attrs.n; i++) {
		if (!is_computed(c->attrs.attrs[i].type))
			w.attrs[w.n++] = c->attrs.attrs[i];
	}
	uuid_write(&c->uuid, text);
	rc = set_text(&w, "entryUUID", text);
	return rc == RC_OK ? finish(&w, out) : rc;
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
