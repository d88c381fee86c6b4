/* routectl status, resync, recalc, accept: the state of the running routed, and telling it
 * something.
 */
#include "tools/routectl.h"

#include "routed/table.h"
#include "tools/cli.h"
#include "tools/routectl_ask.h"

#include <stdio.h>

#define REPLY_MAX_BYTES ((size_t)16 * 1024 * 1024)
#define OBJECT_KEY "ignored_object"

/* The next "key=value" line. */
static bool next_pair(struct span *lines, struct span *key, struct span *value)
{
	while (lines->n != 0) {
		(void)span_cut(lines, '\n', value);
		if (span_cut(value, '=', key))
			return true;
	}
	return false;
}

static bool is_number(struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	}
	return s.n != 0 && s.n < 19;
}

static bool is_object(struct span key)
{
	return span_eq(key, SPAN_LIT(OBJECT_KEY));
}

static void put_json_value(struct span value, struct buf *out)
{
	if (is_number(value))
		buf_put(out, value);
	else
		table_json_string(value, out);
}

static void write_json(struct span lines, struct buf *out)
{
	struct span at = lines, key, value;
	const char *between = "{";

	while (next_pair(&at, &key, &value)) {
		if (is_object(key))
			continue;
		buf_puts(out, between);
		table_json_string(key, out);
		buf_putc(out, ':');
		put_json_value(value, out);
		between = ",";
	}
	buf_puts(out, ",\"ignored_objects\":[");
	between = "";
	for (at = lines; next_pair(&at, &key, &value);) {
		if (!is_object(key))
			continue;
		buf_puts(out, between);
		table_json_string(value, out);
		between = ",";
	}
	buf_puts(out, "]}\n");
}

/* The text format of Prometheus: numbers as they are, words as labels of one info metric. */
static void write_metrics(struct span lines, struct buf *out)
{
	struct span at = lines, key, value;
	const char *between = "waypost_routed_info{";

	while (next_pair(&at, &key, &value)) {
		if (is_number(value) && !is_object(key))
			buf_printf(out, "waypost_routed_%.*s %.*s\n", SPAN_ARG(key),
				   SPAN_ARG(value));
	}
	for (at = lines; next_pair(&at, &key, &value);) {
		if (is_number(value) || is_object(key))
			continue;
		buf_printf(out, "%s%.*s=", between, SPAN_ARG(key));
		table_json_string(value, out);
		between = ",";
	}
	buf_puts(out, "} 1\n");
}

int routectl_status(int argc, char **argv)
{
	const char *config = NULL;
	bool json = false, metrics = false;
	const struct cli_opt opts[] = {
		{"config", 'c', CLI_TEXT, &config, "FILE", "routed.conf of the site", true},
		{"json", 0, CLI_FLAG, &json, NULL, "one JSON object", false},
		{"metrics", 0, CLI_FLAG, &metrics, NULL, "in the text format of Prometheus", false},
		{0},
	};
	const struct cli_usage usage = {
		.command = "routectl status",
		.args = "",
		.summary = "Print the state of the running routed, one key=value a line: table, "
			   "directory session, DNS checks, counters.",
		.opts = opts,
		.examples = "  routectl status --config /var/lib/waypost/routed.conf --json\n",
	};
	struct buf reply, out;
	int first;
	int status;

	if (!cli_parse(&usage, argc, argv, &first, &status))
		return status;
	if (json && metrics) {
		cli_error("either --json or --metrics");
		return CLI_USAGE;
	}
	buf_init(&reply, REPLY_MAX_BYTES);
	buf_init(&out, 2 * REPLY_MAX_BYTES);
	status = CLI_FAILED;
	if (routectl_ask(config, "status", &reply)) {
		if (json)
			write_json(buf_span(&reply), &out);
		else if (metrics)
			write_metrics(buf_span(&reply), &out);
		else
			buf_put(&out, buf_span(&reply));
		status = fwrite(out.p, 1, out.n, stdout) == out.n ? CLI_DONE : CLI_FAILED;
	}
	buf_fini(&reply);
	buf_fini(&out);
	return status;
}

/* A verb that sends its own name and prints the answer. */
static int plain(const char *verb, const char *summary, int argc, char **argv)
{
	const char *config = NULL;
	char command[64];
	const struct cli_opt opts[] = {
		{"config", 'c', CLI_TEXT, &config, "FILE", "routed.conf of the site", true},
		{0},
	};
	const struct cli_usage usage = {
		.command = command, .args = "", .summary = summary, .opts = opts};
	struct buf reply;
	int first;
	int status;

	(void)snprintf(command, sizeof(command), "routectl %s", verb);
	if (!cli_parse(&usage, argc, argv, &first, &status))
		return status;
	buf_init(&reply, REPLY_MAX_BYTES);
	status = CLI_FAILED;
	if (routectl_ask(config, verb, &reply)) {
		(void)fwrite(reply.p, 1, reply.n, stdout);
		status = CLI_DONE;
	}
	buf_fini(&reply);
	return status;
}

int routectl_resync(int argc, char **argv)
{
	return plain("resync", "Let the running routed load everything again from the directory.",
		     argc, argv);
}

int routectl_accept(int argc, char **argv)
{
	return plain(
		"accept",
		"Let the running routed use a table that it holds back because it lost more than "
		"half of the routes.",
		argc, argv);
}

int routectl_recalc(int argc, char **argv)
{
	return plain("recalc", "Let the running routed compute its table again, now.", argc, argv);
}
