#include "dird/tlv.h"

#define TAG_NUMBER_BITS 0x1f
#define LONG_LENGTH 0x80
#define LENGTH_BYTES_MAX 4
#define INT_BYTES_MAX 8

/* Tag and length in front of s. RC_MORE: s ends inside of them. */
static int read_header(struct span s, size_t *header_out, size_t *body_out)
{
	size_t i, n = 0, k;

	if (s.n != 0 && (s.p[0] & TAG_NUMBER_BITS) == TAG_NUMBER_BITS)
		return RC_INVALID;
	if (s.n < 2)
		return RC_MORE;
	if (s.p[1] < LONG_LENGTH) {
		*header_out = 2;
		*body_out = s.p[1];
		return RC_OK;
	}
	k = s.p[1] & 0x7fu;
	if (k == 0 || k > LENGTH_BYTES_MAX)
		return RC_INVALID;
	if (s.n < 2 + k)
		return RC_MORE;
	for (i = 0; i < k; i++)
		n = n << 8 | s.p[2 + i];
	*header_out = 2 + k;
	*body_out = n;
	return RC_OK;
}

int tlv_frame(struct span s, uint8_t want_tag, size_t *total_out)
{
	size_t header, body;
	int rc;

	if (s.n != 0 && s.p[0] != want_tag)
		return RC_INVALID;
	rc = read_header(s, &header, &body);
	if (rc != RC_OK)
		return rc;
	*total_out = header + body;
	return RC_OK;
}

int tlv_next(struct span *rest, struct tlv *out)
{
	size_t header, body;

	if (rest->n == 0)
		return RC_DONE;
	if (read_header(*rest, &header, &body) != RC_OK || body > rest->n - header)
		return RC_INVALID;
	out->tag = rest->p[0];
	out->whole = span_head(*rest, header + body);
	out->body = span_from(out->whole, header);
	*rest = span_from(*rest, header + body);
	return RC_OK;
}

int tlv_expect_long(struct span *rest, uint8_t tag, struct span *body_out)
{
	struct tlv t;

	if (!tlv_peek(*rest, tag) || tlv_next(rest, &t) != RC_OK)
		return RC_INVALID;
	*body_out = t.body;
	return RC_OK;
}

int tlv_int(struct span body, int64_t *out)
{
	uint64_t v;
	size_t i;

	if (body.n == 0 || body.n > INT_BYTES_MAX)
		return RC_INVALID;
	v = body.p[0] & 0x80 ? UINT64_MAX : 0;
	for (i = 0; i < body.n; i++)
		v = v << 8 | body.p[i];
	*out = (int64_t)v;
	return RC_OK;
}

int tlv_bool(struct span body, bool *out)
{
	if (body.n != 1)
		return RC_INVALID;
	*out = body.p[0] != 0;
	return RC_OK;
}

int tlv_read_int(struct span *rest, uint8_t tag, int64_t *out)
{
	struct span at = *rest, body;

	if (tlv_expect(&at, tag, &body) != RC_OK || tlv_int(body, out) != RC_OK)
		return RC_INVALID;
	*rest = at;
	return RC_OK;
}

int tlv_read_bool(struct span *rest, uint8_t tag, bool *out)
{
	struct span at = *rest, body;

	if (tlv_expect(&at, tag, &body) != RC_OK || tlv_bool(body, out) != RC_OK)
		return RC_INVALID;
	*rest = at;
	return RC_OK;
}

/* Bytes of a length behind its first one: none for the short form. */
static size_t length_tail(size_t body_bytes)
{
	if (body_bytes < LONG_LENGTH)
		return 0;
	return sizeof(size_t) - (size_t)__builtin_clzll(body_bytes) / 8;
}

size_t tlv_header_bytes(size_t body_bytes)
{
	return 2 + length_tail(body_bytes);
}

/* `at` has room for 1 + length_tail(n) bytes. */
static void write_length(uint8_t *at, size_t n)
{
	size_t i, k = length_tail(n);

	if (k == 0) {
		at[0] = (uint8_t)n;
		return;
	}
	at[0] = (uint8_t)(LONG_LENGTH | k);
	for (i = k; i > 0; i--) {
		at[i] = (uint8_t)n;
		n >>= 8;
	}
}

void tlv_put(struct buf *b, uint8_t tag, struct span body)
{
	size_t header = tlv_header_bytes(body.n);
	uint8_t *at;

	if (body.n > UINT32_MAX) {
		if (b->rc == RC_OK)
			b->rc = RC_TOOBIG;
		return;
	}
	at = buf_extend(b, header + body.n);
	if (at == NULL)
		return;
	at[0] = tag;
	write_length(at + 1, body.n);
	if (body.n != 0)
		memcpy(at + header, body.p, body.n);
}

void tlv_put_int(struct buf *b, uint8_t tag, int64_t v)
{
	uint64_t u = (uint64_t)v, significant = v < 0 ? ~u : u;
	size_t n = 1, i;
	uint8_t *at;

	/* Minimal: the first byte has the sign and is no mere repetition of it. */
	while (n < INT_BYTES_MAX && significant >> (8 * n - 1) != 0)
		n++;
	at = buf_extend(b, 2 + n);
	if (at == NULL)
		return;
	at[0] = tag;
	at[1] = (uint8_t)n;
	for (i = 0; i < n; i++)
		at[2 + i] = (uint8_t)(u >> 8 * (n - 1 - i));
}

void tlv_put_bool(struct buf *b, uint8_t tag, bool v)
{
	uint8_t byte = v ? 0xff : 0x00;

	tlv_put(b, tag, span_make(&byte, 1));
}

size_t tlv_open(struct buf *b, uint8_t tag)
{
	return tlv_open_about(b, tag, 0);
}

/* The byte before the contents tells tlv_close() how much room was left for the length. */
size_t tlv_open_about(struct buf *b, uint8_t tag, size_t expected)
{
	size_t tail = length_tail(expected);
	uint8_t *at = buf_extend(b, 2 + tail);

	if (at != NULL) {
		at[0] = tag;
		at[1 + tail] = (uint8_t)tail;
	}
	return b->n;
}

void tlv_close(struct buf *b, size_t mark)
{
	size_t n, k, room;

	if (buf_rc(b) != RC_OK)
		return;
	must(mark >= 2 && mark <= b->n);
	n = b->n - mark;
	room = b->p[mark - 1];
	must(mark >= 2 + room);
	if (n > UINT32_MAX) {
		b->rc = RC_TOOBIG;
		return;
	}
	k = length_tail(n);
	if (k > room && buf_extend(b, k - room) == NULL)
		return;
	if (k < room)
		b->n -= room - k;
	if (k != room)
		memmove(b->p + mark - room + k, b->p + mark, n);
	write_length(b->p + mark - room - 1, n);
}
