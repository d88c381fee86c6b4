/* The operations of bench_load: requests, and what the right answer is. */
#include "dird/filter.h"
#include "tests/bench/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS 256

static uint64_t random_person(struct load *l)
{
	return people_mix(l->seq++, l->seed) % l->people;
}

static void dn_of(const struct person *p, char out[static 128])
{
	snprintf(out, 128, "uid=%s,%s", p->uid, PEOPLE_BASE);
}

static void expect(struct expect *e, uint8_t tag, int code)
{
	memset(e, 0, sizeof(*e));
	e->done_tag = tag;
	e->code = code;
	e->entries = -1;
}

/* --- searches --------------------------------------------------------------------------------- */

static void search(struct buf *out, const char *base, int scope, int limit, const char *filter)
{
	size_t mark = tlv_open(out, TLV_APP_CONS(3)), attrs;
	const char *why = NULL;

	tlv_put(out, TLV_OCTETS, span_of(base));
	tlv_put_int(out, TLV_ENUM, scope);
	tlv_put_int(out, TLV_ENUM, 0);
	tlv_put_int(out, TLV_INTEGER, limit);
	tlv_put_int(out, TLV_INTEGER, 0);
	tlv_put_bool(out, TLV_BOOLEAN, false);
	must(filter_from_text(span_of(filter), out, &why) == 0);
	attrs = tlv_open(out, TLV_SEQUENCE);
	tlv_close(out, attrs);
	tlv_close(out, mark);
}

static void build_base(struct load *l, struct buf *out, struct expect *e)
{
	struct person p;
	char dn[128];

	people_make(random_person(l), &p);
	dn_of(&p, dn);
	search(out, dn, 0, 0, "(objectClass=*)");
	expect(e, TLV_APP_CONS(5), 0);
	e->entries = 1;
	snprintf(e->needle, sizeof(e->needle), "%s", p.mail);
}

static void build_equal(struct load *l, struct buf *out, struct expect *e)
{
	struct person p;
	char filter[200];
	uint64_t i = random_person(l);

	people_make(i, &p);
	if (i % 2 != 0)
		snprintf(filter, sizeof(filter), "(mail=%s)", p.mail);
	else
		snprintf(filter, sizeof(filter), "(uid=%s)", p.uid);
	search(out, "o=Example", 2, 0, filter);
	expect(e, TLV_APP_CONS(5), 0);
	e->entries = 1;
	snprintf(e->needle, sizeof(e->needle), "%s", p.mail);
}

static void build_miss(struct load *l, struct buf *out, struct expect *e)
{
	char filter[200];

	snprintf(filter, sizeof(filter), "(mail=nobody.%llu@example.com)",
		 (unsigned long long)random_person(l));
	search(out, "o=Example", 2, 0, filter);
	expect(e, TLV_APP_CONS(5), 0);
	e->entries = 0;
}

static void build_presence(struct load *l, struct buf *out, struct expect *e)
{
	l->seq++;
	search(out, "o=Example", 2, 20, "(displayName=*)");
	expect(e, TLV_APP_CONS(5), 4);
	e->entries = 20;
}

/* Every entry is looked at; none matches. */
static void build_scan(struct load *l, struct buf *out, struct expect *e)
{
	l->seq++;
	search(out, "o=Example", 2, 0, "(roomNumber=nowhere)");
	expect(e, TLV_APP_CONS(5), 0);
	e->entries = 0;
}

static void build_dump(struct load *l, struct buf *out, struct expect *e)
{
	l->seq++;
	search(out, PEOPLE_BASE, 2, 0, "(objectClass=*)");
	expect(e, TLV_APP_CONS(5), 0);
	e->entries = (int64_t)l->people + 1;
}

void build_page(struct buf *out, unsigned page, struct span cookie, struct expect *e)
{
	size_t controls, control, value;
	struct buf inner;

	search(out, PEOPLE_BASE, 1, 0, "(objectClass=*)");
	buf_init(&inner, 4096);
	value = tlv_open(&inner, TLV_SEQUENCE);
	tlv_put_int(&inner, TLV_INTEGER, page);
	tlv_put(&inner, TLV_OCTETS, cookie);
	tlv_close(&inner, value);
	controls = tlv_open(out, TLV_CONTEXT_CONS(0));
	control = tlv_open(out, TLV_SEQUENCE);
	tlv_put(out, TLV_OCTETS, span_of("1.2.840.113556.1.4.319"));
	tlv_put_bool(out, TLV_BOOLEAN, true);
	tlv_put(out, TLV_OCTETS, buf_span(&inner));
	tlv_close(out, control);
	tlv_close(out, controls);
	buf_fini(&inner);
	expect(e, TLV_APP_CONS(5), 0);
}

static void build_sync(struct load *l, struct buf *out, struct expect *e)
{
	static const uint8_t refresh_only[] = {0x30, 0x03, 0x0a, 0x01, 0x01};
	size_t controls, control;

	build_dump(l, out, e);
	controls = tlv_open(out, TLV_CONTEXT_CONS(0));
	control = tlv_open(out, TLV_SEQUENCE);
	tlv_put(out, TLV_OCTETS, span_of("1.3.6.1.4.1.4203.1.9.1.1"));
	tlv_put_bool(out, TLV_BOOLEAN, true);
	tlv_put(out, TLV_OCTETS, span_make(refresh_only, sizeof(refresh_only)));
	tlv_close(out, control);
	tlv_close(out, controls);
}

/* --- searches for parts of names -------------------------------------------------------------- */

static void lower(char *s)
{
	for (; *s != '\0'; s++)
		*s = (char)span_ascii_lower((uint8_t)*s);
}

static bool starts(const char *value, const char *with)
{
	return strncasecmp(value, with, strlen(with)) == 0;
}

static bool has(const char *value, const char *part)
{
	return strcasestr(value, part) != NULL;
}

static bool is_ascii(const char *s)
{
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s >= 0x80)
			return false;
	}
	return true;
}

/* A part of a name that is ASCII, of `n` characters. */
static void part(const char *name, size_t from, int n, char out[static 64])
{
	size_t len = strlen(name);

	if (!is_ascii(name)) {
		out[0] = '\0';
		return;
	}
	if (from + (size_t)n > len)
		from = len > (size_t)n ? len - (size_t)n : 0;
	snprintf(out, 64, "%.*s", n, name + from);
	lower(out);
	/* A blank at an end is a matter of string preparation (RFC 4518 §2.6.1), seen differently.
	 */
	if (out[0] == ' ' || (out[0] != '\0' && out[strlen(out) - 1] == ' '))
		out[0] = '\0';
}

static void choose_prefix(const struct person *p, uint64_t r, struct word *w)
{
	part(r & 1 ? p->given : p->family, 0, 3, w->text);
}

static bool match_prefix(const struct person *p, const struct word *w)
{
	return starts(p->given, w->text) || starts(p->family, w->text) || starts(p->mail, w->text);
}

static void choose_part(const struct person *p, uint64_t r, struct word *w)
{
	part(r & 1 ? p->given : p->family, 1, 4, w->text);
}

/* Three to a search are found nowhere, or once. */
static void choose_rare(const struct person *p, uint64_t r, struct word *w)
{
	char cn[128];

	people_cn(p, cn);
	part(cn, 2 + (r >> 8) % 3, 9, w->text);
	if (r % 3 == 0 && w->text[0] != '\0')
		w->text[3] = 'q';
}

static bool match_part(const struct person *p, const struct word *w)
{
	char cn[128];

	people_cn(p, cn);
	return has(cn, w->text);
}

static void choose_two(const struct person *p, uint64_t r, struct word *w)
{
	part(p->given, 0, 3, w->text);
	part(p->family, 0, r & 1 ? 2 : 3, w->second);
}

static bool match_two(const struct person *p, const struct word *w)
{
	char both[130], cn[128];

	snprintf(both, sizeof(both), "%s %s", w->text, w->second);
	people_cn(p, cn);
	return starts(cn, both) || (starts(p->given, w->text) && starts(p->family, w->second)) ||
	       (starts(p->given, w->second) && starts(p->family, w->text));
}

static void choose_han(const struct person *p, uint64_t r, struct word *w)
{
	w->text[0] = '\0';
	if (!is_ascii(p->given) && (uint8_t)p->given[0] >= 0xe3)
		snprintf(w->text, sizeof(w->text), "%s", r & 1 ? p->given : p->family);
}

static void choose_short(const struct person *p, uint64_t r, struct word *w)
{
	part(r & 1 ? p->given : p->family, 1, 1 + (int)(r >> 1 & 1), w->text);
}

void kind_words(struct load *l)
{
	struct person p;
	uint64_t i;
	unsigned k;

	if (l->kind->choose == NULL)
		return;
	l->words = calloc(WORDS, sizeof(*l->words));
	must(l->words != NULL);
	for (i = 0; l->nwords < WORDS; i++) {
		uint64_t r = people_mix(i, 77);

		must(i < 1000 * WORDS);
		people_make(people_mix(i, 78) % l->people, &p);
		l->kind->choose(&p, r, &l->words[l->nwords]);
		l->nwords += l->words[l->nwords].text[0] != '\0';
	}
	for (i = 0; i < l->people; i++) {
		people_make(i, &p);
		for (k = 0; k < l->nwords; k++) {
			if (l->words[k].matches <= WORD_LIMIT && l->kind->match(&p, &l->words[k]))
				l->words[k].matches++;
		}
	}
}

static const struct word *next_word(struct load *l)
{
	return &l->words[people_mix(l->seq++, l->seed) % l->nwords];
}

static void search_words(struct buf *out, const char *filter, const struct word *w,
			 struct expect *e)
{
	/* short words are also in names of what the servers have beside the people */
	search(out, strlen(w->text) < 3 ? PEOPLE_BASE : "o=Example", 2, WORD_LIMIT, filter);
	expect(e, TLV_APP_CONS(5), w->matches > WORD_LIMIT ? 4 : 0);
	e->entries = w->matches > WORD_LIMIT ? WORD_LIMIT : w->matches;
}

static void build_autocomplete(struct load *l, struct buf *out, struct expect *e)
{
	const struct word *w = next_word(l);
	char f[400];

	snprintf(f, sizeof(f), "(|(cn=%s*)(sn=%s*)(givenName=%s*)(mail=%s*))", w->text, w->text,
		 w->text, w->text);
	search_words(out, f, w, e);
}

static void build_contains(struct load *l, struct buf *out, struct expect *e)
{
	const struct word *w = next_word(l);
	char f[400];

	snprintf(f, sizeof(f), "(|(cn=*%s*)(sn=*%s*)(givenName=*%s*)(displayName=*%s*))", w->text,
		 w->text, w->text, w->text);
	search_words(out, f, w, e);
}

static void build_anr(struct load *l, struct buf *out, struct expect *e)
{
	const struct word *w = next_word(l);
	const char *a = w->text, *b = w->second;
	char f[1024];

	snprintf(f, sizeof(f),
		 "(|(displayName=%s %s*)(givenName=%s %s*)(sn=%s %s*)(mail=%s %s*)(uid=%s %s*)"
		 "(&(givenName=%s*)(sn=%s*))(&(givenName=%s*)(sn=%s*)))",
		 a, b, a, b, a, b, a, b, a, b, a, b, b, a);
	search_words(out, f, w, e);
}

/* --- other operations ------------------------------------------------------------------------- */

static void build_compare(struct load *l, struct buf *out, struct expect *e)
{
	size_t mark = tlv_open(out, TLV_APP_CONS(14)), ava;
	uint64_t i = random_person(l);
	struct person p;
	char dn[128];

	people_make(i, &p);
	dn_of(&p, dn);
	tlv_put(out, TLV_OCTETS, span_of(dn));
	ava = tlv_open(out, TLV_SEQUENCE);
	tlv_put(out, TLV_OCTETS, span_of("mail"));
	tlv_put(out, TLV_OCTETS, span_of(i % 2 != 0 ? p.mail : "nobody@example.com"));
	tlv_close(out, ava);
	tlv_close(out, mark);
	expect(e, TLV_APP_CONS(15), i % 2 != 0 ? 6 : 5);
}

void build_bind(struct buf *out, const char *dn, const char *password, struct expect *e)
{
	size_t mark = tlv_open(out, TLV_APP_CONS(0));

	tlv_put_int(out, TLV_INTEGER, 3);
	tlv_put(out, TLV_OCTETS, span_of(dn));
	tlv_put(out, TLV_CONTEXT(0), span_of(password));
	tlv_close(out, mark);
	expect(e, TLV_APP_CONS(1), 0);
}

static void build_bind_person(struct load *l, struct buf *out, struct expect *e)
{
	struct person p;
	char dn[128];

	people_make(random_person(l), &p);
	dn_of(&p, dn);
	build_bind(out, dn, PEOPLE_PASSWORD, e);
}

static void replace(struct load *l, const char *type, const char *value, struct buf *out,
		    struct expect *e)
{
	size_t op = tlv_open(out, TLV_APP_CONS(6)), list, change, attr, set;
	struct person p;
	char dn[128];

	people_make(random_person(l), &p);
	dn_of(&p, dn);
	tlv_put(out, TLV_OCTETS, span_of(dn));
	list = tlv_open(out, TLV_SEQUENCE);
	change = tlv_open(out, TLV_SEQUENCE);
	tlv_put_int(out, TLV_ENUM, 2);
	attr = tlv_open(out, TLV_SEQUENCE);
	tlv_put(out, TLV_OCTETS, span_of(type));
	set = tlv_open(out, TLV_SET);
	tlv_put(out, TLV_OCTETS, span_of(value));
	tlv_close(out, set);
	tlv_close(out, attr);
	tlv_close(out, change);
	tlv_close(out, list);
	tlv_close(out, op);
	expect(e, TLV_APP_CONS(7), 0);
	e->is_write = true;
}

static void build_modify(struct load *l, struct buf *out, struct expect *e)
{
	char value[64];

	snprintf(value, sizeof(value), "room %llu",
		 (unsigned long long)people_mix(l->seq, l->seed + 5));
	replace(l, "roomNumber", value, out, e);
}

static void build_modify_indexed(struct load *l, struct buf *out, struct expect *e)
{
	struct person a, b;
	char value[200];

	people_make(people_mix(l->seq, l->seed + 6), &a);
	people_make(people_mix(l->seq, l->seed + 7), &b);
	snprintf(value, sizeof(value), "%s %s %llu", a.given, b.family, (unsigned long long)l->seq);
	replace(l, "displayName", value, out, e);
}

static void build_add(struct load *l, struct buf *out, struct expect *e)
{
	size_t op = tlv_open(out, TLV_APP_CONS(8)), list, attr, set;
	const char *attrs[PEOPLE_ATTRS * 2];
	char dn[128], scratch[PEOPLE_SCRATCH];
	uint64_t i = l->first + l->seq++;
	struct person p;
	unsigned n, k;

	people_make(i, &p);
	dn_of(&p, dn);
	n = people_attrs(i, &p, scratch, attrs);
	tlv_put(out, TLV_OCTETS, span_of(dn));
	list = tlv_open(out, TLV_SEQUENCE);
	for (k = 0; k < n; k++) {
		attr = tlv_open(out, TLV_SEQUENCE);
		tlv_put(out, TLV_OCTETS, span_of(attrs[2 * k]));
		set = tlv_open(out, TLV_SET);
		tlv_put(out, TLV_OCTETS, span_of(attrs[2 * k + 1]));
		tlv_close(out, set);
		tlv_close(out, attr);
	}
	tlv_close(out, list);
	tlv_close(out, op);
	expect(e, TLV_APP_CONS(9), 0);
	e->is_write = true;
}

static void build_delete(struct load *l, struct buf *out, struct expect *e)
{
	struct person p;
	char dn[128];

	people_make(l->first + l->seq++, &p);
	dn_of(&p, dn);
	tlv_put(out, TLV_APP(10), span_of(dn));
	expect(e, TLV_APP_CONS(11), 0);
	e->is_write = true;
}

static void build_mixed(struct load *l, struct buf *out, struct expect *e)
{
	if (people_mix(l->seq, l->seed + 8) % 20 == 0)
		build_modify(l, out, e);
	else
		build_equal(l, out, e);
}

static const struct kind kinds[] = {
	{.name = "base", .build = build_base},
	{.name = "equal", .build = build_equal},
	{.name = "miss", .build = build_miss},
	{.name = "compare", .build = build_compare},
	{.name = "autocomplete",
	 .build = build_autocomplete,
	 .choose = choose_prefix,
	 .match = match_prefix},
	{.name = "contains", .build = build_contains, .choose = choose_part, .match = match_part},
	{.name = "contains-rare",
	 .build = build_contains,
	 .choose = choose_rare,
	 .match = match_part},
	{.name = "contains-short",
	 .build = build_contains,
	 .choose = choose_short,
	 .match = match_part},
	{.name = "contains-han",
	 .build = build_contains,
	 .choose = choose_han,
	 .match = match_part},
	{.name = "anr", .build = build_anr, .choose = choose_two, .match = match_two},
	{.name = "presence", .build = build_presence},
	{.name = "paged", .manner = PAGED, .per_entry = true},
	{.name = "dump", .build = build_dump, .per_entry = true},
	{.name = "scan", .build = build_scan},
	{.name = "sync", .build = build_sync, .per_entry = true, .is_admin = true},
	{.name = "bind", .build = build_bind_person},
	{.name = "connect", .build = build_bind_person, .manner = RECONNECT},
	{.name = "modify", .build = build_modify, .is_admin = true},
	{.name = "modify-indexed", .build = build_modify_indexed, .is_admin = true},
	{.name = "add", .build = build_add, .is_admin = true},
	{.name = "delete", .build = build_delete, .is_admin = true},
	{.name = "mixed", .build = build_mixed, .is_admin = true},
};

const struct kind *kind_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	}
	return NULL;
}

void kind_names(struct buf *out)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		buf_printf(out, " %s", kinds[i].name);
}
