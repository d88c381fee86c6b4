#include "tools/routectl.h"

#include "tools/cli.h"

static const struct cli_verb verbs[] = {
	{"show", routectl_show, "the route table of the running routed"},
	{"explain", routectl_explain, "why mail for an address goes where it goes"},
	{"import-reg", routectl_import_reg,
	 "the switch in a registry export as a directory change"},
	{"status", routectl_status, "state of the running routed"},
	{"history", routectl_history, "what changed in the table, when and why"},
	{"recalc", routectl_recalc, "compute the table again now"},
	{"resync", routectl_resync, "load everything again from the directory"},
	{"accept", routectl_accept, "use a table that is held back"},
	{"compute", routectl_compute,
	 "compute one site's routes from an LDIF file, without a server"},
	{"trace", routectl_trace, "follow mail hop by hop over the tables of all sites"},
	{"simulate", routectl_simulate, "what a change would do to the routes of every site"},
	{"check", routectl_check, "what is odd in sites and connectors"},
	{"diff", routectl_diff, "compare two tables"},
	{NULL, NULL, NULL},
};

static const struct cli_tool tool = {
	.name = "routectl",
	.summary = "mail routes: look at them, explain them, compute them",
	.verbs = verbs,
	.examples = "  routectl explain --config /var/lib/waypost/routed.conf bob@s2.example.com\n"
		    "  routectl compute --ldif organisation.ldif --site Site1\n"
		    "  routectl simulate --ldif organisation.ldif --set 'IMS "
		    "(Site1):onlySystemMessagesUseCDs=TRUE'\n",
};

int main(int argc, char **argv)
{
	return cli_run(&tool, argc, argv);
}
