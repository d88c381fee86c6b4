/* A model out of LDIF text, and tables as JSON lines, for the tests of routing. */
#pragma once

#include "tests/unit/unit.h"

#include "lib/dn.h"
#include "lib/ldif.h"
#include "routed/compute.h"

static inline int routing_put(struct model *m, struct arena *a, const struct ldif_record *rec,
			      unsigned *changes)
{
	struct model_attr *attrs = arena_zalloc(a, rec->nattrs, sizeof(*attrs));
	struct span key;
	unsigned i;
	int rc = attrs != NULL ? dn_normalize_text(a, rec->dn, &key) : RC_NOMEM;

	for (i = 0; i < rec->nattrs && rc == RC_OK; i++)
		attrs[i] = (struct model_attr){rec->attrs[i].type, rec->attrs[i].values,
					       rec->attrs[i].nvalues};
	return rc == RC_OK ? model_put(m, key, rec->dn, attrs, rec->nattrs, changes) : rc;
}

/** Feed every entry of the text; the key is the normalized DN. */
static inline int routing_feed(struct model *m, const char *text, unsigned *changes)
{
	FILE *f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	struct ldif_reader *reader = NULL;
	struct ldif_record rec;
	const char *why;
	struct arena a;
	int rc = f != NULL ? ldif_reader_new(f, false, &reader) : RC_NOMEM;

	arena_init(&a);
	while (rc == RC_OK) {
		rc = ldif_read(reader, &a, &rec, NULL, &why);
		if (rc == RC_OK)
			rc = routing_put(m, &a, &rec, changes);
		arena_fini(&a);
	}
	ldif_reader_free(&reader);
	if (f != NULL)
		fclose(f);
	return rc == RC_DONE ? RC_OK : rc;
}

/** A committed model; NULL ends the list of texts. */
static inline struct model *routing_model(const char *const *texts)
{
	struct model *m = NULL;
	unsigned changes = 0;

	assert_int_equal(model_new(&m), RC_OK);
	for (; *texts != NULL; texts++)
		assert_int_equal(routing_feed(m, *texts, &changes), RC_OK);
	assert_int_equal(model_commit(m), RC_OK);
	return m;
}

/** The table of a site; fails the test without one. */
static inline struct table *routing_table(const struct model *m, const char *site)
{
	struct table *t = NULL;

	assert_int_equal(compute_table(m, span_of(site), &t), RC_OK);
	assert_non_null(t);
	return t;
}
