/* String filters (RFC 4515) to BER. */
#include "dird/filter.h"

struct parser {
	struct span rest;
	struct buf *out;
	const char *why;
};

static int invalid(struct parser *p, const char *why)
{
	p->why = why;
	return RC_INVALID;
}

static uint8_t head(const struct parser *p)
{
	return p->rest.n != 0 ? p->rest.p[0] : 0;
}

static void skip(struct parser *p, size_t n)
{
	p->rest = span_from(p->rest, n);
}

static void skip_blanks(struct parser *p)
{
	while (p->rest.n != 0 && (head(p) == ' ' || head(p) == '\n' || head(p) == '\t'))
		skip(p, 1);
}

static int hex(uint8_t c)
{
	c = span_ascii_lower(c);
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Append `text` with its \xx escapes undone, as one element. */
static int put_value(struct parser *p, uint8_t tag, struct span text)
{
	size_t mark = tlv_open(p->out, tag), i;

	for (i = 0; i < text.n; i++) {
		if (text.p[i] != '\\') {
			buf_putc(p->out, text.p[i]);
			continue;
		}
		if (text.n - i < 3 || hex(text.p[i + 1]) < 0 || hex(text.p[i + 2]) < 0)
			return invalid(p, "filter: escape without two hex digits");
		buf_putc(p->out, (uint8_t)(hex(text.p[i + 1]) << 4 | hex(text.p[i + 2])));
		i += 2;
	}
	tlv_close(p->out, mark);
	return buf_rc(p->out);
}

/* Up to the closing parenthesis, which stays. */
static int take_value(struct parser *p, struct span *out)
{
	size_t n = 0;

	while (n < p->rest.n && p->rest.p[n] != ')') {
		if (p->rest.p[n] == '(' || p->rest.p[n] == '\0')
			return invalid(p, "filter: a character that must be escaped");
		n++;
	}
	*out = span_head(p->rest, n);
	skip(p, n);
	return RC_OK;
}

static bool is_attr_char(uint8_t c)
{
	uint8_t l = span_ascii_lower(c);

	return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == ';';
}

static struct span take_attr(struct parser *p)
{
	struct span s;
	size_t n = 0;

	while (n < p->rest.n && is_attr_char(p->rest.p[n]))
		n++;
	s = span_head(p->rest, n);
	skip(p, n);
	return s;
}

static int put_ava(struct parser *p, unsigned tag, struct span type, struct span value)
{
	size_t mark = tlv_open(p->out, (uint8_t)TLV_CONTEXT_CONS(tag));
	int rc;

	tlv_put(p->out, TLV_OCTETS, type);
	rc = put_value(p, TLV_OCTETS, value);
	tlv_close(p->out, mark);
	return rc;
}

static int put_substrings(struct parser *p, struct span type, struct span value)
{
	size_t mark = tlv_open(p->out, TLV_CONTEXT_CONS(4)), parts;
	struct span piece;
	bool more, first = true;
	int rc = RC_OK;

	tlv_put(p->out, TLV_OCTETS, type);
	parts = tlv_open(p->out, TLV_SEQUENCE);
	do {
		more = span_cut(&value, '*', &piece);
		if (piece.n != 0)
			rc = put_value(p, TLV_CONTEXT(first ? 0 : more ? 1 : 2), piece);
		else if (!first && more)
			rc = invalid(p, "filter: an empty substring");
		first = false;
	} while (more && rc == RC_OK);
	if (rc != RC_OK)
		return rc;
	tlv_close(p->out, parts);
	tlv_close(p->out, mark);
	return buf_rc(p->out);
}

static int read_simple(struct parser *p, unsigned tag, size_t op_bytes, struct span type)
{
	struct span value;
	int rc;

	skip(p, op_bytes);
	rc = take_value(p, &value);
	if (rc != RC_OK)
		return rc;
	if (tag == 3 && value.n == 1 && value.p[0] == '*') {
		tlv_put(p->out, TLV_CONTEXT(7), type);
		return buf_rc(p->out);
	}
	if (tag == 3 && value.n != 0 && memchr(value.p, '*', value.n) != NULL)
		return put_substrings(p, type, value);
	return put_ava(p, tag, type, value);
}

/* [type] [:dn] [:rule] := value */
static int read_extensible(struct parser *p, struct span type)
{
	struct span rule = {NULL, 0}, word, value;
	bool dn = false;
	size_t mark;
	int rc;

	while (head(p) == ':' && !span_starts(p->rest, SPAN_LIT(":="))) {
		skip(p, 1);
		word = take_attr(p);
		if (word.n == 0 || rule.n != 0)
			return invalid(p, "filter: malformed extensible match");
		if (!dn && span_eq_nocase(word, SPAN_LIT("dn")))
			dn = true;
		else
			rule = word;
	}
	if (!span_starts(p->rest, SPAN_LIT(":=")) || (type.n == 0 && rule.n == 0))
		return invalid(p, "filter: malformed extensible match");
	skip(p, 2);
	rc = take_value(p, &value);
	if (rc != RC_OK)
		return rc;
	mark = tlv_open(p->out, TLV_CONTEXT_CONS(9));
	if (rule.n != 0)
		tlv_put(p->out, TLV_CONTEXT(1), rule);
	if (type.n != 0)
		tlv_put(p->out, TLV_CONTEXT(2), type);
	rc = put_value(p, TLV_CONTEXT(3), value);
	if (dn)
		tlv_put_bool(p->out, TLV_CONTEXT(4), true);
	tlv_close(p->out, mark);
	return rc;
}

static int read_item(struct parser *p)
{
	struct span type = take_attr(p);

	if (head(p) == ':')
		return read_extensible(p, type);
	if (type.n == 0)
		return invalid(p, "filter: expected an attribute type");
	if (head(p) == '=')
		return read_simple(p, 3, 1, type);
	if (span_starts(p->rest, SPAN_LIT(">=")))
		return read_simple(p, 5, 2, type);
	if (span_starts(p->rest, SPAN_LIT("<=")))
		return read_simple(p, 6, 2, type);
	if (span_starts(p->rest, SPAN_LIT("~=")))
		return read_simple(p, 8, 2, type);
	return invalid(p, "filter: expected =, >=, <=, ~= or :=");
}

static int read_filter(struct parser *p, unsigned depth);

static int read_set(struct parser *p, unsigned tag, unsigned depth)
{
	size_t mark = tlv_open(p->out, (uint8_t)TLV_CONTEXT_CONS(tag));
	unsigned n = 0;
	int rc = RC_OK;

	skip(p, 1);
	skip_blanks(p);
	while (rc == RC_OK && head(p) == '(') {
		rc = read_filter(p, depth + 1);
		skip_blanks(p);
		n++;
	}
	if (rc == RC_OK && tag == 2 && n != 1)
		rc = invalid(p, "filter: ! takes one filter");
	if (rc == RC_OK)
		tlv_close(p->out, mark);
	return rc;
}

static int read_body(struct parser *p, unsigned depth)
{
	switch (head(p)) {
	case '&':
		return read_set(p, 0, depth);
	case '|':
		return read_set(p, 1, depth);
	case '!':
		return read_set(p, 2, depth);
	default:
		return read_item(p);
	}
}

/* At '('. */
static int read_filter(struct parser *p, unsigned depth)
{
	int rc;

	if (depth >= FILTER_MAX_DEPTH) {
		p->why = "filter: too deep";
		return RC_TOOBIG;
	}
	skip(p, 1);
	skip_blanks(p);
	rc = read_body(p, depth);
	if (rc == RC_OK && head(p) != ')')
		rc = invalid(p, "filter: expected )");
	skip(p, 1);
	return rc;
}

int filter_from_text(struct span text, struct buf *out, const char **why)
{
	struct parser p = {.rest = span_trim(text), .out = out};
	int rc;

	rc = head(&p) == '(' ? read_filter(&p, 0) : read_item(&p);
	if (rc == RC_OK && p.rest.n != 0)
		rc = invalid(&p, "filter: text behind the end");
	if (rc == RC_OK)
		rc = buf_rc(out);
	if (rc != RC_OK && why != NULL)
		*why = p.why != NULL ? p.why : rc_text(rc);
	return rc;
}
