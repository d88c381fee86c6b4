/*
 * Names and ancestors of entries. What lies above an entry is remembered for the parent that was
 * asked for last, as most questions in a row are about siblings.
 */
#include "dird/store_mdb.h"
#include "lib/dn.h"

#define DEPTH_MAX (2 * DN_MAX_RDNS) /* more is a ring */

/* What a transaction remembers; good for one snapshot. */
struct store_above {
	uint64_t eid; /* whose; 0: nobody's */
	bool is_placed;
	uint64_t at[DEPTH_MAX]; /* itself first */
	unsigned n;
	struct buf text, normal; /* its DN, if it is placed */
};

void store_above_forget(struct store_above *above)
{
	if (above != NULL)
		above->eid = 0;
}

void store_above_free(struct store_above **above)
{
	if (*above == NULL)
		return;
	buf_fini(&(*above)->text);
	buf_fini(&(*above)->normal);
	mem_free(*above);
	*above = NULL;
}

static void put_rdn(struct store_above *a, const struct entry_head *h)
{
	if (a->n != 1) {
		buf_putc(&a->text, ',');
		buf_putc(&a->normal, ',');
	}
	buf_put(&a->text, h->rdn);
	buf_put(&a->normal, h->rdn_normal);
}

/* Where it fails, a->at has those it came to. */
static int climb(struct store_txn *t, uint64_t eid, struct store_above *a)
{
	uint64_t root = 0;
	struct entry e;
	int rc = store_root(t, &root);

	if (rc == RC_NOTFOUND)
		rc = RC_OK;
	for (; rc == RC_OK && eid != 0 && !a->is_placed; eid = e.head.parent) {
		if (a->n == DEPTH_MAX)
			return RC_CORRUPT;
		a->at[a->n++] = eid;
		rc = store_entry(t, eid, &e);
		if (rc != RC_OK)
			return rc;
		put_rdn(a, &e.head);
		a->is_placed = eid == root;
	}
	if (rc == RC_OK)
		rc = buf_rc(&a->text);
	return rc == RC_OK ? buf_rc(&a->normal) : rc;
}

/* An entry and all above it. *out is NULL only without memory. */
static int look_above(struct store_txn *t, uint64_t eid, const struct store_above **out)
{
	struct store_above *a = t->above;
	int rc;

	if (a == NULL)
		a = t->above = mem_zalloc(1, sizeof(*a));
	*out = a;
	if (a == NULL)
		return RC_NOMEM;
	if (a->eid == eid && !t->is_write)
		return RC_OK;
	a->text.max = a->normal.max = SIZE_MAX;
	buf_clear(&a->text);
	buf_clear(&a->normal);
	a->eid = a->n = 0;
	a->is_placed = false;
	rc = climb(t, eid, a);
	if (rc == RC_OK)
		a->eid = eid;
	return rc;
}

/* --- names --- */

static int append_name(struct store_txn *t, uint64_t eid, const struct entry *e, bool normal,
		       struct buf *out)
{
	const struct store_above *a;
	size_t start = out->n;
	uint64_t root;
	int rc = store_root(t, &root);

	if (rc != RC_OK)
		return rc;
	buf_put(out, normal ? e->head.rdn_normal : e->head.rdn);
	if (eid != root) {
		rc = e->head.parent != 0 ? look_above(t, e->head.parent, &a) : RC_NOTFOUND;
		if (rc == RC_OK && !a->is_placed)
			rc = RC_NOTFOUND; /* below an entry that waits for its parent */
		if (rc == RC_OK && a->n > DN_MAX_RDNS)
			rc = RC_CORRUPT;
		if (rc == RC_OK) {
			buf_putc(out, ',');
			buf_put(out, normal ? buf_span(&a->normal) : buf_span(&a->text));
		}
	}
	if (rc == RC_OK)
		rc = buf_rc(out);
	if (rc != RC_OK)
		buf_truncate(out, start);
	return rc;
}

int store_entry_dn(struct store_txn *t, uint64_t eid, const struct entry *e, struct buf *out)
{
	return append_name(t, eid, e, false, out);
}

int store_dn(struct store_txn *t, uint64_t eid, struct buf *out)
{
	struct entry e;
	int rc = store_entry(t, eid, &e);

	return rc == RC_OK ? append_name(t, eid, &e, false, out) : rc;
}

int store_dn_normal(struct store_txn *t, uint64_t eid, struct buf *out)
{
	struct entry e;
	int rc = store_entry(t, eid, &e);

	return rc == RC_OK ? append_name(t, eid, &e, true, out) : rc;
}

/* --- places --- */

static bool is_above(struct store_txn *t, uint64_t base, uint64_t parent)
{
	const struct store_above *a;
	unsigned i;

	if (parent == 0 || base == 0)
		return false;
	if (look_above(t, parent, &a) != RC_OK && a == NULL)
		return false;
	for (i = 0; i < a->n; i++) {
		if (a->at[i] == base)
			return true;
	}
	return false;
}

bool store_entry_is_within(struct store_txn *t, uint64_t eid, const struct entry *e, uint64_t base)
{
	return eid == base || is_above(t, base, e->head.parent);
}

bool store_is_within(struct store_txn *t, uint64_t eid, uint64_t base)
{
	struct entry e;

	if (eid == base)
		return true;
	return store_entry(t, eid, &e) == RC_OK && is_above(t, base, e.head.parent);
}
