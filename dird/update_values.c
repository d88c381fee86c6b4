/*
 * Attributes with many values: those are stored apart from the record, so that a change of one
 * value costs the same in a list of a hundred thousand as in one of a hundred (requirement L12).
 *
 * From APART_FROM values on they go apart, below NEAR_BELOW they come back into the record; between
 * the two they stay where they are, so that a list about that long does not go to and fro. Where
 * they are is a site's own matter; what is apart is long for the digest, which knows of no place.
 * What is apart has a normal form: what has none, as a replicated value may, keeps its attribute
 * near.
 */
#include "dird/digest.h"
#include "dird/update_int.h"
#include "dird/values.h"

#define APART_FROM 256
#define NEAR_BELOW DIGEST_LONG_VALUES

static unsigned apart_from(const struct update *u)
{
	return u->ctx->apart_from != 0 ? u->ctx->apart_from : APART_FROM;
}

static unsigned near_below(const struct update *u)
{
	unsigned half = apart_from(u) / 2;

	return half > NEAR_BELOW ? half : NEAR_BELOW;
}

static struct span as_octets(struct span value, struct buf *out)
{
	buf_clear(out);
	tlv_put(out, TLV_OCTETS, value);
	return buf_span(out);
}

static size_t octets_bytes(struct span value)
{
	return tlv_header_bytes(value.n) + value.n;
}

/* --- rows of a list --- */

struct list {
	struct update *u;
	const struct schema_attr *at;
	uint64_t eid;
	struct entry_apart apart; /* as it then is */
	struct buf normal, octets;
};

static void list_init(struct list *l, struct update *u, const struct schema_attr *at, uint64_t eid,
		      const struct entry_apart *apart)
{
	*l = (struct list){.u = u, .at = at, .eid = eid, .apart = *apart};
	buf_init(&l->normal, UINT32_MAX);
	buf_init(&l->octets, UINT32_MAX);
}

static void list_fini(struct list *l)
{
	buf_fini(&l->octets);
	buf_fini(&l->normal);
}

/* RC_INVALID: the value has no normal form, and can not be apart. */
static int normalize(struct list *l, struct span value)
{
	buf_clear(&l->normal);
	return schema_normalize(l->u->ctx->schema, l->at->equality, value, &l->normal);
}

static int put_value(struct list *l, struct span value)
{
	int rc = normalize(l, value);

	if (rc != RC_OK)
		return rc;
	if (l->apart.count == UINT32_MAX)
		return RC_TOOBIG;
	value = as_octets(value, &l->octets);
	rc = buf_rc(&l->octets);
	if (rc == RC_OK)
		store_value_put(l->u->t, l->eid, l->apart.list,
				values_hash(l->at, buf_span(&l->normal)), value);
	l->apart.count++;
	l->apart.bytes += value.n;
	return rc;
}

static void del_value(struct list *l, const struct attr_gone *gone)
{
	store_value_del(l->u->t, l->eid, l->apart.list, &gone->place);
	l->apart.count--;
	l->apart.bytes -= octets_bytes(gone->value);
}

/* --- what comes and what goes --- */

/* Of one list; apply notes it, or it is found by comparing. */
struct delta {
	struct attr_gone *gone;
	unsigned ngone;
	struct span *added;
	unsigned nadded;
};

/* The new values by their bytes, to be found again among the stored ones. */
struct known {
	const struct attr *attr;
	uint32_t *slots; /* index + 1 */
	size_t size;
	bool *kept; /* of attr->values: it is stored already, or comes twice */
};

static size_t find_slot(const struct known *k, struct span value)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */
	size_t i;

	for (i = 0; i < value.n; i++)
		h = (h ^ value.p[i]) * 1099511628211u;
	i = (size_t)(h ^ h >> 32) & (k->size - 1);
	while (k->slots[i] != 0 && !span_eq(k->attr->values[k->slots[i] - 1], value))
		i = (i + 1) & (k->size - 1);
	return i;
}

static int know(struct known *k, const struct attr *attr, struct arena *a)
{
	unsigned i;
	size_t slot;

	*k = (struct known){.attr = attr, .size = 16};
	while (k->size < 2 * (size_t)attr->nvalues)
		k->size *= 2;
	k->slots = arena_zalloc(a, k->size, sizeof(*k->slots));
	k->kept = arena_zalloc(a, attr->nvalues, sizeof(*k->kept));
	if (k->slots == NULL || k->kept == NULL)
		return RC_NOMEM;
	for (i = 0; i < attr->nvalues; i++) {
		slot = find_slot(k, attr->values[i]);
		k->kept[i] = k->slots[slot] != 0;
		if (!k->kept[i])
			k->slots[slot] = i + 1;
	}
	return RC_OK;
}

/* Go through the stored values: those that are not known go. NULL: all of them. */
static int find_gone(struct update *u, const struct entry *e, const struct entry_apart *apart,
		     struct known *k, struct delta *d)
{
	const struct entry_attr attr = {.is_apart = true, .apart = *apart};
	struct entry_values walk;
	struct span value;
	uint32_t n = 0;
	size_t slot;

	d->gone = arena_zalloc(u->a, apart->count, sizeof(*d->gone));
	if (d->gone == NULL)
		return RC_NOMEM;
	for (entry_values_begin(&walk, e, &attr); entry_values_next(&walk, &value);) {
		if (n++ == apart->count)
			return RC_CORRUPT;
		slot = k != NULL ? find_slot(k, value) : 0;
		if (k != NULL && k->slots[slot] != 0) {
			k->kept[k->slots[slot] - 1] = true;
			continue;
		}
		value = arena_span(u->a, value);
		if (value.p == NULL)
			return RC_NOMEM;
		d->gone[d->ngone++] = (struct attr_gone){walk.places[walk.next - 1], value};
	}
	return n == apart->count ? RC_OK : RC_CORRUPT;
}

static int compare(struct update *u, const struct entry *e, const struct entry_apart *apart,
		   const struct attr *now, struct delta *d)
{
	struct known k;
	unsigned i;
	int rc = know(&k, now, u->a);

	if (rc == RC_OK)
		rc = find_gone(u, e, apart, &k, d);
	if (rc != RC_OK)
		return rc;
	d->nadded = 0;
	d->added = arena_zalloc(u->a, now->nvalues, sizeof(*d->added));
	if (d->added == NULL)
		return RC_NOMEM;
	for (i = 0; i < now->nvalues; i++) {
		if (!k.kept[i])
			d->added[d->nadded++] = now->values[i];
	}
	return RC_OK;
}

/* --- one attribute --- */

static const struct attr *find_apart(const struct attr_list *in, struct span type)
{
	unsigned i;

	for (i = 0; i < in->n; i++) {
		if (in->attrs[i].apart != NULL && span_eq_nocase(in->attrs[i].type, type))
			return &in->attrs[i];
	}
	return NULL;
}

static bool has_type(const struct attr_list *in, struct span type)
{
	unsigned i;

	for (i = 0; i < in->n; i++) {
		if (span_eq_nocase(in->attrs[i].type, type))
			return true;
	}
	return false;
}

static bool has_list(const struct attr_list *in, uint32_t list)
{
	unsigned i;

	for (i = 0; i < in->n; i++) {
		if (in->attrs[i].apart != NULL && in->attrs[i].apart->stored.list == list)
			return true;
	}
	return false;
}

/* The record's view of a list. */
static int mark_apart(struct update *u, const struct entry_apart *apart, struct attr *out)
{
	*out = (struct attr){.type = out->type};
	out->apart = arena_zalloc(u->a, 1, sizeof(*out->apart));
	if (out->apart == NULL)
		return RC_NOMEM;
	out->apart->stored = *apart;
	return RC_OK;
}

/* All rows go; `values` (NULL: nobody wants them) gets what they held. */
static int empty(struct list *l, struct attr *values)
{
	struct entry e = {.head.flags = ENTRY_HAS_APART};
	struct delta all = {.ngone = 0};
	unsigned i;
	int rc;

	store_attach(l->u->t, l->eid, &e);
	rc = find_gone(l->u, &e, &l->apart, NULL, &all);
	if (rc == RC_OK && values != NULL)
		values->values = arena_zalloc(l->u->a, all.ngone, sizeof(*values->values));
	if (rc != RC_OK || (values != NULL && values->values == NULL))
		return rc != RC_OK ? rc : RC_NOMEM;
	for (i = 0; i < all.ngone; i++) {
		del_value(l, &all.gone[i]);
		if (values != NULL)
			values->values[values->nvalues++] = all.gone[i].value;
	}
	return RC_OK;
}

/* From the record into rows of their own. */
static int go_apart(struct update_values *v, const struct schema_attr *at, struct attr *attr)
{
	struct entry_apart apart = {.list = 1};
	struct list l;
	unsigned i;
	int rc = RC_OK;

	while (has_list(&v->stored.attrs, apart.list) ||
	       (v->old != NULL && has_list(&v->old->attrs, apart.list)))
		apart.list++;
	list_init(&l, v->u, at, v->eid, &apart);
	for (i = 0; rc == RC_OK && i < attr->nvalues; i++)
		rc = put_value(&l, attr->values[i]);
	if (rc == RC_OK)
		rc = mark_apart(v->u, &l.apart, attr);
	else if (rc == RC_INVALID)
		rc = empty(&l, NULL);
	list_fini(&l);
	return rc;
}

/* Into the record. A content that is whole keeps its order, as it is that of its origin, and the
 * digest tells short attributes apart by it; else those that could not be put stand behind the
 * others. */
static int come_near(struct list *l, const struct delta *d, struct attr *attr)
{
	struct attr near = {.type = attr->type};
	struct span *values;
	unsigned i;
	int rc = empty(l, attr->apart != NULL ? &near : NULL);

	if (attr->apart == NULL)
		return rc;
	values = rc == RC_OK
			 ? arena_zalloc(l->u->a, (size_t)near.nvalues + d->nadded, sizeof(*values))
			 : NULL;
	if (values == NULL)
		return rc != RC_OK ? rc : RC_NOMEM;
	if (near.nvalues != 0)
		memcpy(values, near.values, near.nvalues * sizeof(*values));
	near.values = values;
	for (i = 0; i < d->nadded; i++) {
		if (normalize(l, d->added[i]) == RC_INVALID)
			near.values[near.nvalues++] = d->added[i];
	}
	*attr = near;
	return RC_OK;
}

static int change_list(struct update_values *v, const struct schema_attr *at,
		       const struct entry_apart *apart, const struct delta *d, struct attr *attr)
{
	bool may_stay = values_may_be_apart(at);
	struct list l;
	unsigned i;
	int rc = RC_OK;

	list_init(&l, v->u, at, v->eid, apart);
	for (i = 0; i < d->ngone; i++)
		del_value(&l, &d->gone[i]);
	for (i = 0; rc == RC_OK && i < d->nadded; i++) {
		rc = put_value(&l, d->added[i]);
		if (rc == RC_INVALID) {
			may_stay = false;
			rc = RC_OK;
		}
	}
	if (rc == RC_OK && may_stay && l.apart.count >= near_below(v->u))
		rc = mark_apart(v->u, &l.apart, attr);
	else if (rc == RC_OK)
		rc = come_near(&l, d, attr);
	list_fini(&l);
	return rc;
}

/* The schema has changed, and what replaces the list is not to be apart any more. */
static int drop_list(struct update_values *v, const struct schema_attr *at,
		     const struct entry_apart *apart, const struct delta *d)
{
	struct list l;
	unsigned i;

	list_init(&l, v->u, at, v->eid, apart);
	for (i = 0; i < d->ngone; i++)
		del_value(&l, &d->gone[i]);
	list_fini(&l);
	return RC_OK;
}

/* What was apart: by the delta that apply has noted, or by what the two have not in common. */
static int settle(struct update_values *v, const struct attr *was, struct attr *attr)
{
	struct update_value_change *c = &v->changes[v->nchanges++];
	const struct schema_attr *at = schema_attr(v->u->ctx->schema, attr->type);
	bool may_stay = attr->apart != NULL || values_may_be_apart(at);
	struct delta d = {.added = attr->values, .nadded = attr->nvalues};
	int rc = RC_OK;

	if (attr->apart != NULL) {
		d.gone = attr->apart->gone;
		d.ngone = attr->apart->ngone;
	} else if (may_stay) {
		rc = compare(v->u, &v->old->e, &was->apart->stored, attr, &d);
	} else {
		rc = find_gone(v->u, &v->old->e, &was->apart->stored, NULL, &d);
	}
	*c = (struct update_value_change){was->type, at, d.gone, d.ngone, d.added, d.nadded, *attr};
	if (rc != RC_OK || (attr->apart != NULL && d.ngone == 0 && d.nadded == 0))
		return rc;
	rc = may_stay ? change_list(v, at, &was->apart->stored, &d, attr)
		      : drop_list(v, at, &was->apart->stored, &d);
	c->left = *attr;
	return rc;
}

static int settle_removed(struct update_values *v, const struct attr *was)
{
	struct attr none = {.type = was->type};

	return settle(v, was, &none);
}

/* Is there anything to do at all? Mostly not. */
static bool concerns(struct update *u, const struct update_old *old,
		     const struct apply_entry *content)
{
	unsigned i;

	if (old != NULL && (old->e.head.flags & ENTRY_HAS_APART) != 0)
		return true;
	for (i = 0; i < content->attrs.n; i++) {
		if (content->attrs.attrs[i].nvalues >= apart_from(u))
			return true;
	}
	return false;
}

static int copy_attrs(struct arena *a, const struct attr_list *from, struct attr_list *out)
{
	out->attrs = arena_zalloc(a, from->n, sizeof(*out->attrs));
	if (out->attrs == NULL)
		return RC_NOMEM;
	if (from->n != 0)
		memcpy(out->attrs, from->attrs, from->n * sizeof(*out->attrs));
	out->n = from->n;
	return RC_OK;
}

static int settle_all(struct update_values *v, const struct apply_entry *content)
{
	struct attr *attr;
	const struct attr *was;
	unsigned i;
	int rc = RC_OK;

	v->now.n = v->was.n = 0;
	for (i = 0; rc == RC_OK && i < content->attrs.n; i++) {
		attr = &v->stored.attrs.attrs[i];
		was = v->old != NULL ? find_apart(&v->old->attrs, attr->type) : NULL;
		if (was != NULL) {
			rc = settle(v, was, attr);
			continue;
		}
		v->now.attrs[v->now.n++] = *attr;
		if (attr->nvalues >= apart_from(v->u) &&
		    values_may_be_apart(schema_attr(v->u->ctx->schema, attr->type)))
			rc = go_apart(v, schema_attr(v->u->ctx->schema, attr->type), attr);
		rc = rc == RC_INVALID ? RC_OK : rc; /* it stays near */
	}
	for (i = 0; rc == RC_OK && v->old != NULL && i < v->old->attrs.n; i++) {
		was = &v->old->attrs.attrs[i];
		if (was->apart == NULL)
			v->was.attrs[v->was.n++] = *was;
		else if (!has_type(&content->attrs, was->type))
			rc = settle_removed(v, was);
	}
	return rc;
}

int update_values_write(struct update *u, uint64_t eid, const struct update_old *old,
			const struct apply_entry *content, struct update_values *v)
{
	static const struct attr_list none;
	const struct attr_list *was = old != NULL ? &old->attrs : &none;
	int rc;

	*v = (struct update_values){.u = u, .eid = eid, .old = old, .stored = *content};
	v->now = content->attrs;
	v->was = *was;
	if (!concerns(u, old, content))
		return RC_OK;
	rc = copy_attrs(u->a, &content->attrs, &v->stored.attrs);
	if (rc == RC_OK)
		rc = copy_attrs(u->a, &content->attrs, &v->now);
	if (rc == RC_OK)
		rc = copy_attrs(u->a, was, &v->was);
	v->changes = arena_zalloc(u->a, (size_t)was->n + 1, sizeof(*v->changes));
	if (rc != RC_OK || v->changes == NULL)
		return rc != RC_OK ? rc : RC_NOMEM;
	return settle_all(v, content);
}
