/* Contexts of removed sites: the row of the context has gone, those of its entries are going. */
#include "dird/be.h"
#include "dird/store_digest.h"
#include "dird/store_mdb.h"

#define KEY_BYTES 5

/* nc table: 'r' number -> id */
static struct span leaving_key(uint32_t number, uint8_t key[static KEY_BYTES])
{
	key[0] = 'r';
	be_put32(key + 1, number);
	return span_make(key, KEY_BYTES);
}

void store_nc_leave(struct store_txn *t, const struct store_nc *nc)
{
	uint8_t key[KEY_BYTES];

	store_put(t, STORE_NC, leaving_key(nc->number, key),
		  span_make(nc->position.nc.b, UUID_BYTES));
	store_nc_del(t, nc);
}

void store_leaving_del(struct store_txn *t, const struct store_leaving *l)
{
	uint8_t key[KEY_BYTES];

	store_del(t, STORE_NC, leaving_key(l->number, key), span_make(NULL, 0));
	store_digest_del(t, &l->id);
}

int store_leaving_next(struct store_txn *t, struct store_leaving *at)
{
	uint8_t key[KEY_BYTES];
	MDB_cursor *c;
	MDB_val k, v;
	int rc;

	if (at->number == UINT32_MAX)
		return RC_DONE;
	k = store_val(leaving_key(at->number + 1, key));
	rc = store_cursor(t, STORE_NC, &c);
	if (rc != RC_OK)
		return rc;
	rc = store_rc(mdb_cursor_get(c, &k, &v, MDB_SET_RANGE));
	if (rc == RC_NOTFOUND || (rc == RC_OK && *(const uint8_t *)k.mv_data != 'r'))
		rc = RC_DONE;
	else if (rc == RC_OK && (k.mv_size != KEY_BYTES || v.mv_size != UUID_BYTES))
		rc = RC_CORRUPT;
	if (rc == RC_OK) {
		at->number = be_get32((const uint8_t *)k.mv_data + 1);
		memcpy(at->id.b, v.mv_data, UUID_BYTES);
	}
	mdb_cursor_close(c);
	return rc;
}

int store_leaving_find(struct store_txn *t, const struct uuid *id, struct store_leaving *out)
{
	int rc;

	out->number = 0;
	while ((rc = store_leaving_next(t, out)) == RC_OK) {
		if (uuid_eq(&out->id, id))
			return RC_OK;
	}
	return rc == RC_DONE ? RC_NOTFOUND : rc;
}

bool store_is_leaving(struct store_txn *t, uint32_t number)
{
	uint8_t key[KEY_BYTES];
	struct span v;

	return store_get(t, STORE_NC, leaving_key(number, key), &v) == RC_OK;
}
