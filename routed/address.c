#include "routed/address.h"

#include "lib/text.h"

#define DOMAIN_MAX_BYTES 253
#define LABEL_MAX_BYTES 63
#define TYPE_MAX_BYTES 16
#define FIELDS_MAX 3

/* A field without its escapes, and the column in which it begins. */
struct field {
	struct span text;
	unsigned column;
};

static int fail(struct address_error *err, const char *reason, size_t column)
{
	err->reason = reason;
	err->column = (unsigned)column;
	return RC_INVALID;
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(uint8_t c)
{
	uint8_t lower = span_ascii_lower(c);

	return is_digit(c) || (lower >= 'a' && lower <= 'z');
}

static int check_bytes(struct span value, struct address_error *err)
{
	size_t i;

	if (value.n == 0)
		return fail(err, "empty value", 0);
	if (value.n > ADDRESS_VALUE_MAX_BYTES)
		return fail(err, "longer than 1024 bytes", 0);
	if (!text_is_utf8(value))
		return fail(err, "not UTF-8", 0);
	for (i = 0; i < value.n; i++) {
		if (value.p[i] < 0x20 || value.p[i] == 0x7f)
			return fail(err, "control character", i + 1);
	}
	return RC_OK;
}

/* Up to the next ';' that is not escaped; *at stands on it, or at the end. */
static int take_field(struct arena *a, struct span value, size_t *at, struct field *out)
{
	uint8_t *copy = arena_alloc(a, value.n - *at);
	size_t i, n = 0;

	if (copy == NULL)
		return RC_NOMEM;
	out->column = (unsigned)*at + 1;
	for (i = *at; i < value.n && value.p[i] != ';'; i++) {
		if (value.p[i] == '\\' && i + 1 < value.n && value.p[i + 1] == ';')
			i++;
		copy[n++] = value.p[i];
	}
	*at = i;
	out->text = span_make(copy, n);
	return RC_OK;
}

static int split(struct arena *a, struct span value, struct field fields[static FIELDS_MAX],
		 unsigned *n, struct address_error *err)
{
	size_t at = 0;
	int rc = check_bytes(value, err);

	*n = 0;
	while (rc == RC_OK) {
		rc = take_field(a, value, &at, &fields[(*n)++]);
		if (rc != RC_OK || at == value.n)
			break;
		at++;
		if (*n == FIELDS_MAX)
			rc = fail(err, "too many fields; write \\; for a semicolon inside a field",
				  at);
	}
	return rc;
}

static int parse_cost(const struct field *f, unsigned *out, struct address_error *err)
{
	struct span s = f->text;
	size_t i;

	if (s.n == 0)
		return fail(err, "cost is missing", f->column);
	for (i = 0; i < s.n; i++) {
		if (!is_digit(s.p[i]))
			return fail(err, "cost is not a number", f->column + i);
	}
	if (s.p[0] == '0' && s.n > 1)
		return fail(err, "cost has a leading zero", f->column);
	*out = 0;
	for (i = 0; i < s.n && *out <= ADDRESS_COST_MAX; i++)
		*out = *out * 10 + (unsigned)(s.p[i] - '0');
	if (*out < 1 || *out > ADDRESS_COST_MAX)
		return fail(err, "cost is not within 1..100", f->column);
	return RC_OK;
}

/* "TYPE:rest", the type to upper case. */
static int parse_typed(struct arena *a, const struct field *f, struct span *type, struct span *rest,
		       struct address_error *err)
{
	struct span head;
	uint8_t *upper;
	size_t i;

	*rest = f->text;
	if (!span_cut(rest, ':', &head))
		return fail(err, "address type is missing, TYPE: expected", f->column);
	if (head.n == 0 || head.n > TYPE_MAX_BYTES)
		return fail(err, "address type is not 1..16 characters", f->column);
	upper = arena_alloc(a, head.n);
	if (upper == NULL)
		return RC_NOMEM;
	for (i = 0; i < head.n; i++) {
		uint8_t c = span_ascii_lower(head.p[i]);

		if (!is_alnum(c) && c != '-' && c != '_')
			return fail(
				err,
				"address type has a character other than letters, digits, - and _",
				f->column + i);
		upper[i] = (uint8_t)(c >= 'a' && c <= 'z' ? c - 32 : c);
	}
	*type = span_make(upper, head.n);
	return RC_OK;
}

/* An SMTP routing address is a domain, or an address literal in brackets. */
static int check_smtp_address(struct span *address, size_t column, struct address_error *err)
{
	struct address_error inner = {0};
	int rc;

	if (address->n != 0 && address->p[0] == '[')
		rc = address_host_check(*address, &inner);
	else
		rc = address_domain_parse(*address, address, &inner);
	if (rc != RC_OK)
		return fail(err, inner.reason, column + (inner.column != 0 ? inner.column - 1 : 0));
	return RC_OK;
}

int address_cd_parse(struct arena *a, struct span value, struct address_cd *out,
		     struct address_error *err)
{
	struct field f[FIELDS_MAX];
	size_t column;
	unsigned n;
	int rc = split(a, value, f, &n, err);

	if (rc != RC_OK)
		return rc;
	if (n != 3)
		return fail(err, "not of the form site;cost;TYPE:routing-address", value.n + 1);
	out->site = span_trim(f[0].text);
	if (out->site.n == 0)
		return fail(err, "site name is missing", 1);
	rc = parse_cost(&f[1], &out->cost, err);
	if (rc == RC_OK)
		rc = parse_typed(a, &f[2], &out->type, &out->address, err);
	if (rc != RC_OK)
		return rc;
	column = f[2].column + out->type.n + 1;
	if (span_trim(out->address).n == 0)
		return fail(err, "routing address is missing", column);
	if (span_eq(out->type, SPAN_LIT("SMTP")))
		rc = check_smtp_address(&out->address, column, err);
	return rc;
}

int address_space_parse(struct arena *a, struct span value, struct address_space *out,
			struct address_error *err)
{
	struct field f[FIELDS_MAX];
	unsigned n;
	int rc = split(a, value, f, &n, err);

	if (rc != RC_OK)
		return rc;
	if (n < 2)
		return fail(err, "not of the form TYPE:pattern;cost;scope", value.n + 1);
	rc = parse_typed(a, &f[0], &out->type, &out->pattern, err);
	if (rc == RC_OK && span_eq(out->type, SPAN_LIT("EX")))
		rc = fail(err, "type EX is for sites, which are reached by connectedDomains", 1);
	if (rc == RC_OK)
		rc = parse_cost(&f[1], &out->cost, err);
	if (rc != RC_OK)
		return rc;
	out->pattern = span_trim(out->pattern);
	out->site_scope = n == 3 && span_eq_nocase(f[2].text, SPAN_LIT("site"));
	if (n == 3 && !out->site_scope && !span_eq_nocase(f[2].text, SPAN_LIT("org")))
		return fail(err, "scope is neither org nor site", f[2].column);
	return RC_OK;
}

int address_route_parse(struct arena *a, struct span value, struct address_route *out,
			struct address_error *err)
{
	struct field f[FIELDS_MAX];
	unsigned n, shift = 0;
	int rc = split(a, value, f, &n, err);

	if (rc != RC_OK)
		return rc;
	if (n != 2)
		return fail(err, "not of the form domain;host", value.n + 1);
	rc = address_domain_parse(f[0].text, &out->domain, err);
	if (rc == RC_OK) {
		out->host = f[1].text;
		shift = f[1].column - 1;
		rc = address_host_check(out->host, err);
	}
	if (rc == RC_INVALID && err->column != 0)
		err->column += shift;
	return rc;
}

static int check_port(struct span port, size_t column, struct address_error *err)
{
	unsigned long value = 0;
	size_t i;

	if (port.n == 0 || port.n > 5)
		return fail(err, "port is not within 1..65535", column);
	for (i = 0; i < port.n; i++) {
		if (!is_digit(port.p[i]))
			return fail(err, "port is not a number", column + i);
		value = value * 10 + (unsigned long)(port.p[i] - '0');
	}
	if (value < 1 || value > 65535)
		return fail(err, "port is not within 1..65535", column);
	return RC_OK;
}

static int check_bracketed(struct span value, struct address_error *err)
{
	struct span rest = span_from(value, 1);
	struct span host;
	size_t i;

	if (!span_cut(&rest, ']', &host))
		return fail(err, "] is missing", value.n + 1);
	if (host.n == 0 || host.n > DOMAIN_MAX_BYTES)
		return fail(err, "host is missing or too long", 2);
	for (i = 0; i < host.n; i++) {
		uint8_t c = host.p[i];

		if (!is_alnum(c) && c != '-' && c != '_' && c != '.' && c != ':' && c < 0x80)
			return fail(err, "character that no host name or address has", i + 2);
	}
	if (rest.n == 0)
		return RC_OK;
	if (rest.p[0] != ':')
		return fail(err, "only :port may follow ]", host.n + 3);
	return check_port(span_from(rest, 1), host.n + 4, err);
}

int address_host_check(struct span value, struct address_error *err)
{
	struct span host;
	int rc = check_bytes(value, err);

	if (rc == RC_OK && value.p[0] == '[')
		return check_bracketed(value, err);
	if (rc == RC_OK && memchr(value.p, ':', value.n) != NULL)
		rc = fail(err, "a host with a port is written [host]:port", 1);
	if (rc == RC_OK)
		rc = address_domain_parse(value, &host, err);
	return rc;
}

int address_domain_parse(struct span value, struct span *out, struct address_error *err)
{
	size_t label = 0, i;
	int rc = check_bytes(value, err);

	if (rc != RC_OK)
		return rc;
	if (value.p[value.n - 1] == '.')
		value.n--;
	if (value.n == 0 || value.n > DOMAIN_MAX_BYTES)
		return fail(err, "a domain is 1..253 bytes", 0);
	for (i = 0; i < value.n; i++) {
		uint8_t c = value.p[i];

		if (c == '.' && label == 0)
			return fail(err, "empty label in a domain", i + 1);
		if (c != '.' && !is_alnum(c) && c != '-' && c != '_' && c < 0x80)
			return fail(err, "character that no domain has", i + 1);
		label = c == '.' ? 0 : label + 1;
		if (label > LABEL_MAX_BYTES)
			return fail(err, "label longer than 63 bytes", i + 1);
	}
	if (label == 0)
		return fail(err, "empty label in a domain", value.n + 1);
	*out = value;
	return RC_OK;
}

/* Printable ASCII with single blanks: preparation only changes the case of letters. */
static bool is_plain(struct span value)
{
	size_t i;

	for (i = 0; i < value.n; i++) {
		if (value.p[i] < ' ' || value.p[i] >= 0x7f ||
		    (value.p[i] == ' ' && i + 1 < value.n && value.p[i + 1] == ' '))
			return false;
	}
	return true;
}

static int fold_plain(struct arena *a, struct span value, struct span *out)
{
	uint8_t *p = arena_alloc(a, value.n);
	size_t i;

	if (p == NULL)
		return RC_NOMEM;
	for (i = 0; i < value.n; i++)
		p[i] = span_ascii_lower(value.p[i]);
	*out = span_make(p, value.p[value.n - 1] == '.' ? value.n - 1 : value.n);
	return RC_OK;
}

int address_fold(struct arena *a, struct span value, struct span *out)
{
	struct buf b;
	int rc;

	value = span_trim(value);
	*out = (struct span){NULL, 0};
	if (value.n == 0)
		return RC_OK;
	if (is_plain(value))
		return fold_plain(a, value, out);
	buf_init(&b, value.n * 32 + 64);
	rc = text_prepare(value, TEXT_IGNORE_CASE, TEXT_WHOLE, &b);
	if (rc == RC_OK)
		rc = buf_rc(&b);
	if (rc == RC_OK) {
		if (b.n != 0 && b.p[b.n - 1] == '.')
			b.n--;
		*out = arena_span(a, buf_span(&b));
		if (out->p == NULL)
			rc = RC_NOMEM;
	}
	buf_fini(&b);
	return rc;
}

static size_t character_bytes(struct span s, size_t at)
{
	size_t n = 1;

	while (at + n < s.n && (s.p[at + n] & 0xc0) == 0x80)
		n++;
	return n;
}

/* Greedy with one point of return: a later star makes the earlier ones' choices final. */
bool address_match(struct span pattern, struct span text)
{
	size_t p = 0, t = 0, star = SIZE_MAX, resume = 0;

	while (t < text.n) {
		if (p < pattern.n && pattern.p[p] == '*') {
			star = ++p;
			resume = t;
		} else if (p < pattern.n && pattern.p[p] == '%') {
			t += character_bytes(text, t);
			p++;
		} else if (p < pattern.n && pattern.p[p] == text.p[t]) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			resume += character_bytes(text, resume);
			t = resume;
			p = star;
		} else {
			return false;
		}
	}
	while (p < pattern.n && pattern.p[p] == '*')
		p++;
	return p == pattern.n;
}

bool address_is_wild(struct span pattern)
{
	return pattern.n != 0 && (memchr(pattern.p, '*', pattern.n) != NULL ||
				  memchr(pattern.p, '%', pattern.n) != NULL);
}

unsigned address_literals(struct span pattern)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < pattern.n; i++) {
		if (pattern.p[i] != '*' && pattern.p[i] != '%' && (pattern.p[i] & 0xc0) != 0x80)
			n++;
	}
	return n;
}
