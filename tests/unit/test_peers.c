/* Counted connections (dird/peers.h). */
#include "tests/unit/unit.h"

#include "dird/peers.h"

#include <arpa/inet.h>

static struct peer v4(unsigned n)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(n)};

	return peer_of((const struct sockaddr *)&in);
}

static struct peer v6(const char *text)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
	return peer_of((const struct sockaddr *)&in6);
}

static void each_address_has_its_share(void **state)
{
	const struct peers_limits limits = {.all = 7, .each = 3};
	struct peer a = v4(1), b = v4(2), c = v4(3), local = {.family = 0};
	struct peers *p;
	unsigned n, i;

	(void)state;
	assert_int_equal(peers_new(&limits, &p), RC_OK);
	for (i = 1; i <= 3; i++) {
		assert_int_equal(peers_enter(p, &a, &n), RC_OK);
		assert_int_equal(n, i);
	}
	assert_int_equal(peers_enter(p, &a, &n), RC_BUSY);
	assert_int_equal(n, 3);
	for (i = 0; i < 3; i++)
		assert_int_equal(peers_enter(p, &b, &n), RC_OK);
	assert_int_equal(peers_enter(p, &c, &n), RC_OK);
	assert_int_equal(peers_enter(p, &c, &n), RC_FULL);
	assert_int_equal(n, 7);
	for (i = 0; i < 100; i++)
		assert_int_equal(peers_enter(p, &local, &n), RC_OK);
	peers_leave(p, &local);
	assert_int_equal(peers_count(p), 7);
	peers_leave(p, &a);
	assert_int_equal(peers_enter(p, &c, &n), RC_OK);
	assert_int_equal(peers_enter(p, &a, &n), RC_FULL);
	peers_leave(p, &c);
	assert_int_equal(peers_enter(p, &a, &n), RC_OK);
	peers_free(&p);
}

static void many_addresses(void **state)
{
	const struct peers_limits limits = {.all = 0, .each = 1};
	struct peers *p;
	struct peer from;
	unsigned n, i;

	(void)state;
	assert_int_equal(peers_new(&limits, &p), RC_OK);
	for (i = 1; i <= 20000; i++) {
		from = v4(i);
		assert_int_equal(peers_enter(p, &from, &n), RC_OK);
		assert_int_equal(peers_enter(p, &from, &n), RC_BUSY);
	}
	assert_int_equal(peers_count(p), 20000);
	for (i = 1; i <= 20000; i++) {
		from = v4(i);
		peers_leave(p, &from);
	}
	assert_int_equal(peers_count(p), 0);
	peers_free(&p);
}

/* A host has 2^64 addresses of its own. */
static void ipv6_by_network(void **state)
{
	struct peer a = v6("2001:db8:1:2::1"), b = v6("2001:db8:1:2:ffff::"),
		    c = v6("2001:db8:1:3::1"), d = v6("::ffff:192.0.2.1"), e = v4(0xc0000201);

	(void)state;
	assert_memory_equal(&a, &b, sizeof(a));
	assert_memory_not_equal(&a, &c, sizeof(a));
	assert_memory_equal(&d, &e, sizeof(d));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_address_has_its_share),
		cmocka_unit_test(many_addresses),
		cmocka_unit_test(ipv6_by_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
