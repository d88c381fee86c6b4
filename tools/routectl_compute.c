#include "tools/routectl.h"

#include "lib/dn.h"
#include "routed/compute.h"
#include "tools/cli.h"
#include "tools/routectl_print.h"
#include "tools/routectl_source.h"

#define OUTPUT_MAX_BYTES ((size_t)1 << 31)

struct options {
	const char *ldif;
	const char *site;
	bool json, gwart;
};

static bool parse_options(int argc, char **argv, struct options *o, int *status)
{
	const struct cli_opt opts[] = {
		{"ldif", 'l', CLI_TEXT, &o->ldif, "FILE", "entries of the organisation; - is stdin",
		 true},
		{"site", 's', CLI_TEXT, &o->site, "SITE", "the site whose routes are wanted", true},
		{"json", 'j', CLI_FLAG, &o->json, NULL, "one JSON object a line", false},
		{"gwart", 0, CLI_FLAG, &o->gwart, NULL, "user rows in the classic text form",
		 false},
		{NULL, 0, CLI_FLAG, NULL, NULL, NULL, false},
	};
	const struct cli_usage usage = {
		.command = "routectl compute",
		.args = "",
		.summary = "Compute the routing table of one site with the code that routed runs, "
			   "from an\n"
			   "LDIF file. Needs no server and changes nothing.\n"
			   "\n"
			   "Values that break their grammar are left out and listed on standard "
			   "error, with\n"
			   "the entry, the attribute and the reason; the exit status is then 1.",
		.opts = opts,
		.examples = "  routectl compute --ldif organisation.ldif --site Site1\n"
			    "  dirctl dump --config dird.conf | routectl compute --ldif - --site "
			    "Site1 --json\n",
		.min_args = 0,
		.max_args = 0,
	};
	int first;

	return cli_parse(&usage, argc, argv, &first, status);
}

/* "type;option" without its options is another attribute; such values are no routing data. */
static int to_attrs(struct arena *a, const struct ldif_record *rec, struct model_attr **out)
{
	unsigned i;

	*out = arena_zalloc(a, rec->nattrs, sizeof(**out));
	if (*out == NULL)
		return RC_NOMEM;
	for (i = 0; i < rec->nattrs; i++)
		(*out)[i] = (struct model_attr){rec->attrs[i].type, rec->attrs[i].values,
						rec->attrs[i].nvalues};
	return RC_OK;
}

/* The normalized DN is the key: a second record of one DN replaces the first. */
static int put_record(void *model, struct arena *a, const struct ldif_record *rec, const char **why)
{
	struct model *m = model;
	struct model_attr *attrs;
	unsigned changes = 0;
	struct span key;
	int rc;

	if (rec->kind != LDIF_CONTENT && rec->kind != LDIF_ADD) {
		*why = "a change record; only entries and additions can be computed";
		return RC_INVALID;
	}
	rc = dn_normalize_text(a, rec->dn, &key);
	if (rc == RC_OK && key.n == 0)
		return RC_OK;
	if (rc == RC_OK)
		rc = to_attrs(a, rec, &attrs);
	if (rc == RC_OK)
		rc = model_put(m, key, rec->dn, attrs, rec->nattrs, &changes);
	*why = "the DN is malformed or too long";
	return rc == RC_TOOBIG ? RC_INVALID : rc;
}

static int print_table(const struct table *t, bool json)
{
	struct buf b;
	int rc;

	if (!json)
		return routectl_print_rows(t, t->rows, t->nrows);
	buf_init(&b, OUTPUT_MAX_BYTES);
	table_json(t, &b);
	rc = routectl_flush(stdout, &b);
	buf_fini(&b);
	return rc;
}

/* The organisation is what is above the site's object. */
static int print_gwart(const struct model *m, const struct table *t, const char *site)
{
	struct buf root;
	struct arena a;
	struct dn dn;
	uint32_t i;
	int rc = model_find_site(m, span_of(site), &i);

	arena_init(&a);
	buf_init(&root, DN_MAX_BYTES * 4);
	if (rc == RC_OK)
		rc = dn_parse(&a, m->sites[i].dn, &dn, NULL);
	if (rc == RC_OK) {
		dn = dn_ancestor(dn, 1);
		dn_write(&dn, &root);
		rc = routectl_print_gwart(t, buf_span(&root), TABLE_USER);
	}
	buf_fini(&root);
	arena_fini(&a);
	return rc;
}

static int compute_and_print(struct model *m, const struct options *o, unsigned long *ignored)
{
	struct table *t = NULL;
	int rc = model_commit(m);

	if (rc == RC_OK)
		rc = compute_table(m, span_of(o->site), &t);
	if (rc == RC_NOTFOUND) {
		cli_error("%s has no site %s", o->ldif, o->site);
		(void)!routectl_tell_ignored(m, !o->json, ignored);
		return rc;
	}
	if (rc == RC_OK)
		rc = routectl_tell_ignored(m, !o->json, ignored);
	if (rc == RC_OK)
		rc = o->gwart ? print_gwart(m, t, o->site) : print_table(t, o->json);
	if (rc != RC_OK)
		cli_error("%s", rc_text(rc));
	table_free(&t);
	return rc;
}

int routectl_compute(int argc, char **argv)
{
	struct options o = {.ldif = NULL};
	unsigned long ignored = 0;
	struct model *m = NULL;
	int rc, status;

	if (!parse_options(argc, argv, &o, &status))
		return status;
	rc = model_new(&m);
	if (rc == RC_OK)
		rc = routectl_read_ldif(o.ldif, put_record, m, &ignored);
	if (rc == RC_OK)
		rc = compute_and_print(m, &o, &ignored);
	model_free(&m);
	if (rc != RC_OK)
		return 2;
	return ignored != 0 ? 1 : 0;
}
