#include "dird/op_search.h"

#include "dird/conn.h"
#include "dird/op_list.h"
#include "dird/psearch.h"
#include "dird/sync.h"

#define SEARCH_COUNT_MAX 256     /* children that are counted to judge a scope */
#define SEARCH_LONG_ENTRIES 4096 /* worth the question how much of everything is in the scope */
#define SEARCH_SAMPLES 64
#define SEARCH_SAMPLES_FEW 8 /* none of so many inside: it has little */

/* --- where, and by which index --- */

static bool has_dn_match(const struct filter *f)
{
	unsigned i;

	for (i = 0; i < f->nsubs; i++) {
		if (has_dn_match(f->subs[i]))
			return true;
	}
	return f->dn_attrs;
}

/* Does any entry have this class? */
static int look_for_class(struct op *op, struct store_txn *t, const char *class,
			  struct index_range *range, bool *out)
{
	struct span type = SPAN_LIT("objectClass");
	const struct schema_attr *at = schema_attr(op->server->schema, type);
	struct buf key;
	int rc;

	if (at == NULL || !at->is_indexed)
		return 0;
	buf_init(&key, 256);
	rc = schema_normalize(op->server->schema, at->equality, span_of(class), &key);
	if (rc == 0) {
		*range = (struct index_range){
			.attr = at->hash,
			.kind = INDEX_EQUAL,
			.lo = arena_span(&op->arena, buf_span(&key)),
		};
		if (range->lo.p == NULL)
			rc = RC_NOMEM;
		else
			*out = store_value_exists(t, range->attr, range->lo);
	}
	buf_fini(&key);
	return rc == RC_INVALID ? 0 : rc;
}

static int look_for_special(struct op *op, struct store_txn *t, struct search *s)
{
	struct index_range range;
	int rc = 0;

	if (!op->controls.manage_dsa_it)
		rc = look_for_class(op, t, "referral", &s->referral_range, &s->has_referrals);
	s->subentries = op->controls.subentries;
	if (rc == 0)
		rc = look_for_class(op, t, "subentry", &range, &s->has_subentries);
	return rc;
}

static int follow_aliases(struct op *op, struct store_txn *t, struct search *s)
{
	int64_t deref = op->msg.u.search.deref;
	struct index_range range;
	bool has = false;
	int rc;

	if (s->scope == STORE_BASE || (deref != OP_DEREF_SEARCHING && deref != OP_DEREF_ALWAYS))
		return 0;
	rc = look_for_class(op, t, "alias", &range, &has);
	if (rc != 0 || !has)
		return rc;
	s->derefs = true;
	return search_follow_aliases(op, s, t, &range);
}

static int check_copies(struct op *op, struct store_txn *t, const struct search *s)
{
	bool is_tree = s->scope != STORE_BASE;
	int rc = op_check_copy(op, t, s->base, is_tree, &op->result);
	unsigned i;

	for (i = 0; rc == 0 && i < s->nplaces; i++)
		rc = op_check_copy(op, t, s->place_list[i], s->scope != STORE_ONE, &op->result);
	return rc;
}

/* Samples are enough to tell a scope that has nearly everything from one that has little. */
static bool has_most(const struct search *s, struct store_txn *t)
{
	uint64_t end = store_next_eid(t), eid;
	unsigned i, there = 0, inside = 0;
	struct entry e;

	for (i = 0; i < SEARCH_SAMPLES; i++) {
		eid = 1 + end / SEARCH_SAMPLES * i;
		if (store_entry(t, eid, &e) != RC_OK)
			continue;
		there++;
		inside += search_covers(s, t, eid, &e);
		if (there == SEARCH_SAMPLES_FEW && inside == 0)
			return false;
	}
	return inside > there / 2;
}

/* Entries as they lie in the table, where the answer is long and has most of them. */
static bool is_table_better(const struct search *s, struct store_txn *t)
{
	if (s->nplaces != 0 || s->look_limit != 0 ||
	    (s->size_limit != 0 && s->size_limit < SEARCH_LONG_ENTRIES))
		return false;
	return store_entry_count(t) >= SEARCH_LONG_ENTRIES && has_most(s, t);
}

static int open_scope(struct store_txn *t, struct search *s)
{
	s->may_repeat = s->nplaces != 0;
	if (!is_table_better(s, t))
		return store_walk(t, s->base, s->scope, &s->iter);
	s->from_index = true;
	return store_every(t, &s->iter);
}

static int open_plan(struct op *op, struct store_txn *t, struct search *s)
{
	struct plan_stats stats = {.count = store_range_count, .ctx = t};
	struct plan plan;
	uint64_t n;
	int rc;

	if (s->scope == STORE_BASE)
		return store_walk(t, s->base, STORE_BASE, &s->iter);
	n = s->scope == STORE_ONE && s->nplaces == 0
		    ? store_child_count(t, s->base, SEARCH_COUNT_MAX)
		    : UINT64_MAX;
	stats.scope_entries = n < SEARCH_COUNT_MAX ? n : store_entry_count(t);
	rc = plan_make(s->filter, &stats, &op->arena, &plan);
	if (rc != 0 || list_is_better(s, plan.estimate_entries))
		return rc;
	switch (plan.kind) {
	case PLAN_NOTHING:
		return 0;
	case PLAN_SCOPE:
		return open_scope(t, s);
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
	rc = op_find_base(op, t, dn, &s->base);
	if (rc == 0 && store_root(t, &root) == 0)
		s->base_is_root = root == s->base;
	if (rc == 0)
		rc = follow_aliases(op, t, s);
	if (rc == 0 && op->controls.dont_use_copy)
		rc = check_copies(op, t, s);
	if (rc == 0 && op->controls.assertion != NULL)
		rc = op_assert(op, t, s->base, &op->result);
	if (rc == 0)
		rc = look_for_special(op, t, s);
	if (rc == 0 && s->psearch != NULL)
		rc = psearch_begin(op, s, t);
	if (rc == 0)
		rc = list_choose(op, t, s);
	if (rc == RC_DONE)
		rc = 0; /* a view without entries */
	else if (rc == 0 && (s->list == NULL || list_is_second_choice(s->list)))
		rc = open_plan(op, t, s);
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

static bool is_unlimited(const struct op *op)
{
	return op->identity.kind == IDENTITY_ADMIN || op->identity.kind == IDENTITY_SITE;
}

static void set_limits(struct op *op, struct search *s)
{
	const struct server_config *cfg = &op->server->config;
	bool free = is_unlimited(op);
	const struct msg_search *m = &op->msg.u.search;
	uint64_t ms = limit_of(m->time_limit * 1000, free ? 0 : cfg->time_limit_ms);

	s->size_limit = limit_of(m->size_limit, free ? 0 : cfg->size_limit);
	s->look_limit = free ? 0 : cfg->look_through_limit;
	s->deadline_ms = ms != 0 ? op->server->clock->mono_ms(op->server->clock) + ms : 0;
}

void search_begin_page(struct op *op, struct search *s)
{
	op->state = s;
	op->resume = search_go_on;
	op->cancel = search_cancel;
	set_limits(op, s);
	search_go_on(op);
}

/* Sorting begins, unless its keys forbid it. false: answered. */
static bool take_sort(struct op *op, struct search *s)
{
	s->sort = op->controls.sort;
	s->vlv = op->controls.vlv;
	op->state = s;
	if (s->vlv != NULL && (s->sort == NULL || s->sort->code != LR_SUCCESS)) {
		s->vlv->code = s->sort == NULL ? VLV_SORT_MISSING : (int)s->sort->code;
		search_finish(op, LR_VLV_ERROR,
			      s->sort == NULL ? "a virtual list view needs a sort control"
					      : "the list can not be sorted so");
		return false;
	}
	if (s->vlv != NULL && s->vlv->has_context) {
		s->vlv->code = LR_PROTOCOL_ERROR;
		search_finish(op, LR_VLV_ERROR, "this server has given no contextID");
		return false;
	}
	if (s->sort == NULL || s->sort->code == LR_SUCCESS)
		return true;
	s->sort->state = SORT_OFF;
	if (!s->sort->is_critical)
		return true;
	search_finish(op, LR_CRITICAL_EXTENSION, "the entries can not be sorted so");
	return false;
}

static void start_stored(struct op *op, struct search *s, const struct dn *dn)
{
	static const enum store_scope scopes[] = {STORE_BASE, STORE_ONE, STORE_SUB, STORE_CHILDREN};
	int rc;

	s->scope = scopes[op->msg.u.search.scope];
	if (op->controls.psearch != NULL && !psearch_admit(op, s)) {
		search_free(&s);
		return;
	}
	if (!take_sort(op, s))
		return;
	s->needs_dn = has_dn_match(s->filter);
	op->state = s;
	op->cancel = search_cancel;
	rc = open_base(op, dn, s);
	if (rc == RC_REFUSED) {
		struct result why = op->result;

		op->state = NULL;
		search_free(&s);
		op_finish_refused(op, &why);
	} else if (rc != 0) {
		search_fail(op, rc);
	} else if (s->psearch != NULL && op->controls.psearch->changes_only) {
		psearch_persist(op);
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
	if (op->controls.assertion != NULL || op->controls.vlv != NULL ||
	    op->controls.psearch != NULL) {
		search_finish(op, LR_UNWILLING,
			      "assertions, lists and persistent searches are about stored entries");
		return;
	}
	s->sort = op->controls.sort;
	if (s->sort != NULL) {
		s->sort->state = SORT_OFF;
		if (s->sort->code == LR_SUCCESS && op->msg.u.search.scope != 0)
			s->sort->code = LR_UNWILLING;
		if (s->sort->code != LR_SUCCESS && s->sort->is_critical) {
			search_finish(op, LR_CRITICAL_EXTENSION,
				      "entries made when they are read are not sorted");
			return;
		}
	}
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
			rc = search_send_entry(op, &view.sight, 0, &e, list[i].dn, out);
	}
	if (rc == 0)
		rc = search_flush(op, out);
	if (rc == 0)
		search_finish(op, code, NULL);
	else if (rc == RC_NOTFOUND)
		search_finish(op, LR_NO_SUCH_OBJECT, NULL);
	else if (rc == RC_CLOSED)
		search_cancel(op);
	else
		search_fail(op, rc);
}

static enum filter_substrings substrings_for(const struct op *op)
{
	return is_unlimited(op) ? FILTER_SUBSTR_ALLOW : op->server->config.substrings;
}

/* Filter and attributes. RC_REFUSED: answered. */
static int read_request(struct op *op, struct search *s)
{
	const struct msg_search *m = &op->msg.u.search;
	struct span filter = m->filter;
	const char *why = NULL;
	int rc;

	rc = filter_read_as(op->server->schema, substrings_for(op), &filter, &op->arena, &s->filter,
			    &why);
	if (rc == RC_DENIED) {
		op_finish_result(op, LR_UNWILLING, why);
		return RC_REFUSED;
	}
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
	} else if (!op_may_read_at(op, normal)) {
		search_free(&s);
		op_finish_result(op, LR_INSUFFICIENT_ACCESS,
				 op->identity.kind == IDENTITY_ANONYMOUS
					 ? "anonymous clients may not read here; bind first"
					 : "cn=monitor is for the administrator");
	} else if (op_is_virtual(normal)) {
		start_virtual(op, s, normal);
	} else {
		start_stored(op, s, &dn);
	}
}

/* A search that goes on for long keeps to the entry that an alias named at its start: the base gets
 * that entry's own name. false: answered. */
static bool rename_base(struct op *op)
{
	struct msg_search *m = &op->msg.u.search;
	struct store_txn *t;
	struct buf text;
	uint64_t eid;
	struct dn dn;
	int rc;

	if (m->deref != OP_DEREF_FINDING)
		return true;
	if (op_parse_dn(op, m->base, &dn) != 0)
		return false;
	buf_init(&text, 2 * DN_MAX_BYTES);
	rc = store_read_begin(op->server->store, &t);
	if (rc == 0) {
		rc = op_find_base(op, t, &dn, &eid);
		if (rc == 0)
			rc = store_dn(t, eid, &text);
		store_read_end(&t);
	}
	if (rc == 0)
		m->base = arena_span(&op->arena, buf_span(&text));
	if (rc == 0 && m->base.p == NULL)
		rc = RC_NOMEM;
	buf_fini(&text);
	if (rc == RC_REFUSED)
		op_finish_refused(op, &op->result);
	else if (rc != 0)
		op_finish_error(op, rc, "search");
	return rc == 0;
}

/* What a persistent search does not go with. false: answered. */
static bool may_persist(struct op *op)
{
	int64_t deref = op->msg.u.search.deref;
	const struct op_controls *oc = &op->controls;

	if (oc->psearch == NULL)
		return true;
	if (oc->sort != NULL || oc->vlv != NULL || oc->dont_use_copy ||
	    msg_control(&op->msg, OP_OID_PAGED) != NULL)
		op_finish_result(op, LR_UNWILLING,
				 "a persistent search does not go with paged results, sorting, "
				 "list views or don't use copy");
	else if (deref == OP_DEREF_SEARCHING || deref == OP_DEREF_ALWAYS)
		op_finish_result(op, LR_UNWILLING,
				 "a persistent search does not follow aliases below its base");
	else
		return true;
	return false;
}

void op_search(struct op *op)
{
	const struct msg_control *sync = msg_control(&op->msg, SYNC_OID_REQUEST);
	struct search *s = NULL;

	if (sync != NULL) {
		if (msg_control(&op->msg, OP_OID_PAGED) != NULL)
			op_finish_result(op, LR_PROTOCOL_ERROR,
					 "content synchronization does not go with paged results");
		else if (op->controls.psearch != NULL)
			op_finish_result(op, LR_UNWILLING,
					 "content synchronization is no persistent search");
		else if (op->controls.assertion != NULL || op->controls.sort != NULL ||
			 op->controls.vlv != NULL || op->controls.values != NULL ||
			 op->controls.dont_use_copy)
			op_finish_result(op, LR_UNWILLING,
					 "content synchronization does not go with an assertion, "
					 "sorting, list views, matched values or don't use copy");
		else if (rename_base(op))
			sync_start(op, sync);
		return;
	}
	if (!may_persist(op) || !op_paged_begin(op, &s))
		return;
	if (s == NULL)
		s = search_new();
	if (s == NULL)
		op_finish_error(op, RC_NOMEM, "search");
	else
		start(op, s);
}
