#include "tools/sitectl_graph.h"

#include "tools/sitectl_common.h"

#include <strings.h>

#define GRAPH_MAX 20000

struct reading {
	struct graph *g;
	struct arena *a;
	const char *root;
	int rc;
};

static const char *kept(struct reading *r, const char *text)
{
	const char *copy = arena_str(r->a, span_of(text != NULL ? text : ""));

	if (copy == NULL)
		r->rc = RC_NOMEM;
	return copy;
}

/* Room for one more; the arrays are doubled in the arena. */
static void *one_more(struct reading *r, void *at, unsigned n, size_t size)
{
	void *more;

	if (n != 0 && (n & (n - 1)) != 0)
		return at;
	if (n >= GRAPH_MAX) {
		r->rc = RC_TOOBIG;
		return NULL;
	}
	more = arena_zalloc(r->a, n != 0 ? 2 * (size_t)n : 1, size);
	if (more == NULL)
		r->rc = RC_NOMEM;
	else if (n != 0)
		memcpy(more, at, n * size);
	return more;
}

static int note_site(const struct ldif_record *entry, void *arg)
{
	struct reading *r = arg;
	struct graph *g = r->g;

	g->sites = one_more(r, g->sites, g->nsites, sizeof(*g->sites));
	if (r->rc == RC_OK)
		g->sites[g->nsites++] = (struct graph_site){
			.name = kept(r, dirconn_value(entry, "ou")),
			.uuid = kept(r, dirconn_value(entry, "entryUUID")),
			.domain = kept(r, dirconn_value(entry, "siteSmtpDomain"))};
	return r->rc;
}

static int note_link(const struct ldif_record *entry, void *arg)
{
	const char *on = dirconn_value(entry, "connectorEnabled");
	struct reading *r = arg;
	struct graph *g = r->g;

	g->links = one_more(r, g->links, g->nlinks, sizeof(*g->links));
	if (r->rc == RC_OK)
		g->links[g->nlinks++] = (struct graph_link){
			.dn = arena_str(r->a, entry->dn),
			.from = kept(r, dirconn_site_of(r->a, entry->dn, r->root)),
			.to = kept(r, dirconn_value(entry, "remoteSite")),
			.uri = kept(r, dirconn_value(entry, "replicationURI")),
			.is_enabled = on == NULL || strcasecmp(on, "FALSE") != 0};
	return r->rc;
}

/* "site;cost;TYPE:address"; names with an escape are not cut. */
static int note_connected(struct reading *r, const struct ldif_record *entry, struct span value)
{
	struct span rest = value, site, cost;
	struct graph *g = r->g;

	if (!span_cut(&rest, ';', &site) || !span_cut(&rest, ';', &cost))
		return RC_OK;
	g->connectors = one_more(r, g->connectors, g->nconnectors, sizeof(*g->connectors));
	if (r->rc == RC_OK)
		g->connectors[g->nconnectors++] = (struct graph_connector){
			.from = kept(r, dirconn_site_of(r->a, entry->dn, r->root)),
			.to = arena_str(r->a, site),
			.name = kept(r, dirconn_value(entry, "cn")),
			.cost = arena_str(r->a, cost)};
	return r->rc;
}

static int note_connector(const struct ldif_record *entry, void *arg)
{
	const struct ldif_attr *values = dirconn_attr(entry, "connectedDomains");
	unsigned i;
	int rc = RC_OK;

	for (i = 0; values != NULL && rc == RC_OK && i < values->nvalues; i++)
		rc = note_connected(arg, entry, values->values[i]);
	return rc;
}

int graph_read(struct dirconn *c, struct arena *a, struct graph *out)
{
	static const char *const root_attrs[] = {"masterSite", NULL};
	static const char *const site_attrs[] = {"ou", "entryUUID", "siteSmtpDomain", NULL};
	struct dirconn_search s = {dirconn_root(c), DIRCONN_ONE, "(objectClass=mailSite)",
				   site_attrs, 0};
	struct reading r = {.g = out, .a = a, .root = dirconn_root(c)};
	struct ldif_record root;
	int rc;

	memset(out, 0, sizeof(*out));
	rc = dirconn_read(c, a, r.root, root_attrs, &root);
	if (rc == RC_OK)
		out->master = kept(&r, dirconn_value(&root, "masterSite"));
	if (rc == RC_OK)
		rc = dirconn_search(c, &s, note_site, &r);
	s = (struct dirconn_search){r.root, DIRCONN_SUB, "(objectClass=replicationConnector)", NULL,
				    0};
	if (rc == RC_OK)
		rc = dirconn_search(c, &s, note_link, &r);
	s.filter = SITECTL_CONNECTORS;
	if (rc == RC_OK)
		rc = dirconn_search(c, &s, note_connector, &r);
	if (rc == RC_TOOBIG)
		cli_error("more than %u sites or links", GRAPH_MAX);
	else if (rc != RC_OK)
		cli_error("reading the sites: %s", rc_text(rc));
	return rc;
}

struct graph_site *graph_find(struct graph *g, const char *name)
{
	unsigned i;

	for (i = 0; i < g->nsites; i++) {
		if (strcasecmp(g->sites[i].name, name) == 0)
			return &g->sites[i];
	}
	return NULL;
}

/* Everything that hangs together with a part gets its number; false when nothing changed. */
static bool spread(struct graph *g)
{
	bool changed = false;
	unsigned i;

	for (i = 0; i < g->nlinks; i++) {
		struct graph_site *a = graph_find(g, g->links[i].from);
		struct graph_site *b = graph_find(g, g->links[i].to);

		if (!g->links[i].is_enabled || a == NULL || b == NULL || a->part == b->part ||
		    a->part == UINT32_MAX || b->part == UINT32_MAX)
			continue;
		if (a->part == 0 || (b->part != 0 && b->part < a->part))
			a->part = b->part;
		else
			b->part = a->part;
		changed = true;
	}
	return changed;
}

unsigned graph_parts(struct graph *g, const char *without)
{
	unsigned i, parts = 0;

	for (i = 0; i < g->nsites; i++)
		g->sites[i].part = without != NULL && strcasecmp(g->sites[i].name, without) == 0
					   ? UINT32_MAX
					   : 0;
	for (i = 0; i < g->nsites; i++) {
		if (g->sites[i].part != 0)
			continue;
		g->sites[i].part = ++parts;
		while (spread(g))
			;
	}
	return parts;
}
