#include "dird/op_search.h"

#include "dird/conn.h"
#include "dird/op_list.h"
#include "dird/psearch.h"

#define SEARCH_SLICE_ENTRIES 256
#define SEARCH_FLUSH_BYTES (64 * 1024)

/* --- life of a search --- */

void search_free(struct search **sp)
{
	struct search *s = *sp;

	if (s == NULL)
		return;
	if (s->iter != NULL)
		store_iter_free(&s->iter);
	list_free(&s->list);
	psearch_free(&s->psearch);
	if (s->sort != NULL)
		sort_fini(s->sort);
	eid_set_fini(&s->seen);
	eid_set_fini(&s->places);
	mem_free(s->place_list);
	buf_fini(&s->scratch);
	buf_fini(&s->value);
	buf_fini(&s->dn_normal);
	arena_fini(&s->arena);
	mem_free(s);
	*sp = NULL;
}

struct search *search_new(void)
{
	struct search *s = mem_zalloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	buf_init(&s->scratch, CONN_PDU_BOUND_BYTES);
	buf_init(&s->value, UINT32_MAX);
	buf_init(&s->dn_normal, DN_MAX_BYTES * 2);
	return s;
}

static void put_control(struct msg_control *list, unsigned *n, struct span oid,
			const struct buf *value)
{
	if (value->n != 0 && buf_rc(value) == 0)
		list[(*n)++] = (struct msg_control){
			.oid = oid, .has_value = true, .value = buf_span(value)};
}

void search_finish(struct op *op, enum ldap_result code, const char *text)
{
	if (code == LR_SUCCESS && search_of(op)->psearch != NULL)
		psearch_persist(op);
	else
		search_end(op, code, text);
}

void search_end(struct op *op, enum ldap_result code, const char *text)
{
	struct search *s = search_of(op);
	struct msg_control list[3];
	struct buf page, sort, vlv;
	unsigned n = 0;

	op->result = (struct result){.code = code, .text = text};
	buf_init(&page, 64);
	buf_init(&sort, DN_MAX_BYTES);
	buf_init(&vlv, 64);
	if (s->sort != NULL && !s->sort->is_silent)
		sort_write(s->sort, &sort);
	if (s->vlv != NULL)
		vlv_write(s->vlv, &vlv);
	if (s->page_size != 0 || s->has_page_control)
		op_paged_finish(op, &s, &page);
	op->state = NULL;
	op->cancel = NULL;
	search_free(&s);
	put_control(list, &n, SPAN_LIT(OP_OID_PAGED), &page);
	put_control(list, &n, SPAN_LIT(OP_OID_SORT_RESPONSE), &sort);
	put_control(list, &n, SPAN_LIT(OP_OID_VLV_RESPONSE), &vlv);
	op_finish(op, (struct span){NULL, 0}, list, n);
	buf_fini(&vlv);
	buf_fini(&sort);
	buf_fini(&page);
}

void search_fail(struct op *op, int rc)
{
	struct search *s = search_of(op);

	op->state = NULL;
	op->cancel = NULL;
	search_free(&s);
	if (rc == RC_BUSY)
		op_finish_result(op, LR_BUSY,
				 "too many long answers wait for their readers; try again later");
	else
		op_finish_error(op, rc, "search");
}

void search_cancel(struct op *op)
{
	struct search *s = search_of(op);

	op->state = NULL;
	op->cancel = NULL;
	search_free(&s);
	op_finish_result(op, LR_CANCELED, NULL);
}

/* --- answers --- */

int search_flush(struct op *op, struct buf *out)
{
	int rc = buf_rc(out);

	if (rc == 0 && !conn_may_wait(op->conn, out->n))
		rc = RC_BUSY;
	if (rc == 0 && out->n != 0)
		rc = op_send(op, buf_span(out));
	buf_clear(out);
	return rc;
}

int search_send_entry(struct op *op, struct op_sight *v, uint64_t eid, const struct entry *e,
		      struct span dn, struct buf *out)
{
	const struct op_selection *sel = search_of(op)->selection;
	size_t mark = tlv_open_about(out, TLV_SEQUENCE, op_entry_about(sel, e));
	int rc;

	tlv_put_int(out, TLV_INTEGER, op->msg.id);
	rc = op_entry_write_named(v, eid, e, dn, sel, out);
	tlv_close(out, mark);
	op->nsent++;
	if (rc == 0 && out->n >= SEARCH_FLUSH_BYTES)
		rc = search_flush(op, out);
	return rc;
}

/* --- candidates --- */

/* At or below what an alias names? */
static bool in_place(const struct search *s, struct store_txn *t, uint64_t eid,
		     const struct entry *e)
{
	struct entry up = *e;

	if (s->nplaces == 0)
		return false;
	if (s->scope == STORE_ONE || eid_set_has(&s->places, eid))
		return eid_set_has(&s->places, eid);
	while (up.head.parent != 0) {
		if (eid_set_has(&s->places, up.head.parent))
			return true;
		if (store_entry(t, up.head.parent, &up) != 0)
			return false;
	}
	return false;
}

bool search_covers(const struct search *s, struct store_txn *t, uint64_t eid, const struct entry *e)
{
	switch (s->scope) {
	case STORE_BASE:
		return eid == s->base;
	case STORE_ONE:
		return e->head.parent == s->base || in_place(s, t, eid, e);
	case STORE_CHILDREN:
		if (eid != s->base &&
		    (s->base_is_root || store_entry_is_within(t, eid, e, s->base)))
			return true;
		return in_place(s, t, eid, e);
	case STORE_SUB:
		return s->base_is_root || store_entry_is_within(t, eid, e, s->base) ||
		       in_place(s, t, eid, e);
	}
	return false;
}

/* RC_DONE: the search is over, with op->result's code in *code. */
static int send_found(struct op *op, struct store_txn *t, uint64_t eid, const struct entry *e,
		      struct buf *out, enum ldap_result *code)
{
	struct search *s = search_of(op);
	int rc;

	if (s->size_limit != 0 && s->count >= s->size_limit) {
		*code = LR_SIZE_LIMIT;
		return RC_DONE;
	}
	buf_clear(&s->value);
	rc = store_entry_dn(t, eid, e, &s->value);
	if (rc == RC_NOTFOUND)
		return 0; /* in limbo: its parent has not come yet */
	if (rc == 0)
		rc = search_send_entry(op, s->sight, eid, e, buf_span(&s->value), out);
	if (rc == 0 && s->psearch != NULL && psearch_sent(op, e) == RC_TOOBIG) {
		*code = LR_ADMIN_LIMIT;
		return RC_DONE;
	}
	s->count++;
	if (rc == 0 && s->page_size != 0 && ++s->page_count >= s->page_size) {
		s->page_is_full = true;
		rc = RC_DONE;
	}
	return rc;
}

/* --- sorted answers --- */

/* Too many to be sorted: those we have are sent first, then the others as they are found. */
static int give_up_sorting(struct search *s, enum ldap_result *code)
{
	s->sort->code = LR_ADMIN_LIMIT;
	s->sort->state = SORT_SENDS;
	s->sort->at = 0;
	s->sort->end = s->sort->n;
	if (s->vlv != NULL)
		s->vlv->code = LR_ADMIN_LIMIT;
	if (s->vlv == NULL && !s->sort->is_critical)
		return 0;
	*code = LR_ADMIN_LIMIT;
	return RC_DONE;
}

/* Too many to be sorted. Nothing was sent yet: begin anew along a view, if there is one. */
static int go_along_instead(struct op *op, struct store_txn *t, uint64_t eid,
			    enum ldap_result *code)
{
	struct search *s = search_of(op);
	int rc = s->list == NULL ? list_choose_late(op, t, s) : RC_NOTFOUND;

	if (rc == RC_NOTFOUND) {
		s->held = eid; /* there was no room for this one */
		return give_up_sorting(s, code);
	}
	if (rc != RC_OK)
		return rc;
	store_iter_free(&s->iter);
	eid_set_fini(&s->seen);
	sort_fini(s->sort);
	s->sort->state = SORT_OFF;
	s->may_repeat = false;
	s->from_index = true; /* the view has entries of other places */
	return RC_OK;
}

static int found(struct op *op, struct store_txn *t, uint64_t eid, const struct entry *e,
		 struct buf *out, enum ldap_result *code)
{
	struct search *s = search_of(op);
	int rc;

	if (s->may_repeat) {
		rc = eid_set_add(&s->seen, eid);
		if (rc != 0)
			return rc == RC_EXISTS ? 0 : rc;
	}
	if (s->sort == NULL || s->sort->state != SORT_GATHERS)
		return send_found(op, t, eid, e, out, code);
	rc = sort_add(s->sort, s->sight, eid, e);
	return rc == RC_TOOBIG ? go_along_instead(op, t, eid, code) : rc;
}

/* Everything is found: put it in order and begin to send. RC_DONE: there is nothing to send. */
static int begin_sending(struct op *op, enum ldap_result *code)
{
	struct search *s = search_of(op);

	s->sort->state = SORT_SENDS;
	sort_rows(s->sort);
	if (s->vlv != NULL)
		vlv_window(s->vlv, s->sort, op->server->schema);
	if (s->iter != NULL)
		store_iter_free(&s->iter);
	if (s->vlv == NULL || s->vlv->code == 0)
		return 0;
	*code = LR_VLV_ERROR;
	return RC_DONE;
}

static int send_sorted(struct op *op, struct store_txn *t, struct buf *out, enum ldap_result *code)
{
	struct search *s = search_of(op);
	struct entry e;
	uint64_t eid;
	int rc;

	if (s->sort->at < s->sort->end) {
		eid = s->sort->rows[s->sort->at++].eid;
	} else if (s->sort->code == LR_SUCCESS) {
		return RC_DONE;
	} else {
		eid = s->held;
		s->sort->state = SORT_OFF;
	}
	rc = store_entry(t, eid, &e);
	if (rc != 0)
		return rc == RC_NOTFOUND ? 0 : rc; /* deleted since it was found */
	if (!op_sees_entry(s->sight, &e))
		return 0; /* hidden since */
	return send_found(op, t, eid, &e, out, code);
}

/* A continuation reference (RFC 3296 §5.2): what is left to search is the entry or its subtree. */
static int send_reference(struct op *op, struct store_txn *t, uint64_t eid,
			  const struct entry_attr *ref, struct buf *out)
{
	struct search *s = search_of(op);
	const char *suffix = s->scope == STORE_ONE ? "??base" : "??sub";
	struct arena a;
	struct span *uris;
	struct dn dn;
	unsigned n;
	int rc;

	if (op->controls.domain_scope)
		return 0;
	arena_init(&a);
	buf_clear(&s->value);
	rc = store_dn(t, eid, &s->value);
	if (rc == 0)
		rc = dn_parse(&a, buf_span(&s->value), &dn, NULL);
	if (rc == 0)
		rc = op_referral_uris(&a, ref, &dn, 0, suffix, &uris, &n);
	if (rc == 0 && n != 0)
		msg_write_reference(out, op->msg.id, uris, n);
	arena_fini(&a);
	return rc == RC_NOTFOUND ? 0 : rc;
}

/* Subentries and others (RFC 3672 §3). */
static bool is_seen(const struct search *s, const struct entry *e)
{
	bool is_subentry = s->has_subentries && entry_has_class(e, "subentry");

	switch (s->subentries) {
	case OP_SUBENTRIES_HIDDEN:
		return !is_subentry || s->scope == STORE_BASE;
	case OP_SUBENTRIES_ONLY:
		return is_subentry;
	case OP_SUBENTRIES_NONE:
		return !is_subentry;
	}
	return true;
}

int search_matches(struct op *op, struct store_txn *t, uint64_t eid, const struct entry *e,
		   struct op_view *view, bool *out)
{
	struct search *s = search_of(op);
	struct span dn_normal = {NULL, 0};
	struct entry_attr ref;
	int rc;

	*out = false;
	op_view_set(view, t, eid, dn_normal);
	if (op_sight_skips(&view->sight, e))
		return 0;
	if ((s->from_index || s->psearch != NULL) && !search_covers(s, t, eid, e))
		return 0;
	if (s->has_referrals && !op->controls.manage_dsa_it && op_entry_is_referral(e, &ref))
		return 0;
	if (s->derefs && eid != s->base && entry_has_class(e, "alias"))
		return 0; /* what it names is searched instead */
	if (s->in_referrals || !is_seen(s, e))
		return 0;
	if (s->needs_dn) {
		buf_clear(&s->dn_normal);
		rc = store_dn_normal(t, eid, &s->dn_normal);
		if (rc != 0)
			return rc == RC_NOTFOUND ? 0 : rc;
		op_view_set(view, t, eid, buf_span(&s->dn_normal));
	}
	*out = filter_match(s->filter, op->server->schema, e, &view->view, &s->scratch) ==
		       FILTER_TRUE &&
	       op_sees_entry(&view->sight, e);
	return 0;
}

static int candidate(struct op *op, struct store_txn *t, uint64_t eid, struct op_view *view,
		     struct buf *out, enum ldap_result *code)
{
	struct search *s = search_of(op);
	struct entry_attr ref;
	bool matches;
	struct entry e;
	int rc = s->list == NULL && s->iter != NULL ? store_iter_entry(s->iter, eid, &e)
						    : store_entry(t, eid, &e);

	if (rc != 0)
		return rc == RC_NOTFOUND ? 0 : rc; /* deleted between two slices */
	if (s->list != NULL && list_is_exact(s->list))
		return op_sees_entry(s->sight, &e) ? found(op, t, eid, &e, out, code) : 0;
	if (s->in_referrals && search_covers(s, t, eid, &e) && op_entry_is_referral(&e, &ref))
		return op_sees_entry(s->sight, &e) ? send_reference(op, t, eid, &ref, out) : 0;
	rc = search_matches(op, t, eid, &e, view, &matches);
	return rc == 0 && matches ? found(op, t, eid, &e, out, code) : rc;
}

/* --- slices --- */

static int next_phase(struct search *s, struct store_txn *t)
{
	enum store_scope scope = s->scope == STORE_ONE ? STORE_BASE : STORE_SUB;

	if (s->iter != NULL && !s->from_index && s->place_at < s->nplaces) {
		store_iter_free(&s->iter);
		return store_walk(t, s->place_list[s->place_at++], scope, &s->iter);
	}
	if (!s->has_referrals || s->in_referrals || s->scope == STORE_BASE)
		return RC_DONE;
	s->in_referrals = true;
	s->from_index = true;
	if (s->iter != NULL)
		store_iter_free(&s->iter);
	return store_ranges(t, &s->referral_range, 1, &s->iter);
}

static bool has_looked_enough(struct search *s)
{
	if (s->look_limit == 0 || (s->list != NULL && list_is_exact(s->list)) ||
	    s->looked++ < s->look_limit)
		return false;
	if (s->sort != NULL)
		s->sort->code = LR_ADMIN_LIMIT;
	if (s->vlv != NULL)
		s->vlv->code = LR_ADMIN_LIMIT;
	return true;
}

static int next_eid(struct op *op, struct store_txn *t, uint64_t *eid, enum ldap_result *code)
{
	struct search *s = search_of(op);
	int rc;

	if (s->list == NULL)
		return s->iter != NULL ? store_iter_next(s->iter, eid) : RC_DONE;
	rc = list_next(op, t, s, eid);
	if (rc == RC_DONE) {
		list_free(&s->list);
		if (s->vlv != NULL && s->vlv->code != 0)
			*code = LR_VLV_ERROR;
	}
	return rc;
}

/* Up to SEARCH_SLICE_ENTRIES candidates. RC_DONE: the search is over with *code. */
static int run(struct op *op, struct store_txn *t, struct buf *out, enum ldap_result *code)
{
	struct search *s = search_of(op);
	struct op_view view;
	uint64_t eid;
	int i, rc = 0;

	op_view_init(&view, op, &s->value);
	op_view_set(&view, t, 0, span_make(NULL, 0));
	s->sight = &view.sight;
	for (i = 0; i < SEARCH_SLICE_ENTRIES && rc == 0; i++) {
		if (out->n == 0 && !op_may_send(op))
			break;
		if (s->sort != NULL && s->sort->state == SORT_SENDS) {
			rc = send_sorted(op, t, out, code);
			continue;
		}
		rc = next_eid(op, t, &eid, code);
		if (rc == 0 && has_looked_enough(s))
			*code = LR_ADMIN_LIMIT;
		if (rc == 0)
			rc = *code != LR_SUCCESS ? RC_DONE
						 : candidate(op, t, eid, &view, out, code);
		else if (rc == RC_DONE && *code == LR_SUCCESS)
			rc = next_phase(s, t);
		if (rc == RC_DONE && *code == LR_SUCCESS && s->sort != NULL && !s->page_is_full &&
		    s->sort->state == SORT_GATHERS)
			rc = begin_sending(op, code);
	}
	return rc;
}

static int slice(struct op *op, enum ldap_result *code)
{
	struct search *s = search_of(op);
	struct buf *out = conn_scratch(op->conn);
	struct store_txn *t = NULL;
	int rc, flush_rc, pause_rc = 0;

	rc = store_read_begin(op->server->store, &t);
	if (rc != 0)
		return rc;
	if (s->iter != NULL && s->is_paused)
		rc = store_iter_resume(s->iter, t);
	s->is_paused = false;
	if (rc == 0)
		rc = run(op, t, out, code);
	flush_rc = search_flush(op, out);
	if (s->iter != NULL) {
		pause_rc = store_iter_pause(s->iter);
		s->is_paused = true;
	}
	list_pause(s->list);
	store_read_end(&t);
	if (rc != 0 && rc != RC_DONE)
		return rc;
	if (pause_rc != 0)
		return pause_rc;
	return flush_rc != 0 ? flush_rc : rc;
}

/* What a person can do about it. */
static const char *text_of(const struct search *s, enum ldap_result code)
{
	if (code == LR_ADMIN_LIMIT && s->look_limit != 0 && s->looked > s->look_limit)
		return "too many entries to look at; ask for something that is indexed";
	if (code == LR_ADMIN_LIMIT)
		return "more than 100,000 entries to sort, and no address book view has this "
		       "order and filter; ask for fewer, or define a view";
	if (code == LR_VLV_ERROR)
		return "the list has no such place: offsets begin with 1, values must be of the "
		       "first sort key's type";
	return NULL;
}

void search_go_on(struct op *op)
{
	struct search *s = search_of(op);
	enum ldap_result code = LR_SUCCESS;
	int rc;

	if (s->deadline_ms != 0 &&
	    op->server->clock->mono_ms(op->server->clock) >= s->deadline_ms) {
		search_finish(op, LR_TIME_LIMIT, NULL);
		return;
	}
	rc = slice(op, &code);
	if (rc == RC_DONE)
		search_finish(op, code, text_of(s, code));
	else if (rc == RC_CLOSED)
		search_cancel(op);
	else if (rc != 0)
		search_fail(op, rc);
	else if (op_may_send(op))
		op_yield(op);
}
