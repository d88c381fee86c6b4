/* galctl: the recipients of the address list. */
#include "tools/galctl.h"

#include "lib/arena.h"
#include "lib/dn.h"
#include "tools/cli.h"

#include <stdio.h>

const char *galctl_kind(const struct ldif_record *r)
{
	if (dirconn_is_a(r, "customRecipient"))
		return "custom";
	if (dirconn_is_a(r, "groupOfNames"))
		return "list";
	return dirconn_is_a(r, "person") || dirconn_is_a(r, "inetOrgPerson") ? "person" : "other";
}

struct found {
	struct arena *arena;
	const char *dns[5];
	unsigned n;
};

static int note_dn(const struct ldif_record *entry, void *arg)
{
	struct found *f = arg;

	if (f->n < sizeof(f->dns) / sizeof(f->dns[0])) {
		f->dns[f->n] = arena_str(f->arena, entry->dn);
		if (f->dns[f->n] == NULL)
			return RC_NOMEM;
	}
	f->n++;
	return RC_OK;
}

static bool is_dn(const char *who)
{
	struct arena a;
	struct dn dn;
	bool is;

	arena_init(&a);
	is = dn_parse(&a, span_of(who), &dn, NULL) == RC_OK && dn.n != 0;
	arena_fini(&a);
	return is;
}

static const char *filter_for(struct arena *a, const char *who)
{
	const char *w = dirconn_filter_escape(a, who);

	if (w == NULL)
		return NULL;
	return arena_printf(a,
			    "(&" GALCTL_RECIPIENTS "(|(cn=%s)(displayName=%s)(mail=%s)"
			    "(mailNickname=%s)(proxyAddresses=SMTP:%s)))",
			    w, w, w, w, w);
}

int galctl_find(struct dirconn *c, struct arena *a, const char *who, const char **dn)
{
	static const char *const attrs[] = {"1.1", NULL};
	struct dirconn_search s = {dirconn_root(c), DIRCONN_SUB, NULL, attrs, 0};
	struct found found = {.arena = a};
	unsigned i;
	int rc;

	*dn = who;
	if (is_dn(who))
		return RC_OK;
	s.filter = filter_for(a, who);
	rc = s.filter != NULL ? dirconn_search(c, &s, note_dn, &found) : RC_NOMEM;
	if (rc != RC_OK && rc != RC_NOTFOUND)
		return rc;
	*dn = found.dns[0];
	if (found.n == 1)
		return RC_OK;
	if (found.n == 0) {
		cli_error("nobody in the address list is called \"%s\"", who);
		cli_hint("`galctl list %s` searches parts of names and addresses", who);
		return RC_NOTFOUND;
	}
	cli_error("\"%s\" fits %u recipients; name one by its mail address or DN", who, found.n);
	for (i = 0; i < found.n && i < sizeof(found.dns) / sizeof(found.dns[0]); i++)
		cli_hint("%s", found.dns[i]);
	return RC_CONFLICT;
}

int main(int argc, char **argv)
{
	static const struct cli_verb verbs[] = {
		{"list", galctl_list, "list recipients, all or those that match words"},
		{"show", galctl_show, "show one recipient with all its attributes"},
		{"conflicts", galctl_conflicts, "list addresses that several recipients have"},
		{"add", galctl_add, "add a person, a distribution list or a custom recipient"},
		{"import", galctl_import, "add and change entries from an LDIF file"},
		{"export", galctl_export, "write recipients as LDIF"},
		{"view", galctl_view, "address book views: list, show, add, set, remove"},
		{0},
	};
	static const struct cli_tool tool = {
		"galctl", "Looks after the recipients of the address list, through a running dird.",
		verbs,
		"  galctl list --config site1/dird.conf hill\n"
		"  galctl show --config site1/dird.conf ada.hill@site1.example.com\n"
		"  galctl import --config site1/dird.conf people.ldif\n"};

	return cli_run(&tool, argc, argv);
}
