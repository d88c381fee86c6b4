/* dird/filter*.c: RFC 4511 §4.5.1.7, RFC 4515, RFC 4526, and against a naive evaluator. */
#include "dird/filter.h"

#include "tests/unit/unit.h"

#include "tests/unit/entries.h"

#include <stdlib.h>

static const char *const words[] = {"false", "true", "unknown"};

static enum filter_result eval(struct fixture *x, const char *text, const struct filter_view *view)
{
	enum filter_result r;
	struct arena a;
	struct buf scratch;

	arena_init(&a);
	buf_init(&scratch, 1 << 20);
	r = filter_match(parse(&a, text), schema, &x->entry, view, &scratch);
	buf_fini(&scratch);
	arena_fini(&a);
	return r;
}

#define ADA                                                                                        \
	"objectClass:top\nobjectClass:person\nobjectClass:inetOrgPerson\ncn:Ada  Hill\n"           \
	"cn:Countess\nsn:Hill\nsn;lang-de:H\xc3\xbcgel\nmail:Ada.Hill@Example.COM\n"               \
	"telephoneNumber:+49 89-12 34\nemployeeNumber:00417\nmanager:CN=Bob , O=Example\n"         \
	"member:cn=a\\,b,o=x\nuidNumber:1000\nconnectorEnabled:TRUE\ndescription:a\n"              \
	"userPassword:secret\ncreateTimestamp:20240101120000Z\n"                                   \
	"entryUUID:550e8400-e29b-41d4-a716-446655440000\ntargetAddress:smtp:a*b(c)\n"              \
	"postalAddress:Main St 1 $ "                                                               \
	"Town\nbusinessCategory:Unix; mail "                                                       \
	"server\ngivenName:Ada\nproxyAddresses:smtp:lovelace@example.com\nhomeDirectory:/home/Ada"

static const struct {
	const char *filter;
	enum filter_result want;
} truths[] = {
	/* presence, equality, options, subtypes */
	{"(objectClass=*)", FILTER_TRUE},
	{"(title=*)", FILTER_FALSE},
	{"(nosuch=*)", FILTER_UNKNOWN},
	{"(cn=ada hill)", FILTER_TRUE},
	{"(CN=  ADA   HILL )", FILTER_TRUE},
	{"(2.5.4.3=countess)", FILTER_TRUE},
	{"(commonName=countess)", FILTER_TRUE},
	{"(cn=ada)", FILTER_FALSE},
	{"(name=hill)", FILTER_TRUE},
	{"(name=nobody)", FILTER_FALSE},
	{"(sn=h\xc3\xbcgel)", FILTER_TRUE},
	{"(sn=H\\c3\\9cGEL)", FILTER_TRUE},
	{"(sn;lang-de=hill)", FILTER_FALSE},
	{"(sn;LANG-DE=h\xc3\xbcgel)", FILTER_TRUE},
	{"(sn;lang-de=*)", FILTER_TRUE},
	{"(sn;lang-fr=*)", FILTER_FALSE},
	{"(sn;lang-de;lang-fr=*)", FILTER_FALSE},
	{"(sn;;lang-de=*)", FILTER_UNKNOWN},
	{"(mail=ada.hill@example.com)", FILTER_TRUE},
	{"(rfc822Mailbox=ada.hill@example.com)", FILTER_TRUE},
	{"(homeDirectory=/home/Ada)", FILTER_TRUE},
	{"(homeDirectory=/home/ada)", FILTER_FALSE},
	{"(telephoneNumber=+4989 1234)", FILTER_TRUE},
	{"(objectClass=PERSON)", FILTER_TRUE},
	{"(objectClass=2.5.6.6)", FILTER_TRUE},
	{"(objectClass=device)", FILTER_FALSE},
	{"(objectClass=nosuch)", FILTER_UNKNOWN},
	{"(manager=cn=bob,o=example)", FILTER_TRUE},
	{"(manager=CN=BOB,O=EXAMPLE)", FILTER_TRUE},
	{"(manager=commonName=bob,2.5.4.10=example)", FILTER_TRUE},
	{"(manager=cn=rob,o=example)", FILTER_FALSE},
	{"(manager=bob)", FILTER_UNKNOWN},
	{"(member=cn=a\\5c2cb,o=X)", FILTER_TRUE},
	{"(distinguishedName=cn=a\\5c,b,o=x)", FILTER_TRUE},
	{"(uidNumber=1000)", FILTER_TRUE},
	{"(uidNumber=01000)", FILTER_TRUE},
	{"(uidNumber=x)", FILTER_UNKNOWN},
	{"(connectorEnabled=TRUE)", FILTER_TRUE},
	{"(connectorEnabled=FALSE)", FILTER_FALSE},
	{"(entryUUID=550E8400-E29B-41D4-A716-446655440000)", FILTER_TRUE},
	{"(createTimestamp=20240101130000+0100)", FILTER_TRUE},
	{"(targetAddress=SMTP:a\\2ab\\28c\\29)", FILTER_TRUE},
	{"(cn=\\00)", FILTER_FALSE},
	{"(postalAddress=main st 1$town)", FILTER_TRUE},
	/* ordering */
	{"(uidNumber>=999)", FILTER_TRUE},
	{"(uidNumber>=1000)", FILTER_TRUE},
	{"(uidNumber>=1001)", FILTER_FALSE},
	{"(uidNumber<=1000)", FILTER_TRUE},
	{"(uidNumber<=-5)", FILTER_FALSE},
	{"(cn>=b)", FILTER_TRUE},
	{"(cn<=a)", FILTER_FALSE},
	{"(createTimestamp>=20240101115959Z)", FILTER_TRUE},
	{"(manager>=cn=a)", FILTER_UNKNOWN},
	/* approximate: sounds alike */
	{"(cn~=ADA HILL)", FILTER_TRUE},
	{"(cn~=adah hyll)", FILTER_TRUE},
	{"(cn~=hil)", FILTER_TRUE},
	{"(cn~=a. hill)", FILTER_TRUE},
	{"(cn~=hill ada)", FILTER_FALSE},
	{"(cn~=bill)", FILTER_FALSE},
	{"(sn~=hugell)", FILTER_TRUE},
	{"(name~=kauntess)", FILTER_TRUE},
	{"(uidNumber~=1000)", FILTER_TRUE}, /* no text: equality */
	{"(uidNumber~=x)", FILTER_UNKNOWN},
	{"(manager~=CN=Bob,O=Example)", FILTER_TRUE},
	{"(cn~=\\ff)", FILTER_UNKNOWN},
	/* substrings */
	{"(cn=ada*)", FILTER_TRUE},
	{"(cn=*hill)", FILTER_TRUE},
	{"(cn=*A H*)", FILTER_TRUE},
	{"(cn=a*h*l)", FILTER_TRUE},
	{"(cn=c*t*t*s)", FILTER_FALSE},
	{"(cn=countess*countess)", FILTER_FALSE},
	{"(description=a*a)", FILTER_FALSE},
	{"(sn=*\xc3\x9c*)", FILTER_TRUE},
	{"(telephoneNumber=*89 12*)", FILTER_TRUE},
	{"(telephoneNumber=+49-*)", FILTER_TRUE},
	{"(member=cn=*)", FILTER_UNKNOWN},
	{"(targetAddress=smtp:*\\2a*)", FILTER_TRUE},
	/* RFC 4518 §2.6.1: a value ends in a space, and has two between words */
	{"(cn=countess *)", FILTER_TRUE},
	{"(cn=* countess)", FILTER_TRUE},
	{"(cn=* countess *)", FILTER_TRUE},
	{"(cn=ada * hill)", FILTER_TRUE},
	{"(cn=ada * * hill)", FILTER_FALSE},
	{"(cn=coun * tess)", FILTER_FALSE},
	/* extensible */
	{"(cn:caseExactMatch:=Ada Hill)", FILTER_TRUE},
	{"(cn:caseExactMatch:=ada hill)", FILTER_FALSE},
	{"(cn:2.5.13.2:=ada hill)", FILTER_TRUE},
	{"(cn:=ada hill)", FILTER_TRUE},
	{"(:caseIgnoreMatch:=HILL)", FILTER_TRUE},
	{"(:caseExactMatch:=HILL)", FILTER_FALSE},
	{"(:integerMatch:=1000)", FILTER_TRUE},
	{"(:caseIgnoreSubstringsMatch:=*ount*ss)", FILTER_TRUE},
	{"(cn:caseIgnoreSubstringsMatch:=count)", FILTER_UNKNOWN},
	{"(uidNumber:integerOrderingMatch:=1001)", FILTER_TRUE},
	{"(uidNumber:integerOrderingMatch:=1000)", FILTER_FALSE},
	{"(cn:nosuchMatch:=x)", FILTER_UNKNOWN},
	{"(cn:integerMatch:=1)", FILTER_UNKNOWN},
	{"(o:=example)", FILTER_FALSE},
	{"(targetAddress:caseIgnoreSubstringsMatch:=smtp:a\\5c2ab*)", FILTER_TRUE},
	{"(targetAddress:caseIgnoreSubstringsMatch:=smtp:a\\5c5cb*)", FILTER_FALSE},
	/* words, RFC 4517 §4.2.32; keywords, §4.2.21 */
	{"(cn:wordMatch:=hill)", FILTER_TRUE},
	{"(cn:wordMatch:=ADA HILL)", FILTER_TRUE},
	{"(cn:wordMatch:=hil)", FILTER_FALSE},
	{"(cn:wordMatch:=...)", FILTER_UNKNOWN},
	{"(:wordMatch:=lovelace)", FILTER_TRUE},
	{"(!(cn:wordMatch:=hil))", FILTER_TRUE},
	{"(businessCategory:keywordMatch:=mail server)", FILTER_TRUE},
	{"(businessCategory:keywordMatch:=server)", FILTER_FALSE},
	{"(businessCategory:wordMatch:=server)", FILTER_TRUE},
	{"(businessCategory:keywordMatch:=UNIX)", FILTER_TRUE},
	{"(businessCategory:keywordMatch:=;)", FILTER_UNKNOWN},
	{"(uidNumber:wordMatch:=1000)", FILTER_UNKNOWN},
	{"(cn:integerFirstComponentMatch:=1)", FILTER_UNKNOWN},
	{"(dITStructureRules:integerFirstComponentMatch:=1)", FILTER_FALSE},
	/* ours: without accents */
	{"(sn:caseIgnoreAccentsMatch:=hugel)", FILTER_TRUE},
	{"(sn:caseIgnoreAccentsMatch:=HU\xcc\x88"
	 "GEL)",
	 FILTER_TRUE},
	{"(sn:caseIgnoreAccentsMatch:=h\xc3\xba"
	 "gel)",
	 FILTER_TRUE},
	{"(sn=hugel)", FILTER_FALSE},
	{"(sn;lang-de:caseIgnoreAccentsMatch:=hill)", FILTER_FALSE},
	{"(name:2.25.120308962880139523094286593576329080187.4.1:=hugel)", FILTER_TRUE},
	{"(:caseIgnoreAccentsMatch:=hugel)", FILTER_TRUE},
	{"(sn:caseIgnoreAccentsSubstringsMatch:=*uge*)", FILTER_TRUE},
	{"(sn:caseIgnoreAccentsSubstringsMatch:=hug*l)", FILTER_TRUE},
	{"(cn:caseIgnoreAccentsSubstringsMatch:=\xc3\xa1"
	 "da *)",
	 FILTER_TRUE},
	{"(cn:caseIgnoreAccentsSubstringsMatch:=\xc3\xa1"
	 "da * * h*)",
	 FILTER_FALSE},
	{"(sn:caseIgnoreAccentsSubstringsMatch:=hugel)", FILTER_UNKNOWN}, /* no asterisk */
	{"(uidNumber:caseIgnoreAccentsMatch:=1000)", FILTER_UNKNOWN},
	{"(sn:collationOrderingMatch:=i)", FILTER_TRUE},
	{"(sn;lang-de:collationOrderingMatch:=hua)", FILTER_FALSE},
	{"(sn;lang-de:collationOrderingMatch:=hz)", FILTER_TRUE},
	{"(sn;lang-de:caseIgnoreOrderingMatch:=hz)", FILTER_FALSE}, /* code points */
	{"(o:dn:=EXAMPLE)", FILTER_TRUE},
	{"(ou:dn:=example)", FILTER_FALSE},
	{"(name:dn:caseIgnoreMatch:=sales)", FILTER_TRUE},
	{"(:dn:caseIgnoreMatch:=sales)", FILTER_TRUE},
	{"(:dn:2.5.13.2:=nowhere)", FILTER_FALSE},
	/* ambiguous names: beginnings, either order, exact with = */
	{"(anr=ada)", FILTER_TRUE},
	{"(anr=ADA H)", FILTER_TRUE},
	{"(anr=hil coun)", FILTER_FALSE},
	{"(anr=hil a)", FILTER_TRUE},
	{"(anr=a  hil)", FILTER_TRUE},
	{"(anr=ada.hill)", FILTER_TRUE},
	{"(anr=smtp:a*)", FILTER_FALSE},
	{"(anr=SMTP:lovelace)", FILTER_TRUE},
	{"(anr=lovel)", FILTER_TRUE},
	{"(anr=hug)", FILTER_TRUE},
	{"(anr=H\xc3\xbagel)", FILTER_TRUE},
	{"(anr==hugel)", FILTER_TRUE},
	{"(anr==huge)", FILTER_FALSE},
	{"(anr=\xc3\xa0"
	 "da hug)",
	 FILTER_TRUE},
	{"(&(anr=ada)(sn=hugel))", FILTER_FALSE}, /* only in ANR */
	{"(anr==ada)", FILTER_TRUE},
	{"(anr==ad)", FILTER_FALSE},
	{"(anr=hill*)", FILTER_TRUE},
	{"(anr=*hill)", FILTER_UNKNOWN},
	{"(anr=)", FILTER_FALSE},
	{"(anr=nobody)", FILTER_FALSE},
	{"(!(anr=nobody))", FILTER_TRUE},
	/* RFC 4526, and the three values */
	{"(&)", FILTER_TRUE},
	{"(|)", FILTER_FALSE},
	{"(!(&))", FILTER_FALSE},
	{"(!(nosuch=x))", FILTER_UNKNOWN},
	{"(!(title=x))", FILTER_TRUE},
	{"(&(cn=countess)(nosuch=x))", FILTER_UNKNOWN},
	{"(&(nosuch=x)(cn=no))", FILTER_FALSE},
	{"(|(nosuch=x)(cn=countess))", FILTER_TRUE},
	{"(|(nosuch=x)(cn=no))", FILTER_UNKNOWN},
	{"(!(|(nosuch=x)(cn=no)))", FILTER_UNKNOWN},
	{" ( & (cn=countess) ( | (sn=hill) ) ) ", FILTER_TRUE},
	{"cn=countess", FILTER_TRUE},
};

static void truth_table(void **state)
{
	const struct filter_view view = {.dn_normal = SPAN_LIT("cn=ada hill,ou=sales,o=example")};
	struct fixture x;
	unsigned i;

	(void)state;
	fixture_init(&x, ADA);
	for (i = 0; i < UNIT_COUNT(truths); i++) {
		enum filter_result r = eval(&x, truths[i].filter, &view);

		if (r != truths[i].want)
			fail_msg("%s: %s, want %s", truths[i].filter, words[r],
				 words[truths[i].want]);
	}
	assert_int_equal(eval(&x, "(o:dn:=example)", NULL), FILTER_FALSE);
	fixture_fini(&x);
}

static bool not_passwords(const void *ctx, const struct schema_attr *at, struct span description)
{
	(void)ctx;
	(void)description;
	return !at->is_protected;
}

static bool has_subordinates(const void *ctx, const struct entry *e, const struct schema_attr *at,
			     struct span *values)
{
	(void)ctx;
	(void)e;
	if (strcmp(at->name, "hasSubordinates") != 0)
		return false;
	*values = SPAN_LIT("\x04\x04TRUE");
	return true;
}

/* S12: what may not be read is Undefined, there or not. */
static void unreadable_and_computed(void **state)
{
	const struct filter_view view = {.may_read = not_passwords, .computed = has_subordinates};
	struct fixture x;

	(void)state;
	fixture_init(&x, ADA);
	assert_int_equal(eval(&x, "(userPassword=secret)", NULL), FILTER_TRUE);
	assert_int_equal(eval(&x, "(userPassword=secret)", &view), FILTER_UNKNOWN);
	assert_int_equal(eval(&x, "(userPassword=*)", &view), FILTER_UNKNOWN);
	assert_int_equal(eval(&x, "(nisSecretKey=*)", &view), FILTER_UNKNOWN);
	assert_int_equal(eval(&x, "(:octetStringMatch:=secret)", NULL), FILTER_TRUE);
	assert_int_equal(eval(&x, "(:octetStringMatch:=secret)", &view), FILTER_UNKNOWN);
	assert_int_equal(eval(&x, "(hasSubordinates=TRUE)", &view), FILTER_TRUE);
	assert_int_equal(eval(&x, "(hasSubordinates=FALSE)", &view), FILTER_FALSE);
	assert_int_equal(eval(&x, "(hasSubordinates=*)", &view), FILTER_TRUE);
	assert_int_equal(eval(&x, "(hasSubordinates=*)", NULL), FILTER_FALSE);
	fixture_fini(&x);
}

static void undecodable_values_are_undefined(void **state)
{
	struct fixture x;

	(void)state;
	fixture_init(&x, "cn:\xff\xfe\nuidNumber:x\nsn:a\nsn:\xff");
	assert_int_equal(eval(&x, "(cn=a)", NULL), FILTER_UNKNOWN);
	assert_int_equal(eval(&x, "(cn=*)", NULL), FILTER_TRUE);
	assert_int_equal(eval(&x, "(uidNumber>=1)", NULL), FILTER_UNKNOWN);
	assert_int_equal(eval(&x, "(sn=a)", NULL), FILTER_TRUE);
	assert_int_equal(eval(&x, "(sn=b)", NULL), FILTER_UNKNOWN);
	fixture_fini(&x);
}

/* --- text (RFC 4515 §4) ----------------------------------------------------------------------- */

static const struct {
	const char *text;
	const char *hex;
} encodings[] = {
	{"(cn=Babs Jensen)", "a3110402636e040b42616273204a656e73656e"},
	{"(!(cn=Tim Howes))", "a211a30f0402636e040954696d20486f776573"},
	{"(seeAlso=)", "a30b04077365 65416c736f0400"},
	{"(cn:caseExactMatch:=Fred)", "a91a810e63617365 45786163744d61746368 8202636e830446726564"},
	{"(o:dn:=Ace)", "a90b82016f8303416365 8401ff"},
	{"(:1.2.3:=W)", "a90a8105312e322e33830157"},
	{"(:DN:2.4.6:=D)", "a90d8105322e342e36830144 8401ff"},
	{"(o=P \\28\\29)", "a30904016f04045020 2829"},
	{"(cn=*\\2A*)", "a4090402636e300381012a"},
	{"(b=\\00\\00\\00\\04)", "a3090401620404 00000004"},
	{"(sn=Lu\\c4\\8di\\c4\\87)", "a30d0402736e04074c75c48d69c487"},
	{"(cn=a*b*c)", "a40f0402636e3009800161810162820163"},
	{"(cn=*)", "8702636e"},
	{"(&)", "a000"},
	{"(x>=1)", "a506040178040131"},
};

/* Two hex digits a byte, blanks between. */
static size_t unhex(const char *text, uint8_t *out)
{
	size_t n = 0;
	unsigned byte;

	for (; *text != '\0'; text++) {
		if (*text == ' ')
			continue;
		sscanf(text, "%2x", &byte);
		out[n++] = (uint8_t)byte;
		text++;
	}
	return n;
}

static void text_becomes_ber(void **state)
{
	struct buf out;
	unsigned i;

	(void)state;
	buf_init(&out, 4096);
	for (i = 0; i < UNIT_COUNT(encodings); i++) {
		uint8_t want[128];
		const char *why = "";
		size_t n = unhex(encodings[i].hex, want);

		buf_clear(&out);
		if (filter_from_text(span_of(encodings[i].text), &out, &why) != RC_OK)
			fail_msg("%s: %s", encodings[i].text, why);
		if (!span_eq(buf_span(&out), span_make(want, n)))
			fail_msg("%s: other bytes", encodings[i].text);
	}
	buf_fini(&out);
}

static const char *const bad_texts[] = {
	"",
	"(",
	")",
	"()",
	"(cn)",
	"(cn=a",
	"(cn=a))",
	"(cn=a)(b=c)",
	"(=a)",
	"(cn=\\4)",
	"(cn=\\zz)",
	"(cn=a(b)",
	"(!(a=b)(c=d))",
	"(!)",
	"(&(a=b)",
	"(cn=a**b)",
	"(cn:dn:dn:x:=a)",
	"(:=a)",
	"(:dn:=a)",
	"(cn:=",
	"(cn>a)",
	"(c n=a)",
	"(cn;=a(",
	"(cn=a*\\1)",
};

static void bad_text_is_refused(void **state)
{
	struct buf out;
	unsigned i;

	(void)state;
	buf_init(&out, 4096);
	for (i = 0; i < UNIT_COUNT(bad_texts); i++) {
		const char *why = NULL;

		buf_clear(&out);
		if (filter_from_text(span_of(bad_texts[i]), &out, &why) != RC_INVALID)
			fail_msg("taken: %s", bad_texts[i]);
		assert_non_null(why);
	}
	assert_int_equal(filter_from_text(SPAN_LIT("(cn=a\0b)"), &out, NULL), RC_INVALID);
	buf_fini(&out);
}

/* --- limits and bad BER (bad inputs b) -------------------------------------------------------- */

static int read_ber(struct span ber, struct filter **out, struct arena *a)
{
	const char *why = NULL;
	int rc = filter_read(schema, &ber, a, out, &why);

	assert_true(rc == RC_OK || rc == RC_NOMEM || why != NULL);
	return rc;
}

/* "initial|any|any|final" of a substrings filter in a mode; NULL: refused. */
static void check_mode(enum filter_substrings mode, const char *text, const char *want)
{
	struct filter *f;
	const char *why = NULL;
	struct buf ber, got;
	struct arena a;
	struct span rest;
	unsigned i;
	int rc;

	arena_init(&a);
	buf_init(&ber, 4096);
	buf_init(&got, 4096);
	assert_int_equal(filter_from_text(span_of(text), &ber, NULL), RC_OK);
	rest = buf_span(&ber);
	rc = filter_read_as(schema, mode, &rest, &a, &f, &why);
	assert_int_equal(rc, want != NULL ? RC_OK : RC_DENIED);
	if (want != NULL && f->kind == FILTER_UNDEFINED) {
		assert_string_equal(want, "?");
	} else if (want != NULL) {
		buf_printf(&got, "%.*s", SPAN_ARG(f->value));
		for (i = 0; i < f->nany; i++)
			buf_printf(&got, "|%.*s", SPAN_ARG(f->any[i]));
		buf_printf(&got, "|%.*s", SPAN_ARG(f->final));
		assert_string_equal(buf_cstr(&got), want);
		assert_true(span_starts(f->value, f->prefix) || f->spaced);
	} else {
		assert_non_null(why);
	}
	buf_fini(&got);
	buf_fini(&ber);
	arena_fini(&a);
}

/* KB Q224105: Exchange's three modes. */
static void substring_modes(void **state)
{
	static const struct {
		const char *text, *allow, *initial, *refuse;
	} rows[] = {
		{"(cn=x*)", "x|", "x|", "x|"},
		{"(cn=x*y*z)", "x|y|z", "x|y|z", "x|y|z"},
		{"(cn=*x*)", "|x|", "x|", NULL},
		{"(cn=*x)", "|x", "x|", NULL},
		{"(cn=*x*y*)", "|x|y|", "x|y|", NULL},
		{"(cn=*x*y)", "|x|y", "x|y", NULL},
		{"(nobodyKnows=*x*)", "?", "?", "?"},
		{"(cn:caseIgnoreSubstringsMatch:=x\\2ay)", "x|y", "x|y", "x|y"},
		{"(cn:caseIgnoreSubstringsMatch:=\\2ax\\2ay\\2a)", "|x|y|", "x|y|", NULL},
		{"(cn:caseIgnoreSubstringsMatch:=\\2ax)", "|x", "x|", NULL},
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		check_mode(FILTER_SUBSTR_ALLOW, rows[i].text, rows[i].allow);
		check_mode(FILTER_SUBSTR_AS_INITIAL, rows[i].text, rows[i].initial);
		check_mode(FILTER_SUBSTR_REFUSE, rows[i].text, rows[i].refuse);
	}
}

static void nest(struct buf *b, unsigned depth)
{
	unsigned i;

	/* Inside out: each NOT in front of what is there. */
	buf_clear(b);
	buf_puts(b, "\x87\x02"
		    "cn");
	for (i = 0; i < depth; i++) {
		size_t n = b->n, header = tlv_header_bytes(n);
		uint8_t *at = buf_extend(b, header);
		struct buf head;

		assert_non_null(at);
		memmove(b->p + header, b->p, n);
		buf_init(&head, 16);
		buf_putc(&head, TLV_CONTEXT_CONS(2));
		if (header == 2)
			buf_putc(&head, (uint8_t)n);
		else if (header == 3)
			buf_put(&head, span_make((uint8_t[]){0x81, (uint8_t)n}, 2));
		else
			buf_put(&head,
				span_make((uint8_t[]){0x82, (uint8_t)(n >> 8), (uint8_t)n}, 3));
		memcpy(b->p, head.p, header);
		buf_fini(&head);
	}
}

static void depth_is_limited(void **state)
{
	struct filter *f;
	struct arena a;
	struct buf b;

	(void)state;
	arena_init(&a);
	buf_init(&b, 1 << 20);
	nest(&b, FILTER_MAX_DEPTH - 1);
	assert_int_equal(read_ber(buf_span(&b), &f, &a), RC_OK);
	nest(&b, FILTER_MAX_DEPTH);
	assert_int_equal(read_ber(buf_span(&b), &f, &a), RC_TOOBIG);
	nest(&b, 10000);
	assert_int_equal(read_ber(buf_span(&b), &f, &a), RC_TOOBIG);
	buf_fini(&b);
	arena_fini(&a);
}

static void terms_are_limited(void **state)
{
	static const unsigned counts[] = {FILTER_MAX_TERMS - 1, FILTER_MAX_TERMS, 1000000};
	unsigned i, k;

	(void)state;
	for (i = 0; i < UNIT_COUNT(counts); i++) {
		struct filter *f;
		struct arena a;
		struct buf b;
		size_t mark;

		arena_init(&a);
		buf_init(&b, 16 << 20);
		mark = tlv_open(&b, TLV_CONTEXT_CONS(1));
		for (k = 0; k < counts[i]; k++)
			tlv_put(&b, TLV_CONTEXT(7), SPAN_LIT("cn"));
		tlv_close(&b, mark);
		assert_int_equal(read_ber(buf_span(&b), &f, &a), i == 0 ? RC_OK : RC_TOOBIG);
		if (i == 0)
			assert_int_equal(f->nsubs, counts[i]);
		buf_fini(&b);
		arena_fini(&a);
	}
}

static const struct {
	const char *hex;
	int rc;
} bers[] = {
	{"", RC_INVALID},
	{"a0", RC_INVALID},
	{"a080", RC_INVALID},
	{"a003 8702 63", RC_INVALID},
	{"3000", RC_INVALID},
	{"8a00", RC_OK}, /* another choice of a later standard: Undefined */
	{"a200", RC_INVALID},
	{"a208 8702636e 8702636e", RC_INVALID},
	{"a300", RC_INVALID},
	{"a304 0402636e", RC_INVALID},
	{"a309 0402636e 040161 0500", RC_INVALID},
	{"a406 0402636e 3000", RC_INVALID},               /* no part */
	{"a409 0402636e 3003 830161", RC_INVALID},        /* unknown part */
	{"a40c 0402636e 3006 820161 810162", RC_INVALID}, /* final first */
	{"a40c 0402636e 3006 810161 800162", RC_INVALID}, /* initial late */
	{"a408 0402636e 3002 8000", RC_INVALID},          /* empty part */
	{"a900", RC_INVALID},
	{"a903 830161", RC_INVALID}, /* neither type nor rule */
	{"a90a 8202636e 830161 840200", RC_INVALID},
	{"8700", RC_OK}, /* no such type: Undefined */
};

static void bad_ber_is_refused(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(bers); i++) {
		uint8_t bytes[64];
		struct filter *f = NULL;
		struct arena a;
		int rc;

		arena_init(&a);
		rc = read_ber(span_make(bytes, unhex(bers[i].hex, bytes)), &f, &a);
		if (rc != bers[i].rc)
			fail_msg("%s: %s", bers[i].hex, rc_text(rc));
		if (rc == RC_OK)
			assert_int_equal(f->kind, FILTER_UNDEFINED);
		arena_fini(&a);
	}
}

static void long_option_lists_are_undefined(void **state)
{
	struct filter *f;
	struct arena a;
	struct buf b;
	unsigned i;
	size_t mark;

	(void)state;
	arena_init(&a);
	buf_init(&b, 1 << 20);
	mark = tlv_open(&b, TLV_CONTEXT(7));
	buf_puts(&b, "cn");
	for (i = 0; i < 10000; i++)
		buf_puts(&b, ";x");
	tlv_close(&b, mark);
	assert_int_equal(read_ber(buf_span(&b), &f, &a), RC_OK);
	assert_int_equal(f->kind, FILTER_UNDEFINED);
	buf_fini(&b);
	arena_fini(&a);
}

static int read_once(void *arg)
{
	struct filter *f;
	struct arena a;
	int rc;

	arena_init(&a);
	rc = read_ber(buf_span(arg), &f, &a);
	arena_fini(&a);
	return rc;
}

static void reading_survives_want_of_memory(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 65536);
	assert_int_equal(
		filter_from_text(
			SPAN_LIT("(&(cn=a*b *c)(anr=x y)(|(sn;lang-de=\xc3\xbc)(!(member="
				 "cn=a,o=b)))(:dn:caseIgnoreMatch:=x)(cn~=ada b)"
				 "(cn:wordMatch:=ada)(cn:caseIgnoreAccentsSubstringsMatch:="
				 "\xc3\xa4\\5c2a*b *c))"),
			&b, NULL),
		RC_OK);
	unit_fail_allocations(read_once, &b);
	buf_fini(&b);
}

/* --- random filters against a naive evaluator ------------------------------------------------- */

static const char *const some_types[] = {"cn", "sn", "name", "description", "uidNumber", "nosuch"};
/* Lower-case, one space inside, none outside; this test's values need no more of RFC 4518. */
static void naive_prepare(const char *in, char *out)
{
	size_t n = 0;

	for (; *in != '\0'; in++) {
		if (*in == ' ' && (n == 0 || out[n - 1] == ' '))
			continue;
		out[n] = *in;
		if (*in >= 'A' && *in <= 'Z')
			out[n] = (char)(*in + 32);
		if (in[0] == '\x84' && n != 0 && out[n - 1] == '\xc3')
			out[n] = '\xa4';
		n++;
	}
	while (n != 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

struct naive {
	unsigned op; /* 0..2 and, or, not; 3 present, 4 equal, 5 initial, 6 any, 7 final, 8 ge */
	const char *type, *value;
	struct naive *subs[3];
	unsigned nsubs;
};

static struct naive *grow(struct arena *a, unsigned depth, struct buf *text)
{
	struct naive *f = arena_zalloc(a, 1, sizeof(*f));
	unsigned i;

	f->op = depth == 0 ? 3 + roll(6) : roll(9);
	f->type = some_types[roll(UNIT_COUNT(some_types))];
	f->value = some_values[roll(UNIT_COUNT(some_values))];
	/* parts at whose ends spaces matter are in the truth table */
	while (f->op >= 5 && f->op <= 7 && (f->value[0] == ' '))
		f->value = some_values[roll(UNIT_COUNT(some_values))];
	buf_putc(text, '(');
	if (f->op < 3) {
		f->nsubs = f->op == 2 ? 1 : roll(4);
		buf_putc(text, (uint8_t) "&|!"[f->op]);
		for (i = 0; i < f->nsubs; i++)
			f->subs[i] = grow(a, depth - 1, text);
	} else {
		buf_printf(text, "%s%s%s%s%s", f->type, f->op == 8 ? ">=" : "=",
			   f->op == 6 || f->op == 7 ? "*" : "", f->op == 3 ? "*" : f->value,
			   f->op == 5 || f->op == 6 ? "*" : "");
	}
	buf_putc(text, ')');
	return f;
}

static bool naive_value(const struct naive *f, bool number, const char *stored)
{
	char v[32], want[32];
	size_t n, k;

	if (number) {
		long x = strtol(stored, NULL, 10), y = strtol(f->value, NULL, 10);

		return f->op == 8 ? x >= y : x == y;
	}
	naive_prepare(stored, v);
	naive_prepare(f->value, want);
	n = strlen(v);
	k = strlen(want);
	switch (f->op) {
	case 4:
		return strcmp(v, want) == 0;
	case 5:
		return strncmp(v, want, k) == 0;
	case 6:
		return strstr(v, want) != NULL;
	case 7:
		return n >= k && strcmp(v + n - k, want) == 0;
	default:
		return strcmp(v, want) >= 0;
	}
}

static enum filter_result naive_item(const struct fixture *x, const struct naive *f)
{
	bool number = strcmp(f->type, "uidNumber") == 0, found = false;
	unsigned i, k;

	if (strcmp(f->type, "nosuch") == 0)
		return FILTER_UNKNOWN;
	if (f->op != 3 && number && (!is_number(f->value) || (f->op != 4 && f->op != 8)))
		return FILTER_UNKNOWN;
	if (f->op == 8 && strcmp(f->type, "description") == 0)
		return FILTER_UNKNOWN;
	for (i = 0; i < x->list.n; i++) {
		const struct attr *attr = &x->list.attrs[i];
		bool is_name =
			span_eq(attr->type, SPAN_LIT("cn")) || span_eq(attr->type, SPAN_LIT("sn"));

		if (!span_eq(attr->type, span_of(f->type)) &&
		    !(is_name && strcmp(f->type, "name") == 0))
			continue;
		for (k = 0; k < attr->nvalues; k++)
			found = found || f->op == 3 ||
				naive_value(f, number, (const char *)attr->values[k].p);
	}
	return found ? FILTER_TRUE : FILTER_FALSE;
}

static enum filter_result naive_eval(const struct fixture *x, const struct naive *f)
{
	bool unknown = false;
	unsigned i;

	if (f->op >= 3)
		return naive_item(x, f);
	for (i = 0; i < f->nsubs; i++) {
		enum filter_result r = naive_eval(x, f->subs[i]);

		if (f->op == 2)
			return r == FILTER_UNKNOWN
				       ? r
				       : (r == FILTER_TRUE ? FILTER_FALSE : FILTER_TRUE);
		if (r == (f->op == 0 ? FILTER_FALSE : FILTER_TRUE))
			return r;
		unknown = unknown || r == FILTER_UNKNOWN;
	}
	if (unknown)
		return FILTER_UNKNOWN;
	return f->op == 0 ? FILTER_TRUE : FILTER_FALSE;
}

static void random_filters_agree_with_a_naive_evaluator(void **state)
{
	unsigned round, seen[3] = {0, 0, 0};

	(void)state;
	for (round = 0; round < 20000; round++) {
		enum filter_result want, got;
		struct fixture x;
		struct naive *f;
		struct buf text;

		seed = round;
		random_entry(&x);
		buf_init(&text, 65536);
		f = grow(&x.a, roll(4), &text);
		want = naive_eval(&x, f);
		got = eval(&x, buf_cstr(&text), NULL);
		if (got != want)
			fail_msg("seed %u: %s: %s, want %s", round, buf_cstr(&text), words[got],
				 words[want]);
		seen[got]++;
		buf_fini(&text);
		fixture_fini(&x);
	}
	assert_true(seen[0] > 1000 && seen[1] > 1000 && seen[2] > 1000);
}

/* --- one form --- */

static void form_of(const char *text, struct buf *out)
{
	struct arena a;

	arena_init(&a);
	buf_init(out, 1 << 20);
	assert_int_equal(filter_same(parse(&a, text), out), RC_OK);
	arena_fini(&a);
}

static void filters_that_say_the_same(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{"(cn=Ada)", "(commonName=  ADA )", true},
		{"(cn=Ada)", "(sn=Ada)", false},
		{"(cn=Ada)", "(cn=Adb)", false},
		{"(cn=Ada)", "(cn~=Ada)", false},
		{"(cn>=Ada)", "(cn<=Ada)", false},
		{"(cn=Ada)", "(cn;lang-de=Ada)", false},
		{"(cn=*)", "(2.5.4.3=*)", true},
		{"(cn=*)", "(name=*)", false},
		{"(cn=a*b*c)", "(cn=a*b*d)", false},
		{"(cn=a*b*c)", "(cn=a*bc)", false},
		{"(cn=*b*)", "(cn=b*)", false},
		{"(cn=*b*)", "(cn=*b)", false},
		{"(cn=a*b*c*d)", "(cn=A*B*C*D)", true},
		{"(&(cn=a)(sn=b))", "(&(sn=b)(cn=a)(cn=A))", true},
		{"(&(cn=a)(sn=b))", "(&(sn=b)(&(cn=a)(objectClass=*)))", true},
		{"(&(cn=a)(sn=b))", "(|(cn=a)(sn=b))", false},
		{"(&(cn=a))", "(cn=a)", true},
		{"(|(cn=a))", "(cn=a)", true},
		{"(|(cn=a)(|(sn=b)(|)))", "(|(sn=b)(cn=a))", true},
		{"(&)", "(objectClass=*)", true},
		{"(|(cn=a)(objectClass=*))", "(objectClass=*)", true},
		{"(&(cn=a)(|))", "(|)", true},
		{"(&(cn=a)(!(sn=b)))", "(&(!(sn=b))(cn=a))", true},
		{"(!(sn=b))", "(sn=b)", false},
		{"(!(|(cn=a)(sn=b)))", "(!(|(sn=b)(cn=a)))", true},
		{"(objectClass=person)", "(objectClass=2.5.6.6)", true},
		{"(objectClass=person)", "(objectClass=inetOrgPerson)", false},
		{"(cn:caseExactMatch:=a)", "(cn=a)", false},
		{"(cn:caseExactMatch:=a)", "(cn:2.5.13.5:=a)", true},
		{"(cn:dn:=a)", "(cn:=a)", false},
		{"(cn=a\\00)", "(cn=a)", true}, /* mapped to nothing */
		{"(description=1:a)", "(description=1:b)", false},
	};
	struct buf a, b;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		form_of(rows[i].a, &a);
		form_of(rows[i].b, &b);
		if (span_eq(buf_span(&a), buf_span(&b)) != rows[i].same)
			fail_msg("%s and %s", rows[i].a, rows[i].b);
		buf_fini(&b);
		buf_fini(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(filters_that_say_the_same),
		unit_heap_test(truth_table),
		unit_heap_test(unreadable_and_computed),
		unit_heap_test(undecodable_values_are_undefined),
		unit_heap_test(text_becomes_ber),
		unit_heap_test(bad_text_is_refused),
		unit_heap_test(substring_modes),
		unit_heap_test(depth_is_limited),
		unit_heap_test(terms_are_limited),
		unit_heap_test(bad_ber_is_refused),
		unit_heap_test(long_option_lists_are_undefined),
		unit_heap_test(reading_survives_want_of_memory),
		unit_heap_test(random_filters_agree_with_a_naive_evaluator),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
