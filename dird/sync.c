#include "dird/sync.h"

#include "dird/head.h"
#include "dird/loop.h"
#include "dird/server.h"
#include "dird/sync_session.h"
#include "dird/twins.h"
#include "lib/log.h"

/* A session lives on its connection's loop, and so does its place in the list of its thread. */
static _Thread_local struct sync_session *sessions;

static void link_session(struct sync_session *s)
{
	s->next = sessions;
	if (sessions != NULL)
		sessions->prev = s;
	sessions = s;
	s->is_linked = true;
	loop_listen(1);
}

static void unlink_session(struct sync_session *s)
{
	if (!s->is_linked)
		return;
	loop_listen(-1);
	s->is_linked = false;
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		sessions = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	s->next = s->prev = NULL;
}

/* Everything but the operation itself. */
static void free_session(struct sync_session *s)
{
	unlink_session(s);
	s->op->state = NULL;
	store_iter_free(&s->walk);
	while (s->nncs != 0)
		mem_free(s->ncs[--s->nncs].past);
	mem_free(s->ncs);
	mem_free(s->held);
	buf_fini(&s->out);
	buf_fini(&s->scratch);
	buf_fini(&s->computed);
	buf_fini(&s->last_cookie);
	arena_fini(&s->arena);
	mem_free(s);
}

/* --- end --- */

static void end_with(struct sync_session *s, enum ldap_result code, const char *text)
{
	struct op *op = s->op;

	free_session(s);
	op_finish_result(op, code, text);
}

/* With the Sync Done control. */
static void end_with_done(struct sync_session *s, enum ldap_result code, const char *text,
			  const struct sync_done *done)
{
	struct msg_control control = {.oid = SPAN_LIT(SYNC_OID_DONE), .has_value = true};
	struct op *op = s->op;
	struct buf value;

	buf_init(&value, SIZE_MAX);
	sync_done_write(&value, done);
	control.value = buf_span(&value);
	free_session(s);
	op->result = (struct result){.code = code, .text = text};
	if (buf_rc(&value) != RC_OK)
		op->result = (struct result){LR_OTHER, .text = rc_text(RC_NOMEM)};
	op_finish(op, SPAN_LIT(""), &control, buf_rc(&value) == RC_OK);
	buf_fini(&value);
}

/* With the cookie that was told last, if one was. */
static void end_with_last(struct sync_session *s, enum ldap_result code, const char *text)
{
	struct sync_done done = {.refresh_deletes = false};

	if (s->last_cookie.n != 0)
		done.cookie = arena_span(&s->op->arena, buf_span(&s->last_cookie));
	end_with_done(s, code, text, &done);
}

/*
 * The order does not tell any more what has gone. What was told last is still good to begin with:
 * the next session has a present phase (RFC 4533 §3.8). In a refresh stage nothing has been told.
 */
static void end_for_refresh(struct sync_session *s)
{
	end_with_last(s, LR_SYNC_REFRESH_REQUIRED, "a naming context was restored or trimmed");
}

static void end_by_error(struct sync_session *s, int rc)
{
	struct op *op = s->op;

	switch (rc) {
	case RC_CLOSED:
		free_session(s);
		op_drop(op);
		break;
	case RC_NOTFOUND:
		end_with(s, LR_NO_SUCH_OBJECT, "the base of the content is gone");
		break;
	case RC_CONFLICT:
		end_for_refresh(s);
		break;
	case RC_DENIED:
		end_with(s, LR_INSUFFICIENT_ACCESS, "the keys of the site have changed");
		break;
	case RC_TOOBIG:
		end_with(s, LR_SIZE_LIMIT, "more entries than the size limit");
		break;
	default:
		log_error(NULL, "sync.failed", "error=\"%s\"", rc_text(rc));
		end_with(s, LR_OTHER, rc_text(rc));
		break;
	}
}

/* The end of a poll. */
static void end_refresh_only(struct sync_session *s)
{
	struct sync_done done = {.refresh_deletes = s->stage == SYNC_STAGE_DELETE};
	struct buf cookie;

	buf_init(&cookie, SIZE_MAX);
	sync_cookie(s, true, &cookie);
	done.cookie = buf_span(&cookie);
	if (buf_rc(&cookie) != RC_OK)
		end_by_error(s, buf_rc(&cookie));
	else
		end_with_done(s, LR_SUCCESS, NULL, &done);
	buf_fini(&cookie);
}

static void on_cancel(struct op *op)
{
	struct sync_session *s = op->state;

	if (!op->is_abandoned) {
		end_with_last(s, LR_CANCELED, NULL);
		return;
	}
	free_session(s);
	op_drop(op);
}

/* --- stages --- */

static void yield_turn(struct sync_session *s)
{
	s->is_busy = true;
	op_yield(s->op);
}

/*
 * Is there something a present phase did not tell: what went away while it ran, the contexts that
 * it does not speak for, or, to a home, how far there are rows?
 */
static bool needs_delete_phase(const struct sync_session *s)
{
	unsigned i;

	for (i = 0; i < s->nncs; i++) {
		const struct sync_nc *nc = &s->ncs[i];

		if (nc->is_partners || nc->is_ahead)
			continue;
		if (!nc->speaks || nc->sent.usn > nc->pass_high ||
		    (nc->is_home && nc->here > nc->usn))
			return true;
	}
	return false;
}

/*
 * The present phase spoke for the rows up to its begin; live rows behind that were sent too, but
 * removals are told now.
 */
static int go_back_to_pass(struct sync_session *s)
{
	unsigned i;

	for (i = 0; i < s->nncs; i++) {
		struct sync_nc *nc = &s->ncs[i];

		if (nc->is_partners || !nc->speaks || nc->sent.usn <= nc->pass_high)
			continue;
		if (nc->floor > nc->pass_high)
			return RC_CONFLICT; /* what went meanwhile has left no trace already */
		nc->named = nc->sent.usn;
		nc->sent.usn = nc->pass_high;
	}
	return RC_OK;
}

static int begin_delete_phase(struct sync_session *s)
{
	int rc = go_back_to_pass(s);

	if (rc == RC_OK)
		rc = sync_send_info(s, SYNC_INFO_REFRESH_PRESENT, false);
	s->stage = SYNC_STAGE_DELETE;
	sync_begin_pass(s);
	return rc;
}

static int end_refresh(struct sync_session *s)
{
	struct log_ctx lc = {.op = s->op->msg.id};
	int rc = sync_send_info(s,
				s->stage == SYNC_STAGE_PRESENT ? SYNC_INFO_REFRESH_PRESENT
							       : SYNC_INFO_REFRESH_DELETE,
				true);

	log_debug(&lc, "sync.refreshed", "entries=%llu", (unsigned long long)s->entries_sent);
	s->stage = SYNC_STAGE_PERSIST;
	sync_begin_pass(s);
	return rc;
}

static int end_burst(struct sync_session *s)
{
	int rc = RC_OK;

	if (s->since_cookie != 0 || s->rows_since_cookie >= SYNC_COOKIE_ENTRIES)
		rc = sync_send_info(s, SYNC_INFO_NEW_COOKIE, false);
	else
		rc = sync_send_heads(s);
	sync_begin_pass(s);
	return rc;
}

/* One snapshot had nothing more: a consistent point. */
static void at_consistent_point(struct sync_session *s)
{
	int rc = sync_send_set(s);

	/* slapd takes the end of a second phase for that of another present phase: what is left is
	 * told in the persist stage, or to the next poll */
	if (rc == RC_OK && s->is_openldap && s->stage == SYNC_STAGE_PRESENT)
		rc = go_back_to_pass(s);
	if (rc == RC_OK && s->stage == SYNC_STAGE_PERSIST) {
		rc = end_burst(s);
	} else if (rc == RC_OK && s->stage == SYNC_STAGE_PRESENT && needs_delete_phase(s) &&
		   !s->is_openldap) {
		rc = begin_delete_phase(s);
		if (rc == RC_OK)
			yield_turn(s);
	} else if (rc == RC_OK && s->mode == SYNC_REFRESH_ONLY) {
		end_refresh_only(s);
		return;
	} else if (rc == RC_OK) {
		rc = end_refresh(s);
		if (rc == RC_OK) /* a commit may have come since the last snapshot */
			yield_turn(s);
	}
	if (rc != RC_OK)
		end_by_error(s, rc);
}

/* A cut of a partner's refresh must not cost more than a batch (R20). */
static int cookie_when_due(struct sync_session *s)
{
	if (!s->is_partner || s->stage == SYNC_STAGE_PRESENT ||
	    s->since_cookie < SYNC_COOKIE_ENTRIES)
		return RC_OK;
	return sync_send_info(s, SYNC_INFO_NEW_COOKIE, false);
}

/* Has another process of the site taken this one's place? */
static bool is_replaced(const struct sync_session *s)
{
	return !uuid_is_zero(&s->instance) &&
	       !twins_is_current(s->op->server->twins, &s->op->identity.uuid, &s->instance);
}

static void slice(struct sync_session *s, struct store_txn *t)
{
	int rc;

	if (is_replaced(s)) {
		end_with(s, LR_UNAVAILABLE, "another process of this site has connected");
		return;
	}
	s->snapshot = t;
	rc = sync_slice(s, t);
	if (rc == RC_DONE) {
		at_consistent_point(s);
		return;
	}
	if (rc == RC_OK)
		rc = cookie_when_due(s);
	if (rc != RC_OK)
		end_by_error(s, rc);
	else if (op_may_send(s->op))
		yield_turn(s);
	else
		s->is_busy = true; /* resume() comes on drain */
}

static void on_resume(struct op *op)
{
	struct sync_session *s = op->state;
	struct store_txn *t;
	int rc = store_read_begin(op->server->store, &t);

	s->is_busy = false;
	if (rc != RC_OK) {
		end_by_error(s, rc);
		return;
	}
	slice(s, t);
	store_read_end(&t);
}

/* One snapshot serves all sessions of a store. */
static int snapshot(struct store *store, struct store **of, struct store_txn **t)
{
	int rc;

	if (*t != NULL && *of == store)
		return RC_OK;
	if (*t != NULL)
		store_read_end(t);
	*of = store;
	rc = store_read_begin(store, t);
	if (rc != RC_OK)
		*t = NULL;
	return rc;
}

void sync_wake(struct loop *l)
{
	struct sync_session *s, *next;
	struct store_txn *t = NULL;
	struct store *of = NULL;
	int rc;

	(void)l;
	for (s = sessions; s != NULL; s = next) {
		next = s->next;
		if (s->is_busy)
			continue;
		rc = snapshot(s->op->server->store, &of, &t);
		if (rc != RC_OK)
			end_by_error(s, rc);
		else
			slice(s, t);
	}
	if (t != NULL)
		store_read_end(&t);
}

/* --- begin --- */

/* As any search does: an alias may lead to the base, and its absence is told with matchedDN. What
 * the base is called then is the base. */
static int find_first_base(struct sync_session *s, struct store_txn *t)
{
	struct buf dn;
	uint64_t eid;
	int rc = op_find_base(s->op, t, &s->base, &eid);

	if (rc != RC_OK)
		return rc;
	buf_init(&dn, 2 * DN_MAX_BYTES);
	rc = store_dn(t, eid, &dn);
	if (rc == RC_OK)
		rc = dn_parse(&s->op->arena, arena_span(&s->op->arena, buf_span(&dn)), &s->base,
			      NULL);
	buf_fini(&dn);
	return rc == RC_OK ? sync_find_base(s, t) : rc;
}

static int begin_content(struct sync_session *s, struct span cookie)
{
	struct store_txn *t;
	int rc = store_read_begin(s->op->server->store, &t);

	if (rc != RC_OK)
		return rc;
	rc = find_first_base(s, t);
	if (rc != RC_OK)
		goto out;
	s->is_partner = s->base_eid == s->root_eid && sync_is_partner_request(s->op);
	s->wants_heads = msg_control(&s->op->msg, HEAD_OID) != NULL;
	s->with_local = !s->is_partner && s->op->identity.kind == IDENTITY_ADMIN;
	if (rc == RC_OK && !s->is_partner)
		rc = sync_content_hash(s, &s->hash);
	if (rc == RC_OK)
		rc = sync_begin_right(s, t);
	if (rc == RC_OK)
		rc = sync_begin_contexts(s, t, cookie);
	if (rc == RC_CONFLICT)
		rc = result_set(&s->op->result, &s->op->arena, LR_SYNC_REFRESH_REQUIRED,
				"the cookie is not of this content");
	s->pass_is_new = true;
out:
	store_read_end(&t);
	return rc;
}

static void wake_loop(void *arg)
{
	sync_wake(arg);
}

void sync_wake_all(struct server *s)
{
	unsigned i;

	for (i = 0; i < s->nloops; i++) {
		if (loop_post(s->loops[i], wake_loop, s->loops[i]) != RC_OK)
			return; /* the next commit wakes them */
	}
}

static struct sync_session *new_session(struct op *op)
{
	struct sync_session *s = mem_zalloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->op = op;
	buf_init(&s->out, SIZE_MAX);
	buf_init(&s->scratch, SIZE_MAX);
	buf_init(&s->computed, SIZE_MAX);
	buf_init(&s->last_cookie, SIZE_MAX);
	op_view_init(&s->view, op, &s->computed);
	arena_init(&s->arena);
	op->state = s;
	op->resume = on_resume;
	op->cancel = on_cancel;
	return s;
}

void sync_start(struct op *op, const struct msg_control *request)
{
	struct sync_request r;
	struct sync_session *s;
	int rc = sync_check_request(op);

	if (rc != RC_OK) {
		op_finish(op, SPAN_LIT(""), NULL, 0);
		return;
	}
	s = new_session(op);
	if (s == NULL) {
		op_finish_result(op, LR_OTHER, rc_text(RC_NOMEM));
		return;
	}
	rc = sync_read_request(s, request, &r);
	if (rc == RC_OK)
		rc = sync_check_twin(s);
	if (rc == RC_OK)
		rc = begin_content(s, r.cookie);
	if (rc == RC_OK && s->is_partner)
		rc = sync_send_home(s);
	if (rc == RC_REFUSED && op->result.code == LR_SYNC_REFRESH_REQUIRED) {
		end_with_last(s, LR_SYNC_REFRESH_REQUIRED, op->result.text);
	} else if (rc == RC_REFUSED) {
		free_session(s);
		op_finish(op, SPAN_LIT(""), NULL, 0);
	} else if (rc != RC_OK) {
		end_by_error(s, rc);
	} else {
		link_session(s);
		op->is_endless = s->mode == SYNC_REFRESH_AND_PERSIST;
		on_resume(op);
	}
}
