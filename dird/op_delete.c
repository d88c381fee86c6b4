#include "dird/op_write.h"

/* RFC 4511 §4.8, and the tree delete control: the entry with everything below it, in one
 * transaction. */

#define TREE_MAX_ENTRIES 100000
#define TREE_MAX_TRIES 5

struct tree {
	unsigned ntries;
	struct change *changes; /* leaves first, the named entry last */
	unsigned n;
};

static void start_tree(struct op *op);

static int count(struct store_txn *t, uint64_t base, unsigned *n_out)
{
	struct store_iter *iter = NULL;
	uint64_t eid;
	unsigned n = 0;
	int rc = store_walk(t, base, STORE_SUB, &iter);

	while (rc == 0 && (rc = store_iter_next(iter, &eid)) == 0) {
		if (++n > TREE_MAX_ENTRIES)
			rc = RC_TOOBIG;
	}
	if (iter != NULL)
		store_iter_free(&iter);
	*n_out = n;
	return rc == RC_DONE ? 0 : rc;
}

static int put_change(struct op *op, struct store_txn *t, uint64_t eid, struct change *c)
{
	struct span text;
	struct buf dn;
	int rc;

	buf_init(&dn, DN_MAX_BYTES * 2);
	rc = store_dn(t, eid, &dn);
	text = arena_span(&op->arena, buf_span(&dn));
	buf_fini(&dn);
	if (rc == 0 && text.p == NULL)
		rc = RC_NOMEM;
	if (rc != 0)
		return rc;
	*c = (struct change){.kind = CHANGE_DELETE, .actor = span_of(op->identity.dn)};
	return dn_parse(&op->arena, text, &c->dn, NULL);
}

/* Parents come before children in the walk. */
static int collect(struct op *op, struct store_txn *t, uint64_t base, struct tree *tree)
{
	struct store_iter *iter = NULL;
	unsigned left;
	uint64_t eid;
	int rc = count(t, base, &tree->n);

	if (rc != 0)
		return rc;
	left = tree->n;
	tree->changes = arena_zalloc(&op->arena, tree->n, sizeof(*tree->changes));
	rc = tree->changes != NULL ? store_walk(t, base, STORE_SUB, &iter) : RC_NOMEM;
	while (rc == 0 && left != 0 && (rc = store_iter_next(iter, &eid)) == 0)
		rc = put_change(op, t, eid, &tree->changes[--left]);
	if (iter != NULL)
		store_iter_free(&iter);
	return rc;
}

/* Entries may have come or gone between the look at the tree and the transaction. */
static void on_tree_done(struct op *op, int rc, const struct result *why)
{
	struct tree *tree = op->state;

	if (rc == 0) {
		op_finish_result(op, LR_SUCCESS, NULL);
	} else if (rc != RC_REFUSED) {
		op_finish_error(op, rc, "tree delete");
	} else if ((why->code == LR_NOT_ALLOWED_ON_NONLEAF || why->code == LR_NO_SUCH_OBJECT) &&
		   tree->n > 1 && tree->ntries < TREE_MAX_TRIES) {
		start_tree(op);
	} else {
		op_finish_refused(op, why);
	}
}

static void start_tree(struct op *op)
{
	struct tree *tree = op->state;
	struct store_txn *t;
	uint64_t eid;
	struct dn dn;
	int rc;

	tree->ntries++;
	if (op_parse_dn(op, op->msg.u.delete_dn, &dn) != 0)
		return;
	rc = store_read_begin(op->server->store, &t);
	if (rc == 0) {
		rc = op_find_entry(op, t, &dn, &eid);
		if (rc == 0)
			rc = collect(op, t, eid, tree);
		store_read_end(&t);
	}
	if (rc == RC_TOOBIG)
		op_finish_result(op, LR_ADMIN_LIMIT,
				 "more than 100,000 entries: delete parts of the tree first");
	else if (rc == RC_REFUSED)
		op_finish_refused(op, &op->result);
	else if (rc != 0)
		op_finish_error(op, rc, "tree delete");
	else
		op_submit_all(op, tree->changes, tree->n,
			      tree->n > 1 && !op->controls.no_op && op->controls.pre_read == NULL
				      ? on_tree_done
				      : NULL);
}

void op_delete(struct op *op)
{
	struct change *c;

	if (!op_may_write(op))
		return;
	if (op->controls.tree_delete) {
		op->state = arena_zalloc(&op->arena, 1, sizeof(struct tree));
		if (op->state != NULL)
			start_tree(op);
		else
			op_finish_error(op, RC_NOMEM, "tree delete");
		return;
	}
	c = op_change_new(op, CHANGE_DELETE, op->msg.u.delete_dn);
	if (c != NULL)
		op_submit(op, c);
}
