/* Requests and whole entries against the schema: RFC 4512 §2.4 to §2.6, X.501, X.511. */
#include "dird/schema_def.h"

#include "lib/dn.h"

#include <stdlib.h>

#define OPTIONS_MAX 16
#define DESCRIPTION_MAX_BYTES 512
#define CLASSES_MAX 256

/* Peer text in a diagnostic message: printable, and not long. */
#define SHOWN_BYTES 64

struct shown {
	char text[SHOWN_BYTES + 4];
};

static const char *show(struct span s, struct shown *out)
{
	size_t i, n = s.n < SHOWN_BYTES ? s.n : SHOWN_BYTES;

	for (i = 0; i < n; i++)
		out->text[i] = (char)(s.p[i] >= 0x20 && s.p[i] < 0x7f ? s.p[i] : '?');
	strcpy(out->text + n, s.n > SHOWN_BYTES ? "..." : "");
	return out->text;
}

/* Values of protected types (passwords) appear in no message. */
static const char *show_value(const struct schema_attr *at, struct span s, struct shown *out)
{
	return show(at->is_protected ? SPAN_LIT("(hidden)") : s, out);
}

/* --- attributes of a request ------------------------------------------------------------------ */

static bool is_option(struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		uint8_t c = span_ascii_lower(s.p[i]);

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
			return false;
	}
	return s.n != 0;
}

/* Folded, sorted, each once; false if one of them is malformed or there are too many. */
static bool split_options(struct span description, struct arena *a, struct span *options,
			  unsigned *nout, int *rc)
{
	struct span rest = description, option;
	unsigned i, n = 0;
	bool more = span_cut(&rest, ';', &option);

	if (description.n > DESCRIPTION_MAX_BYTES)
		return false;
	while (more) {
		uint8_t *folded;
		int order = 1;

		more = span_cut(&rest, ';', &option);
		if (n == OPTIONS_MAX || !is_option(option))
			return false;
		folded = arena_alloc(a, option.n);
		if (folded == NULL) {
			*rc = RC_NOMEM;
			return false;
		}
		for (i = 0; i < option.n; i++)
			folded[i] = span_ascii_lower(option.p[i]);
		option.p = folded;
		for (i = 0; i < n; i++) {
			order = span_cmp(option, options[i]);
			if (order <= 0)
				break;
		}
		if (i < n && order == 0)
			continue;
		memmove(&options[i + 1], &options[i], (n - i) * sizeof(*options));
		options[i] = option;
		n++;
	}
	*nout = n;
	return true;
}

static int canonical_type(const struct schema *s, struct span description, struct arena *a,
			  const struct schema_attr **at_out, struct span *out, struct result *why)
{
	struct span options[OPTIONS_MAX];
	struct shown text;
	unsigned i, n = 0;
	size_t bytes;
	uint8_t *to;
	int rc = RC_OK;

	*at_out = schema_attr(s, description);
	if (*at_out == NULL)
		return result_set(why, a, LR_UNDEFINED_TYPE, "%s: attribute type not defined",
				  show(description, &text));
	if (!split_options(description, a, options, &n, &rc))
		return rc != RC_OK ? rc
				   : result_set(why, a, LR_UNDEFINED_TYPE,
						"%s: malformed attribute options",
						show(description, &text));
	*out = span_of((*at_out)->name);
	if (n == 0)
		return RC_OK;
	bytes = out->n;
	for (i = 0; i < n; i++)
		bytes += 1 + options[i].n;
	to = arena_alloc(a, bytes);
	if (to == NULL)
		return RC_NOMEM;
	memcpy(to, out->p, out->n);
	bytes = out->n;
	for (i = 0; i < n; i++) {
		to[bytes++] = ';';
		memcpy(to + bytes, options[i].p, options[i].n);
		bytes += options[i].n;
	}
	*out = span_make(to, bytes);
	return RC_OK;
}

/* Merging by canonical description: an open hash over what was seen, so that it stays linear. */
struct merge {
	struct attr *attrs;
	const struct schema_attr **types;
	unsigned *room; /* values allocated */
	unsigned *slots;
	size_t size;
	unsigned n;
};

static int merge_init(struct merge *m, const struct attr_list *in, struct arena *a)
{
	for (m->size = 16; m->size < 2 * (size_t)in->n; m->size *= 2)
		;
	m->attrs = arena_zalloc(a, in->n, sizeof(*m->attrs));
	m->types = arena_zalloc(a, in->n, sizeof(*m->types));
	m->room = arena_zalloc(a, in->n, sizeof(*m->room));
	m->slots = arena_zalloc(a, m->size, sizeof(*m->slots));
	m->n = 0;
	if (m->attrs == NULL || m->types == NULL || m->room == NULL || m->slots == NULL)
		return RC_NOMEM;
	return RC_OK;
}

static uint32_t description_hash(struct span s)
{
	uint32_t h = entry_type_hash(s);
	size_t i;

	for (i = 0; i < s.n; i++)
		h = (h ^ s.p[i]) * 16777619u;
	return h;
}

static unsigned merge_find(struct merge *m, struct span type, const struct schema_attr *at)
{
	size_t i = description_hash(type) & (m->size - 1);

	while (m->slots[i] != 0 && !span_eq(m->attrs[m->slots[i] - 1].type, type))
		i = (i + 1) & (m->size - 1);
	if (m->slots[i] == 0) {
		m->attrs[m->n].type = type;
		m->types[m->n] = at;
		m->slots[i] = ++m->n;
	}
	return m->slots[i] - 1;
}

static int merge_values(struct merge *m, unsigned i, const struct attr *from, struct arena *a)
{
	struct attr *to = &m->attrs[i];
	struct span *values;
	unsigned need;

	if (__builtin_add_overflow(to->nvalues, from->nvalues, &need) || need > UINT32_MAX / 2)
		return RC_TOOBIG;
	if (need > m->room[i]) {
		values = arena_zalloc(a, 2 * (size_t)need, sizeof(*values));
		if (values == NULL)
			return RC_NOMEM;
		if (to->nvalues != 0)
			memcpy(values, to->values, to->nvalues * sizeof(*values));
		to->values = values;
		m->room[i] = 2 * need;
	}
	if (from->nvalues != 0)
		memcpy(to->values + to->nvalues, from->values, from->nvalues * sizeof(*values));
	to->nvalues = need;
	return RC_OK;
}

struct normal {
	size_t at, n; /* in the buffer, which moves as it grows */
	unsigned value;
};

static int by_bytes(const void *x, const void *y, void *base)
{
	const struct normal *a = x, *b = y;
	const uint8_t *bytes = base;

	return span_cmp(span_make(bytes + a->at, a->n), span_make(bytes + b->at, b->n));
}

static int normal_forms(const struct schema *s, const struct schema_attr *at,
			const struct attr *attr, struct normal *normal, struct buf *b,
			struct arena *a, struct result *why)
{
	enum schema_norm norm =
		at->equality != SCHEMA_NORM_NONE ? at->equality : SCHEMA_NORM_OCTETS;
	struct shown type, value;
	unsigned i;
	int rc;

	for (i = 0; i < attr->nvalues; i++) {
		normal[i].at = b->n;
		normal[i].value = i;
		rc = schema_normalize(s, norm, attr->values[i], b);
		/* An unknown class is told by the check of the entry, which names the rule. */
		if (rc == RC_INVALID && norm == SCHEMA_NORM_OID)
			rc = schema_normalize(s, SCHEMA_NORM_OCTETS, attr->values[i], b);
		if (rc == RC_INVALID)
			return result_set(why, a, LR_INVALID_SYNTAX,
					  "%s: value #%u \"%s\" cannot be compared by %s",
					  show(attr->type, &type), i,
					  show_value(at, attr->values[i], &value),
					  at->equality_rule);
		if (rc != RC_OK)
			return rc;
		normal[i].n = b->n - normal[i].at;
	}
	return RC_OK;
}

static int check_distinct(const struct schema *s, const struct schema_attr *at,
			  const struct attr *attr, struct buf *b, struct arena *a,
			  struct result *why)
{
	struct normal *normal = arena_zalloc(a, attr->nvalues, sizeof(*normal));
	struct shown type, value;
	unsigned i;
	int rc;

	buf_clear(b);
	rc = normal != NULL ? normal_forms(s, at, attr, normal, b, a, why) : RC_NOMEM;
	if (rc != RC_OK || attr->nvalues < 2)
		return rc;
	qsort_r(normal, attr->nvalues, sizeof(*normal), by_bytes, b->p);
	for (i = 1; i < attr->nvalues && rc == RC_OK; i++) {
		if (by_bytes(&normal[i - 1], &normal[i], b->p) == 0)
			rc = result_set(why, a, LR_VALUE_EXISTS, "%s: value \"%s\" given twice",
					show(attr->type, &type),
					show_value(at, attr->values[normal[i].value], &value));
	}
	return rc;
}

static int check_attr(const struct schema *s, const struct schema_attr *at, const struct attr *attr,
		      struct buf *b, struct arena *a, struct result *why)
{
	struct shown type, value;
	unsigned i;
	int rc;

	if (at->single && attr->nvalues > 1)
		return result_set(why, a, LR_CONSTRAINT_VIOLATION,
				  "%s: single-valued attribute with %u values",
				  show(attr->type, &type), attr->nvalues);
	for (i = 0; i < attr->nvalues; i++) {
		rc = schema_check_value(s, at, attr->values[i]);
		if (rc == RC_INVALID)
			return result_set(why, a, LR_INVALID_SYNTAX,
					  "%s: value #%u \"%s\" is not of syntax %s (%s)",
					  show(attr->type, &type), i,
					  show_value(at, attr->values[i], &value),
					  at->checker->desc, at->syntax);
		if (rc != RC_OK)
			return rc;
	}
	return check_distinct(s, at, attr, b, a, why);
}

int schema_canonical(const struct schema *s, const struct attr_list *in, struct arena *a,
		     struct attr_list *out, struct result *why)
{
	const struct schema_attr *at = NULL;
	struct span type = {NULL, 0};
	struct merge m;
	unsigned i;
	struct buf b;
	int rc = merge_init(&m, in, a);

	buf_init(&b, UINT32_MAX);
	for (i = 0; i < in->n && rc == RC_OK; i++) {
		rc = canonical_type(s, in->attrs[i].type, a, &at, &type, why);
		if (rc == RC_OK)
			rc = merge_values(&m, merge_find(&m, type, at), &in->attrs[i], a);
	}
	for (i = 0; i < m.n && rc == RC_OK; i++)
		rc = check_attr(s, m.types[i], &m.attrs[i], &b, a, why);
	if (rc == RC_OK)
		*out = (struct attr_list){m.attrs, m.n};
	buf_fini(&b);
	return rc;
}

/* --- whole entries ---------------------------------------------------------------------------- */

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
	struct shown text;
	unsigned i, k;
	int rc = RC_OK;

	for (i = 0; i < oc->nvalues && rc == RC_OK; i++) {
		c = schema_class(s, oc->values[i]);
		if (c == NULL)
			return result_set(why, a, LR_CLASS_VIOLATION,
					  "objectClass: class \"%s\" not defined",
					  show(oc->values[i], &text));
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

static int check_allowed(const struct schema *s, const struct attr_list *attrs,
			 const struct class_set *set, bool extensible, uint64_t *present,
			 struct arena *a, struct result *why)
{
	const struct schema_attr *at;
	struct shown text;
	unsigned i, k;

	for (i = 0; i < attrs->n; i++) {
		at = schema_attr(s, attrs->attrs[i].type);
		if (at == NULL)
			return result_set(why, a, LR_UNDEFINED_TYPE,
					  "%s: attribute type not defined",
					  show(attrs->attrs[i].type, &text));
		if (attrs->attrs[i].nvalues == 0)
			continue;
		present[at->id / 64] |= UINT64_C(1) << at->id % 64;
		if (at->usage != SCHEMA_USER || extensible)
			continue;
		for (k = 0; k < set->n && !has_bit(set->list[k]->may_bits, at->id); k++)
			;
		if (k == set->n)
			return result_set(why, a, LR_CLASS_VIOLATION,
					  "%s: attribute not allowed by any object class",
					  at->name);
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
	struct shown type, value;
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
					  show(parsed.avas[i].type, &type));
		rc = value_present(s, at, parsed.avas[i].value, attrs, &present);
		if (rc != RC_OK)
			return rc;
		if (!present)
			return result_set(why, a, LR_NAMING_VIOLATION,
					  "%s: value \"%s\" of the RDN is not in the entry",
					  at->name, show_value(at, parsed.avas[i].value, &value));
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
