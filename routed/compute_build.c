#include "routed/compute_build.h"

/* A hint: whatever does not fit is told when it is written. */
static void make_room(struct buf *b, size_t bytes)
{
	(void)buf_extend(b, bytes);
	buf_clear(b);
}

int build_init(struct build *b, size_t rows)
{
	buf_init(&b->rows, TABLE_MAX_BYTES);
	buf_init(&b->steps, TABLE_MAX_BYTES);
	buf_init(&b->domains, TABLE_MAX_BYTES);
	buf_init(&b->pins, TABLE_MAX_BYTES);
	buf_init(&b->systems, TABLE_MAX_BYTES);
	buf_init(&b->texts, TABLE_MAX_BYTES);
	b->table = mem_zalloc(1, sizeof(*b->table));
	make_room(&b->rows, rows * sizeof(struct table_row));
	make_room(&b->texts, rows * 2 * sizeof(struct span));
	make_room(&b->steps, rows * sizeof(struct table_step));
	return b->table != NULL ? RC_OK : RC_NOMEM;
}

void build_fini(struct build *b)
{
	buf_fini(&b->rows);
	buf_fini(&b->steps);
	buf_fini(&b->domains);
	buf_fini(&b->pins);
	buf_fini(&b->systems);
	buf_fini(&b->texts);
	table_free(&b->table);
}

static uint32_t add_text(struct build *b, uint8_t *p, size_t n)
{
	uint32_t number = (uint32_t)(b->texts.n / sizeof(struct span));
	struct span text = span_make(p, n);

	if (p == NULL)
		b->texts.rc = RC_NOMEM;
	else
		buf_put(&b->texts, span_make(&text, sizeof(text)));
	return number;
}

static uint8_t *append(uint8_t *to, struct span s)
{
	if (s.n != 0)
		memcpy(to, s.p, s.n);
	return to + s.n;
}

uint32_t build_text(struct build *b, struct span head, struct span tail)
{
	uint8_t *p = arena_alloc(&b->table->arena, head.n + tail.n);

	if (p != NULL)
		append(append(p, head), tail);
	return add_text(b, p, head.n + tail.n);
}

uint32_t build_element(struct build *b, struct span site, struct span connector)
{
	size_t n = site.n + 1 + connector.n;
	uint8_t *p = arena_alloc(&b->table->arena, n);

	if (p != NULL)
		append(append(append(p, site), SPAN_LIT("/")), connector);
	return add_text(b, p, n);
}

void build_row(struct build *b, const struct table_row *row)
{
	buf_put(&b->rows, span_make(row, sizeof(*row)));
}

uint32_t build_step(struct build *b, uint32_t parent, uint32_t name)
{
	struct table_step step = {parent, name};
	uint32_t number = (uint32_t)(b->steps.n / sizeof(step));

	buf_put(&b->steps, span_make(&step, sizeof(step)));
	return number;
}

uint32_t build_nrows(const struct build *b)
{
	return (uint32_t)(b->rows.n / sizeof(struct table_row));
}

/* An array out of a buffer, into the arena of the table. */
static void *settle(struct build *b, struct buf *from, size_t element, uint32_t *n, int *rc)
{
	void *p = NULL;

	if (*rc == RC_OK)
		*rc = buf_rc(from);
	if (*rc == RC_OK) {
		p = arena_alloc(&b->table->arena, from->n);
		*rc = p != NULL ? RC_OK : RC_NOMEM;
	}
	if (*rc != RC_OK)
		return NULL;
	if (from->n != 0)
		memcpy(p, from->p, from->n);
	*n = (uint32_t)(from->n / element);
	return p;
}

int build_finish(struct build *b, uint32_t site, struct table **out)
{
	struct table *t = b->table;
	int rc = RC_OK;

	t->site = site;
	t->rows = settle(b, &b->rows, sizeof(*t->rows), &t->nrows, &rc);
	t->steps = settle(b, &b->steps, sizeof(*t->steps), &t->nsteps, &rc);
	t->domains = settle(b, &b->domains, sizeof(*t->domains), &t->ndomains, &rc);
	t->pins = settle(b, &b->pins, sizeof(*t->pins), &t->npins, &rc);
	t->systems = settle(b, &b->systems, sizeof(*t->systems), &t->nsystems, &rc);
	t->texts = settle(b, &b->texts, sizeof(*t->texts), &t->ntexts, &rc);
	if (rc == RC_OK)
		rc = table_index(t);
	if (rc == RC_OK) {
		*out = t;
		b->table = NULL;
	}
	return rc;
}
