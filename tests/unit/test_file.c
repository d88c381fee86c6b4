#include "tests/unit/unit.h"

#include "lib/file.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/waypost-test-file-XXXXXX";
static char path[200];

static const char *in_folder(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) != NULL ? 0 : -1;
}

static int entries_in(const char *where)
{
	DIR *d = opendir(where);
	int n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2;
}

static void test_replace_and_read(void **state)
{
	struct stat st;
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(file_read(in_folder("f"), &b), RC_NOTFOUND);
	assert_int_equal(file_replace(in_folder("f"), span_of("first"), 0600), RC_OK);
	assert_int_equal(file_replace(in_folder("f"), span_of("second"), 0640), RC_OK);
	assert_int_equal(stat(in_folder("f"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(file_read(in_folder("f"), &b), RC_OK);
	unit_assert_span(buf_span(&b), span_of("second"));
	assert_int_equal(entries_in(folder), 1); /* nothing beside it is left */
	buf_fini(&b);

	buf_init(&b, 3);
	assert_int_equal(file_read(in_folder("f"), &b), RC_TOOBIG);
	buf_fini(&b);
	assert_int_equal(file_replace(in_folder("no/such"), span_of("x"), 0600), RC_NOTFOUND);
	assert_int_equal(unlink(in_folder("f")), 0);
}

static void test_mkdirs(void **state)
{
	char again[200];

	(void)state;
	assert_int_equal(file_mkdirs(in_folder("a/b//c/"), 0700), RC_OK);
	assert_int_equal(file_mkdirs(in_folder("a/b/c"), 0700), RC_OK);
	assert_int_equal(rmdir(in_folder("a/b/c")), 0);
	assert_int_equal(file_replace(in_folder("a/b/file"), span_of(""), 0600), RC_OK);
	assert_int_equal(file_mkdirs(in_folder("a/b/file"), 0700), RC_EXISTS);
	assert_int_equal(file_mkdirs(in_folder("a/b/file/d"), 0700), RC_EXISTS);
	assert_int_equal(unlink(in_folder("a/b/file")), 0);
	snprintf(again, sizeof(again), "%s", in_folder("a/b"));
	assert_int_equal(rmdir(again), 0);
	assert_int_equal(rmdir(in_folder("a")), 0);
}

static void test_lock(void **state)
{
	long owner;
	int first, second;

	(void)state;
	assert_int_equal(file_lock(in_folder("lock"), &first, &owner), RC_OK);
	assert_int_equal(file_lock(in_folder("lock"), &second, &owner), RC_BUSY);
	assert_int_equal(owner, getpid());
	assert_int_equal(second, -1);
	file_unlock(&second);
	file_unlock(&first);
	assert_int_equal(first, -1);
	assert_int_equal(file_lock(in_folder("lock"), &second, &owner), RC_OK);
	file_unlock(&second);
	assert_int_equal(unlink(in_folder("lock")), 0);
	assert_int_equal(file_lock(in_folder("no/lock"), &first, &owner), RC_NOTFOUND);
}

static void test_private(void **state)
{
	bool private;

	(void)state;
	assert_int_equal(file_replace(in_folder("key"), span_of("k"), 0600), RC_OK);
	assert_int_equal(file_is_private(in_folder("key"), &private), RC_OK);
	assert_true(private);
	assert_int_equal(chmod(in_folder("key"), 0640), 0);
	assert_int_equal(file_is_private(in_folder("key"), &private), RC_OK);
	assert_false(private);
	assert_int_equal(unlink(in_folder("key")), 0);
	assert_int_equal(file_is_private(in_folder("key"), &private), RC_NOTFOUND);
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder); /* fails when a test left a file */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_replace_and_read),
		unit_heap_test(test_mkdirs),
		unit_heap_test(test_lock),
		unit_heap_test(test_private),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
