#include "routed/compute_build.h"

#define TEXT_CHUNK_BYTES ((size_t)64 * 1024)

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

static uint32_t add_text(struct build *b, const uint8_t *p, size_t n)
{
	uint32_t number = (uint32_t)(b->texts.n / sizeof(struct span));
	struct span text = span_make(p, n);

	if (p == NULL)
		b->texts.rc = RC_NOMEM;
	else
		buf_put(&b->texts, span_make(&text, sizeof(text)));
	return number;
}

/* Texts need no alignment, so they stand side by side. */
static uint8_t *text_room(struct build *b, size_t n)
{
	uint8_t *p;

	if (n > b->left) {
		size_t chunk = n > TEXT_CHUNK_BYTES ? n : TEXT_CHUNK_BYTES;

		b->at = arena_alloc(&b->table->arena, chunk);
		b->left = b->at != NULL ? chunk : 0;
	}
	p = b->at;
	if (p != NULL) {
		b->at += n;
		b->left -= n;
	}
	return p;
}

static uint8_t *append(uint8_t *to, struct span s)
{
	if (s.n != 0)
		memcpy(to, s.p, s.n);
	return to + s.n;
}

struct span build_joined(struct build *b, struct span head, struct span tail)
{
	uint8_t *p = text_room(b, head.n + tail.n);

	if (p != NULL)
		append(append(p, head), tail);
	return span_make(p, p != NULL ? head.n + tail.n : 0);
}

uint32_t build_text(struct build *b, struct span head, struct span tail)
{
	struct span joined = build_joined(b, head, tail);

	return add_text(b, joined.p, joined.n);
}

struct span build_bytes(const struct build *b, uint32_t text)
{
	const struct span *texts = (const struct span *)(const void *)b->texts.p;

	return text < b->texts.n / sizeof(*texts) ? texts[text] : span_make(NULL, 0);
}

uint32_t build_alias(struct build *b, struct span bytes)
{
	return add_text(b, bytes.p, bytes.n);
}

uint32_t build_element(struct build *b, struct span site, struct span connector)
{
	size_t n = site.n + 1 + connector.n;
	uint8_t *p = text_room(b, n);

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

/* The array of a buffer becomes the table's. */
static void *settle(struct build *b, enum table_block block, struct buf *from, size_t element,
		    uint32_t *n, int *rc)
{
	void *p = from->p;

	if (*rc == RC_OK)
		*rc = buf_rc(from);
	if (*rc == RC_OK && p == NULL) {
		p = arena_alloc(&b->table->arena, 0);
		*rc = p != NULL ? RC_OK : RC_NOMEM;
	}
	if (*rc != RC_OK)
		return NULL;
	b->table->blocks[block] = from->p;
	*n = (uint32_t)(from->n / element);
	buf_init(from, TABLE_MAX_BYTES);
	return p;
}

int build_finish(struct build *b, uint32_t site, struct map *domains, struct table **out)
{
	struct table *t = b->table;
	int rc = RC_OK;

	t->site = site;
	t->rows = settle(b, TABLE_BLOCK_ROWS, &b->rows, sizeof(*t->rows), &t->nrows, &rc);
	t->steps = settle(b, TABLE_BLOCK_STEPS, &b->steps, sizeof(*t->steps), &t->nsteps, &rc);
	t->domains =
		settle(b, TABLE_BLOCK_DOMAINS, &b->domains, sizeof(*t->domains), &t->ndomains, &rc);
	t->pins = settle(b, TABLE_BLOCK_PINS, &b->pins, sizeof(*t->pins), &t->npins, &rc);
	t->systems =
		settle(b, TABLE_BLOCK_SYSTEMS, &b->systems, sizeof(*t->systems), &t->nsystems, &rc);
	t->texts = settle(b, TABLE_BLOCK_TEXTS, &b->texts, sizeof(*t->texts), &t->ntexts, &rc);
	if (rc == RC_OK)
		rc = table_index(t, domains);
	if (rc == RC_OK) {
		*out = t;
		b->table = NULL;
	}
	return rc;
}
