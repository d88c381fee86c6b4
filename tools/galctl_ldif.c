/* galctl import and export. */
#include "tools/galctl.h"

#include "lib/arena.h"
#include "lib/dn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- import --- */

#define WINDOW                                                                                     \
	64 /* changes sent and not yet answered, so that the server can commit them together */

struct slot {
	struct arena arena;
	struct ldif_record record;
	int id;
};

struct import {
	struct dirconn *conn;
	const char *path;
	struct slot slots[WINDOW];
	unsigned first, n; /* of a ring */
	unsigned long added, changed, unchanged, refused;
	bool update, dry_run;
	bool stop; /* the connection is gone: going on makes no sense */
	struct cli_progress progress;
};

static bool has_value(const struct ldif_attr *attr, struct span value)
{
	unsigned i;

	for (i = 0; i < attr->nvalues; i++) {
		if (span_eq(attr->values[i], value))
			return true;
	}
	return false;
}

/* A server adds superclasses to objectClass, so more than the wanted ones is all right there. */
static bool is_as_wanted(const struct ldif_attr *wanted, const struct ldif_attr *now)
{
	bool may_have_more = span_eq_nocase(wanted->type, SPAN_LIT("objectClass"));
	unsigned i;

	if (now == NULL || (wanted->nvalues != now->nvalues && !may_have_more))
		return false;
	for (i = 0; i < wanted->nvalues; i++) {
		if (!has_value(now, wanted->values[i]))
			return false;
	}
	return true;
}

static const struct ldif_attr *attr_of(const struct ldif_record *r, struct span type)
{
	unsigned i;

	for (i = 0; i < r->nattrs; i++) {
		if (span_eq_nocase(r->attrs[i].type, type))
			return &r->attrs[i];
	}
	return NULL;
}

/*
 * The entry exists and --update was given: make its attributes those of the file. What the file
 * does not mention stays. *changed tells whether there was anything to do.
 */
static int update_existing(struct import *im, struct slot *s, bool *changed)
{
	struct ldif_record change = {.kind = LDIF_MODIFY, .dn = s->record.dn}, now;
	const char *dn = arena_str(&s->arena, s->record.dn);
	unsigned i;
	int rc;

	*changed = true;
	change.attrs = arena_zalloc(&s->arena, s->record.nattrs, sizeof(*change.attrs));
	if (dn == NULL || change.attrs == NULL)
		return RC_NOMEM;
	rc = dirconn_read(im->conn, &s->arena, dn, NULL, &now);
	if (rc != RC_OK && rc != RC_NOTFOUND)
		return rc;
	for (i = 0; i < s->record.nattrs; i++) {
		const struct ldif_attr *wanted = &s->record.attrs[i];

		if (rc == RC_OK && is_as_wanted(wanted, attr_of(&now, wanted->type)))
			continue;
		change.attrs[change.nattrs] = *wanted;
		change.attrs[change.nattrs++].op = LDIF_OP_REPLACE;
	}
	*changed = change.nattrs != 0;
	return *changed ? dirconn_change(im->conn, &change) : RC_OK;
}

static bool is_add(const struct ldif_record *r)
{
	return r->kind == LDIF_CONTENT || r->kind == LDIF_ADD;
}

static void collect_one(struct import *im)
{
	struct slot *s = &im->slots[im->first];
	bool exists = !is_add(&s->record), changed = true;
	int rc;

	cli_context("%s:%lu: ", im->path, s->record.line);
	rc = dirconn_collect(im->conn, s->id, &s->record);
	if (rc == RC_EXISTS && im->update) {
		rc = update_existing(im, s, &changed);
		exists = true;
	}
	cli_context("%s", "");
	if (rc != RC_OK)
		im->refused++;
	else if (exists && changed)
		im->changed++;
	else if (exists)
		im->unchanged++;
	else
		im->added++;
	im->stop |= rc == RC_CLOSED || rc == RC_NOMEM;
	arena_fini(&s->arena);
	im->first = (im->first + 1) % WINDOW;
	im->n--;
	cli_progress_step(&im->progress, 1);
}

static bool check_dn(struct import *im, const struct ldif_record *r)
{
	const char *why = "";
	struct arena a = {0};
	struct dn dn;
	bool ok = dn_parse(&a, r->dn, &dn, &why) == RC_OK;

	if (!ok)
		cli_error("%s:%lu: dn is no name: %s", im->path, r->line, why);
	arena_fini(&a);
	return ok;
}

/* Takes over the arena of the record. */
static void submit(struct import *im, const struct ldif_record *r, struct arena *a)
{
	struct slot *s;
	int rc;

	if (!check_dn(im, r) || im->dry_run) {
		if (im->dry_run)
			im->added += is_add(r), im->changed += !is_add(r);
		else
			im->refused++;
		arena_fini(a);
		return;
	}
	if (im->n == WINDOW)
		collect_one(im);
	s = &im->slots[(im->first + im->n) % WINDOW];
	s->record = *r;
	s->arena = *a;
	rc = im->stop ? RC_CLOSED : dirconn_send(im->conn, &s->record, &s->id);
	if (rc == RC_OK) {
		im->n++;
		return;
	}
	im->refused++;
	im->stop |= rc == RC_CLOSED || rc == RC_NOMEM;
	arena_fini(&s->arena);
}

static int read_all(struct import *im, FILE *f)
{
	struct ldif_reader *reader;
	int rc = ldif_reader_new(f, true, &reader);

	while (rc == RC_OK && !im->stop) {
		struct ldif_record record;
		struct arena a = {0};
		unsigned long line = 0;
		const char *why = "";

		rc = ldif_read(reader, &a, &record, &line, &why);
		if (rc == RC_OK) {
			submit(im, &record, &a);
			continue;
		}
		arena_fini(&a);
		if (rc == RC_DONE)
			break;
		cli_error("%s:%lu: %s", im->path, line, why);
		im->refused++;
		if (rc == RC_INVALID)
			rc = RC_OK; /* the reader goes on behind the broken record */
	}
	while (im->n != 0)
		collect_one(im);
	ldif_reader_free(&reader);
	return rc == RC_DONE ? RC_OK : rc;
}

static int import_file(struct import *im, const char *path)
{
	bool is_stdin = strcmp(path, "-") == 0;
	FILE *f = is_stdin ? stdin : fopen(path, "re");
	int rc;

	im->path = is_stdin ? "standard input" : path;
	if (f == NULL) {
		cli_error("%s can not be read: %s", path, strerror(errno));
		im->refused++;
		return RC_IO;
	}
	cli_progress_begin(&im->progress, "importing, changes made", 0);
	rc = read_all(im, f);
	cli_progress_end(&im->progress);
	if (!is_stdin)
		fclose(f);
	return rc;
}

static void print_summary(const struct import *im)
{
	printf("%s%lu added, %lu changed, ", im->dry_run ? "would be: " : "", im->added,
	       im->changed);
	if (im->update && !im->dry_run)
		printf("%lu unchanged, ", im->unchanged);
	printf("%lu refused\n", im->refused);
}

int galctl_import(int argc, char **argv)
{
	struct dirconn_options o = {0};
	struct import *im;
	bool update = false, dry_run = false;
	int first, status, rc;
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(o),
		{"update", 'u', CLI_FLAG, &update, NULL,
		 "an entry that exists gets the attributes of the file", false},
		{"dry-run", 'n', CLI_FLAG, &dry_run, NULL,
		 "read and check the file, change nothing", false},
		{0},
	};
	const struct cli_usage usage = {
		"galctl import",
		"FILE...",
		"Adds the entries and makes the changes of LDIF files (RFC 2849); - is standard "
		"input.\n"
		"A broken or refused record is reported with its line and passed over; the exit "
		"status\n"
		"is then 1. Entries of another site are written there (-D and -y say who does it).",
		opts,
		"  galctl import --config site1/dird.conf people.ldif\n"
		"  galctl import --config site1/dird.conf --update --dry-run people.ldif\n",
		1,
		-1,
	};

	if (!cli_parse(&usage, argc, argv, &first, &status))
		return status;
	im = mem_zalloc(1, sizeof(*im));
	if (im == NULL)
		return CLI_FAILED;
	im->update = update;
	im->dry_run = dry_run;
	rc = dry_run ? RC_OK : dirconn_open(&o, &im->conn);
	if (rc == RC_OK && !dry_run)
		dirconn_expect_existing(im->conn, update);
	for (; rc == RC_OK && !im->stop && first < argc; first++)
		rc = import_file(im, argv[first]);
	if (rc == RC_OK || im->added + im->changed + im->refused != 0)
		print_summary(im);
	status = rc == RC_OK && im->refused == 0 && !im->stop ? CLI_DONE : CLI_FAILED;
	dirconn_close(&im->conn);
	mem_free(im);
	return status;
}

/* --- export --- */

struct export
{
	FILE *f;
	struct buf text;
	struct cli_progress progress;
};

static int write_entry(const struct ldif_record *entry, void *arg)
{
	struct export *ex = arg;
	unsigned i, j;
	int rc;

	buf_clear(&ex->text);
	buf_putc(&ex->text, '\n');
	ldif_write_attr(&ex->text, SPAN_LIT("dn"), entry->dn);
	for (i = 0; i < entry->nattrs; i++) {
		for (j = 0; j < entry->attrs[i].nvalues; j++)
			ldif_write_attr(&ex->text, entry->attrs[i].type, entry->attrs[i].values[j]);
	}
	rc = buf_rc(&ex->text);
	if (rc == RC_OK && fwrite(ex->text.p, 1, ex->text.n, ex->f) != ex->text.n)
		rc = rc_from_errno(errno);
	cli_progress_step(&ex->progress, 1);
	return rc;
}

static int export_to(struct dirconn *c, const struct dirconn_search *s, FILE *f,
		     unsigned long *count)
{
	struct export ex = {.f = f};
	int rc;

	buf_init(&ex.text, 4 * LDIF_VALUE_MAX_BYTES);
	fputs("version: 1\n", f);
	cli_progress_begin(&ex.progress, "exporting, entries written", 0);
	rc = dirconn_search(c, s, write_entry, &ex);
	cli_progress_end(&ex.progress);
	if (rc == RC_NOTFOUND)
		cli_error("there is no %s", s->base);
	else if (rc == RC_OK && fflush(f) != 0)
		rc = rc_from_errno(errno);
	*count = ex.progress.done;
	buf_fini(&ex.text);
	return rc;
}

/* Beside the file first: an export that breaks off must not stand where a whole one stood. */
static int export_file(struct dirconn *c, const struct dirconn_search *s, const char *path,
		       unsigned long *count)
{
	struct arena a = {0};
	char *part = arena_printf(&a, "%s.part", path);
	FILE *f = part != NULL ? fopen(part, "we") : NULL;
	int rc = f != NULL ? RC_OK : rc_from_errno(errno);

	if (rc == RC_OK) {
		rc = export_to(c, s, f, count);
		if (fclose(f) != 0 && rc == RC_OK)
			rc = rc_from_errno(errno);
		if (rc == RC_OK && rename(part, path) != 0)
			rc = rc_from_errno(errno);
		if (rc != RC_OK)
			unlink(part);
	}
	if (rc == RC_OK)
		printf("%lu entries written to %s\n", *count, path);
	else
		cli_error("%s was not written: %s", path, rc_text(rc));
	arena_fini(&a);
	return rc;
}

int galctl_export(int argc, char **argv)
{
	struct dirconn_options o = {0};
	const char *site = NULL, *output = NULL;
	struct dirconn_search s = {NULL, DIRCONN_SUB, GALCTL_RECIPIENTS, NULL, 0};
	struct dirconn *c = NULL;
	struct arena a = {0};
	unsigned long count = 0;
	int first, status, rc;
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(o),
		{"site", 0, CLI_TEXT, &site, "NAME", "only this site", false},
		{"base", 'b', CLI_TEXT, &s.base, "DN", "only below this entry", false},
		{"filter", 'f', CLI_TEXT, &s.filter, "FILTER", "which entries (all recipients)",
		 false},
		{"output", 'o', CLI_TEXT, &output, "FILE", "write there, not to standard output",
		 false},
		{0},
	};
	const struct cli_usage usage = {
		"galctl export",
		"",
		"Writes recipients with their attributes as LDIF (RFC 2849).",
		opts,
		"  galctl export --config site1/dird.conf --site Site1 -o site1.ldif\n"
		"  galctl export --config site1/dird.conf --filter '(sn=Hill)'\n",
		0,
		0,
	};

	if (!cli_parse(&usage, argc, argv, &first, &status))
		return status;
	rc = dirconn_open(&o, &c);
	if (rc == RC_OK && s.base == NULL) {
		s.base = dirconn_root(c);
		if (site != NULL)
			s.base = dirconn_child_dn(&a, "ou", site, s.base);
		rc = s.base != NULL ? RC_OK : RC_NOMEM;
	}
	if (rc == RC_OK)
		rc = output != NULL ? export_file(c, &s, output, &count)
				    : export_to(c, &s, stdout, &count);
	dirconn_close(&c);
	arena_fini(&a);
	return rc == RC_OK ? CLI_DONE : CLI_FAILED;
}
