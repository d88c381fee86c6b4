#include "routed/table.h"

#include "lib/file.h"
#include "routed/crc64.h"

#define MAGIC "WPRT"
#define FILE_VERSION 3u
#define HEAD_BYTES 24 /* magic, version, length, checksum */
#define ROW_BYTES 40
#define STEP_BYTES 8
#define DOMAIN_BYTES 20
#define PIN_BYTES 12
#define FILE_MODE 0640u

static void put_le(uint8_t *p, uint64_t v, unsigned bytes)
{
	unsigned i;

	for (i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void put_u32(struct buf *out, uint32_t v)
{
	uint8_t *p = buf_extend(out, 4);

	if (p != NULL)
		put_le(p, v, 4);
}

static void put_row(struct buf *out, const struct table_row *r)
{
	const uint32_t words[] = {r->type,      r->target,    r->cost, r->hops, r->nexthop,
				  r->connector, r->transport, r->step, r->next};
	const uint8_t bytes[] = {r->cls, r->mode, r->reason, r->hop};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		put_u32(out, words[i]);
	buf_put(out, span_make(bytes, sizeof(bytes)));
}

static void put_body(const struct table *t, struct buf *out)
{
	const uint32_t counts[] = {t->site,  t->nrows,    t->nsteps, t->ndomains,
				   t->npins, t->nsystems, t->ntexts};
	uint32_t i;

	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		put_u32(out, counts[i]);
	for (i = 0; i < t->nrows; i++)
		put_row(out, &t->rows[i]);
	for (i = 0; i < t->nsteps; i++) {
		put_u32(out, t->steps[i].parent);
		put_u32(out, t->steps[i].name);
	}
	for (i = 0; i < t->ndomains; i++) {
		put_u32(out, t->domains[i].domain);
		put_u32(out, t->domains[i].row[TABLE_SYSTEM]);
		put_u32(out, t->domains[i].row[TABLE_USER]);
		put_u32(out, t->domains[i].owner);
		put_u32(out, t->domains[i].tls);
	}
	for (i = 0; i < t->npins; i++) {
		put_u32(out, t->pins[i].connector);
		put_u32(out, t->pins[i].domain);
		put_u32(out, t->pins[i].host);
	}
	for (i = 0; i < t->nsystems; i++)
		put_u32(out, t->systems[i]);
	for (i = 0; i < t->ntexts; i++)
		put_u32(out, (uint32_t)t->texts[i].n);
	for (i = 0; i < t->ntexts; i++)
		buf_put(out, t->texts[i]);
}

void table_write(const struct table *t, struct buf *out)
{
	size_t start = out->n;
	struct span body;

	if (buf_extend(out, HEAD_BYTES) == NULL)
		return;
	put_body(t, out);
	if (buf_rc(out) != RC_OK)
		return;
	body = span_from(buf_span(out), start + HEAD_BYTES);
	memcpy(out->p + start, MAGIC, 4);
	put_le(out->p + start + 4, FILE_VERSION, 4);
	put_le(out->p + start + 8, body.n, 8);
	put_le(out->p + start + 16, crc64(body), 8);
}

/* Reading: the first failure sticks, values after it are 0. */
struct reader {
	struct span left;
	int rc;
};

static uint64_t get(struct reader *r, unsigned bytes)
{
	uint64_t v = 0;
	unsigned i;

	if (r->left.n < bytes)
		r->rc = RC_CORRUPT;
	if (r->rc != RC_OK)
		return 0;
	for (i = 0; i < bytes; i++)
		v |= (uint64_t)r->left.p[i] << (8 * i);
	r->left = span_from(r->left, bytes);
	return v;
}

static uint32_t get_u32(struct reader *r)
{
	return (uint32_t)get(r, 4);
}

/* A number below `limit`, or TABLE_NONE where that may be. */
static uint32_t get_number(struct reader *r, uint32_t limit, bool may_be_none)
{
	uint32_t v = get_u32(r);

	if (v >= limit && !(may_be_none && v == TABLE_NONE) && r->rc == RC_OK)
		r->rc = RC_CORRUPT;
	return v;
}

static uint8_t get_enum(struct reader *r, unsigned limit)
{
	uint8_t v = (uint8_t)get(r, 1);

	if (v >= limit && r->rc == RC_OK)
		r->rc = RC_CORRUPT;
	return v;
}

/* An array of n elements that are stored in `stored` bytes each; its bytes are known to be there.
 */
static void *get_array(struct reader *r, struct table *t, uint32_t n, size_t stored, size_t element)
{
	void *p = NULL;

	if (r->rc == RC_OK && n > r->left.n / stored)
		r->rc = RC_CORRUPT;
	if (r->rc == RC_OK) {
		p = arena_zalloc(&t->arena, n, element);
		r->rc = p != NULL ? RC_OK : RC_NOMEM;
	}
	return p;
}

static void get_rows(struct reader *r, struct table *t)
{
	uint32_t i;

	t->rows = get_array(r, t, t->nrows, ROW_BYTES, sizeof(*t->rows));
	for (i = 0; i < t->nrows && r->rc == RC_OK; i++) {
		struct table_row *row = &t->rows[i];

		row->type = get_number(r, t->ntexts, false);
		row->target = get_number(r, t->ntexts, false);
		row->cost = get_u32(r);
		row->hops = get_u32(r);
		row->nexthop = get_number(r, t->ntexts, true);
		row->connector = get_number(r, t->ntexts, true);
		row->transport = get_number(r, t->ntexts, true);
		row->step = get_number(r, t->nsteps, true);
		row->next = get_number(r, t->ntexts, true);
		row->cls = get_enum(r, TABLE_CLASSES);
		row->mode = get_enum(r, TABLE_LOCAL_SPACE + 1);
		row->reason = get_enum(r, TABLE_REASONS);
		row->hop = get_enum(r, TABLE_HOP_TYPE + 1);
		if (r->rc == RC_OK && (row->hop == TABLE_HOP_NONE) != (row->nexthop == TABLE_NONE))
			r->rc = RC_CORRUPT;
	}
}

/* A parent comes before its child, so no path can be a circle. */
static void get_steps(struct reader *r, struct table *t)
{
	uint32_t i;

	t->steps = get_array(r, t, t->nsteps, STEP_BYTES, sizeof(*t->steps));
	for (i = 0; i < t->nsteps && r->rc == RC_OK; i++) {
		t->steps[i].parent = get_number(r, i, true);
		t->steps[i].name = get_number(r, t->ntexts, false);
	}
}

static void get_domains(struct reader *r, struct table *t)
{
	uint32_t i;

	t->domains = get_array(r, t, t->ndomains, DOMAIN_BYTES, sizeof(*t->domains));
	for (i = 0; i < t->ndomains && r->rc == RC_OK; i++) {
		struct table_domain *d = &t->domains[i];

		d->domain = get_number(r, t->ntexts, false);
		d->row[TABLE_SYSTEM] = get_number(r, t->nrows, true);
		d->row[TABLE_USER] = get_number(r, t->nrows, true);
		d->owner = get_number(r, TABLE_OWNER_MANY + 1, false);
		d->tls = get_number(r, t->ntexts, true);
		if (d->owner == TABLE_OWNER_SITE && r->rc == RC_OK &&
		    (d->row[TABLE_SYSTEM] == TABLE_NONE || d->row[TABLE_USER] == TABLE_NONE))
			r->rc = RC_CORRUPT;
	}
}

static void get_pins(struct reader *r, struct table *t)
{
	uint32_t i;

	t->pins = get_array(r, t, t->npins, PIN_BYTES, sizeof(*t->pins));
	for (i = 0; i < t->npins && r->rc == RC_OK; i++) {
		t->pins[i].connector = get_number(r, t->ntexts, false);
		t->pins[i].domain = get_number(r, t->ntexts, false);
		t->pins[i].host = get_number(r, t->ntexts, false);
	}
	t->systems = get_array(r, t, t->nsystems, sizeof(uint32_t), sizeof(*t->systems));
	for (i = 0; i < t->nsystems && r->rc == RC_OK; i++)
		t->systems[i] = get_number(r, t->ntexts, false);
}

static void get_texts(struct reader *r, struct table *t)
{
	struct span bytes;
	uint64_t total = 0;
	uint32_t i;

	t->texts = get_array(r, t, t->ntexts, sizeof(uint32_t), sizeof(*t->texts));
	for (i = 0; i < t->ntexts && r->rc == RC_OK; i++) {
		t->texts[i].n = get_u32(r);
		total += t->texts[i].n;
	}
	if (r->rc == RC_OK && total != r->left.n)
		r->rc = RC_CORRUPT;
	if (r->rc != RC_OK)
		return;
	bytes = arena_span(&t->arena, r->left);
	if (bytes.p == NULL) {
		r->rc = RC_NOMEM;
		return;
	}
	for (i = 0; i < t->ntexts; i++) {
		t->texts[i].p = bytes.p;
		bytes = span_from(bytes, t->texts[i].n);
	}
}

static void get_body(struct reader *r, struct table *t)
{
	t->site = get_u32(r);
	t->nrows = get_u32(r);
	t->nsteps = get_u32(r);
	t->ndomains = get_u32(r);
	t->npins = get_u32(r);
	t->nsystems = get_u32(r);
	t->ntexts = get_u32(r);
	if (r->rc == RC_OK && t->site >= t->ntexts)
		r->rc = RC_CORRUPT;
	get_rows(r, t);
	get_steps(r, t);
	get_domains(r, t);
	get_pins(r, t);
	get_texts(r, t);
}

/* An empty domain, or a target that does not fold, can not come from table_write(). */
static int index_saved(struct table *t)
{
	uint32_t i;
	int rc;

	for (i = 0; i < t->ndomains; i++) {
		if (t->texts[t->domains[i].domain].n == 0)
			return RC_CORRUPT;
	}
	for (i = 0; i < t->nsystems; i++) {
		if (t->texts[t->systems[i]].n == 0)
			return RC_CORRUPT;
	}
	rc = table_index(t, NULL);
	return rc == RC_INVALID ? RC_CORRUPT : rc;
}

int table_read(struct span saved, struct table **out)
{
	struct reader r = {span_from(saved, 4), RC_OK};
	struct table *t;
	uint64_t version, length, crc;

	*out = NULL;
	if (!span_starts(saved, SPAN_LIT(MAGIC)))
		return RC_CORRUPT;
	version = get(&r, 4);
	length = get(&r, 8);
	crc = get(&r, 8);
	if (r.rc == RC_OK && version != FILE_VERSION)
		return RC_UNSUPPORTED;
	if (r.rc != RC_OK || length != r.left.n || crc != crc64(r.left))
		return RC_CORRUPT;
	t = mem_zalloc(1, sizeof(*t));
	if (t == NULL)
		return RC_NOMEM;
	get_body(&r, t);
	if (r.rc == RC_OK)
		r.rc = index_saved(t);
	if (r.rc == RC_OK)
		*out = t;
	else
		table_free(&t);
	return r.rc;
}

int table_save(const struct table *t, const char *path)
{
	struct buf b;
	int rc;

	buf_init(&b, TABLE_MAX_BYTES);
	table_write(t, &b);
	rc = buf_rc(&b);
	if (rc == RC_OK)
		rc = file_replace(path, buf_span(&b), FILE_MODE);
	buf_fini(&b);
	return rc;
}

int table_load(const char *path, struct table **out)
{
	struct buf b;
	int rc;

	*out = NULL;
	buf_init(&b, TABLE_MAX_BYTES);
	rc = file_read(path, &b);
	if (rc == RC_OK)
		rc = table_read(buf_span(&b), out);
	buf_fini(&b);
	return rc;
}
