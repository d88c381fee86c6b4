/*
 * Requests without memory (requirement F9): every LDAPMessage of the fuzz corpus is read with the
 * first, second, third ... allocation failing, until it is read whole.
 */
#include "tests/unit/unit.h"

#include "lib/file.h"
#include "tests/fuzz/pdu.h"

#include <dirent.h>

static struct server server;

static long failures;

/* unit_fail_allocations(), but a message that needs no memory is fine. */
static void starve(struct span frame)
{
	long before = mem_live_blocks(), n;
	int rc = RC_NOMEM;

	for (n = 1; rc != RC_OK; n++) {
		mem_fail_at(n);
		rc = pdu_read(&server, frame);
		mem_fail_at(0);
		assert_int_equal(mem_live_blocks(), before);
		assert_true(rc == RC_OK || rc == RC_NOMEM);
		failures += rc == RC_NOMEM;
		assert_true(n < 100000);
	}
}

static void each_message(struct span rest)
{
	size_t total;

	while (rest.n != 0 && tlv_frame(rest, TLV_SEQUENCE, &total) == RC_OK && total <= rest.n) {
		starve(span_head(rest, total));
		rest = span_from(rest, total);
	}
}

static void corpus(void **state)
{
	const struct dirent *item;
	DIR *dir = opendir(CORPUS);
	struct buf b;
	char path[4096];
	unsigned n = 0;

	(void)state;
	assert_non_null(dir);
	assert_int_equal(schema_load(SCHEMADIR, &server.schema, NULL), RC_OK);
	while ((item = readdir(dir)) != NULL) {
		if (item->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", CORPUS, item->d_name);
		buf_init(&b, 1 << 20);
		assert_int_equal(file_read(path, &b), RC_OK);
		each_message(buf_span(&b));
		buf_fini(&b);
		n++;
	}
	closedir(dir);
	schema_free(&server.schema);
	print_message("%u files, %ld failures\n", n, failures);
	assert_true(n > 150 && failures > n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {unit_heap_test(corpus)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
