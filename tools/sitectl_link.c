/* sitectl link: list, add, set, delete, sync-now. */
#include "tools/sitectl.h"

#include "dird/manage.h"

#include "lib/arena.h"
#include "tools/sitectl_common.h"

#include <stdio.h>

#define LINKS "(objectClass=replicationConnector)"

static const char *folder_dn(struct arena *a, const char *site_dn)
{
	const char *dn = dirconn_child_dn(a, "cn", "Configuration", site_dn);

	return dn != NULL ? dirconn_child_dn(a, "cn", "Directory Replication", dn) : NULL;
}

/* --- list --- */

static const struct cli_column columns[] = {
	{"LINK", "link", CLI_COL_TEXT},
	{"SITE", "site", CLI_COL_TEXT},
	{"ON", "enabled", CLI_COL_BOOL},
	{"PARTNER", "remoteSite", CLI_COL_TEXT},
	{"URI", "replicationURI", CLI_COL_TEXT},
	{"HOURS (UTC)", "replicationSchedule", CLI_COL_LIST},
	{0},
};

static int add_row(const struct ldif_record *entry, void *arg)
{
	struct sitectl_rows *rows = arg;
	struct arena a = {0};
	const char *on = dirconn_value(entry, "connectorEnabled");
	const char *const cells[] = {
		dirconn_rdn_value(&a, entry->dn),
		dirconn_site_of(&a, entry->dn, rows->root),
		on != NULL ? on : "TRUE",
		dirconn_value(entry, "remoteSite"),
		dirconn_value(entry, "replicationURI"),
		dirconn_values(&a, entry, "replicationSchedule"),
	};
	int rc = cli_table_add(rows->table, cells);

	arena_fini(&a);
	return rc;
}

static int list_links(struct sitectl_request *r)
{
	return sitectl_list(r, columns, LINKS, add_row);
}

static int link_list(int argc, char **argv)
{
	struct sitectl_request r = {0};
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(r.conn_options),
		SITECTL_SITE_OPT(r),
		SITECTL_ALL_OPT(r),
		SITECTL_JSON_OPT(r),
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

	return sitectl_run(&usage, &r, argc, argv, list_links);
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
static int find_uri(struct sitectl_request *r, const char **uri)
{
	static const char *const attrs[] = {"serverURI", NULL};
	struct dirconn_search s = {NULL, DIRCONN_SUB, "(objectClass=directoryServer)", attrs, 0};
	struct uri_search found = {.arena = &r->arena};
	int rc = sitectl_site_dn(r->conn, &r->arena, r->name, &s.base);

	if (rc == RC_OK)
		rc = dirconn_search(r->conn, &s, note_uri, &found);
	if (rc == RC_NOTFOUND || (rc == RC_OK && found.uri == NULL)) {
		cli_error("no server of site \"%s\" with an ldaps:// address is known here",
			  r->name);
		cli_hint("give --partner-uri ldaps://HOST:PORT; `sitectl site list` "
			 "names the sites");
		return RC_NOTFOUND;
	}
	*uri = found.uri;
	return rc;
}

static const char *new_uri;

static int add_link(struct sitectl_request *r)
{
	const struct ldif_record nothing = {0};
	struct sitectl_edit edit = {.arena = &r->arena, .before = &nothing};
	struct ldif_record entry = {.kind = LDIF_ADD, .attrs = edit.after};
	const char *name = arena_printf(&r->arena, "To %s", r->name);
	const char *site_dn, *folder, *dn;
	int rc = sitectl_site_dn(r->conn, &r->arena, r->site, &site_dn);

	if (rc == RC_OK && new_uri == NULL)
		rc = find_uri(r, &new_uri);
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
				       span_of(r->name));
	if (rc == RC_OK)
		rc = sitectl_edit_step(&edit, SITECTL_SET, SPAN_LIT("replicationURI"),
				       span_of(new_uri));
	if (rc == RC_OK)
		rc = sitectl_edit_step(&edit, SITECTL_SET, SPAN_LIT("connectorEnabled"),
				       SPAN_LIT("TRUE"));
	if (rc == RC_OK)
		rc = sitectl_edit_words(&edit, r->nwords, r->words);
	entry.nattrs = edit.n;
	return rc == RC_OK ? sitectl_add(r->conn, &entry, r->dry_run) : rc;
}

static int link_add(int argc, char **argv)
{
	struct sitectl_request r = {0};
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(r.conn_options),
		SITECTL_SITE_OPT(r),
		{"partner-uri", 0, CLI_TEXT, &new_uri, "URI",
		 "ldaps:// address of the partner (its server object)", false},
		SITECTL_DRY_RUN_OPT(r),
		{0},
	};
	const struct cli_usage usage = {
		"sitectl link add",
		"PARTNER [ATTRIBUTE=VALUE]...",
		"Lets the site take directory changes from PARTNER, a site that has joined. The "
		"other\n"
		"direction is a link of its own at the partner. Attributes as with `sitectl link "
		"set`.",
		opts,
		"  sitectl link add --config site1/dird.conf Site2\n",
		1,
		-1,
	};

	return sitectl_run(&usage, &r, argc, argv, add_link);
}

/* --- set and delete --- */

/* By its partner, or by its own name. */
static int find_link(struct sitectl_request *r, struct ldif_record *out)
{
	struct sitectl_wanted w = {.what = "link to", .name = r->name, .list = "sitectl link list"};
	const char *escaped = dirconn_filter_escape(&r->arena, r->name);
	int rc = sitectl_site_dn(r->conn, &r->arena, r->site, &w.base);

	if (rc != RC_OK || escaped == NULL)
		return rc != RC_OK ? rc : RC_NOMEM;
	w.filter =
		arena_printf(&r->arena, "(&" LINKS "(|(remoteSite=%s)(cn=%s)))", escaped, escaped);
	return w.filter != NULL ? sitectl_find(r->conn, &r->arena, &w, out) : RC_NOMEM;
}

static int set_link(struct sitectl_request *r)
{
	struct ldif_record entry;
	int rc = find_link(r, &entry);

	return rc == RC_OK ? sitectl_set(r, &entry) : rc;
}

static int link_set(int argc, char **argv)
{
	struct sitectl_request r = {0};
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(r.conn_options),
		SITECTL_SITE_OPT(r),
		SITECTL_DRY_RUN_OPT(r),
		{0},
	};
	const struct cli_usage usage = {
		"sitectl link set",
		"PARTNER ATTRIBUTE=VALUE...",
		"Changes attributes of the link to PARTNER (a site, or the name of the link). "
		"ATTRIBUTE=VALUE\n"
		"sets it (several times: several values), ATTRIBUTE= removes it, ATTRIBUTE+=VALUE "
		"and\n"
		"ATTRIBUTE-=VALUE add and remove one value.\n"
		"Attributes: replicationURI, connectorEnabled (FALSE: off), replicationSchedule: "
		"the hours in\n"
		"UTC in which the link may be used, \"DAYS HH:MM-HH:MM\" with DAYS daily or as in\n"
		"Mon-Fri,Sun; none: always. `sitectl link sync-now` works outside them, too",
		opts,
		"  sitectl link set --config site1/dird.conf Hub 'replicationSchedule=daily "
		"22:00-06:00' \\\n"
		"      'replicationSchedule=Sat,Sun 00:00-24:00'\n"
		"  sitectl link set --config site1/dird.conf Hub connectorEnabled=FALSE\n",
		2,
		-1,
	};

	return sitectl_run(&usage, &r, argc, argv, set_link);
}

static int delete_link(struct sitectl_request *r)
{
	struct ldif_record entry;
	int rc = find_link(r, &entry);

	return rc == RC_OK ? sitectl_delete(r->conn, entry.dn, r->dry_run) : rc;
}

static int link_delete(int argc, char **argv)
{
	struct sitectl_request r = {0};
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(r.conn_options),
		SITECTL_SITE_OPT(r),
		SITECTL_DRY_RUN_OPT(r),
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

	return sitectl_run(&usage, &r, argc, argv, delete_link);
}

/* --- sync-now --- */

static int hurry(struct sitectl_request *r)
{
	const char *text = "";
	int rc = dirconn_manage(r->conn, MANAGE_SYNC_NOW, r->name, &text);

	if (rc == RC_OK)
		printf("%s are attempted now\n", text);
	return rc;
}

static int link_sync_now(int argc, char **argv)
{
	struct sitectl_request r = {0};
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

	return sitectl_run(&usage, &r, argc, argv, hurry);
}

int sitectl_link(int argc, char **argv)
{
	static const struct cli_verb verbs[] = {
		{"list", link_list, "list links"},
		{"add", link_add, "take directory changes from a site"},
		{"set", link_set, "change a link: its hours, address, on or off"},
		{"delete", link_delete, "do so no longer"},
		{"sync-now", link_sync_now, "attempt links at once"},
		{0},
	};
	static const struct cli_tool tool = {
		"sitectl link", "Looks after the directory replication links of a site.", verbs,
		"  sitectl link list --config hub/dird.conf\n"};

	return cli_run(&tool, argc, argv);
}
