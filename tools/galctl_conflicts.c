/* galctl conflicts: proxy addresses that several recipients have. */
#include "tools/galctl.h"

#include "lib/arena.h"
#include "lib/text.h"
#include "tools/cli.h"

#include <stdlib.h>

static const struct cli_column columns[] = {
	{"ADDRESS", "address", CLI_COL_TEXT},
	{"SITE", "site", CLI_COL_TEXT},
	{"KIND", "kind", CLI_COL_TEXT},
	{"ENTRY", "dn", CLI_COL_TEXT},
	{0},
};

struct holder {
	const char *address; /* prepared for comparison */
	const char *dn, *site, *kind;
};

struct holders {
	struct arena arena;
	const char *root;
	struct holder *at;
	size_t n, size;
};

static int grow(struct holders *h)
{
	size_t size = h->size != 0 ? h->size * 2 : 1024;
	struct holder *more;

	if (h->n < h->size)
		return RC_OK;
	more = mem_realloc(h->at, size * sizeof(*more));
	if (more == NULL)
		return RC_NOMEM;
	h->at = more;
	h->size = size;
	return RC_OK;
}

/* As dird compares them. What can not be prepared is nobody else's. */
static int note_address(struct holders *h, const struct holder *who, const char *prefix,
			struct span value)
{
	struct holder one = *who;
	struct buf b;
	int rc;

	buf_init(&b, 65536);
	buf_puts(&b, prefix);
	rc = text_prepare(value, TEXT_IGNORE_CASE, TEXT_WHOLE, &b);
	one.address = rc == RC_OK ? arena_str(&h->arena, buf_span(&b)) : NULL;
	buf_fini(&b);
	if (rc == RC_INVALID || rc == RC_TOOBIG)
		return RC_OK;
	if (rc == RC_OK)
		rc = one.address != NULL ? grow(h) : RC_NOMEM;
	if (rc == RC_OK)
		h->at[h->n++] = one;
	return rc;
}

static int note_values(struct holders *h, const struct ldif_record *entry, const char *type,
		       const char *prefix, const struct holder *who)
{
	const struct ldif_attr *at = dirconn_attr(entry, type);
	unsigned i;
	int rc = RC_OK;

	for (i = 0; at != NULL && i < at->nvalues && rc == RC_OK; i++)
		rc = note_address(h, who, prefix, at->values[i]);
	return rc;
}

static int note_holder(const struct ldif_record *entry, void *arg)
{
	struct holders *h = arg;
	struct holder who = {
		.dn = arena_str(&h->arena, entry->dn),
		.site = dirconn_site_of(&h->arena, entry->dn, h->root),
		.kind = galctl_kind(entry),
	};
	int rc;

	if (who.dn == NULL)
		return RC_NOMEM;
	rc = note_values(h, entry, "proxyAddresses", "", &who);
	return rc == RC_OK ? note_values(h, entry, "mail", "smtp:", &who) : rc;
}

static int compare_holders(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;
	int c = strcmp(x->address, y->address);

	return c != 0 ? c : strcmp(x->dn, y->dn);
}

/* One row an entry, although mail mostly is one of its proxy addresses. */
static size_t drop_doubles(struct holder *at, size_t n)
{
	size_t i, kept = n != 0 ? 1 : 0;

	for (i = 1; i < n; i++) {
		if (compare_holders(&at[kept - 1], &at[i]) != 0)
			at[kept++] = at[i];
	}
	return kept;
}

static bool is_shared(const struct holders *h, size_t i)
{
	return (i != 0 && strcmp(h->at[i - 1].address, h->at[i].address) == 0) ||
	       (i + 1 < h->n && strcmp(h->at[i + 1].address, h->at[i].address) == 0);
}

static int print_shared(const struct holders *h, bool json, size_t *n_out)
{
	struct cli_table *t;
	int rc = cli_table_new(columns, json, &t);
	size_t i;

	*n_out = 0;
	for (i = 0; i < h->n && rc == RC_OK; i++) {
		const char *const cells[] = {h->at[i].address, h->at[i].site, h->at[i].kind,
					     h->at[i].dn};

		if (!is_shared(h, i))
			continue;
		rc = cli_table_add(t, cells);
		++*n_out;
	}
	if (rc == RC_OK && *n_out != 0)
		rc = cli_table_print(t);
	cli_table_free(&t);
	return rc;
}

static int conflicts(struct dirconn *c, bool json, size_t *n_out)
{
	static const char *const attrs[] = {"objectClass", "mail", "proxyAddresses", NULL};
	struct holders h = {.root = dirconn_root(c)};
	const struct dirconn_search s = {h.root, DIRCONN_SUB,
					 "(&" GALCTL_RECIPIENTS "(|(mail=*)(proxyAddresses=*)))",
					 attrs, 0};
	int rc = dirconn_search(c, &s, note_holder, &h);

	*n_out = 0;
	if (rc == RC_OK) {
		if (h.n != 0)
			qsort(h.at, h.n, sizeof(h.at[0]), compare_holders);
		h.n = drop_doubles(h.at, h.n);
		rc = print_shared(&h, json, n_out);
	}
	mem_free(h.at);
	arena_fini(&h.arena);
	return rc;
}

int galctl_conflicts(int argc, char **argv)
{
	struct dirconn_options o = {0};
	struct dirconn *c = NULL;
	bool json = false;
	int first, status, rc;
	size_t n = 0;
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(o),
		{"json", 0, CLI_FLAG, &json, NULL, "one JSON object a line", false},
		{0},
	};
	const struct cli_usage usage = {
		"galctl conflicts",
		"",
		"Lists the proxy addresses (and mail, as smtp:) that more than one recipient of "
		"the "
		"organisation\n"
		"has. A site refuses an address that it knows to be taken, but two sites may give "
		"the "
		"same\n"
		"one before they hear of each other. Exit status: 1 if there is one.",
		opts,
		"  galctl conflicts --config site1/dird.conf\n"
		"  galctl conflicts --config site1/dird.conf --json\n",
		0,
		0,
	};

	if (!cli_parse(&usage, argc, argv, &first, &status))
		return status;
	rc = dirconn_open(&o, &c);
	if (rc == RC_OK)
		rc = conflicts(c, json, &n);
	if (rc == RC_NOMEM)
		cli_error("out of memory");
	if (rc == RC_OK && n == 0 && !json)
		cli_note("every proxy address is one recipient's");
	dirconn_close(&c);
	return rc == RC_OK && n == 0 ? CLI_DONE : CLI_FAILED;
}
