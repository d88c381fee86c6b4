/* dirctl reindex: all indexes and address book views made anew. */
#include "tools/dirctl.h"

#include "dird/update.h"

#include <stdio.h>
#include <sys/random.h>

static int random_bytes(void *p, size_t n)
{
	return getrandom(p, n, 0) == (ssize_t)n ? RC_OK : RC_IO;
}

static void show_progress(void *arg, unsigned long entries)
{
	cli_progress_step(arg, entries);
}

/* On a copy, so that a crash leaves the database as it was or as it is to be. */
static int run(struct dirctl *d, struct dirctl_beside *beside)
{
	const struct update_context ctx = {
		.schema = d->schema, .root = d->root, .random = random_bytes};
	struct cli_progress p;
	int rc = dirctl_beside_make(beside, d, d->store);

	if (rc != RC_OK)
		return rc;
	cli_progress_begin(&p, "indexing entries", 0);
	rc = update_reindex(beside->store, &ctx, show_progress, &p);
	cli_progress_end(&p);
	if (rc != RC_OK)
		cli_error("%s: %s", d->config.database, rc_text(rc));
	return rc == RC_OK ? dirctl_beside_swap(beside, d) : rc;
}

int dirctl_reindex(int argc, char **argv)
{
	struct dirctl_beside beside = {.folder = NULL};
	const char *config = NULL;
	struct dirctl d;
	const struct cli_opt opts[] = {
		{"config", 'c', CLI_TEXT, &config, "FILE", "the site's dird.conf", true}, {0}};
	const struct cli_usage u = {
		"dirctl reindex",
		"",
		"Makes the indexes and the address book views anew from the entries; dird is "
		"stopped. The work\nis done on a copy that takes the database's place at the end.",
		opts,
		"  dirctl reindex --config site1/dird.conf\n",
		0,
		0};
	int first, status, rc;

	if (!cli_parse(&u, argc, argv, &first, &status))
		return status;
	rc = dirctl_open(&d, config, false);
	if (rc == RC_OK)
		rc = run(&d, &beside);
	if (rc == RC_OK)
		puts("indexes and views are new");
	dirctl_beside_remove(&beside);
	dirctl_close(&d);
	return rc == RC_OK ? CLI_DONE : CLI_FAILED;
}
