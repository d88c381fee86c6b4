#include "tools/regfile.h"

#include "lib/buf.h"
#include "lib/text.h"

#define TEXT_MAX_BYTES ((size_t)256 << 20)

struct reader {
	struct arena a;
	struct span left, key;
	unsigned long line;
	regfile_value_fn *fn;
	void *arg;
	const char *why;
};

static void put_code_point(struct buf *out, uint32_t c)
{
	if (c < 0x80) {
		buf_putc(out, (uint8_t)c);
	} else if (c < 0x800) {
		buf_putc(out, (uint8_t)(0xc0 | c >> 6));
		buf_putc(out, (uint8_t)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		buf_putc(out, (uint8_t)(0xe0 | c >> 12));
		buf_putc(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
		buf_putc(out, (uint8_t)(0x80 | (c & 0x3f)));
	} else {
		buf_putc(out, (uint8_t)(0xf0 | c >> 18));
		buf_putc(out, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
		buf_putc(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
		buf_putc(out, (uint8_t)(0x80 | (c & 0x3f)));
	}
}

static uint32_t unit_at(struct span s, size_t i)
{
	return (uint32_t)(s.p[i] | s.p[i + 1] << 8);
}

/* UTF-16LE; a lone half of a pair becomes U+FFFD. false: half a unit at the end. */
static bool from_utf16(struct span s, struct buf *out)
{
	size_t i;

	for (i = 0; i + 1 < s.n; i += 2) {
		uint32_t c = unit_at(s, i), low;

		if (c >= 0xd800 && c < 0xdc00 && i + 3 < s.n) {
			low = unit_at(s, i + 2);
			if (low >= 0xdc00 && low < 0xe000) {
				c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
				i += 2;
			}
		}
		put_code_point(out, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
	}
	return i == s.n;
}

/* REGEDIT4 is in a code page that it does not name: what is no UTF-8 is taken as Latin-1. */
static void from_bytes(struct span s, struct buf *out)
{
	size_t i;

	if (text_is_utf8(s)) {
		buf_put(out, s);
		return;
	}
	for (i = 0; i < s.n; i++)
		put_code_point(out, s.p[i]);
}

static int to_utf8(struct reader *r, struct span file, struct buf *out)
{
	bool whole = true;

	if (span_starts(file, SPAN_LIT("\xff\xfe")))
		whole = from_utf16(span_from(file, 2), out);
	else if (span_starts(file, SPAN_LIT("\xef\xbb\xbf")))
		from_bytes(span_from(file, 3), out);
	else
		from_bytes(file, out);
	r->why = "the file ends in the middle of a character";
	if (buf_rc(out) != RC_OK)
		return buf_rc(out);
	return whole ? RC_OK : RC_INVALID;
}

/* --- lines --- */

static int fail(struct reader *r, const char *why)
{
	r->why = why;
	return RC_INVALID;
}

static bool next_line(struct reader *r, struct span *out)
{
	if (r->left.n == 0)
		return false;
	(void)span_cut(&r->left, '\n', out);
	*out = span_trim(*out);
	r->line++;
	return true;
}

static int on_key(struct reader *r, struct span line)
{
	struct regfile_value v = {.line = r->line, .kind = REGFILE_REMOVED};

	if (line.p[line.n - 1] != ']')
		return fail(r, "a key has no closing bracket");
	r->key = span_head(span_from(line, 1), line.n - 2);
	if (r->key.n == 0 || r->key.p[0] != '-')
		return RC_OK;
	v.key = span_from(r->key, 1);
	r->key = (struct span){NULL, 0};
	return r->fn(r->arg, &v);
}

/* The quoted name at the start; *rest is what is behind its '='. */
static int get_name(struct reader *r, struct span line, struct span *name, struct span *rest)
{
	uint8_t *p = arena_alloc(&r->a, line.n);
	size_t n = 0, i;

	if (p == NULL)
		return RC_NOMEM;
	*name = SPAN_LIT("@");
	if (line.p[0] == '@') {
		*rest = span_trim(span_from(line, 1));
	} else {
		for (i = 1; i < line.n && line.p[i] != '"'; i++) {
			if (line.p[i] == '\\' && i + 1 < line.n)
				i++;
			p[n++] = line.p[i];
		}
		if (i >= line.n)
			return fail(r, "a name has no closing quote");
		*name = span_make(p, n);
		*rest = span_trim(span_from(line, i + 1));
	}
	if (rest->n == 0 || rest->p[0] != '=')
		return fail(r, "a name is not followed by '='");
	*rest = span_trim(span_from(*rest, 1));
	return RC_OK;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = span_ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int get_dword(struct reader *r, struct span digits, uint32_t *out)
{
	size_t i;

	*out = 0;
	if (digits.n == 0 || digits.n > 8)
		return fail(r, "a dword has 1 to 8 hexadecimal digits");
	for (i = 0; i < digits.n; i++) {
		int d = hex_digit(digits.p[i]);

		if (d < 0)
			return fail(r, "a dword has 1 to 8 hexadecimal digits");
		*out = *out << 4 | (uint32_t)d;
	}
	return RC_OK;
}

/* "hex(4):01,00,00,00": the bytes of a dword, lowest first. */
static int get_hex_dword(struct reader *r, struct span bytes, uint32_t *out)
{
	struct span byte;
	unsigned n = 0;

	*out = 0;
	while (bytes.n != 0) {
		(void)span_cut(&bytes, ',', &byte);
		byte = span_trim(byte);
		if (byte.n != 2 || hex_digit(byte.p[0]) < 0 || hex_digit(byte.p[1]) < 0 || n == 4)
			return fail(r, "hex(4) has four bytes");
		*out |= (uint32_t)(hex_digit(byte.p[0]) << 4 | hex_digit(byte.p[1])) << (8 * n++);
	}
	return n == 4 ? RC_OK : fail(r, "hex(4) has four bytes");
}

static bool starts_nocase(struct span s, struct span prefix)
{
	return span_eq_nocase(span_head(s, prefix.n), prefix);
}

/* Data of other types goes on behind a backslash; such lines are passed over. */
static void skip_continuation(struct reader *r, struct span line)
{
	while (line.n != 0 && line.p[line.n - 1] == '\\') {
		if (!next_line(r, &line))
			return;
	}
}

static int on_value(struct reader *r, struct span line)
{
	struct regfile_value v = {.line = r->line, .key = r->key, .kind = REGFILE_OTHER};
	struct span data;
	int rc = get_name(r, line, &v.name, &data);

	if (rc != RC_OK)
		return rc;
	if (span_eq(data, SPAN_LIT("-"))) {
		v.kind = REGFILE_REMOVED;
	} else if (starts_nocase(data, SPAN_LIT("dword:"))) {
		v.kind = REGFILE_DWORD;
		rc = get_dword(r, span_from(data, 6), &v.dword);
	} else if (starts_nocase(data, SPAN_LIT("hex(4):"))) {
		v.kind = REGFILE_DWORD;
		rc = get_hex_dword(r, span_from(data, 7), &v.dword);
	} else if (data.n == 0 || data.p[0] != '"') {
		skip_continuation(r, line);
	}
	return rc == RC_OK && r->key.n != 0 ? r->fn(r->arg, &v) : rc;
}

static int on_line(struct reader *r, struct span line)
{
	if (line.n == 0 || line.p[0] == ';')
		return RC_OK;
	if (line.p[0] == '[')
		return on_key(r, line);
	if (line.p[0] == '"' || line.p[0] == '@')
		return on_value(r, line);
	return fail(r, "this is neither a key nor a value");
}

static int on_head(struct reader *r)
{
	struct span line = {NULL, 0};

	while (line.n == 0 && next_line(r, &line))
		;
	if (span_eq_nocase(line, SPAN_LIT("REGEDIT4")) ||
	    starts_nocase(line, SPAN_LIT("Windows Registry Editor Version 5")))
		return RC_OK;
	return fail(r, "this is no registry export: it does not begin with REGEDIT4 or "
		       "\"Windows Registry Editor Version 5.00\"");
}

int regfile_read(struct span file, regfile_value_fn *fn, void *arg, unsigned long *line,
		 const char **why)
{
	struct reader r = {.fn = fn, .arg = arg, .why = ""};
	struct span text;
	struct buf utf8;
	int rc;

	arena_init(&r.a);
	buf_init(&utf8, TEXT_MAX_BYTES);
	rc = to_utf8(&r, file, &utf8);
	r.left = buf_span(&utf8);
	if (rc == RC_OK)
		rc = on_head(&r);
	while (rc == RC_OK && next_line(&r, &text))
		rc = on_line(&r, text);
	*line = r.line;
	*why = r.why;
	buf_fini(&utf8);
	arena_fini(&r.a);
	return rc;
}
