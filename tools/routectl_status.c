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

/* --- the text format of Prometheus --- */

#define METRIC "waypost_routed_"

static bool only_grows(struct span key)
{
	static const char *const names[] = {"generation",
					    "untouched_changes",
					    "sessions",
					    "failures",
					    "requests",
					    "ok",
					    "notfound",
					    "temp",
					    "perm",
					    "broken",
					    "recipients_asked",
					    "recipients_searched",
					    "recipients_doubtful",
					    "published",
					    "publish_failures",
					    "dns_views_differed"};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (span_eq(key, span_of(names[i])))
			return true;
	}
	return false;
}

/* "lookup_us_le_200" is a bucket of the histogram "lookup_us"; the rest of it follows it. */
static bool is_bucket(struct span key, struct span *name, struct span *bound)
{
	static const char mark[] = "_le_";
	const uint8_t *at = key.n != 0 ? memmem(key.p, key.n, mark, sizeof(mark) - 1) : NULL;

	if (at == NULL)
		return false;
	*name = span_head(key, (size_t)(at - key.p));
	*bound = span_from(key, name->n + sizeof(mark) - 1);
	return true;
}

static void put_type(struct span name, const char *type, struct buf *out)
{
	buf_printf(out, "# TYPE " METRIC "%.*s %s\n", SPAN_ARG(name), type);
}

/* `histogram` is the one that the lines before belonged to. */
static void put_metric(struct span key, struct span value, struct span *histogram, struct buf *out)
{
	struct span name, bound;

	if (is_bucket(key, &name, &bound)) {
		if (!span_eq(name, *histogram))
			put_type(name, "histogram", out);
		*histogram = name;
		if (span_eq(bound, SPAN_LIT("inf")))
			bound = SPAN_LIT("+Inf");
		buf_printf(out, METRIC "%.*s_bucket{le=\"%.*s\"} %.*s\n", SPAN_ARG(name),
			   SPAN_ARG(bound), SPAN_ARG(value));
		return;
	}
	if (histogram->n == 0 || !span_starts(key, *histogram))
		put_type(key, only_grows(key) ? "counter" : "gauge", out);
	buf_printf(out, METRIC "%.*s %.*s\n", SPAN_ARG(key), SPAN_ARG(value));
}

/* Numbers as they are, words as labels of one info metric. */
static void write_metrics(struct span lines, struct buf *out)
{
	struct span at = lines, key, value;
	struct span histogram = {0};
	const char *between = METRIC "info{";

	while (next_pair(&at, &key, &value)) {
		if (is_number(value) && !is_object(key))
			put_metric(key, value, &histogram, out);
	}
	put_type(SPAN_LIT("info"), "gauge", out);
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
