#include "dird/schema_def.h"

/* Deep enough for any published class; a class graph that is deeper is refused, not recursed into.
 */
#define CLASS_DEPTH_MAX 64

struct resolver {
	struct schema *s;
	struct buf *errors;
	bool nomem;
};

#define complain(r, def, ...)                                                                      \
	schema_error((r)->s, (r)->errors, (def)->file, (def)->line, __VA_ARGS__)

static const char *def_name(const struct schema_def *def)
{
	return def->names != NULL ? def->names[0] : def->oid;
}

static void *take(struct resolver *r, size_t count, size_t size)
{
	void *p = arena_zalloc(&r->s->mem, count, size);

	if (p == NULL)
		r->nomem = true;
	return p;
}

/* --- names ------------------------------------------------------------------------------------ */

/* Asked some hundred times an entry: eight bytes at once. Bit 0x20, in which the cases of a letter
 * differ, counts for nothing. */
static uint64_t hash_name(struct span key)
{
	const uint64_t either_case = 0x2020202020202020u, odd = 0x9e3779b97f4a7c15u;
	uint64_t h = key.n, word;
	size_t i;

	for (; key.n >= sizeof(word); key = span_from(key, sizeof(word))) {
		memcpy(&word, key.p, sizeof(word));
		h = (h ^ (word | either_case)) * odd;
		h ^= h >> 32;
	}
	for (i = 0, word = 0; i < key.n; i++)
		word = word << 8 | key.p[i];
	h = (h ^ (word | either_case)) * odd;
	return h ^ h >> 32;
}

static size_t slot_of(const struct schema_names *names, struct span key)
{
	size_t i = hash_name(key) & (names->size - 1);

	while (names->slots[i] != NULL && !span_eq(names->keys[i], key) &&
	       !span_eq_nocase(names->keys[i], key))
		i = (i + 1) & (names->size - 1);
	return i;
}

struct schema_def *schema_names_find(const struct schema_names *names, struct span key)
{
	return names->size != 0 ? names->slots[slot_of(names, key)] : NULL;
}

static void add_name(struct resolver *r, struct schema_names *names, struct schema_def *def,
		     const char *key)
{
	size_t i = slot_of(names, span_of(key));
	const struct schema_def *old = names->slots[i];

	if (old != NULL) {
		complain(r, def, "%s is defined already, at %s:%u", key, old->file, old->line);
		return;
	}
	names->slots[i] = def;
	names->keys[i] = span_of(key);
}

static int make_names(struct resolver *r, enum schema_kind kind, struct schema_names *names)
{
	struct schema_def *def;
	const char **name;
	size_t n = 0;

	for (def = r->s->defs; def != NULL; def = def->next) {
		for (name = def->names; name != NULL && *name != NULL; name++)
			n++;
		n++;
	}
	names->size = 64;
	while (names->size < 2 * n)
		names->size *= 2;
	names->slots = take(r, names->size, sizeof(struct schema_def *));
	names->keys = take(r, names->size, sizeof(*names->keys));
	if (r->nomem)
		return RC_NOMEM;
	for (def = r->s->defs; def != NULL; def = def->next) {
		if (def->kind != kind)
			continue;
		add_name(r, names, def, def->oid);
		for (name = def->names; name != NULL && *name != NULL; name++)
			add_name(r, names, def, *name);
	}
	return RC_OK;
}

static struct schema_def *find(struct resolver *r, const struct schema_def *by,
			       const struct schema_names *names, const char *key, const char *what)
{
	struct schema_def *found = schema_names_find(names, span_of(key));

	if (found == NULL)
		complain(r, by, "%s: unknown %s %s", def_name(by), what, key);
	return found;
}

/* --- attribute types -------------------------------------------------------------------------- */

static void find_sup(struct resolver *r, struct schema_def *def)
{
	if (def->sups == NULL)
		return;
	if (def->sups[1] != NULL)
		complain(r, def, "%s: an attribute type has one SUP", def_name(def));
	def->sup_def = find(r, def, &r->s->attr_names, def->sups[0], "attribute type");
}

static void check_cycle(struct resolver *r, struct schema_def *def)
{
	const struct schema_def *at = def->sup_def;
	unsigned steps = 0;

	while (at != NULL && at != def && steps++ < r->s->nattrs)
		at = at->sup_def;
	if (at == NULL)
		return;
	complain(r, def, "%s: SUP leads back to itself", def_name(def));
	def->sup_def = NULL;
}

static const char *inherited_syntax(const struct schema_def *def)
{
	while (def != NULL && def->syntax == NULL)
		def = def->sup_def;
	return def != NULL ? def->syntax : NULL;
}

static const char *rule_word(const struct schema_def *def, enum schema_rule_kind kind)
{
	switch (kind) {
	case SCHEMA_EQUALITY:
		return def->equality;
	case SCHEMA_ORDERING:
		return def->ordering;
	case SCHEMA_SUBSTRINGS:
		return def->substr;
	}
	return NULL;
}

static const struct schema_rule *find_rule(struct resolver *r, const struct schema_def *def,
					   enum schema_rule_kind kind)
{
	const struct schema_def *at = def;
	const struct schema_rule *rule;
	const char *word;

	while (at != NULL && rule_word(at, kind) == NULL)
		at = at->sup_def;
	if (at == NULL)
		return NULL;
	word = rule_word(at, kind);
	rule = schema_rule(span_of(word));
	if (at == def && rule == NULL)
		complain(r, def, "%s: unknown matching rule %s", def_name(def), word);
	else if (at == def && rule->kind != kind)
		complain(r, def, "%s: %s is no rule of that kind", def_name(def), word);
	return rule;
}

static void check_attr(struct resolver *r, const struct schema_def *def)
{
	if (def->attr->syntax == NULL)
		complain(r, def, "%s: neither SYNTAX nor SUP", def_name(def));
	if (def->sup_def != NULL && def->sup_def->usage != def->usage)
		complain(r, def, "%s: another usage than its SUP %s", def_name(def),
			 def_name(def->sup_def));
	if (def->no_user_modification && def->usage == SCHEMA_USER)
		complain(r, def, "%s: NO-USER-MODIFICATION needs an operational usage",
			 def_name(def));
	if (def->collective && def->single)
		complain(r, def, "%s: COLLECTIVE and SINGLE-VALUE exclude each other",
			 def_name(def));
	if (def->is_indexed && def->attr->equality == SCHEMA_NORM_NONE)
		complain(r, def, "%s: 'index' needs an EQUALITY rule", def_name(def));
}

/* '!' stands in no name of a type. */
static uint32_t accents_hash(struct resolver *r, const struct schema_attr *at)
{
	const char *run;

	if (!at->is_indexed || at->equality != SCHEMA_NORM_IGNORE)
		return 0;
	run = arena_printf(&r->s->mem, "%s!accents", at->name);
	if (run == NULL)
		r->nomem = true;
	return run != NULL ? entry_type_hash(span_of(run)) : 0;
}

static void fill_attr(struct resolver *r, struct schema_def *def)
{
	const struct schema_rule *equality = find_rule(r, def, SCHEMA_EQUALITY);
	const struct schema_rule *ordering = find_rule(r, def, SCHEMA_ORDERING);
	const struct schema_rule *substr = find_rule(r, def, SCHEMA_SUBSTRINGS);
	struct schema_attr *at = def->attr;

	at->sup = def->sup_def != NULL ? def->sup_def->attr : NULL;
	at->equality = equality != NULL ? equality->norm : SCHEMA_NORM_NONE;
	at->equality_rule = equality != NULL ? equality->name : NULL;
	at->ordering = ordering != NULL ? ordering->norm : SCHEMA_NORM_NONE;
	at->substr = substr != NULL ? substr->norm : SCHEMA_NORM_NONE;
	at->syntax = inherited_syntax(def);
	at->checker = at->syntax != NULL ? schema_syntax(at->syntax) : NULL;
	at->single = def->single;
	at->no_user_modification = def->no_user_modification;
	at->is_protected = def->is_protected;
	at->is_indexed = def->is_indexed;
	at->accents_hash = accents_hash(r, at);
	at->usage = def->usage;
	at->names_entries =
		def->usage == SCHEMA_USER && strcmp(at->name, "aliasedObjectName") != 0 &&
		(at->equality == SCHEMA_NORM_DN || at->equality == SCHEMA_NORM_NAME_UID);
	check_attr(r, def);
}

static const char *const *names_of(struct resolver *r, const struct schema_def *def)
{
	const char **names;

	if (def->names != NULL)
		return def->names;
	names = take(r, 2, sizeof(*names));
	if (names != NULL)
		names[0] = def->oid;
	return names;
}

static int make_attrs(struct resolver *r)
{
	struct schema_def *def;
	unsigned i = 0;

	for (def = r->s->defs; def != NULL; def = def->next)
		r->s->nattrs += def->kind == SCHEMA_ATTRIBUTE_TYPES;
	r->s->attrs = take(r, r->s->nattrs, sizeof(*r->s->attrs));
	for (def = r->s->defs; def != NULL && !r->nomem; def = def->next) {
		if (def->kind != SCHEMA_ATTRIBUTE_TYPES)
			continue;
		def->attr = &r->s->attrs[i];
		def->attr->id = i++;
		def->attr->oid = def->oid;
		def->attr->name = def_name(def);
		def->attr->names = names_of(r, def);
		def->attr->hash = entry_type_hash(span_of(def->attr->name));
		find_sup(r, def);
	}
	if (r->nomem)
		return RC_NOMEM;
	for (def = r->s->defs; def != NULL; def = def->next)
		check_cycle(r, def);
	for (def = r->s->defs; def != NULL; def = def->next) {
		if (def->attr != NULL)
			fill_attr(r, def);
	}
	return r->nomem ? RC_NOMEM : RC_OK;
}

static int make_subtypes(struct resolver *r)
{
	struct schema *s = r->s;
	unsigned *count = take(r, s->nattrs, sizeof(*count));
	const struct schema_attr *up;
	unsigned i;

	s->subtypes = take(r, s->nattrs, sizeof(*s->subtypes));
	if (r->nomem)
		return RC_NOMEM;
	for (i = 0; i < s->nattrs; i++) {
		for (up = &s->attrs[i]; up != NULL; up = up->sup)
			count[up->id]++;
	}
	for (i = 0; i < s->nattrs && !r->nomem; i++) {
		s->subtypes[i] = take(r, count[i] + 1, sizeof(*s->subtypes[i]));
		count[i] = 1;
	}
	if (r->nomem)
		return RC_NOMEM;
	for (i = 0; i < s->nattrs; i++) {
		s->subtypes[i][0] = &s->attrs[i];
		for (up = s->attrs[i].sup; up != NULL; up = up->sup)
			s->subtypes[up->id][count[up->id]++] = &s->attrs[i];
	}
	return RC_OK;
}

/* --- object classes --------------------------------------------------------------------------- */

static unsigned count_items(const char **items)
{
	unsigned n = 0;

	while (items != NULL && items[n] != NULL)
		n++;
	return n;
}

static const struct schema_attr *const *find_attrs(struct resolver *r, const struct schema_def *def,
						   const char **items)
{
	unsigned i, n = 0, count = count_items(items);
	const struct schema_attr **attrs = take(r, count + 1, sizeof(*attrs));

	for (i = 0; attrs != NULL && i < count; i++) {
		struct schema_def *found =
			find(r, def, &r->s->attr_names, items[i], "attribute type");

		if (found != NULL)
			attrs[n++] = found->attr;
	}
	return attrs;
}

static bool kind_allows(enum schema_class_kind kind, enum schema_class_kind sup)
{
	switch (kind) {
	case SCHEMA_ABSTRACT:
		return sup == SCHEMA_ABSTRACT;
	case SCHEMA_STRUCTURAL:
		return sup != SCHEMA_AUXILIARY;
	case SCHEMA_AUXILIARY:
		return sup != SCHEMA_STRUCTURAL;
	}
	return false;
}

static const struct schema_class *const *find_sups(struct resolver *r, const struct schema_def *def)
{
	unsigned i, n = 0, count = count_items(def->sups);
	const struct schema_class **sups = take(r, count + 1, sizeof(*sups));

	for (i = 0; sups != NULL && i < count; i++) {
		struct schema_def *sup =
			find(r, def, &r->s->class_names, def->sups[i], "object class");

		if (sup == NULL)
			continue;
		if (!kind_allows(def->class_kind, sup->class_kind))
			complain(r, def, "%s: its kind cannot be derived from the kind of %s",
				 def_name(def), def->sups[i]);
		sups[n++] = sup->class;
	}
	return sups;
}

static void fill_class(struct resolver *r, struct schema_def *def)
{
	struct schema_class *c = def->class;

	c->oid = def->oid;
	c->name = def_name(def);
	c->names = names_of(r, def);
	c->kind = def->class_kind;
	c->sups = find_sups(r, def);
	c->must = find_attrs(r, def, def->must);
	c->may = find_attrs(r, def, def->may);
}

/* Longest way up from c; more than CLASS_DEPTH_MAX means a cycle or nonsense. */
static unsigned class_depth(const struct schema_class *c, unsigned limit)
{
	unsigned i, depth, deepest = 0;

	for (i = 0; limit != 0 && c->sups[i] != NULL && deepest < limit; i++) {
		depth = class_depth(c->sups[i], limit - 1) + 1;
		if (depth > deepest)
			deepest = depth;
	}
	return limit != 0 ? deepest : 1;
}

static void add_bits(uint64_t *bits, const struct schema_attr *const *attrs)
{
	for (; *attrs != NULL; attrs++)
		bits[(*attrs)->id / 64] |= UINT64_C(1) << (*attrs)->id % 64;
}

static void add_class_bits(uint64_t *must, uint64_t *may, const struct schema_class *c)
{
	unsigned i;

	add_bits(must, c->must);
	add_bits(may, c->must);
	add_bits(may, c->may);
	for (i = 0; c->sups[i] != NULL; i++)
		add_class_bits(must, may, c->sups[i]);
}

static int make_class_bits(struct resolver *r)
{
	size_t words = (r->s->nattrs + 63) / 64;
	unsigned i;

	for (i = 0; i < r->s->nclasses; i++) {
		uint64_t *bits = take(r, 2 * words, sizeof(*bits));

		if (bits == NULL)
			return RC_NOMEM;
		r->s->classes[i].must_bits = bits;
		r->s->classes[i].may_bits = bits + words;
		add_class_bits(bits, bits + words, &r->s->classes[i]);
	}
	return RC_OK;
}

static int make_classes(struct resolver *r)
{
	struct schema_def *def;
	unsigned i = 0;

	for (def = r->s->defs; def != NULL; def = def->next)
		r->s->nclasses += def->kind == SCHEMA_OBJECT_CLASSES;
	r->s->classes = take(r, r->s->nclasses, sizeof(*r->s->classes));
	if (r->nomem)
		return RC_NOMEM;
	for (def = r->s->defs; def != NULL; def = def->next) {
		if (def->kind != SCHEMA_OBJECT_CLASSES)
			continue;
		def->class = &r->s->classes[i];
		def->class->id = i++;
	}
	for (def = r->s->defs; def != NULL && !r->nomem; def = def->next) {
		if (def->class != NULL)
			fill_class(r, def);
	}
	if (r->nomem)
		return RC_NOMEM;
	for (def = r->s->defs; def != NULL; def = def->next) {
		if (def->class != NULL &&
		    class_depth(def->class, CLASS_DEPTH_MAX) >= CLASS_DEPTH_MAX)
			complain(r, def, "%s: SUP leads back to itself or is too deep",
				 def_name(def));
	}
	return RC_OK;
}

static int list_references(struct resolver *r)
{
	unsigned i, n = 0;

	r->s->references = take(r, (size_t)r->s->nattrs + 1, sizeof(*r->s->references));
	if (r->nomem)
		return RC_NOMEM;
	for (i = 0; i < r->s->nattrs; i++) {
		if (r->s->attrs[i].names_entries && r->s->attrs[i].is_indexed)
			r->s->references[n++] = &r->s->attrs[i];
	}
	return RC_OK;
}

int schema_resolve(struct schema *s, struct buf *errors)
{
	struct resolver r = {.s = s, .errors = errors};
	int rc;

	rc = make_names(&r, SCHEMA_ATTRIBUTE_TYPES, &s->attr_names);
	if (rc == RC_OK)
		rc = make_names(&r, SCHEMA_OBJECT_CLASSES, &s->class_names);
	if (rc == RC_OK)
		rc = make_attrs(&r);
	if (rc == RC_OK)
		rc = make_subtypes(&r);
	if (rc == RC_OK)
		rc = list_references(&r);
	if (rc == RC_OK)
		rc = make_classes(&r);
	if (rc == RC_OK && s->nerrors == 0)
		rc = make_class_bits(&r);
	return rc;
}
