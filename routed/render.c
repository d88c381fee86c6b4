#include "routed/render.h"

#include "lib/idna.h"
#include "routed/address.h"
#include "routed/lookup.h"

#include <stdlib.h>

/* No pattern for some local part or some host that a person would write fits these. */
#define ANY_LOCAL "=any=@"
#define ANY_HOST "=any="

struct work {
	const struct table *t;
	struct arena *a;
	struct buf scratch, reply, probe;
	struct render_row *rows;
	size_t n, room;
	size_t left_out;
};

const char *render_map_name(enum render_map map)
{
	static const char *const names[RENDER_MAPS] = {"transport", "relaydomains", "tlspolicy"};

	return names[map];
}

/* --- keys and values --- */

/* A file of text has no place for others: blanks end a key, '#' and '"' have a meaning. */
static bool is_key(struct span key)
{
	size_t i;

	for (i = 0; i < key.n; i++) {
		if (key.p[i] <= ' ' || key.p[i] == 0x7f || key.p[i] == '"')
			return false;
	}
	return key.n != 0 && key.p[0] != '#';
}

static int grow(struct work *w)
{
	size_t room = w->room != 0 ? w->room * 2 : 64;
	struct render_row *rows = mem_realloc(w->rows, room * sizeof(*rows));

	if (rows == NULL)
		return RC_NOMEM;
	w->rows = rows;
	w->room = room;
	return RC_OK;
}

static int add(struct work *w, struct span key, struct span value)
{
	struct render_row row = {.key = arena_span(w->a, key), .value = arena_span(w->a, value)};

	if (row.key.p == NULL || row.value.p == NULL)
		return RC_NOMEM;
	if (w->n == w->room && grow(w) != RC_OK)
		return RC_NOMEM;
	w->rows[w->n++] = row;
	return RC_OK;
}

typedef void ask_fn(const struct table *t, struct span key, struct buf *scratch, struct buf *reply);

/* The live answer without its status word, empty for NOTFOUND. RC_MORE: it can not be told (TEMP).
 */
static int ask(struct work *w, ask_fn *map, struct span key, struct span *out)
{
	struct span status;

	buf_clear(&w->reply);
	map(w->t, key, &w->scratch, &w->reply);
	*out = buf_span(&w->reply);
	if (buf_rc(&w->reply) != RC_OK)
		return buf_rc(&w->reply);
	(void)span_cut(out, ' ', &status);
	if (span_eq(status, SPAN_LIT("TEMP")))
		return RC_MORE;
	if (!span_eq(status, SPAN_LIT("OK")))
		*out = span_make(NULL, 0);
	return RC_OK;
}

/* "d" as an address at it, ".d" as an address at a host below, "*" at a domain of nobody. */
static struct span probe_of(struct work *w, struct span key)
{
	buf_clear(&w->probe);
	buf_puts(&w->probe, ANY_LOCAL);
	if (key.p[0] == '.' || key.p[0] == '*')
		buf_puts(&w->probe, ANY_HOST);
	buf_put(&w->probe, key.p[0] == '*' ? span_from(key, 1) : key);
	return buf_span(&w->probe);
}

/* The same key with A-labels; an empty one if that is no other. */
static int ascii_of(struct span key, struct buf *out)
{
	size_t i, dot = key.p[0] == '.';
	int rc;

	for (i = 0; i < key.n && key.p[i] < 0x80; i++)
		;
	if (i == key.n)
		return RC_OK;
	buf_put(out, span_head(key, dot));
	rc = idna_to_ascii(span_from(key, dot), out);
	if (rc == RC_OK)
		return buf_rc(out);
	buf_clear(out);
	return rc == RC_NOMEM ? rc : RC_OK;
}

static int add_both_forms(struct work *w, struct span key, struct span value)
{
	struct buf ascii;
	int rc;

	buf_init(&ascii, IDNA_DOMAIN_MAX_BYTES + 8);
	rc = ascii_of(key, &ascii);
	if (rc == RC_OK && ascii.n != 0)
		rc = add(w, buf_span(&ascii), value);
	buf_fini(&ascii);
	return rc == RC_OK ? add(w, key, value) : rc;
}

/* --- transport --- */

static int add_route(struct work *w, struct span key, struct span asked)
{
	struct span value;
	int rc = ask(w, lookup_transport, asked, &value);

	if (rc != RC_OK)
		return rc == RC_MORE ? RC_NOMEM : rc; /* no other doubt with a table at hand */
	/* Of this site, or of several: as if there were no transport table. */
	return add_both_forms(w, key, value.n != 0 ? value : SPAN_LIT(":"));
}

static int add_part(struct work *w, struct span key)
{
	struct span probe = probe_of(w, key);

	return buf_rc(&w->probe) != RC_OK ? buf_rc(&w->probe) : add_route(w, key, probe);
}

static int with_dot(struct work *w, struct span domain, struct span *out)
{
	char *text = arena_printf(w->a, ".%.*s", (int)domain.n, (const char *)domain.p);

	if (text == NULL)
		return RC_NOMEM;
	*out = span_of(text);
	return RC_OK;
}

static int add_domain_and_below(struct work *w, struct span domain)
{
	struct span below;
	int rc = with_dot(w, domain, &below);

	if (rc == RC_OK)
		rc = add_part(w, domain);
	return rc == RC_OK ? add_part(w, below) : rc;
}

/* What a pattern stands for among the parts that Postfix asks with; empty if for none. */
static struct span part_of(struct span pattern)
{
	static const struct span everything = {(const uint8_t *)"*", 1};
	struct span rest = pattern;

	if (pattern.n == 0 || span_eq(pattern, SPAN_LIT("*@*")))
		return everything;
	if (span_starts(rest, SPAN_LIT("*@*.")))
		rest = span_from(rest, 2);
	if (span_eq(rest, everything))
		return everything;
	if (rest.p[0] == '*')
		rest = span_from(rest, 1);
	if (address_is_wild(rest) || rest.n < 2)
		return span_make(NULL, 0);
	if (rest.p[0] == '@' && memchr(rest.p + 1, '@', rest.n - 1) == NULL)
		return span_from(rest, 1);
	return rest.p[0] == '.' && memchr(rest.p, '@', rest.n) == NULL ? rest : span_make(NULL, 0);
}

static int add_space(struct work *w, struct span pattern)
{
	struct span folded, part;
	int rc = address_fold(w->a, pattern, &folded);

	if (rc != RC_OK)
		return rc == RC_NOMEM ? rc : RC_OK;
	part = part_of(folded);
	if (part.n != 0)
		return add_part(w, part);
	if (folded.n != 0 && !address_is_wild(folded) && is_key(folded))
		return memchr(folded.p, '@', folded.n) != NULL ? add_route(w, folded, folded)
							       : RC_OK;
	w->left_out++;
	return RC_OK;
}

static int add_spaces(struct work *w)
{
	const struct table *t = w->t;
	uint32_t i;
	int rc = RC_OK;

	for (i = 0; i < t->nrows && rc == RC_OK; i++) {
		if (t->rows[i].cls == TABLE_USER &&
		    span_eq(t->texts[t->rows[i].type], SPAN_LIT("SMTP")))
			rc = add_space(w, t->texts[t->rows[i].target]);
	}
	return rc;
}

static int add_systems(struct work *w)
{
	uint32_t i;
	int rc = RC_OK;

	for (i = 0; i < w->t->nsystems && rc == RC_OK; i++) {
		struct span address = w->t->texts[w->t->systems[i]];

		if (is_key(address))
			rc = add_route(w, address, address);
		else
			w->left_out++;
	}
	return rc;
}

static int transport_rows(struct work *w)
{
	uint32_t i;
	int rc = add_systems(w);

	for (i = 0; i < w->t->ndomains && rc == RC_OK; i++)
		rc = add_domain_and_below(w, w->t->texts[w->t->domains[i].domain]);
	for (i = 0; i < w->t->npins && rc == RC_OK; i++)
		rc = add_part(w, w->t->texts[w->t->pins[i].domain]);
	return rc == RC_OK ? add_spaces(w) : rc;
}

/* --- relay domains --- */

static int relay_domain_rows(struct work *w)
{
	struct span domain, value;
	uint32_t i;
	int rc = RC_OK;

	for (i = 0; i < w->t->ndomains && rc == RC_OK; i++) {
		domain = w->t->texts[w->t->domains[i].domain];
		rc = ask(w, lookup_relay_domain, domain, &value);
		if (rc == RC_OK && value.n != 0)
			rc = add_both_forms(w, domain, value);
	}
	return rc == RC_MORE ? RC_NOMEM : rc;
}

/* --- TLS policy --- */

static int add_next_hop(struct work *w, struct span route)
{
	struct span transport, policy;
	int rc;

	if (!span_cut(&route, ':', &transport) || route.n == 0 || route.p[0] != '[')
		return RC_OK;
	rc = ask(w, lookup_tls_policy, route, &policy);
	if (rc == RC_MORE)
		return add(w, route, SPAN_LIT(MODEL_TLS_UNKNOWN));
	return rc == RC_OK && policy.n != 0 ? add(w, route, policy) : rc;
}

/* Hosts of the transport map: Postfix asks with them as they are written there. */
static int add_next_hops(struct work *w)
{
	struct render_rows routes;
	size_t i;
	int rc = render_rows(w->t, RENDER_TRANSPORT, w->a, &routes);

	for (i = 0; rc == RC_OK && i < routes.n; i++)
		rc = add_next_hop(w, routes.items[i].value);
	return rc;
}

static int tls_policy_rows(struct work *w)
{
	struct span domain, below, policy;
	uint32_t i;
	int rc = RC_OK;

	for (i = 0; i < w->t->ndomains && rc == RC_OK; i++) {
		domain = w->t->texts[w->t->domains[i].domain];
		if (!table_tls(w->t, domain, &policy) || policy.n == 0)
			continue;
		rc = with_dot(w, domain, &below);
		if (rc == RC_OK)
			rc = add_both_forms(w, domain, policy);
		if (rc == RC_OK)
			rc = add_both_forms(w, below, policy);
	}
	return rc == RC_OK ? add_next_hops(w) : rc;
}

/* --- all of them --- */

static int by_key(const void *a, const void *b)
{
	return span_cmp(((const struct render_row *)a)->key, ((const struct render_row *)b)->key);
}

static int take(struct work *w, struct render_rows *out)
{
	size_t i;

	*out = (struct render_rows){.left_out = w->left_out};
	out->items = arena_zalloc(w->a, w->n != 0 ? w->n : 1, sizeof(*out->items));
	if (out->items == NULL)
		return RC_NOMEM;
	if (w->n != 0)
		qsort(w->rows, w->n, sizeof(*w->rows), by_key);
	for (i = 0; i < w->n; i++) {
		if (out->n == 0 || !span_eq(out->items[out->n - 1].key, w->rows[i].key))
			out->items[out->n++] = w->rows[i];
	}
	return RC_OK;
}

int render_rows(const struct table *t, enum render_map map, struct arena *a,
		struct render_rows *out)
{
	static int (*const fill[RENDER_MAPS])(struct work *) = {transport_rows, relay_domain_rows,
								tls_policy_rows};
	struct work w = {.t = t, .a = a};
	int rc;

	buf_init(&w.scratch, 1 << 16);
	buf_init(&w.reply, 1 << 16);
	buf_init(&w.probe, 1 << 16);
	rc = fill[map](&w);
	if (rc == RC_OK)
		rc = take(&w, out);
	buf_fini(&w.scratch);
	buf_fini(&w.reply);
	buf_fini(&w.probe);
	mem_free(w.rows);
	return rc;
}

void render_text(const struct render_rows *rows, struct buf *out)
{
	size_t i;

	for (i = 0; i < rows->n; i++) {
		buf_put(out, rows->items[i].key);
		buf_putc(out, '\t');
		buf_put(out, rows->items[i].value);
		buf_putc(out, '\n');
	}
}

bool render_target_parse(const char *target, enum render_format *format, const char **folder)
{
	static const char *const names[] = {
		[RENDER_TEXTHASH] = "texthash:", [RENDER_LMDB] = "lmdb:"};
	unsigned i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		size_t n = strlen(names[i]);

		if (strncmp(target, names[i], n) == 0 && target[n] != '\0') {
			*format = i;
			*folder = target + n;
			return true;
		}
	}
	return false;
}
