#include "routed/encap.h"

#include "lib/dn.h"

#define PREFIX "IMCEAEX-"

static int hex_value(uint8_t c)
{
	c = span_ascii_lower(c);
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_plain(uint8_t c)
{
	uint8_t lower = span_ascii_lower(c);

	return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '=';
}

static void put_encoded(struct span text, struct buf *out)
{
	size_t i;

	for (i = 0; i < text.n; i++) {
		if (is_plain(text.p[i]))
			buf_putc(out, text.p[i]);
		else
			buf_printf(out, "+%02x", (unsigned)text.p[i]);
	}
}

static int write_local(const struct dn *dn, struct buf *out)
{
	struct buf rdn;
	unsigned i;
	int rc = RC_OK;

	buf_init(&rdn, (size_t)4 * DN_MAX_BYTES);
	buf_puts(out, PREFIX);
	for (i = dn->n; i-- != 0 && rc == RC_OK;) {
		buf_clear(&rdn);
		dn_rdn_write(&dn->rdns[i], &rdn);
		rc = buf_rc(&rdn);
		buf_putc(out, '_');
		put_encoded(buf_span(&rdn), out);
	}
	buf_fini(&rdn);
	return rc;
}

int encap_write(struct span dn, struct span domain, struct buf *out)
{
	struct buf address;
	struct arena a;
	struct dn parsed;
	int rc;

	arena_init(&a);
	buf_init(&address, ENCAP_ADDRESS_MAX_BYTES);
	rc = dn_parse(&a, dn, &parsed, NULL);
	if (rc == RC_OK && parsed.n == 0)
		rc = RC_INVALID;
	if (rc == RC_OK)
		rc = write_local(&parsed, &address);
	if (rc == RC_OK) {
		buf_putc(&address, '@');
		buf_put(&address, domain);
		rc = buf_rc(&address);
	}
	if (rc == RC_OK) {
		buf_put(out, buf_span(&address));
		rc = buf_rc(out);
	}
	buf_fini(&address);
	arena_fini(&a);
	return rc;
}

bool encap_is(struct span address)
{
	size_t n = sizeof(PREFIX) - 1;

	return address.n >= n && span_eq_nocase(span_head(address, n), SPAN_LIT(PREFIX));
}

static int decode(struct span text, struct buf *out)
{
	size_t i;

	for (i = 0; i < text.n; i++) {
		int high, low;

		if (is_plain(text.p[i])) {
			buf_putc(out, text.p[i]);
			continue;
		}
		if (text.p[i] != '+' || text.n - i < 3)
			return RC_INVALID;
		high = hex_value(text.p[i + 1]);
		low = hex_value(text.p[i + 2]);
		if (high < 0 || low < 0)
			return RC_INVALID;
		buf_putc(out, (uint8_t)(high << 4 | low));
		i += 2;
	}
	return buf_rc(out);
}

static int read_rdn(struct arena *a, struct span text, struct dn_rdn *out)
{
	struct span copy;
	struct buf b;
	int rc;

	buf_init(&b, DN_MAX_BYTES);
	rc = decode(text, &b);
	copy = rc == RC_OK ? arena_span(a, buf_span(&b)) : span_make(NULL, 0);
	if (rc == RC_OK)
		rc = copy.p != NULL ? dn_rdn_parse(a, copy, out, NULL) : RC_NOMEM;
	buf_fini(&b);
	return rc;
}

int encap_read(struct arena *a, struct span local, struct span *out)
{
	struct span rest = span_from(local, sizeof(PREFIX) - 1), text;
	struct dn dn = {arena_zalloc(a, DN_MAX_RDNS, sizeof(*dn.rdns)), 0};
	struct dn_rdn *last = dn.rdns + DN_MAX_RDNS;
	bool more = true;
	struct buf b;
	int rc = RC_OK;

	must(encap_is(local));
	if (dn.rdns == NULL)
		return RC_NOMEM;
	if (!span_cut(&rest, '_', &text) || text.n != 0)
		return RC_INVALID;
	for (; more && rc == RC_OK; dn.n++) {
		if (dn.n == DN_MAX_RDNS)
			return RC_INVALID;
		more = span_cut(&rest, '_', &text);
		rc = read_rdn(a, text, --last);
	}
	dn.rdns = last;
	buf_init(&b, (size_t)4 * DN_MAX_BYTES);
	if (rc == RC_OK) {
		dn_write(&dn, &b);
		rc = buf_rc(&b);
	}
	if (rc == RC_OK) {
		*out = arena_span(a, buf_span(&b));
		rc = out->p != NULL ? RC_OK : RC_NOMEM;
	}
	buf_fini(&b);
	return rc == RC_OK || rc == RC_NOMEM ? rc : RC_INVALID;
}
