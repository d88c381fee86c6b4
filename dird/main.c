#include "dird/server.h"

#include <getopt.h>
#include <stdio.h>

static int usage(FILE *to)
{
	fputs("Usage: dird --config FILE [--check]\n"
	      "The directory daemon of a Waypost site: LDAP for clients, replication with other "
	      "sites.\n"
	      "\n"
	      "  -c, --config FILE  configuration, usually dird.conf in the site's folder\n"
	      "  -C, --check        look at the configuration and the files it names, then end\n"
	      "  -h, --help         this text and the keywords of the configuration\n"
	      "  -V, --version      the version\n"
	      "\n"
	      "Runs in the foreground and logs to standard error. SIGTERM or SIGINT ends it, "
	      "SIGHUP\n"
	      "reads the certificate, the administrator's password and the log level again.\n"
	      "Exit status: 0 ended as asked; 1 could not start; 2 usage or configuration.\n",
	      to);
	return to == stdout ? 0 : 2;
}

static int help(void)
{
	struct buf keys;

	(void)usage(stdout);
	buf_init(&keys, 64 * 1024);
	server_config_describe(&keys);
	printf("\nConfiguration: a keyword and its value a line, # begins a comment.\n\n%s",
	       buf_cstr(&keys));
	buf_fini(&keys);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, 'C'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	const char *config = NULL;
	bool check = false;
	int c;

	while ((c = getopt_long(argc, argv, "c:ChV", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			config = optarg;
			break;
		case 'C':
			check = true;
			break;
		case 'h':
			return help();
		case 'V':
			puts("dird " WAYPOST_VERSION);
			return 0;
		default:
			return usage(stderr);
		}
	}
	if (optind < argc || config == NULL) {
		fprintf(stderr, "dird: %s\n",
			optind < argc ? "no argument is expected" : "--config FILE is missing");
		return usage(stderr);
	}
	return server_main(config, check);
}
