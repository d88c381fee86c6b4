/* sitectl take-over: of two processes that run as one site, this one is to go on. */
#include "tools/sitectl.h"

#include "dird/manage.h"
#include "tools/dirconn.h"

#include <stdio.h>

int sitectl_take_over(int argc, char **argv)
{
	struct dirconn_options o = {.config = NULL};
	const struct cli_opt opts[] = {DIRCONN_OPTS(o), {0}};
	const struct cli_usage u = {"sitectl take-over",
				    "",
				    "Partners have seen two running copies of this site (repl.twin "
				    "in the log), and both "
				    "refuse changes. Stop the\nother one, then run this at the one "
				    "that is to go on: it "
				    "takes back from its partners what either has\nwritten, and is "
				    "accepted by them again.",
				    opts,
				    "  sitectl take-over --config site1/dird.conf\n",
				    0,
				    0};
	const char *text = "";
	struct dirconn *c;
	int first, status, rc;

	if (!cli_parse(&u, argc, argv, &first, &status))
		return status;
	rc = dirconn_open(&o, &c);
	if (rc != RC_OK)
		return CLI_FAILED;
	rc = dirconn_manage(c, MANAGE_TAKE_OVER, NULL, &text);
	if (rc == RC_OK)
		printf("this copy goes on; %s\n", text);
	dirconn_close(&c);
	return rc == RC_OK ? CLI_DONE : CLI_FAILED;
}
