/* sitectl site: list, show, set, remove. */
#include "tools/sitectl.h"

#include "lib/arena.h"
#include "lib/dn.h"
#include "tools/show.h"
#include "tools/sitectl_common.h"

#include <stdio.h>

static const struct cli_column columns[] = {
	{"SITE", "site", CLI_COL_TEXT},
	{"HERE", "here", CLI_COL_BOOL},
	{"DOMAIN", "domain", CLI_COL_TEXT},
	{"DIRECT", "onlySystemMessagesUseCDs", CLI_COL_BOOL},
	{"KEYS", "keys", CLI_COL_NUMBER},
	{"SHARED DOMAINS", "sharedDomains", CLI_COL_LIST},
	{0},
};

struct list {
	struct cli_table *table;
	const char *own;
};

static int add_row(const struct ldif_record *entry, void *arg)
{
	struct list *l = arg;
	const struct ldif_attr *keys = dirconn_attr(entry, "siteKey");
	struct arena a = {0};
	const char *name = dirconn_rdn_value(&a, entry->dn);
	bool is_own = l->own != NULL && span_eq_nocase(span_of(name), span_of(l->own));
	const char *const cells[] = {
		name,
		l->own == NULL ? NULL
		: is_own       ? "TRUE"
			       : "FALSE",
		dirconn_value(entry, "siteSmtpDomain"),
		dirconn_value(entry, "onlySystemMessagesUseCDs"),
		arena_printf(&a, "%u", keys != NULL ? keys->nvalues : 0),
		dirconn_values(&a, entry, "siteSharedDomain"),
	};
	int rc = cli_table_add(l->table, cells);

	arena_fini(&a);
	return rc;
}

static int list_sites(struct sitectl_request *r)
{
	const struct dirconn_search s = {dirconn_root(r->conn), DIRCONN_ONE,
					 "(objectClass=mailSite)", NULL, 0};
	struct list l = {.own = dirconn_site(r->conn)};
	int rc = cli_table_new(columns, r->json, &l.table);

	if (rc == RC_OK)
		rc = dirconn_search(r->conn, &s, add_row, &l);
	if (rc == RC_NOTFOUND)
		cli_error("the server does not hold %s", dirconn_root(r->conn));
	if (rc == RC_OK)
		rc = cli_table_print(l.table);
	cli_table_free(&l.table);
	return rc;
}

static int site_list(int argc, char **argv)
{
	struct sitectl_request r = {0};
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(r.conn_options),
		SITECTL_JSON_OPT(r),
		{0},
	};
	const struct cli_usage usage = {
		"sitectl site list",
		"",
		"Lists the sites of the organisation.",
		opts,
		"  sitectl site list --config hub/dird.conf\n",
		0,
		0,
	};

	return sitectl_run(&usage, &r, argc, argv, list_sites);
}

static int read_site(struct sitectl_request *r, struct ldif_record *out)
{
	const char *dn;
	int rc = sitectl_site_dn(r->conn, &r->arena, r->name, &dn);

	if (rc == RC_OK)
		rc = dirconn_read(r->conn, &r->arena, dn, NULL, out);
	if (rc == RC_NOTFOUND) {
		cli_error("there is no site %s", dn);
		cli_hint("`sitectl site list` tells which there are");
	}
	return rc;
}

static int show_site(struct sitectl_request *r)
{
	struct ldif_record site;
	int rc = read_site(r, &site);

	return rc == RC_OK ? show_record(&site, r->json) : rc;
}

static int site_show(int argc, char **argv)
{
	struct sitectl_request r = {0};
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(r.conn_options),
		SITECTL_JSON_OPT(r),
		{0},
	};
	const struct cli_usage usage = {
		"sitectl site show",
		"[NAME]",
		"Shows a site's attributes; without NAME those of the server's own site.",
		opts,
		"  sitectl site show --config hub/dird.conf Site1\n",
		0,
		1,
	};

	return sitectl_run(&usage, &r, argc, argv, show_site);
}

static int set_site(struct sitectl_request *r)
{
	struct ldif_record site;
	int rc = read_site(r, &site);

	return rc == RC_OK ? sitectl_set(r, &site) : rc;
}

static int site_set(int argc, char **argv)
{
	struct sitectl_request r = {0};
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(r.conn_options),
		SITECTL_DRY_RUN_OPT(r),
		{0},
	};
	const struct cli_usage usage = {
		"sitectl site set",
		"NAME ATTRIBUTE=VALUE...",
		"Changes attributes of a site. ATTRIBUTE=VALUE sets it (several times: several "
		"values),\n"
		"ATTRIBUTE= removes it, ATTRIBUTE+=VALUE and ATTRIBUTE-=VALUE add and remove one "
		"value.\n"
		"Attributes: siteSmtpDomain siteSharedDomain systemAddress "
		"onlySystemMessagesUseCDs siteKey",
		opts,
		"  sitectl site set --config site1/dird.conf Site1 siteSharedDomain+=example.com\n"
		"  sitectl site set --config site1/dird.conf Site1 onlySystemMessagesUseCDs=TRUE\n",
		2,
		-1,
	};

	return sitectl_run(&usage, &r, argc, argv, set_site);
}

int sitectl_site(int argc, char **argv)
{
	static const struct cli_verb verbs[] = {
		{"list", site_list, "list the sites"},
		{"show", site_show, "show a site's attributes"},
		{"set", site_set, "change a site's attributes"},
		{"remove", sitectl_site_remove, "a site leaves the organisation"},
		{0},
	};
	static const struct cli_tool tool = {"sitectl site",
					     "Looks after the site objects of the organisation.",
					     verbs, "  sitectl site list --config hub/dird.conf\n"};

	return cli_run(&tool, argc, argv);
}
