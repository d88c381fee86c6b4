/*
 * The verbs of sitectl. Each gets its own words (argv[0] is the verb) and returns the exit status:
 * 0 done, 1 could not be done, 2 wrong usage. Each prints its own --help.
 */
#pragma once

/** Make the data folder, key and first entries of an organisation's first site. No server runs. */
int sitectl_init(int argc, char **argv);

/** Make the data folder and key of a further site from a token. */
int sitectl_join(int argc, char **argv);

/** Make a token with which a new site may join; asks the running dird of an existing site. */
int sitectl_token(int argc, char **argv);

/** Sites: list, show, set. */
int sitectl_site(int argc, char **argv);

/** Mail connectors: list, show, add, set, connect, disconnect, delete. */
int sitectl_connector(int argc, char **argv);

/** Directory replication links: list, add, delete. */
int sitectl_link(int argc, char **argv);

/** What this site's dird holds of every naming context, and how far it is behind. */
int sitectl_site_remove(int argc, char **argv);
int sitectl_take_over(int argc, char **argv);
int sitectl_topology(int argc, char **argv);
int sitectl_status(int argc, char **argv);
