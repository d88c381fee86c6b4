/*
 * dird/schema_norm.c, schema_syntax.c, schema_cert.c, schema_words.c, collate.c, sound.c: a value
 * under every rule and every syntax. The form of a value that is right is stable: the value's form
 * is the same each time, and a value that has the syntax can be compared by the rule.
 */
#include "tests/fuzz/fuzz.h"

#include "dird/schema.h"

static struct schema *schema;

static const char *const types[] = {"cn",
				    "c",
				    "telephoneNumber",
				    "member",
				    "createTimestamp",
				    "uidNumber",
				    "entryUUID",
				    "objectClass",
				    "postalAddress",
				    "uniqueMember",
				    "userCertificate",
				    "x500UniqueIdentifier",
				    "x121Address",
				    "mail",
				    "onlySystemMessagesUseCDs",
				    "attributeTypes",
				    "jpegPhoto",
				    "labeledURI",
				    "seeAlso",
				    "subtreeSpecification"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_make(data, size);
	const struct schema_attr *at;
	struct buf one, two;
	unsigned i;
	int rc;

	if (schema == NULL)
		must(schema_load(SCHEMADIR, &schema, NULL) == RC_OK);
	buf_init(&one, 1 << 24);
	buf_init(&two, 1 << 24);
	for (i = SCHEMA_NORM_NONE; i <= SCHEMA_NORM_SOUND; i++) {
		buf_clear(&one);
		buf_clear(&two);
		rc = schema_normalize(schema, (enum schema_norm)i, in, &one);
		must(rc == schema_normalize(schema, (enum schema_norm)i, in, &two));
		must(rc != RC_OK || span_eq(buf_span(&one), buf_span(&two)));
		buf_clear(&one);
		rc = schema_normalize_part((enum schema_norm)i, TEXT_INITIAL, in, &one);
		must(rc == RC_OK || rc == RC_INVALID);
	}
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		at = schema_attr(schema, span_of(types[i]));
		if (at == NULL || schema_check_value(schema, at, in) != RC_OK)
			continue;
		buf_clear(&one);
		if (at->equality == SCHEMA_NORM_NONE)
			continue;
		rc = schema_normalize(schema, at->equality, in, &one);
		must(rc == RC_OK || rc == RC_INVALID);
	}
	buf_fini(&one);
	buf_fini(&two);
	return 0;
}
