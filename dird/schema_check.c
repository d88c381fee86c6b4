/* Whole entries against the schema: RFC 4512 §2.4 to §2.6, X.501, X.511. */
#include "dird/schema_def.h"

#include "lib/dn.h"

#define CLASSES_MAX 256

/* The object classes of an entry with all their superclasses, each once. */
struct class_set {
	const struct schema_class *list[CLASSES_MAX];
	unsigned n;
	unsigned given; /* the first ones, as the entry names them */
};

static bool set_has(const struct class_set *set, const struct schema_class *c)
{
	unsigned i = 0;

	while (i < set->n && set->list[i] != c)
		i++;
	return i < set->n;
}

static int set_add(struct class_set *set, const struct schema_class *c)
{
	if (set_has(set, c))
		return RC_OK;
	if (set->n == CLASSES_MAX)
		return RC_TOOBIG;
	set->list[set->n++] = c;
	return RC_OK;
}

static int read_classes(const struct schema *s, const struct attr *oc, struct arena *a,
			struct class_set *set, struct result *why)
{
	const struct schema_class *c;
	struct schema_shown text;
	unsigned i, k;
	int rc = RC_OK;

	for (i = 0; i < oc->nvalues && rc == RC_OK; i++) {
		c = schema_class(s, oc->values[i]);
		if (c == NULL)
			return result_set(why, a, LR_CLASS_VIOLATION,
					  "objectClass: class \"%s\" not defined",
					  schema_show(oc->values[i], &text));
		rc = set_add(set, c);
	}
	set->given = set->n;
	for (i = 0; i < set->n && rc == RC_OK; i++) {
		for (k = 0; set->list[i]->sups[k] != NULL && rc == RC_OK; k++)
			rc = set_add(set, set->list[i]->sups[k]);
	}
	if (rc == RC_TOOBIG)
		return result_set(why, a, LR_CLASS_VIOLATION, "objectClass: more than %d classes",
				  CLASSES_MAX);
	return rc;
}

/* The lowest structural class; every other one must lie above it (RFC 4512 §2.4.2). */
static int find_structural(const struct class_set *set, struct arena *a,
			   const struct schema_class **out, struct result *why)
{
	const struct schema_class *lowest = NULL, *c;
	unsigned i;

	for (i = 0; i < set->n; i++) {
		c = set->list[i];
		if (c->kind != SCHEMA_STRUCTURAL || (lowest != NULL && schema_class_is(lowest, c)))
			continue;
		if (lowest != NULL && !schema_class_is(c, lowest))
			return result_set(
				why, a, LR_CLASS_VIOLATION,
				"objectClass: structural classes %s and %s are not of one chain",
				lowest->name, c->name);
		lowest = c;
	}
	if (lowest == NULL)
		return result_set(why, a, LR_CLASS_VIOLATION, "objectClass: no structural class");
	*out = lowest;
	return RC_OK;
}

/* An abstract class stands only above another one of the entry (RFC 4512 §2.4.1). */
static int check_abstract(const struct class_set *set, struct arena *a, struct result *why)
{
	unsigned i, k;

	for (i = 0; i < set->n; i++) {
		if (set->list[i]->kind != SCHEMA_ABSTRACT)
			continue;
		for (k = 0; k < set->n; k++) {
			if (set->list[k]->kind != SCHEMA_ABSTRACT &&
			    schema_class_is(set->list[k], set->list[i]))
				break;
		}
		if (k == set->n)
			return result_set(why, a, LR_CLASS_VIOLATION,
					  "objectClass: abstract class %s without a class below it",
					  set->list[i]->name);
	}
	return RC_OK;
}

static int add_superclasses(struct attr *oc, const struct class_set *set, struct arena *a)
{
	struct span *values;
	unsigned i, n = oc->nvalues, missing = set->n - set->given;

	if (missing == 0)
		return RC_OK;
	values = arena_zalloc(a, (size_t)n + missing, sizeof(*values));
	if (values == NULL)
		return RC_NOMEM;
	memcpy(values, oc->values, n * sizeof(*values));
	for (i = set->given; i < set->n; i++)
		values[n++] = span_of(set->list[i]->name);
	oc->values = values;
	oc->nvalues = n;
	return RC_OK;
}

static bool has_bit(const uint64_t *bits, unsigned id)
{
	return (bits[id / 64] >> id % 64 & 1) != 0;
}

static bool lists(const struct schema_attr *const *list, const struct schema_attr *at)
{
	while (*list != NULL && *list != at)
		list++;
	return *list != NULL;
}

#define CLASSES_NAMED 2

/* 65, with the classes that would allow it. */
static int refuse_type(const struct schema *s, const struct schema_attr *at, struct arena *a,
		       struct result *why)
{
	const char *names[CLASSES_NAMED] = {"no class", NULL};
	const struct schema_class *c;
	unsigned i, n = 0;

	for (i = 0; i < s->nclasses && n < CLASSES_NAMED; i++) {
		c = &s->classes[i];
		if (c->kind != SCHEMA_ABSTRACT && (lists(c->must, at) || lists(c->may, at)))
			names[n++] = c->name;
	}
	return result_set(why, a, LR_CLASS_VIOLATION,
			  "%s: attribute not allowed by any object class of the entry "
			  "(%s%s%s would allow it)",
			  at->name, names[0], n > 1 ? " or " : "", n > 1 ? names[1] : "");
}

static int check_allowed(const struct schema *s, const struct attr_list *attrs,
			 const struct class_set *set, bool extensible, uint64_t *present,
			 struct arena *a, struct result *why)
{
	const struct schema_attr *at;
	struct schema_shown text;
	unsigned i, k;

	for (i = 0; i < attrs->n; i++) {
		at = schema_attr(s, attrs->attrs[i].type);
		if (at == NULL)
			return result_set(why, a, LR_UNDEFINED_TYPE,
					  "%s: attribute type not defined",
					  schema_show(attrs->attrs[i].type, &text));
		if (attr_count(&attrs->attrs[i]) == 0)
			continue;
		present[at->id / 64] |= UINT64_C(1) << at->id % 64;
		if (at->usage != SCHEMA_USER || extensible)
			continue;
		for (k = 0; k < set->n && !has_bit(set->list[k]->may_bits, at->id); k++)
			;
		if (k == set->n)
			return refuse_type(s, at, a, why);
	}
	return RC_OK;
}

static int check_must(const struct class_set *set, const uint64_t *present, struct arena *a,
		      struct result *why)
{
	unsigned i, k;

	for (i = 0; i < set->n; i++) {
		const struct schema_attr *const *must = set->list[i]->must;

		for (k = 0; must[k] != NULL; k++) {
			if (!has_bit(present, must[k]->id))
				return result_set(why, a, LR_CLASS_VIOLATION,
						  "%s: attribute required by object class %s",
						  must[k]->name, set->list[i]->name);
		}
	}
	return RC_OK;
}

static int value_present(const struct schema *s, const struct schema_attr *at, struct span value,
			 const struct attr_list *attrs, bool *out)
{
	enum schema_norm norm =
		at->equality != SCHEMA_NORM_NONE ? at->equality : SCHEMA_NORM_OCTETS;
	struct span want;
	struct buf b;
	unsigned i, k;
	int rc;

	*out = false;
	buf_init(&b, UINT32_MAX);
	rc = schema_normalize(s, norm, value, &b);
	for (i = 0; i < attrs->n && rc == RC_OK && !*out; i++) {
		if (!span_eq_nocase(attrs->attrs[i].type, span_of(at->name)))
			continue;
		for (k = 0; k < attrs->attrs[i].nvalues && rc == RC_OK && !*out; k++) {
			size_t mark = b.n;

			rc = schema_normalize(s, norm, attrs->attrs[i].values[k], &b);
			want = span_head(buf_span(&b), mark);
			*out = rc == RC_OK && span_eq(want, span_from(buf_span(&b), mark));
			if (rc == RC_OK)
				buf_truncate(&b, mark);
		}
	}
	buf_fini(&b);
	return rc == RC_INVALID ? RC_OK : rc;
}

static int check_rdn(const struct schema *s, struct span rdn, const struct attr_list *attrs,
		     struct arena *a, struct result *why)
{
	const struct schema_attr *at;
	const char *wrong = NULL;
	struct schema_shown type, value;
	struct dn_rdn parsed;
	bool present;
	unsigned i;
	int rc;

	rc = dn_rdn_parse(a, rdn, &parsed, &wrong);
	if (rc == RC_NOMEM)
		return rc;
	if (rc != RC_OK)
		return result_set(why, a, LR_INVALID_DN, "RDN: %s",
				  wrong != NULL ? wrong : "malformed");
	for (i = 0; i < parsed.n; i++) {
		at = schema_attr(s, parsed.avas[i].type);
		if (at == NULL)
			return result_set(why, a, LR_UNDEFINED_TYPE,
					  "RDN: %s: attribute type not defined",
					  schema_show(parsed.avas[i].type, &type));
		rc = value_present(s, at, parsed.avas[i].value, attrs, &present);
		if (rc != RC_OK)
			return rc;
		if (!present)
			return result_set(why, a, LR_NAMING_VIOLATION,
					  "%s: value \"%s\" of the RDN is not in the entry",
					  at->name,
					  schema_show_value(at, parsed.avas[i].value, &value));
	}
	return RC_OK;
}

static struct attr *find_object_class(const struct schema *s, struct attr_list *attrs)
{
	const struct schema_attr *at = schema_attr(s, SPAN_LIT("objectClass"));
	unsigned i = 0;

	while (i < attrs->n && (at == NULL || schema_attr(s, attrs->attrs[i].type) != at))
		i++;
	return i < attrs->n && attrs->attrs[i].nvalues != 0 ? &attrs->attrs[i] : NULL;
}

int schema_check_entry(const struct schema *s, struct span rdn, struct attr_list *attrs,
		       struct arena *a, const struct schema_class **structural_out,
		       struct result *why)
{
	const struct schema_class *extensible = schema_class(s, SPAN_LIT("extensibleObject"));
	struct class_set set = {.n = 0};
	struct attr *oc = find_object_class(s, attrs);
	uint64_t *present = arena_zalloc(a, (s->nattrs + 63) / 64, sizeof(*present));
	int rc = RC_NOMEM;

	if (present == NULL)
		return rc;
	if (oc == NULL)
		return result_set(why, a, LR_CLASS_VIOLATION, "objectClass: attribute missing");
	rc = read_classes(s, oc, a, &set, why);
	if (rc == RC_OK)
		rc = find_structural(&set, a, structural_out, why);
	if (rc == RC_OK)
		rc = check_abstract(&set, a, why);
	if (rc == RC_OK)
		rc = add_superclasses(oc, &set, a);
	if (rc == RC_OK)
		rc = check_allowed(s, attrs, &set, extensible != NULL && set_has(&set, extensible),
				   present, a, why);
	if (rc == RC_OK)
		rc = check_must(&set, present, a, why);
	if (rc == RC_OK)
		rc = check_rdn(s, rdn, attrs, a, why);
	return rc;
}
