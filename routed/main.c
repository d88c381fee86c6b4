/* routed: options, exit status, and nothing else. */
#include "lib/arena.h"
#include "lib/log.h"
#include "routed/server.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { EXIT_BAD_START = 1, EXIT_BAD_USAGE = 2 };

static const char usage[] =
	"Usage: routed --config FILE [--check | --takeover]\n"
	"\n"
	"Keeps the mail routes of a site up to date from the directory and answers the mail\n"
	"server. Runs in the foreground, logs to stderr, stops on SIGTERM.\n"
	"\n"
	"  -c, --config FILE  routed.conf of the site\n"
	"      --check        read the file, say what is wrong with it, and end\n"
	"      --takeover     replace the one that runs, without a look-up being lost\n"
	"      --help         this text\n"
	"      --version      the version\n"
	"\n"
	"SIGHUP reads the log level again and recomputes the routes.\n"
	"Exit status: 0 stopped or checked, 1 could not start, 2 wrong usage or configuration.\n"
	"\n"
	"Keywords of the file:\n";

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, 'k'},
	{"takeover", no_argument, NULL, 't'},     {"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},      {NULL, 0, NULL, 0},
};

static int help(void)
{
	struct buf b;

	buf_init(&b, 64 * 1024);
	settings_describe(&b);
	(void)fputs(usage, stdout);
	(void)fputs(buf_cstr(&b), stdout);
	buf_fini(&b);
	return EXIT_SUCCESS;
}

static int run(const char *path, bool check_only, bool takeover)
{
	struct settings settings;
	struct buf errors;
	struct arena a;
	int status = EXIT_SUCCESS;
	int rc;

	arena_init(&a);
	buf_init(&errors, 64 * 1024);
	rc = settings_read(path, &a, &settings, &errors);
	if (rc != RC_OK) {
		(void)fputs(buf_cstr(&errors), stderr);
		if (errors.n == 0)
			(void)fprintf(stderr, "routed: %s: %s\n", path, rc_text(rc));
		status = EXIT_BAD_USAGE;
	} else if (check_only) {
		(void)printf("%s: ok\n", path);
	} else {
		log_init("routed", settings.log_level);
		if (server_run(&settings, path, takeover) != RC_OK)
			status = EXIT_BAD_START;
	}
	buf_fini(&errors);
	arena_fini(&a);
	return status;
}

int main(int argc, char **argv)
{
	const char *path = NULL;
	bool check_only = false;
	bool takeover = false;
	int c;

	/* libldap must not take anything from ldap.conf or LDAP* variables. */
	(void)setenv("LDAPNOINIT", "1", 1);
	(void)signal(SIGPIPE, SIG_IGN);
	while ((c = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		switch (c) { /* option letters */
		case 'c':
			path = optarg;
			break;
		case 'k':
			check_only = true;
			break;
		case 't':
			takeover = true;
			break;
		case 'h':
			return help();
		case 'V':
			(void)puts("routed (Waypost) " WAYPOST_VERSION);
			return EXIT_SUCCESS;
		default:
			return EXIT_BAD_USAGE;
		}
	}
	if (path == NULL || optind != argc) {
		(void)fputs("routed: --config FILE is needed, see routed --help\n", stderr);
		return EXIT_BAD_USAGE;
	}
	return run(path, check_only, takeover);
}
