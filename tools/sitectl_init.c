/* sitectl init: the first site of an organisation. */
#include "tools/site_setup.h"
#include "tools/sitectl.h"

#include <stdio.h>

static int run(const struct site_options *o)
{
	struct site_setup s;
	int rc = site_setup_begin(&s, o);

	if (rc == RC_OK)
		rc = site_setup_root(&s);
	if (rc == RC_OK)
		rc = site_setup_entries(&s);
	if (rc == RC_OK)
		rc = site_setup_commit(&s);
	if (rc == RC_OK) {
		printf("Made site %s of organisation %s in %s\n", o->site, s.root_text, s.dir);
		printf("Start it with: dird --config %s/dird.conf\n", s.dir);
	}
	site_setup_end(&s);
	return rc == RC_OK ? CLI_DONE : CLI_FAILED;
}

int sitectl_init(int argc, char **argv)
{
	struct site_options o = {0};
	struct cli_opt opts[SITE_SETUP_OPTS + 1] = {
		{"organisation", 0, CLI_TEXT, &o.organisation, "DN",
		 "root of the tree, e.g. o=Example or dc=example,dc=com", true}};
	const struct cli_usage u = {
		"sitectl init",
		"",
		"Makes the folder of an organisation's first site: keys, configuration, database "
		"with the\nfirst entries. No server runs yet.",
		opts,
		"  sitectl init --dir hub --organisation o=Example --site Hub \\\n"
		"      --domain hub.example.com --ldap 127.0.0.1:3890 --ldaps 127.0.0.1:6360 \\\n"
		"      --admin-password-file password.txt\n",
		0,
		0};
	int first, status;

	site_setup_opts(&o, opts + 1);
	if (!cli_parse(&u, argc, argv, &first, &status))
		return status;
	return run(&o);
}
