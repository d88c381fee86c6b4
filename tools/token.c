#include "tools/token.h"

#include "lib/base64.h"

#define MAX_BYTES 8192

static const char first_line[] = "waypost-token 1\n";

struct field {
	const char *name;
	const char **value;
};

#define NFIELDS 8

static void fields_of(struct token *t, struct field out[static NFIELDS])
{
	const struct field all[NFIELDS] = {
		{"root", &t->root}, {"hub", &t->hub},         {"uri", &t->uri},
		{"pin", &t->pin},   {"dn", &t->dn},           {"secret", &t->secret},
		{"site", &t->site}, {"expires", &t->expires},
	};

	memcpy(out, all, sizeof(all));
}

int token_write(const struct token *t, struct buf *out)
{
	struct token copy = *t;
	struct field f[NFIELDS];
	struct buf text;
	size_t start = out->n, i;
	int rc = RC_OK;

	buf_init(&text, MAX_BYTES);
	fields_of(&copy, f);
	buf_puts(&text, first_line);
	for (i = 0; i < NFIELDS; i++) {
		if (strchr(*f[i].value, '\n') != NULL)
			rc = RC_INVALID;
		buf_printf(&text, "%s=%s\n", f[i].name, *f[i].value);
	}
	base64_encode(buf_span(&text), out);
	for (i = start; i < out->n; i++) {
		if (out->p[i] == '+')
			out->p[i] = '-';
		else if (out->p[i] == '/')
			out->p[i] = '_';
	}
	while (out->n > start && out->p[out->n - 1] == '=')
		buf_truncate(out, out->n - 1);
	if (rc == RC_OK)
		rc = buf_rc(&text) != RC_OK ? buf_rc(&text) : buf_rc(out);
	if (text.p != NULL)
		explicit_bzero(text.p, text.n);
	buf_fini(&text);
	return rc;
}

static int decode(struct span line, struct arena *a, struct span *out)
{
	size_t padded = (line.n + 3) / 4 * 4, i;
	uint8_t *text = arena_alloc(a, padded + 1), *bytes;

	bytes = arena_alloc(a, base64_max_bytes(padded) + 1);
	if (text == NULL || bytes == NULL)
		return RC_NOMEM;
	for (i = 0; i < padded; i++) {
		text[i] = i < line.n ? line.p[i] : '=';
		if (text[i] == '-')
			text[i] = '+';
		else if (text[i] == '_')
			text[i] = '/';
	}
	out->p = bytes;
	return base64_decode(span_make(text, padded), bytes, &out->n) ? RC_OK : RC_INVALID;
}

int token_read(struct span text, struct arena *a, struct token *out)
{
	struct span rest, line, name;
	struct field f[NFIELDS];
	size_t i;
	int rc;

	memset(out, 0, sizeof(*out));
	text = span_trim(text);
	if (text.n == 0 || text.n > 2 * MAX_BYTES)
		return RC_INVALID;
	rc = decode(text, a, &rest);
	if (rc != RC_OK)
		return rc;
	if (!span_starts(rest, span_of(first_line)))
		return RC_INVALID;
	rest = span_from(rest, sizeof(first_line) - 1);
	fields_of(out, f);
	for (i = 0; i < NFIELDS; i++) {
		if (!span_cut(&rest, '\n', &line) || !span_cut(&line, '=', &name) ||
		    !span_eq(name, span_of(f[i].name)) || line.n == 0 ||
		    memchr(line.p, '\0', line.n) != NULL)
			return RC_INVALID;
		*f[i].value = arena_str(a, line);
		if (*f[i].value == NULL)
			return RC_NOMEM;
	}
	return rest.n == 0 ? RC_OK : RC_INVALID;
}
