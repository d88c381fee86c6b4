#include "dird/schema_lex.h"

int schema_lex_fail(struct schema_lexer *x, const char *what)
{
	char text[64];
	size_t i, n = x->text.n < sizeof(text) ? x->text.n : sizeof(text) - 1;

	for (i = 0; i < n; i++)
		text[i] = (char)(x->text.p[i] >= 0x20 && x->text.p[i] < 0x7f ? x->text.p[i] : '?');
	text[n] = '\0';
	if (x->kind == SCHEMA_TOKEN_WORD || x->kind == SCHEMA_TOKEN_QUOTED)
		schema_error(x->s, x->errors, x->file, x->token_line, "%s, found \"%s\"", what,
			     text);
	else
		schema_error(x->s, x->errors, x->file, x->token_line, "%s, found %s", what,
			     x->kind == SCHEMA_TOKEN_END     ? "the end of the file"
			     : x->kind == SCHEMA_TOKEN_OPEN  ? "\"(\""
			     : x->kind == SCHEMA_TOKEN_CLOSE ? "\")\""
							     : "\"$\"");
	return RC_INVALID;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blank(struct schema_lexer *x)
{
	bool comment = false;

	while (x->rest.n != 0 && (comment || is_blank(x->rest.p[0]) || x->rest.p[0] == '#')) {
		if (x->rest.p[0] == '\n') {
			x->line++;
			comment = false;
		} else if (x->rest.p[0] == '#') {
			comment = true;
		}
		x->rest = span_from(x->rest, 1);
	}
}

static size_t word_length(struct span s)
{
	size_t n = 0;

	while (n < s.n && !is_blank(s.p[n]) && memchr("()$'#", s.p[n], 5) == NULL)
		n++;
	return n;
}

static int lex_quoted(struct schema_lexer *x)
{
	struct span rest = span_from(x->rest, 1);
	size_t i;

	if (!span_cut(&rest, '\'', &x->text)) {
		x->text = (struct span){NULL, 0};
		x->kind = SCHEMA_TOKEN_QUOTED;
		return schema_lex_fail(x, "a quoted string has no end");
	}
	for (i = 0; i < x->text.n; i++)
		x->line += x->text.p[i] == '\n';
	x->rest = rest;
	x->kind = SCHEMA_TOKEN_QUOTED;
	return RC_OK;
}

int schema_lex(struct schema_lexer *x)
{
	skip_blank(x);
	x->token_line = x->line;
	x->text = span_head(x->rest, 0);
	if (x->rest.n == 0) {
		x->kind = SCHEMA_TOKEN_END;
		return RC_OK;
	}
	switch (x->rest.p[0]) {
	case '(':
		x->kind = SCHEMA_TOKEN_OPEN;
		break;
	case ')':
		x->kind = SCHEMA_TOKEN_CLOSE;
		break;
	case '$':
		x->kind = SCHEMA_TOKEN_DOLLAR;
		break;
	case '\'':
		return lex_quoted(x);
	default:
		x->kind = SCHEMA_TOKEN_WORD;
		x->text = span_head(x->rest, word_length(x->rest));
		x->rest = span_from(x->rest, x->text.n);
		return RC_OK;
	}
	x->rest = span_from(x->rest, 1);
	return RC_OK;
}
