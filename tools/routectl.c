#include "tools/routectl.h"

#include "tools/cli.h"

static const struct cli_verb verbs[] = {
	{"show", routectl_show, "the route table of the running routed"},
	{"explain", routectl_explain, "why mail for an address goes where it goes"},
	{"status", routectl_status, "state of the running routed"},
	{"resync", routectl_resync, "load everything again from the directory"},
	{"accept", routectl_accept, "use a table that is held back"},
	{"compute", routectl_compute,
	 "compute one site's routes from an LDIF file, without a server"},
	{NULL, NULL, NULL},
};

static const struct cli_tool tool = {
	.name = "routectl",
	.summary = "mail routes: look at them, explain them, compute them",
	.verbs = verbs,
	.examples = "  routectl explain --config /var/lib/waypost/routed.conf bob@s2.example.com\n"
		    "  routectl compute --ldif organisation.ldif --site Site1\n",
};

int main(int argc, char **argv)
{
	return cli_run(&tool, argc, argv);
}
