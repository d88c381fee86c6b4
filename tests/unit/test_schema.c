/* dird/schema*.c: loading, normal forms, checks of requests and entries. */
#include "dird/schema.h"

#include "tests/unit/unit.h"

#include "dird/schema_def.h"
#include "lib/dn.h"

#include <stdlib.h>
#include <unistd.h>

static struct schema *schema;

static int load_shipped(void **state)
{
	struct buf errors;
	int rc;

	(void)state;
	buf_init(&errors, 1 << 20);
	rc = schema_load(SCHEMADIR, &schema, &errors);
	if (rc != RC_OK)
		print_error("%s: %s\n%s", SCHEMADIR, rc_text(rc), buf_cstr(&errors));
	buf_fini(&errors);
	return rc;
}

static int unload(void **state)
{
	(void)state;
	schema_free(&schema);
	return mem_live_blocks() == 0 ? 0 : -1;
}

/* --- loading ---------------------------------------------------------------------------------- */

struct folder {
	char path[64];
	char file[80];
};

static void write_schema(struct folder *f, const char *text)
{
	FILE *out;

	strcpy(f->path, "schema-test-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	snprintf(f->file, sizeof(f->file), "%s/a.schema", f->path);
	out = fopen(f->file, "w");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

static void remove_schema(struct folder *f)
{
	unlink(f->file);
	rmdir(f->path);
}

#define TEXT "EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15"

static void shipped_definitions(void **state)
{
	const struct schema_attr *cn = schema_attr(schema, SPAN_LIT("CN;lang-de"));
	const struct schema_attr *c;
	const struct schema_class *ims;

	(void)state;
	assert_non_null(cn);
	assert_ptr_equal(cn, schema_attr(schema, SPAN_LIT("commonName")));
	assert_ptr_equal(cn, schema_attr(schema, SPAN_LIT("2.5.4.3")));
	assert_null(schema_attr(schema, SPAN_LIT("nosuch")));
	assert_string_equal(cn->name, "cn");
	assert_string_equal(cn->equality_rule, "caseIgnoreMatch");
	assert_string_equal(cn->sup->name, "name");
	assert_true(cn->is_indexed && !cn->is_protected && !cn->single);
	assert_int_equal(cn->substr, SCHEMA_NORM_IGNORE);
	assert_int_equal(cn->hash, entry_type_hash(SPAN_LIT("CN")));
	c = schema_attr(schema, SPAN_LIT("c"));
	assert_true(c->single);
	assert_string_equal(c->checker->desc, "Country String");
	assert_true(schema_attr(schema, SPAN_LIT("userPassword"))->is_protected);
	ims = schema_class(schema, SPAN_LIT("imsconnector"));
	assert_non_null(ims);
	assert_true(schema_class_is(ims, schema_class(schema, SPAN_LIT("mailConnector"))));
	assert_true(schema_class_is(ims, schema_class(schema, SPAN_LIT("2.5.6.0"))));
	assert_false(schema_class_is(schema_class(schema, SPAN_LIT("top")), ims));
	assert_int_equal(schema_run(schema, SPAN_LIT("cn;lang-de")), ENTRY_PUBLIC);
	assert_int_equal(schema_run(schema, SPAN_LIT("userpassword")), ENTRY_PROTECTED);
	assert_int_equal(schema_run(schema, SPAN_LIT("originStamp")), ENTRY_OPERATIONAL);
}

static void every_type_has_a_known_syntax(void **state)
{
	unsigned i;

	(void)state;
	assert_true(schema->nattrs > 200);
	for (i = 0; i < schema->nattrs; i++) {
		if (schema->attrs[i].checker == NULL)
			fail_msg("%s: syntax %s", schema->attrs[i].name, schema->attrs[i].syntax);
	}
}

static void subtypes_begin_with_the_type(void **state)
{
	const struct schema_attr *name = schema_attr(schema, SPAN_LIT("name"));
	const struct schema_attr *const *types = schema_subtypes(schema, name);
	bool has_sn = false;
	unsigned i;

	(void)state;
	assert_ptr_equal(types[0], name);
	for (i = 1; types[i] != NULL; i++)
		has_sn = has_sn || strcmp(types[i]->name, "sn") == 0;
	assert_true(has_sn && i > 8);
	types = schema_subtypes(schema, schema_attr(schema, SPAN_LIT("sn")));
	assert_null(types[1]);
}

static bool published(enum schema_kind kind, const char *text)
{
	const char *const *list = schema_definitions(schema, kind);

	while (*list != NULL && strcmp(*list, text) != 0)
		list++;
	return *list != NULL;
}

static void definitions_are_published_without_our_extension(void **state)
{
	(void)state;
	assert_true(published(SCHEMA_ATTRIBUTE_TYPES,
			      "( 2.5.4.3 NAME ( 'cn' 'commonName' ) SUP name )"));
	assert_true(
		published(SCHEMA_ATTRIBUTE_TYPES,
			  "( 2.5.18.1 NAME 'createTimestamp' EQUALITY generalizedTimeMatch "
			  "ORDERING generalizedTimeOrderingMatch SYNTAX "
			  "1.3.6.1.4.1.1466.115.121.1.24 SINGLE-VALUE NO-USER-MODIFICATION USAGE "
			  "directoryOperation )"));
	assert_true(published(SCHEMA_OBJECT_CLASSES,
			      "( 2.5.6.6 NAME 'person' SUP top STRUCTURAL MUST ( sn $ cn ) MAY ( "
			      "userPassword $ telephoneNumber $ seeAlso $ description ) )"));
	assert_true(published(SCHEMA_SYNTAXES, "( 1.3.6.1.4.1.1466.115.121.1.12 DESC 'DN' )"));
	assert_true(published(
		SCHEMA_MATCHING_RULES,
		"( 2.5.13.2 NAME 'caseIgnoreMatch' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )"));
}

/* Each text with the line and a piece of its message. */
static const struct {
	const char *text;
	const char *want;
} bad_files[] = {
	{"attributetype ( 1.2.3 NAME 'a' )\n", ":1: a: neither SYNTAX nor SUP"},
	{"\nattributetype ( 1.2.3 NAME 'a' " TEXT " )\nattributetype ( 1.2.4 NAME 'A' " TEXT " )\n",
	 ":3: A is defined already"},
	{"attributetype ( 1.2.3 NAME 'a' " TEXT " )\nattributetype ( 1.2.3 NAME 'b' " TEXT " )\n",
	 ":2: 1.2.3 is defined already"},
	{"attributetype ( 1.2.3 NAME 'a' SUP b )\nattributetype ( 1.2.4 NAME 'b' SUP a )\n",
	 ":1: a: SUP leads back to itself"},
	{"attributetype ( 1.2.3 NAME 'a' SUP a )\n", "a: SUP leads back to itself"},
	{"attributetype ( 1.2.3 NAME 'a' SUP nosuch )\n", "unknown attribute type nosuch"},
	{"attributetype ( 1.2.3 NAME 'a' EQUALITY fooMatch SYNTAX 1.2.3 )\n",
	 "unknown matching rule fooMatch"},
	{"attributetype ( 1.2.3 NAME 'a' ORDERING caseIgnoreMatch SYNTAX 1.2.3 )\n",
	 "caseIgnoreMatch is no rule of that kind"},
	{"attributetype ( 1.2.3 NAME 'a' " TEXT " NO-USER-MODIFICATION )\n",
	 "NO-USER-MODIFICATION needs an operational usage"},
	{"attributetype ( 1.2.3 NAME 'a' SYNTAX 1.2.3 X-WAYPOST 'index' )\n",
	 "'index' needs an EQUALITY rule"},
	{"attributetype ( 1.2.3 NAME 'a' " TEXT " X-WAYPOST 'idnex' )\n",
	 "X-WAYPOST knows 'index' and 'protected', found \"idnex\""},
	{"attributetype ( 1.2.3 NAME 'a' " TEXT " DESC 'x' DESC 'y' )\n", "stands there twice"},
	{"attributetype ( 1.2.3 NAME 'a'\n\tMUST cn )\n", ":2: unknown field, found \"MUST\""},
	{"attributetype ( 1.2.3 NAME '1a' " TEXT " )\n", "a name is letters, digits and hyphens"},
	{"attributetype ( 1.02.3 NAME 'a' " TEXT " )\n", "no numeric object identifier"},
	{"attributetype ( 1.2.3 NAME 'a' DESC 'x\\41' )\n", "only \\27 and \\5C are escapes"},
	{"attributetype ( 1.2.3 NAME 'a", "a quoted string has no end"},
	{"attributetype ( 1.2.3 NAME 'a' SYNTAX 1.2.3{x} )\n", "malformed upper bound"},
	{"attributetype ( 1.2.3 NAME 'a' USAGE mine SYNTAX 1.2.3 )\n", "unknown usage"},
	{"attributetype ( 1.2.3 NAME 'a' " TEXT, "found the end of the file"},
	{"attributetype ( 1.2.3 NAME () " TEXT " )\n", "an empty list"},
	{"nonsense\n",
	 "expected attributetype, objectclass or objectidentifier, found \"nonsense\""},
	{"objectclass ( 1.2.3 NAME 'c' MUST x )\n", "c: unknown attribute type x"},
	{"objectclass ( 1.2.3 NAME 'c' SUP d )\n", "c: unknown object class d"},
	{"objectclass ( 1.2.3 NAME 'c' SUP d )\nobjectclass ( 1.2.4 NAME 'd' SUP c )\n",
	 ":2: d: SUP leads back to itself or is too deep"},
	{"objectclass ( 1.2.3 NAME 'c' AUXILIARY )\nobjectclass ( 1.2.4 NAME 'd' SUP c )\n",
	 "d: its kind cannot be derived from the kind of c"},
	{"objectclass ( 1.2.3 NAME 'c' MUST ( a b ) )\n", "expected \"$\" or \")\""},
};

static void bad_files_are_refused_with_file_and_line(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(bad_files); i++) {
		struct schema *s = NULL;
		struct folder f;
		struct buf errors;
		int rc;

		write_schema(&f, bad_files[i].text);
		buf_init(&errors, 65536);
		rc = schema_load(f.path, &s, &errors);
		remove_schema(&f);
		if (rc != RC_INVALID || strstr(buf_cstr(&errors), bad_files[i].want) == NULL ||
		    strstr(buf_cstr(&errors), "/a.schema:") == NULL)
			fail_msg("case %u: %s\ngot: %s\nwant: %s", i, rc_text(rc),
				 buf_cstr(&errors), bad_files[i].want);
		assert_null(s);
		buf_fini(&errors);
	}
}

static void every_error_of_a_file_is_told(void **state)
{
	struct schema *s = NULL;
	struct folder f;
	struct buf errors;

	(void)state;
	write_schema(&f, "attributetype ( 1.2.3 NAME 'a' BAD )\n"
			 "attributetype ( 1.2.4 NAME 'b' " TEXT " )\n"
			 "objectclass ( x )\n");
	buf_init(&errors, 65536);
	assert_int_equal(schema_load(f.path, &s, &errors), RC_INVALID);
	assert_non_null(strstr(buf_cstr(&errors), ":1: "));
	assert_non_null(strstr(buf_cstr(&errors), ":3: "));
	assert_null(strstr(buf_cstr(&errors), ":2: "));
	buf_fini(&errors);
	remove_schema(&f);
	assert_int_equal(schema_load("no-such-folder", &s, NULL), RC_NOTFOUND);
}

static void shorthands_comments_and_forward_references(void **state)
{
	const struct schema_attr *a;
	struct schema *s = NULL;
	struct folder f;

	(void)state;
	write_schema(&f, "# a comment (with 'marks\n"
			 "objectIdentifier base 1.2.3\nobjectidentifier sub base:4\n"
			 "attributeType ( sub:5 NAME ( 'a' 'aa' ) # here\n\tSUP later\n"
			 "\tDESC 'it\\27s \\5c' X-ORIGIN ( 'x' 'y' ) )\n"
			 "attributetype ( base:9 NAME 'later' " TEXT "{64} )\n");
	assert_int_equal(schema_load(f.path, &s, NULL), RC_OK);
	remove_schema(&f);
	a = schema_attr(s, SPAN_LIT("AA"));
	assert_string_equal(a->oid, "1.2.3.4.5");
	assert_string_equal(a->sup->name, "later");
	assert_int_equal(a->equality, SCHEMA_NORM_IGNORE);
	assert_string_equal(schema_definitions(s, SCHEMA_ATTRIBUTE_TYPES)[0],
			    "( 1.2.3.4.5 NAME ( 'a' 'aa' ) DESC 'it\\27s \\5C' SUP later )");
	schema_free(&s);
}

static int load_once(void *arg)
{
	struct schema *s = NULL;
	struct buf errors;
	int rc;

	buf_init(&errors, 65536);
	rc = schema_load(arg, &s, &errors);
	schema_free(&s);
	buf_fini(&errors);
	return rc;
}

static void loading_survives_want_of_memory(void **state)
{
	struct folder f;

	(void)state;
	write_schema(&f, "attributetype ( 1.2.3 NAME 'a' " TEXT " )\n"
			 "attributetype ( 1.2.4 NAME 'b' SUP a )\n"
			 "objectclass ( 1.2.5 NAME 'c' MUST ( a $ b ) )\n");
	unit_fail_allocations(load_once, f.path);
	remove_schema(&f);
	unit_fail_allocations(load_once, (void *)SCHEMADIR);
}

/* --- syntaxes and normal forms ---------------------------------------------------------------- */

static const struct {
	const char *type;
	const char *value;
	bool ok;
} values[] = {
	{"cn", "Ada", true},
	{"cn", "", false},
	{"cn", "\xff", false},
	{"mail", "a@b", true},
	{"mail", "\xc3\xa4@b", false},
	{"c", "DE", true},
	{"c", "DEU", false},
	{"telephoneNumber", "+49 (89) 1-2", true},
	{"telephoneNumber", "12*", false},
	{"telephoneNumber", "", false},
	{"cost", "0", true},
	{"cost", "-12", true},
	{"cost", "007", false},
	{"cost", "-0", false},
	{"cost", "", false},
	{"cost", "1e3", false},
	{"connectorEnabled", "TRUE", true},
	{"connectorEnabled", "true", false},
	{"connectorEnabled", "", false},
	{"member", "cn=a,o=b", true},
	{"member", "", true},
	{"member", "cn", false},
	{"member", "cn=a,,o=b", false},
	{"uniqueMember", "cn=a#'0101'B", true},
	{"uniqueMember", "#'0101'B", true},
	{"x500UniqueIdentifier", "'0101'B", true},
	{"x500UniqueIdentifier", "'0121'B", false},
	{"x500UniqueIdentifier", "'B", false},
	{"entryUUID", "550e8400-e29b-41d4-a716-446655440000", true},
	{"entryUUID", "550e8400-e29b-41d4-a716-44665544000", false},   /* 15 bytes and a half */
	{"entryUUID", "550e8400-e29b-41d4-a716-4466554400000", false}, /* 16 and a half */
	{"entryUUID", "550e8400e29b41d4a716446655440000", false},
	{"createTimestamp", "20240229120000Z", true},
	{"createTimestamp", "20230229120000Z", false},
	{"createTimestamp", "2024022912Z", true},
	{"createTimestamp", "202402291230.5+0130", true},
	{"createTimestamp", "20240229120060Z", true},
	{"createTimestamp", "20240229120000", false},
	{"createTimestamp", "20240229240000Z", false},
	{"createTimestamp", "20241301000000Z", false},
	{"createTimestamp", "20240229120000.Z", false},
	{"createTimestamp", "", false},
	{"createTimestamp", "2", false},
	{"createTimestamp", "20", false},
	{"createTimestamp", "202", false},
	{"entryCSN", "20240229120000.000000Z#000000#00a#000000", true},
	{"entryCSN", "", false},
	{"entryCSN", "202", false},
	{"objectClass", "person", true},
	{"objectClass", "2.5.6.6", true},
	{"objectClass", "per son", false},
	{"userCertificate", "junk", false},
	{"userCertificate", "\x30\x03\x02\x01\x01", true},
	{"userCertificate", "\x30\x03\x02\x01", false},
	{"destinationIndicator", "a@b", false},
	{"x121Address", "12 34", true},
	{"x121Address", "12a", false},
	{"postalAddress", "Main St 1$Town", true},
	{"postalAddress", "cost: \\24 5$back\\5Cslash", true},
	{"postalAddress", "a$$b", false},
	{"postalAddress", "a$", false},
	{"postalAddress", "", false},
	{"postalAddress", "a\\,b", false},
	{"postalAddress", "a\\2", false},
	{"preferredDeliveryMethod", "telephone $ mhs", true},
	{"preferredDeliveryMethod", "ANY", true},
	{"preferredDeliveryMethod", "pigeon", false},
	{"preferredDeliveryMethod", "mhs$", false},
	{"facsimileTelephoneNumber", "+49 30 1", true},
	{"facsimileTelephoneNumber", "+49 30 1$twoDimensional$b4Length", true},
	{"facsimileTelephoneNumber", "+49 30 1$coloured", false},
	{"facsimileTelephoneNumber", "$b4Length", false},
	{"telexNumber", "12345$023$ABC", true},
	{"telexNumber", "12345$023", false},
	{"telexNumber", "12345$023$", false},
	{"telexNumber", "1$2$3$4", false},
	{"teletexTerminalIdentifier", "term", true},
	{"teletexTerminalIdentifier", "term$graphic:x$private:\\24", true},
	{"teletexTerminalIdentifier", "term$graphic", false},
	{"teletexTerminalIdentifier", "term$colour:x", false},
};

static void values_are_checked_by_syntax(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(values); i++) {
		const struct schema_attr *at = schema_attr(schema, span_of(values[i].type));
		int rc;

		assert_non_null(at);
		rc = schema_check_value(schema, at, span_of(values[i].value));
		if (rc != (values[i].ok ? RC_OK : RC_INVALID))
			fail_msg("%s: \"%s\": %s", values[i].type, values[i].value, rc_text(rc));
	}
}

static int normal(enum schema_norm norm, const char *value, struct buf *out)
{
	buf_clear(out);
	return schema_normalize(schema, norm, span_of(value), out);
}

static const struct {
	enum schema_norm norm;
	const char *a, *b;
	int order; /* of the normal forms */
} pairs[] = {
	{SCHEMA_NORM_IGNORE, " Ada  HILL", "ada hill ", 0},
	{SCHEMA_NORM_IGNORE,
	 "Stra\xc3\x9f"
	 "e",
	 "STRASSE", 0},
	{SCHEMA_NORM_EXACT, "Ada", "ada", -1},
	{SCHEMA_NORM_NUMERIC, "12 34", "1234", 0},
	{SCHEMA_NORM_TELEPHONE, "+49-89 1", "+49891", 0},
	{SCHEMA_NORM_DN, "CN=Ada , O=Example", "cn=ada,o=example", 0},
	{SCHEMA_NORM_DN, "2.5.4.3=Ada,o=x", "commonName=ada,O=X", 0},
	{SCHEMA_NORM_INTEGER, "9", "10", -1},
	{SCHEMA_NORM_INTEGER, "-10", "-9", -1},
	{SCHEMA_NORM_INTEGER, "-1", "0", -1},
	{SCHEMA_NORM_INTEGER, "-100", "-99", -1},
	{SCHEMA_NORM_INTEGER, "123456789012345678901234567890", "99999999999999999999999999999", 1},
	{SCHEMA_NORM_INTEGER, "0", "-0", 0},
	{SCHEMA_NORM_BOOLEAN, "FALSE", "TRUE", -1},
	{SCHEMA_NORM_TIME, "20240101003000+0100", "20231231233000Z", 0},
	{SCHEMA_NORM_TIME, "2024010112Z", "20240101120000.000Z", 0},
	{SCHEMA_NORM_TIME, "2024010112.5Z", "20240101123000Z", 0},
	{SCHEMA_NORM_TIME, "202401011230,25Z", "20240101123015Z", 0},
	{SCHEMA_NORM_TIME, "20240101123015.25Z", "20240101123015.3Z", -1},
	{SCHEMA_NORM_TIME, "20231231235960Z", "20240101000000Z", 0},
	{SCHEMA_NORM_TIME, "20240301000000+0030", "20240229233000Z", 0},
	{SCHEMA_NORM_UUID, "550E8400-E29B-41D4-A716-446655440000",
	 "550e8400-e29b-41d4-a716-446655440000", 0},
	{SCHEMA_NORM_OID, "2.5.6.6", "Person", 0},
	{SCHEMA_NORM_OID, "commonName", "2.5.4.3", 0},
	{SCHEMA_NORM_OID_FIRST, "( 2.5.6.6 NAME 'person' )", "person", 0},
	{SCHEMA_NORM_OID_FIRST, "(2.5.6.6)", "person", 0},
	{SCHEMA_NORM_INTEGER_FIRST, "( 12 FORM x )", "012", 0},
	{SCHEMA_NORM_INTEGER_FIRST, "(9)", "( 10 FORM x )", -1},
	{SCHEMA_NORM_STRING_FIRST, "( 'Ada Hill' 3 )", "ADA  hill", 0},
	{SCHEMA_NORM_STRING_FIRST, "( ada 3 )", "Ada", 0},
	{SCHEMA_NORM_WORDS, "Ada M. Hill-Byron", "ada, m hill; BYRON!", 0},
	{SCHEMA_NORM_KEYWORDS, "Unix; mail  server,", "unix$ Mail server", 0},
	{SCHEMA_NORM_ACCENTS, "Rodr\xc3\xadguez", "RODRIGUEZ", 0},
	{SCHEMA_NORM_LIST, "Main St 1 $ Town", "main st 1$town", 0},
	{SCHEMA_NORM_NAME_UID, "CN=a#'01'B", "cn=A#'01'B", 0},
	{SCHEMA_NORM_NAME_UID, "cn=a#'01'B", "cn=a#'11'B", -1},
};

static void normal_forms_compare_as_their_rules(void **state)
{
	struct buf a, b;
	unsigned i;

	(void)state;
	buf_init(&a, 65536);
	buf_init(&b, 65536);
	for (i = 0; i < UNIT_COUNT(pairs); i++) {
		int order;

		assert_int_equal(normal(pairs[i].norm, pairs[i].a, &a), RC_OK);
		assert_int_equal(normal(pairs[i].norm, pairs[i].b, &b), RC_OK);
		order = span_cmp(buf_span(&a), buf_span(&b));
		order = (order > 0) - (order < 0);
		if (order != pairs[i].order)
			fail_msg("\"%s\" and \"%s\": %d", pairs[i].a, pairs[i].b, order);
	}
	assert_int_equal(normal(SCHEMA_NORM_OID, "nosuch", &a), RC_INVALID);
	assert_int_equal(normal(SCHEMA_NORM_OID, "1.99.3", &a), RC_OK);
	assert_int_equal(normal(SCHEMA_NORM_INTEGER, "1x", &a), RC_INVALID);
	assert_int_equal(normal(SCHEMA_NORM_INTEGER, "-", &a), RC_INVALID);
	assert_int_equal(normal(SCHEMA_NORM_BOOLEAN, "maybe", &a), RC_INVALID);
	assert_int_equal(normal(SCHEMA_NORM_IGNORE, "\xff", &a), RC_INVALID);
	assert_int_equal(normal(SCHEMA_NORM_DN, "nonsense", &a), RC_INVALID);
	assert_int_equal(normal(SCHEMA_NORM_NONE, "x", &a), RC_INVALID);
	buf_fini(&a);
	buf_fini(&b);
}

static void put_rdn(struct buf *b, const char *oid, unsigned tag, struct span value)
{
	size_t set = tlv_open(b, TLV_SET), pair = tlv_open(b, TLV_SEQUENCE);

	tlv_put(b, 0x06, span_of(oid));
	tlv_put(b, tag, value);
	tlv_close(b, pair);
	tlv_close(b, set);
}

/* As much of a certificate as is looked at, and some more to make it as long as real ones. */
static void make_certificate(struct buf *b, struct span serial)
{
	static const uint8_t rest[200];
	size_t cert = tlv_open(b, TLV_SEQUENCE), body = tlv_open(b, TLV_SEQUENCE), at;

	at = tlv_open(b, TLV_CONTEXT_CONS(0));
	tlv_put_int(b, TLV_INTEGER, 2);
	tlv_close(b, at);
	tlv_put(b, TLV_INTEGER, serial);
	tlv_put(b, TLV_SEQUENCE, SPAN_LIT("\x06\x01\x2a"));
	at = tlv_open(b, TLV_SEQUENCE);
	put_rdn(b, "\x55\x04\x06", 0x13, SPAN_LIT("DE"));
	put_rdn(b, "\x55\x04\x0a", 0x14, SPAN_LIT("Ex\xe4mple, Inc."));
	put_rdn(b, "\x55\x04\x03", 0x1e, SPAN_LIT("\0C\0A\x20\xac"));
	put_rdn(b, "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01", 0x16, SPAN_LIT("CA@example.com"));
	tlv_close(b, at);
	tlv_put(b, TLV_OCTETS, span_make(rest, sizeof(rest)));
	tlv_close(b, body);
	tlv_close(b, cert);
}

static const struct {
	struct span serial;
	const char *assertion;
	bool equal;
} certificates[] = {
	{SPAN_LIT("\x01"),
	 "{ serialNumber 1, issuer rdnSequence:\"emailAddress=ca@example.com,CN=ca\u20ac,"
	 "O=Ex\u00e4mple\\, Inc.,C=DE\" }",
	 true},
	{SPAN_LIT("\x01"),
	 "{serialNumber 001,issuer rdnSequence:\"1.2.840.113549.1.9.1=ca@example.com, "
	 "2.5.4.3=CA\u20ac , o=\"\"Ex\u00e4mple, Inc.\"\",c=de\"}",
	 true},
	{SPAN_LIT("\x01"), "1$emailAddress=ca@example.com,CN=ca\u20ac,O=Ex\u00e4mple\\, Inc.,C=DE",
	 true},
	{SPAN_LIT("\x00\xff\xff\xff\xff\xff\xff\xff\xff"),
	 "18446744073709551615$emailAddress=ca@example.com,CN=ca\u20ac,O=Ex\u00e4mple\\, "
	 "Inc.,C=DE",
	 true},
	{SPAN_LIT("\xff\x00"),
	 "-256$emailAddress=ca@example.com,CN=ca\u20ac,O=Ex\u00e4mple\\, Inc.,C=DE", true},
	{SPAN_LIT("\x80"),
	 "-128$emailAddress=ca@example.com,CN=ca\u20ac,O=Ex\u00e4mple\\, Inc.,C=DE", true},
	{SPAN_LIT("\x02"), "1$emailAddress=ca@example.com,CN=ca\u20ac,O=Ex\u00e4mple\\, Inc.,C=DE",
	 false},
	{SPAN_LIT("\x01"), "1$CN=ca\u20ac,O=Ex\u00e4mple\\, Inc.,C=DE", false},
};

/* RFC 4523 §2.5, §3.1 */
static void a_certificate_is_serial_and_issuer(void **state)
{
	static const char *const bad[] = {
		"",
		"1",
		"x$o=a",
		"1$nonsense",
		"{ }",
		"{ serialNumber 1 }",
		"{ serialNumber 1, issuer rdnSequence:\"o=a }",
		"{ serialNumber 1, issuer rdnSequence:\"o=a\" } x",
		"{ serialNumber -, issuer rdnSequence:\"o=a\" }",
		"{ serialNumber 1, issuer rdnSequence:\"o=a\"",
		"{ serialNumber 1, issuer rdnSequence:\"",
	};
	struct buf der, a, b;
	unsigned i;

	(void)state;
	buf_init(&der, 65536);
	buf_init(&a, 65536);
	buf_init(&b, 65536);
	for (i = 0; i < UNIT_COUNT(certificates); i++) {
		buf_clear(&der);
		buf_clear(&a);
		make_certificate(&der, certificates[i].serial);
		assert_int_equal(schema_normalize(schema, SCHEMA_NORM_CERT, buf_span(&der), &a), 0);
		assert_int_equal(normal(SCHEMA_NORM_CERT, certificates[i].assertion, &b), RC_OK);
		if (span_eq(buf_span(&a), buf_span(&b)) != certificates[i].equal)
			fail_msg("%s: %s, %s", certificates[i].assertion, buf_cstr(&a),
				 buf_cstr(&b));
	}
	for (i = 0; i < UNIT_COUNT(bad); i++)
		assert_int_equal(normal(SCHEMA_NORM_CERT, bad[i], &a), RC_INVALID);
	/* cut anywhere it is no certificate, and never read beyond its end */
	for (i = 0; i < der.n; i++) {
		uint8_t *part = mem_alloc(i + 1);

		memcpy(part, der.p, i);
		buf_clear(&a);
		assert_int_equal(schema_normalize(schema, SCHEMA_NORM_CERT, span_make(part, i), &a),
				 RC_INVALID);
		mem_free(part);
	}
	/* DER that is none is compared as it is */
	assert_int_equal(normal(SCHEMA_NORM_CERT, "\x30\x03\x02\x01\x01", &a), RC_OK);
	unit_assert_span(buf_span(&a), SPAN_LIT("x\x30\x03\x02\x01\x01"));
	buf_fini(&der);
	buf_fini(&a);
	buf_fini(&b);
}

static int certificate_once(void *arg)
{
	struct buf b;
	int rc;

	buf_init(&b, 65536);
	rc = schema_normalize(schema, SCHEMA_NORM_CERT, buf_span(arg), &b);
	buf_fini(&b);
	return rc;
}

static void certificates_survive_want_of_memory(void **state)
{
	struct buf der;

	(void)state;
	buf_init(&der, 65536);
	make_certificate(&der, SPAN_LIT("\x01"));
	unit_fail_allocations(certificate_once, &der);
	buf_fini(&der);
}

/* The short way to the normal form of a DN gives what lib/dn.h gives. */
static void plain_dns_are_normalized_alike(void **state)
{
	static const char *const types[] = {
		"cn=", "CN=", "commonName=", "x-y=", "2.5.4.3=", "OU=",
		"dc=", "GN=", "2.5=",        "",     " uid=",    "Uid="};
	static const char *const pieces[] = {
		"Ada", "a", " Hill", "a  b",     ",O=E", "b-1",   "\\,", "+", "#",  "\"",
		"=",   " ", "",      "\xc3\xa4", ";",    ",dc=C", "(x)", ",", "@.", ",l=1"};
	unsigned round, i, plain = 0;
	uint32_t seed = 1;
	struct buf text, out;

	(void)state;
	buf_init(&text, 4096);
	buf_init(&out, 65536);
	for (round = 0; round < 20000; round++) {
		struct span want;
		struct arena a;

		buf_clear(&text);
		for (i = 0; i < 4; i++) {
			seed = seed * 1664525u + 1013904223u;
			buf_puts(&text, i == 0 ? types[(seed >> 16) % UNIT_COUNT(types)]
					       : pieces[(seed >> 16) % UNIT_COUNT(pieces)]);
		}
		buf_clear(&out);
		if (!schema_plain_dn(buf_span(&text), &out)) {
			assert_int_equal(out.n, 0);
			continue;
		}
		plain++;
		assert_true(schema_plain_dn(buf_span(&text), NULL));
		arena_init(&a);
		if (dn_normalize_text(&a, buf_span(&text), &want) != RC_OK)
			fail_msg("not a DN: %s", buf_cstr(&text));
		unit_assert_span(buf_span(&out), want);
		arena_fini(&a);
	}
	assert_true(plain > 100);
	buf_fini(&out);
	buf_fini(&text);
}

/* --- requests and entries --------------------------------------------------------------------- */

/* "type: value" lines as an attr_list in the arena, one attr a line. */
static struct attr_list attrs_of(struct arena *a, const char *text)
{
	struct attr_list list = {arena_zalloc(a, 64, sizeof(struct attr)), 0};
	struct span rest = span_of(text), line;

	while (rest.n != 0) {
		struct attr *attr = &list.attrs[list.n++];

		span_cut(&rest, '\n', &line);
		span_cut(&line, ':', &attr->type);
		attr->values = arena_zalloc(a, 1, sizeof(struct span));
		attr->values[0] = span_trim(line);
		attr->nvalues = 1;
	}
	return list;
}

#define PERSON "objectClass: person\ncn: Ada\nsn: Hill\n"

static const struct {
	const char *attrs;
	enum ldap_result code;
	const char *message;
} bad_requests[] = {
	{"nosuch: x", LR_UNDEFINED_TYPE, "nosuch: attribute type not defined"},
	{"cn;: x", LR_UNDEFINED_TYPE, "cn;: malformed attribute options"},
	{"cn;a_b: x", LR_UNDEFINED_TYPE, "malformed attribute options"},
	{"cn: Ada\nCN:  ADA", LR_VALUE_EXISTS, "cn: value \"ADA\" given twice"},
	{"cn: Ada\nsn: x\ncommonName: ada", LR_VALUE_EXISTS, "cn: value"},
	{"cost: 1\ncost: 2", LR_CONSTRAINT_VIOLATION, "cost: single-valued attribute with 2"},
	{"cost: x", LR_INVALID_SYNTAX,
	 "cost: value #0 \"x\" is not of syntax INTEGER (1.3.6.1.4.1.1466.115.121.1.27)"},
	{"member: x", LR_INVALID_SYNTAX, "member: value #0 \"x\" is not of syntax DN"},
	{"userPassword: a\nuserPassword: a", LR_VALUE_EXISTS, "\"(hidden)\""},
};

static void bad_requests_are_refused(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(bad_requests); i++) {
		struct attr_list in, out;
		struct result why = {0};
		struct arena a;
		int rc;

		arena_init(&a);
		in = attrs_of(&a, bad_requests[i].attrs);
		rc = schema_canonical(schema, &in, &a, &out, &why);
		if (rc != RC_REFUSED || why.code != bad_requests[i].code ||
		    strstr(why.text, bad_requests[i].message) == NULL)
			fail_msg("\"%s\": %s, %d, %s", bad_requests[i].attrs, rc_text(rc), why.code,
				 why.text);
		arena_fini(&a);
	}
}

static void requests_are_brought_into_stored_form(void **state)
{
	struct attr_list in, out;
	struct result why = {0};
	struct arena a;

	(void)state;
	arena_init(&a);
	in = attrs_of(&a, "COMMONNAME: Ada\n2.5.4.4: Hill\ncn: Ada H\nCN;Lang-DE;lang-de;a: x\n"
			  "cn;a;lang-de: y");
	assert_int_equal(schema_canonical(schema, &in, &a, &out, &why), RC_OK);
	assert_int_equal(out.n, 3);
	unit_assert_span(out.attrs[0].type, SPAN_LIT("cn"));
	assert_int_equal(out.attrs[0].nvalues, 2);
	unit_assert_span(out.attrs[0].values[1], SPAN_LIT("Ada H"));
	unit_assert_span(out.attrs[1].type, SPAN_LIT("sn"));
	unit_assert_span(out.attrs[2].type, SPAN_LIT("cn;a;lang-de"));
	assert_int_equal(out.attrs[2].nvalues, 2);
	arena_fini(&a);
}

static int canonical_once(void *arg)
{
	struct attr_list out;
	struct result why = {0};
	struct arena a;
	int rc;

	arena_init(&a);
	rc = schema_canonical(schema, arg, &a, &out, &why);
	arena_fini(&a);
	return rc;
}

static void canonical_survives_want_of_memory(void **state)
{
	struct attr_list in;
	struct arena a;

	(void)state;
	arena_init(&a);
	in = attrs_of(&a, "cn: Ada\nsn;lang-de: Hill\ncn: Ada H\nmember: cn=\\41\\,b\n");
	unit_fail_allocations(canonical_once, &in);
	arena_fini(&a);
}

static void a_large_list_of_members_is_merged(void **state)
{
	static char text[20000][24];
	static struct span spans[20000];
	struct attr attrs[2] = {{.type = SPAN_LIT("member"), .values = spans, .nvalues = 20000}};
	struct attr_list in = {attrs, 1}, out;
	struct result why = {0};
	struct arena a;
	unsigned i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(spans); i++) {
		snprintf(text[i], sizeof(text[i]), "cn=p%u,o=x", i * 7919 % 20000);
		spans[i] = span_of(text[i]);
	}
	arena_init(&a);
	assert_int_equal(schema_canonical(schema, &in, &a, &out, &why), RC_OK);
	assert_int_equal(out.attrs[0].nvalues, 20000);
	strcpy(text[17], "CN=p9, o=x");
	spans[17] = span_of(text[17]);
	assert_int_equal(schema_canonical(schema, &in, &a, &out, &why), RC_REFUSED);
	assert_int_equal(why.code, LR_VALUE_EXISTS);
	arena_fini(&a);
}

static const struct {
	const char *rdn;
	const char *attrs;
	enum ldap_result code; /* LR_SUCCESS: `message` is the structural class */
	const char *message;
} entries[] = {
	{"cn=Ada", PERSON, LR_SUCCESS, "person"},
	{"cn=ADA", PERSON "mailNickname: a\nobjectClass: mailRecipient", LR_SUCCESS, "person"},
	{"cn=Ada", "objectClass: inetOrgPerson\ncn: Ada\nsn: H\nmail: a@b\n", LR_SUCCESS,
	 "inetOrgPerson"},
	{"cn=Ada+sn=Hill", PERSON, LR_SUCCESS, "person"},
	{"cn=IMS", "objectClass: imsConnector\ncn: IMS", LR_SUCCESS, "imsConnector"},
	{"ou=S1", "objectClass: organizationalUnit\nobjectClass: mailSite\nou: S1", LR_SUCCESS,
	 "organizationalUnit"},
	{"o=E", "objectClass: organization\nobjectClass: mailOrganization\no: E\nmasterSite: H",
	 LR_SUCCESS, "organization"},
	{"dc=example", "objectClass: dcObject\nobjectClass: organization\ndc: example\no: x",
	 LR_SUCCESS, "organization"},
	{"cn=R", "objectClass: container\nobjectClass: siteLocal\ncn: R", LR_SUCCESS, "container"},
	{"cn=t", "objectClass: joinToken\ncn: t\ntokenSite: S1\ntokenExpires: 20300101000000Z",
	 LR_SUCCESS, "joinToken"},
	{"cn=x", PERSON "objectClass: extensibleObject\ncn: x\ncost: 1", LR_SUCCESS, "person"},
	{"cn=Ada", PERSON "createTimestamp: 20240101000000Z", LR_SUCCESS, "person"},
	{"cn=Ada", "cn: Ada", LR_CLASS_VIOLATION, "objectClass: attribute missing"},
	{"cn=Ada", "objectClass: top\ncn: Ada", LR_CLASS_VIOLATION, "no structural class"},
	{"cn=Ada", "objectClass: nosuch\ncn: Ada", LR_CLASS_VIOLATION,
	 "class \"nosuch\" not defined"},
	{"cn=Ada", "objectClass: person\ncn: Ada", LR_CLASS_VIOLATION,
	 "sn: attribute required by object class person"},
	{"cn=Ada", PERSON "mail: a@b", LR_CLASS_VIOLATION,
	 "mail: attribute not allowed by any object class"},
	{"cn=Ada", PERSON "objectClass: device", LR_CLASS_VIOLATION, "not of one chain"},
	{"cn=Ada", PERSON "objectClass: mailConnector", LR_CLASS_VIOLATION,
	 "abstract class mailConnector without a class below it"},
	{"cn=Bob", PERSON, LR_NAMING_VIOLATION, "cn: value \"Bob\" of the RDN is not in the entry"},
	{"mail=a", PERSON, LR_NAMING_VIOLATION, "mail: value"},
	{"foo=a", PERSON, LR_UNDEFINED_TYPE, "RDN: foo: attribute type not defined"},
	{"cn", PERSON, LR_INVALID_DN, "RDN: "},
};

static void entries_are_checked_against_their_classes(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(entries); i++) {
		const struct schema_class *structural = NULL;
		struct attr_list in, list;
		struct result why = {0};
		struct arena a;
		bool ok;
		int rc;

		arena_init(&a);
		in = attrs_of(&a, entries[i].attrs);
		assert_int_equal(schema_canonical(schema, &in, &a, &list, &why), RC_OK);
		rc = schema_check_entry(schema, span_of(entries[i].rdn), &list, &a, &structural,
					&why);
		if (entries[i].code == LR_SUCCESS)
			ok = rc == RC_OK && strcmp(structural->name, entries[i].message) == 0;
		else
			ok = rc == RC_REFUSED && why.code == entries[i].code &&
			     strstr(why.text, entries[i].message) != NULL;
		if (!ok)
			fail_msg("case %u: %s, %d, %s", i, rc_text(rc), why.code,
				 why.text != NULL ? why.text : "");
		arena_fini(&a);
	}
}

static void superclasses_are_added(void **state)
{
	const struct schema_class *structural;
	struct attr_list list;
	struct result why = {0};
	struct arena a;

	(void)state;
	arena_init(&a);
	list = attrs_of(&a, "objectClass: inetOrgPerson\ncn: A\nsn: B");
	assert_int_equal(schema_check_entry(schema, SPAN_LIT("cn=A"), &list, &a, &structural, &why),
			 RC_OK);
	assert_int_equal(list.attrs[0].nvalues, 4);
	unit_assert_span(list.attrs[0].values[0], SPAN_LIT("inetOrgPerson"));
	unit_assert_span(list.attrs[0].values[1], SPAN_LIT("organizationalPerson"));
	unit_assert_span(list.attrs[0].values[2], SPAN_LIT("person"));
	unit_assert_span(list.attrs[0].values[3], SPAN_LIT("top"));
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(shipped_definitions),
		unit_heap_test(every_type_has_a_known_syntax),
		unit_heap_test(subtypes_begin_with_the_type),
		unit_heap_test(definitions_are_published_without_our_extension),
		unit_heap_test(bad_files_are_refused_with_file_and_line),
		unit_heap_test(every_error_of_a_file_is_told),
		unit_heap_test(shorthands_comments_and_forward_references),
		unit_heap_test(loading_survives_want_of_memory),
		unit_heap_test(values_are_checked_by_syntax),
		unit_heap_test(normal_forms_compare_as_their_rules),
		unit_heap_test(a_certificate_is_serial_and_issuer),
		unit_heap_test(certificates_survive_want_of_memory),
		unit_heap_test(plain_dns_are_normalized_alike),
		unit_heap_test(bad_requests_are_refused),
		unit_heap_test(requests_are_brought_into_stored_form),
		unit_heap_test(canonical_survives_want_of_memory),
		unit_heap_test(a_large_list_of_members_is_merged),
		unit_heap_test(entries_are_checked_against_their_classes),
		unit_heap_test(superclasses_are_added),
	};

	return cmocka_run_group_tests(tests, load_shipped, unload);
}
