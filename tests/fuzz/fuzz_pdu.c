/* dird/msg.c, op_control*.c and what else an operation reads first (pdu.h). Input: LDAPMessages,
 * one behind the other. */
#include "tests/fuzz/fuzz.h"

#include "tests/fuzz/pdu.h"

static struct server server;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = span_make(data, size);
	size_t total;

	if (server.schema == NULL)
		must(schema_load(SCHEMADIR, &server.schema, NULL) == RC_OK);
	while (rest.n != 0 && tlv_frame(rest, TLV_SEQUENCE, &total) == RC_OK && total <= rest.n) {
		must(pdu_read(&server, span_head(rest, total)) == RC_OK);
		rest = span_from(rest, total);
	}
	return 0;
}
