#include "routed/history.h"

#include "lib/clock.h"

#include <stdlib.h>

/* --- writing --- */

struct owner {
	struct span site, domain;
};

static int cmp_owners(const void *a, const void *b)
{
	const struct owner *x = a, *y = b;

	return span_cmp(x->site, y->site);
}

/* Sites by name, with the domains that are theirs alone. */
static size_t list_owners(const struct table *t, struct owner *out)
{
	size_t n = 0;
	uint32_t i;

	for (i = 0; i < t->ndomains; i++) {
		uint32_t row = t->domains[i].row[TABLE_USER];

		if (row != TABLE_NONE)
			out[n++] = (struct owner){table_text(t, t->rows[row].target),
						  table_text(t, t->domains[i].domain)};
	}
	qsort(out, n, sizeof(*out), cmp_owners);
	return n;
}

static struct span domain_of(const struct owner *owners, size_t n, const struct rows_row *row)
{
	const struct owner key = {.site = row->target}, *found = NULL;

	if (n != 0 && span_eq(row->type, SPAN_LIT("EX")))
		found = bsearch(&key, owners, n, sizeof(*owners), cmp_owners);
	return found != NULL ? found->domain : SPAN_LIT("-");
}

static void put_change(const struct rows_change *c, struct span domain, struct buf *out)
{
	const struct rows_row *key = c->nbefore != 0 ? c->before : c->after;

	buf_puts(out, "change ");
	buf_put(out, domain);
	buf_putc(out, ' ');
	buf_put(out, key->cls);
	buf_putc(out, ' ');
	buf_put(out, key->type);
	buf_putc(out, ' ');
	buf_put(out, key->target);
	buf_putc(out, '\n');
	rows_change_write(c, out);
}

static void put_changes(const struct rows_change *changes, size_t n, const struct owner *owners,
			size_t nowners, struct buf *out)
{
	size_t begin = out->n, i;

	for (i = 0; i < n && out->n - begin < HISTORY_RECORD_BYTES; i++) {
		const struct rows_change *c = &changes[i];

		put_change(c, domain_of(owners, nowners, c->nbefore != 0 ? c->before : c->after),
			   out);
	}
	if (i < n)
		buf_printf(out, "more %zu\n", n - i);
}

static int write_difference(const struct table *before, const struct table *after, struct arena *a,
			    struct buf *out)
{
	struct rows old, new;
	struct rows_change *changes = NULL;
	struct owner *owners = arena_zalloc(a, before->ndomains + after->ndomains, sizeof(*owners));
	size_t n = 0, nowners = 0;
	int rc = owners != NULL ? rows_of_table(before, a, &old) : RC_NOMEM;

	if (rc == RC_OK)
		rc = rows_of_table(after, a, &new);
	if (rc == RC_OK)
		rc = rows_compare(&old, &new, a, &changes, &n);
	if (rc != RC_OK)
		return rc;
	nowners = list_owners(after->ndomains != 0 ? after : before, owners);
	put_changes(changes, n, owners, nowners, out);
	return RC_OK;
}

int history_write(const struct table *before, const struct table *after,
		  const struct history_head *head, struct buf *out)
{
	char when[CLOCK_RFC3339_BYTES];
	struct span rest = head->causes, line;
	struct arena a;
	int rc = RC_OK;

	clock_rfc3339(head->wall_us, when);
	buf_printf(out, "table %s generation=%lu rows=%u\n", when, head->generation, after->nrows);
	while (rest.n != 0) {
		(void)span_cut(&rest, '\n', &line);
		buf_puts(out, "why ");
		buf_put(out, line);
		buf_putc(out, '\n');
	}
	arena_init(&a);
	if (before != NULL)
		rc = write_difference(before, after, &a, out);
	arena_fini(&a);
	buf_putc(out, '\n');
	return rc == RC_OK ? buf_rc(out) : rc;
}

/* --- reading --- */

bool history_next(struct span *text, struct span *record)
{
	const uint8_t *end = text->n != 0 ? memmem(text->p, text->n, "\n\n", 2) : NULL;
	size_t n;

	if (end == NULL)
		return false;
	n = (size_t)(end - text->p) + 2;
	*record = span_head(*text, n);
	*text = span_from(*text, n);
	return true;
}

unsigned history_count(struct span text)
{
	struct span record;
	unsigned n = 0;

	while (history_next(&text, &record))
		n++;
	return n;
}

struct span history_tail(struct span text, unsigned n)
{
	unsigned have = history_count(text);
	struct span record;

	for (; have > n; have--)
		(void)history_next(&text, &record);
	return text;
}

/* Line by line; the word in front tells the kind. */
static bool next_line(struct span *record, struct span *word, struct span *rest)
{
	struct span line;

	if (record->n == 0)
		return false;
	(void)span_cut(record, '\n', &line);
	if (line.n == 0)
		return false;
	*rest = line;
	(void)span_cut(rest, ' ', word);
	return true;
}

/* Is it the site, its domain, or a name below that? */
static bool names(struct span domain, struct span target, struct span name)
{
	struct span head;

	if (name.n == 0 || span_eq_nocase(target, name))
		return true;
	while (name.n != 0 && memchr(name.p, '@', name.n) != NULL)
		(void)span_cut(&name, '@', &head);
	while (name.n != 0) {
		if (span_eq_nocase(domain, name))
			return true;
		(void)span_cut(&name, '.', &head);
	}
	return false;
}

static bool change_names(struct span rest, struct span name)
{
	struct span domain, cls, type;

	(void)span_cut(&rest, ' ', &domain);
	(void)span_cut(&rest, ' ', &cls);
	(void)span_cut(&rest, ' ', &type);
	return names(domain, rest, name);
}

bool history_concerns(struct span record, struct span name)
{
	struct span word, rest;

	while (next_line(&record, &word, &rest)) {
		if (span_eq(word, SPAN_LIT("change")) && change_names(rest, name))
			return true;
	}
	return false;
}

static bool is_row(struct span word)
{
	return span_eq(word, SPAN_LIT("-")) || span_eq(word, SPAN_LIT("+"));
}

static void json_member(struct span pair, struct buf *out)
{
	struct span key;

	(void)span_cut(&pair, '=', &key);
	buf_puts(out, ",\"");
	buf_put(out, key);
	buf_puts(out, "\":");
	buf_put(out, pair);
}

static void json_causes(struct span record, struct buf *out)
{
	struct span word, rest;
	const char *between = "";

	buf_puts(out, ",\"causes\":[");
	while (next_line(&record, &word, &rest)) {
		if (!span_eq(word, SPAN_LIT("why")))
			continue;
		buf_puts(out, between);
		table_json_string(rest, out);
		between = ",";
	}
	buf_puts(out, "]");
}

static void json_changes(struct span record, struct span name, struct buf *out)
{
	struct span word, rest, more = SPAN_LIT("0");
	const char *between = "";
	bool chosen = false;

	buf_puts(out, ",\"changes\":[");
	while (next_line(&record, &word, &rest)) {
		struct span line = span_make(word.p, (size_t)(rest.p + rest.n - word.p));

		if (span_eq(word, SPAN_LIT("change")))
			chosen = change_names(rest, name);
		else if (span_eq(word, SPAN_LIT("more")))
			more = rest;
		if (!chosen || !is_row(word))
			continue;
		buf_puts(out, between);
		table_json_string(line, out);
		between = ",";
	}
	buf_puts(out, "],\"more\":");
	buf_put(out, more);
}

void history_json(struct span record, struct span name, struct buf *out)
{
	struct span at = record, word, rest, when, pair;

	if (!next_line(&at, &word, &rest) || !span_eq(word, SPAN_LIT("table")))
		return;
	(void)span_cut(&rest, ' ', &when);
	buf_puts(out, "{\"time\":");
	table_json_string(when, out);
	while (rest.n != 0) {
		(void)span_cut(&rest, ' ', &pair);
		json_member(pair, out);
	}
	json_causes(record, out);
	json_changes(record, name, out);
	buf_puts(out, "}\n");
}

void history_text(struct span record, struct span name, struct buf *out)
{
	struct span word, rest;
	bool chosen = false;

	while (next_line(&record, &word, &rest)) {
		if (span_eq(word, SPAN_LIT("change"))) {
			chosen = change_names(rest, name);
			continue;
		}
		if (span_eq(word, SPAN_LIT("why"))) {
			buf_puts(out, "  because: ");
		} else if (span_eq(word, SPAN_LIT("more"))) {
			buf_puts(out, "  more changes than are kept: ");
		} else if (is_row(word)) {
			if (!chosen)
				continue;
			buf_puts(out, "  ");
			buf_put(out, word);
			buf_putc(out, ' ');
		}
		buf_put(out, rest);
		buf_putc(out, '\n');
	}
	buf_putc(out, '\n');
}
