#include "dird/apply_int.h"

#include "dird/view.h"
#include "lib/clock.h"

#define SHOWN_BYTES 64

/* Printable and short, for messages. */
const char *apply_show(struct apply_work *w, struct span s)
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

const char *apply_show_value(struct apply_work *w, const struct schema_attr *at, struct span v)
{
	return at->is_protected ? "(hidden)" : apply_show(w, v);
}

int apply_refuse(struct apply_work *w, enum ldap_result code, const char *what, struct span type)
{
	return result_set(w->why, w->x->arena, code, "%s: %s", apply_show(w, type), what);
}

int apply_work_init(struct apply_work *w, const struct apply_context *x, struct attr_list from,
		    unsigned more, struct result *why)
{
	unsigned i;

	w->x = x;
	w->why = why;
	w->old = NULL;
	w->n = 0;
	w->room = from.n + more;
	w->attrs = arena_zalloc(x->arena, w->room, sizeof(*w->attrs));
	if (w->attrs == NULL)
		return RC_NOMEM;
	for (i = 0; i < from.n; i++)
		w->attrs[w->n++] = from.attrs[i];
	return RC_OK;
}

int apply_work_open(struct apply_work *w, const struct apply_context *x, const struct entry *old,
		    unsigned more, struct result *why)
{
	struct attr_list list;
	int rc = entry_decode_near(old, x->arena, &list);

	if (rc == RC_OK)
		rc = apply_work_init(w, x, list, more, why);
	w->old = old;
	return rc;
}

struct attr *apply_find(struct apply_work *w, struct span description)
{
	unsigned i;

	for (i = 0; i < w->n; i++) {
		if (span_eq_nocase(w->attrs[i].type, description))
			return &w->attrs[i];
	}
	return NULL;
}

struct attr *apply_find_or_new(struct apply_work *w, struct span description)
{
	struct attr *at = apply_find(w, description);

	if (at == NULL) {
		must(w->n < w->room);
		at = &w->attrs[w->n++];
		at->type = description;
	}
	return at;
}

int apply_set(struct apply_work *w, const char *type, struct span value)
{
	struct attr *at = apply_find_or_new(w, span_of(type));

	at->values = arena_zalloc(w->x->arena, 1, sizeof(*at->values));
	if (at->values == NULL)
		return RC_NOMEM;
	at->values[0] = value;
	at->nvalues = 1;
	return RC_OK;
}

int apply_set_text(struct apply_work *w, const char *type, const char *value)
{
	struct span v = arena_span(w->x->arena, span_of(value));

	return v.p != NULL ? apply_set(w, type, v) : RC_NOMEM;
}

static void drop_empty(struct apply_work *w)
{
	unsigned i, n = 0;

	for (i = 0; i < w->n; i++) {
		if (attr_count(&w->attrs[i]) != 0)
			w->attrs[n++] = w->attrs[i];
	}
	w->n = n;
}

int apply_finish(struct apply_work *w, struct apply_entry *out)
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
int apply_match(struct apply_work *w, const struct schema_attr *at, const struct attr *in,
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

int apply_append(struct apply_work *w, struct attr *to, const struct attr *more)
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

int apply_remove(struct apply_work *w, struct attr *from, unsigned i)
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

/* X.501 §9.3: each value of an RDN is of another type. slapd would not take such a name. */
static bool is_type_twice(const struct schema *s, const struct dn_rdn *rdn, unsigned i)
{
	const struct schema_attr *at = schema_attr(s, rdn->avas[i].type);
	unsigned k;

	for (k = 0; k < i; k++) {
		if (schema_attr(s, rdn->avas[k].type) == at)
			return true;
	}
	return false;
}

int apply_add_rdn(struct apply_work *w, const struct dn_rdn *rdn)
{
	const struct schema_attr *at;
	unsigned i, found;
	struct attr one, *to;
	int rc;

	for (i = 0; i < rdn->n; i++) {
		at = schema_attr(w->x->schema, rdn->avas[i].type);
		if (at == NULL)
			return apply_refuse(w, LR_UNDEFINED_TYPE,
					    "attribute type of the RDN not defined",
					    rdn->avas[i].type);
		if (at->no_user_modification)
			return apply_refuse(w, LR_NAMING_VIOLATION,
					    "operational attribute can not name an entry",
					    rdn->avas[i].type);
		if (is_type_twice(w->x->schema, rdn, i))
			return apply_refuse(w, LR_NAMING_VIOLATION,
					    "two values of one type in the RDN", rdn->avas[i].type);
		to = apply_find_or_new(w, span_of(at->name));
		rc = apply_whole(w, to);
		if (rc == RC_OK)
			rc = apply_match(w, at, to, rdn->avas[i].value, &found);
		if (rc != RC_OK)
			return rc;
		if (found < to->nvalues)
			continue;
		one.values = &rdn->avas[i].value;
		one.nvalues = 1;
		rc = apply_append(w, to, &one);
		if (rc != RC_OK)
			return rc;
		if (at->single && to->nvalues > 1)
			return apply_refuse(
				w, LR_CONSTRAINT_VIOLATION,
				"single-valued attribute has another value than the RDN", to->type);
		if (schema_check_value(w->x->schema, at, rdn->avas[i].value) == RC_INVALID)
			return apply_refuse(w, LR_INVALID_SYNTAX, "value of the RDN is malformed",
					    to->type);
	}
	return RC_OK;
}

int apply_remove_rdn(struct apply_work *w, const struct dn_rdn *rdn)
{
	const struct schema_attr *at;
	unsigned i, found;
	struct attr *from;
	int rc;

	for (i = 0; i < rdn->n; i++) {
		at = schema_attr(w->x->schema, rdn->avas[i].type);
		from = at != NULL ? apply_find(w, span_of(at->name)) : NULL;
		if (from == NULL)
			continue;
		rc = apply_whole(w, from);
		if (rc == RC_OK)
			rc = apply_match(w, at, from, rdn->avas[i].value, &found);
		if (rc == RC_OK && found < from->nvalues)
			rc = apply_remove(w, from, found);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

int apply_parse_rdn(struct apply_work *w, struct span text, struct dn_rdn *out)
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

static int rdn_text(struct apply_work *w, const struct dn_rdn *rdn, struct span *out)
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
static struct span first_value(struct apply_work *w, const char *type)
{
	const struct attr *at = apply_find(w, span_of(type));

	return at != NULL && at->nvalues != 0 ? at->values[0] : (struct span){NULL, 0};
}

/* A definition that can not be carried out would be a view that shows nothing. */
static int check_view(struct apply_work *w)
{
	const struct view_text text = {first_value(w, "viewBase"), first_value(w, "viewFilter"),
				       first_value(w, "viewScope"), first_value(w, "viewSort")};
	struct view view;
	const char *why;
	int rc = view_read(w->x->schema, &text, w->x->arena, &view, &why);

	return rc == RC_INVALID
		       ? result_set(w->why, w->x->arena, LR_CONSTRAINT_VIOLATION, "%s", why)
		       : rc;
}

/* The schema looks for them among the others. */
static int take_rdn_values(struct apply_work *w, const struct dn_rdn *rdn)
{
	const struct schema_attr *type;
	struct attr *at;
	unsigned i;
	int rc = RC_OK;

	for (i = 0; rc == RC_OK && i < rdn->n; i++) {
		type = schema_attr(w->x->schema, rdn->avas[i].type);
		at = type != NULL ? apply_find(w, span_of(type->name)) : NULL;
		if (at != NULL)
			rc = apply_whole(w, at);
	}
	return rc;
}

int apply_check(struct apply_work *w, const struct dn_rdn *rdn, const char **structural)
{
	const struct schema_class *class;
	struct attr_list list;
	struct span text;
	int rc = rdn_text(w, rdn, &text);

	if (rc == RC_OK)
		rc = take_rdn_values(w, rdn);
	if (rc != RC_OK)
		return rc;
	drop_empty(w);
	list = (struct attr_list){w->attrs, w->n};
	rc = schema_check_entry(w->x->schema, text, &list, w->x->arena, &class, w->why);
	if (rc == RC_OK)
		*structural = class->name;
	if (rc == RC_OK && strcmp(class->name, "addressBookView") == 0)
		rc = check_view(w);
	return rc;
}

int apply_check_count(struct apply_work *w, const struct schema_attr *at, const struct attr *attr)
{
	unsigned max = w->x->max_values;

	if (max == 0 || at->names_entries || attr->nvalues <= max)
		return RC_OK;
	return result_set(w->why, w->x->arena, LR_ADMIN_LIMIT,
			  "%s: more than %u values (values-limit)", apply_show(w, attr->type), max);
}

int apply_touch(struct apply_work *w, const struct change *c)
{
	char now[CLOCK_GENERALIZED_BYTES];
	int rc;

	clock_generalized(w->x->wall_us, now);
	rc = apply_set_text(w, "modifyTimestamp", now);
	if (rc == RC_OK && c->actor.n != 0)
		rc = apply_set(w, "modifiersName", c->actor);
	return rc;
}

/* Operational attributes that a load may bring along; the rest is computed here. */
bool apply_may_bring(const char *name)
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
