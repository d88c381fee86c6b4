#include "dird/view.h"

#include "dird/order.h"

#define FORM_MAX_BYTES (1024 * 1024)
#define KEY_VALUE 1
#define KEY_NONE 2

/* --- definitions --- */

static int read_filter(const struct schema *s, struct span text, struct arena *a,
		       struct filter **out, struct span *same, const char **why)
{
	struct span ber;
	struct buf b;
	int rc;

	buf_init(&b, FORM_MAX_BYTES);
	rc = filter_from_text(text, &b, why);
	ber = arena_span(a, buf_span(&b));
	if (rc == RC_OK)
		rc = ber.p != NULL ? filter_read(s, &ber, a, out, why) : RC_NOMEM;
	buf_clear(&b);
	if (rc == RC_OK)
		rc = filter_same(*out, &b);
	if (rc == RC_OK) {
		*same = arena_span(a, buf_span(&b));
		rc = same->p != NULL ? RC_OK : RC_NOMEM;
	}
	buf_fini(&b);
	return rc == RC_TOOBIG ? RC_INVALID : rc;
}

static bool knows_all(const struct filter *f)
{
	unsigned i;

	for (i = 0; i < f->nsubs; i++) {
		if (!knows_all(f->subs[i]))
			return false;
	}
	return f->kind != FILTER_UNDEFINED;
}

/* Values that are made when they are read, for one reader or another: nobody's list. */
static bool is_stored(const struct schema_attr *at)
{
	return at->usage == SCHEMA_USER || strcmp(at->name, "createTimestamp") == 0 ||
	       strcmp(at->name, "modifyTimestamp") == 0;
}

/* Names of entries are not for everybody: hidden ones are left out of what a reader sees. */
static bool is_name(const struct schema_attr *at)
{
	return at->equality == SCHEMA_NORM_DN || at->equality == SCHEMA_NORM_NAME_UID;
}

static bool is_usable(const struct schema_attr *at)
{
	return is_stored(at) && !is_name(at) && !at->is_protected;
}

/* What a reader may not see must not show in who is on a list, either. */
static bool all_usable(const struct filter *f)
{
	unsigned i;

	for (i = 0; i < f->nsubs; i++) {
		if (!all_usable(f->subs[i]))
			return false;
	}
	return f->at != NULL ? is_usable(f->at) : f->kind != FILTER_EXTENSIBLE;
}

static bool has_dn_match(const struct filter *f)
{
	unsigned i;

	for (i = 0; i < f->nsubs; i++) {
		if (has_dn_match(f->subs[i]))
			return true;
	}
	return f->dn_attrs;
}

static int take_filter(const struct schema *s, struct span text, struct arena *a, struct view *out,
		       const char **why)
{
	const char *what = "malformed";
	int rc = read_filter(s, text, a, &out->filter, &out->same, &what);

	*why = NULL;
	if (rc == RC_INVALID)
		*why = arena_printf(a, "viewFilter: %s", what != NULL ? what : "malformed");
	else if (rc == RC_OK && !knows_all(out->filter))
		*why = "viewFilter: an attribute is unknown, or a value is not of its syntax";
	else if (rc == RC_OK && !all_usable(out->filter))
		*why = "viewFilter: not with attributes that are protected, operational, or name "
		       "entries";
	else if (rc == RC_OK && has_dn_match(out->filter))
		*why = "viewFilter: :dn: is not possible here";
	return *why != NULL ? RC_INVALID : rc;
}

/* TYPE or TYPE:RULE */
static int take_sort(const struct schema *s, struct span word, struct view *out, const char **why)
{
	const struct schema_rule *rule = NULL;
	const struct schema_attr *at;
	struct span type;
	enum schema_norm norm;
	bool has_rule = span_cut(&word, ':', &type);

	at = schema_attr(s, type);
	if (has_rule)
		rule = schema_rule(word);
	norm = at != NULL ? schema_list_order(rule, at) : SCHEMA_NORM_NONE;
	if (at == NULL || norm == SCHEMA_NORM_NONE || !is_usable(at) ||
	    (has_rule &&
	     (rule == NULL || rule->kind != SCHEMA_ORDERING || !schema_rule_applies(rule, at))))
		*why = "viewSort: a type is unknown, or its values have no such order";
	else if (out->order.n == VIEW_SORT_MAX)
		*why = "viewSort: more than four types";
	else
		out->order.keys[out->order.n++] = (struct view_sort){at, norm};
	return *why != NULL ? RC_INVALID : RC_OK;
}

static int take_base(const struct view_text *text, struct arena *a, struct view *out,
		     const char **why)
{
	struct span base = text->base;
	const char *what = NULL;
	int rc;

	out->base_is_root = base.p == NULL;
	if (base.p == NULL)
		return RC_OK;
	base = arena_span(a, base);
	if (base.p == NULL)
		return RC_NOMEM;
	rc = dn_parse(a, base, &out->base, &what);
	if (rc == RC_INVALID || rc == RC_TOOBIG) {
		*why = arena_printf(a, "viewBase: %s", what != NULL ? what : "malformed");
		return RC_INVALID;
	}
	return rc;
}

static int take_scope(struct span scope, struct view *out, const char **why)
{
	out->is_one_level = scope.p != NULL && span_eq_nocase(scope, SPAN_LIT("one"));
	if (scope.p == NULL || out->is_one_level || span_eq_nocase(scope, SPAN_LIT("sub")))
		return RC_OK;
	*why = "viewScope: one or sub";
	return RC_INVALID;
}

int view_read(const struct schema *s, const struct view_text *text, struct arena *a,
	      struct view *out, const char **why)
{
	static const char everybody[] = "(|(objectClass=person)(objectClass=mailRecipient)"
					"(objectClass=customRecipient))";
	struct span sort = text->sort.p != NULL ? text->sort : SPAN_LIT("displayName"), word;
	bool more;
	int rc;

	memset(out, 0, sizeof(*out));
	*why = NULL;
	rc = take_base(text, a, out, why);
	if (rc == RC_OK)
		rc = take_scope(text->scope, out, why);
	if (rc == RC_OK)
		rc = take_filter(s, text->filter.p != NULL ? text->filter : SPAN_LIT(everybody), a,
				 out, why);
	for (more = true; rc == RC_OK && more;) {
		more = span_cut(&sort, ',', &word);
		rc = take_sort(s, span_trim(word), out, why);
	}
	if (rc == RC_INVALID && *why == NULL)
		rc = RC_NOMEM;
	return rc;
}

/* --- keys --- */

/* Room for one type's value: all of them together stay below the limit. */
static size_t part_max(const struct view_order *o)
{
	return VIEW_KEY_MAX_BYTES / o->n - 3;
}

/* 00 stands for the end, so one in a value is written 00 ff; what is cut is cut between bytes. */
static void put_value(struct buf *out, struct span value, size_t max)
{
	size_t i, n = 0;

	for (i = 0; i < value.n; i++) {
		n += value.p[i] == 0 ? 2 : 1;
		if (n > max)
			return;
		buf_putc(out, value.p[i]);
		if (value.p[i] == 0)
			buf_putc(out, 0xff);
	}
}

int view_key(const struct schema *s, const struct view_order *o, const struct entry *e,
	     struct buf *out)
{
	struct order_least l;
	unsigned i;

	order_init(&l, s);
	for (i = 0; i < o->n; i++) {
		order_begin(&l, o->keys[i].norm);
		order_entry(&l, o->keys[i].at, e);
		if (!l.has) {
			buf_putc(out, KEY_NONE);
			continue;
		}
		buf_putc(out, KEY_VALUE);
		put_value(out, buf_span(&l.best), part_max(o));
		buf_put(out, span_make("\0\0", 2));
	}
	order_fini(&l);
	return buf_rc(out);
}

int view_key_of(const struct schema *s, const struct view_order *o, struct span value, bool behind,
		struct buf *out)
{
	struct buf normal;
	int rc;

	buf_init(&normal, FORM_MAX_BYTES * 8);
	rc = schema_normalize(s, o->keys[0].norm, value, &normal);
	if (rc == RC_OK) {
		buf_putc(out, KEY_VALUE);
		put_value(out, buf_span(&normal), part_max(o));
		if (behind)
			buf_put(out, span_make("\0\1", 2));
		rc = buf_rc(out);
	}
	buf_fini(&normal);
	return rc;
}

static bool same_values(const struct schema_attr *at, const struct entry *a, const struct entry *b)
{
	struct entry_attr x, y;
	unsigned i = 0, k = 0;
	bool has_x, has_y;

	do {
		has_x = entry_find(a, at->hash, span_of(at->name), &i, &x);
		has_y = entry_find(b, at->hash, span_of(at->name), &k, &y);
		if (has_x != has_y || (has_x && !span_eq(x.values, y.values)))
			return false;
	} while (has_x);
	return true;
}

bool view_same_key(const struct schema *s, const struct view_order *o, const struct entry *a,
		   const struct entry *b)
{
	const struct schema_attr *const *sub;
	unsigned i;

	for (i = 0; i < o->n; i++) {
		for (sub = schema_subtypes(s, o->keys[i].at); *sub != NULL; sub++) {
			if (!same_values(*sub, a, b))
				return false;
		}
	}
	return true;
}

/* --- kinds --- */

int view_kinds_make(const struct schema *s, struct arena *a, struct view_kinds *out)
{
	/* The first is VIEW_KIND_ALL. The others are what address books, webmail and our own tools
	 * send to fill a list; some ask for an address or a name to be there. */
	static const char *const texts[VIEW_FILTERS] = {
		"(objectClass=*)",
		"(objectClass=person)",
		"(objectClass=inetOrgPerson)",
		"(objectClass=organizationalPerson)",
		"(mail=*)",
		"(&(objectClass=person)(mail=*))",
		"(&(objectClass=inetOrgPerson)(mail=*))",
		"(|(objectClass=mailRecipient)(objectClass=customRecipient))",
		"(|(objectClass=person)(objectClass=mailRecipient)(objectClass=customRecipient))",
		"(&(mail=*)(cn=*))",
		"(cn=*)",
		"(displayName=*)",
	};
	const char *why;
	unsigned i;
	int rc = RC_OK;

	for (i = 0; i < VIEW_FILTERS && rc == RC_OK; i++)
		rc = read_filter(s, span_of(texts[i]), a, &out->filters[i], &out->same[i], &why);
	return rc;
}

uint32_t view_kinds_of(const struct view_kinds *k, const struct schema *s, const struct entry *e,
		       bool is_hidden, struct buf *scratch)
{
	uint32_t mask = 0;
	unsigned i;

	for (i = 0; i < VIEW_FILTERS; i++) {
		if (filter_match(k->filters[i], s, e, NULL, scratch) == FILTER_TRUE)
			mask |= (is_hidden ? 1u : 3u) << 2 * i;
	}
	return mask;
}

int view_kinds_find(const struct view_kinds *k, struct span same)
{
	unsigned i;

	for (i = 0; i < VIEW_FILTERS; i++) {
		if (span_eq(k->same[i], same))
			return (int)i;
	}
	return -1;
}

bool view_may_show(const struct entry *e)
{
	return !entry_has_class(e, "referral") && !entry_has_class(e, "subentry");
}

bool view_is_definition(const struct entry *e)
{
	return entry_has_class(e, "addressBookView");
}
