#include "lib/ldif_line.h"

#include "lib/base64.h"
#include "lib/file.h"

int ldif_broken(struct ldif_reader *r, const char *why)
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

int ldif_no_memory(struct ldif_reader *r)
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
	return buf_rc(&r->line) == RC_NOMEM ? ldif_no_memory(r) : r->failed;
}

int ldif_next_line(struct ldif_reader *r)
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

int ldif_next_in_record(struct ldif_reader *r)
{
	int rc = r->in_record ? ldif_next_line(r) : RC_DONE;

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

bool ldif_is_type(struct span s)
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
	return out->p == NULL ? ldif_no_memory(r) : RC_OK;
}

static int base64_value(struct ldif_reader *r, struct arena *a, struct span text, struct span *out)
{
	uint8_t *bytes = arena_alloc(a, base64_max_bytes(text.n) + 1);
	size_t n;

	if (bytes == NULL)
		return ldif_no_memory(r);
	if (!base64_decode(text, bytes, &n))
		return ldif_broken(r, "value behind '::' is not base64");
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
		return ldif_broken(r, "values from files (':<') are not allowed here");
	path = path_of_url(a, url);
	if (path == NULL)
		return ldif_broken(r, "behind ':<' comes file:///PATH");
	buf_init(&content, LDIF_VALUE_MAX_BYTES);
	rc = file_read(path, &content);
	if (rc == RC_OK)
		rc = copy(r, a, buf_span(&content), out);
	else if (rc == RC_NOMEM)
		rc = ldif_no_memory(r);
	else
		rc = ldif_broken(r, "the file behind ':<' can not be read");
	buf_fini(&content);
	return rc;
}

static int plain_value(struct ldif_reader *r, struct arena *a, struct span text, struct span *out)
{
	if (text.n != 0 && memchr(text.p, '\0', text.n) != NULL)
		return ldif_broken(r, "NUL byte in a value that is not base64");
	return copy(r, a, text, out);
}

int ldif_split_line(struct ldif_reader *r, struct arena *a, struct span *type, struct span *value)
{
	struct span rest = buf_span(&r->line);
	int rc;

	if (rest.p[0] == ' ')
		return ldif_broken(r, "continuation line without a line before it");
	if (!span_cut(&rest, ':', type))
		return ldif_broken(r, "line without ':'");
	if (!ldif_is_type(*type))
		return ldif_broken(r, "what stands before ':' is not an attribute name");
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
		rc = ldif_broken(r, "value is longer than 16 MiB");
	return rc;
}
