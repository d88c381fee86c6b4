/* galctl add. */
#include "tools/galctl.h"

#include "lib/arena.h"
#include "lib/dn.h"

#include <stdio.h>

#define MAX_ATTRS 64

struct draft {
	struct arena arena;
	struct dirconn *conn;
	struct ldif_record record;
	struct ldif_attr attrs[MAX_ATTRS];
};

static int put(struct draft *d, struct span type, const char *value)
{
	struct ldif_attr *attr = NULL;
	struct span *values;
	unsigned i;

	for (i = 0; i < d->record.nattrs && attr == NULL; i++) {
		if (span_eq_nocase(d->attrs[i].type, type))
			attr = &d->attrs[i];
	}
	if (attr == NULL) {
		if (d->record.nattrs == MAX_ATTRS) {
			cli_error("more than %d different attributes", MAX_ATTRS);
			return RC_TOOBIG;
		}
		attr = &d->attrs[d->record.nattrs++];
		attr->type = type;
	}
	values = arena_alloc(&d->arena, (attr->nvalues + 1) * sizeof(*values));
	if (values == NULL)
		return RC_NOMEM;
	if (attr->nvalues != 0)
		memcpy(values, attr->values, attr->nvalues * sizeof(*values));
	values[attr->nvalues++] = span_of(value);
	attr->values = values;
	return RC_OK;
}

static bool has(const struct draft *d, const char *type)
{
	return dirconn_attr(&d->record, type) != NULL;
}

/* Members may be given like recipients elsewhere: by name, alias or address. */
static int put_word(struct draft *d, const char *word)
{
	struct span value = span_of(word), type;
	const char *text;

	if (!span_cut(&value, '=', &type) || type.n == 0 || value.n == 0) {
		cli_error("\"%s\" is not ATTRIBUTE=VALUE", word);
		return RC_INVALID;
	}
	text = (const char *)value.p;
	if (span_eq_nocase(type, SPAN_LIT("member"))) {
		int rc = galctl_find(d->conn, &d->arena, text, &text);

		if (rc != RC_OK)
			return rc;
	}
	return put(d, type, text);
}

static int add_classes(struct draft *d, const char *kind)
{
	static const struct {
		const char *kind, *classes[2];
	} kinds[] = {
		{"person", {"inetOrgPerson", "mailRecipient"}},
		{"list", {"groupOfNames", "mailRecipient"}},
		{"custom", {"customRecipient", NULL}},
	};
	size_t i, j;
	int rc = RC_OK;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kind, kinds[i].kind) != 0)
			continue;
		for (j = 0; j < 2 && kinds[i].classes[j] != NULL && rc == RC_OK; j++)
			rc = put(d, SPAN_LIT("objectClass"), kinds[i].classes[j]);
		return rc;
	}
	cli_error("KIND is person, list or custom, not \"%s\"", kind);
	return RC_INVALID;
}

/* What follows from the rest: a family name from the name, the primary SMTP address from mail. */
static int add_defaults(struct draft *d, const char *kind, const char *name)
{
	const char *last = strrchr(name, ' ');
	const char *mail = dirconn_value(&d->record, "mail");
	const char *proxy;
	int rc = RC_OK;

	if (strcmp(kind, "person") == 0 && !has(d, "sn"))
		rc = put(d, SPAN_LIT("sn"), last != NULL ? last + 1 : name);
	if (rc == RC_OK && mail != NULL && !has(d, "proxyAddresses")) {
		proxy = arena_printf(&d->arena, "SMTP:%s", mail);
		rc = proxy != NULL ? put(d, SPAN_LIT("proxyAddresses"), proxy) : RC_NOMEM;
	}
	return rc;
}

static int check(const struct draft *d, const char *kind)
{
	if (strcmp(kind, "list") == 0 && !has(d, "member")) {
		cli_error("a distribution list has at least one member");
		cli_hint("give member=WHO, with a name, an address or a DN");
		return RC_INVALID;
	}
	if (strcmp(kind, "custom") == 0 && !has(d, "targetAddress")) {
		cli_error("a custom recipient wants targetAddress, its address outside");
		cli_hint("for example targetAddress=SMTP:partner@example.net");
		return RC_INVALID;
	}
	return RC_OK;
}

static int name_it(struct draft *d, const char *site, const char *container, const char *name)
{
	const char *dn;

	if (container == NULL) {
		if (site == NULL)
			site = dirconn_site(d->conn);
		if (site == NULL) {
			cli_error("which site does \"%s\" belong to?", name);
			cli_hint("give --site NAME or --container DN");
			return RC_INVALID;
		}
		dn = dirconn_child_dn(&d->arena, "ou", site, dirconn_root(d->conn));
		container = dn != NULL ? dirconn_child_dn(&d->arena, "cn", "Recipients", dn) : NULL;
	}
	dn = container != NULL ? dirconn_child_dn(&d->arena, "cn", name, container) : NULL;
	if (dn == NULL)
		return RC_NOMEM;
	d->record.dn = span_of(dn);
	return put(d, SPAN_LIT("cn"), name);
}

static void print_ldif(const struct ldif_record *r)
{
	unsigned i, j;
	struct buf out;

	buf_init(&out, LDIF_VALUE_MAX_BYTES);
	ldif_write_attr(&out, SPAN_LIT("dn"), r->dn);
	for (i = 0; i < r->nattrs; i++) {
		for (j = 0; j < r->attrs[i].nvalues; j++)
			ldif_write_attr(&out, r->attrs[i].type, r->attrs[i].values[j]);
	}
	fwrite(out.p, 1, out.n, stdout);
	buf_fini(&out);
}

int galctl_add(int argc, char **argv)
{
	struct dirconn_options o = {0};
	const char *site = NULL, *container = NULL;
	struct draft d = {.record = {.kind = LDIF_ADD}};
	bool dry_run = false;
	int first, status, rc, i;
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(o),
		{"site", 0, CLI_TEXT, &site, "NAME", "site it belongs to (the server's own)",
		 false},
		{"container", 0, CLI_TEXT, &container, "DN", "where to put it (cn=Recipients)",
		 false},
		{"dry-run", 'n', CLI_FLAG, &dry_run, NULL, "print the entry, add nothing", false},
		{0},
	};
	const struct cli_usage usage = {
		"galctl add",
		"KIND NAME [ATTRIBUTE=VALUE]...",
		"Adds a recipient. KIND is person, list (distribution list) or custom (outside "
		"address).\n"
		"A person's sn is the last word of NAME unless given; proxyAddresses follows mail.",
		opts,
		"  galctl add --config site1/dird.conf person 'Ada Hill' "
		"mail=ada@site1.example.com\n"
		"  galctl add --config site1/dird.conf list Sales mail=sales@site1.example.com "
		"member='Ada Hill'\n"
		"  galctl add --config site1/dird.conf custom 'Partner Desk' "
		"targetAddress=SMTP:desk@example.net\n",
		2,
		-1,
	};

	if (!cli_parse(&usage, argc, argv, &first, &status))
		return status;
	d.record.attrs = d.attrs;
	rc = add_classes(&d, argv[first]);
	if (rc == RC_INVALID)
		return CLI_USAGE;
	if (rc == RC_OK)
		rc = dirconn_open(&o, &d.conn);
	if (rc == RC_OK)
		rc = name_it(&d, site, container, argv[first + 1]);
	for (i = first + 2; i < argc && rc == RC_OK; i++)
		rc = put_word(&d, argv[i]);
	if (rc == RC_OK)
		rc = add_defaults(&d, argv[first], argv[first + 1]);
	if (rc == RC_OK)
		rc = check(&d, argv[first]);
	if (rc == RC_OK && !dry_run)
		rc = dirconn_change(d.conn, &d.record);
	if (rc == RC_OK && dry_run)
		print_ldif(&d.record);
	else if (rc == RC_OK)
		printf("added %.*s\n", SPAN_ARG(d.record.dn));
	dirconn_close(&d.conn);
	arena_fini(&d.arena);
	return rc == RC_OK ? CLI_DONE : CLI_FAILED;
}
