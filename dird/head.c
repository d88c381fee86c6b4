#include "dird/head.h"

#include "dird/be.h"

static const char label[] = "waypost head 1";

#define AT_NC sizeof(label)
#define AT_EPOCH (AT_NC + UUID_BYTES)
#define AT_INVOCATION (AT_EPOCH + 4)
#define AT_USN (AT_INVOCATION + UUID_BYTES)
#define AT_BEAT (AT_USN + 8)
#define AT_WALL (AT_BEAT + 8)
#define AT_DIGEST (AT_WALL + 8)
#define BODY_BYTES (AT_DIGEST + DIGEST_BYTES)

void head_body(const struct head *h, struct buf *out)
{
	uint8_t body[BODY_BYTES];

	memcpy(body, label, sizeof(label));
	memcpy(body + AT_NC, h->position.nc.b, UUID_BYTES);
	be_put32(body + AT_EPOCH, h->position.epoch);
	memcpy(body + AT_INVOCATION, h->position.invocation.b, UUID_BYTES);
	be_put64(body + AT_USN, h->position.usn);
	be_put64(body + AT_BEAT, h->beat);
	be_put64(body + AT_WALL, (uint64_t)h->wall_us);
	memcpy(body + AT_DIGEST, h->digest, DIGEST_BYTES);
	buf_put(out, span_make(body, sizeof(body)));
}

static void put_part(struct buf *out, struct span part)
{
	uint8_t n[2];

	be_put16(n, (uint16_t)part.n);
	buf_put(out, span_make(n, sizeof(n)));
	buf_put(out, part);
}

void head_write(const struct head *h, struct buf *out)
{
	head_body(h, out);
	put_part(out, h->public);
	put_part(out, h->signature);
}

static bool take_part(struct span *rest, size_t max, struct span *out)
{
	size_t n;

	if (rest->n < 2)
		return false;
	n = be_get16(rest->p);
	if (n == 0 || n > max || n > rest->n - 2)
		return false;
	*out = span_make(rest->p + 2, n);
	*rest = span_from(*rest, 2 + n);
	return true;
}

int head_read(struct span bytes, struct head *out)
{
	struct span rest;

	if (bytes.n < BODY_BYTES || memcmp(bytes.p, label, sizeof(label)) != 0)
		return RC_INVALID;
	memcpy(out->position.nc.b, bytes.p + AT_NC, UUID_BYTES);
	out->position.epoch = be_get32(bytes.p + AT_EPOCH);
	memcpy(out->position.invocation.b, bytes.p + AT_INVOCATION, UUID_BYTES);
	out->position.usn = be_get64(bytes.p + AT_USN);
	out->beat = be_get64(bytes.p + AT_BEAT);
	out->wall_us = (int64_t)be_get64(bytes.p + AT_WALL);
	memcpy(out->digest, bytes.p + AT_DIGEST, DIGEST_BYTES);
	rest = span_from(bytes, BODY_BYTES);
	return take_part(&rest, SIGN_KEY_MAX_BYTES, &out->public) &&
			       take_part(&rest, SIGN_MAX_BYTES, &out->signature) && rest.n == 0
		       ? RC_OK
		       : RC_INVALID;
}

bool head_is_signed(struct span bytes, const struct head *h)
{
	return sign_is_by(h->public, span_head(bytes, BODY_BYTES), h->signature);
}

bool head_is_newer(const struct head *a, const struct head *b)
{
	if (a->position.epoch != b->position.epoch)
		return a->position.epoch > b->position.epoch;
	if (a->position.usn != b->position.usn)
		return a->position.usn > b->position.usn;
	return a->beat > b->beat;
}
