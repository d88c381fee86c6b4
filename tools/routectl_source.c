#include "tools/routectl_source.h"

#include "routed/settings.h"
#include "tools/dirconn.h"

#include <errno.h>

#define OUTPUT_MAX_BYTES ((size_t)1 << 31)
#define FILTER                                                                                     \
	"(|(objectClass=mailSite)(objectClass=mailConnector)(objectClass=imsConnector)"            \
	"(objectClass=siteConnector)(objectClass=x400Connector)(objectClass=gatewayConnector))"

bool routectl_source_check(const struct routectl_source *s)
{
	if ((s->ldif != NULL) != (s->config != NULL))
		return true;
	cli_error("give either --ldif FILE or --config FILE");
	return false;
}

int routectl_flush(FILE *f, const struct buf *b)
{
	if (buf_rc(b) != RC_OK)
		return buf_rc(b);
	if (b->n != 0 && fwrite(b->p, 1, b->n, f) != b->n)
		return RC_IO;
	return fflush(f) == 0 ? RC_OK : RC_IO;
}

int routectl_tell_ignored(const struct model *m, bool sum, unsigned long *ignored)
{
	struct model_ignored *items;
	struct arena a;
	struct buf b;
	size_t count = 0, i;
	int rc;

	arena_init(&a);
	buf_init(&b, OUTPUT_MAX_BYTES);
	rc = model_ignored(m, &a, &items, &count);
	for (i = 0; i < count && rc == RC_OK; i++) {
		model_ignored_write(&items[i], &b);
		buf_putc(&b, '\n');
	}
	*ignored += count;
	if (*ignored != 0 && sum)
		buf_printf(&b, "%lu %s ignored\n", *ignored, *ignored == 1 ? "object" : "objects");
	if (rc == RC_OK)
		rc = routectl_flush(stderr, &b);
	buf_fini(&b);
	arena_fini(&a);
	return rc;
}

/* --- LDIF --- */

/* A record that was left out as a whole, named by its DN where it has one. */
static void tell_record(const char *path, unsigned long line, struct span dn, const char *why)
{
	struct model_ignored record = {
		.dn = dn, .attribute = SPAN_LIT("dn"), .value = dn, .reason = why};
	struct buf b;

	buf_init(&b, OUTPUT_MAX_BYTES);
	if (dn.n != 0)
		model_ignored_write(&record, &b);
	else
		buf_puts(&b, why);
	fprintf(stderr, "%s:%lu: %s\n", path, line, buf_cstr(&b));
	buf_fini(&b);
}

static int read_records(FILE *f, const char *path, routectl_record_fn *fn, void *arg,
			unsigned long *ignored)
{
	struct ldif_reader *reader = NULL;
	int rc = ldif_reader_new(f, false, &reader);
	struct arena a;

	arena_init(&a);
	while (rc == RC_OK) {
		struct ldif_record rec = {.line = 0};
		unsigned long line = 0;
		const char *why = "";

		rc = ldif_read(reader, &a, &rec, &line, &why);
		if (rc == RC_OK) {
			line = rec.line;
			rc = fn(arg, &a, &rec, &why);
		} else {
			rec.dn = (struct span){NULL, 0};
		}
		if (rc == RC_INVALID) {
			tell_record(path, line, rec.dn, why);
			(*ignored)++;
			rc = RC_OK;
		}
		arena_fini(&a);
	}
	ldif_reader_free(&reader);
	return rc == RC_DONE ? RC_OK : rc;
}

int routectl_read_ldif(const char *path, routectl_record_fn *fn, void *arg, unsigned long *ignored)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
	int rc;

	if (f == NULL) {
		rc = rc_from_errno(errno);
		cli_error("%s: %s", path, strerror(errno));
		return rc;
	}
	rc = read_records(f, path, fn, arg, ignored);
	if (rc != RC_OK)
		cli_error("%s: %s", path, rc_text(rc));
	if (f != stdin)
		fclose(f);
	return rc;
}

static int put_record(void *arg, struct arena *a, const struct ldif_record *r, const char **why)
{
	(void)a;
	*why = "a change record; only entries and additions can be computed";
	if (r->kind != LDIF_CONTENT && r->kind != LDIF_ADD)
		return RC_INVALID;
	*why = "the DN is malformed or too long";
	return routectl_entries_put(arg, r);
}

/* --- the directory --- */

static int put_entry(const struct ldif_record *entry, void *arg)
{
	return routectl_entries_put(arg, entry);
}

static int search(const struct settings *s, struct routectl_entries *out)
{
	const struct dirconn_options o = {
		.uri = s->directory,
		.bind_dn = s->bind_dn,
		.password_file = s->bind_password_file,
		.ca_file = s->tls_ca,
	};
	const struct dirconn_search sites = {s->organisation, DIRCONN_SUB, FILTER, NULL, 0};
	struct dirconn *c = NULL;
	int rc = dirconn_open(&o, &c);

	if (rc == RC_OK)
		rc = dirconn_search(c, &sites, put_entry, out);
	if (rc == RC_NOTFOUND && c != NULL)
		cli_error("the directory at %s has no %s", s->directory, s->organisation);
	dirconn_close(&c);
	return rc;
}

static int read_directory(const char *config, struct routectl_entries *out)
{
	struct settings settings;
	struct buf errors;
	struct arena a;
	int rc;

	arena_init(&a);
	buf_init(&errors, (size_t)64 * 1024);
	rc = settings_read(config, &a, &settings, &errors);
	if (rc != RC_OK)
		cli_error("%s", errors.n != 0 ? buf_cstr(&errors) : rc_text(rc));
	else
		rc = search(&settings, out);
	buf_fini(&errors);
	arena_fini(&a);
	return rc;
}

int routectl_source_read(const struct routectl_source *s, struct routectl_entries *out,
			 unsigned long *ignored)
{
	if (s->ldif != NULL)
		return routectl_read_ldif(s->ldif, put_record, out, ignored);
	return read_directory(s->config, out);
}
