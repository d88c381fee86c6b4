#include "lib/text.h"
#include "routed/model.h"

#include <stdlib.h>

static int compare_ignored(const void *a, const void *b)
{
	const struct model_ignored *x = a, *y = b;
	int c = span_cmp(x->dn, y->dn);

	if (c == 0)
		c = span_cmp(x->attribute, y->attribute);
	if (c == 0)
		c = span_cmp(x->value, y->value);
	return c != 0 ? c : strcmp(x->reason, y->reason);
}

static size_t copy_ignored(struct model_ignored *to, const struct model_ignored *from, size_t n)
{
	if (n != 0)
		memcpy(to, from, n * sizeof(*to));
	return n;
}

int model_ignored(const struct model *m, struct arena *a, struct model_ignored **out, size_t *n)
{
	size_t total = m->nsites, i, k = 0;

	for (i = 0; i < m->nsites; i++)
		total += m->sites[i].nignored;
	for (i = 0; i < m->nconnectors; i++)
		total += m->connectors[i].nignored;
	*out = arena_zalloc(a, total, sizeof(**out));
	*n = 0;
	if (*out == NULL)
		return RC_NOMEM;
	for (i = 0; i < m->nsites; i++) {
		const struct model_site *s = &m->sites[i];

		k += copy_ignored(*out + k, s->ignored, s->nignored);
		if (!s->live && s->name_id != MODEL_NONE)
			(*out)[k++] = (struct model_ignored){s->dn, SPAN_LIT("ou"), s->name,
							     "another site has this name", 0};
	}
	for (i = 0; i < m->nconnectors; i++) {
		const struct model_connector *c = &m->connectors[i];

		k += copy_ignored(*out + k, c->ignored, c->nignored);
	}
	qsort(*out, k, sizeof(**out), compare_ignored);
	*n = k;
	return RC_OK;
}

static void put_printable(struct buf *out, struct span s)
{
	bool utf8 = text_is_utf8(s);
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] < 0x20 || s.p[i] == 0x7f || (s.p[i] >= 0x80 && !utf8))
			buf_printf(out, "\\x%02x", s.p[i]);
		else
			buf_putc(out, s.p[i]);
	}
}

void model_ignored_write(const struct model_ignored *i, struct buf *out)
{
	put_printable(out, i->dn);
	buf_puts(out, ": ");
	put_printable(out, i->attribute);
	buf_puts(out, ": \"");
	put_printable(out, i->value);
	buf_printf(out, "\": %s", i->reason);
	if (i->column != 0)
		buf_printf(out, " (column %u)", i->column);
}
