/* Aliases that a search follows (RFC 4511 §4.5.1.3, X.511 §10.2.4). */
#include "dird/op_search.h"

#define ALIAS_MAX_HOPS 32
#define ALIAS_MAX_PLACES 1000
#define ALIAS_MAX_LOOKS 20000 /* all in one turn of the loop */

/* Where the following of a name stands. */
struct trail {
	struct op *op;
	struct store_txn *t;
	struct op_sight sight;
	struct dn dn;    /* to be found */
	uint64_t eid;    /* the entry, or the deepest that exists */
	unsigned nknown; /* RDNs of dn, from the root's side, that an alias named */
	uint64_t alias;  /* the last one */
};

bool op_entry_is_alias(const struct entry *e, struct span *target_out)
{
	return entry_has_class(e, "alias") && entry_first(e, "aliasedObjectName", target_out);
}

/* dn becomes the first n of its RDNs and what the alias names. */
static int step(struct trail *w, unsigned n, struct span target)
{
	struct arena *a = &w->op->arena;
	struct dn to, dn;
	int rc = dn_parse(a, arena_span(a, target), &to, NULL);

	w->alias = w->eid;
	if (rc != RC_OK || n + to.n > DN_MAX_RDNS)
		return rc == RC_NOMEM ? rc : RC_NOTFOUND;
	dn = (struct dn){arena_zalloc(a, DN_MAX_RDNS, sizeof(*dn.rdns)), n + to.n};
	if (dn.rdns == NULL)
		return RC_NOMEM;
	if (n != 0)
		memcpy(dn.rdns, w->dn.rdns, n * sizeof(*dn.rdns));
	if (to.n != 0)
		memcpy(dn.rdns + n, to.rdns, to.n * sizeof(*dn.rdns));
	w->dn = dn;
	w->nknown = to.n;
	return RC_OK;
}

/* RC_OK: w->eid is the entry. RC_NOTFOUND: an alias names nothing. RC_MORE: without an alias in the
 * way there is no such entry. RC_TOOBIG: the aliases go round in a circle, or on and on. */
static int follow(struct trail *w)
{
	unsigned hops, depth = 0;
	struct span target;
	struct entry e;
	int rc, found;

	for (hops = 0; hops <= ALIAS_MAX_HOPS; hops++) {
		found = op_sight_find(&w->sight, &w->dn, &w->eid, &depth);
		if (found != RC_OK && found != RC_NOTFOUND)
			return found;
		rc = w->eid != 0 ? store_entry(w->t, w->eid, &e) : RC_NOTFOUND;
		if (rc == RC_OK && op_entry_is_alias(&e, &target)) {
			rc = step(w, found == RC_OK ? 0 : w->dn.n - depth, target);
			if (rc != RC_OK)
				return rc;
			continue;
		}
		if (found == RC_OK)
			return rc;
		return depth < w->nknown ? RC_NOTFOUND : RC_MORE;
	}
	return RC_TOOBIG;
}

static int refuse(struct trail *w, enum ldap_result code, const char *text)
{
	struct result *r = &w->op->result;
	struct buf dn;

	*r = (struct result){.code = code, .text = text};
	buf_init(&dn, 2 * DN_MAX_BYTES);
	if (store_dn(w->t, w->alias, &dn) == RC_OK)
		r->matched = arena_span(&w->op->arena, buf_span(&dn));
	buf_fini(&dn);
	return RC_REFUSED;
}

int op_find_base(struct op *op, struct store_txn *t, const struct dn *dn, uint64_t *eid_out)
{
	struct trail w = {.op = op, .t = t, .dn = *dn};
	int64_t deref = op->msg.u.search.deref;
	bool names_nothing;
	int rc;

	if (deref != OP_DEREF_FINDING && deref != OP_DEREF_ALWAYS)
		return op_find_entry(op, t, dn, eid_out);
	op_sight_init(&w.sight, op, t);
	rc = follow(&w);
	if (rc == RC_TOOBIG)
		return refuse(&w, LR_ALIAS_DEREF, "the aliases lead in a circle");
	if (rc != RC_OK && rc != RC_NOTFOUND && rc != RC_MORE)
		return rc;
	names_nothing = rc == RC_NOTFOUND;
	rc = op_find_entry(op, t, &w.dn,
			   eid_out); /* a referral entry may be at or above the name */
	if (names_nothing && !(rc == RC_REFUSED && op->result.code == LR_REFERRAL))
		return refuse(&w, LR_ALIAS_PROBLEM, "the alias names no entry");
	return rc;
}

/* --- below the base --- */

static int add_place(struct search *s, struct store_txn *t, uint64_t eid)
{
	uint64_t *more;
	struct entry e;
	int rc = store_entry(t, eid, &e);

	if (rc != RC_OK || search_covers(s, t, eid, &e))
		return rc;
	if (s->nplaces == ALIAS_MAX_PLACES)
		return RC_TOOBIG;
	more = mem_realloc(s->place_list, (s->nplaces + 1) * sizeof(*more));
	if (more == NULL)
		return RC_NOMEM;
	s->place_list = more;
	s->place_list[s->nplaces++] = eid;
	return eid_set_add(&s->places, eid);
}

/* An alias that names nothing, or itself, adds nothing to a search. */
static int look_at(struct op *op, struct search *s, struct store_txn *t, uint64_t eid,
		   struct eid_set *followed)
{
	struct trail w = {.op = op, .t = t, .eid = eid};
	struct span target;
	struct entry e;
	int rc = store_entry(t, eid, &e);

	op_sight_init(&w.sight, op, t);
	if (rc == RC_OK && !op_sees_entry(&w.sight, &e))
		return RC_OK;
	if (rc != RC_OK || eid == s->base || !op_entry_is_alias(&e, &target) ||
	    !search_covers(s, t, eid, &e))
		return rc == RC_NOTFOUND ? RC_OK : rc;
	rc = eid_set_add(followed, eid);
	if (rc == RC_OK)
		rc = step(&w, 0, target);
	if (rc == RC_OK)
		rc = follow(&w);
	if (rc == RC_OK)
		return add_place(s, t, w.eid);
	return rc == RC_EXISTS || rc == RC_NOTFOUND || rc == RC_MORE || rc == RC_TOOBIG ? RC_OK
											: rc;
}

static int look_at_all(struct op *op, struct search *s, struct store_txn *t,
		       const struct index_range *aliases, struct eid_set *followed, unsigned *left)
{
	struct store_iter *iter = NULL;
	uint64_t eid;
	int rc = store_ranges(t, aliases, 1, &iter);

	while (rc == RC_OK && (rc = store_iter_next(iter, &eid)) == RC_OK) {
		if ((*left)-- == 0)
			rc = RC_TOOBIG;
		else if (!eid_set_has(followed, eid))
			rc = look_at(op, s, t, eid, followed);
		if (rc != RC_OK)
			break;
	}
	store_iter_free(&iter);
	return rc == RC_DONE ? RC_OK : rc;
}

int search_follow_aliases(struct op *op, struct search *s, struct store_txn *t,
			  const struct index_range *aliases)
{
	unsigned left = ALIAS_MAX_LOOKS, before;
	struct eid_set followed = {.at = NULL};
	int rc = RC_OK;

	do { /* what an alias names may have aliases below it */
		before = s->nplaces;
		rc = look_at_all(op, s, t, aliases, &followed, &left);
	} while (rc == RC_OK && s->nplaces != before && s->scope != STORE_ONE);
	eid_set_fini(&followed);
	if (rc != RC_TOOBIG)
		return rc;
	op->result =
		(struct result){.code = LR_ADMIN_LIMIT, .text = "too many aliases to be followed"};
	return RC_REFUSED;
}
