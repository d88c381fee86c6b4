/*
 * The disk when it is full, when a sync fails, and when power is lost in the middle of a commit.
 * LMDB writes pages that nobody uses yet, syncs, and then writes one of its first two pages, less
 * than a sector, synced too. So a crash leaves either the commit as a whole, or the old first pages
 * and any part of the others; so does a sync that fails.
 */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096

static void path_of(const struct site *s, const char *below, char *out, size_t size)
{
	need(snprintf(out, size, "%s%s/data.mdb", s->folder, below) < (int)size);
}

void disk_read(const struct site *s, struct buf *out)
{
	char path[160];
	long n;
	FILE *f;

	path_of(s, "", path, sizeof(path));
	f = fopen(path, "rb");
	need(f != NULL && fseek(f, 0, SEEK_END) == 0);
	n = ftell(f);
	rewind(f);
	buf_init(out, SIZE_MAX);
	need(n > 0 && buf_extend(out, n) != NULL);
	need(fread(out->p, 1, n, f) == (size_t)n);
	fclose(f);
}

static void write_file(const char *path, struct span bytes)
{
	FILE *f = fopen(path, "wb");

	need(f != NULL && fwrite(bytes.p, 1, bytes.n, f) == bytes.n && fclose(f) == 0);
}

/* The file as it would be after the commit, made beside the site's own. */
static void commit_beside(struct site *s, struct span old, struct change *c, unsigned n,
			  struct arena *a, struct buf *out)
{
	struct store_options opt = {.map_bytes = 16 << 20};
	struct site beside = *s;
	enum update_outcome outcome = UPDATE_APPLIED;
	struct result result;
	struct store_txn *t;
	struct buf why;
	char path[160];
	unsigned i;

	need(snprintf(beside.folder, sizeof(beside.folder), "%s/beside", s->folder) <
	     (int)sizeof(beside.folder));
	need(mkdir(beside.folder, 0700) == 0);
	path_of(&beside, "", path, sizeof(path));
	write_file(path, old);
	buf_init(&why, 1000);
	need(store_open(beside.folder, &opt, &beside.store, &why) == RC_OK);
	buf_fini(&why);
	need(store_write_begin(beside.store, &t) == RC_OK);
	need(proof_begin(s, t, &result) == RC_OK);
	for (i = 0; i < n && outcome != UPDATE_HELD; i++)
		need(update_apply(t, &s->ctx, &c[i], a, &outcome, &result) == RC_OK);
	need(proof_end(s, t, &result) == RC_OK);
	need(store_write_commit(&t) == RC_OK);
	store_close(&beside.store);
	disk_read(&beside, out);
	snprintf(path, sizeof(path), "rm -rf '%s'", beside.folder);
	need(system(path) == 0);
}

/* The old file with some of the pages that the commit wrote. */
static void tear(struct buf *old, const struct buf *new)
{
	size_t at, n;

	if (new->n > old->n && chance(2)) {
		n = new->n - old->n;
		memset(buf_extend(old, n), 0, n);
	}
	for (at = 2 * PAGE; at + PAGE <= old->n && at + PAGE <= new->n; at += PAGE) {
		if (chance(2))
			memcpy(old->p + at, new->p + at, PAGE);
	}
}

bool disk_is_full(const struct site *s)
{
	return w.now_ms < s->full_ms && !w.is_quiet;
}

bool disk_sync_fails(const struct site *s)
{
	return w.now_ms < s->eio_ms && !w.is_quiet;
}

void disk_lose_power(struct site *s, struct change *c, unsigned n, struct arena *a)
{
	struct buf old, new;

	disk_read(s, &old);
	commit_beside(s, buf_span(&old), c, n, a, &new);
	s->power_is_lost = true;
	s->lost_is_whole = chance(2);
	if (!s->lost_is_whole)
		tear(&old, &new);
	s->image = s->lost_is_whole ? new : old;
	buf_fini(s->lost_is_whole ? &old : &new);
	w.eios += disk_sync_fails(s);
	w.tears += !disk_sync_fails(s);
	trace("site %u %s, its last commit is %s", s->number,
	      disk_sync_fails(s) ? "could not sync" : "loses power",
	      s->lost_is_whole ? "there" : "not there");
}

void disk_backup(struct site *s)
{
	buf_fini(&s->backup);
	disk_read(s, &s->backup);
}

void disk_after_crash(struct site *s)
{
	char path[160];

	if (s->is_restored) {
		buf_clear(&s->image);
		buf_put(&s->image, buf_span(&s->backup));
		s->power_is_lost = false;
	}
	if (s->image.n == 0)
		return;
	path_of(s, "", path, sizeof(path));
	write_file(path, buf_span(&s->image));
	buf_fini(&s->image);
	buf_init(&s->image, SIZE_MAX);
}
