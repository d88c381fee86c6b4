#include "dird/entry.h"

#include "dird/be.h"

/* Record head, big-endian; see docs/storage-format.md. */
#define RECORD_VERSION 1
#define AT_FLAGS 1
#define AT_NATTRS 2
#define AT_RDN 4
#define AT_RDN_NORMAL 6
#define AT_ATTRS_BYTES 8
#define AT_PUBLIC_BYTES 12
#define AT_USER_BYTES 16
#define AT_UUID 20
#define AT_PARENT_UUID 36
#define AT_PARENT 52
#define AT_STAMP_NC 60
#define AT_STAMP_EPOCH 76
#define AT_STAMP_USN 80
#define AT_MOVED_USN 88
#define HEAD_BYTES 96
#define ROW_BYTES 8

/* In place of values that are stored apart. */
#define TAG_APART 0x80
#define APART_BYTES 16

struct span entry_base_type(struct span description)
{
	struct span rest = description, head;

	span_cut(&rest, ';', &head);
	return head;
}

uint32_t entry_type_hash(struct span type)
{
	struct span base = entry_base_type(type);
	uint32_t h = 2166136261u; /* FNV-1a */
	size_t i;

	for (i = 0; i < base.n; i++)
		h = (h ^ span_ascii_lower(base.p[i])) * 16777619u;
	return h;
}

/* A length of more than one byte; 0 if it is none of up to four bytes. Returns the header's bytes.
 */
static size_t long_length(struct span s, size_t *n_out)
{
	size_t k = s.p[1] & 0x7f, n = 0, i;

	if (k == 0 || k > 4 || s.n < 2 + k)
		return 0;
	for (i = 0; i < k; i++)
		n = n << 8 | s.p[2 + i];
	*n_out = n;
	return 2 + k;
}

/* Take one header of the wanted tag off s; false if it is not that or does not fit. */
static inline bool take(struct span *s, uint8_t tag, struct span *body)
{
	size_t n, header = 2;

	if (s->n < 2 || s->p[0] != tag)
		return false;
	n = s->p[1];
	if (__builtin_expect(n >= 0x80, 0)) {
		header = long_length(*s, &n);
		if (header == 0)
			return false;
	}
	if (n > s->n - header)
		return false;
	*body = (struct span){s->p + header, n};
	*s = (struct span){s->p + header + n, s->n - header - n};
	return true;
}

static inline bool read_attr(struct span at, struct entry_attr *out)
{
	struct span body;

	out->whole = at;
	if (!take(&at, TLV_SEQUENCE, &body))
		return false;
	out->whole.n -= at.n;
	return take(&body, TLV_OCTETS, &out->type) && take(&body, TLV_SET, &out->values) &&
	       body.n == 0;
}

static uint32_t row_offset(const struct entry *e, unsigned i)
{
	return be_get32(e->table.p + (size_t)i * ROW_BYTES + 4);
}

/* What stands for values that are stored apart; false: there is none. */
static bool read_apart(struct span values, struct entry_apart *out)
{
	struct span body;

	if (!take(&values, TAG_APART, &body) || values.n != 0 || body.n != APART_BYTES)
		return false;
	out->list = be_get32(body.p);
	out->count = be_get32(body.p + 4);
	out->bytes = be_get64(body.p + 8);
	return true;
}

/* Does row after row describe the attribute that stands at its offset, without gaps? */
int entry_check(const struct entry *e)
{
	struct entry_attr a;
	uint32_t expected = 0, offset;
	bool public_end = e->public_bytes == 0, user_end = e->user_bytes == 0;
	unsigned i;

	for (i = 0; i < e->nattrs; i++) {
		offset = row_offset(e, i);
		if (offset != expected || !read_attr(span_from(e->attrs, offset), &a))
			return RC_CORRUPT;
		expected += (uint32_t)a.whole.n;
		public_end = public_end || expected == e->public_bytes;
		user_end = user_end || expected == e->user_bytes;
	}
	return expected == e->attrs.n && public_end && user_end ? RC_OK : RC_CORRUPT;
}

static void read_head(const uint8_t *p, struct entry_head *h)
{
	memcpy(h->uuid.b, p + AT_UUID, UUID_BYTES);
	memcpy(h->parent_uuid.b, p + AT_PARENT_UUID, UUID_BYTES);
	h->parent = be_get64(p + AT_PARENT);
	memcpy(h->stamp.nc.b, p + AT_STAMP_NC, UUID_BYTES);
	h->stamp.epoch = be_get32(p + AT_STAMP_EPOCH);
	h->stamp.usn = be_get64(p + AT_STAMP_USN);
	h->moved_usn = be_get64(p + AT_MOVED_USN);
	h->flags = p[AT_FLAGS];
}

int entry_open(struct span record, struct entry *out)
{
	const uint8_t *p = record.p;
	uint64_t total;
	size_t rdn, rdn_normal;

	if (record.n < HEAD_BYTES || p[0] != RECORD_VERSION || p[AT_FLAGS] > ENTRY_FLAGS)
		return RC_CORRUPT;
	out->nattrs = be_get16(p + AT_NATTRS);
	rdn = be_get16(p + AT_RDN);
	rdn_normal = be_get16(p + AT_RDN_NORMAL);
	out->public_bytes = be_get32(p + AT_PUBLIC_BYTES);
	out->user_bytes = be_get32(p + AT_USER_BYTES);
	total = HEAD_BYTES + (uint64_t)out->nattrs * ROW_BYTES + rdn + rdn_normal +
		be_get32(p + AT_ATTRS_BYTES);
	if (total != record.n || out->public_bytes > out->user_bytes ||
	    out->user_bytes > be_get32(p + AT_ATTRS_BYTES))
		return RC_CORRUPT;
	read_head(p, &out->head);
	out->table = span_make(p + HEAD_BYTES, (size_t)out->nattrs * ROW_BYTES);
	out->reader = NULL;
	out->head.rdn = span_make(out->table.p + out->table.n, rdn);
	out->head.rdn_normal = span_make(out->head.rdn.p + rdn, rdn_normal);
	out->attrs = span_make(out->head.rdn_normal.p + rdn_normal, be_get32(p + AT_ATTRS_BYTES));
	return RC_OK;
}

struct span entry_record(const struct entry *e)
{
	const uint8_t *p = e->table.p - HEAD_BYTES;

	return span_make(p, (size_t)(e->attrs.p - p) + e->attrs.n);
}

void entry_set_flags(uint8_t *record, uint8_t flags)
{
	record[AT_FLAGS] = flags;
}

uint64_t entry_peek_parent(struct span record)
{
	return record.n >= HEAD_BYTES ? be_get64(record.p + AT_PARENT) : 0;
}

void entry_attr_at(const struct entry *e, unsigned i, struct entry_attr *out)
{
	uint32_t offset;

	must(i < e->nattrs);
	offset = row_offset(e, i);
	if (!read_attr(span_from(e->attrs, offset), out))
		out->type = out->values = out->whole = span_head(e->attrs, 0);
	out->is_operational = offset >= e->user_bytes;
	out->is_protected = offset >= e->public_bytes && offset < e->user_bytes;
	out->is_apart =
		(e->head.flags & ENTRY_HAS_APART) != 0 && read_apart(out->values, &out->apart);
	if (out->is_apart)
		out->values = (struct span){NULL, 0};
}

bool entry_find(const struct entry *e, uint32_t hash, struct span type, unsigned *i,
		struct entry_attr *out)
{
	const uint8_t *row = e->table.p + (size_t)*i * ROW_BYTES;
	uint8_t stored[4];
	uint32_t want, has;
	unsigned at;

	be_put32(stored, hash);
	memcpy(&want, stored, sizeof(want));
	for (at = *i; at < e->nattrs; at++, row += ROW_BYTES) {
		memcpy(&has, row, sizeof(has)); /* as it is stored */
		if (has != want)
			continue;
		entry_attr_at(e, at, out);
		if (span_eq(out->type, type) ||
		    span_eq_nocase(entry_base_type(out->type), entry_base_type(type))) {
			*i = at + 1;
			return true;
		}
	}
	*i = e->nattrs;
	return false;
}

bool entry_first(const struct entry *e, const char *type, struct span *out)
{
	struct span name = span_of(type), values;
	struct entry_attr a;
	unsigned i = 0;

	while (entry_find(e, entry_type_hash(name), name, &i, &a)) {
		values = a.values;
		if (a.type.n == name.n && take(&values, TLV_OCTETS, out))
			return true;
	}
	return false;
}

static int decode_values(struct span values, struct arena *a, struct attr *out)
{
	struct span rest = values, v;
	unsigned n = 0;

	while (take(&rest, TLV_OCTETS, &v))
		n++;
	if (rest.n != 0)
		return RC_CORRUPT;
	out->values = arena_zalloc(a, n, sizeof(*out->values));
	if (out->values == NULL)
		return RC_NOMEM;
	for (rest = values, out->nvalues = 0; take(&rest, TLV_OCTETS, &v);)
		out->values[out->nvalues++] = v;
	return RC_OK;
}

bool entry_has_class(const struct entry *e, const char *class)
{
	struct span type = SPAN_LIT("objectClass"), rest, value;
	struct entry_attr classes;
	unsigned i = 0;

	if (!entry_find(e, entry_type_hash(type), type, &i, &classes))
		return false;
	rest = classes.values;
	while (tlv_expect(&rest, TLV_OCTETS, &value) == 0) {
		if (span_eq_nocase(value, span_of(class)))
			return true;
	}
	return false;
}

static int decode_apart(const struct entry *e, const struct entry_apart *apart, bool near,
			struct arena *a, struct attr *out)
{
	if (!near) {
		out->nvalues = apart->count;
		return entry_take_apart(e, apart, a, &out->values);
	}
	out->apart = arena_zalloc(a, 1, sizeof(*out->apart));
	if (out->apart == NULL)
		return RC_NOMEM;
	out->apart->stored = *apart;
	return RC_OK;
}

static int decode(const struct entry *e, bool with_operational, bool near, struct arena *a,
		  struct attr_list *out)
{
	struct entry_attr at;
	unsigned i;
	int rc;

	out->n = 0;
	out->attrs = arena_zalloc(a, e->nattrs, sizeof(*out->attrs));
	if (out->attrs == NULL)
		return RC_NOMEM;
	for (i = 0; i < e->nattrs; i++) {
		entry_attr_at(e, i, &at);
		if (at.is_operational && !with_operational)
			break;
		if (at.whole.n == 0)
			return RC_CORRUPT;
		out->attrs[out->n].type = at.type;
		rc = at.is_apart ? decode_apart(e, &at.apart, near, a, &out->attrs[out->n])
				 : decode_values(at.values, a, &out->attrs[out->n]);
		if (rc != RC_OK)
			return rc;
		out->n++;
	}
	return RC_OK;
}

int entry_decode(const struct entry *e, bool with_operational, struct arena *a,
		 struct attr_list *out)
{
	return decode(e, with_operational, false, a, out);
}

int entry_decode_near(const struct entry *e, struct arena *a, struct attr_list *out)
{
	return decode(e, true, true, a, out);
}

static void put_marker(const struct entry_apart *apart, struct buf *out)
{
	uint8_t bytes[APART_BYTES];

	be_put32(bytes, apart->list);
	be_put32(bytes + 4, apart->count);
	be_put64(bytes + 8, apart->bytes);
	tlv_put(out, TAG_APART, span_make(bytes, sizeof(bytes)));
}

static void put_attr(const struct attr *at, struct buf *out)
{
	size_t body = 0, set, i;

	for (i = 0; i < at->nvalues; i++)
		body += tlv_header_bytes(at->values[i].n) + at->values[i].n;
	set = tlv_header_bytes(body) + body;
	body = tlv_header_bytes(at->type.n) + at->type.n + set;
	if (body > UINT32_MAX) {
		out->rc = RC_TOOBIG;
		return;
	}
	body = tlv_open(out, TLV_SEQUENCE);
	tlv_put(out, TLV_OCTETS, at->type);
	set = tlv_open(out, TLV_SET);
	if (at->apart != NULL)
		put_marker(&at->apart->stored, out);
	for (i = 0; i < at->nvalues; i++)
		tlv_put(out, TLV_OCTETS, at->values[i]);
	tlv_close(out, set);
	tlv_close(out, body);
}

static void fill_head(const struct entry_head *h, unsigned nattrs, bool has_apart, uint8_t *p)
{
	memset(p, 0, HEAD_BYTES);
	p[0] = RECORD_VERSION;
	p[AT_FLAGS] = h->flags & (uint8_t)~ENTRY_HAS_APART;
	if (has_apart)
		p[AT_FLAGS] |= ENTRY_HAS_APART;
	be_put16(p + AT_NATTRS, (uint16_t)nattrs);
	be_put16(p + AT_RDN, (uint16_t)h->rdn.n);
	be_put16(p + AT_RDN_NORMAL, (uint16_t)h->rdn_normal.n);
	memcpy(p + AT_UUID, h->uuid.b, UUID_BYTES);
	memcpy(p + AT_PARENT_UUID, h->parent_uuid.b, UUID_BYTES);
	be_put64(p + AT_PARENT, h->parent);
	memcpy(p + AT_STAMP_NC, h->stamp.nc.b, UUID_BYTES);
	be_put32(p + AT_STAMP_EPOCH, h->stamp.epoch);
	be_put64(p + AT_STAMP_USN, h->stamp.usn);
	be_put64(p + AT_MOVED_USN, h->moved_usn);
}

/* The three runs one after the other; returns how many attributes were put. */
static unsigned put_runs(const struct attr_list *attrs, const enum entry_run *runs, size_t table,
			 size_t first, size_t ends[ENTRY_RUNS], struct buf *out)
{
	unsigned run, i, row = 0;
	uint8_t *p;

	for (run = 0; run < ENTRY_RUNS; run++) {
		for (i = 0; i < attrs->n && buf_rc(out) == RC_OK; i++) {
			if ((unsigned)runs[i] != run || attr_count(&attrs->attrs[i]) == 0)
				continue;
			p = out->p + table + (size_t)row++ * ROW_BYTES;
			be_put32(p, entry_type_hash(attrs->attrs[i].type));
			be_put32(p + 4, (uint32_t)(out->n - first));
			put_attr(&attrs->attrs[i], out);
		}
		ends[run] = out->n - first;
	}
	return row;
}

int entry_build(const struct entry_head *head, const struct attr_list *attrs,
		const enum entry_run *runs, struct buf *out)
{
	size_t start = out->n, table, first, ends[ENTRY_RUNS];
	bool has_apart = false;
	unsigned i, n = 0;
	uint8_t *p;

	for (i = 0; i < attrs->n; i++) {
		must(attrs->attrs[i].apart == NULL || attrs->attrs[i].nvalues == 0);
		has_apart = has_apart || attrs->attrs[i].apart != NULL;
		n += attr_count(&attrs->attrs[i]) != 0;
	}
	if (n > UINT16_MAX || head->rdn.n > UINT16_MAX || head->rdn_normal.n > UINT16_MAX)
		return RC_TOOBIG;
	p = buf_extend(out, HEAD_BYTES + (size_t)n * ROW_BYTES);
	if (p == NULL)
		return buf_rc(out);
	fill_head(head, n, has_apart, p);
	table = start + HEAD_BYTES;
	buf_put(out, head->rdn);
	buf_put(out, head->rdn_normal);
	first = out->n;
	must(put_runs(attrs, runs, table, first, ends, out) == n || buf_rc(out) != RC_OK);
	if (buf_rc(out) != RC_OK)
		return buf_rc(out);
	if (out->n - first > UINT32_MAX)
		return RC_TOOBIG;
	be_put32(out->p + start + AT_ATTRS_BYTES, (uint32_t)(out->n - first));
	be_put32(out->p + start + AT_PUBLIC_BYTES, (uint32_t)ends[ENTRY_PUBLIC]);
	be_put32(out->p + start + AT_USER_BYTES, (uint32_t)ends[ENTRY_PROTECTED]);
	return RC_OK;
}

void uuid_write(const struct uuid *u, char out[static UUID_TEXT_BYTES])
{
	static const char hex[] = "0123456789abcdef";
	unsigned i, at = 0;

	for (i = 0; i < UUID_BYTES; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			out[at++] = '-';
		out[at++] = hex[u->b[i] >> 4];
		out[at++] = hex[u->b[i] & 15];
	}
	out[at] = '\0';
}

static int hex_digit(uint8_t c)
{
	c = span_ascii_lower(c);
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int uuid_parse(struct span text, struct uuid *out)
{
	unsigned i, at = 0;
	int hi, lo;

	if (text.n != UUID_TEXT_BYTES - 1)
		return RC_INVALID;
	for (i = 0; i < UUID_BYTES; i++) {
		if ((i == 4 || i == 6 || i == 8 || i == 10) && text.p[at++] != '-')
			return RC_INVALID;
		hi = hex_digit(text.p[at++]);
		lo = hex_digit(text.p[at++]);
		if (hi < 0 || lo < 0)
			return RC_INVALID;
		out->b[i] = (uint8_t)(hi << 4 | lo);
	}
	return RC_OK;
}

bool uuid_is_zero(const struct uuid *u)
{
	static const struct uuid zero;

	return uuid_eq(u, &zero);
}
