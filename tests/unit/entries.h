/* Stored entries from text and at random, and filters from text: for tests of filter and plan. */
#pragma once

#include "dird/filter.h"

#include <stdlib.h>

static struct schema *schema;

static inline int load(void **state)
{
	(void)state;
	return schema_load(SCHEMADIR, &schema, NULL);
}

static inline int unload(void **state)
{
	(void)state;
	schema_free(&schema);
	return mem_live_blocks() == 0 ? 0 : -1;
}

/* --- an entry from "type: value" lines -------------------------------------------------------- */

struct fixture {
	struct arena a;
	struct buf record;
	struct attr_list list;
	struct entry entry;
};

static inline void add_value(struct fixture *x, struct span type, struct span value)
{
	struct attr *attr = NULL;
	unsigned i;

	for (i = 0; i < x->list.n; i++) {
		if (span_eq_nocase(x->list.attrs[i].type, type))
			attr = &x->list.attrs[i];
	}
	if (attr == NULL) {
		attr = &x->list.attrs[x->list.n++];
		attr->type = type;
		attr->values = arena_zalloc(&x->a, 32, sizeof(struct span));
	}
	attr->values[attr->nvalues++] = value;
}

static inline void fixture_build(struct fixture *x)
{
	struct entry_head head = {.rdn = SPAN_LIT("cn=x"), .rdn_normal = SPAN_LIT("cn=x")};
	enum entry_run runs[64];
	unsigned i;

	for (i = 0; i < x->list.n; i++)
		runs[i] = schema_run(schema, x->list.attrs[i].type);
	buf_init(&x->record, 1 << 20);
	assert_int_equal(entry_build(&head, &x->list, runs, &x->record), RC_OK);
	assert_int_equal(entry_open(buf_span(&x->record), &x->entry), RC_OK);
}

static inline void fixture_init(struct fixture *x, const char *text)
{
	struct span rest = span_of(text), line, type;

	*x = (struct fixture){0};
	arena_init(&x->a);
	x->list.attrs = arena_zalloc(&x->a, 64, sizeof(struct attr));
	while (rest.n != 0) {
		span_cut(&rest, '\n', &line);
		span_cut(&line, ':', &type);
		add_value(x, type, line);
	}
	fixture_build(x);
}

static inline void fixture_fini(struct fixture *x)
{
	buf_fini(&x->record);
	arena_fini(&x->a);
}

static inline struct filter *parse(struct arena *a, const char *text)
{
	const char *why = "";
	struct filter *f = NULL;
	struct span rest;
	struct buf ber;
	int rc;

	buf_init(&ber, 1 << 20);
	rc = filter_from_text(span_of(text), &ber, &why);
	if (rc != RC_OK)
		fail_msg("%s: %s", text, why);
	rest = buf_span(&ber);
	rc = filter_read(schema, &rest, a, &f, &why);
	if (rc != RC_OK || rest.n != 0)
		fail_msg("%s: %s", text, why);
	buf_fini(&ber);
	return f;
}

static uint64_t seed;

static inline unsigned roll(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)((seed >> 33) % n);
}

static const char *const some_values[] = {"a",
					  "A",
					  "ab",
					  "a b",
					  " a  b ",
					  "b",
					  "ba",
					  "1",
					  "12",
					  "-3",
					  "\xc3\xa4",
					  ("\xc3\x84"
					   "b")};

static inline bool is_number(const char *s)
{
	char *end;

	(void)strtol(s, &end, 10);
	return *end == '\0' && *s != '\0';
}

static inline void random_entry(struct fixture *x)
{
	static const char *const types[] = {"cn", "sn", "description", "uidNumber"};
	unsigned i, n = roll(6);

	*x = (struct fixture){0};
	arena_init(&x->a);
	x->list.attrs = arena_zalloc(&x->a, 64, sizeof(struct attr));
	for (i = 0; i < n; i++) {
		const char *type = types[roll(4)];
		const char *value = some_values[roll(UNIT_COUNT(some_values))];

		while (strcmp(type, "uidNumber") == 0 && !is_number(value))
			value = some_values[roll(UNIT_COUNT(some_values))];
		add_value(x, span_of(type), span_of(value));
	}
	fixture_build(x);
}
