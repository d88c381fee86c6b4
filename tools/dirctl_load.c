/*
 * dirctl load: LDIF into a copy of the database, in batches, by the same road as every change; the
 * copy takes the database's place when all of it is in.
 */
#include "tools/dirctl.h"

#include "dird/addresses.h"
#include "dird/apply.h"
#include "dird/gram.h"
#include "dird/store_bulk.h"
#include "lib/dn.h"
#include "lib/file.h"
#include "lib/ldif.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

/* Large, because a commit writes most pages of the tree: its keys are spread all over it. And as
 * many as whole blocks of the n-gram index have, for these are written anew when more is added. */
#define BATCH_RECORDS (4 * GRAM_BLOCK_ENTRIES)
#define BATCH_BYTES (64u << 20)

/* Records of the running transaction are kept: the batch is repeated when the map has grown. */
struct batch {
	struct arena arena;
	struct ldif_record records[BATCH_RECORDS];
	unsigned n, room; /* room: how many there are to be */
};

struct load {
	struct dirctl d;
	const char *file;
	bool go_on;
	FILE *in;
	struct ldif_reader *reader;
	struct batch batch;
	struct update_context ctx;
	struct cli_progress progress;

	struct dirctl_beside beside; /* the copy */
	uint64_t first_new;          /* entries from this number on came with this load */
	uint64_t *replaced;          /* entries of before that the file has replaced */
	size_t nreplaced, room;
	size_t nreplaced_committed;

	unsigned long added, changed, errors;
	unsigned long batch_added, batch_changed;
};

static int random_bytes(void *p, size_t n)
{
	return getrandom(p, n, 0) == (ssize_t)n ? RC_OK : RC_IO;
}

/* --- one record --- */

static int wrong(struct load *l, const struct ldif_record *r, const char *what, const char *why)
{
	char dn[200];
	size_t i, n = r->dn.n < sizeof(dn) ? r->dn.n : sizeof(dn);

	for (i = 0; i < n; i++)
		dn[i] = (char)(r->dn.p[i] < 0x20 || r->dn.p[i] == 0x7f ? '?' : r->dn.p[i]);
	cli_context("%s:%lu: ", l->file, r->line);
	cli_error("%.*s: %s%s%s", (int)n, dn, what, *why != '\0' ? ": " : "", why);
	cli_context("%s", "");
	l->errors++;
	return RC_REFUSED;
}

static int to_attrs(const struct ldif_record *r, struct arena *a, struct attr_list *out)
{
	unsigned i;

	out->n = r->nattrs;
	out->attrs = arena_zalloc(a, r->nattrs, sizeof(*out->attrs));
	if (out->attrs == NULL)
		return RC_NOMEM;
	for (i = 0; i < r->nattrs; i++)
		out->attrs[i] =
			(struct attr){r->attrs[i].type, r->attrs[i].values, r->attrs[i].nvalues};
	return RC_OK;
}

static int to_mods(const struct ldif_record *r, struct arena *a, struct change *c)
{
	static const enum change_op ops[] = {[LDIF_OP_ADD] = CHANGE_OP_ADD,
					     [LDIF_OP_DELETE] = CHANGE_OP_DELETE,
					     [LDIF_OP_REPLACE] = CHANGE_OP_REPLACE,
					     [LDIF_OP_INCREMENT] = CHANGE_OP_INCREMENT};
	unsigned i;

	c->nmods = r->nattrs;
	c->mods = arena_zalloc(a, r->nattrs, sizeof(*c->mods));
	if (c->mods == NULL)
		return RC_NOMEM;
	for (i = 0; i < r->nattrs; i++) {
		c->mods[i].op = ops[r->attrs[i].op];
		c->mods[i].attr =
			(struct attr){r->attrs[i].type, r->attrs[i].values, r->attrs[i].nvalues};
	}
	return RC_OK;
}

/* *why is set when the names of the record are no names. */
static int to_change(const struct ldif_record *r, struct arena *a, struct change *c,
		     const char **why)
{
	int rc = dn_parse(a, r->dn, &c->dn, why);

	if (rc != RC_OK)
		return rc;
	switch (r->kind) {
	case LDIF_CONTENT:
	case LDIF_ADD:
		c->kind = CHANGE_ADD;
		c->may_set_operational = true;
		return to_attrs(r, a, &c->attrs);
	case LDIF_MODIFY:
		c->kind = CHANGE_MODIFY;
		return to_mods(r, a, c);
	case LDIF_DELETE:
		c->kind = CHANGE_DELETE;
		return RC_OK;
	case LDIF_MODRDN:
		c->kind = CHANGE_RENAME;
		c->delete_old_rdn = r->deleteoldrdn;
		c->has_new_superior = r->has_newsuperior;
		rc = dn_rdn_parse(a, r->newrdn, &c->new_rdn, why);
		if (rc == RC_OK && r->has_newsuperior)
			rc = dn_parse(a, r->newsuperior, &c->new_superior, why);
		return rc;
	}
	return RC_INVALID;
}

static bool is_of_this_load(const struct load *l, uint64_t eid)
{
	size_t i;

	for (i = 0; i < l->nreplaced; i++) {
		if (l->replaced[i] == eid)
			return true;
	}
	return eid >= l->first_new;
}

/*
 * May the file's entry replace the one that is there? The root, sites and what `sitectl` has made
 * below them: an LDIF of a whole organisation brings its own. An entry that the file itself
 * brought is not replaced by a second one.
 */
static bool is_replaceable(struct load *l, struct store_txn *t, const struct dn *dn)
{
	struct span class;
	struct entry e;
	uint64_t eid, root;
	unsigned depth;

	if (store_find(t, dn, &eid, &depth) != RC_OK || is_of_this_load(l, eid) ||
	    store_entry(t, eid, &e) != RC_OK || store_root(t, &root) != RC_OK)
		return false;
	if (uuid_eq(&e.head.uuid, &e.head.stamp.nc))
		return true;
	return entry_first(&e, "structuralObjectClass", &class) &&
	       (span_eq(class, SPAN_LIT("container")) || span_eq(class, SPAN_LIT("imsConnector")) ||
		span_eq(class, SPAN_LIT("directoryServer")) ||
		span_eq(class, SPAN_LIT("replicationConnector")));
}

static int note_replaced(struct load *l, uint64_t eid)
{
	uint64_t *more;

	if (l->nreplaced == l->room) {
		more = mem_realloc(l->replaced, (2 * l->room + 64) * sizeof(*more));
		if (more == NULL)
			return RC_NOMEM;
		l->replaced = more;
		l->room = 2 * l->room + 64;
	}
	l->replaced[l->nreplaced++] = eid;
	return RC_OK;
}

static int refused(struct load *l, const struct ldif_record *r, const struct result *why)
{
	char text[200];

	snprintf(text, sizeof(text), "%s%s%s", result_name(why->code),
		 why->text != NULL ? ": " : "", why->text != NULL ? why->text : "");
	return wrong(l, r, text, "");
}

/* RC_REFUSED: reported; other errors end the load. */
static int load_record(struct load *l, struct store_txn *t, const struct ldif_record *r)
{
	struct change c = {.kind = CHANGE_ADD};
	enum update_outcome outcome = UPDATE_APPLIED;
	const char *why_name = "malformed name";
	struct result why = {.code = LR_SUCCESS};
	struct arena a;
	int rc;

	arena_init(&a);
	c.actor = span_of(arena_printf(&a, "cn=admin,%s", l->d.config.organisation));
	rc = to_change(r, &a, &c, &why_name);
	if (rc == RC_INVALID || rc == RC_TOOBIG) {
		rc = wrong(l, r, "invalidDNSyntax", why_name);
		goto out;
	}
	if (rc == RC_OK)
		rc = update_apply(t, &l->ctx, &c, &a, &outcome, &why);
	if (rc == RC_REFUSED && why.code == LR_EXISTS && c.kind == CHANGE_ADD &&
	    is_replaceable(l, t, &c.dn)) {
		c.replace_existing = true;
		rc = update_apply(t, &l->ctx, &c, &a, &outcome, &why);
		if (rc == RC_OK)
			rc = note_replaced(l, c.eid_out);
		l->batch_changed += rc == RC_OK;
		l->batch_added -= rc == RC_OK;
	}
	if (rc == RC_REFUSED)
		rc = refused(l, r, &why);
	else if (rc == RC_OK && c.kind != CHANGE_ADD)
		l->batch_changed++;
	else if (rc == RC_OK)
		l->batch_added++;
out:
	arena_fini(&a);
	return rc;
}

/* --- batches --- */

static int try_records(struct load *l, unsigned from, unsigned to)
{
	unsigned long errors = l->errors;
	struct store_txn *t;
	unsigned i;
	int rc = store_write_begin(l->beside.store, &t);

	if (rc != RC_OK)
		return rc;
	l->batch_added = l->batch_changed = 0;
	l->nreplaced = l->nreplaced_committed;
	l->ctx.wall_us = clock_system.wall_us(&clock_system);
	for (i = from; i < to && store_error(t) == RC_OK; i++) {
		rc = load_record(l, t, &l->batch.records[i]);
		if (rc == RC_REFUSED && !l->go_on)
			continue; /* look at the rest, too: all errors are told */
		if (rc != RC_OK && rc != RC_REFUSED && store_error(t) == RC_OK)
			break;
		rc = RC_OK;
	}
	if (rc != RC_OK && rc != RC_REFUSED) {
		store_write_abort(&t);
		return rc;
	}
	rc = store_write_commit(&t);
	if (rc == RC_MORE)
		l->errors = errors; /* told again */
	return rc;
}

static int put_records(struct load *l, unsigned from, unsigned to)
{
	int rc;

	if (from == to)
		return RC_OK;
	do {
		rc = try_records(l, from, to);
	} while (rc == RC_MORE);
	if (rc != RC_OK) {
		cli_error("%s: near line %lu: %s", l->d.config.database,
			  l->batch.records[from].line, rc_text(rc));
		return rc;
	}
	l->added += l->batch_added;
	l->changed += l->batch_changed;
	l->nreplaced_committed = l->nreplaced;
	cli_progress_step(&l->progress, to - from);
	return RC_OK;
}

static void show_progress(void *arg, unsigned long rows)
{
	cli_progress_step(arg, rows);
}

/* The index gets its rows; from here on it is read and written as ever. */
static int end_gathering(struct load *l)
{
	struct cli_progress p;
	int rc;

	cli_progress_begin(&p, "writing rows of the index", 0);
	rc = store_bulk_end(l->beside.store, show_progress, &p);
	cli_progress_end(&p);
	addresses_free(&l->ctx.loaded);
	if (rc != RC_OK)
		cli_error("%s: the index: %s", l->d.config.database, rc_text(rc));
	return rc;
}

/* New entries need nothing of the index, changes of entries do. */
static unsigned count_new(const struct batch *b)
{
	unsigned i;

	for (i = 0; i < b->n; i++) {
		if (b->records[i].kind != LDIF_CONTENT && b->records[i].kind != LDIF_ADD)
			break;
	}
	return i;
}

static int flush(struct load *l)
{
	unsigned n = store_bulk_is_open(l->beside.store) ? count_new(&l->batch) : l->batch.n;
	int rc = put_records(l, 0, n);

	if (rc == RC_OK && n < l->batch.n)
		rc = end_gathering(l);
	if (rc == RC_OK)
		rc = put_records(l, n, l->batch.n);
	l->batch.n = 0;
	l->batch.room = BATCH_RECORDS;
	arena_fini(&l->batch.arena);
	return rc;
}

static int read_all(struct load *l)
{
	struct ldif_record *r;
	const char *why;
	unsigned long line;
	int rc;

	for (;;) {
		r = &l->batch.records[l->batch.n];
		line = 0;
		rc = ldif_read(l->reader, &l->batch.arena, r, &line, &why);
		if (rc == RC_INVALID) {
			cli_error("%s:%lu: %s", l->file, line, why);
			l->errors++;
			continue;
		}
		if (rc == RC_DONE)
			break;
		if (rc != RC_OK) {
			cli_error("%s:%lu: %s", l->file, line, rc_text(rc));
			return rc;
		}
		if (++l->batch.n == l->batch.room || l->batch.arena.bytes > BATCH_BYTES)
			rc = flush(l);
		if (rc != RC_OK)
			return rc;
	}
	rc = flush(l);
	return rc == RC_OK ? end_gathering(l) : rc;
}

/* --- the copy --- */

static int make_copy(struct load *l)
{
	struct store_txn *t;
	int rc = dirctl_beside_make(&l->beside, &l->d, l->d.store);

	if (rc == RC_OK)
		rc = store_write_begin(l->beside.store, &t);
	if (rc == RC_OK) {
		l->first_new = store_new_eid(t);
		store_write_abort(&t);
		l->batch.room = BATCH_RECORDS - (unsigned)(l->first_new % GRAM_BLOCK_ENTRIES);
		rc = store_bulk_begin(l->beside.store, l->beside.folder);
	}
	return rc;
}

static int open_input(struct load *l)
{
	int rc = RC_OK;

	if (strcmp(l->file, "-") == 0) {
		l->in = stdin;
		l->file = "stdin";
	} else {
		l->in = fopen(l->file, "re");
		if (l->in == NULL)
			rc = rc_from_errno(errno);
	}
	if (rc == RC_OK)
		rc = ldif_reader_new(l->in, false, &l->reader);
	if (rc != RC_OK)
		cli_error("%s: %s", l->file, rc_text(rc));
	return rc;
}

static int build_views(struct load *l)
{
	struct cli_progress p;
	int rc;

	l->ctx.views_later = false;
	cli_progress_begin(&p, "sorting address book views", 0);
	rc = update_views_rebuild(l->beside.store, &l->ctx);
	cli_progress_end(&p);
	if (rc != RC_OK)
		cli_error("%s: address book views: %s", l->d.config.database, rc_text(rc));
	return rc;
}

static int run(struct load *l, const char *config)
{
	int rc = dirctl_open(&l->d, config, false);

	if (rc == RC_OK)
		rc = open_input(l);
	if (rc == RC_OK)
		rc = make_copy(l);
	if (rc != RC_OK)
		return rc;
	l->ctx = (struct update_context){.schema = l->d.schema,
					 .root = l->d.root,
					 .random = random_bytes,
					 .views_later = true,
					 .loaded = addresses_new()};
	if (l->ctx.loaded == NULL)
		return RC_NOMEM;
	cli_progress_begin(&l->progress, "loading entries", 0);
	rc = read_all(l);
	cli_progress_end(&l->progress);
	if (rc == RC_OK && l->errors != 0 && !l->go_on) {
		cli_error("%s: %lu errors; the database is as before (--continue loads the rest)",
			  l->file, l->errors);
		return RC_REFUSED;
	}
	if (rc == RC_OK)
		rc = build_views(l);
	return rc == RC_OK ? dirctl_beside_swap(&l->beside, &l->d) : rc;
}

static void report(const struct load *l, bool json)
{
	if (json)
		printf("{\"added\":%lu,\"changed\":%lu,\"errors\":%lu}\n", l->added, l->changed,
		       l->errors);
	else
		printf("%lu entries added, %lu changed, %lu errors\n", l->added, l->changed,
		       l->errors);
}

int dirctl_load(int argc, char **argv)
{
	struct load *l = mem_zalloc(1, sizeof(*l));
	const char *config = NULL;
	bool json = false;
	const struct cli_opt opts[] = {
		{"config", 'c', CLI_TEXT, &config, "FILE", "the site's dird.conf", true},
		{"continue", 0, CLI_FLAG, &l->go_on, NULL, "pass over records that are refused",
		 false},
		{"json", 0, CLI_FLAG, &json, NULL, "the outcome as a JSON object", false},
		{0}};
	const struct cli_usage u = {
		"dirctl load",
		"FILE|-",
		"Puts the entries of an LDIF file (RFC 2849) into the database; dird is stopped. "
		"All or nothing,\nunless --continue is given. Changes (changetype:) work, too. The "
		"root, sites and what sitectl\nhas made below them are replaced by entries of the "
		"file.",
		opts,
		"  dirctl load --config site1/dird.conf people.ldif\n"
		"  zcat people.ldif.gz | dirctl load --config site1/dird.conf -\n",
		1,
		1};
	int first, status, rc;

	must(l != NULL);
	if (!cli_parse(&u, argc, argv, &first, &status)) {
		mem_free(l);
		return status;
	}
	l->file = argv[first];
	rc = run(l, config);
	if (rc == RC_OK)
		report(l, json);
	dirctl_beside_remove(&l->beside);
	ldif_reader_free(&l->reader);
	if (l->in != NULL && l->in != stdin)
		fclose(l->in);
	arena_fini(&l->batch.arena);
	addresses_free(&l->ctx.loaded);
	mem_free(l->replaced);
	dirctl_close(&l->d);
	status = rc == RC_OK && l->errors == 0 ? CLI_DONE : CLI_FAILED;
	mem_free(l);
	return status;
}
