#include "dird/repl_held.h"

/* What is held of one context. */
struct repl_context {
	struct repl_context *next;
	struct uuid nc;
	enum repl_source source;
	bool is_first; /* nothing of it was ever proven here */
	struct repl_batch batch;
	size_t bytes;    /* of its changes, in repl_held.bytes */
	unsigned beats;  /* for so many heartbeats they wait for a head */
	struct buf head; /* the last one that came */
	struct position head_at;
	struct position told;                    /* the partner's last cookie */
	struct position past[POSITION_PAST_MAX]; /* ... its former lives */
	unsigned npast;
	bool has_told; /* ... and no head for it was there */
};

void repl_held_init(struct repl_held *h)
{
	memset(h, 0, sizeof(*h));
	h->last_ready = &h->ready;
}

void repl_ready_free(struct repl_ready **r)
{
	repl_batch_fini(&(*r)->batch);
	buf_fini(&(*r)->head);
	mem_free(*r);
	*r = NULL;
}

void repl_held_fini(struct repl_held *h)
{
	struct repl_context *c;
	struct repl_ready *r;

	while ((r = h->ready) != NULL) {
		h->ready = r->next;
		repl_ready_free(&r);
	}
	while ((c = h->contexts) != NULL) {
		h->contexts = c->next;
		repl_batch_fini(&c->batch);
		buf_fini(&c->head);
		mem_free(c);
	}
	mem_free(h->proven);
	repl_held_init(h);
}

static bool is_among(const struct uuid *nc, const struct uuid *list, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		if (uuid_eq(&list[i], nc))
			return true;
	}
	return false;
}

int repl_held_note_proven(struct repl_held *h, const struct uuid *nc)
{
	struct repl_context *c;
	struct uuid *more;

	for (c = h->contexts; c != NULL; c = c->next) {
		if (uuid_eq(&c->nc, nc))
			c->is_first = false;
	}
	if (is_among(nc, h->proven, h->nproven))
		return RC_OK;
	more = mem_realloc(h->proven, ((size_t)h->nproven + 1) * sizeof(*more));
	if (more == NULL)
		return RC_NOMEM;
	h->proven = more;
	more[h->nproven++] = *nc;
	return RC_OK;
}

static enum repl_source source_of(const struct repl_held *h, const struct uuid *nc)
{
	if (uuid_eq(nc, &h->home) || (h->root_is_homes && uuid_eq(nc, &h->root)))
		return REPL_HOME;
	return REPL_RELAYED;
}

static struct repl_context *find(struct repl_held *h, const struct uuid *nc)
{
	struct repl_context *c;

	for (c = h->contexts; c != NULL; c = c->next) {
		if (uuid_eq(&c->nc, nc))
			return c;
	}
	c = mem_zalloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->nc = *nc;
	c->source = source_of(h, nc);
	c->is_first = !is_among(nc, h->proven, h->nproven);
	repl_batch_init(&c->batch);
	buf_init(&c->head, HEAD_MAX_BYTES);
	c->next = h->contexts;
	h->contexts = c;
	return c;
}

int repl_held_note_unproven(struct repl_held *h, const struct position *at)
{
	struct repl_context *c = find(h, &at->nc);

	if (c == NULL)
		return RC_NOMEM;
	if (c->has_told || c->batch.n != 0)
		return RC_OK; /* more of it is on its way, and a head for that */
	c->told = *at;
	c->has_told = true;
	return RC_OK;
}

/* --- to the ready ones --- */

static void append(struct repl_held *h, struct repl_ready *r)
{
	r->next = NULL;
	*h->last_ready = r;
	h->last_ready = &r->next;
	h->nready += r->batch.n;
}

static bool may_go_without(const struct repl_held *h, const struct repl_context *c)
{
	return c->source != REPL_RELAYED || !h->needs_heads;
}

/* Whatever is beyond what the home has signed could stand in the way of its later changes. */
static bool is_within(const struct repl_batch *b, const struct position *head)
{
	const struct change *c;

	for (c = b->changes; c != b->changes + b->n; c++) {
		if (c->kind == CHANGE_PUT || c->kind == CHANGE_REMOVE) {
			if (c->stamp.epoch > head->epoch || c->stamp.usn > head->usn)
				return false;
		} else if (c->position.epoch > head->epoch || c->position.usn > head->usn) {
			return false;
		}
	}
	return true;
}

/* The batch may go, with the head if it leads there. */
static int make_ready(struct repl_held *h, struct repl_context *c, bool with_head)
{
	struct repl_ready *r;

	if (c->batch.n == 0)
		return RC_OK;
	if (with_head && !may_go_without(h, c) && !is_within(&c->batch, &c->head_at))
		return RC_INVALID;
	r = mem_zalloc(1, sizeof(*r));
	if (r == NULL)
		return RC_NOMEM;
	buf_init(&r->head, HEAD_MAX_BYTES);
	if (with_head)
		buf_put(&r->head, buf_span(&c->head));
	if (buf_rc(&r->head) != RC_OK) {
		mem_free(r);
		return RC_NOMEM;
	}
	h->bytes -= c->bytes;
	c->bytes = 0;
	c->beats = 0;
	r->nc = c->nc;
	r->batch = c->batch;
	r->is_homes = c->source == REPL_HOME || (c->source == REPL_RELAYED && !h->needs_heads);
	c->is_first = c->is_first && !with_head;
	repl_batch_init(&c->batch);
	append(h, r);
	return RC_OK;
}

static bool is_at(const struct position *a, const struct position *b)
{
	return position_same_life(a, b) && a->usn == b->usn;
}

static int copy_past(struct repl_batch *b, struct change *c, const struct position *past,
		     unsigned n)
{
	struct position *copy = arena_zalloc(&b->arena, (size_t)n + 1, sizeof(*copy));

	if (copy == NULL)
		return RC_NOMEM;
	if (n != 0)
		memcpy(copy, past, n * sizeof(*copy));
	c->past = copy;
	c->npast = n;
	return RC_OK;
}

static int add_position(struct repl_context *c, const struct position *p)
{
	struct change *at = repl_batch_add(&c->batch, CHANGE_POSITION);

	if (at == NULL)
		return RC_NOMEM;
	at->position = *p;
	return copy_past(&c->batch, at, c->past, c->npast);
}

/* The partner is at the end of what it has told of the context. */
static int take_position(struct repl_held *h, struct repl_context *c, const struct change *from)
{
	bool has_head = c->head.n != 0 && is_at(&c->head_at, &from->position);
	int rc;

	c->told = from->position;
	c->npast = from->npast < POSITION_PAST_MAX ? from->npast : POSITION_PAST_MAX;
	if (c->npast != 0)
		memcpy(c->past, from->past, c->npast * sizeof(*c->past));
	c->has_told = !has_head;
	if (!has_head && !may_go_without(h, c))
		return RC_OK;
	rc = add_position(c, &from->position);
	return rc == RC_OK ? make_ready(h, c, has_head) : rc;
}

int repl_held_head(struct repl_held *h, struct span bytes, const struct head *head)
{
	struct repl_context *c = find(h, &head->position.nc);
	int rc;

	if (c == NULL)
		return RC_NOMEM;
	buf_clear(&c->head);
	buf_put(&c->head, bytes);
	c->head_at = head->position;
	if (!c->has_told || !is_at(&c->told, &head->position))
		return buf_rc(&c->head);
	c->has_told = false;
	rc = add_position(c, &c->told);
	return rc == RC_OK ? make_ready(h, c, true) : rc;
}

/* --- changes --- */

static bool copy_span(struct arena *a, struct span *s)
{
	if (s->p == NULL)
		return true;
	*s = arena_span(a, *s);
	return s->p != NULL;
}

static bool copy_attrs(struct arena *a, struct attr_list *list)
{
	struct attr *attrs = arena_zalloc(a, (size_t)list->n + 1, sizeof(*attrs));
	unsigned i, k;

	for (i = 0; attrs != NULL && i < list->n; i++) {
		attrs[i] = list->attrs[i];
		attrs[i].values =
			arena_zalloc(a, (size_t)attrs[i].nvalues + 1, sizeof(struct span));
		if (attrs[i].values == NULL || !copy_span(a, &attrs[i].type))
			return false;
		for (k = 0; k < attrs[i].nvalues; k++) {
			attrs[i].values[k] = arena_span(a, list->attrs[i].values[k]);
			if (attrs[i].values[k].p == NULL)
				return false;
		}
	}
	list->attrs = attrs;
	return attrs != NULL;
}

/* A change with all that it points at. */
static int copy_change(struct repl_batch *b, const struct change *from)
{
	struct change *c = repl_batch_add(b, from->kind);
	struct uuid *keep;

	if (c == NULL)
		return RC_NOMEM;
	*c = *from;
	if (!copy_attrs(&b->arena, &c->attrs) || !copy_span(&b->arena, &c->rdn) ||
	    !copy_span(&b->arena, &c->old_dn))
		return RC_NOMEM;
	if (c->kind != CHANGE_KEEP_ONLY)
		return RC_OK;
	if (copy_past(b, c, from->past, from->npast) != RC_OK)
		return RC_NOMEM;
	keep = arena_zalloc(&b->arena, c->nkeep + 1, sizeof(*keep));
	if (keep == NULL)
		return RC_NOMEM;
	if (c->nkeep != 0)
		memcpy(keep, c->keep, c->nkeep * sizeof(*keep));
	c->keep = keep;
	return RC_OK;
}

static const struct uuid *nc_of(const struct change *c)
{
	return c->kind == CHANGE_PUT || c->kind == CHANGE_REMOVE ? &c->stamp.nc : &c->position.nc;
}

/*
 * A full batch goes on where nothing is to be compared; of a context that was never proven here
 * with the last position told, so that a first load that is cut goes on there.
 */
static int let_go(struct repl_held *h, struct repl_context *c)
{
	int rc = RC_OK;

	if (may_go_without(h, c))
		return make_ready(h, c, false);
	if (!c->is_first)
		return RC_OK;
	if (c->has_told)
		rc = add_position(c, &c->told);
	return rc == RC_OK ? make_ready(h, c, false) : rc;
}

/* A large transaction needs as much free disk beside what is there; so it is kept small where it
 * can. */
static bool is_enough(const struct repl_held *h, const struct repl_context *c)
{
	return repl_batch_is_full(&c->batch) ||
	       (may_go_without(h, c) && c->bytes >= REPL_HELD_GO_BYTES);
}

static int take_change(struct repl_held *h, const struct change *from, const struct uuid *own,
		       unsigned nown)
{
	struct repl_context *c = find(h, nc_of(from));
	size_t before;
	int rc;

	if (c == NULL)
		return RC_NOMEM;
	if (is_among(&c->nc, own, nown))
		c->source = REPL_OWN;
	if (from->kind == CHANGE_POSITION)
		return take_position(h, c, from);
	before = c->batch.arena.bytes;
	rc = copy_change(&c->batch, from);
	c->batch.entries += from->kind == CHANGE_PUT || from->kind == CHANGE_REMOVE;
	h->bytes += c->batch.arena.bytes - before;
	c->bytes += c->batch.arena.bytes - before;
	if (rc == RC_OK && is_enough(h, c))
		rc = let_go(h, c);
	if (rc == RC_OK && h->bytes > REPL_HELD_MAX_BYTES)
		rc = RC_TOOBIG;
	return rc;
}

int repl_held_take(struct repl_held *h, struct repl_batch *from, const struct uuid *own,
		   unsigned nown)
{
	unsigned i;
	int rc = RC_OK;

	for (i = 0; i < from->n && rc == RC_OK; i++)
		rc = take_change(h, &from->changes[i], own, nown);
	repl_batch_fini(from);
	return rc;
}

int repl_held_release(struct repl_held *h, bool own_only)
{
	struct repl_context *c;
	int rc = RC_OK;

	for (c = h->contexts; c != NULL && rc == RC_OK; c = c->next) {
		if (may_go_without(h, c) && (c->source == REPL_OWN || !own_only))
			rc = make_ready(h, c, false);
	}
	return rc;
}

void repl_held_beat(struct repl_held *h, unsigned max,
		    void (*tell)(void *ctx, const struct uuid *nc), void *ctx)
{
	struct repl_context *c;

	for (c = h->contexts; c != NULL; c = c->next) {
		if (c->batch.n != 0 && !may_go_without(h, c) && ++c->beats >= max)
			tell(ctx, &c->nc);
	}
}

/* --- what is ready --- */

bool repl_held_is_full(const struct repl_held *h)
{
	return h->nready >= REPL_BATCH_ENTRIES;
}

struct repl_ready *repl_held_next(struct repl_held *h)
{
	struct repl_ready *r = h->ready;

	if (r == NULL)
		return NULL;
	h->ready = r->next;
	if (h->ready == NULL)
		h->last_ready = &h->ready;
	h->nready -= r->batch.n;
	return r;
}

void repl_held_put_back(struct repl_held *h, struct repl_ready *r)
{
	r->next = h->ready;
	if (h->ready == NULL)
		h->last_ready = &r->next;
	h->ready = r;
	h->nready += r->batch.n;
}

void repl_held_defer(struct repl_held *h, struct repl_ready *r)
{
	struct repl_ready *all = h->ready, *same = r, **last = &r->next, *next;

	h->ready = NULL;
	h->last_ready = &h->ready;
	h->nready = 0;
	r->next = NULL;
	for (; all != NULL; all = next) {
		next = all->next;
		if (!uuid_eq(&all->nc, &r->nc)) {
			append(h, all);
			continue;
		}
		all->next = NULL;
		*last = all;
		last = &all->next;
	}
	for (; same != NULL; same = next) {
		next = same->next;
		append(h, same);
	}
}
