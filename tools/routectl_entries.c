#include "tools/routectl_entries.h"

#include "lib/dn.h"
#include "routed/model_read.h"

void routectl_entries_init(struct routectl_entries *e)
{
	*e = (struct routectl_entries){.n = 0};
}

void routectl_entries_fini(struct routectl_entries *e)
{
	map_fini(&e->by_dn);
	mem_free(e->items);
	arena_fini(&e->arena);
	*e = (struct routectl_entries){.n = 0};
}

/* --- entries --- */

static int copy_values(struct arena *a, const struct ldif_attr *from, struct ldif_attr *to)
{
	unsigned i;

	*to = (struct ldif_attr){.type = arena_span(a, from->type),
				 .values = arena_zalloc(a, from->nvalues, sizeof(struct span))};
	if (to->type.p == NULL || to->values == NULL)
		return RC_NOMEM;
	for (i = 0; i < from->nvalues; i++) {
		to->values[i] = arena_span(a, from->values[i]);
		if (to->values[i].p == NULL)
			return RC_NOMEM;
		to->nvalues++;
	}
	return RC_OK;
}

static int copy_entry(struct arena *a, struct span dn, const struct ldif_attr *attrs,
		      unsigned nattrs, struct routectl_entry *out)
{
	unsigned i;
	int rc = RC_OK;

	out->dn = arena_span(a, dn);
	out->attrs = arena_zalloc(a, nattrs, sizeof(*out->attrs));
	out->nattrs = nattrs;
	if (out->dn.p == NULL || out->attrs == NULL)
		return RC_NOMEM;
	for (i = 0; i < nattrs && rc == RC_OK; i++)
		rc = copy_values(a, &attrs[i], &out->attrs[i]);
	return rc;
}

static int add_item(struct routectl_entries *e, const struct routectl_entry *item)
{
	size_t size = e->size != 0 ? e->size * 2 : 64;
	struct routectl_entry *bigger;
	uint32_t at = map_get(&e->by_dn, item->normal);

	if (at != MAP_NONE) {
		e->items[at] = *item;
		return map_put(&e->by_dn, item->normal, at);
	}
	if (e->n == e->size) {
		bigger = mem_realloc(e->items, size * sizeof(*bigger));
		if (bigger == NULL)
			return RC_NOMEM;
		e->items = bigger;
		e->size = size;
	}
	e->items[e->n] = *item;
	return map_put(&e->by_dn, item->normal, (uint32_t)e->n++);
}

/* For the model, an attribute is what it is in a record. */
static int to_model(struct arena *a, const struct ldif_attr *attrs, unsigned n,
		    struct model_attr **out)
{
	unsigned i;

	*out = arena_zalloc(a, n, sizeof(**out));
	if (*out == NULL)
		return RC_NOMEM;
	for (i = 0; i < n; i++)
		(*out)[i] = (struct model_attr){attrs[i].type, attrs[i].values, attrs[i].nvalues};
	return RC_OK;
}

int routectl_entries_put(struct routectl_entries *e, const struct ldif_record *r)
{
	struct routectl_entry item = {.gone = false};
	struct model_attr *attrs;
	struct arena a;
	int rc;

	arena_init(&a);
	rc = to_model(&a, r->attrs, r->nattrs, &attrs);
	if (rc == RC_OK && model_read_class(attrs, r->nattrs) != MODEL_ENTRY_OTHER) {
		rc = dn_normalize_text(&e->arena, r->dn, &item.normal);
		if (rc == RC_OK && item.normal.n != 0)
			rc = copy_entry(&e->arena, r->dn, r->attrs, r->nattrs, &item);
		if (rc == RC_OK && item.normal.n != 0)
			rc = add_item(e, &item);
	}
	arena_fini(&a);
	return rc == RC_TOOBIG ? RC_INVALID : rc;
}

int routectl_entries_model(const struct routectl_entries *e, struct model **out)
{
	unsigned changes = 0;
	struct arena a;
	size_t i;
	int rc = model_new(out);

	for (i = 0; i < e->n && rc == RC_OK; i++) {
		const struct routectl_entry *item = &e->items[i];
		struct model_attr *attrs;

		if (item->gone)
			continue;
		arena_init(&a);
		rc = to_model(&a, item->attrs, item->nattrs, &attrs);
		if (rc == RC_OK)
			rc = model_put(*out, item->normal, item->dn, attrs, item->nattrs, &changes);
		arena_fini(&a);
	}
	if (rc == RC_OK)
		rc = model_commit(*out);
	if (rc != RC_OK)
		model_free(out);
	return rc;
}

/* --- changes --- */

static struct routectl_entry *find(struct routectl_entries *e, struct span normal)
{
	uint32_t at = normal.n != 0 ? map_get(&e->by_dn, normal) : MAP_NONE;

	return at != MAP_NONE && !e->items[at].gone ? &e->items[at] : NULL;
}

static struct ldif_attr *find_attr(struct routectl_entry *item, struct span type)
{
	unsigned i;

	for (i = 0; i < item->nattrs; i++) {
		if (span_eq_nocase(item->attrs[i].type, type))
			return &item->attrs[i];
	}
	return NULL;
}

/* The attribute; a new one has no values yet. */
static struct ldif_attr *get_attr(struct arena *a, struct routectl_entry *item, struct span type)
{
	struct ldif_attr *attr = find_attr(item, type), *more;

	if (attr != NULL)
		return attr;
	more = arena_zalloc(a, item->nattrs + 1u, sizeof(*more));
	if (more == NULL)
		return NULL;
	if (item->nattrs != 0)
		memcpy(more, item->attrs, item->nattrs * sizeof(*more));
	item->attrs = more;
	attr = &more[item->nattrs++];
	attr->type = arena_span(a, type);
	return attr->type.p != NULL ? attr : NULL;
}

static int add_values(struct arena *a, struct ldif_attr *attr, const struct ldif_attr *mod)
{
	struct span *values = arena_alloc(a, (attr->nvalues + mod->nvalues) * sizeof(*values));
	struct ldif_attr copy;
	int rc = values != NULL ? copy_values(a, mod, &copy) : RC_NOMEM;

	if (rc != RC_OK)
		return rc;
	if (attr->nvalues != 0)
		memcpy(values, attr->values, attr->nvalues * sizeof(*values));
	if (copy.nvalues != 0)
		memcpy(values + attr->nvalues, copy.values, copy.nvalues * sizeof(*values));
	attr->values = values;
	attr->nvalues += copy.nvalues;
	return RC_OK;
}

/* Values of routing attributes are equal without regard to case, blanks at the ends aside. */
static int delete_values(struct ldif_attr *attr, const struct ldif_attr *mod)
{
	unsigned i, k;

	if (mod->nvalues == 0)
		attr->nvalues = 0;
	for (i = 0; i < mod->nvalues; i++) {
		for (k = 0; k < attr->nvalues; k++) {
			if (span_eq_nocase(span_trim(attr->values[k]), span_trim(mod->values[i])))
				break;
		}
		if (k == attr->nvalues)
			return RC_NOTFOUND;
		attr->values[k] = attr->values[--attr->nvalues];
	}
	return RC_OK;
}

static int modify_one(struct arena *a, struct routectl_entry *item, const struct ldif_attr *mod,
		      const char **why)
{
	struct ldif_attr *attr = get_attr(a, item, mod->type);

	if (attr == NULL)
		return RC_NOMEM;
	switch (mod->op) {
	case LDIF_OP_REPLACE:
		attr->nvalues = 0;
		return add_values(a, attr, mod);
	case LDIF_OP_ADD:
		return add_values(a, attr, mod);
	case LDIF_OP_DELETE:
		*why = "the entry does not have the value that is to be deleted";
		return delete_values(attr, mod);
	case LDIF_OP_INCREMENT:
		*why = "no attribute of routing can be incremented";
		return RC_INVALID;
	}
	return RC_INVALID;
}

static int modify(struct routectl_entries *e, struct routectl_entry *item,
		  const struct ldif_record *change, const char **why)
{
	unsigned i;
	int rc = RC_OK;

	for (i = 0; i < change->nattrs && rc == RC_OK; i++)
		rc = modify_one(&e->arena, item, &change->attrs[i], why);
	return rc;
}

static bool has_children(const struct routectl_entries *e, struct span normal)
{
	size_t i;

	for (i = 0; i < e->n; i++) {
		if (!e->items[i].gone && !span_eq(e->items[i].normal, normal) &&
		    dn_is_within(e->items[i].normal, normal))
			return true;
	}
	return false;
}

/* The entry below its new name: its RDNs above `depth` from the end are kept. */
static int rename_one(struct routectl_entries *e, size_t at, unsigned below, const struct dn *to)
{
	struct routectl_entry item = e->items[at];
	struct dn_rdn *rdns;
	struct dn old, dn;
	struct buf b;
	int rc = dn_parse(&e->arena, item.dn, &old, NULL);

	if (rc != RC_OK)
		return rc;
	dn.n = old.n - below + to->n;
	rdns = arena_alloc(&e->arena, dn.n * sizeof(*rdns));
	if (rdns == NULL)
		return RC_NOMEM;
	memcpy(rdns, old.rdns, (old.n - below) * sizeof(*rdns));
	memcpy(rdns + old.n - below, to->rdns, to->n * sizeof(*rdns));
	dn.rdns = rdns;
	buf_init(&b, DN_MAX_BYTES * 4);
	dn_write(&dn, &b);
	rc = buf_rc(&b);
	item.dn = arena_span(&e->arena, buf_span(&b));
	if (rc == RC_OK && item.dn.p != NULL)
		rc = dn_normalize_text(&e->arena, item.dn, &item.normal);
	buf_fini(&b);
	if (rc != RC_OK || item.dn.p == NULL)
		return rc != RC_OK ? rc : RC_NOMEM;
	map_del(&e->by_dn, e->items[at].normal);
	e->items[at].gone = true;
	return add_item(e, &item);
}

/* The new name: newrdn, below newsuperior or the old parent. */
static int new_name(struct arena *a, struct span dn, const struct ldif_record *change,
		    struct dn *old, struct dn *out)
{
	struct dn_rdn *rdns;
	struct dn parent;
	int rc = dn_parse(a, dn, old, NULL);

	if (rc == RC_OK && change->has_newsuperior)
		rc = dn_parse(a, change->newsuperior, &parent, NULL);
	else if (rc == RC_OK)
		parent = dn_ancestor(*old, 1);
	if (rc != RC_OK)
		return rc;
	rdns = arena_alloc(a, (parent.n + 1u) * sizeof(*rdns));
	if (rdns == NULL)
		return RC_NOMEM;
	rc = dn_rdn_parse(a, change->newrdn, &rdns[0], NULL);
	if (parent.n != 0)
		memcpy(rdns + 1, parent.rdns, parent.n * sizeof(*rdns));
	*out = (struct dn){rdns, parent.n + 1};
	return rc;
}

static int rename_entry(struct routectl_entries *e, const struct routectl_entry *item,
			const struct ldif_record *change)
{
	struct span from = item->normal;
	struct dn old, to;
	size_t i, n = e->n;
	int rc = new_name(&e->arena, item->dn, change, &old, &to);

	for (i = 0; i < n && rc == RC_OK; i++) {
		if (!e->items[i].gone && dn_is_within(e->items[i].normal, from))
			rc = rename_one(e, i, old.n, &to);
	}
	return rc;
}

int routectl_entries_change(struct routectl_entries *e, const struct ldif_record *change,
			    const char **why)
{
	struct routectl_entry *item;
	struct span normal;
	int rc = dn_normalize_text(&e->arena, change->dn, &normal);

	*why = "the DN is malformed or too long";
	if (rc != RC_OK)
		return rc == RC_TOOBIG ? RC_INVALID : rc;
	item = find(e, normal);
	if (change->kind == LDIF_CONTENT || change->kind == LDIF_ADD) {
		*why = "the entry exists already";
		return item != NULL ? RC_EXISTS : routectl_entries_put(e, change);
	}
	*why = "there is no such site or connector";
	if (item == NULL)
		return RC_NOTFOUND;
	*why = "the new name is malformed";
	if (change->kind == LDIF_MODRDN)
		return rename_entry(e, item, change);
	if (change->kind == LDIF_MODIFY)
		return modify(e, item, change, why);
	*why = "there are entries below it";
	if (has_children(e, normal))
		return RC_CONFLICT;
	item->gone = true;
	map_del(&e->by_dn, item->normal);
	return RC_OK;
}

/* --- "IMS (Site1):onlySystemMessagesUseCDs=TRUE" --- */

static bool is_attribute_byte(uint8_t c)
{
	c = span_ascii_lower(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* Where "ATTRIBUTE=" begins: behind the first ':' that such a thing follows; 0: nowhere. */
static size_t attribute_at(struct span word)
{
	size_t i, k;

	for (i = 1; i < word.n; i++) {
		if (word.p[i - 1] != ':')
			continue;
		for (k = i; k < word.n && is_attribute_byte(word.p[k]);)
			k++;
		if (k > i && k < word.n && word.p[k] == '+')
			k++;
		if (k > i && k < word.n && word.p[k] == '=')
			return i;
	}
	return 0;
}

static int rdn_value(struct arena *a, struct span dn, unsigned depth, struct span *out)
{
	struct dn parsed;
	int rc = dn_parse(a, dn, &parsed, NULL);

	*out = (struct span){NULL, 0};
	if (rc == RC_OK && parsed.n > depth && parsed.rdns[depth].n == 1)
		*out = parsed.rdns[depth].avas[0].value;
	return rc;
}

/* Is this the entry of that name, and of that site (n = 0: any)? */
static bool is_named(struct routectl_entries *e, const struct routectl_entry *item,
		     struct span name, struct span site)
{
	struct span own, other;
	unsigned depth;

	if (rdn_value(&e->arena, item->dn, 0, &own) != RC_OK || !span_eq_nocase(own, name))
		return false;
	if (site.n == 0)
		return true;
	for (depth = 1; depth < DN_MAX_RDNS; depth++) {
		if (rdn_value(&e->arena, item->dn, depth, &other) == RC_OK &&
		    span_eq_nocase(other, site))
			return true;
	}
	return false;
}

static int find_named(struct routectl_entries *e, struct span name, struct span site,
		      struct routectl_entry **out, const char **why)
{
	size_t i;

	*out = NULL;
	for (i = 0; i < e->n; i++) {
		if (e->items[i].gone || !is_named(e, &e->items[i], name, site))
			continue;
		*why = "more than one object has that name; write NAME (SITE) or the DN";
		if (*out != NULL)
			return RC_CONFLICT;
		*out = &e->items[i];
	}
	*why = "there is no such site or connector";
	return *out != NULL ? RC_OK : RC_NOTFOUND;
}

/* A name may itself end in "(...)": the whole is tried first. */
static int find_object(struct routectl_entries *e, struct span object, struct routectl_entry **out,
		       const char **why)
{
	struct span normal, name = object, site;
	int rc = dn_normalize_text(&e->arena, object, &normal);

	if (rc == RC_NOMEM)
		return rc;
	*out = rc == RC_OK ? find(e, normal) : NULL;
	if (*out != NULL)
		return RC_OK;
	rc = find_named(e, object, (struct span){NULL, 0}, out, why);
	if (rc != RC_NOTFOUND || object.n < 2 || object.p[object.n - 1] != ')')
		return rc;
	while (name.n != 0 && name.p[name.n - 1] != '(')
		name.n--;
	site = span_head(span_from(object, name.n), object.n - name.n - 1);
	name = span_trim(span_head(name, name.n != 0 ? name.n - 1 : 0));
	return find_named(e, name, span_trim(site), out, why);
}

int routectl_entries_set(struct routectl_entries *e, const char *word, const char **why)
{
	struct span text = span_of(word), value, type;
	struct ldif_attr mod = {.op = LDIF_OP_REPLACE, .values = &value, .nvalues = 1};
	struct routectl_entry *item;
	size_t at = attribute_at(text);
	int rc;

	*why = "it is OBJECT:ATTRIBUTE=VALUE";
	if (at == 0)
		return RC_INVALID;
	value = span_from(text, at);
	(void)span_cut(&value, '=', &type);
	if (type.p[type.n - 1] == '+' || type.p[type.n - 1] == '-') {
		mod.op = type.p[type.n - 1] == '+' ? LDIF_OP_ADD : LDIF_OP_DELETE;
		type.n--;
	}
	mod.type = type;
	mod.nvalues = value.n != 0;
	if (type.n == 0 || (mod.op != LDIF_OP_REPLACE && value.n == 0))
		return RC_INVALID;
	rc = find_object(e, span_trim(span_head(text, at - 1)), &item, why);
	return rc == RC_OK ? modify_one(&e->arena, item, &mod, why) : rc;
}
