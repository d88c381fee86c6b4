/* Helpers for records. */
#include "tools/dirconn.h"

#include "lib/arena.h"
#include "lib/dn.h"

static struct span without_options(struct span type)
{
	struct span head;

	span_cut(&type, ';', &head);
	return head;
}

const struct ldif_attr *dirconn_attr(const struct ldif_record *r, const char *type)
{
	unsigned i;

	for (i = 0; i < r->nattrs; i++) {
		if (span_eq_nocase(without_options(r->attrs[i].type), span_of(type)))
			return &r->attrs[i];
	}
	return NULL;
}

const char *dirconn_value(const struct ldif_record *r, const char *type)
{
	const struct ldif_attr *attr = dirconn_attr(r, type);

	return attr != NULL && attr->nvalues != 0 ? (const char *)attr->values[0].p : NULL;
}

const char *dirconn_values(struct arena *a, const struct ldif_record *r, const char *type)
{
	const struct ldif_attr *attr = dirconn_attr(r, type);
	const char *text;
	struct buf b;
	unsigned i;

	if (attr == NULL || attr->nvalues == 0)
		return NULL;
	buf_init(&b, LDIF_VALUE_MAX_BYTES);
	for (i = 0; i < attr->nvalues; i++) {
		if (i != 0)
			buf_putc(&b, '\n');
		buf_put(&b, attr->values[i]);
	}
	text = buf_rc(&b) == RC_OK ? arena_str(a, buf_span(&b)) : NULL;
	buf_fini(&b);
	return text;
}

bool dirconn_is_a(const struct ldif_record *r, const char *class_name)
{
	const struct ldif_attr *classes = dirconn_attr(r, "objectClass");
	unsigned i;

	for (i = 0; classes != NULL && i < classes->nvalues; i++) {
		if (span_eq_nocase(classes->values[i], span_of(class_name)))
			return true;
	}
	return false;
}

const char *dirconn_filter_escape(struct arena *a, const char *text)
{
	const char *escaped;
	struct buf b;

	buf_init(&b, 65536);
	for (; *text != '\0'; text++) {
		if (strchr("*()\\", *text) != NULL)
			buf_printf(&b, "\\%02x", (unsigned char)*text);
		else
			buf_putc(&b, (uint8_t)*text);
	}
	escaped = buf_rc(&b) == RC_OK ? arena_str(a, buf_span(&b)) : NULL;
	buf_fini(&b);
	return escaped;
}

const char *dirconn_child_dn(struct arena *a, const char *type, const char *value,
			     const char *parent)
{
	struct dn_ava ava = {span_of(type), span_of(value)};
	const struct dn_rdn rdn = {&ava, 1};
	const char *dn;
	struct buf b;

	buf_init(&b, DN_MAX_BYTES);
	dn_rdn_write(&rdn, &b);
	buf_printf(&b, ",%s", parent);
	dn = buf_rc(&b) == RC_OK ? arena_str(a, buf_span(&b)) : NULL;
	buf_fini(&b);
	return dn;
}

const char *dirconn_rdn_value(struct arena *a, struct span dn_text)
{
	struct span value = dn_text;
	const char *text;
	struct dn dn;

	if (dn_parse(a, dn_text, &dn, NULL) == RC_OK && dn.n != 0)
		value = dn.rdns[0].avas[0].value;
	text = arena_str(a, value);
	return text != NULL ? text : "";
}

const char *dirconn_site_of(struct arena *a, struct span dn_text, const char *root)
{
	struct dn dn, root_dn;
	struct span dn_normal, root_normal;

	if (dn_parse(a, dn_text, &dn, NULL) != RC_OK ||
	    dn_parse(a, span_of(root), &root_dn, NULL) != RC_OK || dn.n <= root_dn.n)
		return NULL;
	if (dn_normalize_text(a, dn_text, &dn_normal) != RC_OK ||
	    dn_normalize_text(a, span_of(root), &root_normal) != RC_OK ||
	    !dn_is_within(dn_normal, root_normal))
		return NULL;
	if (!span_eq_nocase(dn.rdns[dn.n - root_dn.n - 1].avas[0].type, SPAN_LIT("ou")))
		return NULL;
	return arena_str(a, dn.rdns[dn.n - root_dn.n - 1].avas[0].value);
}
