/* routectl trace: a recipient's mail, hop by hop over the tables of all sites. */
#include "tools/routectl.h"

#include "routed/compute.h"
#include "routed/netstring.h"
#include "routed/trace.h"
#include "tools/routectl_source.h"

#define OUTPUT_MAX_BYTES ((size_t)1 << 26)

struct options {
	struct routectl_source source;
	const char *from, *cls, *address;
	bool json;
};

/* Tables that the walk has asked for. A way visits few sites. */
struct tables {
	const struct model *m;
	struct table **items;
	size_t n, size;
};

static int get_table(void *arg, struct span site, const struct table **out)
{
	struct tables *all = arg;
	struct table *t = NULL, **bigger;
	size_t size = all->size != 0 ? all->size * 2 : 16;
	int rc;

	if (all->n == all->size) {
		bigger = mem_realloc(all->items, size * sizeof(struct table *));
		if (bigger == NULL)
			return RC_NOMEM;
		all->items = bigger;
		all->size = size;
	}
	rc = compute_table(all->m, site, &t);
	if (rc == RC_OK)
		all->items[all->n++] = t;
	*out = t;
	return rc;
}

static int print(const struct trace *t, bool json)
{
	struct buf b;
	int rc;

	buf_init(&b, OUTPUT_MAX_BYTES);
	if (json)
		trace_json(t, &b);
	else
		trace_write(t, &b);
	rc = routectl_flush(stdout, &b);
	buf_fini(&b);
	return rc;
}

static int walk(const struct model *m, const struct options *o, bool *bad)
{
	enum table_class cls = strcmp(o->cls, "system") == 0 ? TABLE_SYSTEM : TABLE_USER;
	struct tables all = {.m = m};
	struct buf scratch;
	struct trace t;
	struct arena a;
	int rc;

	arena_init(&a);
	buf_init(&scratch, (size_t)4 * NETSTRING_REQUEST_MAX_BYTES);
	rc = trace_run(span_of(o->address), cls, span_of(o->from), get_table, &all, &a, &scratch,
		       &t);
	if (rc == RC_INVALID)
		cli_error("%s is no mail address", o->address);
	else if (rc == RC_NOTFOUND)
		cli_error("there is no site %s", o->from);
	else if (rc != RC_OK)
		cli_error("%s", rc_text(rc));
	if (rc == RC_OK) {
		*bad = trace_is_bad(t.end);
		rc = print(&t, o->json);
	}
	while (all.n != 0)
		table_free(&all.items[--all.n]);
	mem_free(all.items);
	buf_fini(&scratch);
	arena_fini(&a);
	return rc;
}

static int trace(const struct options *o)
{
	struct routectl_entries e;
	unsigned long ignored = 0;
	struct model *m = NULL;
	bool bad = false;
	int rc;

	routectl_entries_init(&e);
	rc = routectl_source_read(&o->source, &e, &ignored);
	if (rc == RC_OK) {
		rc = routectl_entries_model(&e, &m);
		if (rc == RC_OK)
			rc = routectl_tell_ignored(m, !o->json, &ignored);
		if (rc != RC_OK)
			cli_error("%s", rc_text(rc));
	}
	if (rc == RC_OK)
		rc = walk(m, o, &bad);
	model_free(&m);
	routectl_entries_fini(&e);
	if (rc != RC_OK)
		return CLI_USAGE;
	return bad || ignored != 0 ? CLI_FAILED : CLI_DONE;
}

int routectl_trace(int argc, char **argv)
{
	struct options o = {.cls = "user"};
	const struct cli_opt opts[] = {
		ROUTECTL_SOURCE_OPTS(o.source),
		{"from-site", 's', CLI_TEXT, &o.from, "SITE", "where the mail begins", true},
		{"class", 0, CLI_TEXT, &o.cls, "CLASS", "user (default) or system", false},
		{"json", 'j', CLI_FLAG, &o.json, NULL, "one JSON object", false},
		{0},
	};
	const struct cli_usage usage = {
		.command = "routectl trace",
		.args = "ADDRESS",
		.summary =
			"Follow mail for ADDRESS from site to site: each answers from its own "
			"table, computed here\nfrom the same entries with the code that routed "
			"runs. Finds loops and dead ends.\nExit status 1: there is one, or values "
			"had to be left out; 2: failed.",
		.opts = opts,
		.examples = "  routectl trace --ldif organisation.ldif --from-site Site1 "
			    "bob@site2.example.com\n",
		.min_args = 1,
		.max_args = 1,
	};
	int first, status;

	if (!cli_parse(&usage, argc, argv, &first, &status))
		return status;
	if (strcmp(o.cls, "user") != 0 && strcmp(o.cls, "system") != 0) {
		cli_error("--class %s: it is user or system", o.cls);
		return CLI_USAGE;
	}
	if (!routectl_source_check(&o.source))
		return CLI_USAGE;
	o.address = argv[first];
	if (o.address[0] == '\0' || strpbrk(o.address, " \t\r\n") != NULL) {
		cli_error("an address has no blanks");
		return CLI_USAGE;
	}
	return trace(&o);
}
