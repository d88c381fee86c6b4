/* routed/address.c, encap.c: an error points into the value; what is accepted keeps its promises.
 */
#include "tests/fuzz/fuzz.h"

#include "lib/dn.h"
#include "lib/text.h"
#include "routed/address.h"
#include "routed/encap.h"

static void check_cost(unsigned cost)
{
	must(cost >= 1 && cost <= ADDRESS_COST_MAX);
}

static void check_error(int rc, const struct address_error *err, struct span value)
{
	must(rc == RC_INVALID && err->reason != NULL && err->column <= value.n + 1);
}

static void check_fold(struct arena *a, struct span value)
{
	struct span folded, again;

	if (address_fold(a, value, &folded) != RC_OK)
		return;
	must(text_is_utf8(folded));
	must(address_fold(a, folded, &again) == RC_OK);
	must(address_match(SPAN_LIT("*"), folded));
	must(address_is_wild(folded) || address_match(folded, folded));
	must(address_literals(folded) <= folded.n);
}

/* What is read from an encapsulated name is a DN, and written again it is the same one. */
static void check_encapsulated(struct arena *a, struct span local)
{
	struct span dn, normal, again, again_normal;
	struct buf address;

	if (!encap_is(local) || encap_read(a, local, &dn) != RC_OK)
		return;
	must(dn_normalize_text(a, dn, &normal) == RC_OK);
	buf_init(&address, 4096);
	if (encap_write(dn, SPAN_LIT("x"), &address) == RC_OK) {
		must(encap_read(a, span_head(buf_span(&address), address.n - 2), &again) == RC_OK);
		must(dn_normalize_text(a, again, &again_normal) == RC_OK);
		must(span_eq(normal, again_normal));
	}
	buf_fini(&address);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span value = span_make(data, size), domain;
	struct address_error err = {NULL, 0};
	struct address_route route;
	struct address_space space;
	struct address_cd cd;
	struct arena a;
	int rc;

	arena_init(&a);
	rc = address_cd_parse(&a, value, &cd, &err);
	if (rc == RC_OK)
		check_cost(cd.cost);
	else
		check_error(rc, &err, value);
	rc = address_space_parse(&a, value, &space, &err);
	if (rc == RC_OK)
		check_cost(space.cost);
	else
		check_error(rc, &err, value);
	rc = address_route_parse(&a, value, &route, &err);
	if (rc == RC_OK)
		must(address_host_check(route.host, &err) == RC_OK &&
		     address_domain_parse(route.domain, &domain, &err) == RC_OK);
	else
		check_error(rc, &err, value);
	check_fold(&a, value);
	check_encapsulated(&a, value);
	arena_fini(&a);
	return 0;
}
