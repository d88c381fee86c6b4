#include "dird/view_set.h"

#include "dird/be.h"

#define HEAD_BYTES (1 + 4 + 8 + 8 + UUID_BYTES)
#define ABSENT UINT32_MAX

/* --- rows --- */

static void put_text(struct buf *out, struct span s)
{
	uint8_t n[4];

	be_put32(n, s.p != NULL ? (uint32_t)s.n : ABSENT);
	buf_put(out, span_make(n, sizeof(n)));
	buf_put(out, s);
}

void view_def_write(const struct view_def *d, struct buf *out)
{
	uint8_t head[HEAD_BYTES];

	head[0] = (uint8_t)d->state;
	be_put32(head + 1, d->collation);
	be_put64(head + 5, d->base);
	be_put64(head + 13, d->next_eid);
	memcpy(head + 21, d->entry.b, UUID_BYTES);
	buf_put(out, span_make(head, sizeof(head)));
	put_text(out, d->text.base);
	put_text(out, d->text.filter);
	put_text(out, d->text.scope);
	put_text(out, d->text.sort);
}

static int read_text(struct span *rest, struct arena *a, struct span *out)
{
	uint32_t n;

	*out = (struct span){NULL, 0};
	if (rest->n < 4)
		return RC_CORRUPT;
	n = be_get32(rest->p);
	*rest = span_from(*rest, 4);
	if (n == ABSENT)
		return RC_OK;
	if (n > rest->n)
		return RC_CORRUPT;
	*out = arena_span(a, span_head(*rest, n));
	*rest = span_from(*rest, n);
	return out->p != NULL ? RC_OK : RC_NOMEM;
}

static int read_row(struct span row, struct arena *a, struct view_def *out)
{
	struct span rest = span_from(row, HEAD_BYTES);
	int rc;

	if (row.n < HEAD_BYTES || row.p[0] > VIEW_INVALID)
		return RC_CORRUPT;
	out->state = row.p[0];
	out->collation = be_get32(row.p + 1);
	out->base = be_get64(row.p + 5);
	out->next_eid = be_get64(row.p + 13);
	memcpy(out->entry.b, row.p + 21, UUID_BYTES);
	rc = read_text(&rest, a, &out->text.base);
	if (rc == RC_OK)
		rc = read_text(&rest, a, &out->text.filter);
	if (rc == RC_OK)
		rc = read_text(&rest, a, &out->text.scope);
	if (rc == RC_OK)
		rc = read_text(&rest, a, &out->text.sort);
	return rc;
}

int view_def_progress(struct store_txn *t, uint32_t number, enum view_state *state,
		      uint64_t *next_eid)
{
	struct span row;
	int rc = store_viewdef_get(t, number, &row);

	if (rc == RC_OK && (row.n < HEAD_BYTES || row.p[0] > VIEW_INVALID))
		rc = RC_CORRUPT;
	if (rc != RC_OK)
		return rc;
	*state = row.p[0];
	*next_eid = be_get64(row.p + 13);
	return RC_OK;
}

/* --- sets --- */

static void free_set(struct store_cache *c)
{
	struct view_set *set = (struct view_set *)c;

	arena_fini(&set->arena);
	mem_free(set);
}

static int add_def(struct view_set *set, const struct schema *s, uint32_t number, struct span row)
{
	struct view_def *d = &set->defs[set->n];
	int rc;

	d->number = number;
	rc = read_row(row, &set->arena, d);
	if (rc != RC_OK)
		return rc;
	rc = view_read(s, &d->text, &set->arena, &d->view, &d->why);
	if (rc == RC_INVALID && d->state != VIEW_DROPPING)
		d->state = VIEW_INVALID; /* the schema may have changed since */
	if (rc == RC_NOMEM)
		return rc;
	set->n++;
	return RC_OK;
}

static int read_all(struct store_txn *t, const struct schema *s, struct view_set *set)
{
	uint64_t n = store_rows(t, STORE_VIEWDEF);
	uint32_t number = 0;
	struct span row;
	int rc;

	set->defs = arena_zalloc(&set->arena, n, sizeof(*set->defs));
	if (set->defs == NULL)
		return RC_NOMEM;
	while ((rc = store_viewdef_next(t, &number, &row)) == RC_OK && set->n < n) {
		rc = add_def(set, s, number, row);
		if (rc != RC_OK)
			return rc;
	}
	return rc == RC_DONE ? view_kinds_make(s, &set->arena, &set->kinds) : rc;
}

int view_set_get(struct store_txn *t, const struct schema *s, struct view_set **out)
{
	uint64_t generation = store_view_generation(t);
	struct view_set *set;
	int rc;

	*out = NULL;
	if (generation == 0)
		return RC_OK;
	*out = (struct view_set *)store_cache_get(t, generation);
	if (*out != NULL)
		return RC_OK;
	set = mem_zalloc(1, sizeof(*set));
	if (set == NULL)
		return RC_NOMEM;
	set->cache = (struct store_cache){.generation = generation, .free = free_set};
	rc = read_all(t, s, set);
	if (rc != RC_OK) {
		free_set(&set->cache);
		return rc;
	}
	store_cache_set(t, &set->cache);
	*out = set;
	return RC_OK;
}

void view_set_put(struct store *s, struct view_set **set)
{
	if (*set != NULL)
		store_cache_put(s, &(*set)->cache);
	*set = NULL;
}

const struct view_def *view_set_of_entry(const struct view_set *set, const struct uuid *entry)
{
	unsigned i;

	for (i = 0; set != NULL && i < set->n; i++) {
		if (set->defs[i].state != VIEW_DROPPING && uuid_eq(&set->defs[i].entry, entry) &&
		    !uuid_is_zero(entry))
			return &set->defs[i];
	}
	return NULL;
}
