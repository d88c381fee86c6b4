#include "dird/store_mdb.h"
#include "lib/dn.h"

#define RDN_KEY_MAX 480 /* longer ones are hashed */
#define RDN_KEY_HEAD 64 /* what of a hashed one stays readable, and ordered */

/* Two FNV-1a hashes with different starts. Equal ones are told apart by looking at the record. */
static void hash_rdn(struct span s, uint8_t out[static 16])
{
	uint64_t a = 14695981039346656037u, b = 0x9e3779b97f4a7c15u;
	size_t i;

	for (i = 0; i < s.n; i++) {
		a = (a ^ s.p[i]) * 1099511628211u;
		b = (b ^ s.p[i]) * 0x100000001b5u + 1;
	}
	be_put64(out, a);
	be_put64(out + 8, b);
}

size_t store_tree_key(uint64_t parent, struct span rdn_normal,
		      uint8_t key[static STORE_TREE_KEY_MAX])
{
	be_put64(key, parent);
	if (rdn_normal.n <= RDN_KEY_MAX) {
		if (rdn_normal.n != 0)
			memcpy(key + 8, rdn_normal.p, rdn_normal.n);
		return 8 + rdn_normal.n;
	}
	memcpy(key + 8, rdn_normal.p, RDN_KEY_HEAD);
	key[8 + RDN_KEY_HEAD] = 0xff; /* in no normal form */
	hash_rdn(rdn_normal, key + 8 + RDN_KEY_HEAD + 1);
	return 8 + RDN_KEY_HEAD + 1 + 16;
}

static struct span eid_span(uint64_t eid, uint8_t bytes[static STORE_EID_BYTES])
{
	be_put64(bytes, eid);
	return span_make(bytes, STORE_EID_BYTES);
}

static int read_eid(struct span v, uint64_t *out)
{
	if (v.n != STORE_EID_BYTES)
		return RC_CORRUPT;
	*out = be_get64(v.p);
	return RC_OK;
}

/* --- entries --- */

static int get_record(struct store_txn *t, uint64_t eid, struct span *out)
{
	uint8_t key[STORE_EID_BYTES];

	return store_get(t, STORE_ENTRY, eid_span(eid, key), out);
}

int store_entry(struct store_txn *t, uint64_t eid, struct entry *out)
{
	struct span record;
	int rc = get_record(t, eid, &record);

	if (rc == RC_OK)
		rc = entry_open(record, out);
	if (rc == RC_OK)
		store_attach(t, eid, out);
	return rc;
}

void store_entry_put(struct store_txn *t, uint64_t eid, struct span record)
{
	uint8_t key[STORE_EID_BYTES];

	store_put(t, STORE_ENTRY, eid_span(eid, key), record);
}

void store_entry_del(struct store_txn *t, uint64_t eid)
{
	uint8_t key[STORE_EID_BYTES];

	store_del(t, STORE_ENTRY, eid_span(eid, key), span_make(NULL, 0));
}

uint64_t store_new_eid(struct store_txn *t)
{
	uint8_t bytes[STORE_EID_BYTES];
	uint64_t eid = 1;
	struct span v;
	int rc = store_get(t, STORE_META, SPAN_LIT("next-entry"), &v);

	if (rc == RC_OK)
		rc = read_eid(v, &eid);
	if (rc != RC_OK && rc != RC_NOTFOUND)
		return 0;
	store_put(t, STORE_META, SPAN_LIT("next-entry"), eid_span(eid + 1, bytes));
	return t->rc == RC_OK ? eid : 0;
}

uint64_t store_next_eid(struct store_txn *t)
{
	uint64_t eid = 1;
	struct span v;

	if (store_get(t, STORE_META, SPAN_LIT("next-entry"), &v) == RC_OK &&
	    read_eid(v, &eid) != RC_OK)
		return 1;
	return eid;
}

static bool has_uuid(const struct entry *e, const void *ctx)
{
	return uuid_eq(&e->head.uuid, ctx);
}

int store_by_uuid(struct store_txn *t, const struct uuid *u, uint64_t *eid_out)
{
	struct span key = span_make(u->b, UUID_BYTES), v;
	int rc = store_get(t, STORE_UUID, key, &v);

	if (rc == RC_NOTFOUND)
		return store_bulk_find(t, STORE_UUID, key, has_uuid, u, eid_out);
	return rc == RC_OK ? read_eid(v, eid_out) : rc;
}

void store_uuid_put(struct store_txn *t, const struct uuid *u, uint64_t eid)
{
	store_bulk_put_eid(t, STORE_UUID, span_make(u->b, UUID_BYTES), eid);
}

void store_uuid_del(struct store_txn *t, const struct uuid *u)
{
	store_del(t, STORE_UUID, span_make(u->b, UUID_BYTES), span_make(NULL, 0));
}

/* --- tree --- */

int store_root(struct store_txn *t, uint64_t *eid_out)
{
	struct span v;
	int rc = RC_OK;

	if (t->root == 0) {
		rc = store_get(t, STORE_META, SPAN_LIT("root"), &v);
		if (rc == RC_OK)
			rc = read_eid(v, &t->root);
	}
	*eid_out = t->root;
	return rc;
}

void store_root_put(struct store_txn *t, uint64_t eid)
{
	uint8_t value[STORE_EID_BYTES];

	store_put(t, STORE_META, SPAN_LIT("root"), eid_span(eid, value));
	t->root = eid;
}

/* Of several long names with one hash, the one that is meant. */
static int verify_child(struct store_txn *t, struct span key, struct span rdn_normal,
			uint64_t *eid_out)
{
	MDB_val k = store_val(key), v;
	MDB_cursor *c;
	struct entry e;
	int rc = store_cursor(t, STORE_TREE, &c), err;

	if (rc != RC_OK)
		return rc;
	for (err = mdb_cursor_get(c, &k, &v, MDB_SET); err == 0 && rc == RC_OK;
	     err = mdb_cursor_get(c, &k, &v, MDB_NEXT_DUP)) {
		rc = read_eid(store_span(v), eid_out);
		if (rc == RC_OK)
			rc = store_entry(t, *eid_out, &e);
		if (rc == RC_OK && span_eq(e.head.rdn_normal, rdn_normal))
			goto out;
	}
	rc = rc != RC_OK ? RC_CORRUPT : store_rc(err);
out:
	mdb_cursor_close(c);
	return rc;
}

struct child {
	uint64_t parent;
	struct span rdn_normal;
};

static bool is_child(const struct entry *e, const void *ctx)
{
	const struct child *c = ctx;

	return e->head.parent == c->parent && span_eq(e->head.rdn_normal, c->rdn_normal);
}

int store_child(struct store_txn *t, uint64_t parent, struct span rdn_normal, uint64_t *eid_out)
{
	const struct child child = {parent, rdn_normal};
	uint8_t key[STORE_TREE_KEY_MAX];
	struct span k = span_make(key, store_tree_key(parent, rdn_normal, key)), v;
	int rc;

	if (rdn_normal.n > RDN_KEY_MAX) {
		rc = verify_child(t, k, rdn_normal, eid_out);
	} else {
		rc = store_get(t, STORE_TREE, k, &v);
		if (rc == RC_OK)
			rc = read_eid(v, eid_out);
	}
	return rc == RC_NOTFOUND ? store_bulk_find(t, STORE_TREE, k, is_child, &child, eid_out)
				 : rc;
}

void store_child_put(struct store_txn *t, uint64_t parent, struct span rdn_normal, uint64_t eid)
{
	uint8_t key[STORE_TREE_KEY_MAX];

	store_bulk_put_eid(t, STORE_TREE, span_make(key, store_tree_key(parent, rdn_normal, key)),
			   eid);
}

void store_child_del(struct store_txn *t, uint64_t parent, struct span rdn_normal, uint64_t eid)
{
	uint8_t key[STORE_TREE_KEY_MAX], value[STORE_EID_BYTES];

	store_del(t, STORE_TREE, span_make(key, store_tree_key(parent, rdn_normal, key)),
		  eid_span(eid, value));
}

int store_child_first(struct store_txn *t, uint64_t parent, uint64_t *eid_out)
{
	uint8_t key[STORE_EID_BYTES];
	MDB_val k = store_val(eid_span(parent, key)), v;
	MDB_cursor *c;
	int rc = store_cursor(t, STORE_TREE, &c);

	if (rc != RC_OK)
		return rc;
	rc = store_rc(mdb_cursor_get(c, &k, &v, MDB_SET_RANGE));
	if (rc == RC_OK && (k.mv_size < 8 || be_get64(k.mv_data) != parent))
		rc = RC_NOTFOUND;
	if (rc == RC_OK)
		rc = read_eid(store_span(v), eid_out);
	mdb_cursor_close(c);
	return rc;
}

bool store_has_children(struct store_txn *t, uint64_t eid)
{
	uint64_t child;

	return store_child_first(t, eid, &child) == RC_OK;
}

uint64_t store_child_count(struct store_txn *t, uint64_t eid, uint64_t limit)
{
	uint8_t key[STORE_EID_BYTES];
	MDB_val k = store_val(eid_span(eid, key)), v;
	uint64_t n = 0;
	MDB_cursor *c;
	int err;

	if (store_cursor(t, STORE_TREE, &c) != RC_OK)
		return 0;
	for (err = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
	     err == 0 && n < limit && k.mv_size >= 8 && be_get64(k.mv_data) == eid;
	     err = mdb_cursor_get(c, &k, &v, MDB_NEXT))
		n++;
	mdb_cursor_close(c);
	return n;
}

/* --- names --- */

struct names {
	struct buf text;
	size_t at[DN_MAX_RDNS + 1]; /* rdn i: bytes at[i]..at[i + 1] - 1, a comma behind it */
};

static struct span name_at(const struct names *n, unsigned i)
{
	return span_make(n->text.p + n->at[i], n->at[i + 1] - n->at[i] - 1);
}

static int normalize_names(const struct dn *dn, struct names *n)
{
	unsigned i;
	int rc;

	for (i = 0; i < dn->n; i++) {
		n->at[i] = n->text.n;
		rc = dn_rdn_normalize(&dn->rdns[i], &n->text);
		if (rc != RC_OK)
			return rc;
		buf_putc(&n->text, ',');
	}
	n->at[dn->n] = n->text.n;
	return buf_rc(&n->text);
}

/* How many of the last RDNs make the root's DN; 0 if none do. */
static unsigned root_depth(const struct names *n, unsigned nrdns, struct span root_normal)
{
	struct span all = buf_span(&n->text);
	unsigned k;

	for (k = 1; k <= nrdns; k++) {
		if (span_eq(span_make(all.p + n->at[nrdns - k], all.n - 1 - n->at[nrdns - k]),
			    root_normal))
			return k;
	}
	return 0;
}

static int find_below(struct store_txn *t, const struct names *n, unsigned nrdns, uint64_t *eid_out,
		      unsigned *depth_out)
{
	uint64_t root, child;
	struct entry e;
	int rc = store_root(t, &root);

	if (rc == RC_OK)
		rc = store_entry(t, root, &e);
	if (rc != RC_OK)
		return rc;
	*depth_out = root_depth(n, nrdns, e.head.rdn_normal);
	if (*depth_out == 0)
		return RC_NOTFOUND;
	*eid_out = root;
	while (*depth_out < nrdns) {
		rc = store_child(t, *eid_out, name_at(n, nrdns - 1 - *depth_out), &child);
		if (rc != RC_OK)
			return rc;
		*eid_out = child;
		++*depth_out;
	}
	return RC_OK;
}

int store_find(struct store_txn *t, const struct dn *dn, uint64_t *eid_out, unsigned *depth_out)
{
	struct names n;
	int rc;

	*eid_out = 0;
	*depth_out = 0;
	if (dn->n == 0 || dn->n > DN_MAX_RDNS)
		return RC_NOTFOUND;
	buf_init(&n.text, 4 * DN_MAX_BYTES + DN_MAX_RDNS);
	rc = normalize_names(dn, &n);
	if (rc == RC_OK)
		rc = find_below(t, &n, dn->n, eid_out, depth_out);
	buf_fini(&n.text);
	return rc;
}

int store_parent_next(struct store_txn *t, uint64_t *eid)
{
	uint8_t key[STORE_EID_BYTES];
	MDB_val k = {sizeof(key), key}, v;
	MDB_cursor *c;
	int rc = store_cursor(t, STORE_TREE, &c), err;

	if (rc != RC_OK)
		return rc;
	be_put64(key, *eid + 1);
	err = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
	if (err == 0 && k.mv_size >= STORE_EID_BYTES)
		*eid = be_get64(k.mv_data);
	else
		rc = err == MDB_NOTFOUND ? RC_DONE : err == 0 ? RC_CORRUPT : store_rc(err);
	mdb_cursor_close(c);
	return rc;
}
