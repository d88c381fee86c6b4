/*
 * What can not be applied at one site (R16): changes at which its writer fails, whatever the
 * reason, and schema that it does not know. The context goes on; changes wait in quarantine until
 * the site starts again or somebody asks for another try.
 */
#include "tests/sim/history.h"

#include <stdlib.h>

#include "dird/store_int.h"

static struct schema *older_schema; /* without UNKNOWN_FILE */

#define UNKNOWN_FILE "rfc2307bis.schema"

void poison_open(void)
{
	char folder[] = "/tmp/waypost-sim-schema-XXXXXX", command[400];
	struct buf errors;
	int rc;

	need(mkdtemp(folder) != NULL);
	snprintf(command, sizeof(command), "cp %s/*.schema %s && rm %s/" UNKNOWN_FILE, SCHEMADIR,
		 folder, folder);
	need(system(command) == 0);
	buf_init(&errors, 1 << 20);
	rc = schema_load(folder, &older_schema, &errors);
	if (rc != RC_OK)
		sim_fail("%s: %.*s", folder, (int)errors.n, (const char *)errors.p);
	buf_fini(&errors);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	need(system(command) == 0);
}

void poison_close(void)
{
	schema_free(&older_schema);
}

struct schema *poison_schema(void)
{
	return w.is_plain && chance(4) ? older_schema : sim_schema;
}

void poison_change(const struct site *s, struct change *c)
{
	static const char dice[] = "the dice say so";
	const struct context *home = w.contexts;

	if (c->poison == dice)
		c->poison = NULL; /* of a batch that was put back: they are cast anew */
	if (!w.is_plain || w.is_quiet || c->kind != CHANGE_PUT || c->stamp.usn == 0 ||
	    uuid_eq(&c->uuid, &c->stamp.nc) || !chance(40))
		return;
	while (home < w.contexts + w.ncontexts && !uuid_eq(&home->id, &c->stamp.nc))
		home++;
	if (home < w.contexts + w.ncontexts && home->home != s)
		c->poison = dice;
}

void poison_retry(struct site *s)
{
	struct result why = {.code = LR_SUCCESS};
	struct change c = {.kind = CHANGE_RETRY};
	struct store_txn *t;
	struct arena a;
	uint64_t n;

	if (!w.is_plain || !s->is_up || s->power_is_lost)
		return;
	need(store_read_begin(s->store, &t) == RC_OK);
	n = store_quarantine_count(t);
	store_read_end(&t);
	if (n == 0)
		return;
	w.poisoned += n;
	arena_init(&a);
	if (site_apply(s, &c, 1, &a, &why) == RC_OK) {
		trace("site %u: %llu changes in quarantine are tried again", s->number,
		      (unsigned long long)n);
		net_committed(s);
	}
	arena_fini(&a);
}
