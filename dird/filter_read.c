/* Filters from BER (RFC 4511 §4.5.1.7): decode, look names up, normalize assertion values once. */
#include "dird/filter.h"

enum {
	TAG_AND = TLV_CONTEXT_CONS(0),
	TAG_OR = TLV_CONTEXT_CONS(1),
	TAG_NOT = TLV_CONTEXT_CONS(2),
	TAG_EQUAL = TLV_CONTEXT_CONS(3),
	TAG_SUBSTR = TLV_CONTEXT_CONS(4),
	TAG_GE = TLV_CONTEXT_CONS(5),
	TAG_LE = TLV_CONTEXT_CONS(6),
	TAG_PRESENT = TLV_CONTEXT(7),
	TAG_APPROX = TLV_CONTEXT_CONS(8),
	TAG_EXTENSIBLE = TLV_CONTEXT_CONS(9),
	TAG_CLASS = 0xc0,
	TAG_CLASS_CONTEXT = 0x80,
};

/* More options than any stored description has; longer lists only cost time. */
#define OPTIONS_MAX_BYTES 256

struct reader {
	const struct schema *s;
	struct arena *a;
	unsigned terms;
	enum filter_substrings mode;
	bool without_accents; /* what caseIgnoreMatch would compare */
	const char *why;
	struct buf scratch;
};

static int invalid(struct reader *r, const char *why)
{
	r->why = why;
	return RC_INVALID;
}

static bool is_keychar(uint8_t c)
{
	c = span_ascii_lower(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* ";lang-de;x" folded. RC_INVALID: an empty or malformed option. */
static int read_options(struct reader *r, struct span description, struct span *out)
{
	struct span options = span_from(description, entry_base_type(description).n);
	uint8_t *to;
	size_t i;

	*out = options;
	if (options.n == 0)
		return RC_OK;
	if (options.n > OPTIONS_MAX_BYTES)
		return RC_INVALID;
	to = arena_alloc(r->a, options.n);
	if (to == NULL)
		return RC_NOMEM;
	for (i = 0; i < options.n; i++) {
		bool last = i + 1 == options.n;

		if (options.p[i] == ';' ? last || options.p[i + 1] == ';'
					: !is_keychar(options.p[i]))
			return RC_INVALID;
		to[i] = span_ascii_lower(options.p[i]);
	}
	out->p = to;
	return RC_OK;
}

/* Unknown and malformed types make the item Undefined, they are no error. */
static int read_type(struct reader *r, struct span description, struct filter *f)
{
	int rc;

	f->at = schema_attr(r->s, description);
	if (f->at == NULL) {
		f->kind = FILTER_UNDEFINED;
		return RC_OK;
	}
	f->types = schema_subtypes(r->s, f->at);
	rc = read_options(r, description, &f->options);
	if (rc != RC_INVALID)
		return rc;
	f->kind = FILTER_UNDEFINED;
	return RC_OK;
}

static void set_norm(const struct reader *r, struct filter *f, enum schema_norm norm)
{
	f->norm = r->without_accents && norm == SCHEMA_NORM_IGNORE ? SCHEMA_NORM_ACCENTS : norm;
}

/* What normalizing gave, kept; RC_INVALID makes the item Undefined. */
static int keep_value(struct reader *r, struct filter *f, int rc, struct span *out)
{
	if (rc == RC_INVALID) {
		f->kind = FILTER_UNDEFINED;
		return RC_OK;
	}
	if (rc != RC_OK)
		return rc;
	*out = arena_span(r->a, buf_span(&r->scratch));
	return out->p != NULL ? RC_OK : RC_NOMEM;
}

static int set_value(struct reader *r, struct filter *f, struct span value)
{
	if (f->kind == FILTER_UNDEFINED)
		return RC_OK;
	buf_clear(&r->scratch);
	return keep_value(r, f, schema_normalize(r->s, f->norm, value, &r->scratch), &f->value);
}

static int set_part(struct reader *r, struct filter *f, enum text_part part, struct span value,
		    struct span *out)
{
	if (f->kind == FILTER_UNDEFINED)
		return RC_OK;
	buf_clear(&r->scratch);
	return keep_value(r, f, schema_normalize_part(f->norm, part, value, &r->scratch), out);
}

/* --- ambiguous name resolution ---------------------------------------------------------------- */

static int read_element(struct reader *r, struct span *rest, unsigned depth, struct filter **out);

/* (anr=text) stands for an OR of its own (MS-ADTS 3.1.1.3.1.3.3; Exchange KB Q146024). */
static int read_anr(struct reader *r, struct span text, struct filter *f)
{
	struct filter *expanded;
	struct span rest;
	struct buf b;
	int rc;

	buf_init(&b, UINT32_MAX);
	filter_anr(text, &b);
	rest = buf_span(&b);
	rc = buf_rc(&b);
	r->without_accents = true;
	if (rc == RC_OK)
		rc = read_element(r, &rest, 0, &expanded);
	r->without_accents = false;
	if (rc == RC_OK)
		*f = *expanded;
	buf_fini(&b);
	return rc;
}

static bool is_anr(const struct reader *r, struct span description)
{
	return span_eq_nocase(description, SPAN_LIT("anr")) &&
	       schema_attr(r->s, description) == NULL;
}

/* --- items -------------------------------------------------------------------------------------
 */

static bool starts_spaced(struct span s)
{
	return s.n != 0 && s.p[0] == ' ';
}

static bool ends_spaced(struct span s)
{
	return s.n != 0 && s.p[s.n - 1] == ' ';
}

static bool needs_long_form(const struct filter *f)
{
	bool spaced = ends_spaced(f->value) || starts_spaced(f->final);
	unsigned i;

	if (f->norm != SCHEMA_NORM_IGNORE && f->norm != SCHEMA_NORM_EXACT &&
	    f->norm != SCHEMA_NORM_ACCENTS)
		return false;
	for (i = 0; i < f->nany; i++)
		spaced = spaced || starts_spaced(f->any[i]) || ends_spaced(f->any[i]);
	return spaced;
}

static int lengthen(struct reader *r, bool before, bool after, struct span *part)
{
	if (part->p == NULL)
		return RC_OK;
	buf_clear(&r->scratch);
	filter_spaces(*part, before, after, &r->scratch);
	if (buf_rc(&r->scratch) != RC_OK)
		return buf_rc(&r->scratch);
	*part = arena_span(r->a, buf_span(&r->scratch));
	return part->p != NULL ? RC_OK : RC_NOMEM;
}

/* All parts are prepared: set what planning and matching want to know about them. */
static int finish_parts(struct reader *r, struct filter *f)
{
	unsigned i;
	int rc;

	if (f->kind == FILTER_UNDEFINED)
		return RC_OK;
	f->prefix = f->value;
	while (ends_spaced(f->prefix))
		f->prefix.n--;
	f->spaced = needs_long_form(f);
	if (!f->spaced)
		return RC_OK;
	rc = lengthen(r, true, false, &f->value);
	for (i = 0; i < f->nany && rc == RC_OK; i++)
		rc = lengthen(r, false, false, &f->any[i]);
	return rc == RC_OK ? lengthen(r, false, true, &f->final) : rc;
}

static int count_elements(struct span rest, unsigned *out)
{
	struct tlv t;
	int rc;

	*out = 0;
	while ((rc = tlv_next(&rest, &t)) == RC_OK)
		++*out;
	return rc == RC_DONE ? RC_OK : rc;
}

static int refuse_substrings(struct reader *r)
{
	r->why = "this site searches for the beginnings of values only; leave the first * out";
	return RC_DENIED;
}

static int read_part(struct reader *r, struct filter *f, const struct tlv *t, bool first, bool last)
{
	bool open = first && (t->tag == TLV_CONTEXT(1) || (t->tag == TLV_CONTEXT(2) && last));

	if (t->body.n == 0)
		return invalid(r, "filter: an empty substring");
	if (open && r->mode == FILTER_SUBSTR_REFUSE && f->kind != FILTER_UNDEFINED)
		return refuse_substrings(r);
	if ((t->tag == TLV_CONTEXT(0) && first) || (open && r->mode == FILTER_SUBSTR_AS_INITIAL))
		return set_part(r, f, TEXT_INITIAL, t->body, &f->value);
	if (t->tag == TLV_CONTEXT(1))
		return set_part(r, f, TEXT_ANY, t->body, &f->any[f->nany++]);
	if (t->tag == TLV_CONTEXT(2) && last)
		return set_part(r, f, TEXT_FINAL, t->body, &f->final);
	return invalid(r, "filter: substrings out of order");
}

static int read_substrings(struct reader *r, struct span body, struct filter *f)
{
	struct span description, parts;
	struct tlv t;
	unsigned i, n;
	int rc;

	f->kind = FILTER_SUBSTR;
	f->match = FILTER_SUBSTR;
	if (tlv_expect(&body, TLV_OCTETS, &description) != RC_OK ||
	    tlv_expect(&body, TLV_SEQUENCE, &parts) != RC_OK || body.n != 0 ||
	    count_elements(parts, &n) != RC_OK || n == 0)
		return invalid(r, "filter: malformed substrings");
	r->terms += n;
	if (r->terms > FILTER_MAX_TERMS)
		return RC_TOOBIG;
	if (is_anr(r, description) && n == 1 && tlv_peek(parts, TLV_CONTEXT(0)) &&
	    tlv_expect(&parts, TLV_CONTEXT(0), &description) == RC_OK)
		return read_anr(r, description, f);
	rc = read_type(r, description, f);
	if (rc == RC_OK && f->kind != FILTER_UNDEFINED) {
		set_norm(r, f, f->at->substr);
		if (f->norm == SCHEMA_NORM_NONE)
			f->kind = FILTER_UNDEFINED;
	}
	f->any = arena_zalloc(r->a, n, sizeof(*f->any));
	if (f->any == NULL)
		return RC_NOMEM;
	for (i = 0; i < n && rc == RC_OK; i++) {
		rc = tlv_next(&parts, &t);
		if (rc == RC_OK)
			rc = read_part(r, f, &t, i == 0, i + 1 == n);
	}
	return rc == RC_OK ? finish_parts(r, f) : rc;
}

static enum schema_norm norm_for(const struct schema_attr *at, enum filter_kind kind)
{
	return kind == FILTER_GE || kind == FILTER_LE ? at->ordering : at->equality;
}

static bool is_text(enum schema_norm norm)
{
	return norm == SCHEMA_NORM_IGNORE || norm == SCHEMA_NORM_EXACT || norm == SCHEMA_NORM_LIST;
}

static int read_ava(struct reader *r, enum filter_kind kind, struct span body, struct filter *f)
{
	struct span description, value;
	int rc;

	f->kind = kind;
	f->match = kind == FILTER_APPROX ? FILTER_EQUAL : kind;
	if (tlv_expect(&body, TLV_OCTETS, &description) != RC_OK ||
	    tlv_expect(&body, TLV_OCTETS, &value) != RC_OK || body.n != 0)
		return invalid(r, "filter: malformed attribute value assertion");
	if (f->match == FILTER_EQUAL && is_anr(r, description))
		return read_anr(r, value, f);
	rc = read_type(r, description, f);
	if (rc != RC_OK || f->kind == FILTER_UNDEFINED)
		return rc;
	set_norm(r, f, norm_for(f->at, kind));
	if (kind == FILTER_APPROX && is_text(f->norm)) {
		f->norm = SCHEMA_NORM_SOUND;
		f->match = FILTER_APPROX;
	}
	return set_value(r, f, value);
}

/* "\2A" and "\5C" in a part of a substring assertion. Other backslashes stand for themselves. */
static int unescape_part(struct reader *r, struct span *part)
{
	uint8_t *to;
	size_t i, n = 0;

	if (part->n == 0 || memchr(part->p, '\\', part->n) == NULL)
		return RC_OK;
	to = arena_alloc(r->a, part->n);
	if (to == NULL)
		return RC_NOMEM;
	for (i = 0; i < part->n; i++) {
		struct span hex = span_head(span_from(*part, i + 1), 2);

		to[n] = part->p[i];
		if (to[n] == '\\' && span_eq_nocase(hex, SPAN_LIT("2a"))) {
			to[n] = '*';
			i += 2;
		} else if (to[n] == '\\' && span_eq_nocase(hex, SPAN_LIT("5c"))) {
			i += 2;
		}
		n++;
	}
	*part = span_make(to, n);
	return RC_OK;
}

/* The assertion of a substrings rule in an extensible match: "a*b*c" (RFC 4517 §3.3.30). */
static int read_substring_text(struct reader *r, struct span text, struct filter *f)
{
	size_t i, stars = 0;
	struct span piece;
	bool more, first = true;
	int rc = RC_OK;

	for (i = 0; i < text.n; i++)
		stars += text.p[i] == '*';
	if (stars == 0 || r->terms + stars > FILTER_MAX_TERMS) {
		f->kind = FILTER_UNDEFINED;
		return RC_OK;
	}
	r->terms += (unsigned)stars;
	f->any = arena_zalloc(r->a, stars, sizeof(*f->any));
	if (f->any == NULL)
		return RC_NOMEM;
	do {
		more = span_cut(&text, '*', &piece);
		rc = unescape_part(r, &piece);
		if (rc == RC_OK && piece.n == 0 && first && r->mode == FILTER_SUBSTR_REFUSE)
			rc = refuse_substrings(r);
		if (rc != RC_OK)
			break;
		if (piece.n == 0 && r->mode == FILTER_SUBSTR_AS_INITIAL)
			continue;
		if (piece.n != 0 && first)
			rc = set_part(r, f, TEXT_INITIAL, piece, &f->value);
		else if (piece.n != 0 && !more)
			rc = set_part(r, f, TEXT_FINAL, piece, &f->final);
		else if (piece.n != 0)
			rc = set_part(r, f, TEXT_ANY, piece, &f->any[f->nany++]);
		first = false;
	} while (more && rc == RC_OK);
	return rc == RC_OK ? finish_parts(r, f) : rc;
}

/* The assertion's form, with what stands around words, is looked for inside the value's. */
static int set_word(struct reader *r, struct filter *f, struct span word)
{
	int rc = set_value(r, f, word);

	f->match = FILTER_SUBSTR;
	if (rc != RC_OK || f->kind == FILTER_UNDEFINED)
		return rc;
	if (f->value.n < 2) {
		f->kind = FILTER_UNDEFINED;
		return RC_OK;
	}
	f->any = arena_zalloc(r->a, 1, sizeof(*f->any));
	if (f->any == NULL)
		return RC_NOMEM;
	f->any[f->nany++] = f->value;
	f->value = (struct span){NULL, 0};
	return RC_OK;
}

/* How a rule named in an extensible match compares (RFC 4517 §4.2). */
static int apply_rule(struct reader *r, struct filter *f, struct span value)
{
	if (f->rule == NULL) {
		f->norm = f->at->equality;
		f->match = FILTER_EQUAL;
		return set_value(r, f, value);
	}
	f->norm = f->rule->norm;
	if (f->norm == SCHEMA_NORM_WORDS || f->norm == SCHEMA_NORM_KEYWORDS)
		return set_word(r, f, value);
	switch (f->rule->kind) {
	case SCHEMA_EQUALITY:
		f->match = FILTER_EQUAL;
		return set_value(r, f, value);
	case SCHEMA_ORDERING:
		f->match = FILTER_AND;
		return set_value(r, f, value);
	case SCHEMA_SUBSTRINGS:
		f->match = FILTER_SUBSTR;
		return read_substring_text(r, value, f);
	}
	return RC_OK;
}

static int read_extensible(struct reader *r, struct span body, struct filter *f)
{
	struct span rule = {NULL, 0}, description = {NULL, 0}, value;
	int rc = RC_OK;

	f->kind = FILTER_EXTENSIBLE;
	if ((tlv_peek(body, TLV_CONTEXT(1)) && tlv_expect(&body, TLV_CONTEXT(1), &rule) != RC_OK) ||
	    (tlv_peek(body, TLV_CONTEXT(2)) &&
	     tlv_expect(&body, TLV_CONTEXT(2), &description) != RC_OK) ||
	    tlv_expect(&body, TLV_CONTEXT(3), &value) != RC_OK ||
	    (tlv_peek(body, TLV_CONTEXT(4)) &&
	     tlv_read_bool(&body, TLV_CONTEXT(4), &f->dn_attrs) != RC_OK) ||
	    body.n != 0)
		return invalid(r, "filter: malformed extensible match");
	if (rule.p == NULL && description.p == NULL)
		return invalid(r, "filter: extensible match with neither type nor rule");
	if (rule.p != NULL) {
		f->rule = schema_rule(rule);
		if (f->rule == NULL)
			f->kind = FILTER_UNDEFINED;
	}
	if (description.p != NULL)
		rc = read_type(r, description, f);
	if (rc != RC_OK || f->kind == FILTER_UNDEFINED)
		return rc;
	if (f->rule != NULL && f->at != NULL && !schema_rule_applies(f->rule, f->at)) {
		f->kind = FILTER_UNDEFINED;
		return RC_OK;
	}
	return apply_rule(r, f, value);
}

static int read_present(struct reader *r, struct span description, struct filter *f)
{
	f->kind = FILTER_PRESENT;
	f->match = FILTER_PRESENT;
	return read_type(r, description, f);
}

static int read_set(struct reader *r, enum filter_kind kind, struct span body, unsigned depth,
		    struct filter *f)
{
	unsigned n;
	int rc = RC_OK;

	f->kind = kind;
	if (count_elements(body, &n) != RC_OK)
		return invalid(r, "filter: malformed set of filters");
	if (kind == FILTER_NOT && n != 1)
		return invalid(r, "filter: not takes one filter");
	if (n > FILTER_MAX_TERMS)
		return RC_TOOBIG;
	f->subs = arena_zalloc(r->a, n, sizeof(struct filter *));
	if (f->subs == NULL)
		return RC_NOMEM;
	while (f->nsubs < n && rc == RC_OK)
		rc = read_element(r, &body, depth + 1, &f->subs[f->nsubs++]);
	return rc;
}

static int read_item(struct reader *r, const struct tlv *t, unsigned depth, struct filter *f)
{
	switch (t->tag) {
	case TAG_AND:
		return read_set(r, FILTER_AND, t->body, depth, f);
	case TAG_OR:
		return read_set(r, FILTER_OR, t->body, depth, f);
	case TAG_NOT:
		return read_set(r, FILTER_NOT, t->body, depth, f);
	case TAG_EQUAL:
		return read_ava(r, FILTER_EQUAL, t->body, f);
	case TAG_SUBSTR:
		return read_substrings(r, t->body, f);
	case TAG_GE:
		return read_ava(r, FILTER_GE, t->body, f);
	case TAG_LE:
		return read_ava(r, FILTER_LE, t->body, f);
	case TAG_PRESENT:
		return read_present(r, t->body, f);
	case TAG_APPROX:
		return read_ava(r, FILTER_APPROX, t->body, f);
	case TAG_EXTENSIBLE:
		return read_extensible(r, t->body, f);
	default:
		break;
	}
	/* The choice is extensible: what we do not know is Undefined. */
	if ((t->tag & TAG_CLASS) != TAG_CLASS_CONTEXT)
		return invalid(r, "filter: unknown kind of filter");
	f->kind = FILTER_UNDEFINED;
	return RC_OK;
}

static int read_element(struct reader *r, struct span *rest, unsigned depth, struct filter **out)
{
	struct filter *f;
	struct tlv t;

	if (depth >= FILTER_MAX_DEPTH || ++r->terms > FILTER_MAX_TERMS)
		return RC_TOOBIG;
	if (tlv_next(rest, &t) != RC_OK)
		return invalid(r, "filter: malformed element");
	f = arena_zalloc(r->a, 1, sizeof(*f));
	if (f == NULL)
		return RC_NOMEM;
	*out = f;
	return read_item(r, &t, depth, f);
}

int filter_read(const struct schema *s, struct span *rest, struct arena *a, struct filter **out,
		const char **why)
{
	return filter_read_as(s, FILTER_SUBSTR_ALLOW, rest, a, out, why);
}

int filter_read_as(const struct schema *s, enum filter_substrings mode, struct span *rest,
		   struct arena *a, struct filter **out, const char **why)
{
	struct reader r = {.s = s, .a = a, .mode = mode};
	int rc;

	buf_init(&r.scratch, UINT32_MAX);
	rc = read_element(&r, rest, 0, out);
	if (rc == RC_TOOBIG)
		r.why = "filter: too deep or too many terms";
	if (rc != RC_OK && why != NULL)
		*why = r.why;
	buf_fini(&r.scratch);
	return rc;
}
