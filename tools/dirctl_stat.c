/* dirctl stat: sizes, and how far each naming context is. */
#include "tools/dirctl.h"

#include "dird/store_digest.h"
#include "lib/dn.h"

#include <inttypes.h>
#include <stdio.h>

static void print_sizes(const struct store_stat *s, bool json)
{
	if (json)
		printf("{\"entries\":%" PRIu64 ",\"tombstones\":%" PRIu64 ",\"indexRows\":%" PRIu64
		       ",\"limbo\":%" PRIu64 ",\"quarantined\":%" PRIu64 ",\"leaving\":%" PRIu64
		       ",\"mapBytes\":%" PRIu64 ",\"usedBytes\":%" PRIu64 "}\n",
		       s->entries, s->tombstones, s->index_rows, s->limbo, s->quarantined,
		       s->leaving, s->map_bytes, s->used_bytes);
	else
		printf("entries      %" PRIu64 "\ntombstones   %" PRIu64 "\nindex rows   %" PRIu64
		       "\nin limbo     %" PRIu64 "\nquarantined  %" PRIu64 "\nleaving      %" PRIu64
		       " contexts of removed sites\nused         %" PRIu64
		       " bytes\nmap          %" PRIu64 " bytes\n\n",
		       s->entries, s->tombstones, s->index_rows, s->limbo, s->quarantined,
		       s->leaving, s->used_bytes, s->map_bytes);
}

static const char *context_name(struct store_txn *t, const struct store_nc *nc, struct buf *b)
{
	buf_clear(b);
	if (uuid_eq(&nc->position.nc, &POSITION_LOCAL_NC))
		return "(this site only)";
	if (nc->head == 0 || store_dn(t, nc->head, b) != RC_OK)
		return NULL;
	return buf_cstr(b);
}

static int add_context(struct cli_table *table, struct store_txn *t, const struct store_nc *nc,
		       struct buf *b)
{
	char id[UUID_TEXT_BYTES], invocation[UUID_TEXT_BYTES], epoch[12], usn[24], floor[24];
	char digest_text[DIGEST_TEXT_BYTES];
	uint8_t digest[DIGEST_BYTES];
	int rc = store_digest(t, &nc->position.nc, digest);

	if (rc != RC_OK)
		return rc;
	digest_write(digest, digest_text);
	uuid_write(&nc->position.nc, id);
	uuid_write(&nc->position.invocation, invocation);
	snprintf(epoch, sizeof(epoch), "%" PRIu32, nc->position.epoch);
	snprintf(usn, sizeof(usn), "%" PRIu64, nc->position.usn);
	snprintf(floor, sizeof(floor), "%" PRIu64, nc->floor);
	return cli_table_add(table, (const char *const[]){context_name(t, nc, b),
							  nc->is_own ? "TRUE" : "FALSE", epoch, usn,
							  floor, id, invocation, digest_text});
}

static int print_contexts(struct store_txn *t, bool json)
{
	static const struct cli_column columns[] = {{"CONTEXT", "context", CLI_COL_TEXT},
						    {"OWN", "own", CLI_COL_BOOL},
						    {"EPOCH", "epoch", CLI_COL_NUMBER},
						    {"USN", "usn", CLI_COL_NUMBER},
						    {"FLOOR", "floor", CLI_COL_NUMBER},
						    {"ID", "id", CLI_COL_TEXT},
						    {"INVOCATION", "invocation", CLI_COL_TEXT},
						    {"DIGEST", "digest", CLI_COL_TEXT},
						    {0}};
	struct cli_table *table;
	struct store_nc nc;
	uint32_t number = 0;
	struct buf b;
	int rc = cli_table_new(columns, json, &table);

	if (rc != RC_OK)
		return rc;
	buf_init(&b, 4 * DN_MAX_BYTES);
	while (rc == RC_OK && (rc = store_nc_next(t, &number, &nc)) == RC_OK)
		rc = add_context(table, t, &nc, &b);
	if (rc == RC_DONE)
		rc = cli_table_print(table);
	buf_fini(&b);
	cli_table_free(&table);
	return rc;
}

int dirctl_stat(int argc, char **argv)
{
	const char *config = NULL;
	struct store_stat stat;
	struct store_txn *t = NULL;
	bool json = false;
	struct dirctl d;
	const struct cli_opt opts[] = {
		{"config", 'c', CLI_TEXT, &config, "FILE", "the site's dird.conf", true},
		{"json", 0, CLI_FLAG, &json, NULL,
		 "one JSON object a line: the sizes, then the contexts", false},
		{0}};
	const struct cli_usage u = {
		"dirctl stat",
		"",
		"Prints the sizes of the database, and for each naming context the position up to "
		"which it is here and the digest of its entries: sites at the same position have "
		"the "
		"same digest.",
		opts,
		"  dirctl stat --config site1/dird.conf\n",
		0,
		0};
	int first, status, rc;

	if (!cli_parse(&u, argc, argv, &first, &status))
		return status;
	rc = dirctl_open(&d, config, true);
	if (rc == RC_OK) {
		rc = store_read_begin(d.store, &t);
		if (rc == RC_OK)
			rc = store_stat(t, &stat);
		if (rc == RC_OK) {
			print_sizes(&stat, json);
			rc = print_contexts(t, json);
		}
		store_read_end(&t);
		if (rc != RC_OK)
			cli_error("%s: %s", d.config.database, rc_text(rc));
	}
	dirctl_close(&d);
	return rc == RC_OK ? CLI_DONE : CLI_FAILED;
}
