#include "dird/msg.h"

/* What the read functions share: where they are, and how they failed. */
struct reader {
	struct arena *arena;
	bool is_fatal;
	const char *why;
};

static int broken(struct reader *r, const char *why)
{
	r->is_fatal = true;
	r->why = why;
	return RC_INVALID;
}

static int wrong(struct reader *r, const char *why)
{
	r->is_fatal = false;
	r->why = why;
	return RC_INVALID;
}

static int read_octets(struct reader *r, struct span *rest, uint8_t tag, struct span *out,
		       const char *why)
{
	return tlv_expect(rest, tag, out) == 0 ? 0 : broken(r, why);
}

static int read_int(struct reader *r, struct span *rest, uint8_t tag, int64_t min, int64_t max,
		    int64_t *out, const char *why)
{
	if (tlv_read_int(rest, tag, out) != 0)
		return broken(r, why);
	return *out < min || *out > max ? wrong(r, why) : 0;
}

static int read_optional(struct reader *r, struct span *rest, uint8_t tag, bool *has,
			 struct span *out, const char *why)
{
	*has = tlv_peek(*rest, tag);
	return *has ? read_octets(r, rest, tag, out, why) : 0;
}

static int at_end(struct reader *r, struct span rest, const char *why)
{
	return rest.n == 0 ? 0 : broken(r, why);
}

/* How many elements of one tag fill the body? */
static int count_elements(struct reader *r, struct span body, uint8_t tag, unsigned *out,
			  const char *why)
{
	struct tlv e;
	int rc;

	for (*out = 0; (rc = tlv_next(&body, &e)) == 0; ++*out) {
		if (e.tag != tag)
			return broken(r, why);
	}
	return rc == RC_DONE ? 0 : broken(r, why);
}

static int read_octets_list(struct reader *r, struct span body, struct span **out, unsigned *n_out,
			    const char *why)
{
	unsigned i;
	int rc;

	rc = count_elements(r, body, TLV_OCTETS, n_out, why);
	if (rc != 0)
		return rc;
	*out = arena_zalloc(r->arena, *n_out + 1, sizeof(**out));
	if (*out == NULL)
		return RC_NOMEM;
	for (i = 0; i < *n_out; i++) {
		rc = read_octets(r, &body, TLV_OCTETS, &(*out)[i], why);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* PartialAttribute, Attribute (RFC 4511 §4.1.7) */
static int read_attr(struct reader *r, struct span *rest, struct attr *out)
{
	static const char why[] = "malformed attribute";
	struct span body, values;
	int rc;

	rc = read_octets(r, rest, TLV_SEQUENCE, &body, why);
	if (rc == 0)
		rc = read_octets(r, &body, TLV_OCTETS, &out->type, why);
	if (rc == 0)
		rc = read_octets(r, &body, TLV_SET, &values, why);
	if (rc == 0)
		rc = at_end(r, body, why);
	if (rc == 0)
		rc = read_octets_list(r, values, &out->values, &out->nvalues, why);
	return rc;
}

static int read_attr_list(struct reader *r, struct span *rest, struct attr_list *out)
{
	static const char why[] = "malformed attribute list";
	struct span body;
	unsigned i;
	int rc;

	rc = read_octets(r, rest, TLV_SEQUENCE, &body, why);
	if (rc == 0)
		rc = count_elements(r, body, TLV_SEQUENCE, &out->n, why);
	if (rc != 0)
		return rc;
	out->attrs = arena_zalloc(r->arena, out->n + 1, sizeof(*out->attrs));
	if (out->attrs == NULL)
		return RC_NOMEM;
	for (i = 0; i < out->n && rc == 0; i++)
		rc = read_attr(r, &body, &out->attrs[i]);
	return rc;
}

/* RFC 4511 §4.2 */
static int read_bind(struct reader *r, struct span rest, struct msg_bind *b)
{
	static const char why[] = "malformed bind request";
	struct tlv other;
	struct span sasl;
	int rc;

	rc = read_int(r, &rest, TLV_INTEGER, 1, 127, &b->version, "bind version out of range");
	if (rc == 0)
		rc = read_octets(r, &rest, TLV_OCTETS, &b->name, why);
	if (rc != 0)
		return rc;
	if (tlv_peek(rest, TLV_CONTEXT(0))) {
		rc = read_octets(r, &rest, TLV_CONTEXT(0), &b->password, why);
		return rc == 0 ? at_end(r, rest, why) : rc;
	}
	if (!tlv_peek(rest, TLV_CONTEXT_CONS(3))) {
		b->is_other = true;
		return tlv_next(&rest, &other) == RC_OK ? at_end(r, rest, why) : broken(r, why);
	}
	b->is_sasl = true;
	rc = read_octets(r, &rest, TLV_CONTEXT_CONS(3), &sasl, why);
	if (rc == 0)
		rc = read_octets(r, &sasl, TLV_OCTETS, &b->mechanism, why);
	if (rc == 0)
		rc = read_optional(r, &sasl, TLV_OCTETS, &b->has_credentials, &b->credentials, why);
	if (rc == 0 && (sasl.n != 0 || rest.n != 0))
		rc = broken(r, why);
	return rc;
}

/* RFC 4511 §4.5.1 */
static int read_search(struct reader *r, struct span rest, struct msg_search *s)
{
	static const char why[] = "malformed search request";
	struct tlv filter;
	struct span attrs;
	int rc;

	rc = read_octets(r, &rest, TLV_OCTETS, &s->base, why);
	if (rc == 0)
		rc = read_int(r, &rest, TLV_ENUM, 0, 3, &s->scope, "unknown search scope");
	if (rc == 0)
		rc = read_int(r, &rest, TLV_ENUM, 0, 3, &s->deref, "unknown derefAliases");
	if (rc == 0)
		rc = read_int(r, &rest, TLV_INTEGER, 0, INT32_MAX, &s->size_limit,
			      "size limit out of range");
	if (rc == 0)
		rc = read_int(r, &rest, TLV_INTEGER, 0, INT32_MAX, &s->time_limit,
			      "time limit out of range");
	if (rc == 0 && tlv_read_bool(&rest, TLV_BOOLEAN, &s->types_only) != 0)
		rc = broken(r, why);
	if (rc == 0 && tlv_next(&rest, &filter) != 0)
		rc = broken(r, why);
	if (rc != 0)
		return rc;
	s->filter = filter.whole;
	rc = read_octets(r, &rest, TLV_SEQUENCE, &attrs, why);
	if (rc == 0)
		rc = at_end(r, rest, why);
	if (rc == 0)
		rc = read_octets_list(r, attrs, &s->attrs, &s->nattrs, why);
	return rc;
}

/* RFC 4511 §4.6, increment: RFC 4525 §3 */
static int read_mod(struct reader *r, struct span *rest, struct change_mod *m)
{
	static const char why[] = "malformed modification";
	struct span body;
	int64_t op;
	int rc;

	rc = read_octets(r, rest, TLV_SEQUENCE, &body, why);
	if (rc == 0)
		rc = read_int(r, &body, TLV_ENUM, CHANGE_OP_ADD, CHANGE_OP_INCREMENT, &op,
			      "unknown modify operation");
	if (rc != 0)
		return rc;
	m->op = (enum change_op)op;
	rc = read_attr(r, &body, &m->attr);
	return rc == 0 ? at_end(r, body, why) : rc;
}

static int read_modify(struct reader *r, struct span rest, struct msg_modify *m)
{
	static const char why[] = "malformed modify request";
	struct span mods;
	unsigned i;
	int rc;

	rc = read_octets(r, &rest, TLV_OCTETS, &m->dn, why);
	if (rc == 0)
		rc = read_octets(r, &rest, TLV_SEQUENCE, &mods, why);
	if (rc == 0)
		rc = at_end(r, rest, why);
	if (rc == 0)
		rc = count_elements(r, mods, TLV_SEQUENCE, &m->nmods, why);
	if (rc != 0)
		return rc;
	m->mods = arena_zalloc(r->arena, m->nmods + 1, sizeof(*m->mods));
	if (m->mods == NULL)
		return RC_NOMEM;
	for (i = 0; i < m->nmods && rc == 0; i++)
		rc = read_mod(r, &mods, &m->mods[i]);
	return rc;
}

static int read_add(struct reader *r, struct span rest, struct msg_add *m)
{
	static const char why[] = "malformed add request";
	unsigned i;
	int rc;

	rc = read_octets(r, &rest, TLV_OCTETS, &m->dn, why);
	if (rc == 0)
		rc = read_attr_list(r, &rest, &m->attrs);
	if (rc == 0)
		rc = at_end(r, rest, why);
	for (i = 0; rc == 0 && i < m->attrs.n; i++) {
		if (m->attrs.attrs[i].nvalues == 0)
			rc = wrong(r, "attribute without values in an add request");
	}
	return rc;
}

/* RFC 4511 §4.9 */
static int read_moddn(struct reader *r, struct span rest, struct msg_moddn *m)
{
	static const char why[] = "malformed modify DN request";
	int rc;

	rc = read_octets(r, &rest, TLV_OCTETS, &m->dn, why);
	if (rc == 0)
		rc = read_octets(r, &rest, TLV_OCTETS, &m->new_rdn, why);
	if (rc == 0 && tlv_read_bool(&rest, TLV_BOOLEAN, &m->delete_old_rdn) != 0)
		rc = broken(r, why);
	if (rc == 0)
		rc = read_optional(r, &rest, TLV_CONTEXT(0), &m->has_new_superior, &m->new_superior,
				   why);
	return rc == 0 ? at_end(r, rest, why) : rc;
}

static int read_compare(struct reader *r, struct span rest, struct msg_compare *m)
{
	static const char why[] = "malformed compare request";
	struct span ava;
	int rc;

	rc = read_octets(r, &rest, TLV_OCTETS, &m->dn, why);
	if (rc == 0)
		rc = read_octets(r, &rest, TLV_SEQUENCE, &ava, why);
	if (rc == 0)
		rc = at_end(r, rest, why);
	if (rc == 0)
		rc = read_octets(r, &ava, TLV_OCTETS, &m->type, why);
	if (rc == 0)
		rc = read_octets(r, &ava, TLV_OCTETS, &m->value, why);
	return rc == 0 ? at_end(r, ava, why) : rc;
}

static int read_extended(struct reader *r, struct span rest, struct msg_extended *m)
{
	static const char why[] = "malformed extended request";
	int rc;

	rc = read_octets(r, &rest, TLV_CONTEXT(0), &m->oid, why);
	if (rc == 0)
		rc = read_optional(r, &rest, TLV_CONTEXT(1), &m->has_value, &m->value, why);
	return rc == 0 ? at_end(r, rest, why) : rc;
}

static int read_entry(struct reader *r, struct span rest, struct msg_entry *m)
{
	static const char why[] = "malformed search result entry";
	int rc;

	rc = read_octets(r, &rest, TLV_OCTETS, &m->dn, why);
	if (rc == 0)
		rc = read_attr_list(r, &rest, &m->attrs);
	return rc == 0 ? at_end(r, rest, why) : rc;
}

/* LDAPResult and what BindResponse and ExtendedResponse have behind it; all of that is optional. */
static int read_result(struct reader *r, struct span rest, struct msg_result *m)
{
	static const char why[] = "malformed result";
	struct tlv e;
	int rc;

	if (tlv_read_int(&rest, TLV_ENUM, &m->code) != 0)
		return broken(r, why);
	rc = read_octets(r, &rest, TLV_OCTETS, &m->matched, why);
	if (rc == 0)
		rc = read_octets(r, &rest, TLV_OCTETS, &m->text, why);
	while (rc == 0 && rest.n != 0) {
		if (tlv_next(&rest, &e) != 0)
			return broken(r, why);
		if (e.tag == TLV_CONTEXT(10))
			m->oid = e.body;
		if (e.tag == TLV_CONTEXT(11) || e.tag == TLV_CONTEXT(7))
			m->value = e.body;
	}
	return rc;
}

static int read_intermediate(struct reader *r, struct span rest, struct msg_intermediate *m)
{
	static const char why[] = "malformed intermediate response";
	bool has;
	int rc;

	rc = read_optional(r, &rest, TLV_CONTEXT(0), &has, &m->oid, why);
	if (rc == 0)
		rc = read_optional(r, &rest, TLV_CONTEXT(1), &has, &m->value, why);
	return rc == 0 ? at_end(r, rest, why) : rc;
}

static int read_abandon(struct reader *r, struct span body, int32_t *out)
{
	int64_t id;

	if (tlv_int(body, &id) != 0 || id < 0 || id > INT32_MAX)
		return broken(r, "malformed abandon request");
	*out = (int32_t)id;
	return 0;
}

/* Is the tag one of ours, with the right form? Unbind, delete and abandon are primitive. */
static bool is_known_op(uint8_t tag)
{
	static const uint32_t known = 0x1ffffu | 1u << MSG_SEARCH_REFERENCE |
				      1u << MSG_EXTENDED_REQUEST | 1u << MSG_EXTENDED_RESPONSE |
				      1u << MSG_INTERMEDIATE;
	unsigned n = tag & 0x1f;
	bool primitive = n == MSG_UNBIND || n == MSG_DELETE_REQUEST || n == MSG_ABANDON;

	if ((tag & 0xc0) != 0x40 || (known >> n & 1) == 0)
		return false;
	return primitive == ((tag & 0x20) == 0);
}

static int read_op(struct reader *r, struct span body, struct msg *m)
{
	switch (m->op) {
	case MSG_BIND_REQUEST:
		return read_bind(r, body, &m->u.bind);
	case MSG_UNBIND:
	case MSG_SEARCH_REFERENCE:
		return 0;
	case MSG_SEARCH_REQUEST:
		return read_search(r, body, &m->u.search);
	case MSG_SEARCH_ENTRY:
		return read_entry(r, body, &m->u.entry);
	case MSG_MODIFY_REQUEST:
		return read_modify(r, body, &m->u.modify);
	case MSG_ADD_REQUEST:
		return read_add(r, body, &m->u.add);
	case MSG_DELETE_REQUEST:
		m->u.delete_dn = body;
		return 0;
	case MSG_MODDN_REQUEST:
		return read_moddn(r, body, &m->u.moddn);
	case MSG_COMPARE_REQUEST:
		return read_compare(r, body, &m->u.compare);
	case MSG_ABANDON:
		return read_abandon(r, body, &m->u.abandon_id);
	case MSG_EXTENDED_REQUEST:
		return read_extended(r, body, &m->u.extended);
	case MSG_INTERMEDIATE:
		return read_intermediate(r, body, &m->u.intermediate);
	case MSG_BIND_RESPONSE:
	case MSG_SEARCH_DONE:
	case MSG_MODIFY_RESPONSE:
	case MSG_ADD_RESPONSE:
	case MSG_DELETE_RESPONSE:
	case MSG_MODDN_RESPONSE:
	case MSG_COMPARE_RESPONSE:
	case MSG_EXTENDED_RESPONSE:
		return read_result(r, body, &m->u.result);
	}
	return broken(r, "unknown operation");
}

/* RFC 4511 §4.1.11 */
static int read_control(struct reader *r, struct span *rest, struct msg_control *c)
{
	static const char why[] = "malformed control";
	struct span body;
	int rc;

	rc = read_octets(r, rest, TLV_SEQUENCE, &body, why);
	if (rc == 0)
		rc = read_octets(r, &body, TLV_OCTETS, &c->oid, why);
	if (rc == 0 && tlv_peek(body, TLV_BOOLEAN) &&
	    tlv_read_bool(&body, TLV_BOOLEAN, &c->critical) != 0)
		rc = broken(r, why);
	if (rc == 0)
		rc = read_optional(r, &body, TLV_OCTETS, &c->has_value, &c->value, why);
	return rc == 0 ? at_end(r, body, why) : rc;
}

static int read_controls(struct reader *r, struct span rest, struct msg *m)
{
	int rc = 0;

	while (rest.n != 0 && rc == 0) {
		if (m->ncontrols == MSG_MAX_CONTROLS) {
			r->is_fatal = false;
			r->why = "more than 32 controls";
			return RC_TOOBIG;
		}
		rc = read_control(r, &rest, &m->controls[m->ncontrols]);
		if (rc == 0)
			m->ncontrols++;
	}
	return rc;
}

/* Message id and the operation's tag: what an error answer needs. */
static int read_envelope(struct reader *r, struct span *rest, struct msg *m, struct tlv *op)
{
	int64_t id;

	if (tlv_read_int(rest, TLV_INTEGER, &id) != 0 || id < 0 || id > INT32_MAX)
		return broken(r, "malformed message id");
	if (tlv_next(rest, op) != 0)
		return broken(r, "malformed operation");
	if (!is_known_op(op->tag)) {
		r->is_fatal = true;
		r->why = "unknown operation";
		return RC_UNSUPPORTED;
	}
	m->id = (int32_t)id;
	m->op = (enum msg_op)(op->tag & 0x1f);
	if (id == 0 && m->op != MSG_EXTENDED_RESPONSE)
		return broken(r, "message id 0");
	return 0;
}

int msg_read(struct span frame, struct arena *a, struct msg *out, bool *fatal_out, const char **why)
{
	struct reader r = {.arena = a, .is_fatal = true, .why = "malformed message"};
	struct span rest, controls = {NULL, 0};
	struct tlv op;
	bool has;
	int rc;

	memset(out, 0, sizeof(*out));
	out->bytes = frame.n;
	rc = read_octets(&r, &frame, TLV_SEQUENCE, &rest, "malformed message");
	if (rc == 0)
		rc = at_end(&r, frame, "bytes behind the message");
	if (rc == 0)
		rc = read_envelope(&r, &rest, out, &op);
	if (rc == 0)
		rc = read_optional(&r, &rest, TLV_CONTEXT_CONS(0), &has, &controls,
				   "malformed controls");
	if (rc == 0)
		rc = at_end(&r, rest, "bytes behind the operation");
	if (rc == 0)
		rc = read_controls(&r, controls, out);
	if (rc == 0)
		rc = read_op(&r, op.body, out);
	if (rc == RC_NOMEM) {
		r.is_fatal = false;
		r.why = "out of memory";
	}
	*fatal_out = rc != 0 && r.is_fatal;
	*why = rc != 0 ? r.why : "";
	return rc;
}

const struct msg_control *msg_control(const struct msg *m, const char *oid)
{
	struct span want = span_of(oid);
	unsigned i;

	for (i = 0; i < m->ncontrols; i++) {
		if (span_eq(m->controls[i].oid, want))
			return &m->controls[i];
	}
	return NULL;
}
