/*
 * Batches of a session to the writer. All that is ready goes as one request; if that is refused,
 * each goes by itself, so that a context that is not what its site has signed costs the others
 * nothing.
 */
#include "dird/repl_write.h"

#include "dird/verify.h"
#include "lib/log.h"

#include <stdio.h>

/* One batch at the writer. */
struct repl_part {
	struct repl_part *next;
	struct repl_write *writing;
	struct repl_ready *ready;
	struct write_req req;
	struct verify verify;
	bool is_compared;
};

static int begin_compare(struct write_req *req, struct store_txn *t, struct result *why)
{
	struct repl_part *p = req->ctx;

	return verify_begin(t, &p->verify, why);
}

static int end_compare(struct write_req *req, struct store_txn *t, struct result *why)
{
	struct repl_part *p = req->ctx;

	p->verify.is_held = req->counts[UPDATE_HELD] != 0;
	return verify_end(t, &p->verify, why);
}

static void free_parts(struct repl_write *w)
{
	struct repl_part *p;

	while ((p = w->parts) != NULL) {
		w->parts = p->next;
		if (p->ready != NULL)
			repl_ready_free(&p->ready);
		mem_free(p);
	}
}

/* --- what became of it --- */

static void note_quarantined(const struct log_ctx *lc, const struct repl_batch *b)
{
	char uuid[UUID_TEXT_BYTES], name[LOG_TEXT_BYTES], why[LOG_TEXT_BYTES];
	const struct change *at;
	unsigned i;

	for (i = 0; i < b->n; i++) {
		at = &b->changes[i];
		if (at->quarantined == NULL)
			continue;
		uuid_write(&at->uuid, uuid);
		log_error(lc, "repl.quarantined",
			  "uuid=%s usn=%llu name=\"%s\" reason=\"%s\" hint=\"dirctl quarantine\"",
			  uuid, (unsigned long long)at->stamp.usn,
			  log_text(at->kind == CHANGE_PUT ? at->rdn : at->old_dn, name),
			  log_text(span_of(at->quarantined), why));
	}
}

static void note_applied(const struct repl_write *w, const struct repl_part *p)
{
	const struct log_ctx lc = {.site = w->site};
	const unsigned *n = p->req.counts;

	log_debug(&lc, "repl.applied", "changes=%u applied=%u duplicate=%u parked=%u",
		  p->ready->batch.n, n[UPDATE_APPLIED], n[UPDATE_DUPLICATE], n[UPDATE_PARKED]);
	if (n[UPDATE_QUARANTINED] != 0)
		note_quarantined(&lc, &p->ready->batch);
	if (n[UPDATE_FOREIGN_OWN] != 0)
		log_warn(&lc, "repl.foreign",
			 "refused=%u reason=\"changes of others to a context "
			 "that this site writes\"",
			 n[UPDATE_FOREIGN_OWN]);
}

/* The key of a partner that is new here may come with a later batch: its next head is compared. */
static void note_compared(struct repl_write *w, const struct repl_part *p)
{
	bool is_proven = p->verify.is_proven;

	w->on_compared(w->ctx, &p->ready->nc, is_proven, NULL);
	if (!is_proven && p->ready->is_homes &&
	    repl_held_note_unproven(w->held, &p->verify.head.position) != RC_OK)
		w->on_failed(w->ctx, rc_text(RC_NOMEM));
}

static void note_written(struct repl_write *w)
{
	struct repl_part *p;

	for (p = w->parts; p != NULL; p = p->next) {
		note_applied(w, p);
		if (p->req.counts[UPDATE_HELD] != 0)
			w->on_failed(w->ctx, VERIFY_HELD_TEXT);
		else if (p->is_compared)
			note_compared(w, p);
	}
}

/* All back to where they came from, in their order. */
static void put_back(struct repl_write *w)
{
	struct repl_ready *all[REPL_WRITE_PARTS];
	struct repl_part *p;
	unsigned n = 0;

	for (p = w->parts; p != NULL; p = p->next) {
		all[n++] = p->ready;
		p->ready = NULL;
	}
	while (n != 0)
		repl_held_put_back(w->held, all[--n]);
	free_parts(w);
}

/* The one batch of the request was not taken. */
static void note_failed(struct repl_write *w, const struct write_req *req)
{
	struct repl_part *p = w->parts;
	char text[LOG_TEXT_BYTES], why[200];

	if (p->is_compared && req->rc == RC_REFUSED && p->verify.home_is_unknown &&
	    !p->ready->is_last) {
		p->ready->is_last = true;
		repl_held_defer(w->held, p->ready);
		p->ready = NULL;
	} else if (p->is_compared && req->rc == RC_REFUSED && p->verify.is_held) {
		w->on_failed(w->ctx, VERIFY_HELD_TEXT); /* it is not the partner's fault */
	} else if (p->is_compared && req->rc == RC_REFUSED) {
		w->on_compared(w->ctx, &p->ready->nc, false, req->result.text);
	} else {
		snprintf(why, sizeof(why), "changes could not be written: %s",
			 req->rc == RC_REFUSED ? log_text(span_of(req->result.text), text)
					       : rc_text(req->rc));
		w->on_failed(w->ctx, why);
	}
}

static void on_done(struct write_req *req)
{
	struct repl_part *first = req->ctx;
	struct repl_write *w = first->writing;
	bool alone = w->parts->next == NULL;

	w->is_writing = false;
	if (req->rc == RC_OK) {
		note_written(w);
	} else if (!alone) {
		w->one_by_one = true;
		put_back(w);
	} else {
		note_failed(w, req);
	}
	free_parts(w);
	w->on_written(w->ctx);
}

/* --- to the writer --- */

static struct repl_part *new_part(struct repl_write *w, struct repl_ready *r)
{
	struct repl_part *p = mem_zalloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->writing = w;
	p->ready = r;
	p->req = (struct write_req){.changes = r->batch.changes,
				    .nchanges = r->batch.n,
				    .arena = &r->batch.arena,
				    .home = w->home,
				    .is_internal = true,
				    .is_alone = true,
				    .done = on_done,
				    .ctx = p};
	p->verify = (struct verify){.bytes = buf_span(&r->head), .is_homes = r->is_homes};
	p->is_compared = r->head.n != 0 && head_read(p->verify.bytes, &p->verify.head) == RC_OK;
	if (p->is_compared) {
		p->req.check = begin_compare;
		p->req.after = end_compare;
	}
	return p;
}

/* One request is out at a time, so a batch that failed is never followed by a later position. */
int repl_write_flush(struct repl_write *w)
{
	struct repl_part **last = &w->parts, *p;
	struct repl_ready *r;
	unsigned n = 0;

	if (w->is_writing)
		return RC_OK;
	while (n < (w->one_by_one ? 1 : REPL_WRITE_PARTS) &&
	       (r = repl_held_next(w->held)) != NULL) {
		p = new_part(w, r);
		if (p == NULL) {
			repl_held_put_back(w->held, r);
			break;
		}
		if (n++ != 0)
			w->last->req.part = &p->req;
		w->last = *last = p;
		last = &p->next;
	}
	if (n == 0)
		return w->held->ready != NULL ? RC_NOMEM : RC_OK;
	w->is_writing = true;
	writer_submit(w->writer, &w->parts->req);
	return RC_OK;
}

void repl_write_fini(struct repl_write *w)
{
	must(!w->is_writing);
	free_parts(w);
}
