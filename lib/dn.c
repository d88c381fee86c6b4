/* Parsing, RFC 4514 §3. Writing and the normal form are in dn_write.c. */
#include "lib/dn.h"

#include "lib/text.h"

struct parser {
	struct arena *arena;
	struct span rest;
	const char *why;
};

static int fail(struct parser *p, const char *why)
{
	p->why = why;
	return RC_INVALID;
}

static int too_big(struct parser *p, const char *why)
{
	p->why = why;
	return RC_TOOBIG;
}

static int no_memory(struct parser *p)
{
	p->why = "out of memory";
	return RC_NOMEM;
}

static bool at(const struct parser *p, uint8_t c)
{
	return p->rest.n != 0 && p->rest.p[0] == c;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blanks(struct parser *p)
{
	while (p->rest.n != 0 && is_blank(p->rest.p[0]))
		p->rest = span_from(p->rest, 1);
}

static bool is_separator(uint8_t c)
{
	return c == ',' || c == ';' || c == '+';
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_alpha(uint8_t c)
{
	c = span_ascii_lower(c);
	return c >= 'a' && c <= 'z';
}

static int hex_digit(uint8_t c)
{
	if (is_digit(c))
		return c - '0';
	c = span_ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that two hex digits at the start of `s` stand for, -1 if there are none. */
static int hex_byte(struct span s)
{
	int high, low;

	if (s.n < 2)
		return -1;
	high = hex_digit(s.p[0]);
	low = hex_digit(s.p[1]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* RFC 2253 §4 asks readers to accept "OID." before a dotted type. */
static struct span without_oid_prefix(struct span type)
{
	return span_eq_nocase(span_head(type, 4), SPAN_LIT("oid.")) ? span_from(type, 4) : type;
}

/* numericoid of RFC 4512 §1.4: two numbers at least, none with a leading zero. */
static bool is_numericoid(struct span s)
{
	unsigned numbers = 0;
	struct span number;
	bool more;
	size_t i;

	do {
		more = span_cut(&s, '.', &number);
		if (number.n == 0 || (number.n > 1 && number.p[0] == '0'))
			return false;
		for (i = 0; i < number.n; i++) {
			if (!is_digit(number.p[i]))
				return false;
		}
		numbers++;
	} while (more);
	return numbers >= 2;
}

/* descr of RFC 4512 §1.4 */
static bool is_descr(struct span s)
{
	size_t i;

	if (s.n == 0 || !is_alpha(s.p[0]))
		return false;
	for (i = 1; i < s.n; i++) {
		if (!is_alpha(s.p[i]) && !is_digit(s.p[i]) && s.p[i] != '-')
			return false;
	}
	return true;
}

static int parse_type(struct parser *p, struct span *out)
{
	const struct span start = p->rest;
	size_t n = 0;

	while (n < start.n && start.p[n] != '=' && !is_separator(start.p[n]))
		n++;
	*out = span_trim(span_head(start, n));
	if (n == start.n || start.p[n] != '=')
		return fail(p, out->n == 0 ? "empty RDN" : "RDN without '='");
	if (out->n == 0)
		return fail(p, "attribute type is missing before '='");
	if (!is_descr(*out) && !is_numericoid(without_oid_prefix(*out)))
		return fail(p, "attribute type is neither a name nor a dotted number");
	p->rest = span_from(start, n + 1);
	return RC_OK;
}

/* Contents octets of one BER element that fills `s`: low tag, definite length (RFC 4511 §5.1). */
static bool ber_contents(struct span s, struct span *out)
{
	size_t length, more, i;

	if (s.n < 2 || (s.p[0] & 0x1f) == 0x1f)
		return false;
	length = s.p[1];
	s = span_from(s, 2);
	if (length >= 0x80) {
		more = length - 0x80;
		if (more == 0 || more > 4 || s.n < more)
			return false;
		for (length = 0, i = 0; i < more; i++)
			length = length << 8 | s.p[i];
		s = span_from(s, more);
	}
	*out = s;
	return length == s.n;
}

/* #hexstring: the BER form of the value (RFC 4514 §2.4). */
static int parse_hex_value(struct parser *p, struct span *out)
{
	uint8_t *bytes = arena_alloc(p->arena, p->rest.n / 2);
	size_t n = 0;

	if (bytes == NULL)
		return no_memory(p);
	p->rest = span_from(p->rest, 1);
	while (p->rest.n != 0 && hex_digit(p->rest.p[0]) >= 0) {
		int byte = hex_byte(p->rest);

		if (byte < 0)
			return fail(p, "odd number of hex digits after '#'");
		bytes[n++] = (uint8_t)byte;
		p->rest = span_from(p->rest, 2);
	}
	if (n == 0)
		return fail(p, "'#' without hex digits");
	if (!ber_contents(span_make(bytes, n), out))
		return fail(p, "value after '#' is not one BER element");
	return RC_OK;
}

/* What follows a backslash; *byte gets what it stands for. */
static int parse_escape(struct parser *p, uint8_t *byte)
{
	int hex;

	p->rest = span_from(p->rest, 1);
	if (p->rest.n == 0)
		return fail(p, "backslash at the end");
	hex = hex_byte(p->rest);
	if (hex >= 0) {
		*byte = (uint8_t)hex;
		p->rest = span_from(p->rest, 2);
		return RC_OK;
	}
	if (p->rest.p[0] == '\0' || strchr(" \"#+,;<=>\\", p->rest.p[0]) == NULL)
		return fail(p, "escape without two hex digits");
	*byte = p->rest.p[0];
	p->rest = span_from(p->rest, 1);
	return RC_OK;
}

static int parse_quoted_value(struct parser *p, struct span *out)
{
	uint8_t *bytes = arena_alloc(p->arena, p->rest.n);
	size_t n = 0;
	int rc;

	if (bytes == NULL)
		return no_memory(p);
	p->rest = span_from(p->rest, 1);
	while (!at(p, '"')) {
		if (p->rest.n == 0)
			return fail(p, "quote without its end");
		if (at(p, '\\')) {
			rc = parse_escape(p, &bytes[n]);
			if (rc != RC_OK)
				return rc;
		} else {
			bytes[n] = p->rest.p[0];
			p->rest = span_from(p->rest, 1);
		}
		n++;
	}
	p->rest = span_from(p->rest, 1);
	*out = span_make(bytes, n);
	return RC_OK;
}

static const char *why_not_plain(uint8_t c)
{
	switch (c) {
	case '\0':
		return "NUL must be written \\00";
	case '"':
		return "quote inside a value needs a backslash";
	case '<':
	case '>':
		return "'<' or '>' inside a value needs a backslash";
	default:
		return NULL;
	}
}

/* Does the value up to its separator need no unescaping? Then it can point into the text. */
static bool plain_value(struct span s, struct span *out)
{
	size_t n = 0;

	while (n < s.n && !is_separator(s.p[n])) {
		if (s.p[n] == '\\' || why_not_plain(s.p[n]) != NULL)
			return false;
		n++;
	}
	*out = span_head(s, n);
	return true;
}

static int parse_string_value(struct parser *p, struct span *out)
{
	uint8_t *bytes;
	size_t n = 0, keep = 0; /* trailing blanks are dropped unless escaped */
	int rc;

	if (plain_value(p->rest, out)) {
		p->rest = span_from(p->rest, out->n);
		*out = span_trim(*out);
		return RC_OK;
	}
	bytes = arena_alloc(p->arena, p->rest.n);
	if (bytes == NULL)
		return no_memory(p);
	while (p->rest.n != 0 && !is_separator(p->rest.p[0])) {
		uint8_t c = p->rest.p[0];

		if (c == '\\') {
			rc = parse_escape(p, &bytes[n++]);
			if (rc != RC_OK)
				return rc;
			keep = n;
			continue;
		}
		if (why_not_plain(c) != NULL)
			return fail(p, why_not_plain(c));
		bytes[n++] = c;
		p->rest = span_from(p->rest, 1);
		if (c != ' ')
			keep = n;
	}
	*out = span_make(bytes, keep);
	return RC_OK;
}

static int parse_ava(struct parser *p, struct dn_ava *out)
{
	int rc = parse_type(p, &out->type);

	if (rc != RC_OK)
		return rc;
	skip_blanks(p);
	if (at(p, '#'))
		rc = parse_hex_value(p, &out->value);
	else if (at(p, '"'))
		rc = parse_quoted_value(p, &out->value);
	else
		rc = parse_string_value(p, &out->value);
	if (rc != RC_OK)
		return rc;
	skip_blanks(p);
	if (p->rest.n != 0 && !is_separator(p->rest.p[0]))
		return fail(p, "text behind the end of a value");
	return RC_OK;
}

/* Copies into the arena what was collected on the stack. */
static int parse_rdn(struct parser *p, struct dn_rdn *out)
{
	struct dn_ava avas[DN_MAX_AVAS];
	unsigned n = 0;
	int rc;

	for (;;) {
		if (n == DN_MAX_AVAS)
			return too_big(p, "more than 16 values in one RDN");
		skip_blanks(p);
		rc = parse_ava(p, &avas[n]);
		if (rc != RC_OK)
			return rc;
		n++;
		if (!at(p, '+'))
			break;
		p->rest = span_from(p->rest, 1);
	}
	out->avas = arena_alloc(p->arena, n * sizeof(*avas));
	if (out->avas == NULL)
		return no_memory(p);
	memcpy(out->avas, avas, n * sizeof(*avas));
	out->n = n;
	return RC_OK;
}

static int check_text(struct parser *p, struct arena *a, struct span text)
{
	*p = (struct parser){.arena = a, .rest = text};
	if (text.n > DN_MAX_BYTES)
		return too_big(p, "longer than 8192 bytes");
	if (!text_is_utf8(text))
		return fail(p, "not UTF-8");
	return RC_OK;
}

static int parse_rdns(struct parser *p, struct dn *out)
{
	struct dn_rdn rdns[DN_MAX_RDNS];
	unsigned n = 0;
	int rc;

	skip_blanks(p);
	while (p->rest.n != 0 || n != 0) {
		if (n == DN_MAX_RDNS)
			return too_big(p, "more than 64 RDNs");
		rc = parse_rdn(p, &rdns[n]);
		if (rc != RC_OK)
			return rc;
		n++;
		if (p->rest.n == 0)
			break;
		p->rest = span_from(p->rest, 1);
	}
	out->rdns = arena_alloc(p->arena, n * sizeof(*rdns));
	if (out->rdns == NULL)
		return no_memory(p);
	memcpy(out->rdns, rdns, n * sizeof(*rdns));
	out->n = n;
	return RC_OK;
}

int dn_parse(struct arena *a, struct span text, struct dn *out, const char **why)
{
	struct parser p;
	int rc = check_text(&p, a, text);

	*out = (struct dn){0};
	if (rc == RC_OK)
		rc = parse_rdns(&p, out);
	if (rc != RC_OK && why != NULL)
		*why = p.why;
	return rc;
}

int dn_rdn_parse(struct arena *a, struct span text, struct dn_rdn *out, const char **why)
{
	struct parser p;
	int rc = check_text(&p, a, text);

	*out = (struct dn_rdn){0};
	if (rc == RC_OK)
		rc = parse_rdn(&p, out);
	if (rc == RC_OK && p.rest.n != 0)
		rc = fail(&p, "text behind the RDN");
	if (rc != RC_OK && why != NULL)
		*why = p.why;
	return rc;
}

struct span dn_of_name_uid(struct span value)
{
	size_t hash = value.n;
	struct span uid;

	while (hash != 0 && value.p[hash - 1] != '#')
		hash--;
	uid = span_from(value, hash);
	if (hash == 0 || uid.n < 3 || uid.p[0] != '\'' || uid.p[uid.n - 1] != 'B')
		return value;
	return span_head(value, hash - 1);
}
