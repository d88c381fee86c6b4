/* Writing (RFC 4514 §2) and the normal form. */
#include "lib/dn.h"

#include "lib/text.h"

#include <stdlib.h>

/* --- naming types (RFC 4519 §2, RFC 4524, RFC 2798) --- */

#define NAMED(s)                                                                                   \
	{                                                                                          \
		(const uint8_t *)(s), sizeof(s) - 1                                                \
	}

static const struct naming_type {
	struct span name, alias, oid;
} naming_types[] = {
	{NAMED("cn"), NAMED("commonname"), NAMED("2.5.4.3")},
	{NAMED("sn"), NAMED("surname"), NAMED("2.5.4.4")},
	{NAMED("serialnumber"), {NULL, 0}, NAMED("2.5.4.5")},
	{NAMED("c"), NAMED("countryname"), NAMED("2.5.4.6")},
	{NAMED("l"), NAMED("localityname"), NAMED("2.5.4.7")},
	{NAMED("st"), NAMED("stateorprovincename"), NAMED("2.5.4.8")},
	{NAMED("street"), NAMED("streetaddress"), NAMED("2.5.4.9")},
	{NAMED("o"), NAMED("organizationname"), NAMED("2.5.4.10")},
	{NAMED("ou"), NAMED("organizationalunitname"), NAMED("2.5.4.11")},
	{NAMED("title"), {NULL, 0}, NAMED("2.5.4.12")},
	{NAMED("description"), {NULL, 0}, NAMED("2.5.4.13")},
	{NAMED("businesscategory"), {NULL, 0}, NAMED("2.5.4.15")},
	{NAMED("postalcode"), {NULL, 0}, NAMED("2.5.4.17")},
	{NAMED("telephonenumber"), {NULL, 0}, NAMED("2.5.4.20")},
	{NAMED("name"), {NULL, 0}, NAMED("2.5.4.41")},
	{NAMED("givenname"), NAMED("gn"), NAMED("2.5.4.42")},
	{NAMED("initials"), {NULL, 0}, NAMED("2.5.4.43")},
	{NAMED("generationqualifier"), {NULL, 0}, NAMED("2.5.4.44")},
	{NAMED("dnqualifier"), {NULL, 0}, NAMED("2.5.4.46")},
	{NAMED("dc"), NAMED("domaincomponent"), NAMED("0.9.2342.19200300.100.1.25")},
	{NAMED("uid"), NAMED("userid"), NAMED("0.9.2342.19200300.100.1.1")},
	{NAMED("mail"), NAMED("rfc822mailbox"), NAMED("0.9.2342.19200300.100.1.3")},
	{NAMED("host"), {NULL, 0}, NAMED("0.9.2342.19200300.100.1.9")},
	{NAMED("associateddomain"), {NULL, 0}, NAMED("0.9.2342.19200300.100.1.37")},
	{NAMED("displayname"), {NULL, 0}, NAMED("2.16.840.1.113730.3.1.241")},
	{NAMED("employeenumber"), {NULL, 0}, NAMED("2.16.840.1.113730.3.1.3")},
};

#undef NAMED

static const struct naming_type *find_type(struct span type)
{
	size_t i;

	for (i = 0; i < sizeof(naming_types) / sizeof(naming_types[0]); i++) {
		const struct naming_type *t = &naming_types[i];

		if (span_eq_nocase(type, t->name) || span_eq_nocase(type, t->alias) ||
		    span_eq(type, t->oid))
			return t;
	}
	return NULL;
}

/* RFC 2253 §4 asks readers to accept "OID." before a dotted type. */
static struct span without_oid_prefix(struct span type)
{
	return span_eq_nocase(span_head(type, 4), SPAN_LIT("oid.")) ? span_from(type, 4) : type;
}

int dn_type_normalize(struct span type, struct buf *out)
{
	const struct naming_type *known;
	size_t i;

	type = without_oid_prefix(type);
	known = find_type(type);
	if (known != NULL) {
		buf_put(out, known->name);
		return buf_rc(out);
	}
	for (i = 0; i < type.n; i++)
		buf_putc(out, span_ascii_lower(type.p[i]));
	return buf_rc(out);
}

/* --- writing (RFC 4514 §2) --- */

static bool is_special(uint8_t c)
{
	switch (c) {
	case '"':
	case '+':
	case ',':
	case ';':
	case '<':
	case '>':
	case '\\':
		return true;
	default:
		return false;
	}
}

/* A leading '#' or space, or a trailing space. */
static bool is_special_place(struct span value, size_t i)
{
	return (i == 0 && (value.p[i] == '#' || value.p[i] == ' ')) ||
	       (i == value.n - 1 && value.p[i] == ' ');
}

static void write_value(struct span value, struct buf *out)
{
	bool utf8 = text_is_utf8(value);
	size_t i;

	for (i = 0; i < value.n; i++) {
		uint8_t c = value.p[i];

		if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8)) {
			buf_printf(out, "\\%02x", c);
			continue;
		}
		if (is_special(c) || is_special_place(value, i))
			buf_putc(out, '\\');
		buf_putc(out, c);
	}
}

void dn_rdn_write(const struct dn_rdn *rdn, struct buf *out)
{
	unsigned i;

	for (i = 0; i < rdn->n; i++) {
		if (i != 0)
			buf_putc(out, '+');
		buf_put(out, rdn->avas[i].type);
		buf_putc(out, '=');
		write_value(rdn->avas[i].value, out);
	}
}

void dn_write(const struct dn *dn, struct buf *out)
{
	unsigned i;

	for (i = 0; i < dn->n; i++) {
		if (i != 0)
			buf_putc(out, ',');
		dn_rdn_write(&dn->rdns[i], out);
	}
}

/* --- normal form --- */

static bool needs_escape(struct span value, size_t i, bool prepared)
{
	uint8_t c = value.p[i];

	return is_special(c) || is_special_place(value, i) ||
	       (!prepared && (c < 0x20 || c >= 0x7f));
}

/* Escapes what needs it in the bytes of `out` behind `start`. */
static int escape_tail(struct buf *out, size_t start, bool prepared)
{
	struct span value = span_from(buf_span(out), start);
	struct buf copy;
	size_t i = 0;

	while (i < value.n && !needs_escape(value, i, prepared))
		i++;
	if (i == value.n)
		return buf_rc(out);
	buf_init(&copy, value.n);
	buf_put(&copy, value);
	if (buf_rc(&copy) == RC_OK) {
		value = buf_span(&copy);
		buf_truncate(out, start);
		for (i = 0; i < value.n; i++) {
			if (needs_escape(value, i, prepared))
				buf_printf(out, "\\%02x", value.p[i]);
			else
				buf_putc(out, value.p[i]);
		}
	}
	buf_fini(&copy);
	return copy.rc != RC_OK ? copy.rc : buf_rc(out);
}

static int normalize_ava(const struct dn_ava *ava, struct buf *out)
{
	int rc = dn_type_normalize(ava->type, out);
	bool prepared;
	size_t start;

	if (rc != RC_OK)
		return rc;
	buf_putc(out, '=');
	start = out->n;
	rc = text_prepare(ava->value, TEXT_IGNORE_CASE, TEXT_WHOLE, out);
	prepared = rc == RC_OK;
	if (rc == RC_INVALID)
		buf_put(out, ava->value);
	else if (rc != RC_OK)
		return rc;
	if (buf_rc(out) != RC_OK)
		return buf_rc(out);
	return escape_tail(out, start, prepared);
}

static int compare_spans(const void *a, const void *b)
{
	return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

/* AVAs are a set (X.501), so their order is made up: by bytes of their normal form. */
static int normalize_sorted(const struct dn_rdn *rdn, struct buf *out)
{
	struct span parts[DN_MAX_AVAS];
	size_t ends[DN_MAX_AVAS];
	struct buf all;
	unsigned i;
	int rc = RC_OK;

	buf_init(&all, out->max);
	for (i = 0; i < rdn->n && rc == RC_OK; i++) {
		rc = normalize_ava(&rdn->avas[i], &all);
		ends[i] = all.n;
	}
	if (rc != RC_OK)
		goto out;
	for (i = 0; i < rdn->n; i++) {
		size_t start = i != 0 ? ends[i - 1] : 0;

		parts[i] = span_make(all.p + start, ends[i] - start);
	}
	qsort(parts, rdn->n, sizeof(parts[0]), compare_spans);
	for (i = 0; i < rdn->n; i++) {
		if (i != 0)
			buf_putc(out, '+');
		buf_put(out, parts[i]);
	}
	rc = buf_rc(out);
out:
	buf_fini(&all);
	return rc;
}

int dn_rdn_normalize(const struct dn_rdn *rdn, struct buf *out)
{
	if (rdn->n == 1)
		return normalize_ava(&rdn->avas[0], out);
	return rdn->n <= DN_MAX_AVAS ? normalize_sorted(rdn, out) : RC_TOOBIG;
}

int dn_normalize(const struct dn *dn, struct buf *out)
{
	unsigned i;
	int rc;

	for (i = 0; i < dn->n; i++) {
		if (i != 0)
			buf_putc(out, ',');
		rc = dn_rdn_normalize(&dn->rdns[i], out);
		if (rc != RC_OK)
			return rc;
	}
	return buf_rc(out);
}

/* Every byte may become three by escapes, and 18 characters of NFKC. */
#define NORMAL_MAX_BYTES (DN_MAX_BYTES * 64)

int dn_normalize_text(struct arena *a, struct span text, struct span *out)
{
	struct dn dn;
	struct buf b;
	int rc;

	*out = (struct span){NULL, 0};
	rc = dn_parse(a, text, &dn, NULL);
	if (rc != RC_OK)
		return rc;
	buf_init(&b, NORMAL_MAX_BYTES);
	rc = dn_normalize(&dn, &b);
	if (rc == RC_OK) {
		*out = arena_span(a, buf_span(&b));
		if (out->p == NULL)
			rc = RC_NOMEM;
	}
	buf_fini(&b);
	return rc;
}

bool dn_is_within(struct span name_normal, struct span base_normal)
{
	size_t before;

	if (base_normal.n == 0)
		return true;
	if (name_normal.n < base_normal.n)
		return false;
	before = name_normal.n - base_normal.n;
	return span_eq(span_from(name_normal, before), base_normal) &&
	       (before == 0 || name_normal.p[before - 1] == ',');
}
