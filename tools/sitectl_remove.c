/* sitectl site remove: a site leaves the organisation. */
#include "tools/sitectl.h"

#include "tools/sitectl_common.h"
#include "tools/sitectl_graph.h"

#include <stdio.h>
#include <strings.h>

struct removal {
	struct dirconn *conn;
	struct arena arena;
	struct graph graph;
	const struct graph_site *site;
	const char *name;
	bool force, dry_run;
};

static int refuse_master(const struct removal *r)
{
	if (strcasecmp(r->graph.master, r->name) != 0)
		return RC_OK;
	cli_error("%s writes the organisation's own entries, and nobody else could", r->name);
	cli_hint("the organisation's entries can not be handed to another site");
	return RC_REFUSED;
}

static int refuse_self(const struct removal *r)
{
	const char *own = dirconn_site(r->conn);

	if (own == NULL || strcasecmp(own, r->name) != 0)
		return RC_OK;
	cli_error("%s is this server's own site", r->name);
	cli_hint("run it at %s", r->graph.master);
	return RC_REFUSED;
}

/* Sites that would no longer hear of each other. */
static int refuse_split(struct removal *r)
{
	unsigned before = graph_parts(&r->graph, NULL), i;
	unsigned after = graph_parts(&r->graph, r->name);

	if (after <= before || r->force)
		return RC_OK;
	cli_error("without %s the links would leave %u parts that do not hear of each other:",
		  r->name, after);
	for (i = 0; i < r->graph.nsites; i++) {
		if (r->graph.sites[i].part != UINT32_MAX)
			cli_note("part %u: %s", r->graph.sites[i].part, r->graph.sites[i].name);
	}
	cli_hint("add links between them (sitectl link add), or give --force");
	return RC_REFUSED;
}

static int find_site(struct removal *r)
{
	r->site = graph_find(&r->graph, r->name);
	if (r->site != NULL)
		return RC_OK;
	cli_error("there is no site %s", r->name);
	cli_hint("`sitectl site list` tells which there are");
	return RC_NOTFOUND;
}

static int write_it(struct removal *r)
{
	static const char *const attrs[] = {"removedSite", NULL};
	struct sitectl_edit edit = {.arena = &r->arena};
	struct ldif_record root;
	int rc = dirconn_read(r->conn, &r->arena, dirconn_root(r->conn), attrs, &root);

	edit.before = &root;
	if (rc == RC_OK)
		rc = sitectl_edit_step(&edit, SITECTL_ADD, SPAN_LIT("removedSite"),
				       span_of(r->site->uuid));
	return rc == RC_OK ? sitectl_edit_commit(&edit, r->conn, r->dry_run) : rc;
}

/* Links to the site: our own are deleted, others' are told. */
static int end_links(const struct removal *r)
{
	const char *own = dirconn_site(r->conn);
	unsigned i;
	int rc = RC_OK;

	for (i = 0; i < r->graph.nlinks && rc == RC_OK; i++) {
		const struct graph_link *l = &r->graph.links[i];

		if (strcasecmp(l->to, r->name) != 0 || strcasecmp(l->from, r->name) == 0)
			continue;
		if (own != NULL && strcasecmp(l->from, own) == 0)
			rc = sitectl_delete(r->conn, span_of(l->dn), r->dry_run);
		else
			cli_note("%s has a link to %s still: sitectl link delete %s, at %s",
				 l->from, r->name, r->name, l->from);
	}
	return rc;
}

static int remove_site(struct removal *r)
{
	int rc = graph_read(r->conn, &r->arena, &r->graph);

	if (rc == RC_OK)
		rc = find_site(r);
	if (rc == RC_OK)
		rc = refuse_master(r);
	if (rc == RC_OK)
		rc = refuse_self(r);
	if (rc == RC_OK)
		rc = refuse_split(r);
	if (rc == RC_OK)
		rc = write_it(r);
	if (rc == RC_OK && !r->dry_run)
		printf("%s is removed: its entries and keys go at every site\n", r->name);
	if (rc == RC_OK)
		rc = end_links(r);
	return rc;
}

int sitectl_site_remove(int argc, char **argv)
{
	struct dirconn_options o = {.config = NULL};
	struct removal r = {.force = false};
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(o),
		{"force", 0, CLI_FLAG, &r.force, NULL,
		 "even if the links leave parts that do not hear of each other", false},
		{"dry-run", 'n', CLI_FLAG, &r.dry_run, NULL,
		 "say what would change, change nothing", false},
		{0}};
	const struct cli_usage u = {
		"sitectl site remove",
		"NAME",
		"Removes a site from the organisation: all its entries, its keys and what is known "
		"of "
		"its changes go\nat every site, and nothing of it is taken again. A site that "
		"joins "
		"later under the same name is\nanother one. Run it at the site that writes the "
		"organisation's own entries.",
		opts,
		"  sitectl site remove --config hub/dird.conf Site2\n",
		1,
		1};
	int first, status, rc;

	if (!cli_parse(&u, argc, argv, &first, &status))
		return status;
	r.name = argv[first];
	rc = dirconn_open(&o, &r.conn);
	if (rc == RC_OK)
		rc = remove_site(&r);
	dirconn_close(&r.conn);
	arena_fini(&r.arena);
	return rc == RC_OK ? CLI_DONE : CLI_FAILED;
}
