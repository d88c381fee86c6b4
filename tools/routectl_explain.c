/* routectl explain: why mail for an address goes where it goes. */
#include "tools/routectl.h"

#include "routed/compute.h"
#include "routed/explain.h"
#include "tools/cli.h"
#include "tools/routectl_ask.h"
#include "tools/routectl_source.h"

#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES 12000
#define REPLY_MAX_BYTES ((size_t)16 * 1024 * 1024)

static bool has_blank(const char *word)
{
	return word != NULL && (word[0] == '\0' || strpbrk(word, " \t\r\n") != NULL);
}

struct options {
	const char *config;      /* the running daemon is asked, */
	const char *ldif, *site; /* or the table computed */
	const char *cls, *sender, *address;
	bool json;
};

static int ask(const struct options *o)
{
	struct buf line;
	struct buf reply;
	int status = CLI_FAILED;

	buf_init(&line, LINE_MAX_BYTES);
	buf_init(&reply, REPLY_MAX_BYTES);
	buf_printf(&line, "explain %s %s %s%s%s", o->cls, o->address,
		   o->sender != NULL ? o->sender : "", o->sender != NULL ? " " : "",
		   o->json ? "json" : "text");
	if (buf_rc(&line) != RC_OK) {
		cli_error("the address is too long");
	} else if (routectl_ask(o->config, buf_cstr(&line), &reply)) {
		(void)fwrite(reply.p, 1, reply.n, stdout);
		status = CLI_DONE;
	}
	buf_fini(&line);
	buf_fini(&reply);
	return status;
}

static int print_explanation(const struct model *m, const struct table *t, const struct options *o)
{
	const struct explain_request r = {
		.recipient = span_of(o->address),
		.sender = o->sender != NULL ? span_of(o->sender) : span_make(NULL, 0),
		.cls = strcmp(o->cls, "system") == 0 ? TABLE_SYSTEM : TABLE_USER,
		.json = o->json,
	};
	struct buf b;
	int rc;

	buf_init(&b, REPLY_MAX_BYTES);
	explain_write(t, m, &r, &b);
	rc = routectl_reply_check(buf_span(&b)) ? routectl_flush(stdout, &b) : RC_INVALID;
	buf_fini(&b);
	return rc;
}

static int compute(const struct options *o, unsigned long *ignored)
{
	const struct routectl_source source = {.ldif = o->ldif};
	struct routectl_entries e;
	struct table *t = NULL;
	struct model *m = NULL;
	int rc;

	routectl_entries_init(&e);
	rc = routectl_source_read(&source, &e, ignored);
	if (rc == RC_OK)
		rc = routectl_entries_model(&e, &m);
	if (rc == RC_OK)
		rc = routectl_tell_ignored(m, !o->json, ignored);
	if (rc == RC_OK)
		rc = compute_table(m, span_of(o->site), &t);
	if (rc == RC_NOTFOUND)
		cli_error("%s has no site %s", o->ldif, o->site);
	if (rc == RC_OK)
		rc = print_explanation(m, t, o);
	table_free(&t);
	model_free(&m);
	routectl_entries_fini(&e);
	return rc;
}

static bool check(const struct options *o)
{
	if (strcmp(o->cls, "user") != 0 && strcmp(o->cls, "system") != 0)
		cli_error("--class %s: it is user or system", o->cls);
	else if (has_blank(o->address) || has_blank(o->sender))
		cli_error("an address has no blanks");
	else if ((o->config != NULL) == (o->ldif != NULL))
		cli_error("give --config or --ldif");
	else if ((o->ldif != NULL) != (o->site != NULL))
		cli_error("--ldif and --site go together");
	else
		return true;
	return false;
}

int routectl_explain(int argc, char **argv)
{
	struct options o = {.cls = "user"};
	const struct cli_opt opts[] = {
		{"config", 'c', CLI_TEXT, &o.config, "FILE",
		 "routed.conf of the site: ask the running routed", false},
		{"ldif", 'l', CLI_TEXT, &o.ldif, "FILE",
		 "or entries of the organisation; - is stdin", false},
		{"site", 's', CLI_TEXT, &o.site, "SITE", "and the site where the mail begins",
		 false},
		{"from", 0, CLI_TEXT, &o.sender, "SENDER", "sender of the message", false},
		{"class", 0, CLI_TEXT, &o.cls, "CLASS", "user (default) or system", false},
		{"json", 'j', CLI_FLAG, &o.json, NULL, "one JSON object", false},
		{0},
	};
	const struct cli_usage usage = {
		.command = "routectl explain",
		.args = "ADDRESS",
		.summary =
			"Tell why mail for ADDRESS goes where it goes: what matched, the path with "
			"each\nconnector, the reason, the next hop, what Postfix is told, and what "
			"would take\nover if that were gone. The running routed answers from its "
			"present table; with\n--ldif the table is computed first, without the "
			"state "
			"of DNS.",
		.opts = opts,
		.examples = "  routectl explain --config /var/lib/waypost/routed.conf "
			    "bob@s2.example.com\n"
			    "  routectl explain --ldif organisation.ldif --site Site1 "
			    "bob@s2.example.com\n",
		.min_args = 1,
		.max_args = 1,
	};
	unsigned long ignored = 0;
	int first;
	int status;

	if (!cli_parse(&usage, argc, argv, &first, &status))
		return status;
	o.address = argv[first];
	if (!check(&o))
		return CLI_USAGE;
	if (o.config != NULL)
		return ask(&o);
	if (compute(&o, &ignored) != RC_OK)
		return CLI_FAILED;
	return ignored != 0 ? CLI_FAILED : CLI_DONE;
}
