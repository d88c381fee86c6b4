/* dirctl dump: all entries as LDIF, parents first; beside a running dird, too. */
#include "tools/dirctl.h"

#include "lib/dn.h"
#include "lib/ldif.h"

#include <stdio.h>

#define OUT_BYTES 65536

struct dump {
	struct dirctl d;
	bool user_only;
	struct store_txn *t;
	struct buf out;
};

static int write_entry(struct dump *w, uint64_t eid)
{
	struct attr_list list;
	struct arena a;
	struct entry e;
	struct buf dn;
	unsigned i, k;
	int rc;

	arena_init(&a);
	buf_init(&dn, 4 * DN_MAX_BYTES);
	rc = store_dn(w->t, eid, &dn);
	if (rc == RC_OK)
		rc = store_entry(w->t, eid, &e);
	if (rc == RC_OK)
		rc = entry_decode(&e, !w->user_only, &a, &list);
	if (rc == RC_OK) {
		ldif_write_attr(&w->out, SPAN_LIT("dn"), buf_span(&dn));
		for (i = 0; i < list.n; i++) {
			for (k = 0; k < list.attrs[i].nvalues; k++)
				ldif_write_attr(&w->out, list.attrs[i].type,
						list.attrs[i].values[k]);
		}
		buf_putc(&w->out, '\n');
		rc = buf_rc(&w->out);
	}
	buf_fini(&dn);
	arena_fini(&a);
	return rc;
}

static int flush(struct dump *w, size_t from_bytes)
{
	if (w->out.n < from_bytes)
		return RC_OK;
	if (w->out.n != 0 && fwrite(w->out.p, 1, w->out.n, stdout) != w->out.n)
		return RC_IO;
	buf_clear(&w->out);
	return RC_OK;
}

static int find_base(struct dump *w, const char *base, uint64_t *out)
{
	unsigned depth;
	struct dn dn;
	int rc;

	if (base == NULL)
		return store_root(w->t, out);
	if (dn_parse(&w->d.arena, span_of(base), &dn, NULL) != RC_OK) {
		cli_error("--base %s: not a distinguished name", base);
		return RC_INVALID;
	}
	rc = store_find(w->t, &dn, out, &depth);
	if (rc == RC_NOTFOUND)
		cli_error("--base %s: no such entry", base);
	return rc;
}

static int run(struct dump *w, const char *config, const char *base)
{
	struct store_iter *i = NULL;
	uint64_t eid = 0;
	int rc = dirctl_open(&w->d, config, true);

	if (rc != RC_OK)
		return rc;
	rc = store_read_begin(w->d.store, &w->t);
	if (rc == RC_OK)
		rc = find_base(w, base, &eid);
	if (rc == RC_OK) {
		buf_puts(&w->out, "version: 1\n\n");
		rc = store_walk(w->t, eid, STORE_SUB, &i);
	}
	while (rc == RC_OK && (rc = store_iter_next(i, &eid)) == RC_OK) {
		rc = write_entry(w, eid);
		if (rc == RC_OK)
			rc = flush(w, OUT_BYTES);
	}
	store_iter_free(&i);
	if (rc == RC_DONE)
		rc = flush(w, 0);
	if (rc == RC_OK && fflush(stdout) != 0)
		rc = RC_IO;
	if (rc != RC_OK && rc != RC_NOTFOUND && rc != RC_INVALID)
		cli_error("%s", rc_text(rc));
	store_read_end(&w->t);
	return rc;
}

int dirctl_dump(int argc, char **argv)
{
	struct dump w = {.user_only = false};
	const char *config = NULL, *base = NULL;
	const struct cli_opt opts[] = {
		{"config", 'c', CLI_TEXT, &config, "FILE", "the site's dird.conf", true},
		{"base", 'b', CLI_TEXT, &base, "DN", "only this entry and what is below it", false},
		{"user", 0, CLI_FLAG, &w.user_only, NULL,
		 "without operational attributes (entryUUID, timestamps)", false},
		{0}};
	const struct cli_usage u = {
		"dirctl dump",
		"",
		"Writes all entries as LDIF to standard output, parents first; passwords (hashed) "
		"are in it.\nWorks beside a running dird: what is written is one consistent "
		"moment.",
		opts,
		"  dirctl dump --config site1/dird.conf >site1.ldif\n",
		0,
		0};
	int first, status, rc;

	if (!cli_parse(&u, argc, argv, &first, &status))
		return status;
	buf_init(&w.out, (size_t)1 << 30);
	rc = run(&w, config, base);
	buf_fini(&w.out);
	dirctl_close(&w.d);
	return rc == RC_OK ? CLI_DONE : CLI_FAILED;
}
