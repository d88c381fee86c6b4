/*
 * certificateExactMatch (RFC 4523 §2.5): a certificate is its serial number and its issuer's name.
 *
 * Both forms of an assertion, RFC 4523 §3.1's "{ serialNumber 1, issuer rdnSequence:"o=x" }" and
 * the older "1$o=x", and a certificate itself come to "c1$o=x", with the normal form of the DN.
 * What is DER but no certificate that can be read is compared as it is, behind an 'x'.
 */
#include "dird/schema_def.h"

#include "lib/dn.h"

#define SERIAL_MAX_BYTES 64
#define SERIAL_MAX_DIGITS 160

enum {
	TAG_OID = 0x06,
	TAG_UTF8 = 0x0c,
	TAG_NUMERIC = 0x12,
	TAG_PRINTABLE = 0x13,
	TAG_TELETEX = 0x14,
	TAG_IA5 = 0x16,
	TAG_BMP = 0x1e,
};

/* --- the serial number --- */

/* A decimal number without leading zeros. */
static int put_decimal(struct span v, struct buf *out)
{
	bool negative = v.n != 0 && v.p[0] == '-';
	size_t i;

	if (negative)
		v = span_from(v, 1);
	if (v.n == 0 || v.n > SERIAL_MAX_DIGITS)
		return RC_INVALID;
	for (i = 0; i < v.n; i++) {
		if (v.p[i] < '0' || v.p[i] > '9')
			return RC_INVALID;
	}
	while (v.n > 1 && v.p[0] == '0')
		v = span_from(v, 1);
	if (negative && v.p[0] != '0')
		buf_putc(out, '-');
	buf_put(out, v);
	return buf_rc(out);
}

/* The magnitude of a two's complement number, in place. */
static void make_positive(uint8_t *p, size_t n)
{
	unsigned carry = 1;

	while (n-- != 0) {
		carry += (uint8_t)~p[n];
		p[n] = (uint8_t)carry;
		carry >>= 8;
	}
}

static int put_serial(struct span v, struct buf *out)
{
	uint8_t bytes[SERIAL_MAX_BYTES], digits[SERIAL_MAX_DIGITS];
	size_t n = sizeof(digits), i;
	bool more = true, negative;

	if (v.n == 0 || v.n > sizeof(bytes))
		return RC_INVALID;
	memcpy(bytes, v.p, v.n);
	negative = bytes[0] >= 0x80;
	if (negative)
		make_positive(bytes, v.n);
	while (more) {
		unsigned rest = 0;

		more = false;
		for (i = 0; i < v.n; i++) {
			rest = rest << 8 | bytes[i];
			bytes[i] = (uint8_t)(rest / 10);
			more = more || bytes[i] != 0;
			rest %= 10;
		}
		digits[--n] = (uint8_t)('0' + rest);
	}
	if (negative)
		buf_putc(out, '-');
	buf_put(out, span_make(digits + n, sizeof(digits) - n));
	return buf_rc(out);
}

/* --- names --- */

static int put_oid(struct arena *a, struct span der, struct span *out)
{
	uint64_t arc = 0;
	bool first = true;
	struct buf b;
	size_t i;
	int rc = RC_OK;

	buf_init(&b, 1024);
	for (i = 0; i < der.n && arc < UINT32_MAX; i++) {
		arc = arc << 7 | (der.p[i] & 0x7f);
		if (der.p[i] >= 0x80)
			continue;
		if (first && arc < 80)
			buf_printf(&b, "%u.%u", (unsigned)arc / 40, (unsigned)arc % 40);
		else if (first)
			buf_printf(&b, "2.%llu", (unsigned long long)arc - 80);
		else
			buf_printf(&b, ".%llu", (unsigned long long)arc);
		first = false;
		arc = 0;
	}
	if (first || arc != 0)
		rc = RC_INVALID;
	if (rc == RC_OK)
		rc = buf_rc(&b);
	if (rc == RC_OK)
		*out = arena_span(a, buf_span(&b));
	if (rc == RC_OK && out->p == NULL)
		rc = RC_NOMEM;
	buf_fini(&b);
	return rc;
}

static void put_utf8(uint8_t *to, size_t *n, unsigned c)
{
	if (c < 0x80) {
		to[(*n)++] = (uint8_t)c;
	} else if (c < 0x800) {
		to[(*n)++] = (uint8_t)(0xc0 | c >> 6);
		to[(*n)++] = (uint8_t)(0x80 | (c & 0x3f));
	} else {
		to[(*n)++] = (uint8_t)(0xe0 | c >> 12);
		to[(*n)++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		to[(*n)++] = (uint8_t)(0x80 | (c & 0x3f));
	}
}

/* One or two bytes a character, as UTF-8. Teletex is Latin-1 in every certificate that exists. */
static int widen(struct arena *a, struct span v, size_t bytes, struct span *out)
{
	uint8_t *to = arena_alloc(a, 3 * v.n + 1);
	size_t i, n = 0;

	if (to == NULL)
		return RC_NOMEM;
	if (v.n % bytes != 0)
		return RC_INVALID;
	for (i = 0; i < v.n; i += bytes)
		put_utf8(to, &n, bytes == 1 ? v.p[i] : (unsigned)(v.p[i] << 8 | v.p[i + 1]));
	*out = span_make(to, n);
	return RC_OK;
}

static int read_string(struct arena *a, const struct tlv *t, struct span *out)
{
	switch (t->tag) {
	case TAG_UTF8:
	case TAG_NUMERIC:
	case TAG_PRINTABLE:
	case TAG_IA5:
		*out = t->body;
		return RC_OK;
	case TAG_TELETEX:
		return widen(a, t->body, 1, out);
	case TAG_BMP:
		return widen(a, t->body, 2, out);
	default:
		return RC_INVALID;
	}
}

static int read_rdn(struct arena *a, struct span set, struct dn_rdn *out)
{
	struct span pair, oid;
	struct tlv value;
	int rc = RC_OK;

	out->avas = arena_zalloc(a, DN_MAX_AVAS, sizeof(*out->avas));
	if (out->avas == NULL)
		return RC_NOMEM;
	while (set.n != 0 && rc == RC_OK) {
		struct dn_ava *ava = &out->avas[out->n];

		if (out->n == DN_MAX_AVAS || tlv_expect(&set, TLV_SEQUENCE, &pair) != RC_OK ||
		    tlv_expect(&pair, TAG_OID, &oid) != RC_OK || tlv_next(&pair, &value) != RC_OK)
			return RC_INVALID;
		rc = put_oid(a, oid, &ava->type);
		if (rc == RC_OK)
			rc = read_string(a, &value, &ava->value);
		out->n++;
	}
	return rc == RC_OK && out->n == 0 ? RC_INVALID : rc;
}

/* A DER Name has the RDN next to the root first. */
static int read_name(struct arena *a, struct span name, struct dn *out)
{
	struct dn_rdn *rdns = arena_zalloc(a, DN_MAX_RDNS, sizeof(*rdns));
	unsigned at = DN_MAX_RDNS;
	struct span set;
	int rc = RC_OK;

	if (rdns == NULL)
		return RC_NOMEM;
	while (name.n != 0 && rc == RC_OK) {
		if (at == 0 || tlv_expect(&name, TLV_SET, &set) != RC_OK)
			return RC_INVALID;
		rc = read_rdn(a, set, &rdns[--at]);
	}
	*out = (struct dn){rdns + at, DN_MAX_RDNS - at};
	return rc;
}

/* One number for each type that the schema has under several names. */
static int put_name(const struct schema *s, const struct dn *dn, struct buf *out)
{
	static const char email[] = "1.2.840.113549.1.9.1";
	unsigned i, k;

	for (i = 0; i < dn->n; i++) {
		for (k = 0; k < dn->rdns[i].n; k++) {
			struct dn_ava *ava = &dn->rdns[i].avas[k];
			const struct schema_attr *at = schema_attr(s, ava->type);

			if (at != NULL)
				ava->type = span_of(at->oid);
			else if (span_eq_nocase(ava->type, SPAN_LIT("emailAddress")))
				ava->type = span_of(email);
		}
	}
	return dn_normalize(dn, out);
}

/* --- the three forms --- */

/* Certificate ::= SEQUENCE { SEQUENCE { [0] version, serial, algorithm, issuer, ... } ... } */
static int read_certificate(const struct schema *s, struct arena *a, struct span v, struct buf *out)
{
	struct span cert, body, skip, serial, issuer;
	struct dn dn;
	int rc;

	if (tlv_expect(&v, TLV_SEQUENCE, &cert) != RC_OK || v.n != 0 ||
	    tlv_expect(&cert, TLV_SEQUENCE, &body) != RC_OK ||
	    (tlv_peek(body, TLV_CONTEXT_CONS(0)) &&
	     tlv_expect(&body, TLV_CONTEXT_CONS(0), &skip) != RC_OK) ||
	    tlv_expect(&body, TLV_INTEGER, &serial) != RC_OK ||
	    tlv_expect(&body, TLV_SEQUENCE, &skip) != RC_OK ||
	    tlv_expect(&body, TLV_SEQUENCE, &issuer) != RC_OK)
		return RC_INVALID;
	rc = read_name(a, issuer, &dn);
	if (rc == RC_OK)
		rc = put_serial(serial, out);
	if (rc != RC_OK)
		return rc;
	buf_putc(out, '$');
	return put_name(s, &dn, out);
}

static int put_assertion(const struct schema *s, struct arena *a, struct span serial,
			 struct span issuer, struct buf *out)
{
	struct dn dn;
	int rc = put_decimal(serial, out);

	if (rc == RC_OK)
		rc = dn_parse(a, issuer, &dn, NULL);
	if (rc != RC_OK)
		return rc == RC_TOOBIG ? RC_INVALID : rc;
	buf_putc(out, '$');
	return put_name(s, &dn, out);
}

static bool take_word(struct span *rest, struct span word)
{
	*rest = span_trim(*rest);
	if (rest->n < word.n || !span_eq(span_head(*rest, word.n), word))
		return false;
	*rest = span_trim(span_from(*rest, word.n));
	return true;
}

/* RFC 3641 §3.2: a quote inside is written twice. */
static int take_quoted(struct arena *a, struct span *rest, struct span *out)
{
	uint8_t *to = arena_alloc(a, rest->n + 1);
	size_t i, n = 0;

	if (to == NULL)
		return RC_NOMEM;
	if (rest->n == 0 || rest->p[0] != '"')
		return RC_INVALID;
	for (i = 1; i < rest->n; i++) {
		if (rest->p[i] == '"' && (i + 1 == rest->n || rest->p[++i] != '"'))
			break;
		to[n++] = rest->p[i];
	}
	*out = span_make(to, n);
	*rest = span_from(*rest, i < rest->n ? i : rest->n);
	return RC_OK;
}

static int read_gser(const struct schema *s, struct arena *a, struct span v, struct buf *out)
{
	struct span serial, issuer;
	int rc;

	if (!take_word(&v, SPAN_LIT("{")) || !take_word(&v, SPAN_LIT("serialNumber")) ||
	    !span_cut(&v, ',', &serial) || !take_word(&v, SPAN_LIT("issuer")) ||
	    !take_word(&v, SPAN_LIT("rdnSequence:")))
		return RC_INVALID;
	rc = take_quoted(a, &v, &issuer);
	if (rc != RC_OK)
		return rc;
	if (!take_word(&v, SPAN_LIT("}")) || v.n != 0)
		return RC_INVALID;
	return put_assertion(s, a, span_trim(serial), issuer, out);
}

static int read_any(const struct schema *s, struct arena *a, struct span v, struct buf *out)
{
	struct span serial;

	if (v.n != 0 && v.p[0] == '{')
		return read_gser(s, a, v, out);
	if (v.n != 0 && v.p[0] == TLV_SEQUENCE && v.n > 2 && v.p[1] >= 0x80)
		return read_certificate(s, a, v, out);
	if (span_cut(&v, '$', &serial))
		return put_assertion(s, a, span_trim(serial), v, out);
	return RC_INVALID;
}

int schema_certificate(const struct schema *s, struct span value, struct buf *out)
{
	size_t start = out->n;
	struct span rest = value, body;
	struct arena a;
	int rc;

	arena_init(&a);
	buf_putc(out, 'c');
	rc = read_any(s, &a, value, out);
	arena_fini(&a);
	if (rc == RC_INVALID && tlv_expect(&rest, TLV_SEQUENCE, &body) == RC_OK && rest.n == 0) {
		buf_truncate(out, start);
		buf_putc(out, 'x');
		buf_put(out, value);
		rc = buf_rc(out);
	}
	if (rc != RC_OK)
		buf_truncate(out, start);
	return rc;
}
