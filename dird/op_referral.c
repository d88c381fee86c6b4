/* Referral entries (RFC 3296): what a client that meets one is told. */
#include "dird/op_impl.h"

#define URI_MAX_BYTES (4u * DN_MAX_BYTES)

/* RFC 3986 §2.1. What a DN may hold unescaped in an LDAP URI (RFC 4516 §2.1). */
static void put_escaped(struct buf *out, struct span s)
{
	static const char plain[] = "-._~!$&'()*+,;=:@/";
	size_t i;

	for (i = 0; i < s.n; i++) {
		uint8_t c = s.p[i], low = span_ascii_lower(c);

		if ((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') ||
		    (c != 0 && strchr(plain, c) != NULL))
			buf_putc(out, c);
		else
			buf_printf(out, "%%%02X", c);
	}
}

static int hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = span_ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void put_unescaped(struct buf *out, struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '%' && i + 2 < s.n && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0) {
			buf_putc(out, (uint8_t)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2])));
			i += 2;
		} else {
			buf_putc(out, s.p[i]);
		}
	}
}

/* "ldap://host/dn" -> "ldap://host/" and the DN as text. false: not an LDAP URI. */
static bool split_uri(struct span uri, struct span *front, struct buf *dn)
{
	struct span rest, authority, name;
	bool has_path;

	if (span_eq_nocase(span_head(uri, 7), SPAN_LIT("ldap://")))
		rest = span_from(uri, 7);
	else if (span_eq_nocase(span_head(uri, 8), SPAN_LIT("ldaps://")))
		rest = span_from(uri, 8);
	else
		return false;
	has_path = span_cut(&rest, '/', &authority);
	*front = span_make(uri.p, (size_t)(authority.p - uri.p) + authority.n);
	if (has_path) {
		span_cut(&rest, '?', &name);
		put_unescaped(dn, name);
	}
	return true;
}

/* The part of the target's name below the referral entry, then what the URI names; without a name
 * there, the target as it is. */
static void put_target(struct buf *out, const struct dn *target, unsigned below, struct span name)
{
	unsigned i, n = name.n != 0 ? below : target->n;

	for (i = 0; i < n; i++) {
		if (i != 0)
			buf_putc(out, ',');
		dn_rdn_write(&target->rdns[i], out);
	}
	if (n != 0 && name.n != 0)
		buf_putc(out, ',');
	buf_put(out, name);
}

int op_referral_uri(struct span ref, const struct dn *target, unsigned below, const char *suffix,
		    struct buf *out)
{
	struct buf name, whole;
	struct span front;

	buf_init(&name, URI_MAX_BYTES);
	buf_init(&whole, URI_MAX_BYTES);
	if (split_uri(ref, &front, &name)) {
		put_target(&whole, target, below, buf_span(&name));
		buf_put(out, front);
		buf_putc(out, '/');
		put_escaped(out, buf_span(&whole));
		buf_puts(out, suffix);
	} else {
		buf_put(out, ref); /* another protocol's, to be used as it is */
	}
	if (buf_rc(&name) != 0)
		out->rc = buf_rc(&name);
	if (buf_rc(&whole) != 0)
		out->rc = buf_rc(&whole);
	buf_fini(&whole);
	buf_fini(&name);
	return buf_rc(out);
}

int op_referral_uris(struct arena *a, const struct entry_attr *ref, const struct dn *target,
		     unsigned below, const char *suffix, struct span **out, unsigned *n_out)
{
	struct buf uri;
	unsigned i;
	int rc = op_values(a, ref, out, n_out);

	buf_init(&uri, URI_MAX_BYTES);
	for (i = 0; rc == 0 && i < *n_out; i++) {
		buf_clear(&uri);
		rc = op_referral_uri((*out)[i], target, below, suffix, &uri);
		(*out)[i] = arena_span(a, buf_span(&uri));
		if (rc == 0 && (*out)[i].p == NULL)
			rc = RC_NOMEM;
	}
	buf_fini(&uri);
	return rc;
}

static struct span dn_of(struct arena *a, struct store_txn *t, uint64_t eid)
{
	struct buf dn;
	struct span out = {NULL, 0};

	buf_init(&dn, 2 * DN_MAX_BYTES);
	if (store_dn(t, eid, &dn) == 0)
		out = arena_span(a, buf_span(&dn));
	buf_fini(&dn);
	return out;
}

/* RFC 3296 §5.2: the scope of a search goes with the URI. */
static const char *suffix_of(const struct op *op)
{
	static const char *const scopes[] = {"??base", "??one", "??sub", "??subordinate"};

	return op->msg.op == MSG_SEARCH_REQUEST ? scopes[op->msg.u.search.scope] : "";
}

/* RC_OK: no referral entry. RC_REFUSED: 10, in *why. */
static int refer(struct op *op, struct store_txn *t, const struct dn *dn, uint64_t eid,
		 unsigned below, struct result *why)
{
	struct entry_attr ref;
	struct entry e;
	struct span *uris;
	const char **list;
	unsigned n, i;
	int rc = store_entry(t, eid, &e);

	if (rc != 0 || !op_entry_is_referral(&e, &ref))
		return rc;
	rc = op_referral_uris(&op->arena, &ref, dn, below, suffix_of(op), &uris, &n);
	list = arena_zalloc(&op->arena, n + 1, sizeof(*list));
	if (rc != 0 || list == NULL)
		return rc != 0 ? rc : RC_NOMEM;
	for (i = 0; i < n; i++)
		list[i] = (const char *)uris[i].p; /* arena_span() ends it with NUL */
	*why = (struct result){.code = LR_REFERRAL, .referrals = list};
	why->matched = dn_of(&op->arena, t, eid);
	return RC_REFUSED;
}

int op_resolve(struct op *op, struct store_txn *t, const struct dn *dn, uint64_t *eid_out,
	       struct result *why)
{
	struct op_sight sight;
	unsigned depth = 0;
	int rc = 0, found;

	op_sight_init(&sight, op, t);
	found = op_sight_find(&sight, dn, eid_out, &depth);
	if (found != 0 && found != RC_NOTFOUND)
		return found;
	if (*eid_out != 0 && !op->controls.manage_dsa_it)
		rc = refer(op, t, dn, *eid_out, found == 0 ? 0 : dn->n - depth, why);
	if (found == 0 || rc != 0)
		return rc;
	if (*eid_out == 0)
		return result_set(why, &op->arena, LR_NO_SUCH_OBJECT, "this server holds %s",
				  op->server->config.organisation);
	*why = (struct result){.code = LR_NO_SUCH_OBJECT};
	why->matched = dn_of(&op->arena, t, *eid_out);
	return RC_REFUSED;
}

int op_find_entry(struct op *op, struct store_txn *t, const struct dn *dn, uint64_t *eid_out)
{
	return op_resolve(op, t, dn, eid_out, &op->result);
}
