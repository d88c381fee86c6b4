/* dirctl check: does the database agree with itself? */
#include "tools/dirctl.h"

#include "dird/check.h"

#include <inttypes.h>
#include <stdio.h>

struct printing {
	bool json;
};

static void print_problem(void *ctx, const char *text)
{
	const struct printing *p = ctx;
	struct buf b;

	if (!p->json) {
		printf("%s\n", text);
		return;
	}
	buf_init(&b, 4096);
	buf_puts(&b, "{\"problem\":");
	cli_json_string(&b, span_of(text));
	printf("%s}\n", buf_cstr(&b));
	buf_fini(&b);
}

static void print_sum(const struct check *c, bool json)
{
	if (json)
		printf("{\"entries\":%" PRIu64 ",\"indexRows\":%" PRIu64 ",\"viewRows\":%" PRIu64
		       ",\"tombstones\":%" PRIu64 ",\"limbo\":%" PRIu64 ",\"contexts\":%" PRIu64
		       ",\"problems\":%" PRIu64 "}\n",
		       c->entries, c->index_rows, c->view_rows, c->tombstones, c->limbo,
		       c->contexts, c->problems);
	else
		printf("%" PRIu64 " entries, %" PRIu64 " index rows, %" PRIu64
		       " view rows, %" PRIu64 " tombstones, %" PRIu64
		       " waiting for their parent, %" PRIu64 " naming contexts: %" PRIu64
		       " problems\n",
		       c->entries, c->index_rows, c->view_rows, c->tombstones, c->limbo,
		       c->contexts, c->problems);
}

int dirctl_check(int argc, char **argv)
{
	struct printing p = {false};
	struct check c = {.problem = print_problem, .ctx = &p};
	const char *config = NULL;
	struct store_txn *t = NULL;
	struct dirctl d;
	const struct cli_opt opts[] = {
		{"config", 'c', CLI_TEXT, &config, "FILE", "the site's dird.conf", true},
		{"json", 0, CLI_FLAG, &p.json, NULL, "one JSON object a line", false},
		{0}};
	const struct cli_usage u = {
		"dirctl check",
		"",
		"Verifies entries against index, tree, entryUUIDs, change order, limbo and\n"
		"address book views, in both "
		"directions.\nEach problem is a line; exit status 1 if there is one. Works beside "
		"a "
		"running dird.",
		opts,
		"  dirctl check --config site1/dird.conf\n",
		0,
		0};
	int first, status, rc;

	if (!cli_parse(&u, argc, argv, &first, &status))
		return status;
	rc = dirctl_open(&d, config, true);
	if (rc == RC_OK) {
		rc = store_read_begin(d.store, &t);
		if (rc == RC_OK)
			rc = check_database(t, d.schema, &c);
		store_read_end(&t);
		if (rc == RC_OK)
			print_sum(&c, p.json);
		else
			cli_error("%s: %s", d.config.database, rc_text(rc));
	}
	dirctl_close(&d);
	return rc == RC_OK && c.problems == 0 ? CLI_DONE : CLI_FAILED;
}
