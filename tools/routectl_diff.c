/* routectl diff: what differs between two tables, wherever they come from. */
#include "tools/routectl.h"

#include "lib/file.h"
#include "routed/compute.h"
#include "routed/rows.h"
#include "tools/routectl_source.h"

#define INPUT_MAX_BYTES ((size_t)1 << 30)
#define TABLE_MAGIC "WPRT"

/* One side of the comparison, and what its rows borrow. */
struct side {
	const char *path;
	struct buf file;
	struct table *table;
	struct rows rows;
};

static int read_json(struct side *s, struct arena *a)
{
	unsigned long line;
	const char *why;
	int rc = rows_of_json(buf_span(&s->file), a, &s->rows, &line, &why);

	if (rc == RC_INVALID)
		cli_error("%s:%lu: %s", s->path, line, why);
	else if (rc != RC_OK)
		cli_error("%s: %s", s->path, rc_text(rc));
	return rc;
}

static int compute(struct side *s, const char *site)
{
	const struct routectl_source source = {.ldif = s->path};
	struct routectl_entries e;
	unsigned long ignored = 0;
	struct model *m = NULL;
	int rc;

	if (site == NULL) {
		cli_error("%s is neither a saved table nor JSON lines", s->path);
		cli_hint("if it is LDIF, say for which site: --site SITE");
		return RC_INVALID;
	}
	routectl_entries_init(&e);
	rc = routectl_source_read(&source, &e, &ignored);
	if (rc == RC_OK) {
		rc = routectl_entries_model(&e, &m);
		if (rc == RC_OK)
			rc = routectl_tell_ignored(m, true, &ignored);
		if (rc == RC_OK)
			rc = compute_table(m, span_of(site), &s->table);
		if (rc == RC_NOTFOUND)
			cli_error("%s has no site %s", s->path, site);
		else if (rc != RC_OK)
			cli_error("%s: %s", s->path, rc_text(rc));
	}
	model_free(&m);
	routectl_entries_fini(&e);
	return rc;
}

/* A saved table begins with its magic, JSON lines with '{'; an empty file has no rows. */
static int read_side(struct side *s, const char *site, struct arena *a)
{
	int rc = file_read(s->path, &s->file);
	struct span content = buf_span(&s->file);

	if (rc != RC_OK) {
		cli_error("%s: %s", s->path, rc_text(rc));
		return rc;
	}
	if (span_trim(content).n == 0 || content.p[0] == '{')
		return read_json(s, a);
	if (span_starts(content, SPAN_LIT(TABLE_MAGIC))) {
		rc = table_read(content, &s->table);
		if (rc != RC_OK)
			cli_error("%s: %s", s->path, rc_text(rc));
	} else {
		rc = compute(s, site);
	}
	return rc == RC_OK ? rows_of_table(s->table, a, &s->rows) : rc;
}

static struct span site_of(const struct side sides[2])
{
	const struct table *t = sides[1].table != NULL ? sides[1].table : sides[0].table;

	return t != NULL ? table_text(t, t->site) : (struct span){NULL, 0};
}

/* Returns RC_OK and in *n how many targets differ. */
static int print(const struct side sides[2], bool json, struct arena *a, size_t *n)
{
	struct rows_change *changes;
	struct buf b;
	size_t i;
	int rc = rows_compare(&sides[0].rows, &sides[1].rows, a, &changes, n);

	if (rc != RC_OK)
		return rc;
	buf_init(&b, INPUT_MAX_BYTES);
	for (i = 0; i < *n; i++) {
		if (json)
			rows_change_json(site_of(sides), &changes[i], &b);
		else
			rows_change_write(&changes[i], &b);
	}
	rc = routectl_flush(stdout, &b);
	buf_fini(&b);
	return rc;
}

static int diff(const char *const paths[2], const char *site, bool json)
{
	struct side sides[2] = {{.path = paths[0]}, {.path = paths[1]}};
	struct arena a;
	size_t n = 0;
	unsigned i;
	int rc = RC_OK;

	arena_init(&a);
	for (i = 0; i < 2; i++)
		buf_init(&sides[i].file, INPUT_MAX_BYTES);
	for (i = 0; i < 2 && rc == RC_OK; i++)
		rc = read_side(&sides[i], site, &a);
	if (rc == RC_OK) {
		rc = print(sides, json, &a, &n);
		if (rc != RC_OK)
			cli_error("%s", rc_text(rc));
	}
	for (i = 0; i < 2; i++) {
		table_free(&sides[i].table);
		buf_fini(&sides[i].file);
	}
	arena_fini(&a);
	if (rc != RC_OK)
		return CLI_USAGE;
	return n != 0 ? CLI_FAILED : CLI_DONE;
}

int routectl_diff(int argc, char **argv)
{
	const char *site = NULL;
	bool json = false;
	const struct cli_opt opts[] = {
		{"site", 's', CLI_TEXT, &site, "SITE", "the site whose routes to compute from LDIF",
		 false},
		{"json", 'j', CLI_FLAG, &json, NULL, "one JSON object a target", false},
		{0},
	};
	const struct cli_usage usage = {
		.command = "routectl diff",
		.args = "A B",
		.summary =
			"Compare two routing tables. Each may be a saved table (routed/table of a "
			"site folder), the JSON lines of compute or show, or an LDIF file of the "
			"organisation.\nExit status 0: the same; 1: they differ; 2: failed.",
		.opts = opts,
		.examples = "  routectl diff --site Site1 yesterday.ldif today.ldif\n"
			    "  routectl show --config routed.conf --json >now.json; "
			    "routectl diff before.json now.json\n",
		.min_args = 2,
		.max_args = 2,
	};
	int first, status;

	if (!cli_parse(&usage, argc, argv, &first, &status))
		return status;
	return diff((const char *const[]){argv[first], argv[first + 1]}, site, json);
}
