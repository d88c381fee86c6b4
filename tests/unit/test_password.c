/* Password hashes (dird/password.h): ours, those of other servers, malformed ones (S15). */
#include "tests/unit/unit.h"

#include "dird/password.h"

static void own_hash(void **state)
{
	char a[PASSWORD_HASH_BYTES], b[PASSWORD_HASH_BYTES];

	(void)state;
	assert_int_equal(password_hash(SPAN_LIT("secret"), a), RC_OK);
	assert_int_equal(password_hash(SPAN_LIT("secret"), b), RC_OK);
	assert_string_not_equal(a, b); /* salted */
	assert_true(password_is_hash(span_of(a)));
	assert_true(password_verify(span_of(a), SPAN_LIT("secret")));
	assert_false(password_verify(span_of(a), SPAN_LIT("Secret")));
	assert_false(password_verify(span_of(a), SPAN_LIT("")));
	assert_int_equal(password_hash(SPAN_LIT(""), a), RC_INVALID);
}

/* Made with Python's hashlib. */
static void foreign_hashes(void **state)
{
	static const char *const good[] = {
		"{SSHA}cqVbhtveg6UlUYb4hGPrp7XYoikAAQIDBAUGBw==",
		"{SSHA256}lAejl/Of0h/+J/b6px7T8LLPd/QxmtSbDDvk8djjRJEAAQIDBAUGBw==",
		"{SSHA512}sA0uxvTZmjjgeqepQzW+"
		"3VNsblhqzltje58zvmzlAr0V6DwpiazN2VxnSFYthOpYDzqKXnv8rNmIQMOVX9alQgABAgMEBQYH",
		"{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
		"{PBKDF2}1000$yMnKy8zNzs/Q0dLT1NXW1w$hW5TrKAxwUv7/I/g5GAQ3AHaC3w",
		"{PBKDF2-SHA256}1000$yMnKy8zNzs/Q0dLT1NXW1w$h8ld7BqaMM2jZJKyKKdobNoIs3/"
		"KWd8cTW2pwojzAt4",
		"{PBKDF2-SHA512}1000$yMnKy8zNzs/Q0dLT1NXW1w$IOcMTb4yMjXIfLQ9oJNqi.oS7F9R5/"
		"VFihpi6siTs/PhpnWX1Q6ypMZeasmz95udsZKnRI95aOzCcYH9kosjWA",
		"{pbkdf2-sha512}1000$yMnKy8zNzs/Q0dLT1NXW1w$IOcMTb4yMjXIfLQ9oJNqi.oS7F9R5/"
		"VFihpi6siTs/PhpnWX1Q6ypMZeasmz95udsZKnRI95aOzCcYH9kosjWA",
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(good); i++) {
		if (!password_verify(span_of(good[i]), SPAN_LIT("secret")))
			fail_msg("%s", good[i]);
		assert_false(password_verify(span_of(good[i]), SPAN_LIT("secreT")));
		assert_int_equal(password_is_cheap(span_of(good[i])), good[i][1] == 'S');
	}
}

static void malformed(void **state)
{
	static const char *const bad[] = {
		"{SSHA}",
		"{SSHA}!!!!",
		"{SSHA}c2VjcmV0",
		"{SHA}5en6G6MezRroT3XKqkdPOmY/Bf",
		"{PBKDF2-SHA512}",
		"{PBKDF2-SHA512}0$c2FsdA$c2VjcmV0c2VjcmV0c2VjcmV0",
		"{PBKDF2-SHA512}99999999999$c2FsdA$c2VjcmV0c2VjcmV0c2VjcmV0",
		"{PBKDF2-SHA512}1000$c2FsdA",
		"{PBKDF2-SHA512}1000$$",
		"{PBKDF2-SHA512}1000$c2FsdA$YQ",
		"{PBKDF2-SHA512}-1$c2FsdA$YQ",
		"",
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(bad); i++)
		assert_false(password_verify(span_of(bad[i]), SPAN_LIT("secret")));
	assert_false(password_is_hash(SPAN_LIT("secret")));
	assert_false(password_is_hash(SPAN_LIT("{x}secret")));
	assert_true(password_verify(SPAN_LIT("secret"), SPAN_LIT("secret")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(own_hash),
		unit_heap_test(foreign_hashes),
		unit_heap_test(malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
