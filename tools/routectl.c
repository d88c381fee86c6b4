#include "tools/routectl.h"

#include <stdio.h>
#include <string.h>

static const struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} verbs[] = {
	{"compute", routectl_compute, "routes of one site, from an LDIF file and without a server"},
};
#define NVERBS (sizeof(verbs) / sizeof(verbs[0]))

static void usage(FILE *to)
{
	size_t i;

	fputs("Usage: routectl VERB [OPTION]...\n\nVerbs:\n", to);
	for (i = 0; i < NVERBS; i++)
		fprintf(to, "  %-10s %s\n", verbs[i].name, verbs[i].help);
	fputs("\n`routectl VERB --help` tells more. Exit status: 0 fine, 1 done with complaints, 2 "
	      "failed.\n",
	      to);
}

int main(int argc, char **argv)
{
	size_t i;

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		usage(stdout);
		return 0;
	}
	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		puts("routectl (Waypost) " WAYPOST_VERSION);
		return 0;
	}
	for (i = 0; argc > 1 && i < NVERBS; i++) {
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	}
	if (argc > 1)
		fprintf(stderr, "routectl: unknown verb: %s\n", argv[1]);
	usage(stderr);
	return 2;
}
