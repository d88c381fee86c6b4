/* Join tokens (tools/token.h). */
#include "tests/unit/unit.h"

#include "tools/token.h"

static const struct token sample = {
	.root = "dc=example,dc=com",
	.hub = "Hub",
	.uri = "ldaps://hub:636",
	.pin = "sha256:x",
	.dn = "cn=S,ou=Hub",
	.secret = "se=cr?t~~\xff",
	.site = "Straße 1",
	.expires = "20261124Z",
};

static void round_trip(void **state)
{
	struct token back;
	struct arena a;
	struct buf b;
	size_t i;

	(void)state;
	arena_init(&a);
	buf_init(&b, 8192);
	assert_int_equal(token_write(&sample, &b), RC_OK);
	for (i = 0; i < b.n; i++)
		assert_non_null(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				       "0123456789-_",
				       b.p[i]));
	buf_puts(&b, "\n");
	assert_int_equal(token_read(buf_span(&b), &a, &back), RC_OK);
	assert_string_equal(back.root, sample.root);
	assert_string_equal(back.secret, sample.secret);
	assert_string_equal(back.site, sample.site);
	assert_string_equal(back.expires, sample.expires);
	buf_fini(&b);
	arena_fini(&a);
}

static void refuses(void **state)
{
	struct token back, t = sample;
	struct arena a;
	struct buf b;
	size_t n;

	(void)state;
	arena_init(&a);
	buf_init(&b, 8192);
	assert_int_equal(token_write(&sample, &b), RC_OK);
	for (n = 0; n < b.n; n++) { /* every cut */
		assert_int_equal(token_read(span_head(buf_span(&b), n), &a, &back), RC_INVALID);
	}
	assert_int_equal(token_read(SPAN_LIT("no token!"), &a, &back), RC_INVALID);
	assert_int_equal(token_read(SPAN_LIT("d2F5cG9zdA"), &a, &back), RC_INVALID);
	t.site = "two\nlines";
	buf_clear(&b);
	assert_int_equal(token_write(&t, &b), RC_INVALID);
	buf_fini(&b);
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(round_trip),
		unit_heap_test(refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
