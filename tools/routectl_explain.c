/* routectl explain: why mail for an address goes where it goes. */
#include "tools/routectl.h"

#include "tools/cli.h"
#include "tools/routectl_ask.h"

#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES 12000
#define REPLY_MAX_BYTES ((size_t)16 * 1024 * 1024)

static bool has_blank(const char *word)
{
	return word != NULL && (word[0] == '\0' || strpbrk(word, " \t\r\n") != NULL);
}

static int explain(const char *config, const char *cls, const char *address, const char *sender,
		   bool json)
{
	struct buf line;
	struct buf reply;
	int status = CLI_FAILED;

	buf_init(&line, LINE_MAX_BYTES);
	buf_init(&reply, REPLY_MAX_BYTES);
	buf_printf(&line, "explain %s %s %s%s%s", cls, address, sender != NULL ? sender : "",
		   sender != NULL ? " " : "", json ? "json" : "text");
	if (buf_rc(&line) != RC_OK) {
		cli_error("the address is too long");
	} else if (routectl_ask(config, buf_cstr(&line), &reply)) {
		(void)fwrite(reply.p, 1, reply.n, stdout);
		status = CLI_DONE;
	}
	buf_fini(&line);
	buf_fini(&reply);
	return status;
}

int routectl_explain(int argc, char **argv)
{
	const char *config = NULL;
	const char *sender = NULL;
	const char *cls = "user";
	bool json = false;
	const struct cli_opt opts[] = {
		{"config", 'c', CLI_TEXT, &config, "FILE", "routed.conf of the site", true},
		{"from", 0, CLI_TEXT, &sender, "SENDER", "sender of the message", false},
		{"class", 0, CLI_TEXT, &cls, "CLASS", "user (default) or system", false},
		{"json", 0, CLI_FLAG, &json, NULL, "one JSON object", false},
		{0},
	};
	const struct cli_usage usage = {
		.command = "routectl explain",
		.args = "ADDRESS",
		.summary =
			"Tell why mail for ADDRESS goes where it goes: what matched, the path with "
			"each connector, the reason, the next hop and what Postfix is told. The "
			"running routed answers from its present table.",
		.opts = opts,
		.examples = "  routectl explain --config /var/lib/waypost/routed.conf "
			    "bob@s2.example.com\n",
		.min_args = 1,
		.max_args = 1,
	};
	int first;
	int status;

	if (!cli_parse(&usage, argc, argv, &first, &status))
		return status;
	if (strcmp(cls, "user") != 0 && strcmp(cls, "system") != 0) {
		cli_error("--class %s: it is user or system", cls);
		return CLI_USAGE;
	}
	if (has_blank(argv[first]) || has_blank(sender)) {
		cli_error("an address has no blanks");
		return CLI_USAGE;
	}
	return explain(config, cls, argv[first], sender, json);
}
