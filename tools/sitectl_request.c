/* The course of a verb that looks after objects of a site. */
#include "tools/sitectl_common.h"

int sitectl_run(const struct cli_usage *usage, struct sitectl_request *r, int argc, char **argv,
		sitectl_work_fn *work)
{
	int first, status, rc;

	if (!cli_parse(usage, argc, argv, &first, &status))
		return status;
	if (first < argc) {
		r->name = argv[first];
		r->words = argv + first + 1;
		r->nwords = argc - first - 1;
	}
	rc = dirconn_open(&r->conn_options, &r->conn);
	if (rc == RC_OK)
		rc = work(r);
	if (rc == RC_NOMEM)
		cli_error("out of memory");
	dirconn_close(&r->conn);
	arena_fini(&r->arena);
	return rc == RC_OK ? CLI_DONE : CLI_FAILED;
}

int sitectl_list(struct sitectl_request *r, const struct cli_column *columns, const char *filter,
		 int (*add)(const struct ldif_record *entry, void *rows))
{
	struct dirconn_search s = {dirconn_root(r->conn), DIRCONN_SUB, filter, NULL, 0};
	struct sitectl_rows rows = {.root = dirconn_root(r->conn)};
	int rc = r->all ? RC_OK : sitectl_site_dn(r->conn, &r->arena, r->site, &s.base);

	if (rc == RC_OK)
		rc = cli_table_new(columns, r->json, &rows.table);
	if (rc != RC_OK)
		return rc;
	rc = dirconn_search(r->conn, &s, add, &rows);
	if (rc == RC_NOTFOUND)
		cli_error("there is no %s", s.base);
	if (rc == RC_OK)
		rc = cli_table_print(rows.table);
	cli_table_free(&rows.table);
	return rc;
}

int sitectl_set(struct sitectl_request *r, const struct ldif_record *object)
{
	struct sitectl_edit edit = {.arena = &r->arena, .before = object};
	int rc = sitectl_edit_words(&edit, r->nwords, r->words);

	return rc == RC_OK ? sitectl_edit_commit(&edit, r->conn, r->dry_run) : rc;
}
