/*
 * dird/filter*.c and plan.c. The first byte chooses: 't' filter text, else BER. Text that was taken
 * makes BER that is taken; NOT turns the answer round; a match is never planned away.
 */
#include "tests/fuzz/fuzz.h"

#include "dird/plan.h"

static struct schema *schema;
static struct buf record;
static struct entry entry;

#define ONE(type_, value_)                                                                         \
	{                                                                                          \
		.type = SPAN_LIT(type_), .values = (struct span[]){SPAN_LIT(value_)}, .nvalues = 1 \
	}

static void prepare(void)
{
	struct attr attrs[] = {
		ONE("objectClass", "person"), ONE("cn", "Ada  Hill"),
		ONE("sn", "H\xc3\xbcgel"),    ONE("uidNumber", "1000"),
		ONE("member", "cn=a,o=b"),    ONE("createTimestamp", "20240101000000Z"),
		ONE("description", "\xff"),   ONE("userCertificate", "\x30\x03\x02\x01\x01"),
		ONE("title", "Mail, server")};
	enum entry_run runs[sizeof(attrs) / sizeof(attrs[0])] = {ENTRY_PUBLIC};
	struct attr_list list = {attrs, sizeof(attrs) / sizeof(attrs[0])};
	struct entry_head head = {.rdn = SPAN_LIT("cn=ada hill"),
				  .rdn_normal = SPAN_LIT("cn=ada hill")};

	must(schema_load(SCHEMADIR, &schema, NULL) == RC_OK);
	buf_init(&record, 1 << 20);
	must(entry_build(&head, &list, runs, &record) == RC_OK);
	must(entry_open(buf_span(&record), &entry) == RC_OK);
}

static uint64_t one(void *ctx, const struct index_range *r, uint64_t limit)
{
	(void)ctx;
	must(r->lo.n == 0 || r->lo.p != NULL);
	return limit != 0;
}

static void check(struct filter *f, struct arena *a)
{
	const struct filter_view view = {.dn_normal = SPAN_LIT("cn=ada hill,ou=s1,o=example")};
	const struct plan_stats stats = {one, NULL, 1000000};
	struct filter *subs[1] = {f};
	struct filter opposite = {.kind = FILTER_NOT, .subs = subs, .nsubs = 1};
	enum filter_result r, turned;
	struct buf scratch;
	struct plan plan;

	buf_init(&scratch, 1 << 24);
	r = filter_match(f, schema, &entry, &view, &scratch);
	turned = filter_match(&opposite, schema, &entry, &view, &scratch);
	must((r == FILTER_UNKNOWN) == (turned == FILTER_UNKNOWN) &&
	     (r == FILTER_TRUE) == (turned == FILTER_FALSE));
	must(plan_make(f, &stats, a, &plan) == RC_OK);
	must(r != FILTER_TRUE || plan.kind != PLAN_NOTHING);
	must((plan.kind == PLAN_RANGES) == (plan.nranges != 0));
	buf_fini(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool is_text = size != 0 && data[0] == 't';
	struct span input = span_from(span_make(data, size), 1);
	const char *why = NULL;
	struct filter *f = NULL;
	struct buf ber;
	struct arena a;
	int rc = RC_OK;

	if (schema == NULL)
		prepare();
	arena_init(&a);
	buf_init(&ber, 1 << 24);
	if (is_text) {
		rc = filter_from_text(input, &ber, &why);
		input = buf_span(&ber);
	}
	must(rc == RC_OK || why != NULL);
	if (rc == RC_OK) {
		rc = filter_read(schema, &input, &a, &f, &why);
		must(rc == RC_OK || rc == RC_TOOBIG || (rc == RC_INVALID && why != NULL));
		must(!is_text || rc != RC_INVALID);
	}
	if (rc == RC_OK)
		check(f, &a);
	buf_fini(&ber);
	arena_fini(&a);
	return 0;
}
