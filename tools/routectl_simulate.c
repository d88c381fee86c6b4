/* routectl simulate and check: what a change would do to the routes of every site, and what is odd
 * today. Nothing is written. */
#include "tools/routectl.h"

#include "routed/advice.h"
#include "routed/compute.h"
#include "routed/loopcheck.h"
#include "routed/rows.h"
#include "tools/routectl_source.h"

#include <stdlib.h>

#define HINTS_MAX 8
#define OUTPUT_MAX_BYTES ((size_t)1 << 31)
#define OLD 0
#define NEW 1

struct options {
	struct routectl_source source;
	struct cli_list changes, sets, sites;
	bool json;
};

struct run {
	const struct options *o;
	struct model *models[2]; /* OLD, NEW; of check both are the same */
	struct loopcheck *loops;
	struct buf out;
	unsigned long ignored;
	size_t changed_targets, changed_sites, nsites;
	size_t nloops, nadvice;
};

/* --- the change --- */

struct applying {
	struct routectl_entries *e;
	const char *path;
	bool failed;
};

/* A change that can not be made ends it: half of a change would show the wrong routes. */
static int apply(void *arg, struct arena *a, const struct ldif_record *r, const char **why)
{
	struct applying *w = arg;
	int rc;

	(void)a;
	rc = routectl_entries_change(w->e, r, why);
	if (rc == RC_OK || rc == RC_NOMEM)
		return rc;
	cli_error("%s:%lu: %.*s: %s", w->path, r->line, SPAN_ARG(r->dn), *why);
	w->failed = true;
	return rc == RC_INVALID ? RC_CONFLICT : rc;
}

/* What could have been meant. */
static void hint_objects(const struct routectl_entries *e)
{
	unsigned shown = 0;
	size_t i;

	for (i = 0; i < e->n && shown < HINTS_MAX; i++) {
		if (e->items[i].gone)
			continue;
		cli_hint("%s %.*s", shown == 0 ? "there are" : "         ",
			 SPAN_ARG(e->items[i].dn));
		shown++;
	}
	if (i < e->n)
		cli_hint("          and more");
}

static int make_changes(const struct options *o, struct routectl_entries *e)
{
	unsigned long broken = 0;
	const char *why = "";
	unsigned i;
	int rc = RC_OK;

	for (i = 0; i < o->changes.n && rc == RC_OK; i++) {
		struct applying w = {e, o->changes.items[i], false};

		rc = routectl_read_ldif(w.path, apply, &w, &broken);
		if (rc == RC_OK && broken != 0)
			rc = RC_INVALID;
	}
	for (i = 0; i < o->sets.n && rc == RC_OK; i++) {
		rc = routectl_entries_set(e, o->sets.items[i], &why);
		if (rc != RC_OK)
			cli_error("--set '%s': %s", o->sets.items[i],
				  rc == RC_NOMEM ? rc_text(rc) : why);
		if (rc == RC_NOTFOUND)
			hint_objects(e);
	}
	return rc;
}

/* --- routes --- */

static int table_of(struct model *m, struct span site, struct table **out)
{
	int rc = compute_table(m, site, out);

	return rc == RC_NOTFOUND ? RC_OK : rc; /* there before the change only, or behind it only */
}

static void say_site(struct run *r, struct span site, const struct table *const t[2], size_t n)
{
	if (r->o->json)
		return;
	buf_puts(&r->out, "At ");
	buf_put(&r->out, site);
	if (t[OLD] == NULL)
		buf_puts(&r->out, ", a new site");
	if (t[NEW] == NULL)
		buf_puts(&r->out, ", a site no more");
	buf_printf(&r->out, ": %zu %s\n", n, n == 1 ? "target" : "targets");
}

static int compare(struct run *r, struct span site, const struct table *const t[2])
{
	struct rows rows[2] = {{NULL, 0}, {NULL, 0}};
	struct rows_change *changes = NULL;
	struct arena a;
	size_t n = 0, i;
	int rc = RC_OK;

	arena_init(&a);
	for (i = 0; i < 2 && rc == RC_OK; i++) {
		if (t[i] != NULL)
			rc = rows_of_table(t[i], &a, &rows[i]);
	}
	if (rc == RC_OK)
		rc = rows_compare(&rows[OLD], &rows[NEW], &a, &changes, &n);
	if (rc == RC_OK && n != 0)
		say_site(r, site, t, n);
	for (i = 0; i < n && rc == RC_OK; i++) {
		if (r->o->json)
			rows_change_json(site, &changes[i], &r->out);
		else
			rows_change_write(&changes[i], &r->out);
	}
	r->changed_targets += n;
	r->changed_sites += n != 0;
	arena_fini(&a);
	return rc;
}

static bool is_wanted(const struct options *o, struct span site)
{
	unsigned i;

	for (i = 0; i < o->sites.n; i++) {
		if (span_eq_nocase(span_of(o->sites.items[i]), site))
			return true;
	}
	return o->sites.n == 0;
}

static int do_site(struct run *r, struct span site)
{
	struct table *t[2] = {NULL, NULL};
	bool two = r->models[NEW] != r->models[OLD];
	int rc = table_of(r->models[OLD], site, &t[OLD]);

	if (rc == RC_OK && two)
		rc = table_of(r->models[NEW], site, &t[NEW]);
	if (rc == RC_OK && t[OLD] != NULL)
		rc = loopcheck_add(r->loops, t[OLD], two ? LOOPCHECK_OLD : LOOPCHECK_NEW);
	if (rc == RC_OK && t[NEW] != NULL)
		rc = loopcheck_add(r->loops, t[NEW], LOOPCHECK_NEW);
	if (rc == RC_OK && two && is_wanted(r->o, site))
		rc = compare(r, site, (const struct table *const[]){t[OLD], t[NEW]});
	table_free(&t[OLD]);
	table_free(&t[NEW]);
	r->nsites++;
	return rc;
}

static int cmp_spans(const void *a, const void *b)
{
	return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

/* The sites of both models by name, each once; a change of case only is the same site. */
static int do_sites(struct run *r)
{
	size_t n = (size_t)r->models[OLD]->nsites + r->models[NEW]->nsites, i, k = 0;
	struct span *names;
	struct arena a;
	unsigned which;
	int rc = RC_OK;

	arena_init(&a);
	names = arena_alloc(&a, n * sizeof(*names));
	if (names == NULL)
		return RC_NOMEM;
	for (which = 0; which < 2; which++) {
		const struct model *m = r->models[which];
		uint32_t other;

		for (i = 0; i < m->nsites && rc == RC_OK; i++) {
			if (!m->sites[i].live)
				continue;
			if (which == NEW)
				rc = model_find_site(r->models[OLD], m->sites[i].name, &other);
			if (which == OLD || rc == RC_NOTFOUND)
				names[k++] = m->sites[i].name;
			rc = rc == RC_NOTFOUND ? RC_OK : rc;
		}
	}
	if (k > 1)
		qsort(names, k, sizeof(*names), cmp_spans);
	for (i = 0; i < k && rc == RC_OK; i++)
		rc = do_site(r, names[i]);
	arena_fini(&a);
	return rc;
}

/* --- loops and warnings --- */

static int say_loops(struct run *r)
{
	const struct loopcheck_loop *loops;
	size_t ndestinations, i;
	int rc = loopcheck_run(r->loops, &loops, &r->nloops, &ndestinations);

	if (rc != RC_OK)
		return rc;
	for (i = 0; i < r->nloops; i++) {
		if (r->o->json) {
			loopcheck_json(&loops[i], &r->out);
			continue;
		}
		buf_puts(&r->out, "LOOP ");
		loopcheck_write(&loops[i], &r->out);
	}
	if (r->o->json)
		return RC_OK;
	buf_printf(&r->out, "Loop check: %zu destinations at %zu sites%s: ", ndestinations,
		   r->nsites, r->models[OLD] != r->models[NEW] ? ", old and new tables mixed" : "");
	if (r->nloops == 0)
		buf_puts(&r->out, "no loop\n");
	else
		buf_printf(&r->out, "%zu can loop\n", r->nloops);
	return RC_OK;
}

/* Is it among the advice about the old model? Both are sorted. */
static bool is_old(const struct advice *a, const struct advice *old, size_t n)
{
	return n != 0 && bsearch(a, old, n, sizeof(*old),
				 (int (*)(const void *, const void *))advice_cmp) != NULL;
}

static int say_advice(struct run *r)
{
	bool two = r->models[NEW] != r->models[OLD];
	struct advice *old = NULL, *now = NULL;
	size_t nold = 0, nnow = 0, i;
	struct arena a;
	int rc = RC_OK;

	arena_init(&a);
	if (two)
		rc = advice_of_model(r->models[OLD], &a, &old, &nold);
	if (rc == RC_OK)
		rc = advice_of_model(r->models[NEW], &a, &now, &nnow);
	for (i = 0; i < nnow && rc == RC_OK; i++) {
		if (is_old(&now[i], old, nold))
			continue;
		r->nadvice++;
		if (r->o->json)
			advice_json(&now[i], &r->out);
		else
			advice_write(&now[i], &r->out);
	}
	arena_fini(&a);
	return rc;
}

static int report(struct run *r)
{
	int rc = loopcheck_new((const struct model *const *)r->models, 2, &r->loops);

	if (rc == RC_OK)
		rc = do_sites(r);
	if (rc == RC_OK && !r->o->json && r->models[NEW] != r->models[OLD])
		buf_printf(&r->out, "Routes: %zu %s at %zu of %zu sites would change\n",
			   r->changed_targets, r->changed_targets == 1 ? "target" : "targets",
			   r->changed_sites, r->nsites);
	if (rc == RC_OK)
		rc = say_loops(r);
	if (rc == RC_OK)
		rc = say_advice(r);
	if (rc == RC_OK)
		rc = routectl_flush(stdout, &r->out);
	if (rc != RC_OK)
		cli_error("%s", rc_text(rc));
	return rc;
}

static int prepare(struct run *r, struct routectl_entries *e, bool change)
{
	int rc = routectl_source_read(&r->o->source, e, &r->ignored);

	if (rc != RC_OK)
		return rc;
	rc = routectl_entries_model(e, &r->models[OLD]);
	if (rc == RC_OK && change) {
		rc = make_changes(r->o, e);
		if (rc != RC_OK)
			return rc;
		rc = routectl_entries_model(e, &r->models[NEW]);
	}
	if (rc == RC_OK && !change)
		r->models[NEW] = r->models[OLD];
	if (rc == RC_OK)
		rc = routectl_tell_ignored(r->models[NEW], !r->o->json, &r->ignored);
	if (rc != RC_OK)
		cli_error("%s", rc_text(rc));
	return rc;
}

static int run(const struct options *o, bool change)
{
	struct run r = {.o = o};
	struct routectl_entries e;
	int rc;

	routectl_entries_init(&e);
	buf_init(&r.out, OUTPUT_MAX_BYTES);
	rc = prepare(&r, &e, change);
	if (rc == RC_OK)
		rc = report(&r);
	loopcheck_free(&r.loops);
	if (r.models[NEW] != r.models[OLD])
		model_free(&r.models[NEW]);
	model_free(&r.models[OLD]);
	buf_fini(&r.out);
	routectl_entries_fini(&e);
	if (rc != RC_OK)
		return CLI_USAGE;
	if (!change && r.nadvice != 0)
		return CLI_FAILED;
	return r.nloops != 0 || r.ignored != 0 ? CLI_FAILED : CLI_DONE;
}

int routectl_simulate(int argc, char **argv)
{
	struct options o = {.json = false};
	const struct cli_opt opts[] = {
		ROUTECTL_SOURCE_OPTS(o.source),
		{"change", 0, CLI_LIST, &o.changes, "FILE", "LDIF change records", false},
		{"set", 0, CLI_LIST, &o.sets, "WHAT",
		 "'NAME (SITE):ATTRIBUTE=VALUE'; += adds a value, -= takes one away", false},
		{"site", 's', CLI_LIST, &o.sites, "SITE", "show the routes of this site only",
		 false},
		{"json", 'j', CLI_FLAG, &o.json, NULL,
		 "JSON lines: changed targets, loops, warnings", false},
		{0},
	};
	const struct cli_usage usage = {
		.command = "routectl simulate",
		.args = "",
		.summary =
			"Show what a change would do to the routes of every site, whether mail "
			"could loop, also while\nsome sites know the change and others do not yet, "
			"and the warnings it brings. Nothing is written.\nExit status 1: mail "
			"could "
			"loop, or values had to be left out; 2: failed.",
		.opts = opts,
		.examples = "  routectl simulate --config routed.conf --set 'IMS "
			    "(Site1):onlySystemMessagesUseCDs=TRUE'\n"
			    "  routectl simulate --ldif organisation.ldif --change move.ldif "
			    "--site Site1\n",
	};
	int first, status;

	if (!cli_parse(&usage, argc, argv, &first, &status))
		return status;
	if (!routectl_source_check(&o.source))
		return CLI_USAGE;
	if (o.changes.n == 0 && o.sets.n == 0) {
		cli_error("nothing to simulate");
		cli_hint("give --change FILE or --set 'NAME (SITE):ATTRIBUTE=VALUE'");
		return CLI_USAGE;
	}
	return run(&o, true);
}

int routectl_check(int argc, char **argv)
{
	struct options o = {.json = false};
	const struct cli_opt opts[] = {
		ROUTECTL_SOURCE_OPTS(o.source),
		{"json", 'j', CLI_FLAG, &o.json, NULL, "JSON lines: loops and warnings", false},
		{0},
	};
	const struct cli_usage usage = {
		.command = "routectl check",
		.args = "",
		.summary =
			"Look for what is legal and odd in sites and connectors: routing "
			"addresses that are not the\ntarget's domain, a flag without effect, "
			"mail direct in one direction only, a domain of two\nsites, loops.\nExit "
			"status 1: there is something; 2: failed.",
		.opts = opts,
		.examples = "  routectl check --config /var/lib/waypost/routed.conf\n",
	};
	int first, status;

	if (!cli_parse(&usage, argc, argv, &first, &status))
		return status;
	return routectl_source_check(&o.source) ? run(&o, false) : CLI_USAGE;
}
