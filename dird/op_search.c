#include "dird/op_search.h"

#include "dird/conn.h"
#include "dird/sync.h"

#define SEARCH_SLICE_ENTRIES 256
#define SEARCH_FLUSH_BYTES (64 * 1024)
#define SEARCH_COUNT_MAX 256 /* children that are counted to judge a scope */

/* --- entry numbers that were sent already --- */

static size_t seen_slot(const struct eid_set *s, uint64_t eid)
{
	size_t i = (size_t)(eid * 0x9e3779b97f4a7c15u >> 20) & (s->size - 1);

	while (s->at[i] != 0 && s->at[i] != eid)
		i = (i + 1) & (s->size - 1);
	return i;
}

static int seen_grow(struct eid_set *s)
{
	struct eid_set more = {.size = s->size != 0 ? s->size * 2 : 64};
	size_t i;

	more.at = mem_zalloc(more.size, sizeof(*more.at));
	if (more.at == NULL)
		return RC_NOMEM;
	for (i = 0; i < s->size; i++) {
		if (s->at[i] != 0)
			more.at[seen_slot(&more, s->at[i])] = s->at[i];
	}
	more.n = s->n;
	mem_free(s->at);
	*s = more;
	return 0;
}

/* RC_EXISTS: it was there. */
static int seen_add(struct eid_set *s, uint64_t eid)
{
	size_t i;

	if (s->n * 2 >= s->size && seen_grow(s) != 0)
		return RC_NOMEM;
	i = seen_slot(s, eid);
	if (s->at[i] == eid)
		return RC_EXISTS;
	s->at[i] = eid;
	s->n++;
	return 0;
}

/* --- life of a search --- */

void search_free(struct search **sp)
{
	struct search *s = *sp;

	if (s == NULL)
		return;
	if (s->iter != NULL)
		store_iter_free(&s->iter);
	mem_free(s->seen.at);
	buf_fini(&s->parent_dn);
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
	buf_init(&s->parent_dn, DN_MAX_BYTES * 2);
	buf_init(&s->scratch, CONN_PDU_BOUND_BYTES);
	buf_init(&s->value, DN_MAX_BYTES * 2);
	buf_init(&s->dn_normal, DN_MAX_BYTES * 2);
	return s;
}

static struct search *search_of(struct op *op)
{
	return op->state;
}

static void finish(struct op *op, enum ldap_result code, const char *text)
{
	struct search *s = search_of(op);
	struct buf control;

	op->result = (struct result){.code = code, .text = text};
	buf_init(&control, 64);
	if (s->page_size != 0 || s->has_page_control)
		op_paged_finish(op, &s, &control);
	op->state = NULL;
	op->cancel = NULL;
	search_free(&s);
	if (control.n != 0) {
		struct msg_control c = {.oid = SPAN_LIT(OP_OID_PAGED),
					.has_value = true,
					.value = buf_span(&control)};

		op_finish(op, (struct span){NULL, 0}, &c, 1);
	} else {
		op_finish(op, (struct span){NULL, 0}, NULL, 0);
	}
	buf_fini(&control);
}

static void fail(struct op *op, int rc)
{
	struct search *s = search_of(op);

	op->state = NULL;
	op->cancel = NULL;
	search_free(&s);
	op_finish_error(op, rc, "search");
}

static void cancel(struct op *op)
{
	struct search *s = search_of(op);

	op->state = NULL;
	op->cancel = NULL;
	search_free(&s);
	op_finish_result(op, LR_CANCELED, NULL);
}

/* --- answers --- */

static int flush(struct op *op, struct buf *out)
{
	int rc = buf_rc(out);

	if (rc == 0 && out->n != 0)
		rc = op_send(op, buf_span(out));
	buf_clear(out);
	return rc;
}

/* The DN of an entry; that of its parent is remembered within a slice. */
static int write_dn(struct search *s, struct store_txn *t, uint64_t eid, const struct entry *e,
		    struct buf *out)
{
	int rc = 0;

	if (e->head.parent == 0)
		return store_dn(t, eid, out);
	if (s->parent != e->head.parent) {
		buf_clear(&s->parent_dn);
		rc = store_dn(t, e->head.parent, &s->parent_dn);
		s->parent = rc == 0 ? e->head.parent : 0;
	}
	if (rc != 0)
		return rc;
	buf_put(out, e->head.rdn);
	buf_putc(out, ',');
	buf_put(out, buf_span(&s->parent_dn));
	return buf_rc(out);
}

static int send_entry(struct op *op, struct store_txn *t, uint64_t eid, const struct entry *e,
		      struct span dn, struct buf *out)
{
	size_t mark = tlv_open(out, TLV_SEQUENCE);
	int rc;

	tlv_put_int(out, TLV_INTEGER, op->msg.id);
	rc = op_entry_write_named(t, eid, e, dn, search_of(op)->selection, out);
	tlv_close(out, mark);
	op->nsent++;
	if (rc == 0 && out->n >= SEARCH_FLUSH_BYTES)
		rc = flush(op, out);
	return rc;
}

/* --- candidates --- */

static bool in_scope(const struct search *s, struct store_txn *t, uint64_t eid,
		     const struct entry *e)
{
	if (!s->from_index)
		return true;
	switch (s->scope) {
	case STORE_BASE:
		return eid == s->base;
	case STORE_ONE:
		return e->head.parent == s->base;
	case STORE_CHILDREN:
		return eid != s->base && (s->base_is_root || store_is_within(t, eid, s->base));
	case STORE_SUB:
		return s->base_is_root || store_is_within(t, eid, s->base);
	}
	return false;
}

/* RC_DONE: the search is over, with op->result's code in *code. */
static int found(struct op *op, struct store_txn *t, uint64_t eid, const struct entry *e,
		 struct buf *out, enum ldap_result *code)
{
	struct search *s = search_of(op);
	int rc;

	if (s->may_repeat) {
		rc = seen_add(&s->seen, eid);
		if (rc != 0)
			return rc == RC_EXISTS ? 0 : rc;
	}
	if (s->size_limit != 0 && s->count >= s->size_limit) {
		*code = LR_SIZE_LIMIT;
		return RC_DONE;
	}
	buf_clear(&s->value);
	rc = write_dn(s, t, eid, e, &s->value);
	if (rc == 0)
		rc = send_entry(op, t, eid, e, buf_span(&s->value), out);
	s->count++;
	if (rc == 0 && s->page_size != 0 && ++s->page_count >= s->page_size) {
		s->page_is_full = true;
		rc = RC_DONE;
	}
	return rc;
}

static int send_reference(struct op *op, const struct entry_attr *ref, struct buf *out)
{
	struct span *uris;
	unsigned n;
	int rc = op_values(&op->arena, ref, &uris, &n);

	if (rc == 0 && n != 0)
		msg_write_reference(out, op->msg.id, uris, n);
	return rc;
}

static int candidate(struct op *op, struct store_txn *t, uint64_t eid, struct op_view *view,
		     struct buf *out, enum ldap_result *code)
{
	struct search *s = search_of(op);
	struct entry_attr ref;
	struct span dn_normal = {NULL, 0};
	struct entry e;
	int rc = store_entry(t, eid, &e);

	if (rc != 0)
		return rc == RC_NOTFOUND ? 0 : rc; /* deleted between two slices */
	if (!in_scope(s, t, eid, &e))
		return 0;
	if (s->has_referrals && op_entry_is_referral(&e, &ref))
		return s->in_referrals ? send_reference(op, &ref, out) : 0;
	if (s->in_referrals)
		return 0;
	if (s->needs_dn) {
		buf_clear(&s->dn_normal);
		rc = store_dn_normal(t, eid, &s->dn_normal);
		if (rc != 0)
			return rc;
		dn_normal = buf_span(&s->dn_normal);
	}
	op_view_set(view, t, eid, dn_normal);
	if (filter_match(s->filter, op->server->schema, &e, &view->view, &s->scratch) !=
	    FILTER_TRUE)
		return 0;
	return found(op, t, eid, &e, out, code);
}

/* --- slices --- */

static int next_phase(struct search *s, struct store_txn *t)
{
	if (!s->has_referrals || s->in_referrals || s->scope == STORE_BASE)
		return RC_DONE;
	s->in_referrals = true;
	s->from_index = true;
	if (s->iter != NULL)
		store_iter_free(&s->iter);
	return store_ranges(t, &s->referral_range, 1, &s->iter);
}

/* Up to SEARCH_SLICE_ENTRIES candidates. RC_DONE: the search is over with *code. */
static int run(struct op *op, struct store_txn *t, struct buf *out, enum ldap_result *code)
{
	struct search *s = search_of(op);
	struct op_view view;
	uint64_t eid;
	int i, rc = 0;

	op_view_init(&view, op, &s->value);
	s->parent = 0;
	for (i = 0; i < SEARCH_SLICE_ENTRIES && rc == 0; i++) {
		if (out->n == 0 && !op_may_send(op))
			break;
		rc = s->iter != NULL ? store_iter_next(s->iter, &eid) : RC_DONE;
		if (rc == 0)
			rc = candidate(op, t, eid, &view, out, code);
		else if (rc == RC_DONE)
			rc = next_phase(s, t);
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
	flush_rc = flush(op, out);
	if (s->iter != NULL) {
		pause_rc = store_iter_pause(s->iter);
		s->is_paused = true;
	}
	store_read_end(&t);
	if (rc != 0 && rc != RC_DONE)
		return rc;
	if (pause_rc != 0)
		return pause_rc;
	return flush_rc != 0 ? flush_rc : rc;
}

static void go_on(struct op *op)
{
	struct search *s = search_of(op);
	enum ldap_result code = LR_SUCCESS;
	int rc;

	if (s->deadline_ms != 0 &&
	    op->server->clock->mono_ms(op->server->clock) >= s->deadline_ms) {
		finish(op, LR_TIME_LIMIT, NULL);
		return;
	}
	rc = slice(op, &code);
	if (rc == RC_DONE)
		finish(op, code, NULL);
	else if (rc == RC_CLOSED)
		cancel(op);
	else if (rc != 0)
		fail(op, rc);
	else if (op_may_send(op))
		op_yield(op);
}

/* --- the start --- */

static bool has_dn_match(const struct filter *f)
{
	unsigned i;

	for (i = 0; i < f->nsubs; i++) {
		if (has_dn_match(f->subs[i]))
			return true;
	}
	return f->dn_attrs;
}

static int look_for_referrals(struct op *op, struct store_txn *t, struct search *s)
{
	struct span type = SPAN_LIT("objectClass");
	const struct schema_attr *at = schema_attr(op->server->schema, type);
	struct buf key;
	int rc;

	if (at == NULL || !at->is_indexed || msg_control(&op->msg, OP_OID_MANAGE_DSA_IT) != NULL)
		return 0;
	buf_init(&key, 256);
	rc = schema_normalize(op->server->schema, at->equality, SPAN_LIT("referral"), &key);
	if (rc == 0) {
		s->referral_range = (struct index_range){
			.attr = at->hash,
			.kind = INDEX_EQUAL,
			.lo = arena_span(&op->arena, buf_span(&key)),
		};
		if (s->referral_range.lo.p == NULL)
			rc = RC_NOMEM;
		else
			s->has_referrals = store_range_count(t, &s->referral_range, 1) != 0;
	}
	buf_fini(&key);
	return rc == RC_INVALID ? 0 : rc;
}

static int open_plan(struct op *op, struct store_txn *t, struct search *s)
{
	struct plan_stats stats = {.count = store_range_count, .ctx = t};
	struct plan plan;
	uint64_t n;
	int rc;

	if (s->scope == STORE_BASE)
		return store_walk(t, s->base, STORE_BASE, &s->iter);
	n = s->scope == STORE_ONE ? store_child_count(t, s->base, SEARCH_COUNT_MAX) : UINT64_MAX;
	stats.scope_entries = n < SEARCH_COUNT_MAX ? n : store_entry_count(t);
	rc = plan_make(s->filter, &stats, &op->arena, &plan);
	if (rc != 0)
		return rc;
	switch (plan.kind) {
	case PLAN_NOTHING:
		return 0;
	case PLAN_SCOPE:
		return store_walk(t, s->base, s->scope, &s->iter);
	case PLAN_RANGES:
		s->from_index = true;
		s->may_repeat = plan.nranges != 1 || plan.ranges[0].kind != INDEX_EQUAL;
		return store_ranges(t, plan.ranges, plan.nranges, &s->iter);
	}
	return RC_INVALID;
}

static int open_base(struct op *op, const struct dn *dn, struct search *s)
{
	struct store_txn *t;
	uint64_t root = 0;
	int rc = store_read_begin(op->server->store, &t);

	if (rc != 0)
		return rc;
	rc = op_find_entry(op, t, dn, &s->base);
	if (rc == 0)
		rc = look_for_referrals(op, t, s);
	if (rc == 0)
		rc = open_plan(op, t, s);
	if (rc == 0 && store_root(t, &root) == 0)
		s->base_is_root = root == s->base;
	if (rc == 0 && s->iter != NULL) {
		rc = store_iter_pause(s->iter);
		s->is_paused = true;
	}
	store_read_end(&t);
	return rc;
}

/* The smaller of two limits of which 0 means none. */
static uint64_t limit_of(int64_t asked, unsigned allowed)
{
	uint64_t a = (uint64_t)asked;

	return a == 0 || (allowed != 0 && allowed < a) ? allowed : a;
}

static void set_limits(struct op *op, struct search *s)
{
	const struct server_config *cfg = &op->server->config;
	bool free = op->identity.kind == IDENTITY_ADMIN || op->identity.kind == IDENTITY_SITE;
	const struct msg_search *m = &op->msg.u.search;
	uint64_t ms = limit_of(m->time_limit * 1000, free ? 0 : cfg->time_limit_ms);

	s->size_limit = limit_of(m->size_limit, free ? 0 : cfg->size_limit);
	s->deadline_ms = ms != 0 ? op->server->clock->mono_ms(op->server->clock) + ms : 0;
}

void search_begin_page(struct op *op, struct search *s)
{
	op->state = s;
	op->resume = go_on;
	op->cancel = cancel;
	set_limits(op, s);
	go_on(op);
}

static void start_stored(struct op *op, struct search *s, const struct dn *dn)
{
	static const enum store_scope scopes[] = {STORE_BASE, STORE_ONE, STORE_SUB, STORE_CHILDREN};
	int rc;

	s->scope = scopes[op->msg.u.search.scope];
	s->needs_dn = has_dn_match(s->filter);
	op->state = s;
	op->cancel = cancel;
	rc = open_base(op, dn, s);
	if (rc == RC_REFUSED) {
		struct result why = op->result;

		op->state = NULL;
		search_free(&s);
		op_finish_refused(op, &why);
	} else if (rc != 0) {
		fail(op, rc);
	} else {
		search_begin_page(op, s);
	}
}

/* Root DSE, subschema, monitor: few entries, answered at once. */
static void start_virtual(struct op *op, struct search *s, struct span base_normal)
{
	struct buf *out = conn_scratch(op->conn);
	enum ldap_result code = LR_SUCCESS;
	struct op_virtual *list;
	struct op_view view;
	struct entry e;
	unsigned i, n;
	int rc;

	op->state = s;
	set_limits(op, s);
	op_view_init(&view, op, &s->value);
	rc = op_virtual_make(op, &op->arena, base_normal, op->msg.u.search.scope, &list, &n);
	for (i = 0; rc == 0 && i < n && code == LR_SUCCESS; i++) {
		rc = entry_open(list[i].record, &e);
		if (rc != 0 || filter_match(s->filter, op->server->schema, &e, &view.view,
					    &s->scratch) != FILTER_TRUE)
			continue;
		if (s->size_limit != 0 && s->count++ >= s->size_limit)
			code = LR_SIZE_LIMIT;
		else
			rc = send_entry(op, NULL, 0, &e, list[i].dn, out);
	}
	if (rc == 0)
		rc = flush(op, out);
	if (rc == 0)
		finish(op, code, NULL);
	else if (rc == RC_NOTFOUND)
		finish(op, LR_NO_SUCH_OBJECT, NULL);
	else if (rc == RC_CLOSED)
		cancel(op);
	else
		fail(op, rc);
}

/* Filter and attributes. RC_REFUSED: answered. */
static int read_request(struct op *op, struct search *s)
{
	const struct msg_search *m = &op->msg.u.search;
	struct span filter = m->filter;
	const char *why = NULL;
	int rc;

	rc = filter_read(op->server->schema, &filter, &op->arena, &s->filter, &why);
	if (rc == RC_INVALID || rc == RC_TOOBIG) {
		op_finish_result(op, rc == RC_INVALID ? LR_PROTOCOL_ERROR : LR_ADMIN_LIMIT,
				 why != NULL ? why : "malformed filter");
		return RC_REFUSED;
	}
	if (rc == 0)
		rc = op_selection_make(op, m->attrs, m->nattrs, m->types_only, &s->selection);
	if (rc != 0) {
		op_finish_error(op, rc, "search");
		return RC_REFUSED;
	}
	return 0;
}

static bool may_search(const struct op *op, struct span base_normal)
{
	return base_normal.n == 0 || span_eq(base_normal, SPAN_LIT("cn=subschema")) ||
	       acl_may_search(&op->server->acl, &op->identity);
}

static void start(struct op *op, struct search *s)
{
	const struct msg_search *m = &op->msg.u.search;
	struct span normal;
	struct dn dn;
	int rc;

	if (op_parse_dn(op, m->base, &dn) != 0 || read_request(op, s) != 0) {
		search_free(&s);
		return;
	}
	if (dn.n == 0 && m->scope != 0)
		dn = op->server->root; /* the one naming context that "" can mean */
	rc = op_normal_dn(&op->arena, &dn, &normal);
	if (rc != 0) {
		search_free(&s);
		op_finish_error(op, rc, "search");
	} else if (!may_search(op, normal)) {
		search_free(&s);
		op_finish_result(op, LR_INSUFFICIENT_ACCESS,
				 "anonymous clients may not read here; bind first");
	} else if (op_is_virtual(normal)) {
		start_virtual(op, s, normal);
	} else {
		start_stored(op, s, &dn);
	}
}

void op_search(struct op *op)
{
	const struct msg_control *sync = msg_control(&op->msg, SYNC_OID_REQUEST);
	struct search *s = NULL;

	if (sync != NULL) {
		if (msg_control(&op->msg, OP_OID_PAGED) != NULL)
			op_finish_result(op, LR_PROTOCOL_ERROR,
					 "content synchronization does not go with paged results");
		else
			sync_start(op, sync);
		return;
	}
	if (!op_paged_begin(op, &s))
		return;
	if (s == NULL)
		s = search_new();
	if (s == NULL)
		op_finish_error(op, RC_NOMEM, "search");
	else
		start(op, s);
}
