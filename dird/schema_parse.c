#include "dird/schema_def.h"
#include "dird/schema_lex.h"

#include <stdarg.h>
#include <stdio.h>

#define LIST_MAX 4096

void schema_error(struct schema *s, struct buf *errors, const char *file, unsigned line,
		  const char *fmt, ...)
{
	va_list ap;

	s->nerrors++;
	if (errors == NULL)
		return;
	buf_printf(errors, "%s:%u: ", file, line);
	va_start(ap, fmt);
	buf_vprintf(errors, fmt, ap);
	va_end(ap);
	buf_putc(errors, '\n');
}

bool schema_is_descr(struct span s)
{
	size_t i;

	if (s.n == 0 || span_ascii_lower(s.p[0]) < 'a' || span_ascii_lower(s.p[0]) > 'z')
		return false;
	for (i = 1; i < s.n; i++) {
		uint8_t c = span_ascii_lower(s.p[i]);

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
			return false;
	}
	return true;
}

bool schema_is_numericoid(struct span s)
{
	struct span number;
	unsigned n = 0;
	bool more;

	do {
		size_t i;

		more = span_cut(&s, '.', &number);
		if (number.n == 0 || (number.n > 1 && number.p[0] == '0'))
			return false;
		for (i = 0; i < number.n; i++) {
			if (number.p[i] < '0' || number.p[i] > '9')
				return false;
		}
		n++;
	} while (more);
	return n >= 2;
}

static const char *keep(struct schema_lexer *x, struct span s)
{
	const char *text = arena_str(&x->s->mem, s);

	if (text == NULL)
		x->nomem = true;
	return text;
}

/* A numeric OID, or NAME[:suffix] of an objectidentifier line. */
static int read_oid(struct schema_lexer *x, struct span word, const char **out)
{
	const struct schema_macro *m = x->s->macros;
	struct span suffix = word, name;
	bool has_suffix;

	if (schema_is_numericoid(word)) {
		*out = keep(x, word);
		return *out != NULL ? RC_OK : RC_NOMEM;
	}
	has_suffix = span_cut(&suffix, ':', &name);
	while (m != NULL && !span_eq_nocase(span_of(m->name), name))
		m = m->next;
	if (m == NULL)
		return schema_lex_fail(
			x, "no numeric object identifier and no objectidentifier line above");
	*out = has_suffix ? arena_printf(&x->s->mem, "%s.%.*s", m->oid, SPAN_ARG(suffix)) : m->oid;
	if (*out == NULL) {
		x->nomem = true;
		return RC_NOMEM;
	}
	return schema_is_numericoid(span_of(*out)) ? RC_OK : schema_lex_fail(x, "malformed suffix");
}

/* qdstring contents: \27 and \5c are the only escapes (RFC 4512 §4.1). */
static int unescape(struct schema_lexer *x, struct span s, const char **out)
{
	char *text = arena_alloc(&x->s->mem, s.n + 1);
	size_t i, n = 0;

	if (text == NULL) {
		x->nomem = true;
		return RC_NOMEM;
	}
	for (i = 0; i < s.n; i++) {
		if (s.p[i] != '\\') {
			text[n++] = (char)s.p[i];
		} else if (span_eq(span_head(span_from(s, i), 3), SPAN_LIT("\\27"))) {
			text[n++] = '\'';
			i += 2;
		} else if (span_eq_nocase(span_head(span_from(s, i), 3), SPAN_LIT("\\5c"))) {
			text[n++] = '\\';
			i += 2;
		} else {
			return schema_lex_fail(x,
					       "only \\27 and \\5C are escapes in a quoted string");
		}
	}
	text[n] = '\0';
	*out = text;
	return RC_OK;
}

static int list_done(struct schema_lexer *x, const char **items, unsigned n, const char ***out)
{
	*out = arena_zalloc(&x->s->mem, n + 1, sizeof(**out));
	if (*out == NULL) {
		x->nomem = true;
		return RC_NOMEM;
	}
	memcpy(*out, items, n * sizeof(*items));
	return RC_OK;
}

static int read_item(struct schema_lexer *x, enum schema_token want, const char **out)
{
	if (x->kind != want)
		return schema_lex_fail(x, want == SCHEMA_TOKEN_QUOTED
						  ? "expected a quoted string"
						  : "expected a name or number");
	if (want == SCHEMA_TOKEN_QUOTED)
		return unescape(x, x->text, out);
	if (!schema_is_descr(x->text) && !schema_is_numericoid(x->text))
		return schema_lex_fail(x, "malformed name or number");
	*out = keep(x, x->text);
	return *out != NULL ? RC_OK : RC_NOMEM;
}

/*
 * One item, or several in parentheses: quoted ones follow each other, words have '$' between them.
 * The current token is the keyword; afterwards it is the list's last token.
 */
static int read_list(struct schema_lexer *x, enum schema_token want, const char ***out)
{
	const char *items[LIST_MAX];
	unsigned n = 0;
	int rc = schema_lex(x);

	if (rc != RC_OK)
		return rc;
	if (x->kind != SCHEMA_TOKEN_OPEN) {
		rc = read_item(x, want, &items[0]);
		return rc == RC_OK ? list_done(x, items, 1, out) : rc;
	}
	for (;;) {
		rc = schema_lex(x);
		if (rc == RC_OK && x->kind == SCHEMA_TOKEN_CLOSE &&
		    (n == 0 || want == SCHEMA_TOKEN_QUOTED))
			break;
		if (rc == RC_OK && n == LIST_MAX)
			rc = schema_lex_fail(x, "too many items in one list");
		if (rc == RC_OK)
			rc = read_item(x, want, &items[n]);
		if (rc != RC_OK)
			return rc;
		n++;
		if (want == SCHEMA_TOKEN_QUOTED)
			continue;
		rc = schema_lex(x);
		if (rc != RC_OK)
			return rc;
		if (x->kind == SCHEMA_TOKEN_CLOSE)
			break;
		if (x->kind != SCHEMA_TOKEN_DOLLAR)
			return schema_lex_fail(x, "expected \"$\" or \")\"");
	}
	return n != 0 ? list_done(x, items, n, out) : schema_lex_fail(x, "an empty list");
}

static int read_syntax(struct schema_lexer *x, struct schema_def *def)
{
	struct span bound, word;
	size_t i;

	if (schema_lex(x) != RC_OK)
		return RC_INVALID;
	/* Quotes around the number are an old habit of published schema files. */
	if (x->kind != SCHEMA_TOKEN_WORD && x->kind != SCHEMA_TOKEN_QUOTED)
		return schema_lex_fail(x, "expected a syntax");
	bound = x->text;
	if (span_cut(&bound, '{', &word)) {
		for (i = 0; i < bound.n && bound.p[i] >= '0' && bound.p[i] <= '9' && i < 9; i++)
			def->upper_bound = def->upper_bound * 10 + (unsigned)(bound.p[i] - '0');
		if (i == 0 || i + 1 != bound.n || bound.p[i] != '}')
			return schema_lex_fail(x, "malformed upper bound");
	}
	return read_oid(x, word, &def->syntax);
}

static int read_usage(struct schema_lexer *x, struct schema_def *def)
{
	static const char *const words[] = {
		[SCHEMA_USER] = "userApplications",
		[SCHEMA_DIRECTORY_OPERATION] = "directoryOperation",
		[SCHEMA_DISTRIBUTED_OPERATION] = "distributedOperation",
		[SCHEMA_DSA_OPERATION] = "dSAOperation",
	};
	unsigned i;

	if (schema_lex(x) != RC_OK)
		return RC_INVALID;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (x->kind == SCHEMA_TOKEN_WORD && span_eq_nocase(x->text, span_of(words[i]))) {
			def->usage = (enum schema_usage)i;
			return RC_OK;
		}
	}
	return schema_lex_fail(x, "unknown usage");
}

static int read_extension(struct schema_lexer *x, struct schema_def *def)
{
	bool ours = span_eq_nocase(x->text, SPAN_LIT("X-WAYPOST"));
	const char **values = NULL;
	int rc = read_list(x, SCHEMA_TOKEN_QUOTED, &values);

	for (; rc == RC_OK && ours && *values != NULL; values++) {
		if (strcmp(*values, "index") == 0)
			def->is_indexed = true;
		else if (strcmp(*values, "protected") == 0)
			def->is_protected = true;
		else
			rc = schema_lex_fail(x, "X-WAYPOST knows 'index' and 'protected'");
	}
	return rc;
}

/* A list with exactly one item. */
static int read_one(struct schema_lexer *x, enum schema_token want, const char **out)
{
	int rc = schema_lex(x);

	return rc == RC_OK ? read_item(x, want, out) : rc;
}

static int read_names(struct schema_lexer *x, struct schema_def *def)
{
	const char **name;
	int rc = read_list(x, SCHEMA_TOKEN_QUOTED, &def->names);

	for (name = def->names; rc == RC_OK && *name != NULL; name++) {
		if (!schema_is_descr(span_of(*name)))
			rc = schema_lex_fail(
				x, "a name is letters, digits and hyphens after a letter");
	}
	return rc;
}

enum field {
	FIELD_NAME,
	FIELD_DESC,
	FIELD_OBSOLETE,
	FIELD_SUP,
	FIELD_EQUALITY,
	FIELD_ORDERING,
	FIELD_SUBSTR,
	FIELD_SYNTAX,
	FIELD_SINGLE,
	FIELD_COLLECTIVE,
	FIELD_NO_USER_MODIFICATION,
	FIELD_USAGE,
	FIELD_ABSTRACT,
	FIELD_STRUCTURAL,
	FIELD_AUXILIARY,
	FIELD_MUST,
	FIELD_MAY,
	FIELD_COUNT,
};

#define ON_ATTR (1u << SCHEMA_ATTRIBUTE_TYPES)
#define ON_CLASS (1u << SCHEMA_OBJECT_CLASSES)

static const struct {
	const char *word;
	unsigned kinds;
} fields[FIELD_COUNT] = {
	[FIELD_NAME] = {"NAME", ON_ATTR | ON_CLASS},
	[FIELD_DESC] = {"DESC", ON_ATTR | ON_CLASS},
	[FIELD_OBSOLETE] = {"OBSOLETE", ON_ATTR | ON_CLASS},
	[FIELD_SUP] = {"SUP", ON_ATTR | ON_CLASS},
	[FIELD_EQUALITY] = {"EQUALITY", ON_ATTR},
	[FIELD_ORDERING] = {"ORDERING", ON_ATTR},
	[FIELD_SUBSTR] = {"SUBSTR", ON_ATTR},
	[FIELD_SYNTAX] = {"SYNTAX", ON_ATTR},
	[FIELD_SINGLE] = {"SINGLE-VALUE", ON_ATTR},
	[FIELD_COLLECTIVE] = {"COLLECTIVE", ON_ATTR},
	[FIELD_NO_USER_MODIFICATION] = {"NO-USER-MODIFICATION", ON_ATTR},
	[FIELD_USAGE] = {"USAGE", ON_ATTR},
	[FIELD_ABSTRACT] = {"ABSTRACT", ON_CLASS},
	[FIELD_STRUCTURAL] = {"STRUCTURAL", ON_CLASS},
	[FIELD_AUXILIARY] = {"AUXILIARY", ON_CLASS},
	[FIELD_MUST] = {"MUST", ON_CLASS},
	[FIELD_MAY] = {"MAY", ON_CLASS},
};

static int set_flag(bool *flag)
{
	*flag = true;
	return RC_OK;
}

static int set_class_kind(struct schema_def *def, enum schema_class_kind kind)
{
	def->class_kind = kind;
	return RC_OK;
}

static int read_field(struct schema_lexer *x, struct schema_def *def, enum field field)
{
	switch (field) {
	case FIELD_NAME:
		return read_names(x, def);
	case FIELD_DESC:
		return read_one(x, SCHEMA_TOKEN_QUOTED, &def->desc);
	case FIELD_OBSOLETE:
		return set_flag(&def->obsolete);
	case FIELD_SUP:
		return read_list(x, SCHEMA_TOKEN_WORD, &def->sups);
	case FIELD_EQUALITY:
		return read_one(x, SCHEMA_TOKEN_WORD, &def->equality);
	case FIELD_ORDERING:
		return read_one(x, SCHEMA_TOKEN_WORD, &def->ordering);
	case FIELD_SUBSTR:
		return read_one(x, SCHEMA_TOKEN_WORD, &def->substr);
	case FIELD_SYNTAX:
		return read_syntax(x, def);
	case FIELD_SINGLE:
		return set_flag(&def->single);
	case FIELD_COLLECTIVE:
		return set_flag(&def->collective);
	case FIELD_NO_USER_MODIFICATION:
		return set_flag(&def->no_user_modification);
	case FIELD_USAGE:
		return read_usage(x, def);
	case FIELD_ABSTRACT:
		return set_class_kind(def, SCHEMA_ABSTRACT);
	case FIELD_STRUCTURAL:
		return set_class_kind(def, SCHEMA_STRUCTURAL);
	case FIELD_AUXILIARY:
		return set_class_kind(def, SCHEMA_AUXILIARY);
	case FIELD_MUST:
		return read_list(x, SCHEMA_TOKEN_WORD, &def->must);
	case FIELD_MAY:
		return read_list(x, SCHEMA_TOKEN_WORD, &def->may);
	case FIELD_COUNT:
		break;
	}
	return schema_lex_fail(x, "unknown field");
}

static int read_known_field(struct schema_lexer *x, struct schema_def *def, unsigned *seen)
{
	unsigned i = 0;

	while (i < FIELD_COUNT && !(span_eq_nocase(x->text, span_of(fields[i].word)) &&
				    fields[i].kinds & 1u << def->kind))
		i++;
	if (i == FIELD_COUNT)
		return schema_lex_fail(x, "unknown field");
	if (*seen & 1u << i)
		return schema_lex_fail(x, "a field that stands there twice");
	*seen |= 1u << i;
	return read_field(x, def, (enum field)i);
}

/* The current token is the keyword in front of the parenthesis. */
static int read_def(struct schema_lexer *x, struct schema_def *def)
{
	unsigned seen = 0;
	int rc = schema_lex(x);

	if (rc == RC_OK && x->kind != SCHEMA_TOKEN_OPEN)
		rc = schema_lex_fail(x, "expected \"(\"");
	if (rc == RC_OK)
		rc = schema_lex(x);
	if (rc == RC_OK && x->kind != SCHEMA_TOKEN_WORD)
		rc = schema_lex_fail(x, "expected an object identifier");
	if (rc == RC_OK)
		rc = read_oid(x, x->text, &def->oid);
	while (rc == RC_OK) {
		rc = schema_lex(x);
		if (rc != RC_OK || x->kind == SCHEMA_TOKEN_CLOSE)
			break;
		if (x->kind != SCHEMA_TOKEN_WORD)
			rc = schema_lex_fail(x, "expected a field or \")\"");
		else if (x->text.n > 2 && span_eq_nocase(span_head(x->text, 2), SPAN_LIT("X-")))
			rc = read_extension(x, def);
		else
			rc = read_known_field(x, def, &seen);
	}
	return rc;
}

static int read_macro(struct schema_lexer *x)
{
	struct schema_macro *m = arena_zalloc(&x->s->mem, 1, sizeof(*m));
	int rc;

	if (m == NULL) {
		x->nomem = true;
		return RC_NOMEM;
	}
	rc = schema_lex(x);
	if (rc == RC_OK && (x->kind != SCHEMA_TOKEN_WORD || !schema_is_descr(x->text)))
		rc = schema_lex_fail(x, "expected a name");
	if (rc == RC_OK) {
		m->name = keep(x, x->text);
		rc = m->name != NULL ? schema_lex(x) : RC_NOMEM;
	}
	if (rc == RC_OK)
		rc = read_oid(x, x->text, &m->oid);
	if (rc != RC_OK)
		return rc;
	m->next = x->s->macros;
	x->s->macros = m;
	return RC_OK;
}

/* After an error: on to the next line that begins with a letter. */
static void recover(struct schema_lexer *x)
{
	struct span line;

	while (span_cut(&x->rest, '\n', &line)) {
		x->line++;
		if (x->rest.n != 0 && schema_is_descr(span_head(x->rest, 1)))
			return;
	}
}

static int read_one_def(struct schema_lexer *x, enum schema_kind kind)
{
	struct schema_def *def = arena_zalloc(&x->s->mem, 1, sizeof(*def));
	int rc;

	if (def == NULL) {
		x->nomem = true;
		return RC_NOMEM;
	}
	def->kind = kind;
	def->class_kind = SCHEMA_STRUCTURAL;
	def->file = x->file;
	def->line = x->token_line;
	rc = read_def(x, def);
	if (rc != RC_OK)
		return rc;
	*x->s->defs_end = def;
	x->s->defs_end = &def->next;
	return RC_OK;
}

static int read_statement(struct schema_lexer *x)
{
	if (x->kind == SCHEMA_TOKEN_WORD) {
		if (span_eq_nocase(x->text, SPAN_LIT("attributetype")))
			return read_one_def(x, SCHEMA_ATTRIBUTE_TYPES);
		if (span_eq_nocase(x->text, SPAN_LIT("objectclass")))
			return read_one_def(x, SCHEMA_OBJECT_CLASSES);
		if (span_eq_nocase(x->text, SPAN_LIT("objectidentifier")))
			return read_macro(x);
	}
	return schema_lex_fail(x, "expected attributetype, objectclass or objectidentifier");
}

int schema_parse(struct schema *s, const char *file, struct span text, struct buf *errors)
{
	struct schema_lexer x = {.s = s, .file = file, .errors = errors, .rest = text, .line = 1};
	int rc;

	for (;;) {
		rc = schema_lex(&x);
		if (rc == RC_OK && x.kind == SCHEMA_TOKEN_END)
			break;
		if (rc == RC_OK)
			rc = read_statement(&x);
		if (x.nomem)
			return RC_NOMEM;
		if (rc != RC_OK)
			recover(&x);
	}
	return RC_OK;
}
