#include "routed/model_reading.h"

#include "lib/base64.h"

#define KEY_PREFIX "sha256:"
#define PIN_BYTES 32
#define PIN_TEXT_BYTES 44 /* of PIN_BYTES in base64 */
#define TLS_MAX_BYTES 4096

static int parse_domain(struct reading *r, struct span value, void *item, struct address_error *err)
{
	struct span *folded = item, plain;
	int rc = address_domain_parse(value, &plain, err);

	if (rc == RC_OK)
		rc = address_fold(r->a, plain, folded);
	return rc == RC_OK && folded->n == 0 ? RC_INVALID : rc;
}

static int parse_address(struct reading *r, struct span value, void *item,
			 struct address_error *err)
{
	struct span *folded = item;
	int rc = address_fold(r->a, value, folded);

	(void)err;
	return rc == RC_OK && folded->n == 0 ? RC_INVALID : rc;
}

static int read_site_domain(struct reading *r, struct model_site *site)
{
	struct address_error err = {"not usable as a domain", 0};
	const struct span *value = reading_single(r, ATTR_SITE_DOMAIN);
	int rc;

	if (value == NULL)
		return RC_OK;
	rc = address_domain_parse(*value, &site->domain, &err);
	if (rc == RC_OK)
		rc = address_fold(r->a, site->domain, &site->domain_folded);
	if (rc != RC_INVALID)
		return rc;
	site->domain = (struct span){NULL, 0};
	reading_ignore_error(r, ATTR_SITE_DOMAIN, *value, &err);
	return RC_OK;
}

/* "fingerprint match=AB:CD:..." of all keys; the minimum cannot be kept without any. */
static int read_fingerprints(struct reading *r, struct model_site *site)
{
	struct buf b;
	unsigned v;
	size_t i;
	int rc;

	buf_init(&b, TLS_MAX_BYTES);
	buf_puts(&b, "fingerprint");
	for (v = 0; v < r->view.n[ATTR_SITE_KEY]; v++) {
		struct span value = r->view.values[ATTR_SITE_KEY][v];
		struct span text = span_from(value, sizeof(KEY_PREFIX) - 1);
		uint8_t pin[PIN_TEXT_BYTES / 4 * 3];
		size_t n = 0;

		if (!span_starts(value, SPAN_LIT(KEY_PREFIX)) || text.n != PIN_TEXT_BYTES ||
		    !base64_decode(text, pin, &n) || n != PIN_BYTES) {
			reading_ignore(r, reading_names[ATTR_SITE_KEY], value, "not sha256:BASE64",
				       1);
			continue;
		}
		for (i = 0; i < n; i++)
			buf_printf(&b, i == 0 ? " match=%02X" : ":%02X", (unsigned)pin[i]);
	}
	if (b.n > sizeof("fingerprint"))
		site->tls = arena_span(r->a, buf_span(&b));
	rc = buf_rc(&b) == RC_OK && site->tls.p == NULL ? RC_NOMEM : buf_rc(&b);
	buf_fini(&b);
	return rc;
}

/* An unknown word is a minimum as well, and mail must not go below it. */
static int read_tls(struct reading *r, struct model_site *site)
{
	static const struct span levels[] = {
		SPAN_LIT("none"),   SPAN_LIT("may"),       SPAN_LIT("encrypt"),
		SPAN_LIT("dane"),   SPAN_LIT("dane-only"), SPAN_LIT("fingerprint"),
		SPAN_LIT("secure"),
	};
	const struct span *value = reading_single(r, ATTR_TLS_LEVEL);
	size_t i;

	if (value == NULL)
		return RC_OK;
	site->tls = SPAN_LIT(MODEL_TLS_UNKNOWN);
	if (span_eq_nocase(*value, SPAN_LIT("fingerprint")))
		return read_fingerprints(r, site);
	for (i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (span_eq_nocase(*value, levels[i])) {
			site->tls = levels[i];
			return RC_OK;
		}
	}
	reading_ignore(r, reading_names[ATTR_TLS_LEVEL], *value,
		       "not a TLS level; mail to the site waits", 1);
	return RC_OK;
}

int model_read_site(struct span key, struct span dn, const struct model_attr *attrs,
		    unsigned nattrs, struct span raw, struct model_site *out)
{
	struct model_site site = {.key = key, .dn = dn, .name_id = MODEL_NONE};
	struct reading r;
	struct arena a;
	int rc;

	arena_init(&a);
	rc = reading_init(&r, &a, dn, attrs, nattrs);
	if (rc == RC_OK)
		rc = reading_name(&r, "ou", &site.dn_normal, &site.name, &site.name_folded);
	if (rc == RC_OK)
		rc = read_site_domain(&r, &site);
	if (rc == RC_OK)
		rc = reading_list(&r, ATTR_SHARED_DOMAIN, parse_domain, sizeof(*site.shared_folded),
				  &site.shared_folded, &site.nshared);
	if (rc == RC_OK)
		rc = reading_list(&r, ATTR_SYSTEM_ADDRESS, parse_address,
				  sizeof(*site.system_folded), &site.system_folded, &site.nsystem);
	if (rc == RC_OK)
		rc = read_tls(&r, &site);
	if (rc == RC_OK) {
		site.flag = reading_bool(&r, ATTR_FLAG);
		site.ignored = r.ignored;
		site.nignored = r.nignored;
		rc = model_pack_site(raw, &site, out);
	}
	arena_fini(&a);
	return rc;
}
