/* Values of an entry that are stored apart from its record. */
#include "dird/entry.h"

bool entry_values_more(struct entry_values *v, struct span *out)
{
	const struct entry *e = v->e;

	if (v->next == v->n) {
		v->next = 0;
		v->n = e->reader != NULL ? e->reader->read(e->reader_ctx, e->eid, v->list, &v->from,
							   v->batch, v->places, ENTRY_BATCH)
					 : 0;
	}
	return v->next < v->n && tlv_expect(&v->batch[v->next++], TLV_OCTETS, out) == RC_OK;
}

size_t entry_attrs_bytes(const struct entry *e)
{
	size_t n = e->attrs.n;
	struct entry_attr at;
	unsigned i;

	for (i = 0; (e->head.flags & ENTRY_HAS_APART) != 0 && i < e->nattrs; i++) {
		entry_attr_at(e, i, &at);
		if (at.is_apart)
			n += (size_t)at.apart.bytes;
	}
	return n;
}

int entry_put_values(const struct entry *e, const struct entry_attr *at, struct buf *out)
{
	struct span values[ENTRY_BATCH];
	struct entry_place places[ENTRY_BATCH];
	struct entry_place from = {0, 0};
	size_t start = out->n;
	unsigned i, n;

	if (!at->is_apart) {
		buf_put(out, at->values);
		return buf_rc(out);
	}
	while (e->reader != NULL &&
	       (n = e->reader->read(e->reader_ctx, e->eid, at->apart.list, &from, values, places,
				    ENTRY_BATCH)) != 0) {
		for (i = 0; i < n; i++)
			buf_put(out, values[i]);
	}
	if (buf_rc(out) != RC_OK)
		return buf_rc(out);
	return out->n - start == at->apart.bytes ? RC_OK : RC_CORRUPT;
}

int entry_put_attr(const struct entry *e, const struct entry_attr *at, struct buf *out)
{
	size_t whole, set;
	int rc;

	if (!at->is_apart) {
		buf_put(out, at->whole);
		return buf_rc(out);
	}
	whole = tlv_open_about(out, TLV_SEQUENCE, (size_t)at->apart.bytes);
	tlv_put(out, TLV_OCTETS, at->type);
	set = tlv_open_about(out, TLV_SET, (size_t)at->apart.bytes);
	rc = entry_put_values(e, at, out);
	tlv_close(out, set);
	tlv_close(out, whole);
	return rc == RC_OK ? buf_rc(out) : rc;
}

int entry_take_apart(const struct entry *e, const struct entry_apart *apart, struct arena *a,
		     struct span **values)
{
	const struct entry_attr at = {.is_apart = true, .apart = *apart};
	struct entry_values walk;
	struct span v;
	uint32_t n = 0;

	if (e->reader == NULL || apart->count > apart->bytes / 2)
		return RC_CORRUPT;
	*values = arena_zalloc(a, apart->count, sizeof(**values));
	if (*values == NULL)
		return RC_NOMEM;
	entry_values_begin(&walk, e, &at);
	while (entry_values_next(&walk, &v)) {
		if (n == apart->count)
			return RC_CORRUPT;
		(*values)[n] = arena_span(a, v);
		if ((*values)[n++].p == NULL)
			return RC_NOMEM;
	}
	return n == apart->count ? RC_OK : RC_CORRUPT;
}
