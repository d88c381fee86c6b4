#include "routed/model.h"

#include "lib/dn.h"
#include "routed/map.h"
#include "routed/model_pending.h"
#include "routed/model_read.h"

#include <stdlib.h>

#define RAW_MAX_BYTES ((size_t)64 << 20)
#define CONNECTOR_BIT 0x80000000u /* in the values of index->keys: a connector, not a site */

struct model_index {
	struct map keys;     /* key -> index of a record, CONNECTOR_BIT */
	struct map names;    /* folded -> index into names */
	struct map site_dns; /* normal DN -> index into sites; rebuilt with the links */
	struct buf raw;
	bool links_stale; /* connectors may point at the wrong site */
	struct model_pending pending;
};

int model_new(struct model **out)
{
	struct model *m = mem_zalloc(1, sizeof(*m));

	*out = NULL;
	if (m == NULL)
		return RC_NOMEM;
	m->index = mem_zalloc(1, sizeof(*m->index));
	if (m->index == NULL) {
		mem_free(m);
		return RC_NOMEM;
	}
	buf_init(&m->index->raw, RAW_MAX_BYTES);
	*out = m;
	return RC_OK;
}

void model_free(struct model **m)
{
	uint32_t i;

	if (*m == NULL)
		return;
	for (i = 0; i < (*m)->nsites; i++)
		mem_free((*m)->sites[i].block);
	for (i = 0; i < (*m)->nconnectors; i++)
		mem_free((*m)->connectors[i].block);
	for (i = 0; i < (*m)->nnames; i++)
		mem_free((void *)(uintptr_t)(*m)->names[i].folded.p);
	map_fini(&(*m)->index->keys);
	map_fini(&(*m)->index->names);
	map_fini(&(*m)->index->site_dns);
	buf_fini(&(*m)->index->raw);
	model_pending_fini(&(*m)->index->pending);
	mem_free((*m)->index);
	mem_free((*m)->sites);
	mem_free((*m)->connectors);
	mem_free((*m)->names);
	mem_free((*m)->by_name);
	mem_free(*m);
	*m = NULL;
}

/* Room for one more element behind n. */
static int reserve(void **array, uint32_t n, uint32_t *size, size_t element)
{
	uint32_t bigger = *size != 0 ? *size * 2 : 16;
	void *p;

	if (n < *size)
		return RC_OK;
	if (bigger >= CONNECTOR_BIT)
		return RC_TOOBIG;
	p = mem_realloc(*array, bigger * element);
	if (p == NULL)
		return RC_NOMEM;
	*array = p;
	*size = bigger;
	return RC_OK;
}

/* The number of a folded name; a new one gets the next number. Names stay for good. */
static int name_id(struct model *m, struct span folded, uint32_t *out)
{
	void *array = m->names;
	struct span copy;
	uint8_t *bytes;
	int rc;

	*out = map_get(&m->index->names, folded);
	if (*out != MAP_NONE)
		return RC_OK;
	rc = reserve(&array, m->nnames, &m->names_size, sizeof(*m->names));
	m->names = array;
	if (rc != RC_OK)
		return rc;
	bytes = mem_alloc(folded.n);
	if (bytes == NULL)
		return RC_NOMEM;
	memcpy(bytes, folded.p, folded.n);
	copy = span_make(bytes, folded.n);
	rc = map_put(&m->index->names, copy, m->nnames);
	if (rc != RC_OK) {
		mem_free(bytes);
		return rc;
	}
	m->names[m->nnames] = (struct model_name){copy, MODEL_NONE};
	*out = m->nnames++;
	return RC_OK;
}

static void touched(struct model *m, unsigned what, unsigned *changes)
{
	m->committed = false;
	m->index->pending.beyond = true;
	if (what == MODEL_CHANGED_SITE)
		m->index->links_stale = true;
	*changes |= what;
}

/* The last record takes the place of the removed one. */
static void remove_site(struct model *m, uint32_t at, unsigned *changes)
{
	struct model_site *last = &m->sites[--m->nsites];

	map_del(&m->index->keys, m->sites[at].key);
	mem_free(m->sites[at].block);
	if (last != &m->sites[at]) {
		m->sites[at] = *last;
		must(map_put(&m->index->keys, last->key, at) == RC_OK); /* exists: cannot grow */
	}
	touched(m, MODEL_CHANGED_SITE, changes);
}

static void count_parts(struct model *m, const struct model_connector *c, bool comes)
{
	size_t sign = comes ? 1 : (size_t)-1;

	m->total_cds += sign * c->ncds;
	m->total_spaces += sign * c->nspaces;
	m->total_pins += sign * c->npins;
}

static void remove_connector(struct model *m, uint32_t at, unsigned *changes)
{
	struct model_connector *last = &m->connectors[--m->nconnectors];

	count_parts(m, &m->connectors[at], false);
	map_del(&m->index->keys, m->connectors[at].key);
	mem_free(m->connectors[at].block);
	if (last != &m->connectors[at]) {
		m->connectors[at] = *last;
		must(map_put(&m->index->keys, last->key, at | CONNECTOR_BIT) == RC_OK);
	}
	touched(m, MODEL_CHANGED_CONNECTOR, changes);
}

static void remove_record(struct model *m, uint32_t id, unsigned *changes)
{
	if ((id & CONNECTOR_BIT) != 0)
		remove_connector(m, id & ~CONNECTOR_BIT, changes);
	else
		remove_site(m, id, changes);
}

/* A renamed site takes its connectors along: content sync does not send them again. */
static int move_connectors(struct model *m, struct span from_normal, const struct model_site *to,
			   unsigned *changes)
{
	struct buf dn, normal;
	uint32_t i;
	int rc = RC_OK;

	buf_init(&dn, DN_MAX_BYTES * 4);
	buf_init(&normal, DN_MAX_BYTES * 4);
	for (i = 0; i < m->nconnectors && rc == RC_OK; i++) {
		struct model_connector *c = &m->connectors[i], moved;
		struct span own;

		if (!dn_is_within(c->dn_normal, from_normal))
			continue;
		own = span_head(c->dn_normal, c->dn_normal.n - from_normal.n);
		buf_clear(&dn);
		buf_clear(&normal);
		buf_put(&dn, own);
		buf_put(&dn, to->dn);
		buf_put(&normal, own);
		buf_put(&normal, to->dn_normal);
		rc = buf_rc(&dn) != RC_OK ? buf_rc(&dn) : buf_rc(&normal);
		if (rc == RC_OK)
			rc = model_read_moved(c, buf_span(&dn), buf_span(&normal), &moved);
		if (rc == RC_OK)
			rc = map_put(&m->index->keys, moved.key, i | CONNECTOR_BIT);
		if (rc == RC_OK) {
			mem_free(c->block);
			*c = moved;
			touched(m, MODEL_CHANGED_CONNECTOR, changes);
		}
	}
	buf_fini(&dn);
	buf_fini(&normal);
	return rc;
}

static int put_site(struct model *m, uint32_t id, struct model_site *site, unsigned *changes)
{
	uint32_t at = id != MAP_NONE ? id : m->nsites;
	void *array = m->sites;
	int rc = RC_OK;

	if (site->name_folded.n != 0)
		rc = name_id(m, site->name_folded, &site->name_id);
	if (rc == RC_OK)
		rc = reserve(&array, m->nsites, &m->sites_size, sizeof(*m->sites));
	m->sites = array;
	if (rc == RC_OK && id != MAP_NONE && !span_eq(m->sites[at].dn_normal, site->dn_normal))
		rc = move_connectors(m, m->sites[at].dn_normal, site, changes);
	if (rc == RC_OK)
		rc = map_put(&m->index->keys, site->key, at);
	if (rc != RC_OK)
		return rc;
	if (id != MAP_NONE)
		mem_free(m->sites[at].block);
	else
		m->nsites++;
	site->mark = m->mark;
	m->sites[at] = *site;
	touched(m, MODEL_CHANGED_SITE, changes);
	return RC_OK;
}

static int put_connector(struct model *m, uint32_t id, struct model_connector *c, unsigned *changes)
{
	uint32_t at = id != MAP_NONE ? id & ~CONNECTOR_BIT : m->nconnectors;
	void *array = m->connectors;
	unsigned i;
	int rc = reserve(&array, m->nconnectors, &m->connectors_size, sizeof(*m->connectors));

	m->connectors = array;
	for (i = 0; i < c->ncds && rc == RC_OK; i++)
		rc = name_id(m, c->cds[i].folded, &c->cds[i].name);
	if (rc == RC_OK)
		rc = map_put(&m->index->keys, c->key, at | CONNECTOR_BIT);
	if (rc != RC_OK)
		return rc;
	if (id == MAP_NONE) {
		m->nconnectors++;
		touched(m, MODEL_CHANGED_CONNECTOR, changes);
	} else {
		struct model_connector *old = &m->connectors[at];

		/* Only with all else equal are the links of the commit still right. */
		if (model_pending_note(&m->index->pending, m, old, c))
			c->site = old->site;
		else
			m->committed = false;
		*changes |= MODEL_CHANGED_CONNECTOR;
		count_parts(m, old, false);
		mem_free(old->block);
	}
	count_parts(m, c, true);
	c->mark = m->mark;
	m->connectors[at] = *c;
	return RC_OK;
}

static bool is_same(const struct model *m, uint32_t id, struct span raw)
{
	const struct model_connector *c = &m->connectors[id & ~CONNECTOR_BIT];

	if ((id & CONNECTOR_BIT) != 0)
		return span_eq(span_make(c->block, c->nraw), raw);
	return span_eq(span_make(m->sites[id].block, m->sites[id].nraw), raw);
}

static void set_mark(struct model *m, uint32_t id)
{
	if ((id & CONNECTOR_BIT) != 0)
		m->connectors[id & ~CONNECTOR_BIT].mark = m->mark;
	else
		m->sites[id].mark = m->mark;
}

static int make_raw(struct model *m, struct span dn, const struct model_attr *attrs,
		    unsigned nattrs)
{
	struct arena a;
	int rc;

	arena_init(&a);
	buf_clear(&m->index->raw);
	rc = model_read_raw(&a, dn, attrs, nattrs, &m->index->raw);
	arena_fini(&a);
	return rc;
}

/* Build the new record first: when that fails, the old one is still in place. */
static int replace(struct model *m, struct span key, struct span dn, const struct model_attr *attrs,
		   unsigned nattrs, bool is_site, uint32_t id, unsigned *changes)
{
	struct span raw = buf_span(&m->index->raw);
	struct model_connector c = {0};
	struct model_site site = {0};
	int rc;

	if (is_site) {
		rc = model_read_site(key, dn, attrs, nattrs, raw, &site);
		if (rc == RC_OK)
			rc = put_site(m, id, &site, changes);
	} else {
		rc = model_read_connector(key, dn, attrs, nattrs, raw, &c);
		if (rc == RC_OK)
			rc = put_connector(m, id, &c, changes);
	}
	if (rc != RC_OK)
		mem_free(is_site ? site.block : c.block);
	return rc;
}

static int put(struct model *m, struct span key, struct span dn, const struct model_attr *attrs,
	       unsigned nattrs, unsigned *changes)
{
	enum model_entry entry = model_read_class(attrs, nattrs);
	uint32_t id = map_get(&m->index->keys, key);
	bool is_site = entry == MODEL_ENTRY_SITE;
	int rc;

	if (key.n == 0)
		return RC_INVALID;
	if (entry == MODEL_ENTRY_OTHER) {
		if (id != MAP_NONE)
			remove_record(m, id, changes);
		return RC_OK;
	}
	rc = make_raw(m, dn, attrs, nattrs);
	if (rc != RC_OK)
		return rc;
	if (id != MAP_NONE && is_same(m, id, buf_span(&m->index->raw))) {
		set_mark(m, id);
		return RC_OK;
	}
	if (id != MAP_NONE && is_site == ((id & CONNECTOR_BIT) != 0)) {
		remove_record(m, id, changes);
		id = MAP_NONE;
	}
	return replace(m, key, dn, attrs, nattrs, is_site, id, changes);
}

int model_put(struct model *m, struct span key, struct span dn, const struct model_attr *attrs,
	      unsigned nattrs, unsigned *changes)
{
	int rc = put(m, key, dn, attrs, nattrs, changes);

	return rc != RC_TOOBIG ? rc : RC_INVALID; /* one entry's trouble, not the model's */
}

void model_delete(struct model *m, struct span key, unsigned *changes)
{
	uint32_t id = map_get(&m->index->keys, key);

	if (id != MAP_NONE)
		remove_record(m, id, changes);
}

struct span model_dn(const struct model *m, struct span key)
{
	uint32_t id = map_get(&m->index->keys, key);

	if (id == MAP_NONE)
		return span_make(NULL, 0);
	if ((id & CONNECTOR_BIT) != 0)
		return m->connectors[id & ~CONNECTOR_BIT].dn;
	return m->sites[id].dn;
}

void model_refresh_begin(struct model *m)
{
	m->mark++;
}

void model_seen(struct model *m, struct span key)
{
	uint32_t id = map_get(&m->index->keys, key);

	if (id != MAP_NONE)
		set_mark(m, id);
}

void model_refresh_end(struct model *m, unsigned *changes)
{
	uint32_t i;

	for (i = m->nsites; i-- != 0;) {
		if (m->sites[i].mark != m->mark)
			remove_site(m, i, changes);
	}
	for (i = m->nconnectors; i-- != 0;) {
		if (m->connectors[i].mark != m->mark)
			remove_connector(m, i, changes);
	}
}

static int cmp_by_name(const void *a, const void *b, void *arg)
{
	const struct model *m = arg;

	return span_cmp(m->sites[*(const uint32_t *)a].name, m->sites[*(const uint32_t *)b].name);
}

static int order_sites(struct model *m)
{
	uint32_t *by_name, i;

	if (m->by_name_size < m->nsites) {
		by_name = mem_realloc(m->by_name, m->nsites * sizeof(*by_name));
		if (by_name == NULL)
			return RC_NOMEM;
		m->by_name = by_name;
		m->by_name_size = m->nsites;
	}
	m->nby_name = 0;
	for (i = 0; i < m->nsites; i++) {
		if (m->sites[i].live)
			m->by_name[m->nby_name++] = i;
	}
	if (m->nby_name > 1)
		qsort_r(m->by_name, m->nby_name, sizeof(*m->by_name), cmp_by_name, m);
	return RC_OK;
}

/* Of two sites with one name the bytewise first DN is the site, whichever came first. */
static int link_sites(struct model *m)
{
	uint32_t i, *holder;
	int rc = RC_OK;

	for (i = 0; i < m->nnames; i++)
		m->names[i].site = MODEL_NONE;
	map_clear(&m->index->site_dns);
	for (i = 0; i < m->nsites && rc == RC_OK; i++) {
		struct model_site *s = &m->sites[i];

		s->live = false;
		rc = map_put(&m->index->site_dns, s->dn_normal, i);
		if (s->name_id == MODEL_NONE)
			continue;
		holder = &m->names[s->name_id].site;
		if (*holder == MODEL_NONE ||
		    span_cmp(s->dn_normal, m->sites[*holder].dn_normal) < 0)
			*holder = i;
	}
	for (i = 0; i < m->nnames; i++) {
		if (m->names[i].site != MODEL_NONE)
			m->sites[m->names[i].site].live = true;
	}
	return rc == RC_OK ? order_sites(m) : rc;
}

/* The nearest ancestor that is a site. A ',' of a normal form always separates. */
static uint32_t site_above(const struct model *m, struct span dn_normal)
{
	struct span rest = dn_normal, rdn;
	uint32_t site;

	while (span_cut(&rest, ',', &rdn)) {
		site = map_get(&m->index->site_dns, rest);
		if (site != MAP_NONE)
			return m->sites[site].live ? site : MODEL_NONE;
	}
	return MODEL_NONE;
}

const struct model_pending *model_pending(const struct model *m)
{
	return &m->index->pending;
}

void model_pending_clear(struct model *m)
{
	m->index->pending.beyond = false;
	m->index->pending.n = 0;
}

int model_commit(struct model *m)
{
	bool stale = m->index->links_stale;
	uint32_t i;
	int rc;

	if (m->committed)
		return RC_OK;
	if (stale) {
		rc = link_sites(m);
		if (rc != RC_OK)
			return rc;
	}
	for (i = 0; i < m->nsites; i++)
		m->sites[i].inbound_ims = false;
	m->all_carry_all = true;
	for (i = 0; i < m->nconnectors; i++) {
		struct model_connector *c = &m->connectors[i];

		if (stale || c->site == MODEL_NONE)
			c->site = site_above(m, c->dn_normal);
		if (c->site == MODEL_NONE || !c->enabled)
			continue;
		m->all_carry_all = m->all_carry_all && c->carries == MODEL_CARRY_ALL;
		if (c->kind == MODEL_IMS && c->receives)
			m->sites[c->site].inbound_ims = true;
	}
	m->index->links_stale = false;
	m->committed = true;
	return RC_OK;
}

int model_find_site(const struct model *m, struct span name, uint32_t *out)
{
	uint32_t id = MAP_NONE;
	struct span folded;
	struct arena a;
	int rc;

	arena_init(&a);
	*out = MODEL_NONE;
	rc = address_fold(&a, name, &folded);
	if (rc == RC_OK)
		id = map_get(&m->index->names, folded);
	if (id != MAP_NONE)
		*out = m->names[id].site;
	arena_fini(&a);
	if (rc == RC_NOMEM)
		return rc;
	return *out != MODEL_NONE ? RC_OK : RC_NOTFOUND;
}
