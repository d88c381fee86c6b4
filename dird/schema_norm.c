/* Normal forms of values (RFC 4517 §4.2): what is compared, and what an index is sorted by. */
#include "dird/schema_def.h"

#include "dird/collate.h"
#include "dird/sound.h"
#include "lib/dn.h"

#define DIGITS_MAX 65535
#define FRACTION_DIGITS_MAX 15

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Two decimal digits at the head of *rest, up to `max`. */
static bool take_two(struct span *rest, int max, int *out)
{
	if (rest->n < 2 || !is_digit(rest->p[0]) || !is_digit(rest->p[1]))
		return false;
	*out = (rest->p[0] - '0') * 10 + (rest->p[1] - '0');
	*rest = span_from(*rest, 2);
	return *out <= max;
}

/* Days since 1 March of year 0, in the Gregorian calendar. */
static int64_t days_of(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t m = (month + 9) % 12;
	int64_t leaps = y >= 0 ? y / 4 - y / 100 + y / 400 : -1;

	return y * 365 + leaps + (m * 306 + 5) / 10 + day - 1;
}

static void date_of(int64_t days, int *year, int *month, int *day)
{
	int64_t era = days / 146097, in_era = days % 146097;
	int64_t yoe = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	int64_t in_year = in_era - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t m = (5 * in_year + 2) / 153;

	*day = (int)(in_year - (153 * m + 2) / 5 + 1);
	*month = (int)(m < 10 ? m + 3 : m - 9);
	*year = (int)(yoe + era * 400 + (*month <= 2));
}

static int days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

struct time_parts {
	int year, month, day, hour, minute, second;
	int64_t fraction; /* of a second, in 10^-digits */
	int digits;
	int offset_minutes;
};

/* ".5" of the last unit given, which is unit_s seconds long; adds whole seconds to *seconds. */
static bool take_fraction(struct span *rest, int unit_s, struct time_parts *t, int64_t *seconds)
{
	int64_t value = 0, scale = 1;

	if (rest->n == 0 || (rest->p[0] != '.' && rest->p[0] != ','))
		return true;
	*rest = span_from(*rest, 1);
	while (rest->n != 0 && is_digit(rest->p[0])) {
		if (t->digits == FRACTION_DIGITS_MAX)
			return false;
		value = value * 10 + (rest->p[0] - '0');
		scale *= 10;
		t->digits++;
		*rest = span_from(*rest, 1);
	}
	value *= unit_s;
	*seconds = value / scale;
	t->fraction = value % scale;
	return t->digits != 0;
}

static bool take_zone(struct span *rest, struct time_parts *t)
{
	int sign, hour, minute = 0;

	if (rest->n == 1 && rest->p[0] == 'Z')
		return true;
	if (rest->n == 0 || (rest->p[0] != '+' && rest->p[0] != '-'))
		return false;
	sign = rest->p[0] == '+' ? 1 : -1;
	*rest = span_from(*rest, 1);
	if (!take_two(rest, 23, &hour) || (rest->n != 0 && !take_two(rest, 59, &minute)))
		return false;
	t->offset_minutes = sign * (hour * 60 + minute);
	return rest->n == 0;
}

static bool take_date(struct span *rest, struct time_parts *t)
{
	int century, year;

	if (!take_two(rest, 99, &century) || !take_two(rest, 99, &year) ||
	    !take_two(rest, 12, &t->month) || !take_two(rest, 31, &t->day))
		return false;
	t->year = century * 100 + year;
	return t->month >= 1 && t->day >= 1 && t->day <= days_in_month(t->year, t->month);
}

static void put_two(struct buf *out, int n)
{
	buf_putc(out, (uint8_t)('0' + n / 10));
	buf_putc(out, (uint8_t)('0' + n % 10));
}

/* Generalized Time (RFC 4517 §3.3.13) as YYYYMMDDHHMMSS[.fraction] in UTC. */
int schema_time(struct span value, struct buf *out)
{
	struct time_parts t = {0};
	struct span rest = value;
	int64_t seconds = 0, total, days;
	int unit_s = 3600, i;
	char fraction[FRACTION_DIGITS_MAX + 1];

	if (!take_date(&rest, &t) || !take_two(&rest, 23, &t.hour))
		return RC_INVALID;
	if (rest.n != 0 && is_digit(rest.p[0])) {
		unit_s = 60;
		if (!take_two(&rest, 59, &t.minute))
			return RC_INVALID;
	}
	if (unit_s == 60 && rest.n != 0 && is_digit(rest.p[0])) {
		unit_s = 1;
		if (!take_two(&rest, 60, &t.second))
			return RC_INVALID;
	}
	if (!take_fraction(&rest, unit_s, &t, &seconds) || !take_zone(&rest, &t))
		return RC_INVALID;
	total = days_of(t.year, t.month, t.day) * 86400 + t.hour * 3600 + t.minute * 60 + t.second +
		seconds - (int64_t)t.offset_minutes * 60;
	if (total < 0)
		return RC_INVALID;
	days = total / 86400;
	total %= 86400;
	date_of(days, &t.year, &t.month, &t.day);
	if (t.year > 9999)
		return RC_INVALID;
	put_two(out, t.year / 100);
	put_two(out, t.year % 100);
	put_two(out, t.month);
	put_two(out, t.day);
	put_two(out, (int)(total / 3600));
	put_two(out, (int)(total / 60 % 60));
	put_two(out, (int)(total % 60));
	for (i = t.digits; i > 0; i--) {
		fraction[i] = (char)('0' + t.fraction % 10);
		t.fraction /= 10;
	}
	fraction[0] = '.';
	while (t.digits > 0 && fraction[t.digits] == '0')
		t.digits--;
	if (t.digits > 0)
		buf_put(out, span_make(fraction, (size_t)t.digits + 1));
	return buf_rc(out);
}

/* Sign, number of digits (two bytes), digits; all but the sign inverted below zero. */
static int norm_integer(struct span v, struct buf *out)
{
	bool negative = v.n != 0 && v.p[0] == '-';
	struct span digits = negative ? span_from(v, 1) : v;
	uint8_t flip = negative ? 0xff : 0, *at;
	size_t i;

	if (digits.n == 0)
		return RC_INVALID;
	for (i = 0; i < digits.n; i++) {
		if (!is_digit(digits.p[i]))
			return RC_INVALID;
	}
	while (digits.n > 1 && digits.p[0] == '0')
		digits = span_from(digits, 1);
	if (digits.n > DIGITS_MAX)
		return RC_INVALID;
	if (digits.p[0] == '0') {
		negative = false;
		flip = 0;
	}
	at = buf_extend(out, 3 + digits.n);
	if (at == NULL)
		return buf_rc(out);
	at[0] = negative ? 0 : 1;
	at[1] = (uint8_t)(digits.n >> 8) ^ flip;
	at[2] = (uint8_t)digits.n ^ flip;
	for (i = 0; i < digits.n; i++)
		at[3 + i] = digits.p[i] ^ flip;
	return RC_OK;
}

static int norm_boolean(struct span v, struct buf *out)
{
	bool yes = span_eq_nocase(v, SPAN_LIT("TRUE"));

	if (!yes && !span_eq_nocase(v, SPAN_LIT("FALSE")))
		return RC_INVALID;
	buf_putc(out, yes ? 1 : 0);
	return buf_rc(out);
}

static int norm_uuid(struct span v, struct buf *out)
{
	struct uuid u;
	int rc = uuid_parse(v, &u);

	if (rc != RC_OK)
		return rc;
	buf_put(out, span_make(u.b, UUID_BYTES));
	return buf_rc(out);
}

/* A value that stands in the text as it is, up to the next comma; its letters are folded into out.
 */
static bool take_plain_value(struct span *rest, struct buf *out)
{
	uint8_t before = ' ';
	size_t i;

	for (i = 0; i < rest->n && rest->p[i] != ','; i++) {
		uint8_t c = rest->p[i];

		if (c < 0x20 || c >= 0x7f || memchr("\\\"+#;<>=", c, 8) != NULL ||
		    (c == ' ' && before == ' '))
			return false;
		if (out != NULL)
			buf_putc(out, span_ascii_lower(c));
		before = c;
	}
	*rest = span_from(*rest, i);
	return before != ' ';
}

/* dn_type_normalize(), with the names that nearly every DN is made of first. */
static int put_type(struct span type, struct buf *out)
{
	static const char *const usual[] = {"cn", "ou", "o", "dc", "uid"};
	size_t i;

	for (i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		if (span_eq_nocase(type, span_of(usual[i]))) {
			buf_puts(out, usual[i]);
			return buf_rc(out);
		}
	}
	return dn_type_normalize(type, out);
}

bool schema_plain_dn(struct span v, struct buf *out)
{
	size_t start = out != NULL ? out->n : 0;
	unsigned n = 0;
	struct span type;

	if (v.n == 0 || v.n > DN_MAX_BYTES)
		return false;
	while (span_cut(&v, '=', &type) && schema_is_descr(type) && n++ < DN_MAX_RDNS) {
		if (out != NULL) {
			if (put_type(type, out) != RC_OK)
				break;
			buf_putc(out, '=');
		}
		if (!take_plain_value(&v, out))
			break;
		if (v.n == 0)
			return true;
		v = span_from(v, 1);
		if (out != NULL)
			buf_putc(out, ',');
	}
	if (out != NULL)
		buf_truncate(out, start);
	return false;
}

static int norm_dn(struct span v, struct buf *out)
{
	struct arena a;
	struct span normal;
	int rc;

	if (schema_plain_dn(v, out))
		return buf_rc(out);
	arena_init(&a);
	rc = dn_normalize_text(&a, v, &normal);
	if (rc == RC_OK) {
		buf_put(out, normal);
		rc = buf_rc(out);
	}
	arena_fini(&a);
	return rc == RC_TOOBIG ? RC_INVALID : rc;
}

static int norm_name_uid(struct span v, struct buf *out)
{
	struct span name = dn_of_name_uid(v);
	int rc = norm_dn(name, out);

	if (rc != RC_OK)
		return rc;
	buf_put(out, span_from(v, name.n));
	return buf_rc(out);
}

static void put_folded(struct span v, struct buf *out)
{
	uint8_t *at = buf_extend(out, v.n);
	size_t i;

	for (i = 0; at != NULL && i < v.n; i++)
		at[i] = span_ascii_lower(v.p[i]);
}

static int norm_oid(const struct schema *s, struct span v, struct buf *out)
{
	const struct schema_class *c = schema_class(s, v);
	const struct schema_attr *at = c == NULL ? schema_attr(s, v) : NULL;
	const struct schema_rule *rule = c == NULL && at == NULL ? schema_rule(v) : NULL;

	if (c != NULL)
		v = span_of(c->name);
	else if (at != NULL)
		v = span_of(at->name);
	else if (rule != NULL)
		v = span_of(rule->name);
	else if (!schema_is_numericoid(v))
		return RC_INVALID;
	put_folded(v, out);
	return buf_rc(out);
}

/* RFC 4517 §4.2.14, §4.2.18, §4.2.25: "( 2.5.6.6 NAME ...": what an assertion gives alone. */
static struct span first_component(struct span v)
{
	size_t n = 0;

	v = span_trim(v);
	if (v.n == 0 || v.p[0] != '(')
		return v;
	v = span_trim(span_from(v, 1));
	if (v.n != 0 && v.p[0] == '\'') {
		v = span_from(v, 1);
		while (n < v.n && v.p[n] != '\'')
			n++;
	} else {
		while (n < v.n && v.p[n] != ' ' && v.p[n] != ')')
			n++;
	}
	return span_head(v, n);
}

/* Postal address: lines apart by '$', each prepared alone; "\24" inside a line stays as it is. */
static int norm_list(struct span v, enum text_part part, struct buf *out)
{
	struct span line;
	bool more;
	int rc;

	do {
		more = span_cut(&v, '$', &line);
		rc = RC_OK;
		if (line.n != 0 || part == TEXT_WHOLE) /* else a part that ends at a line's end */
			rc = text_prepare(line, TEXT_IGNORE_CASE, more ? TEXT_WHOLE : part, out);
		if (rc == RC_OK && more) {
			buf_putc(out, '$');
			rc = buf_rc(out);
		}
	} while (more && rc == RC_OK);
	return rc;
}

int schema_normalize_part(enum schema_norm norm, enum text_part part, struct span value,
			  struct buf *out)
{
	switch (norm) {
	case SCHEMA_NORM_OCTETS:
		buf_put(out, value);
		return buf_rc(out);
	case SCHEMA_NORM_IGNORE:
		return text_prepare(value, TEXT_IGNORE_CASE, part, out);
	case SCHEMA_NORM_EXACT:
		return text_prepare(value, TEXT_EXACT, part, out);
	case SCHEMA_NORM_NUMERIC:
		return text_prepare(value, TEXT_NUMERIC, part, out);
	case SCHEMA_NORM_TELEPHONE:
		return text_prepare(value, TEXT_TELEPHONE, part, out);
	case SCHEMA_NORM_LIST:
		return norm_list(value, part, out);
	case SCHEMA_NORM_ACCENTS:
		return text_prepare(value, TEXT_IGNORE_ACCENTS, part, out);
	case SCHEMA_NORM_COLLATE:
	case SCHEMA_NORM_SOUND:
	case SCHEMA_NORM_NONE:
	case SCHEMA_NORM_DN:
	case SCHEMA_NORM_INTEGER:
	case SCHEMA_NORM_BOOLEAN:
	case SCHEMA_NORM_TIME:
	case SCHEMA_NORM_UUID:
	case SCHEMA_NORM_OID:
	case SCHEMA_NORM_NAME_UID:
	case SCHEMA_NORM_OID_FIRST:
	case SCHEMA_NORM_CERT:
	case SCHEMA_NORM_INTEGER_FIRST:
	case SCHEMA_NORM_STRING_FIRST:
	case SCHEMA_NORM_WORDS:
	case SCHEMA_NORM_KEYWORDS:
		break;
	}
	return RC_INVALID;
}

int schema_normalize(const struct schema *s, enum schema_norm norm, struct span value,
		     struct buf *out)
{
	switch (norm) {
	case SCHEMA_NORM_OCTETS:
	case SCHEMA_NORM_IGNORE:
	case SCHEMA_NORM_EXACT:
	case SCHEMA_NORM_NUMERIC:
	case SCHEMA_NORM_TELEPHONE:
	case SCHEMA_NORM_LIST:
	case SCHEMA_NORM_ACCENTS:
		return schema_normalize_part(norm, TEXT_WHOLE, value, out);
	case SCHEMA_NORM_COLLATE:
		return collate_key(value, out);
	case SCHEMA_NORM_SOUND:
		return sound_code(value, out);
	case SCHEMA_NORM_DN:
		return norm_dn(value, out);
	case SCHEMA_NORM_INTEGER:
		return norm_integer(value, out);
	case SCHEMA_NORM_BOOLEAN:
		return norm_boolean(value, out);
	case SCHEMA_NORM_TIME:
		return schema_time(value, out);
	case SCHEMA_NORM_UUID:
		return norm_uuid(value, out);
	case SCHEMA_NORM_OID:
		return norm_oid(s, value, out);
	case SCHEMA_NORM_NAME_UID:
		return norm_name_uid(value, out);
	case SCHEMA_NORM_OID_FIRST:
		return norm_oid(s, first_component(value), out);
	case SCHEMA_NORM_CERT:
		return schema_certificate(s, value, out);
	case SCHEMA_NORM_INTEGER_FIRST:
		return norm_integer(first_component(value), out);
	case SCHEMA_NORM_STRING_FIRST:
		return text_prepare(first_component(value), TEXT_IGNORE_CASE, TEXT_WHOLE, out);
	case SCHEMA_NORM_WORDS:
		return schema_words(value, out);
	case SCHEMA_NORM_KEYWORDS:
		return schema_keywords(value, out);
	case SCHEMA_NORM_NONE:
		break;
	}
	return RC_INVALID;
}

/* The first RDN's value of a DN whose text needs no unescaping; false if it is not that simple. */
static bool simple_rdn_value(struct span dn, struct span *out)
{
	const uint8_t *equals = dn.n != 0 ? memchr(dn.p, '=', dn.n) : NULL;
	uint8_t before = ' ';
	size_t i;

	if (equals == NULL)
		return false;
	*out = span_from(dn, (size_t)(equals - dn.p) + 1);
	for (i = 0; i < out->n && out->p[i] != ','; i++) {
		uint8_t c = out->p[i];

		if (c < 0x20 || c >= 0x7f || strchr("\\\"+#;<>=", c) != NULL ||
		    (c == ' ' && before == ' '))
			return false;
		before = c;
	}
	out->n = i;
	return before != ' ';
}

bool schema_dn_differs(struct span normal, struct span dn)
{
	struct span a, b;

	return simple_rdn_value(normal, &a) && simple_rdn_value(dn, &b) && !span_eq_nocase(a, b);
}
