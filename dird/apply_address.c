/* The proxy addresses of a recipient, in the form in which they are compared. */
#include "dird/apply_int.h"

#define ADDRESS_MAX_BYTES 4096

static int add_address(const struct apply_context *x, const char *prefix, struct span value,
		       struct attr *out)
{
	struct span address;
	struct buf b;
	unsigned i;
	int rc;

	buf_init(&b, ADDRESS_MAX_BYTES);
	buf_puts(&b, prefix);
	rc = schema_normalize(x->schema, SCHEMA_NORM_IGNORE, value, &b);
	address = arena_span(x->arena, buf_span(&b));
	buf_fini(&b);
	if (rc == RC_INVALID || rc == RC_TOOBIG)
		return RC_OK; /* no address that another one could have */
	if (rc != RC_OK || address.p == NULL)
		return rc != RC_OK ? rc : RC_NOMEM;
	for (i = 0; i < out->nvalues; i++) {
		if (span_eq(out->values[i], address))
			return RC_OK;
	}
	out->values[out->nvalues++] = address;
	return RC_OK;
}

int apply_addresses(const struct apply_context *x, const struct attr_list *attrs, struct attr *out)
{
	const char *prefix;
	unsigned i, k, n = 0;
	int rc = RC_OK;
	bool is_recipient = apply_has_class(x->schema, attrs, "mailRecipient") ||
			    apply_has_class(x->schema, attrs, "customRecipient");

	for (i = 0; i < attrs->n; i++)
		n += attrs->attrs[i].nvalues; /* more than enough */
	*out = (struct attr){.values = NULL};
	for (i = 0; is_recipient && i < attrs->n && rc == RC_OK; i++) {
		if (span_eq_nocase(attrs->attrs[i].type, SPAN_LIT("proxyAddresses")))
			prefix = "";
		else if (span_eq_nocase(attrs->attrs[i].type, SPAN_LIT("mail")))
			prefix = "smtp:";
		else
			continue;
		if (out->values == NULL)
			out->values = arena_zalloc(x->arena, n, sizeof(*out->values));
		if (out->values == NULL)
			return RC_NOMEM;
		for (k = 0; k < attrs->attrs[i].nvalues && rc == RC_OK; k++)
			rc = add_address(x, prefix, attrs->attrs[i].values[k], out);
	}
	return rc;
}
