#include "dird/op_sort.h"

#include "dird/order.h"

#include <stdlib.h>

#define SORT_NONE 0xffff

/* --- requests --- */

static int refuse_key(struct op_sort *out, enum ldap_result code, struct span type)
{
	if (out->code == LR_SUCCESS) {
		out->code = code;
		out->bad_type = type;
	}
	return 0;
}

static int add_key(const struct op *op, struct op_sort *out, struct span type, struct span rule,
		   bool is_reverse)
{
	const struct schema_attr *at = schema_attr(op->server->schema, type);
	const struct schema_rule *r = rule.p != NULL ? schema_rule(rule) : NULL;
	enum schema_norm norm;

	if (at == NULL || !acl_may_read_attr(&op->server->acl, &op->identity, at, type))
		return refuse_key(out, LR_NO_SUCH_ATTRIBUTE, type);
	if (rule.p != NULL &&
	    (r == NULL || r->kind != SCHEMA_ORDERING || !schema_rule_applies(r, at)))
		return refuse_key(out, LR_INAPPROPRIATE_MATCHING, type);
	norm = schema_list_order(r, at);
	if (norm == SCHEMA_NORM_NONE)
		return refuse_key(out, LR_INAPPROPRIATE_MATCHING, type);
	if (out->nkeys == SORT_MAX_KEYS)
		return refuse_key(out, LR_ADMIN_LIMIT, type);
	out->keys[out->nkeys++] = (struct sort_key){at, norm, is_reverse};
	return 0;
}

static int read_key(const struct op *op, struct span one, struct op_sort *out)
{
	struct span type, rule = {NULL, 0};
	bool is_reverse = false;

	if (tlv_expect(&one, TLV_OCTETS, &type) != 0)
		return RC_INVALID;
	if (tlv_peek(one, TLV_CONTEXT(0)) && tlv_expect(&one, TLV_CONTEXT(0), &rule) != 0)
		return RC_INVALID;
	if (tlv_peek(one, TLV_CONTEXT(1)) && tlv_read_bool(&one, TLV_CONTEXT(1), &is_reverse) != 0)
		return RC_INVALID;
	if (one.n != 0 || type.n == 0)
		return RC_INVALID;
	return add_key(op, out, type, rule, is_reverse);
}

int sort_read(const struct op *op, struct span value, struct op_sort *out)
{
	struct span list, one;
	int rc = 0;

	if (tlv_expect(&value, TLV_SEQUENCE, &list) != 0 || value.n != 0 || list.n == 0)
		return RC_INVALID;
	while (list.n != 0 && rc == 0) {
		rc = tlv_expect(&list, TLV_SEQUENCE, &one);
		if (rc == 0)
			rc = read_key(op, one, out);
	}
	return rc != 0 ? RC_INVALID : 0;
}

static int read_offset(struct span body, struct op_vlv *out)
{
	if (tlv_read_int(&body, TLV_INTEGER, &out->offset) != 0 ||
	    tlv_read_int(&body, TLV_INTEGER, &out->count) != 0 || body.n != 0)
		return RC_INVALID;
	return out->offset < 0 || out->count < 0 || out->offset > INT32_MAX ||
			       out->count > INT32_MAX
		       ? RC_INVALID
		       : 0;
}

int vlv_read(struct span value, struct op_vlv *out)
{
	struct span body, offset, context = {NULL, 0};
	int rc;

	if (tlv_expect(&value, TLV_SEQUENCE, &body) != 0 || value.n != 0 ||
	    tlv_read_int(&body, TLV_INTEGER, &out->before) != 0 ||
	    tlv_read_int(&body, TLV_INTEGER, &out->after) != 0 || out->before < 0 ||
	    out->after < 0 || out->before > INT32_MAX || out->after > INT32_MAX)
		return RC_INVALID;
	out->by_value = !tlv_peek(body, TLV_CONTEXT_CONS(0));
	if (out->by_value)
		rc = tlv_expect(&body, TLV_CONTEXT(1), &out->value);
	else
		rc = tlv_expect(&body, TLV_CONTEXT_CONS(0), &offset);
	if (rc == 0 && !out->by_value)
		rc = read_offset(offset, out);
	if (rc == 0 && tlv_peek(body, TLV_OCTETS)) /* contextID: none is given, so none is valid */
		rc = tlv_expect(&body, TLV_OCTETS, &context);
	out->has_context = context.n != 0;
	return rc != 0 || body.n != 0 ? RC_INVALID : 0;
}

/* --- keys --- */

/* RFC 2891 §1.1: of several values the least one, of those that the reader may see. */
static void find_least(struct order_least *l, const struct schema_attr *at, struct op_sight *v,
		       uint64_t eid, const struct entry *e)
{
	const struct schema_attr *const *sub = schema_subtypes(l->schema, at);
	struct entry_values walk;
	struct entry_attr found;
	struct span rest, value;
	struct buf computed;
	unsigned i;

	for (; *sub != NULL; sub++) {
		i = 0;
		while (entry_find(e, (*sub)->hash, span_of((*sub)->name), &i, &found)) {
			entry_values_begin(&walk, e, &found);
			while (entry_values_next(&walk, &value)) {
				if (op_sees_value(v, e, *sub, value))
					order_value(l, value);
			}
		}
	}
	if (l->has)
		return;
	buf_init(&computed, UINT32_MAX);
	if (op_computed(v, eid, e, at, &computed)) {
		for (rest = buf_span(&computed); tlv_expect(&rest, TLV_OCTETS, &value) == 0;)
			order_value(l, value);
	}
	buf_fini(&computed);
}

static void put_component(struct buf *out, const struct order_least *l)
{
	size_t n = l->best.n < SORT_KEY_MAX_BYTES ? l->best.n : SORT_KEY_MAX_BYTES;
	size_t size = l->has ? n : SORT_NONE;

	buf_putc(out, (uint8_t)(size >> 8));
	buf_putc(out, (uint8_t)size);
	if (l->has)
		buf_put(out, span_make(l->best.p, n));
}

static int make_room(struct op_sort *s)
{
	size_t size = s->size != 0 ? s->size * 2 : 256;
	struct sort_row *more;

	if (s->n < s->size)
		return 0;
	more = mem_realloc(s->rows, size * sizeof(*more));
	if (more == NULL)
		return RC_NOMEM;
	s->rows = more;
	s->size = size;
	return 0;
}

int sort_add(struct op_sort *s, struct op_sight *v, uint64_t eid, const struct entry *e)
{
	struct order_least l;
	struct span key = {NULL, 0};
	struct buf out;
	unsigned i;
	int rc;

	if (s->n == SORT_MAX_ENTRIES)
		return RC_TOOBIG;
	order_init(&l, v->schema);
	buf_init(&out, SORT_MAX_KEYS * (SORT_KEY_MAX_BYTES + 2));
	for (i = 0; i < s->nkeys; i++) {
		order_begin(&l, s->keys[i].norm);
		find_least(&l, s->keys[i].at, v, eid, e);
		put_component(&out, &l);
	}
	rc = buf_rc(&out);
	if (rc == 0)
		rc = make_room(s);
	if (rc == 0) {
		key = arena_span(&s->arena, buf_span(&out));
		rc = key.p != NULL ? 0 : RC_NOMEM;
	}
	if (rc == 0)
		s->rows[s->n++] = (struct sort_row){eid, key.p};
	buf_fini(&out);
	order_fini(&l);
	return rc;
}

/* --- order --- */

/* One component; *p moves behind it. No value is above all values. */
static struct span component(const uint8_t **p, bool *has)
{
	size_t n = (size_t)(*p)[0] << 8 | (*p)[1];
	struct span s;

	*has = n != SORT_NONE;
	if (!*has)
		n = 0;
	s = span_make(*p + 2, n);
	*p += 2 + n;
	return s;
}

static int compare_component(const uint8_t **a, const uint8_t **b)
{
	bool has_a, has_b;
	struct span x = component(a, &has_a), y = component(b, &has_b);

	if (has_a != has_b)
		return has_a ? -1 : 1;
	return span_cmp(x, y);
}

static int compare_rows(const void *a, const void *b, void *ctx)
{
	const struct sort_row *x = a, *y = b;
	const struct op_sort *s = ctx;
	const uint8_t *p = x->key, *q = y->key;
	unsigned i;
	int c;

	for (i = 0; i < s->nkeys; i++) {
		c = compare_component(&p, &q);
		if (c != 0)
			return s->keys[i].is_reverse ? -c : c;
	}
	return (x->eid > y->eid) - (x->eid < y->eid);
}

void sort_rows(struct op_sort *s)
{
	if (s->n > 1)
		qsort_r(s->rows, s->n, sizeof(*s->rows), compare_rows, s);
	s->at = 0;
	s->end = s->n;
}

void sort_fini(struct op_sort *s)
{
	mem_free(s->rows);
	s->rows = NULL;
	s->n = s->size = s->at = s->end = 0;
	arena_fini(&s->arena);
}

/* --- windows --- */

uint64_t vlv_position(const struct op_vlv *v, uint64_t n)
{
	uint64_t offset = (uint64_t)v->offset, count = (uint64_t)v->count;

	if (offset == 0)
		return 0;
	if (n == 0)
		return 1;
	if (offset == 1 && count != 1)
		return 1;
	if (count == 0 || count == n)
		return offset < n ? offset : n;
	if (offset >= count)
		return n;
	offset = (offset * n + count / 2) / count; /* below 2^31 * 2^32 + 2^30 */
	return offset != 0 ? offset : 1;
}

void vlv_place(const struct op_vlv *v, uint64_t position, uint64_t n, size_t *lo, size_t *hi)
{
	uint64_t before = (uint64_t)v->before, after = (uint64_t)v->after;

	*lo = position - 1 > before ? (size_t)(position - 1 - before) : 0;
	*hi = position + after < n ? (size_t)(position + after) : (size_t)n;
}

/* The first row that is not before the value, in the order of the first key. */
static uint64_t find_value(const struct op_sort *s, struct span value)
{
	size_t lo = 0, hi = s->n, mid;

	while (lo < hi) {
		const uint8_t *p;
		struct span x;
		bool has;
		int c;

		mid = lo + (hi - lo) / 2;
		p = s->rows[mid].key;
		x = component(&p, &has);
		c = has ? span_cmp(x, value) : 1;
		if ((s->keys[0].is_reverse ? -c : c) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo + 1;
}

void vlv_window(struct op_vlv *v, struct op_sort *s, const struct schema *schema)
{
	struct buf key;

	v->total = s->n;
	s->end = 0;
	if (!v->by_value) {
		v->position = vlv_position(v, s->n);
	} else {
		buf_init(&key, 8u * 1024 * 1024);
		if (schema_normalize(schema, s->keys[0].norm, v->value, &key) == 0)
			v->position = find_value(s, span_head(buf_span(&key), SORT_KEY_MAX_BYTES));
		else
			v->code = LR_INAPPROPRIATE_MATCHING;
		buf_fini(&key);
	}
	if (v->code == 0 && v->position == 0)
		v->code = VLV_RANGE_ERROR;
	if (v->code == 0)
		vlv_place(v, v->position, s->n, &s->at, &s->end);
}

/* --- answers --- */

void sort_write(const struct op_sort *s, struct buf *out)
{
	size_t mark = tlv_open(out, TLV_SEQUENCE);

	tlv_put_int(out, TLV_ENUM, s->code);
	if (s->bad_type.n != 0)
		tlv_put(out, TLV_CONTEXT(0), s->bad_type);
	tlv_close(out, mark);
}

void vlv_write(const struct op_vlv *v, struct buf *out)
{
	size_t mark = tlv_open(out, TLV_SEQUENCE);

	tlv_put_int(out, TLV_INTEGER, (int64_t)v->position);
	tlv_put_int(out, TLV_INTEGER, (int64_t)v->total);
	tlv_put_int(out, TLV_ENUM, v->code);
	tlv_close(out, mark);
}
