/* dird/schema_parse.c, schema_resolve.c: the text of a *.schema file, read beside those shipped or
 * alone. What is refused is told with file and line. */
#include "tests/fuzz/fuzz.h"

#include "dird/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/waypost-fuzz-XXXXXX", path[64];

static void clean(void)
{
	unlink(path);
	rmdir(folder);
}

static void put(const uint8_t *data, size_t size)
{
	FILE *f;

	if (path[0] == '\0') {
		must(mkdtemp(folder) != NULL);
		snprintf(path, sizeof(path), "%s/x.schema", folder);
		atexit(clean);
	}
	f = fopen(path, "w");
	must(f != NULL && (size == 0 || fwrite(data, 1, size, f) == size) && fclose(f) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct schema_attr *at;
	struct schema *s = NULL;
	struct buf errors;
	int rc;

	put(data, size);
	buf_init(&errors, 1 << 20);
	rc = schema_load(folder, &s, &errors);
	must(rc == RC_OK || (rc == RC_INVALID && errors.n != 0) || rc == RC_TOOBIG);
	if (rc == RC_OK) {
		at = schema_attr(s, SPAN_LIT("cn"));
		must(at == NULL || schema_subtypes(s, at)[0] == at);
		must(schema_definitions(s, SCHEMA_ATTRIBUTE_TYPES) != NULL);
	}
	schema_free(&s);
	buf_fini(&errors);
	return 0;
}
