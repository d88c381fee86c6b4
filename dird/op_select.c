#include "dird/op_impl.h"

#include <stdio.h>

#define ABOVE_BYTES 64 /* of an entry on its way out: the parent's name, about */

/* Attributes that are computed on reading. `plus`: `+` returns them, too. */
enum computed {
	COMPUTED_ENTRY_DN,
	COMPUTED_HAS_SUBORDINATES,
	COMPUTED_NUM_SUBORDINATES,
	COMPUTED_SUBSCHEMA,
	COMPUTED_ORIGIN_STAMP,
	COMPUTED_PARENT_UUID,
	COMPUTED_MEMBER_OF,
	COMPUTED_VIEW_ENTRIES,
	COMPUTED_VIEW_STATE,
	COMPUTED_COUNT
};

static const struct {
	const char *name;
	bool plus;
} computed_attrs[COMPUTED_COUNT] = {
	[COMPUTED_ENTRY_DN] = {"entryDN", true},
	[COMPUTED_HAS_SUBORDINATES] = {"hasSubordinates", true},
	/* slapd's syncrepl asks for `+` and refuses an entry with a type it does not know */
	[COMPUTED_NUM_SUBORDINATES] = {"numSubordinates", false},
	[COMPUTED_SUBSCHEMA] = {"subschemaSubentry", true},
	[COMPUTED_ORIGIN_STAMP] = {"originStamp", false},
	[COMPUTED_PARENT_UUID] = {"parentUUID", false},
	[COMPUTED_MEMBER_OF] = {"memberOf", false},
	[COMPUTED_VIEW_ENTRIES] = {"viewEntries", false},
	[COMPUTED_VIEW_STATE] = {"viewState", false},
};

struct wanted {
	const char *name; /* canonical */
	uint32_t hash;
	struct span *options; /* alternatives, each ";lang-de;x-y"; none: any description */
	unsigned noptions;
	struct wanted *next;
};

struct op_selection {
	bool all_user;
	bool all_operational;
	bool types_only;
	bool sees_protected;
	struct filter *const *values; /* return only values that match one; NULL: all */
	unsigned nvalues;
	const struct schema *schema;
	bool computed[COMPUTED_COUNT];
	struct wanted *wanted;
};

/* --- making one --- */

static struct span options_of(struct span description)
{
	struct span base = entry_base_type(description);

	return span_from(description, base.n);
}

/* `;binary` is a transfer form, not a different attribute (RFC 4522 §3). */
static bool is_plain(struct span options)
{
	return options.n == 0 || span_eq_nocase(options, SPAN_LIT(";binary"));
}

static int want_options(struct arena *a, struct wanted *w, struct span options)
{
	struct span *more = arena_zalloc(a, w->noptions + 1, sizeof(*more));

	if (more == NULL)
		return RC_NOMEM;
	if (w->noptions != 0)
		memcpy(more, w->options, w->noptions * sizeof(*more));
	more[w->noptions++] = options;
	w->options = more;
	return 0;
}

static int want(struct arena *a, struct op_selection *sel, const char *name, uint32_t hash,
		struct span options)
{
	struct wanted **at = &sel->wanted;

	for (; *at != NULL; at = &(*at)->next) {
		if ((*at)->hash != hash || strcmp((*at)->name, name) != 0)
			continue;
		if (is_plain(options))
			(*at)->noptions = 0;
		else if ((*at)->noptions != 0)
			return want_options(a, *at, options);
		return 0;
	}
	*at = arena_zalloc(a, 1, sizeof(**at));
	if (*at == NULL)
		return RC_NOMEM;
	(*at)->name = name;
	(*at)->hash = hash;
	return is_plain(options) ? 0 : want_options(a, *at, options);
}

static int want_type(struct op *op, struct arena *a, struct op_selection *sel,
		     const struct schema_attr *at, struct span options)
{
	const struct schema_attr *const *sub = schema_subtypes(op->server->schema, at);
	int rc = 0, i;

	for (i = 0; i < COMPUTED_COUNT; i++) {
		if (strcmp(at->name, computed_attrs[i].name) == 0)
			sel->computed[i] = true;
	}
	for (; *sub != NULL && rc == 0; sub++)
		rc = want(a, sel, (*sub)->name, (*sub)->hash, options);
	return rc;
}

/* RFC 4529: all attributes that a class requires or allows. */
static int want_class(struct op *op, struct arena *a, struct op_selection *sel,
		      const struct schema_class *c)
{
	static const struct span none = {NULL, 0};
	const struct schema_class *const *sup;
	const struct schema_attr *const *at;
	int rc = 0;

	for (at = c->must; *at != NULL && rc == 0; at++)
		rc = want_type(op, a, sel, *at, none);
	for (at = c->may; *at != NULL && rc == 0; at++)
		rc = want_type(op, a, sel, *at, none);
	for (sup = c->sups; *sup != NULL && rc == 0; sup++)
		rc = want_class(op, a, sel, *sup);
	return rc;
}

static int want_description(struct op *op, struct arena *a, struct op_selection *sel,
			    struct span description)
{
	struct span base = entry_base_type(description);
	const struct schema_attr *at;
	const struct schema_class *class;
	const char *name;

	if (span_eq(description, SPAN_LIT("1.1")))
		return 0;
	if (description.n != 0 && description.p[0] == '@') {
		class = schema_class(op->server->schema, span_from(description, 1));
		return class != NULL ? want_class(op, a, sel, class) : 0;
	}
	at = schema_attr(op->server->schema, base);
	if (at != NULL)
		return want_type(op, a, sel, at, options_of(description));
	/* A type that our schema does not know may have come from another site. */
	name = arena_str(a, base);
	if (name == NULL)
		return RC_NOMEM;
	return want(a, sel, name, entry_type_hash(base), options_of(description));
}

static bool may_see_protected(const struct op *op)
{
	struct span type = SPAN_LIT("userPassword");
	const struct schema_attr *at = schema_attr(op->server->schema, type);

	return at != NULL && acl_may_read_attr(&op->server->acl, &op->identity, at, type);
}

int op_selection_make_in(struct op *op, struct arena *a, const struct span *attrs, unsigned nattrs,
			 bool types_only, struct op_selection **out)
{
	struct op_selection *sel = arena_zalloc(a, 1, sizeof(*sel));
	unsigned i;
	int rc = 0;

	*out = sel;
	if (sel == NULL)
		return RC_NOMEM;
	sel->types_only = types_only;
	sel->schema = op->server->schema;
	if (!types_only) {
		sel->values = op->controls.values;
		sel->nvalues = op->controls.nvalues;
	}
	sel->all_user = nattrs == 0;
	sel->sees_protected = may_see_protected(op);
	for (i = 0; i < nattrs && rc == 0; i++) {
		if (span_eq(attrs[i], SPAN_LIT("*")))
			sel->all_user = true;
		else if (span_eq(attrs[i], SPAN_LIT("+")))
			sel->all_operational = true;
		else
			rc = want_description(op, a, sel, attrs[i]);
	}
	for (i = 0; i < COMPUTED_COUNT && sel->all_operational; i++)
		sel->computed[i] |= computed_attrs[i].plus;
	return rc;
}

int op_selection_make(struct op *op, const struct span *attrs, unsigned nattrs, bool types_only,
		      struct op_selection **out)
{
	return op_selection_make_in(op, &op->arena, attrs, nattrs, types_only, out);
}

/* --- computed values --- */

static void put_bool(struct buf *out, bool is)
{
	tlv_put(out, TLV_OCTETS, is ? SPAN_LIT("TRUE") : SPAN_LIT("FALSE"));
}

static void put_count(struct buf *out, uint64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	tlv_put(out, TLV_OCTETS, span_of(text));
}

static int put_dn(struct store_txn *t, uint64_t eid, struct buf *out)
{
	size_t mark = tlv_open(out, TLV_OCTETS);
	int rc = store_dn(t, eid, out);

	tlv_close(out, mark);
	return rc;
}

/* Contents of a SET OF; false if there is no value. */
static bool compute(struct op_sight *v, uint64_t eid, const struct entry *e, enum computed which,
		    struct buf *out)
{
	char text[UUID_TEXT_BYTES];
	size_t start = out->n, mark;

	if (v->t == NULL) /* an entry that exists only while it is read has all it has stored */
		return false;
	switch (which) {
	case COMPUTED_ENTRY_DN:
		return put_dn(v->t, eid, out) == 0 && buf_rc(out) == 0;
	case COMPUTED_HAS_SUBORDINATES:
		put_bool(out, op_child_count(v, eid, 1) != 0);
		break;
	case COMPUTED_NUM_SUBORDINATES:
		put_count(out, op_child_count(v, eid, UINT32_MAX));
		break;
	case COMPUTED_ORIGIN_STAMP:
		mark = tlv_open(out, TLV_OCTETS);
		stamp_write(&e->head.stamp, out);
		tlv_close(out, mark);
		break;
	case COMPUTED_PARENT_UUID:
		if (uuid_is_zero(&e->head.parent_uuid))
			return false;
		uuid_write(&e->head.parent_uuid, text);
		tlv_put(out, TLV_OCTETS, span_of(text));
		break;
	case COMPUTED_SUBSCHEMA:
		tlv_put(out, TLV_OCTETS, SPAN_LIT("cn=Subschema"));
		break;
	case COMPUTED_MEMBER_OF:
		return op_member_of(v, eid, out) == 0 && buf_rc(out) == 0 && out->n != start;
	case COMPUTED_VIEW_ENTRIES:
		return op_view_entries(v, e, out) && buf_rc(out) == 0;
	case COMPUTED_VIEW_STATE:
		return op_view_state(v, e, out) && buf_rc(out) == 0;
	case COMPUTED_COUNT:
		return false;
	}
	return buf_rc(out) == 0;
}

bool op_computed(struct op_sight *v, uint64_t eid, const struct entry *e,
		 const struct schema_attr *at, struct buf *values)
{
	int i;

	if (at->usage == SCHEMA_USER)
		return false;
	for (i = 0; i < COMPUTED_COUNT; i++) {
		if (strcmp(at->name, computed_attrs[i].name) == 0)
			return compute(v, eid, e, (enum computed)i, values);
	}
	return false;
}

/* --- writing --- */

static bool has_option(struct span options, struct span option)
{
	struct span one;

	span_cut(&options, ';', &one);
	while (options.n != 0) {
		span_cut(&options, ';', &one);
		if (span_eq_nocase(one, option))
			return true;
	}
	return false;
}

static bool has_all_options(struct span have, struct span wanted)
{
	struct span one;
	bool more = span_cut(&wanted, ';', &one);

	while (more) {
		more = span_cut(&wanted, ';', &one);
		if (!has_option(have, one))
			return false;
	}
	return true;
}

/* Does the stored description have every option of one of the alternatives (RFC 4512 §2.5.2)? */
static bool options_fit(const struct wanted *w, struct span stored)
{
	struct span have = options_of(stored);
	unsigned i;

	for (i = 0; i < w->noptions; i++) {
		if (has_all_options(have, w->options[i]))
			return true;
	}
	return w->noptions == 0;
}

/* Does a value, looked at alone, match one of the items? (RFC 3876 §3) */
static bool value_matches(const struct op_selection *sel, struct span type, struct span value,
			  struct buf *record, struct buf *scratch)
{
	struct attr one = {.type = type, .values = &value, .nvalues = 1};
	struct attr_list list = {&one, 1};
	struct entry_head head = {.parent = 0};
	enum entry_run run = ENTRY_PUBLIC;
	struct entry e;
	unsigned i;

	buf_clear(record);
	if (entry_build(&head, &list, &run, record) != 0 || entry_open(buf_span(record), &e) != 0)
		return false;
	for (i = 0; i < sel->nvalues; i++) {
		if (filter_match(sel->values[i], sel->schema, &e, NULL, scratch) == FILTER_TRUE)
			return true;
	}
	return false;
}

/* An attribute without matching values is left out. */
static void put_matching(const struct op_selection *sel, struct span type,
			 struct entry_values *values, struct buf *out)
{
	size_t start = out->n, one = tlv_open(out, TLV_SEQUENCE), set, empty;
	struct buf record, scratch;
	struct span value;

	buf_init(&record, UINT32_MAX);
	buf_init(&scratch, UINT32_MAX);
	tlv_put(out, TLV_OCTETS, type);
	set = tlv_open(out, TLV_SET);
	empty = out->n;
	while (entry_values_next(values, &value)) {
		if (value_matches(sel, type, value, &record, &scratch))
			tlv_put(out, TLV_OCTETS, value);
	}
	if (out->n == empty) {
		buf_truncate(out, start);
	} else {
		tlv_close(out, set);
		tlv_close(out, one);
	}
	buf_fini(&scratch);
	buf_fini(&record);
}

/* One entry on its way out. */
struct shown {
	const struct op_selection *sel;
	struct op_sight *sight;
	uint64_t eid;
	const struct entry *e;
	struct buf *out;
};

static void put_values(const struct shown *s, struct span type, struct span values)
{
	struct entry_values walk;
	size_t one;

	if (s->sel->values != NULL) {
		walk.rest = values;
		walk.e = NULL;
		put_matching(s->sel, type, &walk, s->out);
		return;
	}
	one = tlv_open(s->out, TLV_SEQUENCE);
	tlv_put(s->out, TLV_OCTETS, type);
	tlv_put(s->out, TLV_SET, s->sel->types_only ? span_make(NULL, 0) : values);
	tlv_close(s->out, one);
}

/* Without the values that this reader may not see; without any, it is not there. */
static int put_sifted(const struct shown *s, const struct entry_attr *at)
{
	struct span values;
	struct buf kept;
	int rc;

	buf_init(&kept, UINT32_MAX);
	rc = op_sift_values(s->sight, s->eid, s->e, at, &kept, &values);
	if (rc == 0 && values.n != 0)
		put_values(s, at->type, values);
	buf_fini(&kept);
	return rc;
}

static int put_attr(const struct shown *s, const struct entry_attr *at)
{
	struct entry_values walk;

	if (op_sight_sifts(s->sight, s->e))
		return put_sifted(s, at);
	if (s->sel->values == NULL && !s->sel->types_only)
		return entry_put_attr(s->e, at, s->out);
	if (s->sel->values == NULL) {
		put_values(s, at->type, at->values);
		return 0;
	}
	entry_values_begin(&walk, s->e, at);
	put_matching(s->sel, at->type, &walk, s->out);
	return 0;
}

/* `*` and `+`: whole runs of the record. */
static int put_runs(const struct shown *s)
{
	const struct op_selection *sel = s->sel;
	size_t user_end = sel->sees_protected ? s->e->user_bytes : s->e->public_bytes;
	struct entry_attr at;
	unsigned i;
	int rc = 0;

	if (!sel->all_user && !sel->all_operational)
		return 0;
	if (!sel->types_only && sel->values == NULL && !op_sight_sifts(s->sight, s->e) &&
	    (s->e->head.flags & ENTRY_HAS_APART) == 0) {
		if (sel->all_user)
			buf_put(s->out, span_head(s->e->attrs, user_end));
		if (sel->all_operational)
			buf_put(s->out, span_from(s->e->attrs, s->e->user_bytes));
		return 0;
	}
	for (i = 0; i < s->e->nattrs && rc == 0; i++) {
		entry_attr_at(s->e, i, &at);
		if (at.is_protected && !sel->sees_protected)
			continue;
		if (at.is_operational ? sel->all_operational : sel->all_user)
			rc = put_attr(s, &at);
	}
	return rc;
}

static int put_wanted(const struct shown *s)
{
	const struct op_selection *sel = s->sel;
	const struct wanted *w;
	struct entry_attr at;
	unsigned i;
	int rc = 0;

	for (w = sel->wanted; w != NULL; w = w->next) {
		i = 0;
		while (rc == 0 && entry_find(s->e, w->hash, span_of(w->name), &i, &at)) {
			if (at.is_operational ? sel->all_operational : sel->all_user)
				continue; /* there already */
			if (at.is_protected && !sel->sees_protected)
				continue;
			if (options_fit(w, at.type))
				rc = put_attr(s, &at);
		}
	}
	return rc;
}

static int put_computed(const struct shown *s)
{
	struct buf values;
	int i, rc = 0;

	for (i = 0; i < COMPUTED_COUNT && rc == 0; i++) {
		if (!s->sel->computed[i])
			continue;
		buf_init(&values, UINT32_MAX);
		if (compute(s->sight, s->eid, s->e, (enum computed)i, &values))
			put_values(s, span_of(computed_attrs[i].name), buf_span(&values));
		rc = buf_rc(&values);
		buf_fini(&values);
	}
	return rc;
}

/* Bytes of the runs that are wanted whole. */
static size_t about_attrs(const struct op_selection *sel, const struct entry *e)
{
	size_t n = entry_attrs_bytes(e) - e->attrs.n;

	if (sel->all_user)
		n += sel->sees_protected ? e->user_bytes : e->public_bytes;
	if (sel->all_operational)
		n += e->attrs.n - e->user_bytes;
	return n;
}

size_t op_entry_about(const struct op_selection *sel, const struct entry *e)
{
	return about_attrs(sel, e) + e->head.rdn.n + ABOVE_BYTES;
}

static size_t open_entry(const struct op_selection *sel, const struct entry *e, struct buf *out)
{
	return tlv_open_about(out, (uint8_t)TLV_APP_CONS(MSG_SEARCH_ENTRY), op_entry_about(sel, e));
}

static int close_entry(const struct shown *s, size_t body)
{
	size_t attrs = tlv_open_about(s->out, TLV_SEQUENCE, about_attrs(s->sel, s->e));
	int rc;

	rc = put_runs(s);
	if (rc == 0)
		rc = put_wanted(s);
	if (rc == 0)
		rc = put_computed(s);
	tlv_close(s->out, attrs);
	tlv_close(s->out, body);
	return rc != 0 ? rc : buf_rc(s->out);
}

int op_entry_write_named(struct op_sight *v, uint64_t eid, const struct entry *e, struct span dn,
			 const struct op_selection *sel, struct buf *out)
{
	const struct shown s = {sel, v, eid, e, out};
	size_t body = open_entry(sel, e, out);

	tlv_put(out, TLV_OCTETS, dn);
	return close_entry(&s, body);
}

int op_entry_write(struct op *op, struct store_txn *t, uint64_t eid, const struct entry *e,
		   const struct op_selection *sel, struct buf *out)
{
	struct op_sight sight;
	const struct shown s = {sel, &sight, eid, e, out};
	size_t body = open_entry(sel, e, out), dn = tlv_open(out, TLV_OCTETS);
	int rc = store_entry_dn(t, eid, e, out);

	tlv_close(out, dn);
	if (rc != 0)
		return rc;
	op_sight_init(&sight, op, t);
	return close_entry(&s, body);
}
