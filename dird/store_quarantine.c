#include "dird/store_digest.h"
#include "dird/store_mdb.h"

/*
 * quarantine table: 'q' nc u32, uuid -> usn u64; 'w' awaited uuid, nc u32, uuid -> nothing.
 * order row: 2, flags u8, since u64, awaited uuid, length of the reason u16, reason, record.
 */
#define KEY_BYTES (1 + 4 + UUID_BYTES)
#define WAIT_KEY_BYTES (1 + UUID_BYTES + 4 + UUID_BYTES)
#define AT_FLAGS 1
#define AT_SINCE 2
#define AT_AWAITED 10
#define AT_REASON_BYTES 26
#define HEAD_BYTES 28
#define IS_REMOVAL 1
#define REASON_MAX_BYTES 400

static struct span quarantine_key(uint32_t nc, const struct uuid *u, uint8_t key[static KEY_BYTES])
{
	key[0] = 'q';
	be_put32(key + 1, nc);
	memcpy(key + 5, u->b, UUID_BYTES);
	return span_make(key, KEY_BYTES);
}

static struct span wait_key(const struct uuid *awaited, uint32_t nc, const struct uuid *u,
			    uint8_t key[static WAIT_KEY_BYTES])
{
	key[0] = 'w';
	memcpy(key + 1, awaited->b, UUID_BYTES);
	be_put32(key + 1 + UUID_BYTES, nc);
	memcpy(key + 5 + UUID_BYTES, u->b, UUID_BYTES);
	return span_make(key, WAIT_KEY_BYTES);
}

int store_quarantined_read(struct span row, struct store_quarantined *out)
{
	size_t reason;

	if (row.n < HEAD_BYTES || row.p[0] != STORE_ORDER_QUARANTINED)
		return RC_CORRUPT;
	reason = (size_t)row.p[AT_REASON_BYTES] << 8 | row.p[AT_REASON_BYTES + 1];
	if (row.n - HEAD_BYTES < reason)
		return RC_CORRUPT;
	out->is_removal = (row.p[AT_FLAGS] & IS_REMOVAL) != 0;
	out->since_us = (int64_t)be_get64(row.p + AT_SINCE);
	memcpy(out->awaited.b, row.p + AT_AWAITED, UUID_BYTES);
	out->reason = span_make(row.p + HEAD_BYTES, reason);
	return entry_open(span_from(row, HEAD_BYTES + reason), &out->e);
}

static void put_order_row(struct store_txn *t, uint32_t nc, const struct store_quarantined *q)
{
	struct span reason = span_head(q->reason, REASON_MAX_BYTES);
	uint8_t head[HEAD_BYTES] = {STORE_ORDER_QUARANTINED, q->is_removal ? IS_REMOVAL : 0};
	uint8_t key[STORE_ORDER_KEY_BYTES];
	struct buf row;

	be_put64(head + AT_SINCE, (uint64_t)q->since_us);
	memcpy(head + AT_AWAITED, q->awaited.b, UUID_BYTES);
	head[AT_REASON_BYTES] = (uint8_t)(reason.n >> 8);
	head[AT_REASON_BYTES + 1] = (uint8_t)reason.n;
	buf_init(&row, UINT32_MAX);
	buf_put(&row, span_make(head, sizeof(head)));
	buf_put(&row, reason);
	buf_put(&row, entry_record(&q->e));
	if (buf_rc(&row) == RC_OK)
		store_put(t, STORE_ORDER,
			  store_order_key(nc, q->e.head.stamp.usn, &q->e.head.uuid, key),
			  buf_span(&row));
	else
		store_fail(t, buf_rc(&row));
	buf_fini(&row);
}

/* The digest counts what waits in the place of what readers see. */
static void count_instead(struct store_txn *t, const struct store_quarantined *q, bool waits)
{
	struct entry live;
	uint64_t eid;
	int rc;

	if (!q->is_removal && waits)
		store_digest_add(t, &q->e);
	else if (!q->is_removal)
		store_digest_sub(t, &q->e);
	rc = store_by_uuid(t, &q->e.head.uuid, &eid);
	if (rc == RC_OK)
		rc = store_entry(t, eid, &live);
	if (rc == RC_NOTFOUND ||
	    (rc == RC_OK && !uuid_eq(&live.head.stamp.nc, &q->e.head.stamp.nc)))
		return;
	if (rc != RC_OK)
		store_fail(t, rc);
	else if (waits)
		store_digest_sub(t, &live);
	else
		store_digest_add(t, &live);
}

bool store_is_quarantined(struct store_txn *t, const struct uuid *nc, const struct uuid *u)
{
	uint8_t key[KEY_BYTES];
	struct store_nc row;

	return store_rows(t, STORE_QUARANTINE) != 0 && store_nc_find(t, nc, &row) == RC_OK &&
	       store_has(t, STORE_QUARANTINE, quarantine_key(row.number, u, key),
			 span_make(NULL, 0));
}

void store_quarantine_put(struct store_txn *t, uint32_t nc, const struct store_quarantined *q)
{
	const struct entry_head *head = &q->e.head;
	uint8_t key[KEY_BYTES], wait[WAIT_KEY_BYTES], usn[8];

	count_instead(t, q, true);
	be_put64(usn, head->stamp.usn);
	store_put(t, STORE_QUARANTINE, quarantine_key(nc, &head->uuid, key),
		  span_make(usn, sizeof(usn)));
	if (!uuid_is_zero(&q->awaited))
		store_put(t, STORE_QUARANTINE, wait_key(&q->awaited, nc, &head->uuid, wait),
			  SPAN_LIT(""));
	put_order_row(t, nc, q);
}

int store_quarantined(struct store_txn *t, uint32_t nc, const struct uuid *u,
		      struct store_quarantined *out)
{
	uint8_t key[KEY_BYTES], order[STORE_ORDER_KEY_BYTES];
	struct span v;
	int rc;

	if (nc == 0)
		return RC_NOTFOUND;
	rc = store_get(t, STORE_QUARANTINE, quarantine_key(nc, u, key), &v);
	if (rc != RC_OK)
		return rc;
	if (v.n != 8)
		return RC_CORRUPT;
	rc = store_get(t, STORE_ORDER, store_order_key(nc, be_get64(v.p), u, order), &v);
	if (rc != RC_OK)
		return rc == RC_NOTFOUND ? RC_CORRUPT : rc;
	return store_quarantined_read(v, out);
}

void store_quarantine_del(struct store_txn *t, uint32_t nc, const struct uuid *u)
{
	uint8_t key[KEY_BYTES], wait[WAIT_KEY_BYTES];
	struct store_quarantined q;
	int rc = store_quarantined(t, nc, u, &q);
	struct uuid awaited;
	uint64_t usn;

	if (rc == RC_NOTFOUND)
		return;
	if (rc != RC_OK) {
		store_fail(t, rc);
		return;
	}
	count_instead(t, &q, false);
	awaited = q.awaited; /* the row's bytes go with the first delete */
	usn = q.e.head.stamp.usn;
	store_order_del(t, nc, usn, u);
	store_del(t, STORE_QUARANTINE, quarantine_key(nc, u, key), span_make(NULL, 0));
	if (!uuid_is_zero(&awaited))
		store_del(t, STORE_QUARANTINE, wait_key(&awaited, nc, u, wait), span_make(NULL, 0));
}

/* The first key not below `from` that begins with its first `same` bytes. */
static int seek(struct store_txn *t, struct span from, size_t same, struct span *key)
{
	MDB_val k = store_val(from), v;
	MDB_cursor *c;
	int rc = store_cursor(t, STORE_QUARANTINE, &c);

	if (rc != RC_OK)
		return rc;
	rc = store_rc(mdb_cursor_get(c, &k, &v, MDB_SET_RANGE));
	if (rc == RC_OK && (k.mv_size < same || memcmp(k.mv_data, from.p, same) != 0))
		rc = RC_NOTFOUND;
	if (rc == RC_OK)
		*key = store_span(k);
	mdb_cursor_close(c);
	return rc == RC_NOTFOUND ? RC_DONE : rc;
}

int store_quarantine_next(struct store_txn *t, uint32_t *nc, struct uuid *u,
			  struct store_quarantined *out)
{
	uint8_t from[KEY_BYTES + 1];
	struct span key;
	int rc;

	(void)quarantine_key(*nc, u, from);
	from[KEY_BYTES] = 0; /* the next key behind this one */
	rc = seek(t, span_make(from, sizeof(from)), 1, &key);
	if (rc == RC_OK && key.n != KEY_BYTES)
		rc = RC_CORRUPT;
	if (rc != RC_OK)
		return rc;
	*nc = be_get32(key.p + 1);
	memcpy(u->b, key.p + 5, UUID_BYTES);
	return store_quarantined(t, *nc, u, out);
}

int store_quarantine_waiting(struct store_txn *t, const struct uuid *awaited, uint32_t *nc,
			     struct uuid *u)
{
	uint8_t from[WAIT_KEY_BYTES + 1];
	struct span key;
	int rc;

	(void)wait_key(awaited, *nc, u, from);
	from[WAIT_KEY_BYTES] = 0;
	rc = seek(t, span_make(from, sizeof(from)), 1 + UUID_BYTES, &key);
	if (rc == RC_OK && key.n != WAIT_KEY_BYTES)
		rc = RC_CORRUPT;
	if (rc != RC_OK)
		return rc;
	*nc = be_get32(key.p + 1 + UUID_BYTES);
	memcpy(u->b, key.p + 5 + UUID_BYTES, UUID_BYTES);
	return RC_OK;
}

static int count_row(void *ctx, struct span key, struct span value)
{
	uint64_t *n = ctx;

	(void)value;
	*n += key.n == KEY_BYTES && key.p[0] == 'q';
	return RC_OK;
}

uint64_t store_quarantine_count(struct store_txn *t)
{
	uint64_t n = 0;

	return store_scan(t, STORE_QUARANTINE, count_row, &n) == RC_OK ? n : 0;
}
