/* sitectl: organisation, sites, connectors, replication links. */
#include "tools/sitectl.h"

#include "tools/cli.h"

int main(int argc, char **argv)
{
	static const struct cli_verb verbs[] = {
		{"init", sitectl_init, "make the first site of an organisation"},
		{"token", sitectl_token, "make a token with which a new site may join"},
		{"join", sitectl_join, "make a further site and introduce it"},
		{"site", sitectl_site, "sites: list, show, set, remove"},
		{"connector", sitectl_connector,
		 "mail connectors: list, show, add, set, connect, disconnect, delete"},
		{"link", sitectl_link,
		 "directory replication links: list, add, set, delete, sync-now"},
		{"take-over", sitectl_take_over,
		 "of two running copies of this site, this one goes on"},
		{"topology", sitectl_topology,
		 "sites, links and connectors as a list or a picture"},
		{"status", sitectl_status, "what this site holds, and how far it is behind"},
		{0},
	};
	static const struct cli_tool tool = {
		"sitectl", "Looks after an organisation's sites, mail connectors and replication.",
		verbs,
		"  sitectl site list --config hub/dird.conf\n"
		"  sitectl connector set --config site1/dird.conf 'Internet Mail Service (Site1)' "
		"\\\n"
		"      onlySystemMessagesUseCDs=TRUE\n"
		"  sitectl status --config site1/dird.conf\n"};

	return cli_run(&tool, argc, argv);
}
