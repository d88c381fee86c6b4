#include "dird/sync_ctl.h"

#include "dird/tlv.h"

static const struct span no_cookie = {NULL, 0};

/* An absent cookie is .p NULL, so an empty one must not be. */
static struct span present(struct span s)
{
	return s.p != NULL ? s : SPAN_LIT("");
}

static int read_cookie(struct span *rest, struct span *out)
{
	int rc;

	*out = no_cookie;
	if (!tlv_peek(*rest, TLV_OCTETS))
		return RC_OK;
	rc = tlv_expect(rest, TLV_OCTETS, out);
	*out = present(*out);
	return rc;
}

static int read_flag(struct span *rest, bool otherwise, bool *out)
{
	*out = otherwise;
	return tlv_peek(*rest, TLV_BOOLEAN) ? tlv_read_bool(rest, TLV_BOOLEAN, out) : RC_OK;
}

static void write_cookie(struct buf *out, struct span cookie)
{
	if (cookie.p != NULL)
		tlv_put(out, TLV_OCTETS, cookie);
}

/* Open the SEQUENCE that is the whole value. */
static int whole(struct span value, uint8_t tag, struct span *body)
{
	int rc = tlv_expect(&value, tag, body);

	return rc == RC_OK && value.n == 0 ? RC_OK : RC_INVALID;
}

static int at_end(int rc, struct span rest)
{
	return rc == RC_OK && rest.n == 0 ? RC_OK : RC_INVALID;
}

int sync_request_read(struct span value, struct sync_request *out)
{
	struct span rest;
	int64_t mode;
	int rc;

	memset(out, 0, sizeof(*out));
	rc = whole(value, TLV_SEQUENCE, &rest);
	if (rc == RC_OK)
		rc = tlv_read_int(&rest, TLV_ENUM, &mode);
	if (rc != RC_OK || (mode != SYNC_REFRESH_ONLY && mode != SYNC_REFRESH_AND_PERSIST))
		return RC_INVALID;
	out->mode = (enum sync_mode)mode;
	rc = read_cookie(&rest, &out->cookie);
	if (rc == RC_OK)
		rc = read_flag(&rest, false, &out->reload_hint);
	return at_end(rc, rest);
}

void sync_request_write(struct buf *out, const struct sync_request *r)
{
	size_t mark = tlv_open(out, TLV_SEQUENCE);

	tlv_put_int(out, TLV_ENUM, r->mode);
	write_cookie(out, r->cookie);
	if (r->reload_hint)
		tlv_put_bool(out, TLV_BOOLEAN, true);
	tlv_close(out, mark);
}

static int read_uuid(struct span *rest, struct uuid *out)
{
	struct span body;
	int rc = tlv_expect(rest, TLV_OCTETS, &body);

	if (rc != RC_OK || body.n != UUID_BYTES)
		return RC_INVALID;
	memcpy(out->b, body.p, UUID_BYTES);
	return RC_OK;
}

int sync_entry_state_read(struct span value, struct sync_entry_state *out)
{
	struct span rest;
	int64_t state;
	int rc;

	memset(out, 0, sizeof(*out));
	rc = whole(value, TLV_SEQUENCE, &rest);
	if (rc == RC_OK)
		rc = tlv_read_int(&rest, TLV_ENUM, &state);
	if (rc != RC_OK || state < SYNC_PRESENT || state > SYNC_DELETE)
		return RC_INVALID;
	out->state = (enum sync_state)state;
	rc = read_uuid(&rest, &out->uuid);
	if (rc == RC_OK)
		rc = read_cookie(&rest, &out->cookie);
	return at_end(rc, rest);
}

void sync_entry_state_write(struct buf *out, const struct sync_entry_state *s)
{
	size_t mark = tlv_open(out, TLV_SEQUENCE);

	tlv_put_int(out, TLV_ENUM, s->state);
	tlv_put(out, TLV_OCTETS, span_make(s->uuid.b, UUID_BYTES));
	write_cookie(out, s->cookie);
	tlv_close(out, mark);
}

int sync_done_read(struct span value, struct sync_done *out)
{
	struct span rest;
	int rc;

	memset(out, 0, sizeof(*out));
	rc = whole(value, TLV_SEQUENCE, &rest);
	if (rc == RC_OK)
		rc = read_cookie(&rest, &out->cookie);
	if (rc == RC_OK)
		rc = read_flag(&rest, false, &out->refresh_deletes);
	return at_end(rc, rest);
}

void sync_done_write(struct buf *out, const struct sync_done *d)
{
	size_t mark = tlv_open(out, TLV_SEQUENCE);

	write_cookie(out, d->cookie);
	if (d->refresh_deletes)
		tlv_put_bool(out, TLV_BOOLEAN, true);
	tlv_close(out, mark);
}

static int check_uuids(struct span set)
{
	struct span body;

	while (set.n != 0) {
		if (tlv_expect(&set, TLV_OCTETS, &body) != RC_OK || body.n != UUID_BYTES)
			return RC_INVALID;
	}
	return RC_OK;
}

static int read_phase_end(struct span value, struct sync_info *out)
{
	struct span rest;
	int rc = whole(value, (uint8_t)TLV_CONTEXT_CONS(out->kind), &rest);

	if (rc == RC_OK)
		rc = read_cookie(&rest, &out->cookie);
	if (rc == RC_OK)
		rc = read_flag(&rest, true, &out->refresh_done);
	return at_end(rc, rest);
}

static int read_id_set(struct span value, struct sync_info *out)
{
	struct span rest;
	int rc = whole(value, TLV_CONTEXT_CONS(SYNC_INFO_ID_SET), &rest);

	if (rc == RC_OK)
		rc = read_cookie(&rest, &out->cookie);
	if (rc == RC_OK)
		rc = read_flag(&rest, false, &out->refresh_deletes);
	if (rc == RC_OK)
		rc = tlv_expect(&rest, TLV_SET, &out->uuids);
	if (rc == RC_OK)
		rc = check_uuids(out->uuids);
	return at_end(rc, rest);
}

int sync_info_read(struct span value, struct sync_info *out)
{
	int rc;

	memset(out, 0, sizeof(*out));
	if (value.n == 0)
		return RC_INVALID;
	switch (value.p[0]) {
	case TLV_CONTEXT(SYNC_INFO_NEW_COOKIE):
		out->kind = SYNC_INFO_NEW_COOKIE;
		rc = whole(value, TLV_CONTEXT(SYNC_INFO_NEW_COOKIE), &out->cookie);
		out->cookie = present(out->cookie);
		return rc;
	case TLV_CONTEXT_CONS(SYNC_INFO_REFRESH_DELETE):
		out->kind = SYNC_INFO_REFRESH_DELETE;
		return read_phase_end(value, out);
	case TLV_CONTEXT_CONS(SYNC_INFO_REFRESH_PRESENT):
		out->kind = SYNC_INFO_REFRESH_PRESENT;
		return read_phase_end(value, out);
	case TLV_CONTEXT_CONS(SYNC_INFO_ID_SET):
		out->kind = SYNC_INFO_ID_SET;
		return read_id_set(value, out);
	default:
		return RC_INVALID;
	}
}

static void write_id_set(struct buf *out, const struct sync_info *info, const struct uuid *uuids,
			 size_t n)
{
	size_t mark = tlv_open(out, TLV_CONTEXT_CONS(SYNC_INFO_ID_SET));
	size_t set, i;

	write_cookie(out, info->cookie);
	if (info->refresh_deletes)
		tlv_put_bool(out, TLV_BOOLEAN, true);
	set = tlv_open(out, TLV_SET);
	for (i = 0; i < n; i++)
		tlv_put(out, TLV_OCTETS, span_make(uuids[i].b, UUID_BYTES));
	tlv_close(out, set);
	tlv_close(out, mark);
}

void sync_info_write(struct buf *out, const struct sync_info *info, const struct uuid *uuids,
		     size_t n)
{
	size_t mark;

	switch (info->kind) {
	case SYNC_INFO_NEW_COOKIE:
		tlv_put(out, TLV_CONTEXT(SYNC_INFO_NEW_COOKIE), present(info->cookie));
		return;
	case SYNC_INFO_REFRESH_DELETE:
	case SYNC_INFO_REFRESH_PRESENT:
		mark = tlv_open(out, (uint8_t)TLV_CONTEXT_CONS(info->kind));
		write_cookie(out, info->cookie);
		if (!info->refresh_done)
			tlv_put_bool(out, TLV_BOOLEAN, false);
		tlv_close(out, mark);
		return;
	case SYNC_INFO_ID_SET:
		write_id_set(out, info, uuids, n);
		return;
	}
}

bool sync_uuid_next(struct span *rest, struct uuid *out)
{
	return rest->n != 0 && read_uuid(rest, out) == RC_OK;
}
