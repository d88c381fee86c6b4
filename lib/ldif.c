/* Records. Lines are in ldif_line.c, writing is in ldif_write.c. */
#include "lib/ldif.h"

#include "lib/ldif_line.h"

#define LINE_MAX_BYTES (LDIF_VALUE_MAX_BYTES / 3 * 4 + 65536)

int ldif_reader_new(FILE *f, bool allow_urls, struct ldif_reader **out)
{
	struct ldif_reader *r = mem_zalloc(1, sizeof(*r));

	*out = r;
	if (r == NULL)
		return RC_NOMEM;
	r->f = f;
	r->allow_urls = allow_urls;
	buf_init(&r->line, LINE_MAX_BYTES);
	return RC_OK;
}

void ldif_reader_free(struct ldif_reader **r)
{
	if (*r == NULL)
		return;
	buf_fini(&(*r)->line);
	mem_free(*r);
	*r = NULL;
}

/* Room for one more item in an array that doubles; items are lost to the arena, not freed. */
static void *one_more(struct arena *a, void *items, unsigned n, size_t size)
{
	unsigned room = n == 0 ? 2 : n * 2;
	void *more;

	if (n != 0 && (n == 1 || (n & (n - 1)) != 0))
		return items;
	if (room <= n)
		return NULL;
	more = arena_zalloc(a, room, size);
	if (more != NULL && n != 0)
		memcpy(more, items, n * size);
	return more;
}

static struct ldif_attr *add_attr(struct arena *a, struct ldif_record *rec, struct span type)
{
	struct ldif_attr *attrs = one_more(a, rec->attrs, rec->nattrs, sizeof(*attrs));

	if (attrs == NULL)
		return NULL;
	rec->attrs = attrs;
	attrs[rec->nattrs] = (struct ldif_attr){.op = LDIF_OP_ADD, .type = type};
	return &attrs[rec->nattrs++];
}

/* The attribute of that type, made if it is new. Mostly it is the one of the line before. */
static struct ldif_attr *attr_of(struct arena *a, struct ldif_record *rec, struct span type)
{
	unsigned i;

	for (i = rec->nattrs; i-- > 0;) {
		if (span_eq_nocase(rec->attrs[i].type, type))
			return &rec->attrs[i];
	}
	return add_attr(a, rec, type);
}

static int add_value(struct ldif_reader *r, struct arena *a, struct ldif_attr *attr,
		     struct span value)
{
	struct span *values = one_more(a, attr->values, attr->nvalues, sizeof(*values));

	if (values == NULL)
		return ldif_no_memory(r);
	attr->values = values;
	values[attr->nvalues++] = value;
	return RC_OK;
}

static int put_line(struct ldif_reader *r, struct arena *a, struct ldif_record *rec,
		    struct span type, struct span value)
{
	struct ldif_attr *attr = attr_of(a, rec, type);

	return attr == NULL ? ldif_no_memory(r) : add_value(r, a, attr, value);
}

static int read_attrs(struct ldif_reader *r, struct arena *a, struct ldif_record *rec)
{
	struct span type, value;
	int rc;

	while ((rc = ldif_next_in_record(r)) == RC_OK) {
		rc = ldif_split_line(r, a, &type, &value);
		if (rc == RC_OK)
			rc = put_line(r, a, rec, type, value);
		if (rc != RC_OK)
			return rc;
	}
	if (rc != RC_DONE)
		return rc;
	return rec->nattrs == 0 ? ldif_broken(r, "record without attributes") : RC_OK;
}

static bool parse_op(struct span word, enum ldif_op *out)
{
	static const char *const names[] = {
		[LDIF_OP_ADD] = "add",
		[LDIF_OP_DELETE] = "delete",
		[LDIF_OP_REPLACE] = "replace",
		[LDIF_OP_INCREMENT] = "increment", /* RFC 4525 */
	};
	unsigned i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (span_eq_nocase(word, span_of(names[i]))) {
			*out = (enum ldif_op)i;
			return true;
		}
	}
	return false;
}

/* The values of one mod-spec up to its "-"; the last one of a record may go without. */
static int read_mod_values(struct ldif_reader *r, struct arena *a, struct ldif_attr *attr)
{
	struct span type, value;
	int rc;

	while ((rc = ldif_next_in_record(r)) == RC_OK) {
		if (span_eq(buf_span(&r->line), SPAN_LIT("-")))
			return RC_OK;
		rc = ldif_split_line(r, a, &type, &value);
		if (rc != RC_OK)
			return rc;
		if (!span_eq_nocase(type, attr->type))
			return ldif_broken(r,
					   "attribute is not the one this change is about; a line "
					   "with '-' ends a change");
		rc = add_value(r, a, attr, value);
		if (rc != RC_OK)
			return rc;
	}
	return rc;
}

static int check_mod(struct ldif_reader *r, const struct ldif_attr *attr)
{
	switch (attr->op) {
	case LDIF_OP_ADD:
		return attr->nvalues == 0 ? ldif_broken(r, "'add' without values") : RC_OK;
	case LDIF_OP_INCREMENT:
		return attr->nvalues != 1 ? ldif_broken(r, "'increment' takes one value") : RC_OK;
	case LDIF_OP_DELETE:
	case LDIF_OP_REPLACE:
		return RC_OK;
	}
	return RC_OK;
}

static int read_modify(struct ldif_reader *r, struct arena *a, struct ldif_record *rec)
{
	struct ldif_attr *attr;
	struct span word, type;
	enum ldif_op op;
	int rc;

	while ((rc = ldif_next_in_record(r)) == RC_OK) {
		rc = ldif_split_line(r, a, &word, &type);
		if (rc != RC_OK)
			return rc;
		if (!parse_op(word, &op))
			return ldif_broken(
				r, "expected 'add:', 'delete:', 'replace:' or 'increment:'");
		if (!ldif_is_type(type))
			return ldif_broken(r, "the change names no attribute");
		attr = add_attr(a, rec, type);
		if (attr == NULL)
			return ldif_no_memory(r);
		attr->op = op;
		rc = read_mod_values(r, a, attr);
		if (rc != RC_OK && rc != RC_DONE)
			return rc;
		rc = check_mod(r, attr);
		if (rc != RC_OK)
			return rc;
	}
	return rc == RC_DONE ? RC_OK : rc;
}

/* One line that must have this name. */
static int expect_line(struct ldif_reader *r, struct arena *a, const char *name, const char *why,
		       struct span *value)
{
	struct span type;
	int rc = ldif_next_in_record(r);

	if (rc == RC_DONE)
		return ldif_broken(r, why);
	if (rc == RC_OK)
		rc = ldif_split_line(r, a, &type, value);
	if (rc == RC_OK && !span_eq_nocase(type, span_of(name)))
		rc = ldif_broken(r, why);
	return rc;
}

static int expect_end(struct ldif_reader *r)
{
	int rc = ldif_next_in_record(r);

	if (rc == RC_DONE)
		return RC_OK;
	return rc == RC_OK ? ldif_broken(r, "line behind the end of the change") : rc;
}

static int read_modrdn(struct ldif_reader *r, struct arena *a, struct ldif_record *rec)
{
	struct span type, value;
	int rc = expect_line(r, a, "newrdn", "'newrdn:' is missing", &rec->newrdn);

	if (rc == RC_OK)
		rc = expect_line(r, a, "deleteoldrdn", "'deleteoldrdn:' is missing", &value);
	if (rc != RC_OK)
		return rc;
	if (!span_eq(value, SPAN_LIT("0")) && !span_eq(value, SPAN_LIT("1")))
		return ldif_broken(r, "'deleteoldrdn' is neither 0 nor 1");
	rec->deleteoldrdn = value.p[0] == '1';
	rc = ldif_next_in_record(r);
	if (rc == RC_DONE)
		return RC_OK;
	if (rc == RC_OK)
		rc = ldif_split_line(r, a, &type, &rec->newsuperior);
	if (rc != RC_OK)
		return rc;
	if (!span_eq_nocase(type, SPAN_LIT("newsuperior")))
		return ldif_broken(r, "only 'newsuperior:' can follow 'deleteoldrdn:'");
	rec->has_newsuperior = true;
	return expect_end(r);
}

static int read_change(struct ldif_reader *r, struct arena *a, struct span kind,
		       struct ldif_record *rec)
{
	if (span_eq_nocase(kind, SPAN_LIT("add"))) {
		rec->kind = LDIF_ADD;
		return read_attrs(r, a, rec);
	}
	if (span_eq_nocase(kind, SPAN_LIT("delete"))) {
		rec->kind = LDIF_DELETE;
		return expect_end(r);
	}
	if (span_eq_nocase(kind, SPAN_LIT("modify"))) {
		rec->kind = LDIF_MODIFY;
		return read_modify(r, a, rec);
	}
	if (span_eq_nocase(kind, SPAN_LIT("modrdn")) || span_eq_nocase(kind, SPAN_LIT("moddn"))) {
		rec->kind = LDIF_MODRDN;
		return read_modrdn(r, a, rec);
	}
	return ldif_broken(r, "changetype is not add, delete, modify, modrdn or moddn");
}

/* "control: OID [true|false] [: value]". One that is not critical may be left out (RFC 4511
 * §4.1.11). */
static int check_control(struct ldif_reader *r, struct span value)
{
	struct span word;

	span_cut(&value, ':', &word);
	span_cut(&word, ' ', &value);
	if (span_eq_nocase(span_trim(word), SPAN_LIT("true")))
		return ldif_broken(r, "critical controls are not supported");
	return RC_OK;
}

/* The lines behind dn: controls, then either a changetype or attributes. */
static int read_body(struct ldif_reader *r, struct arena *a, struct ldif_record *rec)
{
	struct span type, value;
	int rc;

	for (;;) {
		rc = ldif_next_in_record(r);
		if (rc == RC_DONE)
			return ldif_broken(r, "record without attributes");
		if (rc == RC_OK)
			rc = ldif_split_line(r, a, &type, &value);
		if (rc == RC_OK && span_eq_nocase(type, SPAN_LIT("control")))
			rc = check_control(r, value);
		else
			break;
		if (rc != RC_OK)
			return rc;
	}
	if (rc != RC_OK)
		return rc;
	if (span_eq_nocase(type, SPAN_LIT("changetype")))
		return read_change(r, a, span_trim(value), rec);
	rec->kind = LDIF_CONTENT;
	rc = put_line(r, a, rec, type, value);
	return rc == RC_OK ? read_attrs(r, a, rec) : rc;
}

/* The first line of a record; a version line may come before the first one (RFC 2849). */
static int read_dn(struct ldif_reader *r, struct arena *a, struct ldif_record *rec)
{
	struct span type;
	int rc;

	rec->line = r->line_no;
	rc = ldif_split_line(r, a, &type, &rec->dn);
	if (rc != RC_OK)
		return rc;
	if (!r->begun && span_eq_nocase(type, SPAN_LIT("version"))) {
		r->begun = true;
		if (!span_eq(rec->dn, SPAN_LIT("1")))
			return ldif_broken(r, "only LDIF version 1 is known");
		return RC_MORE;
	}
	r->begun = true;
	if (!span_eq_nocase(type, SPAN_LIT("dn")))
		return ldif_broken(r, "a record begins with 'dn:'");
	return RC_OK;
}

static int read_record(struct ldif_reader *r, struct arena *a, struct ldif_record *rec)
{
	int rc;

	do {
		do {
			rc = ldif_next_line(r);
		} while (rc == RC_OK && r->line.n == 0);
		if (rc != RC_OK)
			return rc;
		r->in_record = true;
		rc = read_dn(r, a, rec);
	} while (rc == RC_MORE);
	return rc == RC_OK ? read_body(r, a, rec) : rc;
}

int ldif_read(struct ldif_reader *r, struct arena *a, struct ldif_record *out, unsigned long *line,
	      const char **why)
{
	int rc = r->failed;

	*out = (struct ldif_record){0};
	if (rc == RC_OK)
		rc = read_record(r, a, out);
	if (rc == RC_OK || rc == RC_DONE)
		return rc;
	*why = r->why;
	if (line != NULL)
		*line = r->line_no;
	while (r->in_record && ldif_next_in_record(r) == RC_OK) {
		/* skip what is left of the broken record */
	}
	return rc;
}
