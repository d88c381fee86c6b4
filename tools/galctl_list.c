/* galctl list and show. */
#include "tools/galctl.h"

#include "lib/arena.h"
#include "lib/text.h"
#include "tools/show.h"

#include <stdio.h>
#include <stdlib.h>

static const struct cli_column columns[] = {
	{"NAME", "name", CLI_COL_TEXT},
	{"KIND", "kind", CLI_COL_TEXT},
	{"SITE", "site", CLI_COL_TEXT},
	{"MAIL", "mail", CLI_COL_TEXT},
	{"PHONE", "phone", CLI_COL_TEXT},
	{"DEPARTMENT", "department", CLI_COL_TEXT},
	{0},
};
#define COLUMNS 6

struct row {
	const char *cells[COLUMNS];
	struct span order; /* site and name, prepared for comparison */
};

struct list {
	struct arena arena;
	const char *root;
	struct row *rows;
	size_t n, size;
	bool no_memory;
};

static const char *keep(struct list *l, const char *s)
{
	const char *copy = s != NULL ? arena_str(&l->arena, span_of(s)) : NULL;

	l->no_memory |= s != NULL && copy == NULL;
	return copy;
}

static const char *first_of(const struct ldif_record *r, const char *one, const char *other)
{
	const char *value = dirconn_value(r, one);

	return value != NULL ? value : dirconn_value(r, other);
}

static struct span order_of(struct list *l, const struct row *row)
{
	struct span order;
	struct buf b;

	buf_init(&b, 65536);
	if (row->cells[2] != NULL &&
	    text_prepare(span_of(row->cells[2]), TEXT_IGNORE_CASE, TEXT_WHOLE, &b) == RC_INVALID)
		buf_puts(&b, row->cells[2]);
	buf_putc(&b, '\0');
	if (text_prepare(span_of(row->cells[0]), TEXT_IGNORE_CASE, TEXT_WHOLE, &b) == RC_INVALID)
		buf_puts(&b, row->cells[0]);
	order = arena_span(&l->arena, buf_span(&b));
	l->no_memory |= buf_rc(&b) == RC_NOMEM || order.p == NULL;
	buf_fini(&b);
	return order;
}

static int grow(struct list *l)
{
	size_t size = l->size != 0 ? l->size * 2 : 64;
	struct row *rows;

	if (l->n < l->size)
		return RC_OK;
	rows = mem_realloc(l->rows, size * sizeof(*rows));
	if (rows == NULL)
		return RC_NOMEM;
	l->rows = rows;
	l->size = size;
	return RC_OK;
}

static int add_row(const struct ldif_record *entry, void *arg)
{
	struct list *l = arg;
	const char *name = first_of(entry, "displayName", "cn");
	struct row row;

	if (grow(l) != RC_OK)
		return RC_NOMEM;
	row.cells[0] = name != NULL ? keep(l, name) : dirconn_rdn_value(&l->arena, entry->dn);
	row.cells[1] = galctl_kind(entry);
	row.cells[2] = dirconn_site_of(&l->arena, entry->dn, l->root);
	row.cells[3] = keep(l, first_of(entry, "mail", "targetAddress"));
	row.cells[4] = keep(l, dirconn_value(entry, "telephoneNumber"));
	row.cells[5] = keep(l, first_of(entry, "departmentNumber", "department"));
	if (l->no_memory)
		return RC_NOMEM;
	row.order = order_of(l, &row);
	l->rows[l->n++] = row;
	return l->no_memory ? RC_NOMEM : RC_OK;
}

static int compare_rows(const void *a, const void *b)
{
	return span_cmp(((const struct row *)a)->order, ((const struct row *)b)->order);
}

static int print_rows(const struct list *l, bool json)
{
	struct cli_table *t;
	int rc = cli_table_new(columns, json, &t);
	size_t i;

	for (i = 0; i < l->n && rc == RC_OK; i++)
		rc = cli_table_add(t, l->rows[i].cells);
	if (rc == RC_OK && (l->n != 0 || json))
		rc = cli_table_print(t);
	cli_table_free(&t);
	return rc;
}

static const struct {
	const char *kind, *filter;
} kinds[] = {
	{"person", "(objectClass=person)"},
	{"list", "(objectClass=groupOfNames)"},
	{"custom", "(objectClass=customRecipient)"},
};

static const char *kind_filter(const char *kind)
{
	size_t i;

	if (kind == NULL)
		return "";
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kind, kinds[i].kind) == 0)
			return kinds[i].filter;
	}
	cli_error("--kind is person, list or custom, not \"%s\"", kind);
	return NULL;
}

/* Every word must be part of a name or an address. */
static const char *words_filter(struct arena *a, const char *kind, int nwords, char **words)
{
	const char *filter;
	struct buf b;
	int i;

	buf_init(&b, 65536);
	buf_printf(&b, "(&" GALCTL_RECIPIENTS "%s", kind);
	for (i = 0; i < nwords; i++) {
		const char *w = dirconn_filter_escape(a, words[i]);

		if (w == NULL)
			break;
		buf_printf(&b,
			   "(|(cn=*%s*)(displayName=*%s*)(sn=*%s*)(mail=*%s*)(mailNickname=*%s*))",
			   w, w, w, w, w);
	}
	buf_putc(&b, ')');
	filter = i == nwords && buf_rc(&b) == RC_OK ? arena_str(a, buf_span(&b)) : NULL;
	buf_fini(&b);
	return filter;
}

static int list_them(struct dirconn *c, const char *site, unsigned limit, const char *filter,
		     bool json)
{
	static const char *const attrs[] = {"cn",
					    "displayName",
					    "objectClass",
					    "mail",
					    "targetAddress",
					    "telephoneNumber",
					    "departmentNumber",
					    "department",
					    NULL};
	struct list l = {.root = dirconn_root(c)};
	const char *base = site != NULL ? dirconn_child_dn(&l.arena, "ou", site, l.root) : l.root;
	const struct dirconn_search s = {base, DIRCONN_SUB, filter, attrs, limit};
	int rc = base != NULL ? dirconn_search(c, &s, add_row, &l) : RC_NOMEM;

	if (rc == RC_NOTFOUND) {
		cli_error("there is no %s", base);
		cli_hint("`sitectl site list` names the sites");
	}
	if (rc == RC_OK || rc == RC_TOOBIG) {
		if (l.n != 0)
			qsort(l.rows, l.n, sizeof(l.rows[0]), compare_rows);
		if (rc == RC_TOOBIG)
			cli_note("there are more than %u; --limit shows more", limit);
		rc = print_rows(&l, json);
	}
	mem_free(l.rows);
	arena_fini(&l.arena);
	return rc;
}

int galctl_list(int argc, char **argv)
{
	struct dirconn_options o = {0};
	const char *site = NULL, *kind = NULL, *kind_part, *filter = NULL;
	struct dirconn *c = NULL;
	struct arena a = {0};
	unsigned limit = 0;
	bool json = false;
	int first, status, rc;
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(o),
		{"site", 0, CLI_TEXT, &site, "NAME", "only recipients of this site", false},
		{"kind", 0, CLI_TEXT, &kind, "KIND", "only person, list or custom", false},
		{"limit", 0, CLI_UINT, &limit, "N", "at most so many", false},
		{"json", 0, CLI_FLAG, &json, NULL, "one JSON object a line", false},
		{0},
	};
	const struct cli_usage usage = {
		"galctl list",
		"[WORD]...",
		"Lists recipients, sorted by site and name. With words: those in whose name, alias "
		"or\n"
		"address every word occurs.",
		opts,
		"  galctl list --config site1/dird.conf --site Site1\n"
		"  galctl list --config site1/dird.conf --json hill\n",
		0,
		-1,
	};

	if (!cli_parse(&usage, argc, argv, &first, &status))
		return status;
	kind_part = kind_filter(kind);
	if (kind_part == NULL)
		return CLI_USAGE;
	rc = dirconn_open(&o, &c);
	if (rc == RC_OK) {
		filter = words_filter(&a, kind_part, argc - first, argv + first);
		rc = filter != NULL ? list_them(c, site, limit, filter, json) : RC_NOMEM;
	}
	if (rc == RC_NOMEM)
		cli_error("out of memory");
	dirconn_close(&c);
	arena_fini(&a);
	return rc == RC_OK ? CLI_DONE : CLI_FAILED;
}

/* --- show --- */

static int show_one(struct dirconn *c, const char *who, bool json)
{
	struct ldif_record entry;
	struct arena a = {0};
	const char *dn;
	int rc = galctl_find(c, &a, who, &dn);

	if (rc == RC_OK) {
		rc = dirconn_read(c, &a, dn, NULL, &entry);
		if (rc == RC_NOTFOUND)
			cli_error("there is no entry %s", dn);
	}
	if (rc == RC_OK)
		rc = show_record(&entry, json);
	arena_fini(&a);
	return rc;
}

int galctl_show(int argc, char **argv)
{
	struct dirconn_options o = {0};
	struct dirconn *c = NULL;
	bool json = false;
	int first, status, rc;
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(o),
		{"json", 0, CLI_FLAG, &json, NULL, "one JSON object a line", false},
		{0},
	};
	const struct cli_usage usage = {
		"galctl show",
		"WHO...",
		"Shows recipients with all attributes. WHO is a name, an alias, a mail address or "
		"a DN.",
		opts,
		"  galctl show --config site1/dird.conf 'Ada Hill'\n"
		"  galctl show --config site1/dird.conf --json ada.hill@site1.example.com\n",
		1,
		-1,
	};

	if (!cli_parse(&usage, argc, argv, &first, &status))
		return status;
	rc = dirconn_open(&o, &c);
	status = rc == RC_OK ? CLI_DONE : CLI_FAILED;
	for (; rc == RC_OK && first < argc; first++) {
		if (show_one(c, argv[first], json) != RC_OK)
			status = CLI_FAILED;
	}
	dirconn_close(&c);
	return status;
}
