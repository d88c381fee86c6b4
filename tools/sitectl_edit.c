/* Changing one entry, and saying what changed. */
#include "tools/sitectl_common.h"

#include "lib/arena.h"

#include <stdio.h>

#define MAX_TOUCHED 32

static const struct ldif_attr *attr_before(const struct sitectl_edit *e, struct span type)
{
	unsigned i;

	for (i = 0; i < e->before->nattrs; i++) {
		if (span_eq_nocase(e->before->attrs[i].type, type))
			return &e->before->attrs[i];
	}
	return NULL;
}

/* The attribute among the touched ones; a new one starts with the values it had. */
static int touch(struct sitectl_edit *e, struct span type, struct ldif_attr **out)
{
	const struct ldif_attr *before = attr_before(e, type);
	struct ldif_attr *attr;
	unsigned i;

	for (i = 0; i < e->n; i++) {
		if (span_eq_nocase(e->after[i].type, type)) {
			*out = &e->after[i];
			return RC_OK;
		}
	}
	if (e->n == MAX_TOUCHED) {
		cli_error("more than %d attributes in one change", MAX_TOUCHED);
		return RC_TOOBIG;
	}
	attr = &e->after[e->n];
	*attr = (struct ldif_attr){.type = before != NULL ? before->type : type};
	if (before != NULL) {
		attr->values = arena_alloc(e->arena, before->nvalues * sizeof(*attr->values));
		if (attr->values == NULL)
			return RC_NOMEM;
		memcpy(attr->values, before->values, before->nvalues * sizeof(*attr->values));
		attr->nvalues = before->nvalues;
	}
	e->n++;
	*out = attr;
	return RC_OK;
}

static bool has_value(const struct ldif_attr *attr, struct span value, unsigned *at)
{
	unsigned i;

	for (i = 0; attr != NULL && i < attr->nvalues; i++) {
		if (span_eq(attr->values[i], value)) {
			if (at != NULL)
				*at = i;
			return true;
		}
	}
	return false;
}

static int append(struct sitectl_edit *e, struct ldif_attr *attr, struct span value)
{
	struct span *values = arena_alloc(e->arena, (attr->nvalues + 1) * sizeof(*values));

	if (values == NULL)
		return RC_NOMEM;
	if (attr->nvalues != 0)
		memcpy(values, attr->values, attr->nvalues * sizeof(*values));
	values[attr->nvalues++] = value;
	attr->values = values;
	return RC_OK;
}

static int remove_value(struct ldif_attr *attr, struct span value)
{
	unsigned at;

	if (!has_value(attr, value, &at)) {
		cli_error("%.*s has no value \"%.*s\"", SPAN_ARG(attr->type), SPAN_ARG(value));
		return RC_NOTFOUND;
	}
	attr->values[at] = attr->values[--attr->nvalues];
	return RC_OK;
}

int sitectl_edit_step(struct sitectl_edit *e, enum sitectl_step step, struct span type,
		      struct span value)
{
	struct ldif_attr *attr;
	int rc = touch(e, type, &attr);

	if (rc == RC_OK && (step == SITECTL_SET || step == SITECTL_ADD))
		rc = sitectl_check_value(e->arena, attr->type, &value);
	if (rc != RC_OK)
		return rc;
	switch (step) {
	case SITECTL_CLEAR:
		attr->nvalues = 0;
		return RC_OK;
	case SITECTL_SET:
		attr->nvalues = 0;
		return append(e, attr, value);
	case SITECTL_ADD:
		return has_value(attr, value, NULL) ? RC_OK : append(e, attr, value);
	case SITECTL_REMOVE:
		return remove_value(attr, value);
	}
	return RC_INVALID;
}

/* The second ATTRIBUTE=VALUE of an attribute in one command adds to the first. */
static bool was_set(const struct span *set, unsigned nset, struct span type)
{
	unsigned i;

	for (i = 0; i < nset; i++) {
		if (span_eq_nocase(set[i], type))
			return true;
	}
	return false;
}

static int split_word(const char *word, struct span *type, struct span *value,
		      enum sitectl_step *step)
{
	*value = span_of(word);
	*step = SITECTL_SET;
	if (!span_cut(value, '=', type)) {
		cli_error("\"%s\" is not ATTRIBUTE=VALUE", word);
		return RC_INVALID;
	}
	if (type->n != 0 && type->p[type->n - 1] == '+')
		*step = SITECTL_ADD;
	else if (type->n != 0 && type->p[type->n - 1] == '-')
		*step = SITECTL_REMOVE;
	else if (value->n == 0)
		*step = SITECTL_CLEAR;
	if (*step == SITECTL_ADD || *step == SITECTL_REMOVE)
		*type = span_head(*type, type->n - 1);
	if (type->n != 0 && (value->n != 0 || *step == SITECTL_CLEAR))
		return RC_OK;
	cli_error("\"%s\" is not ATTRIBUTE=VALUE", word);
	return RC_INVALID;
}

int sitectl_edit_words(struct sitectl_edit *e, int nwords, char **words)
{
	struct span set[MAX_TOUCHED], type, value;
	enum sitectl_step step;
	unsigned nset = 0;
	int rc = RC_OK;
	int i;

	for (i = 0; i < nwords && rc == RC_OK; i++) {
		rc = split_word(words[i], &type, &value, &step);
		if (rc != RC_OK)
			return rc;
		if (step == SITECTL_SET && was_set(set, nset, type))
			step = SITECTL_ADD;
		else if (step == SITECTL_SET && nset < MAX_TOUCHED)
			set[nset++] = type;
		rc = sitectl_edit_step(e, step, type, value);
	}
	return rc;
}

/* Values of `from` that `in` lacks, as a change of kind op. */
static int difference(struct sitectl_edit *e, const struct ldif_attr *from,
		      const struct ldif_attr *in, enum ldif_op op, struct ldif_record *out)
{
	struct ldif_attr *mod = &out->attrs[out->nattrs];
	unsigned i;
	int rc = RC_OK;

	if (from == NULL)
		return RC_OK;
	*mod = (struct ldif_attr){.op = op, .type = from->type};
	for (i = 0; i < from->nvalues && rc == RC_OK; i++) {
		if (!has_value(in, from->values[i], NULL))
			rc = append(e, mod, from->values[i]);
	}
	out->nattrs += mod->nvalues != 0;
	return rc;
}

static void print_mods(const struct ldif_record *mods)
{
	unsigned i, j;

	for (i = 0; i < mods->nattrs; i++) {
		const struct ldif_attr *m = &mods->attrs[i];

		for (j = 0; j < m->nvalues; j++)
			printf("  %c %.*s: %.*s\n", m->op == LDIF_OP_DELETE ? '-' : '+',
			       SPAN_ARG(m->type), SPAN_ARG(m->values[j]));
	}
}

int sitectl_edit_commit(struct sitectl_edit *e, struct dirconn *c, bool dry_run)
{
	struct ldif_attr mods[2 * MAX_TOUCHED];
	struct ldif_record change = {.kind = LDIF_MODIFY, .dn = e->before->dn, .attrs = mods};
	unsigned i;
	int rc = RC_OK;

	for (i = 0; i < e->n && rc == RC_OK; i++) {
		const struct ldif_attr *before = attr_before(e, e->after[i].type);

		rc = difference(e, before, &e->after[i], LDIF_OP_DELETE, &change);
		if (rc == RC_OK)
			rc = difference(e, &e->after[i], before, LDIF_OP_ADD, &change);
	}
	if (rc != RC_OK)
		return rc;
	if (change.nattrs == 0) {
		printf("%.*s: nothing to change\n", SPAN_ARG(change.dn));
		return RC_OK;
	}
	if (!dry_run)
		rc = dirconn_change(c, &change);
	if (rc == RC_OK) {
		printf("%s %.*s\n", dry_run ? "would change" : "changed", SPAN_ARG(change.dn));
		print_mods(&change);
	}
	return rc;
}

int sitectl_add(struct dirconn *c, const struct ldif_record *r, bool dry_run)
{
	int rc = dry_run ? RC_OK : dirconn_change(c, r);

	if (rc == RC_OK) {
		printf("%s %.*s\n", dry_run ? "would add" : "added", SPAN_ARG(r->dn));
		print_mods(r);
	}
	return rc;
}

int sitectl_delete(struct dirconn *c, struct span dn, bool dry_run)
{
	const struct ldif_record change = {.kind = LDIF_DELETE, .dn = dn};
	int rc = dry_run ? RC_OK : dirconn_change(c, &change);

	if (rc == RC_OK)
		printf("%s %.*s\n", dry_run ? "would delete" : "deleted", SPAN_ARG(dn));
	return rc;
}

/* --- finding --- */

int sitectl_site_dn(struct dirconn *c, struct arena *a, const char *site, const char **dn)
{
	if (site == NULL)
		site = dirconn_site(c);
	if (site == NULL) {
		cli_error("which site? %s does not say whose server it is", "the server");
		cli_hint("give --site NAME, or --config FILE of the site");
		return RC_INVALID;
	}
	*dn = dirconn_child_dn(a, "ou", site, dirconn_root(c));
	return *dn != NULL ? RC_OK : RC_NOMEM;
}

struct search_one {
	struct arena *arena;
	const char *dns[4];
	unsigned n;
};

static int note_dn(const struct ldif_record *entry, void *arg)
{
	struct search_one *s = arg;

	if (s->n < 4) {
		s->dns[s->n] = arena_str(s->arena, entry->dn);
		if (s->dns[s->n] == NULL)
			return RC_NOMEM;
	}
	s->n++;
	return RC_OK;
}

int sitectl_find(struct dirconn *c, struct arena *a, const struct sitectl_wanted *w,
		 struct ldif_record *out)
{
	static const char *const none[] = {"1.1", NULL};
	const struct dirconn_search s = {w->base, DIRCONN_SUB, w->filter, none, 0};
	struct search_one found = {.arena = a};
	unsigned i;
	int rc = w->filter != NULL ? dirconn_search(c, &s, note_dn, &found) : RC_NOMEM;

	if (rc != RC_OK && rc != RC_NOTFOUND)
		return rc;
	if (found.n == 0) {
		cli_error("there is no %s \"%s\" below %s", w->what, w->name, w->base);
		cli_hint("`%s` tells which there are", w->list);
		return RC_NOTFOUND;
	}
	if (found.n > 1) {
		cli_error("there are %u of the name \"%s\"; say which with --site", found.n,
			  w->name);
		for (i = 0; i < found.n && i < 4; i++)
			cli_hint("%s", found.dns[i]);
		return RC_CONFLICT;
	}
	return dirconn_read(c, a, found.dns[0], NULL, out);
}
