/* sitectl link: list, add, delete. */
#include "tools/sitectl.h"

#include "dird/manage.h"

#include "lib/arena.h"
#include "tools/sitectl_common.h"

#include <stdio.h>

#define LINKS "(objectClass=replicationConnector)"

struct request {
	struct dirconn_options conn_options;
	struct dirconn *conn;
	struct arena arena;
	const char *site, *uri, *remote;
	bool json, dry_run, all;
};

#define SITE_OPT(r)                                                                                \
	{                                                                                          \
		"site", 0, CLI_TEXT, &(r).site, "NAME", "site of the link (the server's own)",     \
			false                                                                      \
	}
#define DRY_RUN_OPT(r)                                                                             \
	{                                                                                          \
		"dry-run", 'n', CLI_FLAG, &(r).dry_run, NULL,                                      \
			"say what would change, change nothing", false                             \
	}

static int run(const struct cli_usage *usage, struct request *r, int argc, char **argv,
	       int (*work)(struct request *r))
{
	int first, status, rc;

	if (!cli_parse(usage, argc, argv, &first, &status))
		return status;
	r->remote = first < argc ? argv[first] : NULL;
	rc = dirconn_open(&r->conn_options, &r->conn);
	if (rc == RC_OK)
		rc = work(r);
	if (rc == RC_NOMEM)
		cli_error("out of memory");
	dirconn_close(&r->conn);
	arena_fini(&r->arena);
	return rc == RC_OK ? CLI_DONE : CLI_FAILED;
}

static const char *folder_dn(struct arena *a, const char *site_dn)
{
	const char *dn = dirconn_child_dn(a, "cn", "Configuration", site_dn);

	return dn != NULL ? dirconn_child_dn(a, "cn", "Directory Replication", dn) : NULL;
}

/* --- list --- */

static const struct cli_column columns[] = {
	{"LINK", "link", CLI_COL_TEXT},          {"SITE", "site", CLI_COL_TEXT},
	{"ON", "enabled", CLI_COL_BOOL},         {"PARTNER", "remoteSite", CLI_COL_TEXT},
	{"URI", "replicationURI", CLI_COL_TEXT}, {0},
};

struct rows {
	struct cli_table *table;
	const char *root;
};

static int add_row(const struct ldif_record *entry, void *arg)
{
	struct rows *rows = arg;
	struct arena a = {0};
	const char *on = dirconn_value(entry, "connectorEnabled");
	const char *const cells[] = {
		dirconn_rdn_value(&a, entry->dn),
		dirconn_site_of(&a, entry->dn, rows->root),
		on != NULL ? on : "TRUE",
		dirconn_value(entry, "remoteSite"),
		dirconn_value(entry, "replicationURI"),
	};
	int rc = cli_table_add(rows->table, cells);

	arena_fini(&a);
	return rc;
}

static int list_links(struct request *r)
{
	struct dirconn_search s = {dirconn_root(r->conn), DIRCONN_SUB, LINKS, NULL, 0};
	struct rows rows = {.root = dirconn_root(r->conn)};
	int rc = r->all ? RC_OK : sitectl_site_dn(r->conn, &r->arena, r->site, &s.base);

	if (rc == RC_OK)
		rc = cli_table_new(columns, r->json, &rows.table);
	if (rc != RC_OK)
		return rc;
	rc = dirconn_search(r->conn, &s, add_row, &rows);
	if (rc == RC_NOTFOUND)
		cli_error("there is no %s", s.base);
	if (rc == RC_OK)
		rc = cli_table_print(rows.table);
	cli_table_free(&rows.table);
	return rc;
}

static int link_list(int argc, char **argv)
{
	struct request r = {0};
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(r.conn_options),
		SITE_OPT(r),
		{"all", 'a', CLI_FLAG, &r.all, NULL, "the links of all sites", false},
		{"json", 0, CLI_FLAG, &r.json, NULL, "one JSON object a line", false},
		{0},
	};
	const struct cli_usage usage = {
		"sitectl link list",
		"",
		"Lists the sites that this site takes directory changes from.",
		opts,
		"  sitectl link list --config hub/dird.conf --all\n",
		0,
		0,
	};

	return run(&usage, &r, argc, argv, list_links);
}

/* --- add --- */

struct uri_search {
	struct arena *arena;
	const char *uri;
};

static int note_uri(const struct ldif_record *entry, void *arg)
{
	struct uri_search *s = arg;
	const struct ldif_attr *uris = dirconn_attr(entry, "serverURI");
	unsigned i;

	for (i = 0; uris != NULL && i < uris->nvalues && s->uri == NULL; i++) {
		if (!span_eq_nocase(span_head(uris->values[i], 8), SPAN_LIT("ldaps://")))
			continue;
		s->uri = arena_str(s->arena, uris->values[i]);
		if (s->uri == NULL)
			return RC_NOMEM;
	}
	return RC_OK;
}

/* What the directory says of the partner's servers. */
static int find_uri(struct request *r)
{
	static const char *const attrs[] = {"serverURI", NULL};
	struct dirconn_search s = {NULL, DIRCONN_SUB, "(objectClass=directoryServer)", attrs, 0};
	struct uri_search found = {.arena = &r->arena};
	int rc = sitectl_site_dn(r->conn, &r->arena, r->remote, &s.base);

	if (rc == RC_OK)
		rc = dirconn_search(r->conn, &s, note_uri, &found);
	if (rc == RC_NOTFOUND || (rc == RC_OK && found.uri == NULL)) {
		cli_error("no server of site \"%s\" with an ldaps:// address is known here",
			  r->remote);
		cli_hint("give --uri ldaps://HOST:PORT; `sitectl site list` names the sites");
		return RC_NOTFOUND;
	}
	r->uri = found.uri;
	return rc;
}

static int add_link(struct request *r)
{
	const struct ldif_record nothing = {0};
	struct sitectl_edit edit = {.arena = &r->arena, .before = &nothing};
	struct ldif_record entry = {.kind = LDIF_ADD, .attrs = edit.after};
	const char *name = arena_printf(&r->arena, "To %s", r->remote);
	const char *site_dn, *folder, *dn;
	int rc = sitectl_site_dn(r->conn, &r->arena, r->site, &site_dn);

	if (rc == RC_OK && r->uri == NULL)
		rc = find_uri(r);
	if (rc != RC_OK)
		return rc;
	folder = folder_dn(&r->arena, site_dn);
	dn = folder != NULL && name != NULL ? dirconn_child_dn(&r->arena, "cn", name, folder)
					    : NULL;
	if (dn == NULL)
		return RC_NOMEM;
	entry.dn = span_of(dn);
	rc = sitectl_edit_step(&edit, SITECTL_SET, SPAN_LIT("objectClass"),
			       SPAN_LIT("replicationConnector"));
	if (rc == RC_OK)
		rc = sitectl_edit_step(&edit, SITECTL_SET, SPAN_LIT("cn"), span_of(name));
	if (rc == RC_OK)
		rc = sitectl_edit_step(&edit, SITECTL_SET, SPAN_LIT("remoteSite"),
				       span_of(r->remote));
	if (rc == RC_OK)
		rc = sitectl_edit_step(&edit, SITECTL_SET, SPAN_LIT("replicationURI"),
				       span_of(r->uri));
	if (rc == RC_OK)
		rc = sitectl_edit_step(&edit, SITECTL_SET, SPAN_LIT("connectorEnabled"),
				       SPAN_LIT("TRUE"));
	entry.nattrs = edit.n;
	return rc == RC_OK ? sitectl_add(r->conn, &entry, r->dry_run) : rc;
}

static int link_add(int argc, char **argv)
{
	struct request r = {0};
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(r.conn_options),
		SITE_OPT(r),
		{"uri", 0, CLI_TEXT, &r.uri, "URI",
		 "ldaps:// address of the partner (its server object)", false},
		DRY_RUN_OPT(r),
		{0},
	};
	const struct cli_usage usage = {
		"sitectl link add",
		"PARTNER",
		"Lets the site take directory changes from PARTNER, a site that has joined. The "
		"other\n"
		"direction is a link of its own at the partner.",
		opts,
		"  sitectl link add --config site1/dird.conf Site2\n",
		1,
		1,
	};

	return run(&usage, &r, argc, argv, add_link);
}

/* --- delete --- */

static int delete_link(struct request *r)
{
	struct sitectl_wanted w = {
		.what = "link to", .name = r->remote, .list = "sitectl link list"};
	const char *escaped = dirconn_filter_escape(&r->arena, r->remote);
	struct ldif_record entry;
	int rc = sitectl_site_dn(r->conn, &r->arena, r->site, &w.base);

	if (rc != RC_OK || escaped == NULL)
		return rc != RC_OK ? rc : RC_NOMEM;
	w.filter =
		arena_printf(&r->arena, "(&" LINKS "(|(remoteSite=%s)(cn=%s)))", escaped, escaped);
	rc = sitectl_find(r->conn, &r->arena, &w, &entry);
	return rc == RC_OK ? sitectl_delete(r->conn, entry.dn, r->dry_run) : rc;
}

static int link_delete(int argc, char **argv)
{
	struct request r = {0};
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(r.conn_options),
		SITE_OPT(r),
		DRY_RUN_OPT(r),
		{0},
	};
	const struct cli_usage usage = {
		"sitectl link delete",
		"PARTNER",
		"Ends taking directory changes from PARTNER (a site, or the name of the link).",
		opts,
		"  sitectl link delete --config site1/dird.conf Site2\n",
		1,
		1,
	};

	return run(&usage, &r, argc, argv, delete_link);
}

/* --- sync-now --- */

static int hurry(struct request *r)
{
	const char *text = "";
	int rc = dirconn_manage(r->conn, MANAGE_SYNC_NOW, r->remote, &text);

	if (rc == RC_OK)
		printf("%s are attempted now\n", text);
	return rc;
}

static int link_sync_now(int argc, char **argv)
{
	struct request r = {0};
	const struct cli_opt opts[] = {DIRCONN_OPTS(r.conn_options), {0}};
	const struct cli_usage usage = {
		"sitectl link sync-now",
		"[PARTNER]",
		"Attempts the link to PARTNER, or all links of this site, at once instead of at "
		"the "
		"next attempt.",
		opts,
		"  sitectl link sync-now --config site1/dird.conf Hub\n",
		0,
		1,
	};

	return run(&usage, &r, argc, argv, hurry);
}

int sitectl_link(int argc, char **argv)
{
	static const struct cli_verb verbs[] = {
		{"list", link_list, "list links"},
		{"add", link_add, "take directory changes from a site"},
		{"delete", link_delete, "do so no longer"},
		{"sync-now", link_sync_now, "attempt links at once"},
		{0},
	};
	static const struct cli_tool tool = {
		"sitectl link", "Looks after the directory replication links of a site.", verbs,
		"  sitectl link list --config hub/dird.conf\n"};

	return cli_run(&tool, argc, argv);
}
