/* sitectl connector: list, show, add, set, connect, disconnect, delete. */
#include "tools/sitectl.h"

#include "lib/arena.h"
#include "lib/dn.h"
#include "routed/address.h"
#include "tools/show.h"
#include "tools/sitectl_common.h"

#include <stdio.h>

static const struct {
	const char *kind, *class_name;
} kinds[] = {
	{"ims", "imsConnector"},
	{"site", "siteConnector"},
	{"x400", "x400Connector"},
	{"gateway", "gatewayConnector"},
};

static const char *kind_of(const struct ldif_record *r)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (dirconn_is_a(r, kinds[i].class_name))
			return kinds[i].kind;
	}
	return "other";
}

static const char *folder_dn(struct arena *a, const char *site_dn)
{
	const char *configuration = dirconn_child_dn(a, "cn", "Configuration", site_dn);

	return configuration != NULL ? dirconn_child_dn(a, "cn", "Connections", configuration)
				     : NULL;
}

/* By the name of its RDN below the site, or by its DN. */
static int find_connector(struct sitectl_request *r, struct ldif_record *out)
{
	struct sitectl_wanted w = {
		.what = "connector", .name = r->name, .list = "sitectl connector list --all"};
	const char *escaped = dirconn_filter_escape(&r->arena, r->name);
	struct dn dn;
	int rc;

	if (dn_parse(&r->arena, span_of(r->name), &dn, NULL) == RC_OK && dn.n > 1) {
		w.base = r->name;
		w.filter = SITECTL_CONNECTORS;
		return sitectl_find(r->conn, &r->arena, &w, out);
	}
	rc = sitectl_site_dn(r->conn, &r->arena, r->site, &w.base);
	if (rc != RC_OK)
		return rc;
	w.filter = arena_printf(&r->arena, "(&" SITECTL_CONNECTORS "(cn=%s))",
				escaped != NULL ? escaped : "");
	return sitectl_find(r->conn, &r->arena, &w, out);
}

/* --- list and show --- */

static const struct cli_column columns[] = {
	{"CONNECTOR", "connector", CLI_COL_TEXT},
	{"SITE", "site", CLI_COL_TEXT},
	{"KIND", "kind", CLI_COL_TEXT},
	{"ON", "enabled", CLI_COL_BOOL},
	{"DIRECT", "onlySystemMessagesUseCDs", CLI_COL_BOOL},
	{"CONNECTED DOMAINS", "connectedDomains", CLI_COL_LIST},
	{"ADDRESS SPACES", "routingList", CLI_COL_LIST},
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
		kind_of(entry),
		on != NULL ? on : "TRUE",
		dirconn_value(entry, "onlySystemMessagesUseCDs"),
		dirconn_values(&a, entry, "connectedDomains"),
		dirconn_values(&a, entry, "routingList"),
	};
	int rc = cli_table_add(rows->table, cells);

	arena_fini(&a);
	return rc;
}

static int list_connectors(struct sitectl_request *r)
{
	return sitectl_list(r, columns, SITECTL_CONNECTORS, add_row);
}

static int connector_list(int argc, char **argv)
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
		"sitectl connector list",
		"",
		"Lists a site's connectors.",
		opts,
		"  sitectl connector list --config site1/dird.conf --all\n",
		0,
		0,
	};

	return sitectl_run(&usage, &r, argc, argv, list_connectors);
}

static int show_connector(struct sitectl_request *r)
{
	struct ldif_record connector;
	int rc = find_connector(r, &connector);

	return rc == RC_OK ? show_record(&connector, r->json) : rc;
}

static int connector_show(int argc, char **argv)
{
	struct sitectl_request r = {0};
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(r.conn_options),
		SITECTL_SITE_OPT(r),
		SITECTL_JSON_OPT(r),
		{0},
	};
	const struct cli_usage usage = {
		"sitectl connector show",
		"NAME",
		"Shows a connector's attributes.",
		opts,
		"  sitectl connector show --config site1/dird.conf 'Internet Mail Service "
		"(Site1)'\n",
		1,
		1,
	};

	return sitectl_run(&usage, &r, argc, argv, show_connector);
}

/* --- add and delete --- */

static const char *new_kind = "ims";

static const char *class_of(const char *kind)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kind, kinds[i].kind) == 0)
			return kinds[i].class_name;
	}
	cli_error("--kind is ims, site, x400 or gateway, not \"%s\"", kind);
	return NULL;
}

static int add_connector(struct sitectl_request *r)
{
	const struct ldif_record nothing = {0};
	struct sitectl_edit edit = {.arena = &r->arena, .before = &nothing};
	struct ldif_record entry = {.kind = LDIF_ADD, .attrs = edit.after};
	const char *class_name = class_of(new_kind);
	const char *site_dn, *folder, *dn;
	int rc;

	if (class_name == NULL)
		return RC_INVALID;
	rc = sitectl_site_dn(r->conn, &r->arena, r->site, &site_dn);
	if (rc != RC_OK)
		return rc;
	folder = folder_dn(&r->arena, site_dn);
	dn = folder != NULL ? dirconn_child_dn(&r->arena, "cn", r->name, folder) : NULL;
	if (dn == NULL)
		return RC_NOMEM;
	entry.dn = span_of(dn);
	rc = sitectl_edit_step(&edit, SITECTL_SET, SPAN_LIT("objectClass"), span_of(class_name));
	if (rc == RC_OK)
		rc = sitectl_edit_step(&edit, SITECTL_SET, SPAN_LIT("cn"), span_of(r->name));
	if (rc == RC_OK)
		rc = sitectl_edit_words(&edit, r->nwords, r->words);
	entry.nattrs = edit.n;
	return rc == RC_OK ? sitectl_add(r->conn, &entry, r->dry_run) : rc;
}

static int connector_add(int argc, char **argv)
{
	struct sitectl_request r = {0};
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(r.conn_options),
		SITECTL_SITE_OPT(r),
		{"kind", 0, CLI_TEXT, &new_kind, "KIND", "ims (default), site, x400 or gateway",
		 false},
		SITECTL_DRY_RUN_OPT(r),
		{0},
	};
	const struct cli_usage usage = {
		"sitectl connector add",
		"NAME [ATTRIBUTE=VALUE]...",
		"Adds a connector to the site: a way for its mail to leave.",
		opts,
		"  sitectl connector add --config site1/dird.conf 'Internet Mail Service (Site1)' "
		"\\\n"
		"      'connectedDomains=Hub;1;SMTP:hub.example.com' 'routingList=SMTP:*;10'\n",
		1,
		-1,
	};

	return sitectl_run(&usage, &r, argc, argv, add_connector);
}

static int delete_connector(struct sitectl_request *r)
{
	struct ldif_record connector;
	int rc = find_connector(r, &connector);

	return rc == RC_OK ? sitectl_delete(r->conn, connector.dn, r->dry_run) : rc;
}

static int connector_delete(int argc, char **argv)
{
	struct sitectl_request r = {0};
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(r.conn_options),
		SITECTL_SITE_OPT(r),
		SITECTL_DRY_RUN_OPT(r),
		{0},
	};
	const struct cli_usage usage = {
		"sitectl connector delete",
		"NAME",
		"Deletes a connector. Routes over it end.",
		opts,
		"  sitectl connector delete --config site1/dird.conf 'Old Gateway'\n",
		1,
		1,
	};

	return sitectl_run(&usage, &r, argc, argv, delete_connector);
}

/* --- set --- */

static int set_connector(struct sitectl_request *r)
{
	struct ldif_record connector;
	int rc = find_connector(r, &connector);

	return rc == RC_OK ? sitectl_set(r, &connector) : rc;
}

static int connector_set(int argc, char **argv)
{
	struct sitectl_request r = {0};
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(r.conn_options),
		SITECTL_SITE_OPT(r),
		SITECTL_DRY_RUN_OPT(r),
		{0},
	};
	const struct cli_usage usage = {
		"sitectl connector set",
		"NAME ATTRIBUTE=VALUE...",
		"Changes attributes of a connector. ATTRIBUTE=VALUE sets it (several times: "
		"several\n"
		"values), ATTRIBUTE= removes it, ATTRIBUTE+=VALUE and ATTRIBUTE-=VALUE add and "
		"remove one\n"
		"value. Values that routing could not read are refused, with the column.\n"
		"Attributes: connectedDomains routingList connectorEnabled "
		"messageClassRestriction\n"
		"mtaTransport; of an ims also onlySystemMessagesUseCDs transferMode smartHost "
		"domainRoute",
		opts,
		"  sitectl connector set --config site1/dird.conf 'Internet Mail Service (Site1)' "
		"\\\n"
		"      onlySystemMessagesUseCDs=TRUE\n",
		2,
		-1,
	};

	return sitectl_run(&usage, &r, argc, argv, set_connector);
}

/* --- connect and disconnect --- */

static unsigned new_cost = 1;
static const char *new_address;

/* Take the values out that lead to `site`; *n tells how many there were. */
static int drop_site(struct sitectl_edit *edit, const char *site, unsigned *n)
{
	const struct ldif_attr *cds = dirconn_attr(edit->before, "connectedDomains");
	struct address_error err;
	struct address_cd cd;
	struct span want, have;
	unsigned i;
	int rc = address_fold(edit->arena, span_of(site), &want);

	*n = 0;
	for (i = 0; cds != NULL && i < cds->nvalues && rc == RC_OK; i++) {
		if (address_cd_parse(edit->arena, cds->values[i], &cd, &err) != RC_OK ||
		    address_fold(edit->arena, cd.site, &have) != RC_OK || !span_eq(have, want))
			continue;
		rc = sitectl_edit_step(edit, SITECTL_REMOVE, cds->type, cds->values[i]);
		++*n;
	}
	return rc;
}

/*
 * How the partner site writes its name, and its routing address. The site need not be known here
 * when --address is given.
 */
static int look_up(struct sitectl_request *r, const char **name, const char **address)
{
	static const char *const attrs[] = {"siteSmtpDomain", NULL};
	struct ldif_record entry = {0};
	const char *dn, *domain = NULL;
	int rc = sitectl_site_dn(r->conn, &r->arena, r->words[0], &dn);

	if (rc == RC_OK)
		rc = dirconn_read(r->conn, &r->arena, dn, attrs, &entry);
	if (rc != RC_OK && rc != RC_NOTFOUND)
		return rc;
	*name = rc == RC_OK ? dirconn_rdn_value(&r->arena, entry.dn) : r->words[0];
	*address = new_address;
	if (new_address != NULL)
		return RC_OK;
	domain = dirconn_value(&entry, "siteSmtpDomain");
	if (domain == NULL) {
		cli_error("the mail domain of site \"%s\" is not known here", *name);
		cli_hint("give --address TYPE:ADDRESS, for example SMTP:%s.example.com", *name);
		return RC_NOTFOUND;
	}
	*address = arena_printf(&r->arena, "SMTP:%s", domain);
	return *address != NULL ? RC_OK : RC_NOMEM;
}

/* A ';' of a site's name is written "\;" in the value. */
static const char *escaped_name(struct arena *a, const char *site)
{
	const char *text;
	struct buf b;

	buf_init(&b, ADDRESS_VALUE_MAX_BYTES);
	for (; *site != '\0'; site++)
		buf_printf(&b, "%s%c", *site == ';' ? "\\" : "", *site);
	text = buf_rc(&b) == RC_OK ? arena_str(a, buf_span(&b)) : NULL;
	buf_fini(&b);
	return text;
}

static int connect_site(struct sitectl_request *r)
{
	struct ldif_record connector;
	struct sitectl_edit edit = {.arena = &r->arena, .before = &connector};
	const char *site, *address, *name, *value = NULL;
	unsigned old;
	int rc = find_connector(r, &connector);

	if (rc == RC_OK)
		rc = look_up(r, &site, &address);
	if (rc == RC_OK)
		rc = drop_site(&edit, site, &old);
	if (rc != RC_OK)
		return rc;
	name = escaped_name(&r->arena, site);
	if (name != NULL)
		value = arena_printf(&r->arena, "%s;%u;%s", name, new_cost, address);
	if (value == NULL)
		return RC_NOMEM;
	rc = sitectl_edit_step(&edit, SITECTL_ADD, SPAN_LIT("connectedDomains"), span_of(value));
	return rc == RC_OK ? sitectl_edit_commit(&edit, r->conn, r->dry_run) : rc;
}

static int connector_connect(int argc, char **argv)
{
	struct sitectl_request r = {0};
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(r.conn_options),
		SITECTL_SITE_OPT(r),
		{"cost", 0, CLI_UINT, &new_cost, "N", "1 (default) to 100", false},
		{"address", 0, CLI_TEXT, &new_address, "TYPE:ADDRESS",
		 "routing address (SMTP: and the site's domain)", false},
		SITECTL_DRY_RUN_OPT(r),
		{0},
	};
	const struct cli_usage usage = {
		"sitectl connector connect",
		"NAME SITE",
		"Makes SITE a connected domain of the connector: mail for it, and for what lies "
		"behind\n"
		"it, may go that way. What the connector said of SITE before is replaced.",
		opts,
		"  sitectl connector connect --config site1/dird.conf 'Internet Mail Service "
		"(Site1)' Hub\n",
		2,
		2,
	};

	return sitectl_run(&usage, &r, argc, argv, connect_site);
}

static int disconnect_site(struct sitectl_request *r)
{
	struct ldif_record connector;
	struct sitectl_edit edit = {.arena = &r->arena, .before = &connector};
	unsigned old;
	int rc = find_connector(r, &connector);

	if (rc == RC_OK)
		rc = drop_site(&edit, r->words[0], &old);
	if (rc == RC_OK && old == 0) {
		cli_error("\"%s\" has no connected domain for site \"%s\"", r->name, r->words[0]);
		cli_hint("`sitectl connector show` tells which it has");
		return RC_NOTFOUND;
	}
	return rc == RC_OK ? sitectl_edit_commit(&edit, r->conn, r->dry_run) : rc;
}

static int connector_disconnect(int argc, char **argv)
{
	struct sitectl_request r = {0};
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(r.conn_options),
		SITECTL_SITE_OPT(r),
		SITECTL_DRY_RUN_OPT(r),
		{0},
	};
	const struct cli_usage usage = {
		"sitectl connector disconnect",
		"NAME SITE",
		"Takes SITE out of the connected domains of the connector.",
		opts,
		"  sitectl connector disconnect --config site1/dird.conf 'Old Link' Site7\n",
		2,
		2,
	};

	return sitectl_run(&usage, &r, argc, argv, disconnect_site);
}

int sitectl_connector(int argc, char **argv)
{
	static const struct cli_verb verbs[] = {
		{"list", connector_list, "list connectors"},
		{"show", connector_show, "show a connector's attributes"},
		{"add", connector_add, "add a connector"},
		{"set", connector_set, "change a connector's attributes"},
		{"connect", connector_connect, "make a site reachable over a connector"},
		{"disconnect", connector_disconnect, "the opposite"},
		{"delete", connector_delete, "delete a connector"},
		{0},
	};
	static const struct cli_tool tool = {"sitectl connector",
					     "Looks after the mail connectors of a site.", verbs,
					     "  sitectl connector list --config site1/dird.conf\n"
					     "  sitectl connector set --config site1/dird.conf "
					     "'Internet Mail Service (Site1)' \\\n"
					     "      onlySystemMessagesUseCDs=TRUE\n"};

	return cli_run(&tool, argc, argv);
}
