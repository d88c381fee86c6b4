#include "dird/op_impl.h"

#include <stdio.h>

/* Attributes that are computed on reading. `plus`: `+` returns them, too. */
enum computed {
	COMPUTED_ENTRY_DN,
	COMPUTED_HAS_SUBORDINATES,
	COMPUTED_NUM_SUBORDINATES,
	COMPUTED_SUBSCHEMA,
	COMPUTED_ORIGIN_STAMP,
	COMPUTED_PARENT_UUID,
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

static bool compute(struct store_txn *t, uint64_t eid, const struct entry *e, enum computed which,
		    struct buf *out)
{
	char text[UUID_TEXT_BYTES];

	if (t == NULL) /* an entry that exists only while it is read has all it has stored */
		return false;
	switch (which) {
	case COMPUTED_ENTRY_DN:
		return store_dn(t, eid, out) == 0;
	case COMPUTED_HAS_SUBORDINATES:
		buf_puts(out, store_has_children(t, eid) ? "TRUE" : "FALSE");
		break;
	case COMPUTED_NUM_SUBORDINATES:
		buf_printf(out, "%llu", (unsigned long long)store_child_count(t, eid, UINT32_MAX));
		break;
	case COMPUTED_ORIGIN_STAMP:
		stamp_write(&e->head.stamp, out);
		break;
	case COMPUTED_PARENT_UUID:
		if (uuid_is_zero(&e->head.parent_uuid))
			return false;
		uuid_write(&e->head.parent_uuid, text);
		buf_puts(out, text);
		break;
	case COMPUTED_SUBSCHEMA:
		buf_puts(out, "cn=Subschema");
		break;
	case COMPUTED_COUNT:
		return false;
	}
	return buf_rc(out) == 0;
}

bool op_computed(struct store_txn *t, uint64_t eid, const struct entry *e,
		 const struct schema_attr *at, struct buf *value)
{
	int i;

	if (at->usage == SCHEMA_USER)
		return false;
	for (i = 0; i < COMPUTED_COUNT; i++) {
		if (strcmp(at->name, computed_attrs[i].name) == 0)
			return compute(t, eid, e, (enum computed)i, value);
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
static void put_matching(const struct op_selection *sel, struct span type, struct span values,
			 struct buf *out)
{
	size_t start = out->n, one = tlv_open(out, TLV_SEQUENCE), set, empty;
	struct buf record, scratch;
	struct span value;

	buf_init(&record, UINT32_MAX);
	buf_init(&scratch, UINT32_MAX);
	tlv_put(out, TLV_OCTETS, type);
	set = tlv_open(out, TLV_SET);
	empty = out->n;
	while (tlv_expect(&values, TLV_OCTETS, &value) == 0) {
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

static void put_attr(const struct op_selection *sel, const struct entry_attr *at, struct buf *out)
{
	size_t mark;

	if (sel->values != NULL) {
		put_matching(sel, at->type, at->values, out);
		return;
	}
	if (!sel->types_only) {
		buf_put(out, at->whole);
		return;
	}
	mark = tlv_open(out, TLV_SEQUENCE);
	tlv_put(out, TLV_OCTETS, at->type);
	tlv_put(out, TLV_SET, (struct span){NULL, 0});
	tlv_close(out, mark);
}

/* `*` and `+`: whole runs of the record. */
static void put_runs(const struct op_selection *sel, const struct entry *e, struct buf *out)
{
	size_t user_end = sel->sees_protected ? e->user_bytes : e->public_bytes;
	struct entry_attr at;
	unsigned i;

	if (!sel->types_only && sel->values == NULL) {
		if (sel->all_user)
			buf_put(out, span_head(e->attrs, user_end));
		if (sel->all_operational)
			buf_put(out, span_from(e->attrs, e->user_bytes));
		return;
	}
	for (i = 0; i < e->nattrs; i++) {
		entry_attr_at(e, i, &at);
		if (at.is_protected && !sel->sees_protected)
			continue;
		if (at.is_operational ? sel->all_operational : sel->all_user)
			put_attr(sel, &at, out);
	}
}

static void put_wanted(const struct op_selection *sel, const struct entry *e, struct buf *out)
{
	const struct wanted *w;
	struct entry_attr at;
	unsigned i;

	for (w = sel->wanted; w != NULL; w = w->next) {
		i = 0;
		while (entry_find(e, w->hash, span_of(w->name), &i, &at)) {
			if (at.is_operational ? sel->all_operational : sel->all_user)
				continue; /* there already */
			if (at.is_protected && !sel->sees_protected)
				continue;
			if (options_fit(w, at.type))
				put_attr(sel, &at, out);
		}
	}
}

static int put_computed(struct store_txn *t, uint64_t eid, const struct entry *e,
			const struct op_selection *sel, struct buf *out)
{
	size_t one, set;
	struct buf value, set_of;
	int i, rc = 0;

	for (i = 0; i < COMPUTED_COUNT && rc == 0; i++) {
		if (!sel->computed[i])
			continue;
		buf_init(&value, DN_MAX_BYTES);
		if (compute(t, eid, e, (enum computed)i, &value) && sel->values != NULL) {
			buf_init(&set_of, DN_MAX_BYTES + 8);
			tlv_put(&set_of, TLV_OCTETS, buf_span(&value));
			put_matching(sel, span_of(computed_attrs[i].name), buf_span(&set_of), out);
			buf_fini(&set_of);
		} else if (value.n != 0) {
			one = tlv_open(out, TLV_SEQUENCE);
			tlv_put(out, TLV_OCTETS, span_of(computed_attrs[i].name));
			set = tlv_open(out, TLV_SET);
			if (!sel->types_only)
				tlv_put(out, TLV_OCTETS, buf_span(&value));
			tlv_close(out, set);
			tlv_close(out, one);
		}
		rc = buf_rc(&value);
		buf_fini(&value);
	}
	return rc;
}

int op_entry_write_named(struct store_txn *t, uint64_t eid, const struct entry *e, struct span dn,
			 const struct op_selection *sel, struct buf *out)
{
	size_t body = tlv_open(out, (uint8_t)TLV_APP_CONS(MSG_SEARCH_ENTRY)), attrs;
	int rc;

	tlv_put(out, TLV_OCTETS, dn);
	attrs = tlv_open(out, TLV_SEQUENCE);
	put_runs(sel, e, out);
	put_wanted(sel, e, out);
	rc = put_computed(t, eid, e, sel, out);
	tlv_close(out, attrs);
	tlv_close(out, body);
	return rc != 0 ? rc : buf_rc(out);
}

int op_entry_write(struct op *op, struct store_txn *t, uint64_t eid, const struct entry *e,
		   const struct op_selection *sel, struct buf *out)
{
	struct buf dn;
	int rc;

	(void)op; /* what it may see was decided when the selection was made */
	buf_init(&dn, DN_MAX_BYTES * 2);
	rc = store_dn(t, eid, &dn);
	if (rc == 0)
		rc = op_entry_write_named(t, eid, e, buf_span(&dn), sel, out);
	buf_fini(&dn);
	return rc;
}

/* --- looking at values --- */

int op_values(struct arena *a, const struct entry_attr *at, struct span **out, unsigned *n_out)
{
	struct span rest = at->values, value;
	unsigned n = 0;

	while (tlv_expect(&rest, TLV_OCTETS, &value) == 0)
		n++;
	*n_out = n;
	*out = arena_zalloc(a, n + 1, sizeof(**out));
	if (*out == NULL)
		return RC_NOMEM;
	rest = at->values;
	for (n = 0; n < *n_out; n++) {
		if (tlv_expect(&rest, TLV_OCTETS, &(*out)[n]) != 0)
			return RC_CORRUPT;
	}
	return 0;
}

bool op_entry_is_referral(const struct entry *e, struct entry_attr *ref_out)
{
	struct span type = SPAN_LIT("ref");
	unsigned i = 0;

	return entry_find(e, entry_type_hash(type), type, &i, ref_out) &&
	       entry_has_class(e, "referral");
}

/* --- a filter's view --- */

static bool view_may_read(const void *ctx, const struct schema_attr *at, struct span description)
{
	const struct op_view *v = ctx;

	if (v->t == NULL) /* root DSE and subschema are for everybody; monitor was checked before */
		return true;
	return acl_may_read_attr(&v->op->server->acl, &v->op->identity, at, description);
}

static bool view_computed(const void *ctx, const struct entry *e, const struct schema_attr *at,
			  struct span *value)
{
	const struct op_view *v = ctx;

	buf_clear(v->value);
	if (!op_computed(v->t, v->eid, e, at, v->value))
		return false;
	*value = buf_span(v->value);
	return true;
}

void op_view_init(struct op_view *v, struct op *op, struct buf *value)
{
	*v = (struct op_view){.op = op, .value = value};
	v->view = (struct filter_view){
		.may_read = view_may_read,
		.computed = view_computed,
		.ctx = v,
	};
}

void op_view_set(struct op_view *v, struct store_txn *t, uint64_t eid, struct span dn_normal)
{
	v->t = t;
	v->eid = eid;
	v->view.dn_normal = dn_normal;
}
