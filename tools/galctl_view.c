/* galctl view: list, show, add, set, remove address book views. */
#include "tools/galctl.h"

#include "lib/arena.h"
#include "lib/dn.h"
#include "tools/show.h"

#include <stdio.h>

#define FOLDER "Address Lists"
#define VIEWS "(objectClass=addressBookView)"

/* What the verbs take. */
struct request {
	struct dirconn_options conn_options;
	struct dirconn *conn;
	struct arena arena;
	const char *name;
	const char *dn;
	bool json, dry_run;
	struct part {
		const char *type;
		const char *value; /* NULL: not given; "": to be removed */
		struct span values[1];
	} parts[5];
};

enum { BASE, FILTER, SCOPE, SORT, DESCRIPTION, PARTS };

static void init(struct request *r)
{
	static const char *const types[PARTS] = {"viewBase", "viewFilter", "viewScope", "viewSort",
						 "description"};
	int i;

	memset(r, 0, sizeof(*r));
	for (i = 0; i < PARTS; i++)
		r->parts[i].type = types[i];
}

#define PART_OPTS(r)                                                                                 \
	{"filter", 0,                                                                                \
	 CLI_TEXT, &(r).parts[FILTER].value,                                                         \
	 "FILTER", "who is on it (people and other recipients)",                                     \
	 false},                                                                                     \
		{"base",   0,                                                                        \
		 CLI_TEXT, &(r).parts[BASE].value,                                                   \
		 "DN",     "entry that they are below (the organisation)",                           \
		 false},                                                                             \
		{"scope",  0,                                                                        \
		 CLI_TEXT, &(r).parts[SCOPE].value,                                                  \
		 "SCOPE",  "sub, or one: only directly below",                                       \
		 false},                                                                             \
		{"sort", 0, CLI_TEXT, &(r).parts[SORT].value, "TYPE,...", "its order (displayName)", \
		 false},                                                                             \
		{"description",        0,    CLI_TEXT, &(r).parts[DESCRIPTION].value, "TEXT",        \
		 "for people to read", false},                                                       \
	{                                                                                            \
		"dry-run", 'n', CLI_FLAG, &(r).dry_run, NULL,                                        \
			"say what would change, change nothing", false                               \
	}

static const char *folder_dn(struct request *r)
{
	return dirconn_child_dn(&r->arena, "cn", FOLDER, dirconn_root(r->conn));
}

/* A name, or a DN. */
static int find_dn(struct request *r)
{
	struct dn dn;

	if (dn_parse(&r->arena, span_of(r->name), &dn, NULL) == RC_OK && dn.n > 1) {
		r->dn = r->name;
		return RC_OK;
	}
	r->dn = folder_dn(r);
	if (r->dn != NULL)
		r->dn = dirconn_child_dn(&r->arena, "cn", r->name, r->dn);
	return r->dn != NULL ? RC_OK : RC_NOMEM;
}

typedef int work_fn(struct request *r);

/* Parse, connect, do it, leave. */
static int run(const struct cli_usage *usage, struct request *r, int argc, char **argv,
	       work_fn *work)
{
	int first, status, rc;

	if (!cli_parse(usage, argc, argv, &first, &status))
		return status;
	if (first < argc)
		r->name = argv[first];
	rc = dirconn_open(&r->conn_options, &r->conn);
	if (rc == RC_OK && r->name != NULL)
		rc = find_dn(r);
	if (rc == RC_OK)
		rc = work(r);
	if (rc == RC_NOMEM)
		cli_error("out of memory");
	dirconn_close(&r->conn);
	arena_fini(&r->arena);
	return rc == RC_OK ? CLI_DONE : CLI_FAILED;
}

/* --- list and show --- */

static const struct cli_column columns[] = {
	{"VIEW", "view", CLI_COL_TEXT},     {"ENTRIES", "entries", CLI_COL_NUMBER},
	{"STATE", "state", CLI_COL_TEXT},   {"SORTED BY", "sort", CLI_COL_TEXT},
	{"FILTER", "filter", CLI_COL_TEXT}, {"BASE", "base", CLI_COL_TEXT},
	{"SCOPE", "scope", CLI_COL_TEXT},   {0},
};

static const char *or_else(const char *value, const char *other)
{
	return value != NULL ? value : other;
}

static int add_row(const struct ldif_record *entry, void *arg)
{
	struct arena a = {0};
	const char *const cells[] = {
		dirconn_rdn_value(&a, entry->dn),
		dirconn_value(entry, "viewEntries"),
		dirconn_value(entry, "viewState"),
		or_else(dirconn_value(entry, "viewSort"), "displayName"),
		dirconn_value(entry, "viewFilter"),
		dirconn_value(entry, "viewBase"),
		or_else(dirconn_value(entry, "viewScope"), "sub"),
	};
	int rc = cli_table_add(arg, cells);

	arena_fini(&a);
	return rc;
}

static const char *const shown_attrs[] = {"*", "viewEntries", "viewState", NULL};

static int list_views(struct request *r)
{
	const struct dirconn_search s = {dirconn_root(r->conn), DIRCONN_SUB, VIEWS, shown_attrs, 0};
	struct cli_table *t = NULL;
	int rc = cli_table_new(columns, r->json, &t);

	if (rc == RC_OK)
		rc = dirconn_search(r->conn, &s, add_row, t);
	if (rc == RC_OK)
		rc = cli_table_print(t);
	cli_table_free(&t);
	return rc;
}

static int view_list(int argc, char **argv)
{
	struct request r;
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(r.conn_options),
		{"json", 0, CLI_FLAG, &r.json, NULL, "one JSON object a line", false},
		{0},
	};
	const struct cli_usage usage = {
		"galctl view list",
		"",
		"Lists the address book views, how many entries each has, and whether it is ready.",
		opts,
		"  galctl view list --config site1/dird.conf\n",
		0,
		0,
	};

	init(&r);
	return run(&usage, &r, argc, argv, list_views);
}

static int no_view(const struct request *r, int rc)
{
	if (rc == RC_NOTFOUND) {
		cli_error("there is no view \"%s\"", r->name);
		cli_hint("`galctl view list` lists them");
	}
	return rc;
}

static int read_view(struct request *r, struct ldif_record *out)
{
	int rc = dirconn_read(r->conn, &r->arena, r->dn, shown_attrs, out);

	if (rc == RC_OK && !dirconn_is_a(out, "addressBookView"))
		rc = RC_NOTFOUND;
	return no_view(r, rc);
}

static int show_view(struct request *r)
{
	struct ldif_record view;
	int rc = read_view(r, &view);

	return rc == RC_OK ? show_record(&view, r->json) : rc;
}

static int view_show(int argc, char **argv)
{
	struct request r;
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(r.conn_options),
		{"json", 0, CLI_FLAG, &r.json, NULL, "one JSON object", false},
		{0},
	};
	const struct cli_usage usage = {
		"galctl view show",
		"NAME",
		"Shows one view's definition and state.",
		opts,
		"  galctl view show --config site1/dird.conf Turin\n",
		1,
		1,
	};

	init(&r);
	return run(&usage, &r, argc, argv, show_view);
}

/* --- add, set, remove --- */

static void print_change(const struct request *r, const char *done, const char *would)
{
	unsigned i;

	printf("%s %s\n", r->dry_run ? would : done, r->dn);
	for (i = 0; i < PARTS; i++) {
		if (r->parts[i].value != NULL)
			printf("  %s: %s\n", r->parts[i].type,
			       *r->parts[i].value != '\0' ? r->parts[i].value : "(removed)");
	}
}

/* The folder of the views comes with the first one. */
static int add_folder(struct request *r)
{
	static const char *const none[] = {"1.1", NULL};
	struct span container = SPAN_LIT("container"), name = SPAN_LIT(FOLDER);
	struct ldif_attr attrs[] = {{LDIF_OP_ADD, SPAN_LIT("objectClass"), &container, 1},
				    {LDIF_OP_ADD, SPAN_LIT("cn"), &name, 1}};
	struct ldif_record folder = {.kind = LDIF_ADD, .attrs = attrs, .nattrs = 2}, there;
	const char *dn = folder_dn(r);
	int rc;

	if (dn == NULL)
		return RC_NOMEM;
	if (r->dn == r->name) /* a DN was given: it says where */
		return RC_OK;
	rc = dirconn_read(r->conn, &r->arena, dn, none, &there);
	if (rc != RC_NOTFOUND)
		return rc;
	folder.dn = span_of(dn);
	if (!r->dry_run)
		rc = dirconn_change(r->conn, &folder);
	else
		rc = RC_OK;
	if (rc == RC_OK)
		printf("%s %s\n", r->dry_run ? "would add" : "added", dn);
	return rc;
}

static int add_view(struct request *r)
{
	struct span class = SPAN_LIT("addressBookView");
	struct ldif_attr attrs[PARTS + 1] = {{LDIF_OP_ADD, SPAN_LIT("objectClass"), &class, 1}};
	struct ldif_record view = {.kind = LDIF_ADD, .attrs = attrs, .nattrs = 1};
	unsigned i;
	int rc = add_folder(r);

	for (i = 0; i < PARTS; i++) {
		struct part *p = &r->parts[i];

		if (p->value == NULL || *p->value == '\0')
			continue;
		p->values[0] = span_of(p->value);
		attrs[view.nattrs++] =
			(struct ldif_attr){LDIF_OP_ADD, span_of(p->type), p->values, 1};
	}
	view.dn = span_of(r->dn);
	if (rc == RC_OK && !r->dry_run)
		rc = dirconn_change(r->conn, &view);
	if (rc == RC_OK)
		print_change(r, "added", "would add");
	return rc;
}

static int view_add(int argc, char **argv)
{
	struct request r;
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(r.conn_options),
		PART_OPTS(r),
		{0},
	};
	const struct cli_usage usage = {
		"galctl view add",
		"NAME",
		"Adds a view: a list that clients browse by using its name as search base,\n"
		"cn=NAME,cn=" FOLDER ",<root>. It is built beside the running server.",
		opts,
		"  galctl view add --config hub/dird.conf Turin --filter '(l=Turin)'\n"
		"  galctl view add --config hub/dird.conf 'Staff of S1' --base ou=S1,o=Example \\\n"
		"      --filter '(objectClass=person)' --sort sn,givenName\n",
		1,
		1,
	};

	init(&r);
	return run(&usage, &r, argc, argv, add_view);
}

static int set_view(struct request *r)
{
	struct ldif_attr attrs[PARTS];
	struct ldif_record view, change = {.kind = LDIF_MODIFY, .attrs = attrs};
	unsigned i;
	int rc = read_view(r, &view);

	for (i = 0; rc == RC_OK && i < PARTS; i++) {
		struct part *p = &r->parts[i];

		if (p->value == NULL)
			continue;
		p->values[0] = span_of(p->value);
		attrs[change.nattrs++] = (struct ldif_attr){LDIF_OP_REPLACE, span_of(p->type),
							    p->values, *p->value != '\0' ? 1 : 0};
	}
	if (rc == RC_OK && change.nattrs == 0) {
		cli_error("nothing to change: give --filter, --base, --scope, --sort or "
			  "--description");
		return RC_INVALID;
	}
	change.dn = span_of(r->dn);
	if (rc == RC_OK && !r->dry_run)
		rc = dirconn_change(r->conn, &change);
	if (rc == RC_OK)
		print_change(r, "changed", "would change");
	return rc;
}

static int view_set(int argc, char **argv)
{
	struct request r;
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(r.conn_options),
		PART_OPTS(r),
		{0},
	};
	const struct cli_usage usage = {
		"galctl view set",
		"NAME",
		"Changes a view; what is not given stays, an empty value removes. It is built "
		"anew; until\n"
		"it is ready clients are answered by searching.",
		opts,
		"  galctl view set --config hub/dird.conf Turin --filter '(l=Torino)'\n",
		1,
		1,
	};

	init(&r);
	return run(&usage, &r, argc, argv, set_view);
}

static int remove_view(struct request *r)
{
	struct ldif_record view, change = {.kind = LDIF_DELETE};
	int rc = read_view(r, &view);

	change.dn = span_of(r->dn);
	if (rc == RC_OK && !r->dry_run)
		rc = dirconn_change(r->conn, &change);
	if (rc == RC_OK)
		print_change(r, "removed", "would remove");
	return rc;
}

static int view_remove(int argc, char **argv)
{
	struct request r;
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(r.conn_options),
		{"dry-run", 'n', CLI_FLAG, &r.dry_run, NULL, "say what would be removed", false},
		{0},
	};
	const struct cli_usage usage = {
		"galctl view remove",
		"NAME",
		"Removes a view; its members stay where they are.",
		opts,
		"  galctl view remove --config hub/dird.conf Turin\n",
		1,
		1,
	};

	init(&r);
	return run(&usage, &r, argc, argv, remove_view);
}

int galctl_view(int argc, char **argv)
{
	static const struct cli_verb verbs[] = {
		{"list", view_list, "list the address book views and their state"},
		{"show", view_show, "show a view's definition"},
		{"add", view_add, "add a view"},
		{"set", view_set, "change a view"},
		{"remove", view_remove, "remove a view"},
		{0},
	};
	static const struct cli_tool tool = {
		"galctl view",
		"Looks after address book views: lists that clients browse, sorted and by "
		"position.",
		verbs,
		"  galctl view list --config site1/dird.conf\n"
		"  galctl view add --config hub/dird.conf Turin --filter '(l=Turin)'\n"};

	return cli_run(&tool, argc, argv);
}
