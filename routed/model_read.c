#include "routed/model_read.h"

#include "lib/dn.h"
#include "routed/model_reading.h"

#include <stdlib.h>

const char *const reading_names[ATTR_COUNT] = {
	[ATTR_SITE_DOMAIN] = "siteSmtpDomain",
	[ATTR_SHARED_DOMAIN] = "siteSharedDomain",
	[ATTR_SYSTEM_ADDRESS] = "systemAddress",
	[ATTR_SITE_KEY] = "siteKey",
	[ATTR_TLS_LEVEL] = "mailTlsLevel",
	[ATTR_FLAG] = "onlySystemMessagesUseCDs",
	[ATTR_CONNECTED_DOMAINS] = "connectedDomains",
	[ATTR_ROUTING_LIST] = "routingList",
	[ATTR_ENABLED] = "connectorEnabled",
	[ATTR_RESTRICTION] = "messageClassRestriction",
	[ATTR_TRANSPORT] = "mtaTransport",
	[ATTR_TRANSFER_MODE] = "transferMode",
	[ATTR_SMART_HOST] = "smartHost",
	[ATTR_DOMAIN_ROUTE] = "domainRoute",
};

/* The rule table of M1: which class makes an entry what. */
static const struct {
	const char *name;
	enum model_entry entry;
	enum model_kind kind;
} classes[] = {
	{"mailSite", MODEL_ENTRY_SITE, MODEL_IMS},
	{"imsConnector", MODEL_ENTRY_CONNECTOR, MODEL_IMS},
	{"siteConnector", MODEL_ENTRY_CONNECTOR, MODEL_SITE_LINK},
	{"x400Connector", MODEL_ENTRY_CONNECTOR, MODEL_X400},
	{"gatewayConnector", MODEL_ENTRY_CONNECTOR, MODEL_GATEWAY},
	{"mailConnector", MODEL_ENTRY_CONNECTOR, MODEL_GATEWAY},
};
#define NCLASSES (sizeof(classes) / sizeof(classes[0]))

static size_t find_class(const struct model_attr *attrs, unsigned nattrs)
{
	size_t best = NCLASSES, c;
	unsigned i, v;

	for (i = 0; i < nattrs; i++) {
		if (!span_eq_nocase(attrs[i].type, SPAN_LIT("objectClass")))
			continue;
		for (v = 0; v < attrs[i].nvalues; v++) {
			for (c = 0; c < best; c++) {
				if (span_eq_nocase(attrs[i].values[v], span_of(classes[c].name)))
					best = c;
			}
		}
	}
	return best;
}

enum model_entry model_read_class(const struct model_attr *attrs, unsigned nattrs)
{
	size_t class = find_class(attrs, nattrs);

	return class < NCLASSES ? classes[class].entry : MODEL_ENTRY_OTHER;
}

static int compare_spans(const void *a, const void *b)
{
	return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

static int collect(struct arena *a, const struct model_attr *attrs, unsigned nattrs,
		   enum model_attribute which, struct reading_view *view)
{
	struct span name = span_of(reading_names[which]);
	unsigned i, v, n = 0, kept = 0;
	struct span *values;

	for (i = 0; i < nattrs; i++)
		n += span_eq_nocase(attrs[i].type, name) ? attrs[i].nvalues : 0;
	if (n == 0)
		return RC_OK;
	values = arena_zalloc(a, n, sizeof(*values));
	if (values == NULL)
		return RC_NOMEM;
	for (i = 0, n = 0; i < nattrs; i++) {
		for (v = 0; span_eq_nocase(attrs[i].type, name) && v < attrs[i].nvalues; v++)
			values[n++] = attrs[i].values[v];
	}
	qsort(values, n, sizeof(*values), compare_spans);
	for (i = 0; i < n; i++) {
		if (kept == 0 || !span_eq(values[i], values[kept - 1]))
			values[kept++] = values[i];
	}
	view->values[which] = values;
	view->n[which] = kept;
	view->total += kept;
	return RC_OK;
}

/* Only what the class of the entry gives a meaning to. */
static bool is_read(const struct reading_view *view, enum model_attribute which)
{
	if (classes[view->class].entry == MODEL_ENTRY_SITE)
		return which <= ATTR_FLAG;
	if (classes[view->class].kind == MODEL_IMS)
		return which >= ATTR_FLAG;
	return which >= ATTR_CONNECTED_DOMAINS && which <= ATTR_TRANSPORT;
}

static int view_init(struct arena *a, const struct model_attr *attrs, unsigned nattrs,
		     struct reading_view *view)
{
	unsigned which;
	int rc = RC_OK;

	*view = (struct reading_view){.class = find_class(attrs, nattrs)};
	must(view->class < NCLASSES);
	for (which = 0; which < ATTR_COUNT && rc == RC_OK; which++) {
		if (is_read(view, (enum model_attribute)which))
			rc = collect(a, attrs, nattrs, (enum model_attribute)which, view);
	}
	return rc;
}

static void put_counted(struct buf *raw, struct span s)
{
	uint32_t n = (uint32_t)s.n;

	buf_put(raw, span_make(&n, sizeof(n)));
	buf_put(raw, s);
}

int model_read_raw(struct arena *a, struct span dn, const struct model_attr *attrs, unsigned nattrs,
		   struct buf *raw)
{
	struct reading_view view;
	unsigned which, v;
	int rc = view_init(a, attrs, nattrs, &view);

	if (rc != RC_OK)
		return rc;
	buf_putc(raw, (uint8_t)view.class);
	put_counted(raw, dn);
	for (which = 0; which < ATTR_COUNT; which++) {
		buf_putc(raw, (uint8_t)which);
		for (v = 0; v < view.n[which]; v++)
			put_counted(raw, view.values[which][v]);
	}
	return buf_rc(raw);
}

void reading_ignore(struct reading *r, const char *attribute, struct span value, const char *reason,
		    unsigned column)
{
	r->ignored[r->nignored++] = (struct model_ignored){
		.dn = r->dn,
		.attribute = span_of(attribute),
		.value = value,
		.reason = reason,
		.column = column,
	};
}

void reading_ignore_error(struct reading *r, enum model_attribute which, struct span value,
			  const struct address_error *err)
{
	reading_ignore(r, reading_names[which], value, err->reason, err->column);
}

enum model_kind reading_kind(const struct reading *r)
{
	return classes[r->view.class].kind;
}

int reading_init(struct reading *r, struct arena *a, struct span dn, const struct model_attr *attrs,
		 unsigned nattrs)
{
	int rc;

	*r = (struct reading){.a = a, .dn = dn};
	rc = view_init(a, attrs, nattrs, &r->view);
	if (rc != RC_OK)
		return rc;
	r->ignored = arena_zalloc(a, r->view.total + 1, sizeof(*r->ignored)); /* + 1: the name */
	return r->ignored != NULL ? RC_OK : RC_NOMEM;
}

const struct span *reading_single(struct reading *r, enum model_attribute which)
{
	const struct span *values = r->view.values[which];
	unsigned v;

	for (v = 1; v < r->view.n[which]; v++)
		reading_ignore(r, reading_names[which], values[v],
			       "single-valued, another value is in use", 0);
	return r->view.n[which] != 0 ? values : NULL;
}

enum model_flag reading_bool(struct reading *r, enum model_attribute which)
{
	const struct span *value = reading_single(r, which);

	if (value == NULL)
		return MODEL_FLAG_ABSENT;
	if (span_eq_nocase(*value, SPAN_LIT("TRUE")))
		return MODEL_FLAG_TRUE;
	if (span_eq_nocase(*value, SPAN_LIT("FALSE")))
		return MODEL_FLAG_FALSE;
	reading_ignore(r, reading_names[which], *value, "neither TRUE nor FALSE", 1);
	return MODEL_FLAG_ABSENT;
}

unsigned reading_word(struct reading *r, enum model_attribute which, const char *const words[],
		      const char *reason)
{
	const struct span *value = reading_single(r, which);
	unsigned i;

	if (value == NULL)
		return 0;
	for (i = 0; words[i] != NULL; i++) {
		if (span_eq_nocase(*value, span_of(words[i])))
			return i;
	}
	reading_ignore(r, reading_names[which], *value, reason, 1);
	return 0;
}

int reading_name(struct reading *r, const char *type, struct span *dn_normal, struct span *name,
		 struct span *folded)
{
	const struct dn_rdn *rdn;
	struct dn dn;
	unsigned i;
	int rc = dn_parse(r->a, r->dn, &dn, NULL);

	if (rc == RC_OK && dn.n == 0)
		rc = RC_INVALID;
	if (rc == RC_OK)
		rc = dn_normalize_text(r->a, r->dn, dn_normal);
	if (rc != RC_OK)
		return rc == RC_NOMEM ? rc : RC_INVALID;
	rdn = &dn.rdns[0];
	*name = rdn->avas[0].value;
	for (i = 0; i < rdn->n; i++) {
		if (span_eq_nocase(rdn->avas[i].type, span_of(type)))
			*name = rdn->avas[i].value;
	}
	rc = address_fold(r->a, *name, folded);
	if (rc != RC_INVALID && folded->n != 0)
		return rc;
	if (rc == RC_NOMEM)
		return rc;
	*folded = (struct span){NULL, 0};
	reading_ignore(r, type, *name, "not usable as a name", 0);
	return RC_OK;
}

int reading_list(struct reading *r, enum model_attribute which, reading_item *parse, size_t element,
		 void *items, unsigned *n)
{
	uint8_t *array = arena_zalloc(r->a, r->view.n[which], element);
	unsigned v;

	*n = 0;
	if (array == NULL)
		return RC_NOMEM;
	memcpy(items, &array, sizeof(array));
	for (v = 0; v < r->view.n[which]; v++) {
		struct address_error err = {"not usable as an address", 0};
		struct span value = r->view.values[which][v];
		int rc = parse(r, value, array + *n * element, &err);

		if (rc == RC_NOMEM)
			return rc;
		if (rc == RC_OK)
			(*n)++;
		else
			reading_ignore_error(r, which, value, &err);
	}
	return RC_OK;
}
