/* Built-in syntaxes and matching rules (RFC 4517 §3.3 and §4.2, RFC 4523, RFC 4530). */
#include "dird/schema_def.h"

#include "lib/dn.h"

#define SYNTAX(n) "1.3.6.1.4.1.1466.115.121.1." #n
#define CERT_ASSERTION "1.3.6.1.1.15.1"
#define OURS "2.25.120308962880139523094286593576329080187"

/* RFC 4517 §3.2: PrintableCharacter, as a bit per code 0x20..0x7f. */
static bool is_printable(uint8_t c)
{
	if ((c >= '0' && c <= '9') || (span_ascii_lower(c) >= 'a' && span_ascii_lower(c) <= 'z'))
		return true;
	return c != 0 && strchr("'()+,-./:? =", c) != NULL;
}

static int check_any(const struct schema *s, struct span v)
{
	(void)s;
	(void)v;
	return RC_OK;
}

static int check_text(const struct schema *s, struct span v)
{
	(void)s;
	return v.n != 0 && text_is_utf8(v) ? RC_OK : RC_INVALID;
}

int schema_check_printable(const struct schema *s, struct span v)
{
	size_t i;

	(void)s;
	for (i = 0; i < v.n; i++) {
		if (!is_printable(v.p[i]))
			return RC_INVALID;
	}
	return v.n != 0 ? RC_OK : RC_INVALID;
}

static int check_country(const struct schema *s, struct span v)
{
	return v.n == 2 ? schema_check_printable(s, v) : RC_INVALID;
}

static int check_ia5(const struct schema *s, struct span v)
{
	size_t i;

	(void)s;
	for (i = 0; i < v.n; i++) {
		if (v.p[i] > 0x7f)
			return RC_INVALID;
	}
	return RC_OK;
}

static int check_numeric(const struct schema *s, struct span v)
{
	size_t i;

	(void)s;
	for (i = 0; i < v.n; i++) {
		if (v.p[i] != ' ' && (v.p[i] < '0' || v.p[i] > '9'))
			return RC_INVALID;
	}
	return v.n != 0 ? RC_OK : RC_INVALID;
}

static int check_integer(const struct schema *s, struct span v)
{
	struct span digits = v.n != 0 && v.p[0] == '-' ? span_from(v, 1) : v;
	size_t i;

	(void)s;
	if (digits.n == 0 || (digits.p[0] == '0' && v.n != 1))
		return RC_INVALID;
	for (i = 0; i < digits.n; i++) {
		if (digits.p[i] < '0' || digits.p[i] > '9')
			return RC_INVALID;
	}
	return RC_OK;
}

static int check_boolean(const struct schema *s, struct span v)
{
	(void)s;
	return span_eq(v, SPAN_LIT("TRUE")) || span_eq(v, SPAN_LIT("FALSE")) ? RC_OK : RC_INVALID;
}

static int check_bits(const struct schema *s, struct span v)
{
	size_t i;

	(void)s;
	if (v.n < 3 || v.p[0] != '\'' || v.p[v.n - 2] != '\'' || v.p[v.n - 1] != 'B')
		return RC_INVALID;
	for (i = 1; i < v.n - 2; i++) {
		if (v.p[i] != '0' && v.p[i] != '1')
			return RC_INVALID;
	}
	return RC_OK;
}

static int check_dn(const struct schema *s, struct span v)
{
	struct arena a;
	struct dn dn;
	int rc;

	(void)s;
	if (schema_plain_dn(v, NULL))
		return RC_OK;
	arena_init(&a);
	rc = dn_parse(&a, v, &dn, NULL);
	arena_fini(&a);
	return rc == RC_OK || rc == RC_NOMEM ? rc : RC_INVALID;
}

static int check_name_uid(const struct schema *s, struct span v)
{
	size_t hash = v.n;

	while (hash != 0 && v.p[hash - 1] != '#')
		hash--;
	if (hash != 0 && check_bits(s, span_from(v, hash)) == RC_OK)
		v = span_head(v, hash - 1);
	return check_dn(s, v);
}

static int check_oid(const struct schema *s, struct span v)
{
	(void)s;
	return schema_is_descr(v) || schema_is_numericoid(v) ? RC_OK : RC_INVALID;
}

static int check_time(const struct schema *s, struct span v)
{
	struct buf b;
	int rc;

	(void)s;
	buf_init(&b, 64);
	rc = schema_time(v, &b);
	buf_fini(&b);
	return rc;
}

/* YYMMDDhhmm[ss](Z|+hhmm|-hhmm); obsolete, checked for its shape only. */
static int check_utc_time(const struct schema *s, struct span v)
{
	size_t digits = 0;

	(void)s;
	while (digits < v.n && v.p[digits] >= '0' && v.p[digits] <= '9')
		digits++;
	if (digits != 10 && digits != 12)
		return RC_INVALID;
	v = span_from(v, digits);
	if (v.n == 0 || (v.n == 1 && v.p[0] == 'Z'))
		return RC_OK;
	if (v.n != 5 || (v.p[0] != '+' && v.p[0] != '-') ||
	    check_numeric(s, span_from(v, 1)) != RC_OK || memchr(v.p, ' ', v.n) != NULL)
		return RC_INVALID;
	return RC_OK;
}

static int check_uuid(const struct schema *s, struct span v)
{
	struct uuid u;

	(void)s;
	return uuid_parse(v, &u);
}

/* Certificates and lists of them: one DER element that fills the value. */
static int check_der(const struct schema *s, struct span v)
{
	struct span body;

	(void)s;
	if (tlv_expect(&v, TLV_SEQUENCE, &body) != RC_OK || v.n != 0 || body.n == 0)
		return RC_INVALID;
	return RC_OK;
}

/* "( 1.2.3 ... )": descriptions that only the server itself makes. */
static int check_description(const struct schema *s, struct span v)
{
	(void)s;
	v = span_trim(v);
	if (v.n < 2 || v.p[0] != '(' || v.p[v.n - 1] != ')' || !text_is_utf8(v))
		return RC_INVALID;
	return RC_OK;
}

/* YYYYmmddHHMMSS.uuuuuuZ#ssssss#rrr#nnnnnn, as OpenLDAP stamps entries. */
static int check_csn(const struct schema *s, struct span v)
{
	static const char shape[] = "00000000000000.000000Z#xxxxxx#xxx#xxxxxx";
	size_t i;

	(void)s;
	if (v.n != sizeof(shape) - 1)
		return RC_INVALID;
	for (i = 0; i < v.n; i++) {
		bool digit = v.p[i] >= '0' && v.p[i] <= '9';
		bool hex = digit || (v.p[i] >= 'a' && v.p[i] <= 'f');

		if (shape[i] == '0' ? !digit : shape[i] == 'x' ? !hex : v.p[i] != shape[i])
			return RC_INVALID;
	}
	return RC_OK;
}

const struct schema_syntax schema_syntaxes[] = {
	{SYNTAX(3), "Attribute Type Description", check_description},
	{SYNTAX(4), "Audio", check_any},
	{SYNTAX(5), "Binary", check_any},
	{SYNTAX(6), "Bit String", check_bits},
	{SYNTAX(7), "Boolean", check_boolean},
	{SYNTAX(8), "Certificate", check_der},
	{SYNTAX(9), "Certificate List", check_der},
	{SYNTAX(10), "Certificate Pair", check_der},
	{SYNTAX(11), "Country String", check_country},
	{SYNTAX(12), "DN", check_dn},
	{SYNTAX(14), "Delivery Method", schema_check_delivery},
	{SYNTAX(15), "Directory String", check_text},
	{SYNTAX(16), "DIT Content Rule Description", check_description},
	{SYNTAX(17), "DIT Structure Rule Description", check_description},
	{SYNTAX(21), "Enhanced Guide", check_text},
	{SYNTAX(22), "Facsimile Telephone Number", schema_check_fax_number},
	{SYNTAX(23), "Fax", check_any},
	{SYNTAX(24), "Generalized Time", check_time},
	{SYNTAX(25), "Guide", check_text},
	{SYNTAX(26), "IA5 String", check_ia5},
	{SYNTAX(27), "INTEGER", check_integer},
	{SYNTAX(28), "JPEG", check_any},
	{SYNTAX(30), "Matching Rule Description", check_description},
	{SYNTAX(31), "Matching Rule Use Description", check_description},
	{SYNTAX(34), "Name And Optional UID", check_name_uid},
	{SYNTAX(35), "Name Form Description", check_description},
	{SYNTAX(36), "Numeric String", check_numeric},
	{SYNTAX(37), "Object Class Description", check_description},
	{SYNTAX(38), "OID", check_oid},
	{SYNTAX(39), "Other Mailbox", schema_check_mailbox},
	{SYNTAX(40), "Octet String", check_any},
	{SYNTAX(41), "Postal Address", schema_check_postal},
	{SYNTAX(44), "Printable String", schema_check_printable},
	{SYNTAX(45), "SubtreeSpecification", check_text},
	{SYNTAX(49), "Supported Algorithm", check_der},
	{SYNTAX(50), "Telephone Number", schema_check_printable},
	{SYNTAX(51), "Teletex Terminal Identifier", schema_check_teletex},
	{SYNTAX(52), "Telex Number", schema_check_telex},
	{SYNTAX(53), "UTC Time", check_utc_time},
	{SYNTAX(54), "LDAP Syntax Description", check_description},
	{SYNTAX(58), "Substring Assertion", check_text},
	{"1.3.6.1.1.16.1", "UUID", check_uuid},
	{CERT_ASSERTION, "X.509 Certificate Exact Assertion", check_text},
	{"1.3.6.1.4.1.4203.666.11.2.1", "Change Sequence Number", check_csn},
	{NULL, NULL, NULL},
};

#define RULE(oid, name, syntax, kind, norm)                                                        \
	{                                                                                          \
		oid, name, syntax, SCHEMA_##kind, SCHEMA_NORM_##norm                               \
	}

const struct schema_rule schema_rules[] = {
	RULE("2.5.13.0", "objectIdentifierMatch", SYNTAX(38), EQUALITY, OID),
	RULE("2.5.13.1", "distinguishedNameMatch", SYNTAX(12), EQUALITY, DN),
	RULE("2.5.13.2", "caseIgnoreMatch", SYNTAX(15), EQUALITY, IGNORE),
	RULE("2.5.13.3", "caseIgnoreOrderingMatch", SYNTAX(15), ORDERING, IGNORE),
	RULE("2.5.13.4", "caseIgnoreSubstringsMatch", SYNTAX(58), SUBSTRINGS, IGNORE),
	RULE("2.5.13.5", "caseExactMatch", SYNTAX(15), EQUALITY, EXACT),
	RULE("2.5.13.6", "caseExactOrderingMatch", SYNTAX(15), ORDERING, EXACT),
	RULE("2.5.13.7", "caseExactSubstringsMatch", SYNTAX(58), SUBSTRINGS, EXACT),
	RULE("2.5.13.8", "numericStringMatch", SYNTAX(36), EQUALITY, NUMERIC),
	RULE("2.5.13.9", "numericStringOrderingMatch", SYNTAX(36), ORDERING, NUMERIC),
	RULE("2.5.13.10", "numericStringSubstringsMatch", SYNTAX(58), SUBSTRINGS, NUMERIC),
	RULE("2.5.13.11", "caseIgnoreListMatch", SYNTAX(41), EQUALITY, LIST),
	RULE("2.5.13.12", "caseIgnoreListSubstringsMatch", SYNTAX(58), SUBSTRINGS, LIST),
	RULE("2.5.13.13", "booleanMatch", SYNTAX(7), EQUALITY, BOOLEAN),
	RULE("2.5.13.14", "integerMatch", SYNTAX(27), EQUALITY, INTEGER),
	RULE("2.5.13.15", "integerOrderingMatch", SYNTAX(27), ORDERING, INTEGER),
	RULE("2.5.13.16", "bitStringMatch", SYNTAX(6), EQUALITY, OCTETS),
	RULE("2.5.13.17", "octetStringMatch", SYNTAX(40), EQUALITY, OCTETS),
	RULE("2.5.13.18", "octetStringOrderingMatch", SYNTAX(40), ORDERING, OCTETS),
	RULE("2.5.13.20", "telephoneNumberMatch", SYNTAX(50), EQUALITY, TELEPHONE),
	RULE("2.5.13.21", "telephoneNumberSubstringsMatch", SYNTAX(58), SUBSTRINGS, TELEPHONE),
	RULE("2.5.13.23", "uniqueMemberMatch", SYNTAX(34), EQUALITY, NAME_UID),
	RULE("2.5.13.27", "generalizedTimeMatch", SYNTAX(24), EQUALITY, TIME),
	RULE("2.5.13.28", "generalizedTimeOrderingMatch", SYNTAX(24), ORDERING, TIME),
	RULE("2.5.13.29", "integerFirstComponentMatch", SYNTAX(27), EQUALITY, INTEGER_FIRST),
	RULE("2.5.13.30", "objectIdentifierFirstComponentMatch", SYNTAX(38), EQUALITY, OID_FIRST),
	RULE("2.5.13.31", "directoryStringFirstComponentMatch", SYNTAX(15), EQUALITY, STRING_FIRST),
	RULE("2.5.13.32", "wordMatch", SYNTAX(15), EQUALITY, WORDS),
	RULE("2.5.13.33", "keywordMatch", SYNTAX(15), EQUALITY, KEYWORDS),
	RULE("2.5.13.34", "certificateExactMatch", CERT_ASSERTION, EQUALITY, CERT),
	RULE("1.3.6.1.4.1.1466.109.114.1", "caseExactIA5Match", SYNTAX(26), EQUALITY, EXACT),
	RULE("1.3.6.1.4.1.1466.109.114.2", "caseIgnoreIA5Match", SYNTAX(26), EQUALITY, IGNORE),
	RULE("1.3.6.1.4.1.1466.109.114.3", "caseIgnoreIA5SubstringsMatch", SYNTAX(58), SUBSTRINGS,
	     IGNORE),
	RULE("1.3.6.1.4.1.4203.1.2.1", "caseExactIA5SubstringsMatch", SYNTAX(58), SUBSTRINGS,
	     EXACT),
	RULE("1.3.6.1.1.16.2", "uuidMatch", "1.3.6.1.1.16.1", EQUALITY, UUID),
	RULE("1.3.6.1.1.16.3", "uuidOrderingMatch", "1.3.6.1.1.16.1", ORDERING, UUID),
	RULE("1.3.6.1.4.1.4203.666.11.2.2", "CSNMatch", "1.3.6.1.4.1.4203.666.11.2.1", EQUALITY,
	     OCTETS),
	RULE("1.3.6.1.4.1.4203.666.11.2.3", "CSNOrderingMatch", "1.3.6.1.4.1.4203.666.11.2.1",
	     ORDERING, OCTETS),
	/* ours, schema/README */
	RULE(OURS ".4.1", "caseIgnoreAccentsMatch", SYNTAX(15), EQUALITY, ACCENTS),
	RULE(OURS ".4.2", "caseIgnoreAccentsSubstringsMatch", SYNTAX(58), SUBSTRINGS, ACCENTS),
	RULE(OURS ".4.3", "collationOrderingMatch", SYNTAX(15), ORDERING, COLLATE),
	{NULL, NULL, NULL, SCHEMA_EQUALITY, SCHEMA_NORM_NONE},
};

const struct schema_syntax *schema_syntax(const char *oid)
{
	const struct schema_syntax *x = schema_syntaxes;

	while (x->oid != NULL && strcmp(x->oid, oid) != 0)
		x++;
	return x->oid != NULL ? x : NULL;
}

const struct schema_rule *schema_rule(struct span name_or_oid)
{
	const struct schema_rule *x = schema_rules;

	while (x->oid != NULL && !span_eq_nocase(span_of(x->name), name_or_oid) &&
	       !span_eq(span_of(x->oid), name_or_oid))
		x++;
	return x->oid != NULL ? x : NULL;
}

static bool is_one_of(const char *oid, const char *const *list)
{
	while (*list != NULL && strcmp(*list, oid) != 0)
		list++;
	return *list != NULL;
}

/* RFC 4517 §4.2: character rules compare every syntax whose values are character strings. */
static bool is_text(const struct schema_attr *at)
{
	static const char *const texts[] = {SYNTAX(11), SYNTAX(15), SYNTAX(26), SYNTAX(36),
					    SYNTAX(44), SYNTAX(50), NULL};

	return at->syntax != NULL && is_one_of(at->syntax, texts);
}

bool schema_rule_applies(const struct schema_rule *rule, const struct schema_attr *at)
{
	switch (rule->norm) {
	case SCHEMA_NORM_IGNORE:
	case SCHEMA_NORM_EXACT:
	case SCHEMA_NORM_ACCENTS:
	case SCHEMA_NORM_COLLATE:
	case SCHEMA_NORM_WORDS:
	case SCHEMA_NORM_KEYWORDS:
		return is_text(at);
	case SCHEMA_NORM_OCTETS:
	case SCHEMA_NORM_NUMERIC:
	case SCHEMA_NORM_TELEPHONE:
	case SCHEMA_NORM_DN:
	case SCHEMA_NORM_INTEGER:
	case SCHEMA_NORM_BOOLEAN:
	case SCHEMA_NORM_TIME:
	case SCHEMA_NORM_UUID:
	case SCHEMA_NORM_OID:
	case SCHEMA_NORM_LIST:
	case SCHEMA_NORM_NAME_UID:
	case SCHEMA_NORM_OID_FIRST:
	case SCHEMA_NORM_CERT:
	case SCHEMA_NORM_INTEGER_FIRST:
	case SCHEMA_NORM_STRING_FIRST:
		return at->equality == rule->norm || at->ordering == rule->norm ||
		       at->substr == rule->norm;
	case SCHEMA_NORM_SOUND:
	case SCHEMA_NORM_NONE:
		break;
	}
	return false;
}

enum schema_norm schema_natural(const struct schema_attr *at)
{
	enum schema_norm norm = at->ordering != SCHEMA_NORM_NONE ? at->ordering : at->equality;

	if (norm == SCHEMA_NORM_NONE)
		return is_text(at) ? SCHEMA_NORM_COLLATE : SCHEMA_NORM_OCTETS;
	return norm == SCHEMA_NORM_IGNORE || norm == SCHEMA_NORM_EXACT || norm == SCHEMA_NORM_LIST
		       ? SCHEMA_NORM_COLLATE
		       : norm;
}

enum schema_norm schema_list_order(const struct schema_rule *rule, const struct schema_attr *at)
{
	if (rule == NULL)
		return schema_natural(at);
	return rule->norm == SCHEMA_NORM_IGNORE ? SCHEMA_NORM_COLLATE : rule->norm;
}

int schema_check_value(const struct schema *s, const struct schema_attr *at, struct span value)
{
	return at->checker != NULL ? at->checker->check(s, value) : RC_OK;
}
