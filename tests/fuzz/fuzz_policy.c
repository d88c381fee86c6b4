/* routed/policy.c, oneshot.c, smtpd_table.c: what is cut out of a stream lies in it; a cut stream
 * asks for more.
 */
#include "tests/fuzz/fuzz.h"

#include "routed/oneshot.h"
#include "routed/policy.h"
#include "routed/smtpd_table.h"

static void check_within(struct span part, struct span whole)
{
	must(part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

static void check_policy(struct span in)
{
	struct policy_request q;
	struct span lines, cut;
	size_t used, n;

	while (policy_read(in, &lines, &used) == RC_OK) {
		must(used == lines.n + 1 && used <= in.n && in.p[used - 1] == '\n');
		must(policy_read(span_head(in, used - 1), &cut, &n) == RC_MORE);
		if (policy_parse(lines, &q) == RC_OK) {
			check_within(q.sender, lines);
			check_within(q.recipient, lines);
			check_within(q.instance, lines);
		}
		in = span_from(in, used);
	}
}

static void check_oneshot(struct span in)
{
	struct oneshot_request q;
	struct span line;
	size_t used;

	while (oneshot_read(in, &line, &used) == RC_OK) {
		must(used == line.n + 1 && used <= in.n);
		if (oneshot_parse(line, &q) == RC_OK) {
			must(q.recipient.n != 0);
			check_within(q.recipient, line);
			check_within(q.sender, line);
		}
		in = span_from(in, used);
	}
}

static void check_smtpd(enum smtpd_protocol protocol, struct span in)
{
	struct smtpd_request q;
	struct buf out;
	size_t used;

	buf_init(&out, 4 * SMTPD_REQUEST_MAX_BYTES);
	while (smtpd_table_read(&protocol, in, &q, &used) == RC_OK) {
		must(used != 0 && used <= in.n && protocol != SMTPD_UNKNOWN);
		check_within(q.table, in);
		check_within(q.id, in);
		check_within(q.key, in);
		buf_clear(&out);
		smtpd_table_write(protocol, &q, SMTPD_FOUND, q.key, &out);
		must(out.n <= SMTPD_REQUEST_MAX_BYTES + 128);
		in = span_from(in, used);
	}
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_policy(span_make(data, size));
	check_oneshot(span_make(data, size));
	check_smtpd(SMTPD_UNKNOWN, span_make(data, size));
	return 0;
}
