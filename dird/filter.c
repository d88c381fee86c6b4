#include "dird/filter.h"

#include "dird/sound.h"
#include "dird/values.h"
#include "lib/dn.h"

struct match {
	const struct schema *s;
	const struct entry *e;
	const struct filter_view *view;
	struct buf *scratch;
};

/* --- one value -------------------------------------------------------------------------------- */

static enum filter_result truth(bool is)
{
	return is ? FILTER_TRUE : FILTER_FALSE;
}

/* FALSE, unless one is TRUE, or one could not be told. */
static enum filter_result either(enum filter_result a, enum filter_result b)
{
	if (a == FILTER_TRUE || b == FILTER_TRUE)
		return FILTER_TRUE;
	return a == FILTER_UNKNOWN || b == FILTER_UNKNOWN ? FILTER_UNKNOWN : FILTER_FALSE;
}

void filter_spaces(struct span prepared, bool before, bool after, struct buf *out)
{
	size_t i;

	if (before)
		buf_putc(out, ' ');
	for (i = 0; i < prepared.n; i++) {
		bool inner = i != 0 && i + 1 != prepared.n;

		if (prepared.p[i] == ' ' && inner)
			buf_putc(out, ' ');
		buf_putc(out, prepared.p[i]);
	}
	if (after)
		buf_putc(out, ' ');
}

static bool match_parts(const struct filter *f, struct span v)
{
	unsigned i;

	if (f->value.n + f->final.n > v.n || !span_starts(v, f->value) ||
	    !span_eq(span_from(v, v.n - f->final.n), f->final))
		return false;
	v = span_make(v.p + f->value.n, v.n - f->value.n - f->final.n);
	for (i = 0; i < f->nany; i++) {
		const uint8_t *at;

		if (f->any[i].n == 0)
			continue;
		at = v.n != 0 ? memmem(v.p, v.n, f->any[i].p, f->any[i].n) : NULL;
		if (at == NULL)
			return false;
		v = span_from(v, (size_t)(at - v.p) + f->any[i].n);
	}
	return true;
}

/* `v` is the normal form. */
static enum filter_result compare(const struct filter *f, struct span v)
{
	switch (f->match) {
	case FILTER_EQUAL:
		return truth(span_eq(v, f->value));
	case FILTER_GE:
		return truth(span_cmp(v, f->value) >= 0);
	case FILTER_LE:
		return truth(span_cmp(v, f->value) <= 0);
	case FILTER_AND:
		return truth(span_cmp(v, f->value) < 0);
	case FILTER_SUBSTR:
		return truth(match_parts(f, v));
	case FILTER_APPROX:
		return truth(sound_match(f->value, v));
	case FILTER_OR:
	case FILTER_NOT:
	case FILTER_PRESENT:
	case FILTER_EXTENSIBLE:
	case FILTER_UNDEFINED:
		break;
	}
	return FILTER_UNKNOWN;
}

/* Is the normal form of text the same, up to capitals? Not where it is not ASCII, or has blanks
 * that preparation changes. */
static bool is_plain(struct span v)
{
	uint8_t before = ' ';
	size_t i;

	for (i = 0; i < v.n; i++) {
		uint8_t c = v.p[i];

		if (c < 0x20 || c >= 0x7f || (c == ' ' && before == ' '))
			return false;
		before = c;
	}
	return before != ' ';
}

static bool plain_starts(struct span v, struct span with, bool fold)
{
	size_t i;

	if (v.n < with.n)
		return false;
	for (i = 0; i < with.n; i++) {
		if ((fold ? span_ascii_lower(v.p[i]) : v.p[i]) != with.p[i])
			return false;
	}
	return true;
}

static bool is_ascii(struct span v)
{
	uint64_t word, all = 0;
	size_t i;

	for (i = 0; i + sizeof(word) <= v.n; i += sizeof(word)) {
		memcpy(&word, v.p + i, sizeof(word));
		all |= word;
	}
	for (; i < v.n; i++)
		all |= v.p[i];
	return (all & 0x8080808080808080u) == 0;
}

/* Does the normal form differ from `want` within what comes before the first blank of ASCII text?
 * Most values do, in their first bytes. */
static bool differs_early(struct span v, struct span want, bool fold)
{
	size_t i, n = v.n < want.n ? v.n : want.n;

	for (i = 0; i < n && v.p[i] > ' ' && v.p[i] < 0x7f; i++) {
		if ((fold ? span_ascii_lower(v.p[i]) : v.p[i]) != want.p[i])
			return is_ascii(v);
	}
	return false;
}

/* Equality and begins of text without writing the normal form. UNKNOWN: that is needed. */
static enum filter_result plain_text(const struct filter *f, bool fold, struct span v)
{
	bool starts;

	if (f->match != FILTER_EQUAL && f->prefix.n == 0)
		return FILTER_UNKNOWN;
	if (differs_early(v, f->match == FILTER_EQUAL ? f->value : f->prefix, fold))
		return FILTER_FALSE;
	if (!is_plain(v))
		return FILTER_UNKNOWN;
	if (f->match == FILTER_EQUAL)
		return truth(v.n == f->value.n && plain_starts(v, f->value, fold));
	starts = plain_starts(v, f->prefix, fold);
	return starts && (f->spaced || f->nany != 0 || f->final.n != 0) ? FILTER_UNKNOWN
									: truth(starts);
}

static enum filter_result plain_dn_equal(struct span want, struct span v)
{
	if (span_eq(want, v))
		return FILTER_TRUE;
	return schema_dn_differs(want, v) ? FILTER_FALSE : FILTER_UNKNOWN;
}

static enum filter_result plain_match(const struct filter *f, struct span v)
{
	if (f->match != FILTER_EQUAL && f->match != FILTER_SUBSTR)
		return FILTER_UNKNOWN;
	if (f->norm == SCHEMA_NORM_IGNORE || f->norm == SCHEMA_NORM_EXACT ||
	    f->norm == SCHEMA_NORM_ACCENTS)
		return plain_text(f, f->norm != SCHEMA_NORM_EXACT, v);
	if (f->match != FILTER_EQUAL)
		return FILTER_UNKNOWN;
	if (f->norm == SCHEMA_NORM_DN)
		return plain_dn_equal(f->value, v);
	if (f->norm == SCHEMA_NORM_OID && span_eq_nocase(v, f->value))
		return FILTER_TRUE;
	return FILTER_UNKNOWN;
}

static enum filter_result match_value(const struct match *m, const struct filter *f, struct span v)
{
	enum filter_result r = plain_match(f, v);
	size_t n;

	if (r != FILTER_UNKNOWN)
		return r;
	buf_clear(m->scratch);
	if (schema_normalize(m->s, f->norm, v, m->scratch) != RC_OK)
		return FILTER_UNKNOWN;
	if (!f->spaced)
		return compare(f, buf_span(m->scratch));
	n = m->scratch->n;
	/* Room first: the source must not move while it is read. */
	if (buf_extend(m->scratch, 2 * n + 2) == NULL)
		return FILTER_UNKNOWN;
	buf_truncate(m->scratch, n);
	filter_spaces(span_make(m->scratch->p, n), true, true, m->scratch);
	return compare(f, span_from(buf_span(m->scratch), n));
}

static bool sees_value(const struct match *m, const struct schema_attr *at, struct span v)
{
	return !at->names_entries || m->view == NULL || m->view->sees_value == NULL ||
	       m->view->sees_value(m->view->ctx, m->e, at, v);
}

/* Whether a value is seen is asked last: it costs more than a comparison. */
static enum filter_result match_set(const struct match *m, const struct filter *f,
				    const struct schema_attr *at, struct span values)
{
	enum filter_result r = FILTER_FALSE, one;
	struct span v;

	while (r != FILTER_TRUE && tlv_expect(&values, TLV_OCTETS, &v) == RC_OK) {
		one = f->match == FILTER_PRESENT ? FILTER_TRUE : match_value(m, f, v);
		if (one != FILTER_FALSE && sees_value(m, at, v))
			r = either(r, one);
	}
	return r;
}

/* Of values that are stored apart an equal one is looked up, which none of them would leave
 * unknown: all have a normal form. */
static enum filter_result match_apart(const struct match *m, const struct filter *f,
				      const struct schema_attr *at, const struct entry_attr *attr)
{
	enum filter_result r = FILTER_FALSE, one;
	struct entry_values walk;
	struct entry_place place;
	struct span v;

	if (f->match == FILTER_EQUAL && f->norm == at->equality)
		return truth(values_find(m->s, at, m->e, &attr->apart, f->value, m->scratch, &place,
					 &v) &&
			     sees_value(m, at, v));
	entry_values_begin(&walk, m->e, attr);
	while (r != FILTER_TRUE && entry_values_next(&walk, &v)) {
		one = f->match == FILTER_PRESENT ? FILTER_TRUE : match_value(m, f, v);
		if (one != FILTER_FALSE && sees_value(m, at, v))
			r = either(r, one);
	}
	return r;
}

static enum filter_result match_attr(const struct match *m, const struct filter *f,
				     const struct schema_attr *at, const struct entry_attr *attr)
{
	return attr->is_apart ? match_apart(m, f, at, attr) : match_set(m, f, at, attr->values);
}

/* --- attributes ------------------------------------------------------------------------------- */

static bool may_read(const struct match *m, const struct schema_attr *at, struct span description)
{
	return m->view == NULL || m->view->may_read == NULL ||
	       m->view->may_read(m->view->ctx, at, description);
}

static bool computed(const struct match *m, const struct schema_attr *at, struct span *values)
{
	return at->usage != SCHEMA_USER && m->view != NULL && m->view->computed != NULL &&
	       m->view->computed(m->view->ctx, m->e, at, values);
}

static bool has_option(struct span options, struct span want)
{
	struct span option;
	bool more;

	do {
		more = span_cut(&options, ';', &option);
		if (span_eq_nocase(option, want))
			return true;
	} while (more);
	return false;
}

/* A description with more options is a subtype (RFC 4512 §2.5.2). */
static bool has_options(const struct filter *f, struct span description)
{
	struct span want, have, option;
	bool more;

	if (f->options.n == 0)
		return true;
	want = span_from(f->options, 1);
	have = span_from(description, entry_base_type(description).n + 1);
	do {
		more = span_cut(&want, ';', &option);
		if (!has_option(have, option))
			return false;
	} while (more);
	return true;
}

static enum filter_result match_type(const struct match *m, const struct filter *f,
				     const struct schema_attr *at)
{
	struct span name = span_of(at->name), values;
	enum filter_result r = FILTER_FALSE;
	struct entry_attr attr;
	unsigned i = 0;

	if (!may_read(m, at, name))
		return FILTER_UNKNOWN;
	if (f->options.n == 0 && computed(m, at, &values))
		return match_set(m, f, at, values);
	while (r != FILTER_TRUE && entry_find(m->e, at->hash, name, &i, &attr)) {
		if (!has_options(f, attr.type))
			continue;
		r = either(r, match_attr(m, f, at, &attr));
	}
	return r;
}

static enum filter_result match_types(const struct match *m, const struct filter *f)
{
	enum filter_result r = FILTER_FALSE;
	unsigned i;

	for (i = 0; f->types[i] != NULL && r != FILTER_TRUE; i++)
		r = either(r, match_type(m, f, f->types[i]));
	return r;
}

/* Extensible match by rule alone: every attribute the rule is meant for. */
static enum filter_result match_any_type(const struct match *m, const struct filter *f)
{
	enum filter_result r = FILTER_FALSE;
	const struct schema_attr *at;
	struct entry_attr attr;
	unsigned i;

	for (i = 0; i < m->e->nattrs && r != FILTER_TRUE; i++) {
		entry_attr_at(m->e, i, &attr);
		at = schema_attr(m->s, attr.type);
		if (at == NULL || !schema_rule_applies(f->rule, at))
			continue;
		r = either(r, may_read(m, at, attr.type) ? match_attr(m, f, at, &attr)
							 : FILTER_UNKNOWN);
	}
	return r;
}

static bool is_subtype(const struct schema_attr *at, const struct schema_attr *of)
{
	while (at != NULL && at != of)
		at = at->sup;
	return at != NULL;
}

static enum filter_result match_ava(const struct match *m, const struct filter *f,
				    const struct dn_ava *ava)
{
	const struct schema_attr *at = schema_attr(m->s, ava->type);

	if (at == NULL)
		return FILTER_FALSE;
	if (f->at != NULL ? !is_subtype(at, f->at) : !schema_rule_applies(f->rule, at))
		return FILTER_FALSE;
	return may_read(m, at, ava->type) ? match_value(m, f, ava->value) : FILTER_UNKNOWN;
}

/* :dn: also looks at the values of the entry's name. */
static enum filter_result match_name(const struct match *m, const struct filter *f)
{
	enum filter_result r = FILTER_FALSE;
	struct arena a;
	struct dn dn;
	unsigned i, k;

	if (m->view == NULL || m->view->dn_normal.n == 0)
		return FILTER_FALSE;
	arena_init(&a);
	if (dn_parse(&a, m->view->dn_normal, &dn, NULL) != RC_OK) {
		r = FILTER_UNKNOWN;
		goto out;
	}
	for (i = 0; i < dn.n && r != FILTER_TRUE; i++) {
		for (k = 0; k < dn.rdns[i].n && r != FILTER_TRUE; k++)
			r = either(r, match_ava(m, f, &dn.rdns[i].avas[k]));
	}
out:
	arena_fini(&a);
	return r;
}

static enum filter_result match_extensible(const struct match *m, const struct filter *f)
{
	enum filter_result r = f->at != NULL ? match_types(m, f) : match_any_type(m, f);

	if (r != FILTER_TRUE && f->dn_attrs)
		r = either(r, match_name(m, f));
	return r;
}

/* --- the tree --------------------------------------------------------------------------------- */

static enum filter_result negate(enum filter_result r)
{
	if (r == FILTER_UNKNOWN)
		return r;
	return r == FILTER_TRUE ? FILTER_FALSE : FILTER_TRUE;
}

static enum filter_result match(const struct match *m, const struct filter *f);

/* RFC 4526: an empty AND is TRUE, an empty OR is FALSE. */
static enum filter_result match_and(const struct match *m, const struct filter *f)
{
	enum filter_result r = FILTER_TRUE, sub;
	unsigned i;

	for (i = 0; i < f->nsubs && r != FILTER_FALSE; i++) {
		sub = match(m, f->subs[i]);
		if (sub != FILTER_TRUE)
			r = sub;
	}
	return r;
}

static enum filter_result match_or(const struct match *m, const struct filter *f)
{
	enum filter_result r = FILTER_FALSE;
	unsigned i;

	for (i = 0; i < f->nsubs && r != FILTER_TRUE; i++)
		r = either(r, match(m, f->subs[i]));
	return r;
}

static enum filter_result match(const struct match *m, const struct filter *f)
{
	switch (f->kind) {
	case FILTER_AND:
		return match_and(m, f);
	case FILTER_OR:
		return match_or(m, f);
	case FILTER_NOT:
		return negate(match(m, f->subs[0]));
	case FILTER_EQUAL:
	case FILTER_SUBSTR:
	case FILTER_GE:
	case FILTER_LE:
	case FILTER_PRESENT:
	case FILTER_APPROX:
		return match_types(m, f);
	case FILTER_EXTENSIBLE:
		return match_extensible(m, f);
	case FILTER_UNDEFINED:
		break;
	}
	return FILTER_UNKNOWN;
}

enum filter_result filter_match(const struct filter *f, const struct schema *s,
				const struct entry *e, const struct filter_view *view,
				struct buf *scratch)
{
	struct match m = {.s = s, .e = e, .view = view, .scratch = scratch};

	return match(&m, f);
}
