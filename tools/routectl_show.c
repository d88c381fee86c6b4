/* routectl show: the table that the running routed answers from. */
#include "tools/routectl.h"

#include "routed/table.h"
#include "tools/cli.h"
#include "tools/routectl_ask.h"
#include "tools/routectl_print.h"

#include <stdio.h>

#define REPLY_MAX_BYTES ((size_t)1 << 30)

struct show {
	const char *config, *cls;
	bool json, gwart;
	struct buf reply;
	struct span head; /* status lines */
	struct table *table;
};

/* The value of "key=..." in the status lines; empty without it. */
static struct span value_of(struct span lines, const char *key)
{
	struct span line;

	while (lines.n != 0) {
		struct span rest;
		struct span name;

		(void)span_cut(&lines, '\n', &line);
		rest = line;
		if (span_cut(&rest, '=', &name) && span_eq(name, span_of(key)))
			return rest;
	}
	return span_make(NULL, 0);
}

/* Status lines end at an empty line; the saved table follows. */
static int split(struct show *s)
{
	const uint8_t *end = memmem(s->reply.p, s->reply.n, "\n\n", 2);

	if (end == NULL)
		return RC_CORRUPT;
	s->head = span_make(s->reply.p, (size_t)(end - s->reply.p) + 1);
	return table_read(span_from(buf_span(&s->reply), s->head.n + 1), &s->table);
}

/* Returns how many objects were left out. */
static unsigned print_ignored(struct span lines, FILE *to)
{
	struct span line;
	unsigned n = 0;

	while (lines.n != 0) {
		struct span rest;
		struct span name;

		(void)span_cut(&lines, '\n', &line);
		rest = line;
		if (!span_cut(&rest, '=', &name) || !span_eq(name, SPAN_LIT("ignored_object")))
			continue;
		(void)fprintf(to, "ignored: %.*s\n", SPAN_ARG(rest));
		n++;
	}
	return n;
}

static void print_head(const struct show *s)
{
	(void)printf(
		"Site %.*s, generation %.*s, computed %.*s s ago, %.*s routes, directory %.*s\n",
		SPAN_ARG(value_of(s->head, "site")), SPAN_ARG(value_of(s->head, "generation")),
		SPAN_ARG(value_of(s->head, "age_s")), SPAN_ARG(value_of(s->head, "routes")),
		SPAN_ARG(value_of(s->head, "directory")));
	if (span_eq(value_of(s->head, "table"), SPAN_LIT("disk")))
		(void)puts("This is the last table from disk; the directory was not read yet.");
}

static bool is_wanted(const struct show *s, const struct table_row *row)
{
	return s->cls == NULL || strcmp(s->cls, table_class_name((enum table_class)row->cls)) == 0;
}

static int print_json(const struct show *s)
{
	struct buf out;
	uint32_t i;
	int rc;

	buf_init(&out, REPLY_MAX_BYTES);
	for (i = 0; i < s->table->nrows; i++) {
		if (!is_wanted(s, &s->table->rows[i]))
			continue;
		table_row_json(s->table, &s->table->rows[i], &out);
		buf_putc(&out, '\n');
	}
	rc = buf_rc(&out);
	if (rc == RC_OK && fwrite(out.p, 1, out.n, stdout) != out.n)
		rc = RC_IO;
	buf_fini(&out);
	return rc;
}

/* Rows are sorted by class, so those of one class lie together. */
static int print_rows(const struct show *s)
{
	uint32_t first = 0;
	uint32_t n = 0;

	while (first < s->table->nrows && !is_wanted(s, &s->table->rows[first]))
		first++;
	while (first + n < s->table->nrows && is_wanted(s, &s->table->rows[first + n]))
		n++;
	return routectl_print_rows(s->table, s->table->rows + first, n);
}

static int print_gwart(const struct show *s)
{
	bool system = s->cls != NULL && strcmp(s->cls, "system") == 0;
	char *root = routectl_organisation(s->config);
	int rc = root != NULL ? routectl_print_gwart(s->table, span_of(root),
						     system ? TABLE_SYSTEM : TABLE_USER)
			      : RC_INVALID;

	mem_free(root);
	return rc;
}

static int print_table(const struct show *s)
{
	if (s->gwart)
		return print_gwart(s);
	if (s->json)
		return print_json(s);
	print_head(s);
	return print_rows(s);
}

static int show(struct show *s)
{
	unsigned nignored;
	int rc;

	if (!routectl_ask(s->config, "table", &s->reply))
		return CLI_FAILED;
	rc = split(s);
	if (rc == RC_OK)
		rc = print_table(s);
	if (rc != RC_OK) {
		cli_error("the table that routed sent: %s", rc_text(rc));
		return CLI_FAILED;
	}
	nignored = print_ignored(s->head, s->json || s->gwart ? stderr : stdout);
	return nignored != 0 ? CLI_FAILED : CLI_DONE;
}

int routectl_show(int argc, char **argv)
{
	struct show s = {0};
	const struct cli_opt opts[] = {
		{"config", 'c', CLI_TEXT, &s.config, "FILE", "routed.conf of the site", true},
		{"class", 0, CLI_TEXT, &s.cls, "CLASS", "only user or only system rows", false},
		{"json", 0, CLI_FLAG, &s.json, NULL, "one JSON object a row", false},
		{"gwart", 0, CLI_FLAG, &s.gwart, NULL,
		 "the classic text form, of user rows unless --class system", false},
		{0},
	};
	const struct cli_usage usage = {
		.command = "routectl show",
		.args = "",
		.summary =
			"Print the route table that the running routed answers from.\nExit status "
			"1 also when objects of the directory had to be ignored; they are listed.",
		.opts = opts,
		.examples = "  routectl show --config /var/lib/waypost/routed.conf --class user\n",
	};
	int first;
	int status;

	if (!cli_parse(&usage, argc, argv, &first, &status))
		return status;
	if (s.cls != NULL && strcmp(s.cls, "user") != 0 && strcmp(s.cls, "system") != 0) {
		cli_error("--class %s: it is user or system", s.cls);
		return CLI_USAGE;
	}
	if (s.json && s.gwart) {
		cli_error("either --json or --gwart");
		return CLI_USAGE;
	}
	buf_init(&s.reply, REPLY_MAX_BYTES);
	status = show(&s);
	table_free(&s.table);
	buf_fini(&s.reply);
	return status;
}
