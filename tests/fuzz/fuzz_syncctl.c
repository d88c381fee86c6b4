/* routed/syncctl.c: any bytes are read or refused with a reason, and what is read lies inside them.
 */
#include "tests/fuzz/fuzz.h"

#include "routed/syncctl.h"

static void check(int rc, const char *why, const struct syncctl_cookie *cookie, struct span in)
{
	must(rc == RC_OK || (rc == RC_INVALID && why[0] != '\0'));
	if (rc != RC_OK || !cookie->present)
		return;
	must(cookie->value.p >= in.p && cookie->value.p + cookie->value.n <= in.p + in.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_make(data, size);
	struct syncctl_state state;
	struct syncctl_done done;
	struct syncctl_info info;
	const char *why = "";
	struct arena a;
	int rc;

	arena_init(&a);
	rc = syncctl_read_state(in, &state, &why);
	check(rc, why, &state.cookie, in);
	must(rc != RC_OK || state.kind <= SYNCCTL_DELETE);
	why = "";
	rc = syncctl_read_done(in, &done, &why);
	check(rc, why, &done.cookie, in);
	why = "";
	rc = syncctl_read_info(&a, in, &info, &why);
	check(rc, why, &info.cookie, in);
	must(rc != RC_OK || info.nuuids * (SYNCCTL_UUID_BYTES + 2) <= size);
	arena_fini(&a);
	return 0;
}
