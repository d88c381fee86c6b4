#include "tools/show.h"

#include "lib/base64.h"
#include "lib/text.h"

#include <stdio.h>

static bool is_printable(struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	}
	return text_is_utf8(s);
}

static void show_text(const struct ldif_record *r, struct buf *out)
{
	unsigned i, j;

	buf_put(out, r->dn);
	buf_putc(out, '\n');
	for (i = 0; i < r->nattrs; i++) {
		for (j = 0; j < r->attrs[i].nvalues; j++) {
			struct span v = r->attrs[i].values[j];

			buf_printf(out, "  %-26.*s ", j == 0 ? (int)r->attrs[i].type.n : 0,
				   (const char *)r->attrs[i].type.p);
			if (is_printable(v))
				buf_put(out, v);
			else
				buf_printf(out, "(%zu bytes)", v.n);
			buf_putc(out, '\n');
		}
	}
}

static bool all_text(const struct ldif_attr *attr)
{
	unsigned i;

	for (i = 0; i < attr->nvalues; i++) {
		if (!text_is_utf8(attr->values[i]))
			return false;
	}
	return true;
}

/* {"dn":..., "cn":[...], "jpegPhoto;base64":[...]} */
static void show_json(const struct ldif_record *r, struct buf *out)
{
	unsigned i, j;

	buf_puts(out, "{\"dn\":");
	cli_json_string(out, r->dn);
	for (i = 0; i < r->nattrs; i++) {
		bool text = all_text(&r->attrs[i]);

		buf_printf(out, ",\"%.*s%s\":[", SPAN_ARG(r->attrs[i].type), text ? "" : ";base64");
		for (j = 0; j < r->attrs[i].nvalues; j++) {
			if (j != 0)
				buf_putc(out, ',');
			if (text) {
				cli_json_string(out, r->attrs[i].values[j]);
				continue;
			}
			buf_putc(out, '"');
			base64_encode(r->attrs[i].values[j], out);
			buf_putc(out, '"');
		}
		buf_putc(out, ']');
	}
	buf_puts(out, "}\n");
}

int show_record(const struct ldif_record *r, bool json)
{
	struct buf out;
	int rc;

	buf_init(&out, 4 * LDIF_VALUE_MAX_BYTES);
	if (json)
		show_json(r, &out);
	else
		show_text(r, &out);
	rc = buf_rc(&out);
	if (rc == RC_OK && fwrite(out.p, 1, out.n, stdout) != out.n)
		rc = RC_IO;
	buf_fini(&out);
	return rc;
}
