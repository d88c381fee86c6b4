#include "routed/syncctl.h"

#include <lber.h>

#define TAG_COOKIE 0x04u /* OCTET STRING */
#define TAG_BOOLEAN 0x01u
#define TAG_SEQUENCE 0x30u
#define TAG_ENUMERATED 0x0au
#define TAG_SET 0x31u
#define TAG_NEW_COOKIE 0x80u     /* [0] syncCookie */
#define TAG_REFRESH_DELETE 0xa1u /* [1] SEQUENCE */
#define TAG_REFRESH_PRESENT 0xa2u
#define TAG_ID_SET 0xa3u
#define MODE_REFRESH_AND_PERSIST 3

/*
 * A cursor over TLVs with one-octet tags and definite lengths (RFC 4511 §5.1). liblber's
 * ber_scanf() accepts octets that go on behind a sequence; here every sequence must be used up.
 */
struct reader {
	struct span rest;
};

#define LENGTH_MAX_OCTETS 4

static bool read_length(struct span in, size_t *length, size_t *used)
{
	size_t octets;
	size_t i;

	if (in.n == 0)
		return false;
	*length = in.p[0];
	*used = 1;
	if (in.p[0] < 0x80)
		return true;
	octets = in.p[0] & 0x7fu;
	if (octets == 0 || octets > LENGTH_MAX_OCTETS || in.n <= octets)
		return false;
	*length = 0;
	for (i = 1; i <= octets; i++)
		*length = *length << 8 | in.p[i];
	*used = 1 + octets;
	return true;
}

static bool read_tlv(struct reader *r, unsigned *tag, struct span *value)
{
	size_t length;
	size_t used;

	if (r->rest.n == 0 || !read_length(span_from(r->rest, 1), &length, &used))
		return false;
	*tag = r->rest.p[0];
	*value = span_from(r->rest, 1 + used);
	if (length > value->n)
		return false;
	*value = span_head(*value, length);
	r->rest = span_from(r->rest, 1 + used + length);
	return true;
}

/* A value of the given tag next? Absent is fine; *has tells. False only for broken bytes. */
static bool read_optional(struct reader *r, unsigned tag, bool *has, struct span *value)
{
	unsigned got;

	*has = r->rest.n != 0 && r->rest.p[0] == tag;
	return !*has || read_tlv(r, &got, value);
}

static bool read_boolean(struct reader *r, bool preset, bool *out)
{
	struct span v;
	bool has;

	*out = preset;
	if (!read_optional(r, TAG_BOOLEAN, &has, &v))
		return false;
	if (!has)
		return true;
	*out = v.n == 1 && v.p[0] != 0;
	return v.n == 1;
}

static bool read_cookie(struct reader *r, struct syncctl_cookie *out)
{
	out->value = span_make(NULL, 0);
	return read_optional(r, TAG_COOKIE, &out->present, &out->value) &&
	       out->value.n <= SYNCCTL_COOKIE_MAX_BYTES;
}

static bool open_sequence(struct span ber, struct reader *out)
{
	struct reader outer = {ber};
	unsigned tag;

	return read_tlv(&outer, &tag, &out->rest) && tag == TAG_SEQUENCE && outer.rest.n == 0;
}

static int invalid(const char **why, const char *text)
{
	*why = text;
	return RC_INVALID;
}

static bool read_uuid(struct span v, struct syncctl_uuid *out)
{
	if (v.n != SYNCCTL_UUID_BYTES)
		return false;
	memcpy(out->b, v.p, sizeof(out->b));
	return true;
}

int syncctl_read_state(struct span ber, struct syncctl_state *out, const char **why)
{
	struct reader r;
	struct span v;
	unsigned tag;

	if (!open_sequence(ber, &r))
		return invalid(why, "sync state value is no sequence");
	if (!read_tlv(&r, &tag, &v) || tag != TAG_ENUMERATED || v.n != 1)
		return invalid(why, "sync state is no one-octet enumerated");
	if (v.p[0] > SYNCCTL_DELETE)
		return invalid(why, "unknown sync state");
	out->kind = (enum syncctl_state_kind)v.p[0];
	if (!read_tlv(&r, &tag, &v) || tag != TAG_COOKIE || !read_uuid(v, &out->uuid))
		return invalid(why, "entryUUID of a sync state is not 16 octets");
	if (!read_cookie(&r, &out->cookie))
		return invalid(why, "malformed cookie in a sync state");
	if (r.rest.n != 0)
		return invalid(why, "octets behind a sync state");
	return RC_OK;
}

int syncctl_read_done(struct span ber, struct syncctl_done *out, const char **why)
{
	struct reader r;

	if (!open_sequence(ber, &r))
		return invalid(why, "sync done value is no sequence");
	if (!read_cookie(&r, &out->cookie))
		return invalid(why, "malformed cookie in a sync done");
	if (!read_boolean(&r, false, &out->refresh_deletes))
		return invalid(why, "malformed refreshDeletes in a sync done");
	if (r.rest.n != 0)
		return invalid(why, "octets behind a sync done");
	return RC_OK;
}

static int read_phase_end(struct span value, struct syncctl_info *out, const char **why)
{
	struct reader r = {value};

	if (!read_cookie(&r, &out->cookie))
		return invalid(why, "malformed cookie in a refresh end");
	if (!read_boolean(&r, true, &out->refresh_done))
		return invalid(why, "malformed refreshDone");
	if (r.rest.n != 0)
		return invalid(why, "octets behind a refresh end");
	return RC_OK;
}

static int read_uuid_set(struct arena *a, struct span set, struct syncctl_info *out,
			 const char **why)
{
	struct reader r = {set};
	struct span v;
	unsigned tag;

	/* Each member takes 18 octets, so the set itself bounds the allocation. */
	out->uuids = arena_alloc(a, (set.n / (SYNCCTL_UUID_BYTES + 2) + 1) * sizeof(*out->uuids));
	if (out->uuids == NULL)
		return RC_NOMEM;
	while (r.rest.n != 0) {
		if (!read_tlv(&r, &tag, &v) || tag != TAG_COOKIE ||
		    !read_uuid(v, &out->uuids[out->nuuids]))
			return invalid(why, "syncIdSet holds a UUID that is not 16 octets");
		out->nuuids++;
	}
	return RC_OK;
}

static int read_id_set(struct arena *a, struct span value, struct syncctl_info *out,
		       const char **why)
{
	struct reader r = {value};
	struct span set;
	unsigned tag;

	if (!read_cookie(&r, &out->cookie))
		return invalid(why, "malformed cookie in a syncIdSet");
	if (!read_boolean(&r, false, &out->refresh_deletes))
		return invalid(why, "malformed refreshDeletes in a syncIdSet");
	if (!read_tlv(&r, &tag, &set) || tag != TAG_SET || r.rest.n != 0)
		return invalid(why, "syncIdSet without its set");
	return read_uuid_set(a, set, out, why);
}

int syncctl_read_info(struct arena *a, struct span ber, struct syncctl_info *out, const char **why)
{
	struct reader r = {ber};
	struct span value;
	unsigned tag;

	*out = (struct syncctl_info){0};
	if (!read_tlv(&r, &tag, &value) || r.rest.n != 0)
		return invalid(why, "sync info value is no single element");
	switch (tag) {
	case TAG_NEW_COOKIE:
		out->kind = SYNCCTL_NEW_COOKIE;
		out->cookie = (struct syncctl_cookie){true, value};
		if (value.n > SYNCCTL_COOKIE_MAX_BYTES)
			return invalid(why, "oversized cookie in a sync info");
		return RC_OK;
	case TAG_REFRESH_DELETE:
		out->kind = SYNCCTL_REFRESH_DELETE;
		return read_phase_end(value, out, why);
	case TAG_REFRESH_PRESENT:
		out->kind = SYNCCTL_REFRESH_PRESENT;
		return read_phase_end(value, out, why);
	case TAG_ID_SET:
		out->kind = SYNCCTL_ID_SET;
		return read_id_set(a, value, out, why);
	default: /* a tag of the peer, not an enum of ours */
		return invalid(why, "unknown sync info choice");
	}
}

int syncctl_write_request(struct arena *a, const struct syncctl_cookie *cookie, struct span *out)
{
	BerElement *ber = ber_alloc_t(LBER_USE_DER);
	struct berval flat = {0, NULL};
	struct berval value = {cookie->value.n, (char *)(uintptr_t)cookie->value.p};
	int rc = RC_NOMEM;

	if (ber == NULL)
		return RC_NOMEM;
	if (cookie->present) {
		if (ber_printf(ber, "{eO}", MODE_REFRESH_AND_PERSIST, &value) < 0)
			goto out;
	} else if (ber_printf(ber, "{e}", MODE_REFRESH_AND_PERSIST) < 0) {
		goto out;
	}
	if (ber_flatten2(ber, &flat, 0) != 0)
		goto out;
	*out = arena_span(a, span_make(flat.bv_val, flat.bv_len));
	rc = out->p != NULL ? RC_OK : RC_NOMEM;
out:
	ber_free(ber, 1);
	return rc;
}
