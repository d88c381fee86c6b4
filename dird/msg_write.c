#include "dird/msg.h"

struct marks {
	size_t message;
	size_t operation;
};

static struct marks open_message(struct buf *out, int32_t id, enum msg_op op)
{
	struct marks m;

	m.message = tlv_open(out, TLV_SEQUENCE);
	tlv_put_int(out, TLV_INTEGER, id);
	m.operation = tlv_open(out, (uint8_t)TLV_APP_CONS(op));
	return m;
}

static void close_message(struct buf *out, struct marks m, const struct msg_control *controls,
			  unsigned ncontrols)
{
	tlv_close(out, m.operation);
	msg_write_controls(out, controls, ncontrols);
	tlv_close(out, m.message);
}

void msg_write_control(struct buf *out, const struct msg_control *control)
{
	size_t mark = tlv_open(out, TLV_SEQUENCE);

	tlv_put(out, TLV_OCTETS, control->oid);
	if (control->critical)
		tlv_put_bool(out, TLV_BOOLEAN, true);
	if (control->has_value)
		tlv_put(out, TLV_OCTETS, control->value);
	tlv_close(out, mark);
}

void msg_write_controls(struct buf *out, const struct msg_control *controls, unsigned ncontrols)
{
	size_t all;
	unsigned i;

	if (ncontrols == 0)
		return;
	all = tlv_open(out, TLV_CONTEXT_CONS(0));
	for (i = 0; i < ncontrols; i++)
		msg_write_control(out, &controls[i]);
	tlv_close(out, all);
}

static void put_referrals(struct buf *out, const char *const *uris)
{
	size_t mark = tlv_open(out, TLV_CONTEXT_CONS(3));

	for (; *uris != NULL; uris++)
		tlv_put(out, TLV_OCTETS, span_of(*uris));
	tlv_close(out, mark);
}

void msg_write_result(struct buf *out, int32_t id, enum msg_op op, const struct result *r,
		      struct span extra, const struct msg_control *controls, unsigned ncontrols)
{
	struct marks m = open_message(out, id, op);

	tlv_put_int(out, TLV_ENUM, r->code);
	tlv_put(out, TLV_OCTETS, r->matched);
	tlv_put(out, TLV_OCTETS, span_of(r->text));
	if (r->code == LR_REFERRAL && r->referrals != NULL && r->referrals[0] != NULL)
		put_referrals(out, r->referrals);
	buf_put(out, extra);
	close_message(out, m, controls, ncontrols);
}

void msg_write_intermediate(struct buf *out, int32_t id, const char *oid, struct span value)
{
	struct marks m = open_message(out, id, MSG_INTERMEDIATE);

	tlv_put(out, TLV_CONTEXT(0), span_of(oid));
	tlv_put(out, TLV_CONTEXT(1), value);
	close_message(out, m, NULL, 0);
}

void msg_write_reference(struct buf *out, int32_t id, const struct span *uris, unsigned n)
{
	struct marks m = open_message(out, id, MSG_SEARCH_REFERENCE);
	unsigned i;

	for (i = 0; i < n; i++)
		tlv_put(out, TLV_OCTETS, uris[i]);
	close_message(out, m, NULL, 0);
}

void msg_write_sasl_external(struct buf *out, int32_t id)
{
	struct marks m = open_message(out, id, MSG_BIND_REQUEST);
	size_t sasl;

	tlv_put_int(out, TLV_INTEGER, 3);
	tlv_put(out, TLV_OCTETS, SPAN_LIT(""));
	sasl = tlv_open(out, TLV_CONTEXT_CONS(3));
	tlv_put(out, TLV_OCTETS, SPAN_LIT("EXTERNAL"));
	tlv_close(out, sasl);
	close_message(out, m, NULL, 0);
}

void msg_write_search(struct buf *out, int32_t id, const struct msg_search *s,
		      const struct msg_control *controls, unsigned ncontrols)
{
	struct marks m = open_message(out, id, MSG_SEARCH_REQUEST);
	size_t attrs;
	unsigned i;

	tlv_put(out, TLV_OCTETS, s->base);
	tlv_put_int(out, TLV_ENUM, s->scope);
	tlv_put_int(out, TLV_ENUM, s->deref);
	tlv_put_int(out, TLV_INTEGER, s->size_limit);
	tlv_put_int(out, TLV_INTEGER, s->time_limit);
	tlv_put_bool(out, TLV_BOOLEAN, s->types_only);
	buf_put(out, s->filter);
	attrs = tlv_open(out, TLV_SEQUENCE);
	for (i = 0; i < s->nattrs; i++)
		tlv_put(out, TLV_OCTETS, s->attrs[i]);
	tlv_close(out, attrs);
	close_message(out, m, controls, ncontrols);
}

void msg_write_extended(struct buf *out, int32_t id, const char *oid, struct span value)
{
	struct marks m = open_message(out, id, MSG_EXTENDED_REQUEST);

	tlv_put(out, TLV_CONTEXT(0), span_of(oid));
	if (value.p != NULL)
		tlv_put(out, TLV_CONTEXT(1), value);
	close_message(out, m, NULL, 0);
}
