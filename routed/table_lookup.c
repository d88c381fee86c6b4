#include "routed/address.h"
#include "routed/table_index.h"

#define FAST_BYTES 512

/* The folded address; printable ASCII of usual length costs no memory. */
static int fold_address(struct span address, uint8_t fast[static FAST_BYTES], struct arena *a,
			struct span *out)
{
	size_t i;

	for (i = 0; i < address.n && i < FAST_BYTES; i++) {
		if (address.p[i] <= ' ' || address.p[i] >= 0x7f)
			break;
		fast[i] = span_ascii_lower(address.p[i]);
	}
	if (i != address.n)
		return address_fold(a, address, out);
	if (i != 0 && fast[i - 1] == '.')
		i--;
	*out = span_make(fast, i);
	return RC_OK;
}

/* What follows the last '@'; false: it is not of the form local@domain. */
static bool domain_of(struct span folded, struct span *out)
{
	size_t at = folded.n;

	while (at != 0 && folded.p[at - 1] != '@')
		at--;
	*out = span_from(folded, at);
	return at > 1 && out->n != 0;
}

/* A longer suffix has more literal characters, so the first one found is the best. */
static uint32_t find_suffix(const struct table_spaces *s, struct span address)
{
	size_t i;

	for (i = 0; i < s->nsuffix_bytes; i++) {
		size_t n = s->suffix_bytes[i];
		uint32_t rank;

		if (n > address.n)
			continue;
		rank = map_get(&s->suffix, span_from(address, address.n - n));
		if (rank != MAP_NONE)
			return rank;
	}
	return TABLE_NONE;
}

/* Most literal characters first; among equals the cheaper, then the bytewise first pattern (R7). */
static uint32_t find_wild(const struct table_spaces *s, struct span address)
{
	uint32_t best = find_suffix(s, address), i;

	for (i = 0; i < s->ngeneral && s->general[i] < best; i++) {
		if (address_match(s->wilds[s->general[i]].folded, address)) {
			best = s->general[i];
			break;
		}
	}
	return best != TABLE_NONE ? s->wilds[best].row : s->blank;
}

/* A space out of this site's own IMS leaves for the recipient's domain, which may be pinned. */
static void apply_pin(const struct table *t, struct span domain, struct table_result *out)
{
	uint32_t i;

	if (out->row->mode != TABLE_LOCAL_SPACE || out->hop != TABLE_HOP_MX)
		return;
	for (i = 0; i < t->npins; i++) {
		if (t->pins[i].connector == out->row->connector &&
		    span_eq(t->texts[t->pins[i].domain], domain)) {
			out->hop = TABLE_HOP_HOST;
			out->nexthop = t->texts[t->pins[i].host];
			return;
		}
	}
}

static void result_of(const struct table *t, const struct table_row *row, struct table_result *out)
{
	struct span rest = table_text(t, row->nexthop), prefix;

	span_cut(&rest, ':', &prefix);
	*out = (struct table_result){
		.status = TABLE_FOUND,
		.row = row,
		.nrows = 1,
		.hop = row->hop,
		.nexthop = rest,
	};
}

static void found(const struct table *t, uint32_t row, struct table_result *out)
{
	const struct table_row *first = &t->rows[row];
	uint32_t n = 1;

	while (row + n < t->nrows && t->rows[row + n].cls == first->cls &&
	       t->rows[row + n].type == first->type && t->rows[row + n].target == first->target)
		n++;
	result_of(t, first, out);
	out->nrows = n;
}

void table_candidate(const struct table *t, const struct table_row *row, struct span domain,
		     struct table_result *out)
{
	result_of(t, row, out);
	apply_pin(t, domain, out);
}

static void answer(const struct table *t, uint32_t row, struct span domain,
		   struct table_result *out)
{
	if (row == TABLE_NONE)
		return;
	found(t, row, out);
	apply_pin(t, domain, out);
}

/* true: the domain is of the organisation, and *out says what follows from it. */
static bool lookup_domain(const struct table *t, struct span domain, enum table_class cls,
			  struct table_result *out)
{
	uint32_t at = map_get(&t->index->domains, domain);

	if (at == MAP_NONE)
		return false;
	switch ((enum table_owner)t->domains[at].owner) {
	case TABLE_OWNER_LOCAL:
		out->status = TABLE_LOCAL;
		break;
	case TABLE_OWNER_MANY:
		out->status = TABLE_SHARED;
		break;
	case TABLE_OWNER_SITE:
		found(t, t->domains[at].row[cls], out);
		break;
	}
	return true;
}

int table_lookup(const struct table *t, struct span address, enum table_class cls,
		 struct table_result *out)
{
	const struct table_spaces *s = &t->index->classes[cls];
	uint8_t fast[FAST_BYTES];
	struct span folded, domain;
	struct arena a;
	uint32_t row;
	int rc;

	arena_init(&a);
	*out = (struct table_result){.status = TABLE_ABSENT};
	rc = fold_address(address, fast, &a, &folded);
	if (rc == RC_OK && !domain_of(folded, &domain))
		rc = RC_INVALID;
	if (rc != RC_OK)
		goto out;
	row = map_get(&s->exact, folded);
	if (row != MAP_NONE) {
		answer(t, row, domain, out);
		goto out;
	}
	if (lookup_domain(t, domain, cls, out) &&
	    (out->status != TABLE_FOUND || out->row->mode != TABLE_NO_ROUTE || cls != TABLE_USER))
		goto out;
	answer(t, find_wild(s, folded), domain, out);
out:
	arena_fini(&a);
	return rc;
}

/* Is this the first row of the site of that folded name? */
static int is_site_row(const struct table *t, uint32_t row, enum table_class cls,
		       struct span folded, bool *out)
{
	const struct table_row *r = &t->rows[row];
	struct span name;
	struct arena a;
	int rc;

	*out = false;
	if (r->cls != cls || !span_eq(t->texts[r->type], SPAN_LIT("EX")))
		return RC_OK;
	arena_init(&a);
	rc = address_fold(&a, t->texts[r->target], &name);
	*out = rc == RC_OK && name.n != 0 && span_eq(name, folded);
	arena_fini(&a);
	return rc == RC_NOMEM ? rc : RC_OK;
}

static int find_site(const struct table *t, struct span folded, enum table_class cls, uint32_t *out)
{
	bool found_it = false;
	uint32_t i;
	int rc = RC_OK;

	*out = TABLE_NONE;
	for (i = 0; i < t->nrows && rc == RC_OK && !found_it; i++) {
		rc = is_site_row(t, i, cls, folded, &found_it);
		if (found_it)
			*out = i;
	}
	return rc;
}

int table_lookup_site(const struct table *t, struct span site, enum table_class cls,
		      struct table_result *out)
{
	struct span folded, own;
	struct arena a;
	uint32_t row = TABLE_NONE;
	int rc;

	arena_init(&a);
	*out = (struct table_result){.status = TABLE_ABSENT};
	rc = address_fold(&a, site, &folded);
	if (rc == RC_OK)
		rc = address_fold(&a, table_text(t, t->site), &own);
	if (rc == RC_OK)
		rc = find_site(t, folded, cls, &row);
	if (rc == RC_OK) {
		if (row != TABLE_NONE)
			found(t, row, out);
		else if (span_eq(folded, own))
			out->status = TABLE_LOCAL;
	}
	arena_fini(&a);
	return rc;
}

bool table_tls(const struct table *t, struct span domain, struct span *out)
{
	uint32_t at = map_get(&t->index->domains, domain);

	*out = span_make(NULL, 0);
	if (at != MAP_NONE)
		*out = table_text(t, t->domains[at].tls);
	return at != MAP_NONE;
}

enum table_class table_classify(const struct table *t, struct span address)
{
	enum table_class cls = TABLE_USER;
	uint8_t fast[FAST_BYTES];
	struct span folded;
	struct arena a;

	arena_init(&a);
	if (t->nsystems != 0 && fold_address(address, fast, &a, &folded) == RC_OK &&
	    map_get(&t->index->systems, folded) != MAP_NONE)
		cls = TABLE_SYSTEM;
	arena_fini(&a);
	return cls;
}
