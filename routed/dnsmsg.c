#include "routed/dnsmsg.h"

#define HEAD_BYTES 12
#define CLASS_IN 1
#define MAX_JUMPS 127 /* a name has no more labels */
#define MAX_ALIASES 16

struct reader {
	struct span all;
	size_t at;
	bool bad;
};

struct name {
	uint8_t text[DNSMSG_NAME_MAX_BYTES];
	size_t n;
};

struct record {
	struct name owner;
	unsigned type, cls;
	uint32_t ttl;
	size_t data, data_n;
};

static unsigned byte(struct reader *r)
{
	if (r->bad || r->at >= r->all.n) {
		r->bad = true;
		return 0;
	}
	return r->all.p[r->at++];
}

static unsigned u16(struct reader *r)
{
	unsigned high = byte(r);

	return high << 8 | byte(r);
}

static uint32_t u32(struct reader *r)
{
	uint32_t high = u16(r);

	return high << 16 | u16(r);
}

/* Bytes that no host name has become '?', so that a label cannot pretend to be two. */
static void put_label(struct reader *r, unsigned n, struct name *out)
{
	if (out->n + n + 1 > sizeof(out->text)) {
		r->bad = true;
		return;
	}
	if (out->n != 0)
		out->text[out->n++] = '.';
	while (n-- != 0 && !r->bad) {
		uint8_t c = span_ascii_lower((uint8_t)byte(r));

		out->text[out->n++] = c > ' ' && c < 0x7f && c != '.' ? c : '?';
	}
}

/* A pointer leads backwards only (RFC 1035 §4.1.4), so this ends. */
static void read_name(struct reader *r, struct name *out)
{
	size_t behind = 0, limit = r->at;
	unsigned jumps = 0;

	out->n = 0;
	for (;;) {
		unsigned n = byte(r);

		if (r->bad || n == 0)
			break;
		if (n < 64) {
			put_label(r, n, out);
			continue;
		}
		n = (n & 63) << 8 | byte(r);
		if (behind == 0)
			behind = r->at;
		if (r->bad || n >= limit || ++jumps > MAX_JUMPS) {
			r->bad = true;
			break;
		}
		r->at = limit = n;
	}
	if (behind != 0)
		r->at = behind;
}

static void read_record(struct reader *r, struct record *out)
{
	read_name(r, &out->owner);
	out->type = u16(r);
	out->cls = u16(r);
	out->ttl = u32(r);
	if (out->ttl > INT32_MAX) /* RFC 2181 §8 */
		out->ttl = 0;
	out->data_n = u16(r);
	out->data = r->at;
	if (r->bad || out->data_n > r->all.n - r->at)
		r->bad = true;
	else
		r->at += out->data_n;
}

static bool is_name(const struct name *n, struct span text)
{
	return span_eq_nocase(span_make(n->text, n->n), text);
}

/* The name at the record's data; false: it does not fill them. */
static bool data_name(const struct reader *from, const struct record *rec, size_t skip,
		      struct name *out)
{
	struct reader r = {span_head(from->all, rec->data + rec->data_n), rec->data + skip, false};

	if (skip > rec->data_n)
		return false;
	read_name(&r, out);
	return !r.bad && r.at == rec->data + rec->data_n;
}

/* Follow the CNAMEs of the answer from the name asked for. */
static int resolve_aliases(struct reader start, unsigned count, struct name *name,
			   struct dnsmsg *out)
{
	unsigned turns, i;
	bool moved = true;

	for (turns = 0; moved; turns++) {
		struct reader r = start;

		if (turns > MAX_ALIASES)
			return RC_INVALID;
		moved = false;
		for (i = 0; i < count && !moved; i++) {
			struct record rec;
			struct name target;

			read_record(&r, &rec);
			if (rec.type != DNSMSG_CNAME || rec.cls != CLASS_IN ||
			    !is_name(&rec.owner, span_make(name->text, name->n)))
				continue;
			if (!data_name(&r, &rec, 0, &target))
				return RC_INVALID;
			*name = target;
			out->ttl_s = rec.ttl < out->ttl_s ? rec.ttl : out->ttl_s;
			out->alias = moved = true;
		}
	}
	return RC_OK;
}

static int take_data(const struct reader *r, const struct record *rec, struct arena *a,
		     struct dnsmsg_record *out)
{
	const uint8_t *p = r->all.p + rec->data;
	struct name exchange;

	*out = (struct dnsmsg_record){0};
	if (rec->type == DNSMSG_MX) {
		if (rec->data_n < 3 || !data_name(r, rec, 2, &exchange))
			return RC_INVALID;
		out->preference = (unsigned)(p[0] << 8 | p[1]);
		out->exchange = arena_span(a, span_make(exchange.text, exchange.n));
		return out->exchange.p != NULL ? RC_OK : RC_NOMEM;
	}
	if (rec->data_n != (rec->type == DNSMSG_A ? 4 : 16))
		return RC_INVALID;
	memcpy(out->address, p, rec->data_n);
	return RC_OK;
}

static int take_records(struct reader r, unsigned count, const struct name *name,
			enum dnsmsg_type type, struct arena *a, struct dnsmsg *out)
{
	unsigned i;
	int rc = RC_OK;

	out->records = arena_zalloc(a, count, sizeof(*out->records));
	if (out->records == NULL)
		return RC_NOMEM;
	for (i = 0; i < count && rc == RC_OK; i++) {
		struct record rec;

		read_record(&r, &rec);
		if (rec.type != (unsigned)type || rec.cls != CLASS_IN ||
		    !is_name(&rec.owner, span_make(name->text, name->n)))
			continue;
		rc = take_data(&r, &rec, a, &out->records[out->n]);
		if (rc == RC_OK)
			out->n++;
		out->ttl_s = rec.ttl < out->ttl_s ? rec.ttl : out->ttl_s;
	}
	return rc;
}

/* How long the absence may be believed: the SOA's TTL, or its last field if that is less. */
static uint32_t negative_ttl(struct reader r, unsigned count)
{
	struct record rec;
	unsigned i;

	for (i = 0; i < count && !r.bad; i++) {
		struct reader last;
		uint32_t minimum;

		read_record(&r, &rec);
		if (r.bad || rec.type != DNSMSG_SOA || rec.data_n < 22)
			continue;
		last = (struct reader){r.all, rec.data + rec.data_n - 4, false};
		minimum = u32(&last);
		return minimum < rec.ttl ? minimum : rec.ttl;
	}
	return 0;
}

static int skip_records(struct reader *r, unsigned count)
{
	struct record rec;
	unsigned i;

	for (i = 0; i < count && !r->bad; i++)
		read_record(r, &rec);
	return r->bad ? RC_INVALID : RC_OK;
}

int dnsmsg_read(struct span message, struct span name, enum dnsmsg_type type, struct arena *a,
		struct dnsmsg *out)
{
	struct reader r = {message, 2, false}, answers;
	unsigned flags = u16(&r), questions = u16(&r), count = u16(&r), authority = u16(&r);
	struct name current;
	int rc;

	*out = (struct dnsmsg){.rcode = flags & 15, .ttl_s = UINT32_MAX};
	out->truncated = (flags & 0x0200) != 0;
	r.at = HEAD_BYTES;
	if (r.bad || (flags & 0x8000) == 0 || questions != 1)
		return RC_INVALID;
	read_name(&r, &current);
	if (u16(&r) != (unsigned)type || u16(&r) != CLASS_IN || r.bad || !is_name(&current, name))
		return RC_INVALID;
	answers = r;
	rc = skip_records(&r, count);
	if (rc == RC_OK)
		rc = resolve_aliases(answers, count, &current, out);
	if (rc == RC_OK)
		rc = take_records(answers, count, &current, type, a, out);
	if (out->n == 0)
		out->ttl_s = negative_ttl(r, authority);
	return rc;
}
