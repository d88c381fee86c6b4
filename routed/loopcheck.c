#include "routed/loopcheck.h"

#include "routed/lookup.h"
#include "routed/map.h"

#include <stdlib.h>

#define EDGES_MAX_BYTES ((size_t)4 << 30)
#define NONE UINT32_MAX
#define UNASKED (UINT32_MAX - 1)
#define STATE_BITS 2

struct edge {
	uint32_t target; /* number * TABLE_CLASSES + class */
	uint32_t from;
	uint32_t to; /* site, above STATE_BITS bits of states */
};

struct names {
	struct map map; /* compared form -> number */
	struct span *shown;
	uint32_t n, size;
};

struct loopcheck {
	struct arena a;
	struct names sites, targets;
	struct span *probes; /* mail addresses */
	uint32_t nprobes, probes_size;
	struct buf edges;
	struct loopcheck_loop *loops;
	size_t nloops, loops_size;
};

static uint32_t edge_to(const struct edge *e)
{
	return e->to >> STATE_BITS;
}

/* One more of an array in the arena. */
static int grow(struct loopcheck *lc, void **array, size_t n, size_t size, size_t element)
{
	void *bigger;

	if (n < size)
		return RC_OK;
	bigger = arena_alloc(&lc->a, (size != 0 ? size * 2 : 16) * element);
	if (bigger == NULL)
		return RC_NOMEM;
	if (n != 0)
		memcpy(bigger, *array, n * element);
	*array = bigger;
	return RC_OK;
}

static uint32_t bigger(size_t size)
{
	return (uint32_t)(size != 0 ? size * 2 : 16);
}

/* The number of a name; `compared` is copied when it is new. */
static int intern(struct loopcheck *lc, struct names *names, struct span compared,
		  struct span shown, uint32_t *out)
{
	void *array = names->shown;
	int rc;

	*out = map_get(&names->map, compared);
	if (*out != MAP_NONE)
		return RC_OK;
	rc = grow(lc, &array, names->n, names->size, sizeof(*names->shown));
	if (rc != RC_OK)
		return rc;
	if (names->n == names->size)
		names->size = bigger(names->size);
	names->shown = array;
	compared = arena_span(&lc->a, compared);
	shown = arena_span(&lc->a, shown);
	if (compared.p == NULL || shown.p == NULL)
		return RC_NOMEM;
	names->shown[names->n] = shown;
	*out = names->n;
	return map_put(&names->map, compared, names->n++);
}

/* --- destinations --- */

static int add_probe(struct loopcheck *lc, struct span address)
{
	void *array = lc->probes;
	int rc = grow(lc, &array, lc->nprobes, lc->probes_size, sizeof(*lc->probes));

	if (rc != RC_OK)
		return rc;
	if (lc->nprobes == lc->probes_size)
		lc->probes_size = bigger(lc->probes_size);
	lc->probes = array;
	lc->probes[lc->nprobes] = arena_span(&lc->a, address);
	return lc->probes[lc->nprobes++].p != NULL ? RC_OK : RC_NOMEM;
}

static bool has_at(struct span s)
{
	return s.n != 0 && memchr(s.p, '@', s.n) != NULL;
}

/* An address that a pattern covers: "x" for wildcards, a whole address for the first `*` if the
 * pattern has no '@'. A pattern that covers none gives nothing. */
static int probe_of_space(struct loopcheck *lc, struct span folded, struct buf *b)
{
	bool whole = !has_at(folded);
	size_t i;

	buf_clear(b);
	for (i = 0; i < folded.n; i++) {
		if (folded.p[i] == '*' && whole) {
			buf_puts(b, "x@x.invalid");
			whole = false;
		} else {
			buf_putc(b, folded.p[i] == '*' || folded.p[i] == '%' ? 'x' : folded.p[i]);
		}
	}
	if (folded.n == 0)
		buf_puts(b, "x@x.invalid");
	if (buf_rc(b) != RC_OK)
		return buf_rc(b);
	return has_at(buf_span(b)) ? add_probe(lc, buf_span(b)) : RC_OK;
}

static int add_probes(struct loopcheck *lc, const struct model *m)
{
	struct buf b;
	uint32_t i;
	unsigned k;
	int rc = RC_OK;

	buf_init(&b, (size_t)1 << 20);
	for (i = 0; i < m->nsites && rc == RC_OK; i++) {
		if (m->sites[i].domain_folded.n == 0)
			continue;
		buf_clear(&b);
		buf_puts(&b, "x@");
		buf_put(&b, m->sites[i].domain_folded);
		rc = buf_rc(&b) == RC_OK ? add_probe(lc, buf_span(&b)) : buf_rc(&b);
	}
	for (i = 0; i < m->nconnectors && rc == RC_OK; i++) {
		const struct model_connector *c = &m->connectors[i];

		for (k = 0; k < c->nspaces && rc == RC_OK; k++) {
			if (span_eq(c->spaces[k].type, SPAN_LIT("SMTP")))
				rc = probe_of_space(lc, c->spaces[k].folded, &b);
		}
	}
	buf_fini(&b);
	return rc;
}

static int cmp_spans(const void *a, const void *b)
{
	return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

static void drop_double_probes(struct loopcheck *lc)
{
	uint32_t i, kept = 0;

	if (lc->nprobes > 1)
		qsort(lc->probes, lc->nprobes, sizeof(*lc->probes), cmp_spans);
	for (i = 0; i < lc->nprobes; i++) {
		if (kept == 0 || !span_eq(lc->probes[kept - 1], lc->probes[i]))
			lc->probes[kept++] = lc->probes[i];
	}
	lc->nprobes = kept;
}

int loopcheck_new(const struct model *const *models, unsigned nmodels, struct loopcheck **out)
{
	struct loopcheck *lc = mem_zalloc(1, sizeof(*lc));
	unsigned i;
	int rc = RC_OK;

	*out = NULL;
	if (lc == NULL)
		return RC_NOMEM;
	buf_init(&lc->edges, EDGES_MAX_BYTES);
	for (i = 0; i < nmodels && rc == RC_OK; i++) {
		if (models[i] != NULL)
			rc = add_probes(lc, models[i]);
	}
	drop_double_probes(lc);
	if (rc == RC_OK)
		*out = lc;
	else
		loopcheck_free(&lc);
	return rc;
}

void loopcheck_free(struct loopcheck **lc)
{
	if (*lc == NULL)
		return;
	map_fini(&(*lc)->sites.map);
	map_fini(&(*lc)->targets.map);
	buf_fini(&(*lc)->edges);
	arena_fini(&(*lc)->a);
	mem_free(*lc);
	*lc = NULL;
}

/* --- edges --- */

struct adding {
	struct loopcheck *lc;
	const struct table *t;
	struct arena a;
	uint32_t from;
	unsigned state;
	uint32_t *hosts; /* by text of a next hop: the number of the site it is of; NONE: of no site
			  */
};

static int site_number(struct adding *w, struct span name, uint32_t *out)
{
	struct span folded;
	int rc = address_fold(&w->a, name, &folded);

	return rc == RC_OK ? intern(w->lc, &w->lc->sites, folded, name, out) : rc;
}

/* A text of a next hop is looked up once: thousands of rows may share it. */
static int site_of_text(struct adding *w, uint32_t text, struct span host, uint32_t *out)
{
	uint32_t *known = &w->hosts[text];
	struct span site;
	int rc = RC_OK;

	if (*known == UNASKED) {
		rc = lookup_site_of_host(w->t, host, &site);
		if (rc == RC_OK && site.n == 0)
			*known = NONE;
		else if (rc == RC_OK)
			rc = site_number(w, site, known);
	}
	*out = *known;
	return rc;
}

/* As lookup_next_site(); NONE: mail leaves the organisation there. */
static int next_site(struct adding *w, const struct table_row *row, struct span domain,
		     uint32_t *out)
{
	struct table_result hop;
	struct span site;
	int rc = RC_OK;

	*out = NONE;
	table_candidate(w->t, row, domain, &hop);
	if (hop.hop != row->hop) { /* pinned for the domain alone */
		rc = lookup_next_site(w->t, &hop, &site);
		return rc == RC_OK && site.n != 0 ? site_number(w, site, out) : rc;
	}
	if ((hop.hop == TABLE_HOP_MX || hop.hop == TABLE_HOP_HOST) && hop.nexthop.n != 0)
		rc = site_of_text(w, row->nexthop, hop.nexthop, out);
	if (rc == RC_OK && *out == NONE && row->next != TABLE_NONE)
		rc = site_number(w, w->t->texts[row->next], out);
	return rc;
}

/* Edges to where the candidates lead; `key` is unused for a destination without any. */
static int add_edges(struct adding *w, struct span key, struct span shown, unsigned cls,
		     const struct table_row *rows, uint32_t n)
{
	struct edge e = {.from = w->from};
	struct span domain = key, local;
	uint32_t target, to, i;
	int rc = intern(w->lc, &w->lc->targets, key, shown, &target);

	span_cut(&domain, '@', &local);
	for (i = 0; i < n && rc == RC_OK; i++) {
		rc = next_site(w, &rows[i], domain, &to);
		if (rc != RC_OK || to == NONE)
			continue;
		e.target = target * TABLE_CLASSES + cls;
		e.to = to << STATE_BITS | w->state;
		buf_put(&w->lc->edges, span_make(&e, sizeof(e)));
	}
	return rc == RC_OK ? buf_rc(&w->lc->edges) : rc;
}

/* "EX:Site2": as it is shown; folded, as it is compared. */
static int add_row(struct adding *w, const struct table_row *row, struct buf *shown)
{
	struct span folded;
	int rc;

	buf_clear(shown);
	buf_put(shown, w->t->texts[row->type]);
	buf_putc(shown, ':');
	buf_put(shown, w->t->texts[row->target]);
	rc = buf_rc(shown);
	if (rc == RC_OK)
		rc = address_fold(&w->a, buf_span(shown), &folded);
	return rc == RC_OK ? add_edges(w, folded, buf_span(shown), row->cls, row, 1) : rc;
}

static int add_address(struct adding *w, struct span probe, unsigned cls, struct buf *shown)
{
	struct table_result r;
	int rc = table_lookup(w->t, probe, (enum table_class)cls, &r);

	if (rc != RC_OK || r.status != TABLE_FOUND)
		return rc == RC_INVALID ? RC_OK : rc;
	buf_clear(shown);
	buf_puts(shown, "SMTP:");
	buf_put(shown, probe);
	if (buf_rc(shown) != RC_OK)
		return buf_rc(shown);
	return add_edges(w, buf_span(shown), buf_span(shown), cls, r.row, r.nrows);
}

int loopcheck_add(struct loopcheck *lc, const struct table *t, enum loopcheck_state state)
{
	struct adding w = {.lc = lc, .t = t, .state = state};
	struct buf shown;
	unsigned cls;
	uint32_t i;
	int rc;

	arena_init(&w.a);
	buf_init(&shown, (size_t)1 << 20);
	w.hosts = arena_alloc(&w.a, ((size_t)t->ntexts + 1) * sizeof(*w.hosts));
	rc = w.hosts != NULL ? site_number(&w, table_text(t, t->site), &w.from) : RC_NOMEM;
	for (i = 0; i < t->ntexts && rc == RC_OK; i++)
		w.hosts[i] = UNASKED;
	for (i = 0; i < t->nrows && rc == RC_OK; i++) {
		if (!span_eq(t->texts[t->rows[i].type], SPAN_LIT("SMTP")))
			rc = add_row(&w, &t->rows[i], &shown);
	}
	for (cls = 0; cls < TABLE_CLASSES; cls++) {
		for (i = 0; i < lc->nprobes && rc == RC_OK; i++)
			rc = add_address(&w, lc->probes[i], cls, &shown);
	}
	buf_fini(&shown);
	arena_fini(&w.a);
	return rc;
}

/* --- circles --- */

enum colour { WHITE, GREY, BLACK };

struct search {
	struct loopcheck *lc;
	const struct edge *edges; /* of one destination, sorted by from, to */
	size_t n;
	size_t *first; /* by site: its first edge */
	uint8_t *colour;
	size_t *stack; /* edges of the way to the present site */
};

static int cmp_edges(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	if (x->target != y->target)
		return x->target < y->target ? -1 : 1;
	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return (x->to > y->to) - (x->to < y->to);
}

/* Equal edges of both states become one. */
static size_t merge_edges(struct edge *edges, size_t n)
{
	size_t i, kept = 0;

	for (i = 0; i < n; i++) {
		struct edge *last = kept != 0 ? &edges[kept - 1] : NULL;

		if (last != NULL && last->target == edges[i].target &&
		    last->from == edges[i].from && edge_to(last) == edge_to(&edges[i]))
			last->to |= edges[i].to;
		else
			edges[kept++] = edges[i];
	}
	return kept;
}

/* The stack's end leads back to `site`: the circle is what lies between. */
static int note_loop(struct search *s, size_t depth, uint32_t site)
{
	struct loopcheck *lc = s->lc;
	void *array = lc->loops;
	struct loopcheck_step *steps;
	struct loopcheck_loop *loop;
	size_t from = depth, i;
	int rc = grow(lc, &array, lc->nloops, lc->loops_size, sizeof(*lc->loops));

	while (s->edges[s->stack[from - 1]].from != site)
		from--;
	from--;
	steps = arena_alloc(&lc->a, (depth - from) * sizeof(*steps));
	if (rc != RC_OK || steps == NULL)
		return RC_NOMEM;
	if (lc->nloops == lc->loops_size)
		lc->loops_size = bigger(lc->loops_size);
	lc->loops = array;
	loop = &lc->loops[lc->nloops++];
	*loop = (struct loopcheck_loop){
		.cls = (enum table_class)(s->edges->target % TABLE_CLASSES),
		.target = lc->targets.shown[s->edges->target / TABLE_CLASSES],
		.steps = steps,
		.nsteps = (unsigned)(depth - from),
		.lasting = true,
	};
	for (i = from; i < depth; i++) {
		const struct edge *e = &s->edges[s->stack[i]];

		steps[i - from] = (struct loopcheck_step){lc->sites.shown[e->from],
							  e->to & ((1u << STATE_BITS) - 1)};
		loop->lasting = loop->lasting && (steps[i - from].states & LOOPCHECK_NEW) != 0;
	}
	return RC_OK;
}

/* Depth first from one site, without recursion. *found: a circle was noted. */
static int search_from(struct search *s, uint32_t root, bool *found)
{
	size_t depth = 0, at = s->first[root];
	uint32_t site = root;

	s->colour[root] = GREY;
	for (;;) {
		uint32_t to;

		if (at >= s->n || s->edges[at].from != site) {
			s->colour[site] = BLACK;
			if (depth == 0)
				return RC_OK;
			at = s->stack[--depth];
			site = s->edges[at++].from;
			continue;
		}
		to = edge_to(&s->edges[at]);
		s->stack[depth] = at;
		if (s->colour[to] == GREY) {
			*found = true;
			return note_loop(s, depth + 1, to);
		}
		if (s->colour[to] == BLACK || s->first[to] == SIZE_MAX) {
			at++;
			continue;
		}
		depth++;
		s->colour[to] = GREY;
		site = to;
		at = s->first[to];
	}
}

static int search_destination(struct search *s)
{
	bool found = false;
	size_t i;
	int rc = RC_OK;

	memset(s->colour, WHITE, s->lc->sites.n);
	memset(s->first, 0xff, s->lc->sites.n * sizeof(*s->first));
	for (i = s->n; i-- != 0;)
		s->first[s->edges[i].from] = i;
	for (i = 0; i < s->n && rc == RC_OK && !found; i++) {
		if (s->colour[s->edges[i].from] == WHITE)
			rc = search_from(s, s->edges[i].from, &found);
	}
	return rc;
}

int loopcheck_run(struct loopcheck *lc, const struct loopcheck_loop **out, size_t *n,
		  size_t *ndestinations)
{
	struct edge *edges = (struct edge *)(void *)lc->edges.p;
	size_t nedges = lc->edges.n / sizeof(*edges), from, to;
	struct search s = {.lc = lc};
	int rc = RC_OK;

	if (nedges > 1)
		qsort(edges, nedges, sizeof(*edges), cmp_edges);
	nedges = merge_edges(edges, nedges);
	buf_truncate(&lc->edges, nedges * sizeof(*edges));
	s.first = arena_alloc(&lc->a, lc->sites.n * sizeof(*s.first));
	s.colour = arena_alloc(&lc->a, lc->sites.n);
	s.stack = arena_alloc(&lc->a, ((size_t)lc->sites.n + 1) * sizeof(*s.stack));
	if (s.first == NULL || s.colour == NULL || s.stack == NULL)
		return RC_NOMEM;
	lc->nloops = 0;
	*ndestinations = lc->targets.n;
	for (from = 0; from < nedges && rc == RC_OK; from = to) {
		for (to = from; to < nedges && edges[to].target == edges[from].target;)
			to++;
		s.edges = edges + from;
		s.n = to - from;
		rc = search_destination(&s);
	}
	*out = lc->loops;
	*n = lc->nloops;
	return rc;
}

/* --- words --- */

static const char *state_text(unsigned states)
{
	if (states == (LOOPCHECK_OLD | LOOPCHECK_NEW))
		return "both";
	return states == LOOPCHECK_OLD ? "old" : "new";
}

void loopcheck_write(const struct loopcheck_loop *loop, struct buf *out)
{
	unsigned i;

	buf_printf(out, "%s ", table_class_name(loop->cls));
	buf_put(out, loop->target);
	for (i = 0; i < loop->nsteps; i++) {
		buf_puts(out, i == 0 ? ": " : " > ");
		buf_put(out, loop->steps[i].site);
		buf_printf(out, " (%s)", state_text(loop->steps[i].states));
	}
	buf_puts(out, " > ");
	buf_put(out, loop->steps[0].site);
	buf_puts(out, loop->lasting ? ", lasting\n" : ", while the change travels\n");
}

void loopcheck_json(const struct loopcheck_loop *loop, struct buf *out)
{
	unsigned i;

	buf_printf(out, "{\"loop\":{\"class\":\"%s\",\"target\":", table_class_name(loop->cls));
	table_json_string(loop->target, out);
	buf_puts(out, ",\"sites\":[");
	for (i = 0; i < loop->nsteps; i++) {
		buf_puts(out, i != 0 ? ",{\"site\":" : "{\"site\":");
		table_json_string(loop->steps[i].site, out);
		buf_printf(out, ",\"table\":\"%s\"}", state_text(loop->steps[i].states));
	}
	buf_printf(out, "],\"lasting\":%s}}\n", loop->lasting ? "true" : "false");
}
