/* One form for filters that say the same in other words. */
#include "dird/filter.h"

#include <stdlib.h>

#define ALL "T"  /* every entry */
#define NONE "F" /* no entry */

struct same {
	struct arena a;
	struct buf b; /* of the term at hand */
};

static int form(struct same *w, const struct filter *f, struct span *out);

static void put_span(struct buf *b, struct span s)
{
	buf_printf(b, "%zu:", s.n);
	buf_put(b, s);
}

/* --- items --- */

static bool is_everything(const struct filter *f)
{
	return f->kind == FILTER_PRESENT && f->at != NULL && f->options.n == 0 &&
	       strcmp(f->at->name, "objectClass") == 0;
}

static int item(struct same *w, const struct filter *f, struct span *out)
{
	struct buf *b = &w->b;
	unsigned i;

	if (is_everything(f)) {
		*out = SPAN_LIT(ALL);
		return RC_OK;
	}
	buf_clear(b);
	buf_printf(b, "i%d.%d.%d.%d.%d.", (int)f->kind, (int)f->match, (int)f->norm, f->dn_attrs,
		   f->spaced);
	put_span(b, span_of(f->at != NULL ? f->at->name : ""));
	put_span(b, span_of(f->rule != NULL ? f->rule->oid : ""));
	put_span(b, f->options);
	buf_putc(b, f->value.p != NULL ? 'v' : '-');
	put_span(b, f->value);
	for (i = 0; i < f->nany; i++)
		put_span(b, f->any[i]);
	buf_putc(b, f->final.p != NULL ? 'f' : '-');
	put_span(b, f->final);
	*out = arena_span(&w->a, buf_span(b));
	return out->p != NULL ? buf_rc(b) : RC_NOMEM;
}

/* --- and, or, not --- */

struct list {
	struct span *at;
	unsigned n, size;
};

static int list_add(struct same *w, struct list *l, struct span s)
{
	struct span *more;

	if (l->n == l->size) {
		more = arena_zalloc(&w->a, 2 * l->size + 8, sizeof(*more));
		if (more == NULL)
			return RC_NOMEM;
		if (l->n != 0)
			memcpy(more, l->at, l->n * sizeof(*more));
		l->at = more;
		l->size = 2 * l->size + 8;
	}
	l->at[l->n++] = s;
	return RC_OK;
}

/* Operands of this kind, those of operands of the same kind included; without `neutral` ones. */
static int gather(struct same *w, const struct filter *f, enum filter_kind kind,
		  struct span neutral, struct list *l)
{
	struct span s;
	unsigned i;
	int rc = RC_OK;

	for (i = 0; i < f->nsubs && rc == RC_OK; i++) {
		if (f->subs[i]->kind == kind) {
			rc = gather(w, f->subs[i], kind, neutral, l);
			continue;
		}
		rc = form(w, f->subs[i], &s);
		if (rc == RC_OK && !span_eq(s, neutral))
			rc = list_add(w, l, s);
	}
	return rc;
}

static int by_bytes(const void *a, const void *b)
{
	return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

static int set(struct same *w, const struct filter *f, struct span *out)
{
	struct span neutral = f->kind == FILTER_AND ? SPAN_LIT(ALL) : SPAN_LIT(NONE);
	struct span decisive = f->kind == FILTER_AND ? SPAN_LIT(NONE) : SPAN_LIT(ALL);
	struct list l = {NULL, 0, 0};
	unsigned i, n = 0;
	int rc = gather(w, f, f->kind, neutral, &l);

	if (rc != RC_OK)
		return rc;
	if (l.n > 1)
		qsort(l.at, l.n, sizeof(l.at[0]), by_bytes);
	for (i = 0; i < l.n; i++) {
		if (span_eq(l.at[i], decisive)) {
			*out = decisive;
			return RC_OK;
		}
		if (n == 0 || !span_eq(l.at[n - 1], l.at[i]))
			l.at[n++] = l.at[i];
	}
	if (n < 2) {
		*out = n == 0 ? neutral : l.at[0];
		return RC_OK;
	}
	buf_clear(&w->b);
	buf_putc(&w->b, f->kind == FILTER_AND ? '&' : '|');
	for (i = 0; i < n; i++)
		put_span(&w->b, l.at[i]);
	*out = arena_span(&w->a, buf_span(&w->b));
	return out->p != NULL ? buf_rc(&w->b) : RC_NOMEM;
}

static int not(struct same * w, const struct filter *f, struct span *out)
{
	struct span s;
	int rc = form(w, f->subs[0], &s);

	if (rc != RC_OK)
		return rc;
	buf_clear(&w->b);
	buf_putc(&w->b, '!');
	put_span(&w->b, s);
	*out = arena_span(&w->a, buf_span(&w->b));
	return out->p != NULL ? buf_rc(&w->b) : RC_NOMEM;
}

static int form(struct same *w, const struct filter *f, struct span *out)
{
	switch (f->kind) {
	case FILTER_AND:
	case FILTER_OR:
		return set(w, f, out);
	case FILTER_NOT:
		return not(w, f, out);
	case FILTER_EQUAL:
	case FILTER_SUBSTR:
	case FILTER_GE:
	case FILTER_LE:
	case FILTER_PRESENT:
	case FILTER_APPROX:
	case FILTER_EXTENSIBLE:
	case FILTER_UNDEFINED:
		return item(w, f, out);
	}
	return RC_INVALID;
}

int filter_same(const struct filter *f, struct buf *out)
{
	struct same w;
	struct span s;
	int rc;

	arena_init(&w.a);
	buf_init(&w.b, 16u * 1024 * 1024);
	rc = form(&w, f, &s);
	if (rc == RC_OK)
		buf_put(out, s);
	buf_fini(&w.b);
	arena_fini(&w.a);
	return rc == RC_OK ? buf_rc(out) : rc;
}
