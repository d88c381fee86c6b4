/* Reading. Writing is in ldif_write.c. */
#include "lib/ldif.h"

#include "lib/base64.h"
#include "lib/file.h"

#define BLOCK_BYTES 65536
#define LINE_MAX_BYTES (LDIF_VALUE_MAX_BYTES / 3 * 4 + 65536)

struct ldif_reader {
	FILE *f;
	bool allow_urls;
	bool eof, begun, in_record;
	int failed; /* RC_IO, RC_NOMEM, RC_TOOBIG: there is no going on */
	unsigned long lines_read;
	struct buf line;       /* the logical line: continuation lines joined */
	unsigned long line_no; /* where it begins */
	const char *why;
	size_t at, filled;
	uint8_t block[BLOCK_BYTES];
};

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

static int broken(struct ldif_reader *r, const char *why)
{
	r->why = why;
	return RC_INVALID;
}

static int give_up(struct ldif_reader *r, int rc, const char *why)
{
	r->failed = rc;
	r->why = why;
	return rc;
}

static int no_memory(struct ldif_reader *r)
{
	return give_up(r, RC_NOMEM, "out of memory");
}

/* --- lines --- */

/* Bytes to read in the block? False at the end and after an error. */
static bool fill(struct ldif_reader *r)
{
	if (r->at < r->filled)
		return true;
	if (r->eof)
		return false;
	r->at = 0;
	r->filled = fread(r->block, 1, sizeof(r->block), r->f);
	if (r->filled == 0) {
		r->eof = true;
		if (ferror(r->f) != 0)
			give_up(r, RC_IO, "the file can not be read");
	}
	return r->filled != 0;
}

/* Append one physical line without its end to the logical line. */
static int add_physical(struct ldif_reader *r)
{
	bool ended = false;

	r->lines_read++;
	while (!ended && fill(r)) {
		const uint8_t *from = r->block + r->at;
		size_t left = r->filled - r->at;
		const uint8_t *end = memchr(from, '\n', left);
		size_t n = end != NULL ? (size_t)(end - from) : left;

		buf_put(&r->line, span_make(from, n));
		ended = end != NULL;
		r->at += n + ended;
	}
	if (r->line.n != 0 && r->line.p[r->line.n - 1] == '\r')
		buf_truncate(&r->line, r->line.n - 1);
	if (buf_rc(&r->line) == RC_TOOBIG)
		return give_up(r, RC_TOOBIG, "line is longer than a value may be");
	return buf_rc(&r->line) == RC_NOMEM ? no_memory(r) : r->failed;
}

/* The next logical line that is no comment (RFC 2849, notes 2 and 3); RC_DONE at the end. */
static int next_line(struct ldif_reader *r)
{
	int rc;

	do {
		if (!fill(r))
			return r->failed != RC_OK ? r->failed : RC_DONE;
		buf_clear(&r->line);
		r->line_no = r->lines_read + 1;
		rc = add_physical(r);
		while (rc == RC_OK && r->line.n != 0 && fill(r) && r->block[r->at] == ' ') {
			r->at++;
			rc = add_physical(r);
		}
		if (rc == RC_OK)
			rc = r->failed;
	} while (rc == RC_OK && r->line.n != 0 && r->line.p[0] == '#');
	return rc;
}

/* The next line of the record; RC_DONE behind its last. */
static int next_in_record(struct ldif_reader *r)
{
	int rc = r->in_record ? next_line(r) : RC_DONE;

	if (rc == RC_OK && r->line.n == 0)
		rc = RC_DONE;
	if (rc != RC_OK)
		r->in_record = false;
	return rc;
}

/* --- attribute lines --- */

static bool is_type_char(uint8_t c)
{
	c = span_ascii_lower(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
	       c == ';' || c == '_';
}

static bool is_type(struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (!is_type_char(s.p[i]))
			return false;
	}
	return s.n != 0;
}

static struct span skip_blanks(struct span s)
{
	while (s.n != 0 && s.p[0] == ' ')
		s = span_from(s, 1);
	return s;
}

static int copy(struct ldif_reader *r, struct arena *a, struct span s, struct span *out)
{
	*out = arena_span(a, s);
	return out->p == NULL ? no_memory(r) : RC_OK;
}

static int base64_value(struct ldif_reader *r, struct arena *a, struct span text, struct span *out)
{
	uint8_t *bytes = arena_alloc(a, base64_max_bytes(text.n) + 1);
	size_t n;

	if (bytes == NULL)
		return no_memory(r);
	if (!base64_decode(text, bytes, &n))
		return broken(r, "value behind '::' is not base64");
	bytes[n] = '\0';
	*out = span_make(bytes, n);
	return RC_OK;
}

static int hex_digit(uint8_t c)
{
	c = span_ascii_lower(c);
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 8089: file:///path or file://localhost/path, %XX decoded. NULL if it is something else. */
static char *path_of_url(struct arena *a, struct span url)
{
	char *path, *to;
	size_t i;

	if (!span_eq_nocase(span_head(url, 7), SPAN_LIT("file://")))
		return NULL;
	url = span_from(url, 7);
	if (span_eq_nocase(span_head(url, 9), SPAN_LIT("localhost")))
		url = span_from(url, 9);
	path = url.n != 0 && url.p[0] == '/' ? arena_str(a, url) : NULL;
	if (path == NULL)
		return NULL;
	for (to = path, i = 0; i < url.n; i++) {
		if (url.p[i] == '%' && i + 2 < url.n && hex_digit(url.p[i + 1]) >= 0 &&
		    hex_digit(url.p[i + 2]) >= 0) {
			*to++ = (char)(hex_digit(url.p[i + 1]) * 16 + hex_digit(url.p[i + 2]));
			i += 2;
		} else {
			*to++ = (char)url.p[i];
		}
	}
	*to = '\0';
	return path;
}

static int url_value(struct ldif_reader *r, struct arena *a, struct span url, struct span *out)
{
	struct buf content;
	char *path;
	int rc;

	if (!r->allow_urls)
		return broken(r, "values from files (':<') are not allowed here");
	path = path_of_url(a, url);
	if (path == NULL)
		return broken(r, "behind ':<' comes file:///PATH");
	buf_init(&content, LDIF_VALUE_MAX_BYTES);
	rc = file_read(path, &content);
	if (rc == RC_OK)
		rc = copy(r, a, buf_span(&content), out);
	else if (rc == RC_NOMEM)
		rc = no_memory(r);
	else
		rc = broken(r, "the file behind ':<' can not be read");
	buf_fini(&content);
	return rc;
}

static int plain_value(struct ldif_reader *r, struct arena *a, struct span text, struct span *out)
{
	if (text.n != 0 && memchr(text.p, '\0', text.n) != NULL)
		return broken(r, "NUL byte in a value that is not base64");
	return copy(r, a, text, out);
}

/* Take the current line apart; both parts get copied into the arena. */
static int split_line(struct ldif_reader *r, struct arena *a, struct span *type, struct span *value)
{
	struct span rest = buf_span(&r->line);
	int rc;

	if (rest.p[0] == ' ')
		return broken(r, "continuation line without a line before it");
	if (!span_cut(&rest, ':', type))
		return broken(r, "line without ':'");
	if (!is_type(*type))
		return broken(r, "what stands before ':' is not an attribute name");
	rc = copy(r, a, *type, type);
	if (rc != RC_OK)
		return rc;
	if (rest.n != 0 && rest.p[0] == ':')
		rc = base64_value(r, a, skip_blanks(span_from(rest, 1)), value);
	else if (rest.n != 0 && rest.p[0] == '<')
		rc = url_value(r, a, skip_blanks(span_from(rest, 1)), value);
	else
		rc = plain_value(r, a, skip_blanks(rest), value);
	if (rc == RC_OK && value->n > LDIF_VALUE_MAX_BYTES)
		rc = broken(r, "value is longer than 16 MiB");
	return rc;
}

/* --- records --- */

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
		return no_memory(r);
	attr->values = values;
	values[attr->nvalues++] = value;
	return RC_OK;
}

static int put_line(struct ldif_reader *r, struct arena *a, struct ldif_record *rec,
		    struct span type, struct span value)
{
	struct ldif_attr *attr = attr_of(a, rec, type);

	return attr == NULL ? no_memory(r) : add_value(r, a, attr, value);
}

static int read_attrs(struct ldif_reader *r, struct arena *a, struct ldif_record *rec)
{
	struct span type, value;
	int rc;

	while ((rc = next_in_record(r)) == RC_OK) {
		rc = split_line(r, a, &type, &value);
		if (rc == RC_OK)
			rc = put_line(r, a, rec, type, value);
		if (rc != RC_OK)
			return rc;
	}
	if (rc != RC_DONE)
		return rc;
	return rec->nattrs == 0 ? broken(r, "record without attributes") : RC_OK;
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

	while ((rc = next_in_record(r)) == RC_OK) {
		if (span_eq(buf_span(&r->line), SPAN_LIT("-")))
			return RC_OK;
		rc = split_line(r, a, &type, &value);
		if (rc != RC_OK)
			return rc;
		if (!span_eq_nocase(type, attr->type))
			return broken(r, "attribute is not the one this change is about; a line "
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
		return attr->nvalues == 0 ? broken(r, "'add' without values") : RC_OK;
	case LDIF_OP_INCREMENT:
		return attr->nvalues != 1 ? broken(r, "'increment' takes one value") : RC_OK;
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

	while ((rc = next_in_record(r)) == RC_OK) {
		rc = split_line(r, a, &word, &type);
		if (rc != RC_OK)
			return rc;
		if (!parse_op(word, &op))
			return broken(r, "expected 'add:', 'delete:', 'replace:' or 'increment:'");
		if (!is_type(type))
			return broken(r, "the change names no attribute");
		attr = add_attr(a, rec, type);
		if (attr == NULL)
			return no_memory(r);
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
	int rc = next_in_record(r);

	if (rc == RC_DONE)
		return broken(r, why);
	if (rc == RC_OK)
		rc = split_line(r, a, &type, value);
	if (rc == RC_OK && !span_eq_nocase(type, span_of(name)))
		rc = broken(r, why);
	return rc;
}

static int expect_end(struct ldif_reader *r)
{
	int rc = next_in_record(r);

	if (rc == RC_DONE)
		return RC_OK;
	return rc == RC_OK ? broken(r, "line behind the end of the change") : rc;
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
		return broken(r, "'deleteoldrdn' is neither 0 nor 1");
	rec->deleteoldrdn = value.p[0] == '1';
	rc = next_in_record(r);
	if (rc == RC_DONE)
		return RC_OK;
	if (rc == RC_OK)
		rc = split_line(r, a, &type, &rec->newsuperior);
	if (rc != RC_OK)
		return rc;
	if (!span_eq_nocase(type, SPAN_LIT("newsuperior")))
		return broken(r, "only 'newsuperior:' can follow 'deleteoldrdn:'");
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
	return broken(r, "changetype is not add, delete, modify, modrdn or moddn");
}

/* "control: OID [true|false] [: value]". One that is not critical may be left out (RFC 4511
 * §4.1.11). */
static int check_control(struct ldif_reader *r, struct span value)
{
	struct span word;

	span_cut(&value, ':', &word);
	span_cut(&word, ' ', &value);
	if (span_eq_nocase(span_trim(word), SPAN_LIT("true")))
		return broken(r, "critical controls are not supported");
	return RC_OK;
}

/* The lines behind dn: controls, then either a changetype or attributes. */
static int read_body(struct ldif_reader *r, struct arena *a, struct ldif_record *rec)
{
	struct span type, value;
	int rc;

	for (;;) {
		rc = next_in_record(r);
		if (rc == RC_DONE)
			return broken(r, "record without attributes");
		if (rc == RC_OK)
			rc = split_line(r, a, &type, &value);
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
	rc = split_line(r, a, &type, &rec->dn);
	if (rc != RC_OK)
		return rc;
	if (!r->begun && span_eq_nocase(type, SPAN_LIT("version"))) {
		r->begun = true;
		if (!span_eq(rec->dn, SPAN_LIT("1")))
			return broken(r, "only LDIF version 1 is known");
		return RC_MORE;
	}
	r->begun = true;
	if (!span_eq_nocase(type, SPAN_LIT("dn")))
		return broken(r, "a record begins with 'dn:'");
	return RC_OK;
}

static int read_record(struct ldif_reader *r, struct arena *a, struct ldif_record *rec)
{
	int rc;

	do {
		do {
			rc = next_line(r);
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
	while (r->in_record && next_in_record(r) == RC_OK) {
		/* skip what is left of the broken record */
	}
	return rc;
}
