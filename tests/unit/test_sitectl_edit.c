#include "tests/unit/unit.h"

#include "tools/sitectl_common.h"

/* docs/routing.md, "What is read": what the grammars take and refuse, and where the error is. */
static const struct {
	const char *type, *value, *want; /* want NULL: refused */
} values[] = {
	{"connectedDomains", "Hub;1;SMTP:hub.example.com", "Hub;1;SMTP:hub.example.com"},
	{"connecteddomains", "A\\;B;100;X400:c=us", "A\\;B;100;X400:c=us"},
	{"connectedDomains", "Hub;0;SMTP:a", NULL},
	{"connectedDomains", "Hub;101;SMTP:a", NULL},
	{"connectedDomains", "Hub;1", NULL},
	{"routingList", "SMTP:*.example.com;10;site", "SMTP:*.example.com;10;site"},
	{"routingList", "SMTP:*;10;world", NULL},
	{"domainRoute", "example.net;relay.example.net", "example.net;relay.example.net"},
	{"domainRoute", "example.net", NULL},
	{"smartHost", "[relay.example.net]:587", "[relay.example.net]:587"},
	{"smartHost", "relay:587x", NULL},
	{"siteSmtpDomain", "s1.example.com", "s1.example.com"},
	{"siteSmtpDomain", "s1..example.com", NULL},
	{"connectorEnabled", "true", "TRUE"},
	{"onlySystemMessagesUseCDs", "False", "FALSE"},
	{"onlySystemMessagesUseCDs", "yes", NULL},
	{"messageClassRestriction", "noUser", "noUser"},
	{"messageClassRestriction", "nouser", NULL},
	{"transferMode", "in", "in"},
	{"transferMode", "inout", NULL},
	{"siteKey", "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	 "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
	{"siteKey", "sha256:AAAA", NULL},
	{"siteKey", "md5:AAAA", NULL},
	{"replicationURI", "ldaps://host:636", "ldaps://host:636"},
	{"replicationURI", "ldap://host:389", NULL},
	{"replicationURI", "ldaps://", NULL},
	{"description", "anything;goes", "anything;goes"},
};

static void test_values(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(values); i++) {
		struct span value = span_of(values[i].value);
		struct arena a = {0};
		int rc = sitectl_check_value(&a, span_of(values[i].type), &value);

		assert_int_equal(rc, values[i].want != NULL ? RC_OK : RC_INVALID);
		if (values[i].want != NULL)
			unit_assert_span(value, span_of(values[i].want));
		arena_fini(&a);
	}
}

/* The entry that is edited: cost 1, description one, two. */
static struct span cost_values[] = {{(const uint8_t *)"1", 1}};
static struct span text_values[] = {{(const uint8_t *)"one", 3}, {(const uint8_t *)"two", 3}};
static struct ldif_attr before_attrs[] = {
	{LDIF_OP_ADD, {(const uint8_t *)"cost", 4}, cost_values, 1},
	{LDIF_OP_ADD, {(const uint8_t *)"description", 11}, text_values, 2},
};
static const struct ldif_record before = {.attrs = before_attrs, .nattrs = 2};

static const struct {
	const char *words[4];
	const char *want; /* touched attributes with their values; NULL: refused */
} edits[] = {
	{{"cost=2"}, "cost(2)"},
	{{"COST=2"}, "cost(2)"},
	{{"cost="}, "cost"},
	{{"cost=1"}, "cost(1)"},
	{{"description=x", "description=y"}, "description(x)(y)"},
	{{"description+=three"}, "description(one)(two)(three)"},
	{{"description+=two"}, "description(one)(two)"},
	{{"description-=one"}, "description(two)"},
	{{"description-=one", "description+=four", "cost=3"}, "description(two)(four) cost(3)"},
	{{"mail=a=b"}, "mail(a=b)"},
	{{"transferMode=up"}, NULL},
	{{"description-=three"}, NULL},
	{{"novalue"}, NULL},
	{{"=x"}, NULL},
	{{"description+="}, NULL},
};

static void test_edits(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(edits); i++) {
		struct arena a = {0};
		struct sitectl_edit e = {.arena = &a, .before = &before};
		char *words[4];
		struct buf got;
		unsigned j, k;
		int n, rc;

		for (n = 0; n < 4 && edits[i].words[n] != NULL; n++)
			words[n] = (char *)(uintptr_t)edits[i].words[n];
		rc = sitectl_edit_words(&e, n, words);
		assert_int_equal(rc == RC_OK, edits[i].want != NULL);
		buf_init(&got, 1000);
		for (j = 0; rc == RC_OK && j < e.n; j++) {
			buf_printf(&got, "%s%.*s", j != 0 ? " " : "", SPAN_ARG(e.after[j].type));
			for (k = 0; k < e.after[j].nvalues; k++)
				buf_printf(&got, "(%.*s)", SPAN_ARG(e.after[j].values[k]));
		}
		if (edits[i].want != NULL)
			unit_assert_span(buf_span(&got), span_of(edits[i].want));
		buf_fini(&got);
		arena_fini(&a);
	}
	assert_int_equal(before_attrs[1].nvalues, 2); /* the entry itself is untouched */
}

static void test_record_helpers(void **state)
{
	struct arena a = {0};

	(void)state;
	assert_string_equal(dirconn_child_dn(&a, "cn", "Hill, Ada", "o=Example"),
			    "cn=Hill\\, Ada,o=Example");
	assert_string_equal(dirconn_rdn_value(&a, span_of("cn=Hill\\, Ada,o=Example")),
			    "Hill, Ada");
	assert_string_equal(dirconn_filter_escape(&a, "a*(b)\\"), "a\\2a\\28b\\29\\5c");
	assert_string_equal(
		dirconn_site_of(&a, span_of("cn=x,cn=Recipients,OU=Site 1,O=example"), "o=Example"),
		"Site 1");
	assert_null(dirconn_site_of(&a, span_of("o=Example"), "o=Example"));
	assert_null(dirconn_site_of(&a, span_of("cn=x,o=Example"), "o=Example"));
	assert_null(dirconn_site_of(&a, span_of("ou=x,o=Other"), "o=Example"));
	assert_string_equal(dirconn_values(&a, &before, "Description"), "one\ntwo");
	assert_string_equal(dirconn_value(&before, "COST"), "1");
	assert_null(dirconn_value(&before, "mail"));
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_values),
		unit_heap_test(test_edits),
		unit_heap_test(test_record_helpers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
