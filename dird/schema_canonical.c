/* Attributes of a request into stored form: RFC 4512 §2.5, RFC 4511 §4.6 and §4.7. */
#include "dird/schema_def.h"

#include <stdlib.h>

#define OPTIONS_MAX 16
#define DESCRIPTION_MAX_BYTES 512

/* A UTF-8 character of n bytes (0: none) that is no control character. */
static bool is_shown(const uint8_t *p, size_t n)
{
	if (n < 2)
		return n == 1 && p[0] >= 0x20 && p[0] < 0x7f;
	return p[0] != 0xc2 || p[1] >= 0xa0;
}

const char *schema_show(struct span s, struct schema_shown *out)
{
	size_t at = 0, n = 0, len;

	while (at < s.n) {
		len = text_utf8_len(span_from(s, at));
		if (n + (len != 0 ? len : 1) > SCHEMA_SHOWN_BYTES)
			break;
		if (is_shown(s.p + at, len)) {
			memcpy(out->text + n, s.p + at, len);
			n += len;
		} else {
			out->text[n++] = '?';
		}
		at += len != 0 ? len : 1;
	}
	strcpy(out->text + n, at < s.n ? "..." : "");
	return out->text;
}

const char *schema_show_value(const struct schema_attr *at, struct span s, struct schema_shown *out)
{
	return schema_show(at->is_protected ? SPAN_LIT("(hidden)") : s, out);
}

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
	struct schema_shown text;
	unsigned i, n = 0;
	size_t bytes;
	uint8_t *to;
	int rc = RC_OK;

	*at_out = schema_attr(s, description);
	if (*at_out == NULL)
		return result_set(why, a, LR_UNDEFINED_TYPE, "%s: attribute type not defined",
				  schema_show(description, &text));
	if (!split_options(description, a, options, &n, &rc))
		return rc != RC_OK ? rc
				   : result_set(why, a, LR_UNDEFINED_TYPE,
						"%s: malformed attribute options",
						schema_show(description, &text));
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
	struct schema_shown type, value;
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
					  schema_show(attr->type, &type), i,
					  schema_show_value(at, attr->values[i], &value),
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
	struct schema_shown type, value;
	unsigned i;
	int rc;

	buf_clear(b);
	rc = normal != NULL ? normal_forms(s, at, attr, normal, b, a, why) : RC_NOMEM;
	if (rc != RC_OK || attr->nvalues < 2)
		return rc;
	qsort_r(normal, attr->nvalues, sizeof(*normal), by_bytes, b->p);
	for (i = 1; i < attr->nvalues && rc == RC_OK; i++) {
		if (by_bytes(&normal[i - 1], &normal[i], b->p) == 0)
			rc = result_set(
				why, a, LR_VALUE_EXISTS, "%s: value \"%s\" given twice",
				schema_show(attr->type, &type),
				schema_show_value(at, attr->values[normal[i].value], &value));
	}
	return rc;
}

static int check_attr(const struct schema *s, const struct schema_attr *at, const struct attr *attr,
		      struct buf *b, struct arena *a, struct result *why)
{
	struct schema_shown type, value;
	unsigned i;
	int rc;

	if (at->single && attr->nvalues > 1)
		return result_set(why, a, LR_CONSTRAINT_VIOLATION,
				  "%s: single-valued attribute with %u values",
				  schema_show(attr->type, &type), attr->nvalues);
	for (i = 0; i < attr->nvalues; i++) {
		rc = schema_check_value(s, at, attr->values[i]);
		if (rc == RC_INVALID)
			return result_set(why, a, LR_INVALID_SYNTAX,
					  "%s: value #%u \"%s\" is not of syntax %s (%s)",
					  schema_show(attr->type, &type), i,
					  schema_show_value(at, attr->values[i], &value),
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
