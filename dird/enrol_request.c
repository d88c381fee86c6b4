#include "dird/enrol.h"

#define REQUEST_VERSION 1

static int invalid(const char **why, const char *text)
{
	*why = text;
	return RC_INVALID;
}

static int read_values(struct span set, struct arena *a, struct attr *out)
{
	struct span rest = set, value;
	unsigned n = 0;

	while (tlv_expect(&rest, TLV_OCTETS, &value) == RC_OK)
		n++;
	if (rest.n != 0 || n == 0)
		return RC_INVALID;
	out->values = arena_zalloc(a, n, sizeof(*out->values));
	if (out->values == NULL)
		return RC_NOMEM;
	for (rest = set; tlv_expect(&rest, TLV_OCTETS, &value) == RC_OK;)
		out->values[out->nvalues++] = value;
	return RC_OK;
}

static int read_attr(struct span *list, struct arena *a, struct attr *out)
{
	struct span body, set;
	int rc = tlv_expect(list, TLV_SEQUENCE, &body);

	memset(out, 0, sizeof(*out));
	if (rc == RC_OK)
		rc = tlv_expect(&body, TLV_OCTETS, &out->type);
	if (rc == RC_OK)
		rc = tlv_expect(&body, TLV_SET, &set);
	if (rc != RC_OK || body.n != 0 || out->type.n == 0)
		return RC_INVALID;
	return read_values(set, a, out);
}

static int read_attrs(struct span list, struct arena *a, struct attr_list *out)
{
	struct span rest = list, one;
	unsigned n = 0;
	int rc = RC_OK;

	while (tlv_expect(&rest, TLV_SEQUENCE, &one) == RC_OK)
		n++;
	if (rest.n != 0)
		return RC_INVALID;
	out->n = 0;
	out->attrs = arena_zalloc(a, (size_t)n + 1, sizeof(*out->attrs));
	if (out->attrs == NULL)
		return RC_NOMEM;
	while (list.n != 0 && rc == RC_OK)
		rc = read_attr(&list, a, &out->attrs[out->n++]);
	return rc;
}

static int find_uuid(const struct attr_list *attrs, struct uuid *out)
{
	unsigned i;

	for (i = 0; i < attrs->n; i++) {
		if (span_eq_nocase(attrs->attrs[i].type, SPAN_LIT("entryUUID")))
			return attrs->attrs[i].nvalues == 1
				       ? uuid_parse(attrs->attrs[i].values[0], out)
				       : RC_INVALID;
	}
	return RC_INVALID;
}

static int read_position(struct span *rest, struct position *out)
{
	struct span invocation = {NULL, 0};
	int64_t epoch = 0, usn = 0;
	int rc = tlv_read_int(rest, TLV_INTEGER, &epoch);

	if (rc == RC_OK)
		rc = tlv_expect(rest, TLV_OCTETS, &invocation);
	if (rc == RC_OK)
		rc = tlv_read_int(rest, TLV_INTEGER, &usn);
	if (rc != RC_OK || epoch < 1 || epoch > UINT32_MAX || usn < 1 || invocation.n != UUID_BYTES)
		return RC_INVALID;
	out->epoch = (uint32_t)epoch;
	out->usn = (uint64_t)usn;
	memcpy(out->invocation.b, invocation.p, UUID_BYTES);
	return RC_OK;
}

int enrol_request_read(struct span value, struct arena *a, struct enrol_request *out,
		       const char **why)
{
	struct span body, head, list;
	int64_t version = 0;
	int rc;

	memset(out, 0, sizeof(*out));
	if (tlv_expect(&value, TLV_SEQUENCE, &body) != RC_OK || value.n != 0 ||
	    tlv_read_int(&body, TLV_INTEGER, &version) != RC_OK)
		return invalid(why, "malformed enrolment request");
	if (version != REQUEST_VERSION)
		return invalid(why, "unknown version of the enrolment request");
	if (tlv_expect(&body, TLV_SEQUENCE, &head) != RC_OK ||
	    tlv_expect(&head, TLV_OCTETS, &out->dn) != RC_OK ||
	    tlv_expect(&head, TLV_SEQUENCE, &list) != RC_OK || head.n != 0)
		return invalid(why, "malformed site entry");
	rc = read_attrs(list, a, &out->attrs);
	if (rc == RC_INVALID)
		return invalid(why, "malformed attributes of the site entry");
	if (rc != RC_OK)
		return rc;
	if (find_uuid(&out->attrs, &out->position.nc) != RC_OK)
		return invalid(why, "the site entry has no valid entryUUID");
	if (read_position(&body, &out->position) != RC_OK)
		return invalid(why, "malformed position of the site entry");
	if (tlv_expect(&body, TLV_OCTETS, &out->replication_uri) != RC_OK || body.n != 0)
		return invalid(why, "malformed replicationURI");
	return RC_OK;
}

void enrol_request_write(struct buf *out, const struct enrol_request *r)
{
	size_t whole = tlv_open(out, TLV_SEQUENCE), head, list, attr, set;
	unsigned i, v;

	tlv_put_int(out, TLV_INTEGER, REQUEST_VERSION);
	head = tlv_open(out, TLV_SEQUENCE);
	tlv_put(out, TLV_OCTETS, r->dn);
	list = tlv_open(out, TLV_SEQUENCE);
	for (i = 0; i < r->attrs.n; i++) {
		attr = tlv_open(out, TLV_SEQUENCE);
		tlv_put(out, TLV_OCTETS, r->attrs.attrs[i].type);
		set = tlv_open(out, TLV_SET);
		for (v = 0; v < r->attrs.attrs[i].nvalues; v++)
			tlv_put(out, TLV_OCTETS, r->attrs.attrs[i].values[v]);
		tlv_close(out, set);
		tlv_close(out, attr);
	}
	tlv_close(out, list);
	tlv_close(out, head);
	tlv_put_int(out, TLV_INTEGER, r->position.epoch);
	tlv_put(out, TLV_OCTETS, span_make(r->position.invocation.b, UUID_BYTES));
	tlv_put_int(out, TLV_INTEGER, (int64_t)r->position.usn);
	tlv_put(out, TLV_OCTETS, r->replication_uri);
	tlv_close(out, whole);
}
