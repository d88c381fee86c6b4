#include "tests/unit/unit.h"

#include "lib/rc.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_text(void **state)
{
	(void)state;
#define CHECK_TEXT(name, value, text) assert_string_equal(rc_text(name), text);
	RC_MAP(CHECK_TEXT)
#undef CHECK_TEXT
	assert_string_equal(rc_text(-999), "unknown code");
	assert_string_equal(rc_text(1), "unknown code");
}

static void test_errno(void **state)
{
	static const struct {
		int err, rc;
	} cases[] = {
		{0, RC_OK},
		{ENOMEM, RC_NOMEM},
		{ENOENT, RC_NOTFOUND},
		{EEXIST, RC_EXISTS},
		{ENOSPC, RC_FULL},
		{EDQUOT, RC_FULL},
		{EACCES, RC_DENIED},
		{EROFS, RC_DENIED},
		{EADDRINUSE, RC_BUSY},
		{ECONNREFUSED, RC_REFUSED},
		{EPIPE, RC_CLOSED},
		{ETIMEDOUT, RC_TIMEOUT},
		{EIO, RC_IO},
		{EINVAL, RC_INVALID},
		{12345, RC_IO},
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++)
		assert_int_equal(rc_from_errno(cases[i].err), cases[i].rc);
}

static void test_must(void **state)
{
	int status = 0;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		close(STDERR_FILENO);
		must(1 + 1 == 2);
		must(1 + 1 == 3);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_text),
		unit_heap_test(test_errno),
		unit_heap_test(test_must),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
