/* dirctl quarantine: replicated changes that could not be applied here. */
#include "tools/dirctl.h"

#include "dird/manage.h"
#include "dird/update.h"
#include "lib/dn.h"
#include "tools/dirconn.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

static const char *context_name(struct store_txn *t, uint32_t number, struct buf *b)
{
	uint32_t before = number - 1;
	struct store_nc nc;

	buf_clear(b);
	if (store_nc_next(t, &before, &nc) != RC_OK || nc.head == 0 ||
	    store_dn(t, nc.head, b) != RC_OK)
		return NULL;
	return buf_cstr(b);
}

static int add_row(struct cli_table *table, struct store_txn *t, uint32_t nc,
		   const struct store_quarantined *q, struct arena *a)
{
	char uuid[UUID_TEXT_BYTES], since[CLOCK_GENERALIZED_BYTES], stamp[40];
	const char *name = arena_str(a, q->e.head.rdn), *reason = arena_str(a, q->reason);
	struct buf context;
	int rc = RC_NOMEM;

	buf_init(&context, 4 * DN_MAX_BYTES);
	uuid_write(&q->e.head.uuid, uuid);
	clock_generalized(q->since_us, since);
	snprintf(stamp, sizeof(stamp), "%" PRIu32 ":%" PRIu64, q->e.head.stamp.epoch,
		 q->e.head.stamp.usn);
	if (name != NULL && reason != NULL)
		rc = cli_table_add(table, (const char *const[]){name, context_name(t, nc, &context),
								q->is_removal ? "removal" : "entry",
								reason, since, stamp, uuid});
	buf_fini(&context);
	return rc;
}

static int list(struct dirctl *d, bool json)
{
	static const struct cli_column columns[] = {
		{"NAME", "name", CLI_COL_TEXT},      {"CONTEXT", "context", CLI_COL_TEXT},
		{"KIND", "kind", CLI_COL_TEXT},      {"REASON", "reason", CLI_COL_TEXT},
		{"SINCE", "since", CLI_COL_TEXT},    {"STAMP", "stamp", CLI_COL_TEXT},
		{"UUID", "entryUUID", CLI_COL_TEXT}, {0}};
	struct store_quarantined q;
	struct cli_table *table;
	struct store_txn *t;
	struct uuid at = {{0}};
	uint32_t nc = 0;
	int rc = cli_table_new(columns, json, &table);

	if (rc != RC_OK)
		return rc;
	rc = store_read_begin(d->store, &t);
	if (rc == RC_OK) {
		while ((rc = store_quarantine_next(t, &nc, &at, &q)) == RC_OK &&
		       (rc = add_row(table, t, nc, &q, &d->arena)) == RC_OK)
			;
		store_read_end(&t);
	}
	if (rc == RC_DONE)
		rc = cli_table_print(table);
	cli_table_free(&table);
	return rc;
}

/* --- trying again --- */

static int random_bytes(void *p, size_t n)
{
	return getrandom(p, n, 0) == (ssize_t)n ? RC_OK : RC_IO;
}

static int retry_here(struct dirctl *d)
{
	struct update_context ctx = {.schema = d->schema,
				     .root = d->root,
				     .wall_us = clock_system.wall_us(&clock_system),
				     .random = random_bytes};
	struct change c = {.kind = CHANGE_RETRY};
	enum update_outcome outcome;
	struct store_txn *t;
	struct result why;
	int rc;

	do {
		rc = store_write_begin(d->store, &t);
		if (rc != RC_OK)
			return rc;
		rc = update_apply(t, &ctx, &c, &d->arena, &outcome, &why);
		if (rc == RC_REFUSED)
			store_write_abort(&t);
		else
			rc = store_write_commit(&t);
	} while (rc == RC_MORE);
	return rc;
}

static int retry_there(const char *config)
{
	struct dirconn_options o = {.config = config};
	struct dirconn *c;
	int rc = dirconn_open(&o, &c);

	if (rc != RC_OK)
		return rc;
	rc = dirconn_manage(c, MANAGE_RETRY_QUARANTINE, NULL, NULL);
	dirconn_close(&c);
	return rc;
}

static int retry(const char *config)
{
	struct dirctl d;
	int rc;

	if (dirctl_is_in_use(config))
		return retry_there(config);
	rc = dirctl_open(&d, config, false);
	if (rc == RC_OK) {
		rc = retry_here(&d);
		if (rc != RC_OK)
			cli_error("%s: %s", d.config.database, rc_text(rc));
	}
	dirctl_close(&d);
	return rc;
}

int dirctl_quarantine(int argc, char **argv)
{
	const char *config = NULL;
	bool json = false, again = false;
	const struct cli_opt opts[] = {
		{"config", 'c', CLI_TEXT, &config, "FILE", "the site's dird.conf", true},
		{"retry", 0, CLI_FLAG, &again, NULL, "try them again first", false},
		{"json", 0, CLI_FLAG, &json, NULL, "one JSON object a line", false},
		{0}};
	const struct cli_usage u = {
		"dirctl quarantine",
		"",
		"Lists the changes of other sites that could not be applied here, with the reason. "
		"They are passed on\nto other partners, and tried again when the entry in their "
		"way changes, when dird starts, and\nwith --retry. Works beside a running dird.",
		opts,
		"  dirctl quarantine --config site1/dird.conf\n"
		"  dirctl quarantine --config site1/dird.conf --retry\n",
		0,
		0};
	struct dirctl d;
	int first, status, rc;

	if (!cli_parse(&u, argc, argv, &first, &status))
		return status;
	if (again && retry(config) != RC_OK)
		return CLI_FAILED;
	rc = dirctl_open(&d, config, true);
	if (rc == RC_OK) {
		rc = list(&d, json);
		if (rc != RC_OK)
			cli_error("%s: %s", d.config.database, rc_text(rc));
	}
	dirctl_close(&d);
	return rc == RC_OK ? CLI_DONE : CLI_FAILED;
}
