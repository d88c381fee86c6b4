/* routectl history: what changed in the table of a site, when, and why. */
#include "tools/routectl.h"

#include "lib/file.h"
#include "routed/history.h"
#include "routed/settings.h"
#include "tools/cli.h"

#include <stdio.h>

#define FILE_MAX_BYTES ((size_t)1 << 30)

struct choice {
	const char *config, *why;
	unsigned count;
	bool json;
};

/* The file of the state folder, so that it can be read without a running routed, too. */
static bool read_file(const char *config, struct buf *out)
{
	struct settings settings;
	struct buf errors;
	struct arena a;
	const char *path;
	int rc;

	arena_init(&a);
	buf_init(&errors, (size_t)64 * 1024);
	rc = settings_read(config, &a, &settings, &errors);
	if (rc != RC_OK) {
		cli_error("%s", errors.n != 0 ? buf_cstr(&errors) : rc_text(rc));
	} else {
		path = arena_printf(&a, "%s/history", settings.state);
		rc = path != NULL ? file_read(path, out) : RC_NOMEM;
		if (rc == RC_NOTFOUND)
			rc = RC_OK; /* nothing has happened yet */
		if (rc != RC_OK)
			cli_error("%s/history: %s", settings.state, rc_text(rc));
	}
	buf_fini(&errors);
	arena_fini(&a);
	return rc == RC_OK;
}

static bool is_chosen(const struct choice *c, struct span record)
{
	return c->why == NULL || history_concerns(record, span_of(c->why));
}

/* Only the newest ones are wanted: how many to pass over. */
static unsigned to_skip(const struct choice *c, struct span text)
{
	struct span record;
	unsigned n = 0;

	while (history_next(&text, &record))
		n += is_chosen(c, record);
	return c->count != 0 && n > c->count ? n - c->count : 0;
}

static int print(const struct choice *c, struct span text)
{
	unsigned skip = to_skip(c, text);
	struct span record;
	struct buf out;
	int status = CLI_DONE;

	while (history_next(&text, &record)) {
		if (!is_chosen(c, record) || (skip != 0 && skip-- != 0))
			continue;
		buf_init(&out, FILE_MAX_BYTES);
		if (c->json)
			history_json(record, span_of(c->why), &out);
		else
			history_text(record, span_of(c->why), &out);
		if (buf_rc(&out) != RC_OK || fwrite(out.p, 1, out.n, stdout) != out.n)
			status = CLI_FAILED;
		buf_fini(&out);
	}
	return status;
}

int routectl_history(int argc, char **argv)
{
	struct choice c = {0};
	const struct cli_opt opts[] = {
		{"config", 'c', CLI_TEXT, &c.config, "FILE", "routed.conf of the site", true},
		{"why", 0, CLI_TEXT, &c.why, "NAME",
		 "only what changed the routes of a domain, site, address or address space", false},
		{"last", 'n', CLI_UINT, &c.count, "N", "only the newest N", false},
		{"json", 0, CLI_FLAG, &c.json, NULL, "one JSON object a change of the table",
		 false},
		{0},
	};
	const struct cli_usage usage = {
		.command = "routectl history",
		.args = "",
		.summary =
			"Tell what changed in the site's route table, when, and why: the entries "
			"of the directory with their stamps, DNS, dampening, or an operator. "
			"Oldest first; routed keeps the last 1000.",
		.opts = opts,
		.examples = "  routectl history --config /var/lib/waypost/routed.conf --why "
			    "site2.example.com\n",
	};
	struct buf text;
	int first;
	int status;

	if (!cli_parse(&usage, argc, argv, &first, &status))
		return status;
	buf_init(&text, FILE_MAX_BYTES);
	status = CLI_FAILED;
	if (read_file(c.config, &text))
		status = print(&c, history_tail(buf_span(&text), HISTORY_RECORDS));
	buf_fini(&text);
	return status;
}
