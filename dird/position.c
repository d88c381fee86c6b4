#include "dird/position.h"

#include <inttypes.h>

const struct uuid POSITION_LOCAL_NC = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

int stamp_cmp(const struct stamp *a, const struct stamp *b)
{
	if (a->epoch != b->epoch)
		return a->epoch < b->epoch ? -1 : 1;
	return (a->usn > b->usn) - (a->usn < b->usn);
}

bool position_same_life(const struct position *a, const struct position *b)
{
	return a->epoch == b->epoch && uuid_eq(&a->invocation, &b->invocation);
}

/*
 * A position of a life is only known where everything that this life has kept of earlier ones is;
 * what else comes of those was abandoned. A stamp of a later life is never covered.
 */
bool position_covers(const struct position *p, const struct stamp *s)
{
	return uuid_eq(&p->nc, &s->nc) &&
	       (s->epoch < p->epoch || (s->epoch == p->epoch && s->usn <= p->usn));
}

static int nc_cmp(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->b, b->b, UUID_BYTES);
}

/* By context, its lives newest first. */
static int order_cmp(const struct position *a, const struct position *b)
{
	int order = nc_cmp(&a->nc, &b->nc);

	if (order == 0 && a->epoch != b->epoch)
		order = a->epoch > b->epoch ? -1 : 1;
	return order != 0 ? order : memcmp(a->invocation.b, b->invocation.b, UUID_BYTES);
}

/* Index of the first position whose context is not below `nc`. */
static unsigned lower_bound(const struct vector *v, const struct uuid *nc)
{
	unsigned lo = 0, hi = v->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (nc_cmp(&v->at[mid].nc, nc) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct position *vector_find(const struct vector *v, const struct uuid *nc)
{
	unsigned i = lower_bound(v, nc);

	return i < v->n && uuid_eq(&v->at[i].nc, nc) ? &v->at[i] : NULL;
}

struct vector vector_lives(const struct vector *v, const struct uuid *nc)
{
	unsigned i = lower_bound(v, nc), end = i;

	while (end < v->n && uuid_eq(&v->at[end].nc, nc))
		end++;
	return (struct vector){i < v->n ? v->at + i : NULL, end - i};
}

int vector_put_lives(struct vector *v, struct arena *a, const struct vector *lives)
{
	unsigned i = lower_bound(v, &lives->at->nc);
	unsigned rest = i + vector_lives(v, &lives->at->nc).n;
	struct position *at = arena_zalloc(a, (size_t)v->n + lives->n, sizeof(*at));

	if (at == NULL)
		return RC_NOMEM;
	if (i != 0)
		memcpy(at, v->at, i * sizeof(*at));
	memcpy(at + i, lives->at, lives->n * sizeof(*at));
	if (rest < v->n)
		memcpy(at + i + lives->n, v->at + rest, (v->n - rest) * sizeof(*at));
	v->n = i + lives->n + v->n - rest;
	v->at = at;
	return RC_OK;
}

int vector_put(struct vector *v, struct arena *a, const struct position *p)
{
	struct position one = *p;
	struct vector lives = {&one, 1};

	if (vector_lives(v, &p->nc).n == 1) {
		v->at[lower_bound(v, &p->nc)] = *p;
		return RC_OK;
	}
	return vector_put_lives(v, a, &lives);
}

/* --- lives --- */

struct position position_done_with(const struct uuid *nc, uint32_t epoch)
{
	return (struct position){.nc = *nc, .epoch = epoch, .usn = UINT64_MAX};
}

static bool is_done_with(const struct position *life)
{
	return life->usn == UINT64_MAX && uuid_is_zero(&life->invocation);
}

/* A row only tells the epoch of its life. */
static bool is_life(const struct position *a, const struct position *b)
{
	return position_same_life(a, b) || (a->epoch == b->epoch && (uuid_is_zero(&a->invocation) ||
								     uuid_is_zero(&b->invocation)));
}

bool lives_include(const struct vector *lives, const struct position *p)
{
	const struct position *at;
	unsigned i;

	for (i = 0; i < lives->n; i++) {
		at = &lives->at[i];
		if (is_done_with(at) ? p->epoch <= at->epoch : is_life(at, p) && p->usn <= at->usn)
			return true;
	}
	return false;
}

uint64_t lives_shared(const struct vector *a, const struct vector *b)
{
	uint64_t shared = 0, usn;
	unsigned i, k;

	for (i = 0; i < a->n; i++) {
		for (k = 0; k < b->n; k++) {
			if (!is_life(&a->at[i], &b->at[k]) || is_done_with(&a->at[i]))
				continue;
			usn = a->at[i].usn < b->at[k].usn ? a->at[i].usn : b->at[k].usn;
			if (usn > shared)
				shared = usn;
		}
	}
	return shared;
}

void lives_add(struct position *at, unsigned *n, unsigned max, const struct position *p)
{
	unsigned i = 0, same;

	while (i < *n && order_cmp(&at[i], p) < 0)
		i++;
	for (same = i == 0 ? 0 : i - 1; same < *n && same <= i; same++) {
		if (!is_life(&at[same], p))
			continue;
		if (p->usn > at[same].usn)
			at[same].usn = p->usn;
		return;
	}
	if (i == max)
		return;
	if (*n == max)
		(*n)--;
	memmove(at + i + 1, at + i, (*n - i) * sizeof(*at));
	at[i] = *p;
	(*n)++;
}

void cookie_write(uint64_t content_hash, const struct vector *v, struct buf *out)
{
	char nc[UUID_TEXT_BYTES], invocation[UUID_TEXT_BYTES];
	unsigned i;

	buf_printf(out, "wp1,%016" PRIx64, content_hash);
	for (i = 0; i < v->n; i++) {
		uuid_write(&v->at[i].nc, nc);
		uuid_write(&v->at[i].invocation, invocation);
		buf_printf(out, ",%s:%" PRIu32 ":%s:%" PRIu64, nc, v->at[i].epoch, invocation,
			   v->at[i].usn);
	}
}

/* Decimal digits without leading zeros, up to max. */
static int read_number(struct span text, uint64_t max, uint64_t *out)
{
	uint64_t v = 0, digit;
	size_t i;

	if (text.n == 0 || (text.n > 1 && text.p[0] == '0'))
		return RC_INVALID;
	for (i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return RC_INVALID;
		digit = (uint64_t)(text.p[i] - '0');
		if (v > (max - digit) / 10)
			return RC_INVALID;
		v = v * 10 + digit;
	}
	*out = v;
	return RC_OK;
}

static int read_epoch(struct span text, uint32_t *out)
{
	uint64_t v;
	int rc = read_number(text, UINT32_MAX, &v);

	if (rc == RC_OK)
		*out = (uint32_t)v;
	return rc;
}

static int read_position(struct span text, struct position *out)
{
	struct span nc, epoch, invocation;

	if (!span_cut(&text, ':', &nc) || !span_cut(&text, ':', &epoch) ||
	    !span_cut(&text, ':', &invocation))
		return RC_INVALID;
	if (uuid_parse(nc, &out->nc) != RC_OK || read_epoch(epoch, &out->epoch) != RC_OK ||
	    uuid_parse(invocation, &out->invocation) != RC_OK)
		return RC_INVALID;
	return read_number(text, UINT64_MAX, &out->usn);
}

static int read_hash(struct span text, uint64_t *out)
{
	uint64_t v = 0;
	size_t i;
	uint8_t c;

	if (text.n != 16)
		return RC_INVALID;
	for (i = 0; i < text.n; i++) {
		c = text.p[i];
		if (c >= '0' && c <= '9')
			v = v << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint64_t)(c - 'a' + 10);
		else
			return RC_INVALID;
	}
	*out = v;
	return RC_OK;
}

/* Only what cookie_write() writes is a cookie; capital hex digits, say, are not. */
static int check_canonical(struct span text, uint64_t hash, const struct vector *v)
{
	struct buf b;
	int rc;

	buf_init(&b, text.n + 1);
	cookie_write(hash, v, &b);
	rc = buf_rc(&b) == RC_NOMEM ? RC_NOMEM : RC_OK;
	if (rc == RC_OK && !span_eq(buf_span(&b), text))
		rc = RC_INVALID;
	buf_fini(&b);
	return rc;
}

static unsigned count_commas(struct span s)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < s.n; i++)
		n += s.p[i] == ',';
	return n;
}

int cookie_read(struct span text, struct arena *a, uint64_t *content_hash_out, struct vector *out)
{
	struct span rest = text, part;
	bool more;
	int rc;

	if (!span_cut(&rest, ',', &part) || !span_eq(part, SPAN_LIT("wp1")))
		return RC_INVALID;
	more = span_cut(&rest, ',', &part);
	rc = read_hash(part, content_hash_out);
	if (rc != RC_OK)
		return rc;
	out->n = 0;
	out->at = arena_zalloc(a, (size_t)count_commas(rest) + 1, sizeof(*out->at));
	if (out->at == NULL)
		return RC_NOMEM;
	while (more) {
		more = span_cut(&rest, ',', &part);
		rc = read_position(part, &out->at[out->n]);
		if (rc != RC_OK)
			return rc;
		if (out->n != 0 && order_cmp(&out->at[out->n - 1], &out->at[out->n]) >= 0)
			return RC_INVALID;
		if (out->n > POSITION_PAST_MAX &&
		    uuid_eq(&out->at[out->n - 1 - POSITION_PAST_MAX].nc, &out->at[out->n].nc))
			return RC_INVALID;
		out->n++;
	}
	return check_canonical(text, *content_hash_out, out);
}

void stamp_write(const struct stamp *s, struct buf *out)
{
	char nc[UUID_TEXT_BYTES];

	uuid_write(&s->nc, nc);
	buf_printf(out, "%s:%" PRIu32 ":%" PRIu64, nc, s->epoch, s->usn);
}

int stamp_read(struct span text, struct stamp *out)
{
	struct span nc, epoch;

	if (!span_cut(&text, ':', &nc) || !span_cut(&text, ':', &epoch))
		return RC_INVALID;
	if (uuid_parse(nc, &out->nc) != RC_OK || read_epoch(epoch, &out->epoch) != RC_OK)
		return RC_INVALID;
	return read_number(text, UINT64_MAX, &out->usn);
}
