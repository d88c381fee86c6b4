/* sitectl topology: the organisation as a picture. */
#include "tools/sitectl.h"

#include "tools/sitectl_graph.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define MAX_CONTEXTS 20000

/* How this server's own links are: the worst of all contexts. */
struct lag {
	const char *partner, *state;
	uint64_t behind;
	bool is_known;
};

struct context {
	const char *name;
	uint64_t epoch, usn;
};

struct picture {
	struct dirconn *conn;
	struct arena arena;
	struct graph graph;
	struct context *contexts;
	struct lag *lags;
	unsigned ncontexts, nlags;
	FILE *out;
};

/* --- lag --- */

static bool read_position(const char *text, uint64_t *epoch, uint64_t *usn)
{
	return text != NULL && sscanf(text, "%" SCNu64 ":%" SCNu64, epoch, usn) == 2;
}

static int note_context(const struct ldif_record *entry, void *arg)
{
	struct picture *p = arg;
	struct context *at = mem_realloc(p->contexts, (p->ncontexts + 1) * sizeof(*at));
	uint64_t epoch, usn;

	if (at == NULL)
		return RC_NOMEM;
	p->contexts = at;
	if (p->ncontexts == MAX_CONTEXTS)
		return RC_TOOBIG;
	if (read_position(dirconn_value(entry, "position"), &epoch, &usn))
		at[p->ncontexts++] = (struct context){
			arena_str(&p->arena, span_of(dirconn_value(entry, "ncName"))), epoch, usn};
	return RC_OK;
}

static struct lag *lag_of(struct picture *p, const char *partner)
{
	struct lag *at;
	unsigned i;

	for (i = 0; i < p->nlags; i++) {
		if (strcasecmp(p->lags[i].partner, partner) == 0)
			return &p->lags[i];
	}
	at = mem_realloc(p->lags, (p->nlags + 1) * sizeof(*at));
	if (at == NULL)
		return NULL;
	p->lags = at;
	at[p->nlags] = (struct lag){.partner = arena_str(&p->arena, span_of(partner))};
	return at[p->nlags].partner != NULL ? &at[p->nlags++] : NULL;
}

static int note_partner(const struct ldif_record *entry, void *arg)
{
	const char *name = dirconn_value(entry, "ncName"), *state;
	struct picture *p = arg;
	struct lag *lag = lag_of(p, dirconn_value(entry, "partnerName"));
	uint64_t epoch, usn;
	unsigned i;

	if (lag == NULL)
		return RC_NOMEM;
	state = dirconn_value(entry, "linkState");
	lag->state = arena_str(&p->arena, span_of(state != NULL ? state : ""));
	if (!read_position(dirconn_value(entry, "partnerPosition"), &epoch, &usn) || name == NULL)
		return RC_OK;
	for (i = 0; i < p->ncontexts; i++) {
		if (strcmp(p->contexts[i].name, name) != 0 || p->contexts[i].epoch != epoch)
			continue;
		lag->is_known = true;
		if (usn > p->contexts[i].usn && usn - p->contexts[i].usn > lag->behind)
			lag->behind = usn - p->contexts[i].usn;
	}
	return RC_OK;
}

/* Without the right to see cn=monitor the picture has no lag. */
static int read_lag(struct picture *p)
{
	struct dirconn_search s = {"cn=monitor", DIRCONN_SUB, "(objectClass=monitoredContext)",
				   NULL, 0};
	int rc = dirconn_search(p->conn, &s, note_context, p);

	s.filter = "(objectClass=monitoredPartner)";
	if (rc == RC_OK)
		rc = dirconn_search(p->conn, &s, note_partner, p);
	return rc == RC_NOTFOUND ? RC_OK : rc;
}

/* "persisting, 3 behind" for a link of the server's own site; NULL for others'. */
static const char *lag_text(struct picture *p, const struct graph_link *l)
{
	const char *own = dirconn_site(p->conn);
	const struct lag *lag;

	if (own == NULL || strcasecmp(own, l->from) != 0)
		return NULL;
	lag = lag_of(p, l->to);
	if (lag == NULL || lag->state == NULL)
		return NULL;
	return lag->is_known
		       ? arena_printf(&p->arena, "%s, %" PRIu64 " behind", lag->state, lag->behind)
		       : lag->state;
}

/* --- text --- */

static void print_site(struct picture *p, const struct graph_site *s)
{
	const char *text;
	unsigned i;

	fprintf(p->out, "%s%s%s%s\n", s->name, s->domain[0] != '\0' ? "  " : "", s->domain,
		strcasecmp(s->name, p->graph.master) == 0 ? "  (writes the organisation's entries)"
							  : "");
	for (i = 0; i < p->graph.nlinks; i++) {
		const struct graph_link *l = &p->graph.links[i];

		if (strcasecmp(l->from, s->name) != 0)
			continue;
		text = lag_text(p, l);
		fprintf(p->out, "  changes from  %s%s%s%s%s\n", l->to,
			l->is_enabled ? "" : "  (disabled)", text != NULL ? "  (" : "",
			text != NULL ? text : "", text != NULL ? ")" : "");
	}
	for (i = 0; i < p->graph.nconnectors; i++) {
		const struct graph_connector *c = &p->graph.connectors[i];

		if (strcasecmp(c->from, s->name) == 0)
			fprintf(p->out, "  mail to       %s  (%s, cost %s)\n", c->to, c->name,
				c->cost);
	}
}

static void print_text(struct picture *p)
{
	unsigned parts = graph_parts(&p->graph, NULL), i;

	for (i = 0; i < p->graph.nsites; i++)
		print_site(p, &p->graph.sites[i]);
	if (parts > 1)
		fprintf(p->out, "\nThe links leave %u parts that do not hear of each other.\n",
			parts);
}

/* --- Graphviz --- */

static void put_quoted(FILE *out, const char *text)
{
	putc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			putc('\\', out);
		putc((unsigned char)*text < ' ' ? ' ' : *text, out);
	}
	putc('"', out);
}

static void put_edge(struct picture *p, const char *from, const char *to, const char *label,
		     const char *style)
{
	fputs("  ", p->out);
	put_quoted(p->out, from);
	fputs(" -> ", p->out);
	put_quoted(p->out, to);
	fputs(" [label=", p->out);
	put_quoted(p->out, label != NULL ? label : "");
	fprintf(p->out, ", %s];\n", style);
}

/* Changes flow from the site that is asked; mail the other way round from the connector. */
static void print_dot(struct picture *p)
{
	unsigned parts = graph_parts(&p->graph, NULL), i;

	fputs("digraph waypost {\n  node [shape=box, style=rounded];\n", p->out);
	for (i = 0; i < p->graph.nsites; i++) {
		const struct graph_site *s = &p->graph.sites[i];

		fputs("  ", p->out);
		put_quoted(p->out, s->name);
		fprintf(p->out, "%s%s;\n",
			strcasecmp(s->name, p->graph.master) == 0 ? " [penwidth=2]" : "",
			parts > 1 && s->part > 1 ? " [color=red]" : "");
	}
	for (i = 0; i < p->graph.nlinks; i++) {
		const struct graph_link *l = &p->graph.links[i];

		put_edge(p, l->to, l->from, lag_text(p, l),
			 l->is_enabled ? "color=blue" : "color=gray");
	}
	for (i = 0; i < p->graph.nconnectors; i++) {
		const struct graph_connector *c = &p->graph.connectors[i];

		put_edge(p, c->from, c->to,
			 arena_printf(&p->arena, "%s, cost %s", c->name, c->cost), "style=dashed");
	}
	fputs("}\n", p->out);
}

/* dot reads the picture and writes the file. */
static int print_svg(struct picture *p, const char *path)
{
	char command[] = "dot -Tsvg >\"$WAYPOST_SVG\"";
	int status;

	if (system("command -v dot >/dev/null 2>&1") != 0) {
		cli_error("dot is not installed; it draws the picture");
		cli_hint("install the package graphviz, or use --dot");
		return RC_NOTFOUND;
	}
	setenv("WAYPOST_SVG", path, 1);
	p->out = popen(command, "w");
	if (p->out == NULL)
		return rc_from_errno(errno);
	print_dot(p);
	status = pclose(p->out);
	p->out = stdout;
	if (status != 0)
		cli_error("%s: dot could not write it", path);
	return status == 0 ? RC_OK : RC_IO;
}

static int draw(struct picture *p, bool dot, const char *svg)
{
	int rc = graph_read(p->conn, &p->arena, &p->graph);

	if (rc == RC_OK)
		rc = read_lag(p);
	if (rc == RC_OK && svg != NULL)
		rc = print_svg(p, svg);
	else if (rc == RC_OK && dot)
		print_dot(p);
	else if (rc == RC_OK)
		print_text(p);
	return rc;
}

int sitectl_topology(int argc, char **argv)
{
	struct dirconn_options o = {.config = NULL};
	struct picture p = {.out = stdout};
	const char *svg = NULL;
	bool dot = false;
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(o),
		{"dot", 0, CLI_FLAG, &dot, NULL, "a graph in the language of Graphviz", false},
		{"svg", 0, CLI_TEXT, &svg, "FILE", "a picture, drawn by dot of Graphviz", false},
		{0}};
	const struct cli_usage u = {
		"sitectl topology",
		"",
		"Shows the sites, from whom each takes directory changes, and to whom its mail "
		"connectors lead. For\nthe server's own links also their state and how far behind "
		"they are.",
		opts,
		"  sitectl topology --config hub/dird.conf\n"
		"  sitectl topology --config hub/dird.conf --svg sites.svg\n",
		0,
		0};
	int first, status, rc;

	if (!cli_parse(&u, argc, argv, &first, &status))
		return status;
	rc = dirconn_open(&o, &p.conn);
	if (rc == RC_OK)
		rc = draw(&p, dot, svg);
	dirconn_close(&p.conn);
	mem_free(p.contexts);
	mem_free(p.lags);
	arena_fini(&p.arena);
	return rc == RC_OK ? CLI_DONE : CLI_FAILED;
}
