#include "dird/store_digest.h"
#include "dird/store_mdb.h"

/* nc table: 'n' number -> row, 'u' id -> number. Row: flags id epoch invocation usn floor common,
 * and of each former life: epoch invocation usn. 'd', 'h': store_digest.c,
 * 'r': store_leaving.c */
#define NC_KEY_BYTES 5
#define NC_ID_KEY_BYTES 17
#define LIFE_BYTES (4 + 16 + 8)
#define NC_ROW_BYTES (1 + 16 + LIFE_BYTES + 8 + 8)
#define NC_OWN 1
#define NC_RECOVERING 2

/* order table: nc u32, usn u64, uuid -> live: 0 eid; tombstone: 1 epoch u32, old DN; in
 * quarantine: see store_quarantine.c */
#define ORDER_LIVE_BYTES (1 + 8)
#define ORDER_TOMBSTONE_BYTES (1 + 4) /* and the DN */

/* tombstone table: uuid -> nc u32, usn u64, epoch u32, since u64 */
#define TOMB_ROW_BYTES (4 + 8 + 4 + 8)

#define LIMBO_KEY_BYTES UUID_BYTES

/* --- naming contexts --- */

static struct span nc_key(uint32_t number, uint8_t key[static NC_KEY_BYTES])
{
	key[0] = 'n';
	be_put32(key + 1, number);
	return span_make(key, NC_KEY_BYTES);
}

static struct span nc_id_key(const struct uuid *id, uint8_t key[static NC_ID_KEY_BYTES])
{
	key[0] = 'u';
	memcpy(key + 1, id->b, UUID_BYTES);
	return span_make(key, NC_ID_KEY_BYTES);
}

static void read_life(const uint8_t *at, struct position *out)
{
	out->epoch = be_get32(at);
	memcpy(out->invocation.b, at + 4, UUID_BYTES);
	out->usn = be_get64(at + 20);
}

static void write_life(const struct position *p, uint8_t *at)
{
	be_put32(at, p->epoch);
	memcpy(at + 4, p->invocation.b, UUID_BYTES);
	be_put64(at + 20, p->usn);
}

static int read_nc(struct store_txn *t, struct span key, struct span row, struct store_nc *out)
{
	unsigned i;
	int rc;

	if (key.n != NC_KEY_BYTES || row.n < NC_ROW_BYTES ||
	    row.n > NC_ROW_BYTES + POSITION_PAST_MAX * LIFE_BYTES ||
	    (row.n - NC_ROW_BYTES) % LIFE_BYTES != 0)
		return RC_CORRUPT;
	out->number = be_get32(key.p + 1);
	out->is_own = (row.p[0] & NC_OWN) != 0;
	out->is_recovering = (row.p[0] & NC_RECOVERING) != 0;
	memcpy(out->position.nc.b, row.p + 1, UUID_BYTES);
	read_life(row.p + 17, &out->position);
	out->floor = be_get64(row.p + 45);
	out->common = be_get64(row.p + 53);
	out->npast = (unsigned)((row.n - NC_ROW_BYTES) / LIFE_BYTES);
	for (i = 0; i < out->npast; i++) {
		out->past[i].nc = out->position.nc;
		read_life(row.p + NC_ROW_BYTES + i * LIFE_BYTES, &out->past[i]);
	}
	out->head = 0;
	rc = store_by_uuid(t, &out->position.nc, &out->head);
	return rc == RC_NOTFOUND ? RC_OK : rc;
}

int store_nc_next(struct store_txn *t, uint32_t *number, struct store_nc *out)
{
	uint8_t key[NC_KEY_BYTES];
	MDB_val k, v;
	MDB_cursor *c;
	int rc;

	if (*number == UINT32_MAX)
		return RC_DONE;
	k = store_val(nc_key(*number + 1, key));
	rc = store_cursor(t, STORE_NC, &c);
	if (rc != RC_OK)
		return rc;
	rc = store_rc(mdb_cursor_get(c, &k, &v, MDB_SET_RANGE));
	if (rc == RC_NOTFOUND || (rc == RC_OK && *(const uint8_t *)k.mv_data != 'n'))
		rc = RC_DONE;
	if (rc == RC_OK)
		rc = read_nc(t, store_span(k), store_span(v), out);
	if (rc == RC_OK)
		*number = out->number;
	mdb_cursor_close(c);
	return rc;
}

int store_nc_find(struct store_txn *t, const struct uuid *id, struct store_nc *out)
{
	uint8_t id_key[NC_ID_KEY_BYTES], key[NC_KEY_BYTES];
	struct span v, k;
	int rc = store_get(t, STORE_NC, nc_id_key(id, id_key), &v);

	if (rc != RC_OK)
		return rc;
	if (v.n != 4)
		return RC_CORRUPT;
	k = nc_key(be_get32(v.p), key);
	rc = store_get(t, STORE_NC, k, &v);
	if (rc == RC_NOTFOUND)
		return RC_CORRUPT;
	return rc == RC_OK ? read_nc(t, k, v, out) : rc;
}

static uint32_t new_nc_number(struct store_txn *t)
{
	uint8_t bytes[4];
	struct span v;
	int rc = store_get(t, STORE_META, SPAN_LIT("next-nc"), &v);
	uint32_t number = rc == RC_OK && v.n == 4 ? be_get32(v.p) : 1;

	be_put32(bytes, number + 1);
	store_put(t, STORE_META, SPAN_LIT("next-nc"), span_make(bytes, 4));
	return number;
}

void store_nc_put(struct store_txn *t, struct store_nc *nc)
{
	uint8_t key[NC_KEY_BYTES], id_key[NC_ID_KEY_BYTES];
	uint8_t row[NC_ROW_BYTES + POSITION_PAST_MAX * LIFE_BYTES];
	size_t n = NC_ROW_BYTES;
	unsigned i;

	if (nc->number == 0) {
		nc->number = new_nc_number(t);
		be_put32(row, nc->number);
		store_put(t, STORE_NC, nc_id_key(&nc->position.nc, id_key), span_make(row, 4));
	}
	row[0] = (uint8_t)((nc->is_own ? NC_OWN : 0) | (nc->is_recovering ? NC_RECOVERING : 0));
	memcpy(row + 1, nc->position.nc.b, UUID_BYTES);
	write_life(&nc->position, row + 17);
	be_put64(row + 45, nc->floor);
	be_put64(row + 53, nc->common);
	for (i = 0; i < nc->npast; i++, n += LIFE_BYTES)
		write_life(&nc->past[i], row + n);
	store_put(t, STORE_NC, nc_key(nc->number, key), span_make(row, n));
}

bool store_nc_is_home(const struct store_nc *nc)
{
	return nc->is_own && !uuid_eq(&nc->position.nc, &POSITION_LOCAL_NC);
}

struct vector store_nc_lives(const struct store_nc *nc,
			     struct position room[static 1 + POSITION_PAST_MAX])
{
	room[0] = nc->position;
	if (nc->npast != 0)
		memcpy(room + 1, nc->past, nc->npast * sizeof(*room));
	return (struct vector){room, 1 + nc->npast};
}

void store_nc_del(struct store_txn *t, const struct store_nc *nc)
{
	uint8_t key[NC_KEY_BYTES], id_key[NC_ID_KEY_BYTES];

	store_del(t, STORE_NC, nc_id_key(&nc->position.nc, id_key), span_make(NULL, 0));
	store_del(t, STORE_NC, nc_key(nc->number, key), span_make(NULL, 0));
	store_digest_del(t, &nc->position.nc);
}

/* --- change order --- */

struct span store_order_key(uint32_t nc, uint64_t usn, const struct uuid *u,
			    uint8_t key[static STORE_ORDER_KEY_BYTES])
{
	be_put32(key, nc);
	be_put64(key + 4, usn);
	memcpy(key + 12, u->b, UUID_BYTES);
	return span_make(key, STORE_ORDER_KEY_BYTES);
}

static int read_order(struct span key, struct span row, struct store_change *out)
{
	memset(out, 0, sizeof(*out));
	out->usn = be_get64(key.p + 4);
	memcpy(out->uuid.b, key.p + 12, UUID_BYTES);
	if (row.n == ORDER_LIVE_BYTES && row.p[0] == STORE_ORDER_LIVE) {
		out->eid = be_get64(row.p + 1);
		return RC_OK;
	}
	if (row.n != 0 && row.p[0] == STORE_ORDER_QUARANTINED) {
		out->is_quarantined = true;
		out->quarantined = row;
		return RC_OK;
	}
	if (row.n < ORDER_TOMBSTONE_BYTES || row.p[0] != STORE_ORDER_TOMBSTONE)
		return RC_CORRUPT;
	out->is_tombstone = true;
	out->epoch = be_get32(row.p + 1);
	out->old_dn = span_from(row, ORDER_TOMBSTONE_BYTES);
	return RC_OK;
}

/* Is the key behind the lower row, and not behind the upper one? */
static bool is_between(const struct store_place *p, struct span key)
{
	return p->lower.mv_size != 0 && span_cmp(store_span(p->lower), key) < 0 &&
	       span_cmp(key, store_span(p->upper)) <= 0;
}

static int step(struct store_place *p)
{
	p->lower = p->upper;
	return mdb_cursor_get(p->cursor, &p->upper, &p->row, MDB_NEXT);
}

/* The first row at or behind a key; those who ask go through row by row. */
static int seek_place(struct store_txn *t, struct span key, MDB_val *k, MDB_val *v)
{
	struct store_place *p = &t->order;
	int err = 0, rc = RC_OK;

	if (p->cursor == NULL)
		rc = store_cursor(t, STORE_ORDER, &p->cursor);
	if (rc != RC_OK)
		return rc;
	if (p->upper.mv_size != 0 && !is_between(p, key))
		err = step(p);
	if (err != 0 || p->upper.mv_size == 0 || !is_between(p, key)) {
		p->lower.mv_size = 0;
		p->upper = store_val(key);
		err = mdb_cursor_get(p->cursor, &p->upper, &p->row, MDB_SET_RANGE);
	}
	if (err != 0)
		p->upper.mv_size = 0;
	*k = p->upper;
	*v = p->row;
	return store_rc(err);
}

void store_order_close(struct store_txn *t)
{
	if (t->order.cursor != NULL)
		mdb_cursor_close(t->order.cursor);
	memset(&t->order, 0, sizeof(t->order));
}

static int seek_row(struct store_txn *t, struct span key, MDB_val *k, MDB_val *v)
{
	MDB_cursor *c;
	int rc;

	if (!t->is_write)
		return seek_place(t, key, k, v);
	rc = store_cursor(t, STORE_ORDER, &c);
	if (rc != RC_OK)
		return rc;
	*k = store_val(key);
	rc = store_rc(mdb_cursor_get(c, k, v, MDB_SET_RANGE));
	mdb_cursor_close(c);
	return rc;
}

/* The first row of the context at or behind a key. */
static int seek_order(struct store_txn *t, uint32_t nc, struct span key, struct store_change *out)
{
	MDB_val k, v;
	int rc = seek_row(t, key, &k, &v);

	if (rc == RC_OK && k.mv_size != STORE_ORDER_KEY_BYTES)
		rc = RC_CORRUPT;
	if (rc == RC_NOTFOUND || (rc == RC_OK && be_get32(k.mv_data) != nc))
		rc = RC_DONE;
	if (rc == RC_OK)
		rc = read_order(store_span(k), store_span(v), out);
	return rc;
}

int store_change_next(struct store_txn *t, uint32_t nc, uint64_t after, uint64_t upto,
		      struct store_change *out)
{
	static const struct uuid lowest;
	uint8_t key[STORE_ORDER_KEY_BYTES];
	int rc;

	if (after >= upto)
		return RC_DONE;
	rc = seek_order(t, nc, store_order_key(nc, after + 1, &lowest, key), out);
	return rc == RC_OK && out->usn > upto ? RC_DONE : rc;
}

int store_change_stub(struct store_txn *t, uint32_t nc, struct store_change *out)
{
	static const struct uuid lowest;
	uint8_t key[STORE_ORDER_KEY_BYTES];
	int rc = seek_order(t, nc, store_order_key(nc, 0, &lowest, key), out);

	return rc == RC_OK && out->usn != 0 ? RC_DONE : rc;
}

int store_change_twin(struct store_txn *t, uint32_t nc, struct store_change *row)
{
	uint8_t key[STORE_ORDER_KEY_BYTES + 1] = {0};
	uint64_t usn = row->usn;
	int rc;

	(void)store_order_key(nc, usn, &row->uuid, key);
	rc = seek_order(t, nc, span_make(key, sizeof(key)), row);
	return rc == RC_OK && row->usn != usn ? RC_DONE : rc;
}

void store_order_put(struct store_txn *t, uint32_t nc, uint64_t usn, const struct uuid *u,
		     uint64_t eid)
{
	uint8_t key[STORE_ORDER_KEY_BYTES], row[ORDER_LIVE_BYTES];

	row[0] = STORE_ORDER_LIVE;
	be_put64(row + 1, eid);
	store_bulk_put(t, STORE_ORDER, store_order_key(nc, usn, u, key),
		       span_make(row, sizeof(row)));
}

void store_order_del(struct store_txn *t, uint32_t nc, uint64_t usn, const struct uuid *u)
{
	uint8_t key[STORE_ORDER_KEY_BYTES];

	store_del(t, STORE_ORDER, store_order_key(nc, usn, u, key), span_make(NULL, 0));
}

bool store_has_order(struct store_txn *t, uint32_t nc, uint64_t usn, const struct uuid *u)
{
	uint8_t key[STORE_ORDER_KEY_BYTES];

	return store_has(t, STORE_ORDER, store_order_key(nc, usn, u, key), span_make(NULL, 0));
}

/* --- tombstones --- */

static void put_tombstone_row(struct store_txn *t, uint32_t nc, const struct stamp *s,
			      const struct uuid *u, struct span old_dn)
{
	uint8_t key[STORE_ORDER_KEY_BYTES];
	struct buf row;
	uint8_t *p;

	buf_init(&row, ORDER_TOMBSTONE_BYTES + old_dn.n);
	p = buf_extend(&row, ORDER_TOMBSTONE_BYTES);
	if (p != NULL) {
		p[0] = STORE_ORDER_TOMBSTONE;
		be_put32(p + 1, s->epoch);
	}
	buf_put(&row, old_dn);
	if (buf_rc(&row) == RC_OK)
		store_put(t, STORE_ORDER, store_order_key(nc, s->usn, u, key), buf_span(&row));
	else if (t->rc == RC_OK)
		t->rc = buf_rc(&row);
	buf_fini(&row);
}

void store_tombstone_put(struct store_txn *t, uint32_t nc, const struct stamp *s,
			 const struct uuid *u, struct span old_dn, int64_t since_us)
{
	uint8_t row[TOMB_ROW_BYTES];

	store_tombstone_del(t, u);
	be_put32(row, nc);
	be_put64(row + 4, s->usn);
	be_put32(row + 12, s->epoch);
	be_put64(row + 16, (uint64_t)since_us);
	store_put(t, STORE_TOMB, span_make(u->b, UUID_BYTES), span_make(row, sizeof(row)));
	put_tombstone_row(t, nc, s, u, old_dn);
}

static int get_tombstone(struct store_txn *t, const struct uuid *u, uint32_t *nc, struct stamp *out)
{
	struct span v;
	int rc = store_get(t, STORE_TOMB, span_make(u->b, UUID_BYTES), &v);

	if (rc != RC_OK)
		return rc;
	if (v.n != TOMB_ROW_BYTES)
		return RC_CORRUPT;
	*nc = be_get32(v.p);
	out->usn = be_get64(v.p + 4);
	out->epoch = be_get32(v.p + 12);
	return RC_OK;
}

void store_tombstone_del(struct store_txn *t, const struct uuid *u)
{
	struct stamp s;
	uint32_t nc;

	if (get_tombstone(t, u, &nc, &s) != RC_OK)
		return;
	store_order_del(t, nc, s.usn, u);
	store_del(t, STORE_TOMB, span_make(u->b, UUID_BYTES), span_make(NULL, 0));
}

int store_tombstone(struct store_txn *t, const struct uuid *u, struct stamp *out)
{
	uint8_t key[NC_KEY_BYTES];
	struct store_nc row;
	struct span v, k;
	uint32_t nc;
	int rc = get_tombstone(t, u, &nc, out);

	if (rc != RC_OK)
		return rc;
	k = nc_key(nc, key);
	rc = store_get(t, STORE_NC, k, &v);
	if (rc == RC_NOTFOUND)
		return store_is_leaving(t, nc) ? RC_NOTFOUND : RC_CORRUPT;
	if (rc == RC_OK)
		rc = read_nc(t, k, v, &row);
	if (rc == RC_OK)
		out->nc = row.position.nc;
	return rc;
}

int store_tombstones_before(struct store_txn *t, int64_t before_us, unsigned max_rows,
			    struct uuid *at, struct uuid *out, unsigned max, unsigned *n)
{
	uint8_t from[UUID_BYTES + 1] = {0};
	MDB_val k = store_val(span_make(from, sizeof(from))), v;
	MDB_cursor *c;
	int rc = store_cursor(t, STORE_TOMB, &c);

	*n = 0;
	if (rc != RC_OK)
		return rc;
	memcpy(from, at->b, UUID_BYTES); /* the key behind *at */
	rc = store_rc(mdb_cursor_get(c, &k, &v, MDB_SET_RANGE));
	while (rc == RC_OK && max_rows-- != 0 && *n < max) {
		struct span row = store_span(v);

		memcpy(at->b, k.mv_data, UUID_BYTES);
		if (row.n == TOMB_ROW_BYTES && (int64_t)be_get64(row.p + 16) < before_us)
			out[(*n)++] = *at;
		rc = store_rc(mdb_cursor_get(c, &k, &v, MDB_NEXT));
	}
	mdb_cursor_close(c);
	return rc == RC_NOTFOUND ? RC_DONE : rc;
}

/* --- limbo --- */

static struct span limbo_value(uint64_t eid, uint8_t bytes[static STORE_EID_BYTES])
{
	be_put64(bytes, eid);
	return span_make(bytes, STORE_EID_BYTES);
}

void store_limbo_put(struct store_txn *t, const struct uuid *parent, uint64_t eid)
{
	uint8_t bytes[STORE_EID_BYTES];

	store_put(t, STORE_LIMBO, span_make(parent->b, LIMBO_KEY_BYTES), limbo_value(eid, bytes));
}

void store_limbo_del(struct store_txn *t, const struct uuid *parent, uint64_t eid)
{
	uint8_t bytes[STORE_EID_BYTES];

	store_del(t, STORE_LIMBO, span_make(parent->b, LIMBO_KEY_BYTES), limbo_value(eid, bytes));
}

int store_limbo_next(struct store_txn *t, const struct uuid *parent, uint64_t after,
		     uint64_t *eid_out)
{
	uint8_t bytes[STORE_EID_BYTES];
	MDB_val k = store_val(span_make(parent->b, LIMBO_KEY_BYTES)), v;
	MDB_cursor *c;
	int rc = store_cursor(t, STORE_LIMBO, &c);

	if (rc != RC_OK)
		return rc;
	v = store_val(limbo_value(after + 1, bytes));
	rc = store_rc(mdb_cursor_get(c, &k, &v, MDB_GET_BOTH_RANGE));
	if (rc == RC_OK)
		*eid_out = be_get64(v.mv_data);
	mdb_cursor_close(c);
	return rc == RC_NOTFOUND ? RC_DONE : rc;
}

bool store_has_limbo(struct store_txn *t, const struct uuid *parent, uint64_t eid)
{
	uint8_t bytes[STORE_EID_BYTES];

	return store_has(t, STORE_LIMBO, span_make(parent->b, LIMBO_KEY_BYTES),
			 limbo_value(eid, bytes));
}
