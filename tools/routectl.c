#include "tools/routectl.h"

#include "tools/cli.h"

static const struct cli_verb verbs[] = {
	{"compute", routectl_compute,
	 "compute one site's routes from an LDIF file, without a server"},
	{NULL, NULL, NULL},
};

static const struct cli_tool tool = {
	.name = "routectl",
	.summary = "mail routes: look at them, explain them, compute them",
	.verbs = verbs,
	.examples = "  routectl compute --ldif organisation.ldif --site Site1\n",
};

int main(int argc, char **argv)
{
	return cli_run(&tool, argc, argv);
}
