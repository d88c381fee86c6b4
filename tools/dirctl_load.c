/*
 * dirctl load: LDIF into a copy of the database, in batches, by the same road as every change; the
 * copy takes the database's place when all of it is in.
 */
#include "tools/dirctl_load.h"

#include "dird/eid_hints.h"
#include "dird/store_bulk.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/stat.h>

#define KEEP_BYTES (512 << 20)

struct load {
	struct dirctl d;
	const char *file;
	bool go_on;
	FILE *in;
	struct load_reader reader;
	struct load_batch batches[2];
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

/* --- one record --- */

static int wrong(struct load *l, const struct load_record *r, const char *what, const char *why)
{
	char dn[200];
	size_t i, n = r->dn.n < sizeof(dn) ? r->dn.n : sizeof(dn);

	for (i = 0; i < n; i++)
		dn[i] = (char)(r->dn.p[i] < 0x20 || r->dn.p[i] == 0x7f ? '?' : r->dn.p[i]);
	cli_context("%s:%lu: ", l->file, r->line);
	if (what == NULL)
		cli_error("%s", why);
	else
		cli_error("%.*s: %s%s%s", (int)n, dn, what, *why != '\0' ? ": " : "", why);
	cli_context("%s", "");
	l->errors++;
	return RC_REFUSED;
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

static int refused(struct load *l, const struct load_record *r, const struct result *why)
{
	char text[200];

	snprintf(text, sizeof(text), "%s%s%s", result_name(why->code),
		 why->text != NULL ? ": " : "", why->text != NULL ? why->text : "");
	return wrong(l, r, text, "");
}

/* RC_REFUSED: reported; other errors end the load. */
static int load_record(struct load *l, struct store_txn *t, const struct load_record *r)
{
	struct change c = r->change;
	enum update_outcome outcome = UPDATE_APPLIED;
	struct result why = {.code = LR_SUCCESS};
	struct arena a;
	int rc;

	if (r->why != NULL)
		return wrong(l, r, r->what, r->why);
	arena_init(&a);
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
	arena_fini(&a);
	return rc;
}

/* --- batches --- */

static int try_records(struct load *l, const struct load_batch *b, unsigned from, unsigned to)
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
		rc = load_record(l, t, b->records[i]);
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

static int put_records(struct load *l, const struct load_batch *b, unsigned from, unsigned to)
{
	int rc;

	if (from == to)
		return RC_OK;
	do {
		rc = try_records(l, b, from, to);
	} while (rc == RC_MORE);
	if (rc != RC_OK) {
		cli_error("%s: near line %lu: %s", l->d.config.database, b->records[from]->line,
			  rc_text(rc));
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
	eid_hints_free(&l->ctx.loaded);
	if (rc != RC_OK)
		cli_error("%s: the index: %s", l->d.config.database, rc_text(rc));
	return rc;
}

/* New entries need nothing of the index, changes of entries do. */
static unsigned count_new(const struct load_batch *b)
{
	unsigned i;

	for (i = 0; i < b->n && (b->records[i]->is_new || b->records[i]->why != NULL); i++)
		;
	return i;
}

static int put_batch(struct load *l, const struct load_batch *b)
{
	unsigned n = store_bulk_is_open(l->beside.store) ? count_new(b) : b->n;
	int rc = put_records(l, b, 0, n);

	if (rc == RC_OK && n < b->n)
		rc = end_gathering(l);
	return rc == RC_OK ? put_records(l, b, n, b->n) : rc;
}

/* How many entries the file has, by the size of those that were read. A pipe has no size. */
static void guess_total(struct load *l, const struct load_batch *b)
{
	unsigned long known = l->progress.done + b->n;
	off_t at = ftello(l->in);
	struct stat st;

	if (b->rc == RC_DONE)
		l->progress.total = known;
	else if (fstat(fileno(l->in), &st) == 0 && S_ISREG(st.st_mode) && at > 0)
		l->progress.total =
			(unsigned long)((double)known * (double)st.st_size / (double)at);
}

struct ahead {
	struct load_reader *reader;
	struct load_batch *into;
};

static void *read_ahead(void *arg)
{
	struct ahead *a = arg;

	load_read(a->reader, a->into, LOAD_BATCH_RECORDS);
	return NULL;
}

/* One batch goes into the database while the next one is read. */
static int put_and_read(struct load *l, struct load_batch *now, struct load_batch *next)
{
	struct ahead a = {&l->reader, next};
	bool has_thread = false;
	pthread_t thread;
	int rc;

	guess_total(l, now);
	if (now->rc == RC_OK)
		has_thread = pthread_create(&thread, NULL, read_ahead, &a) == 0;
	rc = put_batch(l, now);
	if (has_thread)
		must(pthread_join(thread, NULL) == 0);
	else if (now->rc == RC_OK && rc == RC_OK)
		read_ahead(&a);
	return rc;
}

/* The first batch ends where a block of the n-gram index does. */
static int read_all(struct load *l)
{
	unsigned i = 0, most = LOAD_BATCH_RECORDS - (unsigned)(l->first_new % GRAM_BLOCK_ENTRIES);
	struct load_batch *now = &l->batches[0];
	int rc = RC_OK;

	load_read(&l->reader, now, most);
	for (;;) {
		rc = put_and_read(l, now, &l->batches[!i]);
		if (rc != RC_OK || now->rc != RC_OK)
			break;
		i = !i;
		now = &l->batches[i];
	}
	if (rc == RC_OK && now->rc != RC_DONE) {
		cli_error("%s:%lu: %s", l->file, now->line, rc_text(now->rc));
		rc = now->rc;
	}
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
		rc = store_bulk_begin(l->beside.store);
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
		rc = ldif_reader_new(l->in, false, &l->reader.ldif);
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
					 .random = load_random,
					 .views_later = true,
					 .loaded = eid_hints_new()};
	l->reader.ctx = l->ctx;
	l->reader.actor =
		span_of(arena_printf(&l->d.arena, "cn=admin,%s", l->d.config.organisation));
	if (l->ctx.loaded == NULL || l->reader.actor.p == NULL)
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
	/* what a batch gives back is what the next one takes */
	(void)mallopt(M_MMAP_THRESHOLD, KEEP_BYTES);
	(void)mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
	if (!cli_parse(&u, argc, argv, &first, &status)) {
		mem_free(l);
		return status;
	}
	l->file = argv[first];
	rc = run(l, config);
	if (rc == RC_OK)
		report(l, json);
	dirctl_beside_remove(&l->beside);
	ldif_reader_free(&l->reader.ldif);
	if (l->in != NULL && l->in != stdin)
		fclose(l->in);
	arena_fini(&l->batches[0].arena);
	arena_fini(&l->batches[1].arena);
	eid_hints_free(&l->ctx.loaded);
	mem_free(l->replaced);
	dirctl_close(&l->d);
	status = rc == RC_OK && l->errors == 0 ? CLI_DONE : CLI_FAILED;
	mem_free(l);
	return status;
}
