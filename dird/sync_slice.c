#include "dird/sync_session.h"

#include "dird/repl.h"
#include "dird/server.h"

static int send_removed(struct sync_session *s, struct store_txn *t, uint64_t eid,
			const struct entry *e)
{
	struct buf dn;
	int rc;

	buf_init(&dn, SIZE_MAX);
	rc = store_dn(t, eid, &dn);
	if (rc == RC_OK)
		rc = buf_rc(&dn);
	if (rc == RC_OK)
		rc = sync_send_delete(s, &e->head.uuid, buf_span(&dn), &e->head.stamp);
	buf_fini(&dn);
	return rc;
}

static bool is_container(const struct entry *e)
{
	static const char *const classes[] = {"container", "organizationalUnit", "organization",
					      "domain",    "locality",           "country"};
	size_t i;

	for (i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		if (entry_has_class(e, classes[i]))
			return true;
	}
	return false;
}

/*
 * slapd can not give an entry a name that another one still has there, and takes that one for it.
 * Names may pass from entry to entry within a pass of several changes; an entry that is not there
 * any more it adds in the other one's place. Not for what may have children there: slapd does not
 * remove these.
 */
static bool may_meet_old_name(const struct sync_session *s, struct store_txn *t, uint64_t eid,
			      const struct entry *e, const struct sync_nc *nc)
{
	uint64_t since = s->stage == SYNC_STAGE_PRESENT ? nc->begin : nc->settled;

	return s->is_openldap && e->head.moved_usn > since && nc->here - since > 1 &&
	       (s->stage != SYNC_STAGE_PRESENT || since != 0) && !is_container(e) &&
	       !store_has_children(t, eid);
}

/*
 * In a refresh stage all changes are (RFC 4533 §3.3.2). Later it is what was made since the last
 * consistent point, or has moved and so may have come into the scope; what a modification has
 * brought into the filter can not be told from others, since nothing is kept of a session's
 * content.
 */
static bool is_new_to(const struct sync_session *s, uint64_t eid, const struct entry *e,
		      const struct sync_nc *nc)
{
	bool is_all = s->base_eid == s->root_eid && s->op->msg.u.search.scope == STORE_SUB;

	if (s->stage != SYNC_STAGE_PERSIST || eid >= s->newest)
		return true;
	return !is_all && e->head.moved_usn > nc->settled;
}

static int send_member(struct sync_session *s, struct store_txn *t, uint64_t eid,
		       const struct entry *e, const struct sync_nc *nc)
{
	int64_t limit = s->op->msg.u.search.size_limit;
	bool has_moved = false;
	int rc = RC_OK;

	if (s->stage == SYNC_STAGE_PRESENT && e->head.stamp.usn <= nc->begin) {
		if (!s->is_partner)
			rc = sync_has_moved(s, t, e, &has_moved);
		if (rc != RC_OK || !has_moved)
			return rc == RC_OK ? sync_send_present(s, &e->head.uuid) : rc;
	}
	if (limit > 0 && s->entries_sent >= (uint64_t)limit)
		return RC_TOOBIG;
	if (may_meet_old_name(s, t, eid, e, nc))
		rc = send_removed(s, t, eid, e);
	if (rc != RC_OK)
		return rc;
	return sync_send_entry(s, t, eid, e, is_new_to(s, eid, e, nc) ? SYNC_ADD : SYNC_MODIFY);
}

static int hold(struct sync_session *s, const struct entry *e, const struct sync_nc *nc)
{
	size_t size = s->held_size != 0 ? 2 * s->held_size : 64;
	struct sync_held *at;

	if (s->nheld == SYNC_HELD_MAX)
		return RC_TOOBIG;
	if (s->nheld == s->held_size) {
		at = mem_realloc(s->held, size * sizeof(*at));
		if (at == NULL)
			return RC_NOMEM;
		s->held = at;
		s->held_size = size;
	}
	s->held[s->nheld++] = (struct sync_held){e->head.uuid, nc->number, e->head.stamp.usn};
	return RC_OK;
}

/* Tell about one live entry; `walked`: not for its own change, but for one of an ancestor's. */
static int tell(struct sync_session *s, struct store_txn *t, uint64_t eid, const struct entry *e,
		const struct sync_nc *nc, bool walked)
{
	enum sync_membership is;
	int rc = sync_content_has(s, t, eid, e, &is);

	if (rc != RC_OK)
		return rc;
	switch (is) {
	case SYNC_HIDDEN:
		return hold(s, e, nc);
	case SYNC_MEMBER:
		return !walked && e->head.stamp.usn <= nc->named ? RC_OK
								 : send_member(s, t, eid, e, nc);
	case SYNC_OUTSIDE:
		/* What has not moved was outside before. */
		if (!walked && e->head.moved_usn <= nc->settled)
			return RC_OK;
		break;
	case SYNC_UNMATCHED:
		break;
	}
	return s->stage == SYNC_STAGE_PRESENT ? RC_OK : send_removed(s, t, eid, e);
}

/* --- below an entry that moved --- */

/*
 * Its descendants have no row of their own for the move, but may have entered or left the scope.
 * Where the whole tree is the scope, and where only one level is, they can not.
 */
static bool must_walk(const struct sync_session *s, struct store_txn *t, uint64_t eid,
		      const struct entry *e, const struct sync_nc *nc)
{
	int64_t scope = s->op->msg.u.search.scope;

	if (s->is_partner || s->base_eid == s->root_eid || scope == STORE_BASE ||
	    scope == STORE_ONE || e->head.moved_usn <= nc->settled)
		return false;
	if (s->stage == SYNC_STAGE_PRESENT && e->head.moved_usn <= nc->pass_high)
		return false;
	return store_has_children(t, eid);
}

static int walk_one(struct sync_session *s, struct store_txn *t, uint64_t eid)
{
	struct sync_nc *nc;
	struct entry e;
	int rc = store_entry(t, eid, &e);

	if (rc != RC_OK)
		return rc == RC_NOTFOUND ? RC_OK : rc;
	nc = sync_find_nc(s, &e.head.stamp.nc);
	if (nc == NULL || e.head.stamp.usn > nc->sent.usn)
		return RC_OK;
	if (s->walk_is_before_pass && e.head.stamp.usn > nc->settled)
		return RC_OK;
	return tell(s, t, eid, &e, nc, true);
}

static int go_on_walking(struct sync_session *s, struct store_txn *t, unsigned *budget)
{
	uint64_t eid;
	int rc = RC_OK;

	while (s->walk != NULL && *budget != 0 && rc == RC_OK && op_may_send(s->op)) {
		rc = store_iter_next(s->walk, &eid);
		if (rc == RC_OK)
			rc = walk_one(s, t, eid);
		else if (rc == RC_DONE)
			store_iter_free(&s->walk);
		if (rc == RC_DONE)
			return RC_OK;
		(*budget)--;
	}
	return rc;
}

/* --- rows --- */

static int tell_tombstone(struct sync_session *s, const struct sync_nc *nc,
			  const struct store_change *row)
{
	struct stamp stamp = {nc->sent.nc, row->epoch, row->usn};

	if (s->stage == SYNC_STAGE_PRESENT)
		return RC_OK;
	return sync_send_delete(s, &row->uuid, row->old_dn, &stamp);
}

/* What can not be applied here is passed on to sites all the same. */
static int tell_quarantined(struct sync_session *s, const struct sync_nc *nc,
			    const struct store_change *row)
{
	struct store_quarantined q;
	int rc = store_quarantined_read(row->quarantined, &q);

	if (rc != RC_OK || !s->is_partner)
		return rc;
	if (q.is_removal)
		return s->stage == SYNC_STAGE_PRESENT
			       ? RC_OK
			       : sync_send_delete(s, &row->uuid, q.e.head.rdn, &q.e.head.stamp);
	if (s->stage == SYNC_STAGE_PRESENT && row->usn <= nc->begin)
		return sync_send_present(s, &row->uuid);
	return sync_send_quarantined(s, &q.e);
}

static int tell_row(struct sync_session *s, struct store_txn *t, struct sync_nc *nc,
		    const struct store_change *row)
{
	struct entry e;
	int rc;

	if (row->is_tombstone)
		return tell_tombstone(s, nc, row);
	if (row->is_quarantined)
		return tell_quarantined(s, nc, row);
	rc = store_entry(t, row->eid, &e);
	if (rc == RC_OK)
		rc = tell(s, t, row->eid, &e, nc, false);
	if (rc == RC_OK && must_walk(s, t, row->eid, &e, nc)) {
		s->walk_is_before_pass = e.head.moved_usn <= nc->pass_high;
		rc = store_walk(t, row->eid, STORE_CHILDREN, &s->walk);
	}
	return rc;
}

/* All rows of one usn. */
static int tell_rows(struct sync_session *s, struct store_txn *t, struct sync_nc *nc,
		     const struct store_change *first)
{
	struct store_change row = *first;
	int rc;

	do {
		rc = tell_row(s, t, nc, &row);
		if (rc != RC_OK || s->walk != NULL)
			return rc;
		rc = store_change_twin(t, nc->number, &row);
	} while (rc == RC_OK);
	return rc == RC_DONE ? RC_OK : rc;
}

/* What came from the partner, it has. */
static void skip_what_it_has(struct sync_session *s, struct sync_nc *nc)
{
	uint64_t usn;

	if (!s->is_partner || s->stage != SYNC_STAGE_PERSIST || nc->is_own ||
	    s->op->identity.kind != IDENTITY_SITE)
		return;
	usn = repl_partner_usn(s->op->server->repl, &s->op->identity.uuid, &nc->sent);
	if (usn > nc->here)
		usn = nc->here;
	if (usn > nc->sent.usn)
		nc->sent.usn = nc->told = usn;
}

/* RC_DONE: nothing left of this context. */
static int slice_nc(struct sync_session *s, struct store_txn *t, struct sync_nc *nc,
		    unsigned *budget)
{
	struct store_change row;
	int rc;

	if (nc->is_ahead || nc->sent.usn >= nc->here)
		return RC_DONE;
	if (s->stage == SYNC_STAGE_PRESENT && !nc->speaks)
		return RC_DONE;
	skip_what_it_has(s, nc);
	while (*budget != 0 && op_may_send(s->op)) {
		rc = store_change_next(t, nc->number, nc->sent.usn, nc->here, &row);
		if (rc == RC_DONE)
			nc->sent.usn = nc->here;
		if (rc == RC_OK)
			rc = tell_rows(s, t, nc, &row);
		if (rc != RC_OK)
			return rc;
		nc->sent.usn = row.usn;
		s->rows_since_cookie++;
		(*budget)--;
		rc = go_on_walking(s, t, budget);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

/* --- entries without a parent --- */

/* RC_BUSY: it is still hidden. */
static int retry_held(struct sync_session *s, struct store_txn *t, const struct sync_held *h)
{
	enum sync_membership is;
	struct sync_nc *nc;
	struct entry e;
	uint64_t eid;
	int rc = store_by_uuid(t, &h->uuid, &eid);

	if (rc == RC_OK)
		rc = store_entry(t, eid, &e);
	if (rc != RC_OK)
		return rc == RC_NOTFOUND ? RC_OK : rc;
	nc = sync_find_nc(s, &e.head.stamp.nc);
	if (nc == NULL || e.head.stamp.usn > nc->sent.usn)
		return RC_OK; /* its own row is still to come */
	rc = sync_content_has(s, t, eid, &e, &is);
	if (rc != RC_OK)
		return rc;
	return is == SYNC_HIDDEN ? RC_BUSY : tell(s, t, eid, &e, nc, true);
}

static int retry_all_held(struct sync_session *s, struct store_txn *t)
{
	size_t i, kept = 0;
	int rc = RC_OK;

	for (i = 0; i < s->nheld; i++) {
		struct sync_held h = s->held[i];

		if (rc == RC_OK)
			rc = retry_held(s, t, &h);
		if (rc != RC_OK)
			s->held[kept++] = h;
		if (rc == RC_BUSY)
			rc = RC_OK;
	}
	s->nheld = kept;
	return rc;
}

/* --- slices and passes --- */

void sync_begin_pass(struct sync_session *s)
{
	unsigned i;

	for (i = 0; i < s->nncs; i++)
		s->ncs[i].settled = s->ncs[i].sent.usn;
	s->newest = s->next_eid;
	s->pass_is_new = true;
}

static void begin_pass(struct sync_session *s)
{
	unsigned i;

	for (i = 0; s->pass_is_new && i < s->nncs; i++)
		s->ncs[i].pass_high = s->ncs[i].here;
	s->pass_is_new = false;
}

/* A refresh stage that only follows new writes by now ends some time. */
static bool has_chased_enough(struct sync_session *s)
{
	unsigned i;

	for (i = 0; i < s->nncs; i++) {
		if (s->stage == SYNC_STAGE_PRESENT && !s->ncs[i].speaks)
			continue;
		if (!s->ncs[i].is_ahead && s->ncs[i].sent.usn < s->ncs[i].pass_high)
			return false;
	}
	return ++s->chase_slices > SYNC_CHASE_SLICES;
}

static int slice_contexts(struct sync_session *s, struct store_txn *t, unsigned *budget)
{
	unsigned i, done = 0;
	int rc = RC_OK;

	for (i = 0; i < s->nncs && rc == RC_OK; i++) {
		unsigned at = (s->turn + i) % s->nncs;

		rc = slice_nc(s, t, &s->ncs[at], budget);
		if (rc == RC_DONE) {
			done++;
			rc = RC_OK;
		} else if (rc == RC_OK) {
			s->turn = at + 1;
			break;
		}
	}
	if (rc != RC_OK)
		return rc;
	return done == s->nncs ? RC_DONE : RC_OK;
}

static int tell_row_beyond(struct sync_session *s, struct store_txn *t, const struct sync_nc *nc,
			   const struct store_change *row)
{
	struct entry e;
	int rc;

	if (row->is_tombstone)
		return RC_OK;
	if (row->is_quarantined)
		return tell_quarantined(s, nc, row);
	rc = store_entry(t, row->eid, &e);
	return rc == RC_OK ? tell(s, t, row->eid, &e, nc, false) : rc;
}

/*
 * Rows behind the position of a present phase: changes that came here without their cookie, or
 * while the phase ran. The client may hold an older state that has no row any more; unless the
 * entry is told, the end of the phase removes it. Not in a context without position: what goes from
 * there may leave no trace.
 */
static int tell_beyond(struct sync_session *s, struct store_txn *t, const struct sync_nc *nc)
{
	uint64_t at = nc->sent.usn;
	struct store_change row;
	int rc;

	while ((rc = store_change_next(t, nc->number, at, UINT64_MAX, &row)) == RC_OK) {
		at = row.usn;
		do {
			rc = tell_row_beyond(s, t, nc, &row);
			if (rc == RC_OK)
				rc = store_change_twin(t, nc->number, &row);
		} while (rc == RC_OK);
		if (rc != RC_DONE)
			return rc;
	}
	return rc == RC_DONE ? RC_OK : rc;
}

static int finish_present(struct sync_session *s, struct store_txn *t)
{
	unsigned i;
	int rc = RC_OK;

	for (i = 0; i < s->nncs && rc == RC_OK; i++) {
		const struct sync_nc *nc = &s->ncs[i];

		if (nc->speaks && !nc->is_ahead && !nc->is_partners && nc->sent.usn != 0)
			rc = tell_beyond(s, t, nc);
	}
	return rc == RC_OK ? RC_DONE : rc;
}

int sync_slice(struct sync_session *s, struct store_txn *t)
{
	unsigned budget = SYNC_SLICE_ROWS;
	int rc = sync_find_base(s, t);

	s->chain_eid = 0;
	if (rc == RC_OK)
		rc = sync_check_right(s, t);
	if (rc == RC_OK)
		rc = sync_refresh_contexts(s, t);
	begin_pass(s);
	if (rc == RC_OK && s->walk != NULL)
		rc = store_iter_resume(s->walk, t);
	if (rc == RC_OK)
		rc = go_on_walking(s, t, &budget);
	if (rc == RC_OK && s->nheld != 0)
		rc = retry_all_held(s, t);
	if (rc == RC_OK && s->walk == NULL)
		rc = slice_contexts(s, t, &budget);
	if (s->walk != NULL) {
		int paused = store_iter_pause(s->walk);

		if (rc == RC_OK || rc == RC_DONE)
			rc = paused;
	}
	if (rc == RC_OK && s->stage != SYNC_STAGE_PERSIST && has_chased_enough(s))
		rc = RC_DONE;
	if (rc == RC_DONE && s->stage == SYNC_STAGE_PRESENT)
		rc = finish_present(s, t);
	return rc;
}
